"""
How to close a listening socket without resetting anybody.

Between the last `accept` and the close, one more connection may be made, and the kernel resets it. So new ones are kept from being made
first: their SYN is dropped, as if the network had lost it. The client sends it again after a second, and is refused then, or let in by
whoever listens there next.
"""

import socket
import struct
import sys
from contextlib import suppress
from typing import Final

# Linux, asm-generic/socket.h; Python has no name for it.
_SO_ATTACH_FILTER: Final = 26
_SYN: Final = 0x02
# Spec: Linux, networking/filter.rst. What a filter of a TCP socket is shown begins with the TCP header; its flags are byte 13.
_PROGRAM: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the flags
        (0x45, 0, 1, _SYN),  # is it a SYN?
        (0x06, 0, 0, 0),  # then drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # else let all of it pass
    )
)


def drop_new(sock: socket.socket) -> bool:
    """Let no connection be made any more; those that are being made are completed. Tells whether the system can do that."""
    if sys.platform != "linux" or sock.family == socket.AF_UNIX:
        return False
    import ctypes  # noqa: PLC0415 - for the end alone

    program = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM))
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_PROGRAM) // 8, ctypes.addressof(program)))
        return True
    return False
