"""
The danger: file descriptors run out, and the proxy spins, dies, or never comes back.

The promise: who is in is served or told 503, who is not waits, and all is as before when there are descriptors again.
"""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from corsproxy import problems
from corsproxy.gateway import listener
from tests.cli.test_run import ORIGIN, environment
from tests.conftest import ErrorLog, ProxyFactory
from tests.harness import DEADLINE_S, Client, Ended, Upstream, connect, get, ok, turns, until

LIMIT = 256


@asynccontextmanager
async def confined(cwd: Path, upstream: Upstream, *lines: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run a proxy that may have 256 file descriptors, and no more."""
    file = cwd / "corsproxy.yaml"
    file.write_text(
        "\n".join((f"listen: 127.0.0.1:0\nupstream: http://127.0.0.1:{upstream.port}\ncors: {{allow_origins: [{ORIGIN}]}}", *lines))
    )
    command = f'ulimit -n {LIMIT}; exec "$0" -m corsproxy --config "$1"'
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", command, sys.executable, str(file)),
        cwd=cwd,
        env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    reading = None
    try:
        said = b""
        while not (found := re.search(rb"listening on http://127.0.0.1:(\d+)", said)):
            line = await process.stderr.readline()
            assert line, said
            said += line
        # A log that nobody reads would lose lines, and is no part of this.
        reading = asyncio.create_task(process.stderr.read())
        yield process, int(found[1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if reading is not None:
            await reading


async def storm(port: int, count: int, ask: Callable[[Client, int], Awaitable[int]]) -> list[int]:
    """Make so many connections at once and ask on each: what became of them; 0 is a connection that was closed without an answer."""

    async def one(number: int) -> int:
        try:
            client = await connect(port)
        except ConnectionError:
            return 0
        with client:
            try:
                return await ask(client, number)
            except Ended:
                return 0

    return await asyncio.gather(*(one(number) for number in range(count)))


async def status_of(client: Client, number: int) -> int:
    answer = await client.ask(get(b"/%d" % number, b"Host: localhost", b"Connection: close").replace(b"Host: proxy.test\r\n", b""))
    if answer.status == 200:
        assert answer.body == b"/%d" % number
    return answer.status


@pytest.mark.parametrize("more", [(), ("limits: {connections: 10000}",)], ids=["by its own limit", "by the system's"])
async def test_more_clients_than_descriptors_never_wedge_it(tmp_path: Path, upstream: Upstream, more: tuple[str, ...]) -> None:
    upstream.serve(lambda request: ok(request.target))
    async with confined(tmp_path, upstream, *more) as (_, port):
        for _ in range(3):
            statuses = await storm(port, 2 * LIMIT, status_of)
            assert set(statuses) <= {200, 503}, statuses
            assert statuses.count(200) > LIMIT / 2
            # With the storm over, all is as before.
            assert await storm(port, 1, status_of) == [200]


async def test_silent_clients_that_take_every_descriptor_are_cut_and_others_come_in(tmp_path: Path, upstream: Upstream) -> None:
    """Nothing of these can be served: none is left for an upstream, or for another client, until they are cut for their silence."""
    upstream.serve(lambda request: ok(request.target))
    lines = ("limits: {connections: 10000, header_timeout: 1s, keep_alive_timeout: 1s}",)
    async with confined(tmp_path, upstream, *lines) as (process, port):
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * LIMIT)]
        for sock in silent[::2]:
            sock.sendall(b"GET / HTTP/1.1\r\nX-A:")
        try:
            assert await storm(port, 1, status_of) in ([200], [503])
            assert process.returncode is None
        finally:
            for sock in silent:
                sock.close()
        assert await storm(port, 1, status_of) == [200]


async def test_a_connection_to_the_upstream_that_cannot_be_made_for_want_of_descriptors_is_503_and_readable(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, quiet_loop: ErrorLog
) -> None:
    front = await proxy()
    client = await front.connect()
    await until(lambda: front.open_clients == 1)
    make = socket.socket

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("aiohappyeyeballs.impl.socket.socket", refuse)
    got = await client.ask(get(b"/", b"Origin: " + ORIGIN.encode()))
    monkeypatch.setattr("aiohappyeyeballs.impl.socket.socket", make)
    assert (got.status, got.value(b"retry-after"), got.value(b"access-control-allow-origin")) == (503, b"1", ORIGIN.encode())
    (record,) = front.records
    # Another attempt at once would lack the same.
    assert (record.problem, record.retries) == (problems.OUT_OF_DESCRIPTORS, 0)
    upstream.serve(lambda request: ok(request.target))
    assert (await client.ask(get(b"/again"))).body == b"/again"
    assert quiet_loop.lines == []


async def test_a_lack_of_descriptors_is_waited_out_and_not_spun_on(
    proxy: ProxyFactory, monkeypatch: pytest.MonkeyPatch, upstream: Upstream
) -> None:
    """One attempt, then a pause: whoever waits in the queue stays there, and would wake an accept loop again and again."""
    attempts = 0

    class Exhausted(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            nonlocal attempts
            attempts += 1
            raise OSError(24, "Too many open files")

    bind = listener.bind
    with monkeypatch.context() as patched:
        patched.setattr(listener, "bind", lambda *given, **named: [Exhausted(fileno=sock.detach()) for sock in bind(*given, **named)])
        front = await proxy()
    monkeypatch.setattr(listener, "_EXHAUSTION_PAUSE_S", DEADLINE_S)
    with await connect(front.port):
        await until(lambda: attempts > 0)
        await turns(100)
        assert attempts == 1
    del upstream
