"""What the upstream is told of the client, as bytes."""

from ipaddress import ip_network

import pytest

from corsproxy.config.choices import OriginHeader
from corsproxy.config.settings import ForwardingSettings
from corsproxy.semantics.forwarded import ForwardedMode
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Field, Proxy, Request, Upstream, exchange, get, head, ok, policy
from tests.wire.routes import routed

LOOPBACK = (ip_network("127.0.0.0/8"),)
FORGED = [
    b"X-Forwarded-For: 203.0.113.9",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: shop.example",
    b"X-Forwarded-Port: 8443",
    b"X-Forwarded-Prefix: /outer",
    b"Forwarded: for=203.0.113.8",
]


def told(request: Request) -> list[Field]:
    return [line for line in request.fields if line[0].lower().startswith((b"x-forwarded-", b"forwarded", b"x-real-ip"))]


async def test_the_upstream_is_told_of_the_peer(front: Proxy, upstream: Upstream) -> None:
    seen, _ = await exchange(front, upstream, get(), ok())

    assert told(seen) == [
        (b"X-Forwarded-For", b"127.0.0.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"proxy.test"),
        (b"X-Forwarded-Port", b"80"),
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param(ForwardedMode.FORWARDED, [(b"Forwarded", b"for=127.0.0.1;host=proxy.test;proto=http")], id="forwarded"),
        pytest.param(ForwardedMode.NONE, [], id="none"),
    ],
)
async def test_the_mode_says_how(proxy: ProxyFactory, upstream: Upstream, mode: ForwardedMode, expected: list[Field]) -> None:
    front = await proxy(forwarding=ForwardingSettings(mode))
    seen, _ = await exchange(front, upstream, get(b"/", *FORGED), ok())

    assert told(seen) == expected


async def test_a_trusted_proxys_word_is_carried_on(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(forwarding=ForwardingSettings(trusted=LOOPBACK))
    seen, _ = await exchange(front, upstream, get(b"/", *FORGED), ok())

    assert told(seen) == [
        (b"X-Forwarded-For", b"203.0.113.9, 127.0.0.1"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"shop.example"),
        (b"X-Forwarded-Port", b"8443"),
        (b"X-Forwarded-Prefix", b"/outer"),
    ]
    assert (await front.recorded())[0].client == "203.0.113.9"


async def test_the_stripped_prefix_is_told(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, path=b"/reports", strip_prefix=True, of_upstream={"path": b"/v1"}))
    seen, _ = await exchange(front, upstream, get(b"/reports/a%2Fb?c=/reports"), ok())

    assert seen.target == b"/v1/a%2Fb?c=/reports"
    assert seen.value(b"x-forwarded-prefix") == b"/reports"


@pytest.mark.parametrize(
    ("target", "expected"),
    [(b"/reports", b"/"), (b"/reports/", b"/"), (b"/reports?q", b"/?q"), (b"/reports//a", b"//a"), (b"http://proxy.test/reports/a", b"/a")],
)
async def test_a_prefix_is_taken_off_byte_for_byte(proxy: ProxyFactory, upstream: Upstream, target: bytes, expected: bytes) -> None:
    front = await proxy(routed(upstream, path=b"/reports", strip_prefix=True))
    seen, _ = await exchange(front, upstream, get(target), ok())

    assert seen.target == expected


async def test_nobody_climbs_out_of_a_stripped_prefix(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, path=b"/a", strip_prefix=True, of_upstream={"path": b"/v1"}))
    for target in (b"/a/x/../../a/y", b"/a/../a/y", b"/a/%2e%2e/a"):
        got = await front.ask(get(target))
        assert got.status == 400
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("host_header", "expected"),
    [(b"", None), (None, b"proxy.test"), (b"legacy.internal", b"legacy.internal")],
    ids=["own", "preserve", "name"],
)
async def test_the_upstream_gets_one_host(
    proxy: ProxyFactory, upstream: Upstream, host_header: bytes | None, expected: bytes | None
) -> None:
    front = await proxy(routed(upstream, of_upstream={"host_header": host_header}))
    seen, _ = await exchange(front, upstream, get(), ok())

    assert seen.value(b"host") == (expected or upstream.authority)
    assert seen.value(b"x-forwarded-host") == b"proxy.test"


async def test_an_old_client_without_a_host_gets_the_upstreams(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, of_upstream={"host_header": None}))
    seen, _ = await exchange(front, upstream, head(b"GET / HTTP/1.0"), ok())

    assert seen.value(b"host") == upstream.authority
    assert seen.values(b"x-forwarded-host") == []


@pytest.mark.parametrize("choice", OriginHeader)
async def test_the_upstream_gets_the_origin_that_it_should(proxy: ProxyFactory, upstream: Upstream, choice: OriginHeader) -> None:
    front = await proxy(routed(upstream, of_upstream={"origin_header": choice}))
    seen, got = await exchange(front, upstream, get(b"/", b"Origin: " + ORIGIN), ok())
    plain, _ = await exchange(front, upstream, get(), ok())

    own = {OriginHeader.KEEP: [ORIGIN], OriginHeader.REMOVE: [], OriginHeader.UPSTREAM: [b"http://" + upstream.authority]}
    assert seen.values(b"origin") == own[choice]
    assert plain.values(b"origin") == []
    # The browser gets its own origin back, whatever the upstream was told.
    assert got.cors[b"access-control-allow-origin"] == ORIGIN


async def test_a_page_of_the_host_that_a_trusted_proxy_was_asked_is_of_the_same_origin(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, cors=policy()), forwarding=ForwardingSettings(trusted=LOOPBACK))
    own = b"Origin: https://shop.example:8443"
    seen, _ = await exchange(front, upstream, get(b"/", own, b"X-Forwarded-Host: shop.example:8443", b"X-Forwarded-Proto: https"), ok())
    refused = [
        get(b"/", own, b"X-Forwarded-Host: shop.example:8443", b"X-Forwarded-Proto: http"),
        get(b"/", own),
        get(b"/", b"Origin: " + STRANGER, b"X-Forwarded-Host: shop.example:8443"),
    ]

    assert seen.method == b"GET"
    assert [(await front.ask(request)).status for request in refused] == [403, 403, 403]
