"""Which host is answered, and which route a path belongs to."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy import problems, routes
from corsproxy.config.settings import CorsMode, HostRules, Route, Timeouts, Upstream
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
