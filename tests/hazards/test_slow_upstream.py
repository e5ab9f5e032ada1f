"""
The danger: an upstream that is slow, or says nothing, holds its clients for ever, or is asked twice for the same work.

The promise: 504 in time, readable for the script that waits; never a second try; a slow body is cut visibly.
"""

import asyncio

import pytest

from corsproxy.config.settings import Timeouts
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, OWN_GRANT, Upstream, chunked, complete_status, get, head, ok, put, route

SHORT = Timeouts(connect=5.0, response=0.1, idle=0.1)
# Where some exchange must also succeed in time, on a slow machine too.
LONGER = Timeouts(connect=5.0, response=1.0, idle=1.0)


@pytest.mark.parametrize("request_", [get(b"/", b"Origin: " + ORIGIN), put(b"x", b"Origin: " + ORIGIN, method=b"POST")])
async def test_silence_is_a_504_and_asked_once(proxy: ProxyFactory, upstream: Upstream, request_: bytes) -> None:
    front = await proxy(route(upstream, timeouts=SHORT))
    client = await front.connect()
    await client.send(request_)
    served = await upstream.accept()
    await served.read_request()
    got = await client.read_response()

    assert got.status == 504
    assert got.cors == OWN_GRANT
    await served.wait_closed()
    assert upstream.connections == 1


async def test_silence_on_a_reused_connection_is_not_asked_again(proxy: ProxyFactory, upstream: Upstream) -> None:
    """The request may be running: a retry would double the load of an upstream that has too much of it."""
    front = await proxy(route(upstream, timeouts=LONGER))
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok())
    await client.read_response()
    await client.send(get(b"/slow"))
    await served.read_request()

    assert (await client.read_response()).status == 504
    await served.wait_closed()
    assert upstream.connections == 1


async def test_interims_do_not_keep_a_client_waiting_for_ever(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, timeouts=SHORT))
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 102 Processing"))
    got = await client.read_response()

    assert (got.status, len(got.interims)) == (504, 1)


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked", b"X-Until: close"])
async def test_a_body_that_stops_is_cut_visibly(proxy: ProxyFactory, upstream: Upstream, framing: bytes) -> None:
    front = await proxy(route(upstream, timeouts=SHORT))
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    part = chunked(b"part")[:-5] if b"chunked" in framing else b"part"
    await served.send(head(b"HTTP/1.1 200 OK", framing) + part)
    got = await client.read_until_close()

    assert complete_status(got, client.ended) == 0
    await served.wait_closed()
    assert (await front.recorded())[0].status == 200


async def test_a_body_that_goes_on_slowly_is_not_cut(proxy: ProxyFactory, upstream: Upstream) -> None:
    """Each byte is progress; `idle` is no limit on the whole."""
    front = await proxy(route(upstream, timeouts=LONGER))
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: 12"))
    await client.read_head()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for _ in range(12):
        await served.send(b"x")
        assert await client.read_exactly(1) == b"x"
        await asyncio.sleep(0.1)
    assert loop.time() - begun > LONGER.idle


async def test_a_slow_client_is_not_the_upstreams_fault(proxy: ProxyFactory, upstream: Upstream) -> None:
    """While the request is on its way, the upstream owes nothing."""
    front = await proxy(route(upstream, timeouts=LONGER))
    client = await front.connect()
    await client.send(get(b"/", b"Content-Length: 4", method=b"PUT"))
    served = await upstream.accept()
    await served.read_request_head()
    for byte in (b"a", b"b", b"c"):
        await asyncio.sleep(0.4)
        await client.send(byte)
        assert await served.read_exactly(1) == byte
    await client.send(b"d")
    assert await served.read_exactly(1) == b"d"
    await served.send(ok(b"all"))

    assert (await client.read_response()).body == b"all"


async def test_after_a_504_the_client_and_the_proxy_go_on(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, timeouts=LONGER))
    client = await front.connect()
    await client.send(get(b"/slow"))
    served = await upstream.accept()
    await served.read_request()
    assert (await client.read_response()).status == 504

    upstream.serve(lambda _: ok(b"quick"))
    assert (await client.ask(get())).body == b"quick"
