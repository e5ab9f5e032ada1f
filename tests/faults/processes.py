"""The processes of a proxy with several workers, as /proc shows them."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.harness import DEADLINE_S


def children(pid: int) -> list[int]:
    """The children of a process, in the order of their birth."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def is_alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until(condition: Callable[[], bool], message: str = "it did not come to pass") -> None:
    """Wait for what another process does."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, message
        time.sleep(0.01)


@dataclass(frozen=True)
class Family:
    """A supervisor, its nursery, and the workers that live now."""

    supervisor: int
    nursery: int

    @staticmethod
    def of(process: "subprocess.Popen[str]") -> "Family":
        (nursery,) = children(process.pid)
        return Family(process.pid, nursery)

    @property
    def workers(self) -> list[int]:
        return [child for child in children(self.nursery) if is_alive(child)]

    def owners(self, clients: Sequence[socket.socket]) -> list[int]:
        """The workers that have accepted these clients' connections, one for each. It looks once, whatever their number."""
        inodes: dict[tuple[str, str], str] = {}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            inodes[fields[1].rpartition(":")[2], fields[2].rpartition(":")[2]] = fields[9]
        workers: dict[str, int] = {}
        for worker in self.workers:
            for entry in Path(f"/proc/{worker}/fd").iterdir():
                with suppress(OSError):
                    workers[str(entry.readlink())] = worker
        ports = [(f"{client.getpeername()[1]:04X}", f"{client.getsockname()[1]:04X}") for client in clients]
        return [workers[f"socket:[{inodes[pair]}]"] for pair in ports]

    def owner(self, client: socket.socket) -> int:
        """The worker that has accepted a client's connection."""
        (worker,) = self.owners([client])
        return worker

    def all_gone(self, workers: list[int]) -> bool:
        return not any(map(is_alive, (self.supervisor, self.nursery, *workers)))


def run_with_a_change(change: str) -> list[str]:
    """The command line of a proxy in which some of its own code was changed first, to fail where a test wants it."""
    return ["-c", f"{change}\nimport sys\nfrom corsproxy.cli.main import main\nsys.exit(main())\n"]


def signal_group(process: "subprocess.Popen[str]", number: int) -> None:
    """Send a signal to every process of a group, as terminals do, and systemd to those of a unit."""
    os.killpg(process.pid, number)
