"""
The danger: a proxy gathers what should stream, and an event arrives with the next one, or never; or it cuts what only says nothing.

The promise: each event is with the client before the upstream has sent another byte, and silence is cut by `timeouts.idle` alone.
"""

import asyncio
import hashlib
import zlib
from dataclasses import replace

import pytest

from corsproxy import problems
from corsproxy.config.settings import Limits, RouteLimits, Timeouts
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Proxy, Upstream, blocks, chunked, get, head, ok, route, stalled, turns

# Long enough for a busy machine to do one exchange within a quarter of it.
IDLE_S = 1.0
_GZIP = 31

EVENTS = [b"event: tick\nid: %d\ndata: %b\n\n" % (number, b"x" * (number * 37 % 900)) for number in range(200)]
FRAMINGS = {
    "chunked": (head(b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked"), True),
    "until close": (head(b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", b"Connection: close"), False),
    "HTTP/1.0": (head(b"HTTP/1.0 200 OK", b"Content-Type: text/event-stream"), False),
}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_events_arrive_one_by_one(front: Proxy, upstream: Upstream, framing: str) -> None:
    answer, is_chunked = FRAMINGS[framing]
    client = await front.connect()
    await client.send(get(b"/events", b"Accept: text/event-stream", b"Origin: " + ORIGIN))
    served = await upstream.accept()
    await served.read_request()
    await served.send(answer)
    # The head comes alone too: the browser's `open` event does not wait for the first event.
    got = await client.read_head()
    assert b"Access-Control-Allow-Origin: " + ORIGIN in got
    for event in EVENTS:
        await served.send(b"%x\r\n%b\r\n" % (len(event), event) if is_chunked else event)
        if is_chunked:
            assert int(await client.read_until(b"\r\n"), 16) == len(event)
        assert await client.read_exactly(len(event)) == event
        if is_chunked:
            assert await client.read_exactly(2) == b"\r\n"
    if is_chunked:
        await served.send(chunked())
        assert await client.read_exactly(5) == b"0\r\n\r\n"
    else:
        served.close()
        assert await client.read_until_close() == b""


async def test_half_an_event_arrives_too(front: Proxy, upstream: Upstream) -> None:
    """The proxy knows nothing of events: a byte is a byte."""
    client = await front.connect()
    await client.send(get(b"/events"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked"))
    await client.read_head()
    for byte in (b"d", b"a", b"t", b"a"):
        # The size of a chunk, its data and its end may come in segments of their own.
        await served.send_in_pieces(b"1", b"\r\n", byte, b"\r", b"\n")
        assert await client.read_exactly(6) == b"1\r\n" + byte + b"\r\n"


async def test_a_client_that_ends_its_stream_ends_the_upstreams(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/events"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(FRAMINGS["chunked"][0] + b"3\r\n: \n\r\n")
    await client.read_until(b"3\r\n: \n\r\n")
    client.close()

    await served.wait_closed()


async def test_many_streams_do_not_wait_for_each_other(front: Proxy, upstream: Upstream) -> None:
    streams = []
    for number in range(20):
        client = await front.connect()
        await client.send(get(b"/events/%d" % number))
        served = await upstream.accept()
        await served.read_request()
        await served.send(FRAMINGS["until close"][0])
        await client.read_head()
        streams.append((client, served))
    for place in range(10):
        for number, (client, served) in enumerate(streams):
            event = b"data: %d-%d\n\n" % (number, place)
            await served.send(event)
            assert await client.read_exactly(len(event)) == event
    await turns()


# --- what an event stream's head says is the upstream's and the client's business ---


async def test_what_steers_caches_and_buffers_on_the_way_passes_untouched(front: Proxy, upstream: Upstream) -> None:
    """`X-Accel-Buffering` and `no-transform` are for whatever stands in front of us, too."""
    lines = (
        b"Content-Type: text/event-stream; charset=utf-8",
        b"Cache-Control: no-cache, no-transform",
        b"X-Accel-Buffering: no",
        b"Connection: keep-alive",
    )
    client = await front.connect()
    await client.send(get(b"/events", b"Accept: text/event-stream", b"Cache-Control: no-cache", b"Last-Event-ID: caf\xc3\xa9 7"))
    served = await upstream.accept()
    request = await served.read_request()
    assert request.without(b"host") == [
        (b"Accept", b"text/event-stream"),
        (b"Cache-Control", b"no-cache"),
        (b"Last-Event-ID", b"caf\xc3\xa9 7"),
    ]
    await served.send(head(b"HTTP/1.1 200 OK", *lines, b"Transfer-Encoding: chunked"))
    got = await client.read_head()
    for line in lines[:3]:
        assert got.count(b"\r\n" + line + b"\r\n") == 1
    assert got.lower().count(b"cache-control") == got.lower().count(b"x-accel-buffering") == 1
    assert b"keep-alive" not in got


async def test_a_page_reconnects_with_its_last_event_id_and_without_a_preflight(front: Proxy, upstream: Upstream) -> None:
    """EventSource asks nobody first (HTML 9.2.4), so a list of allowed headers must not be in its way."""
    client = await front.connect()
    await client.send(get(b"/events", b"Origin: " + ORIGIN, b"Last-Event-ID: 41"))
    served = await upstream.accept()
    assert (await served.read_request()).value(b"last-event-id") == b"41"
    await served.send(FRAMINGS["chunked"][0])
    assert b"\r\nAccess-Control-Allow-Origin: " + ORIGIN + b"\r\n" in await client.read_head()


async def test_204_tells_a_page_to_stop_reconnecting(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/events", b"Origin: " + ORIGIN))
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 204 No Content"))
    got = await client.read_response()
    assert (got.status, got.cors[b"access-control-allow-origin"]) == (204, ORIGIN)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_compressed_stream_can_be_read_event_by_event(front: Proxy, upstream: Upstream, framing: str) -> None:
    """What the upstream's compressor has flushed is with the client: nobody undoes the coding, or waits for its end."""
    answer, is_chunked = FRAMINGS[framing]
    answer = answer.removesuffix(b"\r\n") + b"Content-Encoding: gzip\r\n\r\n"
    client = await front.connect()
    await client.send(get(b"/events", b"Accept-Encoding: gzip, br"))
    served = await upstream.accept()
    assert (await served.read_request()).value(b"accept-encoding") == b"gzip, br"
    await served.send(answer)
    assert b"\r\nContent-Encoding: gzip\r\n" in await client.read_head()
    packing, unpacking = zlib.compressobj(wbits=_GZIP), zlib.decompressobj(wbits=_GZIP)
    for event in EVENTS[:50]:
        data = packing.compress(event) + packing.flush(zlib.Z_SYNC_FLUSH)
        await served.send(b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data)
        if is_chunked:
            assert int(await client.read_until(b"\r\n"), 16) == len(data)
        assert unpacking.decompress(await client.read_exactly(len(data))) == event
        if is_chunked:
            assert await client.read_exactly(2) == b"\r\n"


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_client_of_http_1_0_gets_its_events_without_chunks(front: Proxy, upstream: Upstream, framing: str) -> None:
    answer, is_chunked = FRAMINGS[framing]
    client = await front.connect()
    await client.send(head(b"GET /events HTTP/1.0", b"Host: proxy.test"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(answer)
    got = (await client.read_head()).lower()
    assert b"transfer-encoding" not in got
    assert b"keep-alive" not in got
    for event in EVENTS[:20]:
        await served.send(b"%x\r\n%b\r\n" % (len(event), event) if is_chunked else event)
        assert await client.read_exactly(len(event)) == event
    if is_chunked:
        await served.send(chunked())
    else:
        served.close()
    assert await client.read_until_close() == b""
    assert client.ended == "fin"


# --- how long a stream may say nothing ---


async def test_a_stream_that_says_nothing_for_less_than_the_idle_timeout_lives(proxy: ProxyFactory, upstream: Upstream) -> None:
    """Neither the client's timeouts nor the one for the head may end it: each is shorter here than the silence."""
    short = replace(
        route(upstream, timeouts=Timeouts(response=0.3, idle=IDLE_S)),
        limits=RouteLimits(body_idle_timeout=0.3),
    )
    front = await proxy(short, limits=Limits(header_timeout=0.3, keep_alive_timeout=0.3))
    client = await front.connect()
    await client.send(get(b"/events"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(FRAMINGS["chunked"][0])
    await client.read_head()
    for _ in range(2):
        await asyncio.sleep(IDLE_S * 0.6)
        await served.send(b"3\r\n: \n\r\n")
        assert await client.read_exactly(8) == b"3\r\n: \n\r\n"


async def test_heartbeats_keep_a_stream_that_is_cut_without_them(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, timeouts=Timeouts(idle=IDLE_S)))
    client = await front.connect()
    await client.send(get(b"/events"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(FRAMINGS["until close"][0])
    await client.read_head()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() - begun < 1.5 * IDLE_S:
        await asyncio.sleep(IDLE_S / 4)
        await served.send(b":\n\n")
        assert await client.read_exactly(3) == b":\n\n"
    silent_since = loop.time()
    assert await client.read_until_close() == b""

    # The end of such a stream is its close, so only a reset says that it was none.
    assert client.ended == "reset"
    assert loop.time() - silent_since >= IDLE_S * 0.95
    (record,) = await front.recorded()
    assert record.problem is problems.UPSTREAM_IDLE_TIMEOUT


async def test_a_stream_that_is_paused_by_its_client_is_not_the_upstreams_fault(proxy: ProxyFactory, upstream: Upstream) -> None:
    """The upstream could not send if it wanted to: its time stands still while it is not read."""
    front = await proxy(replace(route(upstream, timeouts=Timeouts(idle=0.3)), limits=RouteLimits(body_idle_timeout=30.0)))
    client = await front.connect(receive_buffer=16 * 1024)
    client.keeps_history = False
    await client.send(get(b"/events"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(FRAMINGS["until close"][0])
    await client.read_head()
    sent = 0

    async def flood() -> None:
        nonlocal sent
        for block in blocks(32 * 1024 * 1024):
            await served.loop.sock_sendall(served.sock, block)
            sent += len(block)
        served.close()

    flooding = asyncio.ensure_future(flood())
    await stalled(lambda: sent)
    await asyncio.sleep(0.6)
    digest = hashlib.sha256()
    while data := await client.read_some():
        digest.update(data)
    await flooding

    assert client.ended == "fin"
    assert digest.digest() == hashlib.sha256(b"".join(blocks(32 * 1024 * 1024))).digest()


# --- long polls ---


async def test_a_long_poll_may_take_nearly_all_of_its_time(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, timeouts=Timeouts(response=IDLE_S, idle=0.3)))
    client = await front.connect()
    for number in range(2):
        await client.send(get(b"/poll/%d" % number))
        if not number:
            served = await upstream.accept()
        await served.read_request()
        await asyncio.sleep(IDLE_S * 0.75)
        await served.send(ok(b"news"))
        got = await client.read_response()
        assert (got.status, got.body) == (200, b"news")


async def test_an_interim_gives_a_long_poll_its_time_anew(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, timeouts=Timeouts(response=IDLE_S)))
    client = await front.connect()
    await client.send(get(b"/poll"))
    served = await upstream.accept()
    await served.read_request()
    interim = head(b"HTTP/1.1 102 Processing")
    for _ in range(3):
        await asyncio.sleep(IDLE_S / 2)
        await served.send(interim)
        assert await client.read_head() == interim
    await served.send(ok(b"news"))
    assert (await client.read_response()).body == b"news"


async def test_a_long_poll_that_its_client_gives_up_ends_at_the_upstream(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/poll"))
    served = await upstream.accept()
    await served.read_request()
    client.close()

    await served.wait_closed()
    (record,) = await front.recorded()
    assert (record.status, record.problem) == (0, problems.CLIENT_GONE)
