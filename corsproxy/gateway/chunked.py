"""
A chunked request body on the express lane: content out of chunks.

httptools tells no offset at a message's end, so a body is fed whole: whether anything came behind it can be known, and not where
it began.
"""

from typing import Final

import httptools

from corsproxy.gateway.plain import PlainHeads

# A head for the parser; the request's own has been read.
_HEAD: Final = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
# What a body without trailers ends in.
LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
# Bytes of chunk sizes, extensions and trailers that may pass beyond what honest chunks need: 16 for each, and twice its content.
# Precedent: Go net/http/internal/chunked.go ("chunked encoding contains too much non-data").
MAX_CHUNK_OVERHEAD: Final = 64 * 1024
HONEST_CHUNK_OVERHEAD: Final = 16
_BROKEN: Final = "its framing does not parse"


class ChunkedBody:
    """
    One body, of the head that `heads` has just read. `content` are the pieces that nobody has taken yet.

    `ended`: its last chunk came; `ended_plainly`: without trailers, and with nothing behind it. `fault` says how its framing is broken.
    """

    __slots__ = (
        "_heads",
        "_is_behind",
        "_is_doubtful",
        "_is_refused",
        "_marks",
        "_overhead",
        "_parser",
        "_room",
        "_tail",
        "content",
        "ended",
        "ended_plainly",
        "fault",
    )

    def __init__(self, heads: PlainHeads) -> None:
        self._heads = heads
        self._marks = heads.marks
        self._room = 0
        self._is_refused = self._is_doubtful = False
        self.content: list[bytes] = []
        self.ended = False
        self.ended_plainly = False
        self.fault = ""
        self._is_behind = False
        self._overhead = 0
        # The line end of the head, which a first chunk follows that is the last.
        self._tail = b"\r\n"
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_HEAD)
        self._is_doubtful, self._room = False, heads.room

    def feed(self, data: bytes) -> None:
        """Take bytes of the body, as long as it has not ended."""
        if self.fault:
            return
        self._overhead += len(data)
        self._tail = (self._tail + data[-len(LAST_CHUNK) :])[-len(LAST_CHUNK) :]
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # What stands behind the end is no part of the body, and nobody's.
            self._is_behind = True
            if not self.ended:
                self.fault = _BROKEN
        if (self._is_refused or self._is_doubtful) and not self.fault:
            self.fault = _BROKEN
        if self.fault:
            self.ended = False
        elif self.ended:
            self.ended_plainly = not self._is_behind and self._tail == LAST_CHUNK
        elif self._overhead > MAX_CHUNK_OVERHEAD:
            self.fault = "its chunks are nearly all overhead"

    def take(self) -> list[bytes]:
        """Return the content that came since the last time."""
        content, self.content = self.content, []
        return content

    # httptools' callbacks; an exception in one of them would destroy the parser, so they only take notes.

    def on_body(self, data: bytes) -> None:
        """Keep content."""
        if not self.ended:
            self._overhead = max(0, self._overhead - 3 * len(data) - HONEST_CHUNK_OVERHEAD)
            self.content.append(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """
        Judge a trailer. None goes upstream; those that a head may have once are refused a second time.

        That is aiohttp's rule, which never looks at the last of them: that one is told with the end.
        """
        del value
        if self.ended:
            return
        self._room -= 1
        mark = self._heads.mark(name)
        self._is_refused = self._is_refused or self._is_doubtful
        self._is_doubtful = bool(self._marks & mark) or self._room < 0
        self._marks |= mark

    def on_chunk_complete(self) -> None:
        """Take the judgement of the last trailer back: it came together with the end."""
        self._is_doubtful = False

    def on_message_begin(self) -> None:
        """Notice a message behind the body."""
        self._is_behind = self._is_behind or self.ended

    def on_message_complete(self) -> None:
        """Notice the end."""
        self.ended = True
