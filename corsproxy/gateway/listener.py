"""
Listening sockets and their accept loops.

`create_server` can neither pause nor survive a lack of file descriptors quietly, so connections are accepted here: in
batches, only while there is room, and with a pause when the system has no descriptor left.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from corsproxy import problems
from corsproxy.config.settings import Listen
from corsproxy.gateway.closing import drop_new

_log = logging.getLogger("corsproxy")

_BACKLOG: Final = 1024
_BATCH: Final = 64
# The system has nothing left for a connection.
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# How long handshakes under way may take when listening ends: the way to a load balancer and back.
_HANDSHAKE_S: Final = 0.01
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


def bind(address: Listen, key: str = "listen", *, shared: bool = False) -> list[socket.socket]:
    """
    Bind and listen: one socket, or one for each family where all interfaces are meant. Raises CannotListen, which tells of `key`.

    `shared`: beside other sockets of this user that are shared, too; the kernel deals connections out among them. A unix socket that nobody listens on is replaced; one that somebody does is respected.
    """
    try:
        return [_bind_unix(address.unix_path)] if address.unix_path else _bind_tcp(address, shared=shared)
    except OSError as error:
        raise CannotListen(address, error, key) from error


def _bind_tcp(address: Listen, *, shared: bool) -> list[socket.socket]:
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
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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


def address_of(sock: socket.socket) -> Listen:
    """Return where a socket listens."""
    name = sock.getsockname()
    return Listen(unix_path=name) if sock.family == socket.AF_UNIX else Listen(name[0], name[1])


class Acceptor:
    """
    Accepts connections of one socket until it is stopped, and hands them to `take`. `room` returns when there is place for one more.

    A lack of file descriptors pauses accepting; it never spins, and it passes by itself.
    """

    def __init__(self, sock: socket.socket, take: Taker, room: Callable[[], Awaitable[object]]) -> None:
        self._sock = sock
        self._take = take
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._is_stopping = False
        # A connection that was accepted and not handed on yet would be lost by cancelling.
        self._is_empty_handed = True
        self._task = self._loop.create_task(self._run())

    async def stop(self, *, takes_rest: bool) -> None:
        """Accept no more. `takes_rest`: who is in the queue already is let in; the kernel would reset them when the socket closes."""
        self._is_stopping = True
        if self._is_empty_handed:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if takes_rest:
            with suppress(OSError):
                while True:
                    await self._accept()

    async def _run(self) -> None:
        is_exhausted = False
        while not self._is_stopping:
            await self._room()
            await self._arrival()
            try:
                await self._accept_batch()
            except OSError as error:
                if error.errno in _CONNECTION_LOST:
                    continue
                if error.errno not in EXHAUSTED:
                    raise
                if not is_exhausted:
                    problem = problems.OUT_OF_DESCRIPTORS
                    _log.warning("%s %s: new connections wait", problem.code, problem.title)
                is_exhausted = True
                await asyncio.sleep(_EXHAUSTION_PAUSE_S)
                continue
            is_exhausted = False

    async def _accept_batch(self) -> None:
        """Accept whoever waits, while there is room. Raises OSError if the very first cannot be accepted."""
        for count in range(_BATCH):
            try:
                await self._accept()
            except BlockingIOError:
                return
            except OSError:
                # The next round meets it again, if it lasts.
                if count:
                    return
                raise
            if self._is_stopping:
                return
            await self._room()

    async def _accept(self) -> None:
        connection, _ = self._sock.accept()
        connection.setblocking(False)
        self._is_empty_handed = False
        await self._take(connection)
        self._is_empty_handed = True

    async def _arrival(self) -> None:
        """Wait until somebody is in the queue. `loop.sock_accept` would lose a connection if it is cancelled in the turn of its arrival."""
        arrived = self._loop.create_future()

        def arrive() -> None:
            if not arrived.done():
                arrived.set_result(None)

        self._loop.add_reader(self._sock, arrive)
        try:
            await arrived
        finally:
            self._loop.remove_reader(self._sock)


class Sockets(NamedTuple):
    """
    Sockets that listen already. `own` are from now on nobody else's. `lent`, by a service manager or a supervisor, are held by others too:
    their files and their queues are not ours to clear.
    """

    own: tuple[socket.socket, ...] = ()
    lent: tuple[socket.socket, ...] = ()


NO_SOCKETS: Final = Sockets()


class Listeners:
    """The listening sockets of a gateway, from their addresses to the end. `key` is the one that names the addresses."""

    def __init__(self, key: str = "listen") -> None:
        self._key = key
        self._own: list[socket.socket] = []
        self._lent: list[socket.socket] = []
        self._acceptors: dict[socket.socket, Acceptor] = {}

    @property
    def are_open(self) -> bool:
        """Whether connections are accepted."""
        return bool(self._acceptors)

    def open(self, addresses: Iterable[Listen], sockets: Sockets, *, shared: bool) -> list[Listen]:
        """Listen on every address, and on sockets that do already; returns the real addresses. Raises CannotListen; nothing of its own listens then."""
        self._own, self._lent = list(sockets.own), list(sockets.lent)
        bound = [address_of(sock) for sock in (*sockets.own, *sockets.lent)]
        try:
            for address in addresses:
                made = bind(address, self._key, shared=shared)
                self._own += made
                bound.append(address if address.unix_path else Listen(address.host, made[0].getsockname()[1]))
        except CannotListen:
            close_all(self._own)
            raise
        return bound

    def accept(self, taker_of: Callable[[socket.socket], Taker], room: Callable[[], Awaitable[object]]) -> None:
        """Begin to accept, each socket's connections for its own taker."""
        self._acceptors = {sock: Acceptor(sock, taker_of(sock), room) for sock in (*self._own, *self._lent)}

    async def stop(self, *, takes_rest: bool) -> None:
        """Listen no more. `takes_rest`: who is in a queue that is nobody else's is let in first."""
        acceptors, self._acceptors = self._acceptors, {}
        is_dropping = [drop_new(sock) for sock in self._own if takes_rest]
        if any(is_dropping):
            await asyncio.sleep(_HANDSHAKE_S)
        await asyncio.gather(*(each.stop(takes_rest=takes_rest and sock in self._own) for sock, each in acceptors.items()))
        close_all(self._own)
        for sock in self._lent:
            sock.close()
        self._own, self._lent = [], []


def plainly(protocol: Callable[[], asyncio.Protocol]) -> Taker:
    """Make a taker of connections without TLS."""

    async def take(connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, connection)
        except OSError:
            connection.close()  # the client left between the handshake and now

    return take
