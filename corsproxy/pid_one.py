"""What falls to a program that is process 1 of a container: nobody else ends it by a signal, or reaps orphans."""

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import Final

_FIRST: Final = 1


def is_pid_one() -> bool:
    """Tell whether this is process 1."""
    return os.getpid() == _FIRST


def assume_duties() -> None:
    """Let SIGTERM end the program at any time, and what others leave behind be reaped."""
    # The kernel's default action is not there for process 1. The proxy has another handler from the time on when it listens.
    signal.signal(signal.SIGTERM, _end)
    # > If the action for the SIGCHLD signal is set to SIG_IGN, child processes of the calling processes shall not be transformed into
    # > zombie processes when they terminate (POSIX sigaction)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)
