"""
Hot reload: the configuration is loaded again and swapped in whole, or everything stays as it was.

It knows when (somebody asked, or a file has changed), and what is said of it; it does not know how settings are read,
nor what they do.
"""

import asyncio
import hashlib
import logging
import signal
import stat
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from corsproxy import problems
from corsproxy.admin.sources import InForce
from corsproxy.changes import ReloadOutcome, changes, hold_back
from corsproxy.config.diagnostics import diagnostic
from corsproxy.config.load import Loaded
from corsproxy.config.render import summary
from corsproxy.config.settings import Settings
from corsproxy.gateway.contexts import BadTlsFile
from corsproxy.observe.details import details
from corsproxy.problems import Severity
from corsproxy.systemd import READY, notify, reloading_state

_log = logging.getLogger("corsproxy")
_T = TypeVar("_T")

# A ConfigMap's update takes Kubernetes up to a minute; two seconds more are not felt, and cost nothing.
WATCH_INTERVAL_S: Final = 2.0
# What stands behind these bytes of a file is compared by its size alone.
_MAX_DIGESTED_BYTES: Final = 4 * 1024 * 1024
_NO_REGULAR_FILE: Final = b""
_STAYS: Final = "%s %s: the one in force stays"

# What each file holds: a digest, None when it cannot be read, b"" when it is a pipe or a device, which can be read but once.
Snapshot = dict[str, bytes | None]

# Swaps the settings, on the loop: at once, or when all workers have.
Apply = Callable[[Settings], Awaitable[None] | None]


class NotTaken(Exception):
    """Valid settings could not be put in force; the text says why."""

    problem = problems.RELOAD_NOT_TAKEN
    help = "try again"


class Reloader:
    """
    Loads again when asked, one load at a time, and puts in force what is valid.

    `load` may block: it runs on a thread of its own. `apply` swaps the settings, on the loop. `files` are what the settings
    `in_force`, and the last attempt, were made of; none means that there is nothing to reload. `seen` is what they held when they
    were last loaded; None if nobody has looked yet. `attempts` and `successes` are plain counts, `last_success_time` is in
    seconds since the epoch: at first the start's own.
    """

    def __init__(self, load: Callable[[], Loaded], apply: Apply, in_force: InForce) -> None:
        self.in_force = in_force
        self.files = in_force.loaded.files
        self.seen: Snapshot | None = None
        self.last: ReloadOutcome | None = None
        self.attempts = 0
        self.successes = 0
        self.last_success_time = time.time()
        self._load = load
        self._apply = apply
        self._files_in_force = self.files
        self._asked: asyncio.Future[ReloadOutcome] | None = None
        self._is_quiet = True
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    @property
    def is_busy(self) -> bool:
        """Whether a reload is under way."""
        return self._task is not None

    def request(self) -> None:
        """Ask for a reload. One that is under way may have read the old file already, so another follows it: one for all who ask meanwhile."""
        self._ask(quiet=False)

    async def reload(self, *, quiet: bool = False) -> ReloadOutcome:
        """Ask for a reload and wait for its outcome. `quiet`: one that finds nothing new leaves no trace. Raises CancelledError after `stop`."""
        return await asyncio.shield(self._ask(quiet=quiet))

    def stop(self) -> None:
        """Swap nothing any more, without waiting for a load that is under way."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
        if self._asked is not None:
            self._asked.cancel()

    def _ask(self, *, quiet: bool) -> "asyncio.Future[ReloadOutcome]":
        asked = self._asked
        if asked is None:
            asked = asyncio.get_running_loop().create_future()
            if self._is_stopped:
                asked.cancel()
                return asked
            if not self.files:
                problem = problems.NOTHING_TO_RELOAD
                _log.warning("%s %s: corsproxy runs without a file", problem.code, problem.title, extra=details(problem))
                # `systemctl reload` waits for both.
                notify(reloading_state())
                notify(READY)
                said = diagnostic(
                    problem, None, "corsproxy runs without a file", "restart it with other flags, or keep the policy in a file"
                )
                asked.set_result(ReloadOutcome(False, (said,), (), False, time.time()))
                return asked
            self._asked = asked
            self._is_quiet = quiet
            self._task = self._task or asyncio.create_task(self._run())
        self._is_quiet = self._is_quiet and quiet
        return asked

    async def _run(self) -> None:
        try:
            while (asked := self._asked) is not None:
                self._asked = None
                is_quiet = self._is_quiet
                try:
                    if not is_quiet:
                        notify(reloading_state())
                    outcome = await self._reload_once(quiet=is_quiet)
                    if not is_quiet:
                        notify(READY)
                    asked.set_result(outcome)
                finally:
                    asked.cancel()
        finally:
            self._task = None

    async def _reload_once(self, *, quiet: bool) -> ReloadOutcome:
        try:
            loaded = await run_in_thread(self._read)
            self.files = tuple(dict.fromkeys((*loaded.files, *self._files_in_force)))
            outcome = await self._take(loaded, quiet=quiet)
        except Exception:  # noqa: BLE001 - a mistake of ours must not end what runs
            _log.exception("internal error: the configuration was not reloaded")
            said = diagnostic(problems.INTERNAL_ERROR, None, "the configuration could not be loaded", "look at the log for the traceback")
            outcome = ReloadOutcome(False, (said,), (), False, time.time())
        if quiet and _is_no_news(outcome):
            return outcome
        self.attempts += 1
        if outcome.ok:
            self.successes += 1
            self.last_success_time = outcome.time
        self.last = outcome
        return outcome

    def _read(self) -> Loaded:
        """Load, and note what the files held before: a change that comes in between is met by the next look, and not lost."""
        files = self.files
        while True:
            self.seen = take_snapshot(files)
            loaded = self._load()
            if self.seen.keys() >= set(loaded.files):
                return loaded
            files = (*files, *loaded.files)

    async def _take(self, loaded: Loaded, *, quiet: bool) -> ReloadOutcome:
        now = time.time()
        if loaded.settings is None:
            problem = problems.RELOAD_REFUSED
            _log.error(_STAYS, problem.code, problem.title, extra=details(problem, loaded.diagnostics))
            return ReloadOutcome(False, loaded.diagnostics, (), False, now)
        settings, needs_restart = hold_back(self.in_force.settings, loaded.settings)
        changed = changes(self.in_force.settings, settings)
        outcome = ReloadOutcome(True, loaded.diagnostics, needs_restart, bool(changed), now)
        try:
            applied = self._apply(settings)
            if applied is not None:
                await applied
        except (BadTlsFile, NotTaken) as error:
            # It was sound when it was checked, a moment ago.
            problem = problems.RELOAD_REFUSED
            _log.error(_STAYS, problem.code, problem.title, extra=details(problem, lines=[str(error)]))
            said = loaded.secrets.strike_from(diagnostic(error.problem, None, str(error), error.help))
            return ReloadOutcome(False, (*loaded.diagnostics, said), (), False, now)
        self.in_force = InForce(settings, loaded, needs_restart)
        self._files_in_force = self.files = loaded.files
        if not (quiet and _is_no_news(outcome)):
            _say(outcome, changed)
        return outcome


def _is_no_news(outcome: ReloadOutcome) -> bool:
    return outcome.ok and not outcome.changed and not outcome.needs_restart


def _say(outcome: ReloadOutcome, changed: Sequence[str]) -> None:
    _log.info("configuration reloaded: %s", f"{', '.join(changed)} changed" if changed else "nothing changed")
    if outcome.needs_restart:
        problem = problems.NEEDS_RESTART
        named = ", ".join(f"`{path}`" for path in outcome.needs_restart)
        _log.warning("%s %s: the value in force stays: %s", problem.code, problem.title, named, extra=details(problem))
    if outcome.diagnostics:
        level = logging.WARNING if any(each.severity is Severity.WARNING for each in outcome.diagnostics) else logging.INFO
        said = summary(outcome.diagnostics)
        _log.log(level, "the new configuration is in force, with %s", said, extra=details(diagnostics=outcome.diagnostics))


@contextmanager
def reloading(load: Callable[[], Loaded], apply: Apply, in_force: InForce) -> Iterator[Reloader]:
    """Reload on SIGHUP and when a file has changed, until the block ends; after it SIGHUP does nothing."""
    reloader = Reloader(load, apply, in_force)
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGHUP, reloader.request)
    watching = loop.create_task(Watcher(reloader).run())
    try:
        yield reloader
    finally:
        watching.cancel()
        reloader.stop()


# --- files ---


class Watcher:
    """
    Asks for a reload when what a file holds has changed.

    Contents are compared: a ConfigMap's update swaps a symlink above the file, and neither events nor mtime tell of it reliably.
    """

    def __init__(self, reloader: Reloader, interval_s: float = WATCH_INTERVAL_S) -> None:
        self._reloader = reloader
        self._interval_s = interval_s
        self._missing: set[str] = set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - a mistake of ours must not end the watch
                _log.exception("internal error: the files were not looked at")

    async def look(self) -> None:
        """
        Look once, and wait for the reload if one is due.

        What nobody compared with what was loaded is loaded once more, quietly: it may have changed since the start read it.
        A file that is missing may be in the middle of being replaced: only the next look believes it.
        """
        reloader = self._reloader
        if reloader.is_busy or not reloader.files:
            return
        files = reloader.files
        found = await run_in_thread(partial(take_snapshot, files))
        missing = {file for file, content in found.items() if content is None}
        believed, self._missing = self._missing, missing
        if _NO_REGULAR_FILE in found.values() or missing - believed:
            return
        seen = reloader.seen
        if seen is None or any(content != seen.get(file) for file, content in found.items()):
            await reloader.reload(quiet=seen is None)


def take_snapshot(files: Iterable[str]) -> Snapshot:
    """Say what each file holds now. Blocks."""
    return {file: _digest(file) for file in files}


def _digest(file: str) -> bytes | None:
    path = Path(file)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None if stat.S_ISDIR(status.st_mode) else _NO_REGULAR_FILE
        with path.open("rb") as opened:
            content = opened.read(_MAX_DIGESTED_BYTES)
    except (OSError, ValueError):
        return None
    return hashlib.blake2b(b"%d " % status.st_size + content, digest_size=16).digest()


async def run_in_thread(work: Callable[[], _T]) -> _T:
    """
    Run blocking work beside the loop, on a thread that the end of the program does not wait for.

    `asyncio.to_thread` is waited for: a file system that hangs would keep a proxy from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(settling: Callable[[], None]) -> None:
        if not done.done():
            settling()

    def run() -> None:
        try:
            settling = partial(done.set_result, work())
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            settling = partial(done.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, settling)

    threading.Thread(target=run, name="corsproxy-reload", daemon=True).start()
    return await done
