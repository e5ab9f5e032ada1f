"""Field lines by themselves, judged by strict llhttp: what floor 2 knows by heart was proven here."""

from collections.abc import Callable, Sequence
from typing import Final

import httptools

from corsproxy.semantics.fields import FieldLine

_REQUEST_LINE: Final = b"GET / HTTP/1.1"
# Of a message without a body, whatever the lines say.
_STATUS_LINE: Final = b"HTTP/1.1 304 Not Modified"


_Parser = httptools.HttpRequestParser | httptools.HttpResponseParser


class LineJudge:
    """
    Parses lines in a head of its own. One for all connections of a loop.

    It is not asked about lines that frame a body or ask for another protocol: behind such a head a parser would wait for more.
    """

    __slots__ = ("_lines", "_make", "_parser", "_start", "mark", "never")

    def __init__(
        self,
        make: Callable[["LineJudge"], _Parser],
        start: bytes,
        mark: Callable[[bytes], int],
        never: int,
    ) -> None:
        self.mark = mark
        self.never = never
        self._make = make
        self._start = start
        self._lines: list[FieldLine] = []
        self._parser = make(self)

    def proves(self, lines: Sequence[bytes]) -> bool:
        """Tell whether llhttp reads each of these as one field line, written with a colon and one space, and without an end."""
        raw = b"%b\r\n%b\r\n\r\n" % (self._start, lines[0] if len(lines) == 1 else b"\r\n".join(lines))
        read: list[FieldLine] = []
        self._lines = read
        try:
            self._parser.feed_data(raw)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Behind `Connection: close` a parser takes no other message; a new one judges anew.
            self._parser = self._make(self)
            read.clear()
            try:
                self._parser.feed_data(raw)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._parser = self._make(self)
                return False
        return [b"%b: %b" % line for line in read] == lines

    # httptools' callback; an exception in it would destroy the parser, so it only takes notes.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field line. llhttp takes off the whitespace before a value and not that behind it."""
        self._lines.append((name, value.rstrip(b" \t") if value[-1:] in (b" ", b"\t") else value))


def request_judge(mark: Callable[[bytes], int], never: int) -> LineJudge:
    """Make a judge of requests' lines. `mark` says of which lines a head may have no two, `never` is the mark of those that it may not have."""
    return LineJudge(httptools.HttpRequestParser, _REQUEST_LINE, mark, never)


def response_judge() -> LineJudge:
    """Make a judge of responses' lines."""
    return LineJudge(httptools.HttpResponseParser, _STATUS_LINE, lambda _: 0, 1)
