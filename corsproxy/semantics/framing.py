"""
Where a message ends, and which heads are too doubtful to say.

It judges heads after a strict parse, because strict llhttp still lets pass what a gateway must not
(RFC 9112 6, 11.2). Every refusal carries a reason; doubt is never resolved by picking one reading.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from corsproxy import problems
from corsproxy.problems import Problem
from corsproxy.semantics.fields import GUARDED, RequestHead, ResponseHead, Survey
from corsproxy.semantics.tokens import is_token, list_elements


class BodyKind(StrEnum):
    """How the end of a body is told (RFC 9112 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until-close"


class Body(NamedTuple):
    """A body's framing. `length` is in bytes, for LENGTH."""

    kind: BodyKind
    length: int = 0


NO_BODY = Body(BodyKind.NONE)
CHUNKED_BODY = Body(BodyKind.CHUNKED)
CLOSE_DELIMITED = Body(BodyKind.UNTIL_CLOSE)


class Tier(StrEnum):
    """How much harm the doubt could do (after AWS HTTP Desync Guardian)."""

    ACCEPTABLE = "acceptable"
    AMBIGUOUS = "ambiguous"
    SEVERE = "severe"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A head that is not forwarded: the problem, the reason as a stable word for logs, and the harm of the doubt."""

    problem: Problem
    reason: str
    tier: Tier = Tier.ACCEPTABLE


# Every doubt about a request's framing: what it is called, what the client is told, and how harmful it is.
REQUEST_DOUBTS: Final = {
    "version": (problems.BAD_REQUEST, Tier.AMBIGUOUS),
    "non-ascii-field": (problems.BAD_REQUEST, Tier.SEVERE),
    "connection-option": (problems.BAD_REQUEST, Tier.SEVERE),
    "content-length": (problems.BAD_REQUEST, Tier.SEVERE),
    "length-and-coding": (problems.BAD_REQUEST, Tier.SEVERE),
    "coding-in-http-1.0": (problems.BAD_REQUEST, Tier.AMBIGUOUS),
    "transfer-coding": (problems.CODING_UNSUPPORTED, Tier.SEVERE),
    "no-length": (problems.LENGTH_REQUIRED, Tier.AMBIGUOUS),
}
# The same for a response: the client is told one thing, the log the reason.
RESPONSE_DOUBTS: Final = {
    "version": Tier.AMBIGUOUS,
    "status": Tier.AMBIGUOUS,
    "connection-option": Tier.SEVERE,
    "content-length": Tier.SEVERE,
    "length-and-coding": Tier.SEVERE,
    "coding-in-http-1.0": Tier.AMBIGUOUS,
    "transfer-coding": Tier.SEVERE,
}


# Fields whose non-ASCII bytes could make the value that was judged another one than the value that arrives.
_ASCII_ONLY = (b"host", b"origin", b"access-control-request-method", b"access-control-request-headers", b"connection", b"expect")
# Nominating one of these as a Connection option would take it off on the way; those of GUARDED that are hop-by-hop anyway may be named.
_NEVER_NOMINATED = GUARDED - {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}

# What ends a head (RFC 9112 2.1); a parser that is strict takes nothing else.
HEAD_END: Final = b"\r\n\r\n"
MAX_LENGTH_DIGITS: Final = 18
# Of a chunk that is not the last, and that may be all there.
_CHUNK_SIZE: Final = re.compile(rb"([1-9A-Fa-f][0-9A-Fa-f]{0,6})\r\n").match


def is_plain_length(value: bytes) -> bool:
    """Tell whether a length is written as this proxy would write it."""
    return value.isdigit() and len(value) <= MAX_LENGTH_DIGITS and (value[:1] != b"0" or value == b"0")


def request_body(head: RequestHead, survey: Survey) -> Body | Refusal:
    """
    Say how a request's body ends, or why the request is refused.

    Pure; never raises. Every refusal closes the connection.

    Spec: RFC 9112 6.1, 6.3, 3.2; RFC 9110 7.6.1, 15.5.12; RFC 1945 8.3.
    """
    noted = survey.noted
    if head.minor not in (0, 1):
        return _refuse_request("version")
    for name in _ASCII_ONLY:
        if name in noted and not all(map(bytes.isascii, noted[name])):
            return _refuse_request("non-ascii-field")
    options = connection_options(survey)
    if any(not is_token(option) for option in options) or not _NEVER_NOMINATED.isdisjoint(options):
        return _refuse_request("connection-option")
    codings, lengths = noted.get(b"transfer-encoding"), noted.get(b"content-length")
    if codings is None:
        # > A valid Content-Length is required on all HTTP/1.0 POST requests. (RFC 1945 8.3)
        if lengths is None and head.minor == 0 and head.method == b"POST":
            return _refuse_request("no-length")
        return _by_length(lengths)
    # > A server MAY reject a request that contains both Content-Length and Transfer-Encoding (RFC 9112 6.1)
    if lengths is not None:
        return _refuse_request("length-and-coding")
    # > A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST treat
    # > the message as if the framing is faulty (RFC 9112 6.1)
    if head.minor == 0:
        return _refuse_request("coding-in-http-1.0")
    # > A server that receives a request message with a transfer coding it does not understand SHOULD respond with 501 (RFC 9112 6.1)
    if len(codings) != 1 or codings[0].lower() != b"chunked":
        return _refuse_request("transfer-coding")
    return CHUNKED_BODY


def _by_length(lengths: Sequence[bytes] | None) -> Body | Refusal:
    if lengths is None:
        return NO_BODY
    length = parse_length(lengths)
    if length is None:
        return _refuse_request("content-length")
    return Body(BodyKind.LENGTH, length)


def _refuse_request(reason: str) -> Refusal:
    problem, tier = REQUEST_DOUBTS[reason]
    return Refusal(problem, reason, tier)


def _refuse_response(reason: str) -> Refusal:
    return Refusal(problems.UPSTREAM_BAD_HEAD, reason, RESPONSE_DOUBTS[reason])


def parse_length(values: Sequence[bytes]) -> int | None:
    """
    Read Content-Length: one line, digits only; None for anything else.

    Spec: RFC 9110 8.6; RFC 9112 6.3 (a repeated, even equal, value is not accepted).
    """
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > MAX_LENGTH_DIGITS:
        return None
    return int(values[0])


def response_body(head: ResponseHead, survey: Survey, method: bytes) -> Body | Refusal:
    """
    Say how the body of a final response ends, or why the response is not forwarded (502).

    Pure; never raises. `method` is the request's.

    Spec: RFC 9112 6.3.
    """
    noted = survey.noted
    if head.minor not in (0, 1):
        return _refuse_response("version")
    # > A client that receives a status code that is not valid MUST treat it as x00 of its class; above 599 there is no class. (RFC 9110 15)
    if not 200 <= head.status <= 599:
        return _refuse_response("status")
    codings, lengths = noted.get(b"transfer-encoding"), noted.get(b"content-length")
    length = parse_length(lengths) if lengths is not None else None
    doubt = _judge_length(survey, lengths, length) or _judge_coding(head, codings, lengths)
    if doubt:
        return _refuse_response(doubt)
    if has_no_body(method, head.status):
        return NO_BODY
    if codings is not None:
        return CHUNKED_BODY
    return CLOSE_DELIMITED if length is None else Body(BodyKind.LENGTH, length)


def _judge_length(survey: Survey, lengths: Sequence[bytes] | None, length: int | None) -> str:
    if lengths is None:
        return ""
    if length is None:
        return "content-length"
    # To take the field off would leave the client without the end of the body; to pass it on is forbidden (RFC 9110 7.6.1).
    return "connection-option" if b"content-length" in connection_options(survey) else ""


def _judge_coding(head: ResponseHead, codings: Sequence[bytes] | None, lengths: Sequence[bytes] | None) -> str:
    if codings is None:
        return ""
    if lengths is not None:
        return "length-and-coding"
    if head.minor == 0:
        return "coding-in-http-1.0"
    return "" if len(codings) == 1 and codings[0].lower() == b"chunked" else "transfer-coding"


def has_no_body(method: bytes, status: int) -> bool:
    """
    Tell whether a response ends with its head whatever its fields say.

    Spec: RFC 9112 6.3, rule 1; RFC 9110 6.4.1.
    """
    return method == b"HEAD" or status in (204, 304) or status < 200


def connection_options(survey: Survey) -> frozenset[bytes]:
    """
    Return the options of the Connection field, lower-case.

    Spec: RFC 9110 7.6.1.
    """
    values = survey.noted.get(b"connection")
    return frozenset(element.lower() for element in list_elements(values)) if values else frozenset()


def is_persistent(minor: int, options: frozenset[bytes]) -> bool:
    """
    Tell whether the sender is willing to keep the connection.

    Spec: RFC 9112 9.3.
    """
    if b"close" in options:
        return False
    return minor >= 1 or b"keep-alive" in options


def nominated(options: frozenset[bytes]) -> frozenset[bytes]:
    """
    Return the field names that a Connection field takes off with it, besides those that are hop-by-hop by definition.

    Spec: RFC 9110 7.6.1 (MUST).
    """
    return options - {b"close", b"keep-alive"}


def frame(body: Body, data: bytes) -> tuple[bytes, ...]:
    """
    Write content under a framing: as it is, or as one chunk. Nothing for no content, which would be the last chunk.

    Spec: RFC 9112 7.1.
    """
    if not data or body.kind is BodyKind.NONE:
        return ()
    return (b"%x\r\n" % len(data), data, b"\r\n") if body.kind is BodyKind.CHUNKED else (data,)


def last_chunk(body: Body) -> bytes:
    """
    Write what ends a complete body under a framing.

    Spec: RFC 9112 7.1.
    """
    return b"0\r\n\r\n" if body.kind is BodyKind.CHUNKED else b""


def whole_chunks(data: bytes) -> list[bytes] | None:
    """
    Take a whole chunked body apart: its content, chunk by chunk. None unless it is all there, has no extension and no trailer, and nothing is behind it.

    Spec: RFC 9112 7.1.
    """
    pieces: list[bytes] = []
    at = 0
    while not data.startswith(b"0\r\n\r\n", at):
        size = _CHUNK_SIZE(data, at)
        if size is None:
            return None
        begin = size.end()
        end = begin + int(size[1], 16)
        if not data.startswith(b"\r\n", end):
            return None
        pieces.append(data[begin:end])
        at = end + 2
    return pieces if at + 5 == len(data) else None
