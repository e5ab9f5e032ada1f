"""A plan from memory is the plan that would be made anew: for any request, whatever was asked before it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corsproxy.answers import Answer
from corsproxy.config.choices import CorsMode, OriginHeader
from corsproxy.config.rates import Rate, RateLimit
from corsproxy.config.settings import ForwardingSettings, HostRules, Limits, Route, RouteLimits, ServerTls, Settings
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, build_policy
from corsproxy.forward import Forward
from corsproxy.gateway.plain import PlainHeads
from corsproxy.plan import Connection, Fresh, Plan, layouts_of, plan, plan_anew
from corsproxy.record import MAX_USER_AGENT
from corsproxy.semantics.fields import FieldLine, RequestHead
from corsproxy.semantics.forwarded import ForwardedMode
from corsproxy.semantics.networks import parse_network
from corsproxy.semantics.rules import HeaderRules, compile_rules

BOUNDED = settings(deadline=None)
TRUSTED, STRANGER = "10.0.0.1", "192.0.2.1"


def policy_of(draft: PolicyDraft) -> CorsPolicy:
    policy, faults = build_policy(draft)
    assert policy is not None, faults
    return policy


POLICY = policy_of(
    PolicyDraft(
        ("https://app.example", "https://*.apps.example"),
        allow_credentials=True,
        allow_headers=("Content-Type", "X-A"),
        expose_headers=("X-B",),
        allow_private_network=True,
    )
)
POLICIES: list[CorsPolicy | CorsMode] = [
    POLICY,
    policy_of(PolicyDraft((ANY,), enforce=False, timing_allow_origin=True)),
    policy_of(PolicyDraft(("https://app.example",), allow_methods=(ANY,), allow_headers=(ANY,), expose_headers=(ANY,))),
    CorsMode.NONE,
    CorsMode.PASSTHROUGH,
]
RULES = [
    compile_rules(),
    compile_rules([b"X-A", b"User-Agent"], [(b"X-Set", b"1")], [(b"X-Add", b"2")]),
    compile_rules([b"Cookie"], [(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]),
]


# --- what is drawn --------------------------------------------------------------------------------


def upstreams() -> st.SearchStrategy[Upstream]:
    hosts = st.sampled_from([b"", None, b"api.internal"])
    origins = st.sampled_from(list(OriginHeader))
    return st.builds(
        lambda path, host, origin: Upstream("http://up", "up", 80, b"up", path, host_header=host, origin_header=origin),
        st.sampled_from([b"", b"", b"/v1"]),
        hosts,
        origins,
    )


def routes_at(path: bytes) -> st.SearchStrategy[Route]:
    return st.builds(
        lambda upstream, cors, strip, rules, most, hosts: Route(
            path, upstream, cors, strip_prefix=strip, request_headers=rules, limits=RouteLimits(most), hosts=hosts
        ),
        upstreams(),
        st.sampled_from(POLICIES),
        st.booleans(),
        st.sampled_from(RULES),
        st.sampled_from([None, 10]),
        st.sampled_from([(), (), ("api.example",), ("*.example",)]),
    )


TABLES = st.one_of(
    routes_at(b"/").map(lambda route: (replace(route, hosts=()),)),
    st.tuples(routes_at(b"/api/v2"), routes_at(b"/api"), routes_at(b"/")),
    st.tuples(routes_at(b"/api")),
)
FORWARDING = st.builds(
    ForwardingSettings,
    st.sampled_from(list(ForwardedMode)),
    st.sampled_from([(), (parse_network("10.0.0.0/8"),)]),
    st.sampled_from([b"X-Request-Id", b"X-Request-Id", b"x-request-id", b"X-Correlation-Id", b"X_Request_Id", b"Via"]),
    st.booleans(),
    st.booleans(),
)
SETTINGS = st.builds(
    lambda table, forwarding, hosts, limits, tls, own, rate: Settings(
        table, forwarding=forwarding, hosts=hosts, limits=limits, tls=tls, own_origins=own, rate_limit=rate, default_cors=POLICY
    ),
    TABLES,
    FORWARDING,
    st.sampled_from([HostRules(any_host=True), HostRules(frozenset({b"api.example"}), loopback=True)]),
    st.sampled_from([Limits(), Limits(), Limits(request_line=200, request_head=1500, header_count=6)]),
    st.sampled_from([None, ServerTls("c", "k", "ca", requires_client_certificate=True)]),
    st.sampled_from([(), (b"https://api.example", b"http://api.example")]),
    st.sampled_from([None, None, RateLimit(Rate(5, 1), 5), RateLimit(Rate(5, 1), 5, b"x-a")]),
)
CONNECTIONS = st.builds(Connection, st.sampled_from([STRANGER, "192.0.2.2", TRUSTED, "unix"]), st.booleans(), st.booleans())
FRESH = st.builds(
    Fresh,
    st.sampled_from([b"fresh-id-1", b"fresh-id-22", b""]),
    st.sampled_from([b"4bf92f3577b34da6a3ce929d0e0e4736", b"5bf92f3577b34da6a3ce929d0e0e4737"]),
    st.sampled_from([b"00f067aa0ba902b7", b"10f067aa0ba902b8"]),
)
# Of each name, values that decide in different ways, and pairs of values that must not decide at all.
VALUES: dict[bytes, list[bytes]] = {
    b"Host": [b"api.example", b"api.example", b"other.example:8080", b"localhost", b"b\xc3\xbc.example", b""],
    b"Origin": [b"https://app.example", b"https://app.example", b"https://x.apps.example", b"https://evil.example", b"null", b"no origin"],
    b"Sec-Fetch-Site": [b"cross-site", b"same-origin", b"same-site", b"none", b"new"],
    b"Sec-Fetch-Mode": [b"cors", b"navigate"],
    b"Access-Control-Request-Method": [b"PUT", b"patch", b"GET", b"TRACE"],
    b"Access-Control-Request-Headers": [b"x-a", b"content-type,x-a", b"x-c", b"\xff"],
    b"Access-Control-Request-Private-Network": [b"true", b"1"],
    b"Connection": [b"keep-alive", b"close", b"X-A", b"Host", b"keep-alive, x-request-id", b"TE"],
    b"Content-Length": [b"0", b"5", b"9", b"11", b"007", b"+1", b"", b"9" * 19],
    b"Transfer-Encoding": [b"chunked", b"gzip", b"Chunked"],
    b"TE": [b"trailers", b"gzip", b"trailers;q=1"],
    b"X-Request-Id": [b"their-id-1", b"their-id-2", b"short", b"corsproxy"],
    b"X_Request_Id": [b"their-id-3"],
    b"X-Correlation-Id": [b"their-id-4", b"corsproxy", b"no id"],
    b"X_Correlation_Id": [b"their-id-5"],
    b"traceparent": [
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-1af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00",
        b"x",
    ],
    b"X-Forwarded-For": [b"198.51.100.7", b"198.51.100.8, 10.0.0.9", b"nonsense"],
    b"X-Forwarded-Proto": [b"https", b"http"],
    b"X-Forwarded-Host": [b"public.example", b"api.example"],
    b"X-Forwarded-Prefix": [b"/p"],
    b"Forwarded": [b"for=198.51.100.9;proto=https;host=public.example", b"for=x;;"],
    b"X-Forwarded-User": [b"a", b"b"],
    b"X-Real-IP": [b"198.51.100.7"],
    b"Via": [b"1.1 other", b"1.1 corsproxy"],
    b"Expect": [b"100-continue", b"x"],
    b"Max-Forwards": [b"0", b"3"],
    b"Upgrade": [b"websocket", b"h2c"],
    b"Sec-WebSocket-Key": [b"dGhlIHNhbXBsZSBub25jZQ=="],
    b"Sec-WebSocket-Version": [b"13", b"8"],
    b"Cookie": [b"a=1", b"a=2"],
    b"Authorization": [b"Bearer 1", b"Bearer 2"],
    b"Accept": [b"text/html", b"application/json"],
    b"User-Agent": [b"ua-1", b"ua-2" * 40],
    b"X-A": [b"1", b"2"],
    b"X-B": [b"1", b"2"],
    b"Content_Length": [b"7"],
    b"Keep-Alive": [b"5"],
    b"Trailer": [b"X-T"],
    b"X-Corsproxy-Cut": [b"c7d1f0a94be8"],
}
METHODS = st.sampled_from([b"GET", b"GET", b"POST", b"OPTIONS", b"OPTIONS", b"HEAD", b"PUT", b"DELETE", b"TRACE", b"CONNECT", b"M-SEARCH"])
TARGETS = [
    b"/",
    b"/api",
    b"/api?x",
    b"/api/v2/items?q=%2e",
    b"/apis",
    b"/api/../x",
    b"/../x",
    b"/a%2fpi",
    b"/api//x",
    b"*",
    b"http://api.example/api",
    b"/x" * 120,
    b"/#",
]
ASKS = [(b"Origin", b"https://app.example"), (b"Access-Control-Request-Method", b"PUT")]


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[RequestHead, Connection, Fresh]]:
    """Requests that differ in little: of few names, few targets and few clients, so that one is often taken for another if it can be."""
    lines = st.lists(
        st.one_of([lines_of(name) for name in draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3))]), max_size=3
    )
    host = lines_of(b"Host").map(lambda line: [line])
    heads = st.builds(
        lambda method, target, minor, host, asks, lines: RequestHead(method, target, minor, [*host, *asks, *lines]),
        st.sampled_from(draw(st.lists(METHODS, min_size=1, max_size=2))),
        st.sampled_from(draw(st.lists(st.sampled_from(TARGETS), min_size=1, max_size=2))),
        st.sampled_from([1] * 12 + [0, 2, -1]),
        st.sampled_from(draw(st.lists(st.one_of(host, host, host, st.just([])), min_size=1, max_size=2))),
        st.sampled_from([[], ASKS[:1], ASKS]),
        lines,
    )
    connections = st.sampled_from(draw(st.lists(CONNECTIONS, min_size=1, max_size=2)))
    return draw(st.lists(st.tuples(heads, connections, FRESH), min_size=2, max_size=8))


def lines_of(name: bytes) -> st.SearchStrategy[FieldLine]:
    return st.tuples(st.sampled_from([name, name, name, name.lower(), name.upper()]), st.sampled_from(VALUES[name]))


# --- what holds -----------------------------------------------------------------------------------


def judge(chosen: Settings, asked: list[tuple[RequestHead, Connection, Fresh]]) -> None:
    """Ask everything so often that all of it is remembered that can be, each time among all the others."""
    expected = [plan_anew(chosen, *one) for one in asked]
    for _ in range(6):
        for one, right in zip(asked, expected, strict=True):
            planned = plan(chosen, *one)

            assert type(planned) is type(right)
            assert planned == right, one
            judge_by_lines(chosen, one, right)


def judge_by_lines(chosen: Settings, asked: tuple[RequestHead, Connection, Fresh], right: Plan) -> None:
    """Ask for the same as bytes: whatever is found is the same plan, of a request that the express lane would have taken."""
    (method, target, minor, lines), connection, fresh = asked
    raw = b"\r\n".join([b"%b %b HTTP/1.%d" % (method, target, minor), *(b"%b: %b" % line for line in lines)])
    heads = PlainHeads()
    heads.max_bytes, heads.max_lines = chosen.limits.request_head, chosen.limits.header_count
    found = layouts_of(chosen, heads.judge).find(raw, connection)
    if found is None:
        return
    whole = heads.read(raw + b"\r\n\r\n")
    assert whole == asked[0], raw
    assert found.plan(fresh) == right, raw
    assert (found.method, found.target, found.agent) == (method, target, heads.user_agent[:MAX_USER_AGENT])
    assert (found.recalled.length, False) == (heads.length, heads.is_chunked)


@pytest.mark.timeout(300)
@BOUNDED
@given(SETTINGS, requests())
def test_a_remembered_plan_is_the_one_that_is_made_anew(chosen: Settings, asked: list[tuple[RequestHead, Connection, Fresh]]) -> None:
    judge(chosen, asked)


# --- that memory has a part in it -----------------------------------------------------------------


def is_remembered(chosen: Settings, head: RequestHead, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell whether the fourth time is not planned anew."""
    anew: list[RequestHead] = []

    def counted(chosen: Settings, head: RequestHead, connection: Connection, fresh: Fresh) -> Plan:
        anew.append(head)
        return plan_anew(chosen, head, connection, fresh)

    monkeypatch.setattr("corsproxy.plan.plan_anew", counted)
    fresh = Fresh(b"fresh-id-1", b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7")
    for _ in range(3):
        plan(chosen, head, connection, fresh)
    anew.clear()
    plan(chosen, head, connection, fresh._replace(request_id=b"fresh-id-2"))
    return not anew


def route_of(cors: CorsPolicy | CorsMode = POLICY, rules: HeaderRules = RULES[0], path: bytes = b"/", **upstream: Any) -> Route:
    return Route(path, replace(Upstream("http://up", "up", 80, b"up"), **upstream), cors, request_headers=rules)


HOST, APP = (b"Host", b"api.example"), (b"Origin", b"https://app.example")
BROWSER = [HOST, APP, (b"Connection", b"keep-alive"), (b"Sec-Fetch-Site", b"cross-site"), (b"Cookie", b"a=1"), (b"User-Agent", b"ua")]
COMMON: dict[str, tuple[Settings, bytes, Iterable[FieldLine], Connection]] = {
    "a GET": (Settings((route_of(),)), b"GET", [HOST], Connection(STRANGER)),
    "a browser's GET": (Settings((route_of(),)), b"GET", BROWSER, Connection(STRANGER)),
    "over TLS": (Settings((route_of(),)), b"GET", BROWSER, Connection(STRANGER, tls=True)),
    "a POST": (Settings((route_of(),)), b"POST", [*BROWSER, (b"Content-Length", b"12")], Connection(STRANGER)),
    "a GET with a body": (Settings((route_of(),)), b"GET", [*BROWSER, (b"Content-Length", b"12")], Connection(STRANGER)),
    "to a path of the upstream": (
        Settings((replace(route_of(), upstream=Upstream("http://up/v1", "up", 80, b"up", b"/v1")),)),
        b"GET",
        BROWSER,
        Connection(STRANGER),
    ),
    "an upload in chunks": (Settings((route_of(),)), b"PUT", [*BROWSER, (b"Transfer-Encoding", b"chunked")], Connection(STRANGER)),
    "with an id and a trace": (
        Settings((route_of(),)),
        b"GET",
        [*BROWSER, (b"X-Request-Id", b"their-id-1"), (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
        Connection(STRANGER),
    ),
    "a trace begins": (Settings((route_of(),), forwarding=ForwardingSettings(begins_trace=True)), b"GET", BROWSER, Connection(STRANGER)),
    "an id that may not be taken over": (Settings((route_of(),)), b"GET", [*BROWSER, (b"X-Request-Id", b"no id")], Connection(STRANGER)),
    "another field for the id": (
        Settings((route_of(),), forwarding=ForwardingSettings(request_id_header=b"X-Correlation-Id")),
        b"GET",
        [*BROWSER, (b"X-Correlation-Id", b"their-id-1")],
        Connection(STRANGER),
    ),
    "behind a trusted proxy": (
        Settings((route_of(),), forwarding=ForwardingSettings(trusted=(parse_network("10.0.0.0/8") or "",))),
        b"GET",
        [*BROWSER, (b"X-Forwarded-For", b"198.51.100.7"), (b"X-Forwarded-Proto", b"https")],
        Connection(TRUSTED),
    ),
    "with header rules": (Settings((route_of(rules=RULES[1]),)), b"GET", BROWSER, Connection(STRANGER)),
    "without Origin upstream": (Settings((route_of(origin_header=OriginHeader.REMOVE),)), b"GET", BROWSER, Connection(STRANGER)),
    "under CORS of the upstream's own": (Settings((route_of(CorsMode.PASSTHROUGH),)), b"GET", BROWSER, Connection(STRANGER)),
    "among several routes": (Settings((route_of(path=b"/api"), route_of(path=b"/b"), route_of())), b"GET", BROWSER, Connection(STRANGER)),
    "a preflight": (
        Settings((route_of(),)),
        b"OPTIONS",
        [HOST, APP, (b"Access-Control-Request-Method", b"PUT"), (b"Access-Control-Request-Headers", b"x-a")],
        Connection(STRANGER),
    ),
}


@pytest.mark.parametrize("case", COMMON)
def test_what_is_common_is_remembered(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, method, lines, connection = COMMON[case]

    assert is_remembered(chosen, RequestHead(method, b"/api/items?page=1", 1, list(lines)), connection, monkeypatch)


@pytest.mark.parametrize("case", sorted(COMMON.keys() - {"an upload in chunks"}))
def test_what_is_common_is_known_by_its_lines(case: str) -> None:
    chosen, method, lines, connection = COMMON[case]
    fresh = Fresh(b"fresh-id-1", b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7")
    head = RequestHead(method, b"/api/items?page=1", 1, list(lines))
    judge(chosen, [(head, connection, fresh)])
    another = head._replace(target=b"/api/items/2", lines=[*head.lines, (b"X-Unique", b"7")])
    judge(chosen, [(another, connection, fresh)])
    raw = b"\r\n".join([b"%b /api/items/3 HTTP/1.1" % method, *(b"%b: %b" % line for line in head.lines), b"X-Unique: 8"])

    assert layouts_of(chosen, PlainHeads().judge).find(raw, connection) is not None


@pytest.mark.parametrize("case", COMMON)
def test_whatever_else_is_said_is_not_taken_for_the_same(case: str) -> None:
    """Every line beside or in the place of every other, every method, target, client and id: all in one memory."""
    chosen, method, lines, connection = COMMON[case]
    chosen = replace(
        chosen, tls=ServerTls("c", "k", "ca", requires_client_certificate=True), limits=Limits(request_head=1500, header_count=9)
    )
    fresh = Fresh(b"fresh-id-1", b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7")
    sure = Connection(connection.peer, tls=connection.tls, has_certificate=True)
    head = RequestHead(method, b"/api/items?page=1", 1, list(lines))
    others = [(name, value) for name, values in VALUES.items() for value in values]
    heads = [
        *(head._replace(lines=[*lines, line]) for line in others),
        *(head._replace(lines=[line, *lines]) for line in others),
        *(head._replace(lines=[*(each for each in lines if each[0] != line[0]), line]) for line in others),
        *(head._replace(lines=[each for each in lines if each != line]) for line in lines),
        *(head._replace(lines=[*lines, *[(b"X-A", b"1" * 100)] * times]) for times in range(20)),
        *(head._replace(method=other) for other in (b"GET", b"HEAD", b"POST", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"get")),
        *(head._replace(target=other) for other in TARGETS),
        *(head._replace(minor=other) for other in (0, 2, -1)),
    ]
    peers = [
        Connection(peer, tls, has) for peer in (STRANGER, "192.0.2.2", TRUSTED, "unix") for tls in (False, True) for has in (False, True)
    ]
    ids = [fresh._replace(request_id=b"x"), fresh._replace(trace_id=b"5bf92f3577b34da6a3ce929d0e0e4736", parent_id=b"10f067aa0ba902b7")]
    judge(
        chosen, [*((each, sure, fresh) for each in heads), *((head, peer, fresh) for peer in peers), *((head, sure, each) for each in ids)]
    )


def test_a_forward_and_a_preflight_are_among_what_is_compared() -> None:
    """The properties above would hold of refusals alone."""
    found = [
        plan_anew(chosen, RequestHead(method, b"/", 1, list(lines)), connection, Fresh(b"x", b"y", b"z"))
        for chosen, method, lines, connection in COMMON.values()
    ]

    assert {type(each) for each in found} == {Forward, Answer}
