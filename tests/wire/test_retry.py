"""What is sent again, and what never: the rule of reliability.md section 4 as the upstream sees it."""

import pytest

from tests.harness import Client, Proxy, Served, Upstream, chunked, get, head, ok, put


async def reused(front: Proxy, upstream: Upstream) -> tuple[Client, Served]:
    """A client, and an upstream connection that has served it once."""
    client = await front.connect()
    await client.send(get(b"/first"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok())
    await client.read_response()
    return client, served


def hang_up(served: Served, how: str) -> None:
    if how == "fin":
        served.close()
    else:
        served.reset()


ways = pytest.mark.parametrize("how", ["fin", "reset"])


@ways
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
async def test_a_repeatable_request_is_sent_again_when_a_reused_connection_dies(
    front: Proxy, upstream: Upstream, method: bytes, how: str
) -> None:
    client, served = await reused(front, upstream)
    await client.send(get(b"/again?x=%2F", b"X-A: 1", method=method))
    first = await served.read_request()
    hang_up(served, how)
    fresh = await upstream.accept()
    second = await fresh.read_request()
    await fresh.send(ok(b"" if method == b"HEAD" else b"again"))

    assert second.raw == first.raw
    assert (await client.read_response(method)).status == 200
    assert (await front.recorded(2))[1].retries == 1
    assert upstream.connections == 2


@ways
async def test_a_retry_is_not_retried(front: Proxy, upstream: Upstream, how: str) -> None:
    client, served = await reused(front, upstream)
    await client.send(get(b"/again"))
    await served.read_request()
    hang_up(served, how)
    fresh = await upstream.accept()
    await fresh.read_request()
    hang_up(fresh, how)

    assert (await client.read_response()).status == 502
    assert upstream.connections == 2


@ways
@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"PUT", b"DELETE", b"PROPFIND"])
async def test_a_request_that_may_change_something_is_never_sent_again(front: Proxy, upstream: Upstream, method: bytes, how: str) -> None:
    client, served = await reused(front, upstream)
    await client.send(get(method=method))
    await served.read_request()
    hang_up(served, how)

    assert (await client.read_response(method)).status == 502
    assert upstream.connections == 1


@ways
@pytest.mark.parametrize("request_", [put(b"x", method=b"GET"), get(b"/", b"Transfer-Encoding: chunked") + chunked(b"x")])
async def test_a_request_with_a_body_is_never_sent_again(front: Proxy, upstream: Upstream, request_: bytes, how: str) -> None:
    client, served = await reused(front, upstream)
    await client.send(request_)
    await served.read_request()
    hang_up(served, how)

    assert (await client.read_response()).status == 502
    assert upstream.connections == 1


@ways
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE"])
async def test_nothing_is_sent_again_when_a_fresh_connection_dies(front: Proxy, upstream: Upstream, method: bytes, how: str) -> None:
    """The upstream may be crashing on this very request."""
    client = await front.connect()
    await client.send(get(method=method))
    served = await upstream.accept()
    await served.read_request()
    hang_up(served, how)

    assert (await client.read_response(method)).status == 502
    assert upstream.connections == 1


@ways
@pytest.mark.parametrize("part", [b"H", b"HTTP/1.1 200 OK\r\n", head(b"HTTP/1.1 103 Early Hints")], ids=["a byte", "a line", "an interim"])
async def test_nothing_is_sent_again_after_a_byte_of_an_answer(front: Proxy, upstream: Upstream, part: bytes, how: str) -> None:
    client, served = await reused(front, upstream)
    await client.send(get(b"/again"))
    await served.read_request()
    await served.send_in_pieces(part)
    hang_up(served, how)

    assert (await client.read_response()).status == 502
    assert upstream.connections == 1


async def test_a_stale_connection_is_not_followed_by_another_stale_one(front: Proxy, upstream: Upstream) -> None:
    """The second attempt goes on a fresh connection even if others are idle."""
    clients = [await front.connect() for _ in range(2)]
    for client in clients:
        await client.send(get())
    served = [await upstream.accept() for _ in clients]
    for wire, client in zip(served, clients, strict=True):
        await wire.read_request()
        await wire.send(ok())
        await client.read_response()
    await clients[0].send(get(b"/again"))
    await served[1].read_request()
    served[1].close()
    fresh = await upstream.accept()
    assert (await fresh.read_request()).target == b"/again"
    await fresh.send(ok(b"fresh"))

    assert (await clients[0].read_response()).body == b"fresh"
    assert upstream.connections == 3


@pytest.mark.parametrize("request_", [get(), put(b"x"), get(method=b"DELETE")])
async def test_an_upstream_that_cannot_be_reached_is_tried_a_bounded_number_of_times(
    front: Proxy, upstream: Upstream, request_: bytes
) -> None:
    await upstream.fall()

    assert (await front.ask(request_)).status == 502
    assert (await front.recorded())[0].retries <= 1
