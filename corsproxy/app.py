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
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Final, TextIO

from corsproxy.config.load import Loaded
from corsproxy.config.settings import Listen, Settings
from corsproxy.gateway.server import MAX_CONNECTIONS, Gateway
from corsproxy.observe.counters import Counters
from corsproxy.observe.log import AccessLog, configure_events
from corsproxy.observe.notices import Notices
from corsproxy.observe.ring import Ring
from corsproxy.observe.writer import settle
from corsproxy.record import ExchangeRecord
from corsproxy.reload import reloading
from corsproxy.systemd import READY, STOPPING, notify

if sys.platform != "win32":
    import resource

_log = logging.getLogger("corsproxy")

# For listeners, logs, the event loop and the libraries.
_RESERVED_DESCRIPTORS: Final = 64


class App:
    """
    One proxy: the gateway and what watches it. `share` is how many such processes there are.

    `is_ready`: whoever balances load may send more.
    """

    def __init__(self, settings: Settings, access_stream: TextIO, event_stream: TextIO, share: int = 1) -> None:
        self._instance = secrets.token_hex(4).encode()
        self._access_stream = access_stream
        self._event_stream = event_stream
        self.counters = Counters()
        self._access = self._access_log(settings)
        self._notices = Notices()
        self.ring = Ring(lambda: self.gateway.settings, self._instance.decode())
        self.gateway = Gateway(self._personal(settings), self._witness, room_for_connections(), share)
        self.is_ready = False

    def reconfigure(self, settings: Settings) -> None:
        """Swap the settings; exchanges in flight end under the old ones. The addresses stay. Raises BadTlsFile, and changes nothing then."""
        log = self.gateway.settings.log
        self.gateway.reconfigure(self._personal(settings))
        self.ring.renew()
        if settings.log != log:
            self._flush()
            self._access = self._access_log(settings)
            configure_events(settings.log, self._event_stream)
        self._notices.forget()

    def _personal(self, settings: Settings) -> Settings:
        # Two proxies in a row must tell each other apart in Via; one that meets its own name has found a loop.
        name = settings.pseudonym
        return replace(settings, pseudonym=b"%b-%b" % (name, self._instance)) if name else settings

    def _access_log(self, settings: Settings) -> AccessLog | None:
        return AccessLog(settings.log, self._access_stream) if settings.log.access else None

    def _witness(self, record: ExchangeRecord) -> None:
        self.counters.add(record)
        self.ring.add(record)
        if record.notices:
            self._notices.add(record.notices)
        if self._access is not None:
            self._access.add(record)

    async def start(self, addresses: Sequence[Listen] | None = None, lent: Sequence[socket.socket] = ()) -> list[Listen]:
        """Listen, on the settings' addresses unless others are given, and on sockets that are lent; returns the real addresses. Raises CannotListen."""
        bound = await self.gateway.start(addresses, lent)
        self.is_ready = True
        return bound

    async def end(self) -> None:
        """End in order, as `shutdown` says: accept for a while, let exchanges end, cut what is left."""
        shutdown = self.gateway.settings.shutdown
        self.is_ready = False
        if shutdown.delay:
            self.gateway.begin_leaving()
            _log.info("ending: connections are accepted for %g s more", shutdown.delay)
            await asyncio.sleep(shutdown.delay)
        in_flight, tunnels = self.gateway.in_flight, self.gateway.tunnels
        if in_flight or tunnels:
            and_tunnels = f" and {tunnels} WebSockets" if tunnels else ""
            _log.info("draining: %d in flight%s, up to %g s", in_flight, and_tunnels, shutdown.grace)
        if not await self.gateway.drain(shutdown.grace):
            _log.warning("cut off what was still in flight after %g s", shutdown.grace)
        self._flush()

    async def stop(self) -> None:
        """End at once."""
        self.is_ready = False
        await self.gateway.stop()
        self._flush()

    def _flush(self) -> None:
        if self._access is not None:
            self._access.flush()


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
    settings: Settings,
    on_listening: Callable[[Sequence[Listen]], None],
    load: Callable[[], Loaded] | None = None,
    files: Sequence[str] = (),
    lent: Sequence[socket.socket] = (),
) -> int:
    """
    Run a proxy until SIGTERM (end in order) or SIGINT (end at once); returns the exit code.

    A second signal ends whatever still runs: 130 or 143. `load` makes the settings anew: on SIGHUP, and when one of `files`,
    which they were made of, has changed. `lent` are sockets to accept from in place of the settings' addresses. Raises CannotListen.
    """
    app = App(settings, sys.stdout, sys.stderr)
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.put_nowait, number)
    with reloading(load, app.reconfigure, settings, files) if load is not None else nullcontext():
        on_listening(await app.start(() if lent else None, lent))
        notify(READY)
        first = await signals.get()
    notify(STOPPING)
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
    settings: Settings,
    on_listening: Callable[[Sequence[Listen]], None],
    load: Callable[[], Loaded] | None = None,
    files: Sequence[str] = (),
    lent: Sequence[socket.socket] = (),
) -> int:
    """Run `serve` on uvloop where there is one. Raises CannotListen."""
    return run_on_loop(serve(settings, on_listening, load, files, lent))


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
