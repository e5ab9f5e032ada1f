"""
What is done with a field line, told by its name as spelled: one look-up for the many that pass, and one more for the few that are read.

It says the same as `fields` does, in a form that can be acted on at once.
"""

from typing import Final

from corsproxy.semantics.fields import (
    DEFAULT_REQUEST_ID,
    FORWARDING,
    READ_BY_CGI,
    WEBSOCKET,
    Part,
    is_other_forwarding,
    request_part,
    response_part,
)
from corsproxy.semantics.rules import HeaderRules

# What can be done with a line of a request. It passes,
PASS: Final = 0
PRESENT: Final = 1  # and that it is there decides,
READ: Final = 2  # or its value decides;
# or it is copied to where it belongs,
HOST: Final = 3
LENGTH: Final = 4
ID: Final = 5  # the request's own name,
PARENT: Final = 6  # the trace that it is part of,
ACCEPT: Final = 7  # what its sender reads;
# or it does not go upstream,
TAKE: Final = 8  # and its value decides,
TELL: Final = 9  # or it is a trusted proxy's word about the client,
SKIP: Final = 10  # or nobody reads it;
# or it is rare, and whoever asks has to look closer.
DOUBT: Final = 11

# Values that are all that is common; any other is rare. Of these, what follows is known.
SETTLED: Final = {
    b"connection": frozenset({b"keep-alive", b"Keep-Alive", b"close", b"Close"}),
    b"te": frozenset({b"trailers"}),
    b"transfer-encoding": frozenset({b"chunked"}),
}
# Of these a parser reads the value, too: what llhttp takes for another kind of message depends on it.
PARSED: Final = frozenset({b"connection", b"content-length", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_ACTS: Final = {
    b"host": HOST,
    b"content-length": LENGTH,
    b"traceparent": PARENT,
    b"accept": ACCEPT,
    b"keep-alive": SKIP,
    b"proxy-connection": SKIP,
    b"trailer": SKIP,
    b"cookie": PRESENT,
    b"authorization": PRESENT,
    **dict.fromkeys((b"upgrade", b"expect", b"max-forwards", *WEBSOCKET), DOUBT),
}
_BY_PART: Final = {Part.PLAIN: PASS, Part.NOTED: READ, Part.TAKEN: TAKE, Part.DROPPED: SKIP}
MAX_ENTRIES: Final = 2048
MAX_NAME_BYTES: Final = 64


class RequestNames:
    """
    What is done with each line of requests, for clients that are `trusted` to speak of others or are not.

    `passed` has the names that pass, as they are written before a value: a line's end, the name, a colon and a space. `acts` has all others:
    what is done, the name in lower case, and the same. Bounded; a name that is in neither is asked for with `meet`.
    """

    def __init__(self, request_id_header: bytes, ids: HeaderRules, *, trusted: bool) -> None:
        self._id = request_id_header.lower()
        self._ids = ids
        self._trusted = trusted
        self.passed: dict[bytes, bytes] = {}
        self.acts: dict[bytes, tuple[int, bytes, bytes]] = {}

    def meet(self, name: bytes) -> tuple[int, bytes, bytes]:
        """Say what is done with a name that is met for the first time, or was forgotten."""
        lower, written = name.lower(), b"\r\n" + name + b": "
        act = self._act(lower)
        if len(self.passed) + len(self.acts) >= MAX_ENTRIES:
            self.passed.clear()
            self.acts.clear()
        if len(name) <= MAX_NAME_BYTES:
            if act == PASS:
                self.passed[name] = written
            else:
                self.acts[name] = (act, lower, written)
        return act, lower, written

    def _act(self, lower: bytes) -> int:
        part = request_part(lower)
        # The exchange's own name is looked for whatever the survey thinks of it, and what a server could read as one is taken off.
        if lower.translate(READ_BY_CGI) in self._ids.dropped:
            if part is not Part.PLAIN and self._id != DEFAULT_REQUEST_ID:
                return DOUBT
            return ID if lower == self._id else SKIP
        if lower == DEFAULT_REQUEST_ID:
            return PASS
        if lower in FORWARDING:
            return TELL if self._trusted else SKIP
        if part is Part.NOTED and is_other_forwarding(lower):
            return PASS if self._trusted else SKIP
        return _ACTS.get(lower) or _BY_PART[part]


# What can be done with a line of a response, besides: PASS, LENGTH, SKIP and DOUBT.
DATE: Final = 20  # it passes, and that it is there decides
VARY: Final = 21
COOKIE: Final = 22
CODING: Final = 23
CLOSING: Final = 24

_RESPONSE_ACTS: Final = {
    b"content-length": LENGTH,
    b"date": DATE,
    b"transfer-encoding": CODING,
    b"connection": CLOSING,
    b"keep-alive": SKIP,
    b"proxy-connection": SKIP,
    b"te": SKIP,
    b"upgrade": SKIP,
    b"trailer": DOUBT,
    b"set-cookie": COOKIE,
    b"location": DOUBT,
    b"content-location": DOUBT,
    b"refresh": DOUBT,
    b"vary": VARY,
    # It is read in a 101 alone.
    b"sec-websocket-accept": PASS,
}
_RESPONSE_BY_PART: Final = {Part.PLAIN: PASS, Part.NOTED: DOUBT, Part.TAKEN: DOUBT, Part.DROPPED: SKIP}


class ResponseNames:
    """
    What is done with each line of the responses of one route, as RequestNames is for requests.

    `replaced` are names in lower case that the proxy writes itself. `rules` are the route's; `keep_cors`: the upstream's own
    Access-Control-* passes.
    """

    def __init__(self, replaced: frozenset[bytes], rules: HeaderRules, *, keep_cors: bool) -> None:
        self._replaced = replaced
        self._rules = rules
        self._keep_cors = keep_cors
        self.passed: dict[bytes, bytes] = {}
        self.acts: dict[bytes, tuple[int, bytes]] = {}

    def meet(self, name: bytes) -> tuple[int, bytes]:
        """Say what is done with a name that is met for the first time, or was forgotten."""
        act, written = self.act(name.lower()), b"\r\n" + name + b": "
        if len(self.passed) + len(self.acts) >= MAX_ENTRIES:
            self.passed.clear()
            self.acts.clear()
        if len(name) <= MAX_NAME_BYTES:
            if act == PASS:
                self.passed[name] = written
            else:
                self.acts[name] = (act, written)
        return act, written

    def act(self, lower: bytes) -> int:
        """Say what is done with a name in lower case."""
        known = _RESPONSE_ACTS.get(lower)
        part = response_part(lower, keep_cors=self._keep_cors)
        if part in (Part.TAKEN, Part.DROPPED):
            return _RESPONSE_BY_PART[part] if known is None else known
        if lower in self._replaced or lower.translate(READ_BY_CGI) in self._rules.dropped:
            return SKIP
        return _RESPONSE_BY_PART[part] if known is None else known
