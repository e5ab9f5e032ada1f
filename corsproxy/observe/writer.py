"""
Lines on their way out: a thread writes them, so that whoever reads stdout or stderr slowly, or not at all, never holds the proxy up.

It knows descriptors and bounds; it does not know what a line says. Lines that find no room are dropped and counted.
"""

import atexit
import logging
import os
import select
import stat
import threading
import time
from collections import deque
from typing import Final, Protocol, TextIO

from corsproxy import problems
from corsproxy.observe.details import details

_log = logging.getLogger("corsproxy")

# Some eight thousand lines of JSON: a second of a busy proxy, and a bound on what a stalled reader can cost.
MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
# Events are few, and say why lines are missing: they find room where lines of exchanges find none any more.
_RESERVED_BYTES: Final = 256 * 1024
_MAX_WRITE_BYTES: Final = 64 * 1024
# > Write requests of {PIPE_BUF} bytes or less shall not be interleaved with data from other processes doing writes on the same pipe (POSIX write)
_MAX_PIPE_BYTES: Final = getattr(select, "PIPE_BUF", 512)
# How long the end of the program waits for lines that nobody reads.
SETTLE_S: Final = 1.0
# A reader that is always too slow is told of so often.
_SAY_EVERY_S: Final = 60.0
_PAUSE_S: Final = 0.01
_NEWLINE: Final = 0x0A


class Writer(Protocol):
    """Where lines go. `name` is what people call it; `dropped` counts lines that were lost, since the start."""

    name: str
    dropped: int

    def write(self, lines: bytes, *, is_event: bool = False) -> None:
        """Take whole lines, each with its end. Never blocks and never raises."""

    def settle(self, until: float) -> None:
        """Wait until everything is written, or for ever lost, but no longer than `until` (of `time.monotonic`)."""

    def give_up(self) -> int:
        """Return how many lines were lost of which nobody was told, with those that still wait: the program ends."""


class StreamWriter:
    """Writes to what is no file of the system, as in tests: at once."""

    def __init__(self, stream: TextIO) -> None:
        self.name = "the log"
        self.dropped = 0
        self._said = 0
        self._stream = stream

    def write(self, lines: bytes, *, is_event: bool = False) -> None:
        """Write."""
        del is_event
        try:
            self._stream.write(lines.decode(errors="replace"))
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += lines.count(b"\n")

    def settle(self, until: float) -> None:
        """Do nothing: all is written."""

    def give_up(self) -> int:
        """Return what was lost; nothing waits."""
        lost, self._said = self.dropped - self._said, self.dropped
        return lost


class DescriptorWriter:
    """
    Writes to a descriptor, on a thread of its own.

    A descriptor that does not block would be no way out: the flag is the open file's, which other processes share.
    The thread is a daemon, so one that is stuck holds up no exit.
    """

    def __init__(self, descriptor: int, name: str, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self.name = name
        # Of its own: a number that somebody closes may be a client's connection a moment later.
        self._descriptor = os.dup(descriptor)
        # Several processes may write to one pipe, and whole lines of each must come out of it.
        self._most = _MAX_PIPE_BYTES if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else _MAX_WRITE_BYTES
        self._max_bytes = max_bytes
        self.begin()

    def begin(self) -> None:
        """Begin with nothing, also in a fork: threads do not live on there, and what waits is the parent's to write."""
        self.dropped = 0
        self._said = 0
        self._said_at = 0.0
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        # What the thread has taken, and how much of it is written.
        self._in_hand = b""
        self._written = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_failing = False
        self._is_torn = False
        self._has_given_up = False

    def write(self, lines: bytes, *, is_event: bool = False) -> None:
        """Take lines for the thread, if there is room for them."""
        with self._changed:
            if self._bytes + len(lines) > self._max_bytes + _RESERVED_BYTES * is_event or not self._has_thread():
                self.dropped += lines.count(b"\n")
                return
            self._waiting.append(lines)
            self._bytes += len(lines)
            self._changed.notify_all()

    def settle(self, until: float) -> None:
        """Wait, unless that was in vain before."""
        with self._changed:
            while self._bytes and not self._has_given_up:
                self._has_given_up = not self._changed.wait(max(0.0, until - time.monotonic()))

    def give_up(self) -> int:
        """Drop what waits, if waiting for it was in vain."""
        with self._changed:
            if self._has_given_up:
                self.dropped += self._lines_in_hand() + sum(lines.count(b"\n") for lines in self._waiting)
                self._in_hand = b""
                self._bytes -= sum(map(len, self._waiting))
                self._waiting.clear()
            lost, self._said = self.dropped - self._said, self.dropped
            return lost

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=f"corsproxy-{self.name}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter ends, or there are too many threads
                return False
            self._thread = thread
        return True

    # --- on the thread ---

    def _run(self) -> None:
        while True:
            lines = self._next()
            try:
                self._write_all(lines)
            except OSError as error:
                self._on_failure(error)
            else:
                self._is_failing = False
                self._say_what_was_lost(is_last=self._bytes == len(lines))
            # Who waits for these lines waits for what is to be said of them, too.
            with self._changed:
                self._bytes -= len(lines)
                self._has_given_up = False
                self._changed.notify_all()

    def _next(self) -> bytes:
        """Wait for lines, and take as many as may be written at once, but at least what was put in at once."""
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            taken = [self._waiting.popleft()]
            size = len(taken[0])
            while self._waiting and size + len(self._waiting[0]) <= _MAX_WRITE_BYTES:
                taken.append(self._waiting.popleft())
                size += len(taken[-1])
        return b"".join(taken) if len(taken) > 1 else taken[0]

    def _write_all(self, lines: bytes) -> None:
        """Write whole lines at a time. Raises OSError, and has counted then what is lost."""
        view = memoryview(lines)
        self._in_hand, self._written = lines, 0
        try:
            if self._is_torn:
                # A line that a full disk has cut must not take the next one with it.
                self._write_part(memoryview(b"\n"))
            while self._written < len(lines):
                self._written += self._write_part(view[self._written : self._cut(lines, self._written)])
        except OSError:
            with self._changed:
                self.dropped += self._lines_in_hand()
            raise
        finally:
            self._in_hand = b""

    def _lines_in_hand(self) -> int:
        # Only where lines are lost: to count those that are written would cost as much as to write them.
        return self._in_hand.count(b"\n", self._written)

    def _cut(self, lines: bytes, place: int) -> int:
        """Say up to where to write: the end of a line, unless one alone is too long."""
        end = place + self._most
        return end if end >= len(lines) else lines.rfind(b"\n", place, end) + 1 or end

    def _write_part(self, part: memoryview) -> int:
        while True:
            try:
                written = os.write(self._descriptor, part)
            except BlockingIOError:
                # Whoever gave us the descriptor has made it so.
                _await_room(self._descriptor)
            else:
                self._is_torn = part[written - 1] != _NEWLINE
                return written

    def _on_failure(self, error: OSError) -> None:
        """Say once that nothing can be written; what is lost until it can be is said then."""
        if not self._is_failing:
            self._is_failing = True
            problem = problems.LOG_UNWRITABLE
            said = (error.strerror or str(error)).lower()
            _log.warning("%s %s cannot be written: %s", problem.code, self.name, said, extra=details(problem))

    def _say_what_was_lost(self, *, is_last: bool) -> None:
        lost = self.dropped - self._said
        now = time.monotonic()
        if lost and (is_last or now - self._said_at > _SAY_EVERY_S):
            self._said, self._said_at = self.dropped, now
            _say_lost(lost, self.name)


_writers: dict[tuple[int, int], DescriptorWriter] = {}


def writer_to(stream: TextIO) -> Writer:
    """Return the writer to a stream. Streams to one and the same file share it, so that their lines keep their order, and stay whole."""
    try:
        descriptor = stream.fileno()
        status = os.fstat(descriptor)
    except (OSError, ValueError, AttributeError):
        return StreamWriter(stream)
    key = (status.st_dev, status.st_ino)
    if key not in _writers:
        _writers[key] = DescriptorWriter(descriptor, {1: "stdout", 2: "stderr"}.get(descriptor, "the log"))
    return _writers[key]


def lines_dropped() -> int:
    """Count the lines that were lost, of exchanges and events alike."""
    return sum(writer.dropped for writer in _writers.values())


def settle(timeout_s: float = SETTLE_S) -> None:
    """Wait for lines that are on their way, but not for a reader who takes none; the program may end then. Says what is lost."""
    for writer in _writers.values():
        writer.settle(time.monotonic() + timeout_s)
    for writer in _writers.values():
        lost = writer.give_up()
        if lost:
            _say_lost(lost, writer.name)
    for writer in _writers.values():
        writer.settle(time.monotonic() + timeout_s)


def _say_lost(lost: int, name: str) -> None:
    problem = problems.LINES_LOST
    lines = "1 line" if lost == 1 else f"{lost} lines"
    _log.warning("%s %s for %s lost", problem.code, lines, name, extra=details(problem))


def _await_room(descriptor: int) -> None:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.poll()
    # Room for one byte is none for a line.
    time.sleep(_PAUSE_S)


def _begin_anew() -> None:
    for writer in _writers.values():
        writer.begin()


atexit.register(settle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
