"""From a request's head to everything that will happen to it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.answers import Answer, Exchange
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import ForwardingSettings, HostRules, Limits, Route, RouteLimits, ServerTls, Settings, Timeouts
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, build_policy
from corsproxy.plan import Connection, Forward, Tunnel, plan
from corsproxy.problems import Problem
from corsproxy.semantics.fields import FieldLine, RequestHead
from corsproxy.semantics.forwarded import ForwardedMode
from corsproxy.semantics.framing import CHUNKED_BODY, NO_BODY, Body, BodyKind
from tests.unit.planned import CLIENT, FRESH

APP = b"https://app.example"
EVIL = b"https://evil.example"
DRAFT = PolicyDraft(("https://app.example",))
HOST = (b"Host", b"api.example")
ORIGIN = (b"Origin", APP)
FOREIGN = (b"Origin", EVIL)
ACRM = (b"Access-Control-Request-Method", b"PUT")


QUIET = ForwardingSettings(ForwardedMode.NONE)
ID = b"X-Request-Id: %b\r\n" % FRESH.request_id


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def policy_of(**changes: Any) -> CorsPolicy:
    policy, faults = build_policy(replace(DRAFT, **changes))
    assert policy is not None, faults
    return policy


POLICY = policy_of()
LAX = policy_of(enforce=False)


def settings_of(cors: CorsPolicy | CorsMode = POLICY, *, path: bytes = b"/", upstream_path: bytes = b"", **changes: Any) -> Settings:
    route = Route(path, Upstream("http://up:81", "up", 81, b"up:81", upstream_path), cors, Timeouts())
    return replace(Settings((route,), pseudonym=b"", forwarding=QUIET), **changes)


SETTINGS = settings_of()


def head_of(*lines: FieldLine, method: bytes = b"GET", target: bytes = b"/x", minor: int = 1) -> RequestHead:
    return RequestHead(method, target, minor, [HOST, *lines])


def answer_to(settings: Settings, *lines: FieldLine, **head: Any) -> Answer:
    planned = plan(settings, head_of(*lines, **head), CLIENT, FRESH)
    assert isinstance(planned, Answer), planned
    return planned


def forward_of(settings: Settings, *lines: FieldLine, **head: Any) -> Forward:
    planned = plan(settings, head_of(*lines, **head), CLIENT, FRESH)
    assert isinstance(planned, Forward), planned
    return planned


def outcome(settings: Settings, *lines: FieldLine, **head: Any) -> tuple[int, str]:
    answer = answer_to(settings, *lines, **head)
    return answer.status, answer.reason


def fields_of(answer: Answer) -> dict[bytes, bytes]:
    return dict(line.split(b": ", 1) for line in answer.head.split(b"\r\n")[1:] if line)


# --- what is sent upstream ------------------------------------------------------------------------


def test_a_request_goes_upstream_untouched_but_for_its_host_and_framing() -> None:
    """Rule 39: nothing is kept from one client for another: a cookie goes up as it came."""
    lines = [
        (b"cookie", b"a=b"),
        (b"Content-Length", b"007"),
        (b"X-Odd", b"\xff"),
        (b"Origin", APP),
        (b"Connection", b"keep-alive, X-Drop"),
        (b"X-Drop", b"1"),
        (b"X-Odd", b"2"),
        (b"Keep-Alive", b"timeout=5"),
    ]
    planned = forward_of(SETTINGS, *lines, method=b"POST", target=b"/a%2fb/../c//d?e=f&e")

    assert planned.head == (
        b"POST /a%2fb/../c//d?e=f&e HTTP/1.1\r\n"
        b"Host: up:81\r\n"
        b"cookie: a=b\r\n"
        b"X-Odd: \xff\r\n"
        b"Origin: https://app.example\r\n"
        b"X-Odd: 2\r\n"
        b"X-Request-Id: fresh-request-id\r\n"
        b"Content-Length: 7\r\n"
        b"\r\n"
    )
    assert planned.body == Body(BodyKind.LENGTH, 7)
    assert (planned.reuse_upstream, planned.context.persistent, planned.route) == (True, True, SETTINGS.routes[0])


def test_the_upstreams_path_comes_first_and_via_names_the_proxy_last() -> None:
    settings = settings_of(upstream_path=b"/v1", pseudonym=b"me")

    assert forward_of(settings, (b"Via", b"1.1 cdn"), target=b"/x?y").head == (
        b"GET /v1/x?y HTTP/1.1\r\nHost: up:81\r\nVia: 1.1 cdn\r\n%bVia: 1.1 me\r\n\r\n" % ID
    )
    assert b"Via: 1.0 me\r\n" in forward_of(settings, minor=0).head


@table(
    {
        "no body": ([], b"GET", NO_BODY, b"", True),
        "no body on POST": ([], b"POST", NO_BODY, b"", True),
        "a length": ([(b"Content-Length", b"5")], b"POST", Body(BodyKind.LENGTH, 5), b"Content-Length: 5\r\n", True),
        "a length of nothing": ([(b"Content-Length", b"0")], b"POST", Body(BodyKind.LENGTH, 0), b"Content-Length: 0\r\n", True),
        "chunked": ([(b"transfer-encoding", b"Chunked")], b"POST", CHUNKED_BODY, b"Transfer-Encoding: chunked\r\n", True),
        "a length of nothing on GET stays": ([(b"Content-Length", b"0")], b"GET", Body(BodyKind.LENGTH, 0), b"Content-Length: 0\r\n", True),
        "a body on GET ends both connections": (
            [(b"Content-Length", b"5")],
            b"GET",
            Body(BodyKind.LENGTH, 5),
            b"Connection: close\r\nContent-Length: 5\r\n",
            False,
        ),
        "a chunked body on HEAD ends both connections": (
            [(b"Transfer-Encoding", b"chunked")],
            b"HEAD",
            CHUNKED_BODY,
            b"Connection: close\r\nTransfer-Encoding: chunked\r\n",
            False,
        ),
        "a body on OPTIONS ends both connections": (
            [(b"Content-Length", b"1")],
            b"OPTIONS",
            Body(BodyKind.LENGTH, 1),
            b"Connection: close\r\nContent-Length: 1\r\n",
            False,
        ),
        "a body on DELETE does not": ([(b"Content-Length", b"1")], b"DELETE", Body(BodyKind.LENGTH, 1), b"Content-Length: 1\r\n", True),
    }
)
def test_the_body_is_framed_anew(case: Any) -> None:
    lines, method, body, framing, is_kept = case
    planned = forward_of(SETTINGS, *lines, method=method)

    assert planned.body == body
    assert planned.head == b"%b /x HTTP/1.1\r\nHost: up:81\r\n%b%b\r\n" % (method, ID, framing)
    assert (planned.reuse_upstream, planned.context.persistent) == (is_kept, is_kept)


@table(
    {
        "HTTP/1.1": (1, [], True),
        "HTTP/1.1 with close": (1, [(b"Connection", b"close")], False),
        "HTTP/1.0": (0, [], False),
        "HTTP/1.0 with keep-alive": (0, [(b"Connection", b"keep-alive")], True),
        "an Upgrade, which is not done": (1, [(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c")], False),
    }
)
def test_the_clients_connection_lasts_as_long_as_it_says(case: Any) -> None:
    minor, lines, expected = case

    assert forward_of(SETTINGS, *lines, minor=minor).context.persistent is expected


def test_an_upgrade_is_dropped_with_all_that_belongs_to_it() -> None:
    lines = [(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABkAAQAAP__")]

    assert forward_of(SETTINGS, *lines).head == b"GET /x HTTP/1.1\r\nHost: up:81\r\n%b\r\n" % ID


@table(
    {
        "a client that takes trailers": ([(b"TE", b"trailers"), (b"Connection", b"TE")], 1, True, b"TE: trailers\r\nConnection: TE\r\n"),
        "among other codings": ([(b"TE", b"gzip;q=0.5, Trailers")], 1, True, b"TE: trailers\r\nConnection: TE\r\n"),
        "a client that does not": ([(b"TE", b"gzip")], 1, False, b""),
        "HTTP/1.0 has no trailers": ([(b"TE", b"trailers")], 0, False, b""),
    }
)
def test_trailers_are_asked_for_if_the_client_takes_them(case: Any) -> None:
    lines, minor, trailers, written = case
    planned = forward_of(SETTINGS, *lines, minor=minor)

    assert planned.context.trailers is trailers
    assert planned.head == b"GET /x HTTP/1.1\r\nHost: up:81\r\n%b%b\r\n" % (ID, written)


def test_a_body_and_trailers_share_one_connection_field() -> None:
    head = forward_of(SETTINGS, (b"TE", b"trailers"), (b"Content-Length", b"1")).head

    assert b"Connection: close, TE\r\n" in head
    assert head.count(b"Connection") == 1


@table(
    {
        "an absolute target becomes a path": (b"http://api.example/a?b", b"/a?b"),
        "an absolute target without a path": (b"http://api.example", b"/"),
        "two slashes stay": (b"//evil.example/x", b"//evil.example/x"),
    }
)
def test_the_target_is_forwarded_in_origin_form(case: Any) -> None:
    target, expected = case

    assert forward_of(SETTINGS, target=target).head.startswith(b"GET %b HTTP/1.1\r\nHost: up:81\r\n" % expected)


@table(
    {
        "as it is": (b"100-continue", 1, True),
        "in another case": (b"100-Continue", 1, True),
        "not from HTTP/1.0": (b"100-continue", 0, False),
    }
)
def test_expect_is_forwarded(case: Any) -> None:
    value, minor, expected = case
    head = forward_of(SETTINGS, (b"Expect", value), (b"Content-Length", b"1"), method=b"POST", minor=minor).head

    assert (b"Expect: %b\r\n" % value in head) is expected


def test_max_forwards_counts_down_on_options_only() -> None:
    line = (b"Max-FORWARDS", b"3")
    other = (b"X-A", b"b")

    assert b"Max-FORWARDS: 2\r\nX-A: b\r\n" in forward_of(SETTINGS, line, other, method=b"OPTIONS").head
    assert b"Max-FORWARDS: 3\r\n" in forward_of(SETTINGS, line).head
    assert b"max-forwards: x\r\n" in forward_of(SETTINGS, (b"max-forwards", b"x"), method=b"OPTIONS").head
    assert outcome(SETTINGS, (b"Max-Forwards", b"0"), method=b"OPTIONS") == (204, "options")
    assert b"Max-Forwards: 0\r\n" in forward_of(SETTINGS, (b"Max-Forwards", b"0")).head


# --- the gates ------------------------------------------------------------------------------------


LIMITED = settings_of(limits=Limits(request_line=20, header_count=3, request_head=60))


@table(
    {
        "framing": (SETTINGS, [(b"Content-Length", b"x")], {}, 400, "content-length", True),
        "a method that is never forwarded": (SETTINGS, [], {"method": b"TRACE"}, 405, "method", True),
        "TRACK": (SETTINGS, [], {"method": b"TRACK"}, 405, "method", True),
        "CONNECT, whose target is no path": (SETTINGS, [], {"method": b"CONNECT", "target": b"a:443"}, 405, "method", True),
        "a target": (SETTINGS, [], {"target": b"x"}, 400, "target", True),
        "a second Host": (SETTINGS, [HOST], {}, 400, "host", True),
        "a host that is not answered": (settings_of(hosts=HostRules()), [], {}, 421, "host-not-answered", False),
        "a host that is not answered, with a body": (
            settings_of(hosts=HostRules()),
            [(b"Content-Length", b"1")],
            {"method": b"POST"},
            421,
            "host-not-answered",
            True,
        ),
        "no route": (settings_of(path=b"/api"), [], {}, 404, "no-route", False),
        "no route, with a body": (settings_of(path=b"/api"), [(b"Content-Length", b"1")], {"method": b"POST"}, 404, "no-route", True),
        "two routes": (settings_of(path=b"/api"), [], {"target": b"/api/../x"}, 400, "path-matches-two-routes", False),
        "out of the upstream": (settings_of(upstream_path=b"/v1"), [], {"target": b"/.."}, 400, "path-leaves-upstream", False),
        "an origin": (SETTINGS, [FOREIGN], {}, 403, "origin-refused", False),
        "an origin, with a body": (SETTINGS, [FOREIGN, (b"Content-Length", b"1")], {"method": b"POST"}, 403, "origin-refused", True),
        "a method of an allowed origin": (SETTINGS, [ORIGIN], {"method": b"OPTIONS"}, 403, "method-refused", False),
        "a route without CORS": (settings_of(CorsMode.NONE), [ORIGIN], {}, 403, "cors-none", False),
        "an expectation": (SETTINGS, [(b"Expect", b"200-ok")], {}, 417, "expect", False),
        "two expectations": (SETTINGS, [(b"Expect", b"100-continue"), (b"Expect", b"100-continue")], {}, 417, "expect", False),
        "an expectation, with a body": (SETTINGS, [(b"Expect", b"x"), (b"Content-Length", b"1")], {"method": b"POST"}, 417, "expect", True),
        "a request line": (LIMITED, [], {"target": b"/xxxxxx"}, 414, "request-line", True),
        "too many fields": (LIMITED, [(b"a", b""), (b"b", b""), (b"c", b"")], {"target": b"/"}, 431, "header-count", True),
        "too large a head": (LIMITED, [(b"a", b"x" * 30)], {"target": b"/"}, 431, "request-head", True),
        "a loop": (settings_of(pseudonym=b"me"), [(b"Via", b"1.1 cdn, 1.1 me")], {}, 508, "via", False),
    }
)
def test_a_request_that_does_not_pass_is_answered_here(case: Any) -> None:
    """Rule 12: CONNECT, TRACE and TRACK are never forwarded. Rule 40: refusing simple requests is `enforce`."""
    settings, lines, head, status, reason, close = case
    answer = answer_to(settings, *lines, **head)

    assert (answer.status, answer.reason, answer.close) == (status, reason, close)


@table(
    {
        "a request line": (Limits(request_line=len(b"GET /x HTTP/1.1\r\n") - 1), problems.TARGET_TOO_LONG),
        "the very length of the request line": (Limits(request_line=len(b"GET /x HTTP/1.1\r\n")), None),
        "a head": (Limits(request_head=len(b"GET /x HTTP/1.1\r\nHost: api.example\r\nA: b\r\n") - 1), problems.HEAD_TOO_LARGE),
        "the very length of the head": (Limits(request_head=len(b"GET /x HTTP/1.1\r\nHost: api.example\r\nA: b\r\n")), None),
        "a number of fields": (Limits(header_count=1), problems.HEAD_TOO_LARGE),
        "the very number of fields": (Limits(header_count=2), None),
    }
)
def test_limits_are_counted_in_the_bytes_of_the_wire(case: Any) -> None:
    limits, problem = case
    planned = plan(replace(SETTINGS, limits=limits), head_of((b"A", b"b")), CLIENT, FRESH)

    assert (planned.problem if isinstance(planned, Answer) else None) is problem


@table(
    {
        "no limit": (None, b"999", None),
        "under the limit": (10, b"10", None),
        "over the limit": (10, b"11", problems.BODY_TOO_LARGE),
        "a limit of nothing": (0, b"1", problems.BODY_TOO_LARGE),
    }
)
def test_a_body_that_says_that_it_is_too_large_is_not_begun(case: Any) -> None:
    most, length, problem = case
    route = replace(SETTINGS.routes[0], limits=RouteLimits(request_body=most))
    planned = plan(replace(SETTINGS, routes=(route,)), head_of((b"Content-Length", length), method=b"POST"), CLIENT, FRESH)

    if problem is None:
        assert isinstance(planned, Forward)
        assert planned.body_limit == most
    else:
        assert isinstance(planned, Answer)
        assert (planned.problem, planned.reason) == (problem, "request-body")


@table(
    {
        "framing before the host": ([(b"Content-Length", b"x"), FOREIGN], {}, 400),
        "the host before the route": ([FOREIGN], {"target": b"/y"}, 421),
    }
)
def test_the_gates_stand_in_order(case: Any) -> None:
    lines, head, status = case
    settings = settings_of(path=b"/api", hosts=HostRules())

    assert answer_to(settings, *lines, **head).status == status


def test_cors_comes_before_limits_and_expectations() -> None:
    settings = replace(SETTINGS, limits=Limits(request_line=1))

    assert outcome(settings, FOREIGN, (b"Expect", b"x")) == (403, "origin-refused")
    assert outcome(settings, (b"Expect", b"x")) == (414, "request-line")


# --- preflights -----------------------------------------------------------------------------------


@table(
    {
        "granted": (SETTINGS, [ORIGIN, ACRM], 204, "preflight-granted"),
        "granted over every limit": (replace(SETTINGS, limits=Limits(request_line=1)), [ORIGIN, ACRM], 204, "preflight-granted"),
        "granted, whatever it expects": (SETTINGS, [ORIGIN, ACRM, (b"Expect", b"x")], 204, "preflight-granted"),
        "of a refused method": (SETTINGS, [ORIGIN, (ACRM[0], b"PROPFIND")], 204, "preflight-method-refused"),
        "of a refused header": (SETTINGS, [ORIGIN, ACRM, (b"Access-Control-Request-Headers", b"x-a")], 204, "preflight-header-refused"),
        "for POST, as an upload listener causes": (SETTINGS, [ORIGIN, (ACRM[0], b"POST")], 204, "preflight-granted"),
        "of another origin": (SETTINGS, [FOREIGN, ACRM], 403, "origin-refused"),
        "of another origin, without enforce": (settings_of(LAX), [FOREIGN, ACRM], 403, "origin-refused"),
        "on a route without CORS": (settings_of(CorsMode.NONE), [ORIGIN, ACRM], 403, "cors-none"),
    }
)
def test_a_preflight_is_always_answered_here(case: Any) -> None:
    """
    No preflight depends on the upstream, or reaches it.

    Rule 7: 204. Rule 8: never 401, never 3xx. Rule 21: refused ones too. Rule 47: an upload listener's POST is preflighted, and answered.
    """
    settings, lines, status, reason = case

    assert outcome(settings, *lines, method=b"OPTIONS") == (status, reason)


def test_a_refused_preflight_has_no_grants_and_a_body_that_says_why() -> None:
    """Rule 21: 403 with no grants. Rule 22: Vary as on a granted one; never public."""
    answer = answer_to(SETTINGS, FOREIGN, ACRM, method=b"OPTIONS")

    assert fields_of(answer) == {
        b"Content-Type": b"application/problem+json",
        b"Content-Length": b"%d" % len(answer.body),
        b"Cache-Control": b"no-store",
        b"X-Content-Type-Options": b"nosniff",
        b"X-Request-Id": FRESH.request_id,
        b"Proxy-Status": b'corsproxy; error=http_request_denied; details="The policy of this route does not allow the origin that sent this request."',
        b"Vary": b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }
    assert (answer.problem, answer.close) == (problems.ORIGIN_REFUSED, False)


@table(
    {
        "without Access-Control-Request-Method": (LAX, [ORIGIN]),
        "without Access-Control-Request-Method, where OPTIONS is listed": (policy_of(allow_methods=("GET", "OPTIONS")), [ORIGIN]),
        "without Origin": (POLICY, [ACRM]),
        "of the same origin": (POLICY, [FOREIGN, (b"Sec-Fetch-Site", b"same-origin")]),
        "of everybody on a route that passes CORS through": (CorsMode.PASSTHROUGH, [FOREIGN, ACRM]),
    }
)
def test_options_that_is_no_preflight_belongs_to_the_upstream(case: Any) -> None:
    """Rule 2: OPTIONS without Access-Control-Request-Method, or without Origin. Rule 3: the call that follows its own preflight."""
    cors, lines = case
    written = b"".join(b"%b: %b\r\n" % line for line in lines)

    assert forward_of(settings_of(cors), *lines, method=b"OPTIONS").head == b"OPTIONS /x HTTP/1.1\r\nHost: up:81\r\n%b%b\r\n" % (
        written,
        ID,
    )


def test_options_of_the_server_itself_is_answered_here() -> None:
    assert outcome(SETTINGS, method=b"OPTIONS", target=b"*") == (204, "options")
    assert outcome(SETTINGS, ORIGIN, ACRM, method=b"OPTIONS", target=b"*") == (204, "preflight-granted")
    assert outcome(settings_of(path=b"/api"), method=b"OPTIONS", target=b"*") == (404, "no-route")


@table(
    {
        "granted by the default policy": (POLICY, ORIGIN, {}, 204, "preflight-granted"),
        "refused by the default policy": (POLICY, FOREIGN, {}, 404, "no-route"),
        "no default policy": (None, ORIGIN, {}, 404, "no-route"),
        "a default without CORS": (CorsMode.NONE, ORIGIN, {}, 404, "no-route"),
        "a path of two routes is not granted": (POLICY, ORIGIN, {"target": b"/api/../x"}, 400, "path-matches-two-routes"),
    }
)
def test_a_preflight_for_no_route_is_granted_so_that_the_404_can_be_read(case: Any) -> None:
    cors, origin, head, status, reason = case
    settings = replace(settings_of(path=b"/api"), default_cors=cors)

    assert outcome(settings, origin, ACRM, method=b"OPTIONS", **head) == (status, reason)


def test_a_404_can_be_read_by_the_default_policys_origins() -> None:
    """Rule 25: on what the proxy itself produces."""
    settings = replace(settings_of(path=b"/api"), default_cors=POLICY)

    answer = answer_to(settings, ORIGIN)

    assert (answer.status, fields_of(answer)[b"Access-Control-Allow-Origin"]) == (404, APP)


# --- CORS -----------------------------------------------------------------------------------------


@table(
    {
        "an origin": (SETTINGS, [FOREIGN], {}, problems.ORIGIN_REFUSED, None),
        "a method, readable": (SETTINGS, [ORIGIN], {"method": b"PROPFIND"}, problems.METHOD_REFUSED, APP),
        "a route without CORS": (settings_of(CorsMode.NONE), [ORIGIN], {}, problems.CORS_OFF, None),
    }
)
def test_a_refusal_names_its_cause_to_those_who_may_know(case: Any) -> None:
    settings, lines, head, problem, acao = case
    answer = answer_to(settings, *lines, **head)

    assert isinstance(answer.problem, Problem)
    assert (answer.problem, fields_of(answer).get(b"Access-Control-Allow-Origin")) == (problem, acao)


@table(
    {
        "no Origin": (POLICY, []),
        "an allowed origin": (POLICY, [ORIGIN]),
        "an own origin": (POLICY, [(b"Origin", b"https://own.example")]),
        "a same-origin POST": (POLICY, [FOREIGN, (b"Sec-Fetch-Site", b"same-origin")]),
        "another origin without enforce": (LAX, [FOREIGN]),
        "a same-origin request on a route without CORS": (CorsMode.NONE, [(b"Origin", b"https://own.example")]),
        "anything on a route that passes CORS through": (CorsMode.PASSTHROUGH, [FOREIGN]),
    }
)
def test_what_is_not_refused_is_forwarded(case: Any) -> None:
    """Rule 1: same-origin POSTs carry Origin. Rule 40: without `enforce`, simple requests reach the server whatever the policy."""
    cors, lines = case
    planned = forward_of(settings_of(cors, own_origins=(b"https://own.example",)), *lines, method=b"POST")

    assert planned.context.decision is not None
    assert planned.context.cors is cors


def test_the_host_field_stands_in_for_an_own_origin() -> None:
    assert forward_of(SETTINGS, (b"Origin", b"https://api.example"), method=b"POST").context.decision is not None
    assert outcome(SETTINGS, (b"Origin", b"https://api.example:8443"), method=b"POST") == (403, "origin-refused")


def test_a_route_that_passes_through_reads_nothing_of_cors() -> None:
    settings = settings_of(CorsMode.PASSTHROUGH)
    with_origin, without = forward_of(settings, FOREIGN).context.decision, forward_of(settings).context.decision

    assert with_origin is not None
    assert without is not None
    assert (with_origin.kind, without.kind) == ("actual", "not-cors")
    assert with_origin.reason == without.reason == "cors-passthrough"


def test_a_conditional_request_is_the_upstreams_to_answer() -> None:
    """Rule 35: no 304 from the proxy's own state."""
    head = forward_of(SETTINGS, (b"If-None-Match", b'"x"'), ORIGIN).head

    assert b'If-None-Match: "x"\r\n' in head


def test_two_clients_plans_know_nothing_of_each_other() -> None:
    """Rule 39: no cookie jar: the plan is a function of its arguments."""
    cookie = (b"Cookie", b"session=1")
    plain = forward_of(SETTINGS).head
    forward_of(SETTINGS, cookie)

    assert forward_of(SETTINGS).head == plain
    assert b"ookie" not in plain


def test_a_route_opens_to_nobody_by_itself() -> None:
    """Rule 41: what only a firewall protects must not be opened: where no policy names anybody, nobody is let in."""
    settings = replace(settings_of(path=b"/api"), default_cors=None)

    assert b"Access-Control-Allow-Origin" not in fields_of(answer_to(settings, ORIGIN))
    assert build_policy(PolicyDraft(()))[0] is None


def test_a_public_policy_lets_everybody_in_and_a_bearer_token_needs_only_its_name() -> None:
    """Rule 36: a token set by the script needs no credentials, only `authorization` in the list."""
    settings = settings_of(policy_of(allow_origins=(ANY,), allow_headers=("Authorization",)))
    names = (b"Access-Control-Request-Headers", b"authorization")
    fields = fields_of(answer_to(settings, FOREIGN, ACRM, names, method=b"OPTIONS"))

    assert (fields[b"Access-Control-Allow-Origin"], fields[b"Access-Control-Allow-Headers"]) == (b"*", b"authorization")
    assert b"Access-Control-Allow-Credentials" not in fields
    assert b"Authorization: Bearer x\r\n" in forward_of(settings, FOREIGN, (b"Authorization", b"Bearer x")).head


@table(
    {
        "granted": ([ORIGIN, ACRM], 204),
        "refused": ([FOREIGN, ACRM], 403),
        "of the whole server": ([], 204),
    }
)
def test_an_options_that_is_answered_here_ends_its_connection_only_if_it_has_a_body(case: tuple[list[FieldLine], int]) -> None:
    lines, status = case
    target = b"*" if not lines else b"/x"

    for body, closes in (([], False), ([(b"Content-Length", b"3")], True), ([(b"Transfer-Encoding", b"chunked")], True)):
        answer = answer_to(SETTINGS, *lines, *body, method=b"OPTIONS", target=target)
        assert (answer.status, answer.close) == (status, closes)


# --- client certificates ---

MUTUAL = settings_of(tls=ServerTls("c", "k", "ca", requires_client_certificate=True))
CERTIFIED = Connection("192.0.2.1", tls=True, has_certificate=True)


def test_without_a_certificate_an_allowed_origin_reads_the_refusal_and_the_connection_ends() -> None:
    answer = answer_to(MUTUAL, ORIGIN)

    assert (answer.status, answer.problem, answer.close) == (403, problems.CERTIFICATE_REQUIRED, True)
    assert b"Access-Control-Allow-Origin: https://app.example\r\n" in answer.head


def test_a_refused_origin_learns_nothing_of_certificates() -> None:
    assert answer_to(MUTUAL, FOREIGN).problem is problems.ORIGIN_REFUSED


def test_preflights_carry_no_certificate_and_pass() -> None:
    assert answer_to(MUTUAL, ORIGIN, ACRM, method=b"OPTIONS").status == 204


def test_a_certificate_passes_the_gate() -> None:
    assert isinstance(plan(MUTUAL, head_of(ORIGIN), CERTIFIED, FRESH), Forward)


def test_an_optional_certificate_is_not_missed() -> None:
    optional = settings_of(tls=ServerTls("c", "k", "ca"))
    assert isinstance(plan(optional, head_of(ORIGIN), CLIENT, FRESH), Forward)


def test_on_passthrough_preflights_go_upstream_without_a_certificate_and_nothing_else_does() -> None:
    mutual = replace(settings_of(CorsMode.PASSTHROUGH), tls=MUTUAL.tls)
    assert isinstance(plan(mutual, head_of(ORIGIN, ACRM, method=b"OPTIONS"), CLIENT, FRESH), Forward)
    for lines, method in (([ORIGIN], b"OPTIONS"), ([ORIGIN, ACRM], b"GET"), ([ORIGIN, ACRM, (b"Content-Length", b"3")], b"OPTIONS")):
        assert answer_to(mutual, *lines, method=method).problem is problems.CERTIFICATE_REQUIRED


# --- who and where the client is ------------------------------------------------------------------


TRUSTING = ForwardingSettings(trusted=(ip_network("10.0.0.0/8"), "unix"))
PROXY = Connection("10.0.0.7")
OWN = (b"https://own.example", b"http://other.example:81")


def exchange_of(*lines: FieldLine, peer: Connection = PROXY, host: bytes = b"api.example", **settings: Any) -> Exchange:
    head = RequestHead(b"GET", b"/x", 1, [(b"Host", host), *lines])
    return plan(settings_of(**{"forwarding": TRUSTING, **settings}), head, peer, FRESH).context.exchange


FOR = b"X-Forwarded-For"


@table(
    {
        "the peer": ([], PROXY, b"10.0.0.7"),
        "a stranger is who he is": ([(FOR, b"203.0.113.9")], CLIENT, b"192.0.2.1"),
        "the rightmost that is not trusted": ([(FOR, b"127.0.0.1, 203.0.113.9, 10.0.0.1")], PROXY, b"203.0.113.9"),
        "several lines are one list": ([(FOR, b"127.0.0.1"), (FOR, b"203.0.113.9")], PROXY, b"203.0.113.9"),
        "all are trusted: the farthest": ([(FOR, b"10.0.0.1, 10.0.0.2")], PROXY, b"10.0.0.1"),
        "what is no address stops the walk": ([(FOR, b"203.0.113.9, x, 10.0.0.2")], PROXY, b"10.0.0.2"),
        "of a unix socket": ([(FOR, b"203.0.113.9")], Connection("unix"), b"203.0.113.9"),
        "of a unix socket that tells nothing": ([], Connection("unix"), b"unix"),
        "an IPv4 address in IPv6": ([(FOR, b"203.0.113.9")], Connection("::ffff:10.0.0.7"), b"203.0.113.9"),
    }
)
def test_the_client_is_the_rightmost_address_that_is_not_trusted(case: Any) -> None:
    lines, peer, expected = case

    assert exchange_of(*lines, peer=peer).client == expected


PROTO = (b"X-Forwarded-Proto", b"https")


@table(
    {
        "no public URL": ({}, [], CLIENT, b"api.example", b"", None),
        "no public URL, our own TLS": ({}, [], Connection("192.0.2.1", tls=True), b"api.example", b"", True),
        "no public URL, a proxy's word": ({}, [PROTO], PROXY, b"api.example", b"", True),
        "no public URL, a proxy's word for http": ({}, [(b"X-Forwarded-Proto", b"http")], PROXY, b"api.example", b"", False),
        "no public URL, a stranger's word": ({}, [PROTO], CLIENT, b"api.example", b"", None),
        "http on this machine": ({}, [(b"X-Forwarded-Proto", b"http")], PROXY, b"localhost:81", b"", None),
        "a public URL": ({"own_origins": OWN}, [], CLIENT, b"own.example", OWN[0], True),
        "another public URL, by the host": ({"own_origins": OWN}, [], CLIENT, b"other.example:81", OWN[1], False),
        "another public URL, by a proxy's word for the host": (
            {"own_origins": OWN},
            [(b"X-Forwarded-Host", b"other.example:81")],
            PROXY,
            b"internal",
            OWN[1],
            False,
        ),
        "by a stranger's word: the first": (
            {"own_origins": OWN},
            [(b"X-Forwarded-Host", b"other.example:81")],
            CLIENT,
            b"internal",
            OWN[0],
            True,
        ),
    }
)
def test_where_the_client_sees_the_proxy(case: Any) -> None:
    settings, lines, peer, host, public, is_secure = case
    exchange = exchange_of(*lines, peer=peer, host=host, **settings)

    assert (exchange.public, exchange.is_secure) == (public, is_secure)


@table(
    {
        "a call from another site": ([(b"Sec-Fetch-Site", b"cross-site"), (b"Sec-Fetch-Mode", b"cors")], True),
        "from the same site": ([(b"Sec-Fetch-Site", b"same-site"), (b"Sec-Fetch-Mode", b"cors")], False),
        "a navigation from another site": ([(b"Sec-Fetch-Site", b"cross-site"), (b"Sec-Fetch-Mode", b"navigate")], False),
        "nothing is said": ([], False),
    }
)
def test_a_call_from_another_site_is_known_by_what_the_browser_says(case: Any) -> None:
    lines, expected = case

    assert exchange_of(*lines).is_cross_site is expected


@table(
    {
        "the host that a proxy was asked": ([(b"X-Forwarded-Host", b"shop.example")], PROXY, b"https://shop.example", True),
        "with its scheme": ([(b"X-Forwarded-Host", b"shop.example"), PROTO], PROXY, b"https://shop.example", True),
        "and not with another": ([(b"X-Forwarded-Host", b"shop.example"), PROTO], PROXY, b"http://shop.example", False),
        "our own Host is not that of a proxy that says another": (
            [(b"X-Forwarded-Host", b"shop.example")],
            PROXY,
            b"https://api.example",
            False,
        ),
        "a stranger's word counts for nothing": ([(b"X-Forwarded-Host", b"shop.example")], CLIENT, b"https://shop.example", False),
        "a stranger's word for the scheme too": ([(b"X-Forwarded-Proto", b"https")], CLIENT, b"http://api.example", True),
    }
)
def test_a_same_origin_request_is_judged_by_what_a_trusted_proxy_says(case: Any) -> None:
    """Rule 1; `enforce` lets the page of the proxy's own origin through."""
    lines, peer, origin, passes = case
    head = head_of((b"Origin", origin), *lines, method=b"POST")
    planned = plan(settings_of(forwarding=TRUSTING), head, peer, FRESH)

    assert isinstance(planned, Forward) is passes


@table(
    {
        "a refusal": ([FOREIGN], {}, 403),
        "a refused preflight": ([FOREIGN, ACRM], {"method": b"OPTIONS"}, 403),
        "no route": ([], {"target": b"/other"}, 404),
        "a method of no use": ([], {"method": b"TRACE"}, 405),
        "CONNECT": ([], {"method": b"CONNECT", "target": b"a:1"}, 405),
        "framing": ([(b"Content-Length", b"x")], {}, 400),
    }
)
def test_every_refusal_says_the_requests_id_in_its_body_and_in_its_field(case: Any) -> None:
    lines, head, status = case
    settings = settings_of(path=b"/x", forwarding=ForwardingSettings(request_id_header=b"X-Trace"))
    answer = answer_to(settings, (b"X-Trace", b"client-id.1"), *lines, **head)

    assert answer.status == status
    assert fields_of(answer)[b"X-Trace"] == b"client-id.1"
    assert json.loads(answer.body)["request_id"] == "client-id.1"


# --- routes by host -------------------------------------------------------------------------------


def hosted(*routes: tuple[bytes, str], **changes: Any) -> Settings:
    made = [
        replace(SETTINGS.routes[0], path=path, hosts=(host,) if host else (), upstream=Upstream("u", "u", 1, host.encode() or b"any"))
        for path, host in routes
    ]
    return replace(Settings(tuple(made), pseudonym=b"", forwarding=QUIET), **changes)


def upstream_of(settings: Settings, host: bytes, target: bytes = b"/x") -> bytes:
    planned = plan(settings, RequestHead(b"GET", target, 1, [(b"Host", host)]), CLIENT, FRESH)
    return planned.route.upstream.authority if isinstance(planned, Forward) else b"%d" % planned.status


def test_the_host_chooses_the_route() -> None:
    settings = hosted((b"/x", "v2.example"), (b"/", "*.example"), (b"/x", ""))

    assert [upstream_of(settings, host) for host in (b"v2.example:80", b"V2.EXAMPLE.", b"a.example", b"other.test")] == [
        b"v2.example",
        b"v2.example",
        b"*.example",
        b"any",
    ]
    assert upstream_of(settings, b"v2.example", b"/y") == b"*.example"
    assert upstream_of(settings, b"other.test", b"/y") == b"404"
    assert upstream_of(settings, b"v2.example", b"http://v2.example/x") == b"v2.example"


def test_a_preflight_for_a_path_of_another_host_is_granted_so_that_the_404_can_be_read() -> None:
    settings = hosted((b"/x", "v2.example"), default_cors=POLICY)

    assert outcome(settings, ORIGIN, ACRM, method=b"OPTIONS") == (204, "preflight-granted")
    assert outcome(settings, FOREIGN, ACRM, method=b"OPTIONS") == (404, "no-route")
    assert outcome(settings, ORIGIN) == (404, "no-route")


def test_options_of_the_server_itself_is_a_hosts_own() -> None:
    settings = hosted((b"/", "v2.example"), (b"/x", ""))

    assert outcome(settings, method=b"OPTIONS", target=b"*") == (404, "no-route")
    planned = plan(settings, RequestHead(b"OPTIONS", b"*", 1, [(b"Host", b"v2.example")]), CLIENT, FRESH)
    assert isinstance(planned, Answer)
    assert planned.status == 204


def test_private_networks_are_granted_by_their_switch_alone() -> None:
    """Rule 45: on granted preflights that ask for it; the answer depends on it either way."""
    on, asks = settings_of(policy_of(allow_private_network=True)), (b"Access-Control-Request-Private-Network", b"true")
    name, vary = b"Access-Control-Allow-Private-Network", b", Access-Control-Request-Private-Network"

    def fields(settings: Settings, *lines: FieldLine) -> dict[bytes, bytes]:
        return fields_of(answer_to(settings, ACRM, *lines, method=b"OPTIONS"))

    assert fields(on, ORIGIN, asks)[name] == b"true"
    assert fields(on, ORIGIN, asks)[b"Vary"].endswith(vary)
    for settings, lines in ((on, [ORIGIN]), (on, [FOREIGN, asks]), (SETTINGS, [ORIGIN, asks]), (on, [ORIGIN, (asks[0], b"TRUE")])):
        assert name not in fields(settings, *lines)
        assert fields(settings, *lines)[b"Vary"].endswith(vary) is (settings is on)


# --- WebSocket ------------------------------------------------------------------------------------

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASKS = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", KEY)]
SECRETS = [(b"Cookie", b"a=1"), (b"Authorization", b"Basic eA==")]


def tunnel_of(settings: Settings, *lines: FieldLine) -> Tunnel:
    planned = plan(settings, head_of(*ASKS, *lines), CLIENT, FRESH)
    assert isinstance(planned, Tunnel), planned
    return planned


def test_a_handshake_goes_upstream_as_a_tunnel() -> None:
    planned = tunnel_of(SETTINGS, ORIGIN)

    assert (planned.key, planned.reuse_upstream, planned.context.persistent) == (KEY, False, False)
    assert planned.head == (
        b"GET /x HTTP/1.1\r\nHost: up:81\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\nOrigin: %b\r\n%b"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % (KEY, APP, ID)
    )


@table(
    {
        "an allowed origin": (POLICY, [ORIGIN], False),
        "an allowed origin with credentials": (policy_of(allow_credentials=True), [ORIGIN], True),
        "a program": (POLICY, [], True),
        "a page of its own": (POLICY, [(b"Origin", b"http://api.example")], True),
        "an upstream that does CORS itself": (CorsMode.PASSTHROUGH, [FOREIGN], True),
    }
)
def test_a_handshake_keeps_credentials_where_the_policy_lets_them_through(case: Any) -> None:
    cors, lines, is_kept = case
    planned = tunnel_of(settings_of(cors), *lines, *SECRETS)

    assert [b"\r\n%b: %b\r\n" % line in planned.head for line in SECRETS] == [is_kept, is_kept]


@table(
    {
        "another origin": (POLICY, [FOREIGN], problems.WEBSOCKET_REFUSED, "origin-refused"),
        "whatever enforce says": (LAX, [FOREIGN], problems.WEBSOCKET_REFUSED, "origin-refused"),
        "a list of its own": (policy_of(websocket_origins=("https://a.example",)), [ORIGIN], problems.WEBSOCKET_REFUSED, "origin-refused"),
        "no origin at all": (policy_of(websocket_origins=("none",)), [ORIGIN], problems.WEBSOCKET_REFUSED, "origin-refused"),
        "an origin that is none": (POLICY, [(b"Origin", b"x")], problems.WEBSOCKET_REFUSED, "origin-malformed"),
        "two origins": (POLICY, [ORIGIN, ORIGIN], problems.WEBSOCKET_REFUSED, "origin-repeated"),
        "a route without CORS": (CorsMode.NONE, [ORIGIN], problems.CORS_OFF, "cors-none"),
        "two keys": (POLICY, [ORIGIN, ASKS[3]], problems.BAD_REQUEST, "websocket-key"),
    }
)
def test_a_handshake_that_is_refused_never_goes_upstream(case: Any) -> None:
    cors, lines, problem, reason = case
    answer = answer_to(settings_of(cors), *ASKS, *lines)

    assert answer.context.decision is not None
    assert (answer.problem, answer.reason, answer.context.decision.kind.value) == (problem, reason, "websocket")


def test_a_preflight_with_an_upgrade_is_still_a_preflight() -> None:
    assert answer_to(SETTINGS, *ASKS, ORIGIN, ACRM, method=b"OPTIONS").status == 204
