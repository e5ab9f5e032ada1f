"""
How much is read at once from an upstream: a protocol that brings its own buffer.

uvloop reads up to 250 KB at once, and whatever was read has to wait somewhere when the client is slow: that would be the largest part
of what such a client costs. A protocol with a buffer of its own says how much it takes.
"""

import asyncio
from typing import Final

READ_BYTES: Final = 64 * 1024


def read_buffer() -> memoryview:
    """
    Make the buffer of connections that live on one loop.

    They can share it: a loop fills it and says so in one step, and what came is copied before the next read.
    """
    return memoryview(bytearray(READ_BYTES))


class InPieces(asyncio.BufferedProtocol):
    """
    A protocol that gets at most READ_BYTES at once, by `data_received`.

    Where little is to come, it may ask for all that there is: that is cheaper by a copy and two calls.
    """

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.is_at_once = False

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to read to."""
        del sizehint
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what was read."""
        self.data_received(bytes(self.buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        raise NotImplementedError

    def read_at_once(self, transport: asyncio.Transport | None) -> None:
        """Get all that there is from now on. A transport that reads in pieces itself goes on."""
        if transport is not None and not isinstance(transport, InPieces):
            self.is_at_once = True
            transport.set_protocol(_AtOnce(self))

    def read_in_pieces(self, transport: asyncio.Transport | None) -> None:
        """Get no more than READ_BYTES at once from now on."""
        if self.is_at_once and transport is not None:
            self.is_at_once = False
            transport.set_protocol(self)


class _AtOnce(asyncio.Protocol):
    """What a transport sees of a protocol that asks for all that there is."""

    def __init__(self, protocol: InPieces) -> None:
        self._protocol = protocol
        # The method itself: there is nothing to do in between.
        self.data_received = protocol.data_received  # type: ignore[method-assign]

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._protocol.resume_writing()
