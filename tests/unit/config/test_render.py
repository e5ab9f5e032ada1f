"""Diagnostics on a terminal."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy import problems
from corsproxy.config.diagnostics import Diagnostic, Interpolation, Source, Span, diagnostic
from corsproxy.config.load import load_flags, load_text
from corsproxy.config.render import MAX_LINE, escape, pointer, render, summary

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def shown(line: str, column: int, end_column: int, number: int = 1) -> list[str]:
    """Render a diagnostic in a line and return the source line and the caret line, without their gutters."""
    source = Source("f", ("",) * (number - 1) + (line,))
    text = render([diagnostic(problems.BAD_UNIT, Span(source, number, column, number, end_column), "no")])
    return [each.partition("|")[2][1:] for each in text.splitlines()[3:5]]


def test_a_diagnostic_has_the_form_of_rustc() -> None:
    source = Source("config.yaml", ("",) * 7 + ("  max_age: 90000",))
    found = diagnostic(
        problems.DUPLICATE_KEY,
        Span(source, 8, 12, 8, 17),
        "max_age 90000 is over 86400",
        "browsers cap it (Chromium 7200 s, Firefox 86400 s)",
    )

    assert render([found]) == (
        "error[CP104]: max_age 90000 is over 86400\n"
        " --> config.yaml:8:12\n"
        "  |\n"
        "8 |   max_age: 90000\n"
        "  |            ^^^^^\n"
        "  = help: browsers cap it (Chromium 7200 s, Firefox 86400 s)\n"
        "\n"
        "1 error\n"
    )


def test_a_note_stands_between_the_place_and_the_help() -> None:
    came = Interpolation("${A}", ("environment variable A",), "x\ny")
    found = diagnostic(problems.BAD_UNIT, Span(Source("f", ("a: ${A}",)), 1, 4, 1, 8, came), "no", "yes")

    assert render([found]).splitlines()[5:7] == ["  = note: the value is `x\\x0ay` (environment variable A)", "  = help: yes"]


def test_the_gutter_is_as_wide_as_the_number() -> None:
    source = Source("f", ("",) * 99 + ("cors: x",))

    assert render([diagnostic(problems.DANGEROUS_SETTING, Span(source, 100, 7, 100, 8), "no", "yes")]) == (
        "warning[CP251]: no\n   --> f:100:7\n    |\n100 | cors: x\n    |       ^\n    = help: yes\n\n1 warning\n"
    )


def test_without_a_place_the_file_is_named() -> None:
    assert render([Diagnostic(problems.NOT_YAML, "no", file="f")]) == "error[CP102]: no\n --> f\n\n1 error\n"


def test_a_flag_is_shown_without_a_line_number() -> None:
    loaded = load_flags("localhost:9000", ["https://a.example"])

    assert render(loaded.diagnostics) == (
        "error[CP108]: `localhost:9000` has no scheme\n"
        " --> flag --upstream\n"
        "  |\n"
        "  | localhost:9000\n"
        "  | ^^^^^^^^^^^^^^\n"
        "  = help: write `http://localhost:9000`\n"
        "\n"
        "1 error\n"
    )


def test_nothing_wrong_is_nothing_to_show() -> None:
    assert render([]) == ""
    assert summary([]) == "no problems"


def test_the_last_line_counts() -> None:
    kinds = [problems.NOT_YAML] * 4 + [problems.DANGEROUS_SETTING] + [problems.MAX_AGE_CAPPED] * 2

    assert summary(Diagnostic(problem, "") for problem in kinds) == "4 errors, 1 warning, 2 notes"
    assert render(Diagnostic(problem, "no", file="f") for problem in kinds).endswith("\n\n4 errors, 1 warning, 2 notes\n")


def test_colour_changes_nothing_but_colour() -> None:
    loaded = load_text("upstream: http://localhost:9000\ncors: {allow_origins: ['https://a/'], max_age: 24h}\n", "f")
    plain, coloured = render(loaded.diagnostics), render(loaded.diagnostics, colour=True)

    assert "\x1b" not in plain
    assert ESCAPE.sub("", coloured) == plain
    assert "\x1b[1;31merror[CP201]\x1b[0m" in coloured
    assert "\x1b[1;31m^^^^^^^^^^^^\x1b[0m" in coloured


@pytest.mark.parametrize(
    ("line", "column", "end", "expected"),
    [
        pytest.param("a: b", 4, 5, ["a: b", "   ^"], id="plain"),
        pytest.param("a: b", 4, 4, ["a: b", "   ^"], id="an empty span gets one caret"),
        pytest.param("a:", 3, 3, ["a:", "  ^"], id="behind the end of the line"),
        pytest.param("a: b", 40, 50, ["a: b", "    ^"], id="far behind the end of the line"),
        pytest.param("\ta: b", 5, 6, ["    a: b", "       ^"], id="a tab is four columns"),
        pytest.param("漢字: b", 5, 6, ["漢字: b", "      ^"], id="wide characters are two columns"),
        pytest.param("é: 漢", 4, 5, ["é: 漢", "   ^^"], id="the caret is as wide as what it points at"),
        pytest.param("e\u0301: b", 5, 6, ["e\u0301: b", "   ^"], id="a combining character is no column"),
        pytest.param("a: \x1b[31m", 4, 9, ["a: \\x1b[31m", "   ^^^^^^^^"], id="a control character is written as an escape"),
        pytest.param("a\u202eb", 3, 4, ["a\\u202eb", "       ^"], id="text direction cannot be turned"),
        pytest.param("a\U000e0001b", 3, 4, ["a\\U000e0001b", "           ^"], id="an invisible tag is shown"),
        pytest.param("a\ud800b", 3, 4, ["a\\ud800b", "       ^"], id="half a character is written as an escape"),
    ],
)
def test_the_caret_stands_below_its_value(line: str, column: int, end: int, expected: list[str]) -> None:
    assert shown(line, column, end) == expected


def test_a_span_over_several_lines_is_underlined_to_the_end_of_the_first() -> None:
    source = Source("f", ("routes: [a,  ", "b]"))
    text = render([diagnostic(problems.WRONG_TYPE, Span(source, 1, 9, 2, 3), "no")])

    assert text.splitlines()[3:5] == ["1 | routes: [a,", "  |         ^^^"]


@pytest.mark.parametrize("column", [1, 30, 500, 990, 1000])
def test_a_long_line_is_cut_around_the_caret(column: int) -> None:
    line = "".join(chr(ord("a") + i % 26) for i in range(1000))
    text, caret = shown(line, column, column + 1)

    assert len(text) <= MAX_LINE + 2
    assert text[caret.index("^")] == line[column - 1]
    assert text.startswith("…") == (column > 40)
    assert text.endswith("…") == (column < 900)


def test_a_long_value_is_underlined_as_far_as_it_is_shown() -> None:
    text, caret = shown("a: " + "b" * 1000, 4, 1004)

    assert caret.strip() == "^" * (len(text) - 4)


def test_a_long_message_is_cut_in_the_middle() -> None:
    text = render([Diagnostic(problems.NOT_YAML, "x" * 10_000 + " is wrong", file="f")])

    assert len(text) < 500
    assert "…" in text
    assert "is wrong" in text


@given(
    line=st.text(max_size=300),
    column=st.integers(1, 400),
    width=st.integers(0, 400),
    message=st.text(max_size=50),
    name=st.text(max_size=20),
)
def test_whatever_the_file_holds_the_terminal_is_safe(line: str, column: int, width: int, message: str, name: str) -> None:
    span = Span(Source(name, (line,)), 1, column, 1, column + width)
    text = render([diagnostic(problems.NOT_YAML, span, message, "x" + message)])

    assert not [each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs") and each != "\n"]
    assert len(text.splitlines()) == 8
    text.encode()


def test_a_place_can_be_shown_alone() -> None:
    source = Source("config.yaml", ("upstream: http://user:secret@up", "cors: none"))

    assert pointer(Span(source, 2, 7, 2, 11)) == " --> config.yaml:2:7\n  |\n2 | cors: none\n  |       ^^^^"
    assert pointer(Source("flag --listen", (":1",), is_file=False).span(1, 3)) == " --> flag --listen\n  |\n  | :1\n  | ^^"
    assert "secret" not in pointer(Span(source, 1, 1, 1, 9))
    assert ESCAPE.sub("", pointer(Span(source, 2, 1, 2, 5), colour=True)) == pointer(Span(source, 2, 1, 2, 5))


def test_text_for_a_terminal_holds_no_control_characters() -> None:
    assert escape("a\x1b[1m\u202eb\tc") == r"a\x1b[1m\u202eb\tc"
