from collections.abc import Callable

import pytest

from corsproxy import problems
from corsproxy.cors.origins import ANY, Bounds, Origins, RegexEntry, build_origins
from corsproxy.cors.pattern import OriginPattern
from corsproxy.problems import Fault, Problem

APP = "https://app.example"
NOBODY: Callable[[str], bool] = frozenset[str]().__contains__
PLAIN = Bounds("websocket_origins", NOBODY)
SECRET = Bounds("websocket_origins", NOBODY, allow_credentials=True)


def build(*entries: str | RegexEntry, bounds: Bounds = PLAIN) -> tuple[Origins, list[tuple[Problem, tuple[str | int, ...]]]]:
    faults: list[Fault] = []
    found = build_origins(entries, bounds, faults)
    return found, [(fault.problem, fault.path) for fault in faults]


@pytest.mark.parametrize(
    ("entries", "origin", "text"),
    [
        ((APP,), b"https://app.example", APP),
        ((APP,), b"https://app.example:8443", None),
        ((APP,), b"https://app.example/", None),
        (("https://*.app.example", APP), b"https://a.app.example", "https://*.app.example"),
        ((RegexEntry(r"https://pr-\d{1,4}\.example"),), b"https://pr-7.example", r"https://pr-\d{1,4}\.example"),
        ((ANY,), b"https://any.example", ANY),
        ((ANY,), b"null", ANY),
        ((ANY,), b"no origin", None),
    ],
)
def test_a_list_lets_in_whom_it_names(entries: tuple[str | RegexEntry, ...], origin: bytes, text: str | None) -> None:
    found, faults = build(*entries)
    entry = found.find(origin)

    assert (entry.text if isinstance(entry, OriginPattern) else entry) == text
    assert faults == []


def test_an_empty_list_of_origins_lets_nobody_in() -> None:
    assert Origins().find(b"https://app.example") is None


FAULTS: dict[str, tuple[tuple[str | RegexEntry, ...], Bounds, Problem, tuple[str | int, ...]]] = {
    "an empty list": ((), PLAIN, problems.NO_ORIGINS, ("websocket_origins",)),
    "a slash at the end": ((f"{APP}/",), PLAIN, problems.ORIGIN_SPELLING, ("websocket_origins", 0)),
    "* beside others": ((APP, ANY), PLAIN, problems.BAD_WILDCARD, ("websocket_origins", 1)),
    "* with credentials": ((ANY,), SECRET, problems.WILDCARD_WITH_CREDENTIALS, ("websocket_origins", 0)),
    "null": ((APP, "null"), PLAIN, problems.NULL_ORIGIN, ("websocket_origins", 1)),
    "null with credentials": (("null",), SECRET, problems.NULL_WITH_CREDENTIALS, ("websocket_origins", 0)),
    "http with credentials": (("http://app.example",), SECRET, problems.INSECURE_ORIGIN, ("websocket_origins", 0)),
    "a loose dot": ((RegexEntry("https://app.example"),), PLAIN, problems.UNESCAPED_DOT, ("websocket_origins", 0)),
    "a public suffix": (
        ("https://*.example",),
        Bounds("websocket_origins", frozenset({"example"}).__contains__),
        problems.PUBLIC_SUFFIX,
        ("websocket_origins", 0),
    ),
    "a public suffix with credentials": (
        ("https://*.example",),
        Bounds("websocket_origins", frozenset({"example"}).__contains__, allow_credentials=True),
        problems.PUBLIC_SUFFIX_WITH_CREDENTIALS,
        ("websocket_origins", 0),
    ),
}


@pytest.mark.parametrize(("entries", "bounds", "problem", "path"), FAULTS.values(), ids=FAULTS)
def test_a_dangerous_list_is_named_where_it_is_written(
    entries: tuple[str | RegexEntry, ...], bounds: Bounds, problem: Problem, path: tuple[str | int, ...]
) -> None:
    assert build(*entries, bounds=bounds)[1] == [(problem, path)]


@pytest.mark.parametrize(
    ("entry", "bounds"),
    [
        ("null", Bounds("websocket_origins", NOBODY, allows_null=True)),
        ("http://app.example", Bounds("websocket_origins", NOBODY, allow_credentials=True, allows_insecure=True)),
        ("https://*.example", Bounds("websocket_origins", frozenset({"example"}).__contains__, True, allows_public_suffixes=True)),
    ],
)
def test_what_is_accepted_by_name_is_no_fault(entry: str, bounds: Bounds) -> None:
    assert build(entry, bounds=bounds)[1] == []
