"""
Policy tests as the file writes them: requests, and what must become of each.

It knows how a test is written, and refuses one that asks for what no browser does; what becomes of the requests is not
known here.
"""

from typing import Final

from corsproxy import problems
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.expectations import Expectation, ExpectedField, PolicyTest
from corsproxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from corsproxy.config.scalars import kind_of, nearest, place_of_item, refuse_kind
from corsproxy.config.schema import EXPECT, FILE, SECTIONS, TESTS
from corsproxy.config.values import read_fields, read_section
from corsproxy.semantics.tokens import is_token

_EXAMPLE: Final = "- {origin: https://app.example.com, expect: allow}"
_RESPONSE_HELP: Final = "write `expect: {response: {Vary: Origin}}`"
# A script that opens a WebSocket has no say in these.
_NOT_OF_WEBSOCKETS: Final = ("method", "credentials", "headers")
# What people write who do not know our three words.
_MEANT: Final = {
    "allow": ("ok", "pass", "yes", "true", "200", "accept", "accepted", "permit", "works"),
    "deny": ("no", "false", "fail", "block", "blocked", "reject", "rejected", "disallow"),
    "refused": ("403", "forbidden", "forbid", "refuse"),
}


def read_tests(entry: Entry | None, report: Report) -> tuple[PolicyTest, ...]:
    """Read the tests of a file; those that fail are reported and left out."""
    if entry is None:
        return ()
    if not isinstance(entry.value, Sequence):
        refuse_kind(entry.value, entry.value_span, SECTIONS[FILE]["tests"], report, f"write a list: `{_EXAMPLE}`")
        return ()
    found = [_read_test(item, report) for item in entry.value.items]
    return tuple(test for test in found if test is not None)


def _read_test(item: Node, report: Report) -> PolicyTest | None:
    if not isinstance(item, Mapping):
        report.add(problems.WRONG_TYPE, place_of_item(item), f"a test is {kind_of(item)}, not a mapping", f"write `{_EXAMPLE}`")
        return None
    first = next(iter(item.entries.values()), None)
    section = read_section(item, TESTS, "a test", first.key.span if first is not None else item.span, report)
    fields = read_fields(section, report)
    if "credentials" in section.entries and section.lacks("origin"):
        help_ = "add `origin`, or take `credentials` out"
        report.add(problems.BAD_TEST, section.entries["credentials"].key.span, "`credentials` says nothing without `origin`", help_)
    for name in _NOT_OF_WEBSOCKETS if fields.get("websocket") else ():
        if name in section.entries:
            message = f"`{name}` says nothing of a WebSocket: browsers choose it"
            report.add(problems.BAD_TEST, section.entries[name].key.span, message, f"take `{name}` out, or `websocket`")
    if section.lacks("expect"):
        report.add(problems.MISSING_KEY, section.at, "a test lacks `expect`", "write `expect: allow`, `expect: deny` or `expect: refused`")
    entry = section.entries.get("expect")
    expect = _read_expectation(entry, report) if entry is not None else None
    return PolicyTest(entry.value_span, expect, **fields) if entry is not None and expect is not None else None


def _read_expectation(entry: Entry, report: Report) -> Expectation | tuple[ExpectedField, ...] | None:
    node = entry.value
    if isinstance(node, Mapping):
        return _read_response(node, entry, report)
    if not isinstance(node, Scalar) or node.is_null:
        refuse_kind(node, entry.value_span, SECTIONS[TESTS]["expect"], report)
        return None
    if node.text in tuple(Expectation):
        return Expectation(node.text)
    text = node.text.lower()
    meant = next((word for word, others in _MEANT.items() if text in others), "") or nearest(text, _MEANT)[0]
    words = ", ".join(f"`{word}`" for word in Expectation)
    help_ = f"did you mean `{meant}`? the words are {words}" if meant else f"use one of {words}, or `{{response: {{Vary: Origin}}}}`"
    report.add(problems.NOT_A_CHOICE, entry.value_span, f"`{node.text}` is not what a test can expect", help_)
    return None


def _read_response(node: Mapping, entry: Entry, report: Report) -> tuple[ExpectedField, ...] | None:
    section = read_section(node, EXPECT, "`expect`", entry.key.span, report)
    if section.lacks("response"):
        report.add(problems.MISSING_KEY, section.at, "`expect` lacks `response`", _RESPONSE_HELP)
    response = section.entries.get("response")
    if response is None:
        return None
    if not isinstance(response.value, Mapping):
        refuse_kind(response.value, response.value_span, SECTIONS[EXPECT]["response"], report, _RESPONSE_HELP)
        return None
    if not response.value.entries:
        report.add(problems.BAD_TEST, response.value_span, "`response` is empty, so the test expects nothing", _RESPONSE_HELP)
    return tuple(found for each in response.value.entries.values() if (found := _read_field(each, report)) is not None)


def _read_field(entry: Entry, report: Report) -> ExpectedField | None:
    name, node = entry.key.text, entry.value
    if not is_token(name.encode("utf-8", "replace")):
        report.add(problems.BAD_TEST, entry.key.span, f"`{name}` is no header name", _RESPONSE_HELP)
        return None
    if not isinstance(node, Scalar):
        help_ = "write one text, or `null` for a field that must not be there"
        report.add(problems.WRONG_TYPE, entry.value_span, f"`{name}` takes a value, and this is {kind_of(node)}", help_)
        return None
    if node.is_null and not node.text:
        help_ = f'write `{name}: null` for a field that must not be there, or `{name}: ""` for an empty one'
        report.add(problems.WRONG_TYPE, entry.value_span, f"`{name}` has no value", help_)
        return None
    value = None if node.is_null else node.text.encode("utf-8", "replace")
    return ExpectedField(name.encode(), value, _span_of(entry))


def _span_of(entry: Entry) -> Span:
    begin, end = entry.key.span, entry.value_span
    if begin.source is not end.source or begin.line != end.end_line:
        return begin
    return Span(begin.source, begin.line, begin.column, end.end_line, end.end_column)
