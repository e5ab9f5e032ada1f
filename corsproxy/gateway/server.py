"""
The server: listeners, client connections, the pools of all upstreams, the clock of deadlines, and the drain.

It holds the settings in force; a lane asks it for what it needs and tells it when an exchange begins and ends.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final

from aiohttp.streams import StreamReader

from corsproxy.answers import Context, problem_answer
from corsproxy.config.settings import Listen, Settings, Upstream
from corsproxy.gateway import listener
from corsproxy.gateway._aiohttp import ClientConnection, Front
from corsproxy.gateway.handler import AiohttpLane
from corsproxy.gateway.listener import CannotListen
from corsproxy.gateway.pool import UpstreamPool
from corsproxy.plan import Fresh
from corsproxy.problems import Problem
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.dates import http_date

__all__ = ["CannotListen", "Gateway"]

Witness = Callable[[ExchangeRecord], None]

# Precedent: Envoy's edge advice bounds connections; nginx's worker_connections is 512 to 1024 as shipped.
MAX_CONNECTIONS: Final = 10_000
# Above this part of the limit, connections are given up as soon as they can be.
_CROWDED: Final = 0.9
# A head between the limit and this many times the limit is parsed, so that its refusal can carry CORS fields.
_PARSED_EXCESS: Final = 4
# How long an unread request body is read on after an early answer, so that the client can read that answer.
_LINGERING_S: Final = 2.0
_READ_BUFFER_BYTES: Final = 64 * 1024
# What is left when aiohttp is told to shut down is to be cut; 0 would mean "wait for ever".
_SHUTDOWN_TIMEOUT_S: Final = 0.05


class Gateway:
    """
    A running gateway. `start` → `drain` or `stop`.

    `in_flight` and `unparsable` are plain counts. `witness` is told of every exchange that ended. `max_connections` is what
    `limits.connections: auto` comes to.
    """

    def __init__(self, settings: Settings, witness: Witness, max_connections: int = MAX_CONNECTIONS) -> None:
        self.settings = settings
        self.draining = False
        self.in_flight = 0
        self.unparsable = 0
        self.pools: dict[Upstream, UpstreamPool] = {}
        self._witness = witness
        self._max_connections = settings.limits.connections or max_connections
        self._loop = asyncio.get_running_loop()
        limits = settings.limits
        self._front = Front(
            AiohttpLane(self).handle,
            self,
            _PARSED_EXCESS * limits.request_head,
            keepalive_timeout=limits.keep_alive_timeout,
            lingering_time=_LINGERING_S,
            read_bufsize=_READ_BUFFER_BYTES,
            auto_decompress=False,
            access_log=None,
            max_line_size=_PARSED_EXCESS * limits.request_line,
            max_field_size=_PARSED_EXCESS * limits.request_head,
            max_headers=_PARSED_EXCESS * limits.header_count,
        )
        # In the order in which they went idle.
        self._idle: dict[ClientConnection, None] = {}
        self._connections: set[ClientConnection] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._none_in_flight = asyncio.Event()
        self._none_in_flight.set()
        self._sockets: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._id_prefix = secrets.token_hex(8).encode()
        self._count = 0
        self._date = b""
        self._date_until = 0.0

    # --- what lanes ask ---

    @property
    def closes_connections(self) -> bool:
        """Whether answers end their connection: while draining, and when connections are nearly used up."""
        return self.draining or len(self._connections) > _CROWDED * self._max_connections

    @property
    def is_overloaded(self) -> bool:
        """Whether more exchanges are in flight than may be; the one that asks is counted."""
        return self.in_flight > self.settings.limits.in_flight

    def pool(self, upstream: Upstream) -> UpstreamPool:
        """Return the pool of an upstream; routes with the same upstream share it."""
        pool = self.pools.get(upstream)
        if pool is None:
            pool = self.pools[upstream] = UpstreamPool(upstream, self.settings.limits, self._loop)
        return pool

    def date(self) -> bytes:
        """Return the HTTP-date of this second."""
        now = time.time()
        if now >= self._date_until:
            self._date, self._date_until = http_date(now), float(int(now) + 1)
        return self._date

    def fresh(self) -> Fresh:
        """Return the ids of one exchange. Request ids are unique, and no secret: a random start and a count."""
        self._count += 1
        request_id = b"%b%08x" % (self._id_prefix, self._count & 0xFFFFFFFF)
        if not self.settings.forwarding.begins_trace:
            return Fresh(request_id, b"", b"")
        # > All bytes as zero is considered an invalid value (Trace Context 3.2.2.3); chance makes none.
        return Fresh(request_id, secrets.token_hex(16).encode(), secrets.token_hex(8).encode())

    def enter(self, connection: ClientConnection, content: StreamReader) -> None:
        """Take note of an exchange that begins."""
        connection.begin_exchange(content)
        self._idle.pop(connection, None)
        self.in_flight += 1
        self._none_in_flight.clear()

    def leave(self, connection: ClientConnection, record: ExchangeRecord) -> None:
        """Take note of an exchange that ended."""
        connection.end_exchange()
        if connection in self._connections:
            self._idle[connection] = None
        self.in_flight -= 1
        if not self.in_flight:
            self._none_in_flight.set()
        self._witness(record)

    # --- what client connections say ---

    def connected(self, connection: ClientConnection) -> None:
        """Take note of a new connection; when nearly all are used up, the one that was idle longest makes room."""
        self._connections.add(connection)
        if self.closes_connections and self._idle:
            longest = next(iter(self._idle))
            del self._idle[longest]
            longest.close_if_idle()
        self._idle[connection] = None
        if len(self._connections) >= self._max_connections:
            self._room.clear()

    def disconnected(self, connection: ClientConnection) -> None:
        """Take note of one that is gone."""
        self._connections.discard(connection)
        self._idle.pop(connection, None)
        self._room.set()

    def unparsable_answer(self, problem: Problem) -> bytes:
        """Return the answer to bytes that are no request. Nothing is known of the client, so no CORS field can be right."""
        self.unparsable += 1
        answer = problem_answer(Context(b"", 1, persistent=False), problem, reason="unparsable", close=True)
        return answer.to_bytes(self.date())

    # --- life ---

    async def start(self) -> list[Listen]:
        """
        Listen on every address, and return them with their real ports.

        Raises CannotListen; nothing listens then.
        """
        bound: list[Listen] = []
        try:
            for address in self.settings.listen:
                sockets = listener.bind(address)
                self._sockets += sockets
                bound.append(address if address.unix_path else Listen(address.host, sockets[0].getsockname()[1]))
        except CannotListen:
            listener.close_all(self._sockets)
            raise
        self._tasks = [self._loop.create_task(listener.accept(sock, self._front, self._room.wait)) for sock in self._sockets]
        self._tasks.append(self._loop.create_task(self._sweep()))
        return bound

    async def drain(self, grace_s: float) -> bool:
        """
        Take no more connections, let exchanges end, close everything. Tells whether all ended within `grace_s`.

        aiohttp's own shutdown begins only afterwards: it would stop reading uploads in progress.
        """
        self.draining = True
        await self._stop_listening()
        for connection in tuple(self._idle):
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
        await self._stop_listening()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._front.pre_shutdown()
        await self._front.shutdown(_SHUTDOWN_TIMEOUT_S)
        for pool in self.pools.values():
            pool.close()

    async def _stop_listening(self) -> None:
        sockets, self._sockets = self._sockets, []
        accepting, self._tasks = self._tasks[: len(sockets)], self._tasks[len(sockets) :]
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)
        listener.close_all(sockets)

    async def _sweep(self) -> None:
        """Look at every deadline once in a while, instead of holding a timer for each exchange."""
        limits, routes = self.settings.limits, self.settings.routes
        body_idle_timeout = min((route.limits.body_idle_timeout for route in routes), default=60.0)
        shortest = min((limits.header_timeout, body_idle_timeout, *(min(r.timeouts.response, r.timeouts.idle) for r in routes)))
        while True:
            await asyncio.sleep(min(1.0, max(0.02, shortest / 4)))
            now = self._loop.time()
            for pool in self.pools.values():
                pool.sweep(now)
            for connection in tuple(self._connections):
                connection.expire(now, limits.header_timeout)
