"""Heads that are the same but for one place: where there is a gap, and what may stand in it. That it is right is for tests/properties/test_lines.py."""

from dataclasses import replace

import pytest

from corsproxy.config.settings import Limits, Settings
from corsproxy.forward import Forward
from corsproxy.plan import Found
from corsproxy.variations import Variation
from tests.unit.planned import CLIENT, FRESH
from tests.unit.test_request_layouts import APP, HOST, ROUTE, SETTINGS, layouts, learn, raw_of

END = b"\r\n\r\n"


@pytest.fixture
def chosen() -> Settings:
    return replace(SETTINGS)


def vary(chosen: Settings, one: bytes, two: bytes) -> Variation | None:
    """What is seen of two heads, one after the other."""
    old, new = learn(chosen, one), learn(chosen, two)
    assert old is not None
    assert new is not None
    return layouts(chosen).vary(old, new, (one + END, two + END), CLIENT)


def by_target(chosen: Settings) -> Variation:
    found = vary(chosen, raw_of(HOST, APP), raw_of(HOST, APP, start=b"GET /b HTTP/1.1"))
    assert found is not None
    return found


def by_line(chosen: Settings) -> Variation:
    found = vary(chosen, raw_of(HOST, b"Cookie: a=1", APP), raw_of(HOST, b"Cookie: a=2", APP))
    assert found is not None
    return found


def head_of(found: Found | None) -> bytes:
    assert found is not None
    planned = found.plan(FRESH)
    assert isinstance(planned, Forward)
    return planned.head


def test_a_target_is_filled_in(chosen: Settings) -> None:
    variation = by_target(chosen)
    found = variation.fill(raw_of(HOST, APP, start=b"GET /other?x HTTP/1.1") + END)

    assert found is not None
    assert (found.method, found.target) == (b"GET", b"/other?x")
    assert head_of(found) == head_of(learn(chosen, raw_of(HOST, APP, start=b"GET /other?x HTTP/1.1")))


def test_a_line_is_filled_in(chosen: Settings) -> None:
    raw = raw_of(HOST, b"Cookie: another=3", APP)

    assert head_of(by_line(chosen).fill(raw + END)) == head_of(learn(chosen, raw))


@pytest.mark.parametrize(
    "target", [b"", b"a", b"*", b"/a b", b"/a#b", b"/caf\xe9", b"/\x7f", b"/\0", b"/\r", b"/\n", b"/ HTTP/1.1\r\nX: 1\r\n\r\nGET /"]
)
def test_what_is_no_plain_target_is_not_filled_in(chosen: Settings, target: bytes) -> None:
    assert by_target(chosen).fill(raw_of(HOST, APP, start=b"GET %b HTTP/1.1" % target) + END) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Cookie:a=1",
        b"Cookie:  a=1",
        b"Cookie: a=1 ",
        b"Cookie : a=1",
        b"Cookie: \0",
        b"Cookie: a\rb",
        b"Cookie: a\nb",
        b"Cookie: a\r\nX: 1",
        b"Cookie: a\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example",
        b" Cookie: a=1",
        b"Host: evil.example",
        b"Origin: https://evil.example",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Upgrade: h2c",
        b"User-Agent: ua",
        b"X-Name: 1",
    ],
)
def test_a_line_that_means_another_thing_is_not_filled_in(chosen: Settings, line: bytes) -> None:
    assert by_line(chosen).fill(raw_of(HOST, line, APP) + END) is None


def test_a_head_that_is_shorter_than_what_it_begins_and_ends_with_is_not_filled_in(chosen: Settings) -> None:
    variation = by_line(chosen)

    assert variation.fill(variation.begin) is None
    assert variation.fill(variation.end) is None
    assert variation.fill(variation.begin + variation.end) is None


def test_a_head_over_a_limit_is_not_filled_in() -> None:
    variation = by_target(replace(SETTINGS, limits=Limits(request_line=300, request_head=1000)))
    rest = len(variation.begin) + len(variation.end) + 1

    assert variation.fill(variation.begin + b"/" + b"x" * (150 - rest) + variation.end) is not None
    for size in (301, 1001):
        assert variation.fill(variation.begin + b"/" + b"x" * (size - rest) + variation.end) is None


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (raw_of(HOST, b"X: 1", b"Y: 1"), raw_of(HOST, b"X: 2", b"Y: 2")),
        (raw_of(HOST, b"X: 1"), raw_of(HOST, b"X: 2", start=b"GET /b HTTP/1.1")),
        (raw_of(HOST, b"X: 1"), raw_of(HOST, b"X: 1")),
        (raw_of(HOST, b"X: 1"), raw_of(HOST, b"X: 1", b"X: 2")),
        (raw_of(HOST, b"User-Agent: a"), raw_of(HOST, b"User-Agent: b")),
        (raw_of(HOST, b"X-Request-Id: their-id-1"), raw_of(HOST, b"X-Request-Id: their-id-2")),
        (raw_of(HOST, APP), raw_of(HOST, b"Origin: https://other.example")),
        (raw_of(HOST, b"Accept: a/b"), raw_of(HOST, b"Accept: c/d")),
        (raw_of(HOST, start=b"GET / HTTP/1.1"), raw_of(HOST, start=b"HEAD / HTTP/1.1")),
        (raw_of(HOST, b"Content-Length: 5"), raw_of(HOST, b"Content-Length: 6")),
    ],
)
def test_there_is_no_gap_where_more_differs_or_what_differs_is_read(chosen: Settings, one: bytes, two: bytes) -> None:
    assert vary(chosen, one, two) is None


def test_there_is_no_gap_for_a_target_where_the_path_decides() -> None:
    chosen = replace(SETTINGS, routes=(replace(ROUTE, path=b"/a"), ROUTE))

    assert vary(chosen, raw_of(HOST, start=b"GET /a/1 HTTP/1.1"), raw_of(HOST, start=b"GET /a/2 HTTP/1.1")) is None


def test_there_is_no_gap_in_a_preflight(chosen: Settings) -> None:
    lines = (HOST, APP, b"Access-Control-Request-Method: PUT")

    assert vary(chosen, *(raw_of(*lines, start=b"OPTIONS %b HTTP/1.1" % target) for target in (b"/a", b"/b"))) is None
