"""
Every private or subtle fact of aiohttp that the gateway leans on, each with its reason.

Nothing else in the project touches a name of aiohttp's that begins with an underscore.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

# Before aiohttp.
from corsproxy.gateway import _no_client  # noqa: F401

# isort: split
import aiohttp
from aiohttp import hdrs, http_exceptions, http_parser, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from corsproxy import problems
from corsproxy.config.settings import RouteLimits
from corsproxy.gateway.neighbours import Express
from corsproxy.gateway.tunnel import End
from corsproxy.plan import Connection
from corsproxy.problems import Problem

if TYPE_CHECKING:
    from corsproxy.gateway.front import Front

# What a chunked body without trailers ends in. A trailer has a colon, so a line `0` before the empty one is the last chunk.
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"

# How long a client of TLS may take to say farewell when its idle connection is closed.
_FAREWELL_S: Final = 1.0

# Above it, what is encrypted for a client waits until the client has taken some.
_TLS_WRITE_BUFFER_BYTES: Final = 64 * 1024

# Read below, and not part of aiohttp's public interface.
_NEEDED_SLOTS: Final = frozenset({"_message_tail", "_request_count", "_task_handler"})


class CannotRun(Exception):
    """This installation's aiohttp is not one that the gateway can stand on. `problem` is the catalogue's entry."""

    problem = problems.CANNOT_RUN


def check_aiohttp() -> None:
    """
    Refuse an aiohttp without its C parser, or without the members that the gateway leans on.

    The pure Python parser has most of aiohttp's history of request smuggling. Raises CannotRun.
    """
    if http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise CannotRun("aiohttp was built without its C parser, or AIOHTTP_NO_EXTENSIONS is set")
    missing = _NEEDED_SLOTS - set(RequestHandler.__slots__)
    if missing:
        raise CannotRun(f"aiohttp {aiohttp.__version__} lacks {', '.join(sorted(missing))}; corsproxy needs 3.14")


class ClientConnection(RequestHandler):
    """
    aiohttp's server protocol, with our answers to what it cannot parse, our deadlines and our bounds.

    Our own attributes never begin with an underscore. `exchanges` counts those of aiohttp's lane in flight and `pending` the heads that are
    parsed and not yet served, `content` is the body that is being read, `peer` what is known of the client.
    `tunnel` is the end that takes and gives every byte once a WebSocket is open, and `on_early_bytes` is called when some come before that.
    `express` is the express lane, until it has handed the connection over. `tail` is what was received last; `ended_plainly`: if the body is chunked, it ended without trailers, and nothing came with its end.
    """

    __slots__ = (
        "behind",
        "blocked_bytes",
        "blocked_since",
        "body_idle_timeout",
        "content",
        "ended_plainly",
        "exchanges",
        "express",
        "front",
        "head_bytes",
        "head_since",
        "on_early_bytes",
        "peer",
        "pending",
        "stalled",
        "tail",
        "tunnel",
        "wire",
    )

    def __init__(self, front: "Front", **options: Any) -> None:
        super().__init__(front, **options)
        self.front = front
        self.peer = Connection("")
        self.wire: asyncio.Transport | None = None
        self.exchanges = 0
        self.pending = 0
        self.content: StreamReader | None = None
        self.head_since = 0.0
        self.head_bytes = 0
        self.behind = 0
        self.tail = b""
        self.ended_plainly = False
        self.blocked_since = 0.0
        self.blocked_bytes = 0
        # The current route's, in seconds; a lane sets it.
        self.body_idle_timeout = RouteLimits().body_idle_timeout
        self.stalled = False
        self.tunnel: End | None = None
        self.on_early_bytes: Callable[[], None] | None = None
        self.express: Express | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember who the client is: the transport forgets when it closes."""
        peer = transport.get_extra_info("peername")
        is_tls = transport.get_extra_info("ssl_object") is not None
        # Only of a certificate that was verified are there any contents.
        certificate = transport.get_extra_info("peercert") if is_tls else None
        self.peer = Connection(str(peer[0]) if isinstance(peer, tuple) else "unix", is_tls, bool(certificate))
        self.wire = cast("asyncio.Transport", transport)
        if is_tls:
            # An event loop's TLS holds half a MiB for a slow client, eight times what it holds without.
            self.wire.set_write_buffer_limits(_TLS_WRITE_BUFFER_BYTES)
        super().connection_made(transport)
        self.front.owner.connected(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go."""
        self.wire = None
        if self.express is not None:
            self.express.on_lost()
        if self.tunnel is not None:
            self.tunnel.on_lost(exc)
        super().connection_lost(exc)
        self.front.owner.disconnected(self)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the express lane, to the tunnel, or to the parser."""
        if self.express is not None:
            self.express.on_data(data)
            return
        if self.tunnel is not None:
            # aiohttp sees nothing of it: it believes that the handler is still at work, so none of its timers runs.
            self.tunnel.on_data(data)
            return
        self.parse(data)
        if self.on_early_bytes is not None and self.has_early_bytes:
            self.on_early_bytes()

    def parse(self, data: bytes) -> None:
        """
        Feed the parser, and count what it keeps: aiohttp bounds a field and the number of fields, not the head.

        `_request_count` grows with every head that is complete; nothing public says so before the handler runs, and by
        then body bytes would have been counted as head.
        """
        if self.content is not None and not self.exchanges and self.content.is_eof():
            self.content = None
        if self.content is not None and self.content.is_eof():
            self.behind += len(data)
            if self.behind > self.front.max_head_bytes:
                self.force_close()
                return
        elif data and self.content is None and not self.pending:
            self.head_bytes += len(data)
            self.head_since = self.head_since or self.front.loop.time()
        heads = self._request_count
        self.tail = (self.tail + data[-len(_LAST_CHUNK) :])[-len(_LAST_CHUNK) :]
        is_unfinished = self.content is not None and not self.content.is_eof()
        super().data_received(data)
        if is_unfinished and self.content is not None and self.content.is_eof():
            self.ended_plainly = self._request_count == heads and self.tail == _LAST_CHUNK
        if self._request_count != heads:
            self.pending += self._request_count - heads
            self.head_since, self.head_bytes = 0.0, 0
            if self.content is not None and self.exchanges:
                self.check_body(self.content)
        elif self.head_bytes > self.front.max_head_bytes:
            self.refuse(problems.HEAD_TOO_LARGE)

    @property
    def has_early_bytes(self) -> bool:
        """
        Whether bytes came behind a handshake that has no answer yet.

        Behind the head of a request with `Upgrade: websocket` aiohttp parses no more: it keeps what comes in `_message_tail`, for a
        parser of frames that nobody sets here, and stops reading at `read_bufsize`.
        """
        return bool(self._message_tail)

    def begin_tunnel(self, end: End) -> None:
        """Hand every byte to a tunnel from now on."""
        self.tunnel = end
        if self.blocked_since:
            end.on_blocked()

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's returns None, which closes
        """Close, unless a tunnel's other way goes on; event loops know no half of a connection with TLS."""
        return self.tunnel is not None and self.tunnel.on_eof() and not self.peer.tls

    def begin_exchange(self, content: StreamReader) -> None:
        """Take note that a request is being served."""
        self.exchanges += 1
        self.pending -= 1
        self.content = content
        self.behind = 0
        self.ended_plainly = content.is_eof() and not self.pending and self.tail == _LAST_CHUNK
        if self.pending:
            self.check_body(content)

    def check_body(self, content: StreamReader) -> None:
        """
        Break a body off whose framing does not parse.

        aiohttp queues such a fault as one more message and leaves the body's reader waiting for ever. No message can begin
        before the body in front of it has ended, so a message behind an unfinished body is that fault.
        """
        if not content.is_eof():
            fault = web.RequestPayloadError("its framing does not parse")
            content.set_exception(fault)
            # The end of a chunk that came with it has woken the reader, who then waits again without a look.
            self.front.loop.call_soon(content.set_exception, fault)

    def end_exchange(self) -> None:
        """Take note that it was. What came behind it may be the beginning of a head, whose time runs from now."""
        self.exchanges -= 1
        if self.content is not None and self.content.exception() is not None:
            # aiohttp would read the rest of a body that is broken, and log the fault as an error of ours.
            self.content.feed_eof()
        # What is left of a body is read on for a while after an early answer; it is no head.
        if self.content is not None and self.content.is_eof():
            self.content = None
        if self.behind and not self.pending:
            self.head_since = self.front.loop.time()

    def pause_writing(self) -> None:
        """Take note that the client reads slower than we write."""
        super().pause_writing()
        self.blocked_since = self.front.loop.time()
        self.blocked_bytes = self.wire.get_write_buffer_size() if self.wire is not None else 0
        if self.express is not None:
            self.express.on_blocked()
        if self.tunnel is not None:
            self.tunnel.on_blocked()

    def resume_writing(self) -> None:
        """Take note that it has caught up."""
        super().resume_writing()
        self.blocked_since = 0.0
        if self.express is not None:
            self.express.on_writable()
        if self.tunnel is not None:
            self.tunnel.on_writable()

    def expire(self, now: float, header_timeout_s: float) -> None:
        """Cut a client that dribbles a head, or takes nothing of an answer. `now` is the loop's clock."""
        if self.tunnel is not None:
            return
        if self.head_since and not self.exchanges and not self.pending and now - self.head_since > header_timeout_s:
            self.refuse(problems.REQUEST_TIMEOUT)
        elif self.blocked_since and self.wire is not None:
            left = self.wire.get_write_buffer_size()
            if left < self.blocked_bytes:
                self.blocked_since, self.blocked_bytes = now, left
            elif now - self.blocked_since > self.body_idle_timeout:
                self.stalled = True
                self.wire.abort()
        if self.express is not None:
            self.express.expire(now)

    def refuse(self, problem: Problem) -> None:
        """Answer a head that will not be waited for, and close."""
        self.head_since = 0.0
        if self.transport is not None:
            self.transport.write(self.front.owner.unparsable_answer(problem, self.peer))
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """
        Answer a head that does not parse.

        aiohttp's own answer echoes the offending bytes and logs a traceback for every bad request.
        """
        del status, message
        if request.transport is not None:
            request.transport.write(self.front.owner.unparsable_answer(self.parse_problem(exc), self.peer))
        return Written(keep_alive=False)

    def parse_problem(self, exc: BaseException | None) -> Problem:
        """Say which problem the parser has met. A line that is too long comes with the limit that it has passed, and no more."""
        if not isinstance(exc, http_exceptions.LineTooLong):
            return problems.BAD_REQUEST
        is_request_line = self.max_line_size != self.max_field_size and exc.args[1:2] == (self.max_line_size,)
        return problems.TARGET_TOO_LONG if is_request_line else problems.HEAD_TOO_LARGE

    def forget_certificate(self) -> None:
        """Let the certificate that was shown count no more: its authority may be gone, and another handshake can bring one."""
        if self.peer.has_certificate:
            self.peer = self.peer._replace(has_certificate=False)
            self.close_if_idle()

    def cancel(self) -> None:
        """
        Cancel the exchange in flight, as if its client had left.

        aiohttp's shutdown would do that too, but by a wait that logs an error where the exchange ends in the turn of its timeout.
        """
        if self.express is not None:
            self.express.cancel()
        elif self.exchanges and self._task_handler is not None:
            self._task_handler.cancel()

    def close_if_idle(self) -> None:
        """Close a connection that has no exchange. `close()` alone would stop reading an upload in progress."""
        if self.exchanges or self.pending or self.content is not None or (self.express is not None and not self.express.is_idle):
            return
        wire = self.wire
        self.force_close()
        if wire is not None and self.peer.tls and not wire.get_write_buffer_size():
            # An event loop's TLS waits half a minute for the client's own close_notify; the place is needed sooner.
            self.front.loop.call_later(_FAREWELL_S, wire.abort)


class Written(web.StreamResponse):
    """A response whose bytes have been written already: nothing is added, ordered or encoded again."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self.keeps = keep_alive

    @property
    def keep_alive(self) -> bool:
        """What aiohttp asks to know whether it may read another request."""
        return self.keeps

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing but tell a client that is gone, and end a connection whose parser cannot be trusted any more."""
        if request.transport is None:
            raise ConnectionResetError("client connection lost")
        self.keeps = self.keeps and not is_last(request)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the end is written too."""


def is_last(request: web.BaseRequest) -> bool:
    """
    Tell whether aiohttp's parser cannot be trusted with another request behind this one.

    It could get a trailer of this one among its header fields.

    aiohttp 3.14's C parser keeps the last trailer field and puts it in front of the next message's fields: behind a front that
    shares its connections, one user would write another's header. It says nothing of trailers, so the bytes must show that there
    were none; where they do not, the connection ends.
    """
    connection = request.protocol
    if not request.keep_alive:
        # llhttp reads `Proxy-Connection: close` as if it were Connection, and takes no other message.
        return True
    is_chunked = hdrs.TRANSFER_ENCODING in request.headers
    return is_chunked and isinstance(connection, ClientConnection) and not connection.ended_plainly
