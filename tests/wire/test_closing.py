"""A listening socket that is about to close: no connection is made any more, and none that is being made is lost."""

import socket
import sys

import pytest

from corsproxy.gateway.closing import drop_new
from tests.harness import DEADLINE_S

_SO_DETACH_FILTER = 27


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_a_connection_is_neither_made_nor_refused_and_those_in_the_queue_stay(family: socket.AddressFamily) -> None:
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((address, 0), family=family) as listening, socket.socket(family) as before, socket.socket(family) as after:
        before.connect(listening.getsockname())
        before.sendall(b"first")
        assert drop_new(listening)
        after.settimeout(0.1)
        with pytest.raises(TimeoutError):
            after.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            # What belongs to a connection that stands passes.
            before.sendall(b"second")
            accepted.settimeout(DEADLINE_S)
            assert accepted.recv(100).startswith(b"first")
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
        # As if the network had lost its first packet: the next one gets in.
        listening.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        listening.settimeout(DEADLINE_S)
        listening.accept()[0].close()


def test_a_unix_socket_has_no_such_packets() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        assert not drop_new(sock)
