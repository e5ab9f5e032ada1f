"""A slow reader holds its writer up, in both directions; what is in between stays bounded."""

import asyncio
import hashlib

import pytest

from tests.harness import Client, Proxy, Served, Upstream, Wire, blocks, chunked, get, head, ok, stalled

OFFERED = 64 * 1024 * 1024
# The kernel's buffers of two connections, grown to their largest, and the proxy's own.
MAX_IN_BETWEEN = 24 * 1024 * 1024
SMALL_BUFFER = 16 * 1024


class Sender:
    """Sends a long body in the background and says how far it got."""

    def __init__(self, wire: Wire, *, is_chunked: bool) -> None:
        self.done = 0
        self.digest = hashlib.sha256()
        self.task = asyncio.ensure_future(self._send(wire, is_chunked=is_chunked))

    async def _send(self, wire: Wire, *, is_chunked: bool) -> None:
        for block in blocks(OFFERED):
            data = b"%x\r\n%b\r\n" % (len(block), block) if is_chunked else block
            # Not `wire.send`: being held up for long is what is wanted here.
            await wire.loop.sock_sendall(wire.sock, data)
            self.digest.update(block)
            self.done += len(block)
        if is_chunked:
            await wire.loop.sock_sendall(wire.sock, chunked())


async def receive(wire: Wire, *, is_chunked: bool) -> str:
    """Read the whole body and return its digest."""
    digest = hashlib.sha256()
    left = OFFERED
    wire.keeps_history = False
    while left or is_chunked:
        if is_chunked:
            size = int(await wire.read_until(b"\r\n"), 16)
            data = (await wire.read_exactly(size + 2))[:-2]
            if not size:
                break
        else:
            data = await wire.read_some()
            left -= len(data)
        digest.update(data)
    return digest.hexdigest()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
async def test_a_client_that_does_not_read_stops_the_upstream(front: Proxy, upstream: Upstream, *, is_chunked: bool) -> None:
    client = await front.connect(receive_buffer=SMALL_BUFFER)
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % OFFERED
    await served.send(head(b"HTTP/1.1 200 OK", framing))
    sender = Sender(served, is_chunked=is_chunked)
    await client.read_head()

    assert await stalled(lambda: sender.done) < MAX_IN_BETWEEN
    assert await receive(client, is_chunked=is_chunked) == sender.digest.hexdigest()
    await sender.task
    await still_usable(client, served)


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
async def test_an_upstream_that_does_not_read_stops_the_client(front: Proxy, upstream: Upstream, *, is_chunked: bool) -> None:
    upstream.receive_buffer = SMALL_BUFFER
    client = await front.connect()
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % OFFERED
    await client.send(get(b"/", framing, method=b"PUT"))
    served = await upstream.accept()
    await served.read_request_head()
    sender = Sender(client, is_chunked=is_chunked)

    assert await stalled(lambda: sender.done) < MAX_IN_BETWEEN
    assert await receive(served, is_chunked=is_chunked) == sender.digest.hexdigest()
    await sender.task
    await served.send(ok())
    assert (await client.read_response()).status == 200
    await still_usable(client, served)


async def still_usable(client: Client, served: Served) -> None:
    await client.send(get(b"/next"))
    assert (await served.read_request()).target == b"/next"
    await served.send(ok(b"next"))
    assert (await client.read_response()).body == b"next"


async def test_one_slow_reader_does_not_hold_up_another(front: Proxy, upstream: Upstream) -> None:
    slow = await front.connect(receive_buffer=SMALL_BUFFER)
    await slow.send(get(b"/slow"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: %d" % OFFERED))
    sender = Sender(served, is_chunked=False)
    await stalled(lambda: sender.done)
    upstream.serve(lambda request: ok(request.target))
    quick = await front.connect()
    for number in range(20):
        assert (await quick.ask(get(b"/%d" % number))).body == b"/%d" % number
    sender.task.cancel()
    await asyncio.wait({sender.task})


async def test_pipelined_requests_behind_a_slow_one_are_not_gathered_without_bound(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/slow"))
    served = await upstream.accept()
    await served.read_request()
    sent = 0

    async def flood() -> None:
        nonlocal sent
        request = get(b"/flood", b"X-Padding: " + b"p" * 4000)
        while True:
            await client.loop.sock_sendall(client.sock, request)
            sent += len(request)

    flooding = asyncio.ensure_future(flood())
    # Held up, or cut off: both are bounds.
    waiting = asyncio.ensure_future(stalled(lambda: sent))
    await asyncio.wait({flooding, waiting}, return_when=asyncio.FIRST_COMPLETED)
    assert sent < MAX_IN_BETWEEN
    for task in (flooding, waiting):
        task.cancel()
    await asyncio.wait({flooding, waiting})
    if not flooding.cancelled():
        assert isinstance(flooding.exception(), ConnectionError)
    assert upstream.connections == 1
    # Nobody notices a client that leaves while it is not read: the end of the exchange lets it be read on.
    client.reset()
    served.close()
