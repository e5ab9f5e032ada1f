"""
Exchanges that went as known ones go, kept by what differs from one to the next: in memory that is the same all the time.

A record is some twenty objects. To keep each for hundreds of exchanges costs more than all that is done with it: whatever is made meanwhile is
made in memory that no cache holds.
"""

import struct
from typing import Final

from corsproxy.known import KnownForward, Recalled
from corsproxy.record import ExchangeRecord

# When it began, since the epoch and by `time.perf_counter`, when its head came and when it ended; the status, and how much went to the client.
_FIGURES: Final = struct.Struct("=ddddiq")
_SIZE: Final = _FIGURES.size
_pack: Final = _FIGURES.pack_into


class Briefs:
    """A place for each of so many exchanges."""

    __slots__ = ("_figures", "_ids", "_recalled", "_targets")

    def __init__(self, size: int) -> None:
        self._figures = bytearray(size * _SIZE)
        self._ids = [""] * size
        self._targets = [b""] * size
        self._recalled: list[Recalled | None] = [None] * size

    def put(self, place: int, record: ExchangeRecord, recalled: Recalled) -> None:
        """Keep an exchange that was recalled, and had no problem and no second attempt."""
        self._recalled[place], self._targets[place], self._ids[place] = recalled, record.target, record.request_id
        _pack(self._figures, place * _SIZE, record.time, record.started, record.head, record.ended, record.status, record.sent)

    def drop(self, place: int) -> None:
        """Keep nothing there."""
        if self._recalled[place] is not None:
            self._recalled[place], self._targets[place], self._ids[place] = None, b"", ""

    def find(self, place: int) -> ExchangeRecord | None:
        """Return what is kept as a record; None where nothing is."""
        recalled = self._recalled[place]
        if recalled is None:
            return None
        known = recalled.known
        began, started, head, ended, status, sent = _FIGURES.unpack_from(self._figures, place * _SIZE)
        record = ExchangeRecord(began, started, known.context.method, self._targets[place], recalled.client.text)
        record.recalled, record.decision = recalled, known.context.decision
        record.request_id, record.trace_id = self._ids[place], recalled.trace.decode("ascii")
        record.status, record.head, record.ended, record.sent = status, head, ended, sent
        if isinstance(known, KnownForward):
            record.upstream, record.upstream_reused, record.received = known.route.upstream.url, True, recalled.length
            record.placed = record.connected = started
        else:
            record.reason = known.reason
        return record
