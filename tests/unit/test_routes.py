"""Which host is answered, and which route a path belongs to."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from corsproxy import problems, routes
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import HostRules, Route, Timeouts, build_table
from corsproxy.config.upstreams import Upstream
from corsproxy.semantics.framing import Refusal


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def route(path: bytes, upstream_path: bytes = b"") -> Route:
    return Route(path, Upstream("http://up", "up", 80, b"up", upstream_path), CorsMode.NONE, Timeouts())


AMBIGUOUS = Refusal(problems.AMBIGUOUS_PATH, "path-matches-two-routes")
NO_ROUTE = Refusal(problems.NO_ROUTE, "no-route")
THREE = (route(b"/api/admin"), route(b"/api"), route(b"/"))
TWO = (route(b"/api"), route(b"/b"))


def path_of(found: Route | Refusal) -> bytes | Refusal:
    return found if isinstance(found, Refusal) else found.path


# --- routes ---------------------------------------------------------------------------------------


@table(
    {
        "the root": (THREE, b"/", b"/"),
        "the longest wins": (THREE, b"/api/admin/x", b"/api/admin"),
        "the prefix itself": (THREE, b"/api", b"/api"),
        "the prefix and a slash": (THREE, b"/api/", b"/api"),
        "a segment boundary": (THREE, b"/apix", b"/"),
        "another case is another path": (THREE, b"/API/x", b"/"),
        "a dot in a name": (THREE, b"/api/a.b", b"/api"),
        "harmless escapes": (THREE, b"/api/a%20b%2Fc", b"/api"),
        "dots within the route": (THREE, b"/api/x/../y", b"/api"),
        "no route": (TWO, b"/c", NO_ROUTE),
        "no route for the root": (TWO, b"/", NO_ROUTE),
        "no routes": ((), b"/c", NO_ROUTE),
        "dots that lead to another route": (THREE, b"/x/../api/y", AMBIGUOUS),
        "dots that lead out of the route": (THREE, b"/api/../x", AMBIGUOUS),
        "dots that lead into a stricter route": (THREE, b"/api/x/../admin", AMBIGUOUS),
        "an escaped letter": (THREE, b"/api/%61dmin", AMBIGUOUS),
        "an escaped slash": (THREE, b"/api%2Fadmin", AMBIGUOUS),
        "escaped dots": (THREE, b"/api/x/%2e%2e/admin", AMBIGUOUS),
        "doubly escaped dots": (THREE, b"/api/x/%252e%252e/admin", AMBIGUOUS),
        "literal dots, then escaped ones": (THREE, b"/api/x/%2e%2e/../%2e%2e/admin", AMBIGUOUS),
        "a backslash": (THREE, rb"/api\admin", AMBIGUOUS),
        "two slashes": (THREE, b"/api//admin", AMBIGUOUS),
        "two slashes at the beginning": (THREE, b"//api/x", AMBIGUOUS),
        "parameters": (THREE, b"/api;x/admin", AMBIGUOUS),
        "parameters on dots": (THREE, b"/api/x/..;/admin", AMBIGUOUS),
        "an escaped question mark, which a server that decodes first takes for a query": (THREE, b"/api/admin%3f.js", AMBIGUOUS),
        "an escaped number sign": (THREE, b"/api/admin%23x", AMBIGUOUS),
        "the end of a string": (THREE, b"/api/admin%00.js", AMBIGUOUS),
        "a doubly escaped question mark": (THREE, b"/api/admin%253F", AMBIGUOUS),
        "dots before an escaped question mark": (THREE, b"/api/..%3F", AMBIGUOUS),
        "dots between two ends": (THREE, b"/x%23/../api%3fy", AMBIGUOUS),
        "escaped signs within the route": (THREE, b"/api/what%3F%23.txt", b"/api"),
        "dots that lead from no route to one": (TWO, b"/c/../b", AMBIGUOUS),
        "dots that lead from one to no route": (TWO, b"/b/../c", AMBIGUOUS),
        "one route for everything takes every reading": ((route(b"/"),), b"/a/../%2e%2e//;b", b"/"),
        "one route for a part does not": ((route(b"/a"),), b"/a/../b", AMBIGUOUS),
        "too many readings": (
            TWO,
            b"/a;p//%253b%2f%255c;q/%252e%252e//..;/%2e%2e;%5c.%252f%252f;x/..//%252e",
            Refusal(problems.AMBIGUOUS_PATH, "path-has-too-many-readings"),
        ),
    }
)
def test_a_path_belongs_to_one_route_under_every_reading_or_to_none(case: Any) -> None:
    listed, path, expected = case

    assert path_of(routes.match(listed, path)) == expected


@table(
    {
        "an upstream without a path cannot be left": (b"", b"/../x", b"/"),
        "an upstream with a path must not be left": (b"/v1", b"/../x", Refusal(problems.AMBIGUOUS_PATH, "path-leaves-upstream")),
        "nor by escaped dots": (b"/v1", b"/%2e%2e/x", Refusal(problems.AMBIGUOUS_PATH, "path-leaves-upstream")),
        "nor past a backslash that the upstream takes for a letter": (
            b"/v1",
            rb"/a\b/../../x",
            Refusal(problems.AMBIGUOUS_PATH, "path-leaves-upstream"),
        ),
        "nor by dots before what may end the path": (b"/v1", b"/x/../..%3fy", Refusal(problems.AMBIGUOUS_PATH, "path-leaves-upstream")),
        "dots that stay inside are fine": (b"/v1", b"/x/../y", b"/"),
    }
)
def test_no_path_leads_out_of_the_upstreams_own(case: Any) -> None:
    upstream_path, path, expected = case

    assert path_of(routes.match((route(b"/", upstream_path),), path)) == expected


# --- hosts ----------------------------------------------------------------------------------------


NAMED = HostRules(names=frozenset({b"api.example"}), suffixes=(b".apps.example",))
LOOPBACK = HostRules(loopback=True)


@table(
    {
        "any": (HostRules(any_host=True), b"evil.example", True),
        "none is named": (HostRules(), b"api.example", False),
        "no host, as HTTP/1.0 may have": (HostRules(), b"", True),
        "the name": (NAMED, b"api.example", True),
        "the name in capitals": (NAMED, b"API.Example", True),
        "the name with a port": (NAMED, b"api.example:8080", True),
        "the name with an empty port": (NAMED, b"api.example:", True),
        "the name with a dot": (NAMED, b"api.example.", False),
        "another name": (NAMED, b"evil.example", False),
        "a name below": (NAMED, b"x.api.example", False),
        "a subdomain": (NAMED, b"a.apps.example:80", True),
        "a subdomain of a subdomain": (NAMED, b"a.b.apps.example", True),
        "the domain itself": (NAMED, b"apps.example", False),
        "an empty subdomain": (NAMED, b".apps.example", False),
        "a longer name elsewhere": (NAMED, b"a.long.name.of.evil.example", False),
        "a name that ends alike": (NAMED, b"xapps.example", False),
        "localhost is not loopback unless it says so": (NAMED, b"localhost", False),
        "localhost": (LOOPBACK, b"localhost:8080", True),
        "localhost with a dot": (LOOPBACK, b"localhost.", True),
        "a name below localhost": (LOOPBACK, b"app.localhost", True),
        "a name that ends in localhost": (LOOPBACK, b"evillocalhost", False),
        "an IPv4 address": (LOOPBACK, b"192.168.0.7:8080", True),
        "an IPv6 address": (LOOPBACK, b"[::1]:8080", True),
        "a name that begins like an address": (LOOPBACK, b"127.0.0.1.evil.example", False),
        "a name that contains localhost": (LOOPBACK, b"localhost.evil.example", False),
        "a name": (LOOPBACK, b"api.example", False),
    }
)
def test_answers_host(case: Any) -> None:
    """A page of an attacker whose name was made to resolve to this proxy says the attacker's name in Host."""
    rules, authority, expected = case

    assert bool(routes.answers_host(rules, authority)) is expected


def test_a_stripped_prefix_cannot_be_climbed_out_of() -> None:
    """The upstream gets what is left: `/a/x/../../a/y` is below `/a`, and `/x/../../a/y` climbs above the upstream's root."""
    leaves = Refusal(problems.AMBIGUOUS_PATH, "path-leaves-upstream")
    for base in (b"", b"/v1"):
        stripped = replace(route(b"/a", base), strip_prefix=True)
        assert path_of(routes.match((stripped,), b"/a/x/../../a/y")) == leaves
        assert path_of(routes.match((stripped,), b"/a/x/%2e%2e/../a/y")) == leaves
        assert path_of(routes.match((stripped,), b"/a/x/../y")) == b"/a"
        assert path_of(routes.match((stripped,), b"/a")) == b"/a"
    assert path_of(routes.match((route(b"/a", b"/v1"),), b"/a/x/../../a/y")) == b"/a"


# --- routes by host -------------------------------------------------------------------------------


def at(path: bytes, *hosts: str) -> Route:
    return replace(route(path), hosts=hosts)


EXACT, WILD, LONGER, ANY = at(b"/", "v2.example"), at(b"/", "*.example"), at(b"/", "*.apps.example", "v3.example"), at(b"/")
TABLE = build_table((EXACT, WILD, LONGER, ANY))


@table(
    {
        "the name": (b"v2.example", [EXACT, WILD, ANY]),
        "the name in capitals, with a port": (b"V2.Example:8080", [EXACT, WILD, ANY]),
        "the name with an empty port": (b"v2.example:", [EXACT, WILD, ANY]),
        "the name with a dot, which DNS does not tell apart": (b"v2.example.", [EXACT, WILD, ANY]),
        "the name with a dot and a port": (b"v2.example.:443", [EXACT, WILD, ANY]),
        "a subdomain": (b"a.example", [WILD, ANY]),
        "a subdomain with a dot": (b"a.example.", [WILD, ANY]),
        "the longest wildcard first": (b"a.apps.example", [LONGER, WILD, ANY]),
        "a name beside a wildcard of the same route": (b"v3.example", [LONGER, WILD, ANY]),
        "the domain itself is no subdomain": (b"example", [ANY]),
        "another wildcard's domain is a subdomain": (b"apps.example", [WILD, ANY]),
        "an empty subdomain": (b".example", [ANY]),
        "another name": (b"other.test", [ANY]),
        "a name that ends alike": (b"v2.example.evil", [ANY]),
        "no host": (b"", [ANY]),
        "a dot alone": (b".", [ANY]),
        "an address": (b"[::1]:80", [ANY]),
    }
)
def test_the_routes_of_a_host_come_before_those_of_any(case: Any) -> None:
    authority, expected = case

    assert list(routes.for_host(TABLE, authority)) == expected


def test_an_address_may_have_routes_of_its_own() -> None:
    v6, v4 = at(b"/", "[::1]"), at(b"/", "127.0.0.1")

    assert routes.for_host(build_table((v6, v4)), b"[::1]:8080") == (v6,)
    assert routes.for_host(build_table((v6, v4)), b"127.0.0.1") == (v4,)


def test_a_shorter_path_of_the_host_wins_over_a_longer_one_of_any() -> None:
    found = build_table((at(b"/a/b"), at(b"/a", "v2.example"), at(b"/")))

    assert routes.match(routes.for_host(found, b"v2.example"), b"/a/b") == at(b"/a", "v2.example")
    assert routes.match(routes.for_host(found, b"v2.example"), b"/c") == at(b"/")
    assert routes.match(routes.for_host(found, b"other.example"), b"/a/b") == at(b"/a/b")


def test_a_path_of_two_readings_is_judged_by_the_routes_of_its_host() -> None:
    found = build_table((at(b"/a", "v2.example"), at(b"/b", "v2.example"), at(b"/")))

    assert routes.match(routes.for_host(found, b"v2.example"), b"/a/../b") == AMBIGUOUS
    assert routes.match(routes.for_host(found, b"other.example"), b"/a/../b") == at(b"/")


def test_without_hosts_every_host_has_all_routes() -> None:
    found = build_table((at(b"/a"), at(b"/")))

    assert routes.for_host(found, b"any.example") == found.anywhere == (at(b"/a"), at(b"/"))
    assert (found.exact, found.suffixes) == ({}, ())


# --- what the client calls the proxy --------------------------------------------------------------


OWN = (b"https://a.example", b"http://b.example:8080", b"http://a.example", b"https://c.example")


@table(
    {
        "none": ((), b"a.example", b"https", b""),
        "the authority": (OWN, b"c.example", b"", b"https://c.example"),
        "the authority in capitals": (OWN, b"C.Example", b"", b"https://c.example"),
        "its default port is none": (OWN, b"c.example:443", b"", b"https://c.example"),
        "an empty port is none": (OWN, b"c.example:", b"", b"https://c.example"),
        "another scheme's default port is another place": (OWN, b"c.example:80", b"", b"https://a.example"),
        "a port": (OWN, b"b.example:8080", b"", b"http://b.example:8080"),
        "a port that is missing": (OWN, b"b.example", b"", b"https://a.example"),
        "one authority, https": (OWN, b"a.example", b"https", b"https://a.example"),
        "one authority, http": (OWN, b"a.example", b"http", b"http://a.example"),
        "one authority, who knows": (OWN, b"a.example", b"", b"https://a.example"),
        "an authority with another scheme": (OWN, b"c.example", b"http", b"https://c.example"),
        "another host: the first": (OWN, b"evil.example", b"http", b"https://a.example"),
        "a host that ends alike: the first": (OWN, b"xc.example", b"", b"https://a.example"),
        "no host: the first": (OWN, b"", b"", b"https://a.example"),
    }
)
def test_public_origin(case: Any) -> None:
    own, authority, scheme, expected = case

    assert routes.public_origin(own, authority, scheme) == expected


def test_is_local() -> None:
    local = [b"localhost", b"LOCALHOST:80", b"localhost.", b"app.localhost", b"127.0.0.1:8080", b"127.9.9.9", b"[::1]:80"]
    others = [b"", b"a.example", b"localhost.evil.example", b"127.0.0.1.evil.example", b"10.0.0.1", b"[::2]", b"evillocalhost"]

    assert [authority for authority in (*local, *others) if routes.is_local(authority)] == local
