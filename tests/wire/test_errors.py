"""Every failure is an answer: readable for scripts of allowed origins, and only for them."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from corsproxy.config.settings import Timeouts
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, OWN_GRANT, STRANGER, Field, Proxy, Response, Upstream, chunked, get, head, ok, put, route

FROM_ALLOWED = b"Origin: " + ORIGIN
GRANT = {b"access-control-allow-origin": ORIGIN}


def assert_problem(got: Response, status: int, code: str = "") -> None:
    assert got.status == status
    assert got.value(b"content-type") == b"application/problem+json"
    assert got.value(b"x-content-type-options") == b"nosniff"
    assert got.value(b"cache-control") == b"no-store"
    problem = json.loads(got.body)
    assert problem["status"] == status
    assert problem["code"] == code or not code
    assert problem["type"] == f"urn:corsproxy:problem:{problem['code']}"


def assert_readable_by(got: Response, origin: list[bytes]) -> None:
    assert {name: value for name, value in got.cors.items() if name != b"access-control-expose-headers"} == (GRANT if origin else {})
    assert got.value(b"vary") == b"Origin, Accept"


origins = pytest.mark.parametrize("origin", [[FROM_ALLOWED], []], ids=["allowed", "none"])


@origins
async def test_an_upstream_that_is_down_is_a_502(front: Proxy, upstream: Upstream, origin: list[bytes]) -> None:
    await upstream.fall()
    client = await front.connect()

    got = await client.ask(get(b"/", *origin))
    assert_problem(got, 502, "CP401")
    assert_readable_by(got, origin)
    assert str(upstream.port).encode() not in got.raw

    upstream.rise()
    upstream.serve(lambda _: ok(b"back"))
    assert (await client.ask(get())).body == b"back"


async def test_the_log_says_why_an_upstream_is_down(front: Proxy, upstream: Upstream) -> None:
    await upstream.fall()
    await front.ask(get())

    (record,) = await front.recorded()
    assert record.failure == f"connecting to 127.0.0.1:{upstream.port}: connection refused"


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1", "connecting to ${file:/run/secrets/upstream}: connection refused"),
        ("nowhere.invalid", "resolving ${file:/run/secrets/upstream}: "),
    ],
)
async def test_the_log_names_an_upstream_from_a_secret_by_its_reference(proxy: ProxyFactory, host: str, said: str) -> None:
    with socket.socket() as taken:
        # Bound and not listening: whoever connects is refused.
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        front = await proxy(route(UpstreamSettings("${file:/run/secrets/upstream}", host, port, b"hidden")))
        await front.ask(get())

    (record,) = await front.recorded()
    assert record.failure.startswith(said)
    assert host not in record.failure
    assert str(port) not in record.failure


@origins
async def test_a_name_that_does_not_resolve_is_a_502(proxy: ProxyFactory, origin: list[bytes]) -> None:
    front = await proxy(route(UpstreamSettings("http://nowhere.invalid", "nowhere.invalid", 80, b"nowhere.invalid")))
    got = await front.ask(get(b"/", *origin))

    assert got.status == 502
    assert_readable_by(got, origin)
    assert b"nowhere" not in got.raw


@origins
async def test_an_upstream_that_speaks_no_tls_is_a_502(proxy: ProxyFactory, upstream: Upstream, origin: list[bytes]) -> None:
    upstream.serve(lambda _: b"", judge=False, close=True)
    port = upstream.port
    front = await proxy(route(UpstreamSettings(f"https://localhost:{port}", "127.0.0.1", port, b"localhost", tls=True)))
    upstream.receive_buffer = 0
    await upstream.fall()
    got = await front.ask(get(b"/", *origin))

    assert got.status == 502
    assert_readable_by(got, origin)


@pytest.fixture
def full_listener() -> Iterator[int]:
    """A port of loopback where connecting takes for ever: its queue is full, and nobody accepts."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@origins
async def test_connecting_for_too_long_is_a_504(proxy: ProxyFactory, full_listener: int, origin: list[bytes]) -> None:
    settings = UpstreamSettings("http://x", "127.0.0.1", full_listener, b"x")
    front = await proxy(route(settings, timeouts=Timeouts(connect=0.1)))
    got = await front.ask(get(b"/", *origin))

    assert_problem(got, 504, "CP407")
    assert_readable_by(got, origin)


@origins
@pytest.mark.parametrize("request_", [get, put], ids=["without a body", "with a body"])
async def test_an_upstream_that_says_nothing_is_a_504(
    proxy: ProxyFactory, upstream: Upstream, origin: list[bytes], request_: object
) -> None:
    front = await proxy(route(upstream, timeouts=Timeouts(response=0.1)))
    client = await front.connect()
    await client.send(get(b"/", *origin) if request_ is get else put(b"body", *origin))
    served = await upstream.accept()
    await served.read_request()
    got = await client.read_response()

    assert_problem(got, 504, "CP408")
    assert_readable_by(got, origin)
    await served.wait_closed()
    assert (await front.recorded())[0].retries == 0


@pytest.mark.parametrize("part", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTT"])
async def test_an_upstream_that_begins_its_head_and_stops_is_a_504(proxy: ProxyFactory, upstream: Upstream, part: bytes) -> None:
    front = await proxy(route(upstream, timeouts=Timeouts(response=0.1)))
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(part)
    got = await client.read_response()

    assert_problem(got, 504)
    await served.wait_closed()


@pytest.mark.parametrize("how", ["fin", "reset"])
@origins
async def test_an_upstream_that_hangs_up_is_a_502(front: Proxy, upstream: Upstream, origin: list[bytes], how: str) -> None:
    client = await front.connect()
    await client.send(get(b"/", *origin))
    served = await upstream.accept()
    await served.read_request()
    if how == "fin":
        served.close()
    else:
        served.reset()
    got = await client.read_response()

    assert_problem(got, 502, "CP405")
    assert_readable_by(got, origin)
    assert got.values(b"connection") == []


BAD_HEADS = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "garbage": b"\0\x01\x02\xff\r\n\r\n",
    "HTTP/2": head(b"HTTP/2.0 200 OK", b"Content-Length: 2") + b"ok",
    "HTTP/1.2": head(b"HTTP/1.2 200 OK", b"Content-Length: 2") + b"ok",
    "HTTP/0.9": b"hello",
    "status 99": head(b"HTTP/1.1 099 Low", b"Content-Length: 0"),
    "status 600": head(b"HTTP/1.1 600 High", b"Content-Length: 0"),
    "status 999": head(b"HTTP/1.1 999 High", b"Content-Length: 0"),
    "status of two digits": head(b"HTTP/1.1 20 OK", b"Content-Length: 0"),
    "status of four digits": head(b"HTTP/1.1 2000 OK", b"Content-Length: 0"),
    "a word for status": head(b"HTTP/1.1 OK 200", b"Content-Length: 0"),
    "length and coding": head(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Transfer-Encoding: chunked") + chunked(b"ok"),
    "two lengths": head(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Content-Length: 3") + b"ok!",
    "two equal lengths": head(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"content-length: 2") + b"ok",
    "a list of lengths": head(b"HTTP/1.1 200 OK", b"Content-Length: 2, 2") + b"ok",
    "a negative length": head(b"HTTP/1.1 200 OK", b"Content-Length: -2") + b"ok",
    "a signed length": head(b"HTTP/1.1 200 OK", b"Content-Length: +2") + b"ok",
    "a hexadecimal length": head(b"HTTP/1.1 200 OK", b"Content-Length: 0x2") + b"ok",
    "an empty length": head(b"HTTP/1.1 200 OK", b"Content-Length: ") + b"ok",
    "a length beyond all": head(b"HTTP/1.1 200 OK", b"Content-Length: 99999999999999999999999") + b"ok",
    "an unknown coding": head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: gzip, chunked") + chunked(b"ok"),
    "identity": head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: identity") + b"ok",
    "chunked twice": head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + chunked(b"ok"),
    "chunked not last": head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked, gzip") + chunked(b"ok"),
    "an empty coding": head(b"HTTP/1.1 200 OK", b"Transfer-Encoding:") + chunked(b"ok"),
    "a coding in HTTP/1.0": head(b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked") + chunked(b"ok"),
    "space before the colon": head(b"HTTP/1.1 200 OK", b"Content-Length : 2") + b"ok",
    "a folded line": head(b"HTTP/1.1 200 OK", b"X-A: a", b" b", b"Content-Length: 2") + b"ok",
    "a line without a colon": head(b"HTTP/1.1 200 OK", b"X-A", b"Content-Length: 2") + b"ok",
    "an empty name": head(b"HTTP/1.1 200 OK", b": a", b"Content-Length: 2") + b"ok",
    "a name with a space": head(b"HTTP/1.1 200 OK", b"X A: a", b"Content-Length: 2") + b"ok",
    "a name beyond ASCII": head(b"HTTP/1.1 200 OK", b"X-\xe9: a", b"Content-Length: 2") + b"ok",
    "NUL in a value": head(b"HTTP/1.1 200 OK", b"X-A: a\0b", b"Content-Length: 2") + b"ok",
    "a control byte in a value": head(b"HTTP/1.1 200 OK", b"X-A: a\x01b", b"Content-Length: 2") + b"ok",
    "a bare CR in a value": head(b"HTTP/1.1 200 OK", b"X-A: a\rb", b"Content-Length: 2") + b"ok",
    "a bare LF in a value": head(b"HTTP/1.1 200 OK", b"X-A: a\nSet-Cookie: evil=1", b"Content-Length: 2") + b"ok",
    "bare LFs": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a CR in the reason": head(b"HTTP/1.1 200 O\rK", b"Content-Length: 2") + b"ok",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 6000,
    "a line without end": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 300_000,
}


@pytest.mark.parametrize("kind", BAD_HEADS)
async def test_a_bad_head_of_the_upstream_is_a_502_and_nothing_of_it_arrives(front: Proxy, upstream: Upstream, kind: str) -> None:
    upstream.serve(lambda _: BAD_HEADS[kind], close=kind == "HTTP/0.9")
    client = await front.connect()
    got = await client.ask(get(b"/", FROM_ALLOWED))

    assert_problem(got, 502)
    assert_readable_by(got, [FROM_ALLOWED])
    assert got.values(b"x-a") + got.values(b"set-cookie") == []
    assert len(upstream.requests) == 1, "never sent again: an answer had begun"
    assert front.open_upstream == 0


@pytest.mark.parametrize("byte", [b"\0", b"\x01", b"\x1b", b"\x7f"])
async def test_a_control_byte_in_the_reason_does_not_arrive(front: Proxy, upstream: Upstream, byte: bytes) -> None:
    """A reason has no meaning (RFC 9112 4), so it may be left out; a terminal or a log must not get it."""
    upstream.serve(lambda _: ok(status=b"200 O" + byte + b"K"))
    got = await front.ask(get())

    assert got.status in (200, 502)
    assert got.status == 502 or got.reason == b""


BAD_REQUESTS = {
    "garbage": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
    "words": b"MARKER hello world MARKER\r\n\r\n",
    "no target": head(b"GET HTTP/1.1", b"Host: MARKER"),
    "a space in the target": head(b"GET /MARKER x HTTP/1.1", b"Host: a"),
    "non-ASCII in the target": head(b"GET /MARKER\xe9 HTTP/1.1", b"Host: a"),
    "a fragment": head(b"GET /a#MARKER HTTP/1.1", b"Host: a"),
    "HTTP/1.2": head(b"GET /MARKER HTTP/1.2", b"Host: a"),
    "HTTP/2.0": head(b"PRI * HTTP/2.0") + b"SM\r\n\r\n",
    "HTTP/0.9": b"GET /MARKER\r\n\r\n",
    "no host": head(b"GET /MARKER HTTP/1.1"),
    "two hosts": head(b"GET / HTTP/1.1", b"Host: a", b"Host: MARKER"),
    "a host with a path": head(b"GET / HTTP/1.1", b"Host: a/MARKER"),
    "a host with a user": head(b"GET / HTTP/1.1", b"Host: MARKER@a"),
    "a host beyond ASCII": head(b"GET / HTTP/1.1", b"Host: MARKER\xe9"),
    "an absolute target for another host": head(b"GET http://MARKER/ HTTP/1.1", b"Host: a"),
    "another scheme": head(b"GET ftp://a/MARKER HTTP/1.1", b"Host: a"),
    "an asterisk": head(b"GET * HTTP/1.1", b"Host: MARKER"),
    "a space before the colon": head(b"GET / HTTP/1.1", b"Host: a", b"X-MARKER : 1"),
    "a folded line": head(b"GET / HTTP/1.1", b"Host: a", b"X-A: 1", b" MARKER"),
    "NUL in a value": head(b"GET / HTTP/1.1", b"Host: a", b"X-A: MARKER\0"),
    "a bare CR": head(b"GET / HTTP/1.1", b"Host: a", b"X-A: MARKER\rX: 1"),
    "a bare LF": head(b"GET / HTTP/1.1", b"Host: a", b"X-A: MARKER\nX: 1"),
    "an origin beyond ASCII": head(b"GET / HTTP/1.1", b"Host: a", b"Origin: https://MARKER\xe9"),
    "a name beyond ASCII": head(b"GET / HTTP/1.1", b"Host: a", b"MARKER\xe9: 1"),
    "a line without a colon": head(b"GET / HTTP/1.1", b"Host: a", b"MARKER"),
    "a method in lower case": head(b"get /MARKER HTTP/1.1", b"Host: a"),
    "a method of its own": head(b"MARKER / HTTP/1.1", b"Host: a"),
}


@pytest.mark.parametrize("kind", BAD_REQUESTS)
async def test_a_malformed_request_is_refused_and_echoed_nowhere(front: Proxy, upstream: Upstream, kind: str) -> None:
    client = await front.connect()
    await client.send(BAD_REQUESTS[kind])
    got = await client.read_response()

    assert_problem(got, 400)
    # HTTP/0.9 knows no Connection field.
    assert got.value(b"connection") == (None if kind == "HTTP/0.9" else b"close")
    assert b"MARKER" not in got.raw
    assert got.cors == {}
    await client.read_until_close()
    assert upstream.connections == 0


async def test_a_second_refusal_of_one_connection_is_not_written(front: Proxy) -> None:
    client = await front.connect()
    await client.send(b"BAD\r\n\r\n" * 20)
    assert (await client.read_response()).status == 400
    assert await client.read_until_close() == b""


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"x-unknown"])
async def test_a_coding_that_we_do_not_know_is_501(front: Proxy, upstream: Upstream, coding: bytes) -> None:
    client = await front.connect()
    await client.send(get(b"/", b"Transfer-Encoding: " + coding, method=b"POST") + chunked(b"x"))
    got = await client.read_response()

    assert got.status in (400, 501)
    assert got.value(b"connection") == b"close"
    assert upstream.connections == 0


async def test_refusals_by_cors_say_which_rule(front: Proxy) -> None:
    stranger = await front.ask(get(b"/", b"Origin: " + STRANGER))
    assert_problem(stranger, 403)
    method = await front.ask(get(b"/", FROM_ALLOWED, method=b"PURGE"))
    assert_problem(method, 403)

    assert json.loads(stranger.body)["code"] != json.loads(method.body)["code"]
    assert (stranger.cors, method.cors) == ({}, OWN_GRANT)


async def test_a_problem_for_head_has_no_body(front: Proxy, upstream: Upstream) -> None:
    await upstream.fall()
    client = await front.connect()
    got = await client.ask(get(b"/", FROM_ALLOWED, method=b"HEAD"))

    assert (got.status, got.body) == (502, b"")
    assert got.value(b"content-length") not in (None, b"0")
    assert (await client.ask(get())).status == 502


async def test_an_answer_of_our_own_says_date_once(front: Proxy) -> None:
    got = await front.ask(get(b"/", b"Origin: " + STRANGER))
    dates: list[Field] = [line for line in got.fields if line[0].lower() == b"date"]

    assert len(dates) == 1
    assert dates[0][1].endswith(b" GMT")
