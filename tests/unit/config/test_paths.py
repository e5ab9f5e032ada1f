"""Paths of routes and of upstreams: what to write instead of one in another form."""

import pytest

from corsproxy.config.paths import parse_base_path, parse_route_path
from corsproxy.problems import Fault

BAD_ROUTES = {
    "": "write `/` for every path",
    "api": "write `/api`",
    "https://api.example.com/v1?x=1": "write `/v1`",
    "https://api.example.com": "write `/`",
    "/a/%2E%2e/b": "write `/b`, to which it leads",
    "/users/{id}": "write `/users`: a route takes every path below its own",
    "/a/b;c/d": "write `/a`: a route takes every path below its own",
    "/{tenant}": "write `/`: a route takes every path below its own",
    "/search?q=1": "write `/search`",
    "/api//v1": "write `/api/v1`",
    "/api/**": "write `/api`",
    "~ ^/api/": "write one route for each path, as `/api`",
    "^/api/(v1|v2)": "write one route for each path, as `/api`",
    "= /exact": "write one route for each path, as `/api`",
}


@pytest.mark.parametrize(("text", "help_"), BAD_ROUTES.items())
def test_a_path_of_no_route_says_which_one_would_do(text: str, help_: str) -> None:
    found = parse_route_path(text)

    assert isinstance(found, Fault)
    assert found.help == help_


@pytest.mark.parametrize("text", [text for text in BAD_ROUTES if text])
def test_what_is_proposed_is_a_route(text: str) -> None:
    found = parse_route_path(text)
    assert isinstance(found, Fault)
    proposed = found.help.split("`")[1]

    assert not isinstance(parse_route_path(proposed), Fault)


def test_the_path_of_an_upstream_ends_without_a_slash() -> None:
    assert parse_base_path("/base/") == b"/base"
    assert parse_base_path("/") == b""


def test_a_path_that_no_url_has_is_refused() -> None:
    assert isinstance(parse_base_path("/a b"), Fault)
    assert isinstance(found := parse_base_path("/a/../b"), Fault)
    assert found.help == "write `/b`, to which it leads"
