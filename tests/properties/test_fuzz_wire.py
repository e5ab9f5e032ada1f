"""
Whatever bytes a client or an upstream sends: answered or closed, the loop alive, nothing logged as an error, nothing doubtful passed on.

The gateway is a real one on real sockets. Every example ends with a request that closes the connection; whether it is served, or has become
part of a body, the connection must end.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.config.settings import Limits, RouteLimits, Timeouts
from tests.conftest import ErrorLog
from tests.harness import (
    LANES,
    ORIGIN,
    Client,
    Ended,
    Proxy,
    Request,
    Upstream,
    chunked,
    complete_status,
    connect,
    get,
    head,
    loopback_settings,
    ok,
    route,
)
from tests.vectors.seen import beginnings

SENTINEL = get(b"/sentinel", b"Connection: close")
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class OneRequest:
    """Counts what httptools sees in bytes that went upstream."""

    def __init__(self, raw: bytes) -> None:
        self.begun = self.ended = 0
        httptools.HttpRequestParser(self).feed_data(raw)

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_message_complete(self) -> None:
        self.ended += 1


class World:
    """A gateway and its upstream on a loop of their own, for all examples of a test."""

    def __init__(self, lane: str, timeout_s: float) -> None:
        self.lane = lane
        self.timeout_s = timeout_s
        self.runner = asyncio.Runner(loop_factory=new_loop)
        self.log = ErrorLog()
        self.answer: bytes | None = None

    def __enter__(self) -> Self:
        self.log.__enter__()
        self.run(self.start)
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.stop)
        self.runner.close()
        self.log.__exit__()

    def run(self, example: Callable[[], Awaitable[None]]) -> None:
        async def running() -> None:
            await example()

        self.runner.run(running())

    async def start(self) -> None:
        self.upstream = Upstream()
        self.upstream.serve(self.respond)
        fast = Timeouts(response=max(1.0, self.timeout_s), idle=max(1.0, self.timeout_s))
        limits = Limits(header_timeout=self.timeout_s, keep_alive_timeout=max(1.0, self.timeout_s))
        place = replace(route(self.upstream, timeouts=fast), limits=RouteLimits(body_idle_timeout=self.timeout_s))
        self.proxy = Proxy(self.lane, loopback_settings([place], limits=limits))
        await self.proxy.start()

    async def stop(self) -> None:
        await self.proxy.stop()
        await self.upstream.stop()

    def respond(self, request: Request) -> bytes:
        parsed = OneRequest(request.raw)
        assert (parsed.begun, parsed.ended) == (1, 1)
        return ok(b"" if request.method == b"HEAD" else b"echo")

    async def fresh(self) -> None:
        """Forget what was seen, and let go of the upstream's connections."""
        for pool in self.proxy.gateway.pools.values():
            pool.close()
        self.upstream.served.clear()
        self.upstream.requests.clear()
        self.proxy.records.clear()

    async def see(self, sent: bytes) -> None:
        """Nothing doubtful arrived, nothing broke, and the next client is served."""
        for task in self.upstream._tasks:
            if task.done() and not task.cancelled():
                task.result()
        self.upstream._tasks = [task for task in self.upstream._tasks if not task.done()]
        seen = [*self.upstream.requests, *beginnings(self.upstream)]
        for request in seen:
            assert len(request.values(b"host")) == 1
            assert not (request.values(b"content-length") and request.values(b"transfer-encoding"))
            assert request.start.endswith(b" HTTP/1.1")
            assert request.values(b"host") == [self.upstream.authority]
            if request.start == b"GET /sentinel HTTP/1.1":
                assert request.without(b"host") == [], "a field of another request"
        # A request needs a version, so there cannot be more of them than versions.
        assert len(seen) <= sent.count(b"/1.")
        assert (await self.proxy.ask(get(b"/alive"))).status == 200
        assert self.log.lines == []


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@pytest.fixture(params=LANES)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world where what is incomplete ends soon."""
    monkeypatch.setattr("corsproxy.gateway.bounds._LINGERING_S", 0.05)
    with World(str(request.param), 0.05) as made:
        yield made


@pytest.fixture(params=LANES)
def patient(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world where nothing is late."""
    with World(str(request.param), 30.0) as made:
        yield made


# --- what is sent ---

ALLOWED_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE")
TOKEN = st.text("abcdefgXYZ019-_.!~*'", min_size=1, max_size=12).map(str.encode)
VALUE = st.binary(max_size=24).map(lambda raw: bytes(byte for byte in raw if byte >= 32 and byte != 127).strip(b" "))
TARGET = st.text("abc/.%2f;=?&+~-_:@!$'()*,|\\\"<>[]^`{}", max_size=20).map(lambda text: b"/" + text.encode())
BODY = st.binary(max_size=60)


@dataclass(frozen=True)
class Sent:
    """A request that is legal, and what of it must arrive."""

    method: bytes
    target: bytes
    lines: tuple[tuple[bytes, bytes], ...]
    body: bytes
    raw: bytes


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    method = draw(st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND", b"QUERY"]))
    target = draw(TARGET)
    lines = tuple((b"X-" + name, value) for name, value in draw(st.lists(st.tuples(TOKEN, VALUE), max_size=5)))
    fields = [name + draw(st.sampled_from([b":", b": ", b":\t "])) + value for name, value in lines]
    if method in ALLOWED_METHODS and draw(st.booleans()):
        fields.insert(0, b"Origin: " + ORIGIN)
    framing = draw(st.sampled_from(["none", "length", "chunked"])) if method in (b"POST", b"PUT", b"PATCH", b"DELETE") else "none"
    body, coded = b"", b""
    if framing != "none":
        body = draw(BODY)
        size = draw(st.integers(1, 20))
        coded = body if framing == "length" else chunked(*(body[place : place + size] for place in range(0, len(body), size)))
        fields.append(b"Content-Length: %d" % len(body) if framing == "length" else b"Transfer-Encoding: chunked")
    return Sent(method, target, lines, body, get(target, *fields, method=method) + coded)


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The bytes in pieces: whole, one by one, or cut at a few places."""
    way = draw(st.sampled_from(["whole", "bytewise", "random", "random"]))
    if way == "whole" or not data:
        return [data]
    places = range(1, len(data)) if way == "bytewise" else sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=6)))
    edges = [0, *places, len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


SPECIAL = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b"\x0b", b"\xff", b"\x7f", b":", b",", b";", b"_", b"0x", b"-", b"+"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"transfer_encoding: chunked\r\n",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: 99\r\n",
        b"content_length: 3\r\n",
        b"Host: evil\r\n",
        b"Origin: null\r\n",
    ),
    *(
        b"Connection: close\r\n",
        b"Connection: Content-Length\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Upgrade: websocket\r\n",
        b"TE: trailers\r\n",
    ),
    *(b"Expect: 100-continue\r\n", b"Via: 1.1 corsproxy\r\n", b"Max-Forwards: 0\r\n", b" folded\r\n", b"X-Last: trailer\r\n"),
    *(
        b"0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"ffffffffffffffff\r\n",
        b"2;a=b\r\nok\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"PRI * HTTP/2.0",
    ),
    *(b"/../", b"%2e%2e", b"http://proxy.test", b"*", b"CONNECT", b"TRACE", b"OPTIONS"),
]


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with a few of them changed, taken out, doubled, or strange ones put in."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        count = draw(st.integers(1, 12))
        way = draw(st.sampled_from(["insert", "insert", "delete", "replace", "double"]))
        if way == "insert":
            data = data[:place] + draw(st.sampled_from(SPECIAL)) + data[place:]
        elif way == "delete":
            data = data[:place] + data[place + count :]
        elif way == "replace":
            data = data[:place] + draw(st.binary(min_size=1, max_size=2)) + data[place + 1 :]
        else:
            data = data[: place + count] + data[place:]
    return data


CHUNK_PARTS = st.lists(
    st.one_of(
        BODY.map(lambda body: b"%x\r\n%b\r\n" % (len(body), body) if body else b""),
        st.sampled_from(
            [
                *(
                    b"0\r\n",
                    b"0\r\n\r\n",
                    b"00\r\n\r\n",
                    b"0;x\r\n\r\n",
                    b"\r\n",
                    b"\n",
                    b"5\r\nhello\r\n",
                    b"5\nhello\n",
                    b"5 \r\nhello\r\n",
                    b"5;a=b\r\nhello\r\n",
                ),
                *(
                    b"5\r\nhell\r\n",
                    b"5\r\nhello!\r\n",
                    b"-5\r\nhello\r\n",
                    b"0x5\r\nhello\r\n",
                    b"fffffffffffffffff\r\n",
                    b";\r\n",
                    b"g\r\n",
                    b"5\rhello\r\n",
                ),
                *(
                    b"X-Trailer: 1\r\n",
                    b"Host: evil\r\n",
                    b"Content-Length: 5\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b" fold\r\n",
                    b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
                ),
            ],
        ),
    ),
    max_size=8,
).map(b"".join)


# --- the properties ---


@given(sent=st.lists(requests(), min_size=1, max_size=3), draws=st.data())
def test_legal_requests_arrive_as_they_are(patient: World, sent: list[Sent], draws: st.DataObject) -> None:
    async def example() -> None:
        await patient.fresh()
        with await connect(patient.proxy.port) as client:
            for request in sent:
                await client.send_in_pieces(*draws.draw(cuts(request.raw)))
                assert (await client.read_response(request.method)).status == 200
        seen = patient.upstream.requests
        assert [(one.method, one.target, one.body) for one in seen] == [(one.method, one.target, one.body) for one in sent]
        for one, request in zip(seen, sent, strict=True):
            assert tuple(line for line in one.without() if line[0].startswith(b"X-")) == tuple(
                line for line in request.lines if passes(line[0])
            )
        await patient.see(b"".join(request.raw for request in sent))

    patient.run(example)


def passes(name: bytes) -> bool:
    """None of the generated names is one that the proxy judges, however a server may read it."""
    return not re.sub(rb"[^a-z0-9]", b"-", name.lower()).startswith(b"x-forwarded-")


async def survives(world: World, sent: bytes, pieces: list[bytes]) -> None:
    """Send, and see it end."""
    await world.fresh()
    with await connect(world.proxy.port) as client:
        with suppress(Ended):
            await client.send_in_pieces(*pieces)
        raw = await client.read_until_close()
    statuses = [int(status) for status in _STATUS.findall(raw)]
    assert raw == b"" or raw.startswith(b"HTTP/1.1 ")
    assert not set(statuses) & {500, 502, 503, 504}, statuses
    await world.see(sent)


@given(sent=st.lists(requests(), min_size=1, max_size=2), draws=st.data())
def test_mutated_requests_are_answered_or_closed(world: World, sent: list[Sent], draws: st.DataObject) -> None:
    raw = draws.draw(mutated(b"".join(request.raw for request in sent))) + SENTINEL
    pieces = draws.draw(cuts(raw))
    world.run(lambda: survives(world, raw, pieces))


@given(body=CHUNK_PARTS, draws=st.data())
def test_odd_chunks_are_answered_or_closed(world: World, body: bytes, draws: st.DataObject) -> None:
    raw = get(b"/chunks", b"Transfer-Encoding: chunked", method=b"POST") + body + SENTINEL
    pieces = draws.draw(cuts(raw))
    world.run(lambda: survives(world, raw, pieces))


@given(
    raw=st.lists(st.sampled_from([*SPECIAL, b"GET ", b"POST ", b"/", b" HTTP/1.1", b"Host: a", b"X: y"]), max_size=12).map(b"".join),
    draws=st.data(),
)
def test_anything_else_is_answered_or_closed(world: World, raw: bytes, draws: st.DataObject) -> None:
    raw += SENTINEL
    pieces = draws.draw(cuts(raw))
    world.run(lambda: survives(world, raw, pieces))


ANSWERS = [
    ok(b"hello"),
    ok(b"", b"Vary: X", status=b"304 Not Modified"),
    head(b"HTTP/1.1 204 No Content"),
    head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"hel", b"lo", trailers=[b"X-Sum: 1"]),
    head(b"HTTP/1.1 200 OK") + b"until close",
    head(b"HTTP/1.1 103 Early Hints", b"Link: <a>") + ok(b"hello"),
    head(b"HTTP/1.0 200 OK", b"Connection: keep-alive", b"Content-Length: 5") + b"hello",
]


@given(answer=st.sampled_from(ANSWERS), draws=st.data())
def test_mutated_answers_are_relayed_refused_or_cut(patient: World, answer: bytes, draws: st.DataObject) -> None:
    """Whatever the client takes for complete, h11 takes for complete; and the next request gets its own answer."""
    raw = draws.draw(st.one_of(st.just(answer), mutated(answer)))
    pieces = draws.draw(cuts(raw))
    patient.run(lambda: relayed(patient, pieces))


async def relayed(world: World, pieces: list[bytes]) -> None:
    await world.fresh()
    scripted = Upstream()
    proxy = Proxy(world.lane, loopback_settings([route(scripted)]))
    await proxy.start()
    try:
        client = await proxy.connect()
        await client.send(get(b"/fuzz", b"Connection: close"))
        served = await scripted.accept()
        await served.read_request()
        with suppress(Ended):
            await served.send_in_pieces(*pieces)
        served.close()
        got = await client.read_until_close()
        status = complete_status(got, client.ended)
        assert status == 0 or 200 <= status <= 599
        assert await next_answer(proxy, scripted) == b"next"
        assert world.log.lines == []
    finally:
        await proxy.stop()
        await scripted.stop()


async def next_answer(proxy: Proxy, scripted: Upstream) -> bytes:
    client: Client = await proxy.connect()
    await client.send(get(b"/next"))
    served = await scripted.accept()
    assert (await served.read_request()).target == b"/next"
    await served.send(ok(b"next"))
    return (await client.read_response()).body
