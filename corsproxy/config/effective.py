"""
What is in force: every key with its value and where that comes from.

It reads the tree of nodes after flags and variables have been put into it, and the table of keys for what nobody wrote.
Routes, policies and tests show what they say themselves: what they inherit stands once.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Given
from dataclasses import dataclass
from typing import Any, Final

from corsproxy.config.diagnostics import Span
from corsproxy.config.layout import aligned, quoted, written
from corsproxy.config.nodes import Entry, Mapping, Node, Scalar, json_of, read_value
from corsproxy.config.schema import BLOCKS, FILE, SECTIONS, Key, Kind

_COLUMN: Final = 40
# Longer lists get a line for each entry.
_MAX_FLOW: Final = 90


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where a value comes from.

    `kind` is "file", "flag", "environment variable", "default", or "" where there is no value; `name` is what the kind
    is called by, and `line` the line in the file, from 1. `parts` are the variables and files that the value was put together from.
    """

    kind: str
    name: str = ""
    line: int = 0
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write it for people."""
        if self.kind == "file":
            return ", ".join((f"{self.name}:{self.line}", *self.parts))
        return f"{self.kind} {self.name}".strip() or "not set"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value: as YAML, empty where there is none, and as JSON has it. `note` says more about where it comes from."""

    text: str
    value: Any
    origin: Origin
    note: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A mapping."""

    entries: tuple[tuple[str, "Tree"], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list that has a line for each entry, or more."""

    items: tuple["Tree", ...]


Tree = Leaf | Branch | Items


def effective(root: Node) -> Branch:
    """
    Return what is in force, for the tree of a file that loads.

    Pure. Every value of the file passes `_seen` on its way here, so that is where secrets are kept back.
    """
    return _section(root if isinstance(root, Mapping) else None, FILE)


def to_yaml(tree: Branch) -> str:
    """Write what is in force as a file that loads again, with the source of each value beside it. Pure."""
    return "".join(f"{line}\n" for line in aligned(_lines(tree), _COLUMN))


def to_json(tree: Branch) -> dict[str, Any]:
    """Write what is in force as a mapping of paths (`cors.max_age`, `routes[0].path`) to values with their sources. Pure."""
    return {
        path: {"value": leaf.value, "source": leaf.origin.kind or "not set"}
        | ({"name": leaf.origin.name} if leaf.origin.name else {})
        | ({"parts": list(leaf.origin.parts)} if leaf.origin.parts else {})
        | ({"line": leaf.origin.line} if leaf.origin.line else {})
        for path, leaf in _flat(tree, "")
    }


def _section(node: Mapping | None, section: str) -> Branch:
    entries = node.entries if node is not None else {}
    return Branch(tuple((key.name, _key(key, entries)) for key in SECTIONS[section].values()))


def _key(key: Key, entries: Given[str, Entry]) -> Tree:
    entry = entries.get(key.name)
    if entry is None:
        return _missing(key, [name for name in key.needs if name not in entries])
    node = entry.value
    if key.kind is Kind.UPSTREAM and isinstance(node, Scalar):
        # A URL is short for a mapping with it.
        node = Mapping(node.span, {"url": Entry(Scalar(node.span, "url", "url"), node)})
    if key.kind in BLOCKS and isinstance(node, Mapping):
        return _section(node, key.children)
    return _own(node, entry.value_span)


def _missing(key: Key, lacking: list[str]) -> Tree:
    if lacking:
        return Leaf("", None, Origin(""), f"means nothing without {', '.join(lacking)}")
    if key.kind is Kind.SECTION and _stands_by_itself(key):
        return _section(None, key.children)
    if key.default:
        return Leaf(key.default, json_of(read_value(key.default)), Origin("default"))
    return Leaf("", None, Origin(""), key.implied.replace("`", ""))


def _stands_by_itself(key: Key) -> bool:
    """Whether a mapping means the same written out with its defaults: a feature that is off without it does not."""
    return all(each.default or each.implied or (each.children and _stands_by_itself(each)) for each in SECTIONS[key.children].values())


def _own(node: Node, span: Span) -> Tree:
    """Take over what is written, and nothing else."""
    if isinstance(node, Mapping):
        if not node.entries:
            return Leaf("{}", {}, _origin(span))
        return Branch(tuple((quoted(name), _own(each.value, each.value_span)) for name, each in node.entries.items()))
    if isinstance(node, Scalar):
        return Leaf(*_seen(node), _origin(span))
    seen = [_seen(item) for item in node.items if isinstance(item, Scalar)]
    text = f"[{', '.join(text for text, _ in seen)}]"
    if len(seen) < len(node.items) or len(text) > _MAX_FLOW:
        return Items(tuple(_own(item, item.span) for item in node.items))
    return Leaf(text, [value for _, value in seen], _origin(span))


def _seen(scalar: Scalar) -> tuple[str, Any]:
    """Return a value as YAML and as JSON have it."""
    return (quoted(scalar.shown), scalar.shown) if scalar.is_secret else (written(scalar), scalar.value)


def _origin(span: Span) -> Origin:
    name = span.source.name
    if span.source.is_file:
        return Origin("file", name, span.line, span.interpolation.origins if span.interpolation is not None else ())
    kind, _, rest = name.rpartition(" ")
    return Origin(kind, rest)


def _lines(tree: Branch, indent: int = 0) -> Iterator[tuple[str, str]]:
    for name, below in tree.entries:
        margin = " " * indent
        if isinstance(below, Leaf):
            text = f"{margin}{name}: {below.text}" if below.text else f"{margin}# {name}:"
            yield text, str(below.origin) + (f": {below.note}" if below.note else "")
            continue
        yield f"{margin}{name}:", ""
        yield from _lines(below, indent + 2) if isinstance(below, Branch) else _item_lines(below.items, indent + 2)


def _item_lines(items: Iterable[Tree], indent: int) -> Iterator[tuple[str, str]]:
    margin = " " * indent
    for item in items:
        if isinstance(item, Leaf):
            yield f"{margin}- {item.text}", str(item.origin)
            continue
        below = _lines(item, indent + 2) if isinstance(item, Branch) else _item_lines(item.items, indent + 2)
        for place, (text, comment) in enumerate(below):
            yield (f"{margin}- {text[indent + 2 :]}" if place == 0 else text), comment


def _flat(tree: Tree, path: str) -> Iterator[tuple[str, Leaf]]:
    match tree:
        case Leaf():
            yield path, tree
        case Branch():
            for name, below in tree.entries:
                yield from _flat(below, f"{path}.{name}" if path else name)
        case Items():
            for place, below in enumerate(tree.items):
                yield from _flat(below, f"{path}[{place}]")
