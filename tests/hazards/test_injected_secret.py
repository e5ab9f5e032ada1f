"""
The danger: the file adds a secret to requests, and a client gets it, replaces it, or sends it to another server.

The promise: it goes to the upstream that it was written for, as the file has it, and nowhere else: no answer of ours, no log line,
no repr and no message shows it.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from corsproxy.config.load import load_text
from corsproxy.config.render import render
from corsproxy.config.settings import HostRules, Listen, Settings
from corsproxy.observe.shapes import format_json, format_logfmt
from corsproxy.observe.text import format_text
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Proxy, Upstream, exchange, get, head, ok, put

SECRET = b"s3cr3t-t0ken"
FILE = """\
upstream: http://127.0.0.1:{legacy}
cors: {{allow_origins: [https://app.example.com], allow_credentials: true, allow_headers: "*"}}
headers: {{request: {{set: {{X-Api-Key: "${{KEY}}"}}, add: {{Authorization: "Bearer ${{KEY}}"}}}}}}
routes:
  - path: /other
    upstream: http://127.0.0.1:{other}
  - path: /same
  - path: /open
    cors: passthrough
"""


def settings_of(legacy: Upstream, other: Upstream) -> Settings:
    loaded = load_text(FILE.format(legacy=legacy.port, other=other.port), "f", environ={"KEY": SECRET.decode()})
    assert loaded.settings is not None, render(loaded.diagnostics)
    assert SECRET.decode() not in repr(loaded) + repr(loaded.settings) + render(loaded.diagnostics)
    return replace(loaded.settings, listen=(Listen("127.0.0.1", 0),))


@pytest.fixture
async def other(upstreams: Callable[[], Upstream]) -> Upstream:
    return upstreams()


@pytest.fixture
async def front(proxy: ProxyFactory, upstream: Upstream, other: Upstream) -> Proxy:
    made = settings_of(upstream, other)
    return await proxy(*made.routes, hosts=HostRules(any_host=True), default_cors=made.default_cors)


OWN = [
    [b"X-Api-Key: mine"],
    [b"x-api-key: mine", b"X-API-KEY: mine"],
    [b"X_Api_Key: mine"],
    [b"x.api.key: mine"],
    [b"X-Api_Key: mine"],
    [b"X-Api-Key: mine", b"Connection: X-Api-Key"],
    [b"Connection: close, x-api-key"],
    [b"TE: trailers", b"Connection: TE, X-Api-Key, Authorization-X"],
]


@pytest.mark.parametrize("lines", OWN, ids=lambda lines: lines[-1].decode())
async def test_a_client_can_neither_replace_nor_shadow_nor_take_it_off(front: Proxy, upstream: Upstream, lines: list[bytes]) -> None:
    seen, _ = await exchange(front, upstream, get(b"/", *lines), ok())
    read_alike = [value for name, value in seen.fields if name.lower().replace(b"_", b"-").replace(b".", b"-") == b"x-api-key"]

    assert read_alike == [SECRET]
    assert b"mine" not in seen.head


async def test_a_trailer_does_not_shadow_it(front: Proxy, upstream: Upstream) -> None:
    request = get(b"/", b"Transfer-Encoding: chunked", b"Trailer: X-Api-Key", method=b"POST") + b"1\r\nx\r\n0\r\nX-Api-Key: mine\r\n\r\n"
    seen, _ = await exchange(front, upstream, request, ok())

    assert seen.values(b"x-api-key") == [SECRET]
    assert seen.trailers == ()


@pytest.mark.parametrize("target", [b"/other", b"/other/x", b"/other?x=/same"])
async def test_it_does_not_reach_a_route_of_its_own_upstream(front: Proxy, other: Upstream, target: bytes) -> None:
    seen, _ = await exchange(front, other, get(target, b"Origin: " + ORIGIN), ok())

    assert SECRET not in seen.raw


@pytest.mark.parametrize("target", [b"/same/../other", b"/other/../same", b"/same/%2e%2e/other", b"//other", b"/other%2F..%2Fsame"])
async def test_no_path_that_can_be_read_in_two_ways_carries_it(front: Proxy, upstream: Upstream, other: Upstream, target: bytes) -> None:
    got = await front.ask(get(target))

    assert (got.status, upstream.connections, other.connections) == (400, 0, 0)


async def test_routes_of_the_same_upstream_carry_it(front: Proxy, upstream: Upstream) -> None:
    for target in (b"/", b"/same", b"/open"):
        seen, _ = await exchange(front, upstream, get(target), ok())
        assert seen.values(b"x-api-key") == [SECRET]


ASKED = {
    "TRACE": (get(method=b"TRACE"), 405),
    "TRACK": (get(method=b"TRACK"), 0),
    "CONNECT": (head(b"CONNECT a.example:443 HTTP/1.1", b"Host: a.example:443"), 405),
    "OPTIONS of the proxy": (get(b"*", method=b"OPTIONS"), 204),
    "OPTIONS with no hops left": (get(b"/", b"Max-Forwards: 0", method=b"OPTIONS"), 204),
    "a preflight": (get(b"/", b"Origin: " + ORIGIN, b"Access-Control-Request-Method: PUT", method=b"OPTIONS"), 204),
    "a preflight that asks for it": (
        get(
            b"/",
            b"Origin: " + ORIGIN,
            b"Access-Control-Request-Method: GET",
            b"Access-Control-Request-Headers: x-api-key",
            method=b"OPTIONS",
        ),
        204,
    ),
    "a stranger": (get(b"/", b"Origin: " + STRANGER), 403),
    "an expectation": (get(b"/", b"Expect: X-Api-Key"), 417),
    "a head that does not parse": (b"GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key : x\r\n\r\n", 400),
}


@pytest.mark.parametrize(("request_", "status"), ASKED.values(), ids=ASKED)
async def test_no_answer_of_the_proxys_own_shows_it(front: Proxy, upstream: Upstream, request_: bytes, status: int) -> None:
    got = await front.ask(request_)

    assert got.status in ((status,) if status else (400, 405))
    assert SECRET not in got.raw
    assert upstream.connections == 0


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"\x00", b"HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n"])
async def test_no_failure_and_no_record_of_one_shows_it(
    front: Proxy, upstream: Upstream, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for request in (get(b"/", b"Origin: " + ORIGIN), put(b"x", b"Origin: " + ORIGIN)):
            upstream.serve(lambda _: answer, close=True)
            got = await front.ask(request)
            assert got.status == 502
            assert SECRET not in got.raw
        records = await front.recorded(2)

    shown = [shape(record) for record in records for shape in (format_json, format_logfmt, format_text)]
    assert SECRET.decode() not in "".join([*shown, *map(repr, records), caplog.text, repr(front.settings), repr(vars(front.gateway))])


async def test_a_client_that_sends_it_itself_gets_nothing_back(front: Proxy, upstream: Upstream) -> None:
    """No answer tells whether a guess was right: the upstream sees the file's own either way."""
    seen, got = await exchange(front, upstream, get(b"/", b"X-Api-Key: guess"), ok(b"x"))
    other, again = await exchange(front, upstream, get(b"/", b"X-Api-Key: " + SECRET), ok(b"x"))

    assert seen.values(b"x-api-key") == other.values(b"x-api-key") == [SECRET]
    assert got.without(b"date") == again.without(b"date")
