"""
Which heads are plain: those that the express lane takes.

llhttp judges the grammar. What is looked at besides is whether anything is there that needs more than a request and its answer, or
that the two lanes could read in two ways. Doubt is never resolved here: a head that is not plain is aiohttp's, whatever is wrong with it.
"""

from typing import Final

import httptools

from corsproxy.gateway.judge import request_judge
from corsproxy.semantics.fields import FieldLine, RequestHead
from corsproxy.semantics.framing import parse_length

# Fields of which aiohttp takes one line only (its SINGLETON_HEADERS; a test compares): two lines of one would be 400 there.
SINGLETONS: Final = (
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"content-location",
    b"content-range",
    b"content-type",
    b"etag",
    b"max-forwards",
    b"server",
    b"user-agent",
)
# What asks for more than an answer; what aiohttp refuses (the key of a WebSocket's draft); what llhttp takes for Connection, and HTTP does not.
_NEVER_PLAIN: Final = (b"upgrade", b"expect", b"sec-websocket-key1", b"proxy-connection")

# One bit for each name. The first is set from the beginning, so that "a second one" and "one at all" are a single question.
_NEVER: Final = 1
_HOST: Final = 2
_FRAMING: Final = 4 | 8
# aiohttp takes so many times more lines than a head may have, trailers counted.
_PARSED_EXCESS: Final = 4
_MARKS: Final = {**{name: 2 << place for place, name in enumerate(SINGLETONS)}, **dict.fromkeys(_NEVER_PLAIN, _NEVER)}
_AGENT: Final = _MARKS[b"user-agent"]

# Spellings of names, remembered with their marks. Bounded: a client that makes names up cannot make it grow.
MAX_SPELLINGS: Final = 1024
_MAX_NAME_BYTES: Final = 64


class PlainHeads:
    """
    Reads whole heads, one after another, and keeps nothing from one to the next. One for all connections of a loop.

    After `read` has returned a head, `length` is that of its body, and `is_chunked` tells that the length will show. `marks` are those of
    its fields, `user_agent` is the value of one, and `room` is how many trailers may follow. `judge` reads single lines alike.
    A head has at most `max_bytes` and `max_lines`.
    """

    __slots__ = (
        "_lines",
        "_parser",
        "_spellings",
        "_target",
        "is_chunked",
        "judge",
        "length",
        "marks",
        "max_bytes",
        "max_lines",
        "room",
        "user_agent",
    )

    def __init__(self) -> None:
        self.length = 0
        self.is_chunked = False
        self.marks = 0
        self.room = 0
        self.user_agent = b""
        self.max_bytes = 0
        self.max_lines = 0
        self.judge = request_judge(self.mark, _NEVER)
        self._parser: httptools.HttpRequestParser | None = None
        self._lines: list[FieldLine] = []
        self._target = b""
        self._spellings: dict[bytes, int] = {}

    def read(self, raw: bytes) -> RequestHead | None:
        """Return the head that these bytes are, from its first to its empty line; None if they are not plain."""
        if len(raw) > self.max_bytes:
            return None
        parser, self._parser = self._parser, None
        if parser is None or not self._feed(parser, raw):
            parser = httptools.HttpRequestParser(self)
            if not self._feed(parser, raw):
                return None
        target, lines = self._target, self._lines
        # > origin-form = absolute-path [ "?" query ] (RFC 9112 3.2.1)
        if target[:1] != b"/" or not target.isascii() or len(lines) > self.max_lines or not self._is_plain(lines):
            return None
        method = parser.get_method()
        # Where llhttp has found them, and nowhere else: no empty line before the method, one space on either side of the target.
        if not raw.startswith(b" HTTP/1.1\r\n", len(method) + 1 + len(target)):
            return None
        if not self.length and not self.is_chunked:
            # Behind the end of a message a parser is as good as new; if it was the connection's last, it fails, and a new one is made.
            self._parser = parser
        return RequestHead(method, target, 1, lines)

    def _feed(self, parser: httptools.HttpRequestParser, raw: bytes) -> bool:
        self._lines, self._target = [], b""
        try:
            parser.feed_data(raw)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return True

    def _is_plain(self, lines: list[FieldLine]) -> bool:
        marks = _NEVER
        spellings = self._spellings
        self.user_agent = b""
        for name, value in lines:
            mark = spellings.get(name)
            if mark is None:
                mark = self._learn(name)
            if mark:
                if marks & mark:
                    return False
                marks |= mark
                if mark == _AGENT:
                    self.user_agent = value
        self.length, self.is_chunked, self.marks = 0, False, marks
        if marks & _FRAMING and not self._read_framing(lines):
            return False
        return bool(marks & _HOST)

    def _learn(self, name: bytes) -> int:
        mark = _MARKS.get(name.lower(), 0)
        if len(self._spellings) < MAX_SPELLINGS and len(name) <= _MAX_NAME_BYTES:
            self._spellings[name] = mark
        return mark

    def _read_framing(self, lines: list[FieldLine]) -> bool:
        """Read the one line that frames the body; two of them frame nothing."""
        framing = [(name.lower(), value) for name, value in lines if _MARKS.get(name.lower(), 0) & _FRAMING]
        if len(framing) != 1:
            return False
        name, value = framing[0]
        if name == b"transfer-encoding":
            self.is_chunked = True
            self.room = _PARSED_EXCESS * self.max_lines - len(lines)
            return value.lower() == b"chunked"
        length = parse_length([value])
        self.length = length or 0
        return length is not None

    def mark(self, name: bytes) -> int:
        """Return the mark of a field."""
        mark = self._spellings.get(name)
        return self._learn(name) if mark is None else mark

    # httptools' callbacks; an exception in one of them would destroy the parser, so they only take notes.

    def on_url(self, url: bytes) -> None:
        """Keep the target, which may come in pieces."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field line. llhttp takes off the whitespace before a value and not that behind it."""
        self._lines.append((name, value.rstrip(b" \t") if value[-1:] in (b" ", b"\t") else value))


class Probe:
    """Sees the part of a head that has come."""

    __slots__ = ("_heads", "_is_doubtful", "_marks", "_parser")

    def __init__(self, heads: PlainHeads) -> None:
        self._heads = heads
        self._marks = _NEVER
        self._is_doubtful = False
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, part: bytes) -> bool:
        """Tell whether the head may still become a plain one."""
        try:
            self._parser.feed_data(part)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return not self._is_doubtful

    def on_header(self, name: bytes, value: bytes) -> None:
        """Look for what no plain head has, or has two of."""
        del value
        mark = self._heads.mark(name)
        self._is_doubtful = self._is_doubtful or bool(self._marks & mark)
        self._marks |= mark
