"""
A head whose lines are proven one by one is read by llhttp, as a whole, in exactly these lines.

That is why what is known by its lines may be put together anew, and why a value that is plain may stand in a gap. Lines are drawn here that
are valid, nearly valid, or meant to be read as two; whatever was seen before, in whatever order, the answer is the right one or none.
"""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from itertools import pairwise
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
from corsproxy.gateway.last_head import LastHead
from corsproxy.gateway.plain import PlainHeads
from corsproxy.known import CUT
from corsproxy.meanings import Meanings
from corsproxy.plan import Connection, Found, Fresh, layouts_of, plan, plan_anew
from corsproxy.prepared import Prepared
from corsproxy.record import MAX_USER_AGENT
from corsproxy.request_layouts import RequestLayouts
from corsproxy.semantics.acts import MAX_NAME_BYTES, PARSED, PASS
from corsproxy.semantics.fields import FieldLine, RequestHead, ResponseHead
from corsproxy.semantics.framing import CHUNKED_BODY, HEAD_END, frame, last_chunk, whole_chunks
from corsproxy.semantics.rules import HeaderRules, compile_rules
from corsproxy.semantics.tokens import PLAIN_VALUE, TCHARS, is_plain_value
from corsproxy.variations import Variation
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


class Deaf:
    """A judge that proves nothing: what is known by it was waved through."""

    def __init__(self, judge: LineJudge) -> None:
        self.never, self.mark = judge.never, judge.mark

    def proves(self, lines: Sequence[bytes]) -> bool:
        del lines
        return False


NAMES = st.one_of(
    st.sampled_from(sorted({*REQUEST_VALUES, *RESPONSE_VALUES, b"Proxy-Connection", b"X-A"})).flatmap(
        lambda name: st.sampled_from([name, name.lower(), name.upper()])
    ),
    st.lists(st.sampled_from(list(TCHARS)), min_size=1, max_size=MAX_NAME_BYTES + 1).map(bytes),
    st.binary(max_size=6),
)
PLAIN_VALUES = st.one_of(
    st.from_regex(PLAIN_VALUE, fullmatch=True),
    st.sampled_from(
        [value for values in (*REQUEST_VALUES.values(), *RESPONSE_VALUES.values()) for value in values if is_plain_value(value)]
    ),
    st.sampled_from([b"close", b"chunked", b"upgrade", b"0", b"1, 2", b":", b": a", b"x" * 3000, b"HTTP/1.1 200 OK", b"~ !", b"a  b"]),
)
ANY_VALUES = st.one_of(PLAIN_VALUES, st.binary(max_size=6), st.sampled_from([b"", b" ", b"a\tb", b"caf\xe9", b"a\r\nb", b"\0"]))


@given(NAMES, ANY_VALUES, ANY_VALUES, st.sampled_from(["request", "response"]))
def test_a_plain_value_behind_a_proven_name_is_read_as_it_is(name: bytes, proven: bytes, value: bytes, kind: str) -> None:
    judge, start, parser = (
        (USED, b"GET / HTTP/1.1", httptools.HttpRequestParser)
        if kind == "request"
        else (USED_FOR_RESPONSES, b"HTTP/1.1 200 OK", httptools.HttpResponseParser)
    )
    meanings = Meanings(lambda _: (PASS, b"", False))
    is_proven = meanings.read([b"%b: %b" % (name, proven)], [None], judge) is not None
    line = b"%b: %b" % (name, value)
    found = meanings.read([line], [None], Deaf(judge))

    is_free = is_proven and is_plain_value(value) is not None and len(name) <= MAX_NAME_BYTES and name.lower() not in PARSED
    assert (found is not None) is is_free
    if found is not None:
        for lines in ([line], [b"X-0: 0", line, b"X-1: 1"], [line, line]):
            whole = read(parser, b"\r\n".join((start, *lines)))
            assert whole is not None
            assert [b"%b: %b" % each for each in whole] == lines


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


# --- heads that vary in a few places ---

PARENTS = [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", b"x"]
# What may stand in a gap, or nearly.
GAPS: dict[bytes, list[bytes]] = {
    b"X-A": [b"1", b"2", b"three: 3"],
    b"X-B": [b"1", b"2", b"three  3"],
    b"Cookie": [b"a=1", b"a=2"],
    b"Authorization": [b"Bearer a", b"Bearer b"],
    b"Content-Length": [b"1", b"2", b"10", b"11", b"0", b"01"],
    b"traceparent": PARENTS,
    b"X-Request-Id": [b"their-id-1", b"their-id-2", b"their-id-3", b"no id"],
    b"X-Correlation-Id": [b"their-id-1", b"their-id-2", b"no id"],
    b"X_Request_Id": [b"1", b"2"],
    b"Keep-Alive": [b"1", b"2"],
    b"X-Forwarded-For": [b"198.51.100.7", b"198.51.100.8"],
    b"Accept": [b"a/b", b"c/d"],
    b"Origin": [b"https://app.example", b"https://evil.example"],
    b"User-Agent": [b"ua-1", b"ua-2"],
    b"Connection": [b"close", b"keep-alive"],
}
# Of several routes, and then of one.
GAP_TARGETS = [[b"/a", b"/b", b"/api/a", b"/apis"], [b"/api/a", b"/api/b?c", b"/api"], [b"/a", b"/b?c"]]
# Each once; a length and an id more often, for they decide.
GAP_NAMES = st.lists(st.sampled_from([*sorted(GAPS), *([b"Content-Length"] * 6), *([b"X-Request-Id"] * 3)]), max_size=4, unique=True)


def once_in(times: int) -> st.SearchStrategy[bool]:
    return st.integers(1, times).map(lambda drawn: drawn == times)


def spelled(name: bytes) -> st.SearchStrategy[bytes]:
    return once_in(8).map(lambda is_other: name.lower() if is_other else name)


@st.composite
def related(draw: st.DrawFn) -> list[bytes]:
    """Heads that differ in a few places: most in what may stand in a gap, and some in what may not."""
    method = draw(st.sampled_from([b"GET", b"GET", b"POST", b"OPTIONS"]))
    targets = draw(st.sampled_from(GAP_TARGETS))
    names = draw(GAP_NAMES)
    fixed = draw(st.lists(lines_of(REQUEST_VALUES), max_size=1))
    values = [draw(st.sampled_from(GAPS[name][:2])) for name in names]
    has_targets = draw(st.booleans())
    places = [place for place in range(len(names)) if draw(st.booleans())]
    made: list[bytes] = []
    for _ in range(draw(st.integers(3, 6))):
        start = b"%b %b HTTP/1.1" % (method, draw(st.sampled_from(targets)) if has_targets else targets[0])
        lines = [b"%b: %b" % line for line in zip(names, values, strict=True)]
        for place in places:
            lines[place] = draw(spelled(names[place])) + b": " + draw(st.sampled_from(GAPS[names[place]]))
        if len(made) > 2 and draw(once_in(3)):
            start = draw(REQUEST_STARTS)
        if len(made) > 2 and lines and draw(once_in(2)):
            place = draw(st.integers(0, len(lines) - 1))
            lines[place] = draw(lines_of(REQUEST_VALUES)) if draw(st.booleans()) else names[place] + b": " + draw(st.binary(max_size=4))
        made.append(b"\r\n".join((start, *lines[:1], b"Host: api.example", *lines[1:], *fixed)))
    return made


BEHIND = [b"", b"x", b"0123456789ab", b"\r\n", HEAD_END, b"GET / HTTP/1.1" + HEAD_END]


def found_of(layouts: RequestLayouts, raw: bytes) -> Found | None:
    return [layouts.find(raw, CLIENT) for _ in range(3)][-1]


def variation_of(layouts: RequestLayouts, raws: list[bytes]) -> Variation | None:
    """What heads vary in that come one after the other."""
    variation = None
    for one, two in pairwise(raws):
        old, new = found_of(layouts, one), found_of(layouts, two)
        if old is not None and new is not None:
            variation = layouts.vary(variation, old, new, (one + HEAD_END, two + HEAD_END), CLIENT) or variation
    return variation


def check_first(chosen: Settings, data: bytes, size: int, found: Found) -> None:
    """The first bytes are the head that was found."""
    assert data.index(HEAD_END) == size - len(HEAD_END), data
    check(chosen, data[: size - len(HEAD_END)], found, CLIENT)


@given(st.sampled_from(SETTINGS), related(), st.sampled_from(BEHIND))
def test_what_is_filled_into_a_gap_is_read_as_a_whole_in_the_same(known: Settings, raws: list[bytes], behind: bytes) -> None:
    chosen = replace(known)
    layouts = layouts_of(chosen, USED)
    decide_all(chosen, raws[:3], CLIENT)
    variation = variation_of(layouts, raws[:3])
    if variation is None:
        return
    for raw in raws:
        for data in (raw + HEAD_END + behind, raw + b"\r\n" + HEAD_END, raw):
            found = variation.fill(data)
            if found is not None:
                check_first(chosen, data, variation.size, found)


@given(st.sampled_from(SETTINGS), related(), st.sampled_from(BEHIND))
def test_what_a_connection_knows_of_its_last_heads_is_read_as_a_whole_in_the_same(
    known: Settings, raws: list[bytes], behind: bytes
) -> None:
    chosen = replace(known)
    layouts, last = layouts_of(chosen, USED), LastHead()
    decide_all(chosen, raws, CLIENT)
    for raw in raws * 3:
        data = raw + HEAD_END + behind
        found = last.find(data, chosen, CLIENT)
        if found is not None:
            check_first(chosen, data, last.size, found)
            continue
        size = data.index(HEAD_END) + len(HEAD_END)
        found = last.learn(data, size, layouts, chosen, CLIENT)
        if found is not None:
            check_first(chosen, data, size, found)


VARIED = {
    "target": (b"GET /%n HTTP/1.1", b"X: 1"),
    "line": (b"GET /a HTTP/1.1", b"Cookie: %n", b"X: 1"),
    "target-and-lines": (b"GET /%n HTTP/1.1", b"X-A: %n", b"Cookie: %n"),
    "length": (b"POST /a HTTP/1.1", b"Content-Length: %n"),
    "trace": (b"GET /a HTTP/1.1", b"traceparent: 00-0af7651916cd43dd8448eb211c80319%n-b7ad6b7169203331-01"),
    "id": (b"GET /a HTTP/1.1", b"X-Request-Id: their-id-%n"),
    "all": (
        b"POST /%n HTTP/1.1",
        b"X-A: %n",
        b"Content-Length: %n",
        b"Keep-Alive: %n",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319%n-b7ad6b7169203331-01",
        b"X-Request-Id: their-id-%n",
    ),
}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize(("start", "lines"), [(start, lines) for start, *lines in VARIED.values()], ids=VARIED)
def test_a_gap_is_found_where_heads_vary(start: bytes, lines: list[bytes], behind: bytes) -> None:
    """The properties would hold of nothing at all."""
    chosen = Settings((ROUTE,))
    layouts = layouts_of(chosen, USED)
    raw = raw_of(start, [b"Host: api.example", *lines])
    raws = [raw.replace(b"%n", b"%d" % number) for number in (1, 2, 3)]
    decide_all(chosen, raws[:2], CLIENT)
    variation = variation_of(layouts, raws[:2])
    assert variation is not None
    found = variation.fill(raws[2] + HEAD_END + behind)

    assert found is not None
    check_first(chosen, raws[2] + HEAD_END + behind, variation.size, found)


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


# What may stand in a gap of a response, or nearly.
RESPONSE_GAPS: dict[bytes, list[bytes]] = {
    b"X-A": [b"1", b"2", b"three: 3", b"a\tb", b"\xe9"],
    b"Server": [b"s/1", b"s/2"],
    b"Date": [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT", b"x"],
    b"Content-Length": [b"0", b"1", b"5", b"17", b"9" * 18, b"05"],
    b"Keep-Alive": [b"timeout=5", b"timeout=6"],
    b"X-Request-Id": [b"theirs-1", b"theirs-2"],
    b"ETag": [b'"1"', b'"2"'],
    b"Access-Control-Expose-Headers": [b"X-A", b"X-B"],
    b"Vary": [b"Accept", b"Origin", b"*"],
    b"Connection": [b"keep-alive", b"close"],
    b"Transfer-Encoding": [b"chunked"],
    b"Upgrade": [b"h2c", b"h3"],
}


@st.composite
def related_responses(draw: st.DrawFn) -> list[bytes]:
    """Heads that differ in a few values."""
    start = draw(st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 304 Not Modified"]))
    names = draw(st.lists(st.sampled_from(sorted(RESPONSE_GAPS)), min_size=1, max_size=5))
    values = [draw(st.sampled_from(RESPONSE_GAPS[name])) for name in names]
    places = [place for place in range(len(names)) if draw(st.booleans())]
    made = []
    for _ in range(draw(st.integers(4, 9))):
        lines = [b"%b: %b" % line for line in zip(names, values, strict=True)]
        for place in places:
            lines[place] = draw(spelled(names[place])) + b": " + draw(st.sampled_from(RESPONSE_GAPS[names[place]]))
        if draw(once_in(5)):
            lines[draw(st.integers(0, len(lines) - 1))] = draw(lines_of(RESPONSE_VALUES))
        made.append(raw_of(draw(RESPONSE_STARTS) if draw(once_in(8)) else start, lines))
    return made


@given(
    st.sampled_from(RESPONSE_POLICIES),
    st.sampled_from([compile_rules(), compile_rules([b"Server"], [(b"X-Set", b"1")])]),
    st.sampled_from([b"GET", b"HEAD"]),
    st.one_of(st.lists(responses(), min_size=1, max_size=5), related_responses(), related_responses()),
    st.randoms(use_true_random=False),
)
def test_a_response_that_is_known_by_its_lines_is_read_as_a_whole_in_the_same(
    cors: CorsPolicy | CorsMode, rules: HeaderRules, method: bytes, raws: list[bytes], order: Random
) -> None:
    context = asked_of(cors, rules, method)
    alike = edits.alike(context)
    assert alike is not None
    for _ in range(5):
        for raw in order.sample(raws, len(raws)):
            for data in (raw + HEAD_END, raw + HEAD_END + order.choice(BEHIND), raw):
                recalled = alike.recall(data, 65_536, USED_FOR_RESPONSES)
                if recalled is not None:
                    prepared, size = recalled
                    assert data.index(HEAD_END) == size - len(HEAD_END)
                    check_response(context, data[: size - len(HEAD_END)], prepared)


def asked_of(cors: CorsPolicy | CorsMode, rules: HeaderRules, method: bytes) -> Context:
    """An exchange on a route that has seen nothing."""
    route = Route(b"/", Upstream("http://up", "up", 80, b"up"), cors, response_headers=rules)
    decision = decide(cors, Facts(b"GET", (APP.encode(),))) if isinstance(cors, CorsPolicy) else None
    return Context(method, 1, persistent=True, route=route, cors=cors, decision=decision, exchange=Exchange(b"id-1"), sent_host=b"up")


def check_response(context: Context, raw: bytes, prepared: Prepared) -> None:
    """It is a response that llhttp reads in these lines, and what is written is what is written line by line."""
    head = read_response(raw)
    assert head is not None, raw
    assert head.status == prepared.status
    assert b"HTTP/1.1 %d %b" % (head.status, head.reason) == raw.split(b"\r\n")[0]
    assert [b"%b: %b" % line for line in head.lines] == raw.split(b"\r\n")[1:]
    for name in (b"id-1", b"id-2"):
        received = edits.receive_anew(replace(context, exchange=Exchange(name)), head)
        assert received == prepared.received(name), raw
        date = b"" if prepared.has_date else b"Date: now\r\n"
        end = prepared.end if prepared.has_date else prepared.end_at(b"now")
        assert isinstance(received, edits.Received)
        assert prepared.before + name + end == b"%b%b%b\r\n" % (received.before, date, received.after), raw


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"X-A: %n"],
        [b"Content-Length: %n"],
        [b"Date: %n", b"Content-Length: 1%n", b"X-A: %n", b"Keep-Alive: %n"],
        [b"X-A: %n", b"Transfer-Encoding: chunked", b"Vary: Accept"],
        [b"Server: %n", b"X-Request-Id: %n", b"Date: x"],
    ],
)
def test_a_gap_is_hit_where_responses_vary(lines: list[bytes], method: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property would hold of nothing at all."""
    context = asked_of(POLICY, compile_rules([b"Server"], [(b"X-Set", b"1")]), method)
    alike = edits.alike(context)
    assert alike is not None
    raws = [raw_of(b"HTTP/1.1 200 OK", lines).replace(b"%n", b"%d" % number) for number in range(6)]
    for raw in raws[:3]:
        alike.recall(raw + HEAD_END, 65_536, USED_FOR_RESPONSES)
    (variation,) = alike._tried
    monkeypatch.setattr(alike, "_edit", None)
    for raw in raws[3:]:
        recalled = alike.recall(raw + HEAD_END, 65_536, USED_FOR_RESPONSES)
        assert recalled is not None
        check_response(context, raw, recalled[0])
    assert alike._tried == [variation]


RARE_IN_RESPONSES = {b"Set-Cookie", b"Location", b"Content-Location", b"Refresh", b"Trailer", b"Transfer-Encoding", b"Content-Length"}


@pytest.mark.parametrize("name", sorted(RESPONSE_VALUES))
def test_a_valid_line_of_a_response_is_known_if_it_is_not_in_doubt(name: bytes) -> None:
    context = Context(b"GET", 1, persistent=True, route=ROUTE, cors=CorsMode.NONE, exchange=Exchange(b"id-1"), sent_host=b"up")
    alike = edits.alike(context)
    assert alike is not None
    raw = raw_of(b"HTTP/1.1 200 OK", [b"Content-Length: 5", b"%b: %b" % (name, RESPONSE_VALUES[name][0])])
    found = [alike.recall(raw + HEAD_END, 65_536, USED_FOR_RESPONSES) for _ in range(3)][-1]

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


# --- whole chunked bodies ---


class Chunks:
    """Takes the chunks that llhttp reads, and whatever else it sees."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lines: list[FieldLine] = []
        self.ends = 0
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.pieces, self.lines = [], []

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name, value))

    def on_chunk_header(self) -> None:
        self.pieces.append(b"")

    def on_body(self, data: bytes) -> None:
        self.pieces[-1] += data

    def on_message_complete(self) -> None:
        self.ends += 1


SIZE_FORMS = [b"%x"] * 8 + [b"%X", b"0%x", b"%x ", b" %x", b"+%x", b"0x%x", b"%x;a", b"%x;", b"%x;a=b", b"%x\t", b"-%x", b"%x_0", b"%08x"]
LINE_ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"", b"\r\r\n", b"\r\n\r\n"]


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    """A chunked body, most often a valid one, with something behind it, or a part of one."""
    ends = st.sampled_from(LINE_ENDS)
    parts: list[bytes] = []
    for content in draw(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b"0\r\n\r\n", b"\r\n", b"x" * 300])), max_size=4)):
        size = max(0, len(content) + draw(st.sampled_from([0] * 12 + [1, -1, 16])))
        parts += (draw(st.sampled_from(SIZE_FORMS)) % size, draw(ends), content, draw(ends))
    parts += (draw(st.sampled_from([b"0"] * 8 + [b"00", b"0;a", b"", b"0 ", b"1"])), draw(ends))
    parts += draw(st.sampled_from([[]] * 6 + [[b"X: 1\r\n"], [b"\r\n"], [b" "]]))
    parts += (draw(ends), draw(st.sampled_from([b""] * 8 + [b"x", b"\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])))
    data = b"".join(parts)
    return data[: draw(st.integers(0, len(data)))] if draw(once_in(8)) else data


def check_chunks(data: bytes, pieces: list[bytes]) -> None:
    """It is what llhttp reads, chunk by chunk, and llhttp waits for its last byte and for no more."""
    for cut in range(len(data)):
        reader = Chunks()
        reader.feed(data[:cut])
        assert reader.ends == 0
        reader.feed(data[cut:])
        assert (reader.ends, reader.lines) == (1, [])
        assert [piece for piece in reader.pieces if piece] == pieces


@given(chunked_bodies())
def test_a_chunked_body_that_is_taken_apart_is_read_by_llhttp_as_the_same(data: bytes) -> None:
    pieces = whole_chunks(data)
    if pieces is not None:
        check_chunks(data, pieces)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=4), st.booleans())
def test_a_chunked_body_that_is_written_plainly_is_taken_apart(pieces: list[bytes], is_upper: bool) -> None:  # noqa: FBT001
    """The property would hold of nothing at all."""
    data = b"".join(part for piece in pieces for part in frame(CHUNKED_BODY, piece)) + last_chunk(CHUNKED_BODY)
    if is_upper:
        data = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"

    assert whole_chunks(data) == pieces
    check_chunks(data, pieces)
