"""What only a clock or chance can give to an exchange: its ids, and the date of this second."""

import secrets
import time
from collections.abc import Callable
from itertools import count
from typing import Final

from corsproxy.plan import Fresh
from corsproxy.semantics.dates import http_date

_new: Final = tuple.__new__


class Mint:
    """
    Makes ids, of traces too where one `begins_trace`. Request ids are unique, and no secret: a random start and a count.

    `next_id` makes a request's id; it is called for nearly every exchange, so nothing of it is Python.
    """

    def __init__(self) -> None:
        self.begins_trace = False
        self.next_id: Callable[[], bytes] = map((secrets.token_hex(8) + "%08x").encode().__mod__, count(1)).__next__

    def fresh(self) -> Fresh:
        """Return the ids of one exchange."""
        if not self.begins_trace:
            return _new(Fresh, (self.next_id(), b"", b""))
        # > All bytes as zero is considered an invalid value (Trace Context 3.2.2.3); chance makes none.
        return Fresh(self.next_id(), secrets.token_hex(16).encode(), secrets.token_hex(8).encode())


class DateClock:
    """The HTTP-date, written once a second."""

    def __init__(self) -> None:
        self._date = b""
        self._until = 0.0

    def date(self) -> bytes:
        """Return the HTTP-date of this second."""
        now = time.time()
        if now >= self._until:
            self._date, self._until = http_date(now), float(int(now) + 1)
        return self._date
