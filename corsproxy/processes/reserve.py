"""
The addresses of a proxy with several workers, before any of these is there.

A port that is taken must fail, and not be shared in silence with whoever has it; so each is bound here first, alone. Then it is
opened for the sockets of the workers, among which the kernel deals connections out.
"""

import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from corsproxy.config.settings import Listen
from corsproxy.gateway.listener import CannotListen, address_of, bind, close_all

# Elsewhere the option means other things: macOS gives every connection to the socket that was bound last.
_SHARES_PORTS: Final = sys.platform == "linux"


@dataclass(slots=True)
class Reserved:
    """
    What is reserved. `bound` are all addresses with their real ports; `addresses` are those that each worker listens on by a socket of its own;
    `lent` are the sockets that all accept from.

    `probes` are sockets on the `addresses`, which listen, so that nobody else can bind there meanwhile. They become the first worker's, with whoever
    is in their queues; the other workers make theirs beside them.
    `paths` are files of unix sockets that are ours to remove.
    """

    bound: list[Listen] = field(default_factory=list)
    addresses: list[Listen] = field(default_factory=list)
    probes: list[socket.socket] = field(default_factory=list)
    lent: list[socket.socket] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def open_for_all(self) -> None:
        """Let go of the probes: the first worker has them now."""
        close_all(self.probes)
        self.probes.clear()

    def release(self) -> None:
        """Let go of everything."""
        self.open_for_all()
        for path in self.paths:
            with suppress(OSError):
                Path(path).unlink()
        for sock in self.lent:
            sock.close()
        self.paths.clear()
        self.lent.clear()


def reserve(addresses: Sequence[Listen], handed_over: Sequence[socket.socket] = ()) -> Reserved:
    """Reserve the addresses, or take the sockets that were handed over in their place. Raises CannotListen; nothing is held then."""
    reserved = Reserved(bound=[address_of(sock) for sock in handed_over], lent=list(handed_over))
    try:
        for address in () if handed_over else addresses:
            _reserve(address, reserved)
    except CannotListen:
        reserved.release()
        raise
    return reserved


def _reserve(address: Listen, reserved: Reserved) -> None:
    sockets = bind(address)
    real = address if address.unix_path else Listen(address.host, sockets[0].getsockname()[1])
    reserved.bound.append(real)
    if address.unix_path or not _SHARES_PORTS:
        reserved.lent += sockets
        reserved.paths += [address.unix_path] if address.unix_path else []
        return
    # Set before the bind, it would have let this one in beside another proxy.
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.probes += sockets
    reserved.addresses.append(real)
