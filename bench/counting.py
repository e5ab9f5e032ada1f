"""
What metrics cost: counting one exchange on the data path, one scrape, and a whole request with and without counting.

CPU time, best of several rounds. For the whole request two proxies take turns, one of which counts nothing; it is their own time, so what
else the machine does matters little.
"""

import asyncio
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from corsproxy import problems
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.observe.counters import Counters
from corsproxy.observe.metrics import render
from corsproxy.observe.snapshot import Snapshot
from corsproxy.record import ExchangeRecord

ROUNDS = 7
TIMES = 200_000
SCRAPES = 50
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def record(status: int, decision: Decision, problem: problems.Problem | None = None) -> ExchangeRecord:
    return ExchangeRecord(0, 100.0, b"GET", b"/", "", status=status, decision=decision, problem=problem, ended=100.003, sent=1000)


RECORDS = {
    "an allowed request": record(200, Decision(Kind.ACTUAL, Reason.ORIGIN_ALLOWED, granted=True)),
    "a preflight": record(204, Decision(Kind.PREFLIGHT, Reason.PREFLIGHT_GRANTED, granted=True)),
    "a refusal": record(403, Decision(Kind.ACTUAL, Reason.ORIGIN_REFUSED, refused=True), problems.ORIGIN_REFUSED),
}


def best(work: Callable[[], object], times: int) -> float:
    """Return the CPU time of one call in seconds, of the best round."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - start) / times)
    return min(found)


# --- a whole request ---

WHOLE_ROUNDS = 10
WHOLE_REQUESTS = 4_000
CONNECTIONS = 8
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example.com\r\n\r\n"
NOTHING = "from corsproxy.observe.counters import Counters; Counters.add = lambda self, record: None; "
RUN = "from corsproxy.cli.main import main; raise SystemExit(main())"


class Answering(asyncio.Protocol):
    """An upstream that answers every read with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(ANSWER)


async def begin(upstream: int, program: str) -> tuple[asyncio.subprocess.Process, int]:
    flags = ("--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{upstream}", "--allow-origin", "https://app.example.com")
    variables = os.environ | {"CORSPROXY_LOG_ACCESS": "false", "CORSPROXY_ADMIN_LISTEN": "off"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *flags, env=variables, cwd=Path(__file__).parents[1], stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = b""
    while not (found := re.search(rb"listening on http://127.0.0.1:(\d+)", said)):
        line = await process.stderr.readline()
        if not line:
            sys.exit(said.decode())
        said += line
    return process, int(found[1])


def cpu_of(pid: int) -> float:
    """Return the time that all threads of a process have run, in seconds."""
    return sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


async def ask(port: int, times: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(times):
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
    writer.close()
    await writer.wait_closed()


async def whole() -> None:
    upstream = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    port = upstream.sockets[0].getsockname()[1]
    proxies = {"with counting": await begin(port, RUN), "without": await begin(port, NOTHING + RUN)}
    found: dict[str, list[float]] = {name: [] for name in proxies}
    try:
        for number in range(WHOLE_ROUNDS + 1):
            for name, (process, own_port) in list(proxies.items())[:: 1 if number % 2 else -1]:
                before = cpu_of(process.pid)
                await asyncio.gather(*(ask(own_port, WHOLE_REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)))
                # The first round warms up.
                if number:
                    found[name].append((cpu_of(process.pid) - before) / WHOLE_REQUESTS * 1e6)
    finally:
        for process, _ in proxies.values():
            process.terminate()
            await process.communicate()
        upstream.close()
    for name, each in found.items():
        rounds = ", ".join(f"{value:.1f}" for value in each)
        sys.stdout.write(
            f"a whole request {name}: {min(each):.1f} µs at best, {sorted(each)[len(each) // 2]:.1f} µs in the middle ({rounds})\n"
        )


def main() -> None:
    counters = Counters()
    nothing = best(lambda: None, TIMES)
    for name, each in RECORDS.items():
        sys.stdout.write(f"counting {name}: {(best(lambda each=each: counters.add(each), TIMES) - nothing) * 1e9:.0f} ns\n")  # type: ignore[misc]
    for kind in Kind:
        for reason in Reason:
            for status in (200, 404, 502):
                counters.add(record(status, Decision(kind, reason)))
    for problem in problems.catalogue().values():
        counters.add(record(problem.status, Decision(Kind.ACTUAL, Reason.ORIGIN_ALLOWED), problem))
    snapshot = counters.snapshot() + Snapshot(processes=(os.getpid(),))
    sys.stdout.write(f"a snapshot: {best(counters.snapshot, SCRAPES) * 1e3:.2f} ms\n")
    for name, accept in (("text", ""), ("OpenMetrics", OPENMETRICS)):
        body, _ = render(snapshot, accept)
        taken = best(lambda accept=accept: render(snapshot, accept), SCRAPES)  # type: ignore[misc]
        sys.stdout.write(f"writing {len(body)} bytes of {name}: {taken * 1e3:.2f} ms\n")
    asyncio.run(whole())


if __name__ == "__main__":
    main()
