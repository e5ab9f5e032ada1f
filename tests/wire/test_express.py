"""
The express lane: what it takes, what it hands over, and each point of the contract between it and aiohttp.

Every other test of the wire runs on both lanes. Here the lane itself is looked at, so that none of them passes only because
everything was handed over.
"""

import asyncio
from dataclasses import replace

import pytest

from corsproxy.config.settings import Limits
from tests.conftest import ProxyFactory
from tests.harness import DEADLINE_S, ORIGIN, Client, Proxy, Served, Upstream, chunked, get, head, ok, put, route, stalled, turns, until

pytestmark = pytest.mark.parametrize("lane", ["express"])

PREFLIGHT = get(b"/", b"Origin: " + ORIGIN, b"Access-Control-Request-Method: PUT", method=b"OPTIONS")
CHUNKED = get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + chunked(b"some", b"thing")
OLD = head(b"GET /old HTTP/1.0", b"Host: proxy.test")

PLAIN = {
    "get": get(b"/a?b=c"),
    "head": get(method=b"HEAD"),
    "delete": get(method=b"DELETE"),
    "length": put(b"something"),
    "length-zero": put(b""),
    "chunked": CHUNKED,
    "preflight": PREFLIGHT,
    "options": get(method=b"OPTIONS"),
    "cross-origin": get(b"/", b"Origin: " + ORIGIN),
    "refused-origin": get(b"/", b"Origin: https://evil.example"),
    "browser": get(b"/", b"Connection: keep-alive", b"Accept: */*", b"Cookie: a=1", b"User-Agent: x", b"TE: trailers"),
    "close": get(b"/", b"Connection: close"),
    "same-field-twice": get(b"/", b"Accept: a", b"Accept: b", b"Cookie: a=1", b"Cookie: b=2"),
    "bytes-outside-ascii": get(b"/", b"X-Name: caf\xe9"),
    "long": get(b"/", b"Cookie: " + b"x" * 60_000),
}

NOT_PLAIN = {
    "old": (OLD, 200),
    "absolute": (head(b"GET http://proxy.test/ HTTP/1.1", b"Host: proxy.test"), 200),
    "asterisk": (head(b"OPTIONS * HTTP/1.1", b"Host: proxy.test"), 204),
    "authority": (head(b"CONNECT proxy.test:80 HTTP/1.1", b"Host: proxy.test:80"), 405),
    "upgrade": (get(b"/", b"Upgrade: h2c", b"Connection: upgrade"), 200),
    "expect": (get(b"/", b"Expect: surprise"), 417),
    "no-host": (head(b"GET / HTTP/1.1"), 400),
    "two-hosts": (get(b"/", b"Host: other.test"), 400),
    "two-content-types": (get(b"/", b"Content-Type: a/b", b"content-type: a/c"), 400),
    "two-lengths": (get(b"/", b"Content-Length: 1", b"Content-Length: 1") + b"x", 400),
    "length-and-coding": (get(b"/", b"Content-Length: 1", b"Transfer-Encoding: chunked") + b"x", 400),
    "coding": (get(b"/", b"Transfer-Encoding: gzip, chunked") + chunked(b"x"), 501),
    "signed-length": (get(b"/", b"Content-Length: +1") + b"x", 400),
    "draft-of-websocket": (get(b"/", b"Sec-WebSocket-Key1: 1"), 400),
    "many-lines": (get(b"/", *(b"X-%d: 1" % number for number in range(101))), 431),
    "too-long": (get(b"/", b"Cookie: " + b"x" * 66_000), 431),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no-http": (b"SSH-2.0-x\r\n\r\n", 400),
    "empty-line-first": (b"\r\n" + get(), 200),
    "bare-lf": (b"GET / HTTP/1.1\nHost: proxy.test\n\r\n\r\n", 400),
    "space-in-name": (get(b"/", b"X : 1"), 400),
    "folded": (get(b"/", b"X: 1", b" 2"), 400),
}


async def in_flight(front: Proxy, upstream: Upstream, request: bytes = b"") -> tuple[Client, Served]:
    client = await front.connect()
    await client.send(request or get())
    served = await upstream.accept()
    await served.read_request_head()
    return client, served


def is_express(front: Proxy) -> bool:
    """Whether the only connection has not been handed over."""
    (connection,) = front.gateway._connections
    return connection.express is not None


# --- what is plain ---


@pytest.mark.parametrize("request_", PLAIN.values(), ids=PLAIN)
async def test_a_plain_request_takes_the_express_lane(front: Proxy, upstream: Upstream, request_: bytes) -> None:
    upstream.serve(lambda request: ok() if request.method != b"HEAD" else head(b"HTTP/1.1 200 OK", b"Content-Length: 2"))
    client = await front.connect()
    for number in (1, 2):
        await client.ask(request_)
        assert front.expressed == number
        if b"Connection: close" in request_ or b"evil" in request_:
            break


@pytest.mark.parametrize("request_", [get(), CHUNKED, put(b"something"), PREFLIGHT], ids=["get", "chunked", "length", "preflight"])
async def test_a_plain_request_stays_plain_however_it_is_cut(front: Proxy, upstream: Upstream, request_: bytes) -> None:
    upstream.serve(lambda _: ok())
    client = await front.connect()
    await client.send_bytewise(request_)
    assert (await client.read_response()).status in (200, 204)
    assert (front.expressed, front.gateway.unparsable) == (1, 0)


@pytest.mark.parametrize(("request_", "status"), NOT_PLAIN.values(), ids=NOT_PLAIN)
async def test_what_is_not_plain_is_handed_over_untouched(front: Proxy, upstream: Upstream, request_: bytes, status: int) -> None:
    upstream.serve(lambda _: ok())
    client = await front.connect()
    await client.send(request_)
    got = await client.read_response(b"GET")

    assert got.status == status
    assert front.expressed == 0


async def test_a_broken_head_is_handed_over_at_its_first_wrong_byte(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send_in_pieces(b"GET / HTTP/1.1\r\nHo", b"st: a\r\nX : 1")

    assert (await client.read_response()).status == 400
    assert (front.expressed, front.gateway.unparsable, upstream.connections) == (0, 1, 0)


async def test_express_false_keeps_everything_on_the_other_lane(proxy: ProxyFactory, upstream: Upstream) -> None:
    """From the next request on, where it comes by a reload."""
    upstream.serve(lambda _: ok())
    front = await proxy()
    client = await front.connect()
    await client.ask(get())
    front.gateway.reconfigure(replace(front.gateway.settings, express=False))
    for _ in range(2):
        assert (await client.ask(get())).status == 200
    with await front.connect() as other:
        assert (await other.ask(get())).status == 200

    assert front.expressed == 1
    assert len(front.records) == 4


# --- the contract, point by point ---


async def test_contract_1_aiohttp_does_not_close_an_exchange_that_it_does_not_see(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(keep_alive_timeout=0.1))
    client, served = await in_flight(front, upstream)
    (connection,) = front.gateway._connections
    begin = asyncio.get_running_loop().time()
    # Twice the time after which aiohttp would close what it believes idle, by the clock that it looks at.
    await until(lambda: asyncio.get_running_loop().time() - begin > 0.2)

    assert connection._keepalive_handle is None
    await served.send(ok(b"late"))
    assert (await client.read_response()).body == b"late"


async def test_contract_1_an_idle_connection_is_closed_by_the_sweep(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(limits=Limits(keep_alive_timeout=0.1))
    silent, client = await front.connect(), await front.connect()
    await client.ask(get())

    for each in (silent, client):
        assert await each.read_until_close() == b""
        assert each.ended == "fin"
    assert front.gateway.unparsable == 0


async def test_contract_1_aiohttps_own_idle_close_works_after_a_hand_over(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(limits=Limits(keep_alive_timeout=0.1))
    client = await front.connect()
    await client.ask(get(b"/", b"Expect: 100-continue"))

    assert await client.read_until_close() == b""
    assert client.ended == "fin"


async def test_contract_1_the_deadline_of_a_head_goes_on_over_the_hand_over(proxy: ProxyFactory, upstream: Upstream) -> None:
    """The part that is too long to be plain is aiohttp's, and its time runs since its first byte."""
    front = await proxy(limits=Limits(header_timeout=0.4))
    client = await front.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
    await until(lambda: len(front.gateway._connections) == 1)
    (connection,) = front.gateway._connections
    await until(lambda: connection.head_since > 0)
    since = connection.head_since
    await client.send(b"x" * 66_000)
    await until(lambda: connection.express is None)

    assert connection.head_since == since
    assert (await client.read_response()).status == 408
    assert upstream.connections == 0


@pytest.mark.parametrize("is_apart", [False, True], ids=["in-one-read", "in-another-read"])
async def test_contract_2_what_is_not_plain_waits_for_the_answer_before_it(front: Proxy, upstream: Upstream, *, is_apart: bool) -> None:
    client, served = await in_flight(front, upstream, get(b"/1") if is_apart else get(b"/1") + OLD)
    if is_apart:
        await client.send(OLD)
    await turns()
    assert is_express(front)
    await served.send(ok(b"first"))
    assert (await client.read_response()).body == b"first"
    assert (await served.read_request()).target == b"/old"
    await served.send(ok(b"second"))

    assert (await client.read_response()).body == b"second"
    assert not is_express(front)
    assert [record.target for record in front.records] == [b"/1", b"/old"]


async def test_contract_2_what_waits_is_bounded(front: Proxy, upstream: Upstream) -> None:
    client, served = await in_flight(front, upstream)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while sent < 32 * 1024 * 1024:
            sent += await client.loop.sock_sendto(client.sock, get(b"/", b"X: " + b"x" * 8_000) * 8, ("127.0.0.1", 0))

    task = asyncio.ensure_future(flood())
    # The kernel's buffers hold some; the proxy holds no more than one read beyond its bound.
    assert await stalled(lambda: sent) < 16 * 1024 * 1024
    (connection,) = front.gateway._connections
    express = connection.express
    assert len(express._held) < 512 * 1024  # type: ignore[union-attr]
    task.cancel()
    await asyncio.wait({task})
    await served.send(ok())
    assert (await client.read_response()).status == 200


async def test_contract_3_a_connection_that_was_handed_over_stays_so(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    client = await front.connect()
    await client.ask(get(b"/", b"Expect: 100-continue"))
    for _ in range(3):
        assert (await client.ask(get())).status == 200

    assert front.expressed == 0


async def test_contract_3_aiohttp_can_resume_a_long_pipeline(front: Proxy, upstream: Upstream) -> None:
    """It calls `data_received(b"")` for that."""
    upstream.serve(lambda _: ok())
    client = await front.connect()
    await client.send(get(b"/", b"Expect: 100-continue") + get() * 100)
    for _ in range(101):
        assert (await client.read_response()).status == 200

    assert front.expressed == 0


async def test_contract_4_the_lane_reads_again_before_it_hands_over(front: Proxy, upstream: Upstream) -> None:
    """A head that waits, is too long to be plain, and has not ended: aiohttp would not read on by itself."""
    request = get(b"/2", b"Cookie: " + b"x" * 70_000)
    client, served = await in_flight(front, upstream, get(b"/1"))
    await client.send(request[:69_000])
    (connection,) = front.gateway._connections
    await until(lambda: connection.express._is_paused)  # type: ignore[union-attr]
    await served.send(ok())
    assert (await client.read_response()).status == 200
    await client.send(request[69_000:])

    assert (await client.read_response()).status == 431
    assert connection.express is None


async def test_contract_4_aiohttps_pauses_are_paired(front: Proxy, upstream: Upstream) -> None:
    """`pause_writing` and `resume_writing` reach aiohttp first: it asserts that they come in pairs."""
    client = await front.connect(receive_buffer=8 * 1024)
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    body = bytes(4_000_000)
    sending = asyncio.ensure_future(served.send(ok(body)))
    (connection,) = front.gateway._connections
    await until(lambda: connection._paused)

    assert (await client.read_response()).body == body
    await sending
    assert not connection._paused


async def test_contract_5_while_draining_what_is_not_plain_is_told_so(front: Proxy, upstream: Upstream) -> None:
    client, served = await in_flight(front, upstream)
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: 2") + b"o")
    await client.read_head()
    _, other = await in_flight(front, upstream, get(b"/other"))
    draining = asyncio.ensure_future(front.gateway.drain(DEADLINE_S))
    await until(lambda: front.gateway.draining)
    await served.send(b"k")
    assert await client.read_exactly(2) == b"ok"
    await client.send(OLD)
    got = await client.read_response()
    assert await client.read_until_close() == b""

    assert (got.status, b'"code":"CP319"' in got.body) == (503, True)
    await other.send(ok())
    assert await draining is True


async def test_contract_5_aiohttps_shutdown_waits_for_the_last_express_exchange(
    front: Proxy, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, served = await in_flight(front, upstream)
    left: list[int] = []
    pre_shutdown = front.gateway._front.pre_shutdown

    def watched() -> None:
        left.append(front.gateway.in_flight)
        pre_shutdown()

    monkeypatch.setattr(front.gateway._front, "pre_shutdown", watched)
    draining = asyncio.ensure_future(front.gateway.drain(DEADLINE_S))
    await until(lambda: front.gateway.draining)
    await turns()
    await served.send(ok(b"last"))

    assert (await client.read_response()).body == b"last"
    assert await draining is True
    assert left == [0]


async def test_contract_6_an_end_behind_a_part_of_a_head_closes(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send_in_pieces(b"GET / HTTP/1.1\r\nHost: a")
    client.finish_sending()

    assert await client.read_until_close() == b""
    assert (front.records, upstream.connections) == ([], 0)
    await until(lambda: not front.open_clients)


async def test_contract_6_the_counts_are_ours(front: Proxy, upstream: Upstream) -> None:
    client, served = await in_flight(front, upstream)
    (connection,) = front.gateway._connections
    assert connection.express is not None
    assert (front.gateway.in_flight, connection.express.is_idle) == (1, False)
    assert front.gateway._front.requests_count == 0
    await served.send(ok())
    await client.read_response()
    await front.recorded()

    assert (front.gateway.in_flight, connection.express.is_idle) == (0, True)


@pytest.mark.parametrize("behind", [get(b"/2"), b"G", OLD, b"\r\n", b"\x00"], ids=["plain", "a-byte", "old", "line", "nonsense"])
async def test_contract_7_what_comes_with_the_end_of_a_chunked_body_is_dropped(front: Proxy, upstream: Upstream, behind: bytes) -> None:
    upstream.serve(lambda _: ok())
    client = await front.connect()
    got = await client.ask(CHUNKED + behind)

    assert (got.status, got.value(b"connection")) == (200, b"close")
    assert await client.read_until_close() == b""
    assert len(upstream.requests) == 1
    assert upstream.requests[0].body == b"something"


async def test_contract_7_a_chunked_body_that_ends_with_what_is_read_keeps_the_connection(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    client = await front.connect()
    for number in range(1, 4):
        got = await client.ask(CHUNKED)
        assert got.value(b"connection") is None
        assert front.expressed == number


async def test_contract_7_a_head_is_fed_alone_and_a_body_with_a_length_is_counted(front: Proxy, upstream: Upstream) -> None:
    """What would be a request inside of a body is none, and what stands behind the body is one."""
    upstream.serve(lambda _: ok())
    client = await front.connect()
    await client.send(put(get(b"/inside")) + get(b"/behind") + put(b"x" * 70_000, target=b"/large") + get(b"/last"))
    for _ in range(4):
        assert (await client.read_response()).status == 200

    assert [request.target for request in upstream.requests] == [b"/", b"/behind", b"/large", b"/last"]
    assert front.expressed == 4


# --- what else is this lane's own ---


async def test_a_client_that_takes_no_answers_gets_no_more_of_them(proxy: ProxyFactory, upstream: Upstream) -> None:
    """Requests that wait behind an answer that is not taken are not begun: their answers would only fill memory."""
    upstream.serve(lambda _: ok(bytes(100_000)))
    front = await proxy(route(upstream))
    client = await front.connect(receive_buffer=8 * 1024)
    await client.send(get() * 400)

    assert await stalled(lambda: len(upstream.requests)) < 200
    for _ in range(400):
        assert len((await client.read_response()).body) == 100_000
    assert front.expressed == 400


async def test_a_thousand_pipelined_preflights_are_answered_in_one_go(front: Proxy) -> None:
    client = await front.connect()
    sending = asyncio.ensure_future(client.send(PREFLIGHT * 3000))
    for _ in range(3000):
        assert (await client.read_response(b"OPTIONS", judge=False)).status == 204
    await sending
    assert front.expressed == 3000
