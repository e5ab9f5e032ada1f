"""The library `websockets` on both ends: what real clients and servers say to each other passes unharmed."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.typing import Origin, Subprotocol

from corsproxy.config.upstreams import Upstream as UpstreamSettings
from tests.conftest import ErrorLog, ProxyFactory
from tests.harness import DEADLINE_S, ORIGIN, STRANGER, Proxy, route, until

LARGE = 64 * 1024 * 1024
PIECE = 1024 * 1024


async def echo(connection: ServerConnection) -> None:
    """Say back what comes, close as asked, or count a long message."""
    async for message in connection:
        if message == "close":
            await connection.close(4001, "as you wish")
            return
        if message == "count":
            await connection.send(str(sum([len(piece) async for piece in connection.recv_streaming()])))
        else:
            await connection.send(message)


@pytest.fixture
async def front(proxy: ProxyFactory, quiet_loop: ErrorLog) -> AsyncIterator[Proxy]:
    del quiet_loop
    async with serve(echo, "127.0.0.1", 0, subprotocols=[Subprotocol("chat")], max_size=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        made = await proxy(route(UpstreamSettings(f"http://127.0.0.1:{port}", "127.0.0.1", port, b"127.0.0.1:%d" % port)))
        yield made
        await until(lambda: not made.gateway.tunnels)


def socket(front: Proxy, origin: bytes = ORIGIN) -> connect:
    return connect(
        f"ws://127.0.0.1:{front.port}/chat?room=1",
        origin=Origin(origin.decode()),
        subprotocols=[Subprotocol("chat")],
        max_size=None,
        ping_interval=None,
        proxy=None,
    )


async def said(connection: ClientConnection, message: str | bytes) -> str | bytes:
    async with asyncio.timeout(DEADLINE_S):
        await connection.send(message)
        return await connection.recv()


async def test_messages_pass_compressed_and_in_the_subprotocol_that_was_agreed(front: Proxy) -> None:
    async with socket(front) as connection:
        assert connection.subprotocol == "chat"
        assert [extension.name for extension in connection.protocol.extensions] == ["permessage-deflate"]
        for message in ("", "grüße", "x" * 100_000, b"", bytes(range(256)) * 4096):
            assert await said(connection, message) == message


async def test_fragments_and_pings_pass(front: Proxy) -> None:
    async with socket(front) as connection, asyncio.timeout(DEADLINE_S):
        await connection.send(["one ", "two ", "three"])
        assert await connection.recv() == "one two three"
        assert await (await connection.ping(b"beat")) >= 0


async def test_close_codes_pass_both_ways(front: Proxy) -> None:
    async with asyncio.timeout(DEADLINE_S):
        async with socket(front) as connection:
            await connection.send("close")
            with pytest.raises(ConnectionClosedError) as caught:
                await connection.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "as you wish")
        async with socket(front) as connection:
            await connection.close(1000, "done")
            with pytest.raises(ConnectionClosedOK):
                await connection.recv()


async def test_a_page_on_another_origin_opens_none(front: Proxy) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await socket(front, STRANGER)

    assert caught.value.response.status_code == 403


async def test_a_message_of_64_mib_passes_in_bounded_memory(front: Proxy) -> None:
    async with socket(front) as connection, asyncio.timeout(4 * DEADLINE_S):
        await said(connection, "x")
        (tunnel,) = front.gateway._tunnels.open
        peak = 0
        await connection.send("count")

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal peak
            for _ in range(LARGE // PIECE):
                # Chance does not compress, so all of it goes over the wire.
                yield random.randbytes(PIECE)
                peak = max(peak, tunnel._waiting())

        await connection.send(pieces())
        assert await connection.recv() == str(LARGE)
        assert tunnel.client.received > LARGE
        # Bytes that the proxy holds. Both ends are in this process, so its memory would say little.
        assert peak < 2 * PIECE
