"""How a proxy starts and ends, as a service manager and a container see it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.cli.test_run import ORIGIN, ask, environment, running, silent_upstream

PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
FLAGS = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")


def next_line(process: "subprocess.Popen[str]", text: str) -> str:
    """Read the log up to a line that holds a text."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"it never said {text!r}")


@contextmanager
def in_flight(listener: socket.socket, port: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """An exchange that waits for its upstream: both ends."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(10)
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        called, _ = listener.accept()
        with called:
            yield client, called


# --- shutdown ---


def test_while_it_delays_its_end_it_serves_and_says_so(tmp_path: Path) -> None:
    with running(*FLAGS, cwd=tmp_path, CORSPROXY_SHUTDOWN_DELAY="1h") as (process, port):
        with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as kept:
            kept.request("OPTIONS", "/", headers=PREFLIGHT)
            answer = kept.getresponse()
            assert (answer.status, answer.getheader("Connection"), answer.read()) == (204, None, b"")
            process.send_signal(signal.SIGTERM)
            assert "ending: connections are accepted for 3600 s more" in next_line(process, "ending")
            # One that was open before, and one that is made now.
            for connection in (kept, HTTPConnection("127.0.0.1", port, timeout=10)):
                connection.request("OPTIONS", "/", headers=PREFLIGHT)
                answer = connection.getresponse()
                assert (answer.status, answer.getheader("Connection")) == (204, "close")
                connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


def test_after_the_delay_it_drains(tmp_path: Path) -> None:
    with silent_upstream() as listener:
        flags = ("--upstream", f"http://127.0.0.1:{listener.getsockname()[1]}", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
        with (
            running(*flags, cwd=tmp_path, CORSPROXY_SHUTDOWN_DELAY="10ms") as (process, port),
            in_flight(listener, port) as (client, called),
        ):
            process.send_signal(signal.SIGTERM)
            next_line(process, "draining: 1 in flight, up to 25 s")
            called.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            answer = b""
            while data := client.recv(1000):
                answer += data
            assert answer.endswith(b"\r\n\r\nok")
            assert b"Connection: close" in answer
            assert process.wait(10) == 0


def test_what_outlives_the_grace_is_cut(tmp_path: Path) -> None:
    with silent_upstream() as listener:
        flags = ("--upstream", f"http://127.0.0.1:{listener.getsockname()[1]}", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
        with running(*flags, cwd=tmp_path, CORSPROXY_SHUTDOWN_GRACE="0s") as (process, port), in_flight(listener, port) as (client, _):
            process.send_signal(signal.SIGTERM)
            assert client.recv(1000) == b""
            assert process.wait(10) == 0
            next_line(process, "cut off what was still in flight after 0 s")


# --- systemd ---


def test_systemd_is_told_of_the_start_each_reload_and_the_end(tmp_path: Path) -> None:
    file = tmp_path / "corsproxy.yaml"
    file.write_text(f"listen: 127.0.0.1:0\nupstream: http://localhost:9\ncors: {{allow_origins: [{ORIGIN}]}}\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        with running(cwd=tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")) as (process, _):
            assert manager.recv(100) == b"READY=1"
            for text in ("upstream: http://localhost:8\n", "upstram: http://localhost:8\n"):
                file.write_text(re.sub("upst.*\n", text, file.read_text()))
                process.send_signal(signal.SIGHUP)
                assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
                assert manager.recv(100) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert process.wait(10) == 0


def test_a_reload_without_a_file_does_not_leave_systemd_waiting(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        with running(*FLAGS, cwd=tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")) as (process, _):
            assert manager.recv(100) == b"READY=1"
            process.send_signal(signal.SIGHUP)
            assert manager.recv(100).startswith(b"RELOADING=1\n")
            assert manager.recv(100) == b"READY=1"


ACTIVATION = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "corsproxy", *sys.argv[2:]])
"""


@contextmanager
def activated(sock: socket.socket, *arguments: str, cwd: Path, **extra: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the command as systemd does for a socket unit: the socket is descriptor 3."""
    command = [sys.executable, "-c", ACTIVATION, str(sock.fileno()), *arguments]
    process = subprocess.Popen(
        command, cwd=cwd, env=environment(**extra), pass_fds=[sock.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr:
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def test_a_socket_that_is_handed_over_stands_for_the_addresses(tmp_path: Path) -> None:
    """`listen` names an address that nobody could listen on, and the names that are answered are those of the socket's address."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        flags = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", "192.0.2.1:80")
        with activated(sock, *flags, cwd=tmp_path) as process:
            said = next_line(process, "listening on")
            assert f"listening on http://127.0.0.1:{port}, by sockets of the service manager in place of `listen`" in said
            assert ask(port, "OPTIONS", "/", PREFLIGHT)[0] == 204
            assert ask(port, "OPTIONS", "/", {**PREFLIGHT, "Host": "rebound.example"})[0] == 421
            # A connection that is made while nobody serves waits for the next start.
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as waiting:
            waiting.request("OPTIONS", "/", headers=PREFLIGHT)
            with activated(sock, *flags, cwd=tmp_path):
                assert waiting.getresponse().status == 204


def test_a_unix_socket_that_is_handed_over_keeps_its_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "front"))
        sock.listen()
        with activated(sock, *FLAGS, cwd=tmp_path) as process:
            assert f"listening on unix:{tmp_path}/front, by sockets" in next_line(process, "listening on")
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        assert (tmp_path / "front").is_socket()


def test_what_is_no_listening_socket_is_said(tmp_path: Path) -> None:
    with socket.socket() as sock, activated(sock, *FLAGS, cwd=tmp_path) as process:
        assert process.wait(10) == 3
        assert "error[CP540]: descriptor 3 is no stream socket that listens" in next_line(process, "CP540")


# --- process 1 ---

has_namespaces = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode != 0,
    reason="this user may not make a PID namespace",
)
# An orphan is left to process 1, and ends. Process 1 is a shell until it becomes the proxy.
IN_A_CONTAINER = """
if [ "$ORPHAN" ]; then (sleep 0.2 & echo $! > orphan); fi
exec "$0" -m corsproxy "$@"
"""


@contextmanager
def container(*arguments: str, cwd: Path, **extra: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the command as process 1 of a PID namespace, with a /proc of its own."""
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", IN_A_CONTAINER, sys.executable, *arguments]
    process = subprocess.Popen(command, cwd=cwd, env=environment(**extra), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr:
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def inside(process: "subprocess.Popen[str]") -> int:
    """The PID, seen from outside, of process 1 in there."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


@has_namespaces
def test_process_1_ends_by_sigterm(tmp_path: Path) -> None:
    with container(*FLAGS, cwd=tmp_path) as process:
        next_line(process, "listening on")
        os.kill(inside(process), signal.SIGTERM)
        assert process.wait(10) == 0


@has_namespaces
def test_process_1_ends_by_sigterm_while_it_starts(tmp_path: Path) -> None:
    """It reads its file from a pipe that nobody closes, so it never comes to an end by itself."""
    os.mkfifo(tmp_path / "pipe")
    with container("--config", "pipe", cwd=tmp_path) as process, (tmp_path / "pipe").open("w"):
        # It has opened the pipe, so it runs.
        os.kill(inside(process), signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


@has_namespaces
def test_process_1_reaps_orphans(tmp_path: Path) -> None:
    with container(*FLAGS, cwd=tmp_path, ORPHAN="yes") as process:
        next_line(process, "listening on")
        children = Path(f"/proc/{inside(process)}/task/{inside(process)}/children")
        while children.read_text().split():
            os.sched_yield()
        os.kill(inside(process), signal.SIGTERM)
        assert process.wait(10) == 0
