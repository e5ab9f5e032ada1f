"""
The composition root: settings in, a running proxy with its witness, until a signal ends it.

Everything is put together here and nowhere else.
"""

import asyncio
import logging
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import replace
from typing import Final, Protocol, TextIO

from corsproxy import vitals
from corsproxy.admin.server import serving_admin
from corsproxy.admin.sources import InForce
from corsproxy.config.load import Loaded
from corsproxy.config.settings import Listen, Settings
from corsproxy.gateway.exchange import Tracer
from corsproxy.gateway.listener import NO_SOCKETS, Sockets
from corsproxy.gateway.server import MAX_CONNECTIONS, Gateway
from corsproxy.observe.counters import Counters
from corsproxy.observe.log import AccessLog, configure_events
from corsproxy.observe.notices import Notices
from corsproxy.observe.ring import Ring
from corsproxy.observe.tracing import start_tracing
from corsproxy.observe.writer import settle
from corsproxy.record import Brief, ExchangeRecord
from corsproxy.reload import reloading
from corsproxy.systemd import READY, STOPPING, notify

if sys.platform != "win32":
    import resource

_log = logging.getLogger("corsproxy")

# For listeners, logs, the event loop and the libraries.
_RESERVED_DESCRIPTORS: Final = 64


class Follower(Tracer, Protocol):
    """Who follows each exchange to its end."""

    def add(self, record: ExchangeRecord) -> None:
        """Take note of an exchange that ended."""

    async def close(self) -> None:
        """Take note that there will be no more."""


class App:
    """
    One proxy: the gateway and what watches it. `share` is how many such processes there are, and `instance` what all of them are called in Via.

    `follower` follows exchanges in the place of whoever the variables of OpenTelemetry ask for.
    """

    def __init__(
        self,
        settings: Settings,
        access_stream: TextIO,
        event_stream: TextIO,
        share: int = 1,
        instance: bytes = b"",
        follower: Follower | None = None,
    ) -> None:
        self._instance = instance or new_instance()
        self._access_stream = access_stream
        self._event_stream = event_stream
        self.ring = Ring(lambda: self.gateway.settings, self._instance.decode())
        self.counters = Counters(self.ring.briefs.settle)
        self.ring.briefs.counting.append(self.counters.add_all)
        self.ring.briefs.otherwise = self._count
        self._access = self._access_log(settings)
        self._notices = Notices()
        self._tracing: Follower | None = follower or start_tracing()
        self.gateway = Gateway(self._personal(settings), self._witness, room_for_connections(), share, self._tracing)
        self._listen()

    def reconfigure(self, settings: Settings) -> None:
        """Swap the settings; exchanges in flight end under the old ones. The addresses stay. Raises BadTlsFile, and changes nothing then."""
        log = self.gateway.settings.log
        self.gateway.reconfigure(self._personal(settings))
        if settings.log != log:
            self._close_log()
            self._access = self._access_log(settings)
            self._listen()
            configure_events(settings.log, self._event_stream)
        self._notices.forget()

    def _listen(self) -> None:
        # Without a log, nobody has to come between.
        self.gateway.witness_brief = self.ring.briefs.put if self._access is None else self._witness_brief

    def _personal(self, settings: Settings) -> Settings:
        # Two proxies in a row must tell each other apart in Via; one that meets its own name has found a loop.
        name = settings.pseudonym
        return replace(settings, pseudonym=b"%b-%b" % (name, self._instance)) if name else settings

    def _access_log(self, settings: Settings) -> AccessLog | None:
        return AccessLog(settings.log, self._access_stream) if settings.log.access else None

    def _witness(self, record: ExchangeRecord) -> None:
        self._count(record)
        if record.notices:
            self._notices.add(record.notices)
        if self._tracing is not None:
            self._tracing.add(record)
        if self._access is not None:
            self._access.add(record)

    def _count(self, record: ExchangeRecord) -> None:
        self.counters.add(record)
        self.ring.add(record)

    def _witness_brief(self, brief: Brief) -> None:
        self.ring.briefs.put(brief)
        if self._access is not None:
            self._access.add_brief(brief)

    async def start(self, addresses: Sequence[Listen] | None = None, sockets: Sockets = NO_SOCKETS) -> list[Listen]:
        """Listen, on the settings' addresses unless others are given, and on sockets that listen already; returns the real addresses. Raises CannotListen."""
        return await self.gateway.start(addresses, sockets)

    async def end(self, *, delays: bool = True) -> None:
        """End in order, as `shutdown` says: accept for a while, if it `delays`, let exchanges end, cut what is left."""
        shutdown = self.gateway.settings.shutdown
        if shutdown.delay and delays:
            self.gateway.begin_leaving()
            _log.info("ending: connections are accepted for %g s more", shutdown.delay)
            await asyncio.sleep(shutdown.delay)
        in_flight, tunnels = self.gateway.in_flight, self.gateway.tunnels
        if in_flight or tunnels:
            and_tunnels = f" and {tunnels} WebSockets" if tunnels else ""
            _log.info("draining: %d in flight%s, up to %g s", in_flight, and_tunnels, shutdown.grace)
        if not await self.gateway.drain(shutdown.grace):
            _log.warning("cut off what was still in flight after %g s", shutdown.grace)
        await self._say_the_rest()

    async def stop(self) -> None:
        """End at once."""
        await self.gateway.stop()
        await self._say_the_rest()

    async def _say_the_rest(self) -> None:
        self._close_log()
        if self._tracing is not None:
            await self._tracing.close()

    def _close_log(self) -> None:
        if self._access is not None:
            self._access.close()


def new_instance() -> bytes:
    """Make what tells this proxy from others of its name."""
    return secrets.token_hex(4).encode()


def room_for_connections() -> int:
    """
    Say what `limits.connections: auto` comes to, after raising the soft limit on file descriptors to the hard one.

    Half of them: each client connection may need one to the upstream.
    """
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS refuses more than kern.maxfilesperproc although the hard limit says infinity.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, soft // 2 - _RESERVED_DESCRIPTORS))


async def serve(
    loaded: Loaded,
    on_listening: Callable[[Sequence[Listen]], None],
    load: Callable[[], Loaded] | None = None,
    lent: Sequence[socket.socket] = (),
) -> int:
    """
    Run a proxy until SIGTERM (end in order) or SIGINT (end at once); returns the exit code.

    A second signal ends whatever still runs: 130 or 143. `loaded` holds the settings to begin with. `load` makes them anew: on SIGHUP, when
    one of the files that they were made of has changed, or when somebody asks at the admin listener; without it there are neither reloads nor
    an admin listener. `lent` are sockets to accept from in place of the settings' addresses. Raises CannotListen.
    """
    assert loaded.settings is not None  # noqa: S101 - the caller looked
    app = App(loaded.settings, sys.stdout, sys.stderr)
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.put_nowait, number)
    async with AsyncExitStack() as until_end:
        with reloading(load, app.reconfigure, InForce(loaded.settings, loaded)) if load is not None else nullcontext() as reloader:
            if reloader is not None:
                await until_end.enter_async_context(serving_admin(vitals.sources_of_process(app.gateway, app.counters, reloader, app.ring)))
            on_listening(await app.start(() if lent else None, Sockets(lent=tuple(lent))))
            notify(READY)
            first = await signals.get()
        notify(STOPPING)
        return await _end(app, first, signals)


async def _end(app: App, first: signal.Signals, signals: "asyncio.Queue[signal.Signals]") -> int:
    """End as the first signal says, or at once when another one comes; returns the exit code."""
    if first is signal.SIGINT:
        await app.stop()
        return 0
    ending = asyncio.ensure_future(app.end())
    second = asyncio.ensure_future(signals.get())
    await asyncio.wait({ending, second}, return_when=asyncio.FIRST_COMPLETED)
    if ending.done():
        second.cancel()
        ending.result()
        return 0
    ending.cancel()
    await app.stop()
    return 128 + second.result()


def run(
    loaded: Loaded,
    on_listening: Callable[[Sequence[Listen]], None],
    load: Callable[[], Loaded] | None = None,
    lent: Sequence[socket.socket] = (),
) -> int:
    """Run `serve` on uvloop where there is one. Raises CannotListen."""
    return run_on_loop(serve(loaded, on_listening, load, lent))


def run_on_loop(main: Coroutine[None, None, int]) -> int:
    """Run a coroutine to its end on uvloop, or on asyncio's own loop on Windows; what was logged is written then, if anybody reads it."""
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows
    except ImportError:
        run_until_end = asyncio.run
    else:
        run_until_end = uvloop.run
    try:
        return int(run_until_end(main))
    finally:
        settle()
