"""
The composition root: settings in, a running proxy with its witness, until a signal ends it.

Everything is put together here and nowhere else.
"""

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, TextIO

from corsproxy import problems, vitals
from corsproxy.admin.server import AdminServer
from corsproxy.admin.sources import InForce, Sources
from corsproxy.config.load import Loaded
from corsproxy.config.settings import Listen, Settings
from corsproxy.gateway.listener import CannotListen
from corsproxy.gateway.server import MAX_CONNECTIONS, Gateway
from corsproxy.observe.counters import Counters
from corsproxy.observe.details import details
from corsproxy.observe.log import AccessLog, configure_events
from corsproxy.observe.notices import Notices
from corsproxy.observe.ring import Ring
from corsproxy.record import ExchangeRecord
from corsproxy.reload import Reloader, reloading

if sys.platform != "win32":
    import resource

_log = logging.getLogger("corsproxy")

# Below Kubernetes' 30 s of terminationGracePeriodSeconds.
GRACE_S: Final = 25.0
# For listeners, logs, the event loop and the libraries.
_RESERVED_DESCRIPTORS: Final = 64


class App:
    """One proxy: the gateway and what watches it."""

    def __init__(self, settings: Settings, access_stream: TextIO, event_stream: TextIO) -> None:
        self._instance = secrets.token_hex(4).encode()
        self._access_stream = access_stream
        self._event_stream = event_stream
        self.counters = Counters()
        self._access = self._access_log(settings)
        self._notices = Notices()
        self.ring = Ring(lambda: self.gateway.settings, self._instance.decode())
        self.gateway = Gateway(self._personal(settings), self._witness, _room_for_connections())

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

    async def start(self) -> list[Listen]:
        """Listen; returns the real addresses. Raises CannotListen."""
        return await self.gateway.start()

    async def drain(self, grace_s: float = GRACE_S) -> bool:
        """Let exchanges end; tells whether all did."""
        ended = await self.gateway.drain(grace_s)
        self._flush()
        return ended

    async def stop(self) -> None:
        """End at once."""
        await self.gateway.stop()
        self._flush()

    def _flush(self) -> None:
        if self._access is not None:
            self._access.flush()


def _room_for_connections() -> int:
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
) -> int:
    """
    Run a proxy until SIGTERM (drain) or SIGINT (end at once); returns the exit code.

    A second signal ends whatever still runs: 130 or 143. `loaded` holds the settings to begin with. `load` makes them anew: on SIGHUP, when
    one of the files that they were made of has changed, or when somebody asks at the admin listener; without it there are neither reloads nor
    an admin listener. Raises CannotListen.
    """
    assert loaded.settings is not None  # noqa: S101 - the caller looked
    app = App(loaded.settings, sys.stdout, sys.stderr)
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.put_nowait, number)
    if load is None:
        on_listening(await app.start())
        return await _until_told(app, signals)
    with reloading(load, app.reconfigure, InForce(loaded.settings, loaded)) as reloader:
        async with serving_admin(vitals.sources_of_process(app.gateway, app.counters, reloader, app.ring)):
            on_listening(await app.start())
            return await _until_told(app, signals, reloader)


@asynccontextmanager
async def serving_admin(sources: Sources) -> AsyncIterator[None]:
    """
    Serve the admin's pages, if the file wants them, until the block ends.

    Without a file, nobody has chosen the address: where it is taken, that is said, and the proxy goes on. Raises CannotListen.
    """
    in_force = sources.in_force()
    listen = in_force.settings.admin.listen
    admin = AdminServer(sources, listen) if listen is not None else None
    if admin is not None:
        try:
            bound = await admin.start()
        except CannotListen as error:
            if in_force.loaded.source.is_file:
                raise
            problem = problems.ADMIN_STAYS_OFF
            _log.warning("%s %s: %s", problem.code, problem.title, error, extra=details(problem))
            admin = None
        else:
            _log.info("health, metrics, reload and the inspector on %s", bound if bound.unix_path else f"http://{bound}")
    try:
        yield
    finally:
        if admin is not None:
            await admin.stop()


async def _until_told(app: App, signals: "asyncio.Queue[signal.Signals]", reloader: Reloader | None = None) -> int:
    """Wait for a signal and end as it says; returns the exit code. While the proxy ends, nothing is reloaded any more."""
    first = await signals.get()
    if reloader is not None:
        reloader.stop()
    if first is signal.SIGINT:
        await app.stop()
        return 0
    in_flight, tunnels = app.gateway.in_flight, app.gateway.tunnels
    if in_flight or tunnels:
        _log.info("draining: %d in flight%s, up to %g s", in_flight, f" and {tunnels} WebSockets" if tunnels else "", GRACE_S)
    drain = asyncio.ensure_future(app.drain())
    second = asyncio.ensure_future(signals.get())
    done, _ = await asyncio.wait({drain, second}, return_when=asyncio.FIRST_COMPLETED)
    if drain in done:
        second.cancel()
        if not drain.result():
            _log.warning("cut off what was still in flight after %g s", GRACE_S)
        return 0
    drain.cancel()
    await app.stop()
    return 128 + second.result()


def run(
    loaded: Loaded,
    on_listening: Callable[[Sequence[Listen]], None],
    load: Callable[[], Loaded] | None = None,
) -> int:
    """Run `serve` on uvloop where there is one. Raises CannotListen."""
    return run_on_loop(serve(loaded, on_listening, load))


def run_on_loop(main: Coroutine[None, None, int]) -> int:
    """Run a coroutine to its end on uvloop, or on asyncio's own loop on Windows."""
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return asyncio.run(main)
    return int(uvloop.run(main))
