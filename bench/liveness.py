#!/usr/bin/env python3
"""
How the proxy lives with slow, absent and vanishing peers: the figures of docs/reliability.md.

    python bench/liveness.py                all rows, about four minutes
    python bench/liveness.py loris readers  some of them
    SOAK_MINUTES=60 python bench/liveness.py soak

Everything runs on loopback: an upstream, the proxy as a process of its own, and clients. Each row is bounded in time. Figures depend on
the machine; the ratios are what counts.
"""

import argparse
import asyncio
import os
import platform
import re
import signal
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
MIB = 2**20
SOAK_MINUTES = float(os.environ.get("SOAK_MINUTES", "1"))


class Upstream:
    """Answers /small at once, /big with 50 MiB, /never never. Counts what it has to say about clients that left."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.waiting = asyncio.Event()
        self.sent = 0
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1]
                if path == b"/never":
                    self.waiting.set()
                    await reader.read(1)
                    self.closed.set()
                    break
                if path == b"/big":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY)
                    for _ in range(BODY // 65536):
                        writer.write(b"x" * 65536)
                        await writer.drain()
                        self.sent += 65536
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 250\r\n\r\n" + b"x" * 250)
        writer.close()


class Proxy:
    """The proxy as a process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    def rss(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]

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
    try:
        yield Proxy(process, int(found[1]))
    finally:
        file.unlink()
        process.send_signal(signal.SIGINT)
        await process.wait()


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
    """Slow readers: 100 clients read a 50 MiB body at 1 KiB/s."""
    async with proxy(upstream) as target:
        await target.ask(b"small")
        before, upstream.sent = target.rss(), 0

        async def crawl() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=1024)
            writer.write(GET % b"big")
            end = time.perf_counter() + 15
            while time.perf_counter() < end:
                await reader.read(1024)
                await asyncio.sleep(1)
            writer.transport.abort()

        crawling = [asyncio.create_task(crawl()) for _ in range(100)]
        await asyncio.sleep(12)
        grown, sent = target.rss() - before, upstream.sent
        await asyncio.gather(*crawling)
        return f"RSS grew by {grown / MIB:.0f} MiB; the upstream had sent {sent / MIB:.0f} of {100 * BODY // MIB} MiB and was waiting"


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


ROWS: dict[str, Callable[[Upstream], Awaitable[str]]] = {row.__name__: row for row in (loris, readers, leaves, absent, soak)}


async def main() -> None:
    """Measure the rows that were asked for, and print them as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="row", help=", ".join(ROWS))
    chosen = parser.parse_args().rows or list(ROWS)
    if unknown := set(chosen) - ROWS.keys():
        parser.error(f"no such row: {', '.join(unknown)}")
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%d}, {machine}\n\n| what | measured |\n|---|---|\n")
    for name in chosen:
        upstream = Upstream()
        await upstream.start()
        sys.stdout.write(f"| {(ROWS[name].__doc__ or '').strip()} | {await ROWS[name](upstream)} |\n")
        sys.stdout.flush()
        await upstream.stop()


if __name__ == "__main__":
    role = {"--bystander": be_bystander, "--drip": be_drippers}.get(sys.argv[1] if sys.argv[1:] else "")
    asyncio.run(role(int(sys.argv[2]), float(sys.argv[3])) if role else main())
