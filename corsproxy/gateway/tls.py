"""
TLS on connections: a stream towards an upstream, and handshakes with clients.

The stream is our own because event loops differ in what they make of an upstream that ends: uvloop drops what it has read and not
yet handed on, and asyncio tells no end with close_notify from one without, which is a truncation.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, cast

from corsproxy.config.settings import ServerTls
from corsproxy.gateway.contexts import explain, read_authorities, server_context
from corsproxy.gateway.reading import InPieces

_log = logging.getLogger("corsproxy")

_READ_BYTES: Final = 64 * 1024


class TlsFailed(Exception):
    """TLS with an upstream failed; the text says why, for the operator: it names addresses. `by_certificate`: its certificate is not accepted."""

    by_certificate = False


class TlsStream(asyncio.Transport, InPieces):
    """
    TLS towards an upstream: a protocol to the connection below it, a transport to `protocol` above.

    `established` is done when the handshake is; it raises TlsFailed. The protocol's `connection_lost` gets None only where the
    upstream said that it ends (close_notify), or where we end the connection.

    Spec: RFC 8446 6.1; RFC 9112 9.8.
    """

    def __init__(self, protocol: InPieces, context: ssl.SSLContext, server_name: str, where: str, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.Transport.__init__(self)
        InPieces.__init__(self, protocol.buffer)
        self.established: asyncio.Future[None] = loop.create_future()
        self._protocol = protocol
        self._where = where
        self._loop = loop
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._wire: asyncio.Transport | None = None
        self._is_established = False
        self._is_closing = False
        self._is_ended = False
        self._is_paused = False
        self._backlog: deque[memoryview] = deque()
        self._is_wire_blocked = False
        self._is_blocked = False
        self._failure: TlsFailed | None = None
        self._says_end = False
        self._has_said_end = False

    # --- asyncio.Transport ---

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if data and not self.is_closing():
            self._backlog.append(memoryview(data))
            self._push()

    def can_write_eof(self) -> bool:
        """Whether one way can end before the other: close_notify ends the sender's (RFC 8446 6.1)."""
        return True

    def write_eof(self) -> None:
        """End our way with close_notify, behind all that was written; what the upstream sends is still read."""
        if not self.is_closing():
            self._says_end = True
            self._push()

    def get_write_buffer_size(self) -> int:
        """Say how many bytes wait to be sent."""
        return sum(map(len, self._backlog)) + (self._wire.get_write_buffer_size() if self._wire is not None else 0)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Say what the connection below knows."""
        return self._wire.get_extra_info(name, default) if self._wire is not None else default

    def pause_reading(self) -> None:
        """Stop reading, the connection below included: its end is then not noticed before what came earlier is handed on."""
        self._is_paused = True
        if self._wire is not None:
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._is_paused = False
        self._loop.call_soon(self._resume)

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._is_closing or self._wire is None or self._wire.is_closing()

    def close(self) -> None:
        """End with close_notify."""
        if self._wire is None or self._is_closing:
            return
        self._is_closing = True
        with suppress(ssl.SSLError):
            # It asks for the peer's close_notify as well, which is not waited for.
            self._tls.unwrap()
        self._flush()
        self._wire.close()

    def abort(self) -> None:
        """End at once."""
        self._is_closing = True
        if self._wire is not None:
            self._wire.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._wire = cast("asyncio.Transport", transport)
        self._shake()

    def data_received(self, data: bytes) -> None:
        """Take encrypted bytes."""
        self._incoming.write(data)
        if self._is_established:
            self._read()
        else:
            self._shake()

    def eof_received(self) -> bool:
        """Keep the connection below where the upstream has ended its way in order, and ours goes on."""
        return self._is_ended and not self.is_closing()

    def pause_writing(self) -> None:
        """Take note that the upstream reads slower than we write."""
        self._is_wire_blocked = True
        self._mind_writing()

    def resume_writing(self) -> None:
        """Take note that it has caught up."""
        self._is_wire_blocked = False
        self._mind_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say how it ended."""
        is_ours = self._is_closing and self._failure is None
        self._wire = None
        if self._failure is None and not self._is_ended and not is_ours:
            self._failure = TlsFailed(f"TLS with {self._where}: " + (explain(exc) if exc else "closed without close_notify"))
        if self._is_established:
            self._protocol.connection_lost(None if self._is_ended else self._failure or exc)
        elif is_ours:
            # Whoever gave it up does not ask what came of it.
            self.established.cancel()
        elif not self.established.done():
            self.established.set_exception(self._failure or TlsFailed(f"TLS with {self._where}: closed"))

    # --- the stream ---

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()
        self._is_established = True
        self._protocol.connection_made(self)
        if not self.established.done():
            self.established.set_result(None)
        self._read()

    def _read(self) -> None:
        """Hand on what can be decrypted."""
        chunks: list[bytes] = []
        had_ended = self._is_ended
        failure: ssl.SSLError | None = None
        try:
            while chunk := self._tls.read(_READ_BYTES):
                chunks.append(chunk)
            self._is_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._is_ended = True
        except ssl.SSLError as error:
            failure = error
        # A handshake within the connection may have asked for bytes, or may let go of those that waited for it.
        self._push()
        if chunks:
            self._protocol.data_received(b"".join(chunks))
        if failure is not None:
            self._fail(failure)
        elif self._is_ended and not had_ended and (self._has_said_end or not self._protocol.eof_received()):
            self.close()

    def _resume(self) -> None:
        if self._wire is not None and not self._is_paused:
            self._wire.resume_reading()

    def _push(self) -> None:
        """Encrypt what waits; TLS 1.2 may hold it up while the upstream renegotiates."""
        try:
            while self._backlog:
                data = self._backlog[0]
                count = self._tls.write(data)
                if count < len(data):
                    self._backlog[0] = data[count:]
                else:
                    self._backlog.popleft()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fail(error)
            return
        if self._says_end and not self._backlog and not self._has_said_end:
            self._has_said_end = True
            with suppress(ssl.SSLError):
                # It asks for the peer's close_notify as well, which may come much later.
                self._tls.unwrap()
        self._flush()
        self._mind_writing()
        if self._has_said_end and self._is_ended:
            self.close()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and self._wire is not None:
            self._wire.write(data)

    def _mind_writing(self) -> None:
        is_blocked = self._is_wire_blocked or bool(self._backlog)
        if not self._is_established or is_blocked == self._is_blocked:
            return
        self._is_blocked = is_blocked
        if is_blocked:
            self._protocol.pause_writing()
        else:
            self._protocol.resume_writing()

    def _fail(self, error: ssl.SSLError) -> None:
        if self._failure is None:
            self._failure = TlsFailed(f"TLS with {self._where}: {explain(error)}")
            self._failure.by_certificate = isinstance(error, ssl.SSLCertVerificationError)
        self._is_closing = True
        # The alert that tells the upstream why.
        self._flush()
        if self._wire is not None:
            self._wire.close()


class ServerSide:
    """
    TLS towards clients: the context in force, and the handshakes under way, each in a task of its own.

    A slow client holds up nobody else. `failed` counts since the start; `on_change` is called whenever a handshake ends.
    """

    def __init__(self, protocol: Callable[[], asyncio.Protocol], timeout_s: float, on_change: Callable[[], None]) -> None:
        self.failed = 0
        self._protocol = protocol
        self._timeout_s = timeout_s
        self._on_change = on_change
        self._tls: ServerTls | None = None
        self._context: ssl.SSLContext | None = None
        self._authorities: frozenset[bytes] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()

    def update(self, tls: ServerTls | None, timeout_s: float) -> bool:
        """
        Take new settings over, for handshakes that begin from now on; files are read. Connections that stand live on.

        Returns whether an authority for clients is gone: certificates that were shown before do not count any more, and handshakes
        under way are given up. Raises BadTlsFile, and changes nothing then. Whether TLS is spoken at all is decided once, when
        listening begins.
        """
        authorities = self._authorities
        if tls is not None and tls != self._tls:
            authorities = read_authorities(tls.client_ca_file) if tls.client_ca_file else frozenset()
            self._context = server_context(tls)
        is_one_gone = not self._authorities <= authorities
        self._tls, self._timeout_s, self._authorities = tls, timeout_s, authorities
        for task in self._tasks if is_one_gone else ():
            task.cancel()
        return is_one_gone

    @property
    def under_way(self) -> int:
        """How many handshakes are under way."""
        return len(self._tasks)

    def begin(self, connection: socket.socket) -> None:
        """Begin a handshake."""
        assert self._context is not None  # noqa: S101 - whoever listens with TLS has called `update`
        task = asyncio.get_running_loop().create_task(self._shake(connection, self._context))
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, connection))

    async def stop(self) -> None:
        """Give every handshake up."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _shake(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self._protocol, connection, ssl=context, ssl_handshake_timeout=self._timeout_s)
        except OSError as error:
            self.failed += 1
            _log.debug("a TLS handshake failed: %s", explain(error))
            connection.close()

    def _end(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            # A task that is cancelled before its first step never gets to close anything.
            connection.close()
        self._tasks.discard(task)
        self._on_change()
