"""
YAML as people like to read it: values written plainly, comments in one column.

It knows how a text has to be quoted to be read again as itself; it does not know a single key.
"""

import re
from collections.abc import Iterable
from typing import Final

from corsproxy.config.diagnostics import Source
from corsproxy.config.nodes import Scalar, plain_scalar

_GAP: Final = 3
# What needs no quotes anywhere, inside of brackets too.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_/](?:[A-Za-z0-9_./~+$<>=@%*()-]|:(?!$))*")
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}
_NOWHERE: Final = Source("").span(1, 1)


def aligned(lines: Iterable[tuple[str, str]], column: int) -> list[str]:
    """
    Write lines with their comments, which begin at a column where the text leaves room.

    Pure. Longer lines that follow each other share a column of their own.
    """
    pairs = list(lines)
    written: list[str] = []
    for place, (text, comment) in enumerate(pairs):
        at = column if len(text) + _GAP <= column else _column_of_run(pairs, place, column)
        written.append(f"{text:{at}}# {comment}" if comment else text)
    return written


def quoted(text: str) -> str:
    """
    Write a text so that YAML reads it as that text again, whatever it holds: plain where it can be, else in quotes.

    Pure.

    Spec: YAML 1.1 5.7, 7.3.
    """
    if _PLAIN.fullmatch(text) and plain_scalar(text, _NOWHERE).value == text:
        return text
    if not text.isprintable():
        return f'"{"".join(map(_escaped, text))}"'
    single = "'" + text.replace("'", "''") + "'"
    return single if "\\" in text or '"' in text else f'"{text}"'


def written(scalar: Scalar) -> str:
    """Write a value that was read so that it is read as the same value again. Pure."""
    return quoted(scalar.text) if isinstance(scalar.value, str) else scalar.text or "null"


def _column_of_run(pairs: list[tuple[str, str]], place: int, column: int) -> int:
    def indent(text: str) -> int:
        return len(text) - len(text.lstrip())

    def is_long(pair: tuple[str, str]) -> bool:
        return bool(pair[1]) and len(pair[0]) + _GAP > column and indent(pair[0]) == indent(pairs[place][0])

    first = last = place
    while first > 0 and is_long(pairs[first - 1]):
        first -= 1
    while last + 1 < len(pairs) and is_long(pairs[last + 1]):
        last += 1
    return max(len(text) for text, _ in pairs[first : last + 1]) + _GAP


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if character.isprintable():
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
