"""
The danger: an upstream's Location, rewritten, leads a browser to a place that neither the upstream nor the proxy named.

The promise: what is rewritten leads to the proxy, by every reading; what is not, is as the upstream wrote it.
"""

import pytest

from tests.conftest import ProxyFactory
from tests.harness import Proxy, Upstream, exchange, get, ok
from tests.wire.routes import routed

# Paths that would name a host if they stood at the front.
TRAPS = [
    b"//evil.example/",
    b"//evil.example",
    b"///evil.example/",
    b"/\\evil.example/",
    b"/%2Fevil.example/",
    b"/.//evil.example/",
    b"/..//evil.example",
]


def leads_elsewhere(value: bytes) -> bool:
    """Tell whether a browser could read a host at the front of a reference, tabs left out."""
    plain = value.replace(b"\t", b"").replace(b"\\", b"/")
    return plain.startswith(b"//")


async def location_of(front: Proxy, upstream: Upstream, value: bytes, target: bytes = b"/") -> bytes:
    _, got = await exchange(front, upstream, get(target), ok(b"x", b"Location: " + value, status=b"302 Found"))
    found = got.value(b"location")
    assert found is not None
    return found


@pytest.mark.parametrize("path", TRAPS)
async def test_a_path_of_the_upstream_becomes_no_host(front: Proxy, upstream: Upstream, path: bytes) -> None:
    found = await location_of(front, upstream, b"http://%b%b" % (upstream.authority, path))

    assert not leads_elsewhere(found)
    assert not found.startswith(b"http")


@pytest.mark.parametrize("path", TRAPS)
async def test_nor_when_the_upstreams_base_is_taken_off(proxy: ProxyFactory, upstream: Upstream, path: bytes) -> None:
    front = await proxy(routed(upstream, of_upstream={"path": b"/v1"}))
    found = await location_of(front, upstream, b"/v1" + path)

    assert not leads_elsewhere(found)


@pytest.mark.parametrize("path", TRAPS)
async def test_with_a_public_url_it_stays_there(proxy: ProxyFactory, upstream: Upstream, path: bytes) -> None:
    front = await proxy(own_origins=(b"https://api.example",))
    found = await location_of(front, upstream, b"http://%b%b" % (upstream.authority, path))

    assert found.startswith(b"https://api.example/")


ODD = [
    b"https:evil.example",
    b"http:/\\%b@evil.example",
    b"//%b@evil.example",
    b"http://%b.evil.example/",
    b"http://%b:80@evil.example/",
    b"\\\\%b/",
]


@pytest.mark.parametrize("value", ODD)
async def test_what_only_looks_like_the_upstream_is_left_alone(front: Proxy, upstream: Upstream, value: bytes) -> None:
    value = value.replace(b"%b", upstream.authority)

    assert await location_of(front, upstream, value) == value


@pytest.mark.parametrize("target", [b"//evil.example/", b"//evil.example/..", b"/\\evil.example"])
async def test_no_request_makes_the_proxy_itself_redirect(front: Proxy, upstream: Upstream, target: bytes) -> None:
    _, got = await exchange(front, upstream, get(target), ok())

    assert (got.status, got.values(b"location")) == (200, [])


async def test_a_prefix_that_ends_before_two_slashes(proxy: ProxyFactory, upstream: Upstream) -> None:
    """The upstream adds a slash, as many do: `//evil.example` → `Location: //evil.example/`, which names a host already there."""
    front = await proxy(routed(upstream, path=b"/a", strip_prefix=True))
    seen, got = await exchange(
        front, upstream, get(b"/a//evil.example"), ok(b"x", b"Location: http://%b//evil.example/" % upstream.authority, status=b"301 x")
    )

    assert seen.target == b"//evil.example"
    assert got.value(b"location") == b"/a//evil.example/"


async def test_a_clients_host_names_the_upstream_only_where_it_was_sent_there(proxy: ProxyFactory, upstream: Upstream) -> None:
    value = b"https://proxy.test/x"
    own, preserved = await proxy(), await proxy(routed(upstream, of_upstream={"host_header": None}))

    assert await location_of(own, upstream, value) == value
    assert await location_of(preserved, upstream, value) == b"/x"
