"""Reloads as an operator meets them: a process, its signals, its file and its log."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Final

from tests.certificates import Authority, Pair
from tests.cli.test_run import ask, running, silent_upstream
from tests.harness import Upstream, connect, get, ok

ORIGIN: Final = "https://app.example.com"
FLAGS: Final = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")


def file_of(upstream: str = "http://127.0.0.1:9", more: str = "", origin: str = ORIGIN) -> str:
    return f'listen: 127.0.0.1:0\nhosts: "*"\nupstream: {upstream}\ncors:\n  allow_origins: [{origin}]\n{more}'


def next_message(process: "subprocess.Popen[str]") -> str:
    """The message of the next event."""
    return str(next_event(process)["message"])


def next_event(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The next event of a log in JSON. A proxy that says nothing more is ended by the test's time limit."""
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line, "it ended"
    event: dict[str, Any] = json.loads(line)
    return event


def rewrite(file: Path, text: str) -> None:
    """Replace a file at once: the watcher must not meet half of it."""
    file.with_suffix(".new").write_text(text)
    file.with_suffix(".new").rename(file)


class ConfigMap:
    """A directory as the kubelet keeps it: an update writes a new directory and renames a link to it over `..data`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "corsproxy.yaml"
        self.updates = 0
        directory.mkdir()
        self.file.symlink_to("..data/corsproxy.yaml")

    def update(self, text: str) -> None:
        self.updates += 1
        name = f"..{self.updates}"
        (self.directory / name).mkdir()
        (self.directory / name / "corsproxy.yaml").write_text(text)
        (self.directory / "..data_tmp").symlink_to(name)
        (self.directory / "..data_tmp").rename(self.directory / "..data")


# --- under load ---

RELOADS: Final = 50
CLIENTS: Final = 8
# 1,000 requests, each client one in 40 ms: 200 a second.
REQUESTS_PER_RELOAD: Final = 20
PACE_S: Final = 0.04

POLICIES: Final = {
    "a": "  allow_methods: [GET, HEAD, POST, PUT]\n  allow_headers: [X-A]\n  expose_headers: [X-Of-A, X-Too]\n  allow_credentials: true\n  max_age: 111\n",
    "b": "  allow_methods: [GET, HEAD, POST, PUT, DELETE]\n  allow_headers: [X-B]\n  expose_headers: [X-Of-B]\n  max_age: 222\n",
}
# What a preflight and the request itself get under each.
ANSWERS: Final = {
    "a": (
        {
            b"access-control-allow-origin": ORIGIN.encode(),
            b"access-control-allow-credentials": b"true",
            b"access-control-allow-methods": b"GET, HEAD, POST, PUT",
            b"access-control-allow-headers": b"x-a",
            b"access-control-max-age": b"111",
        },
        {
            b"access-control-allow-origin": ORIGIN.encode(),
            b"access-control-allow-credentials": b"true",
            b"access-control-expose-headers": b"X-Of-A, X-Too",
        },
    ),
    "b": (
        {
            b"access-control-allow-origin": ORIGIN.encode(),
            b"access-control-allow-methods": b"GET, HEAD, POST, PUT, DELETE",
            b"access-control-allow-headers": b"x-b",
            b"access-control-max-age": b"222",
        },
        {b"access-control-allow-origin": ORIGIN.encode(), b"access-control-expose-headers": b"X-Of-B"},
    ),
}
PREFLIGHT: Final = get(b"/", b"Origin: " + ORIGIN.encode(), b"Access-Control-Request-Method: PUT", method=b"OPTIONS")
REQUEST: Final = get(b"/", b"Origin: " + ORIGIN.encode(), method=b"PUT")


class Load:
    """Clients that ask at a pace of their own, and judge every answer: it belongs wholly to one policy, and to the right one."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers = 0
        self.seen: dict[str, int] = {"a": 0, "b": 0}
        # The policy in force; empty while a swap is on its way. `swaps` tells whether there was one meanwhile.
        self.in_force = "a"
        self.swaps = 0
        self._progress = asyncio.Condition()

    async def run(self) -> None:
        await asyncio.gather(*(self._ask(number) for number in range(CLIENTS)))

    async def _ask(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        with await connect(self.port) as client:
            for count in range(RELOADS * REQUESTS_PER_RELOAD // CLIENTS):
                began = loop.time()
                before = (self.swaps, self.in_force)
                place = (number + count) % 2
                got = await client.ask((PREFLIGHT, REQUEST)[place])
                assert got.status == (204, 200)[place], got.raw
                found = [name for name, answers in ANSWERS.items() if got.cors == answers[place]]
                assert len(found) == 1, got.raw
                if self.in_force and before == (self.swaps, self.in_force):
                    assert found == [self.in_force]
                self.seen[found[0]] += 1
                async with self._progress:
                    self.answers += 1
                    self._progress.notify_all()
                await asyncio.sleep(max(0.0, PACE_S - (loop.time() - began)))

    async def answered(self, count: int) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: self.answers >= count)


async def test_fifty_reloads_under_load_fail_no_request_and_mix_no_policies(tmp_path: Path, upstream: Upstream) -> None:
    async def answer(_: object) -> bytes:
        await asyncio.sleep(0.01)
        return ok(b"ok", b"X-Of-A: 1", b"X-Of-B: 1")

    upstream.serve(answer)
    config = ConfigMap(tmp_path / "config")
    texts = {name: file_of(f"http://127.0.0.1:{upstream.port}", lines + "log: {access: false}\n") for name, lines in POLICIES.items()}
    config.update(texts["a"])
    with running("--config", str(config.file), cwd=tmp_path) as (process, port):
        load = Load(port)
        asking = asyncio.ensure_future(load.run())
        try:
            for number in range(RELOADS):
                answered = asyncio.ensure_future(load.answered(number * REQUESTS_PER_RELOAD))
                await asyncio.wait((answered, asking), return_when=asyncio.FIRST_COMPLETED)
                assert not asking.done(), asking.exception()
                if number == RELOADS // 2:
                    await refuse(process, config)
                after = "ba"[number % 2]
                load.swaps, load.in_force = load.swaps + 1, ""
                config.update(texts[after])
                process.send_signal(signal.SIGHUP)
                # The watcher may be first; then the signal finds nothing new.
                while (message := await asyncio.to_thread(next_message, process)) != "configuration reloaded: cors changed":
                    is_refusal = number == RELOADS // 2 and message.startswith("CP511 ")
                    assert is_refusal or message == "configuration reloaded: nothing changed"
                load.in_force = after
            await asking
        finally:
            asking.cancel()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0
    assert load.answers == RELOADS * REQUESTS_PER_RELOAD
    assert min(load.seen.values()) > load.answers // 10


async def refuse(process: "subprocess.Popen[str]", config: ConfigMap) -> None:
    """Make the file a wrong one; the clients see to it that the policy in force stays."""
    config.update("upstream: http://localhost:9\ncors: {allow_orgins: [https://other.example]}\n")
    process.send_signal(signal.SIGHUP)
    while (event := await asyncio.to_thread(next_event, process)).get("corsproxy.problem") != "CP511":
        assert event["message"] == "configuration reloaded: nothing changed"
    assert event["message"] == "CP511 new configuration refused: the one in force stays"
    (found,) = (each for each in event["corsproxy.diagnostics"] if each["code"] == "CP103")
    assert (found["message"], found["line"]) == ("`allow_orgins` is not a key of `cors`", 2)


# --- what starts one ---


def test_a_changed_file_is_loaded_without_a_signal(tmp_path: Path) -> None:
    config = ConfigMap(tmp_path / "config")
    config.update(file_of())
    with running("--config", str(config.file), cwd=tmp_path) as (process, port):
        config.update(file_of(origin="https://other.example"))
        assert next_message(process) == "configuration reloaded: cors changed"
        status, allowed, _ = ask(port, "OPTIONS", "/", {"Origin": "https://other.example", "Access-Control-Request-Method": "PUT"})
        assert (status, allowed) == (204, "https://other.example")


def seen_key(listener: socket.socket, port: int) -> bytes:
    """The secret that a request carries to the upstream, which is played here."""
    asking = threading.Thread(target=lambda: ask(port, "GET", "/", {}))
    asking.start()
    with listener.accept()[0] as upstream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += upstream.recv(4096)
        upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    asking.join(10)
    return next(line for line in head.split(b"\r\n") if line.startswith(b"X-Api-Key: "))


def test_a_secret_is_read_again_when_its_own_file_changes(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    rewrite(secret, "first\n")
    with silent_upstream() as listener:
        upstream = f"http://127.0.0.1:{listener.getsockname()[1]}"
        file = tmp_path / "f"
        rewrite(file, file_of(upstream, more=f"headers: {{request: {{set: {{X-Api-Key: '${{file:{secret}}}'}}}}}}\n"))
        with running("-c", str(file), cwd=tmp_path) as (process, port):
            assert seen_key(listener, port) == b"X-Api-Key: first"
            rewrite(secret, "second\n")
            assert next_message(process) == "configuration reloaded: headers changed"
            assert seen_key(listener, port) == b"X-Api-Key: second"


def shown_serial(port: int, ca_file: str) -> int:
    """The number of the certificate that a new handshake gets."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        ssl.create_default_context(cafile=ca_file).wrap_socket(plain, server_hostname="localhost") as client,
    ):
        shown = client.getpeercert()
        assert shown is not None
        return int(str(shown["serialNumber"]), 16)


def test_a_certificate_is_read_again_when_its_file_changes(tmp_path: Path, authority: Authority) -> None:
    first, second = authority.issue("localhost"), authority.issue("localhost")
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def renew(pair: Pair) -> None:
        rewrite(key, Path(pair.key_file).read_text())
        rewrite(cert, Path(pair.cert_file).read_text())

    renew(first)
    file = tmp_path / "f"
    rewrite(file, file_of(more=f"tls: {{cert_file: {cert}, key_file: {key}}}\n"))
    with running("-c", str(file), cwd=tmp_path) as (process, port):
        assert shown_serial(port, authority.ca_file) == first.serial
        renew(second)
        # The two files cannot be replaced at once: a look between them finds a key of another certificate, and refuses.
        while (said := next_message(process)) != "configuration reloaded: tls changed":
            assert said.startswith("CP511 new configuration refused: the one in force stays")
        assert shown_serial(port, authority.ca_file) == second.serial


def test_flags_and_variables_win_over_a_file_that_is_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "f"
    rewrite(file, file_of())
    with running("-c", str(file), "--allow-origin", "https://flag.example", cwd=tmp_path, CORSPROXY_CORS_MAX_AGE="77") as (process, port):
        rewrite(file, file_of(more="via: false\n", origin="https://other.example"))
        process.send_signal(signal.SIGHUP)
        assert next_message(process) == "configuration reloaded: via changed"
        preflight = {"Origin": "https://flag.example", "Access-Control-Request-Method": "PUT"}
        assert ask(port, "OPTIONS", "/", preflight)[:2] == (204, "https://flag.example")


def test_without_a_file_a_signal_changes_nothing_and_says_so(tmp_path: Path) -> None:
    with running(*FLAGS, cwd=tmp_path) as (process, _):
        process.send_signal(signal.SIGHUP)
        assert next_message(process) == "CP513 nothing to reload: corsproxy runs without a file"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_another_listen_waits_for_a_restart_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "f"
    rewrite(file, file_of())
    with running("-c", str(file), cwd=tmp_path) as (process, port):
        rewrite(file, file_of(origin="https://other.example").replace("127.0.0.1:0", "127.0.0.1:1"))
        process.send_signal(signal.SIGHUP)
        assert next_message(process) == "configuration reloaded: cors changed"
        assert next_message(process) == "CP512 change needs a restart: the value in force stays: `listen`"
        assert ask(port, "GET", "/", {"Origin": "https://other.example"})[:2] == (502, "https://other.example")


def test_the_log_follows_a_reload(tmp_path: Path) -> None:
    file = tmp_path / "f"
    rewrite(file, file_of(more="log: {access: false}\n"))
    with running("-c", str(file), cwd=tmp_path) as (process, port):
        assert process.stdout is not None
        assert process.stderr is not None
        ask(port, "GET", "/before", {})
        rewrite(file, file_of(more="log: {format: logfmt}\n"))
        process.send_signal(signal.SIGHUP)
        assert process.stderr.readline().endswith('message="configuration reloaded: log changed"\n')
        ask(port, "GET", "/after", {})
        assert " url.path=/after " in process.stdout.readline()

        rewrite(file, file_of(more="log: {format: json, level: error}\n", origin="https://other.example"))
        process.send_signal(signal.SIGHUP)
        # Too quiet to say that it was reloaded, but not that a file was refused.
        while ask(port, "GET", "/", {"Origin": "https://other.example"})[1] is None:
            time.sleep(0.01)
        rewrite(file, "nothing\n")
        process.send_signal(signal.SIGHUP)
        assert next_message(process).startswith("CP511 ")


# --- beside the end ---


def test_a_signal_while_draining_is_ignored_quietly(tmp_path: Path) -> None:
    with silent_upstream() as listener:
        file = tmp_path / "f"
        rewrite(file, file_of(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        with running("-c", str(file), cwd=tmp_path) as (process, port), socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            called, _ = listener.accept()
            process.send_signal(signal.SIGTERM)
            assert next_message(process).startswith("draining: 1 in flight")
            rewrite(file, "nothing\n")
            process.send_signal(signal.SIGHUP)
            called.sendall(ok())
            called.close()
            assert process.wait(10) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""


def test_a_load_that_hangs_does_not_delay_the_end(tmp_path: Path) -> None:
    """The file is a pipe: after the start's reading, another one hangs until somebody writes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_text, args=(file_of(),))
    writing.start()
    with running("-c", str(pipe), cwd=tmp_path) as (process, _):
        writing.join(10)
        process.send_signal(signal.SIGHUP)
        # Opening for writing returns once there is a reader; it reads until this end is closed.
        with pipe.open("w"):
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


def test_a_file_that_was_found_is_the_one_that_is_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "corsproxy.yaml"
    rewrite(file, file_of())
    with running(cwd=tmp_path) as (process, _):
        file.unlink()
        process.send_signal(signal.SIGHUP)
        event = next_event(process)
        assert event["message"].startswith("CP511 ")
        assert "`corsproxy.yaml` cannot be read" in event["corsproxy.diagnostics"][0]["message"]
