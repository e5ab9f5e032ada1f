"""
Refusals that repeat are written once, and then counted: a scanner must not fill the disk.

It knows what a refusal is, and which are alike; it knows no clock but the time that it is given, and writes nothing. Its memory is bounded.
"""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from corsproxy import problems
from corsproxy.observe.fields import Value, cut, text_of
from corsproxy.record import ExchangeRecord

# How long like refusals are counted before their number is written.
WINDOW_S: Final = 60.0
# Beyond so many kinds at a time, the callers of a problem are all alike.
MAX_KINDS: Final = 256
MANY: Final = "many"
_Key = tuple[str, str, str, str]


@dataclass(slots=True)
class Fold:
    """
    Refusals that are alike: same problem and reason, and same origin, or same client where none was told.

    `client` is a network: /24 of IPv4, /64 of IPv6. `count` are those that no line was written for, from `first` to `last`, seconds since the epoch.
    """

    problem: str
    title: str
    status: int
    reason: str
    origin: str
    client: str
    until: float
    written: int = 0
    count: int = 0
    first: float = 0.0
    last: float = 0.0

    def attributes(self) -> dict[str, Value]:
        """Return the fields of the line that stands for all of them."""
        fields: dict[str, Value] = {
            "http.response.status_code": self.status,
            "corsproxy.folded": self.count,
            "corsproxy.problem": self.problem,
            "corsproxy.reason": self.reason,
            "corsproxy.origin": self.origin,
            "client.address": self.client,
        }
        return {name: value for name, value in fields.items() if value and value != MANY}


class Folding:
    """
    Counts what repeats. `aloud` is how many alike are written each before that begins.

    Times are in seconds since the epoch, as records have them.
    """

    def __init__(self, aloud: int = 1) -> None:
        self._aloud = aloud
        # In the order in which their windows end.
        self._folds: dict[_Key, Fold] = {}

    def takes(self, record: ExchangeRecord, now: float) -> bool:
        """Count a refusal like one that was written; False says that this record wants a line of its own."""
        if not is_refusal(record):
            return False
        key = self._key(record)
        fold = self._folds.get(key)
        if fold is None:
            fold = self._folds[key] = self._new(record, key, now)
        if fold.written < self._aloud:
            fold.written += 1
            return False
        fold.first = fold.first if fold.count else record.time
        fold.last = record.time
        fold.count += 1
        return True

    def expire(self, now: float) -> list[Fold]:
        """Return what was counted in windows that are over. A kind of which nothing came in its window is forgotten, so that its next is written."""
        over: list[Fold] = []
        while self._folds:
            key, fold = next(iter(self._folds.items()))
            # A clock that was set back must not keep a window open.
            if fold.until - WINDOW_S <= now < fold.until:
                break
            del self._folds[key]
            if fold.count:
                over.append(fold)
                self._folds[key] = self._again(fold, now)
        return over

    def end(self) -> list[Fold]:
        """Return all that was counted and not written, and forget everything."""
        counted = [fold for fold in self._folds.values() if fold.count]
        self._folds.clear()
        return counted

    @property
    def next_end(self) -> float | None:
        """When the next window is over, if there is one."""
        return next(iter(self._folds.values())).until if self._folds else None

    def _key(self, record: ExchangeRecord) -> _Key:
        assert record.problem is not None  # noqa: S101 - a refusal has one
        decision = record.decision
        origin = text_of(decision.origin) if decision is not None else ""
        key = (record.problem.code, cut(record.reason), origin, "" if origin else network_of(record.client))
        return key if key in self._folds or len(self._folds) < MAX_KINDS else (record.problem.code, "", MANY, MANY)

    def _new(self, record: ExchangeRecord, key: _Key, now: float) -> Fold:
        assert record.problem is not None  # noqa: S101 - a refusal has one
        code, reason, origin, client = key
        return Fold(code, record.problem.title, record.status, reason, origin, client, now + WINDOW_S)

    def _again(self, fold: Fold, now: float) -> Fold:
        return Fold(
            fold.problem, fold.title, fold.status, fold.reason, fold.origin, fold.client, now + WINDOW_S, written=self._aloud
        )  # fmt: skip


def is_refusal(record: ExchangeRecord) -> bool:
    """
    Tell whether the proxy refused a request by itself: nothing of it went upstream, and its client got a problem.

    What works, and what an upstream fails at, always gets its line; and so does a mistake of the proxy's own.
    """
    problem = record.problem
    return problem is not None and record.status >= 400 and not record.upstream and problem is not problems.INTERNAL_ERROR


@lru_cache(maxsize=256)
def network_of(address: str) -> str:
    """Return the network whose clients count as one, because it is one subscriber's, or changes by itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return cut(address)
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 64), strict=False))
