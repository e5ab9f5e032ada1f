"""Bodies: every framing, every way they may be cut into segments, both directions."""

import asyncio

import pytest

from tests.harness import Proxy, Request, Response, Upstream, blocks, chunked, connect, exchange, get, head, ok, put, turns

BIG = b"".join(blocks(3_000_000))


@pytest.mark.parametrize("size", [0, 1, 2, 255, 4096, 65_535, 65_536, 65_537, 300_000, 3_000_000])
async def test_a_body_with_a_length_arrives_both_ways(front: Proxy, upstream: Upstream, size: int) -> None:
    seen, got = await both_ways(front, upstream, put(BIG[:size]), ok(BIG[:size]))

    assert (seen.body, got.body) == (BIG[:size], BIG[:size])
    assert (seen.value(b"content-length"), got.value(b"content-length")) == (b"%d" % size, b"%d" % size)
    assert (seen.values(b"transfer-encoding"), got.values(b"transfer-encoding")) == ([], [])


@pytest.mark.parametrize("size", [0, 1, 4096, 65_537, 3_000_000])
@pytest.mark.parametrize("piece", [1000, 70_000])
async def test_a_chunked_body_arrives_both_ways(front: Proxy, upstream: Upstream, size: int, piece: int) -> None:
    coded = chunked(*(BIG[place : min(size, place + piece)] for place in range(0, size, piece)))
    request = get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + coded
    seen, got = await both_ways(front, upstream, request, head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + coded)

    assert (seen.body, got.body) == (BIG[:size], BIG[:size])
    assert (seen.value(b"transfer-encoding"), got.value(b"transfer-encoding")) == (b"chunked", b"chunked")
    assert (seen.values(b"content-length"), got.values(b"content-length")) == ([], [])


async def both_ways(front: Proxy, upstream: Upstream, request: bytes, response: bytes) -> tuple[Request, Response]:
    """Send while the other side reads: bodies that no socket buffer holds."""
    with await connect(front.port) as client:
        sending = asyncio.ensure_future(client.send(request))
        served = await upstream.accept()
        seen = await served.read_request()
        await sending
        answering = asyncio.ensure_future(served.send(response))
        got = await client.read_response(request.split(b" ", 1)[0])
        await answering
        served.close()
        return seen, got


@pytest.mark.parametrize("size", [0, 1, 65_537, 1_000_000])
async def test_a_body_that_ends_with_the_connection_is_relayed_so(front: Proxy, upstream: Upstream, size: int) -> None:
    """Never re-chunked: an end that only the close tells must stay one."""
    answering = front.ask(get())
    reading = asyncio.ensure_future(answering)
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK") + BIG[:size])
    served.close()
    got = await reading

    assert got.body == BIG[:size]
    assert got.value(b"connection") == b"close"
    assert got.values(b"transfer-encoding") + got.values(b"content-length") == []


REQUESTS = {
    "length": put(b"hello body", b"X-A: 1", b"Origin: https://app.example.com", target=b"/x;y?z=%2F"),
    "chunked": get(b"/c", b"Transfer-Encoding: chunked", b"X-A: 1", method=b"POST") + chunked(b"hello", b" ", b"body"),
    "none": get(b"/n", b"X-A: 1"),
}
RESPONSES = {
    "length": ok(b"hello body", b"X-A: 1", b"Vary: Accept"),
    "chunked": head(b"HTTP/1.1 200 OK", b"X-A: 1", b"Transfer-Encoding: chunked") + chunked(b"hello", b" ", b"body"),
    "close": head(b"HTTP/1.1 200 OK", b"X-A: 1") + b"hello body",
    "interim": head(b"HTTP/1.1 103 Early", b"Link: <a>") + ok(b"hello body", b"X-A: 1"),
}


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_request_may_be_cut_anywhere(front: Proxy, upstream: Upstream, kind: str) -> None:
    request = REQUESTS[kind]
    whole, _ = await exchange(front, upstream, request, ok())
    client = await front.connect()
    served = None
    for place in range(1, len(request)):
        await client.send_in_pieces(request[:place], request[place:])
        served = served or await upstream.accept()
        seen = await served.read_request()
        await served.send(ok(b"%d" % place))
        assert (seen.start, seen.without(), seen.body) == (whole.start, whole.without(), whole.body)
        assert (await client.read_response()).body == b"%d" % place
    assert upstream.connections == 2


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_request_may_come_byte_by_byte(front: Proxy, upstream: Upstream, kind: str) -> None:
    whole, _ = await exchange(front, upstream, REQUESTS[kind], ok())
    client = await front.connect()
    await client.send_bytewise(REQUESTS[kind])
    served = await upstream.accept()
    seen = await served.read_request()
    await served.send(ok())

    assert (seen.start, seen.without(), seen.body) == (whole.start, whole.without(), whole.body)
    assert (await client.read_response()).status == 200


@pytest.mark.parametrize("kind", RESPONSES)
async def test_a_response_may_be_cut_anywhere(front: Proxy, upstream: Upstream, kind: str) -> None:
    response, close = RESPONSES[kind], kind == "close"
    _, whole = await exchange(front, upstream, get(), response, close=close)
    for place in range(1, len(response)):
        with await connect(front.port) as client:
            await client.send(get())
            served = await upstream.accept()
            await served.read_request()
            await served.send_in_pieces(response[:place], response[place:])
            served.close()
            got = await client.read_response()
            assert comparable(got) == comparable(whole)


@pytest.mark.parametrize("kind", RESPONSES)
async def test_a_response_may_come_byte_by_byte(front: Proxy, upstream: Upstream, kind: str) -> None:
    _, whole = await exchange(front, upstream, get(), RESPONSES[kind], close=kind == "close")
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send_bytewise(RESPONSES[kind])
    served.close()

    assert comparable(await client.read_response()) == comparable(whole)


def comparable(response: Response) -> tuple[object, ...]:
    return response.start, response.without(b"date"), response.body, [interim.head for interim in response.interims]


async def test_the_first_bytes_of_a_body_do_not_wait_for_the_rest(front: Proxy, upstream: Upstream) -> None:
    """Both directions stream: what came goes on at once."""
    client = await front.connect()
    await client.send(get(b"/", b"Content-Length: 6", method=b"PUT"))
    served = await upstream.accept()
    request = await served.read_request_head()
    for piece in (b"ab", b"cd", b"ef"):
        await client.send(piece)
        assert await served.read_exactly(2) == piece
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: 6"))
    await client.read_head()
    for piece in (b"uv", b"wx", b"yz"):
        await served.send(piece)
        assert await client.read_exactly(2) == piece
    assert request.value(b"content-length") == b"6"


async def test_the_chunks_of_a_body_do_not_wait_for_each_other(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/", b"Transfer-Encoding: chunked", method=b"POST"))
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"))
    await client.read_head()
    for piece in (b"ab", b"cd"):
        await client.send(b"2\r\n" + piece + b"\r\n")
        assert await served.read_exactly(7) == b"2\r\n" + piece + b"\r\n"
        await served.send(b"2\r\n" + piece + b"\r\n")
        assert await client.read_exactly(7) == b"2\r\n" + piece + b"\r\n"
    await client.send(b"0\r\n\r\n")
    assert await served.read_exactly(5) == b"0\r\n\r\n"
    await served.send(b"0\r\n\r\n")
    assert await client.read_exactly(5) == b"0\r\n\r\n"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
async def test_an_odd_body_is_forwarded_and_both_connections_end(front: Proxy, upstream: Upstream, method: bytes) -> None:
    """Servers do not agree on what a body of these means, so nothing may follow it."""
    client = await front.connect()
    await client.send(put(b"odd", method=method))
    served = await upstream.accept()
    seen = await served.read_request()
    assert seen.body == b"odd"
    assert seen.value(b"connection") == b"close"
    await served.send(head(b"HTTP/1.1 204 No Content"))
    got = await client.read_response(method)
    assert got.value(b"connection") == b"close"
    assert await client.read_until_close() == b""
    await served.wait_closed()


async def test_content_length_0_is_no_odd_body(front: Proxy, upstream: Upstream) -> None:
    """It says that there is none; both connections live on."""
    client = await front.connect()
    await client.send(put(b"", method=b"GET"))
    served = await upstream.accept()
    seen = await served.read_request()
    await served.send(ok())

    assert (seen.values(b"connection"), seen.body) == ([], b"")
    assert (await client.read_response()).values(b"connection") == []
    assert front.pool.size == 1


async def test_content_length_0_of_a_post_stays(front: Proxy, upstream: Upstream) -> None:
    seen, _ = await exchange(front, upstream, put(b"", method=b"POST"), ok())

    assert seen.value(b"content-length") == b"0"


async def test_trailers_of_a_request_are_dropped(front: Proxy, upstream: Upstream) -> None:
    request = get(b"/", b"Transfer-Encoding: chunked", b"Trailer: X-Sum", method=b"POST")
    request += chunked(b"x", trailers=[b"X-Sum: 1", b"Cookie: a=1", b"Origin: https://evil.example"])
    seen, got = await exchange(front, upstream, request, ok())

    assert (seen.body, seen.trailers) == (b"x", ())
    assert seen.without() == [(b"Host", upstream.authority), (b"Transfer-Encoding", b"chunked")]
    assert got.status == 200


@pytest.mark.parametrize("trailer", [b"Content-Length: 7", b"Transfer-Encoding: chunked", b"Host: evil.example"])
async def test_a_trailer_that_speaks_of_framing_or_host_is_refused(front: Proxy, upstream: Upstream, trailer: bytes) -> None:
    request = get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + chunked(b"x", trailers=[trailer, b"X-Sum: 1"])
    client = await front.connect()

    assert (await client.ask(request)).status == 400
    assert await client.read_until_close() == b""
    assert upstream.requests == []


async def test_a_fault_that_comes_with_the_end_of_a_chunk_is_answered_at_once(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"2\r\nhe")
    served = await upstream.accept()
    await served.read_until(b"2\r\nhe")
    await client.send(b"\r\nno chunk\r\n")

    assert (await client.read_response()).status == 400
    await served.read_until_close()


async def test_trailers_of_a_response_do_not_reach_a_client_that_did_not_ask(front: Proxy, upstream: Upstream) -> None:
    answer = head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", b"Trailer: X-Sum") + chunked(b"x", trailers=[b"X-Sum: 1"])
    client = await front.connect()
    for _ in range(2):
        await client.send(get())
        served = await upstream.accept() if upstream.waiting or upstream.connections == 0 else upstream.served[0]
        await served.read_request()
        await served.send(answer)
        got = await client.read_response()
        assert (got.body, got.trailers) == (b"x", ())


async def test_a_204_with_a_body_cannot_answer_the_next_request(front: Proxy, upstream: Upstream) -> None:
    """Its length is taken off (RFC 9110 8.6), and what lies behind it is dropped with the upstream's connection."""
    upstream.serve(
        lambda request: head(b"HTTP/1.1 204 No Content", b"Content-Length: 4") + b"EVIL" if request.target == b"/1" else ok(b"fine")
    )
    client = await front.connect()

    first = await client.ask(get(b"/1"))
    second = await client.ask(get(b"/2"))

    assert (first.status, first.values(b"content-length")) == (204, [])
    assert second.body == b"fine"


@pytest.mark.parametrize("answer", [ok(b"EVIL"), head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"EVIL")])
async def test_a_body_after_a_head_request_cannot_answer_the_next_one(front: Proxy, upstream: Upstream, answer: bytes) -> None:
    upstream.serve(lambda request: answer if request.method == b"HEAD" else ok(b"fine"))
    client = await front.connect()

    await client.ask(get(method=b"HEAD"))
    await turns()

    assert (await client.ask(get())).body == b"fine"


async def test_an_early_answer_arrives_while_the_upload_goes_on(front: Proxy, upstream: Upstream) -> None:
    """The upstream may answer before it has read everything; nobody can then tell where the next request begins, so both ends close."""
    client = await front.connect()
    await client.send(get(b"/", b"Content-Length: 1000", method=b"POST") + b"part")
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(ok(b"too much", status=b"413 Too Large"))
    got = await client.read_response()

    assert (got.status, got.body) == (413, b"too much")
    assert got.value(b"connection") == b"close"
    assert await client.read_until_close() == b""
    await served.read_until_close()
