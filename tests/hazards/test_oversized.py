"""
The danger: heads, lines and bodies beyond all measure, in either direction, take memory, or the upstream's time.

The promise: each limit is exact; a refusal can be read by the script that caused it, wherever its request could still be parsed; beyond
that it is a plain answer and a closed connection. Nothing of it reaches the upstream.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from corsproxy.config.settings import Limits, Route, RouteLimits
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Ended, Proxy, Upstream, chunked, exchange, get, head, ok, put, route

ALLOWED = b"Origin: " + ORIGIN
TINY = Limits(header_timeout=0.3, request_line=256, request_head=2048, header_count=10, response_head=1024)


@pytest.fixture(autouse=True)
def short_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corsproxy.gateway.bounds._LINGERING_S", 0.5)


def request_of(line: int = 0, whole: int = 0) -> bytes:
    """A request with a line, or a head, of so many bytes, as the limits count them."""
    request = get(b"/", ALLOWED)
    if line:
        return get(b"/" + b"a" * (line - len(b"GET / HTTP/1.1\r\n")), ALLOWED)
    # The limit counts all but the empty line.
    fill = whole - (len(request) - 2) - len(b"X: \r\n")
    return get(b"/", b"X: " + b"a" * fill, ALLOWED)


@pytest.fixture
async def tiny(proxy: ProxyFactory, upstream: Upstream) -> Proxy:
    upstream.serve(lambda request: ok(b"" if request.method == b"HEAD" else b"ok"))
    return await proxy(limits=TINY)


@pytest.mark.parametrize("excess", [0, 1])
async def test_the_limits_of_a_head_are_exact(tiny: Proxy, upstream: Upstream, excess: int) -> None:
    cases = {
        414: request_of(line=TINY.request_line + excess),
        431: request_of(whole=TINY.request_head + excess),
        -431: get(b"/", ALLOWED, *[b"X: 1"] * (TINY.header_count - 2 + excess)),
    }
    for status, request in cases.items():
        got = await tiny.ask(request)
        assert got.status == (abs(status) if excess else 200)
        assert got.cors[b"access-control-allow-origin"] == ORIGIN
        assert got.value(b"vary") == (b"Origin, Accept" if excess else b"Origin")
    assert len(upstream.requests) == (0 if excess else 3)


@pytest.mark.parametrize("place", ["before", "behind"])
async def test_a_refusal_is_readable_wherever_origin_stands(tiny: Proxy, upstream: Upstream, place: str) -> None:
    """Chromium sends a big custom field before Origin."""
    big = b"X-Big: " + b"a" * (3 * TINY.request_head)
    got = await tiny.ask(get(b"/", *((ALLOWED, big) if place == "before" else (big, ALLOWED))))

    assert (got.status, got.cors[b"access-control-allow-origin"]) == (431, ORIGIN)
    assert upstream.connections == 0


@pytest.mark.parametrize(("request_", "status"), [(request_of(line=300), 414), (request_of(whole=3000), 431)], ids=["414", "431"])
async def test_the_connection_ends_after_a_refusal(tiny: Proxy, request_: bytes, status: int) -> None:
    client = await tiny.connect()
    got = await client.ask(request_)
    assert (got.status, got.value(b"connection")) == (status, b"close")
    assert await client.read_until_close() == b""


BEYOND = {
    "a line": b"GET /" + b"a" * (5 * TINY.request_line) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a line that never ends": b"GET /" + b"a" * (16 * TINY.request_head),
    "a field": get(b"/", ALLOWED, b"X: " + b"a" * (5 * TINY.request_head)),
    "a field that never ends": get(b"/", ALLOWED)[:-2] + b"X: " + b"a" * (16 * TINY.request_head),
    "a name": get(b"/", ALLOWED, b"a" * (5 * TINY.request_head) + b": 1"),
    "fields that never end": get(b"/", ALLOWED)[:-2] + b"X: 1\r\n" * TINY.request_head,
    "many fields": get(b"/", ALLOWED, *[b"X: 1"] * (5 * TINY.header_count)),
    "a long method": b"A" * (16 * TINY.request_head),
    "empty lines": b"\r\n" * (16 * TINY.request_head),
}


@pytest.mark.parametrize("kind", BEYOND)
async def test_far_beyond_the_limits_there_is_a_plain_answer_and_an_end(tiny: Proxy, upstream: Upstream, kind: str) -> None:
    client = await tiny.connect()
    with suppress(Ended):
        await client.send(BEYOND[kind])
    got = await client.read_response()

    assert got.status in (400, 414, 431)
    assert (got.cors, got.value(b"connection")) == ({}, b"close")
    assert b"aaaa" not in got.raw
    assert await client.read_until_close() == b""
    assert upstream.connections == 0


async def test_cors_is_judged_before_limits(tiny: Proxy, upstream: Upstream) -> None:
    """A stranger learns nothing of the limits, and a preflight is granted whatever its size."""
    long = b"/" + b"a" * 300
    preflight = get(long, ALLOWED, b"Access-Control-Request-Method: PUT", method=b"OPTIONS")

    assert (await tiny.ask(get(long, b"Origin: " + STRANGER))).status == 403
    assert (await tiny.ask(preflight)).status == 204
    assert upstream.connections == 0


# --- bodies ---


def limited(upstream: Upstream, most: int, path: bytes = b"/") -> Route:
    return replace(route(upstream, path), limits=RouteLimits(request_body=most))


def pieces_of(size: int, step: int) -> list[bytes]:
    return [b"x" * min(step, size - place) for place in range(0, size, step)]


@pytest.mark.parametrize("size", [999, 1000])
@pytest.mark.parametrize("framing", ["length", "one chunk", "many chunks"])
async def test_a_body_up_to_the_limit_passes(proxy: ProxyFactory, upstream: Upstream, framing: str, size: int) -> None:
    front = await proxy(limited(upstream, 1000))
    seen, got = await exchange(front, upstream, upload(framing, size), ok())

    assert (len(seen.body), got.status) == (size, 200)


def upload(framing: str, size: int) -> bytes:
    if framing == "length":
        return put(b"x" * size, ALLOWED)
    body = chunked(*pieces_of(size, size if framing == "one chunk" else 100))
    return get(b"/", ALLOWED, b"Transfer-Encoding: chunked", method=b"PUT") + body


@pytest.mark.parametrize("size", [1001, 1_000_000])
@pytest.mark.parametrize("expects", [False, True])
async def test_a_length_over_the_limit_is_refused_before_the_upstream(
    proxy: ProxyFactory, upstream: Upstream, size: int, *, expects: bool
) -> None:
    """One answer, however much of the body still comes after it."""
    front = await proxy(limited(upstream, 1000), limits=TINY)
    client = await front.connect()
    with suppress(Ended):
        await client.send(
            upload("length", size).replace(b"Content-Length", b"Expect: 100-continue\r\nContent-Length")
            if expects
            else upload("length", size)
        )
    got = await client.read_response()

    assert (got.status, got.value(b"connection")) == (413, b"close")
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    assert await client.read_until_close() == b""
    assert upstream.connections == 0


@pytest.mark.parametrize("way", ["at once", "in pieces"])
@pytest.mark.parametrize("framing", ["one chunk", "many chunks"])
async def test_a_chunked_body_over_the_limit_is_broken_off(proxy: ProxyFactory, upstream: Upstream, framing: str, way: str) -> None:
    """Its size shows on the way only; what the upstream has of it must not look complete."""
    front = await proxy(limited(upstream, 1000))
    client = await front.connect()
    request = upload(framing, 1500)
    with suppress(Ended):
        await client.send_in_pieces(*([request] if way == "at once" else [request[n : n + 50] for n in range(0, len(request), 50)]))
    served = await upstream.accept()
    got = await client.read_response()

    assert got.status == 413
    # Where all of it has arrived by then, the connection may go on.
    assert got.value(b"connection") in (b"close", None)
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    with pytest.raises(Ended):
        await served.read_request()


async def test_an_upload_that_asks_first_is_refused_without_a_100(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limited(upstream, 1000))
    client = await front.connect()
    got = await client.ask(get(b"/", ALLOWED, b"Expect: 100-continue", b"Content-Length: 1001", method=b"PUT"))

    assert (got.status, got.interims) == (413, ())
    assert upstream.connections == 0


async def test_each_route_has_its_own_limit(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(limited(upstream, 10, b"/small"), route(upstream))

    assert (await front.ask(put(b"x" * 11, target=b"/small/x"))).status == 413
    assert (await front.ask(put(b"x" * 11, target=b"/large"))).status == 200


async def test_what_is_forwarded_is_bounded_by_the_limit(proxy: ProxyFactory, upstream: Upstream) -> None:
    """The client sends without end; the upstream gets the limit and at most one read beyond it."""
    front = await proxy(limited(upstream, 1_000_000))
    client = await front.connect()

    async def send() -> None:
        with suppress(Ended):
            await client.send(get(b"/", b"Transfer-Encoding: chunked", method=b"PUT"))
            while True:
                await client.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    sending = asyncio.ensure_future(send())
    served = await upstream.accept()
    got = len(await served.read_until_close())
    assert (await client.read_response()).status == 413
    sending.cancel()
    await asyncio.wait({sending})
    assert got < 2_000_000


# --- responses ---


@pytest.mark.parametrize("excess", [0, 1])
async def test_the_limit_of_a_response_head_is_exact(proxy: ProxyFactory, upstream: Upstream, excess: int) -> None:
    front = await proxy(limits=TINY)
    fixed = len(head(b"HTTP/1.1 200 OK", b"Content-Length: 0", b"X: "))
    answer = head(b"HTTP/1.1 200 OK", b"Content-Length: 0", b"X: " + b"a" * (TINY.response_head - fixed + excess))
    _, got = await exchange(front, upstream, get(b"/", ALLOWED), answer)

    assert got.status == (502 if excess else 200)
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
