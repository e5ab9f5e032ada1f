"""
The example file, made from the table of keys.

It starts as it is: the keys that every user wants are live, all others stand commented out with their defaults.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from corsproxy.config.layout import aligned
from corsproxy.config.schema import BLOCKS, FILE, ROUTE, SECTIONS, Key, Kind

_HEAD: Final = """\
# yaml-language-server: $schema=./corsproxy.schema.json     (corsproxy schema > corsproxy.schema.json)
# A policy for corsproxy. It starts as it is:   corsproxy --config config.example.yaml
# Lines that begin with "# " and a key are the defaults, or examples; uncomment what you need.
# docs/configuration.md explains every key.
"""
_COLUMN: Final = 36
_COMMENT: Final = re.compile(r"(.*\S)  # (.*)")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the file. `hidden_at` is the column of the `# ` that takes it out; None where it is live."""

    indent: int
    text: str
    comment: str
    hidden_at: int | None

    def render(self) -> tuple[str, str]:
        if self.hidden_at is None:
            return " " * self.indent + self.text, self.comment
        return " " * self.hidden_at + "# " + " " * (self.indent - self.hidden_at) + self.text, self.comment


def example() -> str:
    """Write `config.example.yaml`. Pure."""
    blocks = [_HEAD]
    for key in SECTIONS[FILE].values():
        lines = [line.render() for line in _key_lines(key, 0, None)]
        blocks.append("".join(f"{line}\n" for line in aligned(lines, _COLUMN)))
    return "\n".join(blocks)


def short(key: Key) -> str:
    """Return the comment beside a key: its own, or the first sentence about it. Pure."""
    if key.comment or key.lead:
        return key.comment
    sentence = key.doc.partition(". ")[0].removesuffix(".")
    return sentence if sentence.startswith("`") else sentence[:1].lower() + sentence[1:]


def _key_lines(key: Key, indent: int, hidden_at: int | None) -> Iterator[_Line]:
    if key.is_shown_elsewhere:
        return
    for line in key.lead.splitlines():
        yield _Line(indent, f"# {line}", "", hidden_at)
    at = indent if hidden_at is None and not _is_live(key) else hidden_at
    block = key.block + _missing_of_routes(key)
    if block:
        yield _Line(indent, f"{key.name}:", short(key), at)
        for line in block.splitlines():
            parts = _COMMENT.fullmatch(line)
            yield _Line(indent + 2, parts[1], parts[2], at) if parts else _Line(indent + 2, line, "", at)
    elif key.kind in BLOCKS:
        yield _Line(indent, f"{key.name}:", short(key), at)
        for child in SECTIONS[key.children].values():
            yield from _key_lines(child, indent + 2, at)
    else:
        yield _Line(indent, f"{key.name}: {key.default or key.example}", short(key), at)


def _is_live(key: Key) -> bool:
    return key.is_live or (key.kind in BLOCKS and any(map(_is_live, SECTIONS[key.children].values())))


def _missing_of_routes(key: Key) -> str:
    """Write a route for each key of routes that the hand-made ones do not show."""
    if key.kind is not Kind.ROUTES:
        return ""
    missing = [each for each in SECTIONS[ROUTE].values() if not re.search(rf"\b{each.name}: ", key.block)]
    return "".join(f"\n- path: /{each.name.replace('_', '-')}\n  {each.name}: {_flow(each)}  # {short(each)}" for each in missing)


def _flow(key: Key) -> str:
    if key.example or key.default or key.kind not in BLOCKS:
        return key.example or key.default
    child = next(iter(SECTIONS[key.children].values()))
    return f"{{{child.name}: {_flow(child)}}}"
