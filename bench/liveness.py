#!/usr/bin/env python3
"""
How the proxy lives with slow, absent, vanishing, many and lasting peers: the figures of docs/reliability.md and docs/performance.md.

    python bench/liveness.py                all rows, about six minutes
    python bench/liveness.py loris readers  some of them
    SOAK_MINUTES=60 python bench/liveness.py soak

Everything runs on loopback: an upstream, the proxy as a process of its own, and clients. Each row is bounded in time. Figures depend on
the machine; the ratios are what counts. It raises its own soft limit on file descriptors to the hard one, and says so.
"""

import argparse
import asyncio
import os
import platform
import re
import resource
import signal
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
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
SOAK_MINUTES = float(os.environ.get("SOAK_MINUTES", "1"))


class Upstream:
    """
    Answers /small at once, /big with 50 MiB, /bulk with 2 GB, /never never; /events is told by `tick`, an upload is counted.

    It counts what it has to say about clients that left.
    """

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.waiting = asyncio.Event()
        self.sent = 0
        self.streams: list[asyncio.StreamWriter] = []
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

    def tick(self) -> None:
        """Send an event to everybody."""
        for writer in self.streams:
            writer.write(EVENT)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1]
                if path == b"/chunked":
                    await take_chunks(reader)
                elif length := re.search(rb"Content-Length: (\d+)", head):
                    await take(reader, int(length[1]))
                if path == b"/events":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                    self.streams.append(writer)
                    await reader.read(1)
                    break
                if path == b"/never":
                    self.waiting.set()
                    await reader.read(1)
                    self.closed.set()
                    break
                if path in (b"/big", b"/bulk"):
                    size = BODY if path == b"/big" else BULK
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                    async for count in give(writer, size):
                        self.sent += count
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 250\r\n\r\n" + b"x" * 250)
        writer.close()


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
    """The proxy as a process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    def rss(self, field: str = "VmRSS") -> int:
        """Resident bytes: now, or the most so far (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """Open file descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

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
            "log: {access: false}",
            "admin: {listen: 127.0.0.1:0}",
            *lines,
        )
    )
    file = Path(f"/tmp/corsproxy-liveness-{os.getpid()}.yaml")
    file.write_text(config)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "corsproxy", "-c", str(file), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = b""
    while not (found := re.search(rb"listening on http://127.0.0.1:(\d+)", said)):
        line = await process.stderr.readline()
        if not line:
            sys.exit(said.decode())
        said += line
    errors = asyncio.create_task(show_errors(process.stderr))
    try:
        yield Proxy(process, int(found[1]))
    finally:
        file.unlink()
        process.send_signal(signal.SIGINT)
        await process.wait()
        await errors


async def show_errors(log: asyncio.StreamReader) -> None:
    """Show what the proxy logs as an error. A log that nobody reads would stop it."""
    async for line in log:
        if b'"error"' in line:
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


async def soak(upstream: Upstream) -> str:
    """Steady load at about half of what the proxy can do, one client in ten leaving early: what has grown."""
    async with proxy(upstream) as target:

        async def load(seconds: float) -> int:
            done = 0
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                _, took = await target.ask(b"small")
                done += 1
                if done % 10 == 0:
                    _, writer = await asyncio.open_connection("127.0.0.1", target.port)
                    writer.write(GET % b"never")
                    await writer.drain()
                    writer.transport.abort()
                await asyncio.sleep(took)
            return done

        await asyncio.gather(*(load(15) for _ in range(4)))
        await asyncio.sleep(5)
        rss, descriptors = target.rss(), target.descriptors()
        done = await asyncio.gather(*(load(SOAK_MINUTES * 60) for _ in range(4)))
        await asyncio.sleep(5)
        drift = (target.rss() / rss - 1) * 100
        return f"{sum(done)} requests in {SOAK_MINUTES:g} min: RSS {drift:+.1f} %, descriptors {target.descriptors() - descriptors:+d}"


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


if __name__ == "__main__":
    role = {"--bystander": be_bystander, "--drip": be_drippers, "--crawl": be_crawlers}.get(sys.argv[1] if sys.argv[1:] else "")
    asyncio.run(role(int(sys.argv[2]), float(sys.argv[3])) if role else main())
