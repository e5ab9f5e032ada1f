"""
Every private or subtle fact of aiohttp that the gateway leans on, each with its reason.

Nothing else in the project touches a name of aiohttp's that begins with an underscore.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import http_exceptions, http_parser, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import RequestHandler

from corsproxy.problems import CANNOT_RUN

# struct linger {on, 0 seconds}: close() sends RST.
_LINGER_RESET: Final = struct.pack("ii", 1, 0)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class CannotRun(Exception):
    """This installation's aiohttp is not one that the gateway can stand on. `problem` is the catalogue's entry."""

    problem = CANNOT_RUN


def check_aiohttp() -> None:
    """
    Refuse an aiohttp without its C parser.

    The pure Python parser has most of aiohttp's history of request smuggling. Raises CannotRun.
    """
    if http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise CannotRun("aiohttp was built without its C parser, or AIOHTTP_NO_EXTENSIONS is set")


class ClientConnection(RequestHandler):
    """
    aiohttp's server protocol, with our answers to what it cannot parse, and a count of exchanges for the drain.

    Our own attributes never begin with an underscore.
    """

    __slots__ = ("client", "exchanges", "front")

    def __init__(self, front: "Front", **options: Any) -> None:
        super().__init__(front, **options)
        self.front = front
        self.exchanges = 0
        self.client = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember who the client is: the transport forgets when it closes."""
        peer = transport.get_extra_info("peername")
        self.client = str(peer[0]) if isinstance(peer, tuple) else "unix"
        super().connection_made(transport)

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
        return self.front.answer_unparsable(request, is_too_long=isinstance(exc, http_exceptions.LineTooLong))

    def close_if_idle(self) -> None:
        """Close a connection that has no exchange. `close()` alone would stop reading an upload in progress."""
        if not self.exchanges:
            self.force_close()


class Front(web.Server):
    """
    aiohttp's server, making ClientConnections.

    `web.Server.__call__` swallows a TypeError from a misspelt option and falls back to defaults for all of them;
    this one does not.
    """

    def __init__(self, handler: Handler, answer_unparsable: Callable[..., web.StreamResponse], **options: Any) -> None:
        # A client that leaves must end its exchange, so that the upstream's work is cancelled too.
        super().__init__(handler, handler_cancellation=True)
        self.answer_unparsable = answer_unparsable
        self.options = options
        self.loop = asyncio.get_running_loop()

    def __call__(self) -> ClientConnection:
        """Make the protocol of one connection."""
        return ClientConnection(self, loop=self.loop, **self.options)


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
        """Do nothing but tell a client that is gone."""
        if request.transport is None:
            raise ConnectionResetError("client connection lost")
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the end is written too."""


def break_off(request: web.BaseRequest, *, reads_until_close: bool) -> None:
    """
    End the client's connection so that an unfinished body cannot be taken for a complete one.

    A missing last chunk or a short Content-Length shows that by itself, so what was written still arrives. Where the
    client reads until the close only a reset shows it: close() and even abort() send FIN, which looks complete.

    Spec: RFC 9112 8.
    """
    transport = request.transport
    if transport is None:
        return
    if not reads_until_close:
        transport.close()
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    transport.abort()
