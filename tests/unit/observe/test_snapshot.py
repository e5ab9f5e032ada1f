"""Figures that are added up, and that go through a pipe unchanged."""

from corsproxy.observe import figures
from corsproxy.observe.figures import FIGURES, Merge, Type
from corsproxy.observe.snapshot import Snapshot


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


def test_counters_and_histograms_of_several_processes_are_sums() -> None:
    assert {figure.merge for figure in FIGURES.values() if figure.type in (Type.COUNTER, Type.HISTOGRAM)} == {Merge.SUM}
