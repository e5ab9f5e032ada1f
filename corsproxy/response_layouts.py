"""
Response heads that are not taken apart: edited by what their lines mean, one after the other.

As `request_layouts`, for what an `Editor` writes: the meanings of the lines of a head, in their order, say which lines pass, how the body ends
and what Vary becomes. Whatever is rare, in doubt or new is left to the editor's walk, which gets it parsed.
"""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final

from corsproxy.cors import respond
from corsproxy.meanings import MAX_LINE_BYTES, Judge, Meaning, Meanings
from corsproxy.memo import Memo, Sights
from corsproxy.semantics.acts import CLOSING, CODING, COOKIE, DATE, DOUBT, LENGTH, PASS, SETTLED, VARY, ResponseNames

MAX_LAYOUTS: Final = 256
_START: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) [ -~]*")
_MAX_STARTS: Final = 64
_READ_BY_VALUE: Final = frozenset({CLOSING, CODING, VARY})
_PASSING: Final = frozenset({PASS, DATE, LENGTH})
_CONNECTIONS: Final = SETTLED[b"connection"]
# Where the value begins behind this name.
LENGTH_CUT: Final = len("Content-Length: ")


class ResponseLayout:
    """
    What the lines of a head mean, one after the other, and what that comes to.

    `length` is the place of the one that tells the length, -1 without one; `is_coded`: the body comes in chunks. `vary` is written behind the
    lines that pass. `keeps` are the places of these, and `pick` takes them, behind the last of all, where the status line is put.
    """

    __slots__ = ("closes", "has_date", "is_coded", "keeps", "length", "meanings", "pick", "vary")

    def __init__(self, meanings: tuple[Meaning, ...]) -> None:
        self.meanings = meanings
        self.keeps: tuple[int, ...] = ()
        self.length = -1
        self.closes = self.has_date = self.is_coded = False
        self.vary = b""
        self.pick: Callable[[list[bytes]], Sequence[bytes]] = _last


def lay_out(meanings: tuple[Meaning, ...], *, merges_vary: bool) -> ResponseLayout | None:  # noqa: C901 - one branch for each act
    """Make a layout; None for what takes a closer look."""
    found = ResponseLayout(meanings)
    keeps = []
    varies: bytes | None = None
    for place, meaning in enumerate(meanings):
        act, value = meaning.act, meaning.value
        passes = act in _PASSING
        if act == DATE:
            found.has_date = True
        elif act == LENGTH:
            if found.length >= 0 or found.is_coded:
                return None
            found.length = place
        elif act == CODING:
            if found.length >= 0 or found.is_coded or value != b"chunked":
                return None
            found.is_coded = True
        elif act == CLOSING:
            if value not in _CONNECTIONS:
                return None
            found.closes = found.closes or value[:1] in b"cC"
        elif act == VARY and merges_vary:
            if varies is not None:
                return None
            varies, passes = value, respond.merge_vary((value,), b"Origin") == value
        if passes:
            keeps.append(place)
    if merges_vary:
        merged = b"Origin" if varies is None else respond.merge_vary((varies,), b"Origin")
        found.vary = b"" if merged == varies else b"\r\nVary: " + merged
    if keeps:
        found.keeps, found.pick = tuple(keeps), itemgetter(-1, *keeps)
    return found


class ResponseLayouts:
    """The layouts of the responses of one route. `merges_vary`: they vary by Origin."""

    def __init__(self, names: ResponseNames, *, merges_vary: bool) -> None:
        self._names = names
        self._merges_vary = merges_vary
        self._meanings = Meanings(self._act)
        self._starts: dict[bytes, int] = {}
        self._layouts: Memo[tuple[Meaning, ...], ResponseLayout] = Memo(MAX_LAYOUTS)
        self._sights = Sights()

    def find(self, lines: list[bytes], judge: Judge) -> tuple[int, ResponseLayout] | None:
        """Return the status and the layout of a head, given as its lines; the first of them goes to the end. None for what is not known."""
        start = lines.pop(0)
        status = self._starts.get(start) or self._read_start(start)
        if not status:
            return None
        meanings = tuple(map(self._meanings.lines.young.get, lines))
        layout = self._layouts.young.get(meanings)  # type: ignore[arg-type]  # None is no meaning
        if layout is None:
            layout = self._find(lines, meanings, judge)
            if layout is None:
                return None
        lines.append(start)
        return status, layout

    def _find(self, lines: Sequence[bytes], some: Sequence[Meaning | None], judge: Judge) -> ResponseLayout | None:
        """Find the layout of lines that are not all known; make one when it is asked for a second time."""
        meanings = self._meanings.read(lines, some, judge)
        if meanings is None:
            return None
        layout = self._layouts.find(meanings)
        if layout is None and self._sights.is_second(meanings):
            layout = lay_out(meanings, merges_vary=self._merges_vary)
            if layout is not None:
                self._layouts.put(meanings, layout)
        return layout

    def _read_start(self, start: bytes) -> int:
        """Return the status of a line that is written as this proxy would write it, 0 for any other."""
        match = _START.fullmatch(start)
        # > A server MUST NOT send a Content-Length header field in any response with a status code of 204 (RFC 9110 8.6): some do.
        if match is None or match[1] == b"204":
            return 0
        if len(self._starts) < _MAX_STARTS and len(start) <= MAX_LINE_BYTES:
            self._starts[start] = int(match[1])
        return int(match[1])

    def _act(self, name: bytes) -> tuple[int, bytes, bool]:
        names = self._names
        act = PASS if name in names.passed else (names.acts.get(name) or names.meet(name))[0]
        if act == COOKIE or (act == VARY and not self._merges_vary):
            act = DOUBT if act == COOKIE else PASS
        return act, b"", act in _READ_BY_VALUE


def _last(lines: list[bytes]) -> Sequence[bytes]:
    return lines[-1:]
