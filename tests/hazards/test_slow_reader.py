"""
The danger: a client that asks for much and takes nothing of it keeps the upstream's connection and the proxy's memory.

The promise: no progress for `body_idle_timeout` ends it, visibly incomplete; whoever takes a little now and then is served to the end.
"""

import asyncio
from dataclasses import replace

from corsproxy import problems
from corsproxy.config.settings import Route, RouteLimits
from tests.conftest import ProxyFactory
from tests.harness import Ended, Served, Upstream, complete_status, get, head, ok, route, until

SIZE = 64 * 1024 * 1024


def slow(upstream: Upstream, timeout_s: float) -> Route:
    return replace(route(upstream), limits=RouteLimits(body_idle_timeout=timeout_s))


async def flood(served: Served, size: int) -> None:
    await served.read_request()
    try:
        await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: %d" % size))
        block = bytes(64 * 1024)
        for _ in range(0, size, len(block)):
            await served.send(block)
    except Ended:
        pass


async def test_a_client_that_takes_nothing_is_cut_and_its_upstream_freed(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(slow(upstream, 0.3))
    client = await front.connect(receive_buffer=16 * 1024)
    await client.send(get(b"/big"))
    served = await upstream.accept()
    flooding = asyncio.ensure_future(flood(served, SIZE))
    (record,) = await front.recorded()
    await flooding

    assert record.problem is problems.CLIENT_STALLED
    assert served.sent < SIZE
    assert not front.gateway.in_flight
    raw = await client.read_until_close()
    assert complete_status(raw, client.ended) == 0


async def test_a_bystander_is_served_while_readers_are_stuck(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(slow(upstream, 2.0))
    stuck = [await front.connect(receive_buffer=16 * 1024) for _ in range(5)]
    flooding = []
    for client in stuck:
        await client.send(get(b"/big"))
        flooding.append(asyncio.ensure_future(flood(await upstream.accept(), SIZE)))
    upstream.serve(lambda request: ok(request.target))
    assert [(await front.ask(get(b"/%d" % number))).body for number in range(20)] == [b"/%d" % number for number in range(20)]
    await asyncio.gather(*flooding)
    await until(lambda: not front.gateway.in_flight)
    assert [record.problem is not None for record in front.records if record.target == b"/big"] == [True] * 5


async def test_a_client_that_takes_a_little_now_and_then_gets_everything(proxy: ProxyFactory, upstream: Upstream) -> None:
    """The time begins anew whenever a byte has left; a long answer is no reason to be cut."""
    size = 6 * 1024 * 1024
    front = await proxy(slow(upstream, 1.5))
    client = await front.connect(receive_buffer=16 * 1024)
    client.keeps_history = False
    await client.send(get(b"/big"))
    flooding = asyncio.ensure_future(flood(await upstream.accept(), size))
    await client.read_head()
    left = size
    for _ in range(8):
        await asyncio.sleep(0.3)
        left -= len(await client.read_exactly(min(left, 256 * 1024)))
    await client.read_exactly(left)
    await flooding
    assert [record.problem for record in await front.recorded()] == [None]
