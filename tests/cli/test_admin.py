"""The admin listener of a real process, and the verbs that ask it."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from corsproxy.cli import asking, environment, loading
from tests.cli.test_run import ask, corsproxy
from tests.cli.test_run import environment as process_environment

POLICY = "listen: 127.0.0.1:0\nupstream: http://127.0.0.1:9\ncors: {allow_origins: [https://app.example.com]}\n"
FLAGS = ("--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:9", "--allow-origin", "https://app.example.com")


@dataclass
class Running:
    """A proxy's process; `said` is its log up to the line that it listens."""

    process: "subprocess.Popen[str]"
    said: str
    port: int
    admin: str

    @property
    def admin_port(self) -> int:
        return int(self.admin.rpartition(":")[2])


@contextmanager
def running(*arguments: str, cwd: Path, **extra: str) -> Iterator[Running]:
    command = [sys.executable, "-m", "corsproxy", *arguments]
    variables = process_environment(**{"CORSPROXY_ADMIN_LISTEN": "127.0.0.1:0"} | extra)
    process = subprocess.Popen(command, cwd=cwd, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = ""
    try:
        while not (found := re.search(r"listening on http://127.0.0.1:(\d+)", said)):
            line = process.stderr.readline()
            assert line, f"it ended: {said}"
            said += line
        admin = re.search(r"health.* on ([^\"\s]+)", said)
        yield Running(process, said, int(found[1]), admin[1] if admin else "")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stderr.close()


def file_in(tmp_path: Path, text: str = POLICY) -> Path:
    file = tmp_path / "corsproxy.yaml"
    file.write_text(text)
    return file


LABELS = ("kind", "decision", "status_class", "reason", "state", "outcome", "code", "le")


def scrape(port: int) -> dict[tuple[str, ...], float]:
    """Scrape: each number by its name and the values of its labels."""
    status, _, body = ask(port, "GET", "/metrics", {})
    assert status == 200
    return {
        (sample.name, *(sample.labels[label] for label in LABELS if label in sample.labels)): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def number(port: int, name: str) -> float:
    return scrape(port)[name,]


@contextmanager
def taken() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


# --- where it listens ---


def test_it_answers_beside_the_proxy_and_never_on_its_port(tmp_path: Path) -> None:
    file_in(tmp_path)
    with running(cwd=tmp_path) as made:
        assert ask(made.admin_port, "GET", "/healthz", {})[::2] == (200, b"ok\n")
        assert ask(made.admin_port, "GET", "/readyz", {})[::2] == (200, b"ready\n")
        # On the proxy's own port these are paths like any other: the upstream is asked, and does not answer.
        for path in ("/healthz", "/readyz", "/metrics", "/config"):
            assert ask(made.port, "GET", path, {})[0] == 502
        assert number(made.admin_port, "corsproxy_workers") == 1
        assert ask(made.admin_port, "GET", "/readyz?verbose", {})[2].decode().splitlines() == [
            "[+] config: loaded",
            "[+] listening",
            "[+] not draining",
            "[+] last reload: none yet",
            "[!] upstream http://127.0.0.1:9: connecting to 127.0.0.1:9: connection refused",
            "ready",
        ]


def test_with_a_file_a_taken_port_is_a_start_failure(tmp_path: Path) -> None:
    file_in(tmp_path)
    with taken() as port:
        done = corsproxy(cwd=tmp_path, CORSPROXY_ADMIN_LISTEN=f"127.0.0.1:{port}")

    assert done.returncode == 3
    assert f"error[CP504]: cannot listen on 127.0.0.1:{port}: address already in use" in done.stderr
    assert "choose another address with `admin.listen`" in done.stderr
    assert "listening on" not in done.stderr


def test_without_a_file_it_is_a_warning_and_the_proxy_goes_on(tmp_path: Path) -> None:
    with taken() as port, running(*FLAGS, cwd=tmp_path, CORSPROXY_ADMIN_LISTEN=f"127.0.0.1:{port}") as made:
        first = json.loads(made.said.splitlines()[0])
        assert (first["log.level"], first["corsproxy.problem"]) == ("warning", "CP550")
        assert f"127.0.0.1:{port}" in first["message"]
        assert made.admin == ""
        assert ask(made.port, "GET", "/", {})[0] == 502


def test_off_is_off(tmp_path: Path) -> None:
    file_in(tmp_path, POLICY + 'admin: "off"\n')
    with running(cwd=tmp_path, CORSPROXY_ADMIN_LISTEN="") as made:
        assert made.admin == ""
        done = corsproxy("probe", cwd=tmp_path, CORSPROXY_ADMIN_LISTEN="")
        assert (done.returncode, done.stdout) == (1, 'not reachable: the admin listener is closed: `admin.listen` is "off"\n')


def test_a_unix_socket_is_there_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    file_in(tmp_path, POLICY + f"admin: {{listen: 'unix:{path}'}}\n")
    with running(cwd=tmp_path, CORSPROXY_ADMIN_LISTEN="") as made:
        assert made.admin == f"unix:{path}"
        for verb in (["probe"], ["probe", "--ready"], ["reload"], ["probe", "--url", f"unix:{path}"]):
            assert corsproxy(*verb, cwd=tmp_path, CORSPROXY_ADMIN_LISTEN="").returncode == 0
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(10) == 0
        assert not path.exists()


def test_its_address_waits_for_a_restart_and_its_hosts_do_not(tmp_path: Path) -> None:
    file = file_in(tmp_path, POLICY + "admin: {listen: 127.0.0.1:0}\n")
    with running(cwd=tmp_path, CORSPROXY_ADMIN_LISTEN="") as made:
        assert ask(made.admin_port, "GET", "/healthz", {"Host": "ops.internal"})[0] == 421
        file.write_text(POLICY + "admin: {listen: 127.0.0.1:1, hosts: [ops.internal]}\n")
        done = corsproxy("reload", "--url", made.admin, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (
            0,
            "corsproxy.yaml: no problems\nneeds a restart: admin.listen\nin force: what the file says\n",
        )
        assert ask(made.admin_port, "GET", "/healthz", {"Host": "ops.internal"})[0] == 200
        assert b"# admin.listen: needs a restart" in ask(made.admin_port, "GET", "/config", {})[2]


# --- several workers ---


@contextmanager
def answering() -> Iterator[int]:
    """An upstream that answers whatever comes."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"four")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join(10)


def test_two_workers_are_added_up_while_they_are_busy(tmp_path: Path) -> None:
    clients, each = 12, 40

    def load(port: int) -> None:
        # A connection for every few requests, so that both workers get some.
        for _ in range(each // 4):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                for _ in range(4):
                    connection.request("GET", "/", headers={"Origin": "https://app.example.com"})
                    assert connection.getresponse().read() == b"four"

    with answering() as upstream:
        file_in(tmp_path, POLICY.replace("127.0.0.1:9", f"127.0.0.1:{upstream}") + "workers: 2\n")
        with running(cwd=tmp_path) as made, ThreadPoolExecutor(clients) as pool:
            jobs = [pool.submit(load, made.port) for _ in range(clients)]
            seen = []
            # Fewer than the admin listener allows in a second.
            while wait(jobs, timeout=0.05).not_done:
                found = scrape(made.admin_port)
                seen.append(found.get(("corsproxy_requests_total", "actual", "granted", "2xx"), 0))
                assert seen[-1] == found.get(("corsproxy_request_duration_seconds_count", "actual"), 0)
            for job in jobs:
                job.result()
            found = scrape(made.admin_port)

    assert seen == sorted(seen)
    assert found["corsproxy_requests_total", "actual", "granted", "2xx"] == clients * each
    assert found["corsproxy_request_duration_seconds_count", "actual"] == clients * each
    assert found["corsproxy_request_duration_seconds_bucket", "actual", "+Inf"] == clients * each
    assert found["corsproxy_cors_decisions_total", "granted", "origin-allowed"] == clients * each
    assert found["corsproxy_response_body_bytes_total", "actual"] == clients * each * 4
    assert found["corsproxy_upstream_connects_total",] + found["corsproxy_upstream_connection_reuses_total",] == clients * each
    assert (found["corsproxy_workers",], found["corsproxy_in_flight_requests",]) == (2, 0)
    assert found["corsproxy_in_flight_requests_limit",] == 8000


# --- reload ---


def test_a_reload_prints_what_the_running_proxy_found(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    with running(cwd=tmp_path) as made:
        started = number(made.admin_port, "corsproxy_config_last_reload_success_timestamp_seconds")
        file.write_text(POLICY.replace("allow_origins", "allow_orgins"))
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        done = corsproxy("reload", "--url", made.admin, cwd=elsewhere)

        assert done.returncode == 1
        assert done.stdout == corsproxy("check", cwd=tmp_path).stdout + "refused: the configuration that was in force stays\n"
        assert "  |        ^^^^^^^^^^^^\n" in done.stdout
        assert number(made.admin_port, "corsproxy_config_last_reload_successful") == 0
        assert number(made.admin_port, "corsproxy_config_last_reload_success_timestamp_seconds") == started
        assert ask(made.admin_port, "GET", "/readyz", {})[0] == 200
        assert (
            b"[!] last reload: refused, with 1 error; the configuration before it stays\n"
            in ask(made.admin_port, "GET", "/readyz?verbose", {})[2]
        )

        file.write_text(POLICY.replace("app.example.com", "other.example.com"))
        done = corsproxy("reload", "--url", made.admin, cwd=elsewhere)
        assert (done.returncode, done.stdout) == (0, "corsproxy.yaml: no problems\nin force: what the file says\n")
        assert ask(made.port, "OPTIONS", "/", {"Origin": "https://other.example.com", "Access-Control-Request-Method": "PUT"})[:2] == (
            204,
            "https://other.example.com",
        )
        assert number(made.admin_port, "corsproxy_config_last_reload_successful") == 1
        assert number(made.admin_port, "corsproxy_config_last_reload_success_timestamp_seconds") > started
        assert b"https://other.example.com" in ask(made.admin_port, "GET", "/config", {})[2]


def test_a_reload_without_a_file_is_refused(tmp_path: Path) -> None:
    with running(*FLAGS, cwd=tmp_path) as made:
        done = corsproxy("reload", "--url", made.admin, cwd=tmp_path)

        assert done.returncode == 1
        assert "warning[CP513]: corsproxy runs without a file" in done.stdout
        assert number(made.admin_port, "corsproxy_config_last_reload_successful") == 1


def test_a_reload_that_nobody_hears_ends_with_3(tmp_path: Path) -> None:
    with taken() as port:
        pass
    done = corsproxy("reload", "--url", f"http://127.0.0.1:{port}", cwd=tmp_path)

    assert done.returncode == 3
    assert done.stderr.startswith(f"error[CP551]: http://127.0.0.1:{port}: connection refused\n")
    assert "SIGHUP" in done.stderr


def test_a_reload_that_is_not_served_says_what_else_helps(tmp_path: Path) -> None:
    file_in(tmp_path, POLICY + "admin: {listen: '0.0.0.0:0'}\n")
    with running(cwd=tmp_path, CORSPROXY_ADMIN_LISTEN="") as made:
        done = corsproxy("reload", "--url", f"127.0.0.1:{made.admin_port}", cwd=tmp_path)

        assert done.returncode == 1
        assert "error[CP552]: http://127.0.0.1:" in done.stderr
        assert "answered 403: on an address that other machines can reach" in done.stderr
        assert "SIGHUP" in done.stderr
        assert corsproxy("probe", "--url", f"127.0.0.1:{made.admin_port}", cwd=tmp_path).returncode == 0


def test_an_exposed_admin_is_a_warning_at_the_start_and_a_number(tmp_path: Path) -> None:
    file_in(tmp_path, POLICY + "admin: {listen: '0.0.0.0:0', dangerously_expose_admin: true}\n")
    with running(cwd=tmp_path, CORSPROXY_ADMIN_LISTEN="") as made:
        assert '"code":"CP251"' in made.said
        assert number(made.admin_port, "corsproxy_dangerous_settings") == 1
        assert corsproxy("reload", "--url", f"127.0.0.1:{made.admin_port}", cwd=tmp_path).returncode == 0


# --- probe ---


def test_a_probe_says_in_one_line_what_it_heard(tmp_path: Path) -> None:
    file_in(tmp_path)
    with running(cwd=tmp_path) as made:
        for flags, said in (([], "ok\n"), (["--ready"], "ready\n")):
            done = corsproxy("probe", *flags, "--url", made.admin, cwd=tmp_path)
            assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    done = corsproxy("probe", "--url", made.admin, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, f"not reachable: {made.admin}: connection refused\n")


def test_a_probe_hears_that_a_proxy_is_ending(tmp_path: Path) -> None:
    file_in(tmp_path, POLICY + "shutdown: {delay: 30s}\n")
    with running(cwd=tmp_path) as made:
        made.process.send_signal(signal.SIGTERM)
        assert made.process.stderr is not None
        assert "ending" in made.process.stderr.readline()
        done = corsproxy("probe", "--ready", "--url", made.admin, cwd=tmp_path)

        assert (done.returncode, done.stdout) == (1, "not ready: it is about to drain\n")
        assert corsproxy("probe", "--url", made.admin, cwd=tmp_path).returncode == 0
        status, _, body = ask(made.admin_port, "GET", "/metrics", {})
        assert (status, b"corsproxy_requests" in body or b"corsproxy_workers" in body) == (200, True)
        with closing(http.client.HTTPConnection("127.0.0.1", made.admin_port, timeout=10)) as connection:
            connection.request("POST", "/-/reload", headers={"Content-Type": "application/json"})
            assert connection.getresponse().status == 503


def test_a_probe_of_something_else_is_no_yes(tmp_path: Path) -> None:
    file_in(tmp_path)
    with running(cwd=tmp_path) as made:
        done = corsproxy("probe", "--url", f"http://127.0.0.1:{made.port}", cwd=tmp_path)

    assert done.returncode == 1
    assert done.stdout.startswith("answered 502: ")
    assert done.stdout.count("\n") == 1


def test_a_probe_needs_neither_aiohttp_nor_asyncio_nor_yaml(tmp_path: Path) -> None:
    script = "import sys; from corsproxy.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"

    def imported(*flags: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", script, "probe", *flags],
            cwd=tmp_path,
            env=process_environment(CORSPROXY_ADMIN_LISTEN=""),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return set(done.stdout.splitlines()[-1].split())

    (tmp_path / "corsproxy.yaml").write_text("upstream: http://a\n")
    assert imported().isdisjoint({"aiohttp", "asyncio", "yaml", "corsproxy.app", "corsproxy.config.load", "corsproxy.config.settings"})
    (tmp_path / "corsproxy.yaml").write_text("upstream: http://a\nadmin: {listen: 127.0.0.1:1}\n")
    assert imported().isdisjoint({"aiohttp", "asyncio", "corsproxy.app", "corsproxy.config.load", "corsproxy.config.settings"})


def test_the_names_of_files_and_variables_are_those_of_the_other_verbs() -> None:
    assert asking._DEFAULT_FILES == loading.DEFAULT_FILES
    assert asking._FILE_VARIABLE == environment.CONFIG
    assert environment.KEYS[asking._VARIABLE] == "admin.listen"
