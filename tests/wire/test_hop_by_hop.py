"""What belongs to one connection stays on it, in both directions (RFC 9110 7.6.1)."""

import pytest

from tests.harness import Field, Proxy, Upstream, exchange, get, head, ok

HOP = [
    ("Connection: close", [b"Connection: close"]),
    ("Connection: keep-alive", [b"Connection: keep-alive"]),
    ("Keep-Alive", [b"Keep-Alive: timeout=5, max=100"]),
    ("Proxy-Connection", [b"Proxy-Connection: keep-alive"]),
    ("TE", [b"TE: trailers, deflate;q=0.5"]),
    ("Trailer", [b"Trailer: X-Sum"]),
    ("Upgrade", [b"Connection: upgrade", b"Upgrade: h2c"]),
    ("Upgrade alone", [b"upgrade: websocket"]),
    ("h2c", [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"]),
    ("Proxy-Authorization", [b"Proxy-Authorization: Basic eA=="]),
    ("Proxy-Authenticate", [b"Proxy-Authenticate: Basic"]),
    ("one nominated", [b"Connection: X-Secret", b"X-Secret: 1"]),
    ("nominated in another case", [b"connection: x-sEcReT", b"X-Secret: 1", b"x-secret: 2"]),
    ("nominated before it is said", [b"X-Secret: 1", b"Connection: X-Secret"]),
    ("several nominated", [b"Connection: close, X-A,X-B ,, X-C", b"X-A: 1", b"X-B: 2", b"X-C: 3"]),
    ("nominated over several lines", [b"Connection: X-A", b"X-A: 1", b"Connection: X-B", b"X-B: 2"]),
    ("nominated without being there", [b"Connection: X-Nowhere"]),
    ("everything at once", [b"Connection: keep-alive, TE, X-A", b"TE: gzip", b"Keep-Alive: 5", b"X-A: 1", b"Trailer: a"]),
]
hop = pytest.mark.parametrize("lines", [lines for _, lines in HOP], ids=[name for name, _ in HOP])

KEPT: list[Field] = [(b"X-Before", b"1"), (b"X-Connection", b"2"), (b"Te-Not", b"3"), (b"X-After", b"4")]


def around(lines: list[bytes]) -> list[bytes]:
    return [b"X-Before: 1", b"X-Connection: 2", *lines, b"Te-Not: 3", b"X-After: 4"]


@hop
async def test_a_requests_hop_by_hop_fields_stop_here(front: Proxy, upstream: Upstream, lines: list[bytes]) -> None:
    seen, got = await exchange(front, upstream, get(b"/", *around(lines)), ok())

    assert seen.without(b"host", b"te", b"connection") == KEPT
    # TE: trailers is the one that a gateway may say for itself, and then it must nominate it.
    assert seen.values(b"te") in ([], [b"trailers"])
    assert [value.lower() for value in seen.values(b"connection")] in ([], [b"te"])
    assert got.status == 200


@hop
async def test_a_responses_hop_by_hop_fields_stop_here(front: Proxy, upstream: Upstream, lines: list[bytes]) -> None:
    _, got = await exchange(front, upstream, get(), ok(b"x", *around(lines)))

    assert got.without(b"content-length", b"date", b"vary", b"connection") == KEPT
    assert got.values(b"connection") == []


@hop
async def test_an_interims_hop_by_hop_fields_stop_here(front: Proxy, upstream: Upstream, lines: list[bytes]) -> None:
    _, got = await exchange(front, upstream, get(), head(b"HTTP/1.1 103 Early Hints", *around(lines)) + ok())

    assert [interim.without() for interim in got.interims] == [KEPT]


@pytest.mark.parametrize(
    "name",
    [
        b"Content-Length",
        b"Host",
        b"Origin",
        b"Authorization",
        b"Cookie",
        b"X-Forwarded-For",
        b"Forwarded",
        b"Access-Control-Request-Method",
    ],
)
async def test_a_request_that_nominates_an_end_to_end_field_is_refused(front: Proxy, upstream: Upstream, name: bytes) -> None:
    """Else a client could take off on the way what a rule has judged."""
    got = await front.ask(get(b"/", b"Connection: close, " + name))

    assert got.status == 400
    assert got.value(b"connection") == b"close"
    assert upstream.connections == 0


@pytest.mark.parametrize("option", [b"a b", b"x@y", b'"close"', b"\xe9", b"a/b"])
async def test_a_connection_option_that_is_no_token_is_refused(front: Proxy, upstream: Upstream, option: bytes) -> None:
    got = await front.ask(get(b"/", b"Connection: " + option))

    assert got.status == 400
    assert upstream.connections == 0


async def test_connection_close_of_the_upstream_is_not_the_clients(front: Proxy, upstream: Upstream) -> None:
    """Each connection has its own life: the client's goes on."""
    client = await front.connect()
    for number in range(3):
        await client.send(get(b"/%d" % number))
        served = await upstream.accept()
        await served.read_request()
        await served.send(ok(b"%d" % number, b"Connection: close"))
        got = await client.read_response()
        assert (got.body, got.values(b"connection")) == (b"%d" % number, [])
        await served.wait_closed()


async def test_connection_close_of_the_client_is_not_the_upstreams(front: Proxy, upstream: Upstream) -> None:
    """The upstream's connection serves the next client."""
    first = await front.connect()
    await first.send(get(b"/1", b"Connection: close"))
    served = await upstream.accept()
    assert (await served.read_request()).target == b"/1"
    await served.send(ok())
    got = await first.read_response()
    assert got.value(b"connection") == b"close"
    assert await first.read_until_close() == b""

    second = await front.connect()
    await second.send(get(b"/2"))
    assert (await served.read_request()).target == b"/2"
    await served.send(ok(b"2"))
    assert (await second.read_response()).body == b"2"
    assert upstream.connections == 1
