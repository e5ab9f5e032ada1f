"""Which origins a list lets in that another does not."""

import pytest

from corsproxy.comparison.origins import OriginSet, beyond, written
from corsproxy.cors.pattern import OriginPattern, parse_pattern


def pattern(text: str) -> OriginPattern:
    found = parse_pattern(text.removeprefix("regex "), regex=text.startswith("regex "))
    assert isinstance(found, OriginPattern), found
    return found


def origins(*texts: str) -> OriginSet:
    return OriginSet("*" in texts, tuple(pattern(text) for text in texts if text != "*"))


def said(new: OriginSet, old: OriginSet) -> list[tuple[str, bool]]:
    return [(each.text, each.is_certain) for each in beyond(new, old)]


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("https://a.example", "https://a.example"),
        ("https://a.example", "*"),
        ("null", "*"),
        ("https://*.a.example", "*"),
        ("regex https://[a-z]+", "*"),
        ("https://x.a.example", "https://*.a.example"),
        ("https://x.y.a.example:1", "https://*.a.example:*"),
        ("http://localhost:3000", "http://localhost:*"),
        ("http://localhost", "http://localhost:*"),
        ("https://*.b.a.example", "https://*.a.example"),
        ("https://*.a.example", "https://*.a.example:*"),
        ("https://*.a.example:8443", "https://*.a.example:*"),
        ("https://b.a.example:*", "https://*.a.example:*"),
        ("https://pr-7.example", r"regex https://pr-\d\.example"),
        (r"regex https://pr-\d\.example", r"regex https://pr-\d\.example"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_what_is_covered_is_not_said(inner: str, outer: str) -> None:
    assert said(origins(inner), origins(outer, "https://other.example") if outer != "*" else origins(outer)) == []


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("https://b.example", "https://a.example"),
        ("http://a.example", "https://a.example"),
        ("https://a.example:8443", "https://a.example"),
        ("https://a.example", "https://*.a.example"),
        ("https://*.a.example", "https://x.a.example"),
        ("https://*.a.example", "https://*.b.a.example"),
        ("https://*.xa.example", "https://*.a.example"),
        ("https://*.a.example:*", "https://*.a.example"),
        ("http://*.a.example", "https://*.a.example"),
        ("https://a.example:*", "https://a.example"),
        ("https://a.example:*", "https://*.a.example:*"),
        ("https://pr-77.example", r"regex https://pr-\d\.example"),
        ("https://*.example", r"regex https://pr-\d\.example"),
        ("null", "https://a.example"),
        ("*", "https://*.example:*"),
    ],
)
def test_what_is_not_covered_is_certain(new: str, old: str) -> None:
    assert said(origins(new), origins(old)) == [(new, True)]


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (r"regex https://pr-\d\.example", "https://pr-7.example"),
        (r"regex https://pr-\d\.example", r"regex https://pr-[0-9]\.example"),
        ("https://*.a.example", r"regex https://[a-z-]+\.a\.example"),
    ],
)
def test_what_cannot_be_told_is_a_doubt(new: str, old: str) -> None:
    assert said(origins(new), origins(old)) == [(written(pattern(new)), False)]


def test_entries_have_their_places() -> None:
    new = OriginSet(False, (pattern("https://a.example"), pattern("https://b.example")), ("f:1:1", "f:1:2"))

    assert [(each.text, each.place) for each in beyond(new, origins("https://a.example"))] == [("https://b.example", "f:1:2")]
    assert [each.place for each in beyond(OriginSet(True, (), ("f:9:9",)), origins("https://a.example"))] == ["f:9:9"]


def test_nobody_is_covered_by_nobody() -> None:
    assert beyond(OriginSet(), OriginSet()) == ()
    assert said(origins("https://a.example"), OriginSet()) == [("https://a.example", True)]
