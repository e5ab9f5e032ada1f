"""
One connection to an upstream: strict llhttp, framing judged, every end told apart.

Callbacks only: no task and no future, so that both lanes can use it. It writes what it is given, reads one
response at a time, and tells its Exchange what came; it knows no policy and no client.
"""

import asyncio
from typing import Final, cast

import httptools

from corsproxy import problems
from corsproxy.edits import Alike, Prepared, Received
from corsproxy.gateway.chunked import HONEST_CHUNK_OVERHEAD, MAX_CHUNK_OVERHEAD
from corsproxy.gateway.judge import LineJudge
from corsproxy.gateway.reading import READ_BYTES, InPieces
from corsproxy.gateway.tls import TlsFailed
from corsproxy.gateway.tunnel import End
from corsproxy.gateway.upstream_neighbours import Exchange, Owner, Terms
from corsproxy.problems import Problem
from corsproxy.semantics.fields import FieldLine, ResponseHead
from corsproxy.semantics.framing import HEAD_END, BodyKind, Refusal

# What a parser is told of a head that it did not get.
_CHUNKED_HEAD: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_MINORS: Final = {"1.0": 0, "1.1": 1}


class UpstreamConnection(InPieces):
    """
    A connection that serves one exchange after another.

    `begin` → `write`… → `end_request`; the exchange's callbacks tell the rest. `abort` at any time. After `on_end` or
    `on_failure` the connection has gone back to its owner, or is closed.
    """

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop, buffer: memoryview, judge: LineJudge) -> None:
        super().__init__(buffer)
        self._owner = owner
        self._judge = judge
        self._loop = loop
        # There from the first exchange on.
        self._terms: Terms
        self._reusable = self._request_ended = self.received = self._reading_paused = False
        self.transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._alike: Alike | None = None
        self._tunnel: End | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self.blocked = self._complete = False
        self._is_fresh = True
        self.stamp = loop.time()
        # When its opening began, by `time.perf_counter`; its owner knows.
        self.began = 0.0
        self._begin_response()

    # --- the request ---

    def begin(self, exchange: Exchange, terms: Terms) -> None:
        """Take an exchange."""
        self._exchange, self._alike = exchange, None
        self._terms = terms
        self._reusable = terms.reuse_upstream
        self._request_ended = self.received = self._reading_paused = False
        self.stamp = self._loop.time()

    def send(self, exchange: Exchange, terms: Terms, request: bytes, alike: Alike | None) -> None:
        """Take an exchange whose request is complete; `alike` edits its answer if that is known."""
        self._exchange = exchange
        self._alike = alike
        self._terms = terms
        self._reusable = terms.reuse_upstream
        self._request_ended = True
        self.received = self._reading_paused = False
        self.stamp = self._loop.time()
        if self.transport is not None:
            self.transport.write(request)

    def write(self, data: bytes) -> None:
        """Send request bytes. Watch `blocked`: while it is true, more would only fill memory."""
        if self.transport is not None:
            self.transport.write(data)

    def end_request(self) -> None:
        """Say that the request is complete: from now on the upstream owes an answer."""
        self._request_ended = True
        self.stamp = self._loop.time()

    def pause_reading(self) -> None:
        """Stop reading the response until `resume_reading`."""
        if not self._reading_paused and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._reading_paused and self.transport is not None:
            self._reading_paused = False
            self.stamp = self._loop.time()
            self.transport.resume_reading()

    def abort(self) -> None:
        """Give the exchange up without a word to it, and close."""
        self._exchange = None
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """Close an idle connection."""
        if self.transport is not None:
            self.transport.close()

    @property
    def is_open(self) -> bool:
        """Whether bytes can still be written."""
        return self.transport is not None and not self.transport.is_closing()

    def expire(self, now: float) -> None:
        """Fail the exchange if a deadline has passed. `now` is the loop's clock."""
        if self._exchange is None or self._reading_paused:
            return
        waited, timeouts = now - self.stamp, self._terms.route.timeouts
        if self._body is not None or not self._request_ended:
            # While the client owes request bytes and the upstream takes them, nothing is the upstream's fault.
            if waited > timeouts.idle and (self._body is not None or self.blocked):
                self._fail(problems.UPSTREAM_IDLE_TIMEOUT, f"no bytes moved for {timeouts.idle:g} s")
        elif waited > timeouts.response:
            self._fail(problems.UPSTREAM_RESPONSE_TIMEOUT, f"no answer within {timeouts.response:g} s")

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell an orderly end from a cut."""
        self.transport = None
        self._owner.forget(self, unexpected=False)
        if self._tunnel is not None:
            self._tunnel.on_lost(exc)
        if self._exchange is None:
            return
        because = f": {exc}" if exc is not None else ""
        if self._body is None and isinstance(exc, TlsFailed) and not self.received:
            # TLS 1.3: an upstream that wants a certificate refuses only after our side of the handshake is done.
            self._fail(problems.UPSTREAM_TLS, str(exc))
        elif self._body is None:
            self._fail(problems.UPSTREAM_CLOSED, f"closed before the answer{because}")
        elif self._body is BodyKind.UNTIL_CLOSE and exc is None:
            exchange = self._exchange
            self._finish()
            exchange.on_flush()
        else:
            self._fail(problems.UPSTREAM_TRUNCATED, f"closed in the middle of the answer{because}")

    def eof_received(self) -> bool:
        """Close, unless bytes may still go the other way."""
        return self._tunnel is not None and self._tunnel.on_eof()

    def pause_writing(self) -> None:
        """Take note that the upstream reads slower than we write."""
        self.blocked = True
        self.stamp = self._loop.time()
        if self._tunnel is not None:
            self._tunnel.on_blocked()

    def resume_writing(self) -> None:
        """Let the exchange write on."""
        self.blocked = False
        self.stamp = self._loop.time()
        if self._tunnel is not None:
            self._tunnel.on_writable()
        if self._exchange is not None:
            self._exchange.on_writable()

    def data_received(self, data: bytes) -> None:  # noqa: C901 - each call costs as much as what is done in it
        """Read response bytes."""
        exchange = self._exchange
        if exchange is None:
            self._take_unasked(data)
            return
        self.received, self.stamp = True, self._loop.time()
        if self._is_fresh:
            # As most answers are: a head that is known, in one piece with all of the content.
            self._is_fresh = False
            alike, most = self._alike, self._terms.head_limit
            recalled = alike.recall(data, most, self._judge) if alike is not None else exchange.on_lines(data, most, self._judge)
            if recalled is not None:
                found, size = recalled
                data = data[size:]
                may_go_on = found.reusable and self._reusable and self._request_ended and not self._reading_paused
                whole = ((data,) if len(data) == found.length else found.chunks(data)) if may_go_on else None
                if whole is not None:
                    self._exchange, self._is_fresh = None, True
                    self._owner.take_back(self)
                    # The next answer will be as short.
                    if not self.is_at_once:
                        self.read_at_once(self.transport)
                    exchange.on_whole(found, whole)
                    return
                exchange.on_known(found)
                self._begin_known_body(found)
        if len(data) > READ_BYTES:
            self.read_in_pieces(self.transport)
        try:
            while data and not self._complete and self._exchange is exchange:
                data = self._read_head(data) if self._body is None else self._read_body(exchange, data)
        except httptools.HttpParserError as error:
            if self._complete:
                self._stray = True
            elif self._exchange is exchange:
                problem = problems.UPSTREAM_BAD_HEAD if self._body is None else problems.UPSTREAM_TRUNCATED
                self._fail(problem, f"the answer breaks HTTP's grammar: {error}")
        if self._complete and self._exchange is exchange:
            self._stray = self._stray or bool(data)
            self._finish()
        self._pass_on(data)
        exchange.on_flush()

    def _take_unasked(self, data: bytes) -> None:
        """Take what no exchange waits for: a tunnel's bytes, or whatever else it is; the next request's client must not get it as its answer."""
        if self._tunnel is not None:
            self._pass_on(data)
        else:
            self._owner.forget(self, unexpected=self.is_open)
            self.abort()

    def _pass_on(self, data: bytes) -> None:
        """Hand bytes to the tunnel, if there is one."""
        if self._tunnel is not None and data:
            self._tunnel.on_data(data)

    # --- the response ---

    def _begin_response(self) -> None:
        self._body: BodyKind | None = None
        self._remaining = self._head_bytes = self._overhead = 0
        self._tail = b""
        self._complete = self._stray = False
        # Nothing of an answer has come.
        self._is_fresh = True
        self._head: ResponseHead | None = None
        self._begin_head()

    def _begin_head(self) -> None:
        self._reason = b""
        self._is_1_1 = False
        self._lines: list[FieldLine] = []

    def _read_head(self, data: bytes) -> bytes:
        """Feed the parser up to the head's end and no further: behind it, the parser is told how the body ends by nobody."""
        window = self._tail + data if self._tail else data
        end = window.find(HEAD_END)
        taken = data if end < 0 else data[: end + len(HEAD_END) - len(self._tail)]
        self._head_bytes += len(taken)
        if self._head_bytes > self._terms.head_limit:
            self._fail(problems.UPSTREAM_BAD_HEAD, f"the answer's head is over {self._terms.head_limit} bytes")
            return b""
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        # To ask the parser costs more than it seems; where llhttp takes a head that begins so, it is one of this version.
        self._is_1_1 = not self._tail and taken[:9] == b"HTTP/1.1 "
        try:  # noqa: SIM105 - a suppress() for each head costs as much as a field
            self._parser.feed_data(taken)
        except httptools.HttpParserUpgrade:
            pass
        if end < 0:
            self._tail = window[-(len(HEAD_END) - 1) :]
            return b""
        self._tail = b""
        head, self._head = self._head, None
        if head is None:
            self._fail(problems.UPSTREAM_BAD_HEAD, "an empty line where the answer's head should be")
        else:
            self._take_head(head)
        return data[len(taken) :]

    def _take_head(self, head: ResponseHead) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if head.status == 101:
            self._switch(exchange, head)
            return
        if 100 <= head.status < 200:
            self._begin_head()
            exchange.on_interim(head)
            return
        received = exchange.on_head(head)
        if received is None:
            self.abort()
        else:
            self._begin_body(received)

    def _begin_known_body(self, found: Prepared) -> None:
        if found.body.kind is BodyKind.CHUNKED:
            self._parser = httptools.HttpResponseParser(self)
            self._parser.feed_data(_CHUNKED_HEAD)
        self._begin_body(found)

    def _begin_body(self, received: Received | Prepared) -> None:
        self._reusable = self._reusable and received.reusable
        kind = received.body.kind
        self._body = kind
        self._begin_head()
        if kind is not BodyKind.CHUNKED:
            # The parser waits for a body that it will not see; the next response gets a new one.
            self._parser = None
        if kind is BodyKind.LENGTH:
            self._remaining = received.body.length
        if kind is BodyKind.NONE or (kind is BodyKind.LENGTH and not self._remaining):
            self._complete = True

    def _switch(self, exchange: Exchange, head: ResponseHead) -> None:
        if self.transport is None:
            return
        self.read_in_pieces(self.transport)
        found = exchange.on_switch(head, self.transport)
        if isinstance(found, Refusal):
            self._fail(found.problem, f"status 101 is refused: {found.reason}")
        else:
            self._exchange, self._tunnel = None, found

    def _read_body(self, exchange: Exchange, data: bytes) -> bytes:
        """Hand content on, and return what lies behind its end."""
        if self._body is BodyKind.UNTIL_CLOSE:
            exchange.on_body(data)
        elif self._body is BodyKind.LENGTH:
            mine, rest = data[: self._remaining], data[self._remaining :]
            self._remaining -= len(mine)
            self._complete = not self._remaining
            exchange.on_body(mine)
            return rest
        elif self._parser is not None:
            self._overhead += len(data)
            self._parser.feed_data(data)
            if self._overhead > MAX_CHUNK_OVERHEAD and not self._complete:
                self._fail(problems.UPSTREAM_TRUNCATED, "the answer's chunks are nearly all overhead")
        return b""

    # httptools' callbacks; an exception in one of them would destroy the parser, so they only take notes.

    def on_message_begin(self) -> None:
        """Notice a message that nobody asked for."""
        self._stray = self._stray or self._complete

    def on_status(self, reason: bytes) -> None:
        """Collect the reason phrase, which may come in pieces."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a field line; a trailer section's arrive here too, and are no header fields."""
        if not self._complete:
            self._lines.append((name, value.rstrip(b" \t") if value[-1:] in (b" ", b"\t") else value))

    def on_headers_complete(self) -> None:
        """Put the head together."""
        parser = self._parser
        if parser is not None and self._body is None:
            minor = 1 if self._is_1_1 else _MINORS.get(parser.get_http_version(), -1)
            self._head = ResponseHead(parser.get_status_code(), self._reason, minor, self._lines)

    def on_body(self, data: bytes) -> None:
        """Pass chunked content on."""
        self._overhead = max(0, self._overhead - 3 * len(data) - HONEST_CHUNK_OVERHEAD)
        # Bytes behind the last chunk are fed with it: they may be a whole message, and are nobody's.
        if self._exchange is not None and not self._complete:
            self._exchange.on_body(data)

    def on_message_complete(self) -> None:
        """Notice the end of a chunked body."""
        if self._body is BodyKind.CHUNKED and not self._complete:
            self._complete = True
            if self._lines and self._exchange is not None:
                self._exchange.on_trailers(self._lines)

    # --- the end ---

    def _finish(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if self._request_ended and self._reusable and not self._stray and self.is_open:
            self.resume_reading()
            self.stamp = self._loop.time()
            self._begin_response()
            self._owner.take_back(self)
        elif self.transport is not None:
            self.transport.abort()
        exchange.on_end()

    def _fail(self, problem: Problem, text: str) -> None:
        exchange = self._exchange
        self.abort()
        if exchange is not None:
            exchange.on_failure(problem, text)
            exchange.on_flush()
