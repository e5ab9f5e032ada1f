"""YAML that is written to be read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.config import nodes
from corsproxy.config.diagnostics import Report, Source
from corsproxy.config.layout import aligned, quoted, written
from corsproxy.config.nodes import Mapping, Node, Scalar, Sequence

PLAIN = (
    "http://localhost:9000",
    "https://*.example.com:*",
    "127.0.0.1:8080",
    "unix:/run/app.sock:/base",
    "Content-Type",
    "2h",
    "16KiB",
    "none",
)
QUOTED = {
    "true": '"true"',
    "4000": '"4000"',
    "": '""',
    "*": '"*"',
    ":8080": '":8080"',
    "[::1]:8080": '"[::1]:8080"',
    "a: b": '"a: b"',
    "a #b": '"a #b"',
    "a:": '"a:"',
    "it's": '"it\'s"',
    'say "so"': "'say \"so\"'",
    r"\d+\.example": r"'\d+\.example'",
    "two\nlines": '"two\\nlines"',
    "\x07": '"\\x07"',
    "\u200b": '"\\u200b"',
    "\U000e0001": '"\\U000e0001"',
}


def read(text: str) -> Node:
    source = Source("f")
    return nodes.read_nodes(text, source, Report(source))


@pytest.mark.parametrize("text", PLAIN)
def test_what_needs_no_quotes_gets_none(text: str) -> None:
    assert quoted(text) == text


@pytest.mark.parametrize(("text", "expected"), QUOTED.items())
def test_what_would_be_read_as_something_else_is_quoted(text: str, expected: str) -> None:
    assert quoted(text) == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_is_read_again_as_itself_in_a_block_and_in_brackets(text: str) -> None:
    block = read(f"key: {quoted(text)}\n")
    brackets = read(f"[{quoted(text)}, {{key: {quoted(text)}}}]\n")

    assert isinstance(block, Mapping)
    assert isinstance(brackets, Sequence)
    inner = brackets.items[1]
    assert isinstance(inner, Mapping)
    found = [block.entries["key"].value, brackets.items[0], inner.entries["key"].value]
    assert [each.value for each in found if isinstance(each, Scalar)] == [text] * 3


@pytest.mark.parametrize("text", ["true", "12", "null", "~", "", "word", '"true"', "'12'"])
def test_a_value_is_written_as_what_it_was_read_as(text: str) -> None:
    value = read(f"key: {text}\n")
    assert isinstance(value, Mapping)
    scalar = value.entries["key"].value
    assert isinstance(scalar, Scalar)
    again = read(f"key: {written(scalar)}\n")
    assert isinstance(again, Mapping)
    found = again.entries["key"].value

    assert isinstance(found, Scalar)
    assert (found.value, type(found.value)) == (scalar.value, type(scalar.value))


def test_comments_share_a_column_and_long_lines_one_of_their_own() -> None:
    lines = [("a: 1", "one"), ("b:", ""), ("c: 123456789", "two"), ("d: 1234567890123", "three"), ("e: 1", "four")]

    assert aligned(lines, 10) == [
        "a: 1      # one",
        "b:",
        "c: 123456789       # two",
        "d: 1234567890123   # three",
        "e: 1      # four",
    ]


def test_long_lines_of_another_depth_do_not_share_a_column() -> None:
    assert aligned([("a: 123456789", "one"), ("  b: 123456789012", "two")], 10) == ["a: 123456789   # one", "  b: 123456789012   # two"]
