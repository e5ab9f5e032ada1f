"""
Listening sockets and their accept loops.

`create_server` can neither pause nor survive a lack of file descriptors quietly, so connections are accepted here: in
batches, only while there is room, and with a pause when the system has no descriptor left.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from corsproxy.config.settings import Listen

_log = logging.getLogger("corsproxy")

_BACKLOG: Final = 1024
_BATCH: Final = 64
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTION_PAUSE_S: Final = 0.2
# What Linux hands out by accept() although it concerns the connection alone (accept(2), "Error handling"), and a firewall's EPERM.
_CONNECTION_LOST: Final = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETUNREACH",
        "ENONET",
        "ENOPROTOOPT",
        "EOPNOTSUPP",
        "EPERM",
        "EPROTO",
    )
    if hasattr(errno, name)
)
# Whoever shares the group may connect: a sidecar and its web server.
_SOCKET_MODE: Final = 0o660


Taker = Callable[[socket.socket], Awaitable[None]]


class CannotListen(OSError):
    """An address cannot be listened on; the text says which and why, `help` what to do. `key` is the one that names it."""

    def __init__(self, address: Listen, reason: OSError, key: str = "listen") -> None:
        super().__init__(f"{address}: {(reason.strerror or str(reason)).lower()}")
        self.help = _HELP.get(reason.errno or 0, "choose another address with `KEY`").replace("KEY", key)


_HELP: Final = {
    errno.EADDRINUSE: "stop what uses it, or choose another address with `KEY`",
    errno.EACCES: "choose a port above 1023, or a directory that the user that runs corsproxy may write to",
    errno.EADDRNOTAVAIL: "choose an address of this machine, or `:port` for all of them",
    errno.ENOENT: "make the directory first, or choose another path with `KEY`",
}


def bind(address: Listen, key: str = "listen") -> list[socket.socket]:
    """
    Bind and listen: one socket, or one for each family where all interfaces are meant. Raises CannotListen, which tells of `key`.

    A unix socket that nobody listens on is replaced; one that somebody does is respected.
    """
    try:
        return [_bind_unix(address.unix_path)] if address.unix_path else _bind_tcp(address)
    except OSError as error:
        raise CannotListen(address, error, key) from error


def _bind_tcp(address: Listen) -> list[socket.socket]:
    infos = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for family, kind, proto, _, where in dict.fromkeys(infos):
            try:
                sock = socket.socket(family, kind, proto)
            except OSError:
                continue  # a family that the machine does not have
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Every family of one address gets the same port, also where any free one was asked for.
            sock.bind((where[0], port, *where[2:]))
            sock.listen(_BACKLOG)
            sock.setblocking(False)
            port = sock.getsockname()[1]
    except BaseException:
        close_all(sockets)
        raise
    if not sockets:
        raise OSError("no address family is available")
    return sockets


def _bind_unix(path: str) -> socket.socket:
    _clear_dead_socket(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
        Path(path).chmod(_SOCKET_MODE)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _clear_dead_socket(path: str) -> None:
    file = Path(path)
    if not file.exists():
        return
    if not file.is_socket():
        raise OSError("a file that is no socket is in the way")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            file.unlink()
            return
    raise OSError("another process listens there")


def close_all(sockets: list[socket.socket]) -> None:
    """Stop listening; unix sockets are removed from the file system."""
    for sock in sockets:
        if sock.family == socket.AF_UNIX:
            with suppress(OSError):
                Path(sock.getsockname()).unlink()
        sock.close()


async def accept(sock: socket.socket, take: Taker, room: Callable[[], Awaitable[object]]) -> None:
    """
    Accept connections until cancelled, and hand them to `take`. `room` returns when there is place for one more.

    A lack of file descriptors pauses accepting; it never spins, and it passes by itself.
    """
    loop = asyncio.get_running_loop()
    is_exhausted = False
    while True:
        await room()
        try:
            connection, _ = await loop.sock_accept(sock)
        except OSError as error:
            if error.errno in _CONNECTION_LOST:
                continue
            if error.errno not in _EXHAUSTED:
                raise
            if not is_exhausted:
                _log.warning("out of file descriptors: new connections wait")
            is_exhausted = True
            await asyncio.sleep(_EXHAUSTION_PAUSE_S)
            continue
        is_exhausted = False
        await take(connection)
        for _ in range(_BATCH):
            await room()
            try:
                connection, _ = sock.accept()
            except OSError:
                break  # nobody else waits, or the loop above will meet the error again
            connection.setblocking(False)
            await take(connection)


def plainly(protocol: Callable[[], asyncio.Protocol]) -> Taker:
    """Make a taker of connections without TLS."""

    async def take(connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, connection)
        except OSError:
            connection.close()  # the client left between the handshake and now

    return take
