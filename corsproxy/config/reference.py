"""
The tables of the reference page, made from the table of keys.

It knows the marks between which they stand; the prose around them is written by hand.
"""

import re
from collections.abc import Mapping
from typing import Final

from corsproxy.config.schema import FILE, SECTIONS, Key, Kind

_PART: Final = re.compile(r"(<!-- generated: ([^\n]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_HEAD: Final = "| key | takes | default | what it does |\n|---|---|---|---|\n"


class Unmarked(Exception):
    """The page lacks a part, has one twice, or asks for one that nobody makes."""


def fill(page: str, parts: Mapping[str, str]) -> str:
    """
    Return the page with every generated part made anew: the tables of keys, and what the caller adds.

    Pure. Raises Unmarked unless the page has a place for each part, once.
    """
    places = {match[2]: match.start() for match in _PART.finditer(page)}
    made = {**{_mark(section): _table(section, page, places) for section in SECTIONS}, **parts}
    found = [match[2] for match in _PART.finditer(page)]
    if sorted(found) != sorted(made):
        odd = sorted({*found} ^ {*made}) or sorted(name for name in found if found.count(name) > 1)
        raise Unmarked(", ".join(f"`<!-- generated: {name} -->`" for name in odd))
    return _PART.sub(lambda match: f"{match[1]}\n{made[match[2]]}\n{match[3]}", page)


def _mark(section: str) -> str:
    return f"keys {section or 'FILE'}"


def _table(section: str, page: str, places: Mapping[str, int]) -> str:
    at = places.get(_mark(section), 0)
    return _HEAD + "".join(_row(key, _link(key, page, at, places)) for key in SECTIONS[section].values())


def _row(key: Key, link: str) -> str:
    default = f"`{key.default}`" if key.default else "required" if key.is_required else key.implied
    said = [
        key.doc,
        "*Needs a restart.*" if not key.is_reloadable else "",
        "**Dangerous**: a warning at each start." if key.is_dangerous else "",
        link,
        f"({key.precedent})" if key.precedent else "",
    ]
    cells = [f"`{key.name}`", _takes(key), default, " ".join(filter(None, said))]
    return "".join(f"| {cell} " if cell else "| " for cell in (each.replace("|", "\\|") for each in cells)) + "|\n"


def _takes(key: Key) -> str:
    if key.kind is not Kind.CHOICE:
        return key.kind.value
    return ", ".join(f"`{word}`" for word in key.choices[:-1]) + f" or `{key.choices[-1]}`"


def _link(key: Key, page: str, at: int, places: Mapping[str, int]) -> str:
    """Say where the keys below this one are explained, by the heading that the page has over them."""
    there = places.get(_mark(key.children)) if key.children else None
    if there is None or key.children == FILE:
        return ""
    heading = _HEADING.findall(page, 0, there)[-1].lower()
    anchor = re.sub(r"[^\w -]", "", heading).replace(" ", "-")
    return f"[{'Below' if there > at else 'Above'}](#{anchor})."
