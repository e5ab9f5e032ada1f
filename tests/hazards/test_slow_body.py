"""
The danger: a client that announces a body and does not send it holds an upstream's connection, and whatever stands behind it.

The promise: without progress for `body_idle_timeout` it is 408, readable, and both connections end; the upstream never takes the part for the whole.
"""

import asyncio
from dataclasses import replace

import pytest

from corsproxy.config.settings import Route, RouteLimits, Timeouts
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Ended, Upstream, get, ok, route

TINY = RouteLimits(body_idle_timeout=0.2)
CHUNKED = get(b"/", b"Origin: " + ORIGIN, b"Transfer-Encoding: chunked", method=b"POST")
SIZED = get(b"/", b"Origin: " + ORIGIN, b"Content-Length: 9", method=b"POST")

BROKEN = {
    "nothing of a sized body": SIZED,
    "half of a sized body": SIZED + b"half",
    "nothing of a chunked body": CHUNKED,
    "half of a chunk": CHUNKED + b"4\r\nha",
    "a chunk and no more": CHUNKED + b"4\r\nhalf\r\n",
    "no end of the last chunk": CHUNKED + b"4\r\nhalf\r\n0\r\n",
}


@pytest.fixture(autouse=True)
def short_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corsproxy.gateway.bounds._LINGERING_S", 0.05)


def slow(upstream: Upstream, limits: RouteLimits = TINY, timeouts: Timeouts | None = None) -> Route:
    return replace(route(upstream, timeouts=timeouts), limits=limits)


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_body_that_stops_is_408_for_its_script_and_incomplete_for_the_upstream(
    proxy: ProxyFactory, upstream: Upstream, kind: str
) -> None:
    front = await proxy(slow(upstream))
    client = await front.connect()
    await client.send(BROKEN[kind])
    served = await upstream.accept()
    got = await client.read_response()

    assert (got.status, got.value(b"connection")) == (408, b"close")
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    assert await client.read_until_close() == b""
    with pytest.raises(Ended):
        await served.read_request()
    (record,) = await front.recorded()
    assert record.problem is not None
    assert record.problem.code == "CP312"


async def test_a_body_that_keeps_coming_is_never_late(proxy: ProxyFactory, upstream: Upstream) -> None:
    """Every byte begins the time anew; the upstream's time does not run either while the client still sends."""
    front = await proxy(slow(upstream, RouteLimits(body_idle_timeout=1.0), Timeouts(response=0.3)))
    client = await front.connect()
    await client.send(get(b"/", b"Content-Length: 12", method=b"POST"))
    served = await upstream.accept()
    reading = asyncio.ensure_future(served.read_request())
    for _ in range(12):
        await asyncio.sleep(0.1)
        await client.send(b"x")
    assert (await reading).body == b"x" * 12
    await served.send(ok())
    assert (await client.read_response()).status == 200


async def test_an_answer_that_comes_before_the_body_ends_is_relayed(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(slow(upstream, RouteLimits(body_idle_timeout=5.0)))
    client = await front.connect()
    await client.send(SIZED + b"half")
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(ok(b"enough", status=b"422 No"))
    got = await client.read_response()

    assert (got.status, got.body, got.value(b"connection")) == (422, b"enough", b"close")
    assert await client.read_until_close() == b""
    assert (await served.read_until_close()) in (b"half", b"")


async def test_many_stuck_uploads_hold_up_nobody(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda request: ok(request.target))
    front = await proxy(slow(upstream))
    stuck = [await front.connect() for _ in range(20)]
    for client in stuck:
        await client.send(SIZED + b"half")
    assert [(await front.ask(get(b"/%d" % number))).body for number in range(20)] == [b"/%d" % number for number in range(20)]
    assert [(await client.read_response()).status for client in stuck] == [408] * 20
    assert len(upstream.requests) == 20
