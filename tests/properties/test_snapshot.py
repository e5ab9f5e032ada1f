"""Figures of any processes: the order in which they are added up means nothing, and a pipe changes none."""

from hypothesis import given
from hypothesis import strategies as st

from corsproxy.observe.figures import DURATION_BOUNDS, FIGURES, Figure, Type
from corsproxy.observe.snapshot import Snapshot, Value, total
from corsproxy.processes.messages import Frames, to_frame

COUNTS = st.integers(0, 2**40)


def values_of(figure: Figure) -> st.SearchStrategy[Value]:
    length = len(DURATION_BOUNDS) + 2 if figure.type is Type.HISTOGRAM else 1
    return st.tuples(*[COUNTS] * length)


def snapshots() -> st.SearchStrategy[Snapshot]:
    def labelled(figure: Figure) -> st.SearchStrategy[dict[tuple[str, ...], Value]]:
        return st.dictionaries(st.tuples(*[st.sampled_from(["a", "b", "c"])] * len(figure.labels)), values_of(figure), max_size=3)

    chosen = st.fixed_dictionaries({}, optional={name: labelled(figure) for name, figure in FIGURES.items()})
    return st.builds(Snapshot, chosen, st.lists(st.integers(1, 9), unique=True).map(tuple))


@given(snapshots(), snapshots(), snapshots())
def test_the_order_in_which_they_are_added_up_means_nothing(one: Snapshot, two: Snapshot, three: Snapshot) -> None:
    assert (one + two).values == (two + one).values
    assert ((one + two) + three).values == (one + (two + three)).values == total([three, one, two]).values
    assert Snapshot() + one == one


@given(snapshots())
def test_it_goes_from_one_process_to_another(snapshot: Snapshot) -> None:
    assert list(Frames().feed(to_frame(snapshot))) == [snapshot]
