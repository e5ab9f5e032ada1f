"""
The danger: two servers disagree on where a request ends, and a client hides a second request in the first one.

The promise: doubt is refused and the connection closed; the upstream never sees more requests than there were, and
never a Content-Length with a Transfer-Encoding. The full corpus is tests/vectors; these are its roots.
"""

from contextlib import suppress

import pytest

from tests.harness import Ended, Proxy, Request, Upstream, chunked, complete_status, get, head, ok, turns

HOST = b"Host: proxy.test"
EVIL = get(b"/evil")
CHUNKED = b"Transfer-Encoding: chunked"


def post(*lines: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return head(b"POST /good " + version, HOST, *lines)


REFUSED = {
    # CL and TE
    "CL.TE": post(b"Content-Length: 6", CHUNKED) + b"0\r\n\r\nG",
    "TE.CL": post(CHUNKED, b"Content-Length: 4") + b"5c\r\n" + EVIL + b"\r\n0\r\n\r\n",
    "CL 0 and TE": post(b"Content-Length: 0", CHUNKED) + chunked(b"x"),
    "TE and CL in odd case": post(b"tRANSFER-eNCODING: CHUNKED", b"cONTENT-lENGTH: 3") + chunked(b"x"),
    "TE with CL in HTTP/1.0": post(CHUNKED, b"Content-Length: 3", version=b"HTTP/1.0") + chunked(b"x"),
    # TE
    "HTTP/1.0 with TE": post(CHUNKED, version=b"HTTP/1.0") + chunked() + EVIL,
    "TE gzip, chunked": post(b"Transfer-Encoding: gzip, chunked") + chunked(b"x"),
    "TE chunked, gzip": post(b"Transfer-Encoding: chunked, gzip") + chunked(b"x"),
    "TE chunked twice": post(CHUNKED, CHUNKED) + chunked(b"x"),
    "TE chunked, chunked": post(b"Transfer-Encoding: chunked, chunked") + chunked(b"x"),
    "TE identity": post(b"Transfer-Encoding: identity") + EVIL,
    "TE chunked, identity": post(b"Transfer-Encoding: chunked, identity") + chunked() + EVIL,
    "TE identity and CL": post(b"Transfer-Encoding: identity", b"Content-Length: 3") + b"abc",
    "TE xchunked": post(b"Transfer-Encoding: xchunked") + chunked() + EVIL,
    "TE chunkedx": post(b"Transfer-Encoding: chunkedx") + chunked() + EVIL,
    "TE with a quality": post(b"Transfer-Encoding: chunked;q=1") + chunked() + EVIL,
    "TE quoted": post(b'Transfer-Encoding: "chunked"') + chunked() + EVIL,
    "TE empty": post(b"Transfer-Encoding:") + chunked() + EVIL,
    "TE of commas": post(b"Transfer-Encoding: ,chunked") + chunked() + EVIL,
    "TE with a vertical tab": post(b"Transfer-Encoding: \x0bchunked") + chunked() + EVIL,
    "TE with a control byte": post(b"Transfer-Encoding: chunked\x00") + chunked() + EVIL,
    "TE with a space before the colon": post(b"Transfer-Encoding : chunked", b"Content-Length: 3") + b"abc",
    "TE with a tab before the colon": post(b"Transfer-Encoding\t: chunked", b"Content-Length: 3") + b"abc",
    "TE folded": post(b"Transfer-Encoding:", b" chunked") + chunked() + EVIL,
    "TE hidden in a fold": post(b"X-A: a", b" Transfer-Encoding: chunked", b"Content-Length: 3") + b"abc",
    "TE behind a bare CR": post(b"X-A: a\rTransfer-Encoding: chunked", b"Content-Length: 3") + b"abc",
    "TE behind a bare LF": post(b"X-A: a\nTransfer-Encoding: chunked", b"Content-Length: 3") + b"abc",
    # CL
    "two CL": post(b"Content-Length: 3", b"Content-Length: 0") + b"abc",
    "two equal CL": post(b"Content-Length: 3", b"Content-Length: 3") + b"abc",
    "a list of CL": post(b"Content-Length: 3, 3") + b"abc",
    "a list of unequal CL": post(b"Content-Length: 0, 3") + b"abc",
    "CL with a plus": post(b"Content-Length: +3") + b"abc",
    "CL with a minus": post(b"Content-Length: -3") + EVIL,
    "CL in hexadecimal": post(b"Content-Length: 0x3") + b"abc",
    "CL with an underscore": post(b"Content-Length: 1_0") + b"abcdefghij",
    "CL with a point": post(b"Content-Length: 3.0") + b"abc",
    "CL with a word": post(b"Content-Length: three") + b"abc",
    "CL empty": post(b"Content-Length:") + EVIL,
    "CL in other digits": post("Content-Length: ٣".encode()) + b"abc",
    "CL with a space inside": post(b"Content-Length: 1 0") + b"abcdefghij",
    "CL beyond 64 bits": post(b"Content-Length: 18446744073709551619") + b"abc",
    "CL with a space before the colon": post(b"Content-Length : 3") + b"abc",
    "CL folded": post(b"Content-Length:", b" 3") + b"abc",
    # names and lines
    "a bare LF ends the head": b"GET /good HTTP/1.1\nHost: a\n\n" + EVIL,
    "an empty name": post(b": chunked", b"Content-Length: 3") + b"abc",
    "a line before the fields": head(b"GET /good HTTP/1.1", b" X-A: 1", HOST),
    "a NUL in a name": post(b"Transfer\0-Encoding: chunked", b"Content-Length: 3") + b"abc",
    "two hosts": head(b"GET /good HTTP/1.1", HOST, b"Host: evil.example"),
    "a nominated CL": post(b"Connection: Content-Length", b"Content-Length: %d" % len(EVIL)) + EVIL,
    # upgrades
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9,
}

# Chunk sizes that some servers read in another way; a byte more or less is a request more or less.
BROKEN_CHUNKS = {
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "space before": b" 3\r\nabc\r\n0\r\n\r\n",
    "underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "bare LF after the data": b"3\r\nabc\n0\r\n\r\n",
    "bare CR after the size": b"3\rabc\r\n0\r\n\r\n",
    "LF in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "no CRLF after the data": b"3\r\nabc0\r\n\r\n",
    "empty size": b"\r\nabc\r\n0\r\n\r\n",
    "extension without size": b";a=b\r\nabc\r\n0\r\n\r\n",
    "beyond 64 bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
}

# Legal, and so served as one request: what looks like a second one is the body of the first.
SERVED = {
    "a request in a body": post(b"Content-Length: %d" % len(EVIL)) + EVIL,
    "a request in a chunk": post(CHUNKED) + chunked(EVIL),
    "a request in a chunk extension": post(CHUNKED) + b'1;a="' + EVIL.partition(b"\r\n")[0] + b'"\r\nx\r\n0\r\n\r\n',
    "leading zeros in a chunk size": post(CHUNKED) + b"0003\r\nabc\r\n000\r\n\r\n",
    "CL of another name": post(b"Content-Length: 3", b"X-Content-Length: 99", b"Content_Length: 0") + b"abc",
    "TE of another name": post(b"Content-Length: 3", b"X-Transfer-Encoding: chunked", b"Transfer_Encoding: chunked") + b"abc",
    "TE, the other field": post(b"Content-Length: 3", b"TE: chunked", b"Connection: TE") + b"abc",
    "a GET with a body": head(b"GET /good HTTP/1.1", HOST, b"Content-Length: %d" % len(EVIL)) + EVIL,
    "a HEAD with a body": head(b"HEAD /good HTTP/1.1", HOST, b"Content-Length: %d" % len(EVIL)) + EVIL,
    "an upgrade with a body": post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: %d" % len(EVIL)) + EVIL,
    "an upgrade with a request behind it": head(b"GET /good HTTP/1.1", HOST, b"Connection: Upgrade", b"Upgrade: websocket2") + EVIL,
}


def watch(upstream: Upstream) -> None:
    """An upstream that reads strictly, and would take a second request if one came."""

    def echo(request: Request) -> bytes:
        assert not (request.values(b"content-length") and request.values(b"transfer-encoding"))
        assert not [name for name, _ in request.fields if name.lower().replace(b"_", b"-") != name.lower() and b"encoding" in name.lower()]
        return ok(b"" if request.method == b"HEAD" else b"good")

    upstream.serve(echo)


async def assert_alive(front: Proxy, upstream: Upstream) -> None:
    assert (await front.ask(get(b"/alive"))).body == b"good"
    assert [request.target for request in upstream.requests].count(b"/alive") == 1


@pytest.mark.parametrize("kind", REFUSED)
async def test_doubtful_framing_is_refused_and_reaches_nothing(front: Proxy, upstream: Upstream, kind: str) -> None:
    watch(upstream)
    client = await front.connect()
    await client.send(REFUSED[kind])
    got = await client.read_response()

    assert got.status in (400, 501)
    assert got.value(b"connection") == b"close"
    assert await client.read_until_close() == b"", "one answer, then the end"
    assert upstream.requests == []
    await assert_alive(front, upstream)


@pytest.mark.parametrize("kind", BROKEN_CHUNKS)
async def test_doubtful_chunks_are_refused_and_nothing_of_them_is_a_request(front: Proxy, upstream: Upstream, kind: str) -> None:
    watch(upstream)
    client = await front.connect()
    await client.send(post(CHUNKED) + BROKEN_CHUNKS[kind] + EVIL)
    got = await client.read_response(b"POST")

    assert got.status == 400
    assert await client.read_until_close() == b""
    assert upstream.requests == []
    await assert_alive(front, upstream)


@pytest.mark.parametrize("kind", SERVED)
async def test_what_looks_like_a_second_request_is_none(front: Proxy, upstream: Upstream, kind: str) -> None:
    watch(upstream)
    client = await front.connect()
    await client.send(SERVED[kind])
    got = await client.read_response(SERVED[kind].split(b" ", 1)[0])
    await turns()

    assert got.status == 200
    assert [request.target for request in upstream.requests] == [b"/good"]
    await assert_alive(front, upstream)


@pytest.mark.parametrize("kind", [*REFUSED][:12])
async def test_doubtful_framing_is_refused_byte_by_byte_too(front: Proxy, upstream: Upstream, kind: str) -> None:
    """The refusal may come before the last byte is sent; then a client of one byte at a time may lose it to a reset."""
    watch(upstream)
    client = await front.connect()
    with suppress(Ended):
        await client.send_bytewise(REFUSED[kind].partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    got = await client.read_until_close()

    assert complete_status(got, client.ended) in (400, 501) or (got, client.ended) == (b"", "reset")
    assert upstream.requests == []
    await assert_alive(front, upstream)
