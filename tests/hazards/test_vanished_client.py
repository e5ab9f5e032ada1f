"""
The danger: clients leave, and their exchanges stay: upstream work, tasks, sockets and memory pile up.

The promise: whatever a client was doing, soon after it left nothing of it is there (the fixtures look for tasks, sockets,
busy connections and ERROR records).
"""

import asyncio
import random

import pytest

from tests.harness import Client, Proxy, Request, Upstream, blocks, get, head, ok, until

CLIENTS = 100


async def leave_at(front: Proxy, request: bytes, at: int, *, reset: bool) -> None:
    """Send a part of a request, or read a part of its answer, and be gone."""
    client: Client = await front.connect()
    await client.send(request[:at])
    if at > len(request):
        await client.read_some()
    if reset:
        client.reset()
    else:
        client.close()


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
async def test_a_hundred_clients_that_leave_anywhere_leave_nothing_behind(front: Proxy, upstream: Upstream, *, reset: bool) -> None:
    async def answer(request: Request) -> bytes:
        await asyncio.sleep(0)
        return ok(request.target * 5000)

    upstream.serve(answer, judge=False)
    chooser = random.Random(reset)
    request = get(b"/gone", b"X-A: 1", b"Content-Length: 30", method=b"POST") + b"x" * 30
    places = [chooser.randrange(1, len(request) + 20) for _ in range(CLIENTS)]
    await asyncio.gather(*(leave_at(front, request, place, reset=reset) for place in places))
    await until(lambda: not front.open_clients and not front.gateway.in_flight)

    assert (await front.ask(get(b"/alive"))).body.startswith(b"/alive")


async def test_the_upstreams_work_ends_with_its_client(front: Proxy, upstream: Upstream) -> None:
    """Every one of them: the upstream sees its connection close before it has said a word."""
    clients = [await front.connect() for _ in range(CLIENTS)]
    for client in clients:
        await client.send(get())
    served = [await upstream.accept() for _ in clients]
    for wire in served:
        await wire.read_request(judge=False)
    for client in clients:
        client.close()
    for wire in served:
        await wire.wait_closed()
        wire.close()

    assert front.open_upstream == 0
    assert {record.status for record in await front.recorded(CLIENTS)} == {0}


async def test_a_download_that_nobody_takes_any_more_stops(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect(receive_buffer=16 * 1024)
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: 1000000000"))
    await client.read_head()

    async def send_for_ever() -> None:
        while True:
            for block in blocks(1_000_000):
                await served.loop.sock_sendall(served.sock, block)

    sending = asyncio.ensure_future(send_for_ever())
    client.close()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(sending, 15)
    await until(lambda: not front.open_upstream)


async def test_others_go_on_while_clients_leave(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda request: ok(request.target))
    staying = await front.connect()
    for number in range(100):
        leaving = await front.connect()
        await leaving.send(get(b"/leaving"))
        leaving.reset()
        assert (await staying.ask(get(b"/%d" % number))).body == b"/%d" % number
