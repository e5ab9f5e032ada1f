"""
Exchanges made up for the comparison of the lanes: what a client sends, and what the upstream does with it.

Every choice is one number out of `pick(count)`, so that hypothesis can choose and shrink them, and a plain random generator can make a
hundred thousand of them.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, TypeVar

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser

from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Limits, Route, RouteLimits, Settings
from corsproxy.config.upstreams import Upstream
from tests.harness import ORIGIN, STRANGER, chunked, get, head, ok, policy
from tests.properties.lanes import Reply, Script

Pick = Callable[[int], int]
T = TypeVar("T")

UPSTREAM: Final = Upstream("http://up.test:9000", "up.test", 9000, b"up.test:9000")
SMALL: Final = Limits(request_line=1300, request_head=5000, header_count=12, response_head=500)


def settings_of(route: Route, limits: Limits | None = None) -> Settings:
    """Settings for one route."""
    return Settings((route,), default_cors=route.cors, limits=limits or Limits())


PLACES: Final = (
    settings_of(Route(b"/", UPSTREAM, policy())),
    settings_of(Route(b"/", UPSTREAM, policy(allow_credentials=True, allow_headers=("X-A",), expose_headers=("ETag",))), SMALL),
    settings_of(replace(Route(b"/", UPSTREAM, policy("*")), limits=RouteLimits(request_body=20))),
    settings_of(Route(b"/", UPSTREAM, CorsMode.PASSTHROUGH)),
    settings_of(Route(b"/", replace(UPSTREAM, retries=0), policy(enforce=False)), Limits(in_flight=1)),
)

# --- requests ---

METHODS: Final = (b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"TRACE", b"get")
PATHS: Final = (b"", b"", b"", b"/x", b"?q=1", b"//y", b"/%2e%2e/z", b"#f", b"?", b"/a b", b"/\xc3\xa4", b"/" + b"p" * 1310)
USUAL: Final = (
    *(b"Origin: " + ORIGIN, b"Origin: " + STRANGER, b"Origin: null", b"Accept: */*", b"Accept: text/html", b"Cookie: a=1", b"cookie: b=2"),
    *(b"Connection: close", b"Connection: keep-alive", b"Connection: X-A", b"X-A: 1", b"X-A:  2 \t", b"X-Empty:", b"X-Bytes: caf\xe9"),
    *(b"User-Agent: t", b"Content-Type: text/plain", b"TE: trailers", b"Max-Forwards: 0", b"Via: 1.0 x", b"Sec-Fetch-Site: same-origin"),
    *(b"Access-Control-Request-Method: PUT", b"Access-Control-Request-Headers: x-a", b"X_Forwarded_For: 1", b"X-Forwarded-For: 10.0.0.1"),
    *(
        b"X-Request-Id: abcdefgh",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"X-Long: " + b"l" * 300,
        b"X-Huge: " + b"h" * 5000,
    ),
    *(b"X-" + b"N" * 70 + b": 1", b"Trailer: X-Sum", b"Proxy-Connection: close", b"Keep-Alive: 5"),
)
ODD: Final = (
    *(b"Expect: 100-continue", b"Expect: x", b"Upgrade: h2c", b"Upgrade: websocket", b"Content-Type: a/b", b"Host: proxy.test"),
    *(
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 3",
        b"Transfer-Encoding: gzip",
        b"X : 1",
        b"B\x01: 1",
        b" folded",
    ),
)
BODIES: Final = (b"", b"a", b"some body", b"x" * 25, b"GET /inside HTTP/1.1\r\nHost: a\r\n\r\n", b"0\r\n\r\n", b"y" * 500)


def one(pick: Pick, among: Sequence[T]) -> T:
    """Choose one."""
    return among[pick(len(among))]


def some(pick: Pick, among: Sequence[T], most: int) -> list[T]:
    """Choose a few, perhaps one of them twice."""
    return [one(pick, among) for _ in range(pick(most + 1))]


def cuts(pick: Pick, data: bytes) -> tuple[bytes, ...]:
    """The bytes in pieces: whole, one by one, or cut at a few places."""
    way = pick(5)
    if len(data) < 2 or way < 2 or (way == 2 and len(data) > 700):
        return (data,) if data else ()
    places = range(1, len(data)) if way == 2 else sorted({1 + pick(len(data) - 1) for _ in range(1 + pick(5))})
    edges = [0, *places, len(data)]
    return tuple(data[begin:end] for begin, end in pairwise(edges))


def coded(pick: Pick, body: bytes) -> bytes:
    """Write a chunked body, rightly or not quite."""
    size = 1 + pick(40)
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    raw = chunked(*pieces)
    ways = (
        *(raw, raw, raw, raw, raw[: -len(b"0\r\n\r\n")] + b"000\r\n\r\n", raw[:-3], raw.replace(b"\r\n", b"\n", 1)),
        *(raw.replace(b"\r\n", b";x=y\r\n", 1), raw.replace(b"\r\n0\r\n", b"\r\n0;end\r\n"), raw.replace(b"\r\n", b" \r\n", 1)),
        *(chunked(*pieces, trailers=[b"X-Sum: 1", b"Cookie: c=1"]), chunked(*pieces, trailers=[b"Host: evil.test", b"X-Sum: 1"])),
    )
    return one(pick, ways)


def request(pick: Pick, place: int) -> bytes:
    """One request, most of them legal."""
    method = one(pick, METHODS)
    target = b"/%d" % place + (one(pick, PATHS) if pick(3) == 0 else b"")
    lines = some(pick, USUAL, 4) + (some(pick, ODD, 1) if pick(6) == 0 else [])
    framing, body, after = pick(4), one(pick, BODIES), b""
    if framing == 2:
        lines.insert(pick(len(lines) + 1), b"Content-Length: %d" % len(body))
        after = body
    elif framing == 3:
        lines.insert(pick(len(lines) + 1), b"Transfer-Encoding: chunked")
        after = coded(pick, body)
    raw = get(target, *lines, method=method) + after
    if pick(12):
        return raw
    ways = (raw.replace(b" HTTP/1.1", b" HTTP/1.0", 1), raw.replace(b"Host: proxy.test\r\n", b"", 1), b"\r\n" + raw, raw[: len(raw) // 2])
    return one(pick, (*ways, raw.replace(b" /", b" http://proxy.test/", 1), b"\x16\x03\x01" + raw))


def is_sound(raw: bytes) -> bool:
    """Whether aiohttp parses all of it, under the least limits."""
    loop = asyncio.get_event_loop_policy().get_event_loop()
    parser = HttpRequestParser(
        BaseProtocol(loop), loop, 2**16, max_line_size=4 * SMALL.request_line, max_headers=4 * SMALL.header_count, auto_decompress=False
    )
    try:
        parser.feed_data(raw)
    except HttpProcessingError:
        return False
    return True


# --- replies ---

FIELDS: Final = (
    *(b"Content-Type: text/plain", b"Set-Cookie: s=1", b"Set-Cookie: t=2; Secure", b"Vary: Accept", b"Vary: *", b"ETag: x", b"Date: then"),
    *(b"Access-Control-Allow-Origin: *", b"Location: /there", b"Connection: close", b"Connection: X-B", b"X-B: 1", b"Server: s"),
    *(b"Content-Length: 2", b"Transfer-Encoding: chunked", b"X : 1", b"X-Long: " + b"l" * 500, b"Trailer: X-Sum", b"Keep-Alive: 1"),
)
STATUSES: Final = (
    b"200 OK",
    b"200 OK",
    b"200 OK",
    b"204 No Content",
    b"304 Not Modified",
    b"301 Moved",
    b"404 Not",
    b"500 X",
    b"101 S",
    b"999 Y",
)
CONTENTS: Final = (b"", b"z", b"content", b"c" * 70_000, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
INTERIMS: Final = (b"", b"", b"", head(b"HTTP/1.1 103 Early Hints", b"Link: </a>"), head(b"HTTP/1.1 100 Continue"))


def answer(pick: Pick) -> bytes:
    """The bytes of an answer, many of them legal."""
    content = one(pick, CONTENTS)
    fields = some(pick, FIELDS, 2)
    way, body = pick(8), content
    if way < 4:
        fields.append(b"Content-Length: %d" % (len(content) + (0, 0, 2, -1)[way]))
    elif way < 7:
        fields.append(b"Transfer-Encoding: chunked")
        pieces = [content] if content else []
        body = chunked(*pieces, trailers=[b"X-Sum: 1", b"Set-Cookie: u=1"] if way == 4 else [])
        body = body.replace(b"\r\n", b"\r\r\n", 1) if way == 5 else body
    version = one(pick, (b"HTTP/1.1 ",) * 8 + (b"HTTP/1.0 ", b"HTTP/2.0 "))
    return one(pick, INTERIMS) + head(version + one(pick, STATUSES), *fields) + body + one(pick, (b"", b"", b"", b"", b"X", ok(b"EVIL")))


def reply(pick: Pick) -> Reply:
    """What the upstream does with one request."""
    if pick(10) == 0:
        return Reply(one(pick, ("", "head", "end")), (), one(pick, ("", "fin", "reset")))
    data = answer(pick) if pick(2) else ok(one(pick, CONTENTS))
    if pick(7) == 0:
        data = data[: pick(len(data) + 1)]
    return Reply(one(pick, ("end", "end", "end", "head")), cuts(pick, data), one(pick, ("", "", "", "fin", "reset")))


def script(pick: Pick) -> tuple[Script, list[bytes]]:
    """A client's connection, and the methods of what it asks."""
    asked = [request(pick, place) for place in range(1 + pick(4))]
    # aiohttp forgets the requests that it read together with one that does not parse: so that one comes by itself, and never waits.
    are_sound = is_sound(b"".join(asked))
    is_joined = bool(pick(2)) and are_sound
    sent = cuts(pick, b"".join(asked)) if is_joined else tuple(piece for each in asked for piece in cuts(pick, each))
    return (
        Script(
            pieces=sent,
            replies=tuple(reply(pick) for _ in range(1 + pick(4))),
            end=one(pick, ("", "", "", "fin", "reset")),
            is_slow=bool(pick(2)) and are_sound,
            # Requests behind an answer that nobody takes are begun on the aiohttp lane alone.
            takes_late=pick(5) == 4 and len(asked) == 1,
        ),
        [each.lstrip(b"\r\n").split(b" ", 1)[0] for each in asked],
    )
