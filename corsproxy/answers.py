"""
The proxy's own answers: preflights, refusals and failures, as bytes.

Everything that a client gets without the upstream having written it is made here, with the CORS fields that
the decision asks for, so that scripts of allowed origins can read what went wrong, and nobody else.
"""

import json
from collections.abc import Sequence
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
from corsproxy.semantics.accept import prefers_text
from corsproxy.semantics.fields import FieldLine, serialize
from corsproxy.semantics.websocket import UPGRADE_LINES, VERSION

# > An origin server MUST generate an Allow header field in a 405 response (RFC 9110 15.5.6)
ALLOW: Final[FieldLine] = (b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
# RFC 9110's names for what older Pythons call by RFC 7231's.
_PHRASES: Final = {413: b"Content Too Large", 414: b"URI Too Long"}
_JSON: Final = b"application/problem+json"
_TEXT: Final = b"text/plain; charset=utf-8"
_RETRY_SOON: Final[FieldLine] = (b"Retry-After", b"1")
_CLOSE: Final = b"Connection: close\r\n"
_KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"


class Exchange(NamedTuple):
    """
    Whose exchange this is, and what it is called.

    `keeps_request_id`: `request_id` came with the request, whose line for it is passed on as it is. `trace_id` is empty without a
    trace; `begins_at` is the parent id of one that begins here. `client` is the address of the client as far as it can be known.
    `authority` is what it asked, host and port; `public` is the serialized origin of the public URL, empty without one. `is_secure`:
    browsers take this for secure (https, or a local host), None where that is not certain. `is_cross_site`: the browser says that the
    request comes from another site, and is no navigation. `has_cookie`, `has_authorization`: it carries such a field. `rate_key` is what a
    rate limit counts it by, if there is one.
    """

    request_id: bytes = b""
    request_id_header: bytes = b"X-Request-Id"
    keeps_request_id: bool = False
    trace_id: bytes = b""
    begins_at: bytes = b""
    client: bytes = b""
    rate_key: bytes = b""
    authority: bytes = b""
    public: bytes = b""
    is_secure: bool | None = None
    is_cross_site: bool = False
    has_cookie: bool = False
    has_authorization: bool = False


NOBODY: Final = Exchange()


# Nobody changes one. Frozen ones cost four times as much to make, and there are several to each request.
@dataclass(slots=True)
class Context:
    """
    What every answer to one request needs to know, whatever happens to it.

    `route` is None where none was found; `cors` is None where no policy can be told. `persistent`: the client keeps
    its connection after a complete answer. `minor` is the client's version of HTTP/1. `trailers`: the client takes them.
    `sent_host` is the Host that the upstream gets. `accept` are the values of Accept; None where nothing is known of the request.
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
    accept: Sequence[bytes] | None = None

    def connection_line(self, *, close: bool) -> bytes:
        """
        Write the Connection field that the client needs to see, if any.

        Spec: RFC 9112 9.3, 9.6.
        """
        if close or not self.persistent:
            return _CLOSE if self.minor >= 1 else b""
        return b"" if self.minor >= 1 else _KEEP_ALIVE


@dataclass(slots=True)
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


def problem_answer(context: Context, problem: Problem, *, reason: str = "", close: bool = False, said: Sequence[FieldLine] = ()) -> Answer:
    """
    Answer with a problem: status, what is wrong as JSON or as plain text, and the CORS fields of a success for an allowed origin.

    Pure. Nothing that the client or the upstream sent stands in it but a well-formed request id. `said` are fields of this very
    answer that scripts may read too.

    Spec: RFC 9457 3; RFC 9209 2; RFC 9110 12.5.1; Fetch #http-responses.
    """
    is_preflight = context.decision is not None and context.decision.kind is Kind.PREFLIGHT
    # Whoever makes a preflight shows its answer to nobody.
    accept = None if is_preflight else context.accept
    form = _TEXT if accept and prefers_text(accept) else _JSON
    request_id = context.exchange.request_id
    content = _content(problem, form, request_id)
    lines: list[FieldLine] = [
        (b"Content-Type", form),
        (b"Content-Length", b"%d" % len(content)),
        (b"Cache-Control", b"no-store"),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    if problem.status == 405:
        lines.append(ALLOW)
    if problem.status == 426:
        # > The server MUST send an Upgrade header field in a 426 response (RFC 9110 15.5.22)
        lines += (*UPGRADE_LINES, (b"Sec-WebSocket-Version", VERSION))
    readable = [(context.exchange.request_id_header, request_id)] if request_id else []
    readable += [_RETRY_SOON, proxy_status(problem)] if problem.status == 503 else [proxy_status(problem)]
    readable += said
    lines += readable
    lines += cors_lines(context, [name for name, _ in readable], varies_by_accept=accept is not None)
    phrase = _PHRASES.get(problem.status) or HTTPStatus(problem.status).phrase.encode()
    status_line = b"HTTP/1.1 %d %b\r\n" % (problem.status, phrase)
    return Answer(context, problem.status, status_line + serialize(lines), content, close=close, problem=problem, reason=reason)


@lru_cache(maxsize=128)
def proxy_status(problem: Problem) -> FieldLine:
    """
    Write what an intermediary says of an answer that it made itself: which of the registered faults it was, and no address.

    Spec: RFC 9209 2.1.1, 2.1.5, 2.3; RFC 8941 3.3.3.
    """
    # > When adding a value to Proxy-Status, intermediaries SHOULD preserve the existing members (RFC 9209 2): what an upstream sent
    # > passes as it is, and only an answer that no upstream wrote begins the field.
    details = problem.detail.replace("\\", "\\\\").replace('"', '\\"')
    return (b"Proxy-Status", f'corsproxy; error={problem.proxy_error}; details="{details}"'.encode("ascii"))


def cors_lines(context: Context, present: Sequence[bytes] = (), *, varies_by_accept: bool = False) -> list[FieldLine]:
    """
    Write the CORS fields of an answer of the proxy's own, and what it varies by. `present` are the names in it that scripts want to read.

    Spec: Fetch #http-responses, #cors-protocol-and-http-caches; RFC 9110 12.5.5.
    """
    decision, policy = context.decision, context.cors
    varies = [b"Accept"] if varies_by_accept else []
    lines: list[FieldLine] = []
    if decision is not None and decision.kind is Kind.PREFLIGHT and policy is not None and policy is not CorsMode.PASSTHROUGH:
        return [respond.preflight_vary(policy if isinstance(policy, CorsPolicy) else None)]
    if decision is not None and isinstance(policy, CorsPolicy):
        lines = respond.grant_lines(policy, decision)
        if lines and (exposed := respond.own_expose_line(policy, present)):
            lines.append(exposed)
        lines += respond.neighbour_lines(policy, lines)
        if not policy.is_public:
            varies.insert(0, b"Origin")
    if varies:
        lines.append((b"Vary", b", ".join(varies)))
    return lines


def _content(problem: Problem, form: bytes, request_id: bytes) -> bytes:
    if form is _TEXT:
        return _problem_text(problem) + (b"request id: %b\n" % request_id if request_id else b"")
    # > If instance is a URI that cannot be dereferenced, it is a unique identifier that is opaque to the client; a relative one would
    # > be resolved against the URL of the request (RFC 9457 3.1.5).
    own = b',"instance":"urn:corsproxy:request:%b","request_id":"%b"' % (request_id, request_id) if request_id else b""
    return _problem_json(problem) + own + b"}\n"


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


@lru_cache(maxsize=128)
def _problem_text(problem: Problem) -> bytes:
    """Write the same for a person, as far as it is the same for every request."""
    return f"{problem.status} {problem.title}\n\n{problem.detail}\n\ncode: {problem.code}\nstage: {problem.stage}\n".encode()
