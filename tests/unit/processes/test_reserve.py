"""Addresses that are reserved for several workers: alone first, then shared among ours."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from corsproxy.config.settings import Listen
from corsproxy.gateway.listener import CannotListen, bind, close_all
from corsproxy.processes.reserve import Reserved, reserve


@pytest.fixture
def reserved() -> Iterator[Reserved]:
    found = reserve([Listen("127.0.0.1", 0)])
    yield found
    found.release()


def queue_of(sock: socket.socket) -> int:
    count = 0
    try:
        while True:
            sock.accept()[0].close()
            count += 1
    except BlockingIOError:
        return count


def test_workers_listen_beside_each_other_and_every_connection_reaches_one(reserved: Reserved) -> None:
    (address,) = reserved.addresses
    assert reserved.bound == [address]
    workers = [bind(address, shared=True)[0] for _ in range(2)]
    reserved.open_for_all()
    for _ in range(64):
        socket.create_connection((address.host, address.port)).close()
    queues = [queue_of(worker) for worker in workers]
    close_all(workers)

    assert sum(queues) == 64
    assert all(queues)


def test_a_port_that_another_program_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(CannotListen, match="address already in use"):
        reserve([Listen("127.0.0.1", other.getsockname()[1])])


def test_a_port_that_another_proxy_reserves_is_refused_before_its_workers_are_there_and_after(reserved: Reserved) -> None:
    (address,) = reserved.addresses
    with pytest.raises(CannotListen, match="address already in use"):
        reserve([address])
    workers = bind(address, shared=True)
    reserved.open_for_all()
    with pytest.raises(CannotListen, match="address already in use"):
        reserve([address])
    close_all(workers)


def test_what_was_reserved_before_one_that_fails_is_let_go(reserved: Reserved, tmp_path: Path) -> None:
    with pytest.raises(CannotListen):
        reserve([Listen(unix_path=str(tmp_path / "s")), *reserved.addresses])
    assert not (tmp_path / "s").exists()


def test_all_interfaces_have_one_port_for_each_family() -> None:
    found = reserve([Listen("", 0)])
    (address,) = found.addresses
    ports = {sock.getsockname()[1] for sock in found.probes}
    found.release()
    assert ports == {address.port}


def test_a_unix_socket_is_lent_to_all_and_its_file_goes_at_the_end(tmp_path: Path) -> None:
    address = Listen(unix_path=str(tmp_path / "s"))
    found = reserve([address])
    assert (found.bound, found.addresses, len(found.lent)) == ([address], [], 1)
    found.open_for_all()
    assert (tmp_path / "s").is_socket()
    found.release()
    assert not (tmp_path / "s").exists()


def test_sockets_that_were_handed_over_stand_for_the_addresses_and_keep_their_files(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        found = reserve([Listen("127.0.0.1", 1)], [sock.dup()])
        assert (found.bound, found.addresses) == ([Listen(unix_path=str(tmp_path / "s"))], [])
        found.release()
    assert (tmp_path / "s").exists()
