"""Arbitrary heads through the plan and the edits: nothing raises, nothing doubtful comes out."""

from dataclasses import replace
from typing import Any

import h11
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corsproxy import edits
from corsproxy.answers import Answer, Context
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route, Settings, Timeouts
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.decide import Facts, decide
from corsproxy.cors.names import KNOWN_METHODS
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, build_policy
from corsproxy.plan import Forward, plan
from corsproxy.semantics.fields import FORWARDING, HOP_BY_HOP, FieldLine, RequestHead, ResponseHead
from corsproxy.semantics.framing import BodyKind
from corsproxy.semantics.tokens import TCHARS
from tests.unit.planned import CLIENT, FRESH

BOUNDED = settings(deadline=None)
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
APP = b"https://app.example"


def policy_of(draft: PolicyDraft) -> CorsPolicy:
    policy, faults = build_policy(draft)
    assert policy is not None, faults
    return policy


CORS: list[CorsPolicy | CorsMode] = [
    policy_of(PolicyDraft(("https://app.example",))),
    policy_of(PolicyDraft((ANY,), enforce=False)),
    policy_of(
        PolicyDraft(("https://app.example",), allow_credentials=True, expose_headers=(ANY,), allow_methods=(ANY,), allow_headers=(ANY,))
    ),
    CorsMode.NONE,
    CorsMode.PASSTHROUGH,
]


def settings_of(cors: CorsPolicy | CorsMode, path: bytes) -> Settings:
    upstream = Upstream("http://up", "up", 80, b"up", path)
    routes = (Route(b"/api", upstream, CORS[0], Timeouts()), Route(b"/", upstream, cors, Timeouts()))
    return Settings(routes, default_cors=CORS[0])


# What a strict parser hands on: a value has no CR, LF or NUL, no other control but the tab, and no white space around it.
VALUE_BYTES = bytes([9, *range(32, 127), *range(128, 256)])
TOKENS = st.binary(min_size=1, max_size=12).map(lambda drawn: bytes(TCHARS[byte % len(TCHARS)] for byte in drawn))
VALUES = st.binary(max_size=20).map(lambda drawn: bytes(VALUE_BYTES[byte % len(VALUE_BYTES)] for byte in drawn).strip(b" \t"))

NAMES = (
    b"Host Content-Length Transfer-Encoding Connection Origin Expect TE Trailer Upgrade Keep-Alive Via Max-Forwards Sec-Fetch-Site "
    b"Access-Control-Request-Method Access-Control-Request-Headers Access-Control-Allow-Origin Content_Length Transfer.Encoding X-A Cookie Vary "
    b"Date HTTP2-Settings Proxy-Authorization Proxy-Connection Set-Cookie".split()
)
KNOWN_VALUES = (
    b"0|5|5, 5|007|+1|chunked|Chunked|gzip, chunked|identity|close|keep-alive|TE|X-A|Host|Content-Length|content-length, x-a|"
    b"Upgrade, HTTP2-Settings|api.example|api.example:80|evil.example|[::1]|https://app.example|https://evil.example|null|PUT|patch|x-a, x-b|"
    b"100-continue|trailers|trailers;q=1, gzip|websocket|h2c|same-origin|cross-site|1.1 corsproxy|3|0|*|Origin|Accept, origin|Date, Vary|"
    b"transfer-encoding, connection|set-cookie".split(b"|")
)
SOME_NAMES = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES).map(bytes.lower), TOKENS)
SOME_VALUES = st.one_of(st.sampled_from(KNOWN_VALUES), VALUES)
LINES = st.lists(st.tuples(SOME_NAMES, SOME_VALUES), max_size=8)
MINORS = st.sampled_from([1, 1, 1, 0, 2, -1])
PIECES = [
    b"/",
    b"//",
    b"a",
    b"api",
    b"..",
    b".",
    b"%2e",
    b"%2F",
    b"%25",
    b";x",
    b"\\",
    b"?",
    b"#",
    b"*",
    b"http://",
    b"api.example",
    b":",
    b"\xff",
    b" ",
]
TARGETS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: b"/" + b"".join(pieces)),
    st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join),
    st.binary(max_size=20),
)
METHODS = st.one_of(st.sampled_from(sorted(KNOWN_METHODS)), st.sampled_from([b"GET", b"POST", b"OPTIONS", b"HEAD"]), TOKENS)


class Notes:
    """What a strict llhttp read."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: list[FieldLine] = []
        self.heads = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.heads += 1


def read_by_h11(head: bytes) -> Any:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
    connection.receive_data(head)
    return connection.next_event()


def values_of(fields: list[FieldLine], name: bytes) -> list[bytes]:
    return [value for found, value in fields if found.lower() == name]


# --- requests -------------------------------------------------------------------------------------


@BOUNDED
@given(
    st.sampled_from(CORS),
    st.sampled_from([b"", b"/v1"]),
    st.builds(RequestHead, METHODS, TARGETS, MINORS, LINES),
    st.booleans(),
)
@example(CORS[0], b"", RequestHead(b"GET", b"/", 1, [(b"Connection", b"Host")]), True)
def test_any_head_is_answered_or_forwarded_as_one_clear_request(
    cors: CorsPolicy | CorsMode,
    path: bytes,
    head: RequestHead,
    with_host: bool,  # noqa: FBT001
) -> None:
    """Rule 39: what goes upstream is a function of this request alone."""
    if with_host:
        head = head._replace(lines=[(b"Host", b"api.example"), *[line for line in head.lines if line[0].lower() != b"host"]])
    chosen = settings_of(cors, path)
    planned = plan(chosen, head, CLIENT, FRESH)

    assert planned == plan(chosen, head, CLIENT, FRESH)
    if isinstance(planned, Answer):
        judge_answer(planned)
    else:
        judge_forward(planned, head, path)


def judge_answer(answer: Answer) -> None:
    content = answer.to_bytes(DATE)
    connection = h11.Connection(h11.CLIENT)
    method = answer.context.method if answer.context.method != b"CONNECT" else b"GET"
    connection.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"x")]))
    connection.receive_data(content)
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    assert response.status_code == answer.status
    fields = [(bytes(name), bytes(value)) for name, value in response.headers]
    assert len(values_of(fields, b"access-control-allow-origin")) <= 1
    event = connection.next_event()
    if isinstance(event, h11.Data):
        assert bytes(event.data) == answer.body
        event = connection.next_event()
    assert isinstance(event, h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)


def judge_forward(planned: Forward, head: RequestHead, path: bytes) -> None:
    request = read_by_h11(planned.head)
    assert isinstance(request, h11.Request)
    assert bytes(request.method) == head.method
    assert bytes(request.target).startswith(path + b"/")
    fields = [(bytes(name), bytes(value)) for name, value in request.headers]
    if head.method in KNOWN_METHODS:
        notes = Notes()
        httptools.HttpRequestParser(notes).feed_data(planned.head)
        assert notes.heads == 1
        assert notes.url == bytes(request.target)
        assert [(name.lower(), value) for name, value in notes.fields] == fields
    assert values_of(fields, b"host") == [b"up"]
    lengths, codings = values_of(fields, b"content-length"), values_of(fields, b"transfer-encoding")
    assert len(lengths) + len(codings) <= 1
    assert (codings == [b"chunked"]) == (planned.body.kind is BodyKind.CHUNKED)
    assert lengths in ([], [b"%d" % planned.body.length])
    # Nothing that only servers of the CGI family would read as one of these.
    assert not [
        name
        for name, _ in fields
        if name.replace(b"_", b"-").replace(b".", b"-") in HOP_BY_HOP - {b"te", b"connection", b"transfer-encoding"}
    ]
    assert set(values_of(fields, b"te")) <= {b"trailers"}
    assert set(values_of(fields, b"connection")) <= {b"close", b"TE", b"close, TE"}
    # Every line is one that came, or one of ours: nothing was made up, joined or cut.
    came = [(name.lower(), value) for name, value in head.lines]
    ours = {b"host", b"via", b"te", b"connection", b"content-length", b"transfer-encoding", b"max-forwards", b"x-request-id"} | FORWARDING
    assert [line for line in fields if line[0] not in ours] == [line for line in came if line in fields and line[0] not in ours]


# --- responses ------------------------------------------------------------------------------------


CONTEXTS = [
    Context(b"GET", 1, persistent=True),
    *(
        Context(method, minor, persistent, cors=cors, decision=decide(cors, Facts(method, origin)), trailers=minor == 1)
        for cors in CORS
        if isinstance(cors, CorsPolicy)
        for method, minor, persistent, origin in [
            (b"GET", 1, True, (APP,)),
            (b"HEAD", 1, True, (APP,)),
            (b"POST", 0, True, ()),
            (b"GET", 1, False, (b"x",)),
        ]
    ),
]
PASSING = replace(CONTEXTS[0], cors=CorsMode.PASSTHROUGH)
REASONS = st.one_of(st.just(b"OK"), st.binary(max_size=8).map(lambda drawn: drawn.replace(b"\r", b"").replace(b"\n", b"")))
STATUSES = st.one_of(st.sampled_from([200, 204, 206, 301, 304, 404, 500]), st.integers(0, 999))
RESPONSES = st.builds(ResponseHead, STATUSES, REASONS, MINORS, LINES)


@BOUNDED
@given(st.sampled_from([*CONTEXTS, PASSING]), RESPONSES, st.booleans())
@example(CONTEXTS[0], ResponseHead(200, b"a\x00b", 1, [(b"Content-Length", b"1")]), False)
@example(CONTEXTS[1], ResponseHead(200, b"OK", 1, [(b"Content-Length", b"1"), (b"Connection", b"content-length")]), False)
def test_any_response_head_is_refused_or_written_as_one_clear_response(context: Context, head: ResponseHead, close: bool) -> None:  # noqa: FBT001
    """Rule 23: one Access-Control-Allow-Origin at most. Rule 30: nothing of the upstream's own."""
    received = edits.receive(context, head)
    if not isinstance(received, edits.Received):
        return
    content = edits.render(context, received, DATE, close=close)
    notes = Notes()
    httptools.HttpResponseParser(notes).feed_data(content)
    assert content.count(b"\r\n\r\n") == 1
    assert content.endswith(b"\r\n\r\n")
    assert notes.heads == 1
    assert content.count(b"\n") == content.count(b"\r") == len(notes.fields) + 2

    nominated = {option.strip().lower() for value in values_of(list(head.lines), b"connection") for option in value.split(b",")}
    ours = {b"connection", b"date", b"vary", b"transfer-encoding", b"trailer"}
    written = {name.lower() for name, _ in notes.fields}
    added = set() if context is PASSING else {name for name in written if name.startswith(b"access-control-")}
    assert not (written & nominated) - ours - added
    if context is not PASSING:
        assert len(values_of(notes.fields, b"access-control-allow-origin")) <= 1
        assert set(values_of(notes.fields, b"access-control-allow-origin")) <= {b"*", APP}
        assert not added - {b"access-control-allow-origin", b"access-control-allow-credentials", b"access-control-expose-headers"}
    assert len(values_of(notes.fields, b"date")) >= 1

    # The client must see the body end where `client_body` says.
    lengths, codings = values_of(notes.fields, b"content-length"), values_of(notes.fields, b"transfer-encoding")
    kind = received.client_body.kind
    assert (codings == [b"chunked"]) == (kind is BodyKind.CHUNKED)
    if kind is BodyKind.LENGTH:
        assert [int(length) for length in lengths] == [received.client_body.length]
    if kind in (BodyKind.CHUNKED, BodyKind.UNTIL_CLOSE):
        assert lengths == []
    keeps = edits.keeps_connection(context, received, close=close)
    assert not (kind is BodyKind.UNTIL_CLOSE and keeps)
    assert (values_of(notes.fields, b"connection") in ([], [b"keep-alive"])) == (keeps or context.minor == 0)


@BOUNDED
@given(st.sampled_from([*CONTEXTS, PASSING]), REASONS, st.sampled_from([100, 102, 103, 199]), LINES)
@example(CONTEXTS[0], b"Early Hints", 103, [(b"Content-Length", b"5")])
def test_any_interim_head_is_written_without_a_body(context: Context, reason: bytes, status: int, lines: list[FieldLine]) -> None:
    content = edits.render_interim(context, ResponseHead(status, reason, 1, lines))
    if context.minor == 0:
        assert content == b""
        return
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=b"GET", target=b"/", headers=[(b"Host", b"x")]))
    client.receive_data(content + final)
    interim = client.next_event()
    assert isinstance(interim, h11.InformationalResponse)
    assert isinstance(client.next_event(), h11.Response)
    fields = [(bytes(name), bytes(value)) for name, value in interim.headers]
    assert values_of(fields, b"content-length") == values_of(fields, b"transfer-encoding") == []
    assert context is PASSING or not [name for name, _ in fields if name.startswith(b"access-control-")]


@BOUNDED
@given(st.sampled_from(CONTEXTS), st.lists(st.tuples(SOME_NAMES, VALUES), max_size=5))
def test_any_trailers_end_a_chunked_body_once(context: Context, trailers: list[FieldLine]) -> None:
    received = edits.receive(context, ResponseHead(200, b"OK", 1, [(b"Transfer-Encoding", b"chunked")]))
    assert isinstance(received, edits.Received)
    content = edits.render_end(context, received, trailers)
    if received.client_body.kind is not BodyKind.CHUNKED:
        assert content == b""
        return
    notes = Notes()
    httptools.HttpResponseParser(notes).feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + content)
    assert content.count(b"\r\n\r\n") == 1
    assert {name.lower() for name, _ in notes.fields[1:]} <= {name.lower() for name, _ in trailers}
    assert not {name.lower() for name, _ in notes.fields[1:]} & {
        b"content-length",
        b"host",
        b"set-cookie",
        b"access-control-allow-origin",
        b"vary",
    }


@pytest.mark.parametrize("kind", list(BodyKind))
def test_the_drawn_responses_are_not_vacuous(kind: BodyKind) -> None:
    """Each way to end a body is among what the properties see."""
    lines = {
        BodyKind.NONE: (204, []),
        BodyKind.LENGTH: (200, [(b"Content-Length", b"5")]),
        BodyKind.CHUNKED: (200, [(b"Transfer-Encoding", b"chunked")]),
        BodyKind.UNTIL_CLOSE: (200, []),
    }
    status, found = lines[kind]
    received = edits.receive(CONTEXTS[0], ResponseHead(status, b"OK", 1, found))

    assert isinstance(received, edits.Received)
    assert received.body.kind is kind
