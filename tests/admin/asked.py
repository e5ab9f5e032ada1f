"""A real admin listener in front of answers that a test chooses."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from corsproxy.admin.server import AdminServer
from corsproxy.admin.sources import Check, InForce, Readiness, Sources
from corsproxy.changes import ReloadOutcome
from corsproxy.config.load import load_text
from corsproxy.config.settings import Listen
from corsproxy.observe import figures
from corsproxy.observe.ring import Ring
from corsproxy.observe.snapshot import Snapshot
from tests.harness import Client, Response, connect, head

POLICY = "upstream: http://localhost:9000\ncors: {allow_origins: [https://app.example.com]}\n"
LOOPBACK = Listen("127.0.0.1", 0)
EVERYWHERE = Listen("0.0.0.0", 0)


def in_force(extra: str = "", environ: Mapping[str, str] | None = None, needs_restart: tuple[str, ...] = ()) -> InForce:
    loaded = load_text(POLICY + extra, "policy.yaml", environ=environ or {})
    assert loaded.settings is not None, loaded.diagnostics
    return InForce(loaded.settings, loaded, needs_restart)


READY = Readiness((Check("listening", ok=True), Check("not draining", ok=True)))
SNAPSHOT = Snapshot({figures.IN_FLIGHT: {(): (3,)}})
RELOADED = ReloadOutcome(ok=True, diagnostics=(), needs_restart=(), changed=True, time=1.0)


@dataclass
class Told:
    """What the sources say; a test changes it as it likes."""

    in_force: InForce = field(default_factory=in_force)
    readiness: Readiness = READY
    snapshot: Snapshot = SNAPSHOT
    outcome: ReloadOutcome = RELOADED
    reloads: int = 0
    before: Callable[[], Awaitable[None]] | None = None
    ring: Ring | None = None

    @property
    def sources(self) -> Sources:
        async def answered(value: Callable[[], Any]) -> Any:
            if self.before is not None:
                await self.before()
            return value()

        def reload() -> ReloadOutcome:
            self.reloads += 1
            return self.outcome

        return Sources(
            lambda: self.in_force,
            lambda: answered(lambda: self.readiness),
            lambda: answered(lambda: self.snapshot),
            lambda: answered(reload),
            self.ring,
        )


class Admin:
    """A listener that runs, and how to ask it."""

    def __init__(self, told: Told, listen: Listen) -> None:
        self.told = told
        self.server = AdminServer(told.sources, listen)
        self.bound = listen
        self._clients: list[Client] = []

    async def start(self) -> None:
        self.bound = await self.server.start()

    async def connect(self, *, receive_buffer: int = 0) -> Client:
        client = await connect(self.bound.port, receive_buffer=receive_buffer)
        self._clients.append(client)
        return client

    async def ask(self, target: bytes = b"/healthz", *lines: bytes, method: bytes = b"GET", host: bytes = b"localhost:9876") -> Response:
        """Make one request on a connection of its own."""
        client = await self.connect()
        response = await client.ask(head(b"%b %b HTTP/1.1" % (method, target), b"Host: " + host, *lines))
        client.close()
        return response

    async def post(self, target: bytes = b"/-/reload", *lines: bytes) -> Response:
        return await self.ask(target, b"Content-Type: application/json", b"Content-Length: 0", *lines, method=b"POST")

    async def stop(self) -> None:
        for client in self._clients:
            client.close()
        await self.server.stop()


def exposed(told: Told) -> None:
    """Put `dangerously_expose_admin` in force."""
    settings = told.in_force.settings
    told.in_force = replace(told.in_force, settings=replace(settings, admin=replace(settings.admin, dangerously_expose_admin=True)))


async def for_ever() -> None:
    """Answer never."""
    await asyncio.get_running_loop().create_future()
