"""
What happened since the start, as plain ints; whoever serves metrics reads them.

`add` stands on the data path. Whatever can be worked out later is worked out when somebody asks.
"""

import operator
import os
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from typing import Final

from corsproxy.cors.decide import Decision
from corsproxy.observe import figures
from corsproxy.observe.briefs import Told
from corsproxy.observe.figures import DURATION_BOUNDS
from corsproxy.observe.outcomes import UPSTREAM_FAILURES, Outcome, is_rate_limited, outcome_of
from corsproxy.observe.snapshot import Labels, Snapshot, Value
from corsproxy.problems import catalogue
from corsproxy.record import ExchangeRecord

_Key = tuple[str, str, bool, int]
# The kind of what was answered before it could be judged.
UNJUDGED: Final = "none"
_OF_CELLS: Final = (figures.REQUESTS, figures.DURATION, figures.REQUEST_BYTES, figures.RESPONSE_BYTES, figures.CORS_DECISIONS)
_RATE_LIMITED: Final = frozenset(code for code, problem in catalogue().items() if is_rate_limited(problem))


class _Cell:
    """What exchanges of one kind, with one outcome, come to. `buckets` is not cumulative."""

    __slots__ = ("buckets", "received", "seconds", "sent")

    def __init__(self) -> None:
        self.buckets = [0] * (len(DURATION_BOUNDS) + 1)
        self.seconds = 0.0
        self.received = 0
        self.sent = 0


class Counters:
    """
    Counts of exchanges. Every key comes from a closed set, so nothing here can grow without bound.

    `tunnels` are the WebSockets that have ended; the gateway knows how many are open. `problems` are by code. `settle` is asked to add
    whatever was not counted yet, before somebody looks.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self.settle = settle
        # By kind and reason of the decision, whether it refused, and the first digit of the status.
        self._cells: dict[_Key, _Cell] = {}
        self.problems: Counter[str] = Counter()
        self.tunnels = 0
        self.retries = 0

    def add(self, record: ExchangeRecord) -> None:
        """Count one exchange."""
        status = record.status
        cell = self._cell(record.decision, status)
        if status == 101:
            self.tunnels += 1
            seconds = record.head - record.started
        else:
            seconds = record.ended - record.started
        cell.buckets[bisect_left(DURATION_BOUNDS, seconds)] += 1
        cell.seconds += seconds
        cell.received += record.received
        cell.sent += record.sent
        if record.problem is not None:
            self.problems[record.problem.code] += 1
        if record.retries:
            self.retries += record.retries

    def add_all(self, told: Told) -> None:
        """Count exchanges that went as known ones go."""
        cell = self._cell(told.decision, told.status)
        seconds = sorted(told.seconds)
        before = 0
        for place, bound in enumerate(DURATION_BOUNDS):
            # As many as are not over the bound.
            upto = bisect_right(seconds, bound)
            cell.buckets[place] += upto - before
            before = upto
        cell.buckets[-1] += len(seconds) - before
        cell.seconds += sum(seconds)
        cell.received += told.received
        cell.sent += told.sent

    def _cell(self, decision: Decision | None, status: int) -> _Cell:
        if decision is not None:
            key: _Key = (decision.kind, decision.reason, decision.refused, status // 100)
        else:
            key = (UNJUDGED, UNJUDGED, False, status // 100)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell()
        return cell

    def snapshot(self) -> Snapshot:
        """Return the figures so far, and this process."""
        self.settle()
        sums: dict[str, dict[Labels, Value]] = {name: {} for name in _OF_CELLS}
        for (kind, reason, refused, digit), cell in self._cells.items():
            count = (sum(cell.buckets),)
            outcome = outcome_of(kind, reason, refused=refused) if kind != UNJUDGED else Outcome.NONE
            _add(sums[figures.REQUESTS], (str(kind), outcome.value, f"{digit}xx" if digit else "none"), count)
            _add(sums[figures.DURATION], (str(kind),), (*cell.buckets, cell.seconds))
            _add(sums[figures.REQUEST_BYTES], (str(kind),), (cell.received,))
            _add(sums[figures.RESPONSE_BYTES], (str(kind),), (cell.sent,))
            if kind != UNJUDGED:
                _add(sums[figures.CORS_DECISIONS], (outcome.value, str(reason)), count)
        rest: dict[str, dict[Labels, Value]] = {
            figures.PROBLEMS: {(code,): (count,) for code, count in self.problems.items()},
            figures.UPSTREAM_ERRORS: {(word,): (self.problems[code],) for code, word in UPSTREAM_FAILURES.items()},
            figures.UPSTREAM_RETRIES: {(): (self.retries,)},
            figures.RATE_LIMITED: {(): (sum(self.problems[code] for code in _RATE_LIMITED),)},
            figures.TUNNELS: {(): (self.tunnels,)},
        }
        return Snapshot(sums | rest, (os.getpid(),))


def _add(found: dict[Labels, Value], labels: Labels, value: Value) -> None:
    before = found.get(labels)
    found[labels] = value if before is None else tuple(map(operator.add, before, value))
