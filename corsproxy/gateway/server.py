"""
The server: listeners, the pools of all upstreams, the clock of deadlines, and the drain.

It holds the settings in force; a lane asks it for what it needs and tells it when an exchange begins and ends.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

from corsproxy.config.settings import Listen, Settings, Upstream
from corsproxy.gateway._aiohttp import ClientConnection, Front
from corsproxy.gateway.handler import AiohttpLane
from corsproxy.gateway.pool import UpstreamPool
from corsproxy.gateway.unix import clear_dead_socket, remove_socket, share_with_group
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.dates import http_date

Witness = Callable[[ExchangeRecord], None]

# Above the 60 s of AWS load balancers: the balancer must be the one that closes an idle connection.
KEEP_ALIVE_TIMEOUT_S: Final = 75.0
# How long an unread request body is read on after an early answer, so that the client can read that answer.
_LINGERING_S: Final = 2.0
_READ_BUFFER_BYTES: Final = 64 * 1024
# The parser's own limits: one field may fill a head of 64 KiB, and four times that is parsed to be answered.
_PARSER_LIMITS: Final = {"max_line_size": 4 * 16 * 1024, "max_field_size": 4 * 64 * 1024, "max_headers": 4 * 100}


# What is left when aiohttp is told to shut down is to be cut; 0 would mean "wait for ever".
_SHUTDOWN_TIMEOUT_S: Final = 0.05


class CannotListen(OSError):
    """An address cannot be listened on; the text says which and why."""


class Gateway:
    """
    A running gateway. `start` → `drain` or `stop`.

    `in_flight` and `unparsable` are plain counts. `witness` is told of every exchange that ended.
    """

    def __init__(self, settings: Settings, witness: Witness) -> None:
        self.settings = settings
        self.draining = False
        self.in_flight = 0
        self.unparsable = 0
        self.pools: dict[Upstream, UpstreamPool] = {}
        self._witness = witness
        self._loop = asyncio.get_running_loop()
        lane = AiohttpLane(self)
        self._front = Front(
            lane.handle,
            lane.answer_unparsable,
            keepalive_timeout=KEEP_ALIVE_TIMEOUT_S,
            lingering_time=_LINGERING_S,
            read_bufsize=_READ_BUFFER_BYTES,
            auto_decompress=False,
            access_log=None,
            **_PARSER_LIMITS,
        )
        self._runner = web.ServerRunner(self._front, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        self._connections: set[ClientConnection] = set()
        self._none_in_flight = asyncio.Event()
        self._none_in_flight.set()
        self._date = b""
        self._date_until = 0.0
        self._sweeper: asyncio.Task[None] | None = None

    # --- what lanes ask ---

    def pool(self, upstream: Upstream) -> UpstreamPool:
        """Return the pool of an upstream; routes with the same upstream share it."""
        pool = self.pools.get(upstream)
        if pool is None:
            pool = self.pools[upstream] = UpstreamPool(upstream, self._loop)
        return pool

    def date(self) -> bytes:
        """Return the HTTP-date of this second."""
        now = time.time()
        if now >= self._date_until:
            self._date, self._date_until = http_date(now), float(int(now) + 1)
        return self._date

    def enter(self, connection: ClientConnection) -> None:
        """Take note of an exchange that begins."""
        connection.exchanges += 1
        self.in_flight += 1
        self._none_in_flight.clear()

    def leave(self, connection: ClientConnection, record: ExchangeRecord) -> None:
        """Take note of an exchange that ended."""
        connection.exchanges -= 1
        self.in_flight -= 1
        if not self.in_flight:
            self._none_in_flight.set()
        self._witness(record)

    # --- life ---

    async def start(self) -> list[Listen]:
        """
        Listen on every address, and return them with their real ports.

        Raises CannotListen; nothing listens then.
        """
        await self._runner.setup()
        try:
            bound = [await self._listen(address) for address in self.settings.listen]
        except CannotListen:
            await self._runner.cleanup()
            raise
        self._sweeper = self._loop.create_task(self._sweep())
        return bound

    async def _listen(self, address: Listen) -> Listen:
        try:
            if address.unix_path:
                clear_dead_socket(address.unix_path)
                await web.UnixSite(self._runner, address.unix_path).start()
                share_with_group(address.unix_path)
                return address
            site = web.TCPSite(self._runner, address.host or None, address.port, backlog=1024)
            await site.start()
        except OSError as error:
            raise CannotListen(f"{address}: {error.strerror or error}") from error
        name = self._runner.addresses[-1]
        return Listen(address.host, name[1])

    async def drain(self, grace_s: float) -> bool:
        """
        Take no more connections, let exchanges end, close everything. Tells whether all ended within `grace_s`.

        aiohttp's own shutdown begins only afterwards: it would stop reading uploads in progress.
        """
        self.draining = True
        for site in tuple(self._runner.sites):
            await site.stop()
        for connection in self._front.connections:
            assert isinstance(connection, ClientConnection)  # noqa: S101 - Front makes nothing else
            connection.close_if_idle()
        try:
            async with asyncio.timeout(grace_s):
                await self._none_in_flight.wait()
        except TimeoutError:
            return False
        finally:
            await self.stop()
        return True

    async def stop(self) -> None:
        """Cut everything off."""
        self.draining = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._runner.cleanup()
        for pool in self.pools.values():
            pool.close()
        for address in self.settings.listen:
            if address.unix_path:
                remove_socket(address.unix_path)

    async def _sweep(self) -> None:
        """Look at every deadline once in a while, instead of holding a timer for each exchange."""
        while True:
            shortest = min((min(r.timeouts.response, r.timeouts.idle) for r in self.settings.routes), default=1.0)
            await asyncio.sleep(min(1.0, max(0.02, shortest / 4)))
            now = self._loop.time()
            for pool in self.pools.values():
                pool.sweep(now)
