"""
What systemd says to a service that it starts, and what that says back.

It knows the two protocols, sd_notify and LISTEN_FDS; without systemd, and on other systems, all of it does nothing.
"""

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
# The number of the first descriptor that is handed over. Spec: sd_listen_fds(3).
_FIRST: Final = 3


class BadSocket(Exception):
    """A descriptor that was handed over is no socket that a proxy can accept from; the text says which and why."""


def notify(state: str) -> None:
    """
    Tell the service manager of a new state, if there is one that listens. Never raises.

    Spec: sd_notify(3).
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path[:1] not in ("/", "@"):
        return
    # A name that begins with @ is one of the abstract namespace, which begin with a null byte.
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(state.encode(), address)


def reloading_state() -> str:
    """Return the state in which `systemctl reload` waits for READY; its stamp tells one reload from another."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def inherited_sockets(environ: MutableMapping[str, str]) -> list[tuple[str, socket.socket]]:
    """
    Take the sockets that were handed over to this very process, with their names, and the variables that tell of them out of the environment.

    Raises BadSocket.

    Spec: sd_listen_fds(3).
    """
    pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    named = names.split(":")
    found = []
    for place in range(int(count)):
        name = named[place] if place < len(named) else ""
        found.append((name, _listening(_FIRST + place, name)))
    return found


def _listening(number: int, name: str) -> socket.socket:
    called = f"descriptor {number}" + (f" (`{name}`)" if name else "")
    try:
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
    except OSError as error:
        raise BadSocket(f"{called} is no socket: {(error.strerror or '').lower()}") from error
    is_stream = sock.type == socket.SOCK_STREAM and sock.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    if not is_stream or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise BadSocket(f"{called} is no stream socket that listens")
    if sock.family == socket.AF_UNIX and not _is_file(sock.getsockname()):
        sock.detach()
        raise BadSocket(f"{called} is a unix socket without a file")
    sock.setblocking(False)
    return sock


def _is_file(name: str | bytes) -> bool:
    return isinstance(name, str) and name.startswith("/")
