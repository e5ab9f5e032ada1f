"""
The inspector: a page that shows exchanges as they end, and for each why it came out so.

It serves one page with its script and style sheet, a stream of events, and two addresses for programs. It decides nothing, and
everything that it shows was redacted when the entry was made.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from corsproxy import __version__
from corsproxy.admin.sources import Sources
from corsproxy.config.nodes import Node
from corsproxy.config.settings import Settings
from corsproxy.observe.ring import MAX_LOOK, Look, Ring

_STATIC: Final = (
    ("/", "inspector.html", "text/html"),
    ("/inspector/inspector.css", "inspector.css", "text/css"),
    ("/inspector/inspector.js", "inspector.js", "text/javascript"),
    ("/inspector/icon.svg", "icon.svg", "image/svg+xml"),
)
# People's pages; each costs a look at the ring five times a second.
MAX_STREAMS: Final = 16
# What comes within this time goes out as one event.
_BATCH_S: Final = 0.2
_COUNTS_S: Final = 1.0
# No person reads more, and a page that gets more stalls.
_MAX_BATCH: Final = 60
# Shorter than the idle timeout of what may stand in between.
_HEARTBEAT_S: Final = 15.0
# A page that takes nothing for so long is gone, or as good as gone.
_STALLED_S: Final = 10.0
_RETRY_MS: Final = 1000
_EVENTS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # nginx would hold events back until its buffer is full.
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Inspected:
    """
    What the inspector looks at.

    `settings` are those in force, `strike` takes their secrets out of a text. `source` are the flags by which `corsproxy explain`
    finds them, `root` is the tree that they were read from. `address` is where the proxy listens, as a URL. `look` brings the ring up to date, if that is needed.
    """

    ring: Ring
    settings: Callable[[], Settings]
    strike: Callable[[str], str] = field(default=lambda text: text)
    source: Callable[[], Sequence[str]] = field(default=tuple)
    root: Callable[[], Node | None] = field(default=lambda: None)
    address: Callable[[], str] = field(default=lambda: "")
    look: Callable[[], Awaitable[None]] | None = None


def inspected(sources: Sources, ring: Ring) -> Inspected:
    """Say where an admin application finds what the inspector looks at; a reload may change all of it but the ring."""

    def settings() -> Settings:
        return sources.in_force().settings

    def strike(text: str) -> str:
        return sources.in_force().loaded.secrets.strike(text)

    def source() -> Sequence[str]:
        return sources.in_force().loaded.flags

    def root() -> Node | None:
        return sources.in_force().loaded.root

    return Inspected(ring, settings, strike, source, root, lambda: _address(settings()), sources.look)


def _address(settings: Settings) -> str:
    """Say under which URL people reach the proxy."""
    from corsproxy.rehearse import default_host  # noqa: PLC0415 - as below

    if settings.own_origins:
        return settings.own_origins[0].decode()
    return f"{'https' if settings.tls is not None else 'http'}://{default_host(settings).decode()}"


class Inspector:
    """Serves the page and its addresses; `add_to` an application, once."""

    def __init__(self, inspected: Inspected) -> None:
        self._inspected = inspected
        self._ring = inspected.ring
        self._streams = 0
        self._ending = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Add the routes, and end the streams with the application."""
        for path, name, content_type in _STATIC:
            app.router.add_get(path, _serve_static(name, content_type))
        app.router.add_get("/inspector/events", self._stream, allow_head=False)
        app.router.add_get("/inspector/exchanges", self._list)
        app.router.add_get("/inspector/exchanges/{name}", self._explain)
        app.on_shutdown.append(self._end)

    async def _end(self, _: web.Application) -> None:
        self._ending.set()

    async def _look(self) -> None:
        if self._inspected.look is not None:
            await self._inspected.look()

    async def _list(self, request: web.Request) -> web.Response:
        await self._look()
        after = request.query.get("after", "")
        return self._json(_exchanges(self._ring.since(self._number(after)), self._ring.name) | {"counts": self._ring.counts()})

    async def _explain(self, request: web.Request) -> web.Response:
        from corsproxy.observe.inspection import inspect  # noqa: PLC0415 - all that explains a call is loaded when somebody asks

        await self._look()
        entry = self._ring.find(request.match_info["name"])
        if entry is None:
            return self._json({"error": "no such exchange, or none any more: only the last ones are kept"}, status=404)
        looked_at = self._inspected
        return self._json(inspect(entry, looked_at.settings(), looked_at.source(), looked_at.root()))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Tell a page of everything that ends, from where it left off."""
        if self._streams >= MAX_STREAMS:
            return self._json({"error": f"{MAX_STREAMS} pages look already"}, status=503)
        response = web.StreamResponse(headers=_EVENTS)
        self._streams += 1
        try:
            await response.prepare(request)
            # Whoever does not read, or went away, needs no word of it.
            with suppress(ConnectionError, TimeoutError):
                await self._tell(response, self._number(request.headers.get("Last-Event-ID", "")))
        finally:
            self._streams -= 1
        return response

    async def _tell(self, response: web.StreamResponse, number: int) -> None:
        clock = asyncio.get_running_loop().time
        await self._write(response, f"retry: {_RETRY_MS}\n" + self._event("hello", self._hello()))
        # All that there is at first; later only what a page can take.
        most, told, counted, counts = MAX_LOOK, clock(), -_COUNTS_S, None
        is_all = not number
        while True:
            pieces = []
            await self._look()
            look = self._ring.since(number, most)
            if look.last != number or most == MAX_LOOK:
                pieces.append(self._event("exchanges", _exchanges(look, self._ring.name, is_all=is_all), look.last))
                is_all = False
            number, most, now = look.last, _MAX_BATCH, clock()
            if now - counted >= _COUNTS_S and (fresh := self._ring.counts()) != counts:
                pieces.append(self._event("counts", fresh))
                counted, counts = now, fresh
            if not pieces and now - told >= _HEARTBEAT_S:
                pieces.append(": still here\n\n")
            if pieces:
                await self._write(response, "".join(pieces))
                told = now
            with suppress(TimeoutError):
                async with asyncio.timeout(_BATCH_S):
                    await self._ending.wait()
                return

    async def _write(self, response: web.StreamResponse, text: str) -> None:
        async with asyncio.timeout(_STALLED_S):
            await response.write(text.encode())

    def _event(self, name: str, data: dict[str, Any], number: int | None = None) -> str:
        given = f"id: {self._ring.name}-{number}\n" if number is not None else ""
        return f"{given}event: {name}\ndata: {self._dumps(data)}\n\n"

    def _hello(self) -> dict[str, Any]:
        return {"name": self._ring.name, "version": __version__, "address": self._inspected.address()}

    def _number(self, name: str) -> int:
        """Return the number of an exchange of this ring; 0 for any other text."""
        prefix, _, digits = name.rpartition("-")
        return int(digits) if prefix == self._ring.name and digits.isascii() and digits.isdigit() and len(digits) < 16 else 0

    def _dumps(self, data: dict[str, Any]) -> str:
        return json.dumps(_struck(data, self._inspected.strike), separators=(",", ":"))

    def _json(self, data: dict[str, Any], status: int = 200) -> web.Response:
        return web.Response(text=self._dumps(data), status=status, content_type="application/json")


def _exchanges(look: Look, name: str, *, is_all: bool = True) -> dict[str, Any]:
    entries = [entry.as_plain() for entry in look.entries]
    return {"entries": entries, "last": f"{name}-{look.last}", "missed": look.missed, "all": is_all}


def _serve_static(name: str, content_type: str) -> Handler:
    """Read a file of the package once and answer with it."""
    text = files("corsproxy.admin").joinpath("static", name).read_text("utf-8")

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type, charset="utf-8")

    return serve


def _struck(value: Any, strike: Callable[[str], str]) -> Any:
    """Strike secrets out of every text before it is written as JSON: what stands in their place may need escapes."""
    if isinstance(value, dict):
        return {name: _struck(each, strike) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_struck(each, strike) for each in value]
    return strike(value) if isinstance(value, str) else value
