"""
The head that goes upstream.

Pure: what the plan has decided in, the exact bytes out. Field lines keep their order, spelling and bytes; what is added stands
behind them.
"""

from dataclasses import dataclass, field, replace

from corsproxy.answers import Context
from corsproxy.config.choices import CorsMode, OriginHeader
from corsproxy.config.settings import Route, Settings
from corsproxy.semantics.fields import DEFAULT_REQUEST_ID, OTHER_FORWARDING, FieldLine, Survey, is_other_forwarding, serialize, without
from corsproxy.semantics.forwarded import ClientFacts, Hop, forwarded_lines
from corsproxy.semantics.framing import NO_BODY, Body, BodyKind, nominated
from corsproxy.semantics.hops import max_forwards, via_line
from corsproxy.semantics.target import Target
from corsproxy.semantics.trace import begin
from corsproxy.semantics.websocket import UPGRADE_LINES, Handshake

# A body on one of these has no meaning that servers agree on (RFC 9110 9.3.1): it is forwarded, and both connections close after it.
_BODILESS_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_EXPECT = frozenset({b"expect"})
_ORIGIN = frozenset({b"origin"})
_ID = b"X-Request-Id"


@dataclass(slots=True)
class Forward:
    """
    The request goes upstream.

    `head` is the exact head to send; `body` is how the client's body ends, and `body_limit` how many bytes it may have
    (None: any number). `head_limit` is how many bytes the answer's head may have. `reuse_upstream`: the upstream's connection may
    serve another request afterwards.
    """

    context: Context
    route: Route
    # It holds what the client and the file's rules keep secret.
    head: bytes = field(repr=False)
    body: Body
    body_limit: int | None
    head_limit: int
    reuse_upstream: bool


@dataclass(slots=True)
class Tunnel(Forward):
    """
    A WebSocket's handshake goes upstream, and after a 101 that answers `key`, bytes both ways.

    Any other answer is relayed as that to a Forward is.
    """

    key: bytes


@dataclass(slots=True)
class Request:
    """A request that may go upstream, taken apart. `handshake` is that of a WebSocket, where it is one; `withheld` are fields that no upstream gets."""

    survey: Survey
    target: Target
    body: Body
    options: frozenset[bytes]
    hop: Hop
    facts: ClientFacts
    handshake: Handshake | None = None
    withheld: frozenset[bytes] = frozenset()


def forward(settings: Settings, context: Context, route: Route, request: Request) -> Forward:
    """
    Write the head for the upstream.

    Spec: RFC 9112 3.2, 6.3, 9.6; RFC 9110 7.6; RFC 7239.
    """
    body = request.body
    has_odd_body = context.method in _BODILESS_METHODS and body not in (NO_BODY, Body(BodyKind.LENGTH, 0))
    if has_odd_body:
        context = replace(context, persistent=False)
    own = _own_lines(settings, context, route, request)
    connection = [b"close"] if has_odd_body else []
    if context.trailers:
        own.append((b"TE", b"trailers"))
        connection.append(b"TE")
    if connection:
        own.append((b"Connection", b", ".join(connection)))
    if request.handshake is not None:
        own += UPGRADE_LINES
    if body.kind is BodyKind.LENGTH:
        own.append((b"Content-Length", b"%d" % body.length))
    elif body.kind is BodyKind.CHUNKED:
        own.append((b"Transfer-Encoding", b"chunked"))
    head = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b\r\n" % (
        context.method,
        upstream_target(route, request.target),
        context.sent_host,
        serialize(_passed_lines(settings, context, route, request)),
        serialize(own),
    )
    limits = (route.limits.request_body, settings.limits.response_head)
    if request.handshake is not None:
        # Who has been asked to switch protocols is not asked for anything else.
        return Tunnel(context, route, head, body, *limits, reuse_upstream=False, key=request.handshake.key)
    return Forward(context, route, head, body, *limits, reuse_upstream=not has_odd_body)


def upstream_target(route: Route, target: Target) -> bytes:
    """
    Write the target that the upstream gets: the route's prefix taken off, the upstream's path put before, every other byte as it came.

    Spec: RFC 9112 3.2.1; RFC 9110 7.7 (MUST NOT modify path and query otherwise).
    """
    paths, raw = route.paths, target.raw
    if paths.stripped:
        raw = raw[len(paths.stripped) :]
        # > origin-form = absolute-path [ "?" query ] (RFC 9112 3.2.1)
        if not raw.startswith(b"/"):
            raw = b"/" + raw
    return paths.base + raw


def sent_host(route: Route, target: Target) -> bytes:
    """
    Say which Host the upstream gets.

    Spec: RFC 9110 7.2.
    """
    host = route.upstream.host_header
    if host is None:
        host = target.authority
    return host or route.upstream.authority


def _own_lines(settings: Settings, context: Context, route: Route, request: Request) -> list[FieldLine]:
    forwarding = settings.forwarding
    own = forwarded_lines(forwarding.mode, request.hop, request.facts, prefix=route.paths.stripped, port=0)
    exchange = context.exchange
    if not exchange.keeps_request_id:
        own.append((forwarding.request_id_header, exchange.request_id))
    # A rule that writes the field has said what the upstream gets.
    if exchange.begins_at and not any(name.lower() == b"traceparent" for name, _ in route.request_headers.lines):
        own.append(begin(exchange.trace_id, exchange.begins_at))
    if settings.pseudonym:
        own.append(via_line(context.minor, settings.pseudonym))
    if _edits_origin(route, request) and route.upstream.origin_header is OriginHeader.UPSTREAM:
        own.append((b"Origin", route.upstream.origin))
    return own


def _edits_origin(route: Route, request: Request) -> bool:
    keeps = route.upstream.origin_header is OriginHeader.KEEP or route.cors is CorsMode.PASSTHROUGH
    return not keeps and b"origin" in request.survey.noted


def _passed_lines(settings: Settings, context: Context, route: Route, request: Request) -> list[FieldLine]:
    lines, noted = request.survey.passed, request.survey.noted
    dropped = nominated(request.options) | request.withheld
    if context.minor == 0 and b"expect" in noted:
        # > A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation (RFC 9110 10.1.1)
        dropped |= _EXPECT
    if _edits_origin(route, request):
        dropped |= _ORIGIN
    if dropped:
        lines = without(lines, dropped)
    # What only looks like the default field was left out by the survey.
    if not context.exchange.keeps_request_id and (settings.forwarding.request_id_header != _ID or DEFAULT_REQUEST_ID in noted):
        lines = settings.forwarding.ids.take_off(lines)
    if OTHER_FORWARDING in noted and not settings.forwarding.trusts(request.hop.peer):
        lines = [line for line in lines if not is_other_forwarding(line[0].lower())]
    hops = max_forwards(noted.get(b"max-forwards", ())) if context.method == b"OPTIONS" else None
    if hops is not None:
        lines = [(name, b"%d" % (hops - 1)) if name.lower() == b"max-forwards" else (name, value) for name, value in lines]
    return route.request_headers.apply(lines) if route.request_headers else lines
