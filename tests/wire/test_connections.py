"""Connections: kept and closed as HTTP/1.0 and 1.1 say, reused on both sides, answers in order."""

import pytest

from tests.harness import Proxy, Request, Upstream, chunked, exchange, get, head, ok, put, until


def echo(request: Request) -> bytes:
    return ok(request.target + b" " + request.body)


async def test_many_exchanges_share_one_connection_on_each_side(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(echo)
    client = await front.connect()
    for number in range(50):
        assert (await client.ask(put(b"b%d" % number, target=b"/%d" % number))).body == b"/%d b%d" % (number, number)

    assert upstream.connections == 1
    assert front.pool.connects == 1
    assert front.pool.reuses == 49


async def test_the_last_connection_to_go_idle_is_the_first_to_be_used(front: Proxy, upstream: Upstream) -> None:
    clients = [await front.connect() for _ in range(3)]
    for client in clients:
        await client.send(get())
    served = [await upstream.accept() for _ in clients]
    for wire in served:
        await wire.read_request()
    for place in (2, 0, 1):
        await served[place].send(ok())
        await front.recorded(len(front.records) + 1)
    assert front.pool.size == 3
    await clients[0].read_response()
    await clients[0].send(get(b"/next"))
    assert (await served[1].read_request()).target == b"/next"
    await served[1].send(ok())
    await clients[0].read_response()


FRAMINGS = {
    "length": ok(b"x"),
    "chunked": head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"x"),
    "204": head(b"HTTP/1.1 204 No"),
    "304": head(b"HTTP/1.1 304 No", b"Content-Length: 5"),
    "HTTP/1.0 keep-alive": head(b"HTTP/1.0 200 OK", b"Connection: Keep-Alive", b"Content-Length: 1") + b"x",
}
ENDINGS = {
    "until close": head(b"HTTP/1.1 200 OK") + b"x",
    "HTTP/1.0": head(b"HTTP/1.0 200 OK", b"Content-Length: 1") + b"x",
    "close": ok(b"x", b"Connection: Close"),
    "close among others": ok(b"x", b"Connection: x, close"),
}


@pytest.mark.parametrize("kind", FRAMINGS)
async def test_an_upstreams_connection_is_kept_after_a_complete_answer(front: Proxy, upstream: Upstream, kind: str) -> None:
    upstream.serve(lambda _: FRAMINGS[kind])
    client = await front.connect()
    for _ in range(3):
        await client.ask(get())

    assert upstream.connections == 1


@pytest.mark.parametrize("kind", ENDINGS)
async def test_an_upstreams_connection_that_ends_is_not_used_again(front: Proxy, upstream: Upstream, kind: str) -> None:
    for number in range(2):
        _, got = await exchange(front, upstream, get(), ENDINGS[kind], close=kind == "until close")
        assert got.body == b"x"
        assert upstream.connections == number + 1


KEEPING = [
    (b"HTTP/1.1", [], True, []),
    (b"HTTP/1.1", [b"Connection: keep-alive"], True, []),
    (b"HTTP/1.1", [b"Connection: close"], False, [b"close"]),
    (b"HTTP/1.1", [b"connection: CLOSE, x"], False, [b"close"]),
    (b"HTTP/1.1", [b"Connection: keep-alive, close"], False, [b"close"]),
    (b"HTTP/1.0", [], False, []),
    (b"HTTP/1.0", [b"Connection: close"], False, []),
    (b"HTTP/1.0", [b"Connection: Keep-Alive"], True, [b"keep-alive"]),
]


@pytest.mark.parametrize(("version", "lines", "kept", "said"), KEEPING)
@pytest.mark.parametrize("kind", ["forwarded", "preflight", "refused", "no upstream"])
async def test_a_clients_connection_lives_as_it_says(
    front: Proxy, upstream: Upstream, version: bytes, lines: list[bytes], said: list[bytes], kind: str, *, kept: bool
) -> None:
    upstream.serve(echo)
    origin = {"preflight": b"Origin: https://app.example.com", "refused": b"Origin: https://evil.example"}.get(kind, b"X-A: 1")
    more = [b"Access-Control-Request-Method: PUT"] if kind == "preflight" else []
    if kind == "no upstream":
        await upstream.fall()
    method = b"OPTIONS" if kind == "preflight" else b"GET"
    client = await front.connect()
    await client.send(head(method + b" / " + version, b"Host: proxy.test", origin, *more, *lines))
    got = await client.read_response(method)

    assert got.status == {"forwarded": 200, "preflight": 204, "refused": 403, "no upstream": 502}[kind]
    assert [value.lower() for value in got.values(b"connection")] == said
    if kept:
        assert (await client.ask(get())).status == (502 if kind == "no upstream" else 200)
    else:
        assert await client.read_until_close() == b""
        assert client.ended == "fin"


async def test_http_1_0_gets_an_unknown_length_until_close(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(head(b"GET / HTTP/1.0", b"Connection: keep-alive"))
    served = await upstream.accept()
    seen = await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"a", b"b"))
    got = await client.read_response()

    assert seen.start == b"GET / HTTP/1.1"
    assert (got.start, got.body, got.values(b"transfer-encoding")) == (b"HTTP/1.1 200 OK", b"ab", [])
    assert client.ended == "fin"


async def test_pipelined_requests_are_answered_in_order(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(echo)
    client = await front.connect()
    await client.send(b"".join([get(b"/1"), put(b"two", target=b"/2"), get(b"/3", method=b"HEAD"), get(b"/4")]))

    assert (await client.read_response()).body == b"/1 "
    assert (await client.read_response(b"PUT")).body == b"/2 two"
    assert (await client.read_response(b"HEAD")).body == b""
    assert (await client.read_response()).body == b"/4 "


async def test_a_hundred_pipelined_requests_are_answered_in_order(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(echo)
    client = await front.connect()
    await client.send(b"".join(get(b"/%d" % number) for number in range(100)))

    assert [(await client.read_response()).body for _ in range(100)] == [b"/%d " % number for number in range(100)]
    assert [request.target for request in upstream.requests] == [b"/%d" % number for number in range(100)]


async def test_a_fast_answer_waits_for_the_slow_one_before_it(front: Proxy, upstream: Upstream) -> None:
    """A preflight needs no upstream, and still it must not overtake."""
    client = await front.connect()
    preflight = get(b"/", b"Origin: https://app.example.com", b"Access-Control-Request-Method: PUT", method=b"OPTIONS")
    await client.send(get(b"/slow") + preflight)
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok(b"slow"))

    assert (await client.read_response()).body == b"slow"
    assert (await client.read_response(b"OPTIONS")).status == 204


@pytest.mark.parametrize("pieces", [1, 2])
async def test_what_follows_connection_close_is_not_served(front: Proxy, upstream: Upstream, pieces: int) -> None:
    """In one segment with the request the whole may be refused: a client must not send it (RFC 9112 9.6)."""
    upstream.serve(echo)
    client = await front.connect()
    requests = [get(b"/1", b"Connection: close"), get(b"/2")]
    await client.send_in_pieces(*(requests if pieces == 2 else [b"".join(requests)]))
    got = await client.read_response()
    await client.read_until_close()

    assert (got.status, got.body) == (200, b"/1 ") or (got.status, upstream.requests) == (400, [])
    assert [request.target for request in upstream.requests] in ([], [b"/1"])


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n"])
async def test_empty_lines_before_a_request_are_passed_over(front: Proxy, upstream: Upstream, before: bytes) -> None:
    """Spec: RFC 9112 2.2 (SHOULD ignore at least one empty line)."""
    seen, got = await exchange(front, upstream, get(b"/x"), ok())
    upstream.serve(echo)
    client = await front.connect()
    await client.send(before + get(b"/x"))

    assert (await client.read_response()).body == b"/x "
    assert (seen.target, got.status) == (b"/x", 200)


async def test_idle_upstream_connections_that_close_are_forgotten(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    for number in range(3):
        await client.send(get())
        served = await upstream.accept()
        await served.read_request()
        await served.send(ok(b"%d" % number))
        assert (await client.read_response()).body == b"%d" % number
        await until(lambda: front.pool.size == 1)
        served.close()
        await until(lambda: front.pool.size == 0)
    assert front.pool.unexpected == 0
