"""Servers that get CORS wrong, each in one way, and a correct one: scripts of what they answer."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

ORIGIN = "https://app.example.com"


class Asked(NamedTuple):
    """A request as it came. Names are in lower case."""

    method: str
    path: str
    fields: dict[str, str]

    @property
    def is_preflight(self) -> bool:
        """Whether a browser asks for permission."""
        return self.method == "OPTIONS" and "access-control-request-method" in self.fields


class Told(NamedTuple):
    """What is answered; `fields` may repeat a name."""

    status: int = 200
    fields: tuple[tuple[str, str], ...] = ()


Script = Callable[[Asked], Told | None]


def good(asked: Asked) -> Told:
    """Answer as a correct server: every status, by origin, with `Vary`."""
    vary = ("Vary", "Origin")
    if asked.fields.get("origin") != ORIGIN:
        return Told(404 if asked.path.startswith("/corsproxy-doctor") else 200, (vary,))
    grant = (("Access-Control-Allow-Origin", ORIGIN), ("Access-Control-Allow-Credentials", "true"), vary)
    if asked.is_preflight:
        lists = (
            ("Access-Control-Allow-Methods", "GET, PUT"),
            ("Access-Control-Allow-Headers", "content-type, authorization"),
            ("Access-Control-Max-Age", "600"),
        )
        return Told(204, (*grant, *lists))
    if asked.path.startswith("/corsproxy-doctor"):
        return Told(404, grant)
    tag = ("ETag", '"1"')
    exposed = ("Access-Control-Expose-Headers", "ETag")
    if asked.fields.get("if-none-match") == '"1"':
        return Told(304, (*grant, tag))
    return Told(200, (*grant, tag, exposed, ("Content-Type", "text/plain")))


@asynccontextmanager
async def serving(script: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve by a script until the block ends; hands out the address. None is no answer at all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            method, path, _ = first.split(" ")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            told = script(Asked(method, path, fields))
            if told is not None:
                body = b"" if told.status in (101, 204, 304) or method == "HEAD" else b"{}"
                written = [f"HTTP/1.1 {told.status} X", *(f"{name}: {value}" for name, value in told.fields)]
                written += ["Connection: close"] if told.status != 101 else []
                written += [f"Content-Length: {len(body)}"] if told.status not in (101, 204, 304) else []
                writer.write("\r\n".join([*written, "", ""]).encode("latin-1") + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if context else 'http'}://localhost:{port}"
    finally:
        server.close()
        await server.wait_closed()


def without(told: Told, *names: str) -> Told:
    """Leave fields out."""
    return told._replace(fields=tuple(each for each in told.fields if each[0] not in names))


def with_(told: Told, *fields: tuple[str, str]) -> Told:
    """Put fields in the place of those of their names."""
    kept = without(told, *(name for name, _ in fields))
    return kept._replace(fields=(*kept.fields, *fields))


def on(is_meant: Callable[[Asked], bool], change: Callable[[Told], Told]) -> Script:
    """Be correct but for some requests."""
    return lambda asked: change(good(asked)) if is_meant(asked) else good(asked)
