"""
What the lines of a head mean, each by itself: known by their bytes, or read once.

A head is its lines. What stands in one does not change what another one says, but for the few that speak of the message, and those are told
apart here: so a line that was read once need not be parsed again, and of a head only what is new is. A judge with a strict parser says what a
line is; behind a name that it took once, a plain value is one.

Bounded; a line is remembered when it comes a second time.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from corsproxy.memo import Memo, Sights
from corsproxy.semantics.acts import DOUBT, LENGTH, MAX_NAME_BYTES, PARSED
from corsproxy.semantics.framing import is_plain_length
from corsproxy.semantics.tokens import PLAIN_VALUE, TCHARS, is_plain_value

MAX_LINES: Final = 1024
# A line with more bytes is read each time.
MAX_LINE_BYTES: Final = 512
_PLAIN_LINE: Final = re.compile(rb"([%b]+): (%b)" % (re.escape(TCHARS), PLAIN_VALUE)).match
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

    `is_free`: any other value would mean the same, and a parser does not read it either. All lines that mean the same share one, which is equal to
    itself alone. So what heads mean can be compared without a look at a byte.
    """

    __slots__ = ("act", "is_free", "lower", "mark", "value")

    def __init__(self, act: int, lower: bytes, value: bytes, mark: int, is_free: bool) -> None:  # noqa: FBT001
        self.act = act
        self.lower = lower
        self.value = value
        self.mark = mark
        self.is_free = is_free


# By what is done with a name: the act, the name in lower case where it matters, and whether the value does.
ActOf = Callable[[bytes], tuple[int, bytes, bool]]


class Meanings:
    """The meanings of lines, by one table of names. A caller in a hurry asks `lines.young`."""

    __slots__ = ("_act_of", "_kinds", "_names", "_sights", "lines")

    def __init__(self, act_of: ActOf) -> None:
        self.lines: Memo[bytes, Meaning] = Memo(MAX_LINES)
        self._act_of = act_of
        self._kinds: Memo[tuple[int, bytes, bytes, int, bool], Meaning] = Memo(MAX_MEANINGS)
        # Names of which no value matters, and that were proven with one.
        self._names: Memo[bytes, Meaning] = Memo(MAX_MEANINGS)
        self._sights = Sights()

    def read(self, lines: Sequence[bytes], known: Sequence[Meaning | None], judge: Judge) -> tuple[Meaning, ...] | None:
        """Say what lines mean, as far as that is not `known`; None where one is in doubt, or is not written as this proxy would write it."""
        found = list(known)
        new: list[tuple[bytes, bytes, Meaning]] = []
        unproven: list[bytes] = []
        for place, meaning in enumerate(known):
            if meaning is None:
                line = lines[place]
                kept = self.lines.find(line) or self._read_line(line, new, unproven, judge)
                if kept is None:
                    return None
                found[place] = kept
        if unproven and not judge.proves(unproven):
            return None
        for line, name, kept in new:
            if len(line) <= MAX_LINE_BYTES and self._sights.is_second(line):
                self.lines.put(line, kept)
            self._keep_name(name, kept)
        return tuple(found)  # type: ignore[arg-type]  # none is None any more

    def line_of(self, meaning: Meaning, judge: Judge) -> Callable[[bytes, int], re.Match[bytes] | None]:
        """Return what takes a plain line of a free meaning, whatever its name, from where it begins."""

        def take(data: bytes, at: int) -> re.Match[bytes] | None:
            found = _PLAIN_LINE(data, at)
            if found is None:
                return None
            name = found[1]
            kept = self._names.find(name)
            if kept is None:
                kept = self._meet(name, found[2], judge)
                if kept is not meaning or not judge.proves([found[0]]):
                    return None
                self._keep_name(name, kept)
            return found if kept is meaning else None

        return take

    def _keep_name(self, name: bytes, meaning: Meaning) -> None:
        if meaning.is_free and len(name) <= MAX_NAME_BYTES and name not in self._names.young:
            self._names.put(name, meaning)

    def _read_line(self, line: bytes, new: list[tuple[bytes, bytes, Meaning]], unproven: list[bytes], judge: Judge) -> Meaning | None:
        """Say what a line means that is `new`, and note it as `unproven` if a parser has to see it, too."""
        name, colon, value = line.partition(b": ")
        meaning = self._names.find(name)
        if meaning is None or is_plain_value(value) is None:
            meaning = meaning or self._meet(name, value, judge)
            if meaning is None or not colon:
                return None
            # Digits behind a name that is known by heart are all that such a line is.
            if meaning.act != LENGTH:
                unproven.append(line)
        new.append((line, name, meaning))
        return meaning

    def _meet(self, name: bytes, value: bytes, judge: Judge) -> Meaning | None:
        """Say what a line means if it is one."""
        act, lower, is_read = self._act_of(name)
        mark = judge.mark(name)
        if act == DOUBT or mark & judge.never or (act == LENGTH and not is_plain_length(value)):
            return None
        # What decides and is long is not kept, in a layout neither.
        if is_read and len(value) > MAX_LINE_BYTES:
            return None
        kind = (act, lower, value if is_read else b"", mark, not is_read and name.lower() not in PARSED)
        meaning = self._kinds.find(kind)
        if meaning is None:
            meaning = Meaning(*kind)
            self._kinds.put(kind, meaning)
        return meaning
