"""What HTTP asks of a gateway beyond passing on: Via, loops, Max-Forwards, Host, trailers that were asked for."""

from dataclasses import replace

import pytest

from corsproxy.config.settings import HostRules, Limits, RouteLimits
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, OWN_GRANT, Proxy, Upstream, chunked, exchange, get, head, ok, put, route

FROM_ALLOWED = b"Origin: " + ORIGIN


async def test_via_is_added_behind_those_that_came(front: Proxy, upstream: Upstream) -> None:
    seen, got = await exchange(front, upstream, get(b"/", b"via: 1.0 fred, 1.1 p.example (x)", b"Via: HTTP/2 z"), ok())

    assert seen.values(b"via") == [b"1.0 fred, 1.1 p.example (x)", b"HTTP/2 z", b"1.1 corsproxy"]
    assert got.status == 200


async def test_via_tells_the_clients_version(front: Proxy, upstream: Upstream) -> None:
    seen, _ = await exchange(front, upstream, head(b"GET / HTTP/1.0"), ok())

    assert seen.values(b"via") == [b"1.0 corsproxy"]


async def test_a_request_that_was_here_before_is_a_508(front: Proxy, upstream: Upstream) -> None:
    """A loop: forwarding it would go on for ever (RFC 9110 7.6)."""
    got = await front.ask(get(b"/", FROM_ALLOWED, b"Via: 1.1 other, 1.1 corsproxy"))

    assert got.status == 508
    assert got.cors == OWN_GRANT
    assert upstream.connections == 0


@pytest.mark.parametrize("value", [b"1.1 corsproxy-2", b"1.1 x (corsproxy)", b"corsproxy"])
async def test_a_name_like_ours_is_no_loop(front: Proxy, upstream: Upstream, value: bytes) -> None:
    _, got = await exchange(front, upstream, get(b"/", b"Via: " + value), ok())

    assert got.status == 200


@pytest.mark.parametrize(("method", "sent", "seen"), [(b"OPTIONS", b"5", b"4"), (b"GET", b"5", b"5"), (b"OPTIONS", b"x", b"x")])
async def test_max_forwards_is_counted_down_on_options_only(
    front: Proxy, upstream: Upstream, method: bytes, sent: bytes, seen: bytes
) -> None:
    request, _ = await exchange(front, upstream, get(b"/", b"Max-Forwards: " + sent, method=method), ok())

    assert request.values(b"max-forwards") == [seen]


async def test_max_forwards_0_is_answered_here(front: Proxy, upstream: Upstream) -> None:
    got = await front.ask(get(b"/", b"Max-Forwards: 0", method=b"OPTIONS"))

    assert got.status == 204
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [(b"api.example.com", 200), (b"API.example.com:8080", 200), (b"x.api.example.net", 200), (b"evil.example", 421), (b"127.0.0.1", 421)],
)
async def test_another_host_is_a_421_before_anything_else(proxy: ProxyFactory, upstream: Upstream, host: bytes, status: int) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(hosts=HostRules(names=frozenset({b"api.example.com"}), suffixes=(b".example.net",)))
    got = await front.ask(head(b"GET / HTTP/1.1", b"Host: " + host))

    assert got.status == status
    assert len(upstream.requests) == (status == 200)


async def test_trailers_that_were_asked_for_are_relayed(front: Proxy, upstream: Upstream) -> None:
    answer = head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"x", trailers=[b"X-Sum: 1", b"x-LATE: \xe9"])
    seen, got = await exchange(front, upstream, get(b"/", b"TE: trailers", b"Connection: TE"), answer)

    assert seen.values(b"te") == [b"trailers"]
    assert b"TE" in (seen.value(b"connection") or b"")
    assert got.trailers == ((b"X-Sum", b"1"), (b"x-LATE", b"\xe9"))


@pytest.mark.parametrize(
    "trailer", [b"Access-Control-Allow-Origin: *", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Set-Cookie: a=1"]
)
async def test_trailers_say_nothing_that_belongs_in_a_head(front: Proxy, upstream: Upstream, trailer: bytes) -> None:
    """Set-Cookie in a trailer has no meaning for browsers and is the upstream's own; what CORS or framing says must not come late."""
    answer = head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"x", trailers=[trailer, b"X-Sum: 1"])
    upstream.serve(lambda _: answer)
    client = await front.connect()
    await client.send(get(b"/", b"TE: trailers", b"Connection: close, TE", FROM_ALLOWED))
    got = await client.read_until_close()

    assert got.startswith(b"HTTP/1.1 ")
    assert trailer not in got.partition(b"\r\n\r\n")[2] or trailer.startswith(b"Set-Cookie")


# --- limits ---


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413)])
async def test_a_body_over_the_routes_limit_is_a_413(
    proxy: ProxyFactory, upstream: Upstream, size: int, status: int, *, is_chunked: bool
) -> None:
    """And never a complete request at the upstream."""
    front = await proxy(replace(route(upstream), limits=RouteLimits(request_body=1000)))
    upstream.serve(lambda _: ok())
    body = b"x" * size
    if is_chunked:
        request = get(b"/", FROM_ALLOWED, b"Transfer-Encoding: chunked", method=b"POST") + chunked(body)
    else:
        request = put(body, FROM_ALLOWED)
    got = await front.ask(request)

    assert got.status == status
    assert got.cors == ({b"access-control-allow-origin": ORIGIN} if status == 200 else OWN_GRANT)
    assert len(upstream.requests) == (status == 200)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(b"/" + b"a" * 2000, FROM_ALLOWED), 414),
        (get(b"/", FROM_ALLOWED, b"X-Long: " + b"a" * 9000), 431),
        (get(b"/", FROM_ALLOWED, *(b"X-%d: 1" % number for number in range(30))), 431),
    ],
    ids=["a long target", "a long head", "many fields"],
)
async def test_a_head_over_a_limit_is_a_readable_refusal(proxy: ProxyFactory, upstream: Upstream, request_: bytes, status: int) -> None:
    front = await proxy(limits=Limits(request_line=1024, request_head=8192, header_count=20))
    got = await front.ask(request_)

    assert got.status == status
    assert got.cors == OWN_GRANT
    assert upstream.connections == 0


async def test_a_head_that_never_ends_is_refused_and_closed(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(request_line=1024, request_head=8192, header_count=20))
    client = await front.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 100_000)
    got = await client.read_until_close()

    assert got == b"" or got.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert upstream.connections == 0


async def test_a_slow_head_is_cut_while_an_idle_connection_is_not(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(header_timeout=0.2))
    upstream.serve(lambda _: ok())
    idle, slow = await front.connect(), await front.connect()
    await idle.ask(get())
    await slow.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    got = await slow.read_until_close()

    assert got == b"" or got.startswith(b"HTTP/1.1 408 ")
    assert (await idle.ask(get())).status == 200


async def test_an_upload_that_stops_is_a_408(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(replace(route(upstream), limits=RouteLimits(body_idle_timeout=0.2)))
    client = await front.connect()
    await client.send(get(b"/", FROM_ALLOWED, b"Content-Length: 100", method=b"PUT") + b"part")
    served = await upstream.accept()
    await served.read_request_head()
    got = await client.read_response(b"PUT")

    assert got.status == 408
    assert got.cors == OWN_GRANT
    assert await client.read_until_close() == b""
    assert await served.read_until_close() in (b"", b"part")
