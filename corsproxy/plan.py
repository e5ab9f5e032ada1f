"""
Decide: from a request's head to everything that will happen to it.

`plan()` is a pure function on bytes: no I/O, no clock, no randomness. The same function serves the live
proxy, the policy tests and the explanations.
"""

from dataclasses import dataclass

from corsproxy import problems, routes
from corsproxy.answers import Answer, Context, empty_answer, preflight_answer, problem_answer
from corsproxy.config.settings import CorsMode, Route, Settings
from corsproxy.cors.decide import Decision, Facts, Kind, Reason, decide, decide_without_cors
from corsproxy.cors.names import FORBIDDEN_METHODS
from corsproxy.cors.policy import CorsPolicy
from corsproxy.problems import Problem
from corsproxy.semantics.fields import RequestHead, Survey, serialize, survey_request, without
from corsproxy.semantics.framing import (
    NO_BODY,
    Body,
    BodyKind,
    Refusal,
    connection_options,
    is_persistent,
    nominated,
    request_body,
)
from corsproxy.semantics.target import Target, TargetForm, parse_target

# A body on one of these has no meaning that servers agree on (RFC 9110 9.3.1): it is forwarded, and both connections close after it.
_BODILESS_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS"})

_CORS_PROBLEMS: dict[Reason, Problem] = {
    Reason.METHOD_REFUSED: problems.METHOD_REFUSED,
    Reason.CORS_NONE: problems.CORS_OFF,
}


@dataclass(frozen=True, slots=True)
class Forward:
    """
    The request goes upstream.

    `head` is the exact head to send; `body` is how the client's body ends. `reuse_upstream`: the upstream's
    connection may serve another request afterwards.
    """

    context: Context
    route: Route
    head: bytes
    body: Body
    reuse_upstream: bool


Plan = Answer | Forward


def plan(settings: Settings, head: RequestHead) -> Plan:
    """
    Say what happens to a request.

    Pure: same arguments, same answer. Never raises for client input. The gates are passed in this order: framing,
    target and Host, route, CORS. A preflight is answered here, so it never depends on the upstream.

    Spec: RFC 9112 3.2, 6.3; RFC 9110 7.6, 9.3; Fetch #http-cors-protocol.
    """
    survey = survey_request(head.lines)
    options = connection_options(survey)
    # An Upgrade is not forwarded, and aiohttp loses what a client pipelines behind one: the connection ends after the answer.
    persistent = is_persistent(head.minor, options) and b"upgrade" not in survey.noted
    context = Context(head.method, head.minor, persistent)
    body = request_body(head, survey)
    if isinstance(body, Refusal):
        return _refuse(context, body)
    if head.method in FORBIDDEN_METHODS:
        return _refuse(context, Refusal(problems.METHOD_UNSUPPORTED, "method"))
    target = parse_target(head.method, head.target, survey.noted.get(b"host"), head.minor)
    if isinstance(target, Refusal):
        return _refuse(context, target)
    route = routes.match(settings.routes, target.path if target.form is not TargetForm.ASTERISK else b"/")
    found = route if isinstance(route, Route) else None
    cors = found.cors if found else settings.default_cors
    decision = _decide(settings, cors, head, survey, target)
    context = Context(head.method, head.minor, persistent, found, cors, decision)
    expectations = survey.noted.get(b"expect")
    if isinstance(route, Refusal):
        # A preflight for a path without a route is granted by the default policy, so that the script can read the 404 that follows.
        is_granted = decision.kind is Kind.PREFLIGHT and decision.granted and route.problem is problems.NO_ROUTE
        return _answer_preflight(context, cors, decision) if is_granted else _refuse(context, route, close=body != NO_BODY)
    if decision.kind is Kind.PREFLIGHT:
        return _answer_preflight(context, cors, decision)
    if decision.refused:
        return _refuse(
            context, Refusal(_CORS_PROBLEMS.get(decision.reason, problems.ORIGIN_REFUSED), decision.reason), close=body != NO_BODY
        )
    # > A server that receives an Expect field value containing a member other than 100-continue MAY respond with 417 (RFC 9110 10.1.1)
    if expectations is not None and [value.lower() for value in expectations] != [b"100-continue"]:
        return _refuse(context, Refusal(problems.EXPECTATION_FAILED, "expect"))
    if target.form is TargetForm.ASTERISK:
        return empty_answer(context)
    return _forward(context, route, head, survey, target, body, options)


def _decide(settings: Settings, cors: CorsPolicy | CorsMode | None, head: RequestHead, survey: Survey, target: Target) -> Decision:
    noted = survey.noted
    if cors is CorsMode.PASSTHROUGH:
        return Decision(Kind.ACTUAL if b"origin" in noted else Kind.NOT_CORS, Reason.CORS_PASSTHROUGH)
    if b"origin" not in noted:
        return Decision(Kind.NOT_CORS, Reason.NO_ORIGIN)
    facts = Facts(
        method=head.method,
        origin=noted[b"origin"],
        request_method=noted.get(b"access-control-request-method", ()),
        request_headers=noted.get(b"access-control-request-headers", ()),
        fetch_site=noted.get(b"sec-fetch-site", ()),
        own_origins=settings.own_origins,
        authority=target.authority,
    )
    return decide(cors, facts) if isinstance(cors, CorsPolicy) else decide_without_cors(facts)


def _answer_preflight(context: Context, cors: CorsPolicy | CorsMode | None, decision: Decision) -> Answer:
    if isinstance(cors, CorsPolicy) and decision.granted:
        return preflight_answer(context, cors, decision)
    problem = _CORS_PROBLEMS.get(decision.reason, problems.ORIGIN_REFUSED)
    return _refuse(context, Refusal(problem, decision.reason), close=False)


def _refuse(context: Context, refusal: Refusal, *, close: bool = True) -> Answer:
    return problem_answer(context, refusal.problem, reason=refusal.reason, close=close)


def _forward(
    context: Context,
    route: Route,
    head: RequestHead,
    survey: Survey,
    target: Target,
    body: Body,
    options: frozenset[bytes],
) -> Forward:
    passed = survey.passed
    dropped = nominated(options)
    if dropped:
        passed = without(passed, dropped)
    if b"expect" in survey.noted and context.minor == 0:
        # > A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation (RFC 9110 10.1.1)
        passed = without(passed, frozenset({b"expect"}))
    has_odd_body = head.method in _BODILESS_METHODS and body not in (NO_BODY, Body(BodyKind.LENGTH, 0))
    framing = b""
    if body.kind is BodyKind.LENGTH:
        framing = b"Content-Length: %d\r\n" % body.length
    elif body.kind is BodyKind.CHUNKED:
        framing = b"Transfer-Encoding: chunked\r\n"
    if has_odd_body:
        framing += b"Connection: close\r\n"
        context = Context(context.method, context.minor, False, route, context.cors, context.decision)
    upstream = route.upstream
    request = b"%b %b%b HTTP/1.1\r\nHost: %b\r\n%b%b\r\n" % (
        head.method,
        upstream.path,
        target.raw,
        upstream.authority,
        serialize(passed),
        framing,
    )
    return Forward(context, route, request, body, reuse_upstream=not has_odd_body)
