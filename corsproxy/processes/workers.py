"""
Several processes that serve, under one that does not.

The supervisor holds the addresses, starts workers and starts them again, and owns what there must be one of: signals, reloads, what
systemd is told. It moves no byte of an exchange. Nothing is written to disk.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from corsproxy import problems
from corsproxy.admin.server import serving_admin
from corsproxy.admin.sources import InForce
from corsproxy.app import new_instance, run_on_loop
from corsproxy.config.load import Loaded
from corsproxy.config.settings import Listen, Settings
from corsproxy.gateway.listener import Sockets
from corsproxy.observe.details import details
from corsproxy.observe.log import configure_events
from corsproxy.problems import Problem, catalogue
from corsproxy.processes.channel import Channel
from corsproxy.processes.gathering import Gathering
from corsproxy.processes.messages import Begin, Born, End, Failed, Gone, Ready, Reload, Reloaded, Seen, Stop, Told, to_frame
from corsproxy.processes.nursery import Nursery, begin_nursery
from corsproxy.processes.reserve import Reserved, reserve
from corsproxy.processes.worker import work
from corsproxy.reload import NotTaken, reloading
from corsproxy.systemd import READY, STOPPING, notify

_log = logging.getLogger("corsproxy")

# Precedent: the first restart comes at once, as nginx does it; one that dies again and again must not eat the machine.
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 30.0
# Whoever has lived so long did not die of its start.
_STEADY_S: Final = 30.0
# How long workers may take for a reload, and for an end at once.
_RELOAD_S: Final = 10.0
_STOP_S: Final = 5.0
_EXIT_NO_NURSERY: Final = 1


class CannotStart(Exception):
    """The workers cannot serve: `problem`, the text and `help` say why."""

    def __init__(self, problem: Problem, text: str, help_: str) -> None:
        super().__init__(text)
        self.problem = problem
        self.help = help_


@dataclass(eq=False, slots=True)
class Worker:
    """
    A worker, as its supervisor knows it. `place` is its number; `settings` are those that it was given last.

    `verdict` waits for what comes of the reload under way; `told` is what it has told of itself last.
    """

    place: int
    settings: Settings
    began: float
    channel: Channel | None = None
    pid: int = 0
    is_ready: bool = False
    failure: Failed | None = None
    verdict: "asyncio.Future[str] | None" = None
    told: Told | None = None
    seen: int = 0


class Supervisor:
    """`prepare` makes one, before there is a loop; `run` is its life. `workers` are those alive, by their place."""

    def __init__(self, settings: Settings, count: int, reserved: Reserved, nursery: Nursery) -> None:
        self.settings = settings
        self.workers: dict[int, Worker] = {}
        self.count = count
        self.gathering = Gathering(self)
        self._reserved = reserved
        self._nursery = nursery
        self._instance = new_instance()
        self._is_ending = False
        self._is_let_go = False
        self._exit_code = 0
        self._reloads = 0
        self._failures = [0] * (count + 1)
        self._unborn: deque[Worker] = deque()
        self._pids: dict[int, int] = {}
        # Those that another took the place of, and that may still have exchanges in flight.
        self._leaving: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def tellers(self) -> "list[Worker]":
        """Every worker that is alive."""
        return [*self.workers.values(), *self._leaving]

    @property
    def ending(self) -> str:
        """In which way the proxy is about to end; empty while it is not."""
        return "" if not self._is_ending else "it is draining" if self._is_let_go else "it is about to drain"

    def run(
        self,
        loaded: Loaded,
        on_listening: Callable[[Sequence[Listen]], None],
        load: Callable[[], Loaded],
    ) -> int:
        """
        Serve until SIGTERM or SIGINT, as one process would; returns the exit code. `loaded` holds the settings to begin with, and `load` makes
        them anew. Raises CannotStart, or CannotListen for the admin's address.
        """
        return run_on_loop(self._run(loaded, on_listening, load))

    async def _run(self, loaded: Loaded, on_listening: Callable[[Sequence[Listen]], None], load: Callable[[], Loaded]) -> int:
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = loop.create_future()
        self._all_gone = asyncio.Event()
        self._signals: asyncio.Queue[signal.Signals | None] = asyncio.Queue()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signals.put_nowait, number)
        news = await Channel.open(self._nursery.news, self._on_news, self._on_nursery_lost)
        try:
            # From now on, for who finds the port open may ask for a reload.
            with reloading(load, self.apply, InForce(self.settings, loaded)) as reloader:
                for place in range(1, self.count + 1):
                    await self._start(place)
                told = asyncio.ensure_future(self._signals.get())
                either: list[asyncio.Future[Any]] = [self._started, told]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if told.done():
                    return await self._end(told.result())
                self._started.result()
                self._reserved.open_for_all()
                async with serving_admin(self.gathering.sources(reloader)):
                    on_listening(self._reserved.bound)
                    notify(READY)
                    first = await told
                    reloader.stop()
                    return await self._end(first)
        finally:
            await self._stop_all()
            news.close()
            self._reserved.release()
            self._nursery.close()

    # --- one worker ---

    async def _start(self, place: int) -> None:
        ours, theirs = socket.socketpair()
        worker = Worker(place, self.settings, asyncio.get_running_loop().time())
        self.workers[place] = worker
        # Born comes in the order of the orders.
        self._unborn.append(worker)
        try:
            self._nursery.fork(theirs)
        except OSError:
            ours.close()
            return  # that the nursery is gone is met elsewhere
        worker.channel = await Channel.open(ours, lambda message: self._on_message(worker, message), lambda: self._on_lost(worker))
        addresses = tuple(self._reserved.addresses)
        worker.channel.send(Begin(self.settings, addresses, place, self.count, self._instance))

    def _on_message(self, worker: Worker, message: Any) -> None:
        match message:
            case Ready():
                worker.is_ready = True
                if worker.settings is not self.settings:
                    self._send_reload(worker)
                if not self._started.done() and all(each.is_ready for each in self.workers.values()):
                    self._started.set_result(None)
            case Failed():
                worker.failure = message
            case Told():
                self.gathering.on_told(worker, message)
            case Seen():
                self.gathering.on_seen(worker, message)
            case Reloaded(number, error):
                if number == self._reloads and worker.verdict is not None and not worker.verdict.done():
                    worker.verdict.set_result(error)
                elif error:
                    self._replace(worker, error)

    def _on_lost(self, worker: Worker) -> None:
        """Take note that a worker is gone, and start another in its place if it was not told to go."""
        worker.is_ready = False
        self.gathering.on_lost(worker)
        if worker.verdict is not None and not worker.verdict.done():
            worker.verdict.set_result("")
        self._leaving.discard(worker)
        if self.workers.get(worker.place) is worker:
            del self.workers[worker.place]
            if self._is_ending:
                pass
            elif not self._started.done():
                self._started.set_exception(_why_not_started(worker))
            else:
                self._restart(worker)
        if not self.workers and not self._leaving:
            self._all_gone.set()

    def _restart(self, worker: Worker) -> None:
        loop, place = asyncio.get_running_loop(), worker.place
        if loop.time() - worker.began > _STEADY_S:
            self._failures[place] = 0
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** self._failures[place])
        self._failures[place] += 1
        if worker.failure is not None:
            problem = catalogue()[worker.failure.code]
            _log.error("%s worker %d: %s; tried again in %g s", problem.code, place, worker.failure.text, pause, extra=details(problem))
        loop.call_later(pause, self._start_again, place)

    def _start_again(self, place: int) -> None:
        if not self._is_ending and place not in self.workers:
            self._do(self._start(place))

    def _replace(self, worker: Worker, error: str) -> None:
        """Let a worker go that did not take a reload, and start another under the settings in force."""
        problem = problems.RELOAD_NOT_TAKEN
        _log.error(
            "%s worker %d did not take the new configuration: %s; another takes its place",
            problem.code,
            worker.place,
            error,
            extra=details(problem),
        )
        if self._is_ending or self.workers.get(worker.place) is not worker:
            return
        self._leaving.add(worker)
        if worker.channel is not None:
            worker.channel.send(End(delays=False))
        self._do(self._start(worker.place))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the nursery ---

    def _on_news(self, message: Any) -> None:
        match message:
            case Born(pid, error):
                worker = self._unborn.popleft()
                worker.pid = pid
                self._pids[pid] = worker.place
                if error:
                    problem = problems.WORKER_LOST
                    _log.error("%s worker %d could not be made: %s", problem.code, worker.place, error, extra=details(problem))
            case Gone(pid, code):
                place = self._pids.pop(pid, 0)
                if not self._is_ending and self._started.done():
                    _say_gone(place, pid, code)

    def _on_nursery_lost(self) -> None:
        if self._is_ending:
            return
        problem = problems.NURSERY_LOST
        _log.critical("%s %s: no worker can be started any more", problem.code, problem.title, extra=details(problem))
        self._exit_code = _EXIT_NO_NURSERY
        self._signals.put_nowait(None)

    # --- reload ---

    async def apply(self, settings: Settings) -> None:
        """
        Put settings in force in every worker. One that does not take them is started again under them.

        Raises NotTaken if none does; those that were in force stay then.
        """
        before, self.settings = self.settings, settings
        self._reloads += 1
        asked = [worker for worker in self.workers.values() if worker.is_ready]
        frame = to_frame(Reload(self._reloads, settings))
        verdicts = {worker: self._send_reload(worker, frame) for worker in asked}
        if verdicts:
            await asyncio.wait(verdicts.values(), timeout=_RELOAD_S)
        failed = {worker: verdict.result() if verdict.done() else "it gave no answer" for worker, verdict in verdicts.items()}
        failed = {worker: error for worker, error in failed.items() if error}
        if asked and len(failed) == len(asked):
            self.settings = before
            raise NotTaken("; ".join(dict.fromkeys(failed.values())))
        for worker, error in failed.items():
            self._replace(worker, error)
        if settings.log != before.log:
            configure_events(settings.log, sys.stderr)

    def _send_reload(self, worker: Worker, frame: bytes = b"") -> "asyncio.Future[str]":
        worker.settings = self.settings
        worker.verdict = asyncio.get_running_loop().create_future()
        if worker.channel is not None:
            worker.channel.send_frame(frame or to_frame(Reload(self._reloads, self.settings)))
        return worker.verdict

    # --- the end ---

    async def _end(self, first: signal.Signals | None) -> int:
        """End in order, or at once on SIGINT; a second signal cuts what still runs."""
        self._is_ending = True
        notify(STOPPING)
        if first is signal.SIGINT:
            return 0
        shutdown = self.settings.shutdown
        self._send_all(End())
        letting_go = asyncio.get_running_loop().call_later(shutdown.delay, self._let_go)
        gone = asyncio.ensure_future(self._all_gone.wait())
        second = asyncio.ensure_future(self._signals.get())
        await asyncio.wait({gone, second}, timeout=shutdown.delay + shutdown.grace + _STOP_S, return_when=asyncio.FIRST_COMPLETED)
        letting_go.cancel()
        gone.cancel()
        if second.done() and (number := second.result()) is not None:
            return 128 + number
        second.cancel()
        return self._exit_code

    async def _stop_all(self) -> None:
        """End every worker that is left: at once, and by force if it does not."""
        self._is_ending = True
        self._let_go()
        for task in tuple(self._tasks):
            task.cancel()
        self._send_all(Stop())
        if not self.workers and not self._leaving:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await self._all_gone.wait()
        for worker in self.tellers:
            if worker.pid:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)

    def _send_all(self, order: End | Stop) -> None:
        for worker in self.tellers:
            if worker.channel is not None:
                worker.channel.send(order)

    def _let_go(self) -> None:
        """Close what workers share: nobody shall wait in the queue of a socket that nobody accepts from."""
        self._is_let_go = True
        self._nursery.let_go()
        self._reserved.release()


def prepare(settings: Settings, count: int, handed_over: Sequence[socket.socket] = ()) -> Supervisor:
    """
    Reserve the addresses and fork the nursery. There must be no loop and no thread yet.

    Raises CannotListen.
    """
    # Its own action would end the process, and the port opens here. The loop takes it over; what it asked for until then, the watch finds.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reserved = reserve(settings.listen, handed_over)
    nursery = begin_nursery(work, Sockets(tuple(reserved.probes), tuple(reserved.lent)))
    return Supervisor(settings, count, reserved, nursery)


def _why_not_started(worker: Worker) -> CannotStart:
    if worker.failure is not None:
        return CannotStart(catalogue()[worker.failure.code], worker.failure.text, worker.failure.help)
    return CannotStart(problems.WORKER_LOST, f"worker {worker.place} ended before it could serve", "look at what the log says before this")


def _say_gone(place: int, pid: int, code: int) -> None:
    problem = problems.WORKER_LOST
    if not code:
        _log.info("worker %d (process %d) has ended", place, pid)
    elif code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
        _log.error("%s worker %d (process %d) was ended by %s", problem.code, place, pid, name, extra=details(problem))
    else:
        _log.error("%s worker %d (process %d) ended with exit code %d", problem.code, place, pid, code, extra=details(problem))
