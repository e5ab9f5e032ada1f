"""
The danger: a proxy gathers what should stream, and an event arrives with the next one, or never.

The promise: each event is with the client before the upstream has sent another byte.
"""

import pytest

from tests.harness import ORIGIN, Proxy, Upstream, chunked, get, head, turns

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
