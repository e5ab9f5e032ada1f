"""Tokens and lists, byte by byte."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy.semantics.tokens import TCHARS, in_ascii, is_plain_value, is_token, list_elements


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def test_the_token_characters_are_the_77_of_the_grammar() -> None:
    """A token may hold the 15 signs, the digits and the letters of RFC 9110 5.6.2, and no other byte."""
    allowed = {byte for byte in range(256) if is_token(bytes((byte,)))}

    assert allowed == set(b"!#$%&'*+-.^_`|~") | set(b"0123456789") | set(range(65, 91)) | set(range(97, 123))
    assert len(TCHARS) == 77


@table(
    {
        "a header name is one": (b"X-Request-Id", True),
        "an empty value is none": (b"", False),
        "one bad byte in the middle spoils it": (b"X Request", False),
        "one bad byte at the end spoils it": (b"X-Request-Id\n", False),
        "a quoted string is none": (b'"GET"', False),
        "UTF-8 is none": ("é".encode(), False),
    }
)
def test_is_token(case: Any) -> None:
    value, expected = case

    assert is_token(value) is expected


def test_a_plain_value_ends_and_begins_with_what_shows_and_has_blanks_within() -> None:
    """Of the bytes of a field's value, those of ASCII that show, and the blank."""
    alone = {byte for byte in range(256) if is_plain_value(bytes((byte,))) is not None}
    within = {byte for byte in range(256) if is_plain_value(bytes((0x61, byte, 0x61))) is not None}

    assert alone == set(range(0x21, 0x7F))
    assert within == set(range(0x20, 0x7F))


@table(
    {
        "a word": (b"a", True),
        "words": (b"a b  c", True),
        "any signs": (b'"a: b"; q=0.5, <c>', True),
        "a long one": (b"x" * 10_000, True),
        "nothing": (b"", False),
        "a blank": (b" ", False),
        "a blank before it": (b" a", False),
        "a blank behind it": (b"a ", False),
        "a tab": (b"a\tb", False),
        "a line end": (b"a\r\nb", False),
        "a line end behind it": (b"a\n", False),
        "a NUL": (b"a\0b", False),
        "bytes beyond ASCII": (b"caf\xc3\xa9", False),
    }
)
def test_is_plain_value(case: Any) -> None:
    value, expected = case

    assert (is_plain_value(value) is not None) is expected


@table(
    {
        "one element": ([b"a"], [b"a"]),
        "a comma without a space": ([b"a,b"], [b"a", b"b"]),
        "spaces and tabs around elements go": ([b" a \t,\tb "], [b"a", b"b"]),
        "empty elements are left out": ([b",a,, ,b,"], [b"a", b"b"]),
        "several lines are one list, in order": ([b"b", b"a, c"], [b"b", b"a", b"c"]),
        "no line is an empty list": ([], []),
        "spaces within an element stay": ([b"a b"], [b"a b"]),
        "a line break is no white space": ([b"a\n"], [b"a\n"]),
    }
)
def test_list_elements(case: Any) -> None:
    """Rule 13: other orders, spaces, tabs, several lines and empty elements are read as the list that they are."""
    values, expected = case

    assert list_elements(values) == expected


def test_bytes_are_shown_in_ascii() -> None:
    assert in_ascii(b"caf\xc3\xa9 \xff") == r"caf\xc3\xa9 \xff"
