"""
Heads that are the same but for what stands in a few places, as a path, a length or an id: only that is read.

The rest was read before, byte for byte, and means what it meant then. In a gap stands what a pattern takes that is narrower than what a strict
parser takes there; no pattern takes a line end, so what is behind a gap begins where the line ends.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from corsproxy.semantics.framing import MAX_LENGTH_DIGITS
from corsproxy.semantics.target import PLAIN_TARGET
from corsproxy.semantics.tokens import PLAIN_VALUE

# What a gap takes, from where it begins.
Takes = Callable[[bytes, int], re.Match[bytes] | None]

TARGET: Final[Takes] = re.compile(PLAIN_TARGET).match
VALUE: Final[Takes] = re.compile(PLAIN_VALUE).match
# As this proxy would write it.
LENGTH: Final[Takes] = re.compile(rb"0|[1-9][0-9]{0,%d}" % (MAX_LENGTH_DIGITS - 1)).match


class Gaps:
    """
    Bytes with gaps: `parts` lie before, between and behind them, and `takes` are the gaps, each with whether what stands in it is wanted.

    After `read`, `size` is how many bytes that were.
    """

    __slots__ = ("_begin", "_gaps", "size")

    def __init__(self, parts: Sequence[bytes], takes: Sequence[tuple[Takes, bool]]) -> None:
        self._begin = parts[0]
        self._gaps = tuple((*gap, part, len(part)) for gap, part in zip(takes, parts[1:], strict=True))
        self.size = 0

    def read(self, data: bytes) -> list[bytes] | None:
        """Return what stands in the gaps and is wanted; None where other bytes lie between, or a gap does not take what stands there."""
        begin = self._begin
        if not data.startswith(begin):
            return None
        at = len(begin)
        pieces: list[bytes] = []
        for take, is_wanted, behind, size in self._gaps:
            found = take(data, at)
            if found is None:
                return None
            end = found.end()
            if not data.startswith(behind, end):
                return None
            if is_wanted:
                pieces.append(data[at:end])
            at = end + size
        self.size = at
        return pieces


class Template:
    """What is written with gaps: `parts` lie before, between and behind them."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = [b""] * (2 * len(parts) - 1)
        self._parts[::2] = parts

    def fill(self, pieces: Sequence[bytes]) -> bytes:
        """Write it with these in the gaps."""
        parts = self._parts.copy()
        parts[1::2] = pieces
        return b"".join(parts)


def cut(lines: Sequence[bytes], gaps: Mapping[int, tuple[int, int]]) -> list[bytes]:
    """Write lines, and return what lies before, between and behind the gaps: from where to where in which line there is one."""
    parts = [b""]
    for place, line in enumerate(lines):
        begin, end = gaps.get(place, (len(line), -1))
        parts[-1] += b"\r\n" + line[:begin] if place else line[:begin]
        if place in gaps:
            parts.append(line[end:])
    return parts


def value_of(line: bytes) -> tuple[int, int]:
    """Return from where to where in a line its value stands."""
    return line.index(b": ") + 2, len(line)


def names_differ(one: bytes, other: bytes) -> bool:
    """Tell whether two lines have other names, or the same spelled in another way."""
    return one.partition(b": ")[0] != other.partition(b": ")[0]


def differing(one: Sequence[bytes], other: Sequence[bytes]) -> set[int]:
    """Return the places in which as many lines differ."""
    return {place for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]}
