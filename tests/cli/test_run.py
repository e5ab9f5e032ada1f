"""The command line as a user meets it: a process, its output and its exit code."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from corsproxy import __version__

ROOT = Path(__file__).parents[2]
ORIGIN = "https://app.example.com"


def environment(**extra: str) -> dict[str, str]:
    # Tests run side by side, and the default port is there once.
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CORSPROXY_ADMIN_LISTEN": "off", **extra}


def corsproxy(*arguments: str, cwd: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    command = [sys.executable, "-m", "corsproxy", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(**extra), capture_output=True, text=True, timeout=30, check=False)


@contextmanager
def running(*arguments: str, cwd: Path, **extra: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run the command until the block ends; hands out the process and the port that it says it listens on."""
    command = [sys.executable, "-m", "corsproxy", *arguments]
    process = subprocess.Popen(command, cwd=cwd, env=environment(**extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said = ""
        while not (found := re.search(r"listening on https?://[^ ]*:(\d+)", said)):
            line = process.stderr.readline()
            assert line, f"it ended: {said}"
            said += line
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()


def ask(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, str | None, bytes]:
    """Make one request; hands out status, Access-Control-Allow-Origin and content."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Access-Control-Allow-Origin"), answer.read()


@contextmanager
def silent_upstream() -> Iterator[socket.socket]:
    """A socket that listens and never answers."""
    with socket.socket() as listener:
        listener.settimeout(10)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_version_is_said(tmp_path: Path) -> None:
    assert corsproxy("--version", cwd=tmp_path).stdout == f"corsproxy {__version__}\n"


def test_help_teaches_the_first_steps(tmp_path: Path) -> None:
    said = corsproxy("--help", cwd=tmp_path)

    assert said.returncode == 0
    for taught in ("corsproxy --upstream http://localhost:9000", "corsproxy --config corsproxy.yaml", "demo", "exit codes"):
        assert taught in said.stdout


def test_an_unknown_verb_is_a_usage_error_with_the_nearest_one(tmp_path: Path) -> None:
    said = corsproxy("dmeo", cwd=tmp_path)

    assert said.returncode == 2
    assert "did you mean `demo`?" in said.stderr


def test_without_a_policy_it_says_three_ways_on(tmp_path: Path) -> None:
    said = corsproxy(cwd=tmp_path)

    assert said.returncode == 2
    assert "corsproxy --config FILE" in said.stderr
    assert "corsproxy demo" in said.stderr


def test_a_wrong_file_prints_all_problems_located_and_never_listens(tmp_path: Path) -> None:
    """Four mistakes, four messages, exit code 78."""
    example = (ROOT / "config.example.yaml").read_text()
    wrong = example.replace("    - https://app.example.com       #", "    - https://app.example.com/      #").replace(
        "  # allow_credentials: false", "  allow_credentials: true\n  allow_credentials: true\n  # allow_credentials: false"
    )
    wrong = wrong.replace("    # - https://*.example.com ", '    - "*"\n    # - https://*.example.com ').replace(
        "  allow_origins:   ", "  allow_orgins:   "
    )
    (tmp_path / "wrong.yaml").write_text(wrong)

    said = corsproxy("--config", "wrong.yaml", "--listen", "127.0.0.1:0", cwd=tmp_path)

    assert said.returncode == 78
    assert "listening" not in said.stderr
    located = dict(re.findall(r"^error\[(CP\d+)\].*\n\s*--> wrong\.yaml:(\d+):\d+$", said.stderr, re.MULTILINE))
    assert {"CP103", "CP104", "CP201", "CP202"} <= set(located)


def test_the_example_file_starts(tmp_path: Path) -> None:
    with running("--config", str(ROOT / "config.example.yaml"), "--listen", "127.0.0.1:0", cwd=tmp_path) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_file_in_the_current_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "corsproxy.yaml").write_text(f"listen: 127.0.0.1:0\nupstream: http://localhost:9\ncors: {{allow_origins: [{ORIGIN}]}}\n")
    with running(cwd=tmp_path) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_flags_alone_are_enough(tmp_path: Path) -> None:
    arguments = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
    with running(*arguments, cwd=tmp_path) as (_, port):
        status, allowed, _ = ask(port, "OPTIONS", "/", {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"})
        assert (status, allowed) == (204, ORIGIN)
        status, allowed, content = ask(port, "GET", "/", {"Origin": ORIGIN})
        assert (status, allowed) == (502, ORIGIN)
        assert json.loads(content)["code"] == "CP401"


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_log_that_nobody_reads_any_more_costs_lines_and_not_the_proxy(tmp_path: Path, unbuffered: str) -> None:
    arguments = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
    with running(*arguments, cwd=tmp_path, PYTHONUNBUFFERED=unbuffered) as (process, port):
        assert process.stdout is not None
        process.stdout.close()
        assert [ask(port, "GET", "/", {})[0] for _ in range(2)] == [502, 502]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "BrokenPipe" not in process.stderr.read()


def test_a_proxy_runs_without_stdin_and_stdout(tmp_path: Path) -> None:
    """A socket in their place would make libuv abort."""
    arguments = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
    command = ["sh", "-c", 'exec "$0" -m corsproxy "$@" <&- >&-', sys.executable, *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr:
        try:
            port = next(int(found[1]) for line in process.stderr if (found := re.search(r"listening on https?://[^ ]*:(\d+)", line)))
            assert ask(port, "GET", "/", {})[0] == 502
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait(10)


def test_flags_win_over_variables_and_those_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "corsproxy.yaml").write_text(f"listen: 127.0.0.1:1\nupstream: http://localhost:9\ncors: {{allow_origins: [{ORIGIN}]}}\n")
    variables = {"CORSPROXY_LISTEN": "127.0.0.1:1", "CORSPROXY_CORS_ALLOW_ORIGINS": "https://other.example"}
    with running("--listen", "127.0.0.1:0", cwd=tmp_path, **variables) as (_, port):
        status, _, _ = ask(port, "OPTIONS", "/", {"Origin": "https://other.example", "Access-Control-Request-Method": "PUT"})
        assert status == 204


def test_a_file_may_refer_to_variables_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "corsproxy.yaml").write_text("listen: 127.0.0.1:0\nupstream: ${UP}\ncors: {allow_origins: ['${ORIGIN}']}\n")
    with running(cwd=tmp_path, UP="http://localhost:9", ORIGIN=ORIGIN) as (_, port):
        status, allowed, _ = ask(port, "OPTIONS", "/", {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"})
        assert (status, allowed) == (204, ORIGIN)

    said = corsproxy(cwd=tmp_path, UP="http://localhost:9")
    assert said.returncode == 78
    assert "error[CP116]: the environment variable `ORIGIN` is not set\n --> corsproxy.yaml:3:25\n" in said.stderr


def test_a_variable_that_nobody_knows_is_named_and_a_service_link_is_not(tmp_path: Path) -> None:
    arguments = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
    command = [sys.executable, "-m", "corsproxy", *arguments]
    variables = environment(CORSPROXY_UPSTREAM="http://x", CORSPROXY_PORT="tcp://10.0.0.1:80", CORSPROXY_SERVICE_HOST="10.0.0.1")
    process = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr:
        said = ""
        while "listening" not in said:
            said += process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert "`CORSPROXY_UPSTREAM` is not one that corsproxy knows" in said
    assert "CORSPROXY_PORT" not in said
    assert "CORSPROXY_SERVICE" not in said


def test_a_taken_address_is_a_start_up_failure_that_says_so(tmp_path: Path) -> None:
    with silent_upstream() as listener:
        port = listener.getsockname()[1]
        said = corsproxy("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", f"127.0.0.1:{port}", cwd=tmp_path)

    assert said.returncode == 3
    assert said.stderr == (
        f"error[CP504]: cannot listen on 127.0.0.1:{port}: address already in use\n"
        "  = help: stop what uses it, or choose another address with `listen`\n"
    )


def test_what_is_doubtful_is_said_before_the_banner_as_the_log_is_written(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    for form, first in (("text", "note[CP253]: "), ("json", '{"@timestamp":'), ("logfmt", "time=")):
        file.write_text(
            f"listen: 127.0.0.1:0\nupstream: http://localhost:9\nlog: {{format: {form}}}\n"
            f"cors: {{allow_origins: [{ORIGIN}], allow_methods: [PUT]}}\n"
        )
        command = [sys.executable, "-m", "corsproxy", "-c", str(file)]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert process.stderr is not None
        with process.stderr:
            said = [process.stderr.readline()]
            while "listening on" not in said[-1]:
                said.append(process.stderr.readline())
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        assert said[0].startswith(first)
        assert "CP253" in said[0]
        if form == "json":
            warned, banner = map(json.loads, said)
            assert (warned["log.level"], warned["message"]) == ("info", "the configuration is in force, with 1 note")
            assert [each["code"] for each in warned["corsproxy.diagnostics"]] == ["CP253"]
            assert banner["corsproxy.routes"] == [f"to http://localhost:9: {ORIGIN}; PUT; request headers content-type; no credentials"]


def test_the_banner_shows_no_secret(tmp_path: Path) -> None:
    (tmp_path / "origin").write_text("https://customer.example\n")
    reference = f"${{file:{tmp_path}/origin}}"
    (tmp_path / "corsproxy.yaml").write_text(
        f"listen: 127.0.0.1:1\nupstream: http://localhost:9\ncors: {{allow_origins: ['{reference}']}}\nlog: {{format: text}}\n"
    )
    command = [sys.executable, "-m", "corsproxy", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    with process.stderr:
        said = process.stderr.readline() + process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert said.endswith(
        f"\n  to http://localhost:9: {reference}; GET HEAD POST PUT PATCH DELETE; request headers content-type; no credentials\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_idle_proxy_ends_at_once_and_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    arguments = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
    with running(*arguments, cwd=tmp_path) as (process, _):
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_a_second_signal_ends_a_drain(tmp_path: Path) -> None:
    """The upstream never answers, so the drain would wait for its whole grace."""
    with silent_upstream() as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        arguments = ("--upstream", address, "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
        with running(*arguments, cwd=tmp_path) as (process, port), socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            # Once the upstream has been called, the exchange is in flight.
            called, _ = listener.accept()
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            assert "draining: 1 in flight" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 128 + signal.SIGTERM
            called.close()


def test_the_access_log_is_one_json_line_an_exchange_without_the_query(tmp_path: Path) -> None:
    arguments = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
    with running(*arguments, cwd=tmp_path) as (process, port):
        status, _, _ = ask(port, "GET", "/orders?token=secret", {"Origin": "https://evil.example", "Cookie": "sid=secret"})
        assert status == 403
        assert process.stdout is not None
        line = process.stdout.readline()
    entry = json.loads(line)
    assert "secret" not in line
    assert entry["url.path"] == "/orders"
    assert entry["http.response.status_code"] == 403
    assert entry["corsproxy.reason"] == "origin-refused"
    assert entry["corsproxy.origin"] == "https://evil.example"


def test_a_file_whose_own_tests_fail_never_starts(tmp_path: Path) -> None:
    (tmp_path / "corsproxy.yaml").write_text(
        "listen: 127.0.0.1:0\nupstream: http://localhost:9000\ncors: {allow_origins: [https://app.example.com]}\n"
        "tests: [{origin: https://app.example.com, headers: [X-A], expect: allow}]\n"
    )
    said = corsproxy(cwd=tmp_path)

    assert said.returncode == 78
    assert "error[CP122]: `GET /` from `https://app.example.com` with `X-A` should be `allow`, but its preflight fails" in said.stderr
    assert "corsproxy.yaml:4:67" in said.stderr
