"""One of several processes that serve: it does as its supervisor says, and ends when that is gone."""

import asyncio
import logging
import signal
import socket
import sys
from typing import Any

from corsproxy import problems
from corsproxy.app import App, run_on_loop
from corsproxy.config.settings import Settings
from corsproxy.gateway.contexts import BadTlsFile
from corsproxy.gateway.listener import Sockets
from corsproxy.gateway.server import CannotListen
from corsproxy.observe.log import configure_events
from corsproxy.processes.channel import Channel
from corsproxy.processes.messages import Ask, Begin, End, Failed, Look, Ready, Reload, Reloaded, Seen, Stop, Told
from corsproxy.vitals import figures_of_worker, upstream_checks

_log = logging.getLogger("corsproxy")


def work(end: socket.socket, sockets: Sockets) -> int:
    """Be a worker until told to end; returns the exit code. `sockets` listen already, and all workers accept from those that are lent."""
    # Those of a terminal reach every process; what follows from them is for the supervisor to say.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return run_on_loop(_serve(end, sockets))


async def _serve(end: socket.socket, sockets: Sockets) -> int:
    worker = _Worker()
    channel = await Channel.open(end, worker.on_message, worker.on_lost)
    try:
        return await worker.run(channel, sockets)
    finally:
        channel.close()


class _Worker:
    """Takes orders one after the other; a reload is no order, and waits for none."""

    def __init__(self) -> None:
        self._orders: asyncio.Queue[Begin | End | Stop] = asyncio.Queue()
        self._channel: Channel | None = None
        self._app: App | None = None

    async def run(self, channel: Channel, sockets: Sockets) -> int:
        """Begin, serve, end; returns the exit code."""
        self._channel = channel
        begin = await self._orders.get()
        if not isinstance(begin, Begin):
            return 0
        # An operator may end a single worker; a service manager may tell every process of a group.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._orders.put_nowait, End())
        configure_events(begin.settings.log, sys.stderr)
        try:
            self._app = app = App(begin.settings, sys.stdout, sys.stderr, begin.share, begin.instance)
            # The first has them already, in the sockets by which they were reserved.
            await app.start(() if sockets.own else begin.addresses, sockets)
        except CannotListen as error:
            channel.send(Failed(problems.CANNOT_LISTEN.code, f"cannot listen on {error}", error.help))
            return 1
        except BadTlsFile as error:
            channel.send(Failed(error.problem.code, str(error), error.help))
            return 1
        channel.send(Ready())
        await self._end(app, await self._orders.get())
        # What it has counted since it was asked last would be lost.
        channel.send(self._told(0))
        return 0

    async def _end(self, app: App, order: Begin | End | Stop) -> None:
        if isinstance(order, End):
            ending = asyncio.ensure_future(app.end(delays=order.delays))
            cut = asyncio.ensure_future(self._wait_for_stop())
            await asyncio.wait({ending, cut}, return_when=asyncio.FIRST_COMPLETED)
            cut.cancel()
            if ending.done():
                ending.result()
                return
            ending.cancel()
        await app.stop()

    async def _wait_for_stop(self) -> None:
        while not isinstance(await self._orders.get(), Stop):
            pass

    def on_message(self, message: Any) -> None:
        """Obey."""
        if isinstance(message, Reload):
            assert self._channel is not None  # noqa: S101 - the supervisor waits for Ready
            self._channel.send(Reloaded(message.number, self._reconfigure(message.settings)))
        elif isinstance(message, Ask):
            assert self._channel is not None  # noqa: S101
            self._channel.send(self._told(message.number))
        elif isinstance(message, Look):
            assert self._channel is not None  # noqa: S101
            self._channel.send(self._seen(message))
        else:
            self._orders.put_nowait(message)

    def on_lost(self) -> None:
        """End in order: there is no supervisor any more."""
        self._orders.put_nowait(End(delays=False))

    def _told(self, number: int) -> Told:
        assert self._app is not None  # noqa: S101
        gateway = self._app.gateway
        return Told(number, figures_of_worker(gateway, self._app.counters), upstream_checks(gateway))

    def _seen(self, look: Look) -> Seen:
        assert self._app is not None  # noqa: S101 - the supervisor waits for Ready
        ring = self._app.ring
        found = ring.since(look.after, look.most)
        return Seen(look.number, look.after, tuple(entry.as_plain() for entry in found.entries), found.last, ring.counts())

    def _reconfigure(self, settings: Settings) -> str:
        """Put settings in force; returns why they are not."""
        assert self._app is not None  # noqa: S101 - the supervisor waits for Ready
        try:
            self._app.reconfigure(settings)
        except BadTlsFile as error:
            return str(error)
        except Exception:  # noqa: BLE001 - what is in force goes on, and the supervisor is told
            _log.exception("internal error: the configuration was not reloaded")
            return "internal error"
        return ""
