"""
Single values, read by the table of keys.

It knows how each kind of single value is written, and what to write instead of a wrong one.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.addresses import parse_host
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.key import Key, Kind
from corsproxy.config.nodes import Mapping, Node, Scalar, Sequence
from corsproxy.config.units import format_duration, format_size, parse_duration, parse_size
from corsproxy.cors.policy import MAX_MAX_AGE_S
from corsproxy.problems import Fault

Reader = Callable[[Node, Span, Key, Report], Any]

# asyncio's clock takes any float; a week is longer than anyone waits for an upstream.
MAX_TIMEOUT_S: Final = 7 * 24 * 3600.0
_LONGEST: Final = format_duration(MAX_TIMEOUT_S)
_LONGEST_PREFLIGHT: Final = format_duration(MAX_MAX_AGE_S)
# Longer values are never right, and quoting them helps nobody.
MAX_TEXT: Final = 2000
# Above this likeness a name is worth asking about.
ALIKE: Final = 0.7

# The words that stand for a number: what the machine allows, and no bound at all.
AUTO: Final = "auto"
NONE: Final = "none"
# Eighteen digits fit everywhere; other systems let people part thousands.
_COUNT: Final = re.compile("-?[0-9]{1,18}")
_JOINED_KEY: Final = re.compile(r"([a-z_]+):([^\s/].*)")
_PARTED: Final = re.compile("[_ ,']")
_OTHER_NONE: Final = frozenset({"0", "-1", "no", "off", "false", "unlimited", "infinite", "infinity", "inf"})

# What YAML 1.1 readers take for booleans; this file takes only `true` and `false`.
_OTHER_TRUE: Final = frozenset({"yes", "on", "y", "true"})
_OTHER_FALSE: Final = frozenset({"no", "off", "n", "false"})


def nearest(text: str, known: Any) -> tuple[str, float]:
    """Return the name that is most like the text, and how much it is; an empty name if none is alike."""
    import difflib  # noqa: PLC0415 - for mistakes alone

    found = difflib.get_close_matches(text[:100], list(known), n=1, cutoff=ALIKE)
    return (found[0], difflib.SequenceMatcher(None, text[:100], found[0]).ratio()) if found else ("", 0.0)


def refuse_kind(node: Node, span: Span, key: Key, report: Report, help_: str = "") -> None:
    """Report that a value is of another kind than its key takes."""
    default = key.example or key.default
    help_ = without_space(node) or help_ or (f"write `{key.name}: {default}`" if default else f"write {key.kind}")
    report.add(problems.WRONG_TYPE, span, f"`{key.name}` takes {key.kind}, and this is {kind_of(node)}", help_)


def without_space(node: Node) -> str:
    """Say how to write a text that is a key and its value with nothing behind the colon; empty if it is none."""
    match = _JOINED_KEY.fullmatch(node.text) if isinstance(node, Scalar) and not node.is_quoted else None
    return f"write `{match[1]}: {match[2]}`, with a space behind the colon" if match else ""


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
    if len(node.text) > MAX_TEXT:
        report.add(problems.OUT_OF_RANGE, span, f"`{key.name}` is longer than {MAX_TEXT} characters", "write less")
        return None
    return node.text


def read_boolean(node: Node, span: Span, key: Key, report: Report) -> bool | None:
    """Read `true` or `false`; other spellings of them are told which to write."""
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


def read_duration(node: Node, span: Span, key: Key, report: Report) -> float | None:
    """Read a time as seconds: above zero, unless the key takes zero, too."""
    text = _text(node, span, key, report)
    if text is None:
        return None
    found = parse_duration(text, longest=_LONGEST)
    if isinstance(found, Fault):
        report.add_fault(found, span)
        return None
    takes_zero = key.kind is Kind.DURATION_OR_ZERO
    if not (0 < found <= MAX_TIMEOUT_S or (takes_zero and found == 0)):
        bound = "a week at most" if found > 0 else "zero or more" if takes_zero else "a time above zero"
        help_ = f"write a time such as `{key.default}`; the longest is `{_LONGEST}`"
        report.add(problems.OUT_OF_RANGE, span, f"`{key.name}` takes {bound}, and this is `{text}`", help_)
        return None
    return found


def read_seconds(node: Node, span: Span, key: Key, report: Report) -> int | None:
    """Read a time that may lack its unit, as whole seconds. Its range is for the policy to judge."""
    text = _text(node, span, key, report)
    if text is None:
        return None
    found = parse_duration(text, bare_seconds=True, longest=_LONGEST_PREFLIGHT)
    if isinstance(found, Fault):
        report.add_fault(found, span)
        return None
    if found != int(found):
        report.add(problems.BAD_UNIT, span, f"`{key.name}` counts whole seconds, and `{text}` is none", f"write `{max(1, round(found))}s`")
        return None
    return int(found)


def read_size(node: Node, span: Span, key: Key, report: Report) -> int | str | None:
    """Read a size in bytes, or the word `none` where the key takes it."""
    takes_none = key.kind is Kind.SIZE_OR_NONE
    if takes_none and isinstance(node, Scalar) and node.text.lower() in _OTHER_NONE:
        report.add(problems.OUT_OF_RANGE, span, f"`{node.text}` is no size", f"write `{key.name}: {NONE}` for no limit")
        return None
    text = _text(node, span, key, report)
    if text is None or (takes_none and text == NONE):
        return text
    found = parse_size(text)
    if isinstance(found, Fault):
        report.add_fault(found, span)
        return None
    return found if _is_within(key, found, text, span, report) else None


def read_count(node: Node, span: Span, key: Key, report: Report) -> int | str | None:
    """Read a whole number, or the word `auto` where the key takes it."""
    takes_auto = key.kind is Kind.COUNT_OR_AUTO
    text = _text(node, span, key, report)
    if text is None or (takes_auto and text == AUTO):
        return text
    if _COUNT.fullmatch(text):
        return int(text) if _is_within(key, int(text), text, span, report) else None
    plain = _PARTED.sub("", text)
    help_ = f"write `{key.name}: {plain}`" if plain.isascii() and plain.isdigit() else f"write `{key.name}: {key.default}`"
    report.add(problems.WRONG_TYPE, span, f"`{key.name}` takes {key.kind}, and `{text}` is none", help_)
    return None


def without_words(given: dict[str, Any]) -> dict[str, Any]:
    """Put None, which is what settings hold, in the place of `auto` and `none`."""
    return {name: None if value in (AUTO, NONE) else value for name, value in given.items()}


def _is_within(key: Key, number: int, text: str, span: Span, report: Report) -> bool:
    if key.least <= number <= key.most:
        return True
    bound, word, way = (key.least, "at least", "more") if number < key.least else (key.most, "at most", "less")
    said = str(bound) if key.kind in (Kind.COUNT, Kind.COUNT_OR_AUTO) else format_size(bound)
    help_ = f"write `{said}` or {way}" + (f"; the default is `{key.default}`" if key.default else "")
    report.add(problems.OUT_OF_RANGE, span, f"`{key.name}` takes {said} {word}, and this is `{text}`", help_)
    return False


def read_choice(node: Node, span: Span, key: Key, report: Report) -> str | None:
    """Read one of the words of a key."""
    text = _text(node, span, key, report)
    if text is None or text in key.choices:
        return text
    words = ", ".join(f"`{word}`" for word in key.choices)
    near = next((word for word in key.choices if word.startswith(text.lower()) or text.lower().startswith(word)), "")
    near = near or nearest(text.lower(), key.choices)[0]
    help_ = f"did you mean `{near}`? the words are {words}" if near and text else f"use one of {words}"
    report.add(problems.NOT_A_CHOICE, span, f"`{text}` is not one of the words of `{key.name}`", help_)
    return None


def read_file(node: Node, span: Span, key: Key, report: Report) -> str | None:
    """Read the name of a file. Whether there is one is for whoever opens it to say."""
    text = _text(node, span, key, report)
    if text is None or (text and text.isprintable() and not text.startswith("-----BEGIN")):
        return text
    message = (
        "is empty"
        if not text
        else "takes the name of a file, and this is its content"
        if "-----BEGIN" in text
        else "holds a character that cannot be shown"
    )
    report.add(problems.WRONG_TYPE, span, f"`{key.name}` {message}", f"write `{key.name}: {key.example}`")
    return None


def read_host_or_word(*words: str) -> Reader:
    """Make a reader of one of some words, or of a host name without a port; it is a text either way."""

    def read(node: Node, span: Span, key: Key, report: Report) -> str | None:
        text = _text(node, span, key, report)
        if text is None or text in words:
            return text
        near = nearest(text.lower(), words)[0]
        found = parse_host(text)
        # A boolean and a number are no names, though DNS could have them.
        is_text = isinstance(node, Scalar) and isinstance(node.value, str)
        if is_text and not near and isinstance(found, str) and not found.startswith("*"):
            return found
        plain = _name_in(text)
        known = ", ".join(f"`{word}`" for word in words)
        help_ = f"did you mean `{near}`?" if near else f"write `{plain}`" if plain else f"use {known}, or write a name as `legacy.internal`"
        report.add(problems.NOT_A_CHOICE, span, f"`{text}` is neither a word of `{key.name}` nor a host name", help_)
        return None

    return read


def _name_in(text: str) -> str:
    """Return the host name that was meant by a URL, by one with a port, or by a domain with a dot before it; else nothing."""
    plain = re.split(r"[/?#]", text.rpartition("://")[2], maxsplit=1)[0]
    name = re.sub(r":[0-9]*\Z", "", plain).removeprefix("*").removeprefix(".")
    return name if name != text and parse_host(name) == name and name != "*" else ""


def read_parsed(parse: Callable[[str], Any]) -> Reader:
    """Make a reader of a text that has a parser of its own."""

    def read(node: Node, span: Span, key: Key, report: Report) -> Any:
        text = _text(node, span, key, report)
        found = None if text is None else parse(text)
        if isinstance(found, Fault):
            report.add_fault(found, span)
            return None
        return found

    return read


def read_one_or_many(parse: Callable[[str], Any]) -> Reader:
    """Make a reader of one such text, or of a list of them."""
    read_one = read_parsed(parse)

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


def place_of_item(item: Node) -> Span:
    """Return where an entry of a list stands; if nothing is written there, its dash."""
    span = item.span
    return replace(span, column=max(1, span.column - 1)) if span.is_empty else span
