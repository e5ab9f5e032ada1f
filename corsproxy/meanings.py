"""
What the lines of a head mean, each by itself: known by their bytes, or read once.

A head is its lines. What stands in one does not change what another one says, but for the few that speak of the message, and those are told
apart here: so a line that was read once need not be parsed again, and of a head only what is new is. A judge with a strict parser says what a
line is; nothing here reads a line's grammar.

Bounded; a line is remembered when it comes a second time.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from corsproxy.memo import Memo, Sights
from corsproxy.semantics.acts import DOUBT, LENGTH, MAX_NAME_BYTES
from corsproxy.semantics.framing import is_plain_length

MAX_LINES: Final = 1024
# A line with more bytes is read each time.
MAX_LINE_BYTES: Final = 512
# How many meanings there may be; those of lines that only pass are one.
MAX_MEANINGS: Final = 1024


class Judge(Protocol):
    """Whoever parses. `never` is the mark of a line that only a parser of whole heads may read."""

    never: int

    def proves(self, lines: Sequence[bytes]) -> bool:
        """Tell whether a strict parser reads each of these as one field line, written with a colon and one space, and without an end."""

    def mark(self, name: bytes) -> int:
        """Return the bits of which no two lines of one head may have the same; 0 where any number of lines may be of that name."""


class Meaning:
    """
    What is done with a line, its name in lower case and its value, the latter two only where they matter, and the mark of its name.

    All lines that mean the same share one, which is equal to itself alone. So what heads mean can be compared without a look at a byte.
    """

    __slots__ = ("act", "lower", "mark", "value")

    def __init__(self, act: int, lower: bytes, value: bytes, mark: int) -> None:
        self.act = act
        self.lower = lower
        self.value = value
        self.mark = mark


# By what is done with a name: the act, the name in lower case where it matters, and whether the value does.
ActOf = Callable[[bytes], tuple[int, bytes, bool]]


class Meanings:
    """The meanings of lines, by one table of names. A caller in a hurry asks `lines.young`."""

    __slots__ = ("_act_of", "_kinds", "_names", "_sights", "lines")

    def __init__(self, act_of: ActOf) -> None:
        self.lines: Memo[bytes, Meaning] = Memo(MAX_LINES)
        self._act_of = act_of
        self._kinds: Memo[tuple[int, bytes, bytes, int], Meaning] = Memo(MAX_MEANINGS)
        # Names of which no value matters.
        self._names: Memo[bytes, Meaning] = Memo(MAX_MEANINGS)
        self._sights = Sights()

    def read(self, lines: Sequence[bytes], known: Sequence[Meaning | None], judge: Judge) -> tuple[Meaning, ...] | None:
        """Say what lines mean, as far as that is not `known`; None where one is in doubt, or is not written as this proxy would write it."""
        found = list(known)
        new, unproven = [], []
        for place, meaning in enumerate(known):
            if meaning is None:
                line = lines[place]
                kept = self.lines.find(line)
                if kept is None:
                    name, colon, value = line.partition(b": ")
                    kept = self._names.young.get(name) or self._meet(name, value, judge)
                    if kept is None or not colon:
                        return None
                    new.append((line, kept))
                    # Digits behind a name that is known by heart are all that such a line is.
                    if kept.act != LENGTH:
                        unproven.append(line)
                found[place] = kept
        if unproven and not judge.proves(unproven):
            return None
        for line, kept in new:
            if len(line) <= MAX_LINE_BYTES and self._sights.is_second(line):
                self.lines.put(line, kept)
        return tuple(found)  # type: ignore[arg-type]  # none is None any more

    def means(self, meaning: Meaning, judge: Judge, line: bytes) -> bool:
        """Tell whether a line has a meaning that its value has no part in."""
        name, colon, value = line.partition(b": ")
        kept = self._names.young.get(name) or self._meet(name, value, judge)
        return kept is meaning and colon != b"" and b"\r\n" not in line and judge.proves([line])

    def _meet(self, name: bytes, value: bytes, judge: Judge) -> Meaning | None:
        """Say what a line means if it is one."""
        act, lower, is_read = self._act_of(name)
        mark = judge.mark(name)
        if act == DOUBT or mark & judge.never or (act == LENGTH and not is_plain_length(value)):
            return None
        # What decides and is long is not kept, in a layout neither.
        if is_read and len(value) > MAX_LINE_BYTES:
            return None
        kind = (act, lower, value if is_read else b"", mark)
        meaning = self._kinds.find(kind)
        if meaning is None:
            meaning = Meaning(*kind)
            self._kinds.put(kind, meaning)
        if not is_read and act != LENGTH and len(name) <= MAX_NAME_BYTES:
            self._names.put(name, meaning)
        return meaning
