"""Parts of a body: what is asked for and what comes is the upstream's business, byte for byte."""

import pytest

from tests.harness import ORIGIN, Proxy, Upstream, complete_status, exchange, get, head, ok

PARTS = b"\r\n".join(
    (
        b"--THIS_STRING_SEPARATES",
        b"Content-Type: application/pdf",
        b"Content-Range: bytes 0-1/8000",
        b"Content-Length: 99",
        b"",
        b"ab",
        b"--THIS_STRING_SEPARATES",
        b"Content-Type: application/pdf",
        b"Content-Range: bytes 7998-7999/8000",
        b"Access-Control-Allow-Origin: https://evil.example",
        b"",
        b"yz",
        b"--THIS_STRING_SEPARATES--",
        b"",
    )
)
ASKED = {
    "one": [b"Range: bytes=0-1"],
    "the end": [b"Range: bytes=-2"],
    "several": [b"Range: bytes=0-1, 7998-"],
    "another unit": [b"Range: rows=1-2"],
    "if the tag is the same": [b"Range: bytes=2-", b'If-Range: "a-tag"'],
    "if the date is the same": [b"Range: bytes=2-", b"If-Range: Sat, 29 Oct 1994 19:43:31 GMT"],
    "a bad one": [b"range: bytes=1-0,--"],
}
ANSWERS = {
    "a part": ok(
        b"ab",
        b"Content-Range: bytes 0-1/8000",
        b"Accept-Ranges: bytes",
        b'ETag: "a-tag"',
        b"Content-Encoding: gzip",
        status=b"206 Partial Content",
    ),
    "several parts": ok(PARTS, b"Content-Type: multipart/byteranges; boundary=THIS_STRING_SEPARATES", status=b"206 Partial Content"),
    "all of it": ok(b"a" * 8000, b'ETag: "b-tag"', b"Accept-Ranges: bytes"),
    "none of it": ok(b"", b"Content-Range: bytes */8000", status=b"416 Range Not Satisfiable"),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_ranges_pass_untouched(front: Proxy, upstream: Upstream, asked: str, answer: str) -> None:
    lines, raw = ASKED[asked], ANSWERS[answer]
    seen, got = await exchange(front, upstream, get(b"/file", b"Origin: " + ORIGIN, *lines), raw)

    fields = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    assert [b": ".join(line) for line in seen.without(b"host", b"origin")] == lines
    own = (b"vary", b"date", *got.cors)
    assert [b": ".join(line) for line in got.without(*own)] == fields
    assert got.body == raw.partition(b"\r\n\r\n")[2]
    assert got.cors[b"access-control-allow-origin"] == ORIGIN


async def test_a_part_that_breaks_off_does_not_look_complete(front: Proxy, upstream: Upstream) -> None:
    """A client that resumes a download would put the hole into its file."""
    client = await front.connect()
    await client.send(get(b"/file", b"Range: bytes=0-7"))
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 206 Partial Content", b"Content-Range: bytes 0-7/8000", b"Content-Length: 8") + b"abcd")
    served.close()
    got = await client.read_until_close()

    assert got.endswith(b"\r\n\r\nabcd")
    assert complete_status(got, client.ended) == 0
