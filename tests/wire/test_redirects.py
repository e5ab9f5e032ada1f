"""Location, Content-Location and Refresh on their way to the client: they lead through the proxy, or where they led."""

import pytest

from corsproxy import problems
from corsproxy.config.choices import Redirects
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Proxy, Upstream, exchange, get, head, ok
from tests.wire.routes import routed

ELSEWHERE = [
    b"https://elsewhere.example/a",
    b"//elsewhere.example/a",
    b"https:/\\elsewhere.example/",
    b"http://legacy@127.0.0.1/",
    b"relative/x",
    b"?query",
    b"#fragment",
    b"mailto:a@b.example",
    b"\xff\xfe",
    b"",
]


@pytest.mark.parametrize("value", ELSEWHERE)
async def test_what_names_another_place_arrives_byte_for_byte(front: Proxy, upstream: Upstream, value: bytes) -> None:
    lines = [b"%b: %b" % (name, value) for name in (b"Location", b"Content-Location", b"Refresh")]
    _, got = await exchange(front, upstream, get(), ok(b"x", *lines, status=b"302 Found"))

    assert [got.value(name) for name in (b"location", b"content-location", b"refresh")] == [value] * 3


async def test_by_default_what_names_the_upstream_is_path_only(front: Proxy, upstream: Upstream) -> None:
    """Rule 27: no cross-origin hop."""
    here = b"http://" + upstream.authority
    lines = [b"Location: %b/a?b#c" % here, b"Content-Location: %b" % here, b"Refresh: 5; url='%b/x'" % here]
    _, got = await exchange(front, upstream, get(b"/", b"Origin: " + ORIGIN), ok(b"x", *lines, status=b"307 x"))

    assert [got.value(name) for name in (b"location", b"content-location", b"refresh")] == [b"/a?b#c", b"/", b"5; url='/x'"]
    assert got.cors[b"access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("status", [201, 204, 301, 302, 303, 304, 307, 308, 401, 503])
async def test_whatever_the_status_is(front: Proxy, upstream: Upstream, status: int) -> None:
    lines = [b"Location: http://%b/a" % upstream.authority]
    start = b"%d x" % status
    answer = head(b"HTTP/1.1 " + start, *lines) if status in (204, 304) else ok(b"x", *lines, status=start)
    _, got = await exchange(front, upstream, get(), answer)

    assert got.value(b"location") == b"/a"


async def test_base_and_prefix_are_mapped_back(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, path=b"/reports", strip_prefix=True, of_upstream={"path": b"/v1"}))
    for sent, expected in (
        (b"/v1/a", b"/reports/a"),
        (b"/v1", b"/reports"),
        (b"http://%b/v1/a?/v1" % upstream.authority, b"/reports/a?/v1"),
        (b"https://%b/v1/" % upstream.authority, b"/reports/"),
        (b"/v10/a", b"/v10/a"),
        (b"/v1/../admin", b"/v1/../admin"),
    ):
        _, got = await exchange(front, upstream, get(b"/reports/x"), ok(b"x", b"Location: " + sent, status=b"302 x"))
        assert got.value(b"location") == expected


async def test_the_host_that_was_sent_names_the_upstream(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, of_upstream={"host_header": None}))
    _, got = await exchange(front, upstream, get(), ok(b"x", b"Location: https://proxy.test/a", status=b"302 x"))

    assert got.value(b"location") == b"/a"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"api.example", b"https://api.example/a"),
        (b"API.example:443", b"https://api.example/a"),
        (b"api.test:8443", b"https://api.test:8443/a"),
        (b"other.test", b"https://api.example/a"),
    ],
)
async def test_with_public_urls_it_is_absolute_by_that_which_the_client_used(
    proxy: ProxyFactory, upstream: Upstream, host: bytes, expected: bytes
) -> None:
    front = await proxy(own_origins=(b"https://api.example", b"https://api.test:8443"))
    request = head(b"GET / HTTP/1.1", b"Host: " + host)
    _, got = await exchange(front, upstream, request, ok(b"x", b"Location: http://%b/a" % upstream.authority, status=b"302 x"))

    assert got.value(b"location") == expected


async def test_keep_keeps_and_says_that_the_origin_is_lost(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, redirects=Redirects.KEEP))
    value = b"http://%b/a" % upstream.authority
    _, got = await exchange(front, upstream, get(b"/", b"Origin: " + ORIGIN), ok(b"x", b"Location: " + value, status=b"302 x"))

    assert got.value(b"location") == value
    assert [notice.problem for notice in (await front.recorded())[0].notices] == [problems.ORIGIN_LOST]
