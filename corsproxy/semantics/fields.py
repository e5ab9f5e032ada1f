"""
Field lines: which names the rules care for, found in one walk over a head.

It knows names and their part in HTTP; it does not judge values.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

FieldLine = tuple[bytes, bytes]


class Part(IntEnum):
    """What the gateway does with a field line on its way through."""

    PLAIN = 0  # passed on, never looked at
    NOTED = 1  # passed on, and some rule reads it
    TAKEN = 2  # some rule reads it; the gateway writes its own, or none
    DROPPED = 3  # hop-by-hop, or a name that could be mistaken for one that is judged


class RequestHead(NamedTuple):
    """
    A request's head as parsed: method and target as sent, the minor version of HTTP/1 (-1 for any other), lines in order.

    Values are without surrounding OWS; names are spelled as sent.
    """

    method: bytes
    target: bytes
    minor: int
    lines: Sequence[FieldLine]


class ResponseHead(NamedTuple):
    """A response's head as parsed; see RequestHead."""

    status: int
    reason: bytes
    minor: int
    lines: Sequence[FieldLine]


class Survey(NamedTuple):
    """The lines to pass on, in order, and the values of the noted and taken ones by lower-case name."""

    passed: list[FieldLine]
    noted: dict[bytes, list[bytes]]


# > intermediaries SHOULD remove or replace fields that are known to require removal before forwarding:
# > Proxy-Connection, Keep-Alive, TE, Transfer-Encoding, Upgrade (RFC 9110 7.6.1)
HOP_BY_HOP: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
# Meant for this hop when this hop is a proxy; a gateway has no use for them and the upstream must not see them.
_PROXY_AUTH: Final = frozenset({b"proxy-authorization", b"proxy-authenticate", b"proxy-authentication-info"})

# What a WebSocket's handshake is made of (RFC 6455 11.3).
WEBSOCKET: Final = frozenset(
    {
        b"sec-websocket-key",
        b"sec-websocket-accept",
        b"sec-websocket-version",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
    }
)

# Names that decide where a message ends, whom it is for, or what it may do. A Connection option must not
# nominate one of them (RFC 9110 7.6.1: "MUST NOT … a header field intended for all recipients"), and a name that
# becomes one of them when `_` (or `.`, or any other sign) is read as `-` is dropped, because WSGI, CGI and PHP merge the two.
GUARDED: Final = HOP_BY_HOP | {
    b"content-length",
    b"host",
    b"origin",
    b"authorization",
    b"cookie",
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
    b"x-forwarded-proto",
    b"access-control-request-headers",
    b"access-control-request-method",
    *WEBSOCKET,
}

# Of the client's own forwarding fields, those that are read; any other `X-Forwarded-…` is noted under one name.
FORWARDING: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix", b"x-forwarded-proto"}
)
OTHER_FORWARDING: Final = b"x-forwarded-"
# A client's word for its own address; the other name of it that servers believe.
_REAL_IP: Final = b"x-real-ip"
DEFAULT_REQUEST_ID: Final = b"x-request-id"
_LOOKED_AFTER: Final = GUARDED | {_REAL_IP, DEFAULT_REQUEST_ID}

_REQUEST_PARTS: Final = {
    **dict.fromkeys(HOP_BY_HOP, Part.TAKEN),
    **dict.fromkeys(_PROXY_AUTH, Part.DROPPED),
    b"content-length": Part.TAKEN,
    b"host": Part.TAKEN,
    b"accept": Part.NOTED,
    b"origin": Part.NOTED,
    b"cookie": Part.NOTED,
    b"authorization": Part.NOTED,
    b"access-control-request-method": Part.NOTED,
    b"access-control-request-headers": Part.NOTED,
    b"sec-fetch-site": Part.NOTED,
    b"sec-fetch-mode": Part.NOTED,
    **dict.fromkeys(FORWARDING, Part.TAKEN),
    DEFAULT_REQUEST_ID: Part.NOTED,
    b"traceparent": Part.NOTED,
    b"access-control-request-private-network": Part.NOTED,
    b"expect": Part.NOTED,
    b"via": Part.NOTED,
    b"max-forwards": Part.NOTED,
    b"http2-settings": Part.DROPPED,
    b"sec-websocket-key": Part.NOTED,
    b"sec-websocket-version": Part.NOTED,
}
_RESPONSE_PARTS: Final = {
    **dict.fromkeys(HOP_BY_HOP, Part.TAKEN),
    **dict.fromkeys(_PROXY_AUTH, Part.DROPPED),
    b"content-length": Part.NOTED,
    b"content-location": Part.NOTED,
    b"sec-websocket-accept": Part.NOTED,
    b"date": Part.NOTED,
    b"location": Part.NOTED,
    b"refresh": Part.NOTED,
    b"set-cookie": Part.NOTED,
    b"vary": Part.NOTED,
}
_CORS_PREFIX: Final = b"access-control-"
# RFC 3875 4.1.18 writes `_` for `-` alone; several servers write it for every sign.
READ_BY_CGI: Final = bytes(byte if chr(byte).isalnum() and byte < 128 else ord("-") for byte in range(256))


def is_other_forwarding(name: bytes) -> bool:
    """Tell whether a lower-case name is one of those by which proxies speak of clients, and none that is read here."""
    return (name.startswith(OTHER_FORWARDING) and name not in FORWARDING) or name == _REAL_IP


class _Spellings:
    """
    Learns how names are spelled (`Accept`, `accept`) and what part they have.

    Bounded: a client that makes names up cannot make it grow.
    """

    MAX_ENTRIES: Final = 2048
    MAX_NAME_BYTES: Final = 64

    def __init__(self, parts: dict[bytes, Part], *, guard_lookalikes: bool, cors: Part) -> None:
        self._parts = parts
        self._guard_lookalikes = guard_lookalikes
        self._cors = cors
        self.learned: dict[bytes, tuple[Part, bytes]] = {}

    def learn(self, name: bytes) -> tuple[Part, bytes]:
        lower = name.lower()
        meaning = (self.part_of(lower), OTHER_FORWARDING if is_other_forwarding(lower) else lower)
        if len(self.learned) < self.MAX_ENTRIES and len(name) <= self.MAX_NAME_BYTES:
            self.learned[name] = meaning
        return meaning

    def part_of(self, lower: bytes) -> Part:
        part = self._parts.get(lower)
        if part is not None:
            return part
        if lower.startswith(_CORS_PREFIX):
            return self._cors
        read = lower.translate(READ_BY_CGI)
        if self._guard_lookalikes and read != lower and (read in _LOOKED_AFTER or read.startswith(OTHER_FORWARDING)):
            return Part.DROPPED
        return Part.NOTED if is_other_forwarding(lower) else Part.PLAIN

    def survey(self, lines: Iterable[FieldLine]) -> Survey:
        passed: list[FieldLine] = []
        noted: dict[bytes, list[bytes]] = {}
        learned, plain, taken = self.learned, Part.PLAIN, int(Part.TAKEN)
        for line in lines:
            part, name = learned.get(line[0]) or self.learn(line[0])
            if part is plain:
                passed.append(line)
                continue
            if part < taken:
                passed.append(line)
            elif part > taken:
                continue
            if name in noted:
                noted[name].append(line[1])
            else:
                noted[name] = [line[1]]
        return Survey(passed, noted)


_REQUEST: Final = _Spellings(_REQUEST_PARTS, guard_lookalikes=True, cors=Part.PLAIN)
# A response's Access-Control-* is the upstream's opinion; the policy's replaces it (protocol rule 30).
_RESPONSE: Final = _Spellings(_RESPONSE_PARTS, guard_lookalikes=False, cors=Part.DROPPED)
_RESPONSE_PASSTHROUGH: Final = _Spellings(_RESPONSE_PARTS, guard_lookalikes=False, cors=Part.PLAIN)


def survey_request(lines: Iterable[FieldLine]) -> Survey:
    """
    Sort a request's lines into those to pass on and those to judge.

    Spec: RFC 9110 7.6.1, 5.3 (order and repetition are kept).
    """
    return _REQUEST.survey(lines)


def request_part(lower: bytes) -> Part:
    """
    Say what part a request's line has, by its name in lower case.

    Spec: RFC 9110 7.6.1.
    """
    return _REQUEST.part_of(lower)


def survey_response(lines: Iterable[FieldLine], *, keep_cors: bool = False) -> Survey:
    """
    Sort a response's lines; Access-Control-* is left out unless `keep_cors`.

    Spec: RFC 9110 7.6.1, 5.3.
    """
    return (_RESPONSE_PASSTHROUGH if keep_cors else _RESPONSE).survey(lines)


def response_part(lower: bytes, *, keep_cors: bool) -> Part:
    """
    Say what part a response's line has, by its name in lower case.

    Spec: RFC 9110 7.6.1.
    """
    return (_RESPONSE_PASSTHROUGH if keep_cors else _RESPONSE).part_of(lower)


def without(lines: Iterable[FieldLine], names: frozenset[bytes]) -> list[FieldLine]:
    """Return the lines whose lower-case name is not among `names`."""
    return [line for line in lines if line[0].lower() not in names]


def serialize(lines: Iterable[FieldLine]) -> bytes:
    """
    Write field lines, each with its CRLF.

    Spec: RFC 9112 5.
    """
    return b"".join([b"%b: %b\r\n" % line for line in lines])
