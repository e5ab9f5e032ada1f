"""
The danger: one request becomes two, because a part of it is taken for the beginning of another.

The promise: what is refused before its body was read ends the connection, so the body is never read as a request; a line
end inside a value or a target never reaches the other side.
"""

import socket
from contextlib import suppress

import pytest

from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Timeouts
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Proxy, Upstream, chunked, exchange, get, head, ok, policy, route

EVIL = get(b"/evil", b"Origin: " + ORIGIN)
LENGTH = b"Content-Length: %d" % len(EVIL)

REFUSALS = {
    "a stranger": [b"POST / HTTP/1.1", b"Host: a", b"Origin: " + STRANGER],
    "a preflight with a body": [b"OPTIONS / HTTP/1.1", b"Host: a", b"Origin: " + STRANGER, b"Access-Control-Request-Method: PUT"],
    "a granted preflight with a body": [b"OPTIONS / HTTP/1.1", b"Host: a", b"Origin: " + ORIGIN, b"Access-Control-Request-Method: PUT"],
    "no route": [b"POST /nowhere HTTP/1.1", b"Host: a"],
    "an ambiguous path": [b"POST /x/..;/api HTTP/1.1", b"Host: a"],
    "an unknown expectation": [b"POST /api HTTP/1.1", b"Host: a", b"Expect: x"],
    "a forbidden method": [b"TRACE /api HTTP/1.1", b"Host: a"],
    "a bad target": [b"POST api HTTP/1.1", b"Host: a"],
    "another host in the target": [b"POST http://b/api HTTP/1.1", b"Host: a"],
    "the whole server": [b"OPTIONS * HTTP/1.1", b"Host: a"],
    "the upstream is down": [b"POST /down HTTP/1.1", b"Host: a"],
    "no cors here": [b"POST /none HTTP/1.1", b"Host: a", b"Origin: " + ORIGIN],
}


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("late", [False, True], ids=["with the head", "after the answer"])
@pytest.mark.parametrize("kind", REFUSALS)
async def test_the_body_of_a_refused_request_is_no_request(
    proxy: ProxyFactory, upstream: Upstream, kind: str, framing: str, *, late: bool
) -> None:
    down = Upstream()
    await down.stop()
    front = await proxy(route(upstream, b"/api"), route(upstream, b"/none", CorsMode.NONE), route(down, b"/down"), default_cors=policy())
    upstream.serve(lambda _: ok(b"evil"))
    client = await front.connect()
    lines = [*REFUSALS[kind], LENGTH if framing == "length" else b"Transfer-Encoding: chunked"]
    body = EVIL if framing == "length" else chunked(EVIL)
    await client.send(head(*lines) + (b"" if late else body))
    got = await client.read_response(lines[0].split(b" ")[0])
    assert got.status == 204 or got.status >= 400
    if late and got.value(b"connection") == b"close":
        client.loop.call_soon(send_anyway, client.sock, body)
    elif late:
        await client.send(body)
    if got.value(b"connection") != b"close":
        # Kept open: then the body was read as a body, and the next request is the next one.
        after = await client.ask(get(b"/api/next"))
        assert after.status == 200
    else:
        assert await client.read_until_close() == b""

    assert [request.target for request in upstream.requests] in ([], [b"/api/next"])


def send_anyway(sock: socket.socket, body: bytes) -> None:
    with suppress(OSError):
        sock.send(body)


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r", b"%0d%0a", b"\\r\\n", "\u560d\u560a".encode()], ids=repr)
async def test_a_line_end_in_a_request_value_makes_no_new_line(front: Proxy, upstream: Upstream, end: bytes) -> None:
    upstream.serve(lambda _: ok())
    got = await front.ask(get(b"/", b"X-A: a" + end + b"X-Evil: 1"))
    seen = [line for request in upstream.requests for line in request.without() if line[0].startswith(b"X-")]

    if end == b"\r\n":
        assert seen == [(b"X-A", b"a"), (b"X-Evil", b"1")], "that is a new line"
    elif end in (b"\n", b"\r"):
        assert (got.status, seen) == (400, [])
    else:
        assert seen == [(b"X-A", b"a" + end + b"X-Evil: 1")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"%0d%0a"], ids=repr)
async def test_a_line_end_in_the_target_makes_no_new_line(front: Proxy, upstream: Upstream, end: bytes) -> None:
    upstream.serve(lambda _: ok())
    client = await front.connect()
    await client.send(b"GET /a" + end + b"X-Evil:1 HTTP/1.1\r\nHost: a\r\n\r\n")
    got = await client.read_response()

    if end == b"%0d%0a":
        assert [request.target for request in upstream.requests] == [b"/a%0d%0aX-Evil:1"]
    else:
        assert (got.status, upstream.requests) == (400, [])


@pytest.mark.parametrize("location", [b"/a%0d%0aSet-Cookie:evil=1", "/\u560d\u560aSet-Cookie:evil=1".encode(), b"//evil.example\\@a"])
async def test_what_a_browser_may_decode_is_passed_on_undecoded(front: Proxy, upstream: Upstream, location: bytes) -> None:
    _, got = await exchange(front, upstream, get(), ok(b"", b"Location: " + location, status=b"302 Found"))

    assert (got.values(b"location"), got.values(b"set-cookie")) == ([location], [])


async def test_the_rest_of_an_abandoned_upload_is_no_request(proxy: ProxyFactory, upstream: Upstream) -> None:
    """The upstream was too slow, the client was told so, and goes on with its body."""
    front = await proxy(route(upstream, timeouts=Timeouts(response=1.0)))
    client = await front.connect()
    await client.send(head(b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 4") + b"body")
    served = await upstream.accept()
    await served.read_request()
    assert (await client.read_response()).status == 504
    await served.wait_closed()

    upstream.serve(lambda request: ok(request.target))
    assert (await client.ask(get(b"/next"))).body == b"/next"
