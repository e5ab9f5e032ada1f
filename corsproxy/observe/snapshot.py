"""
The figures of a proxy at one moment: plain, so that processes can hand them to each other, and several can be added up.

It knows how two figures become one; what they are called, and what they mean, stands in `figures`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from corsproxy.observe.figures import FIGURES, Merge, Type

Labels = tuple[str, ...]
# One number; of a histogram the counts by bucket, which are not cumulative, and behind them the sum of what was observed.
Value = tuple[float, ...]

_HISTOGRAMS: Final = frozenset(name for name, figure in FIGURES.items() if figure.type is Type.HISTOGRAM)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    Figures by name and by the values of their labels.

    `processes` are the ids of those that they are of: what the system knows of a process is read when it is asked for.
    """

    values: Mapping[str, Mapping[Labels, Value]] = field(default_factory=dict)
    processes: tuple[int, ...] = ()

    def __add__(self, other: "Snapshot") -> "Snapshot":
        """Return the figures of both together."""
        names = dict.fromkeys((*self.values, *other.values))
        values = {name: _merged(FIGURES[name].merge, self.values.get(name, {}), other.values.get(name, {})) for name in names}
        return Snapshot(values, tuple(dict.fromkeys((*self.processes, *other.processes))))

    def number(self, name: str, *labels: str) -> float:
        """Return one number: that of a counter or gauge, or how much a histogram has observed; 0 if there is none."""
        return sum(self.values.get(name, {}).get(labels, (0.0,))[: -1 if name in _HISTOGRAMS else None])


def total(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up any number of snapshots."""
    return sum(snapshots, Snapshot())


def _merged(merge: Merge, one: Mapping[Labels, Value], other: Mapping[Labels, Value]) -> dict[Labels, Value]:
    return {labels: _together(merge, one.get(labels), other.get(labels)) for labels in dict.fromkeys((*one, *other))}


def _together(merge: Merge, one: Value | None, other: Value | None) -> Value:
    if one is None or other is None:
        return one or other or ()
    pairs = zip(one, other, strict=True)
    match merge:
        case Merge.SUM:
            return tuple(mine + theirs for mine, theirs in pairs)
        case Merge.MOST:
            return tuple(max(pair) for pair in pairs)
        case Merge.LEAST:
            return tuple(min(pair) for pair in pairs)
