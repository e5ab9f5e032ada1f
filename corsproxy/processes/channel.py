"""Messages between two processes, over one end of a pair of sockets."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, Final, Self, cast

from corsproxy.processes.messages import BadFrame, Frames, to_frame

_log = logging.getLogger("corsproxy")

# What may be dropped is, once so much waits for a peer that reads too slowly.
_ROOM_BYTES: Final = 1024 * 1024


class Channel(asyncio.Protocol):
    """
    One end. `on_message` is called with each message, `on_lost` once when the other end is gone: its process has ended, or has closed it.

    Whatever is sent after that goes nowhere.
    """

    def __init__(self, on_message: Callable[[Any], None], on_lost: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, sock: socket.socket, on_message: Callable[[Any], None], on_lost: Callable[[], None]) -> Self:
        """Take a connected socket over."""
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        _, channel = await loop.create_unix_connection(lambda: cls(on_message, on_lost), sock=sock)
        return channel

    def send(self, message: object) -> None:
        """Send a message."""
        self.send_frame(to_frame(message))

    def send_frame(self, frame: bytes) -> None:
        """Send a message that was written before, as for several channels."""
        if self._transport is not None:
            self._transport.write(frame)

    def close(self) -> None:
        """Send what waits, and close."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand on what is complete."""
        try:
            for message in self._frames.feed(data):
                self._on_message(message)
        except BadFrame as error:
            _log.error("internal error: %s from another process of this proxy", error)
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell it once."""
        del exc
        self._transport = None
        self._on_lost()
