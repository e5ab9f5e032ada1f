"""
The process that workers are forked from.

It has neither a loop nor a thread, whatever the supervisor beside it does: a fork of a process that has some is a fork in the middle of
their work. It waits for an order, forks, and tells of births and deaths.
"""

import gc
import logging
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from corsproxy.gateway.listener import Sockets
from corsproxy.processes.messages import Born, Gone, to_frame

_log = logging.getLogger("corsproxy")

# Orders: a worker for the socket that comes with it; to let go of listening sockets.
_FORK: Final = b"F"
_LET_GO: Final = b"L"

# What a worker does with its end of the pair and with sockets that listen; returns its exit code.
Work = Callable[[socket.socket, Sockets], int]


@dataclass(frozen=True, slots=True)
class Nursery:
    """The supervisor's end: where orders go, and where Born and Gone come from."""

    orders: socket.socket
    news: socket.socket

    def fork(self, end: socket.socket) -> None:
        """Ask for a worker that holds `end`, which is closed here. Raises OSError if there is nobody to ask."""
        with end:
            socket.send_fds(self.orders, [_FORK], [end.fileno()])

    def let_go(self) -> None:
        """Close the sockets that workers share, so that none is left in the queue of one that nobody accepts from."""
        with suppress(OSError):
            self.orders.sendall(_LET_GO)

    def close(self) -> None:
        """Let it end."""
        self.orders.close()
        self.news.close()


def begin_nursery(work: Work, sockets: Sockets) -> Nursery:
    """
    Fork a nursery, before there is any loop or thread. Of the sockets, its own are for the first worker.

    Raises OSError.
    """
    orders, orders_there = socket.socketpair()
    news, news_there = socket.socketpair()
    pid = os.fork()
    if pid:
        orders_there.close()
        news_there.close()
        return Nursery(orders, news)
    return _end_with(lambda: _Nurse(work, sockets, orders_there, news_there).run([orders, news]))


def _end_with(work: Callable[[], int]) -> NoReturn:
    """End the process with what `work` returns: nothing that the parent has begun is to be finished here."""
    code = 1
    try:
        code = work()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except Exception:  # noqa: BLE001 - there is nobody above
        _log.exception("internal error")
    finally:
        os._exit(code)


class _Nurse:
    """The nursery's own end."""

    def __init__(self, work: Work, sockets: Sockets, orders: socket.socket, news: socket.socket) -> None:
        self._work = work
        self._sockets = sockets
        self._orders = orders
        self._news = news
        self._woken, self._waker = os.pipe()

    def run(self, others: Sequence[socket.socket]) -> int:
        """Serve until the supervisor is gone. Its signals are its own: those of a terminal reach every process."""
        for sock in others:
            sock.close()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.set_blocking(self._waker, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # What is there now stays for good: a collector that looks at it would only copy pages that are shared.
        gc.collect()
        gc.freeze()
        watched: list[Any] = [self._orders, self._woken]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._tell_deaths()
            if self._orders in ready and not self._obey():
                return 0

    def _obey(self) -> bool:
        order, descriptors, _, _ = socket.recv_fds(self._orders, 1, 1)
        if order == _LET_GO:
            for sock in (*self._sockets.own, *self._sockets.lent):
                sock.close()
            self._sockets = Sockets()
        elif order == _FORK:
            self._fork(socket.socket(fileno=descriptors[0]))
        return bool(order)

    def _fork(self, end: socket.socket) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(Born(0, (error.strerror or str(error)).lower()))
        else:
            if not pid:
                _end_with(lambda: self._be_worker(end))
            self._tell(Born(pid))
            for sock in self._sockets.own:
                sock.close()
            self._sockets = Sockets(lent=self._sockets.lent)
        end.close()

    def _be_worker(self, end: socket.socket) -> int:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._woken)
        os.close(self._waker)
        self._orders.close()
        self._news.close()
        return self._work(end, self._sockets)

    def _tell_deaths(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._tell(Gone(ended[0], os.waitstatus_to_exitcode(ended[1])))

    def _tell(self, message: object) -> None:
        with suppress(OSError):
            self._news.sendall(to_frame(message))
