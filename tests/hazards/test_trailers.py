"""
The danger: a trailer is merged into a head where it frames, routes or grants something; or it appears in the next message, of somebody else.

The promise: trailers of requests go nowhere, not even into the next request's fields; those of responses go to clients that asked, harmless ones only.
"""

from dataclasses import replace
from unittest import mock

import pytest
from aiohttp.http_parser import HttpRequestParser

from corsproxy.semantics.rules import compile_rules
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Proxy, Upstream, chunked, exchange, get, head, ok, route

CODED = b"Transfer-Encoding: chunked"
SUM = b"X-Sum: 1"


def coded(*trailers: bytes, fields: tuple[bytes, ...] = ()) -> bytes:
    return head(b"HTTP/1.1 200 OK", CODED, *fields) + chunked(b"body", trailers=trailers)


# --- of responses ---


@pytest.mark.parametrize("te", [b"trailers", b"Trailers", b"gzip, trailers", b"trailers;q=0.5", b"deflate;q=0.5,  trailers ,"])
async def test_trailers_go_to_a_client_that_takes_them(front: Proxy, upstream: Upstream, te: bytes) -> None:
    answer = coded(SUM, b"Server-Timing: db;dur=53", fields=(b"Trailer: X-Sum, Server-Timing",))
    seen, got = await exchange(front, upstream, get(b"/", b"TE: " + te, b"Connection: TE"), answer)

    assert (seen.values(b"te"), seen.values(b"connection")) == ([b"trailers"], [b"TE"])
    assert got.trailers == ((b"X-Sum", b"1"), (b"Server-Timing", b"db;dur=53"))
    assert (got.value(b"trailer"), got.body) == (b"X-Sum, Server-Timing", b"body")


@pytest.mark.parametrize("te", [[], [b"TE: gzip"], [b"TE: xtrailers"], [b"TE:"]])
async def test_a_client_that_does_not_ask_gets_none(front: Proxy, upstream: Upstream, te: list[bytes]) -> None:
    seen, got = await exchange(front, upstream, get(b"/", *te), coded(SUM, fields=(b"Trailer: X-Sum",)))

    assert (seen.values(b"te"), got.trailers, got.values(b"trailer"), got.body) == ([], (), [], b"body")


async def test_http_1_0_gets_none(front: Proxy, upstream: Upstream) -> None:
    seen, got = await exchange(front, upstream, head(b"GET / HTTP/1.0", b"TE: trailers"), coded(SUM))

    assert (seen.values(b"te"), got.trailers, got.body) == ([], (), b"body")
    assert b"X-Sum" not in got.raw


DANGEROUS = [
    b"Content-Length: 3",
    b"Transfer-Encoding: chunked",
    b"Host: evil.example",
    b"Set-Cookie: sid=evil",
    b"Access-Control-Allow-Origin: *",
    b"access-control-allow-credentials: true",
    b"Vary: *",
    b"Location: https://evil.example/",
    b"Cache-Control: public",
    b"Content-Type: text/html",
    b"Content-Security-Policy: x",
    b"WWW-Authenticate: Basic",
    b"Connection: close",
    b"Date: x",
    b"Authorization: x",
    b"Upgrade: h2c",
]


@pytest.mark.parametrize("line", [line for line in DANGEROUS if not line.startswith((b"Content-Length", b"Transfer"))])
async def test_a_trailer_that_could_do_harm_is_left_out(front: Proxy, upstream: Upstream, line: bytes) -> None:
    request = get(b"/", b"TE: trailers", b"Connection: TE", b"Origin: " + ORIGIN)
    _, got = await exchange(front, upstream, request, coded(SUM, line, b"X-After: 2"))

    assert got.trailers == ((b"X-Sum", b"1"), (b"X-After", b"2"))
    assert got.cors == {b"access-control-allow-origin": ORIGIN}


async def test_a_field_that_a_rule_takes_off_is_no_trailer_either(proxy: ProxyFactory, upstream: Upstream) -> None:
    rules = compile_rules(remove=[b"X-Powered-By"], replace=[(b"X-Stage", b"ours")])
    front = await proxy(replace(route(upstream), response_headers=rules))
    answer = coded(b"x-powered-by: PHP/5.2", b"X-Stage: theirs", SUM)
    _, got = await exchange(front, upstream, get(b"/", b"TE: trailers", b"Connection: TE"), answer)

    assert (got.trailers, got.values(b"x-stage")) == (((b"X-Sum", b"1"),), [b"ours"])


# --- of requests ---


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
@pytest.mark.parametrize(
    "line", [b"X-User: admin", b"Authorization: Basic eA==", b"Cookie: a=1", b"Origin: https://evil.example", b"X-Forwarded-User: admin"]
)
async def test_a_requests_trailer_reaches_nobody(front: Proxy, upstream: Upstream, line: bytes, cut: str) -> None:
    """aiohttp 3.14 puts the last trailer in front of the next request's fields; behind a shared front that is another user's request."""
    request = get(b"/1", CODED, method=b"POST") + chunked(b"body", trailers=[b"X-First: 1", line])
    client = await front.connect()
    await (client.send(request) if cut == "whole" else client.send_bytewise(request))
    served = await upstream.accept()
    seen = await served.read_request()
    assert (seen.body, seen.trailers, seen.values(line.split(b":")[0])) == (b"body", (), [])
    await served.send(ok())
    got = await client.read_response()
    assert (got.status, got.value(b"connection")) == (200, b"close")
    assert await client.read_until_close() == b""


def test_aiohttp_still_leaks_trailers() -> None:
    """When this fails, aiohttp is mended, and `may_leak_trailers` can go."""
    protocol, loop = mock.Mock(), mock.Mock()
    parser = HttpRequestParser(protocol, loop, 2**16)
    first, second = get(b"/1", CODED, method=b"POST") + chunked(trailers=[b"X-User: admin"]), get(b"/2")
    messages, _, _ = parser.feed_data(first + second)
    assert messages[1][0].raw_headers == ((b"X-User", b"admin"), (b"Host", b"proxy.test"))


@pytest.mark.parametrize("kind", ["preflight", "refusal", "answered here"])
async def test_nor_does_one_of_a_request_that_is_answered_here(front: Proxy, upstream: Upstream, kind: str) -> None:
    request = {
        "preflight": get(b"/", b"Origin: " + ORIGIN, b"Access-Control-Request-Method: PUT", CODED, method=b"OPTIONS"),
        "refusal": get(b"/", b"Origin: https://evil.example", CODED, method=b"POST"),
        "answered here": get(b"*", CODED, method=b"OPTIONS"),
    }[kind] + chunked(b"body", trailers=[b"X-User: admin"])
    client = await front.connect()
    await client.send(request + get(b"/EVIL"))
    got = await client.read_response()
    assert got.value(b"connection") == b"close"
    assert await client.read_until_close() == b""
    assert upstream.connections == 0


async def test_what_is_pipelined_behind_trailers_is_not_served(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/1", CODED, method=b"POST") + chunked(b"body", trailers=[b"X-User: admin"]) + get(b"/EVIL"))
    served = await upstream.accept()
    assert (await served.read_request()).target == b"/1"
    await served.send(ok())
    assert (await client.read_response()).value(b"connection") == b"close"
    assert await client.read_until_close() == b""
    assert upstream.waiting == 0


@pytest.mark.parametrize("cut", ["whole", "bytewise"])
@pytest.mark.parametrize("body", [chunked(), chunked(b"body"), chunked(b"0\r\n\r\n"), chunked(b"\r\n0", b"\r\n0\r\n\r\n")])
async def test_a_chunked_body_without_trailers_keeps_its_connection(front: Proxy, upstream: Upstream, body: bytes, cut: str) -> None:
    client = await front.connect()
    request = get(b"/", CODED, method=b"POST") + body
    served = None
    for _ in range(3):
        await (client.send(request) if cut == "whole" else client.send_bytewise(request))
        served = served or await upstream.accept()
        await served.read_request()
        await served.send(ok())
        assert (await client.read_response()).values(b"connection") == []


@pytest.mark.parametrize("line", [b"X: 0", b"X:\r\n0", b"X: 1\r\n0: 0"])
async def test_a_trailer_cannot_look_like_the_last_chunk(front: Proxy, upstream: Upstream, line: bytes) -> None:
    client = await front.connect()
    await client.send(get(b"/", CODED, method=b"POST") + b"4\r\nbody\r\n0\r\n" + line + b"\r\n\r\n")
    # Either it is refused, or served and closed.
    upstream.serve(lambda _: ok())
    assert (await client.read_response()).value(b"connection") == b"close"
    assert await client.read_until_close() == b""
