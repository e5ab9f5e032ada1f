"""
The last exchanges, and counts of who called and why it came out so: bounded, and nearly free while nobody looks.

A record is kept as it is, or in brief; what is shown of it is made when somebody looks.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from corsproxy.config.settings import Settings
from corsproxy.cors.decide import Decision
from corsproxy.observe.briefs import Briefs, Told
from corsproxy.observe.entry import MAX_TARGET_BYTES, Entry, Outcome, entry_of, is_fine, reason_of
from corsproxy.record import ExchangeRecord

SIZE: Final = 500
# Of those that deserve a look, some are kept longer, so that the good calls of a busy proxy do not push them out.
KEPT: Final = 250
# How many entries one look returns at most.
MAX_LOOK: Final = SIZE + KEPT


class Tally:
    """
    Counts by a key that clients choose, in bounded memory: who is counted often stays.

    A full table lets go of the rarer half; what was counted there goes on as `others`. So the counts of frequent keys are right,
    and those of rare ones begin anew at times.
    """

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self.counts: dict[str | bytes, list[int]] = {}
        self.others = [0, 0]

    def add_all(self, counts: Iterable[tuple[str, int, int]], others: Sequence[int] = (0, 0)) -> None:
        """Add what another one has counted: what its `top` and its `others` say."""
        for key, total, bad in counts:
            count = self.counts.get(key) or self.admit(key)
            count[0] += total
            count[1] += bad
        self.others[0] += others[0]
        self.others[1] += others[1]

    def top(self, most: int = 50) -> tuple[list[tuple[str, int, int]], list[int]]:
        """Return name, count, and how many of these deserve a look, the most frequent first; and what all others come to."""
        ranked = sorted(self.counts.items(), key=lambda item: -item[1][0])
        named = [
            (key.decode("ascii", "backslashreplace") if isinstance(key, bytes) else str(key), count[0], count[1])
            for key, count in ranked[:most]
        ]
        others = [self.others[place] + sum(count[place] for _, count in ranked[most:]) for place in (0, 1)]
        return named, others

    def copy(self) -> "Tally":
        """Return another one with the same counts."""
        other = Tally(self._size)
        other.counts = {key: [*count] for key, count in self.counts.items()}
        other.others = [*self.others]
        return other

    def admit(self, key: str | bytes) -> list[int]:
        """Begin to count a key that is not counted yet."""
        if len(self.counts) >= self._size:
            # Of two that are equally rare the younger stays: it may be on its way up.
            ranked = sorted(self.counts.items(), key=lambda item: item[1][0])
            for _, count in ranked[: -self._size // 2]:
                self.others[0] += count[0]
                self.others[1] += count[1]
            self.counts = dict(ranked[-self._size // 2 :])
        count = self.counts[key] = [0, 0]
        return count


# The number of an exchange, and what is known of it.
Kept = tuple[int, ExchangeRecord | Entry]
_GOOD: Final = frozenset({Outcome.ALLOWED.value, Outcome.PASSED.value})


@dataclass(frozen=True, slots=True)
class Look:
    """What somebody sees: entries in order, the number of the last exchange that there was, and how many in between are not shown."""

    entries: tuple[Entry, ...]
    last: int
    missed: int = 0


class Ring:
    """
    The last exchanges of one proxy.

    `name` tells its numbers from those of another one, and of another start. `bad` counts those of this process that deserve a look.
    """

    def __init__(self, settings: Callable[[], Settings], name: str, size: int = SIZE, kept: int = KEPT) -> None:
        self.name = name
        self.briefs = Briefs(size)
        self.briefs.counting.append(self._count)
        self._taken = 0
        self.bad = 0
        self.origins = Tally()
        self.reasons = Tally()
        self._settings = settings
        self._elsewhere: dict[str, dict[str, Any]] = {}
        self._bad: deque[Kept] = deque(maxlen=kept)

    def add(self, record: ExchangeRecord) -> None:
        """Take note of an exchange that ended, and is not kept in brief."""
        bad, reason = (0 if is_fine(record) else 1, reason_of(record))
        if len(record.target) > MAX_TARGET_BYTES:
            record = replace(record, target=record.target[: MAX_TARGET_BYTES + 1])
        self._keep(record, bad)
        self.bad += bad
        self._tally(reason, record.decision, bad)

    def _keep(self, kept: ExchangeRecord | Entry, bad: int) -> None:
        number = self.briefs.keep(kept)
        if bad:
            self._bad.append((number, kept))

    def _tally(self, reason: str, decision: Decision | None, bad: int, total: int = 1) -> None:
        count = self.reasons.counts.get(reason) or self.reasons.admit(reason)
        count[0] += total
        count[1] += bad
        if decision is not None and decision.origin:
            count = self.origins.counts.get(decision.origin) or self.origins.admit(decision.origin)
            count[0] += total
            count[1] += bad

    def _count(self, told: Told) -> None:
        """Count what is kept in brief."""
        self._tally(told.reason, told.decision, 0, len(told.seconds))

    def take(self, entries: Iterable[Entry]) -> None:
        """Take in what other processes have seen since the last time, in its order; the entries get numbers of this ring."""
        for entry in entries:
            self._taken += 1
            self._keep(replace(entry, id=self._id(self.last + 1)), entry.outcome not in _GOOD)

    @property
    def last(self) -> int:
        """The number of the newest exchange."""
        return self.briefs.last

    def tell(self, name: str, counts: dict[str, Any]) -> None:
        """Take note of all that another process has counted, in the place of what it told before."""
        self._elsewhere[name] = counts

    def forget(self, name: str) -> None:
        """Take note that another process is gone; what it has counted stays."""
        counts = self._elsewhere.pop(name, None)
        if counts is not None:
            self._taken -= counts["total"]
            self.bad += counts["bad"]
            self.origins.add_all(counts["origins"], counts["other_origins"])
            self.reasons.add_all(counts["reasons"])

    def since(self, number: int, most: int = MAX_LOOK) -> Look:
        """
        Return what came after an exchange, oldest first; at most so many, those that deserve a look before others.

        0 is the beginning. A number that was not given yet is of another proxy, so everything is returned.
        """
        if number > self.last:
            number = 0
        first = max(number, self.last - self.briefs.size, 0) + 1
        chosen = [each for each in self._bad if number < each[0] < first]
        chosen += [(each, self.briefs.at(each)) for each in range(first, self.last + 1)]
        if len(chosen) > most:
            chosen = _most_telling(chosen, most)
        return Look(tuple(map(self._entry, chosen)), self.last, self.last - number - len(chosen))

    def find(self, name: str) -> Entry | None:
        """Return an entry by its id; None if there is none, or none any more."""
        prefix, _, digits = name.partition("-")
        if prefix != self.name or not (digits.isascii() and digits.isdigit() and len(digits) < 16):
            return None
        number = int(digits)
        if max(0, self.last - self.briefs.size) < number <= self.last:
            return self._entry((number, self.briefs.at(number)))
        found = next((each for each in self._bad if each[0] == number), None)
        return self._entry(found) if found is not None else None

    def counts(self) -> dict[str, Any]:
        """Return the counts for JSON, and for another process: names with all exchanges, and with those that deserve a look."""
        self.briefs.settle()
        origins, reasons, elsewhere = self.origins, self.reasons, self._elsewhere.values()
        if elsewhere:
            origins, reasons = origins.copy(), reasons.copy()
            for each in elsewhere:
                origins.add_all(each["origins"], each["other_origins"])
                reasons.add_all(each["reasons"])
        named, others = origins.top()
        return {
            "total": self.last - self._taken + sum(each["total"] for each in elsewhere),
            "bad": self.bad + sum(each["bad"] for each in elsewhere),
            "origins": named,
            "other_origins": others,
            "reasons": reasons.top()[0],
        }

    def _entry(self, kept: Kept) -> Entry:
        number, record = kept
        return record if isinstance(record, Entry) else entry_of(record, self._id(number), self._settings())

    def _id(self, number: int) -> str:
        return f"{self.name}-{number}"


def _most_telling(chosen: list[Kept], most: int) -> list[Kept]:
    def is_good(kept: Kept) -> bool:
        record = kept[1]
        return record.outcome in _GOOD if isinstance(record, Entry) else is_fine(record)

    ranked = sorted(chosen, key=lambda kept: (is_good(kept), -kept[0]))
    return sorted(ranked[:most], key=lambda kept: kept[0])
