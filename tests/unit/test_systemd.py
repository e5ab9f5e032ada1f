"""What is said to systemd, and what is taken from it."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from corsproxy import systemd
from corsproxy.systemd import BadSocket, inherited_sockets, notify, reloading_state

ABSTRACT = f"@corsproxy-test-{os.getpid()}"


@pytest.fixture
def manager(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """The service manager's end: a datagram socket."""
    name = getattr(request, "param", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:] if name.startswith("@") else name)
        sock.settimeout(5)
        yield sock


@pytest.mark.parametrize("manager", [ABSTRACT], ids=["abstract"], indirect=True)
def test_a_state_reaches_a_socket_of_the_abstract_namespace(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", ABSTRACT)
    notify("READY=1")
    assert manager.recv(100) == b"READY=1"


def test_a_state_reaches_a_socket_with_a_file(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    notify(reloading_state())
    first, second = manager.recv(100).split(b"\n")
    assert first == b"RELOADING=1"
    assert second.startswith(b"MONOTONIC_USEC=")
    assert int(second.partition(b"=")[2]) > 0


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/at/all", "@nobody-listens-here", "vsock:2:1"])
def test_without_somebody_who_listens_nothing_happens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify("READY=1")


# --- sockets that are handed over ---

Place = Callable[[socket.socket | int], int]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Put descriptors where systemd would, one after the other, but far from those in use."""
    first = 200
    monkeypatch.setattr(systemd, "_FIRST", first)
    placed: list[int] = []

    def put(what: socket.socket | int) -> int:
        number = first + len(placed)
        os.dup2(what if isinstance(what, int) else what.fileno(), number)
        placed.append(number)
        return number

    yield put
    for number in placed:
        with suppress(OSError):
            os.close(number)


def environ(count: int, names: str = "", pid: int = 0) -> dict[str, str]:
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names, "PATH": "/bin"}


def test_sockets_come_with_their_names_and_the_variables_go(place: Place, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        place(tcp)
        place(unix)
        given = environ(2, "http:admin")
        found = inherited_sockets(given)

        assert [(name, sock.getsockname()) for name, sock in found] == [("http", tcp.getsockname()), ("admin", str(tmp_path / "s"))]
        assert given == {"PATH": "/bin"}
        for _, sock in found:
            assert not sock.get_inheritable()
            assert not sock.getblocking()
            sock.close()


def test_sockets_without_names_are_taken_too(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        place(tcp)
        ((name, sock),) = inherited_sockets(environ(1))
        assert name == ""
        sock.close()


@pytest.mark.parametrize("given", [{}, environ(1, pid=1), {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}])
def test_what_is_meant_for_another_process_is_left_alone(given: dict[str, str]) -> None:
    """A child of a service that systemd has started inherits the variables, and not the sockets."""
    assert inherited_sockets(given) == []
    assert "LISTEN_FDS" not in given


def test_a_descriptor_that_is_no_socket_is_refused(place: Place, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        place(file.fileno())
        with pytest.raises(BadSocket, match=r"descriptor 200 \(`fifo`\) is no socket"):
            inherited_sockets(environ(1, "fifo"))


def test_a_socket_that_does_not_listen_is_refused(place: Place) -> None:
    with socket.socket() as sock:
        place(sock)
        with pytest.raises(BadSocket, match="no stream socket that listens"):
            inherited_sockets(environ(1))


def test_a_datagram_socket_is_refused(place: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        place(sock)
        with pytest.raises(BadSocket, match="no stream socket that listens"):
            inherited_sockets(environ(1))


def test_a_unix_socket_of_the_abstract_namespace_is_refused(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"\0{ABSTRACT}-stream")
        sock.listen()
        place(sock)
        with pytest.raises(BadSocket, match="without a file"):
            inherited_sockets(environ(1))
