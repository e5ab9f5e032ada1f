"""The drain: nothing new comes in, what is in flight ends, then everything is closed."""

import asyncio
import socket
import time

import pytest

from tests.harness import DEADLINE_S, Client, Ended, Proxy, Served, Upstream, complete_status, get, head, ok, turns, until


def begin_drain(front: Proxy, grace_s: float = DEADLINE_S) -> "asyncio.Task[bool]":
    return asyncio.ensure_future(front.gateway.drain(grace_s))


async def in_flight(front: Proxy, upstream: Upstream, request: bytes = b"") -> tuple[Client, Served]:
    client = await front.connect()
    await client.send(request or get())
    served = await upstream.accept()
    await served.read_request_head()
    return client, served


async def test_an_exchange_in_flight_ends_and_says_connection_close(front: Proxy, upstream: Upstream) -> None:
    client, served = await in_flight(front, upstream)
    draining = begin_drain(front)
    await until(lambda: front.gateway.draining)
    await served.send(ok(b"last"))
    got = await client.read_response()

    assert (got.body, got.value(b"connection")) == (b"last", b"close")
    assert await client.read_until_close() == b""
    assert await draining is True
    assert await served.read_until_close() == b""


async def test_a_body_in_flight_ends(front: Proxy, upstream: Upstream) -> None:
    client, served = await in_flight(front, upstream)
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: 8") + b"half")
    await client.read_head()
    assert await client.read_exactly(4) == b"half"
    draining = begin_drain(front)
    await until(lambda: front.gateway.draining)
    await turns()
    await served.send(b"full")

    assert await client.read_exactly(4) == b"full"
    assert await client.read_until_close() == b""
    assert client.ended == "fin"
    assert await draining is True


async def test_an_upload_in_flight_ends(front: Proxy, upstream: Upstream) -> None:
    client, served = await in_flight(front, upstream, get(b"/", b"Content-Length: 8", method=b"PUT"))
    await client.send(b"half")
    assert await served.read_exactly(4) == b"half"
    draining = begin_drain(front)
    await until(lambda: front.gateway.draining)
    await turns()
    await client.send(b"full")
    assert await served.read_exactly(4) == b"full"
    await served.send(ok(b"stored"))

    assert (await client.read_response()).body == b"stored"
    assert await draining is True


async def test_new_connections_are_refused(front: Proxy, upstream: Upstream) -> None:
    _, served = await in_flight(front, upstream)
    draining = begin_drain(front)
    await until(lambda: front.gateway.draining)
    await turns()
    # The kernel may still accept for a listener that closes; such a connection is cut.
    with pytest.raises((ConnectionError, Ended)):
        await front.ask(get())
    await served.send(ok())
    assert await draining is True


async def test_idle_connections_are_closed_on_both_sides(front: Proxy, upstream: Upstream) -> None:
    clients = [await front.connect() for _ in range(3)]
    for client in clients[:2]:
        await client.send(get())
        served = await upstream.accept() if upstream.connections < 1 or upstream.waiting else upstream.served[0]
        await served.read_request()
        await served.send(ok())
        await client.read_response()
    assert await begin_drain(front) is True

    for client in clients:
        assert await client.read_until_close() == b""
    for served in upstream.served:
        assert await served.read_until_close() == b""


async def test_an_idle_connection_does_not_wait_for_those_in_flight(front: Proxy, upstream: Upstream) -> None:
    idle = await front.connect()
    await until(lambda: front.open_clients == 1)
    client, served = await in_flight(front, upstream)
    draining = begin_drain(front)

    assert await idle.read_until_close() == b""
    assert not draining.done()
    await served.send(ok(b"last"))
    assert (await client.read_response()).body == b"last"
    assert await draining is True


async def test_what_outlives_the_grace_is_cut_visibly(front: Proxy, upstream: Upstream) -> None:
    client, served = await in_flight(front, upstream)
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: 8") + b"half")
    await client.read_head()
    assert await begin_drain(front, 0.05) is False

    assert await client.read_until_close() == b"half"
    await served.read_until_close()


async def test_stop_cuts_everything_at_once(front: Proxy, upstream: Upstream) -> None:
    waiting, served = await in_flight(front, upstream)
    idle = await front.connect()
    await front.gateway.stop()

    await waiting.read_until_close()
    await idle.read_until_close()
    await served.read_until_close()


@pytest.mark.parametrize("lines", [(b"Content-Length: 8",), (b"Transfer-Encoding: chunked",), ()], ids=["length", "chunked", "until close"])
async def test_what_is_cut_by_a_stop_never_looks_complete(front: Proxy, upstream: Upstream, lines: tuple[bytes, ...]) -> None:
    client, served = await in_flight(front, upstream)
    part = b"4\r\nhalf\r\n" if lines == (b"Transfer-Encoding: chunked",) else b"half"
    await served.send(head(b"HTTP/1.1 200 OK", *lines) + part)
    got = await client.read_until(b"half")
    await front.gateway.stop()
    got += await client.read_until_close()

    assert complete_status(got, client.ended) == 0


@pytest.mark.parametrize("count", range(6))
async def test_a_stop_among_clients_that_leave_is_quiet(front: Proxy, upstream: Upstream, count: int) -> None:
    """Whether an exchange ends by its client, by the stop, or by both in the same turn of the loop: none is an error in the log."""
    streams = [await in_flight(front, upstream) for _ in range(20)]
    for _, served in streams:
        await served.send(head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"))
    for client, _ in streams:
        await client.read_head()
    stopping = asyncio.ensure_future(front.gateway.stop())
    await turns(10)
    for client, _ in streams[::2]:
        client.close()
    await turns(count)
    # Nobody's turn until every wait of the stop is over.
    time.sleep(0.1)  # noqa: ASYNC251
    await stopping

    for client, _ in streams[1::2]:
        assert await client.read_until_close() == b""
    for _, served in streams:
        assert await served.read_until_close() == b""
    assert not front.gateway.in_flight


async def test_a_pipelined_request_behind_the_last_one_is_not_served(front: Proxy, upstream: Upstream) -> None:
    client, served = await in_flight(front, upstream, get(b"/1") + get(b"/2"))
    draining = begin_drain(front)
    await until(lambda: front.gateway.draining)
    await served.send(ok(b"1"))

    assert (await client.read_response()).value(b"connection") == b"close"
    assert await client.read_until_close() == b""
    assert await draining is True
    assert upstream.connections == 1


async def test_who_stands_in_the_queue_when_listening_ends_is_served(front: Proxy, upstream: Upstream) -> None:
    """The loop gets no turn between: the kernel has made these connections, and nobody has accepted them yet."""
    upstream.serve(lambda request: ok(request.target))
    waiting = []
    for number in range(100):
        sock = socket.create_connection(("127.0.0.1", front.port))
        sock.sendall(get(b"/%d" % number))
        waiting.append(Client(sock))
    draining = begin_drain(front)

    for number, client in enumerate(waiting):
        with client:
            got = await client.read_response()
            assert (got.body, got.value(b"connection")) == (b"/%d" % number, b"close")
    assert await draining is True


async def test_a_connection_that_asked_for_nothing_yet_may_still_do_so(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await until(lambda: front.open_clients == 1)
    draining = begin_drain(front)
    await until(lambda: front.gateway.draining)
    await client.send(get(b"/late"))
    served = await upstream.accept()
    assert (await served.read_request()).target == b"/late"
    await served.send(ok(b"late"))

    assert (await client.read_response()).body == b"late"
    assert await draining is True


async def test_one_that_asks_for_nothing_holds_the_end_up_for_a_moment_only(front: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corsproxy.gateway.server._FIRST_REQUEST_S", 0.05)
    client = await front.connect()
    await until(lambda: front.open_clients == 1)
    assert await begin_drain(front) is True
    assert await client.read_until_close() == b""


async def test_whoever_leaves_soon_serves_on_and_ends_each_connection(front: Proxy, upstream: Upstream) -> None:
    """What is open stays open until its next answer, and new connections come in."""
    upstream.serve(lambda request: ok(request.target))
    kept, silent = await front.connect(), await front.connect()
    assert (await kept.ask(get(b"/1"))).values(b"connection") == []
    front.gateway.begin_leaving()
    late = await front.connect()
    for client, target in ((kept, b"/2"), (late, b"/3"), (silent, b"/4")):
        got = await client.ask(get(target))
        assert (got.body, got.value(b"connection")) == (target, b"close")
        assert await client.read_until_close() == b""
