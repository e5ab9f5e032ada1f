"""1xx and Expect: relayed, never invented."""

import pytest

from tests.harness import ORIGIN, Proxy, Upstream, exchange, get, head, ok, put


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints", b"199 Misc"])
async def test_an_interim_is_relayed_before_the_final_answer(front: Proxy, upstream: Upstream, status: bytes) -> None:
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 " + status, b"Link: </a.css>; rel=preload", b"X-A: \xe9"))
    interim = await client.read_head()
    assert interim == head(b"HTTP/1.1 " + status, b"Link: </a.css>; rel=preload", b"X-A: \xe9")
    await served.send(ok())
    assert (await client.read_response()).body == b"ok"


async def test_interims_carry_no_cors_fields(front: Proxy, upstream: Upstream) -> None:
    answer = head(b"HTTP/1.1 103 Early Hints", b"Access-Control-Allow-Origin: *", b"Link: <a>") + ok()
    _, got = await exchange(front, upstream, get(b"/", b"Origin: " + ORIGIN), answer)

    assert [interim.cors for interim in got.interims] == [{}]
    assert got.cors[b"access-control-allow-origin"] == ORIGIN


async def test_a_client_of_http_1_0_gets_no_interim(front: Proxy, upstream: Upstream) -> None:
    answer = head(b"HTTP/1.1 103 Early Hints", b"Link: <a>") + ok()
    _, got = await exchange(front, upstream, head(b"GET / HTTP/1.0"), answer)

    assert (got.interims, got.status) == ((), 200)


async def test_a_101_that_nobody_asked_for_is_a_502(front: Proxy, upstream: Upstream) -> None:
    request = get(b"/", b"Connection: upgrade", b"Upgrade: h2c")
    seen, got = await exchange(front, upstream, request, head(b"HTTP/1.1 101 Switching", b"Connection: upgrade", b"Upgrade: h2c"))

    assert seen.values(b"upgrade") == []
    assert got.status == 502


async def test_an_upload_that_expects_100_waits_for_the_upstreams(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/", b"Expect: 100-continue", b"Content-Length: 4", method=b"PUT"))
    served = await upstream.accept()
    request = await served.read_request_head()
    assert request.value(b"expect") == b"100-continue"
    await served.send(head(b"HTTP/1.1 100 Continue"))
    assert await client.read_head() == head(b"HTTP/1.1 100 Continue")
    await client.send(b"body")
    assert (await served.read_request_body(request)).body == b"body"
    await served.send(ok())
    got = await client.read_response()
    assert (got.status, got.values(b"connection")) == (200, [])


async def test_an_upload_that_does_not_wait_for_its_100_is_forwarded(front: Proxy, upstream: Upstream) -> None:
    seen, got = await exchange(front, upstream, put(b"body", b"Expect: 100-continue"), ok())

    assert (seen.body, got.status, got.interims) == (b"body", 200, ())


async def test_an_upstream_may_refuse_instead_of_saying_100(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/", b"Expect: 100-continue", b"Content-Length: 4", method=b"PUT"))
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(ok(b"no", status=b"417 No"))
    got = await client.read_response()

    assert (got.status, got.interims) == (417, ())
    assert got.value(b"connection") == b"close"
    assert await client.read_until_close() == b""


@pytest.mark.parametrize("expectation", [b"200-ok", b"100-continue, x", b"x=1"])
async def test_another_expectation_is_refused(front: Proxy, upstream: Upstream, expectation: bytes) -> None:
    got = await front.ask(get(b"/", b"Expect: " + expectation, b"Content-Length: 4", method=b"PUT"))

    assert (got.status, got.interims) == (417, ())
    assert upstream.connections == 0


async def test_our_own_refusal_is_final_and_says_no_100(front: Proxy, upstream: Upstream) -> None:
    request = get(b"/", b"Origin: https://evil.example", b"Expect: 100-continue", b"Content-Length: 4", method=b"PUT")
    client = await front.connect()
    got = await client.ask(request)

    assert (got.status, got.interims) == (403, ())
    assert got.value(b"connection") == b"close"
    assert await client.read_until_close() == b""
    assert upstream.connections == 0


async def test_an_expectation_of_http_1_0_is_ignored(front: Proxy, upstream: Upstream) -> None:
    request = head(b"PUT / HTTP/1.0", b"Expect: 100-continue", b"Content-Length: 4") + b"body"
    seen, got = await exchange(front, upstream, request, ok())

    assert (seen.values(b"expect"), seen.body, got.status) == ([], b"body", 200)
