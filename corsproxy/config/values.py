"""
Single values and sections, read by the table of keys.

It knows how each kind of key is written and how to say what is wrong with one; it does not know what the keys are for.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.addresses import parse_listen, parse_public_url, parse_route_path, parse_upstream
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from corsproxy.config.schema import EXTENSION_PREFIX, FILE, KEYS, ROUTE, SECTIONS, Key, Kind
from corsproxy.config.units import parse_duration
from corsproxy.cors.policy import ANY, RegexEntry
from corsproxy.problems import Fault

# asyncio's clock takes any float; a week is longer than anyone waits for an upstream.
MAX_TIMEOUT_S: Final = 7 * 24 * 3600.0

# What YAML 1.1 readers take for booleans; this file takes only `true` and `false`.
_OTHER_TRUE: Final = frozenset({"yes", "on", "y", "true"})
_OTHER_FALSE: Final = frozenset({"no", "off", "n", "false"})
# Longer values are never right, and quoting them helps nobody.
_MAX_TEXT: Final = 2000
# Above the first a name is worth asking about; above the second its value is read as if the name were right.
_ALIKE, _SAME = 0.7, 0.8


@dataclass(frozen=True, slots=True)
class Listed:
    """The entries of a list, each with its place."""

    values: tuple[Any, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """
    The known keys of one mapping.

    `guessed` are the keys that misspelt ones were taken for: they are not missing, whatever else they are.
    `label` is what messages call the mapping, with its backquotes; `at` is where to point when it lacks something.
    """

    name: str
    label: str
    at: Span | None
    entries: dict[str, Entry]
    guessed: frozenset[str]

    def lacks(self, name: str) -> bool:
        """Tell whether a key is neither there nor there under a wrong name."""
        return name not in self.entries and name not in self.guessed


def read_section(node: Mapping, name: str, label: str, at: Span | None, report: Report) -> Section:
    """Sort a mapping's entries into known keys, which are returned, and unknown ones, which are reported."""
    known = SECTIONS[name]
    entries = {key: entry for key, entry in node.entries.items() if key in known}
    guessed: set[str] = set()
    for key, entry in node.entries.items():
        if key in known or (name == FILE and key.startswith(EXTENSION_PREFIX)):
            continue
        guess, likeness = _nearest(key, known)
        if guess:
            guessed.add(guess)
        if guess and likeness >= _SAME:
            entries.setdefault(guess, entry)
        report.add(problems.UNKNOWN_KEY, entry.key.span, f"`{key}` is not a key of {label}", _unknown_help(key, guess, name))
    return Section(name, label, at, entries, frozenset(guessed))


def _nearest(text: str, known: dict[str, Key]) -> tuple[str, float]:
    plain = text.lower().replace("-", "_")
    if " " in plain:
        # A key and its value without the colon between them: the value is part of the key, so there is none to read.
        first = plain.partition(" ")[0]
        return (first, _ALIKE) if first in known else ("", 0.0)
    if plain in known:
        return plain, 1.0
    for name, key in known.items():
        if plain in key.also or plain.replace("_", "") == name.replace("_", ""):
            return name, 1.0
    return nearest(plain, known)


def nearest(text: str, known: Any) -> tuple[str, float]:
    """Return the name that is most like the text, and how much it is; an empty name if none is alike."""
    found = difflib.get_close_matches(text[:100], list(known), n=1, cutoff=_ALIKE)
    return (found[0], difflib.SequenceMatcher(None, text[:100], found[0]).ratio()) if found else ("", 0.0)


def _unknown_help(text: str, guess: str, section: str) -> str:
    if guess and " " in text:
        return f"write `{guess}: {text.partition(' ')[2].strip()}`, with a colon"
    if guess:
        return f"did you mean `{guess}`?"
    homes = [key.section for key in KEYS if key.name == text]
    if FILE in homes:
        return "write it at the top level of the file"
    if homes and section in (FILE, ROUTE):
        return "write it in one of the `routes`" if ROUTE in homes else f"write it under `{homes[0]}`"
    known = ", ".join(f"`{name}`" for name in SECTIONS[section])
    return f"take it out; {'the keys here are' if ',' in known else 'the only key here is'} {known}"


def read_fields(section: Section, report: Report) -> dict[str, Any]:
    """Read every key of a section that holds a single value or a list of them; those that fail are reported and left out."""
    found: dict[str, Any] = {}
    for name, entry in section.entries.items():
        key = SECTIONS[section.name][name]
        reader = _READERS.get(key.kind)
        value = None if reader is None else reader(entry.value, entry.value_span, key, report)
        if value is not None:
            found[name] = value
    return found


def refuse_kind(node: Node, span: Span, key: Key, report: Report, help_: str = "") -> None:
    """Report that a value is of another kind than its key takes."""
    default = key.example or key.default
    help_ = help_ or (f"write `{key.name}: {default}`" if default else "")
    report.add(problems.WRONG_TYPE, span, f"`{key.name}` takes {key.kind}, and this is {kind_of(node)}", help_)


def kind_of(node: Node) -> str:
    """Name what a node is, with its article."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool()):
            return "a boolean"
        case Scalar(value=int()):
            return "a number"
        case _:
            return "a text"


def _text(node: Node, span: Span, key: Key, report: Report) -> str | None:
    if not isinstance(node, Scalar) or node.is_null:
        refuse_kind(node, span, key, report)
        return None
    if len(node.text) > _MAX_TEXT:
        report.add(problems.OUT_OF_RANGE, span, f"`{key.name}` is longer than {_MAX_TEXT} characters", "write less")
        return None
    return node.text


def _read_boolean(node: Node, span: Span, key: Key, report: Report) -> bool | None:
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    word = node.text.lower() if isinstance(node, Scalar) else ""
    right = "true" if word in {*_OTHER_TRUE, "1"} else "false" if word in {*_OTHER_FALSE, "0"} else ""
    if right and isinstance(node, Scalar) and node.is_quoted:
        report.add(problems.WRONG_TYPE, span, f'`"{node.text}"` is a text, not a boolean', f"write `{right}` without quotes")
    elif right and isinstance(node, Scalar) and not isinstance(node.value, int):
        report.add(problems.YAML_TRAP, span, f"`{node.text}` is a boolean to some YAML readers and a word to others", f"write `{right}`")
    else:
        refuse_kind(node, span, key, report, f"write `{right}`" if right else "write `true` or `false`")
    return None


def _read_duration(node: Node, span: Span, key: Key, report: Report) -> float | None:
    text = _text(node, span, key, report)
    if text is None:
        return None
    found = parse_duration(text)
    if isinstance(found, Fault):
        report.add_fault(found, span)
        return None
    if not 0 < found <= MAX_TIMEOUT_S:
        bound = "a week at most" if found > 0 else "a time above zero"
        report.add(
            problems.OUT_OF_RANGE, span, f"`{key.name}` takes {bound}, and this is `{text}`", f"write a time such as `{key.default}`"
        )
        return None
    return found


def _read_seconds(node: Node, span: Span, key: Key, report: Report) -> int | None:
    text = _text(node, span, key, report)
    if text is None:
        return None
    found = parse_duration(text, bare_seconds=True)
    if isinstance(found, Fault):
        report.add_fault(found, span)
        return None
    if found != int(found):
        report.add(problems.BAD_UNIT, span, f"`{key.name}` counts whole seconds, and `{text}` is none", f"write `{max(1, round(found))}s`")
        return None
    return int(found)


def _read_choice(node: Node, span: Span, key: Key, report: Report) -> str | None:
    text = _text(node, span, key, report)
    if text is None or text in key.choices:
        return text
    words = ", ".join(f"`{word}`" for word in key.choices)
    near = next((word for word in key.choices if word.startswith(text.lower()) or text.lower().startswith(word)), "")
    near = near or nearest(text.lower(), key.choices)[0]
    help_ = f"did you mean `{near}`? the words are {words}" if near and text else f"use one of {words}"
    report.add(problems.NOT_A_CHOICE, span, f"`{text}` is not a {key.name} of the {key.section}", help_)
    return None


def _read_parsed(parse: Callable[[str], Any]) -> Callable[[Node, Span, Key, Report], Any]:
    def read(node: Node, span: Span, key: Key, report: Report) -> Any:
        text = _text(node, span, key, report)
        found = None if text is None else parse(text)
        if isinstance(found, Fault):
            report.add_fault(found, span)
            return None
        return found

    return read


def _read_one_or_many(parse: Callable[[str], Any]) -> Callable[[Node, Span, Key, Report], Any]:
    read_one = _read_parsed(parse)

    def read(node: Node, span: Span, key: Key, report: Report) -> tuple[Any, ...] | None:
        if isinstance(node, Sequence) and not node.items:
            report.add(
                problems.WRONG_TYPE, span, f"`{key.name}` is an empty list", f"write `{key.name}: {key.example}`, or take the key out"
            )
            return None
        found: list[Any] = []
        places = [(item, place_of_item(item)) for item in node.items] if isinstance(node, Sequence) else [(node, span)]
        for item, place in places:
            value = read_one(item, place, key, report)
            if value is None:
                continue
            # Port 0 is another free port each time.
            if value in found and getattr(value, "port", 1) != 0:
                text = item.text if isinstance(item, Scalar) else ""
                report.add(problems.BAD_ADDRESS, place, f"`{text}` is listed twice", "keep one of the two")
            found.append(value)
        return tuple(found) or None

    return read


def _read_list(node: Node, span: Span, key: Key, report: Report) -> Listed | None:
    if isinstance(node, Scalar) and node.text == ANY:
        return Listed((ANY,), (span,))
    if isinstance(node, Scalar) and node.is_null and key.is_required:
        # Whoever judges the list says what its emptiness means.
        return Listed((), ())
    if isinstance(node, Scalar) and not node.is_null:
        parts = ", ".join(node.text.replace(",", " ").split())
        refuse_kind(node, span, key, report, f"write a list: `[{parts}]`" if parts else "")
        return None
    if not isinstance(node, Sequence):
        refuse_kind(node, span, key, report)
        return None
    items = [found for item in node.items if (found := _read_item(item, key, report)) is not None]
    return None if node.items and not items else Listed(tuple(value for value, _ in items), tuple(place for _, place in items))


def place_of_item(item: Node) -> Span:
    """Return where an entry of a list stands; if nothing is written there, its dash."""
    span = item.span
    return replace(span, column=max(1, span.column - 1)) if span.is_empty else span


def _read_item(item: Node, key: Key, report: Report) -> tuple[str | RegexEntry, Span] | None:
    span = place_of_item(item)
    # The word `null` is an origin, and means that one where a list takes texts.
    if isinstance(item, Scalar) and item.text not in ("", "~") and len(item.text) <= _MAX_TEXT:
        return item.text, span
    if isinstance(item, Scalar):
        message = f"an entry of `{key.name}` is " + ("too long" if item.text.strip("~") else "empty")
        report.add(problems.WRONG_TYPE, span, message, "take it out")
        return None
    if key.kind is Kind.ORIGINS and isinstance(item, Mapping) and list(item.entries) == ["regex"]:
        pattern, at = item.entries["regex"].value, item.entries["regex"].value_span
        if isinstance(pattern, Scalar) and not pattern.is_null and 0 < len(pattern.text) <= _MAX_TEXT:
            return RegexEntry(pattern.text), at
        help_ = r"write `regex: 'https://pr-\d+\.example\.com'`, in single quotes"
        report.add(problems.WRONG_TYPE, at, f"`regex` takes a text, and this is {kind_of(pattern)}", help_)
        return None
    help_ = "write one text an entry"
    if key.kind is Kind.ORIGINS:
        help_ += ", or `regex: '…'`"
    report.add(problems.WRONG_TYPE, span, f"an entry of `{key.name}` is {kind_of(item)}", help_)
    return None


_READERS: Final[dict[Kind, Callable[[Node, Span, Key, Report], Any]]] = {
    Kind.ADDRESSES: _read_one_or_many(parse_listen),
    Kind.ORIGIN_URLS: _read_one_or_many(parse_public_url),
    Kind.URL: _read_parsed(parse_upstream),
    Kind.PATH: _read_parsed(parse_route_path),
    Kind.DURATION: _read_duration,
    Kind.SECONDS: _read_seconds,
    Kind.BOOLEAN: _read_boolean,
    Kind.CHOICE: _read_choice,
    Kind.ORIGINS: _read_list,
    Kind.NAMES: _read_list,
}


def read_upstream(entry: Entry, key: Key, report: Report) -> Any:
    """Read an upstream, a URL or a mapping that holds one; None if that fails."""
    if not isinstance(entry.value, Mapping):
        return _READERS[Kind.URL](entry.value, entry.value_span, key, report)
    section = read_section(entry.value, key.children, f"`{key.name}`", entry.key.span, report)
    if section.lacks("url"):
        report.add(problems.MISSING_KEY, section.at, f"`{key.name}` lacks `url`", "write `url: http://localhost:9000`")
    return read_fields(section, report).get("url")
