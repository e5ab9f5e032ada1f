"""Request targets, Host, and the many readings of a path."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.semantics.framing import Refusal
from corsproxy.semantics.target import MAX_FORMS, Target, TargetForm, climbs_above_root, normal_forms, parse_target


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def no(reason: str) -> Refusal:
    return Refusal(problems.BAD_REQUEST, reason)


HOST = b"api.example"


# --- Host -----------------------------------------------------------------------------------------


@table(
    {
        "a name": (b"api.example", True),
        "a name in capitals": (b"API.example", True),
        "a name with a port": (b"api.example:8080", True),
        "a name with an underscore": (b"my_api:80", True),
        "an IPv4 address": (b"127.0.0.1:80", True),
        "an IPv6 address": (b"[::1]", True),
        "an IPv6 address with a port": (b"[::1]:8080", True),
        "an empty port": (b"api.example:", True),
        "an empty field": (b"", True),
        "a port without a host": (b":80", False),
        "a colon alone": (b":", False),
        "a port of six digits": (b"a:123456", False),
        "a port of letters": (b"a:http", False),
        "user information": (b"user@api.example", False),
        "a path": (b"api.example/x", False),
        "two names": (b"a.example, b.example", False),
        "a space": (b"a b", False),
        "an IPv6 address without brackets": (b"::1", False),
        "an open bracket": (b"[::1", False),
        "a line break at the end": (b"api.example\n", False),
        "the longest name, with a port": (b"a" * 255 + b":65535", True),
        "a name longer than DNS has": (b"a" * 262, False),
        "a name that fills a head": (b"a." * 30_000, False),
    }
)
def test_host_is_one_name_and_perhaps_a_port(case: Any) -> None:
    host, is_good = case
    found = parse_target(b"GET", b"/", [host], 1)

    assert found == (Target(TargetForm.ORIGIN, b"/", b"", host) if is_good else no("host"))


@table(
    {
        "HTTP/1.1 without Host": (None, 1, no("host-missing")),
        "HTTP/1.0 without Host": (None, 0, Target(TargetForm.ORIGIN, b"/", b"", b"")),
        "two equal Host lines": ([HOST, HOST], 1, no("host")),
        "two Host lines in HTTP/1.0": ([HOST, HOST], 0, no("host")),
    }
)
def test_host_stands_exactly_once(case: Any) -> None:
    hosts, minor, expected = case

    assert parse_target(b"GET", b"/", hosts, minor) == expected


# --- forms ----------------------------------------------------------------------------------------


@table(
    {
        "a path": (b"/a", TargetForm.ORIGIN, b"/a", b""),
        "a query keeps its mark": (b"/a?b=c", TargetForm.ORIGIN, b"/a", b"?b=c"),
        "an empty query keeps its mark": (b"/a?", TargetForm.ORIGIN, b"/a", b"?"),
        "a second mark belongs to the query": (b"/a?b?c", TargetForm.ORIGIN, b"/a", b"?b?c"),
        "nothing is decoded or collapsed": (b"/a%2fb/../c//d;e|f", TargetForm.ORIGIN, b"/a%2fb/../c//d;e|f", b""),
        "two slashes are a path, not a host": (b"//evil.example/x", TargetForm.ORIGIN, b"//evil.example/x", b""),
        "a URL as the path is a path": (b"/http://evil.example/", TargetForm.ORIGIN, b"/http://evil.example/", b""),
        "absolute form": (b"http://api.example/a?b", TargetForm.ABSOLUTE, b"/a", b"?b"),
        "absolute form by https": (b"HTTPS://api.example/a", TargetForm.ABSOLUTE, b"/a", b""),
        "absolute form without a path": (b"http://api.example", TargetForm.ABSOLUTE, b"/", b""),
        "absolute form with a query and no path": (b"http://api.example?a/b", TargetForm.ABSOLUTE, b"/", b"?a/b"),
        "absolute form, host in other case": (b"http://API.example/", TargetForm.ABSOLUTE, b"/", b""),
    }
)
def test_targets_that_may_be_forwarded(case: Any) -> None:
    target, form, path, query = case
    found = parse_target(b"GET", target, [HOST], 1)

    assert found == Target(form, path, query, HOST)
    assert isinstance(found, Target)
    assert found.raw == path + query


@table(
    {
        "empty": (b"", no("target")),
        "no slash": (b"a", no("target")),
        "a fragment": (b"/a#b", no("target")),
        "a space": (b"/a b", no("target")),
        "a control byte": (b"/a\x00", no("target")),
        "a line break": (b"/a\n", no("target")),
        "a byte beyond ASCII": (b"/\xe9", no("target")),
        "another scheme": (b"ftp://api.example/", no("target")),
        "a scheme without slashes": (b"http:api.example", no("target")),
        "authority form": (b"api.example:443", no("target")),
        "another host than Host says": (b"http://evil.example/", no("target-and-host")),
        "another port than Host says": (b"http://api.example:8080/", no("target-and-host")),
        "user information": (b"http://user@api.example/", no("target-and-host")),
        "no host": (b"http:///a", no("target-and-host")),
        "the asterisk for another method than OPTIONS": (b"*", no("target")),
    }
)
def test_targets_that_are_refused(case: Any) -> None:
    target, expected = case

    assert parse_target(b"GET", target, [HOST], 1) == expected


def test_hosts_are_compared_without_case() -> None:
    assert isinstance(parse_target(b"GET", b"http://api.example/", [b"API.example"], 1), Target)


def test_an_absolute_target_without_a_host_is_refused_even_if_host_is_empty() -> None:
    assert parse_target(b"GET", b"http:///a", [b""], 1) == no("target-and-host")


def test_the_asterisk_is_for_options() -> None:
    assert parse_target(b"OPTIONS", b"*", [HOST], 1) == Target(TargetForm.ASTERISK, b"*", b"", HOST)


# --- readings -------------------------------------------------------------------------------------


@table(
    {
        "the root": b"/",
        "a plain path": b"/a/b.c/d",
        "a dot within a name": b"/a.b/c..d",
        "signs that mean nothing": b"/a-b_c~d!$&'()*+,=:@|",
    }
)
def test_a_plain_path_has_one_reading(case: Any) -> None:
    assert normal_forms(case) == (case,)


@table(
    {
        "dot segments resolved": (b"/a/../b", b"/b"),
        "a single dot": (b"/a/./b", b"/a/b"),
        "a dot segment at the end leaves its slash": (b"/a/b/..", b"/a/"),
        "a single dot at the end leaves its slash": (b"/a/.", b"/a/"),
        "dots do not climb above the root": (b"/../../a", b"/a"),
        "double slashes merged": (b"/a//b", b"/a/b"),
        "double slashes merged before a slash at the end": (b"/a//b/", b"/a/b/"),
        "leading slashes merged": (b"//a", b"/a"),
        "double slashes kept when dots are resolved": (b"/a//../b", b"/a/b"),
        "double slashes merged when dots are resolved": (b"/a//../b", b"/b"),
        "a backslash read as a slash": (rb"/a\b", b"/a/b"),
        "backslash dots": (rb"/a\..\b", b"/b"),
        "slashes merged where a backslash is none": (b"//a/..\\", b"/a/..\\"),
        "a backslash read as a slash where slashes are not merged": (rb"//a\..\b", b"//b"),
        "an escape decoded": (b"/%61", b"/a"),
        "an encoded slash": (b"/a%2Fb", b"/a/b"),
        "an encoded slash in lower case": (b"/a%2fb", b"/a/b"),
        "encoded dots": (b"/a/%2e%2E/b", b"/b"),
        "double encoding": (b"/a/%252e%252e/b", b"/b"),
        "triple encoding": (b"/a/%25252e%25252e/b", b"/b"),
        "parameters stripped": (b"/a;x=1/b;y", b"/a/b"),
        "parameters hide dots": (b"/a/..;x/b", b"/b"),
        "encoded parameters": (b"/a/..%3bx/b", b"/b"),
        "a path decoded and not resolved": (b"/a/%2e%2e/b", b"/a/../b"),
        "literal dots first, encoded ones afterwards": (b"/a/b/%2e%2e/../%2e%2e/c", b"/a/c"),
        "a half escape stays": (b"/a%2/%61", b"/a%2/a"),
    }
)
def test_a_tricky_path_has_the_reading_of_each_server(case: Any) -> None:
    path, reading = case
    forms = normal_forms(path)

    assert forms is not None
    assert forms[0] == path
    assert reading in forms
    assert len(set(forms)) == len(forms)


def test_readings_stop_at_the_third_decoding() -> None:
    assert normal_forms(b"/%2525252561") == (b"/%2525252561", b"/%25252561", b"/%252561", b"/%2561")


def test_a_path_with_too_many_readings_has_none() -> None:
    """The work that a hostile path can cause is bounded."""
    forms = normal_forms(b"/x;y//z%20w")

    assert forms is not None
    assert len(forms) <= MAX_FORMS
    assert normal_forms(b"/a;p//%253b%2f%255c;q/%252e%252e//..;/%2e%2e;%5c.%252f%252f;x/..//%252e") is None


def test_a_long_path_is_read_only_as_often_as_it_is_cheap() -> None:
    assert normal_forms(b"/a//" + b"x" * 1000) is not None
    assert normal_forms(b"/a//" + b"x" * 1_000_000) is None


@table(
    {
        "a plain path": (b"/a/b", False),
        "down and up again": (b"/a/../b", False),
        "up at once": (b"/../b", True),
        "up once too often": (b"/a/../../b", True),
        "encoded dots": (b"/%2e%2e/b", True),
        "twice encoded dots": (b"/a/..%252f..%252fb", True),
        "thrice encoded dots": (b"/%25252e%25252e/b", True),
        "double slashes do not count as a level": (b"/a//../../b", True),
        "single dots do not count as a level": (b"/a/./../../b", True),
        "parameters hide dots": (b"/..;x/b", True),
        "a backslash that is a slash": (b"/a/..\\..\\b", True),
        "a backslash that is none": (b"/a\\b/../../c", True),
        "dots in a name": (b"/...%20/a..b/..c/..", False),
        "escapes of escapes are read three times": (b"/%2525252e%2525252e/b", False),
        "coming back does not undo it": (b"/../a/b/c", True),
    }
)
def test_climbs_above_root(case: Any) -> None:
    path, expected = case

    assert climbs_above_root(path) is expected
