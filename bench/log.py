#!/usr/bin/env python3
"""
What the log costs: the figures of docs/performance.md.

    python bench/log.py             both tables, about two minutes
    python bench/log.py lines       what one line costs, in this process
    python bench/log.py exchanges   the proxy's processor time for an exchange, with and without its log

Processor time (user and system), never the time on the wall, so a busy machine blurs the figures less. All proxies of a table run at once and
are asked in turn, in rounds; the figure is the median of the rounds, and so is the difference within one. Upstream and client are this process.
"""

import argparse
import asyncio
import functools
import os
import re
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corsproxy.cors.decide import Decision
    from corsproxy.record import ExchangeRecord

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

ORIGIN = b"https://app.example.com"
AGENT = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
GET = b"GET /orders/17 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %b\r\nAccept: application/json\r\nOrigin: %b\r\n\r\n" % (AGENT, ORIGIN)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 250\r\n\r\n" + b"x" * 250
CONNECTIONS = 16
WARM_UP = 500


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# --- one line ---


def lines(rounds: int) -> None:
    """Say what making one line costs."""
    import json  # noqa: PLC0415 - only this table needs them

    from corsproxy.observe.fields import attributes  # noqa: PLC0415
    from corsproxy.observe.shapes import format_json, format_logfmt, timestamp  # noqa: PLC0415
    from corsproxy.observe.text import format_text  # noqa: PLC0415
    from corsproxy.record import ExchangeRecord  # noqa: PLC0415

    def plain(record: ExchangeRecord) -> str:
        return json.dumps({"@timestamp": timestamp(record.time), **attributes(record)}, separators=(",", ":"))

    same = [made(number, b"/orders/17") for number in range(5000)]
    many = [made(number, b"/orders/%d?page=%d&token=x" % (number, number)) for number in range(5000)]
    say(f"{'one line':40} {'same path':>12} {'paths and queries that differ':>30}")
    for name, shape in (
        ("JSON", format_json),
        ("json.dumps of the same", plain),
        ("logfmt", format_logfmt),
        ("text, coloured", coloured(format_text)),
    ):
        took = [min(cpu_of(shape, records) for _ in range(rounds)) for records in (same, many)]
        say(f"{name:40} {took[0]:9.2f} us {took[1]:27.2f} us")

    took = [min(asyncio.run(cpu_of_log(records)) for _ in range(rounds)) for records in (same, many)]
    say(f"{'JSON, from the record into a pipe':40} {took[0]:9.2f} us {took[1]:27.2f} us")


async def cpu_of_log(records: "list[ExchangeRecord]") -> float:
    """Microseconds of processor time of this process for a line that `cat` has got at the end: the data path's part, the batch, the thread."""
    from corsproxy.config.choices import LogFormat  # noqa: PLC0415
    from corsproxy.config.settings import LogSettings  # noqa: PLC0415
    from corsproxy.observe.log import AccessLog  # noqa: PLC0415
    from corsproxy.observe.writer import DescriptorWriter  # noqa: PLC0415

    cat = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL)
    assert cat.stdin is not None
    stream = cat.stdin.get_extra_info("pipe")
    writer = DescriptorWriter(stream.fileno(), "the bench", max_bytes=1 << 30)
    log = AccessLog(LogSettings(format=LogFormat.JSON), stream, writer)
    began = time.process_time()
    for record in records:
        log.add(record)
    log.close()
    writer.settle(time.monotonic() + 60)
    took = (time.process_time() - began) / len(records) * 1e6
    cat.kill()
    await cat.wait()
    return took


def coloured(shape: Callable[..., str]) -> Callable[..., str]:
    """A line for a terminal of 120 columns."""
    return lambda record: shape(record, colour=True, width=120)


def cpu_of(shape: Callable[..., str], records: "list[ExchangeRecord]") -> float:
    """Microseconds of processor time for one of many."""
    began = time.process_time()
    for record in records:
        shape(record)
    return (time.process_time() - began) / len(records) * 1e6


@functools.cache
def decided() -> "Decision":
    """The decision on every request: plans from memory share one."""
    from corsproxy.cors.decide import Decision, Kind, Reason  # noqa: PLC0415

    return Decision(Kind.ACTUAL, Reason.ORIGIN_ALLOWED, granted=True, origin=ORIGIN)


def made(number: int, target: bytes) -> "ExchangeRecord":
    """A record as the gateway leaves it; its bytes are its own, as those of a request are."""
    from corsproxy.answers import Context, Exchange  # noqa: PLC0415
    from corsproxy.record import ExchangeRecord  # noqa: PLC0415

    decision = decided()
    exchange = Exchange(b"d0959dcb0e94f3eb%08x" % number, authority=b"localhost:8080", client=b"203.0.113.9")
    started = 10.0 + number / 1000
    record = ExchangeRecord(1.7e9 + started, started, b"GET", target, "203.0.113.9", status=200, decision=decision)
    record.context = Context(b"GET", 1, persistent=True, decision=decision, exchange=exchange)
    record.request_id, record.upstream, record.sent = exchange.request_id.decode(), "http://127.0.0.1:9000", 250
    record.placed = record.connected = started + 0.0001
    record.head, record.ended, record.user_agent = started + 0.001, started + 0.0012, bytes(bytearray(AGENT))
    return record


# --- whole exchanges ---


class Upstream(asyncio.Protocol):
    """Answers every head at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


class Client(asyncio.Protocol):
    """Asks again as soon as an answer is complete, while there is something left to ask."""

    def __init__(self, left: list[int], done: asyncio.Event) -> None:
        self.left = left
        self.done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""
        transport.write(GET)

    def data_received(self, data: bytes) -> None:
        """Count an answer."""
        self.received += data
        if len(self.received) - self.received.find(b"\r\n\r\n") - 4 < 250:
            return
        self.received = b""
        self.left[0] -= 1
        if self.left[0] <= 0:
            self.done.set()
        else:
            self.transport.write(GET)


class Collector(BaseHTTPRequestHandler):
    """Takes spans and forgets them."""

    def do_POST(self) -> None:
        """Take a batch."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def collector() -> Iterator[str]:
    """Run a collector."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Proxy:
    """A proxy as a process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, port: int) -> None:
        self.name = name
        self.port = port
        self.figures: list[float] = []
        self._process = process

    def cpu(self) -> float:
        """Seconds of processor time so far, of all threads, to the nanosecond: Linux samples what stands in `stat` every 10 ms."""
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    async def ask(self, count: int) -> float:
        """Let it serve so many exchanges; returns the microseconds of processor time of one."""
        left, done = [count], asyncio.Event()
        before = self.cpu()
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(lambda: Client(left, done), "127.0.0.1", self.port) for _ in range(CONNECTIONS)]
        await done.wait()
        # What waits to be written belongs to it.
        await asyncio.sleep(0.2)
        for transport, _ in made:
            transport.close()
        return (self.cpu() - before) / count * 1e6


@asynccontextmanager
async def proxy(name: str, upstream: int, log: str, directory: Path, **variables: str) -> AsyncIterator[Proxy]:
    """Run a proxy; its stdout goes into a pipe that `cat` reads, or nobody."""
    file = directory / f"{len(list(directory.iterdir()))}.yaml"
    file.write_text(
        f"listen: 127.0.0.1:0\nadmin: {{listen: 'off'}}\nupstream: http://127.0.0.1:{upstream}\ncors: {{allow_origins: [{ORIGIN.decode()}]}}\nlog: {log}\n"
    )
    reading, writing = os.pipe()
    reader = (
        None
        if name.endswith("nobody reads")
        else await asyncio.create_subprocess_exec("cat", stdin=reading, stdout=asyncio.subprocess.DEVNULL)
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "corsproxy", "--config", str(file)),
        cwd=ROOT,
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **variables},
    )
    os.close(writing)
    assert process.stderr is not None
    said = b""
    while not (found := re.search(rb"listening on http://127.0.0.1:(\d+)", said)):
        line = await process.stderr.readline()
        if not line:
            sys.exit(said.decode())
        said += line
    draining = asyncio.create_task(process.stderr.read())
    try:
        yield Proxy(name, process, int(found[1]))
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()
        await draining
        os.close(reading)
        if reader is not None:
            await reader.wait()


async def exchanges(rounds: int, count: int) -> None:
    """Compare proxies that differ in nothing but their log."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        endpoint = stack.enter_context(collector())
        spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_MAX_QUEUE_SIZE": "100000"}
        rows: list[tuple[str, str, dict[str, str]]] = [
            ("no log", "{access: false}", {}),
            ("JSON", "{format: json}", {}),
            ("JSON, nobody reads", "{format: json}", {}),
            ("logfmt", "{format: logfmt}", {}),
            ("text", "{format: text}", {}),
            ("no log, every exchange a span", "{access: false}", spans),
        ]
        proxies = [await stack.enter_async_context(proxy(name, port, log, directory, **more)) for name, log, more in rows]
        for each in proxies:
            await each.ask(WARM_UP)
        for _ in range(rounds):
            for each in proxies:
                each.figures.append(await each.ask(count))
        say(f"{'whole exchanges':40} {'processor time':>15} {'more than without':>20}   rounds")
        for each in proxies:
            figure = statistics.median(each.figures)
            more = statistics.median(one - base for one, base in zip(each.figures, proxies[0].figures, strict=True))
            say(f"{each.name:40} {figure:12.1f} us {more:17.1f} us   {' '.join(f'{one:.0f}' for one in each.figures)}")
    server.close()


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=["lines", "exchanges", []], help="which tables")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=4000, help="exchanges in a round")
    arguments = parser.parse_args()
    if not arguments.rows or "lines" in arguments.rows:
        lines(arguments.rounds)
    if not arguments.rows or "exchanges" in arguments.rows:
        asyncio.run(exchanges(arguments.rounds, arguments.count))


if __name__ == "__main__":
    main()
