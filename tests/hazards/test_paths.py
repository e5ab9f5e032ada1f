"""
The danger: the proxy reads a path as one route's, the server behind it as another's, and the policy of neither holds.

The promise: a path that any usual reading would take to another route is refused before a policy is chosen; what is forwarded is forwarded byte for byte.
"""

import itertools
import posixpath
import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest

from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route, Timeouts
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from corsproxy.routes import match
from corsproxy.semantics.framing import Refusal
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, OWN_GRANT, Proxy, Upstream, get, ok, policy, route

ANYBODY = b"Origin: https://anybody.example"


@pytest.fixture
async def front(proxy: ProxyFactory, upstream: Upstream) -> Proxy:
    """A public corner, a closed one and the rest."""
    upstream.serve(lambda _: ok())
    return await proxy(route(upstream, b"/internal", CorsMode.NONE), route(upstream, b"/public", policy("*")), route(upstream))


HOSTILE = [
    b"/public/../internal/x",
    b"/public/..%2finternal/x",
    b"/public/%2e%2e/internal",
    b"/public/%2E%2e/internal",
    b"/public/%252e%252e/internal",
    b"/public/%25252e%25252e%25252finternal",
    b"/public/..;/internal",
    b"/public/..;a=b/internal",
    b"/public/..%3b/internal",
    b"/public/%2e%2e;/internal",
    b"/public/..%5cinternal",
    b"/public/..\\internal",
    b"/public\\..\\internal",
    b"/public%2f..%2finternal",
    b"/public/./../internal",
    b"/public//../internal",
    b"/public/x/../../internal",
    b"/public/x/..//../internal",
    b"//internal/x",
    b"/%2finternal",
    b"/.//internal",
    b"/./internal",
    b"/x/../internal",
    b"/x/%2e%2e/internal",
    b"/;a/internal",
    b"/;/internal",
    b"/%69nternal/x",
    b"/intern%61l",
    b"/%2569nternal",
    b"/internal%2f",
    b"/internal;a=b",
    b"/internal;/x",
    b"/internal/../x",
    b"/internal/..",
    b"/internal%2f..%2fx",
    b"/public/..",
    b"/public/.././",
    b"/x/../public",
]


@pytest.mark.parametrize("path", HOSTILE)
async def test_a_path_of_two_routes_is_refused(front: Proxy, upstream: Upstream, path: bytes) -> None:
    client = await front.connect()
    got = await client.ask(get(path, ANYBODY))

    assert (got.status, got.cors, got.values(b"connection")) == (400, {}, [])
    assert upstream.connections == 0


async def test_its_refusal_is_readable_under_the_default_policy_only(front: Proxy) -> None:
    """No route speaks for such a path, so the top-level policy does: not the generous one of /public."""
    got = await front.ask(get(b"/public/../internal", b"Origin: " + ORIGIN))
    assert (got.status, got.cors) == (400, OWN_GRANT)


@pytest.mark.parametrize("path", [b"/public/../internal", b"/public%2fx", b"/x/../public"])
async def test_a_preflight_for_such_a_path_is_no_grant(front: Proxy, upstream: Upstream, path: bytes) -> None:
    got = await front.ask(get(path, ANYBODY, b"Access-Control-Request-Method: DELETE", method=b"OPTIONS"))
    assert (got.status, got.cors) == (400, {})
    assert upstream.connections == 0


HARMLESS = [
    b"/public/a/../b",
    b"/public/a%2Fb",
    b"/public/%2e/x",
    b"/public/;a=1/b;c",
    b"/public//",
    b"/public/%zz",
    b"/public/..a/b..",
    b"/public/a\\b",
    b"/publicity/..x",
    b"/x//y/./z",
    b"/internal-not/%69",
    b"/x?/../internal",
    b"/public?x=../../internal",
    b"/public/%E2%82%AC",
    b"/a|b^c`{d}",
]


@pytest.mark.parametrize("path", HARMLESS)
async def test_a_path_of_one_route_is_passed_on_byte_for_byte(front: Proxy, upstream: Upstream, path: bytes) -> None:
    assert (await front.ask(get(path))).status == 200
    assert [request.target for request in upstream.requests] == [path]


# --- every path of a small alphabet, against the readings of real servers ---

_PLACE = UpstreamSettings("http://u", "u", 80, b"u")
ROUTES = tuple(
    Route(path, _PLACE, CorsMode.NONE, Timeouts()) for path in sorted((b"/api", b"/api/v1", b"/open", b"/"), key=len, reverse=True)
)
SEGMENTS = [
    b"api",
    b"v1",
    b"open",
    b"x",
    b"",
    b".",
    b"..",
    b"%2e%2e",
    b"%252e.",
    b"..;a",
    b"api;b",
    b"%61pi",
    b"a%2fb",
    b"x\\..\\open",
    b"%5c..",
]


def once(path: bytes) -> bytes:
    return unquote_to_bytes(path)


def resolved(path: bytes) -> bytes:
    """As nginx does: merge slashes, resolve dots."""
    return re.sub(rb"^/+", b"/", posixpath.normpath(b"/" + path))


def without_parameters(path: bytes) -> bytes:
    """As Tomcat and Jetty do."""
    return re.sub(rb";[^/]*", b"", path)


def backslashes(path: bytes) -> bytes:
    """As IIS and every browser do."""
    return path.replace(b"\\", b"/")


READINGS: list[Callable[[bytes], bytes]] = [
    lambda path: path,
    resolved,
    once,
    lambda path: resolved(once(path)),
    lambda path: once(resolved(path)),
    lambda path: resolved(once(resolved(path))),
    lambda path: resolved(once(once(path))),
    lambda path: resolved(without_parameters(path)),
    lambda path: resolved(once(without_parameters(path))),
    lambda path: resolved(without_parameters(once(path))),
    lambda path: resolved(backslashes(path)),
    lambda path: resolved(backslashes(once(path))),
    lambda path: resolved(without_parameters(backslashes(once(path)))),
]


def longest(path: bytes) -> bytes:
    return next(r.path for r in ROUTES if (path + b"/").startswith(r.path.rstrip(b"/") + b"/"))


def test_no_usual_reading_of_a_path_leads_to_another_route_than_the_one_it_is_given() -> None:
    matched = refused = 0
    for count in (1, 2, 3):
        for segments in itertools.product(SEGMENTS, repeat=count):
            path = b"/" + b"/".join(segments)
            route_ = match(ROUTES, path)
            if isinstance(route_, Refusal):
                refused += 1
                continue
            matched += 1
            for number, read in enumerate(READINGS):
                assert longest(read(path)) == route_.path, (path, number, read(path))
    assert matched > 300
    assert refused > 300
