"""Location, Content-Location and Refresh: what names the upstream, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from corsproxy.semantics.redirects import Places, leaves, rewrite_location, rewrite_refresh, upstream_authorities


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


LEGACY = upstream_authorities(b"legacy:8080", False, b"legacy:8080")
PLAIN = Places(LEGACY)
BASE = Places(LEGACY, base=b"/app")
MOVED = Places(LEGACY, base=b"/app", stripped=b"/reports")
STRIPPED = Places(LEGACY, stripped=b"/reports")
PUBLIC = Places(LEGACY, base=b"/app", stripped=b"/reports", public=b"https://api.example.com")


# --- the upstream's names -------------------------------------------------------------------------


@table(
    {
        "a port of its own": (b"legacy:8080", False, b"legacy:8080", {b"http://legacy:8080", b"https://legacy:8080"}),
        "capitals": (b"LEGACY:8080", True, b"", {b"http://legacy:8080", b"https://legacy:8080"}),
        "the default port": (b"legacy", False, b"legacy", {b"http://legacy:80", b"https://legacy:443", b"https://legacy:80"}),
        "the default port of https, written": (
            b"legacy:443",
            True,
            b"",
            {b"http://legacy:80", b"https://legacy:443", b"http://legacy:443"},
        ),
        "the Host that we sent": (
            b"legacy:8080",
            False,
            b"api.example:90",
            {b"http://legacy:8080", b"https://legacy:8080", b"http://api.example:90", b"https://api.example:90"},
        ),
        "an IPv6 address": (b"[::1]:8080", False, b"[::1]:8080", {b"http://[::1]:8080", b"https://[::1]:8080"}),
        "nothing that is a host": (b"", False, b"a b", set()),
    }
)
def test_the_upstream_has_either_scheme_and_the_host_that_we_sent(case: Any) -> None:
    authority, tls, sent_host, expected = case

    assert upstream_authorities(authority, tls, sent_host) == expected


@table(
    {
        "its own": (b"http://legacy/x", True),
        "the other scheme": (b"https://legacy/x", True),
        "its port, written": (b"http://legacy:80/x", True),
        "the other scheme's port, written": (b"https://legacy:443/x", True),
        "the port with zeros": (b"http://legacy:0080/x", True),
        "an empty port": (b"http://legacy:/x", True),
        "http on the port of https": (b"http://legacy:443/x", False),
        "another port": (b"http://legacy:8080/x", False),
        "another host": (b"http://legacy.example/x", False),
        "a host that ends alike": (b"http://notlegacy/x", False),
        "no scheme": (b"//legacy/x", True),
        "no scheme, the port of https": (b"//legacy:443/x", True),
        "no path": (b"http://legacy", True),
        "a query only": (b"http://legacy?x", True),
        "capitals": (b"HTTP://Legacy/x", True),
        "a path": (b"/x", True),
        "a relative path": (b"x/y", False),
        "a query": (b"?x", False),
        "a fragment": (b"#x", False),
        "nothing": (b"", False),
        "user information": (b"http://user@legacy/x", False),
        "a host in the user information": (b"http://legacy@evil.example/", False),
        "a backslash behind the host": (b"http://legacy\\@evil.example/", False),
        "a backslash for a slash": (b"http:\\\\legacy/x", False),
        "one slash": (b"http:/legacy/x", False),
        "three slashes": (b"http:///legacy/x", False),
        "another scheme": (b"ftp://legacy:80/x", False),
        "an escaped host": (b"http://%6cegacy/x", False),
        "a tab in the host": (b"http://le\tgacy/x", True),
        "control characters around it": (b"\x01 http://legacy/x \x02", True),
    }
)
def test_a_reference_names_the_upstream_by_host_and_port(case: Any) -> None:
    value, names = case

    places = Places(upstream_authorities(b"legacy", False, b"legacy"), stripped=b"/reports")

    assert (rewrite_location(value, places) is not value) is names


# --- Location -------------------------------------------------------------------------------------


@table(
    {
        "absolute": (PLAIN, b"http://legacy:8080/x?y#z", b"/x?y#z"),
        "absolute, without a path": (PLAIN, b"http://legacy:8080", b"/"),
        "absolute, with a query only": (PLAIN, b"http://legacy:8080?q", b"/?q"),
        "scheme-relative": (PLAIN, b"//legacy:8080/x", b"/x"),
        "the base is taken off": (BASE, b"/app/x?y=/app", b"/x?y=/app"),
        "the base alone": (BASE, b"/app", b"/"),
        "the base alone, with a fragment": (BASE, b"/app#z", b"/#z"),
        "the base with a slash": (BASE, b"/app/", b"/"),
        "the prefix is put back": (STRIPPED, b"/x", b"/reports/x"),
        "the root below the prefix": (STRIPPED, b"/", b"/reports/"),
        "both": (MOVED, b"http://legacy:8080/app/x?y#z", b"/reports/x?y#z"),
        "both, the base alone": (MOVED, b"/app", b"/reports"),
        "absolute with a public URL": (PUBLIC, b"http://legacy:8080/app/x?y#z", b"https://api.example.com/reports/x?y#z"),
        "path-only stays path-only": (PUBLIC, b"/app/x", b"/reports/x"),
        "the inverse of the request's way, also where both begin alike": (Places(LEGACY, b"/a", b"/a/b"), b"/a/b/x", b"/a/b/b/x"),
        "bytes outside of ASCII": (MOVED, b"/app/caf\xe9?\xff", b"/reports/caf\xe9?\xff"),
        "dot segments below the base": (MOVED, b"/app/x/../y/%2E", b"/reports/y/"),
        "dot segments that lead below the base": (MOVED, b"/x/%2e./app/y", b"/reports/y"),
        "dot segments cannot climb out of the prefix": (STRIPPED, b"/../../x", b"/reports/x"),
        "backslashes are slashes, as browsers read them": (MOVED, b"/app\\x", b"/reports/x"),
        "blanks around it and tabs in it go, as in browsers": (MOVED, b" /a\tpp/x ", b"/reports/x"),
        "a tab between the slashes of an authority": (MOVED, b"/\t/legacy:8080/app/x", b"/reports/x"),
    }
)
def test_what_names_the_upstream_is_called_by_its_public_name(case: Any) -> None:
    places, value, expected = case

    assert rewrite_location(value, places) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x/y",
        b"../x",
        b"./app",
        b"?q",
        b"#f",
        b"app/x",
        b"\\app",
        b"/apple",
        b"/ap",
        b"/",
        b"/other/x",
        b"/app/../x",
        b"/app/%2e%2E/x",
        b"/app\\..\\x",
        b"http://legacy:8080/other",
        b"http://legacy:8080/app/../x",
        b"http://legacy:8081/app/x",
        b"https://app.example.com/app/x",
        b"//evil.example/app/x",
        b"///legacy:8080/app/x",
        b"/\\legacy:8080/app/x",
        b"\\\\legacy:8080/app/x",
        b"http:/app/x",
        b"http:app/x",
        b"http:\\\\legacy:8080/app/x",
        b"http://user:password@legacy:8080/app/x",
        b"http://legacy:8080@evil.example/app/x",
        b"http://legacy:8080\\@evil.example/app/x",
        b"http://legacy:8080:1/app/x",
        b"http://legacy:8080\x00/app/x",
        b"myapp://legacy:8080/app/x",
        b"mailto:legacy",
        b"javascript:alert(1)",
    ],
)
@pytest.mark.parametrize("places", [MOVED, PUBLIC])
def test_everything_else_is_the_same_object(value: bytes, places: Places) -> None:
    assert rewrite_location(value, places) is value


@pytest.mark.parametrize("value", [b"//evil.example/", b"/\\evil.example/", b"\\/evil.example/", b"/\t/evil.example/", b"///evil.example"])
@pytest.mark.parametrize("places", [PLAIN, STRIPPED])
def test_no_spelling_of_another_host_is_taken_for_a_path(value: bytes, places: Places) -> None:
    assert rewrite_location(value, places) is value


@pytest.mark.parametrize("value", [b"/x", b"/a/../b", b"/.//x", b" /x", b"/a\\b"])
@pytest.mark.parametrize("places", [PLAIN, Places(LEGACY, b"/a", b"/a"), replace(PLAIN, public=b"https://api.example.com")])
def test_a_path_is_left_alone_where_the_request_s_path_was(value: bytes, places: Places) -> None:
    assert rewrite_location(value, places) is value


@table(
    {
        "two slashes behind the base": (BASE, b"/app//evil.example/", b"/.//evil.example/"),
        "a slash and a backslash": (BASE, b"/app/\\evil.example/", b"/.//evil.example/"),
        "a backslash and a slash": (BASE, b"/app\\/evil.example/", b"/.//evil.example/"),
        "a slash, a tab and a slash": (BASE, b"/app/\t/evil.example/", b"/.//evil.example/"),
        "a slash, a dot and two slashes": (BASE, b"/app/.//evil.example/", b"/.//evil.example/"),
        "slashes behind the upstream's own host": (PLAIN, b"http://legacy:8080//evil.example/", b"/.//evil.example/"),
        "the same, without a scheme": (PLAIN, b"//legacy:8080//evil.example/", b"/.//evil.example/"),
        "a prefix keeps them down": (MOVED, b"/app//evil.example/", b"/reports//evil.example/"),
        "a public URL keeps them down": (
            replace(BASE, public=b"https://api.example.com"),
            b"http://legacy:8080/app//evil.example/",
            b"https://api.example.com//evil.example/",
        ),
    }
)
def test_a_path_never_becomes_a_host(case: Any) -> None:
    places, value, expected = case

    assert rewrite_location(value, places) == expected


# --- Refresh --------------------------------------------------------------------------------------


@table(
    {
        "the usual spelling": (b"5; url=/app/x", b"5; url=/reports/x"),
        "capitals": (b"5;URL=http://legacy:8080/app/x", b"5;URL=/reports/x"),
        "blanks everywhere": (b" 5 ; url = /app/x", b" 5 ; url = /reports/x"),
        "a comma": (b"0,url=/app", b"0,url=/reports"),
        "a blank alone": (b"0 url=/app", b"0 url=/reports"),
        "no `url=`": (b"0; /app/x", b"0; /reports/x"),
        "a fraction": (b".5; url=/app", b".5; url=/reports"),
        "single quotes": (b"5; url='/app/x'", b"5; url='/reports/x'"),
        "double quotes and a tail": (b'5; url="/app/x" y', b'5; url="/reports/x" y'),
        "quotes without `url=`": (b"5; '/app/x'", b"5; '/reports/x'"),
        "an open quote": (b"5; url='/app/x", b"5; url='/reports/x"),
        "another host": (b"5; url=https://evil.example/app", b"5; url=https://evil.example/app"),
        "a name that only begins with url": (b"5; url/app", b"5; url/app"),
        "seconds only": (b"5", b"5"),
        "seconds and a separator": (b"5;", b"5;"),
        "no seconds": (b"url=/app", b"url=/app"),
        "no separator": (b"5url=/app", b"5url=/app"),
        "nothing": (b"", b""),
    }
)
def test_a_refresh_is_rewritten_in_all_its_spellings(case: Any) -> None:
    value, expected = case

    assert rewrite_refresh(value, MOVED) == expected


def test_a_prefix_does_not_end_the_quotes_that_it_stands_in() -> None:
    assert rewrite_refresh(b"5; url='/x'", Places(LEGACY, stripped=b"/it's")) == b"5; url='/it%27s/x'"


def test_an_unchanged_refresh_is_the_same_object() -> None:
    value = b"5; url=/other"

    assert rewrite_refresh(value, MOVED) is value


# --- the hop --------------------------------------------------------------------------------------


@table(
    {
        "a path": (b"/x", False),
        "a relative path": (b"x", False),
        "nothing": (b"", False),
        "what will be rewritten": (b"http://legacy:8080/app/x", False),
        "the upstream, where the proxy cannot reach it": (b"http://legacy:8080/other", True),
        "our public origin": (b"https://api.example.com/x", False),
        "our public origin, its port written": (b"https://API.example.com:443", False),
        "another origin of ours": (b"http://localhost:8080/x", False),
        "our own, without a scheme": (b"//api.example.com/x", False),
        "our public host, the other scheme": (b"http://api.example.com/x", True),
        "another host": (b"https://evil.example/", True),
        "another host, without a scheme": (b"//evil.example/", True),
        "another host, in backslashes": (b"/\\evil.example/", True),
        "another host, behind a tab": (b"/\t/evil.example/", True),
        "user information": (b"https://a@api.example.com/", True),
        "another scheme": (b"myapp://x", True),
    }
)
def test_a_hop_leaves_when_it_leads_to_another_origin(case: Any) -> None:
    value, expected = case

    assert leaves(value, PUBLIC, [b"http://localhost:8080", b"null"]) is expected
