"""
A WebSocket after its handshake: raw bytes both ways between two connections.

Callbacks only, no task: what one end receives is written to the other, and each way of ending is passed on as it came. It knows
transports and no frames.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from corsproxy import problems
from corsproxy.problems import Problem

# struct linger {on, 0 seconds}: close() sends RST.
_LINGER_RESET: Final = struct.pack("ii", 1, 0)
# How long an end that is being closed may take nothing of what still waits for it.
_FAREWELL_S: Final = 30.0


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST. Neither close() nor abort() does that by itself: both send FIN, which looks complete."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    transport.abort()


def break_off(transport: asyncio.Transport | None, *, reads_until_close: bool) -> None:
    """
    End the client's connection so that an unfinished body cannot be taken for a complete one.

    A missing last chunk or a short Content-Length shows that by itself, so what was written still arrives. Where the
    client reads until the close only a reset shows it: close() and even abort() send FIN, which looks complete.

    Spec: RFC 9112 8.
    """
    if transport is None:
        return
    if not reads_until_close:
        transport.close()
        return
    reset(transport)


class End:
    """
    One end of a tunnel: what its connection says, and what is done to it.

    `received` counts the bytes that came from it; `has_ended`: no more will. The connection calls the methods that begin with `on`.
    """

    __slots__ = ("_is_held", "_tunnel", "has_ended", "is_lost", "peer", "received", "transport")

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport) -> None:
        self.peer = self
        self.transport = transport
        self.received = 0
        self.has_ended = False
        self.is_lost = False
        self._tunnel = tunnel
        self._is_held = False

    def on_data(self, data: bytes) -> None:
        """Pass bytes on."""
        self.received += len(data)
        self._tunnel.touch()
        if self.peer.is_open:
            self.peer.transport.write(data)

    def on_eof(self) -> bool:
        """Pass the end of what comes from here on, behind all of it; tells whether bytes may still go the other way."""
        self.has_ended = True
        peer = self.peer
        if peer.is_open and not peer.has_ended and peer.transport.can_write_eof():
            peer.transport.write_eof()
            return True
        # The other way has ended too, or is one of TLS towards a client, where event loops know only the end of both.
        self._tunnel.close()
        return False

    def on_blocked(self) -> None:
        """Hold the other end up: this one reads slower than that one sends."""
        self.peer.hold()

    def on_writable(self) -> None:
        """Let the other end go on."""
        self.peer.release()

    def on_lost(self, exc: BaseException | None) -> None:
        """Take note that the connection is gone; `exc` is why, None if in order."""
        self.is_lost = True
        self._tunnel.lost(self, exc)

    @property
    def is_open(self) -> bool:
        """Whether bytes can still be written to it."""
        return not self.is_lost and not self.transport.is_closing()

    def hold(self) -> None:
        """Read no more from it."""
        if self.is_open and not self.has_ended and not self._is_held:
            self._is_held = True
            self.transport.pause_reading()

    def release(self) -> None:
        """Read on."""
        if self._is_held:
            self._is_held = False
            if self.is_open and not self.has_ended:
                self.transport.resume_reading()


class Tunnel:
    """
    Two ends, joined. `on_end` is called once, when both connections are gone.

    `problem` is what ended it, if that is worth a word. `idle_timeout` is in seconds. `client_gone` is done when the client is.
    """

    def __init__(
        self,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        idle_timeout: float,
        loop: asyncio.AbstractEventLoop,
        on_end: "Callable[[Tunnel], None]",
    ) -> None:
        self.client, self.upstream = End(self, client), End(self, upstream)
        self.client.peer, self.upstream.peer = self.upstream, self.client
        self.problem: Problem | None = None
        self.client_gone: asyncio.Future[None] = loop.create_future()
        self._idle_timeout = idle_timeout
        self._loop = loop
        self._on_end = on_end
        self._stamp = loop.time()
        self._is_closing = False
        self._unsent = 0

    def touch(self) -> None:
        """Take note that bytes came."""
        self._stamp = self._loop.time()

    def close(self) -> None:
        """Close both connections in order: what waits is still sent."""
        self._is_closing = True
        self.touch()
        self._unsent = self._waiting()
        for end in self._left():
            end.transport.close()

    def abort(self) -> None:
        """Cut both connections."""
        self._is_closing = True
        for end in self._left():
            end.transport.abort()

    def abandon(self) -> None:
        """Cut both connections, if the client's is still there: whoever held it for the tunnel has let go."""
        if not self.client.is_lost:
            self.abort()

    def expire(self, now: float) -> None:
        """Close a tunnel in which nothing moves, and cut one that does not come to its end. `now` is the loop's clock."""
        if not self._is_closing:
            if now - self._stamp > self._idle_timeout:
                self.problem = problems.TUNNEL_IDLE
                self.close()
            return
        unsent = self._waiting()
        if unsent < self._unsent:
            self._stamp, self._unsent = now, unsent
        elif now - self._stamp > _FAREWELL_S:
            self.abort()

    def lost(self, end: End, exc: BaseException | None) -> None:
        """End the other connection as this one has ended: in order, or with a reset."""
        if end is self.client and not self.client_gone.done():
            self.client_gone.set_result(None)
        if end.peer.is_lost:
            self._on_end(self)
        elif exc is None or end.has_ended or self._is_closing:
            # Whoever has said all and is then gone has ended in order: what it said still arrives.
            self.close()
        else:
            self.problem = problems.CLIENT_GONE if end is self.client else problems.TUNNEL_CUT
            self._is_closing = True
            reset(end.peer.transport)

    def _left(self) -> list[End]:
        return [end for end in (self.client, self.upstream) if not end.is_lost]

    def _waiting(self) -> int:
        return sum(end.transport.get_write_buffer_size() for end in self._left())
