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
    """A protocol that gets at most READ_BYTES at once, by `data_received`."""

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer

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
