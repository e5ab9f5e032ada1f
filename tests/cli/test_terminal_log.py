"""What a person sees of exchanges in a real terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.test_run import ROOT, ask

COLOUR = re.compile(rb"\x1b\[[\d;]*m")


@contextmanager
def on_a_terminal(columns: int, **variables: str) -> Iterator[tuple[int, int]]:
    """Run the command in a terminal; hands out the terminal's other side and the proxy's port."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    command = [sys.executable, "-m", "corsproxy", "--upstream", "http://127.0.0.1:1", "--allow-origin", "https://app.example.com"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **variables}
    process = subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        yield ours, int(read_until(ours, rb"listening on http://127\.0\.0\.1:(\d+)\s")[1])
    finally:
        process.kill()
        process.wait(15)
        os.close(ours)


def read_until(terminal: int, pattern: bytes) -> "re.Match[bytes]":
    said = b""
    while not (found := re.search(pattern, said)):
        said += os.read(terminal, 65536)
    return found


@pytest.mark.parametrize(("variables", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_line_is_coloured_and_fits(variables: dict[str, str], is_coloured: bool) -> None:  # noqa: FBT001 - a column of the table
    with on_a_terminal(100, **variables) as (terminal, port):
        ask(port, "GET", "/" + "orders/" * 20 + "last?token=hunter2", {"Origin": "https://evil.example"})
        line = read_until(terminal, rb"[^\n]*CP301[^\n]*\r\n")[0]

    plain = COLOUR.sub(b"", line).decode()
    assert (b"\x1b[33m403\x1b[0m" in line) is is_coloured
    assert re.match(
        r"\d\d:\d\d:\d\d 403 GET +[\d.]+ms /orders/\S*…\S*REDACTED  CP301 origin not allowed  from https://evil\.example, id \S+\r\n", plain
    )
    assert "hunter2" not in plain


def test_each_of_a_few_refusals_is_shown() -> None:
    with on_a_terminal(100) as (terminal, port):
        for number in range(3):
            ask(port, "GET", f"/{number}", {"Origin": "https://evil.example"})
        assert b"403" in read_until(terminal, rb"[^\n]*/2 +\S*CP301")[0]
