"""Figures that are added up, and that go through a pipe unchanged."""

import json
import marshal
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.observe import figures
from corsproxy.observe.figures import DURATION_BOUNDS, FIGURES, Figure, Merge, Type
from corsproxy.observe.snapshot import Snapshot, Value, total

COUNTS = st.integers(0, 2**40)


def values_of(figure: Figure) -> st.SearchStrategy[Value]:
    length = len(DURATION_BOUNDS) + 2 if figure.type is Type.HISTOGRAM else 1
    return st.tuples(*[COUNTS] * length)


def snapshots() -> st.SearchStrategy[Snapshot]:
    def labelled(figure: Figure) -> st.SearchStrategy[dict[tuple[str, ...], Value]]:
        return st.dictionaries(st.tuples(*[st.sampled_from(["a", "b", "c"])] * len(figure.labels)), values_of(figure), max_size=3)

    chosen = st.fixed_dictionaries({}, optional={name: labelled(figure) for name, figure in FIGURES.items()})
    return st.builds(Snapshot, chosen, st.lists(st.integers(1, 9), unique=True).map(tuple))


def test_two_processes_are_added_up() -> None:
    one = Snapshot(
        {
            figures.REQUESTS: {("actual", "granted", "2xx"): (2,), ("actual", "refused", "4xx"): (1,)},
            figures.DURATION: {("actual",): (1, 2, *[0] * 13, 0.5)},
            figures.IN_FLIGHT: {(): (3,)},
            figures.RELOAD_SUCCESSFUL: {(): (1,)},
            figures.DANGEROUS: {(): (2,)},
        },
        (7,),
    )
    other = Snapshot(
        {
            figures.REQUESTS: {("actual", "granted", "2xx"): (5,), ("preflight", "granted", "2xx"): (4,)},
            figures.DURATION: {("actual",): (10, 0, *[0] * 13, 0.25), ("preflight",): (4, *[0] * 14, 0.01)},
            figures.IN_FLIGHT: {(): (1,)},
            figures.RELOAD_SUCCESSFUL: {(): (0,)},
            figures.DANGEROUS: {(): (1,)},
        },
        (8,),
    )
    both = one + other

    assert both.values == {
        figures.REQUESTS: {("actual", "granted", "2xx"): (7,), ("actual", "refused", "4xx"): (1,), ("preflight", "granted", "2xx"): (4,)},
        figures.DURATION: {("actual",): (11, 2, *[0] * 13, 0.75), ("preflight",): (4, *[0] * 14, 0.01)},
        figures.IN_FLIGHT: {(): (4,)},
        figures.RELOAD_SUCCESSFUL: {(): (0,)},
        figures.DANGEROUS: {(): (2,)},
    }
    assert both.processes == (7, 8)
    assert both.number(figures.DURATION, "actual") == 13
    assert (both.number(figures.IN_FLIGHT), both.number(figures.TUNNELS), both.number(figures.REQUESTS, "actual", "granted", "5xx")) == (
        4,
        0,
        0,
    )


@given(snapshots(), snapshots(), snapshots())
def test_the_order_in_which_they_are_added_up_means_nothing(one: Snapshot, two: Snapshot, three: Snapshot) -> None:
    assert (one + two).values == (two + one).values
    assert ((one + two) + three).values == (one + (two + three)).values == total([three, one, two]).values
    assert Snapshot() + one == one


@given(snapshots())
@pytest.mark.parametrize("through", [json, pickle, marshal], ids=lambda module: module.__name__)
def test_it_goes_through_a_pipe(through: object, snapshot: Snapshot) -> None:
    sent = through.dumps(snapshot.to_plain())  # type: ignore[attr-defined]

    assert Snapshot.from_plain(through.loads(sent)) == snapshot  # type: ignore[attr-defined]


def test_counters_and_histograms_of_several_processes_are_sums() -> None:
    assert {figure.merge for figure in FIGURES.values() if figure.type in (Type.COUNTER, Type.HISTOGRAM)} == {Merge.SUM}
