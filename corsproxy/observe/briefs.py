"""
Exchanges that went as known ones go, kept as they were told, and counted by many.

To write a record of each of them, and to count it at once, costs more than all else that is done with it. So it is done when somebody looks, and
what exchanges have in common is worked out once.
"""

from collections.abc import Callable
from typing import Final

from corsproxy.observe.entry import MAX_TARGET_BYTES, Entry, is_fine, reason_of
from corsproxy.record import Brief, ExchangeRecord, record_of

# So many that are alike are counted at once, and so many kinds.
_BATCH: Final = 64


class Told:
    """
    What exchanges have in common that are known alike, have one status and no problem: whether they deserve a look, and why they came out so.

    The rest is to be counted: how many seconds each took, and how much of content came from clients and went to them.
    """

    __slots__ = ("decision", "is_bad", "reason", "received", "seconds", "sent", "status")

    def __init__(self, record: ExchangeRecord) -> None:
        self.is_bad = not is_fine(record)
        self.reason = reason_of(record)
        self.decision = record.decision
        self.status = record.status
        self.seconds: list[float] = []
        self.received = self.sent = 0


class Briefs:
    """
    Numbers exchanges from 1 on, and keeps the last ones, in brief or as they are. `last` is the number of the newest.

    Whoever is in `counting` is told of those in brief, many at once; after `settle`, of all. `otherwise` takes what is not kept in brief.
    """

    __slots__ = ("_kept", "_uncounted", "counting", "last", "otherwise", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.last = 0
        self.otherwise: Callable[[ExchangeRecord], None] = lambda _: None
        self.counting: list[Callable[[Told], None]] = []
        # By number, modulo `size`.
        self._kept: list[Brief | ExchangeRecord | Entry | None] = [None] * size
        self._uncounted: list[Told] = []

    def put(self, brief: Brief) -> None:
        """Number, keep and count an exchange that ended, if it is one of those that nobody needs to look at; else pass its record on."""
        recalled, target, _, _, _, started, ended, status, sent = brief
        # Two proxies of one process may share what is known.
        tolds = recalled.known.told
        told = tolds.get((self, status))
        if told is None:
            told = tolds[self, status] = Told(record_of(brief))
        if told.is_bad or len(target) > MAX_TARGET_BYTES:
            self.otherwise(record_of(brief))
            return
        self.last = number = self.last + 1
        self._kept[number % self.size] = brief
        seconds = told.seconds
        seconds.append(ended - started)
        told.sent += sent
        told.received += recalled.length
        if len(seconds) == 1:
            self._uncounted.append(told)
        if len(seconds) >= _BATCH or len(self._uncounted) >= _BATCH:
            self.settle()

    def keep(self, kept: ExchangeRecord | Entry) -> int:
        """Number and keep an exchange as it is."""
        self.last += 1
        self._kept[self.last % self.size] = kept
        return self.last

    def at(self, number: int) -> ExchangeRecord | Entry:
        """Return one of the last exchanges."""
        kept = self._kept[number % self.size]
        assert kept is not None  # noqa: S101 - every number has its place
        return record_of(kept) if isinstance(kept, tuple) else kept

    def settle(self) -> None:
        """Have everything counted."""
        uncounted, self._uncounted = self._uncounted, []
        for told in uncounted:
            for count in self.counting:
                count(told)
            told.seconds, told.sent, told.received = [], 0, 0
