"""What breaks off, and what does not parse, never looks complete on the other side. Every byte offset: hazards/test_truncated_body."""

import pytest

from tests.harness import Proxy, Upstream, complete_status, get, head


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_the_part_that_came_is_passed_on(front: Proxy, upstream: Upstream, how: str) -> None:
    """What breaks off is still worth showing where the framing tells that it is a part."""
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: 100") + b"part")
    assert (await client.read_head()).startswith(b"HTTP/1.1 200 OK\r\n")
    assert await client.read_exactly(4) == b"part"
    if how == "fin":
        served.close()
    else:
        served.reset()

    assert await client.read_until_close() == b""
    record = (await front.recorded())[0]
    assert record.problem is not None
    assert (record.status, record.problem.code) == (200, "CP411")


async def test_a_broken_body_until_close_resets_the_client(front: Proxy, upstream: Upstream) -> None:
    """A FIN would be taken for the end."""
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK") + b"part")
    await client.read_head()
    assert await client.read_exactly(4) == b"part"
    served.reset()
    await client.read_until_close()

    assert client.ended == "reset"


BROKEN_CHUNKS = {
    "no number": b"x\r\nok\r\n0\r\n\r\n",
    "negative": b"-2\r\nok\r\n0\r\n\r\n",
    "with 0x": b"0x2\r\nok\r\n0\r\n\r\n",
    "too large a number": b"fffffffffffffffff\r\nok\r\n",
    "longer than said": b"2\r\nokay\r\n0\r\n\r\n",
    "no CRLF after the data": b"2\r\nok0\r\n\r\n",
    "bare LF after the size": b"2\nok\r\n0\r\n\r\n",
    "bare LF after the data": b"2\r\nok\n0\r\n\r\n",
    "a space before the size": b" 2\r\nok\r\n0\r\n\r\n",
    "garbage for a trailer": b"2\r\nok\r\n0\r\n\0\0\r\n\r\n",
    "endless extensions": b"2;" + b"x" * 200_000,
}


@pytest.mark.parametrize("kind", BROKEN_CHUNKS)
async def test_chunks_that_do_not_parse_leave_no_complete_answer(front: Proxy, upstream: Upstream, kind: str) -> None:
    upstream.serve(lambda _: head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + BROKEN_CHUNKS[kind])
    client = await front.connect()
    await client.send(get(b"/", b"Connection: close"))
    got = await client.read_until_close()

    assert got.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 502 "))
    assert complete_status(got, client.ended) in (0, 502)
    assert front.open_upstream == 0


async def test_a_truncated_upload_never_looks_complete_to_the_upstream(front: Proxy, upstream: Upstream) -> None:
    for body in (
        get(b"/", b"Content-Length: 10", method=b"PUT") + b"part",
        get(b"/", b"Transfer-Encoding: chunked", method=b"PUT") + b"4\r\npart\r\n",
    ):
        for how in ("close", "reset"):
            client = await front.connect()
            await client.send(body)
            served = await upstream.accept()
            await served.read_request_head()
            await served.read_until(b"part")
            if how == "close":
                client.close()
            else:
                client.reset()
            assert b"0\r\n\r\n" not in await served.read_until_close()


@pytest.mark.parametrize("chunk", [b"x\r\n", b"-1\r\n", b"5\r\npart\r\n0\r\n\r\n", b"4\npart", b"4\r\npartX\r\n"])
async def test_an_uploads_chunks_that_do_not_parse_never_look_complete_to_the_upstream(
    front: Proxy, upstream: Upstream, chunk: bytes
) -> None:
    client = await front.connect()
    await client.send_in_pieces(get(b"/", b"Transfer-Encoding: chunked", method=b"PUT") + b"2\r\nok\r\n", chunk)
    served = await upstream.accept()
    await served.read_request_head()
    rest = await served.read_until_close()
    got = await client.read_response(b"PUT")

    assert not rest.endswith(b"0\r\n\r\n")
    assert got.status == 400
    assert got.value(b"connection") == b"close"
