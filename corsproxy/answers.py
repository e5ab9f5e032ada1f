"""
The proxy's own answers: preflights, refusals and failures, as bytes.

Everything that a client gets without the upstream having written it is made here, with the CORS fields that
the decision asks for, so that scripts of allowed origins can read what went wrong, and nobody else.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple

from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route
from corsproxy.cors import respond
from corsproxy.cors.decide import Decision, Kind
from corsproxy.cors.policy import CorsPolicy
from corsproxy.problems import Problem
from corsproxy.semantics.fields import FieldLine, serialize
from corsproxy.semantics.websocket import UPGRADE_LINES, VERSION

# > An origin server MUST generate an Allow header field in a 405 response (RFC 9110 15.5.6)
ALLOW: Final[FieldLine] = (b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
# RFC 9110's names for what older Pythons call by RFC 7231's.
_PHRASES: Final = {413: b"Content Too Large", 414: b"URI Too Long"}
_CLOSE: Final = b"Connection: close\r\n"
_KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"


class Exchange(NamedTuple):
    """
    Whose exchange this is, and what it is called.

    `keeps_request_id`: `request_id` came with the request, whose line for it is passed on as it is. `trace_id` is empty without a
    trace; `begins_at` is the parent id of one that begins here. `client` is the address of the client as far as it can be known.
    `authority` is what it asked, host and port; `public` is the serialized origin of the public URL, empty without one. `is_secure`:
    browsers take this for secure (https, or a local host), None where that is not certain. `is_cross_site`: the browser says that the
    request comes from another site, and is no navigation. `has_cookie`, `has_authorization`: it carries such a field.
    """

    request_id: bytes = b""
    request_id_header: bytes = b"X-Request-Id"
    keeps_request_id: bool = False
    trace_id: bytes = b""
    begins_at: bytes = b""
    client: bytes = b""
    authority: bytes = b""
    public: bytes = b""
    is_secure: bool | None = None
    is_cross_site: bool = False
    has_cookie: bool = False
    has_authorization: bool = False


NOBODY: Final = Exchange()


@dataclass(frozen=True, slots=True)
class Context:
    """
    What every answer to one request needs to know, whatever happens to it.

    `route` is None where none was found; `cors` is None where no policy can be told. `persistent`: the client keeps
    its connection after a complete answer. `minor` is the client's version of HTTP/1. `trailers`: the client takes them.
    `sent_host` is the Host that the upstream gets.
    """

    method: bytes
    minor: int
    persistent: bool
    route: Route | None = None
    cors: CorsPolicy | CorsMode | None = None
    decision: Decision | None = None
    trailers: bool = False
    exchange: Exchange = NOBODY
    sent_host: bytes = b""

    def connection_line(self, *, close: bool) -> bytes:
        """
        Write the Connection field that the client needs to see, if any.

        Spec: RFC 9112 9.3, 9.6.
        """
        if close or not self.persistent:
            return _CLOSE if self.minor >= 1 else b""
        return b"" if self.minor >= 1 else _KEEP_ALIVE


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An answer that is ready but for the moment's Date and Connection fields.

    `close`: the connection ends after it, whatever the client wishes.
    """

    context: Context
    status: int
    head: bytes
    body: bytes = b""
    close: bool = False
    problem: Problem | None = None
    reason: str = ""

    def to_bytes(self, date: bytes, *, close: bool = False) -> bytes:
        """
        Write the whole answer. `date` is an HTTP-date; `close` adds to the answer's own.

        Spec: RFC 9112 2.1; RFC 9110 6.6.1.
        """
        connection = self.context.connection_line(close=close or self.close)
        body = b"" if self.context.method == b"HEAD" else self.body
        return b"%bDate: %b\r\n%b\r\n%b" % (self.head, date, connection, body)

    def keeps_connection(self, *, close: bool) -> bool:
        """Tell whether the connection stays open after `to_bytes(…, close=close)`."""
        return self.context.persistent and not (close or self.close)


def preflight_answer(context: Context, policy: CorsPolicy, decision: Decision) -> Answer:
    """
    Answer a preflight of an allowed origin: 204 with the policy's true lists.

    Spec: Fetch #cors-preflight-fetch; RFC 9110 8.6 (no Content-Length on 204).
    """
    lines = respond.preflight_lines(policy, decision)
    return Answer(context, 204, b"HTTP/1.1 204 No Content\r\n" + serialize(lines), reason=decision.reason)


def empty_answer(context: Context) -> Answer:
    """
    Answer what the proxy may answer for itself, as `OPTIONS *`: 204.

    Spec: RFC 9110 9.3.7.
    """
    return Answer(context, 204, b"HTTP/1.1 204 No Content\r\n" + serialize([ALLOW, *cors_lines(context)]), reason="options")


def problem_answer(context: Context, problem: Problem, *, reason: str = "", close: bool = False) -> Answer:
    """
    Answer with a problem: status, problem+json, and the CORS fields of a success for an allowed origin.

    Pure. Nothing that the client or the upstream sent stands in the body but a well-formed request id.

    Spec: RFC 9457 3; Fetch #http-responses.
    """
    request_id = context.exchange.request_id
    content = _problem_json(problem) + (b',"request_id":"%b"}\n' % request_id if request_id else b"}\n")
    lines: list[FieldLine] = [
        (b"Content-Type", b"application/problem+json"),
        (b"Content-Length", b"%d" % len(content)),
        (b"Cache-Control", b"no-store"),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    present: list[bytes] = []
    if request_id:
        lines.append((context.exchange.request_id_header, request_id))
        present.append(context.exchange.request_id_header)
    if problem.status == 405:
        lines.append(ALLOW)
    if problem.status == 426:
        # > The server MUST send an Upgrade header field in a 426 response (RFC 9110 15.5.22)
        lines += (*UPGRADE_LINES, (b"Sec-WebSocket-Version", VERSION))
    if problem.status == 503:
        lines.append((b"Retry-After", b"1"))
        present.append(b"Retry-After")
    lines += cors_lines(context, present)
    phrase = _PHRASES.get(problem.status) or HTTPStatus(problem.status).phrase.encode()
    status_line = b"HTTP/1.1 %d %b\r\n" % (problem.status, phrase)
    return Answer(context, problem.status, status_line + serialize(lines), content, close=close, problem=problem, reason=reason)


def cors_lines(context: Context, present: list[bytes] | None = None) -> list[FieldLine]:
    """
    Write the CORS fields of an answer of the proxy's own. `present` are the names in it that scripts want to read.

    Spec: Fetch #http-responses, #cors-protocol-and-http-caches.
    """
    decision, policy = context.decision, context.cors
    if decision is None or policy is None or policy is CorsMode.PASSTHROUGH:
        return []
    if decision.kind is Kind.PREFLIGHT:
        return [respond.preflight_vary(policy if isinstance(policy, CorsPolicy) else None)]
    if not isinstance(policy, CorsPolicy):
        return []
    lines = respond.grant_lines(policy, decision)
    if lines:
        exposed = respond.own_expose_line(policy, present or [])
        lines += [exposed] if exposed else []
    lines += respond.neighbour_lines(policy, lines)
    if not policy.is_public:
        lines.append((b"Vary", b"Origin"))
    return lines


@lru_cache(maxsize=128)
def _problem_json(problem: Problem) -> bytes:
    """Write the object of a problem as far as it is the same for every request, without its closing brace."""
    members = {
        "type": problem.urn,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "stage": problem.stage.value,
        "code": problem.code,
    }
    return json.dumps(members, separators=(",", ":")).encode().removesuffix(b"}")
