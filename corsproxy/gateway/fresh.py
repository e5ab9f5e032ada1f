"""What only a clock or chance can give to an exchange: its ids, and the date of this second."""

import secrets
import time

from corsproxy.plan import Fresh
from corsproxy.semantics.dates import http_date


class Mint:
    """Makes ids. Request ids are unique, and no secret: a random start and a count."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8).encode()
        self._count = 0

    def fresh(self, *, begins_trace: bool) -> Fresh:
        """Return the ids of one exchange."""
        self._count += 1
        request_id = b"%b%08x" % (self._prefix, self._count & 0xFFFFFFFF)
        if not begins_trace:
            return Fresh(request_id, b"", b"")
        # > All bytes as zero is considered an invalid value (Trace Context 3.2.2.3); chance makes none.
        return Fresh(request_id, secrets.token_hex(16).encode(), secrets.token_hex(8).encode())


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
