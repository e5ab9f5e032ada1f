"""The entries of `allow_origins`: which origins each stands for."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.cors.origin import parse_origin
from corsproxy.cors.pattern import OriginPattern, PatternKind, parse_pattern
from corsproxy.problems import Fault


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def pattern_of(text: str, *, regex: bool = False) -> OriginPattern:
    found = parse_pattern(text, regex=regex)
    assert isinstance(found, OriginPattern), found
    return found


def matched(pattern: OriginPattern, *origins: bytes) -> list[bytes]:
    return [origin for origin in origins if pattern.matches(origin, parse_origin(origin))]


# --- matching -------------------------------------------------------------------------------------


def test_an_exact_entry_matches_the_same_bytes_and_no_other() -> None:
    """Rule 5: comparison by bytes; a trailing dot, another case, port or scheme is another origin."""
    pattern = pattern_of("https://app.example")
    others = (
        b"https://app.example.",
        b"https://App.example",
        b"http://app.example",
        b"https://app.example:443",
        b"https://app.example:8443",
        b"https://app.example/",
        b"https://sub.app.example",
        b"https://app.example.evil.example",
        b"null",
        b"",
    )

    assert pattern.kind is PatternKind.EXACT
    assert matched(pattern, b"https://app.example", *others) == [b"https://app.example"]


@table(
    {
        "any subdomain": (
            "https://*.example.com",
            [b"https://a.example.com", b"https://a.b.example.com", b"https://xn--a.example.com"],
            [
                b"https://example.com",
                b"https://.example.com",
                b"https://..example.com",
                b"https://a..example.com",
                b"https://.a.example.com",
                b"https://aexample.com",
                b"https://a.example.com.evil.example",
                b"https://a.example.com.",
                b"https://a.example.com:8443",
                b"http://a.example.com",
                b"https://A.example.com",
                b"null",
            ],
        ),
        "any subdomain at a port": (
            "https://*.example.com:8443",
            [b"https://a.example.com:8443"],
            [b"https://a.example.com", b"https://a.example.com:8444"],
        ),
        "any subdomain at the default port": ("https://*.example.com", [], [b"https://a.example.com:443"]),
        "any port": (
            "http://localhost:*",
            [b"http://localhost", b"http://localhost:3000", b"http://localhost:65535"],
            [
                b"http://localhost:80",
                b"https://localhost",
                b"http://a.localhost",
                b"http://localhost.",
                b"http://localhost:65536",
                b"http://xlocalhost",
            ],
        ),
        "any port of an IPv4 address": ("http://127.0.0.1:*", [b"http://127.0.0.1:1"], [b"http://127.0.0.2:1", b"http://127.1:1"]),
        "any port of an IPv6 address": ("http://[::1]:*", [b"http://[::1]", b"http://[::1]:8080"], [b"http://[::2]"]),
        "any subdomain and any port": (
            "http://*.localhost:*",
            [b"http://a.localhost", b"http://a.localhost:3000"],
            [b"http://localhost:3000", b"https://a.localhost"],
        ),
        "a trailing dot on both sides": ("https://*.example.com.", [b"https://a.example.com."], [b"https://a.example.com"]),
    }
)
def test_a_wildcard_stands_for_what_it_says_and_no_more(case: Any) -> None:
    text, good, bad = case
    pattern = pattern_of(text)

    assert pattern.kind is PatternKind.WILDCARD
    assert matched(pattern, *good, *bad) == good


def test_a_regex_matches_whole_origins_that_are_spelled_as_browsers_spell_them() -> None:
    pattern = pattern_of(r"https://.+", regex=True)

    assert pattern.kind is PatternKind.REGEX
    assert matched(pattern, b"https://a.example", b"https://A.example", b"https://a.example/x", b"xhttps://a") == [b"https://a.example"]


def test_a_regex_never_matches_null() -> None:
    """Rule 6: nothing but `*` covers null."""
    assert matched(pattern_of("null|.*", regex=True), b"null") == []


def test_null_is_an_entry_of_its_own_and_case_sensitive() -> None:
    """Rule 6: `null` is case-sensitive."""
    pattern = pattern_of("null")

    assert pattern.kind is PatternKind.NULL
    assert matched(pattern, b"null", b"NULL", b"https://null", b"") == [b"null"]


# --- what is refused ------------------------------------------------------------------------------


@table(
    {
        "a trailing slash": (
            "https://a.example/",
            problems.ORIGIN_SPELLING,
            "`https://a.example/` never matches: an origin ends without a slash",
            "write `https://a.example`",
        ),
        "no right spelling": (
            "https://a b",
            problems.ORIGIN_SPELLING,
            "`https://a b` never matches: an origin holds no space and no comma",
            "write one origin an entry: `https://a`, `https://b`",
        ),
        "a star in the middle": (
            "https://a.*.example",
            problems.BAD_WILDCARD,
            "`https://a.*.example` has a `*` that stands for nothing",
            "write `https://*.example.com` for any subdomain, `http://localhost:*` for any port, or a `regex:`",
        ),
        "a star as the host": (
            "https://*",
            problems.BAD_WILDCARD,
            "`https://*` has a `*` that stands for nothing",
            'write `"*"` alone for any origin, or name the domain: `https://*.example.com`',
        ),
        "a star as the host at any port": (
            "https://*:*",
            problems.BAD_WILDCARD,
            "`https://*:*` has a `*` that stands for nothing",
            "write `https://*.example.com` for any subdomain, `http://localhost:*` for any port, or a `regex:`",
        ),
        "a star and a dot": (
            "https://*.",
            problems.BAD_WILDCARD,
            "`https://*.` has a `*` that stands for nothing",
            "write `https://*.example.com` for any subdomain, `http://localhost:*` for any port, or a `regex:`",
        ),
        "a star before a name": (
            "https://*example.com",
            problems.BAD_WILDCARD,
            "`https://*example.com` has a `*` that stands for nothing",
            "write `https://*.example.com` for any subdomain",
        ),
        "two stars": (
            "https://*.*.example",
            problems.BAD_WILDCARD,
            "`https://*.*.example` has a `*` that stands for nothing",
            "write `https://*.example.com` for any subdomain, `http://localhost:*` for any port, or a `regex:`",
        ),
        "a star without a scheme": (
            "*.example.com",
            problems.BAD_WILDCARD,
            "`*.example.com` has a `*` that stands for nothing",
            "write the scheme too: `https://*.example.com`",
        ),
        "a star port without a scheme": (
            "localhost:*",
            problems.BAD_WILDCARD,
            "`localhost:*` has a `*` that stands for nothing",
            'write `"*"` alone for any origin, or name scheme and host: `https://*.example.com`',
        ),
        "a star as the scheme": (
            "*://a.example",
            problems.BAD_WILDCARD,
            "`*://a.example` has a wildcard with a scheme other than http and https",
            "write `https://a.example`, and `http://a.example` if that is meant too",
        ),
        "another scheme": (
            "ftp://*.example.com",
            problems.BAD_WILDCARD,
            "`ftp://*.example.com` has a wildcard with a scheme other than http and https",
            "list the origins, as `ftp://app`",
        ),
        "a wildcard in upper case": (
            "https://*.Example.com",
            problems.ORIGIN_SPELLING,
            "`https://*.Example.com` never matches: browsers send scheme and host in lower case",
            "write `https://*.example.com`",
        ),
        "a wildcard with a path": (
            "https://*.example.com/x",
            problems.ORIGIN_SPELLING,
            "`https://*.example.com/x` never matches: an origin has no path, query or fragment",
            "write `https://*.example.com`",
        ),
        "any port in upper case": (
            "http://Localhost:*",
            problems.ORIGIN_SPELLING,
            "`http://Localhost:*` never matches: browsers send scheme and host in lower case",
            "write `http://localhost:*`",
        ),
        "a wildcard without a right spelling": (
            "https://*.a b",
            problems.ORIGIN_SPELLING,
            "`https://*.a b` never matches: an origin holds no space and no comma",
            "write `https://*.example.com` for any subdomain, `http://localhost:*` for any port, or a `regex:`",
        ),
        "a port and any port": (
            "http://localhost:3000:*",
            problems.BAD_WILDCARD,
            "`http://localhost:3000:*` names a port and any port",
            "write `http://localhost:3000`, or `http://localhost:*` for any port",
        ),
        "subdomains of an IPv4 address": (
            "http://*.127.0.0.1",
            problems.BAD_WILDCARD,
            "`http://*.127.0.0.1` has a wildcard before an IP address, which has no subdomains",
            "write `http://127.0.0.1`",
        ),
        "subdomains of an IPv6 address": (
            "http://*.[::1]",
            problems.BAD_WILDCARD,
            "`http://*.[::1]` has a wildcard before an IP address, which has no subdomains",
            "write `http://[::1]`",
        ),
        "an empty label": (
            "https://*..example.com",
            problems.BAD_WILDCARD,
            "`https://*..example.com` has an empty label in its host name",
            "write `https://*.example.com`",
        ),
    }
)
def test_an_entry_that_could_never_match_is_refused_with_the_right_one(case: Any) -> None:
    text, problem, message, help_ = case

    assert parse_pattern(text) == Fault(problem, (), message, help_)


def test_a_regex_outside_of_the_subset_is_refused_at_its_character() -> None:
    assert parse_pattern("^a", regex=True) == Fault(
        problems.REGEX_SUBSET,
        (),
        "at character 1 of `^a`: an anchor `^`",
        "take it out: a pattern always matches the whole origin",
    )


# --- danger ---------------------------------------------------------------------------------------


@table(
    {
        "https": ("https://a.example", False, False),
        "http": ("http://a.example", False, True),
        "http at a port": ("http://a.example:8080", False, True),
        "localhost": ("http://localhost:3000", False, False),
        "a name under localhost": ("http://a.localhost", False, False),
        "a name that only ends in localhost": ("http://alocalhost", False, True),
        "a host named like loopback": ("http://localhost.example", False, True),
        "127.0.0.1": ("http://127.0.0.1", False, False),
        "127.9.9.9": ("http://127.9.9.9:1", False, False),
        "another address": ("http://128.0.0.1", False, True),
        "::1": ("http://[::1]:8080", False, False),
        "another IPv6 address": ("http://[::2]", False, True),
        "another scheme": ("capacitor://localhost", False, False),
        "null": ("null", False, False),
        "any https subdomain": ("https://*.example.com", False, False),
        "any http subdomain": ("http://*.example.com", False, True),
        "any http subdomain of localhost": ("http://*.localhost", False, False),
        "any port of localhost": ("http://localhost:*", False, False),
        "any port of an http host": ("http://a.example:*", False, True),
        "a regex for https": (r"https://.*", True, False),
        "a regex for either": (r"https?://.*", True, True),
        "a regex for http on loopback is not read that closely": (r"http://localhost", True, True),
    }
)
def test_is_insecure(case: Any) -> None:
    text, regex, expected = case

    assert pattern_of(text, regex=regex).is_insecure is expected
