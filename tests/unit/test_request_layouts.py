"""Requests by their lines: which are known, which never, and how much is kept. That what is found is right is for tests/properties."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network

import pytest

from corsproxy.answers import Answer
from corsproxy.config.choices import OriginHeader
from corsproxy.config.rates import Rate, RateLimit
from corsproxy.config.settings import ForwardingSettings, Limits, Route, RouteLimits, Settings
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.policy import ANY, PolicyDraft, build_policy
from corsproxy.forward import Forward
from corsproxy.gateway.plain import PlainHeads
from corsproxy.known import KnownAnswer
from corsproxy.meanings import MAX_LINES, MAX_MEANINGS
from corsproxy.plan import Connection, Found, layouts_of, plan
from corsproxy.request_layouts import MAX_FORMS, MAX_LAYOUTS, RequestLayouts
from corsproxy.semantics.fields import RequestHead
from corsproxy.semantics.rules import compile_rules
from tests.unit.planned import CLIENT, FRESH
from tests.unit.test_meanings import Watched

POLICY, _ = build_policy(PolicyDraft((ANY,)))
assert POLICY is not None
ROUTE = Route(b"/", Upstream("http://up", "up", 80, b"up"), POLICY, limits=RouteLimits(10))
SETTINGS = Settings((ROUTE,))
PROXY = Connection("10.0.0.1")
TRUSTING = ForwardingSettings(trusted=(ip_network("10.0.0.0/8"),))
JUDGE = PlainHeads().judge

HOST = b"Host: api.example"
APP = b"Origin: https://app.example"
PARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def chosen() -> Settings:
    return replace(SETTINGS)


def raw_of(*lines: bytes, start: bytes = b"GET /a HTTP/1.1") -> bytes:
    """A head without its last two line ends."""
    return b"\r\n".join((start, *lines))


def layouts(chosen: Settings) -> RequestLayouts:
    return layouts_of(chosen, JUDGE)


def find(chosen: Settings, raw: bytes, client: Connection = CLIENT) -> Found | None:
    return layouts(chosen).find(raw, client)


def decide(chosen: Settings, raw: bytes, client: Connection = CLIENT) -> None:
    """Let it be planned often enough that the decision is kept."""
    start, *lines = raw.split(b"\r\n")
    method, target, version = start.split(b" ")
    head = RequestHead(method, target, 1 if version == b"HTTP/1.1" else 0, [(name, value) for name, _, value in map(cut, lines)])
    for _ in range(4):
        plan(chosen, head, client, FRESH)


def cut(line: bytes) -> Sequence[bytes]:
    name, colon, value = line.partition(b":")
    return name, colon, value.strip(b" \t")


def learn(chosen: Settings, raw: bytes, client: Connection = CLIENT) -> Found | None:
    """Let whatever can be known be known, and ask for it."""
    decide(chosen, raw, client)
    for _ in range(3):
        find(chosen, raw, client)
    return find(chosen, raw, client)


def forwarded(found: Found | None) -> bytes:
    """The head that goes upstream, under a fresh id."""
    assert found is not None
    planned = found.plan(FRESH)
    assert isinstance(planned, Forward)
    return planned.head


# --- what is known ---


def test_a_head_is_known_when_its_decision_and_its_layout_are(chosen: Settings) -> None:
    raw = raw_of(HOST, APP)
    assert [find(chosen, raw) for _ in range(4)] == [None] * 4
    decide(chosen, raw)
    found = find(chosen, raw)

    assert found is not None
    assert (found.method, found.target, found.agent) == (b"GET", b"/a", b"")


def test_a_layout_is_made_at_its_second_sight(chosen: Settings) -> None:
    raw = raw_of(HOST, APP)
    decide(chosen, raw)

    assert find(chosen, raw) is None
    assert len(layouts(chosen)._layouts) == 0
    assert find(chosen, raw) is not None
    assert len(layouts(chosen)._layouts) == 1


def test_what_goes_upstream_is_what_would_be_planned(chosen: Settings) -> None:
    head = forwarded(learn(chosen, raw_of(HOST, b"user-agent: ua", APP, b"X-A: 1")))

    assert head == (
        b"GET /a HTTP/1.1\r\nHost: up\r\nuser-agent: ua\r\nOrigin: https://app.example\r\nX-A: 1\r\nX-Forwarded-For: 192.0.2.1\r\n"
        b"X-Forwarded-Proto: http\r\nX-Forwarded-Host: api.example\r\nX-Forwarded-Port: 80\r\nX-Request-Id: fresh-request-id\r\n"
        b"Via: 1.1 corsproxy\r\n\r\n"
    )


def test_other_targets_and_lines_that_pass_need_nothing_new(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, APP, b"X-A: 1"))
    found = find(chosen, raw_of(HOST, APP, b"X-B: 2", start=b"GET /b?c HTTP/1.1"))

    assert found is not None
    assert found.target == b"/b?c"
    assert b"\r\nX-B: 2\r\n" in forwarded(found)
    assert b"X-A" not in forwarded(found)


@pytest.mark.parametrize("line", [b"User-Agent: ua/1", b"user-agent: ua/1", b"USER-AGENT: ua/1"])
def test_the_user_agent_is_told(chosen: Settings, line: bytes) -> None:
    found = learn(chosen, raw_of(HOST, b"X: 1", line))

    assert found is not None
    assert found.agent == b"ua/1"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
def test_each_common_method_is_known(chosen: Settings, method: bytes) -> None:
    found = learn(chosen, raw_of(HOST, start=method + b" / HTTP/1.1"))

    assert found is not None
    assert forwarded(found).startswith(method + b" / HTTP/1.1\r\n")


def test_another_method_is_another_decision(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, APP))

    assert find(chosen, raw_of(HOST, APP, start=b"DELETE /a HTTP/1.1")) is None


def test_a_preflight_is_known(chosen: Settings) -> None:
    found = learn(chosen, raw_of(HOST, APP, b"Access-Control-Request-Method: PUT", start=b"OPTIONS / HTTP/1.1"))

    assert found is not None
    assert isinstance(found.recalled.known, KnownAnswer)
    assert isinstance(found.plan(FRESH), Answer)


@pytest.mark.parametrize("other", [b"Origin: https://other.example", b"origin: null", b"Origin: no origin"])
def test_another_value_of_what_is_read_is_another_decision(chosen: Settings, other: bytes) -> None:
    learn(chosen, raw_of(HOST, APP))
    for _ in range(4):
        assert find(chosen, raw_of(HOST, other)) is None


def test_another_host_is_another_site(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, APP))
    for _ in range(4):
        assert find(chosen, raw_of(b"Host: other.example", APP)) is None


def test_another_client_is_told_of_as_itself(chosen: Settings) -> None:
    raw, other = raw_of(HOST, APP), Connection("192.0.2.2")
    learn(chosen, raw)
    assert find(chosen, raw, other) is None
    decide(chosen, raw, other)

    assert b"\r\nX-Forwarded-For: 192.0.2.2\r\n" in forwarded(find(chosen, raw, other))
    assert b"\r\nX-Forwarded-For: 192.0.2.1\r\n" in forwarded(find(chosen, raw))


def test_other_settings_know_nothing(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, APP))

    assert find(replace(chosen), raw_of(HOST, APP)) is None


# --- what a parser has to see ---


def test_a_plain_value_of_what_passes_needs_no_parser(chosen: Settings) -> None:
    judge = Watched()
    own = layouts_of(chosen, judge)
    decide(chosen, raw_of(HOST, b"X-A: 0"))
    found = [own.find(raw_of(HOST, b"X-A: %d" % number), CLIENT) for number in range(4)]

    assert judge.asked == [HOST, b"X-A: 0", HOST]
    assert found[0] is None
    for number in range(1, 4):
        assert b"\r\nX-A: %d\r\n" % number in forwarded(found[number])


@pytest.mark.parametrize("name", [b"Connection", b"connection"])
def test_what_a_parser_reads_is_always_judged(chosen: Settings, name: bytes) -> None:
    judge = Watched()
    own = layouts_of(chosen, judge)
    lines = [b"%b: a%d" % (name, number) for number in range(4)]
    for line in lines:
        assert own.find(raw_of(HOST, line), CLIENT) is None

    assert [line for line in judge.asked if line != HOST] == lines


@pytest.mark.parametrize("name", [b"Proxy-Connection", b"Upgrade", b"Expect", b"Transfer-Encoding", b"Sec-WebSocket-Key1"])
def test_what_is_in_doubt_is_never_waved_through(chosen: Settings, name: bytes) -> None:
    own = layouts(chosen)
    for number in range(4):
        learn(chosen, raw_of(HOST, b"%b: a%d" % (name, number)))

    assert name not in own._strangers._names.young
    assert find(chosen, raw_of(HOST, name + b": a9")) is None


@pytest.mark.parametrize("line", [b"X-A: a\tb", b"X-A: caf\xe9", b"X-A: "])
def test_a_value_that_is_not_plain_is_judged_and_known(chosen: Settings, line: bytes) -> None:
    judge = Watched()
    own = layouts_of(chosen, judge)
    decide(chosen, raw_of(HOST))
    for number in range(3):
        own.find(raw_of(HOST, b"X-A: %d" % number), CLIENT)
    judge.asked.clear()

    assert b"\r\n" + line + b"\r\n" in forwarded(own.find(raw_of(HOST, line), CLIENT))
    assert judge.asked == [line]


# --- what never is ---


DOUBTFUL = {
    "no-host": [b"X: 1"],
    "two-hosts": [HOST, HOST],
    "two-spellings-of-host": [HOST, b"host: api.example"],
    "two-lengths": [HOST, b"Content-Length: 1", b"Content-Length: 1"],
    "two-spellings-of-length": [HOST, b"Content-Length: 1", b"content-length: 1"],
    "chunks": [HOST, b"Transfer-Encoding: chunked"],
    "chunks-in-other-letters": [HOST, b"tRANSFER-eNCODING: chunked"],
    "another-coding": [HOST, b"Transfer-Encoding: gzip"],
    "length-and-coding": [HOST, b"Content-Length: 1", b"Transfer-Encoding: chunked"],
    "upgrade": [HOST, b"Upgrade: h2c"],
    "expect": [HOST, b"Expect: 100-continue"],
    "proxy-connection": [HOST, b"Proxy-Connection: close"],
    "max-forwards": [HOST, b"Max-Forwards: 1"],
    "draft-of-websocket": [HOST, b"Sec-WebSocket-Key1: 1"],
    "websocket": [HOST, b"Sec-WebSocket-Version: 13"],
    "two-agents": [HOST, b"User-Agent: a", b"user-agent: b"],
    "two-types": [HOST, b"Content-Type: a/b", b"Content-Type: a/b"],
    "two-tags": [HOST, b"ETag: a", b"etag: b"],
    "two-ids": [HOST, b"X-Request-Id: their-id-1", b"X-Request-Id: their-id-1"],
    "two-parents": [HOST, PARENT, PARENT],
    "two-accepts": [HOST, b"Accept: a/b", b"Accept: a/c"],
    "long-accept": [HOST, b"Accept: " + b"a" * 1100],
    "connection-names-a-field": [HOST, b"Connection: X-A", b"X-A: 1"],
    "connection-in-two": [HOST, b"Connection: keep-alive, close"],
    "te-with-a-weight": [HOST, b"TE: trailers;q=1"],
    "no-space": [HOST, b"Name:value"],
    "two-spaces": [HOST, b"Name:  value"],
    "trailing-space": [HOST, b"Name: value "],
    "trailing-tab": [HOST, b"Name: value\t"],
    "host-without-space": [b"Host:api.example"],
    "host-and-space": [b"Host: api.example "],
    "bare-cr": [HOST, b"Name: va\rlue"],
    "bare-lf": [HOST, b"Name: va\nlue"],
    "host-behind-lf": [b"X: 1\nHost: api.example"],
    "two-hosts-behind-lf": [HOST, b"X: 1\nHost: other.example"],
    "nul": [HOST, b"Name: va\0lue"],
    "folded": [HOST, b" folded"],
    "folded-first": [b" folded", HOST],
    "folded-by-tab": [HOST, b"X: 1", b"\tfolded"],
    "no-name": [HOST, b": value"],
    "no-colon": [HOST, b"value"],
    "empty-line": [HOST, b"", b"X: 1"],
    "empty-line-first": [b"", HOST],
    "signed-length": [HOST, b"Content-Length: +1"],
    "zeros-before-a-length": [HOST, b"Content-Length: 007"],
    "no-length": [HOST, b"Content-Length: "],
    "length-in-a-list": [HOST, b"Content-Length: 1, 1"],
    "length-over-the-limit": [HOST, b"Content-Length: 11"],
}


@pytest.mark.parametrize("lines", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_doubtful_head_is_never_known(chosen: Settings, lines: list[bytes]) -> None:
    learn(chosen, raw_of(HOST))
    for _ in range(3):
        assert learn(chosen, raw_of(*lines)) is None
    assert find(chosen, raw_of(HOST)) is not None


STARTS = {
    "old": b"GET /a HTTP/1.0",
    "newer": b"GET /a HTTP/1.2",
    "two-zero": b"GET /a HTTP/2.0",
    "no-version": b"GET /a",
    "lower-version": b"GET /a http/1.1",
    "lower-method": b"get /a HTTP/1.1",
    "rare-method": b"TRACE /a HTTP/1.1",
    "made-up-method": b"BREW /a HTTP/1.1",
    "connect": b"CONNECT /a HTTP/1.1",
    "no-method": b" /a HTTP/1.1",
    "no-target": b"GET  HTTP/1.1",
    "two-spaces": b"GET  /a HTTP/1.1",
    "three-spaces": b"GET /a b HTTP/1.1",
    "tab": b"GET\t/a HTTP/1.1",
    "trailing-space": b"GET /a HTTP/1.1 ",
    "leading-space": b" GET /a HTTP/1.1",
    "fragment": b"GET /a#b HTTP/1.1",
    "high-byte": b"GET /caf\xe9 HTTP/1.1",
    "utf-8": b"GET /caf\xc3\xa9 HTTP/1.1",
    "del": b"GET /a\x7f HTTP/1.1",
    "control": b"GET /a\x01 HTTP/1.1",
    "nul": b"GET /a\0 HTTP/1.1",
    "cr": b"GET /a\r HTTP/1.1",
    "lf": b"GET /a HTTP/1.1\nX: 1",
    "target-and-lf": b"GET /a\n HTTP/1.1",
    "asterisk": b"OPTIONS * HTTP/1.1",
    "absolute": b"GET http://api.example/ HTTP/1.1",
    "authority": b"CONNECT api.example:80 HTTP/1.1",
    "relative": b"GET a HTTP/1.1",
    "query-alone": b"GET ?a HTTP/1.1",
    "nothing": b"",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_an_unusual_request_line_is_never_known(chosen: Settings, start: bytes) -> None:
    learn(chosen, raw_of(HOST))
    for _ in range(4):
        assert find(chosen, raw_of(HOST, start=start)) is None


def test_an_empty_line_before_the_request_is_never_known(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST))
    for _ in range(4):
        assert find(chosen, b"\r\n" + raw_of(HOST)) is None


def test_nothing_at_all_is_never_known(chosen: Settings) -> None:
    assert find(chosen, b"") is None


def test_a_path_with_two_readings_is_not_known_where_it_matters() -> None:
    chosen = replace(SETTINGS, routes=(replace(ROUTE, path=b"/a"), ROUTE))
    learn(chosen, raw_of(HOST))

    assert find(chosen, raw_of(HOST, start=b"GET /a/x HTTP/1.1")) is not None
    for target in (b"/a/../b", b"/a%2fb", b"/a//b", b"/%61"):
        assert find(chosen, raw_of(HOST, start=b"GET %b HTTP/1.1" % target)) is None


# --- limits ---


def test_a_head_is_known_up_to_the_limit_of_its_bytes() -> None:
    chosen = replace(SETTINGS, limits=Limits(request_head=1000, request_line=900))
    learn(chosen, raw_of(HOST, b"X: 1"))
    spent = len(raw_of(HOST, b"X: "))
    # The last line's end counts, and the empty line does not.
    assert find(chosen, raw_of(HOST, b"X: " + b"x" * (998 - spent))) is not None
    assert find(chosen, raw_of(HOST, b"X: " + b"x" * (999 - spent))) is None


def test_a_head_is_known_up_to_the_limit_of_its_lines() -> None:
    chosen = replace(SETTINGS, limits=Limits(header_count=5))
    decide(chosen, raw_of(HOST))

    assert learn(chosen, raw_of(HOST, *[b"X: 1"] * 4)) is not None
    assert learn(chosen, raw_of(HOST, *[b"X: 1"] * 5)) is None


def test_a_request_line_near_its_limit_is_counted_by_others() -> None:
    chosen = replace(SETTINGS, limits=Limits(request_line=200))
    learn(chosen, raw_of(HOST))
    most = layouts(chosen)._max_target

    assert len(b"GET  HTTP/1.1\r\n") + most <= 200
    assert find(chosen, raw_of(HOST, start=b"GET /%b HTTP/1.1" % (b"x" * (most - 1)))) is not None
    assert find(chosen, raw_of(HOST, start=b"GET /%b HTTP/1.1" % (b"x" * most))) is None


@pytest.mark.parametrize(("length", "is_known"), [(b"0", True), (b"10", True), (b"11", False), (b"9" * 18, False)])
def test_content_is_known_up_to_the_limit_of_its_bytes(chosen: Settings, length: bytes, *, is_known: bool) -> None:
    found = learn(chosen, raw_of(HOST, b"Content-Length: " + length, start=b"POST /a HTTP/1.1"))

    assert (found is not None) is is_known


# --- what is copied ---


def test_no_length_no_content_and_content_are_three_decisions(chosen: Settings) -> None:
    found = [
        learn(chosen, raw_of(HOST, *lines, start=b"POST /a HTTP/1.1"))
        for lines in ([], [b"Content-Length: 0"], [b"content-length: 5"], [b"Content-Length: 7"])
    ]

    assert [one.recalled.length for one in found if one is not None] == [0, 0, 5, 7]
    for one, end in zip(
        found, (b"corsproxy\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n", b"Length: 7\r\n\r\n"), strict=True
    ):
        assert forwarded(one).endswith(end)


def test_another_length_needs_nothing_new(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, b"Content-Length: 5", start=b"POST /a HTTP/1.1"))
    found = find(chosen, raw_of(HOST, b"Content-Length: 9", start=b"POST /a HTTP/1.1"))

    assert found is not None
    assert found.recalled.length == 9
    assert find(chosen, raw_of(HOST, b"Content-Length: 0", start=b"POST /a HTTP/1.1")) is None


def test_an_id_that_may_be_taken_over_is_that_of_each_request(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, b"X-Request-Id: their-id-1"))
    found = find(chosen, raw_of(HOST, b"X-Request-Id: their-id-2"))

    assert found is not None
    assert found.recalled.name == b"their-id-2"
    assert forwarded(found).count(b"\r\nX-Request-Id: their-id-2\r\n") == 1
    assert forwarded(found).lower().count(b"x-request-id") == 1


def test_an_id_that_may_not_be_taken_over_is_replaced(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, b"X-Request-Id: their-id-1"))
    assert find(chosen, raw_of(HOST, b"X-Request-Id: no id")) is None
    found = learn(chosen, raw_of(HOST, b"X-Request-Id: no id"))

    assert found is not None
    assert found.recalled.name == b""
    assert b"\r\nX-Request-Id: fresh-request-id\r\n" in forwarded(found)
    assert b"no id" not in forwarded(found)


def test_under_another_field_an_id_is_written_anew() -> None:
    chosen = replace(SETTINGS, forwarding=ForwardingSettings(request_id_header=b"X-Correlation-Id"))
    found = learn(chosen, raw_of(HOST, b"x-correlation-id: their-id-1", b"X_Correlation_Id: x"))

    assert forwarded(found).count(b"their-id-1") == 1
    assert b"\r\nX-Correlation-Id: their-id-1\r\n" in forwarded(found)
    assert b"X_Correlation_Id" not in forwarded(found)


def test_an_id_counts_for_nothing_where_none_is_trusted() -> None:
    chosen = replace(SETTINGS, forwarding=ForwardingSettings(trusts_request_id=False))
    found = learn(chosen, raw_of(HOST, b"X-Request-Id: their-id-1"))

    assert b"their-id-1" not in forwarded(found)
    assert b"\r\nX-Request-Id: fresh-request-id\r\n" in forwarded(found)


def test_the_trace_is_that_of_each_request(chosen: Settings) -> None:
    other = PARENT.replace(b"0af7651916cd43dd8448eb211c80319c", b"1af7651916cd43dd8448eb211c80319d")
    learn(chosen, raw_of(HOST, PARENT))
    found = find(chosen, raw_of(HOST, other))

    assert found is not None
    assert found.recalled.trace == b"1af7651916cd43dd8448eb211c80319d"
    assert b"\r\n" + other + b"\r\n" in forwarded(found)


def test_a_trace_that_is_none_passes_and_names_nothing(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, PARENT))
    found = find(chosen, raw_of(HOST, b"traceparent: x"))

    assert found is not None
    assert found.recalled.trace == b""
    assert b"\r\ntraceparent: x\r\n" in forwarded(found)


def test_a_trace_begins_only_where_none_came() -> None:
    chosen = replace(SETTINGS, forwarding=ForwardingSettings(begins_trace=True))
    without, within = learn(chosen, raw_of(HOST)), learn(chosen, raw_of(HOST, PARENT))

    assert without is not None
    assert within is not None
    assert (without.recalled.begins, within.recalled.begins) == (True, False)
    assert b"\r\ntraceparent: 00-%b-%b-01\r\n" % FRESH[1:] in forwarded(without)
    assert b"\r\n" + PARENT + b"\r\n" in forwarded(within)


# --- rules of routes ---


def test_what_a_route_takes_off_does_not_pass() -> None:
    rules = compile_rules([b"X-Debug", b"User-Agent", b"Cookie"], [(b"X-Set", b"1")])
    found = learn(
        replace(SETTINGS, routes=(replace(ROUTE, request_headers=rules),)), raw_of(HOST, b"x_debug: 1", b"User-Agent: ua", b"Cookie: a=1")
    )
    head = forwarded(found)

    assert found is not None
    assert found.agent == b"ua"
    for name in (b"debug", b"user-agent", b"cookie"):
        assert name not in head.lower()
    assert b"\r\nX-Set: 1\r\n" in head


def test_each_route_takes_off_its_own() -> None:
    table = (replace(ROUTE, path=b"/a", request_headers=compile_rules([b"X-A"])), replace(ROUTE, request_headers=compile_rules([b"X-B"])))
    chosen = replace(SETTINGS, routes=table)
    at_a, elsewhere = (learn(chosen, raw_of(HOST, b"X-A: 1", b"X-B: 2", start=b"GET %b HTTP/1.1" % target)) for target in (b"/a/x", b"/x"))

    assert (b"X-A: 1" in forwarded(at_a), b"X-B: 2" in forwarded(at_a)) == (False, True)
    assert (b"X-A: 1" in forwarded(elsewhere), b"X-B: 2" in forwarded(elsewhere)) == (True, False)


def test_origin_does_not_pass_where_a_route_takes_it_off() -> None:
    upstream = replace(ROUTE.upstream, origin_header=OriginHeader.REMOVE)
    found = learn(replace(SETTINGS, routes=(replace(ROUTE, upstream=upstream),)), raw_of(HOST, APP, b"X: 1"))

    assert b"Origin" not in forwarded(found)
    assert b"\r\nX: 1\r\n" in forwarded(found)


def test_a_prefix_is_taken_off() -> None:
    chosen = replace(SETTINGS, routes=(replace(ROUTE, path=b"/api", strip_prefix=True), ROUTE))
    learn(chosen, raw_of(HOST, start=b"GET /api/x HTTP/1.1"))

    for target, rest in ((b"/api/y?z", b"/y?z"), (b"/api", b"/"), (b"/api?z", b"/?z")):
        assert forwarded(find(chosen, raw_of(HOST, start=b"GET %b HTTP/1.1" % target))).startswith(b"GET %b HTTP/1.1\r\n" % rest)
    assert find(chosen, raw_of(HOST, start=b"GET /apis HTTP/1.1")) is None


# --- trusted proxies ---


def test_a_trusted_proxy_tells_of_each_client() -> None:
    chosen = replace(SETTINGS, forwarding=TRUSTING)
    raws = [raw_of(HOST, b"X-Forwarded-For: 198.51.100.%d" % number, b"x-forwarded-proto: https") for number in (7, 8)]
    found = [learn(chosen, raw, PROXY) for raw in raws]

    assert [one.recalled.client.text for one in found if one is not None] == ["198.51.100.7", "198.51.100.8"]
    assert b"\r\nX-Forwarded-For: 198.51.100.7, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n" in forwarded(found[0])
    assert b"\r\nX-Forwarded-For: 198.51.100.8, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n" in forwarded(found[1])


def test_a_stranger_tells_nothing_of_others() -> None:
    chosen = replace(SETTINGS, forwarding=TRUSTING)
    raw = raw_of(HOST, b"X-Forwarded-For: 198.51.100.7")
    learn(chosen, raw, PROXY)
    found = learn(chosen, raw)

    assert found is not None
    assert found.recalled.client.text == "192.0.2.1"
    assert b"198.51.100.7" not in forwarded(found)


# --- rate limits ---


def test_each_client_is_counted_by_its_own_key() -> None:
    chosen = replace(SETTINGS, rate_limit=RateLimit(Rate(5, 1), 5))
    found = [learn(chosen, raw_of(HOST), Connection(peer)) for peer in ("192.0.2.1", "192.0.2.2")]
    keys = [one.plan(FRESH).context.exchange.rate_key for one in found if one is not None]

    assert len(set(keys)) == 2
    assert b"" not in keys


def test_nothing_is_known_where_a_field_is_counted() -> None:
    chosen = replace(SETTINGS, rate_limit=RateLimit(Rate(5, 1), 5, b"x-api-key"))

    assert learn(chosen, raw_of(HOST, b"X-Api-Key: 1")) is None


# --- what bounds it ---


def kept(chosen: Settings) -> dict[str, int]:
    """What is kept, by what it is."""
    own = layouts(chosen)
    return {
        "lines": len(own._strangers.lines) + len(own._trusted.lines),
        "names": len(own._strangers._names) + len(own._trusted._names),
        "kinds": len(own._strangers._kinds) + len(own._trusted._kinds),
        "layouts": len(own._layouts),
        "forms": max((len(layout.forms) for layout in own._layouts.young.values()), default=0),
    }


def test_made_up_targets_are_kept_nowhere(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, APP))
    before = kept(chosen)
    for number in range(2000):
        assert find(chosen, raw_of(HOST, APP, start=b"GET /%d?%d HTTP/1.1" % (number, number))) is not None

    assert kept(chosen) == before == {"lines": 2, "names": 0, "kinds": 2, "layouts": 1, "forms": 1}


def test_made_up_methods_are_kept_nowhere(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, APP))
    before = kept(chosen)
    for number in range(2000):
        assert find(chosen, raw_of(HOST, APP, start=b"M%d /a HTTP/1.1" % number)) is None

    assert kept(chosen) == before


def test_made_up_values_of_what_passes_are_kept_at_their_second_sight(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, b"Cookie: a=0"))
    for number in range(2 * MAX_LINES):
        assert find(chosen, raw_of(HOST, b"Cookie: b=%d" % number)) is not None
    assert kept(chosen)["lines"] == 2
    for number in range(3 * MAX_LINES):
        for _ in range(2):
            find(chosen, raw_of(HOST, b"Cookie: c=%d" % number))
        assert kept(chosen)["lines"] <= 2 * MAX_LINES
    assert kept(chosen)["layouts"] == 1


def test_made_up_origins_and_hosts_do_not_make_memory_grow(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, APP))
    for number in range(3 * MAX_MEANINGS):
        for _ in range(3):
            find(chosen, raw_of(b"Host: h%d.example" % number, b"Origin: https://o%d.example" % number))
        now = kept(chosen)
        assert now["lines"] <= 2 * MAX_LINES
        assert now["kinds"] <= 2 * MAX_MEANINGS
        assert now["layouts"] <= 2 * MAX_LAYOUTS
    # Nothing of it was ever decided, so nothing of it is known.
    assert kept(chosen)["forms"] <= 1


def test_made_up_names_do_not_make_memory_grow(chosen: Settings) -> None:
    learn(chosen, raw_of(HOST, APP))
    for number in range(3 * MAX_MEANINGS):
        assert find(chosen, raw_of(HOST, APP, b"X-%d: 1" % number)) is not None or number < 2
        assert kept(chosen)["names"] <= 2 * MAX_MEANINGS
    assert (kept(chosen)["layouts"], kept(chosen)["lines"]) == (2, 2)


def test_made_up_orders_do_not_make_memory_grow(chosen: Settings) -> None:
    """Of two lines that differ, each row of ten is another layout."""
    decide(chosen, raw_of(HOST))
    for number in range(3 * MAX_LAYOUTS):
        lines = [b"Cookie: 1" if number >> place & 1 else b"X: 1" for place in range(11)]
        for _ in range(2):
            find(chosen, raw_of(HOST, *lines))
        assert kept(chosen)["layouts"] <= 2 * MAX_LAYOUTS
    assert kept(chosen)["layouts"] > MAX_LAYOUTS


def test_one_layout_keeps_few_decisions() -> None:
    """One for each site and method; a trusted proxy may tell of as many sites as it likes."""
    chosen = replace(SETTINGS, forwarding=TRUSTING)
    for number in range(2 * MAX_FORMS):
        raw = raw_of(HOST, b"X-Forwarded-For: 198.51.100.7", b"X-Forwarded-Host: h%d.example" % number)
        assert learn(chosen, raw, PROXY) is not None
        assert kept(chosen)["forms"] <= MAX_FORMS


@pytest.mark.parametrize("name", [b"Cookie", b"X-Name", b"Origin", b"Via", b"Host"])
def test_a_long_line_is_kept_nowhere(chosen: Settings, name: bytes) -> None:
    """Whatever it says, however often, and whatever else comes: of heads of many kilobytes few must not be kept as many."""
    learn(chosen, raw_of(HOST))
    long = b"x" * 20_000
    for number in range(50):
        lines = [b"%b: %b%d" % (name, long, number)] if name == b"Host" else [HOST, b"%b: %b%d" % (name, long, number)]
        for _ in range(3):
            find(chosen, raw_of(*lines))
    own = layouts(chosen)
    held = [meaning.value for layout in own._layouts.young.values() for meaning in layout.meanings]

    assert max(map(len, own._strangers.lines.young), default=0) < 1000
    assert max(map(len, held), default=0) < 1000
