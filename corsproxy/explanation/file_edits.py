"""
Edits of a policy file that change what they must and keep every other byte: comments, order and spelling.

It knows how YAML writes lists and mappings, in blocks and in brackets; it does not know what the keys mean. Where a place is written
in a way that it cannot extend with certainty, it says so by returning nothing.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from corsproxy.config.diagnostics import Span
from corsproxy.config.nodes import line_starts, split_lines
from corsproxy.config.settings import PolicyPlaces

_BYTE_ORDER_MARK: Final = "\ufeff"
# What YAML takes for text and for nothing else, within brackets too.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:://[A-Za-z0-9._-]+(?::[0-9]+)?)?")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_BEGINS_LIST: Final = re.compile(r"(?:[&!]\S+\s+)*\[")
_BEGINS_MAPPING: Final = re.compile(r"(?:[&!]\S+\s+)*\{")
_ITEM: Final = re.compile(r"(\s*)-\s")


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of a file, and what stands there instead. Lines and columns count characters from 1; the end lies behind the last one."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of a file that change: from `line` on, `old` gives way to `new`. Without `old`, `new` comes before that line."""

    line: int
    old: tuple[str, ...]
    new: tuple[str, ...]


def quoted(text: str) -> str:
    """Write a text so that YAML reads it as that text anywhere. Pure; `text` has no control characters."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def listed(texts: Iterable[str]) -> str:
    """Write a list in brackets. Pure."""
    return f"[{', '.join(map(quoted, texts))}]"


def extend_list(places: PolicyPlaces, key: str, texts: Sequence[str]) -> Edit | None:
    """Add entries to a list that is written out, behind its last one; a lone `*` becomes a list. None where that is not certain. Pure."""
    span, items = places.values.get(key), places.items.get(key, ())
    if span is None or not span.source.is_file or not span.source.lines:
        return None
    begins = span.source.line(span.line)[span.column - 1 :]
    more = ", ".join(map(quoted, texts))
    if _BEGINS_LIST.match(begins):
        return _extend_flow(items, more) if items else _at(span.end_line, span.end_column - 1, more)
    if items and items[0] == span:
        # A scalar that stands for a list.
        written = span.source.line(span.line)[span.column - 1 : span.end_column - 1]
        return Edit(span.line, span.column, span.end_line, span.end_column, f"[{written}, {more}]") if span.line == span.end_line else None
    if not items:
        return None
    last = items[-1]
    dash = _ITEM.match(last.source.line(last.line))
    if dash is None:
        return None
    return _below(last, "".join(f"\n{dash[1]}- {quoted(text)}" for text in texts))


def _extend_flow(items: Sequence[Span], more: str) -> Edit:
    last = items[-1]
    line, column = last.source.line(last.end_line), last.end_column
    # A `{regex: …}` ends behind what it holds.
    rest = line[column - 1 :]
    closed = re.match(r"\s*\}", rest)
    return _at(last.end_line, column + (closed.end() if closed else 0), f", {more}")


def replace_value(places: PolicyPlaces, key: str, written: str) -> Edit | None:
    """Put another value behind a key; None where its old one does not stand on one line of a file. Pure."""
    span = places.values.get(key)
    if span is None or not span.source.is_file or span.line != span.end_line or span == places.keys.get(key):
        return None
    return Edit(span.line, span.column, span.end_line, span.end_column, written)


def add_key(places: PolicyPlaces, key: str, written: str) -> Edit | None:
    """Add a key to a policy, behind its `allow_origins`. None where that is not certain. Pure."""
    body, name, value = places.body, places.keys.get("allow_origins"), places.values.get("allow_origins")
    if body is None or name is None or value is None or not (name.source.is_file and body.source.is_file):
        return None
    start = body.source.line(body.line)[body.column - 1 :]
    is_flow = _BEGINS_MAPPING.match(start) is not None
    if not _is_within(name, body):
        # The key comes from elsewhere, by a merge: what is written here wins over it.
        brace = _BEGINS_MAPPING.match(start)
        if brace is not None:
            return _at(body.line, body.column + brace.end(), f"{key}: {written}, ")
        return _above(body, key, written)
    is_behind = value.source is name.source and _is_within(value, body) and (value.line, value.column) > (name.line, name.column)
    if is_flow:
        return _at(value.end_line, value.end_column, f", {key}: {written}") if is_behind else _before(name, key, written)
    if not is_behind:
        return _above(name, key, written)
    indent = name.source.line(name.line)[: name.column - 1]
    if indent.strip():
        return None
    items = places.items.get("allow_origins", ())
    is_block = bool(items) and items[0] != value and not _BEGINS_LIST.match(value.source.line(value.line)[value.column - 1 :])
    return _below(items[-1] if is_block else value, f"\n{indent}{key}: {written}")


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return a file's text with edits made; those at one place come in their order. Pure."""
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    starts = line_starts(text)
    breaks = re.search("\r\n|\n", text)
    ordered = sorted(enumerate(edits), key=lambda each: (each[1].line, each[1].column, each[0]), reverse=True)
    for _, edit in ordered:
        begin, end = starts[edit.line - 1] + edit.column - 1, starts[edit.end_line - 1] + edit.end_column - 1
        text = text[:begin] + edit.text.replace("\n", breaks[0] if breaks else "\n") + text[end:]
    return mark + text


def hunks(lines: Sequence[str], edits: Iterable[Edit]) -> tuple[Hunk, ...]:
    """Say which lines of a file change. Pure."""
    old = list(lines)
    new = list(split_lines(apply("\n".join(old), edits)))
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return tuple(Hunk(a + 1, tuple(old[a:b]), tuple(new[c:d])) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal")


def _at(line: int, column: int, text: str) -> Edit:
    return Edit(line, column, line, column, text)


def _before(name: Span, key: str, written: str) -> Edit:
    return _at(name.line, name.column, f"{key}: {written}, ")


def _below(span: Span, text: str) -> Edit:
    end = len(span.source.line(span.end_line)) + 1
    return _at(span.end_line, end, text)


def _above(span: Span, key: str, written: str) -> Edit | None:
    indent = span.source.line(span.line)[: span.column - 1]
    return None if indent.strip() else _at(span.line, span.column, f"{key}: {written}\n{indent}")


def _is_within(inner: Span, outer: Span) -> bool:
    begins = (outer.line, outer.column) <= (inner.line, inner.column)
    return inner.source is outer.source and begins and (inner.end_line, inner.end_column) <= (outer.end_line, outer.end_column)
