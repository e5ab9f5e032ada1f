"""Whatever becomes of stdout and stderr, the proxy answers, and ends when it is told to."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import IO, Final

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S: Final = 40.0
REQUEST: Final = b"GET /orders HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n"
Output = Callable[[], AbstractContextManager[int]]


def fill(writing: int) -> None:
    """Fill a pipe to the last byte."""
    os.set_blocking(writing, False)
    for part in (b"x" * 4096, b"x"):
        try:
            while True:
                os.write(writing, part)
        except BlockingIOError:
            continue
    os.set_blocking(writing, True)


@contextmanager
def stalled() -> Iterator[int]:
    """The writing end of a pipe that is full, and that nobody reads."""
    reading, writing = os.pipe()
    fill(writing)
    yield writing
    os.close(reading)
    os.close(writing)


@contextmanager
def left() -> Iterator[int]:
    """The writing end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def full() -> Iterator[int]:
    """A disk without room."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@contextmanager
def running(tmp_path: Path, stdout: int, stderr: int | IO[bytes]) -> Iterator[tuple["subprocess.Popen[bytes]", socket.socket]]:
    """Run a proxy on a unix socket, and hand out a connection to it."""
    address = tmp_path / "proxy.sock"
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        f"listen: unix:{address}\nadmin: {{listen: 'off'}}\nupstream: http://127.0.0.1:1\ncors: {{allow_origins: [https://app.example.com]}}\n"
    )
    command = [sys.executable, "-m", "corsproxy", "--config", str(policy)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=tmp_path, env=environment)
    try:
        with closing(connect(address, process)) as connection:
            yield process, connection
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_S)


def connect(address: Path, process: "subprocess.Popen[bytes]") -> socket.socket:
    """Connect as soon as it listens."""
    while process.poll() is None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE_S)
        try:
            connection.connect(str(address))
        except OSError:
            connection.close()
            time.sleep(0.02)  # it says nowhere that it listens: nobody reads that
        else:
            return connection
    raise AssertionError(f"it ended with {process.returncode}")


def ask(connection: socket.socket) -> bytes:
    connection.sendall(REQUEST)
    got = b""
    while not got.endswith(b"}\n"):
        part = connection.recv(65536)
        assert part, got
        got += part
    return got.split(b" ", 2)[1]


@pytest.mark.parametrize("output", [stalled, left, full])
def test_exchanges_do_not_wait_for_the_log(output: Output, tmp_path: Path) -> None:
    """Neither for stdout nor for stderr: each SIGHUP is an event, and each exchange a line."""
    with output() as writing, running(tmp_path, writing, writing) as (process, connection):
        statuses = []
        for _ in range(20):
            process.send_signal(signal.SIGHUP)
            statuses.append(ask(connection))
        process.terminate()

        assert statuses == [b"403"] * 20
        assert process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize(("output", "said"), [(stalled, b"CP560"), (left, b"CP561"), (full, b"CP561")])
def test_stderr_says_what_has_become_of_stdout(output: Output, said: bytes, tmp_path: Path) -> None:
    """At the latest at the end."""
    with output() as writing, (tmp_path / "stderr").open("wb") as stderr, running(tmp_path, writing, stderr) as (process, connection):
        ask(connection)
        ask(connection)
        process.terminate()
        process.wait(DEADLINE_S)

    assert said in (tmp_path / "stderr").read_bytes()


def test_what_the_proxy_said_last_is_written_at_its_end(tmp_path: Path) -> None:
    """Lines wait for a moment before they are written; the end comes sooner here."""
    reading, writing = os.pipe()
    with running(tmp_path, writing, subprocess.DEVNULL) as (process, connection):
        os.close(writing)
        ask(connection)
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_S)

    assert b"origin-refused" in os.read(reading, 65536)
    os.close(reading)
