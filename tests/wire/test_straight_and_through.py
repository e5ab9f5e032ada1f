"""The same request straight to a nasty upstream and through the proxy: the answers differ in nothing but what the design says."""

from dataclasses import dataclass, field

import pytest

from tests.harness import ADDED_BY_PROXY, Field, Proxy, Request, Response, Upstream, chunked, connect, get, head, ok, put

# What a gateway takes off or writes anew: hop-by-hop fields, and framing that it has undone.
_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"proxy-authenticate"}


@dataclass(frozen=True)
class Case:
    """A request and what the upstream says to it; `close`: it says the end by closing."""

    name: str
    answer: bytes
    request: bytes = field(default_factory=get)
    close: bool = False


def _lines(*lines: bytes) -> bytes:
    return ok(b"body", *lines)


BODY = bytes(range(256)) * 40

CASES = [
    Case("plain", ok()),
    Case("empty body", ok(b"")),
    Case("binary body", ok(BODY)),
    Case("a megabyte", ok(BODY * 100)),
    Case("a body like a response", ok(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nEVIL!")),
    Case("no reason", ok(status=b"200 ")),
    Case("no reason and no space", head(b"HTTP/1.1 200", b"Content-Length: 2") + b"ok"),
    Case("a reason in latin-1", ok(status=b"200 d\xe9j\xe0 vu")),
    Case("a reason of tabs", ok(status=b"200 a\tb")),
    Case("status 299", ok(status=b"299 x")),
    Case("status 599", ok(status=b"599 x")),
    Case("status 205 with a body", ok(status=b"205 Reset")),
    Case("status 407 from an origin", ok(status=b"407 Proxy?")),
    Case("a redirect to itself", ok(b"", b"Location: /", status=b"302 Found")),
    Case("a redirect elsewhere", ok(b"", b"Location: //evil.example/\xe9", status=b"301 Gone")),
    Case("HTTP/1.0 with a length", head(b"HTTP/1.0 200 OK", b"Content-Length: 2") + b"ok", close=True),
    Case("HTTP/1.0 until close", head(b"HTTP/1.0 200 OK") + BODY, close=True),
    Case("HTTP/1.0 kept alive", head(b"HTTP/1.0 200 OK", b"Connection: keep-alive", b"Content-Length: 2") + b"ok"),
    Case("HTTP/1.1 until close", head(b"HTTP/1.1 200 OK") + BODY, close=True),
    Case("nothing until close", head(b"HTTP/1.1 200 OK"), close=True),
    Case("Connection: close with a length", ok(b"ok", b"Connection: close"), close=True),
    Case(
        "Connection: close, chunked",
        head(b"HTTP/1.1 200 OK", b"Connection: close", b"Transfer-Encoding: chunked") + chunked(b"ok"),
        close=True,
    ),
    Case("chunked", head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"a", b"bc", BODY)),
    Case("chunked, nothing", head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked()),
    Case("chunked in capitals", head(b"HTTP/1.1 200 OK", b"transfer-ENCODING: CHUNKED") + chunked(b"ok")),
    Case("chunk extensions", head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b'2;a=b;c="d"\r\nok\r\n0;last\r\n\r\n'),
    Case("sizes in capitals and zeros", head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"000A\r\n0123456789\r\n000\r\n\r\n"),
    Case("a thousand chunks of a byte", head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(*([b"x"] * 1000))),
    Case("204", head(b"HTTP/1.1 204 No Content", b"X-A: 1")),
    Case("304 with a length", head(b"HTTP/1.1 304 Not Modified", b"Content-Length: 1000", b'ETag: "a"'), get(b"/", b'If-None-Match: "a"')),
    Case("304 without", head(b"HTTP/1.1 304 Not Modified", b'ETag: W/"a"', b"Cache-Control: max-age=1")),
    Case("HEAD with a length", head(b"HTTP/1.1 200 OK", b"Content-Length: 1000"), get(method=b"HEAD")),
    Case("HEAD without", head(b"HTTP/1.1 200 OK", b"X-A: 1"), get(method=b"HEAD")),
    Case("HEAD of what is missing", head(b"HTTP/1.1 404 No", b"Content-Length: 9"), get(method=b"HEAD")),
    Case("early hints", head(b"HTTP/1.1 103 Early Hints", b"Link: </a>; rel=preload") + ok()),
    Case("many interims", head(b"HTTP/1.1 103 A", b"Link: <a>") + head(b"HTTP/1.1 102 B", b"X: 1") + head(b"HTTP/1.1 103 C") + ok()),
    Case("an interim with an odd reason", head(b"HTTP/1.1 199 \xe9", b"x-lower: \xe9") + ok()),
    Case("cookies", _lines(b"Set-Cookie: a=1", b"X-A: 1", b"set-cookie: b=2; Path=/", b"Set-Cookie: a=3")),
    Case("latin-1 and broken UTF-8", _lines(b"X-A: caf\xe9", b"X-B: \xff\xfe\x80", b"Content-Disposition: attachment; filename=\xe4.txt")),
    Case("odd case", _lines(b"cONTENT-tYPE: Text/Html", b"etag: x", b"X-REQUEST-ID: 1")),
    Case("tight and loose colons", _lines(b"X-A:1", b"X-B:   2", b"X-C:\t3\t")),
    Case("empty values", _lines(b"X-A:", b"X-B: ", b"Content-Type:")),
    Case("odd names", _lines(b"!#$%&'*+-.^`|~: 1", b"_: 2", b"0: 3")),
    Case("an unknown encoding", _lines(b"Content-Encoding: br, zstd", b"Accept-Ranges: bytes")),
    Case("gzip that is none", ok(b"not gzip", b"Content-Encoding: gzip")),
    Case("partial content", ok(b"ar", b"Content-Range: bytes 1-2/9", status=b"206 Partial")),
    Case("multipart ranges", ok(b"--x\r\n\r\na\r\n--x--", b"Content-Type: multipart/byteranges; boundary=x", status=b"206 P")),
    Case("leading zeros in the length", head(b"HTTP/1.1 200 OK", b"Content-Length: 0002") + b"ok"),
    Case("a vary of its own", _lines(b"Vary: Accept-Encoding", b"vary: Accept")),
    Case("a vary on everything", _lines(b"Vary: *")),
    Case("warnings and links", _lines(b'Warning: 299 - "x"', b'Link: <a>; rel="b", <c>', b"Link: <d>")),
    Case("sixty fields", _lines(*[b"X-%d: %d" % (number % 7, number) for number in range(60)])),
    Case("an answer to a post", ok(b"created", status=b"201 C"), put(BODY, method=b"POST")),
    Case("an answer to a chunked post", ok(), get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + chunked(b"a", BODY, b"c")),
    Case("an answer to an empty post", ok(), put(b"", method=b"POST")),
    Case("a delete without a body", head(b"HTTP/1.1 204 Gone"), get(b"/x;y?z=%zz", method=b"DELETE")),
    Case("plain OPTIONS", ok(b"", b"Allow: GET"), get(method=b"OPTIONS")),
    Case("an unknown method", ok(b"<xml/>", status=b"207 Multi-Status"), get(b"/dav/", b"Depth: 1", method=b"PROPFIND")),
]


async def answered(upstream: Upstream, client_port: int, case: Case) -> tuple[Request, Response]:
    with await connect(client_port) as client:
        await client.send(case.request)
        served = await upstream.accept()
        seen = await served.read_request()
        await served.send(case.answer)
        if case.close:
            served.close()
        got = await client.read_response(case.request.split(b" ", 1)[0], judge=client_port != upstream.port)
        served.close()
        return seen, got


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_straight_and_through_are_the_same(front: Proxy, upstream: Upstream, case: Case) -> None:
    straight_seen, straight = await answered(upstream, upstream.port, case)
    seen, through = await answered(upstream, front.port, case)

    assert through.status == straight.status
    assert through.reason == straight.reason
    assert through.body == straight.body
    assert response_fields(through) == response_fields(straight)
    assert [(interim.start, interim.fields) for interim in through.interims] == [(i.start, i.fields) for i in straight.interims]
    assert framing(through) == framing(straight)
    assert (seen.start, seen.body, request_fields(seen)) == (straight_seen.start, straight_seen.body, request_fields(straight_seen))


def response_fields(response: Response) -> list[Field]:
    """What must be the same: all but hop-by-hop fields, Date if it was added, and Vary, which is merged (see the CORS tests)."""
    left = _HOP | ADDED_BY_PROXY | {b"date", b"vary"}
    return [line for line in response.fields if line[0].lower() not in left]


def request_fields(request: Request) -> list[Field]:
    left = _HOP | ADDED_BY_PROXY | {b"host", b"content-length"}
    return [line for line in request.fields if line[0].lower() not in left]


def framing(response: Response) -> tuple[list[bytes], list[bytes]]:
    """How the end of the body is told: also HTTP/1.0's way is kept."""
    return [coding.lower() for coding in response.values(b"transfer-encoding")], response.values(b"content-length")
