"""
A gateway without sockets, on one lane: transports in memory, an upstream that follows a script, and no clock but the loop's.

What is delivered, and in which order, is the same on every lane, so what comes out can be compared byte for byte.
"""

import asyncio
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import httptools
from aiohttp import web  # noqa: F401 - the gateway's own import, made once before anything is measured

from corsproxy.config.settings import Settings
from corsproxy.gateway.judge import response_judge
from corsproxy.gateway.pool import UpstreamPool
from corsproxy.gateway.server import Gateway
from corsproxy.gateway.upstream import UpstreamConnection
from corsproxy.plan import Fresh
from corsproxy.record import ExchangeRecord

_HIGH_WATER_BYTES: Final = 64 * 1024
_DATE: Final = b"Thu, 26 Nov 2026 07:00:00 GMT"


@dataclass(frozen=True)
class Reply:
    """
    What the upstream does with one request.

    `when`: at its head ("head"), when all of it came ("end"), or never (""); `pieces` are its bytes as they are read; `end` is how the
    connection ends behind them: not at all (""), in order ("fin") or by a reset ("reset").
    """

    when: str
    pieces: tuple[bytes, ...]
    end: str = ""


@dataclass(frozen=True)
class Script:
    """
    One client connection: the bytes as they are read, the replies by the first byte of the target's path, and how the client ends.

    `is_slow`: replies come one piece for each piece of the client's; `takes_late`: the client takes nothing before it has sent all.
    """

    pieces: tuple[bytes, ...]
    replies: tuple[Reply, ...]
    end: str = ""
    is_slow: bool = False
    takes_late: bool = False


class _Socket:
    """What a reset needs of a socket."""

    family = socket.AF_UNIX

    def __init__(self) -> None:
        self.is_reset = False

    def setsockopt(self, level: int, option: int, value: object) -> None:
        del level, value
        self.is_reset = self.is_reset or option == socket.SO_LINGER


class MemoryTransport(asyncio.Transport):
    """One end of a connection: what the gateway writes is in `written`, and `ended` is how it let go."""

    def __init__(self, protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = bytearray()
        self.ended = ""
        self.takes = True
        self.unread: list[bytes] = []
        self._waiting = 0
        self._is_paused = False
        self._is_blocked = False
        self._is_lost = False
        self._socket = _Socket()
        self._loop = loop

    # --- what the gateway calls ---

    def get_extra_info(self, name: str, default: object = None) -> object:
        return {"peername": ("192.0.2.1", 1), "socket": self._socket}.get(name, default) if name != "sslcontext" else None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return bool(self.ended) or self._is_lost

    def write(self, data: Any) -> None:
        if self.is_closing() or not data:
            return
        self.written += data
        if not self.takes:
            self._waiting += len(data)
            if self._waiting > _HIGH_WATER_BYTES and not self._is_blocked:
                self._is_blocked = True
                self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._let_go("fin")

    def abort(self) -> None:
        self._let_go("reset" if self._socket.is_reset else "fin")

    def _let_go(self, how: str) -> None:
        if not self.is_closing():
            self.ended = how
            self._loop.call_soon(self.lose, None)

    # --- what the script does ---

    def lose(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        if not self._is_lost:
            self._is_lost = True
            self.protocol.connection_lost(exc)

    def deliver(self) -> bool:
        """Let the gateway read the next piece, if it reads."""
        if self.unread and not self._is_paused and not self.is_closing():
            self.protocol.data_received(self.unread.pop(0))
            return True
        return False

    def end(self, how: str) -> None:
        """The peer ends, in order or not."""
        if self.is_closing():
            return
        if how == "reset":
            self.lose(ConnectionResetError())
        elif not self.protocol.eof_received():
            self.close()

    def take(self) -> None:
        """The peer takes all that waits, and what comes from now on."""
        self.takes, self._waiting = True, 0
        if self._is_blocked:
            self._is_blocked = False
            self.protocol.resume_writing()


@dataclass
class _Message:
    head: bytes
    body: bytes = b""
    is_complete: bool = False


class _Reading:
    """Reads what the gateway wrote, as whoever receives it would: heads as they are, and content out of its framing."""

    def __init__(self) -> None:
        self.messages: list[_Message] = []
        self.rest = b""
        self._left = 0
        self._chunks: httptools.HttpResponseParser | None = None

    def feed(self, data: bytes, methods: Iterator[bytes] | None = None) -> None:
        self.rest += data
        while self._read(methods):
            pass

    def _read(self, methods: Iterator[bytes] | None) -> bool:
        message = self.messages[-1] if self.messages else None
        if message is None or message.is_complete:
            end = self.rest.find(b"\r\n\r\n")
            if end < 0:
                return False
            head, self.rest = self.rest[: end + 4], self.rest[end + 4 :]
            self._begin(head, next(methods, b"GET") if methods is not None and not head.startswith(b"HTTP/1.1 1") else b"")
            return True
        if self._chunks is not None:
            return self._read_chunk(message)
        taken = self.rest if self._left < 0 else self.rest[: self._left]
        message.body += taken
        self.rest = self.rest[len(taken) :]
        if self._left >= 0:
            self._left -= len(taken)
            message.is_complete = not self._left
        return message.is_complete

    def _begin(self, head: bytes, method: bytes) -> None:
        message = _Message(head)
        self.messages.append(message)
        is_response = head.startswith(b"HTTP/")
        status = int(head.split(b" ")[1]) if is_response else 0
        length = re.search(rb"(?im)^content-length: (\d+)\r", head)
        self._chunks = None
        if is_response and (100 <= status < 200 or status in (204, 304) or method == b"HEAD"):
            message.is_complete = True
        elif re.search(rb"(?im)^transfer-encoding: chunked\r", head):
            self._chunks = cast("httptools.HttpResponseParser", self)
        elif length:
            self._left = int(length[1])
            message.is_complete = not self._left
        elif is_response:
            self._left = -1
        else:
            message.is_complete = True

    def _read_chunk(self, message: _Message) -> bool:
        line, found, rest = self.rest.partition(b"\r\n")
        if not found:
            return False
        size = int(line, 16)
        if size:
            if len(rest) < size + 2:
                return False
            message.body += rest[:size]
            assert rest[size : size + 2] == b"\r\n"
            self.rest = rest[size + 2 :]
            return True
        end = self.rest.find(b"\r\n\r\n")
        if end < 0:
            return False
        # Trailers belong to the head, as far as a comparison goes.
        message.head += self.rest[len(line) + 2 : end + 4]
        self.rest = self.rest[end + 4 :]
        message.is_complete = True
        return True

    @property
    def seen(self) -> list[tuple[bytes, bytes, bool]]:
        return [(message.head, message.body, message.is_complete) for message in self.messages]


class ScriptedUpstream:
    """One connection that the gateway opened."""

    def __init__(self, transport: MemoryTransport, script: Script, tries: dict[bytes, int]) -> None:
        self.transport = transport
        self.reading = _Reading()
        self.pending: list[bytes | str] = []
        self._script = script
        self._tries = tries
        self._read = 0
        self._answered = 0

    def look(self) -> None:
        """See what came, and prepare what is to be said to it."""
        data = bytes(self.transport.written[self._read :])
        self._read += len(data)
        self.reading.feed(data)
        messages = self.reading.messages
        while self._answered < len(messages):
            message = messages[self._answered]
            target = message.head.split(b" ")[1]
            tried = self._tries.get(target, 0)
            place = target[1:2]
            reply = self._script.replies[place[0] % len(self._script.replies)] if place else self._script.replies[0]
            if tried >= 2:
                reply = Reply("end", (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain",))
            if not (reply.when == "head" or (reply.when == "end" and message.is_complete)):
                return
            self._tries[target] = tried + 1
            self._answered += 1
            self.pending += [*reply.pieces, reply.end] if reply.end else reply.pieces

    def act(self) -> bool:
        """Do the next thing; tells whether there was one."""
        transport = self.transport
        if transport.is_closing() or not self.pending or (transport._is_paused and isinstance(self.pending[0], bytes)):
            return False
        what = self.pending.pop(0)
        if isinstance(what, bytes):
            transport.protocol.data_received(what)
        else:
            transport.end(what)
        return True


@dataclass
class Outcome:
    """What came of a script: what the client got and how it ended, what each upstream connection got and how that ended, and the records."""

    answers: list[tuple[bytes, bytes, bool]]
    rest: bytes
    ended: str
    upstreams: list[tuple[list[tuple[bytes, bytes, bool]], bytes, str]]
    records: list[tuple[object, ...]] = field(default_factory=list)
    expressed: int = field(default=0, compare=False)


def told(record: ExchangeRecord) -> tuple[object, ...]:
    """What a record says, but for times."""
    problem = record.problem.code if record.problem else ""
    decision = record.decision.reason if record.decision else ""
    return (
        *(record.method, record.target, record.client, record.status, record.reason, problem, decision, record.failure, record.request_id),
        *(record.upstream, record.upstream_reused, record.retries, record.reads_until_close, record.received, record.sent),
        *(record.user_agent, bool(record.connected), bool(record.head)),
    )


async def play(lane: str, settings: Settings, script: Script, methods: list[bytes]) -> Outcome:
    """Play a script on a lane, to its end."""
    loop = asyncio.get_running_loop()
    records: list[ExchangeRecord] = []
    gateway = Gateway(replace(settings, express=lane == "express"), records.append)
    made = 0

    def fresh() -> Fresh:
        nonlocal made
        made += 1
        return Fresh(b"%016d" % made, b"a" * 32, b"b" * 16)

    gateway.fresh, gateway.next_id = fresh, lambda: fresh().request_id
    gateway.date = lambda: _DATE
    upstreams: list[ScriptedUpstream] = []
    tries: dict[bytes, int] = {}

    async def connect(pool: UpstreamPool) -> UpstreamConnection:
        connection = UpstreamConnection(pool, loop, memoryview(bytearray(1)), response_judge())
        transport = MemoryTransport(connection, loop)
        connection.connection_made(transport)
        upstreams.append(ScriptedUpstream(transport, script, tries))
        return connection

    original = UpstreamPool._connect
    UpstreamPool._connect = connect  # type: ignore[method-assign,assignment]
    try:
        protocol = gateway._front()
        client = MemoryTransport(protocol, loop)
        client.takes = not script.takes_late
        protocol.connection_made(client)
        await _settle(loop)
        for piece in script.pieces:
            client.unread.append(piece)
            client.deliver()
            await _react(loop, client, upstreams, is_slow=script.is_slow)
        client.take()
        await _react(loop, client, upstreams, is_slow=False)
        if script.end:
            client.end(script.end)
            await _react(loop, client, upstreams, is_slow=False)
        how = client.ended
        reading = _Reading()
        reading.feed(bytes(client.written), iter(methods))
        seen = [(each.reading.seen, each.reading.rest, each.transport.ended) for each in upstreams]
        outcome = Outcome(reading.seen, reading.rest, how, seen, [told(record) for record in records], gateway.express_exchanges)
        client.lose(None)
        await _settle(loop)
        assert not gateway.in_flight
        for pool in gateway.pools.values():
            assert not pool._busy or any(not each.transport._is_lost for each in upstreams)
            pool.close()
        await _settle(loop)
        return outcome
    finally:
        UpstreamPool._connect = original  # type: ignore[method-assign]


async def _react(loop: asyncio.AbstractEventLoop, client: MemoryTransport, upstreams: list[ScriptedUpstream], *, is_slow: bool) -> None:
    """Let everybody do what they would do now, until nobody does anything any more."""
    await _settle(loop)
    is_busy = True
    while is_busy:
        is_busy = client.deliver()
        await _settle(loop)
        for upstream in tuple(upstreams):
            upstream.look()
            if upstream.act():
                is_busy = not is_slow
                await _settle(loop)
            upstream.look()


async def _settle(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until nothing is ready to run."""
    ready = loop._ready  # type: ignore[attr-defined]
    while True:
        await asyncio.sleep(0)
        if not ready:
            return
