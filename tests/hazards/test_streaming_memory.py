"""
The danger: a proxy that holds what it should pass on, and grows with every download.

The promise: 200 MB each way pass byte-identical while the proxy's process grows by less than 20 MB (twice that here,
because allocators and machines differ). A client that asks for much and takes nothing costs what is on its way to it, a quarter
of a MiB, or half of one over TLS; an upload that nobody takes costs one at most.
"""

import asyncio
import hashlib
import os
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.conftest import ErrorLog
from tests.harness import DEADLINE_S, Client, Served, Upstream, Wire, blocks, connect, head, ok, stalled

SIZE = 200_000_000
MAX_GROWTH = 40_000_000
READERS = 50
UPLOADS = 30
MAX_GROWTH_BY_UPLOADS = UPLOADS * 2**20
MAX_GROWTH_BY_READERS = READERS * 2**20 // 4
MAX_GROWTH_BY_TLS_READERS = READERS * 2**20 // 2
RECEIVE_BUFFER = 16 * 1024
# A proxy that listens on loopback answers for loopback's names only.
HOST = b"Host: localhost"
STATUS = Path("/proc/self/status")

pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells a process's peak memory")


@dataclass
class Process:
    """The real program, with real defaults, on a free port."""

    pid: int
    port: int

    @property
    def peak(self) -> int:
        """The largest resident size so far, in bytes."""
        line = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert line is not None
        return int(line.group(1)) * 1024


@pytest.fixture
async def process(upstream: Upstream, quiet_loop: ErrorLog) -> AsyncIterator[Process]:
    del quiet_loop
    flags = ("--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{upstream.port}", "--allow-origin", "https://app.example.com")
    async with running_process(*flags) as made:
        yield made


@pytest.fixture
async def tls_process(upstream: Upstream, quiet_loop: ErrorLog, authority: Authority, tmp_path: Path) -> AsyncIterator[Process]:
    del quiet_loop
    pair = authority.issue("localhost")
    file = tmp_path / "corsproxy.yaml"
    file.write_text(
        f"listen: 127.0.0.1:0\nupstream: http://127.0.0.1:{upstream.port}\ncors: {{allow_origins: ['https://app.example.com']}}\n"
        f"tls: {{cert_file: '{pair.cert_file}', key_file: '{pair.key_file}'}}\n"
    )
    async with running_process("--config", str(file)) as made:
        yield made


@asynccontextmanager
async def running_process(*flags: str) -> AsyncIterator[Process]:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "corsproxy", *flags),
        env=os.environ | {"CORSPROXY_ADMIN_LISTEN": "off"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None
    said = b""
    async with asyncio.timeout(30):
        while (found := re.search(rb"listening on https?://127\.0\.0\.1:(\d+)", said)) is None:
            line = await running.stderr.readline()
            assert line, said
            said += line
    yield Process(running.pid, int(found.group(1)))
    running.terminate()
    async with asyncio.timeout(30):
        _, rest = await running.communicate()
    assert running.returncode == 0, rest


async def warm_up(process: Process, upstream: Upstream, client: Client) -> Served:
    """Let the proxy allocate what any exchange needs."""
    await client.send(head(b"GET /warm HTTP/1.1", HOST))
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok(b"w" * 1_000_000))
    assert len((await client.read_response()).body) == 1_000_000
    assert process.peak > 0
    return served


async def pump(source: Wire) -> str:
    """Send the long body; its digest."""
    digest = hashlib.sha256()
    for block in blocks(SIZE, 256 * 1024):
        await source.send(block)
        digest.update(block)
    return digest.hexdigest()


async def sink(target: Wire) -> str:
    """Receive the long body; its digest."""
    digest, left = hashlib.sha256(), SIZE
    target.keeps_history = False
    while left:
        data = await target.read_some()
        assert data, f"ended with {left} bytes to come"
        left -= len(data)
        digest.update(data)
    return digest.hexdigest()


async def test_a_200_mb_download_is_identical_and_costs_no_memory(process: Process, upstream: Upstream) -> None:
    with await connect(process.port) as client:
        served = await warm_up(process, upstream, client)
        before = process.peak
        await client.send(head(b"GET /big HTTP/1.1", HOST))
        await served.read_until(b"\r\n\r\n")
        await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: %d" % SIZE))
        await client.read_head()
        sent, received = await asyncio.gather(pump(served), sink(client))

        assert sent == received
        assert process.peak - before < MAX_GROWTH


async def test_a_200_mb_upload_is_identical_and_costs_no_memory(process: Process, upstream: Upstream) -> None:
    with await connect(process.port) as client:
        served = await warm_up(process, upstream, client)
        before = process.peak
        await client.send(head(b"PUT /big HTTP/1.1", HOST, b"Content-Length: %d" % SIZE))
        await served.read_until(b"\r\n\r\n")
        sent, received = await asyncio.gather(pump(client), sink(served))
        await served.send(ok(b"stored"))

        assert sent == received
        assert (await client.read_response()).body == b"stored"
        assert process.peak - before < MAX_GROWTH


async def test_readers_that_take_nothing_cost_what_is_on_its_way_and_no_more(process: Process, upstream: Upstream) -> None:
    with await connect(process.port) as client:
        warm = await warm_up(process, upstream, client)
    warm.close()

    async def ask() -> socket.socket:
        reader = await connect(process.port, receive_buffer=RECEIVE_BUFFER)
        await reader.send(head(b"GET /big HTTP/1.1", HOST))
        return reader.sock

    assert await cost_of_readers(process, upstream, ask) < MAX_GROWTH_BY_READERS


async def test_so_do_readers_over_tls(tls_process: Process, upstream: Upstream, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.ca_file)

    def ask_now() -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.settimeout(DEADLINE_S)
        sock.connect(("127.0.0.1", tls_process.port))
        wrapped = context.wrap_socket(sock, server_hostname="localhost")
        wrapped.sendall(head(b"GET /big HTTP/1.1", HOST))
        return wrapped

    assert await cost_of_readers(tls_process, upstream, lambda: asyncio.to_thread(ask_now)) < MAX_GROWTH_BY_TLS_READERS


async def test_uploads_that_nobody_takes_cost_what_is_on_its_way_and_no_more(process: Process, upstream: Upstream) -> None:
    before = process.peak
    upstream.receive_buffer = RECEIVE_BUFFER
    clients: list[Client] = []
    flooding: list[asyncio.Task[None]] = []
    sent = 0

    async def flood(client: Client) -> None:
        nonlocal sent
        for block in blocks(SIZE, 256 * 1024):
            await client.loop.sock_sendall(client.sock, block)
            sent += len(block)

    for _ in range(UPLOADS):
        client = await connect(process.port)
        await client.send(head(b"PUT /big HTTP/1.1", HOST, b"Content-Length: %d" % SIZE))
        await (await upstream.accept()).read_request_head()
        clients.append(client)
        flooding.append(asyncio.ensure_future(flood(client)))
    held = await stalled(lambda: sent)
    for task in flooding:
        task.cancel()
    await asyncio.wait(flooding)
    # The upstream's end first: a client that leaves while nobody takes its body is noticed late.
    for wire in (*upstream.served, *clients):
        wire.close()

    assert held < UPLOADS * SIZE
    assert process.peak - before < MAX_GROWTH_BY_UPLOADS


async def cost_of_readers(process: Process, upstream: Upstream, ask: Callable[[], Awaitable[socket.socket]]) -> int:
    """Have readers ask for more than anybody holds, and take nothing: by how much the process has grown when nothing moves any more."""
    before = process.peak
    readers: list[socket.socket] = []
    flooding: list[asyncio.Task[None]] = []
    sent = 0

    async def flood(served: Wire) -> None:
        nonlocal sent
        block = bytes(256 * 1024)
        while True:
            # Not `wire.send`: being held up for long is what is wanted here.
            await served.loop.sock_sendall(served.sock, block)
            sent += len(block)

    for _ in range(READERS):
        readers.append(await ask())
        served = await upstream.accept()
        await served.read_request()
        await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: %d" % SIZE))
        flooding.append(asyncio.ensure_future(flood(served)))
    held = await stalled(lambda: sent)
    for reader in readers:
        reader.close()
    for task in flooding:
        task.cancel()
    await asyncio.wait(flooding)
    assert held < READERS * SIZE
    return process.peak - before
