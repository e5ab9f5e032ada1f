"""
The server: listeners, client connections, the pools of all upstreams, the clock of deadlines, and the drain.

It holds the settings in force; a lane asks it for what it needs and tells it when an exchange begins and ends.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import islice
from typing import Final

from corsproxy.answers import Context, problem_answer
from corsproxy.config.settings import Listen, Settings
from corsproxy.config.upstreams import Upstream
from corsproxy.gateway import listener
from corsproxy.gateway._aiohttp import ClientConnection
from corsproxy.gateway.bounds import bound_heads, front_options, sweep_interval
from corsproxy.gateway.contexts import client_context
from corsproxy.gateway.exchange import Tracer, record_answer
from corsproxy.gateway.express import ExpressLane
from corsproxy.gateway.fresh import DateClock, Mint
from corsproxy.gateway.front import Front
from corsproxy.gateway.handler import AiohttpLane
from corsproxy.gateway.listener import NO_SOCKETS, CannotListen, Listeners, Sockets
from corsproxy.gateway.plain import PlainHeads
from corsproxy.gateway.pool import PoolCounts, UpstreamPool
from corsproxy.gateway.rate import RateGate
from corsproxy.gateway.tls import ServerSide
from corsproxy.gateway.tunnel import Tunnel
from corsproxy.gateway.tunnels import Tunnels
from corsproxy.plan import Connection, layouts_of
from corsproxy.problems import Problem
from corsproxy.record import Brief, ExchangeRecord, record_of

__all__ = ["CannotListen", "Gateway"]

Witness = Callable[[ExchangeRecord], None]

# Precedent: Envoy's edge advice bounds connections; nginx's worker_connections is 512 to 1024 as shipped.
MAX_CONNECTIONS: Final = 10_000
# Above this part of the limit, connections are given up as soon as they can be.
_CROWDED: Final = 0.9
# An exchange that is cancelled needs a few turns of the loop, a thousand of them some more.
_CANCELLATION_S: Final = 1.0
# How long a connection that was made just before a drain may take to ask for something: its client could not know.
_FIRST_REQUEST_S: Final = 1.0
_LOOK_S: Final = 0.02
# Among how many of those that idle longest one is looked for that can make room.
_MOST_LOOKS: Final = 64
# What is left when aiohttp is told to shut down is to be cut; 0 would mean "wait for ever".
_SHUTDOWN_TIMEOUT_S: Final = 0.05


class Gateway:
    """
    A running gateway. `start` → `drain` or `stop`; `reconfigure` at any time.

    `in_flight`, `tunnels` (WebSockets, and handshakes under way), `unparsable` and `express_exchanges` (those that
    the express lane took) are plain counts. `closes_connections`: answers end their
    connection, at the end of life and when connections are nearly used up; `is_leaving`: the end of life has begun. `share`: how many processes
    divide what is allowed to all. `witness` is told of every exchange that ended, or `witness_brief`. `max_connections` is at first what
    `limits.connections: auto` comes to, and then the limit in force.
    """

    def __init__(
        self, settings: Settings, witness: Witness, max_connections: int = MAX_CONNECTIONS, share: int = 1, tracer: Tracer | None = None
    ) -> None:
        self.settings = settings
        self.tracer = tracer
        self.share = share
        self.is_leaving = False
        self._is_crowded = False
        self.draining = False
        self.in_flight = 0
        self.express_exchanges = 0
        self.heads = PlainHeads()
        self.closes_connections = False
        self.unparsable = 0
        self.pools: dict[Upstream, UpstreamPool] = {}
        self.last_upstream: Upstream | None = None
        self.last_pool: UpstreamPool | None = None
        self._forgotten = PoolCounts()
        self.rate = RateGate(settings.rate_limit, share=share)
        self._bound_exchanges(settings)
        self._witness = witness
        self.witness_brief: Callable[[Brief], None] = lambda brief: witness(record_of(brief))
        self._auto_connections = max_connections
        self.max_connections = settings.limits.connections or max_connections
        self._loop = asyncio.get_running_loop()
        self._front = Front(AiohttpLane(self).handle, self, **front_options(settings.limits))
        bound_heads(self.heads, settings.limits)
        # In the order in which they went idle; since when, if nothing was asked yet, else 0.
        self._idle: dict[ClientConnection, float] = {}
        self._connections: set[ClientConnection] = set()
        self.tls = ServerSide(self._front, settings.limits.header_timeout, self._mind_room)
        self._room = asyncio.Event()
        self._room.set()
        self._none_in_flight = asyncio.Event()
        self._tunnels = Tunnels(witness)
        self._sweep_interval_s = sweep_interval(settings)
        self._is_reconfigured = asyncio.Event()
        self._listeners = Listeners()
        self._sweeping: asyncio.Task[None] | None = None
        self._mint = Mint()
        self._mint.begins_trace = settings.forwarding.begins_trace
        self.layouts = layouts_of(settings, self.heads.judge)
        # The ids of one exchange, and a request's alone.
        self.fresh, self.next_id = self._mint.fresh, self._mint.next_id
        self.date = DateClock().date

    def _bound_exchanges(self, settings: Settings) -> None:
        self.most_in_flight = settings.limits.in_flight
        # What is counted by a rate limit takes a closer look each time.
        self.most_known = 0 if self.rate.is_on else self.most_in_flight

    # --- what lanes ask ---

    @property
    def tunnels(self) -> int:
        """How many WebSockets are open, and handshakes under way."""
        return self._tunnels.count

    @property
    def has_room_for_tunnel(self) -> bool:
        """Whether one more WebSocket may be opened."""
        return self.tunnels < self.settings.limits.tunnels

    def pool(self, upstream: Upstream) -> UpstreamPool:
        """Return the pool of an upstream; routes with the same upstream share it."""
        pool = self.last_pool if self.last_upstream is upstream else self.pools.get(upstream)
        if pool is None:
            pool = self.pools[upstream] = UpstreamPool(upstream, self.settings.limits, self._loop)
            # An exchange that began before a reload may still have an attempt to make.
            pool.is_retired = all(route.upstream != upstream for route in self.settings.routes)
        # To compare upstreams costs more than to find a connection to one.
        self.last_upstream, self.last_pool = upstream, pool
        return pool

    def enter(self, connection: ClientConnection) -> None:
        """Take note of an exchange that begins."""
        self._idle.pop(connection, None)
        self.in_flight += 1

    def leave(self, connection: ClientConnection, record: ExchangeRecord) -> None:
        """Take note of an exchange that ended."""
        # One that is gone is idle no more.
        if connection.wire is not None:
            self._idle[connection] = 0.0
        self.in_flight -= 1
        if self.draining:
            self._tell_idle()
        self._witness(record)

    def leave_brief(self, connection: ClientConnection, brief: Brief) -> None:
        """Take note of an exchange that ended, and went as known ones go."""
        if connection.wire is not None:
            self._idle[connection] = 0.0
        self.in_flight -= 1
        if self.draining:
            self._tell_idle()
        self.witness_brief(brief)

    def _tell_idle(self) -> None:
        if not self.in_flight:
            self._none_in_flight.set()

    async def _wait_idle(self) -> None:
        """Wait until no exchange is in flight; only while draining somebody says so."""
        while self.in_flight:
            self._none_in_flight.clear()
            await self._none_in_flight.wait()

    def handshake(self, record: ExchangeRecord) -> AbstractContextManager[None]:
        """Count a handshake among the tunnels; one that becomes a tunnel is counted until that ends."""
        return self._tunnels.handshake(record)

    def open_tunnel(self, client: ClientConnection, upstream: asyncio.Transport, idle_timeout: float, record: ExchangeRecord) -> Tunnel:
        """Join a client's connection to an upstream's. The exchange is none any more; its record is told when both are gone."""
        tunnel = self._tunnels.join(client, upstream, idle_timeout, record)
        self.in_flight -= 1
        self._tell_idle()
        return tunnel

    # --- what operators ask ---

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted."""
        return self._listeners.are_open

    @property
    def connections(self) -> int:
        """How many connections of clients there are, those in their TLS handshake included."""
        return len(self._connections) + self.tls.under_way

    def pool_counts(self) -> PoolCounts:
        """Add up the pools, those that are gone included."""
        return sum((pool.counts for pool in self.pools.values()), self._forgotten)

    # --- what client connections say ---

    def connected(self, connection: ClientConnection) -> None:
        """Take note of a new connection; when nearly all are used up, the one that was idle longest makes room."""
        self._connections.add(connection)
        self._mind_room()
        if self._is_crowded:
            self._make_room(1, _MOST_LOOKS)
        self._idle[connection] = self._loop.time()
        if self.settings.express:
            connection.express = ExpressLane(self, connection, self._loop)

    def _make_room(self, count: int, looks: int) -> None:
        """Close those that were idle longest, so many at most. One that was just made may have its first request on the way."""
        old = self._loop.time() - _FIRST_REQUEST_S
        closable = (connection for connection, since in islice(self._idle.items(), looks) if since < old)
        for connection in tuple(islice(closable, count)):
            del self._idle[connection]
            connection.close_if_idle()

    def disconnected(self, connection: ClientConnection) -> None:
        """Take note of one that is gone."""
        self._connections.discard(connection)
        self._idle.pop(connection, None)
        self._mind_room()

    def _mind_room(self) -> None:
        taken = self.connections
        self._is_crowded = taken > _CROWDED * self.max_connections
        self.closes_connections = self.draining or self.is_leaving or self._is_crowded
        if taken >= self.max_connections:
            self._room.clear()
        else:
            self._room.set()

    async def _take_tls(self, sock: socket.socket) -> None:
        self.tls.begin(sock)
        self._mind_room()

    def unparsable_answer(self, problem: Problem, peer: Connection) -> bytes:
        """Return the answer to bytes that are no request. Nothing is known of the client but its address, so no CORS field can be right."""
        self.unparsable += 1
        answer = problem_answer(Context(b"", 1, persistent=False), problem, reason="unparsable", close=True)
        now = time.perf_counter()
        record = ExchangeRecord(time.time(), now, b"", b"", peer.peer, ended=now, is_tls=peer.tls)
        record_answer(record, answer)
        self._witness(record)
        return answer.to_bytes(self.date())

    # --- life ---

    async def start(self, addresses: Sequence[Listen] | None = None, sockets: Sockets = NO_SOCKETS) -> list[Listen]:
        """
        Listen on every address, the settings' unless others are given, and on sockets that listen already; return them with their real ports.

        Raises CannotListen or BadTlsFile; nothing listens then.
        """
        contexts = self._upstream_contexts(self.settings)
        self.tls.update(self.settings.tls, self.settings.limits.header_timeout)
        self._take_contexts(contexts)
        bound = self._listeners.open(self.settings.listen if addresses is None else addresses, sockets, shared=self.share > 1)
        plain = listener.plainly(self._front)
        self._listeners.accept(lambda sock: plain if self._is_plain(sock) else self._take_tls, self._room.wait)
        self._sweeping = self._loop.create_task(self._sweep())
        return bound

    def reconfigure(self, settings: Settings) -> None:
        """
        Put other settings in force, between two exchanges.

        An exchange in flight keeps those that it began with. A client's connection keeps its parser's bounds and its
        `keep_alive_timeout`; whatever else is asked of it is new at once. The addresses stay as they were bound.

        Raises BadTlsFile, and changes nothing then.
        """
        contexts = self._upstream_contexts(settings)
        if self.tls.update(settings.tls, settings.limits.header_timeout):
            for connection in tuple(self._connections):
                connection.forget_certificate()
        self.settings = settings
        self._mint.begins_trace = settings.forwarding.begins_trace
        self.layouts = layouts_of(settings, self.heads.judge)
        self.rate.reconfigure(settings.rate_limit)
        self._bound_exchanges(settings)
        self._front.reconfigure(**front_options(settings.limits))
        bound_heads(self.heads, settings.limits)
        self.max_connections = settings.limits.connections or self._auto_connections
        for connection in tuple(self._idle)[: max(0, len(self._connections) - self.max_connections)]:
            del self._idle[connection]
            connection.close_if_idle()
        self._mind_room()
        named = {route.upstream for route in settings.routes}
        for upstream, pool in self.pools.items():
            pool.reconfigure(settings.limits, is_retired=upstream not in named)
        self._take_contexts(contexts)
        self._forget_pools()
        self._sweep_interval_s = sweep_interval(settings)
        self._is_reconfigured.set()

    def begin_leaving(self) -> None:
        """Serve as before, but end each connection with its answer, so that whoever balances load looks elsewhere."""
        self.is_leaving = True
        self._mind_room()

    async def drain(self, grace_s: float) -> bool:
        """
        Take no more connections, let exchanges and tunnels end, close everything. Tells whether all exchanges ended within `grace_s`.

        A tunnel that is still open then is closed in order, which loses nothing that could have ended otherwise.
        aiohttp's own shutdown begins only afterwards: it would stop reading uploads in progress.
        """
        self.draining = True
        self._mind_room()
        await self._listeners.stop(takes_rest=True)
        for connection in [connection for connection, since in self._idle.items() if not since]:
            connection.close_if_idle()
        try:
            async with asyncio.timeout(grace_s):
                await self._hear_the_fresh()
                await self._wait_idle()
                await self._tunnels.wait_ended()
        except TimeoutError:
            await self._tunnels.close()
            return not self.in_flight
        finally:
            await self.stop()
        return True

    async def _hear_the_fresh(self) -> None:
        """Let connections that have asked for nothing yet do so, for a moment: a request on its way there would be lost."""
        end = self._loop.time() + _FIRST_REQUEST_S
        while (any(self._idle.values()) or self.tls.under_way) and self._loop.time() < end:  # noqa: ASYNC110 - an Event would cost each exchange
            await asyncio.sleep(_LOOK_S)
        await self.tls.stop()
        for connection in tuple(self._idle):
            connection.close_if_idle()

    async def stop(self) -> None:
        """Cut everything off."""
        self.draining = True
        self._mind_room()
        self._tunnels.abort()
        await self._listeners.stop(takes_rest=False)
        await self.tls.stop()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        for connection in tuple(self._connections):
            connection.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCELLATION_S):
                await self._wait_idle()
        self._front.pre_shutdown()
        await self._front.shutdown(_SHUTDOWN_TIMEOUT_S)
        for pool in self.pools.values():
            pool.close()

    def _is_plain(self, sock: socket.socket) -> bool:
        return self.settings.tls is None or sock.family == socket.AF_UNIX

    async def _sweep(self) -> None:
        """Look at every deadline once in a while, instead of holding a timer for each exchange."""
        while True:
            self._is_reconfigured.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._sweep_interval_s):
                    await self._is_reconfigured.wait()
            now = self._loop.time()
            for pool in self.pools.values():
                pool.sweep(now)
            self._forget_pools()
            header_timeout = self.settings.limits.header_timeout
            for connection in tuple(self._connections):
                connection.expire(now, header_timeout)
            if self._is_crowded:
                # Nobody new comes in to ask for it where all places are taken.
                self._make_room(self.connections - int(_CROWDED * self.max_connections), len(self._idle))
            self._tunnels.expire(now)

    def _upstream_contexts(self, settings: Settings) -> dict[Upstream, ssl.SSLContext]:
        """
        Make what new upstreams need of certificate files, while these are as they were checked. Raises BadTlsFile.

        At the first request, a file may be gone that broke after it was taken into force.
        """
        new = {route.upstream for route in settings.routes} - self.pools.keys()
        return {each: client_context(each.client_tls) for each in new if each.tls and each.client_tls.digest}

    def _take_contexts(self, contexts: dict[Upstream, ssl.SSLContext]) -> None:
        for upstream, context in contexts.items():
            self.pool(upstream).context = context

    def _forget_pools(self) -> None:
        self.last_upstream = self.last_pool = None
        for upstream in [upstream for upstream, pool in self.pools.items() if pool.is_retired and pool.is_unused]:
            self._forgotten += self.pools.pop(upstream).counts
