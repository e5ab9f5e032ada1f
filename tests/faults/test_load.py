"""
The danger: what holds for one request does not hold for five hundred a second: an answer goes to the wrong client, a restart loses some.

The promise: no answer is another's. While the upstream is down there is 502 or 503, and nothing of that is left when it is back. A worker
that is killed takes its own connections with it and no other. SIGTERM loses nothing.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from tests.cli.test_run import running
from tests.faults.load import CLIENTS, EchoProcess, Load, echo
from tests.faults.processes import Family, wait_until
from tests.harness import connect, get

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


@contextmanager
def fronted(cwd: Path, upstream: EchoProcess, workers: int, **extra: str) -> Iterator[tuple["Popen[str]", int]]:
    """Run a proxy in front of an upstream; nobody reads its log of exchanges."""
    flags = ("--upstream", f"http://127.0.0.1:{upstream.port}", "--allow-origin", "https://app.example.com", "--listen", "127.0.0.1:0")
    variables = {"CORSPROXY_HOSTS": "*", "CORSPROXY_LOG_ACCESS": "false", "CORSPROXY_WORKERS": str(workers), **extra}
    with running(*flags, cwd=cwd, **variables) as found:
        yield found


async def first_request(port: int) -> int:
    with await connect(port) as client:
        return (await client.ask(get(b"/first"))).status


async def test_an_upstream_that_is_killed_five_times(tmp_path: Path) -> None:
    with echo() as upstream, fronted(tmp_path, upstream, 1) as (_, port):
        async with Load(port) as load:
            load.phase = "up"
            await load.more(100)
            for number in range(5):
                load.phase = f"falling {number}"
                upstream.kill()
                load.phase = f"down {number}"
                await load.more(100)
                load.phase = f"rising {number}"
                upstream.start()
                assert await first_request(port) == 200
                load.phase = f"up {number}"
                await load.more(100)
            await load.stop()

    assert set(load.statuses("up", *(f"up {number}" for number in range(5)))) == {200}
    assert set(load.statuses(*(f"down {number}" for number in range(5)))) <= {502, 503}
    # In between an answer may be cut off, and then it never looks complete.
    assert {outcome.status for outcome in load.outcomes} <= {0, 200, 502, 503}
    assert len(load.outcomes) >= 1000


async def test_a_worker_that_is_killed(tmp_path: Path) -> None:
    with echo() as upstream, fronted(tmp_path, upstream, 2) as (process, port):
        family = Family.of(process)
        async with Load(port, keeps=lambda _: True) as load:
            while len(load.kept) < CLIENTS:
                await load.more(1)
            clients = dict(load.kept)
            owners = dict(zip(clients, family.owners([client.sock for client in clients.values()]), strict=True))
            killed, other = family.workers
            kept = {number: client for number, client in clients.items() if owners[number] == other}
            before = len(load.outcomes)
            os.kill(killed, signal.SIGKILL)
            await load.more(500)
            # Whoever was with the other still is, on the very same connection.
            assert {number: load.kept[number] for number in kept} == kept
            broken = sum(not outcome.status for outcome in load.outcomes)
            assert broken <= len(owners) - len(kept)
            wait_until(lambda: len(family.workers) == 2 and killed not in family.workers)
            await load.more(100)
            await load.stop()

    assert not [outcome for outcome in load.outcomes[:before] if outcome.status != 200]
    assert {outcome.status for outcome in load.outcomes} <= {0, 200}
    assert sum(not outcome.status for outcome in load.outcomes) == broken


@pytest.mark.parametrize("delay", ["0s", "300ms"], ids=["at once", "after a delay"])
@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_loses_nothing(tmp_path: Path, workers: int, delay: str) -> None:
    with echo() as upstream, fronted(tmp_path, upstream, workers, CORSPROXY_SHUTDOWN_DELAY=delay) as (process, port):
        async with Load(port, slow=True) as load:
            load.phase = "up"
            await load.more(200)
            load.phase = "ending"
            process.send_signal(signal.SIGTERM)
            while process.poll() is None:
                await load.more(10)
            load.phase = "ended"
            await load.stop()
            assert process.returncode == 0

    assert not [outcome for outcome in load.outcomes if outcome.is_lost]
    assert set(load.statuses("up")) == {200}
    # Whatever was answered was answered rightly; who came too late was refused.
    assert {outcome.status for outcome in load.outcomes if outcome.connected} <= {0, 200}
