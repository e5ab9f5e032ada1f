"""
The danger: a 100 of our own invites a body that will be refused; a 100 that is lost leaves the client waiting; an interim answer is taken for the final one.

The promise: 1xx are the upstream's, relayed in order to HTTP/1.1 clients and to no others; our refusals are final, without a 100 before.
"""

import asyncio
from dataclasses import replace

import pytest

from corsproxy.config.settings import HostRules, RouteLimits
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Proxy, Upstream, chunked, exchange, get, head, ok, put, route

EXPECT = b"Expect: 100-continue"
CONTINUE = head(b"HTTP/1.1 100 Continue")


@pytest.fixture(autouse=True)
def short_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corsproxy.gateway.bounds._LINGERING_S", 0.05)


def asking(*lines: bytes, target: bytes = b"/api/x", method: bytes = b"PUT", host: bytes = b"proxy.test", length: int = 4) -> bytes:
    return head(b"%b %b HTTP/1.1" % (method, target), b"Host: " + host, EXPECT, b"Content-Length: %d" % length, *lines)


REFUSED = {
    400: asking(b"Connection: Host"),
    403: asking(b"Origin: https://evil.example"),
    404: asking(target=b"/elsewhere"),
    405: asking(method=b"TRACE"),
    413: asking(length=1001),
    414: asking(target=b"/api/" + b"a" * 20_000),
    417: asking().replace(b"100-continue", b"200-ok"),
    421: asking(host=b"evil.example"),
    431: asking(b"X: " + b"a" * 70_000),
    501: asking().replace(b"Content-Length: 4", b"Transfer-Encoding: gzip, chunked"),
    502: asking(),
    508: asking(b"Via: 1.1 corsproxy"),
}


@pytest.mark.parametrize("status", REFUSED)
async def test_a_refusal_is_final_and_no_100_comes_before_it(proxy: ProxyFactory, upstream: Upstream, status: int) -> None:
    api = replace(route(upstream, b"/api"), limits=RouteLimits(request_body=1000))
    front = await proxy(api, hosts=HostRules(frozenset({b"proxy.test"})))
    if status == 502:
        await upstream.fall()
    client = await front.connect()
    got = await client.ask(REFUSED[status])

    assert (got.status, got.interims, got.value(b"connection")) == (status, (), b"close")
    assert await client.read_until_close() == b""
    assert upstream.connections == 0


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_the_whole_dialogue(front: Proxy, upstream: Upstream, framing: str) -> None:
    """Head, 100, body, answer: each arrives before the next is sent, in both directions."""
    line, body = (b"Content-Length: 4", b"body") if framing == "length" else (b"Transfer-Encoding: chunked", chunked(b"body"))
    client = await front.connect()
    await client.send(get(b"/", EXPECT, line, method=b"POST"))
    served = await upstream.accept()
    request = await served.read_request_head()
    assert (request.value(b"expect"), request.values(b"content-length")) == (b"100-continue", [b"4"] if framing == "length" else [])
    await served.send(CONTINUE)
    assert await client.read_head() == CONTINUE
    await client.send(body)
    assert (await served.read_request_body(request)).body == b"body"
    await served.send(ok())
    got = await client.read_response()
    assert (got.status, got.values(b"connection")) == (200, [])
    # Both connections serve on.
    await client.send(get(b"/next"))
    assert (await served.read_request()).target == b"/next"
    await served.send(ok(b"next"))
    assert (await client.read_response()).body == b"next"


async def test_an_upstream_that_never_says_100_gets_the_body_when_the_client_sends_it(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(asking())
    served = await upstream.accept()
    request = await served.read_request_head()
    await client.send(b"body")
    assert (await served.read_request_body(request)).body == b"body"
    await served.send(ok())
    got = await client.read_response()
    assert (got.status, got.interims) == (200, ())


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_upload_that_the_upstream_refuses_never_sends_its_body(front: Proxy, upstream: Upstream, framing: str) -> None:
    """The refusal arrives instead of a 100, both connections end, and no byte of the body has gone anywhere."""
    client = await front.connect()
    line = b"Content-Length: 2000000000" if framing == "length" else b"Transfer-Encoding: chunked"
    await client.send(get(b"/upload", EXPECT, line, b"Origin: " + ORIGIN, method=b"PUT"))
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(ok(b"too large", status=b"413 Content Too Large"))
    got = await client.read_response()

    assert (got.status, got.body, got.interims) == (413, b"too large", ())
    assert (got.value(b"connection"), got.cors[b"access-control-allow-origin"]) == (b"close", ORIGIN)
    assert await client.read_until_close() == b""
    await served.wait_closed()
    assert (await front.recorded())[0].received == 0


async def test_a_body_that_comes_after_the_refusal_reaches_nobody(front: Proxy, upstream: Upstream) -> None:
    """A client that did not wait for the 100: what it still sends is read to nowhere, so that it can read the refusal."""
    client = await front.connect()
    await client.send(asking(length=1_000_000))
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(ok(b"no", status=b"401 Unauthorized"))
    await served.wait_closed()
    await client.send(b"x" * 100_000)

    assert (await client.read_response()).status == 401
    assert (await front.recorded())[0].received == 0


async def test_interims_come_one_by_one_and_in_order(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(asking())
    served = await upstream.accept()
    request = await served.read_request_head()
    for interim in (head(b"HTTP/1.1 103 Early Hints", b"Link: <a>"), head(b"HTTP/1.1 102 Processing"), CONTINUE, CONTINUE):
        await served.send_bytewise(interim)
        assert await client.read_head() == interim
    await client.send(b"body")
    await served.read_request_body(request)
    await served.send(head(b"HTTP/1.1 103 Again") + ok())
    got = await client.read_response()
    assert ([interim.start for interim in got.interims], got.status) == ([b"HTTP/1.1 103 Again"], 200)


async def test_a_100_that_nobody_asked_for_is_relayed(front: Proxy, upstream: Upstream) -> None:
    """A proxy MUST forward 1xx responses (RFC 9110 15.2); clients must bear them."""
    _, got = await exchange(front, upstream, get(), CONTINUE + ok())
    assert ([interim.start for interim in got.interims], got.body) == ([b"HTTP/1.1 100 Continue"], b"ok")


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
async def test_http_1_0_knows_no_interims(front: Proxy, upstream: Upstream, status: bytes) -> None:
    _, got = await exchange(front, upstream, head(b"GET / HTTP/1.0"), head(b"HTTP/1.1 " + status, b"Link: <a>") + ok())
    assert got.raw.count(b"HTTP/1.1 ") == 1
    assert (got.status, got.body) == (200, b"ok")


async def test_an_upstream_that_dies_after_its_100_is_a_502(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(asking(b"Origin: " + ORIGIN, target=b"/"))
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(CONTINUE)
    assert await client.read_head() == CONTINUE
    served.close()
    got = await client.read_response()
    assert (got.status, got.cors[b"access-control-allow-origin"], got.value(b"connection")) == (502, ORIGIN, b"close")
    assert upstream.connections == 1


async def test_the_next_clients_answer_never_begins_with_an_old_interim(front: Proxy, upstream: Upstream) -> None:
    """An interim behind a final answer is an answer to nobody: the connection is not used again."""
    first = await front.connect()
    await first.send(get(b"/1"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok(b"1") + head(b"HTTP/1.1 103 Early Hints", b"Link: <EVIL>"))
    assert (await first.read_response()).body == b"1"
    await served.wait_closed()
    asking_again = asyncio.ensure_future(first.ask(get(b"/2")))
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok(b"2"))
    got = await asking_again
    assert (got.body, got.interims) == (b"2", ())


async def test_an_expectation_with_a_body_that_is_there_already(front: Proxy, upstream: Upstream) -> None:
    seen, got = await exchange(front, upstream, put(b"body", EXPECT), CONTINUE + ok())
    assert (seen.body, seen.value(b"expect"), got.status) == (b"body", b"100-continue", 200)
