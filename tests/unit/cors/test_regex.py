"""The regular language of policies: what it reads, what it refuses, and that nothing makes it slow."""

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy.cors.regex import MAX_STATES, Regex, RegexRefused


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


@table(
    {
        "literals": ("abc", ["abc"], ["", "ab", "abcd", "xabc", "ABC"]),
        "the empty pattern": ("", [""], ["a"]),
        "a dot is any printable character": ("a.c", ["abc", "a.c", "a c", "a~c"], ["ac", "abbc", "a\nc", "a\x7fc", "a\x1fc"]),
        "an escaped dot is a dot": (r"a\.c", ["a.c"], ["abc"]),
        "alternatives": ("ab|cd|", ["ab", "cd", ""], ["abcd", "abd", "a"]),
        "a group": ("a(b|c)d", ["abd", "acd"], ["ad", "abcd"]),
        "a group that captures nothing": ("a(?:b|c)d", ["abd", "acd"], ["ad"]),
        "an empty group": ("a()b", ["ab"], ["a()b"]),
        "a group of one character": ("a(b)c", ["abc"], ["ac"]),
        "a question mark": ("ab?c", ["ac", "abc"], ["abbc"]),
        "a question mark behind a group": ("a(bc)?d", ["ad", "abcd"], ["abd"]),
        "two ways to nothing": ("(a?|b?)c", ["c", "ac", "bc"], ["abc"]),
        "a star": ("ab*c", ["ac", "abc", "abbbc"], ["a", "abb"]),
        "a plus": ("ab+c", ["abc", "abbbc"], ["ac"]),
        "a count": ("a{3}", ["aaa"], ["aa", "aaaa"]),
        "a count of nothing": ("xa{0}y", ["xy"], ["xay"]),
        "a range of counts": ("a{1,3}", ["a", "aa", "aaa"], ["", "aaaa"]),
        "a range of counts from nothing": ("xa{0,2}y", ["xy", "xay", "xaay"], ["xaaay"]),
        "a count behind a group": ("(ab|c){2}", ["abab", "abc", "cc"], ["ab", "ababc"]),
        "a class": ("[abc]", ["a", "b", "c"], ["d", "ab", ""]),
        "a range in a class": ("[a-c0-2]", ["b", "2"], ["d", "3", "-"]),
        "a range of one": ("[a-a]", ["a"], ["b", "-"]),
        "a hyphen at the end of a class": ("[a-]", ["a", "-"], ["b"]),
        "a hyphen at the beginning of a class": ("[-a]", ["a", "-"], ["b"]),
        "a negated class is printable": ("[^a-c]", ["d", "~", " "], ["a", "\n", "\x7f"]),
        "a caret within a class": ("[a^]", ["a", "^"], ["b"]),
        "an escape in a class": (r"[\]\\\-]", ["]", "\\", "-"], ["a"]),
        "shorthands in a class": (r"[\d.]", ["7", "."], ["a"]),
        "digits": (r"\d", list("0123456789"), ["a", ""]),
        "no digits": (r"\D", ["a", " "], ["5", "\n"]),
        "word characters": (r"\w", ["a", "Z", "0", "_"], ["-", "."]),
        "no word characters": (r"\W", ["-", "."], ["a", "_", "\n"]),
        "an escaped sign is itself": (r"\*\+\?\{\(\)\[\|\^\$\/", ["*+?{()[|^$/"], [""]),
        "an origin": (
            r"https://[a-z0-9-]+\.pr-\d{1,4}\.example\.com(:\d{2,5})?",
            ["https://a-1.pr-42.example.com", "https://a.pr-1.example.com:8443"],
            [
                "https://a.pr-1.example.com.evil.example",
                "https://.pr-1.example.com",
                "https://a.pr-12345.example.com",
                "http://a.pr-1.example.com",
            ],
        ),
    }
)
def test_a_pattern_matches_whole_strings_as_pythons_own_does(case: Any) -> None:
    pattern, good, bad = case
    compiled = Regex(pattern)
    matched = [text for text in good + bad if compiled.fullmatch(text.encode())]

    assert matched == good
    # A second opinion, on printable text: ours knows no other.
    printable = [text for text in good + bad if text.isprintable()]
    assert [text for text in printable if re.fullmatch(pattern, text, re.ASCII)] == [text for text in good if text.isprintable()]


def test_bytes_beyond_ascii_never_match() -> None:
    assert not Regex(".").fullmatch(b"\xe9")
    assert not Regex("[^a]").fullmatch(b"\xff")


@table(
    {
        "an anchor at the beginning": ("^https://a", 0, "an anchor `^`"),
        "an anchor at the end": ("https://a$", 9, "an anchor `$`"),
        "a back-reference": (r"(a)\1", 3, "a back-reference"),
        "a look-ahead": ("(?=a)b", 0, "a look-around, a flag or a named group"),
        "a flag": ("(?i)a", 0, "a look-around, a flag or a named group"),
        "a named group": ("(?P<n>a)", 0, "a look-around, a flag or a named group"),
        "a star behind a group": ("(ab)*", 4, "`*` repeats a group"),
        "a plus behind a group of one": ("(a)+", 3, "`+` repeats a group"),
        "a star behind a choice": ("(a|b)*", 5, "`*` repeats a group"),
        "a star in a repeated group": ("(a*){2}", 0, "`*` or `+` inside a repeated group"),
        "a plus in an optional group": ("x(a+b)?", 1, "`*` or `+` inside a repeated group"),
        "three stars": ("a*b+c*", 5, "more than two `*` or `+`"),
        "a lazy star": ("a*?", 2, "a repetition of a repetition"),
        "a possessive plus": ("a++", 2, "a repetition of a repetition"),
        "a count of a count": ("a{2}{3}", 4, "a repetition of a repetition"),
        "a star at the beginning": ("*a", 0, "a `*` with nothing to repeat"),
        "a question mark behind a bar": ("a|?b", 2, "a `?` with nothing to repeat"),
        "a closing brace": ("a}", 1, "a `}` with nothing to repeat"),
        "a closing bracket": ("a]", 1, "a `]` with nothing to repeat"),
        "a group that does not end": ("a(b", 1, "a `(` without its `)`"),
        "a group that does not begin": ("a)b", 1, "a `)` without its `(`"),
        "a class that does not end": ("a[b", 1, "a `[` without its `]`"),
        "an empty class": ("a[]b]", 1, "an empty class"),
        "an empty negated class": ("a[^]]", 1, "an empty class"),
        "a class of nothing": (r"[^\d\D]", 0, "an empty class"),
        "a bracket in a class": ("[a[]", 2, "a `[` inside a class"),
        "a range backwards": ("[z-a]", 1, "a bad range `z-a`"),
        "a range to a shorthand": (r"[a-\d]", 1, r"a bad range `a-\d`"),
        "a range from a shorthand": (r"[\d-z]", 1, r"a bad range `\d-z`"),
        "an unknown escape": (r"a\n", 1, r"an unknown escape `\n`"),
        "an unknown escape in a class": (r"[\s]", 1, r"an unknown escape `\s`"),
        "a backslash at the end": ("a\\", 1, "an unknown escape `\\`"),
        "a brace without a count": ("a{b}", 1, "a `{` without `m` or `m,n` and `}`"),
        "a brace that does not end": ("a{2", 1, "a `{` without `m` or `m,n` and `}`"),
        "a count without a lower end": ("a{,2}", 1, "a `{` without `m` or `m,n` and `}`"),
        "a count without an upper end": ("a{2,}", 1, "a `{` without `m` or `m,n` and `}`"),
        "a count backwards": ("a{3,2}", 1, "the counts of `{3,2}` do not fit"),
        "a count beyond the states": ("a{2001}", 1, "the counts of `{2001}` do not fit"),
        "a count of a million": ("a{1,1000000}", 1, "the counts of `{1,1000000}` do not fit"),
        "a pattern of too many states": ("(a{100}){100}", 0, "the pattern is too large: over 500 states"),
        "empty groups in counts in counts": ("((((){200}){200}){200})", 0, "the pattern is too large: over 5000 steps"),
        "counts of nothing in counts": ("((((a{0}){200}){200}){200})", 0, "the pattern is too large: over 5000 steps"),
        "groups too deep": ("(" * 21 + ")" * 21, 20, "groups nested deeper than 20"),
        "another alphabet": ("https://bücher", 9, "the pattern is not ASCII"),
        "a control character": ("a\tb", 1, "the pattern is not ASCII"),
    }
)
def test_what_lies_outside_of_the_subset_is_refused_at_its_place(case: Any) -> None:
    pattern, position, message = case
    with pytest.raises(RegexRefused) as refused:
        Regex(pattern)

    assert (refused.value.position, str(refused.value)) == (position, message)


def test_a_count_of_thousands_of_digits_is_refused_like_any_other() -> None:
    with pytest.raises(RegexRefused):
        Regex("a{" + "9" * 5000 + "}")


def test_help_names_the_remedy() -> None:
    with pytest.raises(RegexRefused) as refused:
        Regex("a**")

    assert refused.value.help == "repeat once; a match is always of the whole origin"


def test_printable_ascii_is_all_that_a_pattern_may_hold() -> None:
    assert Regex(" a~").fullmatch(b" a~")
    for character in "\x1f\x7f\n":
        with pytest.raises(RegexRefused):
            Regex(f"a{character}")


def test_depth_is_counted_by_nesting_and_not_by_number() -> None:
    assert Regex("(a)" * 30).fullmatch(b"a" * 30)
    with pytest.raises(RegexRefused):
        Regex("(a)" * 3 + "(" * 21 + ")" * 21)


def test_the_largest_patterns_compile() -> None:
    assert Regex(f"a{{{MAX_STATES - 1}}}").fullmatch(b"a" * (MAX_STATES - 1))
    assert Regex("(" * 20 + "a" + ")" * 20).fullmatch(b"a")


def test_two_stars_are_not_one_too_many() -> None:
    assert Regex("a*b+").fullmatch(b"aab")


@table(
    {
        "a dot between letters": ("app.example", True),
        "a dot between a letter and a digit": ("a.1", True),
        "an escaped dot": (r"app\.example", False),
        "a repeated dot": ("a.*b", False),
        "a dot at the end": ("a.", False),
        "a dot at the beginning": (".a", False),
        "a dot in a class": ("a[.]b", False),
        "a loose dot before a good one": (r"a.b[c]\.d.*", True),
    }
)
def test_has_loose_dot(case: Any) -> None:
    pattern, expected = case

    assert Regex(pattern).has_loose_dot is expected


@table(
    {
        "yes": ("https?://a", b"http://", True),
        "the wrong scheme": ("https://a", b"http://", False),
        "a part of the prefix only": ("http", b"http://", False),
        "the whole of it": ("http://", b"http://", True),
        "through a dot": (".+", b"http://", True),
    }
)
def test_may_start_with(case: Any) -> None:
    pattern, prefix, expected = case

    assert Regex(pattern).may_start_with(prefix) is expected


@pytest.mark.parametrize("pattern", ["(a|a){40}b", "(a?){40}a{40}b", "a*a*b", "((a?){6}){6}b"])
def test_patterns_that_hang_a_backtracking_matcher_are_quick(pattern: str) -> None:
    compiled = Regex(pattern)
    start = time.perf_counter()

    assert not compiled.fullmatch(b"a" * 300)
    assert time.perf_counter() - start < 0.5
