"""
The danger: an address that is dead, stale, or somebody else's: a name with a dead first address, an answer of DNS kept for ever, a socket file left behind.

The promise: the first address that answers is used; names are asked again after a few seconds; a dead socket is replaced, a live one respected.
"""

import asyncio
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.config.settings import Listen, Timeouts
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from corsproxy.gateway.server import CannotListen, Gateway
from corsproxy.record import ExchangeRecord
from tests.conftest import ErrorLog, ProxyFactory
from tests.harness import DEADLINE_S, ORIGIN, Upstream, get, loopback_settings, ok, route

Infos = list[tuple[Any, ...]]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory whose path is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="cp") as name:
        yield Path(name)


# --- names ---


def named(upstream: Upstream, name: str = "legacy.test") -> UpstreamSettings:
    return replace(upstream.settings, url=f"http://{name}:{upstream.port}", host=name)


class Resolver:
    """Answers for a loop's `getaddrinfo` where a name is asked for, and counts."""

    def __init__(self, *answers: Infos | OSError) -> None:
        self.plain = asyncio.get_running_loop().getaddrinfo
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int, **options: Any) -> Infos:
        if host[-1].isdigit():
            return await self.plain(host, port, **options)
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)) for (address,) in answer]


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: Infos | OSError) -> Resolver:
    resolver = Resolver(*answers)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver)
    return resolver


async def test_an_address_that_refuses_is_passed_over(proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.serve(lambda _: ok())
    resolve(monkeypatch, [("127.0.0.2",), ("127.0.0.3",), ("127.0.0.1",)])
    front = await proxy(route(named(upstream)))
    assert (await front.ask(get())).status == 200


async def test_an_address_that_is_silent_is_passed_over(proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.serve(lambda _: ok())
    loop = asyncio.get_running_loop()
    resolve(monkeypatch, [("127.0.0.2",), ("127.0.0.1",)])
    connect, tried = loop.sock_connect, []

    async def sock_connect(sock: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        if address[0] == "127.0.0.2":
            await loop.create_future()
        await connect(sock, address)

    front = await proxy(route(named(upstream), timeouts=Timeouts(connect=DEADLINE_S)))
    client = await front.connect()
    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    assert (await client.ask(get())).status == 200
    assert tried == ["127.0.0.2", "127.0.0.1"]


async def test_where_every_address_is_dead_it_is_502_and_readable(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, [("127.0.0.2",), ("127.0.0.3",)])
    front = await proxy(route(named(upstream)))
    got = await front.ask(get(b"/", b"Origin: " + ORIGIN))
    assert (got.status, got.cors[b"access-control-allow-origin"]) == (502, ORIGIN)


async def test_where_every_address_is_silent_it_is_504_and_readable(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    front = await proxy(route(upstream, timeouts=Timeouts(connect=0.1)))
    client = await front.connect()

    async def sock_connect(*_: object) -> None:
        await loop.create_future()

    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    got = await client.ask(get(b"/", b"Origin: " + ORIGIN))
    assert (got.status, got.cors[b"access-control-allow-origin"]) == (504, ORIGIN)


async def test_a_name_is_asked_once_for_many_connections(proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.serve(lambda _: ok(b"ok", b"Connection: close"), close=True)
    resolver = resolve(monkeypatch, [("127.0.0.1",)])
    front = await proxy(route(named(upstream)))
    assert [(await front.ask(get())).status for _ in range(5)] == [200] * 5
    assert (upstream.connections, resolver.asked) == (5, ["legacy.test"])


async def test_an_answer_is_not_kept_past_its_time(proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a failover by DNS is followed."""
    upstream.serve(lambda _: ok(b"ok", b"Connection: close"), close=True)
    monkeypatch.setattr("corsproxy.gateway.pool._DNS_TTL_S", 0.0)
    resolver = resolve(monkeypatch, [("127.0.0.2",)], [("127.0.0.1",)])
    front = await proxy(route(replace(named(upstream), retries=0)))
    assert (await front.ask(get())).status == 502
    assert (await front.ask(get())).status == 200
    assert len(resolver.asked) == 2


async def test_a_name_that_does_not_resolve_is_502_and_asked_again(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.serve(lambda _: ok())
    resolve(monkeypatch, socket.gaierror(socket.EAI_NONAME, "Name or service not known"), [("127.0.0.1",)])
    front = await proxy(route(replace(named(upstream), retries=0)))
    got = await front.ask(get(b"/", b"Origin: " + ORIGIN))
    assert (got.status, got.cors[b"access-control-allow-origin"]) == (502, ORIGIN)
    assert front.records[0].problem is problems.UPSTREAM_UNRESOLVED
    assert b"legacy.test" not in got.raw
    assert (await front.ask(get())).status == 200


# --- unix sockets ---


class UnixUpstream:
    """Answers every request on a unix socket with its path and its Host."""

    def __init__(self) -> None:
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, host, *_ = head.split(b"\r\n")
                writer.write(ok(line.split()[1] + b" " + host))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def test_an_upstream_on_a_unix_socket(proxy: ProxyFactory, place: Path) -> None:
    path = str(place / "app.sock")
    settings = UpstreamSettings(f"unix:{path}:/base", "", 0, b"localhost", path=b"/base", unix_path=path)
    handler = UnixUpstream()
    front = await proxy(route(settings))
    assert (await front.ask(get(b"/early", b"Origin: " + ORIGIN))).status == 502
    server = await asyncio.start_unix_server(handler, path)
    try:
        assert [(await front.ask(get(b"/x?%d" % number))).body for number in range(3)] == [
            b"/base/x?%d Host: localhost" % n for n in range(3)
        ]
        assert handler.connections == 1
    finally:
        front.pool.close()
        server.close()


@pytest.fixture
async def listening(upstream: Upstream, quiet_loop: ErrorLog, place: Path) -> AsyncIterator[tuple[Gateway, Path, list[ExchangeRecord]]]:
    """A gateway that is to listen on a unix socket."""
    del quiet_loop
    upstream.serve(lambda request: ok(request.target))
    path = place / "proxy.sock"
    records: list[ExchangeRecord] = []
    gateway = Gateway(loopback_settings([route(upstream)], listen=(Listen(unix_path=str(path)),)), records.append)
    yield gateway, path, records
    await gateway.stop()


Listening = tuple[Gateway, Path, list[ExchangeRecord]]


async def ask_unix(path: Path, target: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(get(target, b"Connection: close"))
    async with asyncio.timeout(DEADLINE_S):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_unix_socket_is_served_for_its_group_and_removed_at_the_end(listening: Listening) -> None:
    gateway, path, records = listening
    await gateway.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert (await ask_unix(path, b"/x")).endswith(b"\r\n\r\n/x")
    assert [record.client for record in records] == ["unix"]
    await gateway.stop()
    assert not path.exists()


async def test_a_dead_socket_is_replaced(listening: Listening) -> None:
    gateway, path, _ = listening
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    await gateway.start()
    assert (await ask_unix(path, b"/x")).endswith(b"\r\n\r\n/x")


async def test_a_live_socket_is_respected(listening: Listening) -> None:
    gateway, path, _ = listening
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen(1)
        with pytest.raises(CannotListen, match="another process"):
            await gateway.start()
        assert path.is_socket()


async def test_a_file_that_is_no_socket_is_respected(listening: Listening) -> None:
    gateway, path, _ = listening
    path.write_text("precious")
    with pytest.raises(CannotListen, match="no socket"):
        await gateway.start()
    assert path.read_text() == "precious"


async def test_a_taken_port_is_refused_and_nothing_listens(upstream: Upstream, place: Path) -> None:
    path = place / "proxy.sock"
    listen = (Listen(unix_path=str(path)), Listen("127.0.0.1", upstream.port))
    gateway = Gateway(loopback_settings([route(upstream)], listen=listen), lambda _: None)
    with pytest.raises(CannotListen):
        await gateway.start()
    assert not path.exists()
    await gateway.stop()
