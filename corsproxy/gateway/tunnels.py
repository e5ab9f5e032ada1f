"""The WebSockets that are open, and the handshakes that may become some."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from corsproxy.gateway._aiohttp import ClientConnection
from corsproxy.gateway.tunnel import Tunnel
from corsproxy.record import ExchangeRecord

# How long tunnels may take to close in order at the end of a drain.
_FAREWELL_S: Final = 1.0


class Tunnels:
    """
    Keeps the tunnels of one gateway. `count` is theirs, and that of handshakes under way.

    `open` are the records by their tunnels; `on_end` gets the record when both connections are gone.
    """

    def __init__(self, on_end: Callable[[ExchangeRecord], None]) -> None:
        self.count = 0
        self.open: dict[Tunnel, ExchangeRecord] = {}
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def handshake(self, record: ExchangeRecord) -> Iterator[None]:
        """Count a handshake among the tunnels; one that becomes a tunnel is counted until that ends."""
        self.count += 1
        try:
            yield
        finally:
            if not record.is_tunnel:
                self.count -= 1

    def join(self, client: ClientConnection, upstream: asyncio.Transport, idle_timeout: float, record: ExchangeRecord) -> Tunnel:
        """Join a client's connection to an upstream's; the record is told when both are gone."""
        assert client.wire is not None  # noqa: S101 - the caller has just written to it
        tunnel = Tunnel(client.wire, upstream, idle_timeout, self._loop, self._end)
        client.begin_tunnel(tunnel.client)
        self.open[tunnel] = record
        self._none.clear()
        return tunnel

    def _end(self, tunnel: Tunnel) -> None:
        record = self.open.pop(tunnel)
        record.ended = time.perf_counter()
        record.received, record.sent, record.problem = tunnel.client.received, tunnel.upstream.received, tunnel.problem
        self.count -= 1
        if not self.open:
            self._none.set()
        self._on_end(record)

    async def wait_ended(self) -> None:
        """Wait until none is open."""
        await self._none.wait()

    async def close(self) -> None:
        """Close all in order, as far as they let that happen within a moment."""
        for tunnel in tuple(self.open):
            tunnel.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._none.wait()

    def abort(self) -> None:
        """Cut all."""
        for tunnel in tuple(self.open):
            tunnel.abort()

    def expire(self, now: float) -> None:
        """Close those in which nothing moves. `now` is the loop's clock."""
        for tunnel in tuple(self.open):
            tunnel.expire(now)
