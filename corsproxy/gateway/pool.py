"""
The connections to one upstream: opened when needed, kept while idle, last in first out.

It knows addresses, names and TLS; it does not know requests.
"""

import asyncio
import ipaddress
import os
import socket
import ssl
import time
from collections import deque
from typing import Final, NamedTuple, cast

import aiohappyeyeballs

from corsproxy import problems
from corsproxy.config.settings import Limits
from corsproxy.config.upstreams import Upstream
from corsproxy.gateway.contexts import BadTlsFile, client_context
from corsproxy.gateway.judge import response_judge
from corsproxy.gateway.listener import EXHAUSTED
from corsproxy.gateway.reading import read_buffer
from corsproxy.gateway.tls import TlsFailed, TlsStream
from corsproxy.gateway.upstream import UpstreamConnection
from corsproxy.problems import Problem

# Precedent: Envoy's and Java's minutes keep dead addresses; a few seconds spare the resolver and follow a failover.
_DNS_TTL_S: Final = 5.0
# Precedent: RFC 8305 8, "Connection Attempt Delay".
_ATTEMPT_DELAY_S: Final = 0.25

_AddrInfos = list[aiohappyeyeballs.AddrInfoType]


class UpstreamUnavailable(Exception):
    """
    No connection could be made.

    `problem` says what the client is told, `text` what the operator is told (it names addresses).
    """

    def __init__(self, problem: Problem, text: str) -> None:
        super().__init__(text)
        self.problem = problem
        self.text = text


class PoolCounts(NamedTuple):
    """What connections to upstreams come to: those that are there, and what happened since the start. `unexpected` as in UpstreamPool."""

    idle: int = 0
    busy: int = 0
    connects: int = 0
    reuses: int = 0
    unexpected: int = 0

    def __add__(self, other: "PoolCounts") -> "PoolCounts":  # type: ignore[override]  # a sum, not a longer tuple
        """Add up."""
        return PoolCounts(*map(sum, zip(self, other, strict=True)))


class UpstreamPool:
    """
    The connections to one upstream. `connects`, `reuses` and `unexpected` count since the start; `failure` says why the last attempt
    to connect failed, and is empty if it did not.

    `unexpected`: bytes that came while a connection was idle; it was closed, and nobody got them. `is_retired`: the settings
    do not name the upstream any more; exchanges that began before end as they would have, and no connection is kept.
    """

    def __init__(self, upstream: Upstream, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.upstream = upstream
        self.is_retired = False
        self._loop = loop
        self._max_connections = upstream.pool.max_connections or limits.in_flight + limits.tunnels
        self._idle_timeout_s = upstream.pool.idle_timeout
        self._opening = 0
        self._has_surplus = False
        self._waiters: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        # Ordered by the time of going idle: reuse takes from the end, expiry from the beginning.
        self._idle: dict[UpstreamConnection, None] = {}
        # All that have a place: these, and those that serve somebody.
        self._held: set[UpstreamConnection] = set()
        # Made at the first connection, if nobody brings one.
        self.context: ssl.SSLContext | None = None
        self._infos: _AddrInfos = []
        self._infos_until = 0.0
        self._buffer = read_buffer()
        self._judge = response_judge()
        self.connects = 0
        self.reuses = 0
        self.unexpected = 0
        self.failure = ""

    async def acquire(self, connect_timeout_s: float, *, fresh: bool = False) -> tuple[UpstreamConnection, bool]:
        """
        Return a connection, and whether it has served before; `fresh` asks for one that has not.

        When all are in use, whoever came first is served first. Raises UpstreamUnavailable.
        """
        connection = None if fresh else self.take()
        if connection is not None:
            return connection, True
        if self._is_full() and fresh and self._idle:
            self._drop_oldest()
        elif self._is_full() or self._waiters:
            handed = await self._wait_turn()
            if handed is None:
                self._opening -= 1
            elif fresh or not handed.is_open:
                handed.abort()
            else:
                self.reuses += 1
                return handed, True
        try:
            connection = await self._open(connect_timeout_s)
        except UpstreamUnavailable as error:
            self.failure = error.text
            raise
        self.failure = ""
        return connection, False

    def take(self) -> UpstreamConnection | None:
        """Return the connection that went idle last, at once; None where there is none, or where others wait for one."""
        idle = self._idle
        while idle and not self._waiters:
            connection, _ = idle.popitem()
            transport = connection.transport
            if transport is not None and not transport.is_closing() and self._loop.time() - connection.stamp < self._idle_timeout_s:
                self.reuses += 1
                return connection
            self._held.discard(connection)
            connection.close()
        return None

    async def _open(self, timeout_s: float) -> UpstreamConnection:
        """Open a fresh connection: name, TCP and TLS within `timeout_s`. Raises UpstreamUnavailable."""
        where = self._where
        is_secret = self._is_secret
        began = time.perf_counter()
        self._opening += 1
        connection = None
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connect()
        except TimeoutError:
            raise UpstreamUnavailable(problems.UPSTREAM_CONNECT_TIMEOUT, f"connecting to {where} took over {timeout_s:g} s") from None
        except socket.gaierror as error:
            raise UpstreamUnavailable(problems.UPSTREAM_UNRESOLVED, f"resolving {where}: {error.strerror}") from error
        except TlsFailed as error:
            # What OpenSSL says of names has them in it.
            said = f"TLS with {where}: the handshake failed" if is_secret else str(error)
            problem = problems.UPSTREAM_CERTIFICATE if error.by_certificate else problems.UPSTREAM_TLS
            raise UpstreamUnavailable(problem, said) from error
        except (BadTlsFile, UnicodeError) as error:  # a name that IDNA does not take
            said = "the name cannot be used" if is_secret else str(error)
            raise UpstreamUnavailable(problems.UPSTREAM_TLS, f"TLS with {where}: {said}") from error
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise UpstreamUnavailable(problems.UPSTREAM_REFUSED, f"connecting to {where}: {_reason(error)}") from error
        except (OSError, RuntimeError) as error:  # aiohappyeyeballs hands uvloop's RuntimeError through
            if isinstance(error, OSError) and error.errno in EXHAUSTED:
                raise UpstreamUnavailable(problems.OUT_OF_DESCRIPTORS, f"connecting to {where}: {_reason(error)}") from error
            said = "no address answers" if is_secret else str(error)
            raise UpstreamUnavailable(problems.UPSTREAM_UNREACHABLE, f"connecting to {where}: {said}") from error
        finally:
            self._opening -= 1
            # An attempt that failed leaves its place to whoever waits.
            if connection is None:
                self._pass_place_on()
        self.connects += 1
        connection.began = began
        self._held.add(connection)
        return connection

    def reconfigure(self, limits: Limits, *, is_retired: bool) -> None:
        """Follow new settings at once; busy connections that are too many now are closed when their exchange ends."""
        self.is_retired = is_retired
        self._max_connections = self.upstream.pool.max_connections or limits.in_flight + limits.tunnels
        while self._idle and (is_retired or self._taken > self._max_connections):
            self._drop_oldest()
        self._mind_surplus()
        while self._waiters and not self._is_full():
            self._pass_place_on()

    # --- places ---

    @property
    def _busy(self) -> list[UpstreamConnection]:
        return [connection for connection in self._held if connection not in self._idle]

    @property
    def _taken(self) -> int:
        return len(self._held) + self._opening

    def _is_full(self) -> bool:
        return self._taken >= self._max_connections

    def _mind_surplus(self) -> None:
        """Look whether settings in force allow fewer connections than there are."""
        self._has_surplus = self._taken > self._max_connections

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._idle))
        del self._idle[oldest]
        self._held.discard(oldest)
        oldest.close()

    async def _wait_turn(self) -> UpstreamConnection | None:
        """Wait in line for a connection, or for the place of one (None; it is counted as opening). Raises UpstreamUnavailable."""
        turn: asyncio.Future[UpstreamConnection | None] = self._loop.create_future()
        self._waiters.append(turn)
        wait_s = self.upstream.pool.wait
        try:
            async with asyncio.timeout(wait_s):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give_back(turn.result())
            elif turn in self._waiters:
                self._waiters.remove(turn)
            if isinstance(error, TimeoutError):
                text = f"all {self._max_connections} connections were in use for {wait_s:g} s"
                raise UpstreamUnavailable(problems.UPSTREAM_POOL_FULL, text) from None
            raise

    def _give_back(self, handed: UpstreamConnection | None) -> None:
        if handed is None:
            self._opening -= 1
            self._pass_place_on()
        else:
            self.take_back(handed)

    def _pass_place_on(self) -> None:
        turn = None if self._is_full() else self._next_turn()
        if turn is not None:
            self._opening += 1
            turn.set_result(None)

    def _next_turn(self) -> "asyncio.Future[UpstreamConnection | None] | None":
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                return turn
        return None

    async def _connect(self) -> UpstreamConnection:
        loop, upstream = self._loop, self.upstream

        def protocol() -> UpstreamConnection:
            return UpstreamConnection(self, loop, self._buffer, self._judge)

        if upstream.unix_path:
            _, connection = await loop.create_unix_connection(protocol, upstream.unix_path)
            return connection
        sock = await aiohappyeyeballs.start_connection(await self._resolve(), happy_eyeballs_delay=_ATTEMPT_DELAY_S, loop=loop)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if upstream.tls:
                return await self._connect_tls(sock, protocol())
            _, connection = await loop.create_connection(protocol, sock=sock)
        except BaseException:
            sock.close()
            raise
        return connection

    async def _connect_tls(self, sock: socket.socket, connection: UpstreamConnection) -> UpstreamConnection:
        tls = self.upstream.client_tls
        self.context = self.context or client_context(tls)
        # A name in TLS has no dot at its end (RFC 6066 3).
        name = tls.server_name or self.upstream.host.rstrip(".")
        stream = TlsStream(connection, self.context, name, self._where, self._loop)
        try:
            await self._loop.create_connection(lambda: stream, sock=sock)
            await stream.established
        except BaseException:
            stream.abort()
            raise
        return connection

    @property
    def _is_secret(self) -> bool:
        """Whether people see a reference instead of the URL, so that its host must not show either."""
        return "${" in self.upstream.url

    @property
    def _where(self) -> str:
        """Name the upstream for an operator."""
        upstream = self.upstream
        return upstream.url if self._is_secret else upstream.unix_path or f"{upstream.host}:{upstream.port}"

    async def _resolve(self) -> _AddrInfos:
        host, port = self.upstream.host, self.upstream.port
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
        now = self._loop.time()
        if now >= self._infos_until:
            infos = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            self._infos = cast("_AddrInfos", infos)
            self._infos_until = self._loop.time() + _DNS_TTL_S
        return self._infos

    # --- what connections say ---

    def take_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection that may serve another request, or hand it to whoever waits first."""
        if not (self._waiters or self._has_surplus or self.is_retired):
            self._idle[connection] = None
            return
        if self._has_surplus:
            self._mind_surplus()
        turn = self._next_turn() if self._waiters and not self._has_surplus else None
        if turn is not None:
            turn.set_result(connection)
            return
        if self.is_retired or self._has_surplus:
            self._held.discard(connection)
            connection.close()
        else:
            self._idle[connection] = None

    def forget(self, connection: UpstreamConnection, *, unexpected: bool) -> None:
        """Drop a connection that is gone."""
        self.unexpected += unexpected
        if connection not in self._held:
            return
        self._held.discard(connection)
        self._idle.pop(connection, None)
        self._pass_place_on()

    def sweep(self, now: float) -> None:
        """Close what was idle too long, and fail what missed a deadline. `now` is the loop's clock."""
        while self._idle:
            oldest = next(iter(self._idle))
            if now - oldest.stamp < self.upstream.pool.idle_timeout:
                break
            self._drop_oldest()
        for connection in self._busy:
            connection.expire(now)

    def close(self) -> None:
        """Close every idle connection and cut every busy one."""
        for connection in tuple(self._idle):
            connection.close()
        busy = self._busy
        self._held.difference_update(self._idle)
        self._idle.clear()
        for connection in busy:
            connection.abort()

    @property
    def counts(self) -> PoolCounts:
        """What it comes to."""
        return PoolCounts(len(self._idle), len(self._held) - len(self._idle), self.connects, self.reuses, self.unexpected)

    @property
    def size(self) -> int:
        """How many connections are open."""
        return len(self._held)

    @property
    def is_unused(self) -> bool:
        """Whether there is no connection, and nobody who waits for one."""
        return not self._taken and not self._waiters


def _reason(error: OSError) -> str:
    """Name why there is no connection, in the system's words: event loops put each address into theirs."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
