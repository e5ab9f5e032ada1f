"""
Decide: from a request's head to everything that will happen to it.

`plan()` is a pure function on bytes: no I/O, no clock, no randomness. The same function serves the live
proxy, the policy tests and the explanations.
"""

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from corsproxy import problems, routes
from corsproxy.answers import Answer, Context, Exchange, empty_answer, preflight_answer, problem_answer
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route, Settings
from corsproxy.cors.decide import Decision, Facts, Kind, Reason, decide, decide_websocket, decide_without_cors, is_preflight
from corsproxy.cors.names import FORBIDDEN_METHODS
from corsproxy.cors.policy import CorsPolicy
from corsproxy.forward import Forward, Request, Tunnel, forward, sent_host
from corsproxy.meanings import Judge
from corsproxy.problems import Problem
from corsproxy.recall import Recall
from corsproxy.request_layouts import Found, RequestLayouts
from corsproxy.resilience.bucket import key_of
from corsproxy.semantics.accept import worth_keeping
from corsproxy.semantics.fields import DEFAULT_REQUEST_ID, RequestHead, Survey, survey_request
from corsproxy.semantics.forwarded import ClientFacts, Hop, read_client
from corsproxy.semantics.framing import NO_BODY, Body, Refusal, connection_options, is_persistent, request_body
from corsproxy.semantics.hops import has_passed, max_forwards, takes_trailers
from corsproxy.semantics.target import Target, TargetForm, parse_target
from corsproxy.semantics.trace import is_request_id, parse_traceparent
from corsproxy.semantics.websocket import Handshake, read_handshake

__all__ = ["Connection", "Forward", "Found", "Fresh", "Plan", "Tunnel", "layouts_of", "plan"]

# A client that sends too much is not listened to any longer.
_OVERSIZE = (problems.TARGET_TOO_LONG, problems.HEAD_TOO_LARGE, problems.BODY_TOO_LARGE)
# Another handshake can bring a certificate, and this connection cannot.
_LAST = (*_OVERSIZE, problems.CERTIFICATE_REQUIRED)
_CREDENTIALS = frozenset({b"cookie", b"authorization"})

_CORS_PROBLEMS: dict[Reason, Problem] = {
    Reason.METHOD_REFUSED: problems.METHOD_REFUSED,
    Reason.CORS_NONE: problems.CORS_OFF,
}
# Whether a request with an Upgrade asks for a WebSocket, and whether rightly.
_Asked = Handshake | Refusal | None


class Connection(NamedTuple):
    """
    The client's connection: the peer's address ("unix" on a unix socket), whether it is TLS, and whether the peer showed a
    certificate that our client CA has signed.
    """

    peer: str
    tls: bool = False
    has_certificate: bool = False


class Fresh(NamedTuple):
    """What only chance can give, made by the mover for one exchange and used where the plan needs it; lower-case hexadecimal."""

    request_id: bytes
    trace_id: bytes
    parent_id: bytes


Plan = Answer | Forward | Tunnel


def plan(settings: Settings, head: RequestHead, connection: Connection, fresh: Fresh) -> Plan:
    """
    Say what happens to a request.

    Pure: same arguments, same answer. Never raises for client input. What `plan_anew` says, sooner where it was asked alike before.
    """
    recall: Recall = settings.kept.by_plan or _recall(settings)
    return recall.plan(head, connection, fresh)


def layouts_of(settings: Settings, judge: Judge) -> RequestLayouts:
    """
    Return who finds what happens to a request whose head was not taken apart, and says the same as `plan`.

    `judge` parses what is new in a head. One `settings` is asked with the same judge each time, or with one that judges alike.
    """
    layouts: RequestLayouts | None = settings.kept.by_lines
    if layouts is None:
        layouts = settings.kept.by_lines = RequestLayouts(settings, settings.kept.by_plan or _recall(settings), judge)
    return layouts


def _recall(settings: Settings) -> Recall:
    recall = settings.kept.by_plan = Recall(settings, plan_anew)
    return recall


def plan_anew(settings: Settings, head: RequestHead, connection: Connection, fresh: Fresh) -> Plan:
    """
    Say what happens to a request, from nothing but the arguments. This is what `plan` means.

    The gates: framing, target and Host, route, CORS, limits. A preflight is answered here, so it never depends on the upstream.
    `recall` takes for one what differs in lines alone that the survey does not note, so a field that a gate reads must be noted.

    Spec: RFC 9112 3.2, 6.3; RFC 9110 7.6, 9.3; Fetch #http-cors-protocol.
    """
    survey = survey_request(head.lines)
    options = connection_options(survey)
    # aiohttp loses what a client pipelines behind an Upgrade: the connection ends after an answer that is none to it.
    persistent = is_persistent(head.minor, options) and b"upgrade" not in survey.noted
    exchange = _identify(settings, head, survey, options, connection, fresh)
    context = Context(head.method, head.minor, persistent, exchange=exchange, accept=worth_keeping(survey.noted.get(b"accept", ())))
    body = request_body(head, survey)
    if isinstance(body, Refusal):
        return _refuse(context, body)
    if head.method == b"CONNECT":
        # Its target names another host, and nothing of ours.
        return _refuse(context, Refusal(problems.METHOD_UNSUPPORTED, "method"))
    target = parse_target(head.method, head.target, survey.noted.get(b"host"), head.minor)
    if isinstance(target, Refusal):
        return _refuse(context, target)
    route = _find_route(settings, head, target)
    found = route if isinstance(route, Route) else None
    cors = found.cors if found else settings.default_cors
    hop = Hop(connection.peer, connection.tls, target.authority)
    facts = read_client(survey.noted, hop, settings.forwarding.trusts, settings.forwarding.mode)
    asked = read_handshake(head, survey, body) if b"upgrade" in survey.noted else None
    decision = _decide(settings, cors, head, survey, facts, asked)
    trailers = head.minor >= 1 and takes_trailers(survey.noted.get(b"te", ()))
    host = sent_host(found, target) if found else b""
    exchange = _locate(settings, exchange, facts, head)
    context = Context(head.method, head.minor, persistent, found, cors, decision, trailers, exchange, host, context.accept)
    if isinstance(route, Refusal):
        # A preflight for a path without a route is granted by the default policy, so that the script can read the 404 that follows.
        is_granted = decision.kind is Kind.PREFLIGHT and decision.granted and route.problem is problems.NO_ROUTE
        close = body != NO_BODY or route.problem is problems.METHOD_UNSUPPORTED
        return _answer_preflight(context, cors, decision, body) if is_granted else _refuse(context, route, close=close)
    if decision.kind is Kind.PREFLIGHT:
        return _answer_preflight(context, cors, decision, body)
    refusal = (
        _judge_cors(decision)
        or (asked if isinstance(asked, Refusal) else None)
        or _judge_certificate(settings, connection, head, survey, body)
        or _judge_limits(settings, route, head, body)
        or _judge_hops(settings, survey)
    )
    if refusal is not None:
        return _refuse(context, refusal, close=body != NO_BODY or refusal.problem in _LAST)
    if head.method == b"OPTIONS" and (target.form is TargetForm.ASTERISK or _hops_left(survey) == 0):
        return replace(empty_answer(context), close=body != NO_BODY)
    handshake = asked if isinstance(asked, Handshake) else None
    withheld = _withheld(cors, decision) if handshake is not None else frozenset[bytes]()
    return forward(settings, context, route, Request(survey, target, body, options, hop, facts, handshake, withheld))


def _identify(
    settings: Settings, head: RequestHead, survey: Survey, options: frozenset[bytes], connection: Connection, fresh: Fresh
) -> Exchange:
    """
    Name the exchange: by the ids that came with it where they may be kept, else by fresh ones.

    An id that the Connection field nominates is for this hop alone, and goes no further.
    """
    forwarding, noted = settings.forwarding, survey.noted
    name = forwarding.request_id_header.lower()
    values = noted.get(name, []) if name == DEFAULT_REQUEST_ID else [value for field, value in head.lines if field.lower() == name]
    has_id = forwarding.trusts_request_id and len(values) == 1 and is_request_id(values[0]) and name not in options
    parents = noted.get(b"traceparent", ()) if b"traceparent" not in options else ()
    begins = forwarding.begins_trace and not parents
    trace = None if begins else parse_traceparent(parents)
    return Exchange(
        request_id=values[0] if has_id else fresh.request_id,
        request_id_header=forwarding.request_id_header,
        # Other names for it are not looked out for on the way in, and are written anew.
        keeps_request_id=has_id and name == DEFAULT_REQUEST_ID,
        trace_id=fresh.trace_id if begins else trace.trace_id if trace else b"",
        begins_at=fresh.parent_id if begins else b"",
        client=connection.peer.encode("ascii", "replace"),
        is_cross_site=noted.get(b"sec-fetch-site") == [b"cross-site"] and noted.get(b"sec-fetch-mode") != [b"navigate"],
        has_cookie=b"cookie" in noted,
        has_authorization=b"authorization" in noted,
    )


def _find_route(settings: Settings, head: RequestHead, target: Target) -> Route | Refusal:
    """Find the route of a request, or why there is none; the default policy says who may read that."""
    if not routes.answers_host(settings.hosts, target.authority):
        return Refusal(problems.MISDIRECTED, "host-not-answered")
    if head.method in FORBIDDEN_METHODS:
        return Refusal(problems.METHOD_UNSUPPORTED, "method")
    path = target.path if target.form is not TargetForm.ASTERISK else b"/"
    return routes.match(routes.for_host(settings.table, target.authority), path)


def _locate(settings: Settings, exchange: Exchange, facts: ClientFacts, head: RequestHead) -> Exchange:
    """Say where the client is, under which URL it sees the proxy, and what its requests are counted by."""
    public, is_secure = _seen_as(settings.own_origins, facts.host, facts.proto if facts.is_certain else b"")
    rate_key = key_of(settings.rate_limit, facts.address, head.lines) if settings.rate_limit is not None else b""
    return exchange._replace(client=facts.address, authority=facts.host, public=public, is_secure=is_secure, rate_key=rate_key)


@lru_cache(maxsize=256)
def _seen_as(own_origins: tuple[bytes, ...], host: bytes, proto: bytes) -> tuple[bytes, bool | None]:
    """Return the public origin of a host, and whether browsers take it for secure; `proto` is empty where it is not certain."""
    public = routes.public_origin(own_origins, host, proto)
    scheme = public.partition(b":")[0] if public else proto
    # > potentially trustworthy (Secure Contexts 3.1): most browsers take a local host for secure, and some do not.
    return public, True if scheme == b"https" else None if not scheme or routes.is_local(host) else False


def _decide(
    settings: Settings, cors: CorsPolicy | CorsMode | None, head: RequestHead, survey: Survey, client: ClientFacts, asked: _Asked
) -> Decision:
    noted = survey.noted
    if cors is CorsMode.PASSTHROUGH:
        return Decision(Kind.ACTUAL if b"origin" in noted else Kind.NOT_CORS, Reason.CORS_PASSTHROUGH)
    if b"origin" not in noted and asked is None:
        return Decision(Kind.NOT_CORS, Reason.NO_ORIGIN)
    facts = Facts(
        method=head.method,
        origin=noted.get(b"origin", ()),
        request_method=noted.get(b"access-control-request-method", ()),
        request_headers=noted.get(b"access-control-request-headers", ()),
        fetch_site=noted.get(b"sec-fetch-site", ()),
        own_origins=settings.own_origins,
        authority=client.host,
        scheme=client.proto if client.is_certain else b"",
        private_network=noted.get(b"access-control-request-private-network", ()),
    )
    if asked is not None and not is_preflight(facts):
        return decide_websocket(cors if isinstance(cors, CorsPolicy) else None, facts)
    return decide(cors, facts) if isinstance(cors, CorsPolicy) else decide_without_cors(facts)


def _judge_cors(decision: Decision) -> Refusal | None:
    if not decision.refused:
        return None
    refused = problems.WEBSOCKET_REFUSED if decision.kind is Kind.WEBSOCKET else problems.ORIGIN_REFUSED
    return Refusal(_CORS_PROBLEMS.get(decision.reason, refused), decision.reason)


def _withheld(cors: CorsPolicy | CorsMode | None, decision: Decision) -> frozenset[bytes]:
    """Name the credentials that a handshake is not let through with: no CORS check protects what is said on a WebSocket."""
    is_foreign = decision.kind is Kind.WEBSOCKET and decision.reason is Reason.ORIGIN_ALLOWED
    return _CREDENTIALS if is_foreign and isinstance(cors, CorsPolicy) and not cors.credentials else frozenset()


def _judge_certificate(settings: Settings, connection: Connection, head: RequestHead, survey: Survey, body: Body) -> Refusal | None:
    if settings.tls is None or not settings.tls.requires_client_certificate or connection.has_certificate:
        return None
    # A preflight carries no credentials, client certificates included (Fetch, "CORS protocol and credentials").
    noted = survey.noted
    asks_only = head.method == b"OPTIONS" and b"origin" in noted and b"access-control-request-method" in noted and body == NO_BODY
    return None if asks_only else Refusal(problems.CERTIFICATE_REQUIRED, "client-certificate")


def _judge_limits(settings: Settings, route: Route, head: RequestHead, body: Body) -> Refusal | None:
    limits = settings.limits
    # method SP target SP HTTP/1.x CRLF, and each line with its colon, space and CRLF.
    line_bytes = len(head.method) + len(head.target) + 12
    if line_bytes > limits.request_line:
        return Refusal(problems.TARGET_TOO_LONG, "request-line")
    if len(head.lines) > limits.header_count:
        return Refusal(problems.HEAD_TOO_LARGE, "header-count")
    if line_bytes + sum([len(name) + len(value) for name, value in head.lines]) + 4 * len(head.lines) > limits.request_head:
        return Refusal(problems.HEAD_TOO_LARGE, "request-head")
    most = route.limits.request_body
    return Refusal(problems.BODY_TOO_LARGE, "request-body") if most is not None and body.length > most else None


def _judge_hops(settings: Settings, survey: Survey) -> Refusal | None:
    # > A server that receives an Expect field value containing a member other than 100-continue MAY respond with 417 (RFC 9110 10.1.1)
    expectations = survey.noted.get(b"expect")
    if expectations is not None and [value.lower() for value in expectations] != [b"100-continue"]:
        return Refusal(problems.EXPECTATION_FAILED, "expect")
    if settings.pseudonym and has_passed(survey.noted.get(b"via", ()), settings.pseudonym):
        return Refusal(problems.LOOP, "via")
    return None


def _hops_left(survey: Survey) -> int | None:
    return max_forwards(survey.noted.get(b"max-forwards", ()))


def _answer_preflight(context: Context, cors: CorsPolicy | CorsMode | None, decision: Decision, body: Body) -> Answer:
    # Browsers send none with a body; what does is not listened to any longer.
    close = body != NO_BODY
    if isinstance(cors, CorsPolicy) and decision.granted:
        answer = preflight_answer(context, cors, decision)
        return replace(answer, close=True) if close else answer
    problem = _CORS_PROBLEMS.get(decision.reason, problems.ORIGIN_REFUSED)
    return _refuse(context, Refusal(problem, decision.reason), close=close)


def _refuse(context: Context, refusal: Refusal, *, close: bool = True) -> Answer:
    return problem_answer(context, refusal.problem, reason=refusal.reason, close=close)
