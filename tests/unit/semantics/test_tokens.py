"""Tokens and lists, byte by byte."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy.semantics.tokens import TCHARS, in_ascii, is_token, list_elements


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
