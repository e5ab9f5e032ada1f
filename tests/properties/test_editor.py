"""A response head that is edited in one walk is the one that is edited line by line."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corsproxy import edits
from corsproxy.answers import Context, Exchange
from corsproxy.config.choices import CorsMode, Redirects
from corsproxy.config.settings import Route
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.decide import Facts, decide, decide_without_cors
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, build_policy
from corsproxy.gateway.judge import response_judge
from corsproxy.semantics.cookies import CookieRules
from corsproxy.semantics.fields import FieldLine, ResponseHead
from corsproxy.semantics.framing import HEAD_END as END
from corsproxy.semantics.rules import compile_rules

BOUNDED = settings(deadline=None)
LINES = response_judge()
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
APP = "https://app.example"


def policy_of(draft: PolicyDraft) -> CorsPolicy:
    policy, faults = build_policy(draft)
    assert policy is not None, faults
    return policy


CORS: list[CorsPolicy | CorsMode] = [
    policy_of(PolicyDraft((APP,), allow_credentials=True, expose_headers=("X-B", "ETag"))),
    policy_of(PolicyDraft((APP,), timing_allow_origin=True, resource_policy="cross-origin", enforce=False)),
    policy_of(PolicyDraft((APP,), allow_credentials=True, expose_headers=(ANY,))),
    policy_of(PolicyDraft((ANY,), expose_headers=(ANY,), timing_allow_origin=True)),
    CorsMode.NONE,
    CorsMode.PASSTHROUGH,
]
RULES = [
    compile_rules(),
    compile_rules(),
    compile_rules([b"X-B"], [(b"X-Set", b"1"), (b"Cache-Control", b"no-store")], [(b"X-Add", b"2")]),
    compile_rules([b"Vary", b"Server"]),
    compile_rules([b"Date"]),
    compile_rules([b"Set-Cookie", b"Location"]),
    compile_rules([], [(b"Vary", b"X-Set")]),
    compile_rules([], [(b"Set-Cookie", b"a=1"), (b"Timing-Allow-Origin", b"*")]),
    compile_rules([], [(b"X-Request-Id", b"ours")]),
]
VALUES: dict[bytes, list[bytes]] = {
    b"Content-Length": [b"0", b"5", b"007", b"+1", b"", b"9" * 19],
    b"Transfer-Encoding": [b"chunked", b"gzip", b"Chunked"],
    b"Connection": [b"keep-alive", b"close", b"Close", b"X-B", b"content-length", b"upgrade", b"keep-alive, close"],
    b"Date": [DATE, b"x"],
    b"Vary": [b"Accept-Encoding", b"Origin", b"accept,  origin", b"*", b"", b"x" * 300],
    b"Set-Cookie": [b"a=1; Path=/v1/x; Secure; SameSite=None", b"b=2; SameSite=Lax", b"__Host-c=3", b"=;"],
    b"Location": [b"http://up/v1/x", b"/v1/y", b"https://other.example/"],
    b"Content-Location": [b"/v1/z"],
    b"Refresh": [b"0; url=/v1/z"],
    b"Trailer": [b"X-T"],
    b"Keep-Alive": [b"timeout=5"],
    b"Upgrade": [b"h2c"],
    b"Access-Control-Allow-Origin": [b"*"],
    b"Access-Control-Expose-Headers": [b"X-B"],
    b"Timing-Allow-Origin": [b"*"],
    b"Cross-Origin-Resource-Policy": [b"same-origin"],
    b"X-Request-Id": [b"theirs"],
    b"X-Correlation-Id": [b"theirs"],
    b"Proxy-Authenticate": [b"Basic"],
    b"Sec-WebSocket-Accept": [b"x"],
    b"Server": [b"s/1"],
    b"ETag": [b'"1"'],
    b"X-B": [b"1", b"2"],
    b"x_b": [b"3"],
}


def lines_of(name: bytes) -> st.SearchStrategy[FieldLine]:
    return st.tuples(st.sampled_from([name, name, name.lower(), name.upper()]), st.sampled_from(VALUES[name]))


@st.composite
def exchanges(draw: st.DrawFn) -> list[tuple[Context, ResponseHead]]:
    """Responses on one route, of few names."""
    cors = draw(st.sampled_from(CORS))
    upstream = Upstream("http://up", "up", 80, b"up", draw(st.sampled_from([b"", b"/v1"])))
    route = Route(
        b"/",
        upstream,
        cors,
        response_headers=draw(st.sampled_from(RULES)),
        cookies=draw(st.sampled_from([CookieRules(), CookieRules(same_site=b"None", domain=b"")])),
        redirects=draw(st.sampled_from(list(Redirects))),
    )
    facts = st.sampled_from(
        [Facts(b"GET", (APP.encode(),)), Facts(b"GET"), Facts(b"GET", (b"https://evil.example",)), Facts(b"GET", (b"x",))]
    )
    exchange = st.builds(
        lambda name, header, public: Exchange(name, header, authority=b"api.example", public=public, is_secure=True, is_cross_site=True),
        st.sampled_from([b"id-1", b"id-2", b"id-3", b""]),
        st.sampled_from([b"X-Request-Id", b"X-Request-Id", b"X-Correlation-Id", b"Date", b"Vary", b"Connection"]),
        st.sampled_from([b"", b"https://api.example"]),
    )
    contexts = st.builds(
        lambda method, minor, persistent, facts, trailers, exchange: Context(
            method,
            minor,
            persistent,
            route,
            cors,
            decide(cors, facts) if isinstance(cors, CorsPolicy) else decide_without_cors(facts),
            trailers,
            exchange,
            b"up",
        ),
        st.sampled_from([b"GET", b"GET", b"HEAD"]),
        st.sampled_from([1, 1, 1, 0]),
        st.booleans(),
        facts,
        st.booleans(),
        exchange,
    )
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    heads = st.builds(
        ResponseHead,
        st.sampled_from([200, 200, 200, 204, 206, 302, 304, 404, 503, 199, 600]),
        st.sampled_from([b"OK", b"", b"a\x00b", b"x" * 300]),
        st.sampled_from([1, 1, 1, 1, 0, 2]),
        st.lists(st.one_of([lines_of(name) for name in names]), max_size=5),
    )
    known = draw(st.lists(contexts, min_size=1, max_size=3))
    return draw(st.lists(st.tuples(st.sampled_from(known), heads), min_size=1, max_size=8))


def judge(context: Context, head: ResponseHead) -> None:
    received, right = edits.receive(context, head), edits.receive_anew(context, head)

    assert received == right
    recalled = recalled_by_lines(context, head)
    assert recalled is None or recalled == right
    if isinstance(received, edits.Received) and isinstance(right, edits.Received):
        for close in (False, True):
            assert edits.render(context, received, DATE, close=close) == edits.render(context, right, DATE, close=close)


def recalled_by_lines(context: Context, head: ResponseHead) -> edits.Received | None:
    """Edit the same as bytes."""
    raw = b"\r\n".join([b"HTTP/1.%d %d %b" % (head.minor, head.status, head.reason), *(b"%b: %b" % line for line in head.lines), END[2:]])
    alike = edits.alike(context)
    recalled = alike.recall(raw, len(raw), LINES) if alike is not None else None
    if recalled is None:
        return None
    prepared, size = recalled
    assert size == len(raw)
    return prepared.received(context.exchange.request_id)


@BOUNDED
@given(exchanges())
def test_one_walk_says_what_is_said_line_by_line(asked: list[tuple[Context, ResponseHead]]) -> None:
    for context, head in asked * 4:
        judge(context, head)


# --- that the walk has a part in it ---------------------------------------------------------------


GRANTED = decide(CORS[0], Facts(b"GET", (APP.encode(),))) if isinstance(CORS[0], CorsPolicy) else None
ROUTE = Route(b"/", Upstream("http://up", "up", 80, b"up"), CORS[0])
CONTEXT = Context(b"GET", 1, persistent=True, route=ROUTE, cors=CORS[0], decision=GRANTED, exchange=Exchange(b"id-1"), sent_host=b"up")
JSON = [
    (b"Server", b"s/1"),
    (b"Date", DATE),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"5"),
    (b"Connection", b"keep-alive"),
]
COMMON: dict[str, tuple[Context, int, list[FieldLine]]] = {
    "JSON": (CONTEXT, 200, JSON),
    "in chunks": (CONTEXT, 200, [*JSON[:3], (b"Transfer-Encoding", b"chunked")]),
    "until the end": (CONTEXT, 200, JSON[:3]),
    "not modified": (CONTEXT, 304, JSON[:2]),
    "of HEAD": (replace(CONTEXT, method=b"HEAD"), 200, JSON),
    "with Vary": (CONTEXT, 200, [*JSON, (b"Vary", b"Accept-Encoding")]),
    "with CORS fields of its own": (CONTEXT, 200, [*JSON, (b"Access-Control-Allow-Origin", b"*")]),
    "with cookies": (CONTEXT, 200, [*JSON, (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2; SameSite=None")]),
    "with rules": (replace(CONTEXT, route=replace(ROUTE, response_headers=RULES[2])), 200, [*JSON, (b"X-B", b"1")]),
    "an error": (CONTEXT, 404, JSON),
    "a close": (CONTEXT, 200, [*JSON[:4], (b"Connection", b"close")]),
}


@pytest.mark.parametrize("case", COMMON)
def test_what_is_common_is_done_in_one_walk(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    context, status, lines = COMMON[case]
    head = ResponseHead(status, b"OK", 1, lines)
    right = edits.receive_anew(context, head)
    monkeypatch.setattr(edits, "receive_anew", None)

    assert edits.receive(context, head) == right


@pytest.mark.parametrize("case", sorted(COMMON.keys() - {"with cookies"}))
def test_what_is_common_is_known_by_its_lines(case: str) -> None:
    context, status, lines = COMMON[case]
    for number in range(4):
        judge(context, ResponseHead(status, b"OK", 1, [*lines, (b"X-Unique", b"%d" % number)]))

    assert recalled_by_lines(context, ResponseHead(status, b"OK", 1, [*lines, (b"X-Unique", b"new")])) is not None


def test_other_clients_get_what_is_written_line_by_line() -> None:
    """Of another version, under another policy that made the same decision, named in a field that means something else."""
    others = [
        replace(CONTEXT, minor=0),
        replace(CONTEXT, exchange=Exchange(b"id-1", b"Date")),
        replace(CONTEXT, exchange=Exchange(b"id-1", b"Vary")),
        replace(CONTEXT, exchange=Exchange(b"id-1", b"Connection")),
        *(replace(CONTEXT, cors=cors, route=replace(ROUTE, cors=cors)) for cors in CORS),
        CONTEXT,
    ]
    for context in others:
        for _, status, lines in COMMON.values():
            judge(context, ResponseHead(status, b"OK", 1, lines))


@pytest.mark.parametrize("case", COMMON)
def test_whatever_else_is_said_is_edited_all_the_same(case: str) -> None:
    """Every line beside, before and in the place of every other."""
    context, status, lines = COMMON[case]
    for name, values in VALUES.items():
        for value in values:
            for spelled in (name, name.lower()):
                line = (spelled, value)
                for some in ([*lines, line], [line, *lines], [*lines, line, line], [*(each for each in lines if each[0] != name), line]):
                    judge(context, ResponseHead(status, b"OK", 1, some))
