"""
Files as people break them: the example, with lines deleted, moved, indented, uncommented, cut and spliced.

Whatever comes of it is diagnostics or settings, never a traceback; and each diagnostic stands at a place of the file.
"""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from corsproxy.config import nodes
from corsproxy.config.diagnostics import Diagnostic
from corsproxy.config.load import Loaded, load_text
from corsproxy.config.render import render
from corsproxy.problems import Severity, catalogue
from corsproxy.startup import checked
from tests.docs.test_example import COMMENTED_OUT, EXAMPLE, LINES, uncomment

EVERYTHING = uncomment(*(number for block in COMMENTED_OUT for number in block))
CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*/*.yaml"))
OTHERS = [text for path in CONFIGS if (text := path.read_bytes().decode("utf-8", "replace"))]
BEGINNINGS = st.sampled_from([EXAMPLE, EVERYTHING]) | st.sampled_from(OTHERS)
CATALOGUE = catalogue()
ENVIRON = {"APP_ORIGIN": "https://app.example.com", "EMPTY": "", "WORD": "many", "LEGACY_API_KEY": "wSeCrEt-0451"}

# What stands for a value in a file: one of each kind, and what is easily taken for one.
VALUES = st.sampled_from(
    [
        *("", "null", "~", "true", "no", "on", "0", "-1", "99999999999999999999", "1.5", "15s", "2d", "10MB", "32k", "8080:80"),
        *("word", '"*"', "*", "*name", "&name a", "<<", "[]", "{}", "[a, b]", "{a: b}", "[[a]]", "{allow_origins: '*'}", "[null]"),
        *("https://app.example.com", "http://a.b/c?d#e", "unix:/run/a.sock", "[::1]:8080", "localhost", "x@y", "é", "“a”", "a" * 3000),
        *("${APP_ORIGIN}", "'${APP_ORIGIN}'", "'${EMPTY}'", "'${WORD}'", "'${LEGACY_API_KEY}'", "'${NOT_SET}'", "'${NOT_SET:-x}'"),
        *("'${'", "'$${a}'", "'${file:/run/secrets/none}'", "'${a:b}'", "'${file:}'", "{X: ${Y}}", "!!str a", "|\n      a\n      b", "'a"),
    ]
)
TOKENS = st.sampled_from(
    [
        *(
            ": ",
            ":",
            "- ",
            "-",
            "[",
            "]",
            "{",
            "}",
            ",",
            "'",
            '"',
            "#",
            " #",
            "\t",
            "*",
            "&",
            "!",
            "|",
            ">",
            "%",
            "@",
            "`",
            "\\",
            "${",
            "}",
        ),
        *("\n", "\r\n", "\r", "---\n", "...\n", "<<: ", "? ", "\x00", "\x85", "\u2028", "\ufeff", "😀", "\ud800", "/", "//", "..", "://"),
    ]
)
# Where in a text something happens, as a share of it.
SHARES = st.floats(0, 1, allow_nan=False)
KEY_AND_VALUE = re.compile(r"^([ #-]*[A-Za-z_]+:)( ?).*$", re.MULTILINE)


def at(text: str, share: float) -> int:
    return min(int(share * (len(text) + 1)), len(text))


def on_lines(text: str, share: float, change: str) -> str:
    """Change one line, or swap it with another."""
    lines = text.split("\n")
    place = min(int(share * len(lines)), len(lines) - 1)
    line = lines[place]
    other = (place * 7 + 3) % len(lines)
    match change:
        case "delete":
            del lines[place]
        case "double":
            lines.insert(place, line)
        case "swap":
            lines[place], lines[other] = lines[other], line
        case "indent":
            lines[place] = "  " + line
        case "tab":
            lines[place] = "\t" + line
        case "outdent":
            lines[place] = line.removeprefix("  ").removeprefix(" ")
        case "uncomment":
            lines[place] = line.replace("# ", "", 1)
        case "comment":
            lines[place] = "# " + line
        case "join":
            lines[place : place + 2] = ["".join(lines[place : place + 2])]
        case _:
            lines[place] = line + lines[other].strip()
    return "\n".join(lines)


LINE_CHANGES = ["delete", "double", "swap", "indent", "tab", "outdent", "uncomment", "comment", "join", "splice"]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(BEGINNINGS)
    if text is EXAMPLE or draw(st.booleans()):
        text = (
            uncomment(*(n for block in draw(st.lists(st.sampled_from(COMMENTED_OUT), max_size=4)) for n in block))
            if text is EXAMPLE
            else text
        )
    for _ in range(draw(st.integers(1, 5))):
        share = draw(SHARES)
        place = at(text, share)
        match draw(st.integers(0, 6)):
            case 0 | 1:
                text = on_lines(text, share, draw(st.sampled_from(LINE_CHANGES)))
            case 2:
                text = text[:place] + draw(TOKENS) + text[place:]
            case 3:
                text = text[:place] + draw(st.characters()) + text[place + 1 :]
            case 4:
                found = list(KEY_AND_VALUE.finditer(text))
                if found:
                    match = found[min(int(share * len(found)), len(found) - 1)]
                    text = f"{text[: match.end(1)]} {draw(VALUES)}{text[match.end() :]}"
            case 5:
                text = text[:place]
            case _:
                other = draw(BEGINNINGS)
                begin = at(other, draw(SHARES))
                text = text[:place] + other[begin : begin + 200] + text[place:]
    return text


def judge_place(each: Diagnostic, lines: tuple[str, ...]) -> None:
    """A diagnostic is about the file as a whole, or about a stretch of it that is there."""
    assert CATALOGUE[each.problem.code] is each.problem
    assert each.message
    assert each.help or each.severity is Severity.NOTE, each.message
    assert each.file == "f"
    if each.span is None:
        return
    assert 1 <= each.line <= each.end_line <= len(lines)
    assert (each.line, each.column) <= (each.end_line, each.end_column)
    assert 1 <= each.column <= len(lines[each.line - 1]) + 1
    assert 1 <= each.end_column <= len(lines[each.end_line - 1]) + 2


def load(content: bytes) -> Loaded:
    return checked(load_text(content, "f", environ=ENVIRON))


@given(mutated())
def test_whatever_becomes_of_a_file_it_is_settings_or_diagnostics(text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    loaded = load(content)
    said = render(loaded.diagnostics)

    has_errors = any(each.severity is Severity.ERROR for each in loaded.diagnostics)
    assert (loaded.settings is None) == has_errors, said
    lines = nodes.split_lines(content.decode("utf-8", "replace").removeprefix("\ufeff"))
    for each in loaded.diagnostics:
        judge_place(each, lines)
    places = [(each.line, each.column) for each in loaded.diagnostics]
    assert places == sorted(places)
    assert all(character.isprintable() or character == "\n" for character in said)

    again = load(content)
    assert render(again.diagnostics) == said
    assert again.diagnostics == loaded.diagnostics
    assert again.settings == loaded.settings


def test_the_beginnings_are_many_and_their_blocks_can_be_uncommented() -> None:
    assert len(OTHERS) > 350
    assert len(LINES) > 100
    assert load_text(EXAMPLE, "f").settings is not None
