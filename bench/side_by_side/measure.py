"""Load on one contestant, and what that costs it: processor time of its processes, as the kernel counts it."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.side_by_side.contestants import HERE, ORIGIN, Bench, Command, Contestant

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WARM_UP_S: Final = 1
_LOOKS: Final = 20
_LOOK_S: Final = 0.25
BIG_BYTES: Final = 1024 * 1024
UPLOAD_BYTES: Final = 100 * 1024 * 1024


@dataclass(frozen=True)
class Scenario:
    """What wrk sends: a script, a path, so many connections, and arguments of the script. `per_gib`: its cost is counted by bytes."""

    script: str
    path: str
    connections: int = 32
    arguments: tuple[str, ...] = ()
    per_gib: bool = False


SCENARIOS: Final = {
    "get": Scenario("get.lua", "/items/1"),
    "browser": Scenario("browser.lua", "/items/1"),
    "unique": Scenario("browser.lua", "/items/1", arguments=("unique",)),
    "preflight": Scenario("preflight.lua", "/items/1"),
    "post": Scenario("post.lua", "/items/1"),
    "download": Scenario("", "/big", 8, per_gib=True),
    "upload": Scenario("", "/sink", 1, per_gib=True),
}


@dataclass(frozen=True)
class Row:
    """One measurement: processor time (µs for a request, or s for a GiB), requests in a second, the 99th percentile in ms, RSS in MiB."""

    name: str
    scenario: str
    cost: float
    rate: float
    p99_ms: float
    rss_mib: float


class Unfit(Exception):
    """A contestant that does not start, or answers wrongly; the text says how."""


@contextmanager
def running(command: Command, core: int, port: int, log: Path) -> Iterator[int]:
    """Run a program on one core until the block ends; hands out its process. Raises Unfit if it does not listen."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "HOME": str(log.parent), "XDG_CONFIG_HOME": str(log.parent), "XDG_DATA_HOME": str(log.parent)},
        )
    try:
        if not _listens(port, process):
            raise Unfit(f"it does not listen; see {log}")
        yield process.pid
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
                break


def _listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return True
        time.sleep(0.02)
    return False


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def check(port: int, prefix: str) -> None:
    """Raise Unfit unless a contestant does the same work as all others: the whole body, one right origin, a granted preflight."""
    status, origins, body = _ask(port, "GET", f"{prefix}/items/1")
    if status != 200 or len(body) < 200:
        raise Unfit(f"GET gets {status} with {len(body)} bytes")
    if not prefix and origins != [ORIGIN]:
        raise Unfit(f"Access-Control-Allow-Origin is {origins}")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    status, origins, _ = _ask(port, "OPTIONS", f"{prefix}/items/1", asked)
    if status not in (200, 204) or len(origins) != 1:
        raise Unfit(f"a preflight gets {status} with {origins}")
    if len(_ask(port, "GET", f"{prefix}/big")[2]) != BIG_BYTES:
        raise Unfit("a body of 1 MiB does not come whole")


def _wait_until_right(port: int, prefix: str) -> None:
    """Some listen before they have read their routes. Raises Unfit."""
    for attempt in range(_LOOKS):
        try:
            check(port, prefix)
        except (OSError, http.client.HTTPException, Unfit) as error:
            if attempt == _LOOKS - 1:
                raise Unfit(f"it answers wrongly: {error}") from error
            time.sleep(_LOOK_S)
        else:
            return


def _ask(port: int, method: str, path: str, fields: dict[str, str] | None = None) -> tuple[int, list[str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers={"Origin": ORIGIN, **(fields or {})})
        answer = connection.getresponse()
        return answer.status, answer.headers.get_all("Access-Control-Allow-Origin") or [], answer.read()


def measure(contestant: Contestant, name: str, program: Path, bench: Bench, scenarios: list[str], seconds: int) -> Iterator[Row]:
    """Start a contestant on core 0, and yield what each scenario costs it. Raises Unfit."""
    port = free_port()
    prefix = contestant.prefix.replace("@UPSTREAM@", str(bench.upstream))
    with running(contestant.command(bench, program, port), 0, port, bench.place / f"{name}.log") as pid:
        _wait_until_right(port, prefix)
        for scenario in scenarios:
            kind = SCENARIOS[scenario]
            if scenario != "upload":
                _load(kind, port, prefix, _WARM_UP_S)
            processes = _family(pid)
            before, began = _spent_s(processes), time.monotonic()
            count, moved, p99_ms = _upload(bench, port, prefix) if scenario == "upload" else _load(kind, port, prefix, seconds)
            spent, took = _spent_s(processes) - before, time.monotonic() - began
            cost = spent / (moved / 2**30) if kind.per_gib else spent / count * 1e6
            yield Row(name, scenario, cost, count / took, p99_ms, _rss_mib(processes))


def _load(kind: Scenario, port: int, prefix: str, seconds: int) -> tuple[int, float, float]:
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{kind.connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    command += ["-H", f"Origin: {ORIGIN}", *(("-s", str(HERE / "load" / kind.script)) if kind.script else ())]
    command += [f"http://127.0.0.1:{port}{prefix}{kind.path}", "--", *kind.arguments]
    said = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True).stdout
    found = re.search(r"(\d+) requests in [\d.]+m?s, ([\d.]+)([KMG]?)B read", said)
    late = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if found is None or late is None or "Non-2xx" in said or "Socket errors" in said:
        raise Unfit(f"under load: {said[-300:]}")
    moved = float(found[2]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[found[3]]
    return int(found[1]), moved, float(late[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[late[2]]


def _upload(bench: Bench, port: int, prefix: str) -> tuple[int, float, float]:
    file = bench.place / "upload"
    command = ["taskset", "-c", "1", "curl", "-s", "-S", "-f", "-X", "POST", "-H", "Expect:", "-H", f"Origin: {ORIGIN}"]
    command += ["-T", str(file), f"http://127.0.0.1:{port}{prefix}/sink"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "taken" not in done.stdout:
        raise Unfit(f"an upload fails: {done.stderr or done.stdout}")
    return 1, UPLOAD_BYTES, 0.0


# --- what the kernel knows of processes ---


def _family(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _spent_s(processes: list[int]) -> float:
    total = 0
    for pid in processes:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _rss_mib(processes: list[int]) -> float:
    total = 0
    for pid in processes:
        with contextlib.suppress(OSError):
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
            total += int(found[1]) if found else 0
    return total / 1024
