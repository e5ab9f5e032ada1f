"""
The danger: a name of the attacker's resolves to the proxy (DNS rebinding), and his page calls it as its own origin.

The promise: a Host that is not answered gets 421 before anything else is looked at: no route, no policy, no upstream.
"""

import pytest

from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import HostRules
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, OWN_GRANT, Upstream, head, ok, route

RULES = HostRules(frozenset({b"api.example.com", b"xn--bcher-kva.example"}), (b".example.net",), loopback=True)


def ask(host: bytes, *lines: bytes, method: bytes = b"GET", target: bytes = b"/", version: bytes = b"1.1") -> bytes:
    return head(b"%b %b HTTP/%b" % (method, target, version), b"Host: " + host, *lines)


ANSWERED = [
    b"api.example.com",
    b"API.Example.COM",
    b"api.example.com:8080",
    b"api.example.com:",
    b"xn--bcher-kva.example",
    b"a.example.net",
    b"a.b.example.net:1",
    b"localhost",
    b"LOCALHOST:9000",
    b"localhost.",
    b"app.localhost",
    b"127.0.0.1",
    b"127.0.0.1:8080",
    b"10.1.2.3",
    b"[::1]",
    b"[::1]:8080",
    b"[2001:db8::1]",
]
NOT_ANSWERED = [
    b"evil.example",
    b"api.example.com.evil.example",
    b"evil-api.example.com",
    b"example.net",
    b".example.net",
    b"evilexample.net",
    b"localhost.evil.example",
    b"evillocalhost",
    b"127.0.0.1.evil.example",
    b"127.0.0.1.nip.io",
    b"1.2.3",
    b"0x7f000001",
    b"2130706433",
    b"api.example.com.",
]


@pytest.mark.parametrize("host", ANSWERED)
async def test_a_host_of_ours_is_answered(proxy: ProxyFactory, upstream: Upstream, host: bytes) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(hosts=RULES)
    assert (await front.ask(ask(host))).status == 200


@pytest.mark.parametrize("host", NOT_ANSWERED)
async def test_any_other_host_is_misdirected(proxy: ProxyFactory, upstream: Upstream, host: bytes) -> None:
    front = await proxy(hosts=RULES)
    got = await front.ask(ask(host))

    assert (got.status, got.values(b"connection")) == (421, [])
    assert upstream.connections == 0


ORIGIN_LINE = b"Origin: " + ORIGIN
EVERYTHING = {
    "a preflight of an allowed origin": ask(b"evil.example", ORIGIN_LINE, b"Access-Control-Request-Method: PUT", method=b"OPTIONS"),
    "a request of an allowed origin": ask(b"evil.example", ORIGIN_LINE),
    "a same-origin request of the rebinding page": ask(b"evil.example", b"Origin: http://evil.example", b"Sec-Fetch-Site: same-origin"),
    "a path without a route": ask(b"evil.example", target=b"/nowhere"),
    "an ambiguous path": ask(b"evil.example", target=b"/api/../x"),
    "a passthrough route": ask(b"evil.example", ORIGIN_LINE, target=b"/through"),
    "a target over its limit": ask(b"evil.example", target=b"/api/" + b"a" * 20_000),
    "an expectation": ask(b"evil.example", b"Expect: x"),
    "a loop": ask(b"evil.example", b"Via: 1.1 corsproxy"),
    "OPTIONS *": ask(b"evil.example", method=b"OPTIONS", target=b"*"),
    "absolute form": ask(b"evil.example", target=b"http://evil.example/"),
    "HTTP/1.0": ask(b"evil.example", version=b"1.0"),
}


@pytest.mark.parametrize("kind", EVERYTHING)
async def test_the_host_is_judged_before_anything_else(proxy: ProxyFactory, upstream: Upstream, kind: str) -> None:
    """No grant and no route shows: the page of the attacker's name can read no more than that it was refused."""
    front = await proxy(route(upstream, b"/api"), route(upstream, b"/through", CorsMode.PASSTHROUGH), hosts=RULES)
    got = await front.ask(EVERYTHING[kind])

    assert (got.status, got.cors) == (421, {})
    assert upstream.connections == 0


async def test_an_allowed_origin_reads_that_the_host_is_wrong_and_the_rebinding_page_reads_nothing(proxy: ProxyFactory) -> None:
    """The default policy speaks where no route can: it names the page that has the wrong address, and never the attacker's."""
    front = await proxy(hosts=RULES)

    assert (await front.ask(EVERYTHING["a request of an allowed origin"])).cors == OWN_GRANT
    assert (await front.ask(EVERYTHING["a same-origin request of the rebinding page"])).cors == {}
    assert (await front.ask(ask(b"evil.example", b"Origin: http://evil.example"))).cors == {}
    assert (await front.ask(EVERYTHING["a preflight of an allowed origin"])).cors == {}, "nothing but its own errors would follow"


async def test_a_misdirected_upload_ends_its_connection(proxy: ProxyFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corsproxy.gateway.bounds._LINGERING_S", 0.05)
    front = await proxy(hosts=RULES)
    client = await front.connect()
    got = await client.ask(ask(b"evil.example", b"Expect: 100-continue", b"Content-Length: 5", method=b"POST"))

    assert (got.status, got.interims, got.value(b"connection")) == (421, (), b"close")
    assert await client.read_until_close() == b""


async def test_http_1_0_without_a_host_is_answered(proxy: ProxyFactory, upstream: Upstream) -> None:
    """No browser sends such a request, so no name can have been rebound."""
    upstream.serve(lambda _: ok())
    front = await proxy(hosts=RULES)
    assert (await front.ask(head(b"GET / HTTP/1.0"))).status == 200
