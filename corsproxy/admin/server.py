"""
The admin listener: its own address, its own aiohttp application, its own small bounds.

It knows pages and connections; what the pages say comes from `Sources`, so that one process and a supervisor of many serve the same.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from corsproxy import problems
from corsproxy.admin import guard, pages
from corsproxy.admin.inspector import Inspector, inspected
from corsproxy.admin.sources import Sources
from corsproxy.config.admin import is_private
from corsproxy.config.settings import Listen
from corsproxy.gateway.listener import NO_SOCKETS, CannotListen, Listeners, plainly
from corsproxy.observe.details import details

_log = logging.getLogger("corsproxy")

# Prometheus, a kubelet, a few people: one connection each, or a handful.
MAX_CONNECTIONS: Final = 64
# Longer than the interval of most scrapes, so that their connection is kept. It bounds a head that never ends, too.
_KEEP_ALIVE_S: Final = 75.0
_LINGERING_S: Final = 1.0
_MAX_FIELD_BYTES: Final = 8 * 1024
_MAX_FIELDS: Final = 64
_READ_BUFFER_BYTES: Final = 16 * 1024
# How long a client may take nothing of an answer, and how often that is looked at.
_STALL_S: Final = 10.0
_SWEEP_S: Final = 5.0
# How long answers under way may take at the end; 0 would mean "wait for ever".
_SHUTDOWN_S: Final = 0.2


def application(sources: Sources, *, is_private: bool) -> web.Application:
    """Make the application: the guard in front, then the pages. `is_private`: no other machine can reach the address."""
    made = web.Application(middlewares=[_middleware(guard.Guard(sources, is_private=is_private))])
    made.on_response_prepare.append(guard.set_headers)
    made.add_routes(pages.routes(sources, is_private=is_private))
    if sources.ring is not None:
        Inspector(inspected(sources, sources.ring)).add_to(made)
    return made


def _middleware(checking: guard.Guard) -> Any:
    @web.middleware
    async def check(request: web.Request, handler: guard.Handler) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, AdminConnection)  # noqa: S101 - AdminServer makes nothing else
        connection.is_busy = True
        try:
            return await checking.check(request, handler)
        finally:
            connection.is_busy = False

    return check


class AdminConnection(RequestHandler):
    """
    aiohttp's server protocol, with an end to clients that take nothing, and a quiet answer to what does not parse.

    Our own attributes never begin with an underscore. `is_busy`: a page is being made; `blocked_since` is when the client last
    took what was written, 0 while it does.
    """

    __slots__ = ("blocked_since", "clock", "is_busy", "owner", "wire")

    def __init__(self, owner: "AdminServer", server: web.Server, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self.owner = owner
        self.clock = loop.time
        self.wire: asyncio.Transport | None = None
        self.is_busy = False
        self.blocked_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place."""
        self.wire = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        self.owner.connected(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave it."""
        self.wire = None
        super().connection_lost(exc)
        self.owner.disconnected(self)

    def pause_writing(self) -> None:
        """Take note that the client reads slower than we write."""
        super().pause_writing()
        self.blocked_since = self.clock()

    def resume_writing(self) -> None:
        """Take note that it has caught up."""
        super().resume_writing()
        self.blocked_since = 0.0

    def cut(self) -> None:
        """End it at once."""
        if self.wire is not None:
            self.wire.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what does not parse. aiohttp's own answer echoes the offending bytes and logs a traceback."""
        del exc, message
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        answer = web.Response(status=status, text="bad request\n" if status < 500 else "internal error\n", headers=guard.HEADERS)
        answer.force_close()
        return answer


class AdminServer:
    """Serves the admin's pages on one address. `start` → `stop`."""

    def __init__(self, sources: Sources, listen: Listen) -> None:
        self._listen = listen
        self._runner = web.AppRunner(
            application(sources, is_private=is_private(listen)),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_S,
        )
        self._listeners = Listeners("admin.listen")
        self._sweeping: asyncio.Task[None] | None = None
        # In the order in which they came.
        self._connections: dict[AdminConnection, None] = {}

    async def start(self) -> Listen:
        """Listen, and return the address with its real port. Raises CannotListen."""
        (bound,) = self._listeners.open([self._listen], NO_SOCKETS, shared=False)
        await self._runner.setup()
        server = self._runner.server
        assert server is not None  # noqa: S101 - setup makes it
        loop = asyncio.get_running_loop()
        take = plainly(lambda: AdminConnection(self, server, loop, **_OPTIONS))
        self._listeners.accept(lambda _: take, _no_wait)
        self._sweeping = loop.create_task(self._sweep())
        return bound

    async def stop(self) -> None:
        """Stop listening, and end what is under way."""
        await self._listeners.stop(takes_rest=False)
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        await self._runner.cleanup()

    def connected(self, connection: AdminConnection) -> None:
        """Take note of a new connection. When there are too many, the oldest that is idle makes room, or else the new one does."""
        self._connections[connection] = None
        if len(self._connections) > MAX_CONNECTIONS:
            idle = (each for each in self._connections if not each.is_busy)
            next(idle).cut()

    def disconnected(self, connection: AdminConnection) -> None:
        """Take note of one that is gone."""
        self._connections.pop(connection, None)

    async def _sweep(self) -> None:
        """Cut clients that take nothing of an answer."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = asyncio.get_running_loop().time()
            for connection in tuple(self._connections):
                if connection.blocked_since and now - connection.blocked_since > _STALL_S:
                    connection.cut()


@asynccontextmanager
async def serving_admin(sources: Sources) -> AsyncIterator[None]:
    """
    Serve the admin's pages, if the configuration in force wants them, until the block ends.

    Without a file nobody has chosen the address: where it is taken, that is said, and the proxy goes on. Raises CannotListen.
    """
    in_force = sources.in_force()
    listen = in_force.settings.admin.listen
    if listen is None:
        yield
        return
    server = AdminServer(sources, listen)
    try:
        bound = await server.start()
    except CannotListen as error:
        if in_force.loaded.source.is_file:
            raise
        problem = problems.ADMIN_STAYS_OFF
        _log.warning("%s %s: %s", problem.code, problem.title, error, extra=details(problem))
        yield
        return
    serves_all = is_private(listen) or in_force.settings.admin.dangerously_expose_admin
    served = "health, metrics, reload and the inspector" if serves_all else "health and metrics"
    _log.info("%s on %s", served, bound if bound.unix_path else f"http://{bound}")
    try:
        yield
    finally:
        await server.stop()


async def _no_wait() -> None:
    """Accept always: the oldest makes room."""


_OPTIONS: Final[dict[str, Any]] = {
    "access_log": None,
    "keepalive_timeout": _KEEP_ALIVE_S,
    "lingering_time": _LINGERING_S,
    "max_line_size": _MAX_FIELD_BYTES,
    "max_field_size": _MAX_FIELD_BYTES,
    "max_headers": _MAX_FIELDS,
    "read_bufsize": _READ_BUFFER_BYTES,
    "auto_decompress": False,
}
