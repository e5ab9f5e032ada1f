"""What the admin listener spends on those who mean it no good, and how it ends."""

import asyncio
import socket

import pytest

from corsproxy.admin import server
from corsproxy.admin.server import AdminServer
from corsproxy.config.settings import Listen
from corsproxy.gateway.listener import CannotListen
from corsproxy.observe import figures
from corsproxy.observe.snapshot import Snapshot
from tests.admin.asked import Admin, Told, for_ever
from tests.admin.conftest import AdminFactory
from tests.harness import head, until

REQUEST = head(b"GET /healthz HTTP/1.1", b"Host: localhost")


async def test_the_oldest_idle_connection_makes_room(admin: Admin) -> None:
    oldest, *others = [await admin.connect() for _ in range(server.MAX_CONNECTIONS)]
    await until(lambda: len(admin.server._connections) == server.MAX_CONNECTIONS)
    assert (await admin.ask()).status == 200

    assert await oldest.read_until_close() == b""
    for client in others:
        assert (await client.ask(REQUEST)).status == 200


async def test_one_that_waits_for_its_answer_does_not_make_room(start: AdminFactory) -> None:
    proceed = asyncio.Event()

    async def wait() -> None:
        await proceed.wait()

    admin = await start(Told(before=wait))
    busy = await admin.connect()
    await busy.send(head(b"GET /readyz HTTP/1.1", b"Host: localhost"))
    await until(lambda: any(each.is_busy for each in admin.server._connections))
    idle = [await admin.connect() for _ in range(server.MAX_CONNECTIONS)]
    assert await idle[0].read_until_close() == b""
    proceed.set()

    assert (await busy.read_response()).body == b"ready\n"


async def test_where_all_wait_the_new_one_goes(start: AdminFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    admin = await start(Told(before=for_ever))
    for count in (1, 2):
        await (await admin.connect()).send(head(b"GET /readyz HTTP/1.1", b"Host: localhost"))
        await until(lambda count=count: sum(each.is_busy for each in admin.server._connections) == count)  # type: ignore[misc]
    new = await admin.connect()

    assert await new.read_until_close() == b""


async def test_a_client_that_takes_nothing_is_cut(start: AdminFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_STALL_S", 0.0)
    monkeypatch.setattr(server, "_SWEEP_S", 0.01)
    large = Snapshot({figures.PROBLEMS: {(f"CP{number:06}",): (number,) for number in range(100_000)}})
    admin = await start(Told(snapshot=large))
    client = await admin.connect(receive_buffer=4096)
    await client.send(head(b"GET /metrics HTTP/1.1", b"Host: localhost"))
    await until(lambda: bool(admin.server._connections))
    await until(lambda: not admin.server._connections, "the stalled connection is still there")


async def test_a_head_that_never_ends_is_cut(start: AdminFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(server._OPTIONS, "keepalive_timeout", 0.05)
    admin = await start()
    client = await admin.connect()
    await client.send(b"GET /healthz HTTP/1.1\r\nHo")

    assert await client.read_until_close() == b""


async def test_what_is_under_way_at_the_end_is_cut_and_an_idle_connection_closed(start: AdminFactory) -> None:
    admin = await start(Told(before=for_ever))
    busy, idle = await admin.connect(), await admin.connect()
    await busy.send(head(b"GET /metrics HTTP/1.1", b"Host: localhost"))
    await until(lambda: any(each.is_busy for each in admin.server._connections))
    await admin.server.stop()

    assert b"200" not in await busy.read_until_close()
    assert await idle.read_until_close() == b""
    with pytest.raises(ConnectionRefusedError):
        await admin.connect()


async def test_a_taken_address_is_said_with_the_key_that_names_it(quiet_loop: object) -> None:
    del quiet_loop
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = Listen("127.0.0.1", taken.getsockname()[1])
        made = AdminServer(Told().sources, listen)
        with pytest.raises(CannotListen, match="address already in use") as caught:
            await made.start()

    assert caught.value.help == "stop what uses it, or choose another address with `admin.listen`"
    await made.stop()
