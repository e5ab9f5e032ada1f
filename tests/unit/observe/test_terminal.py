"""Colours where a person looks, and nowhere else."""

import io
import os
import pty
from collections.abc import Iterator

import pytest

from corsproxy.observe.terminal import paint, wants_colour, width_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (True, False)),
        ({"NO_COLOR": "1"}, (False, False)),
        ({"NO_COLOR": ""}, (True, False)),
        ({"FORCE_COLOR": "1"}, (True, True)),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, (False, False)),
        ({"TERM": "dumb"}, (False, False)),
    ],
)
def test_who_wants_colours(variables: dict[str, str], expected: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, and elsewhere."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert (wants_colour(Terminal()), wants_colour(io.StringIO())) == expected


@pytest.fixture
def screen() -> Iterator[int]:
    ours, theirs = pty.openpty()
    yield theirs
    os.close(ours)
    os.close(theirs)


def test_only_a_terminal_has_a_width(screen: int) -> None:
    with os.fdopen(os.dup(screen), "w") as stream:
        assert width_of(stream) == os.get_terminal_size(screen).columns
    assert width_of(io.StringIO()) == 0


def test_nothing_is_painted_as_nothing() -> None:
    assert paint("", "31", colour=True) == ""
    assert paint("x", "31", colour=True) == "\x1b[31mx\x1b[0m"
