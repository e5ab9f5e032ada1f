"""
The danger: a disk is full, or whoever read stdout and stderr is gone; what cannot be said must not end what can be done.

The promise: the proxy starts, serves, reloads and ends, with one process or several, and exit codes stay what they are.
"""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_run import ORIGIN, ask, environment
from tests.faults.processes import children, wait_until
from tests.harness import DEADLINE_S

FLAGS = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN)
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
# Where the shell leads stdout and stderr.
OUTPUTS = {
    "a full disk": ">/dev/full 2>/dev/full",
    "nothing": ">&- 2>&-",
    "a pipe without a reader": "",
}
ENDED = {
    "a file that is not there": (78, ("--config", "/nonexistent")),
    "a wrong file": (78, ("--config", "wrong.yaml")),
    "wrong usage": (2, ("--lisen", ":80")),
    "an address that cannot be": (3, (*FLAGS, "--listen", "192.0.2.1:80")),
}

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def start(cwd: Path, output: str, *arguments: str, **extra: str) -> "subprocess.Popen[bytes]":
    command = ["sh", "-c", f'exec "$0" -m corsproxy "$@" {OUTPUTS[output]}', sys.executable, *arguments]
    process = subprocess.Popen(command, cwd=cwd, env=environment(**extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    return process


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("why", ENDED)
def test_a_start_that_fails_has_its_exit_code_whoever_reads_why(tmp_path: Path, output: str, why: str) -> None:
    (tmp_path / "wrong.yaml").write_text("upstream: ftp://localhost\ncors: {allow_origins: [https://app.example.com/]}\n")
    code, arguments = ENDED[why]
    with start(tmp_path, output, *arguments) as process:
        assert process.wait(30) == code


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_it_serves_reloads_and_ends_whoever_reads_its_log(tmp_path: Path, output: str, workers: str) -> None:
    """A unix socket would tell when it listens; a port is found by asking."""
    file = tmp_path / "corsproxy.yaml"
    port = free_port()
    # A warning at the start is written, too.
    text = f"listen: 127.0.0.1:{port}\nupstream: http://localhost:9\ncors: {{allow_origins: [{ORIGIN}, {{regex: 'https://a.example'}}]}}\n"
    file.write_text(text)
    with start(tmp_path, output, "--config", str(file), CORSPROXY_WORKERS=workers) as process:
        try:
            wait_until(lambda: process.poll() is not None or listens(port))
            assert [ask(port, "OPTIONS", "/", PREFLIGHT)[0] for _ in range(20)] == [204] * 20
            assert [ask(port, "GET", "/", {})[0] for _ in range(20)] == [502] * 20
            file.write_text(text.replace("https://app.", "https://other."))
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: ask(port, "OPTIONS", "/", PREFLIGHT)[0] == 403)
            file.write_text("wrong")
            process.send_signal(signal.SIGHUP)
            if workers == "2":
                (nursery,) = children(process.pid)
                killed = children(nursery)[0]
                subprocess.run(["kill", "-9", str(killed)], check=True)
                wait_until(lambda: len(children(nursery)) == 2 and killed not in children(nursery))
            assert ask(port, "OPTIONS", "/", PREFLIGHT)[0] == 403
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionError:
        time.sleep(0.02)
        return False
    return True
