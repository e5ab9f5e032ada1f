"""
The danger: more clients, or more work, than there is place for: descriptors run out, the queue grows, everybody waits.

The promise: above `in_flight` a readable 503 at once; connections beyond their limit wait outside, idle ones make room; who waits for an
upstream connection is served in order of arrival, or told 503; a lack of descriptors passes by itself.
"""

import asyncio
import errno
import socket
from dataclasses import replace
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.config.settings import Limits, Listen, Route
from corsproxy.config.upstreams import PoolSettings
from corsproxy.gateway import listener
from tests.conftest import ErrorLog, ProxyFactory
from tests.harness import ORIGIN, Client, Proxy, Served, Upstream, get, ok, put, route, turns, until

ALLOWED = b"Origin: " + ORIGIN
PREFLIGHT = get(b"/", ALLOWED, b"Access-Control-Request-Method: PUT", method=b"OPTIONS")


async def occupy(front: Proxy, upstream: Upstream, target: bytes = b"/busy") -> tuple[Client, Served]:
    """Begin an exchange that lasts until the test ends it."""
    client = await front.connect()
    await client.send(get(target))
    served = await upstream.accept()
    assert (await served.read_request()).target == target
    return client, served


# --- exchanges ---


async def test_more_exchanges_than_may_be_are_503_at_once_and_readable(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(in_flight=1))
    busy, served = await occupy(front, upstream)
    client = await front.connect()
    for _ in range(3):
        got = await client.ask(get(b"/", ALLOWED))
        assert (got.status, got.values(b"connection")) == (503, [])
        assert got.value(b"retry-after") == b"1"
        assert got.cors == {
            b"access-control-allow-origin": ORIGIN,
            b"access-control-expose-headers": b"X-Request-Id, Retry-After, Proxy-Status",
        }
    assert upstream.connections == 1

    await served.send(ok(b"done"))
    assert (await busy.read_response()).body == b"done"
    await client.send(get(b"/now"))
    assert (await served.read_request()).target == b"/now"
    await served.send(ok(b"now"))
    assert (await client.read_response()).body == b"now"


async def test_preflights_are_answered_however_much_is_going_on(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(in_flight=1))
    _, served = await occupy(front, upstream)
    assert [(await front.ask(PREFLIGHT)).status for _ in range(3)] == [204] * 3
    await served.send(ok())


async def test_an_upload_that_is_not_taken_ends_its_connection(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corsproxy.gateway.bounds._LINGERING_S", 0.05)
    front = await proxy(limits=Limits(in_flight=1))
    _, served = await occupy(front, upstream)
    client = await front.connect()
    got = await client.ask(get(b"/", b"Expect: 100-continue", b"Content-Length: 9", method=b"PUT"))
    assert (got.status, got.interims, got.value(b"connection")) == (503, (), b"close")
    assert await client.read_until_close() == b""
    await served.send(ok())


async def test_refusals_come_before_the_overload(proxy: ProxyFactory, upstream: Upstream) -> None:
    """A client that does wrong learns so, and is not told to come again."""
    front = await proxy(limits=Limits(in_flight=1))
    _, served = await occupy(front, upstream)
    assert (await front.ask(get(b"/", b"Origin: https://evil.example"))).status == 403
    assert (await front.ask(get(b"/", b"Expect: x"))).status == 417
    await served.send(ok())


# --- connections ---


async def test_connections_beyond_the_limit_wait_outside_and_get_in_when_one_leaves(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(connections=3))
    busy = [await occupy(front, upstream, b"/%d" % number) for number in range(3)]
    waiting = [await front.connect() for _ in range(3)]
    for client in waiting:
        await client.send(get(b"/late"))
    await turns(20)
    assert (front.open_clients, upstream.connections) == (3, 3)

    for number, (client, served) in enumerate(busy):
        await until(lambda: front.open_clients == 3)
        await served.send(ok(b"%d" % number))
        got = await client.read_response()
        # Crowded: what is answered now does not stay.
        assert (got.body, got.value(b"connection")) == (b"%d" % number, b"close")
        assert await client.read_until_close() == b""
        # The place goes to the next outside, whose request goes out on the connection that is free.
        assert (await served.read_request()).target == b"/late"
    for (_, served), client in zip(busy, waiting, strict=True):
        await served.send(ok(b"late"))
        assert (await client.read_response()).body == b"late"


async def test_who_waited_outside_is_served(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda request: ok(request.target))
    front = await proxy(limits=Limits(connections=2))
    got = await asyncio.gather(*(front.ask(get(b"/%d" % number, b"Connection: close")) for number in range(30)))

    assert [answer.body for answer in got] == [b"/%d" % number for number in range(30)]
    await until(lambda: not front.open_clients)


async def test_when_it_gets_crowded_the_longest_idle_makes_room(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda request: ok(request.target))
    front = await proxy(limits=Limits(connections=10))
    clients = [await front.connect() for _ in range(9)]
    for client in clients:
        assert (await client.ask(get(b"/a"))).values(b"connection") == []
    # The first was used again, so the second is the one that was idle longest.
    await clients[0].ask(get(b"/b"))
    late = await front.connect()
    got = await late.ask(get(b"/late"))
    assert got.body == b"/late"
    assert await clients[1].read_until_close() == b""
    for client in (clients[0], *clients[2:]):
        assert not client.ended
        assert (await client.ask(get(b"/c"))).body == b"/c"


async def test_one_that_was_just_made_does_not_make_room(proxy: ProxyFactory, upstream: Upstream) -> None:
    """Its first request may be on its way, and would be lost."""
    upstream.serve(lambda request: ok(request.target))
    front = await proxy(limits=Limits(connections=10))
    clients = [await front.connect() for _ in range(10)]
    await until(lambda: front.open_clients == 10)
    for number, client in enumerate(clients):
        assert (await client.ask(get(b"/%d" % number))).body == b"/%d" % number


async def test_those_that_stay_silent_make_room_also_where_nobody_new_can_come_in(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corsproxy.gateway.server._FIRST_REQUEST_S", 0.05)
    upstream.serve(lambda request: ok(request.target))
    front = await proxy(limits=Limits(connections=3, header_timeout=0.2))
    silent = [await front.connect() for _ in range(3)]
    await until(lambda: front.open_clients == 3)
    assert (await front.ask(get(b"/late"))).body == b"/late"
    assert await silent[0].read_until_close() == b""


async def test_a_busy_connection_never_makes_room(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(connections=2))
    busy, served = await occupy(front, upstream)
    idle = await front.connect()
    await until(lambda: front.open_clients == 2)
    await served.send(ok(b"done"))
    assert (await busy.read_response()).body == b"done"
    del idle


# --- descriptors ---


class Failing(socket.socket):
    """A listening socket that fails so many times before it accepts again; whoever came meanwhile is lost."""

    def __init__(self, listener: socket.socket, error: int, times: int) -> None:
        super().__init__(fileno=listener.detach())
        self.error = error
        self.times = times
        self.failed = 0

    def accept(self) -> tuple[socket.socket, Any]:
        accepted = super().accept()
        if self.failed < self.times:
            self.failed += 1
            accepted[0].close()
            raise OSError(self.error, "failing")
        return accepted


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_a_lack_of_descriptors_passes(proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    await survive(proxy, upstream, monkeypatch, error)


@pytest.mark.parametrize("error", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EHOSTUNREACH])
async def test_a_client_that_broke_off_while_it_waited_is_nobodys_loss(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Linux hands the errors of a connection out by accept(); they say nothing of the listening socket."""
    await survive(proxy, upstream, monkeypatch, error)


async def survive(proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    made: list[Failing] = []
    bind_really = listener.bind

    def bind(address: Listen, key: str, *, shared: bool) -> list[socket.socket]:
        made.extend(Failing(sock, error, 3) for sock in bind_really(address, key, shared=shared))
        return list(made)

    upstream.serve(lambda request: ok(request.target))
    with monkeypatch.context() as patched:
        patched.setattr(listener, "bind", bind)
        front = await proxy()
    monkeypatch.setattr(listener, "_EXHAUSTION_PAUSE_S", 0.01)
    for _ in range(3):
        lost = await front.connect()
        assert await lost.read_until_close() == b""
    assert made[0].failed == 3
    assert (await front.ask(get(b"/after"))).body == b"/after"


# --- the upstream's connections ---


def pooled(upstream: Upstream, most: int, wait: float = 10.0) -> Route:
    settings = replace(upstream.settings, pool=PoolSettings(max_connections=most, wait=wait))
    return replace(route(upstream), upstream=settings)


async def test_who_waits_for_a_connection_is_served_in_order_of_arrival(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(pooled(upstream, 1))
    first, served = await occupy(front, upstream, b"/0")
    clients = [first]
    for number in range(1, 6):
        clients.append(await front.connect())
        await clients[-1].send(get(b"/%d" % number))
        await until(lambda number=number: len(front.pool._waiters) == number)  # type: ignore[misc]
    for number, client in enumerate(clients):
        if number:
            assert (await served.read_request()).target == b"/%d" % number
        await served.send(ok(b"%d" % number))
        assert (await client.read_response()).body == b"%d" % number
    assert (upstream.connections, front.pool.connects, front.pool.reuses) == (1, 1, 5)


async def test_order_holds_when_connections_are_not_kept(proxy: ProxyFactory, upstream: Upstream) -> None:
    """A place that becomes free is passed on as a connection is, in the same order."""
    front = await proxy(pooled(upstream, 1))
    first, served = await occupy(front, upstream, b"/0")
    clients = [first]
    for number in range(1, 5):
        clients.append(await front.connect())
        await clients[-1].send(get(b"/%d" % number))
        await until(lambda number=number: len(front.pool._waiters) == number)  # type: ignore[misc]
    for number, client in enumerate(clients):
        if number:
            served = await upstream.accept()
            assert (await served.read_request()).target == b"/%d" % number
        await served.send(ok(b"%d" % number, b"Connection: close"))
        served.close()
        assert (await client.read_response()).body == b"%d" % number
    assert upstream.connections == 5
    await until(lambda: not front.pool.size)


async def test_a_wait_that_is_too_long_is_503_and_readable(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(pooled(upstream, 1, wait=0.1))
    busy, served = await occupy(front, upstream)
    got = await front.ask(get(b"/late", ALLOWED))

    assert got.status == 503
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    assert front.records[0].problem is problems.UPSTREAM_POOL_FULL
    await served.send(ok(b"done"))
    assert (await busy.read_response()).body == b"done"
    assert upstream.connections == 1


async def test_a_client_that_leaves_the_queue_takes_nobodys_turn(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(pooled(upstream, 1))
    first, served = await occupy(front, upstream, b"/0")
    leaving, staying = await front.connect(), await front.connect()
    await leaving.send(get(b"/leaving"))
    await until(lambda: len(front.pool._waiters) == 1)
    await staying.send(get(b"/staying"))
    await until(lambda: len(front.pool._waiters) == 2)
    leaving.close()
    await until(lambda: len(front.pool._waiters) == 1)
    await served.send(ok())
    await first.read_response()
    assert (await served.read_request()).target == b"/staying"
    await served.send(ok(b"1"))
    assert (await staying.read_response()).body == b"1"


async def test_a_failed_connection_passes_its_place_on(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(pooled(upstream, 1))
    first, served = await occupy(front, upstream, b"/0")
    second = await front.connect()
    await second.send(get(b"/1"))
    await until(lambda: len(front.pool._waiters) == 1)
    served.close()
    assert (await first.read_response()).status == 502
    served = await upstream.accept()
    assert (await served.read_request()).target == b"/1"
    await served.send(ok(b"1"))
    assert (await second.read_response()).body == b"1"


async def test_a_crowd_on_one_connection_is_served_whole(proxy: ProxyFactory, upstream: Upstream, quiet_loop: ErrorLog) -> None:
    upstream.serve(lambda request: ok(request.target + request.body))
    front = await proxy(pooled(upstream, 2))
    got = await asyncio.gather(*(front.ask(put(b"!", target=b"/%d" % number)) for number in range(100)))

    assert [answer.body for answer in got] == [b"/%d!" % number for number in range(100)]
    assert upstream.connections <= 2
    assert quiet_loop.lines == []


async def test_an_upstream_connection_that_idles_is_closed_before_the_upstream_would(proxy: ProxyFactory, upstream: Upstream) -> None:
    settings = replace(upstream.settings, pool=PoolSettings(idle_timeout=0.1))
    front = await proxy(replace(route(upstream), upstream=settings, timeouts=replace(route(upstream).timeouts, idle=1.0)))
    client, served = await occupy(front, upstream, b"/1")
    await served.send(ok())
    await client.read_response()
    await served.wait_closed()
    await client.send(get(b"/2"))
    assert (await (await upstream.accept()).read_request()).target == b"/2"
    assert front.pool.reuses == 0
