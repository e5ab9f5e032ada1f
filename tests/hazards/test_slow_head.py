"""
The danger: clients that send heads a byte at a time, or not at all, hold every connection there is (slow loris).

The promise: a head has `header_timeout` and no more; a connection that only idles has `keep_alive_timeout`; nobody else waits.
"""

import asyncio

from corsproxy.config.settings import Limits
from tests.conftest import ProxyFactory
from tests.harness import Client, Ended, Upstream, get, ok, put, until

SHORT = Limits(header_timeout=0.2)


def serve(upstream: Upstream) -> None:
    upstream.serve(lambda request: ok(request.target))


async def drip(client: Client) -> None:
    """Send a head that makes progress for ever and never ends."""
    try:
        await client.send(b"GET /loris HTTP/1.1\r\nHost: proxy.test\r\nX: ")
        while True:
            await client.send(b"a")
            await asyncio.sleep(0.01)
    except Ended:
        pass


async def test_fifty_dripping_connections_are_all_cut_and_a_bystander_is_served_meanwhile(proxy: ProxyFactory, upstream: Upstream) -> None:
    serve(upstream)
    front = await proxy(limits=SHORT)
    clients = [await front.connect() for _ in range(50)]
    dripping = [asyncio.ensure_future(drip(client)) for client in clients]
    served = 0
    while not all(task.done() for task in dripping):
        assert (await front.ask(get(b"/bystander"))).body == b"/bystander"
        served += 1
    await asyncio.gather(*dripping)

    assert served > 0
    assert front.gateway.unparsable == 50
    assert {request.target for request in upstream.requests} == {b"/bystander"}
    assert {(await client.read_until_close())[:13] for client in clients} <= {b"HTTP/1.1 408 ", b""}


async def test_a_head_that_stops_is_answered_408_and_cut(proxy: ProxyFactory, upstream: Upstream) -> None:
    serve(upstream)
    front = await proxy(limits=SHORT)
    client = await front.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: proxy.te")
    got = await client.read_response()

    assert (got.status, got.value(b"connection")) == (408, b"close")
    assert await client.read_until_close() == b""
    assert upstream.connections == 0


async def test_a_second_head_has_its_time_too(proxy: ProxyFactory, upstream: Upstream) -> None:
    serve(upstream)
    front = await proxy(limits=SHORT)
    client = await front.connect()
    assert (await client.ask(get(b"/1"))).body == b"/1"
    await client.send(b"GET /2 HTT")
    assert (await client.read_response()).status == 408
    assert await client.read_until_close() == b""


async def test_a_head_behind_a_running_exchange_waits_for_it(proxy: ProxyFactory, upstream: Upstream) -> None:
    """What is pipelined is not late while the answer before it is still to come; afterwards its time runs."""
    front = await proxy(limits=SHORT)
    client = await front.connect()
    await client.send_in_pieces(get(b"/1"), b"GET /2 HTT")
    served = await upstream.accept()
    await served.read_request()
    await passes(front.gateway._loop, 4 * SHORT.header_timeout)
    await served.send(ok(b"1"))
    assert (await client.read_response()).body == b"1"
    assert (await client.read_response()).status == 408
    assert await client.read_until_close() == b""


async def test_the_time_of_a_head_is_not_the_bodys(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=SHORT)
    client = await front.connect()
    request = put(b"body")
    await client.send(request[:-4])
    served = await upstream.accept()
    head = await served.read_request_head()
    await passes(front.gateway._loop, 4 * SHORT.header_timeout)
    await client.send(b"body")
    assert (await served.read_request_body(head)).body == b"body"
    await served.send(ok())
    assert (await client.read_response()).status == 200


async def test_an_idle_connection_is_not_a_late_head(proxy: ProxyFactory, upstream: Upstream) -> None:
    serve(upstream)
    front = await proxy(limits=SHORT)
    silent, used = await front.connect(), await front.connect()
    assert (await used.ask(get(b"/1"))).body == b"/1"
    await passes(front.gateway._loop, 4 * SHORT.header_timeout)
    assert (await used.ask(get(b"/2"))).body == b"/2"
    assert (await silent.ask(get(b"/3"))).body == b"/3"


async def test_a_connection_that_idles_too_long_is_closed_without_a_word(proxy: ProxyFactory, upstream: Upstream) -> None:
    """A 408 there could be taken for the answer to a request that is just on its way."""
    serve(upstream)
    front = await proxy(limits=Limits(keep_alive_timeout=0.2))
    silent, used = await front.connect(), await front.connect()
    assert (await used.ask(get(b"/1"))).body == b"/1"
    assert await used.read_until_close() == b""
    assert await silent.read_until_close() == b""
    await until(lambda: not front.open_clients)


async def passes(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Wait until a deadline would have passed."""
    end = loop.time() + seconds
    await until(lambda: loop.time() > end)
