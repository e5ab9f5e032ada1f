"""
The danger: several workers, and each of them knows a part; a figure that shrinks when one dies reads as a start anew.

The promise: one scrape has the figures of all, what was counted stays counted, and readiness and reload are of the proxy as a whole.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_lifecycle import next_line
from tests.cli.test_run import ORIGIN, ask, corsproxy
from tests.faults.processes import Family, wait_until
from tests.faults.test_workers import PREFLIGHT, REFUSING, changed_crew, connections, file_of, preflight

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


class Admin:
    """The admin listener, asked on one connection."""

    def __init__(self, port: int) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=10)

    def get(self, path: str) -> tuple[int, str]:
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def figure(self, name: str) -> float:
        """The sum of all samples of a name."""
        status, text = self.get("/metrics")
        assert status == 200, text
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def reload(self) -> tuple[int, dict[str, object]]:
        self.connection.request("POST", "/-/reload", body="{}", headers={"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


@contextmanager
def watched(cwd: Path, change: str = "", more: str = "") -> Iterator[tuple["subprocess.Popen[str]", int, Family, Admin, Path]]:
    """Run a proxy with two workers and an admin listener."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = cwd / "corsproxy.yaml"
    file.write_text(file_of(ORIGIN, more))
    with changed_crew(cwd, change, "--config", str(file), CORSPROXY_ADMIN_LISTEN=f"127.0.0.1:{port}") as (process, front, family):
        admin = Admin(port)
        with closing(admin.connection):
            yield process, front, family, admin, file


def test_one_scrape_has_the_figures_of_all_workers_and_none_shrinks_when_one_dies(tmp_path: Path) -> None:
    with watched(tmp_path) as (process, port, family, admin, _), connections(port, family) as kept:
        asked = sum(map(len, kept.values()))
        assert admin.figure("corsproxy_requests_total") == asked
        assert admin.figure("corsproxy_request_duration_seconds_count") == asked
        assert admin.figure("corsproxy_client_connections") == asked
        assert admin.figure("corsproxy_workers") == 2
        assert admin.figure("corsproxy_in_flight_requests_limit") == 8000
        killed, other = family.workers
        os.kill(killed, signal.SIGKILL)
        next_line(process, "CP541")
        wait_until(lambda: admin.figure("corsproxy_client_connections") == len(kept[other]))
        wait_until(lambda: admin.figure("corsproxy_workers") == 2)
        assert admin.figure("corsproxy_requests_total") == asked


def test_a_worker_that_ends_in_order_tells_what_nobody_had_asked_for_yet(tmp_path: Path) -> None:
    with watched(tmp_path) as (process, port, family, admin, _):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            assert preflight(sock)
            told = family.owner(sock)
        os.kill(told, signal.SIGTERM)
        next_line(process, "has ended")
        wait_until(lambda: len(family.workers) == 2)
        wait_until(lambda: admin.figure("corsproxy_requests_total") == 1)


def test_it_is_ready_while_one_worker_serves_and_says_how_many_do(tmp_path: Path) -> None:
    change = "import corsproxy.processes.workers as w; w._FIRST_PAUSE_S = 3600.0; w._LONGEST_PAUSE_S = 3600.0"
    with watched(tmp_path, change) as (process, port, family, admin, _):
        assert ask(port, "OPTIONS", "/", PREFLIGHT)[0] == 204
        status, text = admin.get("/readyz?verbose")
        assert (status, "[+] workers: 2 of 2 serve" in text) == (200, True)
        for place, said in enumerate(("[!] workers: 1 of 2 serve", "[-] listening: no worker listens")):
            os.kill(family.workers[0], signal.SIGKILL)
            next_line(process, "CP541")
            # That its connection to the supervisor is gone may be met a moment later.
            wait_until(lambda said=said: said in admin.get("/readyz?verbose")[1])  # type: ignore[misc]
            assert admin.get("/readyz")[0] == (200, 503)[place]


def test_it_is_not_ready_while_it_delays_its_end(tmp_path: Path) -> None:
    with watched(tmp_path, more="shutdown: {delay: 1h}\n") as (process, _, _, admin, _):
        process.send_signal(signal.SIGTERM)
        next_line(process, "ending")
        status, text = admin.get("/readyz")
        assert (status, text) == (503, "not ready: it is about to drain\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


def test_a_worker_that_does_not_answer_keeps_no_scrape_waiting(tmp_path: Path) -> None:
    change = "import corsproxy.processes.gathering as g; g._PATIENCE_S = 0.2"
    with watched(tmp_path, change) as (_, port, family, admin, _), connections(port, family) as kept:
        asked = sum(map(len, kept.values()))
        assert admin.figure("corsproxy_requests_total") == asked
        stopped = family.workers[0]
        os.kill(stopped, signal.SIGSTOP)
        # What it told last still counts.
        assert admin.figure("corsproxy_requests_total") == asked
        os.kill(stopped, signal.SIGCONT)


def test_a_reload_that_is_asked_for_there_is_one_of_all_workers(tmp_path: Path) -> None:
    with watched(tmp_path) as (_, port, _, admin, file):
        file.write_text(file_of("https://other.example"))
        status, outcome = admin.reload()
        assert (status, outcome["ok"]) == (200, True)
        assert {ask(port, "OPTIONS", "/", PREFLIGHT)[0] for _ in range(20)} == {403}
        assert admin.figure("corsproxy_config_reloads_total") == 1


def test_one_that_no_worker_takes_is_refused(tmp_path: Path) -> None:
    with watched(tmp_path, REFUSING.replace("REFUSES", "(1, 2)")) as (_, port, _, admin, file):
        file.write_text(file_of("https://other.example"))
        status, outcome = admin.reload()
        assert (status, outcome["ok"]) == (422, False)
        assert {ask(port, "OPTIONS", "/", PREFLIGHT)[0] for _ in range(20)} == {204}


def test_an_address_of_the_admin_that_is_taken_keeps_the_proxy_from_starting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        file = tmp_path / "corsproxy.yaml"
        file.write_text(file_of(ORIGIN))
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        said = corsproxy("--config", str(file), cwd=tmp_path, CORSPROXY_ADMIN_LISTEN=taken)
    assert said.returncode == 3
    assert f"error[CP504]: cannot listen on {taken}" in said.stderr


# --- the inspector ---


def looked_at(admin: Admin) -> dict[str, Any]:
    status, text = admin.get("/inspector/exchanges")
    assert status == 200, text
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_the_inspector_shows_what_all_workers_have_seen_and_keeps_it_when_one_dies(tmp_path: Path) -> None:
    with watched(tmp_path) as (process, port, family, admin, _), connections(port, family) as kept:
        asked = sum(map(len, kept.values()))
        found = looked_at(admin)
        assert (len(found["entries"]), found["counts"]["total"]) == (asked, asked)
        times = [entry["time"] for entry in found["entries"]]
        assert times == sorted(times)
        os.kill(family.workers[0], signal.SIGKILL)
        next_line(process, "CP541")
        refused = ask(port, "OPTIONS", "/late", PREFLIGHT | {"Access-Control-Request-Headers": "x-trace"})
        assert refused[0] == 204
        wait_until(lambda: len(looked_at(admin)["entries"]) == asked + 1)
        found = looked_at(admin)
        assert (found["counts"]["total"], found["counts"]["bad"]) == (asked + 1, 1)
        status, text = admin.get(f"/inspector/exchanges/{found['entries'][-1]['id']}")
        explained = json.loads(text)
        assert (status, explained["entry"]["reason"]) == (200, "preflight-header-refused")
        assert explained["entry"]["place"].startswith(f"{tmp_path}/corsproxy.yaml:")
        assert "x-trace" in explained["command"]


def test_a_worker_that_is_slow_holds_nobody_back_and_tells_nothing_twice(tmp_path: Path) -> None:
    change = "import corsproxy.processes.gathering as g; g._LOOK_PATIENCE_S = 0.1; g._FRESH_S = 0.0"
    with watched(tmp_path, change) as (_, port, family, admin, _), connections(port, family) as kept:
        stopped, other = family.workers
        os.kill(stopped, signal.SIGSTOP)
        for _ in range(3):
            assert len(looked_at(admin)["entries"]) == len(kept[other])
        os.kill(stopped, signal.SIGCONT)
        wait_until(lambda: len(looked_at(admin)["entries"]) == sum(map(len, kept.values())))
        assert len(looked_at(admin)["entries"]) == looked_at(admin)["counts"]["total"]
