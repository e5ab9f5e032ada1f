"""
The wire harness: raw sockets on both sides of a real gateway.

It knows bytes and nothing of the proxy's insides but how to start it. Every message that the proxy sends, in either
direction, is read by the small strict parser here and judged by h11; the two must agree. Nothing sleeps for luck:
everything waits for an event with a deadline.
"""

import asyncio
import hashlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import h11

from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Listen, Route, Settings, Timeouts
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from corsproxy.cors.policy import CorsPolicy, PolicyDraft, build_policy
from corsproxy.gateway.pool import UpstreamPool
from corsproxy.gateway.server import Gateway
from corsproxy.record import ExchangeRecord

# The lanes that every wire and hazard test runs on.
LANES: Final = ("aiohttp", "express")

# Fields that the proxy may add on the way, in either direction, by design; comparisons leave them out.
ADDED_BY_PROXY: Final = frozenset(
    {b"via", b"x-request-id", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto"},
)

ORIGIN: Final = b"https://app.example.com"
# The CORS fields of an answer of the proxy's own to ORIGIN, under the default policy.
OWN_GRANT: Final = {b"access-control-allow-origin": ORIGIN, b"access-control-expose-headers": b"X-Request-Id, Proxy-Status"}
STRANGER: Final = b"https://evil.example"

# Long enough for a slow and busy machine; nothing waits for it when all is well.
DEADLINE_S: Final = 15.0

_READ_BYTES: Final = 256 * 1024
_MAX_HEAD_BYTES: Final = 1024 * 1024
_LINGER_RESET: Final = struct.pack("ii", 1, 0)

Field = tuple[bytes, bytes]


class Ended(Exception):
    """The peer closed before what was awaited came. `how` is "fin" or "reset"; `partial` is what came."""

    def __init__(self, how: str, partial: bytes) -> None:
        super().__init__(f"ended by {how} after {partial[-200:]!r}")
        self.how = how
        self.partial = partial


# --- messages ---


@dataclass(frozen=True, slots=True)
class Message:
    """
    A message as received. `raw` is everything, `head` the final head with its empty line, `body` the content.

    Field names are spelled as sent, values are without surrounding whitespace.
    """

    raw: bytes
    head: bytes
    start: bytes
    fields: tuple[Field, ...]
    body: bytes = b""
    trailers: tuple[Field, ...] = ()

    def values(self, name: bytes) -> list[bytes]:
        """All values of a field, whatever its case."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name: bytes) -> bytes | None:
        """The value of a field that may stand once at most."""
        values = self.values(name)
        assert len(values) <= 1, f"{name!r} stands {len(values)} times: {values}"
        return values[0] if values else None

    def without(self, *names: bytes) -> list[Field]:
        """The fields but those named and those that the proxy may add."""
        dropped = {name.lower() for name in names} | ADDED_BY_PROXY
        return [line for line in self.fields if line[0].lower() not in dropped]

    @property
    def cors(self) -> dict[bytes, bytes]:
        """The Access-Control-* fields, each of which may stand once at most."""
        lines = [(key.lower(), value) for key, value in self.fields if key.lower().replace(b"_", b"-").startswith(b"access-control-")]
        assert len(dict(lines)) == len(lines), f"repeated: {lines}"
        return dict(lines)


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A request that reached the upstream."""

    @property
    def method(self) -> bytes:
        return self.start.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.start.split(b" ")[1]


@dataclass(frozen=True, slots=True)
class Response(Message):
    """A response that reached the client; `interims` are the 1xx before it."""

    interims: tuple[Message, ...] = ()

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    @property
    def reason(self) -> bytes:
        return (*self.start.split(b" ", 2), b"")[2]


def head(*lines: bytes) -> bytes:
    """Write a head: lines with their CRLF, and the empty one."""
    return b"".join(line + b"\r\n" for line in (*lines, b""))


def get(target: bytes = b"/", *lines: bytes, method: bytes = b"GET") -> bytes:
    """Write a request without a body."""
    return head(b"%b %b HTTP/1.1" % (method, target), b"Host: proxy.test", *lines)


def put(body: bytes, *lines: bytes, target: bytes = b"/", method: bytes = b"PUT") -> bytes:
    """Write a request with a body and its length."""
    return get(target, *lines, b"Content-Length: %d" % len(body), method=method) + body


def ok(body: bytes = b"ok", *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """Write a response with a body and its length."""
    return head(b"HTTP/1.1 " + status, *lines, b"Content-Length: %d" % len(body)) + body


def chunked(*pieces: bytes, trailers: Iterable[bytes] = ()) -> bytes:
    """Write a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + head(*trailers)


def _parse_head(raw: bytes) -> tuple[bytes, tuple[Field, ...]]:
    start, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    return start, _parse_fields(lines)


def _parse_fields(lines: Iterable[bytes]) -> tuple[Field, ...]:
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        assert colon, f"no field line: {line!r}"
        assert name == name.strip(), f"space around a name: {line!r}"
        fields.append((name, value.strip(b" \t")))
    return tuple(fields)


# --- the judge ---


def judge_request(request: Request) -> None:
    """Let h11 read a request as a server would; it must see the same."""
    judge = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
    judge.receive_data(request.raw)
    event = judge.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target, tuple(event.headers.raw_items())) == (request.method, request.target, request.fields)
    _judge_body(judge, request)


def judge_response(response: Response, method: bytes, *, until_close: bool) -> None:
    """Let h11 read a response as a client would; it must see the same."""
    judge = _client_judge(method)
    judge.receive_data(response.raw)
    event = judge.next_event()
    for interim in response.interims:
        assert isinstance(event, h11.InformationalResponse)
        assert tuple(event.headers.raw_items()) == interim.fields
        event = judge.next_event()
    assert isinstance(event, h11.Response)
    assert (event.status_code, event.reason, tuple(event.headers.raw_items())) == (response.status, response.reason, response.fields)
    if until_close:
        judge.receive_data(b"")
    _judge_body(judge, response)


def complete_status(raw: bytes, how: str, method: bytes = b"GET") -> int:
    """The status of the final response, if h11 takes these bytes, and this end of the connection, for a complete one; else 0."""
    judge = _client_judge(method)
    judge.receive_data(raw)
    if how == "fin":
        judge.receive_data(b"")
    status = 0
    try:
        while True:
            event = judge.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.EndOfMessage):
                return status
            elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return 0
    except h11.RemoteProtocolError:
        return 0


def _client_judge(method: bytes) -> h11.Connection:
    judge = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
    judge.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"judge.test")]))
    judge.send(h11.EndOfMessage())
    return judge


def _judge_body(judge: h11.Connection, message: Message) -> None:
    pieces = []
    while isinstance(event := judge.next_event(), h11.Data):
        pieces.append(bytes(event.data))
    assert isinstance(event, h11.EndOfMessage), f"h11 does not see the end: {event!r}"
    assert b"".join(pieces) == message.body
    assert tuple(event.headers.raw_items()) == message.trailers
    assert judge.trailing_data[0] == b"", "bytes after the message"


# --- sockets ---


class Wire:
    """
    One end of a TCP connection on a raw socket.

    It reads only when asked, so a test that does not read holds its peer up. `history` is every byte that was read,
    unless `keeps_history` is switched off for a long stream.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        self.history = bytearray()
        self.keeps_history = True
        self.sent = 0
        self.ended = ""
        self._buffer = bytearray()

    # --- sending ---

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises Ended if the peer is gone."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self.loop.sock_sendall(self.sock, data)
        except ConnectionError:
            raise Ended("reset", b"") from None
        self.sent += len(data)

    async def send_in_pieces(self, *pieces: bytes) -> None:
        """Send pieces so that the peer, which lives on the same loop, reads one before the next comes."""
        for piece in pieces:
            await self.send(piece)
            await turns()

    async def send_bytewise(self, data: bytes) -> None:
        """Send one byte at a time."""
        await self.send_in_pieces(*(data[place : place + 1] for place in range(len(data))))

    def finish_sending(self) -> None:
        """Half-close."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self.sock.close()

    def close(self) -> None:
        """Close with FIN (the kernel makes it RST if unread bytes are there)."""
        self.sock.close()

    # --- reading ---

    async def read_some(self) -> bytes:
        """Return what is there, or waits for more; b"" at the end, which `ended` then names."""
        if not self._buffer:
            await self._read()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def read_exactly(self, count: int) -> bytes:
        """Read so many bytes."""
        while len(self._buffer) < count:
            if not await self._read():
                raise Ended(self.ended, self._take(len(self._buffer)))
        return self._take(count)

    async def read_until(self, mark: bytes) -> bytes:
        """Read up to and with a mark."""
        start = 0
        while (place := self._buffer.find(mark, start)) < 0:
            start = max(0, len(self._buffer) - len(mark) + 1)
            if not await self._read():
                raise Ended(self.ended, self._take(len(self._buffer)))
        return self._take(place + len(mark))

    async def read_until_close(self) -> bytes:
        """Read whatever comes until the peer closes; `ended` tells how."""
        while await self._read():
            pass
        return self._take(len(self._buffer))

    async def read_head(self) -> bytes:
        """Read a head with its empty line."""
        return await self.read_until(b"\r\n\r\n")

    async def read_chunked(self, pieces: list[bytes]) -> tuple[bytes, tuple[Field, ...]]:
        """Read a chunked body into `pieces`; return its bytes as they were, and its trailers."""
        raw = []
        while True:
            line = await self.read_until(b"\r\n")
            raw.append(line)
            size = int(line.removesuffix(b"\r\n").partition(b";")[0], 16)
            if not size:
                break
            data = await self.read_exactly(size + 2)
            assert data.endswith(b"\r\n"), "a chunk does not end where it says"
            raw.append(data)
            pieces.append(data[:-2])
        lines = []
        while (line := await self.read_until(b"\r\n")) != b"\r\n":
            lines.append(line.removesuffix(b"\r\n"))
        trailers = _parse_fields(lines)
        return b"".join([*raw, head(*lines)]), trailers

    async def _read(self) -> bool:
        if self.ended:
            return False
        try:
            async with asyncio.timeout(DEADLINE_S):
                data = await self.loop.sock_recv(self.sock, _READ_BYTES)
        except ConnectionError:
            self.ended = "reset"
            return False
        if not data:
            self.ended = "fin"
            return False
        if self.keeps_history:
            self.history += data
        self._buffer += data
        return True

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Client(Wire):
    """A client's end, of the proxy or of an upstream asked directly."""

    async def read_response(self, method: bytes = b"GET", *, judge: bool = True) -> Response:
        """Read one final response with the 1xx before it. Raises Ended if it breaks off."""
        interims = []
        while True:
            raw = await self.read_head()
            start, fields = _parse_head(raw)
            response = Response(raw, raw, start, fields)
            if response.status >= 200 or response.status == 101:
                break
            interims.append(response)
        pieces: list[bytes] = []
        body, until_close = b"", False
        trailers: tuple[Field, ...] = ()
        if method == b"HEAD" or response.status in (101, 204, 304):
            pass
        elif response.values(b"transfer-encoding"):
            assert (response.value(b"transfer-encoding") or b"").lower() == b"chunked"
            assert not response.values(b"content-length"), "both framings"
            body, trailers = await self.read_chunked(pieces)
        elif (length := response.value(b"content-length")) is not None:
            body = await self.read_exactly(int(length))
            pieces = [body]
        else:
            body = await self.read_until_close()
            if self.ended == "reset":
                raise Ended("reset", raw + body)
            pieces, until_close = [body], True
        response = replace(
            response,
            raw=b"".join([*(interim.raw for interim in interims), raw, body]),
            body=b"".join(pieces),
            trailers=trailers,
            interims=tuple(interims),
        )
        if judge and response.status != 101:
            judge_response(response, method, until_close=until_close)
        return response

    async def ask(self, request: bytes) -> Response:
        """Send a request and read its response."""
        await self.send(request)
        return await self.read_response(request.split(b" ", 1)[0])


class Served(Wire):
    """An upstream's end of a connection that the proxy opened."""

    async def read_request_head(self) -> Request:
        """Read a request's head alone; h11 sees it when the whole request is read, so prefer `read_request`."""
        raw = await self.read_head()
        start, fields = _parse_head(raw)
        return Request(raw, raw, start, fields)

    async def read_request(self, *, judge: bool = True) -> Request:
        """Read one request. Raises Ended if it breaks off, or if none came."""
        request = await self.read_request_head()
        return await self.read_request_body(request, judge=judge)

    async def read_request_body(self, request: Request, *, judge: bool = True) -> Request:
        """Read the body that a head announces."""
        pieces: list[bytes] = []
        body = b""
        trailers: tuple[Field, ...] = ()
        if request.values(b"transfer-encoding"):
            assert request.value(b"transfer-encoding") == b"chunked"
            assert not request.values(b"content-length"), "both framings"
            body, trailers = await self.read_chunked(pieces)
        elif (length := request.value(b"content-length")) is not None:
            body = await self.read_exactly(int(length))
            pieces = [body]
        request = replace(request, raw=request.raw + body, body=b"".join(pieces), trailers=trailers)
        if judge:
            judge_request(request)
        return request

    async def wait_closed(self) -> None:
        """Wait until the proxy has closed, with FIN or RST; nothing more may have come."""
        assert await self.read_until_close() == b""


async def connect(port: int, *, receive_buffer: int = 0) -> Client:
    """Connect to loopback. A small `receive_buffer` makes a client that soon stops taking bytes."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client = Client(sock)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await client.loop.sock_connect(sock, ("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return client


Handler = Callable[[Request], Awaitable[bytes] | bytes]


class Upstream:
    """
    A scripted upstream on a raw socket.

    Either the test plays it (`accept`), or `serve` answers every request by a function in the background.
    `connections` counts what was accepted; `requests` are those that `serve` read.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.connections = 0
        self.requests: list[Request] = []
        self.served: list[Served] = []
        self._clients: list[Client] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._arrived: asyncio.Queue[Served] = asyncio.Queue()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setblocking(False)
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.receive_buffer = 0
        self.rise()

    @property
    def authority(self) -> bytes:
        """What Host must say."""
        return b"127.0.0.1:%d" % self.port

    @property
    def settings(self) -> UpstreamSettings:
        """How a proxy is told of it."""
        return UpstreamSettings(f"http://127.0.0.1:{self.port}", "127.0.0.1", self.port, self.authority)

    def rise(self) -> None:
        """Listen."""
        if self._listener.fileno() < 0:
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.setblocking(False)
            self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(64)
        self._accepting = self.loop.create_task(self._accept())

    async def fall(self) -> None:
        """Refuse connections from now on."""
        self._accepting.cancel()
        await asyncio.wait({self._accepting})
        self._listener.close()

    async def accept(self) -> Served:
        """Return the next connection that the proxy opened."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._arrived.get()

    @property
    def waiting(self) -> int:
        """How many connections were opened that no `accept` took."""
        return self._arrived.qsize()

    def serve(self, handler: Handler, *, judge: bool = True, close: bool = False) -> None:
        """Answer every request on every connection by `handler`, from now on; `close` ends the connection after an answer."""
        self._tasks.append(self.loop.create_task(self._serve(handler, judge=judge, close=close)))

    async def connect(self) -> Client:
        """Ask it directly, without the proxy."""
        client = await connect(self.port)
        self._clients.append(client)
        return client

    async def stop(self) -> None:
        """Close everything."""
        await self.fall()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for wire in (*self.served, *self._clients):
            wire.close()
        for task in self._tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _accept(self) -> None:
        while True:
            sock, _ = await self.loop.sock_accept(self._listener)
            if self.receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
            self.connections += 1
            served = Served(sock)
            self.served.append(served)
            self._arrived.put_nowait(served)

    async def _serve(self, handler: Handler, *, judge: bool, close: bool) -> None:
        while True:
            served = await self._arrived.get()
            self._tasks.append(self.loop.create_task(self._answer(served, handler, judge=judge, close=close)))

    async def _answer(self, served: Served, handler: Handler, *, judge: bool, close: bool) -> None:
        with suppress(Ended):
            while True:
                request = await _no_hurry(served.read_request(judge=judge))
                self.requests.append(request)
                answer = handler(request)
                await served.send(answer if isinstance(answer, bytes) else await answer)
                if close:
                    break
        served.close()


async def _no_hurry(reading: Awaitable[Request]) -> Request:
    """Wait for a request on a connection that may be idle for as long as the test lasts."""
    return await reading


# --- the proxy ---


def policy(*origins: str, **draft: object) -> CorsPolicy:
    """Build a policy; by default it allows ORIGIN and what PolicyDraft says."""
    built, faults = build_policy(replace(PolicyDraft(origins or (ORIGIN.decode(),)), **draft))  # type: ignore[arg-type]
    assert built is not None, faults
    return built


def route(
    upstream: Upstream | UpstreamSettings,
    path: bytes = b"/",
    cors: CorsPolicy | CorsMode | None = None,
    timeouts: Timeouts | None = None,
) -> Route:
    """Build a route."""
    settings = upstream.settings if isinstance(upstream, Upstream) else upstream
    return Route(path, settings, policy() if cors is None else cors, timeouts or Timeouts())


class Proxy:
    """A real gateway in this process, on one lane."""

    def __init__(self, lane: str, settings: Settings) -> None:
        assert lane in LANES
        self.lane = lane
        settings = replace(settings, express=lane == "express")
        self.settings = settings
        self.records: list[ExchangeRecord] = []
        self.gateway = Gateway(settings, self.records.append)
        self.port = 0
        self._clients: list[Client] = []

    async def start(self) -> None:
        """Listen."""
        self.port = (await self.gateway.start())[0].port

    async def connect(self, *, receive_buffer: int = 0) -> Client:
        """Open a client's connection."""
        client = await connect(self.port, receive_buffer=receive_buffer)
        self._clients.append(client)
        return client

    async def ask(self, request: bytes) -> Response:
        """Send one request on a connection of its own."""
        with await connect(self.port) as client:
            return await client.ask(request)

    async def recorded(self, count: int = 1) -> list[ExchangeRecord]:
        """Wait until so many exchanges ended."""
        await until(lambda: len(self.records) >= count)
        return self.records

    @property
    def pool(self) -> UpstreamPool:
        """The only pool."""
        (pool,) = self.gateway.pools.values()
        return pool

    @property
    def expressed(self) -> int:
        """How many exchanges the express lane took."""
        return self.gateway.express_exchanges

    @property
    def open_upstream(self) -> int:
        """How many connections to upstreams are open."""
        return sum(pool.size for pool in self.gateway.pools.values())

    @property
    def open_clients(self) -> int:
        """How many clients' connections are open."""
        return len(self.gateway._front.connections)

    async def stop(self) -> None:
        """Let the clients go, see that nothing of them is left, stop, and see that nothing at all is left."""
        for client in self._clients:
            client.close()
        # An upstream that the test holds in its hand does not end a tunnel because its client did.
        self.gateway._tunnels.abort()
        await until(
            lambda: not self.open_clients and not self.gateway.in_flight and not self.gateway.tunnels,
            "a client's connection or exchange is left",
        )
        await until(lambda: not any(pool._busy for pool in self.gateway.pools.values()), "a busy upstream connection is left")
        await self.gateway.stop()
        await until(lambda: not self.open_upstream, "an upstream connection is left")


async def exchange(proxy: Proxy, upstream: Upstream, request: bytes, response: bytes, *, close: bool = False) -> tuple[Request, Response]:
    """Play one exchange on fresh connections: what the upstream saw, and what the client got."""
    with await connect(proxy.port) as client:
        await client.send(request)
        reading = asyncio.ensure_future(client.read_response(request.split(b" ", 1)[0]))
        accepting = asyncio.ensure_future(upstream.accept())
        try:
            await asyncio.wait((reading, accepting), return_when=asyncio.FIRST_COMPLETED)
            assert accepting.done(), f"answered without the upstream: {reading.result()}"
            served = accepting.result()
            seen = await served.read_request()
            await served.send(response)
            if close:
                served.close()
            got = await reading
            served.close()
        finally:
            reading.cancel()
            accepting.cancel()
        return seen, got


# --- waiting ---


async def until(condition: Callable[[], bool], message: str = "it did not come to pass") -> None:
    """Wait for a condition that is only to be looked at."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - an Event would need a hand inside the product
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(message) from None


async def turns(count: int = 3) -> None:
    """Let the loop go round, so that bytes sent on loopback are read by whoever reads."""
    for _ in range(count):
        await asyncio.sleep(0)


async def stalled(progress: Callable[[], int]) -> int:
    """Wait until a number has stopped growing, and return it; a slow machine can only make it smaller."""
    last, since = progress(), asyncio.get_running_loop().time()
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await asyncio.sleep(0.02)
            now = asyncio.get_running_loop().time()
            if progress() != last:
                last, since = progress(), now
            elif now - since > 0.3:
                return last


def sockets() -> int:
    """Count the sockets that this process has open; 0 where the system does not tell."""
    count = 0
    with suppress(FileNotFoundError):
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                count += str(entry.readlink()).startswith("socket:")
    return count


def loopback_settings(routes: Iterable[Route], **settings: object) -> Settings:
    """Settings of a proxy on a free port of loopback; `default_cors` is the last route's."""
    listed = tuple(routes)
    values: dict[str, object] = {"listen": (Listen("127.0.0.1", 0),), "default_cors": listed[-1].cors, **settings}
    return replace(Settings(listed), **values)  # type: ignore[arg-type]


def blocks(total: int, size: int = 64 * 1024) -> Iterator[bytes]:
    """Make a long body that no shuffle or repetition of its parts would reproduce."""
    for number in range(0, total, size):
        yield (hashlib.sha256(b"%d" % number).digest() * (size // 32 + 1))[: min(size, total - number)]
