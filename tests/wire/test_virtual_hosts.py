"""Several hosts at one address: each has its routes, its policy and its upstream."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from corsproxy.config.choices import CorsMode
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Proxy, Upstream, head, ok, policy, route


def ask(host: bytes, *lines: bytes, target: bytes = b"/", method: bytes = b"GET") -> bytes:
    return head(b"%b %b HTTP/1.1" % (method, target), b"Host: " + host, *lines)


def named(name: bytes) -> Callable[[object], bytes]:
    return lambda _: ok(name)


@pytest.fixture
async def front(proxy: ProxyFactory, upstreams: Callable[[], Upstream]) -> Proxy:
    served = {name: upstreams() for name in (b"exact", b"deep", b"wide", b"any")}
    for name, upstream in served.items():
        upstream.serve(named(name))
    return await proxy(
        route(served[b"any"], b"/long/path"),
        replace(route(served[b"exact"], b"/long"), hosts=("v2.example",)),
        replace(route(served[b"deep"], cors=CorsMode.NONE), hosts=("*.a.example",)),
        replace(route(served[b"wide"], cors=policy("https://wide.example")), hosts=("*.example",)),
        route(served[b"any"]),
    )


@pytest.mark.parametrize(
    ("host", "target", "expected"),
    [
        pytest.param(b"v2.example", b"/long/path", b"exact", id="the host before a longer path"),
        pytest.param(b"V2.EXAMPLE:8080", b"/long", b"exact", id="in capitals, with a port"),
        pytest.param(b"v2.example.", b"/long", b"exact", id="with a dot"),
        pytest.param(b"v2.example", b"/other", b"wide", id="a wildcard that covers it"),
        pytest.param(b"b.a.example", b"/", b"deep", id="the longest wildcard"),
        pytest.param(b"b.a.example.:80", b"/", b"deep", id="the longest wildcard, with a dot and a port"),
        pytest.param(b"a.example", b"/", b"wide", id="the domain of a wildcard"),
        pytest.param(b"other.test", b"/long", b"any", id="another host"),
        pytest.param(b"[::1]:80", b"/", b"any", id="an address"),
        pytest.param(b"v2.example", b"http://v2.example/long", b"exact", id="an absolute target"),
    ],
)
async def test_the_host_chooses_the_upstream(front: Proxy, host: bytes, target: bytes, expected: bytes) -> None:
    assert (await front.ask(ask(host, target=target))).body == expected


async def test_the_host_chooses_the_policy(front: Proxy) -> None:
    lines = [b"Origin: " + ORIGIN, b"Access-Control-Request-Method: PUT"]
    hosts = [b"other.test", b"a.example", b"b.a.example", b"b.a.example.", b"v2.example"]
    asked = [(await front.ask(ask(host, *lines, method=b"OPTIONS", target=b"/long"))).status for host in hosts]
    called = [(await front.ask(ask(host, lines[0]))).status for host in hosts]

    assert asked == [204, 403, 403, 403, 204]
    assert called == [200, 403, 403, 403, 403]


async def test_one_connection_serves_several_hosts(front: Proxy) -> None:
    client = await front.connect()
    bodies = [(await client.ask(ask(host, target=b"/long"))).body for host in (b"v2.example", b"other.test", b"x.example", b"v2.example")]

    assert bodies == [b"exact", b"any", b"wide", b"exact"]


async def test_a_404_of_a_host_can_be_read_by_the_default_policys_origins(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(replace(route(upstream), hosts=("v2.example",)))
    got = await front.ask(ask(b"other.test", b"Origin: " + ORIGIN))
    preflight = await front.ask(ask(b"other.test", b"Origin: " + ORIGIN, b"Access-Control-Request-Method: PUT", method=b"OPTIONS"))

    assert (got.status, got.cors[b"access-control-allow-origin"]) == (404, ORIGIN)
    assert (preflight.status, preflight.cors[b"access-control-allow-origin"]) == (204, ORIGIN)
    assert upstream.connections == 0
