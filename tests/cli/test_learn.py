"""`corsproxy learn`: on loopback only, it overwrites nothing, it writes once, and it ends when it is told to."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from corsproxy.cli.main import main
from corsproxy.config.load import load_text
from corsproxy.rehearse import HANDSHAKE
from corsproxy.semantics.websocket import UPGRADE_LINES, accept_of
from tests.cli.test_run import ORIGIN, ask, environment, silent_upstream

OTHER = "http://localhost:5173"
TOKEN = "Bearer of-a-secret"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,x-trace"}


class Api(BaseHTTPRequestHandler):
    """Answers everything with a name that scripts want to read, and a cookie."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        for name, value in (("X-Total-Count", "3"), ("Set-Cookie", "session=of-a-secret"), ("Server", "s"), ("Content-Length", "2")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_PUT  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@contextmanager
def learning(*flags: str, cwd: Path, stdout: int = subprocess.PIPE) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A proxy that learns, and its port."""
    command = [sys.executable, "-m", "corsproxy", "learn", "--listen", "127.0.0.1:0", *flags]
    process = subprocess.Popen(command, cwd=cwd, env=environment(), stdout=stdout, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = ""
        while "let the page call" not in said:
            line = process.stderr.readline()
            assert line, f"it ended: {said}"
            said += line
        found = re.search(r"learning at http://127\.0\.0\.1:(\d+)", said)
        assert found is not None
        assert "warning[CP570]" in said
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stderr.close()
        if process.stdout is not None:
            process.stdout.close()


def _switching() -> list[tuple[bytes, bytes]]:
    key = dict(HANDSHAKE)[b"Sec-WebSocket-Key"]
    return [*UPGRADE_LINES, (b"Sec-WebSocket-Accept", accept_of(key))]


@contextmanager
def answered(listener: socket.socket, status: bytes, *lines: bytes) -> Iterator[None]:
    """Answer the next request with a head, and leave the connection open."""
    called, _ = listener.accept()
    with called:
        called.settimeout(10)
        request = b""
        while b"\r\n\r\n" not in request:
            request += called.recv(1000)
        called.sendall(b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", b""]))
        yield


def call(port: int) -> None:
    """What a browser sends for a script with a token and a cookie."""
    assert ask(port, "OPTIONS", "/orders/1?key=of-a-secret", PREFLIGHT)[:2] == (204, ORIGIN)
    headers = {"Origin": ORIGIN, "Authorization": TOKEN, "X-Trace": "of-a-secret", "Cookie": "session=of-a-secret"}
    assert ask(port, "PUT", "/orders/1?key=of-a-secret", headers) == (200, ORIGIN, b"ok")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_seen_is_written_when_it_is_told_to_end(api: str, tmp_path: Path, number: signal.Signals) -> None:
    with learning("--upstream", api, cwd=tmp_path) as (process, port):
        call(port)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 0
    assert err == ""
    loaded = load_text(out, "f")
    assert [each.problem.code for each in loaded.diagnostics] == ["CP253"]
    kept = [line.partition("  #")[0].rstrip() for line in out.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert kept == [
        f"upstream: {api}",
        "cors:",
        "  allow_origins:",
        f"    - {ORIGIN}",
        "  allow_methods:",
        "    - PUT",
        "  allow_headers:",
        "    - authorization",
        "    - x-trace",
        "  expose_headers:",
        "    - X-Total-Count",
        "  allow_credentials: true",
    ]
    assert "1 call with cookies" in out
    assert "of-a-secret" not in out + err


def test_after_a_time_it_ends_by_itself(api: str, tmp_path: Path) -> None:
    with learning("--upstream", api, "--for", "100ms", cwd=tmp_path) as (process, _):
        _, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "error[CP572]" in err


def test_a_file_is_written_and_what_comes_next_is_said(api: str, tmp_path: Path) -> None:
    with learning("--upstream", api, "--output", "learned.yaml", cwd=tmp_path) as (process, port):
        call(port)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out) == (0, "")
    assert err.startswith("wrote learned.yaml\n\nnext:\n  corsproxy check learned.yaml ")
    assert main(["check", "--strict", str(tmp_path / "learned.yaml")]) == 0


def test_other_origins_are_refused_where_some_are_named(api: str, tmp_path: Path) -> None:
    with learning("--upstream", api, "--origin", ORIGIN, cwd=tmp_path) as (process, port):
        call(port)
        assert ask(port, "GET", "/", {"Origin": OTHER})[0] == 403
        assert ask(port, "OPTIONS", "/", {**PREFLIGHT, "Origin": OTHER})[0] == 403
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)

    assert f"#   - only these origins were let in: {ORIGIN}\n" in out
    assert f"#   - refused: 2 requests of {OTHER}\n" in out
    assert OTHER not in re.sub("(?m)#.*", "", out)


def test_origins_that_are_not_of_the_web_are_never_let_in(api: str, tmp_path: Path) -> None:
    with learning("--upstream", api, cwd=tmp_path) as (process, port):
        call(port)
        for origin in ("null", "chrome-extension://abcdef", "http://a.example/"):
            assert ask(port, "GET", "/", {"Origin": origin})[0] == 403
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)

    assert "refused: 1 request of null" in out
    assert "refused: 1 request of chrome-extension://abcdef" in out
    assert "refused: 1 request of what is no origin" in out


def test_what_is_open_when_it_ends_counts_too(tmp_path: Path) -> None:
    """A WebSocket, and an answer that is not complete."""
    with silent_upstream() as listener:
        upstream = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            learning("--upstream", upstream, cwd=tmp_path) as (process, port),
            socket.create_connection(("127.0.0.1", port), 10) as page,
            socket.create_connection(("127.0.0.1", port), 10) as other,
        ):
            lines = [b"Origin: https://app.example.com", *[b"%b: %b" % line for line in HANDSHAKE]]
            page.sendall(b"GET /chat HTTP/1.1\r\nHost: localhost\r\n%b\r\n\r\n" % b"\r\n".join(lines))
            with answered(listener, b"101 Switching Protocols", *[b"%b: %b" % line for line in _switching()]):
                assert page.recv(1000).startswith(b"HTTP/1.1 101")
                other.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:5173\r\n\r\n")
                with answered(listener, b"200 OK", b"Transfer-Encoding: chunked", b"X-Stream: 1"):
                    assert other.recv(1000).startswith(b"HTTP/1.1 200")
                    process.send_signal(signal.SIGINT)
                    out, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (0, "")
    policy = load_text(out, "f").settings
    assert policy is not None
    assert "    - http://localhost:5173  # 1 call\n" in out
    assert "  websocket_origins:\n    - https://app.example.com  # 1 WebSocket\n" in out
    assert "    - X-Stream  # 1 answer\n" in out


def test_a_terminal_sees_one_line_that_counts(api: str, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "corsproxy", "learn", "--listen", "127.0.0.1:0", "--upstream", api]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(NO_COLOR="1"), stdout=subprocess.DEVNULL, stderr=theirs)
    try:
        said = b""
        while not (found := re.search(rb"learning at http://127\.0\.0\.1:(\d+),", said)) or b"seen: 0 calls" not in said:
            said += os.read(ours, 1000)
        call(int(found[1]))
        while b"\r\x1b[Kseen: 1 calls, 1 preflights, 0 WebSockets, 1 origins, 2 headers, 0 refused" not in said:
            said += os.read(ours, 1000)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        os.close(theirs)
        os.close(ours)


def test_nothing_seen_is_said_and_nothing_is_written(api: str, tmp_path: Path) -> None:
    with learning("--upstream", api, "--output", "learned.yaml", cwd=tmp_path) as (process, port):
        # No page of another origin makes this one.
        assert ask(port, "GET", "/", {})[0] == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out) == (1, "")
    assert err.startswith("error[CP572]: no page of another origin called; 0 requests were refused, 1 were of no other origin.")
    assert list(tmp_path.iterdir()) == []


def test_a_second_signal_ends_it_at_once(api: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    # The pipe is full, so the policy can never be written.
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    try:
        with learning("--upstream", api, cwd=tmp_path, stdout=writer) as (process, port):
            call(port)
            process.send_signal(signal.SIGINT)
            # The listener is closed by the signal, and before anything is written.
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)):
                        break
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == -signal.SIGINT
    finally:
        os.close(reader)
        os.close(writer)


def test_a_file_that_is_there_is_not_overwritten_and_that_is_said_before_anybody_clicks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "learned.yaml"
    path.write_text("mine\n")

    assert main(["learn", "--upstream", "http://127.0.0.1:9", "--output", str(path)]) == 2
    assert "error[CP154]" in capsys.readouterr().err
    assert path.read_text() == "mine\n"


def test_one_that_comes_meanwhile_is_not_overwritten_either_and_nothing_is_lost(api: str, tmp_path: Path) -> None:
    path = tmp_path / "learned.yaml"
    with learning("--upstream", api, "--output", "learned.yaml", cwd=tmp_path) as (process, port):
        call(port)
        path.write_text("mine\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "error[CP154]" in err
    assert path.read_text() == "mine\n"
    assert load_text(out, "f").settings is not None


def test_it_is_overwritten_where_that_is_asked_for(api: str, tmp_path: Path) -> None:
    path = tmp_path / "learned.yaml"
    path.write_text("mine\n")
    with learning("--upstream", api, "--output", "learned.yaml", "--force", cwd=tmp_path) as (process, port):
        call(port)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    assert process.returncode == 0
    assert load_text(path.read_text(), "f").settings is not None


@pytest.mark.parametrize("address", [":8080", "0.0.0.0:0", "[::]:0", "192.0.2.1:8080", "app.example.com:8080"])
def test_it_listens_on_no_address_that_other_machines_can_reach(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "--upstream", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--listen", address]) == 2
    assert "error[CP571]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "--upstream"),
        (("--upstream", "nonsense"), "nonsense"),
        (("--upstream", "http://127.0.0.1:9", "--origin", "*"), "`*` with `allow_credentials: true`"),
        (("--upstream", "http://127.0.0.1:9", "--origin", "null"), "`null`"),
        (("--upstream", "http://127.0.0.1:9", "--origin", "https://a.example/"), "https://a.example"),
        (("--upstream", "http://127.0.0.1:9", "--for", "10"), "lacks a unit"),
        (("--upstream", "http://127.0.0.1:9", "--for", "0"), "no time to learn in"),
        (("--upstream", "http://127.0.0.1:9", "--for", "-1m"), ""),
    ],
)
def test_wrong_usage_is_said(flags: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_taken_address_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "corsproxy", "learn", "--upstream", "http://127.0.0.1:9", "--listen", address]
        ended = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == 3
    assert "error[CP504]" in ended.stderr
