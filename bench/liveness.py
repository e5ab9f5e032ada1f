#!/usr/bin/env python3
"""
How the proxy lives with slow, absent, vanishing, many and lasting peers: the figures of docs/reliability.md and docs/performance.md.

    python bench/liveness.py                all rows, about six minutes
    python bench/liveness.py loris readers  some of them
    SOAK_MINUTES=60 SOAK_WORKERS=2 python bench/liveness.py soak

Everything runs on loopback: an upstream, the proxy as a process of its own, and clients. Each row is bounded in time. Figures depend on
the machine; the ratios are what counts. It raises its own soft limit on file descriptors to the hard one, and says so. A soak that ends
where it must not ends with exit code 1.
"""

import argparse
import asyncio
import base64
import hashlib
import logging
import os
import platform
import random
import re
import resource
import signal
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORIGIN = b"https://app.example.com"
GET = b"GET /%b HTTP/1.1\r\nHost: localhost\r\nOrigin: " + ORIGIN + b"\r\n\r\n"
BODY = 50 * 2**20
BULK = 2 * 10**9
MIB = 2**20
BLOCK = b"x" * 65536
READERS = 200
IDLE = 5000
STREAMS = 1000
EVENT = b"c\r\ndata: tick\n\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nHost: localhost\r\nOrigin: " + ORIGIN + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SOAK_MINUTES = float(os.environ.get("SOAK_MINUTES", "1"))
SOAK_WORKERS = int(os.environ.get("SOAK_WORKERS", "1"))
WARM_UP_S = 30.0
# Longer than idle connections are kept anywhere.
QUIET_S = 7.0
# What a soak may end with: growth of resident memory in per cent.
MOST_DRIFT = 5.0


class Upstream:
    """
    Answers /small at once, /big with 50 MiB, /bulk with 2 GB, /never never; /events is told by `tick`, an upload is counted.

    It counts what it has to say about clients that left. With `chance`, one answer in fifty is wrong in some way.
    """

    def __init__(self) -> None:
        self.chance: random.Random | None = None
        self.closed = asyncio.Event()
        self.waiting = asyncio.Event()
        self.sent = 0
        self.streams: list[asyncio.StreamWriter] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """Listen; the port stays the same over a restart."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port or self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    def fall(self) -> None:
        """Listen no more, and cut every connection."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()

    def tick(self) -> None:
        """Send an event to everybody."""
        for writer in self.streams:
            writer.write(EVENT)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer_all(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _err(self, writer: asyncio.StreamWriter) -> bool:
        """Do something wrong, once in a while; tells whether it was done."""
        if self.chance is None or self.chance.random() > 0.02:
            return False
        wrong = self.chance.choice((b"", b"HTTP/1.1 200 OK\r\nContent-Length: 250\r\n\r\nhalf", b"nonsense\r\n\r\n", b"slow"))
        if wrong == b"slow":
            await asyncio.sleep(1.5)
        else:
            writer.write(wrong)
        return True

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_kept = True
        while is_kept:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            if await self._err(writer):
                return
            if path == b"/chunked":
                await take_chunks(reader)
            elif length := re.search(rb"Content-Length: (\d+)", head):
                await take(reader, int(length[1]))
            is_kept = await self._answer(path, head, reader, writer)

    async def _answer(self, path: bytes, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tells whether another may follow."""
        match path:
            case b"/socket":
                key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
                writer.write(SWITCH % base64.b64encode(hashlib.sha1((key[1] if key else b"") + WEBSOCKET).digest()))
                while data := await reader.read(len(BLOCK)):
                    writer.write(data)
                return False
            case b"/events":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                self.streams.append(writer)
                await reader.read(1)
                self.streams.remove(writer)
                return False
            case b"/never":
                self.waiting.set()
                await reader.read(1)
                self.closed.set()
                return False
            case b"/big" | b"/bulk":
                size = BODY if path == b"/big" else BULK
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                async for count in give(writer, size):
                    self.sent += count
            case _:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 250\r\n\r\n" + path.ljust(250, b"x"))
        return True


async def give(writer: asyncio.StreamWriter, size: int) -> AsyncIterator[int]:
    """Send a body, and say how much of it has gone."""
    while size:
        block = BLOCK[:size]
        writer.write(block)
        await writer.drain()
        size -= len(block)
        yield len(block)


async def take(reader: asyncio.StreamReader, size: int) -> None:
    """Receive a body and forget it."""
    while size:
        data = await reader.read(min(size, len(BLOCK)))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(data)


async def take_chunks(reader: asyncio.StreamReader) -> None:
    """Receive a chunked body of x's and forget it."""
    tail = b""
    while tail != b"0\r\n\r\n":
        data = await reader.read(len(BLOCK))
        if not data:
            raise asyncio.IncompleteReadError(b"", None)
        tail = (tail + data)[-5:]


class Proxy:
    """The proxy as a process, or as several. `errors` are lines of its log, and `tasks` what its processes said when they were asked."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, file: Path) -> None:
        self.process = process
        self.port = port
        self.file = file
        self.errors = 0
        self.tasks: list[int] = []

    def family(self) -> list[int]:
        """Every process of it."""
        found = [self.process.pid]
        for pid in found:
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def rss(self, field: str = "VmRSS") -> int:
        """Resident bytes of all processes: now, or the most so far (VmHWM)."""
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in self.family()]
        return 1024 * sum(int(kib) for status in statuses for kib in re.findall(rf"{field}:\s+(\d+)", status))

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """Open file descriptors of all processes."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.family())

    async def count_tasks(self) -> int:
        """Tasks of all processes that serve, which must have been started with ASKABLE."""
        self.tasks.clear()
        family = self.family()
        serving = family[2:] or family
        for pid in serving:
            os.kill(pid, signal.SIGUSR2)
        while len(self.tasks) < len(serving):  # noqa: ASYNC110 - another process tells
            await asyncio.sleep(0.01)
        return sum(self.tasks)

    async def ask(self, path: bytes) -> tuple[int, float]:
        """Make one request on a connection of its own: (status, seconds)."""
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(GET % path)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return int(head.split(b" ", 2)[1]), time.perf_counter() - began


@asynccontextmanager
async def proxy(upstream: Upstream, *lines: str) -> AsyncIterator[Proxy]:
    """Run the proxy in front of an upstream."""
    config = "\n".join(
        (
            "listen: 127.0.0.1:0",
            f"upstream: http://127.0.0.1:{upstream.port}",
            f"cors: {{allow_origins: [{ORIGIN.decode()}]}}",
            *(() if any(line.startswith("log:") for line in lines) else ("log: {access: false}",)),
            "admin: {listen: 127.0.0.1:0}",
            *lines,
        )
    )
    file = Path(f"/tmp/corsproxy-liveness-{os.getpid()}.yaml")
    file.write_text(config)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ASKABLE, "-c", str(file)), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = b""
    while not (found := re.search(rb"listening on http://127.0.0.1:(\d+)", said)):
        line = await process.stderr.readline()
        if not line:
            sys.exit(said.decode())
        said += line
    target = Proxy(process, int(found[1]), file)
    errors = asyncio.create_task(read_log(process.stderr, target))
    try:
        yield target
    finally:
        file.unlink()
        process.send_signal(signal.SIGINT)
        await process.wait()
        await errors


# The proxy as it is, but that each process that serves says on SIGUSR2 how many tasks it has.
ASKABLE = """
import asyncio, os, signal, sys
from corsproxy.app import App
from corsproxy.cli.main import main
start = App.start
async def start_askable(self, *given, **named):
    say = lambda: os.write(2, b"tasks %d\\n" % len(asyncio.all_tasks()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, say)
    return await start(self, *given, **named)
App.start = start_askable
sys.exit(main())
"""


async def read_log(log: asyncio.StreamReader, target: Proxy) -> None:
    """Show what the proxy logs as an error, reloads that it refuses apart, and take the answers to `count_tasks`."""
    async for line in log:
        if told := re.match(rb"tasks (\d+)", line):
            target.tasks.append(int(told[1]))
        elif b'"error"' in line and b"CP511" not in line:
            target.errors += 1
            sys.stderr.buffer.write(line)


async def bystander(target: Proxy, seconds: float) -> float:
    """A normal client in a process of its own: the 99th percentile of its latency in milliseconds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--bystander", str(target.port), str(seconds), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return float(said)


async def be_bystander(port: int, seconds: float) -> None:
    """Make 200 requests a second on one connection, and print the 99th percentile of the latency in milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        writer.write(GET % b"small")
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(250)
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(max(0.0, 0.005 - (time.perf_counter() - began)))
    writer.close()
    sys.stdout.write(f"{statistics.quantiles(took, n=100)[98]}\n")


async def loris(upstream: Upstream) -> str:
    """Slow loris: 500 connections drip a head for up to 60 s."""
    async with proxy(upstream, "limits: {header_timeout: 10s}") as target:
        before = await bystander(target, 5)
        dripping = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--drip", str(target.port), "0", stdout=asyncio.subprocess.PIPE
        )
        await asyncio.sleep(2)
        during = await bystander(target, 6)
        said, _ = await dripping.communicate()
        ratio = f"bystander p99 {before:.2f} ms before, {during:.2f} ms during: {during / before:.2f} x"
        return f"{said.decode().strip()} (header_timeout 10 s); {ratio}"


async def be_drippers(port: int, _: float) -> None:
    """Drip 500 heads, a line a second, until they are cut; print how long that took."""
    cut: list[float] = []

    async def drip(place: int) -> None:
        # Spread over the second, or their lines would come in bursts of 500.
        await asyncio.sleep(place / 500)
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing() and time.perf_counter() - began < 60:
                writer.write(b"X-A: b\r\n")
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await reader.read()
                        break
        cut.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(drip(place) for place in range(500)))
    sys.stdout.write(f"{len(cut)} cut after {min(cut):.1f} to {max(cut):.1f} s\n")


async def readers(upstream: Upstream) -> str:
    """Slow readers: 200 clients read a 50 MiB body at 10 KB/s."""
    async with proxy(upstream) as target:
        # 3,000 requests each: the p99 of fewer is mostly chance.
        before = await bystander(target, 15)
        rss, upstream.sent = target.rss(), 0
        crawling = await asyncio.create_subprocess_exec(sys.executable, __file__, "--crawl", str(target.port), "26")
        # Until what the kernel takes is full.
        await asyncio.sleep(8)
        during = await bystander(target, 15)
        grown, sent = target.rss("VmHWM") - rss, upstream.sent
        await crawling.wait()
        waiting = f"the upstream had sent {sent / MIB:.0f} of {READERS * BODY // MIB:,} MiB and was waiting"
        ratio = f"bystander p99 {before:.2f} ms before, {during:.2f} ms during: {during / before:.2f} x"
        return f"RSS grew by {grown / MIB:.0f} MiB at most; {waiting}; {ratio}"


async def be_crawlers(port: int, seconds: float) -> None:
    """Read 200 bodies at 10 KB/s each, with the kernel's help bounded, for some seconds."""

    async def crawl(place: int) -> None:
        # Spread over the second, or they would read in bursts of 200.
        await asyncio.sleep(place / READERS)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, GET % b"big")
        end = time.perf_counter() + seconds - 1
        while time.perf_counter() < end:
            await loop.sock_recv(sock, 10_000)
            await asyncio.sleep(1)
        sock.close()

    await asyncio.gather(*(crawl(place) for place in range(READERS)))


async def bulk(upstream: Upstream) -> str:
    """2 GB down, then 2 GB up with a length, then 2 GB up in chunks."""
    async with proxy(upstream) as target:
        await target.ask(b"small")
        before, said = target.rss(), []
        for way in ("down", "up", "up in chunks"):
            began = target.cpu()
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            if way == "down":
                writer.write(GET % b"bulk")
            elif way == "up":
                writer.write(b"PUT /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % BULK)
                async for _ in give(writer, BULK):
                    pass
            else:
                writer.write(b"PUT /chunked HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(BULK // len(BLOCK)):
                    writer.write(b"10000\r\n%b\r\n" % BLOCK)
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await take(reader, BULK if way == "down" else 250)
            writer.close()
            said.append(f"{way} {(target.cpu() - began) / (BULK / 10**9):.2f} s")
        peak = target.rss("VmHWM")
        return f"RSS {before / MIB:.1f} MiB before, {target.rss() / MIB:.1f} MiB after, {peak / MIB:.1f} MiB at most; processor time per GB: {', '.join(said)}"


async def idle(upstream: Upstream) -> str:
    """5,000 keep-alive connections that have made one request each, and wait."""
    async with proxy(upstream) as target:
        await target.ask(b"small")
        await asyncio.sleep(5)
        before, descriptors = target.rss(), target.descriptors()
        connections = []
        for _ in range(IDLE):
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=1024)
            writer.write(GET % b"small")
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(250)
            connections.append(writer)
        await asyncio.sleep(5)
        grown, opened = target.rss() - before, target.descriptors() - descriptors
        p99 = await bystander(target, 5)
        for writer in connections:
            writer.close()
        return (
            f"RSS {before / MIB:.1f} MiB before, {(before + grown) / MIB:.1f} MiB with them: {grown / opened / 1024:.1f} KiB for each "
            f"of {opened}; bystander p99 {p99:.2f} ms"
        )


async def streams(upstream: Upstream) -> str:
    """1,000 open event streams."""
    async with proxy(upstream) as target:
        await target.ask(b"small")
        await asyncio.sleep(5)
        before, descriptors = target.rss(), target.descriptors()
        readers = []
        for _ in range(STREAMS):
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            writer.write(GET % b"events")
            await reader.readuntil(b"\r\n\r\n")
            readers.append((reader, writer))
        took: list[float] = []
        for _ in range(20):
            began = time.perf_counter()
            upstream.tick()
            await asyncio.gather(*(reader.readexactly(len(EVENT)) for reader, _ in readers))
            took.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.2)
        grown, opened = target.rss() - before, target.descriptors() - descriptors
        p99 = await bystander(target, 5)
        for _, writer in readers:
            writer.close()
        return (
            f"RSS {before / MIB:.1f} MiB before, {(before + grown) / MIB:.1f} MiB with them: {grown / STREAMS / 1024:.1f} KiB and "
            f"{opened / STREAMS:g} descriptors for each; an event to all of them has arrived everywhere after "
            f"{statistics.median(took):.0f} ms (median of 20; worst {max(took):.0f} ms); bystander p99 between events {p99:.2f} ms"
        )


async def leaves(upstream: Upstream) -> str:
    """Clients that leave in the middle: when the upstream notices, and what is left behind."""
    async with proxy(upstream) as target:
        await target.ask(b"small")
        await asyncio.sleep(5)
        before = target.descriptors()
        took: list[float] = []
        for _ in range(50):
            upstream.closed.clear()
            upstream.waiting.clear()
            _, writer = await asyncio.open_connection("127.0.0.1", target.port)
            writer.write(GET % b"never")
            await upstream.waiting.wait()
            began = time.perf_counter()
            writer.transport.abort()
            await upstream.closed.wait()
            took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(1)
        return f"the upstream's connection ends after {statistics.median(took):.1f} ms (median of 50; worst {max(took):.1f} ms); {target.descriptors() - before:+d} descriptors a second later"


async def absent(upstream: Upstream) -> str:
    """An upstream that is down, and comes back."""
    async with proxy(upstream) as target:
        await target.ask(b"small")
        await upstream.stop()
        await asyncio.sleep(5)
        answers = [await target.ask(b"small") for _ in range(20)]
        await upstream.start()
        status, took = await target.ask(b"small")
        worst = max(seconds for _, seconds in answers) * 1000
        return f"{ {status for status, _ in answers} } within {worst:.1f} ms while it is down; the first request after it is back: {status} in {took * 1000:.1f} ms"


@dataclass(frozen=True)
class Soaked:
    """What a soak has come to. `drift` is the growth of resident memory in per cent; `wrong` counts answers that were not what they had to be."""

    minutes: float
    requests: int
    reloads: int
    drift: float
    descriptors: int
    tasks: int
    wrong: int
    errors: int

    def is_well(self, most_drift: float = MOST_DRIFT) -> bool:
        """Whether it has ended where it began."""
        return self.drift < most_drift and (self.descriptors, self.tasks, self.wrong, self.errors) == (0, 0, 0, 0)

    def __str__(self) -> str:
        return (
            f"{self.requests:,} requests and {self.reloads} reloads in {self.minutes:g} min: RSS {self.drift:+.1f} %, descriptors "
            f"{self.descriptors:+d}, tasks {self.tasks:+d}, {self.wrong} wrong answers, {self.errors} errors in the log"
        )


class Soaking:
    """Clients of every kind, some of which leave in the middle, an upstream that errs and falls, and a file that changes."""

    def __init__(self, target: Proxy, upstream: Upstream, seed: int) -> None:
        self.requests = self.reloads = self.wrong = 0
        self._target = target
        self._upstream = upstream
        self._chance = random.Random(seed)
        self._text = target.file.read_text()

    async def run(self, seconds: float) -> None:
        """Do all that for a while; then nobody is left."""
        self._end = time.perf_counter() + seconds
        await asyncio.gather(self._change(), self._fall(), *(self._ask(number) for number in range(24)))

    @property
    def _is_over(self) -> bool:
        return time.perf_counter() > self._end

    async def _change(self) -> None:
        """Write another file every two seconds, a wrong one each fifth time, and ask for a reload."""
        while not self._is_over:
            self.reloads += 1
            more = "cors: wrong" if self.reloads % 5 == 0 else f"timeouts: {{response: {500 + self.reloads % 7}ms}}\n"
            self._target.file.write_text(self._text + "\n" + more)
            self._target.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(2)

    async def _fall(self) -> None:
        """Cut every connection of the upstream, and come back after a second, again and again."""
        while not self._is_over:
            await asyncio.sleep(min(10.0, max(0.0, self._end - time.perf_counter())))
            self._upstream.fall()
            await asyncio.sleep(1)
            await self._upstream.start()

    async def _ask(self, number: int) -> None:
        """Be one client after the other, with pauses as long as the work."""
        kinds = (
            self._get,
            self._get,
            self._get,
            self._put,
            self._leave,
            self._leave_halfway,
            self._listen,
            self._talk,
            self._talk_nonsense,
        )
        while not self._is_over:
            began = time.perf_counter()
            with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._target.port)
                try:
                    async with asyncio.timeout(20):
                        await self._chance.choice(kinds)(reader, writer)
                finally:
                    if self._chance.random() < 0.5:
                        writer.transport.abort()
                    writer.close()
            await asyncio.sleep(min(1.0, time.perf_counter() - began))
        del number

    async def _answer(self, reader: asyncio.StreamReader, path: bytes) -> int:
        """Read an answer and check it. What is cut off raises."""
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        self.requests += 1
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        self.wrong += status not in (200, 400, 502, 503, 504) or (status == 200 and body != path.ljust(250, b"x"))
        return status

    async def _get(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(self._chance.randrange(1, 20)):
            path = b"%d" % self._chance.randrange(10**6)
            writer.write(GET % path)
            await self._answer(reader, b"/" + path)

    async def _put(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size, path = self._chance.randrange(200_000), self._chance.choice((b"/small", b"/chunked"))
        if path == b"/small":
            writer.write(b"PUT /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
            async for _ in give(writer, size):
                pass
        else:
            writer.write(b"PUT /chunked HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (size + 1, b"x" * (size + 1)))
        await self._answer(reader, path)

    async def _leave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(GET % b"never")
        await asyncio.sleep(self._chance.random() * 0.1)

    async def _leave_halfway(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET % b"big")
        await reader.readexactly(self._chance.randrange(1, 300_000))

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET % b"events")
        await reader.readuntil(b"\r\n\r\n")
        self._upstream.tick()
        await reader.readuntil(EVENT)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HANDSHAKE)
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 101 "):
            said = self._chance.randbytes(self._chance.randrange(1, 100_000))
            writer.write(said)
            self.wrong += await reader.readexactly(len(said)) != said

    async def _talk_nonsense(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._chance.choice((b"\x16\x03\x01nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: loc", GET % b"small" + b"\0\r\n\r\n")))
        await asyncio.sleep(self._chance.random() * 0.1)
        del reader


async def soak_for(upstream: Upstream, minutes: float, workers: int, warm_up_s: float) -> Soaked:
    """Soak a proxy, and say what has grown since it was warm."""
    async with proxy(upstream, f"workers: {workers}", "log: {access: true}") as target:
        upstream.chance = random.Random(2)
        soaking = Soaking(target, upstream, 1)

        async def look() -> tuple[int, int, int]:
            await asyncio.sleep(QUIET_S)
            return target.rss(), target.descriptors(), await target.count_tasks()

        await soaking.run(warm_up_s)
        rss, descriptors, tasks = await look()
        before = soaking.requests, soaking.reloads
        await soaking.run(minutes * 60)
        rss_now, descriptors_now, tasks_now = await look()
        return Soaked(
            *(minutes, soaking.requests - before[0], soaking.reloads - before[1], (rss_now / rss - 1) * 100),
            *(descriptors_now - descriptors, tasks_now - tasks, soaking.wrong, target.errors),
        )


async def soak(upstream: Upstream) -> str:
    """Soak: 24 clients of every kind, half of which leave in the middle, reloads every 2 s, an upstream that errs and falls. What has grown."""
    soaked = await soak_for(upstream, SOAK_MINUTES, SOAK_WORKERS, WARM_UP_S)
    if not soaked.is_well():
        FAILED.append("soak")
    return f"{SOAK_WORKERS} worker{'s' if SOAK_WORKERS > 1 else ''}: {soaked}"


# Rows that ended where they must not.
FAILED: list[str] = []
ROWS: dict[str, Callable[[Upstream], Awaitable[str]]] = {
    row.__name__: row for row in (loris, readers, bulk, idle, streams, leaves, absent, soak)
}


async def main() -> None:
    """Measure the rows that were asked for, and print them as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="row", help=", ".join(ROWS))
    chosen = parser.parse_args().rows or list(ROWS)
    if unknown := set(chosen) - ROWS.keys():
        parser.error(f"no such row: {', '.join(unknown)}")
    # Of its own clients and upstream, which write to peers that have left.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    sys.stdout.write(
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}; descriptors: {hard}{'' if soft == hard else f', raised from {soft}'}\n\n| what | measured |\n|---|---|\n"
    )
    for name in chosen:
        upstream = Upstream()
        await upstream.start()
        sys.stdout.write(f"| {(ROWS[name].__doc__ or '').strip()} | {await ROWS[name](upstream)} |\n")
        sys.stdout.flush()
        await upstream.stop()
    if FAILED:
        sys.exit(1)


if __name__ == "__main__":
    role = {"--bystander": be_bystander, "--drip": be_drippers, "--crawl": be_crawlers}.get(sys.argv[1] if sys.argv[1:] else "")
    asyncio.run(role(int(sys.argv[2]), float(sys.argv[3])) if role else main())
