"""Header rules: how they are put together, and what they take off and put on."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy.semantics import rules
from corsproxy.semantics.rules import NO_RULES, HeaderRules, compile_rules


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


LINES = [(b"X-A", b"1"), (b"Accept", b"*/*"), (b"x-a", b"2"), (b"X-B", b"\xff")]


@table(
    {
        "nothing": ({}, LINES),
        "remove takes every line of a name, whatever its case": ({"remove": [b"x-A"]}, [LINES[1], LINES[3]]),
        "remove of what is not there": ({"remove": [b"X-C"]}, LINES),
        "set takes every line off and puts one on, behind": ({"replace": [(b"X-A", b"9")]}, [LINES[1], LINES[3], (b"X-A", b"9")]),
        "set of what is not there": ({"replace": [(b"X-C", b"9")]}, [*LINES, (b"X-C", b"9")]),
        "set twice: the last": ({"replace": [(b"X-C", b"1"), (b"x-c", b"2")]}, [*LINES, (b"x-c", b"2")]),
        "add leaves what is there": ({"add": [(b"X-A", b"9")]}, [*LINES, (b"X-A", b"9")]),
        "add twice: both": ({"add": [(b"X-C", b"1"), (b"X-C", b"2")]}, [*LINES, (b"X-C", b"1"), (b"X-C", b"2")]),
        "remove, then set, then add": (
            {"remove": [b"X-A"], "replace": [(b"X-A", b"8")], "add": [(b"X-A", b"9")]},
            [LINES[1], LINES[3], (b"X-A", b"8"), (b"X-A", b"9")],
        ),
        "an empty value is a value": ({"replace": [(b"X-B", b"")]}, [*LINES[:3], (b"X-B", b"")]),
    }
)
def test_rules_are_applied_in_the_order_remove_set_add(case: Any) -> None:
    given, expected = case

    assert compile_rules(**given).apply(LINES) == expected


@table(
    {
        "remove after set": ({"replace": [(b"X-A", b"8")]}, {"remove": [b"x-a"]}, []),
        "remove after add": ({"add": [(b"X-A", b"8")]}, {"remove": [b"X-A"]}, []),
        "set after set": ({"replace": [(b"X-A", b"8")]}, {"replace": [(b"X-A", b"9")]}, [(b"X-A", b"9")]),
        "set after remove": ({"remove": [b"X-A"]}, {"replace": [(b"X-A", b"9")]}, [(b"X-A", b"9")]),
        "add after set": ({"replace": [(b"X-A", b"8")]}, {"add": [(b"X-A", b"9")]}, [(b"X-A", b"8"), (b"X-A", b"9")]),
        "add after remove": ({"remove": [b"X-A"]}, {"add": [(b"X-A", b"9")]}, [(b"X-A", b"9")]),
        "another spelling is the same name": ({"add": [(b"X_A", b"8")]}, {"remove": [b"X-A"]}, []),
        "nothing after set": ({"replace": [(b"X-A", b"8")]}, {}, [(b"X-A", b"8")]),
    }
)
def test_rules_after_rules_come_to_both_one_after_the_other(case: Any) -> None:
    first, second, expected = case
    lines = [(b"X-A", b"1")]
    both = compile_rules(**second, after=compile_rules(**first))

    assert both.apply(lines) == expected == compile_rules(**second).apply(compile_rules(**first).apply(lines))


@pytest.mark.parametrize("rule", [b"X-Api-Key", b"X_Api_Key", b"x.api.key"])
@pytest.mark.parametrize("name", [b"X-Api-Key", b"x_api_key", b"X-Api_Key", b"X.Api.Key", b"X-Api~Key"])
def test_a_name_that_cgi_would_read_as_one_of_a_rule_is_that_one(rule: bytes, name: bytes) -> None:
    """WSGI, CGI and PHP merge `_` with `-`: what a rule sets could be set again by a client."""
    assert compile_rules(replace=[(rule, b"s")]).apply([(name, b"forged")]) == [(rule, b"s")]
    assert compile_rules(remove=[rule]).take_off([(name, b"forged")]) == []
    assert compile_rules(add=[(rule, b"s")]).apply([(name, b"mine")]) == [(name, b"mine"), (rule, b"s")]


def test_a_name_that_is_longer_or_shorter_stays() -> None:
    lines = [(b"X-Api-Keys", b"1"), (b"X-Api", b"1"), (b"XApiKey", b"1"), (b"Api-Key", b"1")]

    assert compile_rules(remove=[b"X-Api-Key"]).apply(lines) == lines


def test_take_off_puts_nothing_on() -> None:
    assert compile_rules(remove=[b"X-B"], replace=[(b"X-A", b"9")], add=[(b"X-C", b"9")]).take_off(LINES) == [LINES[1]]


def test_rules_are_true_if_they_do_something() -> None:
    assert not NO_RULES
    assert not compile_rules()
    assert compile_rules(remove=[b"X-A"])
    assert compile_rules(add=[(b"X-A", b"")])


def test_values_do_not_show() -> None:
    found = compile_rules([b"X-B"], [(b"X-A", b"hush")], [(b"X-A", b"hush")])

    assert "hush" not in repr(found)
    assert "x-b" in repr(found)


def test_what_was_learned_makes_no_difference() -> None:
    fresh, used = compile_rules([b"X-A"]), compile_rules([b"X-A"])
    used.apply(LINES)

    assert used == fresh
    assert hash(used) == hash(fresh)
    assert used.apply(LINES) == fresh.apply(LINES)


def test_invented_names_cannot_make_the_memory_grow_beyond_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_LEARNED", 3)
    found = compile_rules([b"X-A"])
    found.apply([(b"X-%d" % number, b"") for number in range(10)])

    assert len(found.learned) == 3
    assert found.apply(LINES) == [LINES[1], LINES[3]]


def test_very_long_names_are_not_remembered() -> None:
    found = HeaderRules(frozenset({b"x" * 65}))

    assert found.apply([(b"X" * 65, b""), (b"X" * 64, b"")]) == [(b"X" * 64, b"")]
    assert list(found.learned) == [b"X" * 64]
