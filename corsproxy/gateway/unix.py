"""Unix sockets as files: a dead one is replaced, a live one is respected."""

import socket
from pathlib import Path
from typing import Final

# Whoever shares the group may connect: a sidecar and its web server.
_SOCKET_MODE: Final = 0o660


def clear_dead_socket(path: str) -> None:
    """Remove a socket that nobody listens on. Raises OSError for one that somebody does, and for a file that is no socket."""
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


def share_with_group(path: str) -> None:
    """Let the group connect, and nobody else."""
    Path(path).chmod(_SOCKET_MODE)


def remove_socket(path: str) -> None:
    """Remove our socket at the end."""
    Path(path).unlink(missing_ok=True)
