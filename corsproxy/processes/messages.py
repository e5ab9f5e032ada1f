"""
What a supervisor, its nursery and its workers tell each other, and how it becomes bytes.

Each message is a plain value. Both ends run the same code, of one fork, and nobody else has a hand on the sockets between them: so
values are pickled.
"""

import io
import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from corsproxy.admin.sources import Check
from corsproxy.config.settings import Listen, Settings
from corsproxy.observe.snapshot import Snapshot

# Settings are the largest, and a file has 1 MiB at most.
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Begin:
    """
    To a new worker: serve.

    `place` is its number among `share` workers, `instance` what all of them are called in Via. `addresses` are to be listened on beside the
    others.
    """

    settings: Settings
    addresses: tuple[Listen, ...]
    place: int
    share: int
    instance: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """Of a worker: it accepts connections."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Of a worker: it cannot serve, and ends. `code` is that of the problem."""

    code: str
    text: str
    help: str


@dataclass(frozen=True, slots=True)
class Reload:
    """To a worker: put other settings in force. `number` tells one reload from another."""

    number: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Of a worker: what came of a reload; without an error they are in force."""

    number: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """To a worker: end in order, as `shutdown` says. `delays`: with its delay."""

    delays: bool = True


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: end at once."""


@dataclass(frozen=True, slots=True)
class Ask:
    """To a worker: tell of yourself. `number` tells one question from another."""

    number: int


@dataclass(frozen=True, slots=True)
class Told:
    """
    Of a worker: its figures, and what is to say of its upstreams.

    `number` is that of the question; 0 where nobody asked, and the worker is about to end.
    """

    number: int
    figures: Snapshot
    upstreams: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """To a worker: tell of the exchanges that ended after one of yours, at most so many. `number` tells one question from another."""

    number: int
    after: int
    most: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Of a worker: exchanges after one, as `Entry.as_plain` writes them; the number of its last one, and what it has counted."""

    number: int
    after: int
    entries: tuple[dict[str, Any], ...]
    last: int
    counts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Born:
    """Of the nursery: the next worker that was asked for is this process; 0 if it could not be made."""

    pid: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """Of the nursery: a worker has ended. `code` is its exit code, or that of the signal that ended it below zero."""

    pid: int
    code: int


class BadFrame(Exception):
    """Bytes that are no message."""


def to_frame(message: object) -> bytes:
    """Write a message, its length before it."""
    written = io.BytesIO()
    _Pickler(written, pickle.HIGHEST_PROTOCOL).dump(message)
    content = written.getbuffer()
    return _LENGTH.pack(len(content)) + content


class Frames:
    """Takes bytes as they come, and hands out messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Take bytes; hand out what is complete. Raises BadFrame."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise BadFrame(f"a message of {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield pickle.loads(content)  # noqa: S301 - of our own processes


class _Pickler(pickle.Pickler):
    """Writes a dataclass as what it is made with: what it makes of that by itself, as functions for look-ups, is made anew."""

    def reducer_override(self, obj: object) -> Any:
        if is_dataclass(obj) and not isinstance(obj, type):
            return _make, (type(obj), {field.name: getattr(obj, field.name) for field in fields(obj) if field.init})
        return NotImplemented


def _make(kind: type, given: dict[str, Any]) -> object:
    return kind(**given)
