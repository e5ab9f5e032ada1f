"""
A head whose lines are proven one by one is read by llhttp, as a whole, in exactly these lines.

That is why what is known by its lines may be put together anew. Lines are drawn here that are valid, nearly valid, or meant to be read as
two; whatever was seen before, in whatever order, the answer is the right one or none.
"""

from dataclasses import replace
from ipaddress import ip_network
from random import Random

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy import edits
from corsproxy.answers import Context, Exchange
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import ForwardingSettings, Limits, Route, RouteLimits, Settings
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.decide import Facts, decide
from corsproxy.cors.policy import CorsPolicy, PolicyDraft, build_policy
from corsproxy.gateway.judge import LineJudge, response_judge
from corsproxy.gateway.plain import HEAD_END, PlainHeads
from corsproxy.known import CUT
from corsproxy.plan import Connection, Found, Fresh, layouts_of, plan, plan_anew
from corsproxy.record import MAX_USER_AGENT
from corsproxy.request_layouts import RequestLayouts
from corsproxy.semantics.fields import FieldLine, RequestHead, ResponseHead
from corsproxy.semantics.rules import HeaderRules, compile_rules
from tests.properties.test_editor import VALUES as RESPONSE_VALUES
from tests.properties.test_recall import VALUES as REQUEST_VALUES
from tests.unit.planned import CLIENT, FRESH

APP = "https://app.example"
# What can stand between, behind or inside of what is right.
SEPARATORS = [b": "] * 12 + [b":", b":  ", b" : ", b":\t", b"", b" ", b"\t: "]
TAILS = [b""] * 12 + [b" ", b"\t", b"\r", b"\n", b"\0", b"\r\n", b"\r\n folded", b"\nHost: b", b"\rHost: b"]
WEDGES = [
    b"\r",
    b"\n",
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\x0b",
    b" ",
    b"\t",
    b":",
    b": ",
    b"\r\n",
    b"\n\n",
    b"\r\r\n",
    b"\r\nHost: b\r\n",
]


def policy_of(draft: PolicyDraft) -> CorsPolicy:
    policy, faults = build_policy(draft)
    assert policy is not None, faults
    return policy


POLICY = policy_of(PolicyDraft((APP,), allow_credentials=True))
ROUTE = Route(b"/", Upstream("http://up", "up", 80, b"up"), POLICY, limits=RouteLimits(10))
RULED = Route(
    b"/api",
    Upstream("http://up/v1", "up", 80, b"up", b"/v1"),
    CorsMode.NONE,
    strip_prefix=True,
    request_headers=compile_rules([b"X-A", b"User-Agent"], [(b"X-Set", b"1")]),
)
SETTINGS = [
    Settings((ROUTE,)),
    Settings((RULED, ROUTE)),
    Settings((ROUTE,), forwarding=ForwardingSettings(trusted=(ip_network("192.0.2.0/24"),))),
    Settings((ROUTE,), forwarding=ForwardingSettings(request_id_header=b"X-Correlation-Id", begins_trace=True)),
    Settings((ROUTE,), limits=Limits(request_line=200, request_head=900, header_count=6)),
]


# --- what is drawn ---


@st.composite
def lines_of(draw: st.DrawFn, values: dict[bytes, list[bytes]]) -> bytes:
    """A line, most often a valid one. It may have line ends inside, and then it is several."""
    name = draw(st.sampled_from(sorted(values)))
    name = draw(st.sampled_from([name, name, name, name.lower(), name.upper(), b"X-Any", b"", b"x:y", b"\xe9"]))
    value = draw(st.one_of(st.sampled_from(values.get(name, [b"1"])), st.sampled_from(values.get(name, [b"2"])), st.binary(max_size=4)))
    line = name + draw(st.sampled_from(SEPARATORS)) + value + draw(st.sampled_from(TAILS))
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(line)))
        line = line[:place] + draw(st.sampled_from(WEDGES)) + line[place:]
    return line


TARGETS = [
    b"/",
    b"/a?b=c",
    b"/api/x",
    b"/api",
    b"/a/../b",
    b"/%2e",
    b"/a#b",
    b"/caf\xe9",
    b"/a\x7f",
    b"/a b",
    b"*",
    b"http://a/",
    b"",
    b"/\n",
]
REQUEST_STARTS = st.one_of(
    st.sampled_from([b"GET / HTTP/1.1", b"GET /a HTTP/1.1", b"POST /a HTTP/1.1", b"OPTIONS / HTTP/1.1"]),
    st.builds(
        lambda method, space, target, version: b"%b%b%b %b" % (method, space, target, version),
        st.sampled_from([b"GET", b"GET", b"HEAD", b"PUT", b"get", b"TRACE", b"BREW", b"CONNECT", b"\r\nGET", b" GET", b""]),
        st.sampled_from([b" ", b" ", b" ", b"  ", b"\t"]),
        st.one_of(st.sampled_from(TARGETS), st.binary(max_size=4).map(lambda drawn: b"/" + drawn)),
        st.sampled_from(
            [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/1.1\n", b"HTTP/1.1\r"]
        ),
    ),
)
RESPONSE_STARTS = st.one_of(
    st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 304 Not Modified"]),
    st.builds(
        lambda version, status, reason: b"%b %b%b" % (version, status, reason),
        st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"\r\nHTTP/1.1", b"HTTP/1.1 "]),
        st.sampled_from([b"200", b"200", b"204", b"206", b"302", b"500", b"101", b"100", b"199", b"600", b"20", b"2000", b"2 0", b"+20"]),
        st.one_of(
            st.sampled_from([b"", b" ", b" OK", b"  OK", b" O\tK", b" OK\n", b"\r"]), st.binary(max_size=4).map(lambda drawn: b" " + drawn)
        ),
    ),
)


def raw_of(start: bytes, lines: list[bytes]) -> bytes:
    """A head without its last two line ends, as it is cut out of what came: at the first empty line."""
    raw = b"\r\n".join((start, *lines)) + HEAD_END
    return raw[: raw.index(HEAD_END)]


def requests() -> st.SearchStrategy[bytes]:
    host = st.sampled_from([b"Host: api.example"] * 6 + [b"host: api.example", b"Host:api.example", b"Host: other.example", b"X: 1"])
    lines = st.lists(lines_of(REQUEST_VALUES), max_size=4)
    return st.builds(lambda start, host, lines: raw_of(start, [host, *lines]), REQUEST_STARTS, host, lines)


def responses() -> st.SearchStrategy[bytes]:
    return st.builds(raw_of, RESPONSE_STARTS, st.lists(lines_of(RESPONSE_VALUES), max_size=5))


# --- the judge ---


class Reader:
    """Takes whatever llhttp reads."""

    def __init__(self) -> None:
        self.lines: list[FieldLine] = []
        self.ends = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.ends += 1


def read(parser: type[httptools.HttpRequestParser | httptools.HttpResponseParser], raw: bytes) -> list[FieldLine] | None:
    """The lines of a whole head, by a parser that has read nothing else; None if it is not one head."""
    reader = Reader()
    try:
        parser(reader).feed_data(raw + HEAD_END)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    return reader.lines if reader.ends == 1 else None


def is_framing(line: bytes) -> bool:
    """Whether a line is one of those that are never composed, or never proven."""
    return line.lower().startswith((b"content-length", b"transfer-encoding", b"upgrade", b"proxy-connection", b"expect"))


USED = PlainHeads().judge
USED_FOR_RESPONSES = response_judge()


@given(
    st.lists(st.one_of(lines_of(REQUEST_VALUES), lines_of(RESPONSE_VALUES)), min_size=1, max_size=5),
    st.sampled_from(["request", "response"]),
)
def test_lines_that_are_proven_one_by_one_are_read_together_as_the_same(drawn: list[bytes], kind: str) -> None:
    lines = [line for line in b"\r\n".join(drawn).split(b"\r\n") if line and not is_framing(line)]
    used, fresh, start, parser = (
        (USED, PlainHeads().judge, b"GET / HTTP/1.1", httptools.HttpRequestParser)
        if kind == "request"
        else (USED_FOR_RESPONSES, response_judge(), b"HTTP/1.1 200 OK", httptools.HttpResponseParser)
    )
    proven = [line for line in lines if used.proves([line])]
    whole = read(parser, b"\r\n".join((start, *proven)))

    assert whole is not None
    assert [b"%b: %b" % line for line in whole] == proven
    assert proven == [line for line in lines if fresh.proves([line])]
    # In one go is the same as one by one.
    assert not lines or used.proves(lines) == (proven == lines)


# --- requests ---


def lane_heads(chosen: Settings) -> PlainHeads:
    heads = PlainHeads()
    heads.max_bytes, heads.max_lines = chosen.limits.request_head + 2, chosen.limits.header_count
    return heads


def loosely(raw: bytes) -> RequestHead | None:
    """What a reader would make of a head that does not mind its grammar: so decisions are known for what is hardly a head."""
    start, *lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    method, _, rest = start.strip().partition(b" ")
    found = [(name.strip(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    target = rest.strip().partition(b" ")[0]
    return RequestHead(method, target, 1, found) if target else None


def decide_all(chosen: Settings, raws: list[bytes], client: Connection) -> None:
    heads = lane_heads(chosen)
    for raw in raws:
        for head in (heads.read(raw + HEAD_END), loosely(raw)):
            for _ in range(4 if head is not None else 0):
                assert head is not None
                plan(chosen, head, client, FRESH)


def check(chosen: Settings, raw: bytes, found: Found, client: Connection) -> None:
    """It is a request that the express lane would have taken, in these lines, and means what it means."""
    heads = lane_heads(chosen)
    whole = heads.read(raw + HEAD_END)
    assert whole is not None, raw
    start, *lines = raw.split(b"\r\n")
    assert [b"%b: %b" % line for line in whole.lines] == lines, raw
    assert b"%b %b HTTP/1.1" % (whole.method, whole.target) == start, raw
    assert (found.method, found.target) == (whole.method, whole.target), raw
    assert (found.agent, found.recalled.length) == (heads.user_agent[:MAX_USER_AGENT], heads.length), raw
    assert not heads.is_chunked, raw
    for fresh in (FRESH, Fresh(b"another-id", *FRESH[1:])):
        assert found.plan(fresh) == plan_anew(chosen, whole, client, fresh), raw


@given(st.sampled_from(SETTINGS), st.lists(requests(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_request_that_is_known_by_its_lines_is_read_as_a_whole_in_the_same(known: Settings, raws: list[bytes], order: Random) -> None:
    chosen = replace(known)
    layouts = layouts_of(chosen, USED)
    decide_all(chosen, raws, CLIENT)
    for _ in range(5):
        for raw in order.sample(raws, len(raws)):
            found = layouts.find(raw, CLIENT)
            if found is not None:
                check(chosen, raw, found, CLIENT)


@pytest.mark.parametrize("name", sorted(REQUEST_VALUES.keys() - {b"Host", b"Content-Length"}))
def test_a_valid_line_beside_others_is_known_if_it_is_not_in_doubt(name: bytes) -> None:
    """The properties would hold of nothing at all."""
    rare = {b"Transfer-Encoding", b"Expect", b"Upgrade", b"Max-Forwards", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version", CUT[0]}
    chosen = Settings((ROUTE,))
    raws = [raw_of(b"GET /a HTTP/1.1", [b"Host: api.example", b"%b: %b" % (name, REQUEST_VALUES[name][0])])]
    decide_all(chosen, raws, CLIENT)
    found = [layouts_of(chosen, USED).find(raws[0], CLIENT) for _ in range(3)][-1]

    assert (found is not None) is (name not in rare)


# --- heads that vary in one place ---


@st.composite
def variations(draw: st.DrawFn) -> tuple[bytes, bytes, list[bytes]]:
    """Two heads that differ in a target or in a line, and what else may stand there."""
    lines = draw(st.lists(lines_of(REQUEST_VALUES), max_size=3))
    if draw(st.booleans()):
        pieces = st.one_of(st.sampled_from(TARGETS), st.binary(max_size=4).map(lambda drawn: b"/" + drawn), st.just(b"/ HTTP/1.1\r\nX: 1"))
        made = [raw_of(b"GET %b HTTP/1.1" % target, [b"Host: api.example", *lines]) for target in (b"/a", b"/b", *draw(st.lists(pieces)))]
    else:
        name = draw(
            st.sampled_from([b"X-A", b"X-B", b"Cookie", b"Authorization", b"Accept", b"Origin", b"User-Agent", b"X-Request-Id", b"Host"])
        )
        place = draw(st.integers(0, len(lines)))
        values = [b"1", b"2", *draw(st.lists(st.binary(max_size=4)))]
        others = [name + b": " + value for value in values] + draw(st.lists(lines_of(REQUEST_VALUES)))
        rest = [[*lines[:place], other, *lines[place:]] for other in others]
        made = [b"\r\n".join((b"GET /a HTTP/1.1", b"Host: api.example", *each)) for each in rest]
    return made[0], made[1], made[2:]


def found_of(layouts: RequestLayouts, raw: bytes) -> Found | None:
    return [layouts.find(raw, CLIENT) for _ in range(3)][-1]


@given(st.sampled_from(SETTINGS), variations())
def test_what_is_filled_into_a_gap_is_read_as_a_whole_in_the_same(known: Settings, drawn: tuple[bytes, bytes, list[bytes]]) -> None:
    chosen = replace(known)
    layouts, (one, two, others) = layouts_of(chosen, USED), drawn
    decide_all(chosen, [one, two], CLIENT)
    old, new = found_of(layouts, one), found_of(layouts, two)
    if old is None or new is None:
        return
    variation = layouts.vary(old, new, (one + HEAD_END, two + HEAD_END), CLIENT)
    if variation is None:
        return
    for raw in (one, two, *others):
        for data in (raw + HEAD_END, raw + HEAD_END + one + HEAD_END, raw + b"\r\n" + HEAD_END, raw):
            if data.startswith(variation.begin) and data.endswith(variation.end):
                found = variation.fill(data)
                if found is not None:
                    assert data.index(HEAD_END) == len(data) - len(HEAD_END)
                    check(chosen, data[: -len(HEAD_END)], found, CLIENT)


@pytest.mark.parametrize(
    ("one", "two", "three"),
    [
        (b"GET /a HTTP/1.1|X: 1", b"GET /b HTTP/1.1|X: 1", b"GET /c?d HTTP/1.1|X: 1"),
        (b"GET /a HTTP/1.1|Cookie: 1|X: 1", b"GET /a HTTP/1.1|Cookie: 2|X: 1", b"GET /a HTTP/1.1|Cookie: other|X: 1"),
    ],
)
def test_a_gap_is_found_where_heads_vary(one: bytes, two: bytes, three: bytes) -> None:
    chosen = Settings((ROUTE,))
    layouts = layouts_of(chosen, USED)
    raws = [raw.replace(b"|", b"\r\nHost: api.example\r\n", 1).replace(b"|", b"\r\n") for raw in (one, two, three)]
    decide_all(chosen, raws[:2], CLIENT)
    old, new = found_of(layouts, raws[0]), found_of(layouts, raws[1])
    assert old is not None
    assert new is not None
    variation = layouts.vary(old, new, (raws[0] + HEAD_END, raws[1] + HEAD_END), CLIENT)
    assert variation is not None
    found = variation.fill(raws[2] + HEAD_END)

    assert found is not None
    check(chosen, raws[2], found, CLIENT)


# --- responses ---


class Whole(Reader):
    """Reads a response's head as the upstream's connection does."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = b""

    def on_status(self, reason: bytes) -> None:
        self.reason += reason


def read_response(raw: bytes) -> ResponseHead | None:
    reader = Whole()
    parser = httptools.HttpResponseParser(reader)
    try:
        parser.feed_data(raw + HEAD_END)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    minor = {"1.0": 0, "1.1": 1}.get(parser.get_http_version(), -1)
    return ResponseHead(parser.get_status_code(), reader.reason, minor, reader.lines) if reader.ends == 1 else None


RESPONSE_POLICIES: list[CorsPolicy | CorsMode] = [POLICY, policy_of(PolicyDraft((APP,), expose_headers=("X-B",))), CorsMode.PASSTHROUGH]


@given(
    st.sampled_from(RESPONSE_POLICIES),
    st.sampled_from([compile_rules(), compile_rules([b"Server"], [(b"X-Set", b"1")])]),
    st.sampled_from([b"GET", b"HEAD"]),
    st.lists(responses(), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_a_response_that_is_known_by_its_lines_is_read_as_a_whole_in_the_same(
    cors: CorsPolicy | CorsMode, rules: HeaderRules, method: bytes, raws: list[bytes], order: Random
) -> None:
    route = Route(b"/", Upstream("http://up", "up", 80, b"up"), cors, response_headers=rules)
    decision = decide(cors, Facts(b"GET", (APP.encode(),))) if isinstance(cors, CorsPolicy) else None
    context = Context(method, 1, persistent=True, route=route, cors=cors, decision=decision, exchange=Exchange(b"id-1"), sent_host=b"up")
    alike = edits.alike(context)
    assert alike is not None
    for _ in range(5):
        for raw in order.sample(raws, len(raws)):
            prepared = alike.recall(raw, USED_FOR_RESPONSES)
            if prepared is None:
                continue
            head = read_response(raw)
            assert head is not None, raw
            assert head.status == prepared.status
            assert b"HTTP/1.1 %d %b" % (head.status, head.reason) == raw.split(b"\r\n")[0]
            assert [b"%b: %b" % line for line in head.lines] == raw.split(b"\r\n")[1:]
            for name in (b"id-1", b"id-2"):
                asked = Context(
                    method, 1, persistent=True, route=route, cors=cors, decision=decision, exchange=Exchange(name), sent_host=b"up"
                )
                assert edits.receive_anew(asked, head) == prepared.received(name), raw


RARE_IN_RESPONSES = {b"Set-Cookie", b"Location", b"Content-Location", b"Refresh", b"Trailer", b"Transfer-Encoding", b"Content-Length"}


@pytest.mark.parametrize("name", sorted(RESPONSE_VALUES))
def test_a_valid_line_of_a_response_is_known_if_it_is_not_in_doubt(name: bytes) -> None:
    context = Context(b"GET", 1, persistent=True, route=ROUTE, cors=CorsMode.NONE, exchange=Exchange(b"id-1"), sent_host=b"up")
    alike = edits.alike(context)
    assert alike is not None
    raw = raw_of(b"HTTP/1.1 200 OK", [b"Content-Length: 5", b"%b: %b" % (name, RESPONSE_VALUES[name][0])])
    found = [alike.recall(raw, USED_FOR_RESPONSES) for _ in range(3)][-1]

    assert (found is not None) is (name not in RARE_IN_RESPONSES)


def test_one_judge_is_enough_for_all() -> None:
    """Behind a line that ends a connection, one that asks for another protocol, and one that is none, the next is judged as ever."""
    judge: LineJudge = PlainHeads().judge
    for _ in range(3):
        for line, right in (
            (b"X: 1", True),
            (b"Connection: close", True),
            (b"X: 1", True),
            (b"Connection: upgrade", True),
            (b"X : 1", False),
            (b"Connection: close", True),
            (b"Connection: close", True),
            (b"X: \0", False),
            (b"X: 1", True),
        ):
            assert judge.proves([line]) is right
