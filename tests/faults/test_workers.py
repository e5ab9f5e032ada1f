"""
The danger: one process of several dies, is ended, or lags behind; a supervisor that dies leaves workers that nobody ends.

The promise: what happens to one disturbs no connection of another; a dead one is replaced; all run by the same configuration; none
outlives its supervisor; nothing waits in a queue that nobody serves.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.cli.test_lifecycle import activated, container, has_namespaces, in_flight, inside, next_line
from tests.cli.test_run import ORIGIN, ask, corsproxy, environment, running, silent_upstream
from tests.faults.processes import Family, children, is_alive, run_with_a_change, signal_group, wait_until

PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
ASK = b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: " + ORIGIN.encode() + b"\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
FLAGS = ("--upstream", "http://127.0.0.1:9", "--allow-origin", ORIGIN)
TWO = {"CORSPROXY_WORKERS": "2"}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


@contextmanager
def crew(cwd: Path, *arguments: str, **extra: str) -> Iterator[tuple["subprocess.Popen[str]", int, Family]]:
    """Run a proxy with two workers; nothing of it may be left at the end."""
    flags = arguments or (*FLAGS, "--listen", "127.0.0.1:0")
    with running(*flags, cwd=cwd, **({} if "--config" in flags else TWO), **extra) as (process, port):
        family = Family.of(process)
        workers = family.workers
        assert len(workers) == 2
        yield process, port, family
        workers += family.workers
        process.kill()
        process.wait(10)
        wait_until(lambda: family.all_gone(workers), "processes are left")


@contextmanager
def connections(port: int, family: Family) -> Iterator[dict[int, list[socket.socket]]]:
    """Connections that are kept alive, at least two with each worker, by worker."""
    with ExitStack() as opened:
        found: dict[int, list[socket.socket]] = {worker: [] for worker in family.workers}
        while min(map(len, found.values())) < 2:
            sock = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            assert preflight(sock)
            found[family.owner(sock)].append(sock)
        yield found


def preflight(sock: socket.socket) -> bool:
    """Whether a preflight is answered on this connection."""
    sock.sendall(ASK)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(1000)
        if not data:
            return False
        head += data
    assert head.startswith(b"HTTP/1.1 204 ")
    assert f"Access-Control-Allow-Origin: {ORIGIN}\r\n".encode() in head
    return True


# --- death of a worker ---


def test_a_worker_that_is_killed_disturbs_no_connection_of_the_other_and_is_replaced(tmp_path: Path) -> None:
    with crew(tmp_path) as (process, port, family), connections(port, family) as kept:
        killed, other = family.workers
        os.kill(killed, signal.SIGKILL)
        for sock in kept[other]:
            assert preflight(sock)
        for sock in kept[killed]:
            assert sock.recv(1) == b""
        said = next_line(process, "CP541")
        assert f"worker 1 (process {killed}) was ended by SIGKILL" in said
        wait_until(lambda: len(family.workers) == 2)
        for sock in kept[other]:
            assert preflight(sock)
        # Both serve: the new one accepts, too.
        with connections(port, family) as anew:
            assert set(anew) == {other, *set(family.workers) - {other}}
            assert killed not in anew


def test_new_connections_are_served_while_a_worker_is_missing(tmp_path: Path) -> None:
    """No connection is dealt to the dead one's queue."""
    change = "import corsproxy.processes.workers as w; w._FIRST_PAUSE_S = 3600.0; w._LONGEST_PAUSE_S = 3600.0"
    with changed_crew(tmp_path, change) as (_, port, family):
        killed, other = family.workers
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: family.workers == [other])
        for _ in range(20):
            assert ask(port, "OPTIONS", "/", PREFLIGHT)[0] == 204
        assert family.workers == [other]


@contextmanager
def changed_crew(cwd: Path, change: str, *arguments: str, **extra: str) -> Iterator[tuple["subprocess.Popen[str]", int, Family]]:
    """Run a proxy with two workers, some of whose code was changed to fail."""
    command = [sys.executable, *run_with_a_change(change), *(arguments or (*FLAGS, "--listen", "127.0.0.1:0"))]
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(**TWO, **extra),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    with process.stderr:
        try:
            found = re.search(r"listening on http://127.0.0.1:(\d+)", next_line(process, "listening"))
            assert found
            yield process, int(found[1]), Family.of(process)
        finally:
            process.kill()
            process.wait(10)


def test_one_that_dies_again_and_again_is_started_ever_more_rarely(tmp_path: Path) -> None:
    """Pauses double; the counts are the supervisor's own, so nothing is timed here."""
    change = """
import os, corsproxy.processes.worker as worker, corsproxy.processes.workers as w
w._FIRST_PAUSE_S = 0.01
begun = []
restart = w.Supervisor._restart
def counted(self, dead):
    restart(self, dead)
    os.write(2, b"restart %d\\n" % self._failures[dead.place])
    if self._failures[dead.place] == 5:
        self._signals.put_nowait(None)
w.Supervisor._restart = counted
serve = worker._Worker.run
async def dying(self, channel, sockets):
    # The first two live, so that the proxy starts; whatever follows them dies.
    if os.path.exists("dying"):
        os._exit(7)
    return await serve(self, channel, sockets)
worker._Worker.run = dying
"""
    with changed_crew(tmp_path, change) as (process, _, family):
        (tmp_path / "dying").touch()
        os.kill(family.workers[0], signal.SIGKILL)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(10) == 0
        assert re.findall(r"restart (\d)", said) == ["1", "2", "3", "4", "5"]
        assert said.count("ended with exit code 7") >= 3


def test_a_worker_that_cannot_begin_keeps_the_proxy_from_starting(tmp_path: Path) -> None:
    change = "import os, corsproxy.processes.nursery as n, corsproxy.processes.workers as w; w.work = lambda end, sockets: 9"
    command = [sys.executable, *run_with_a_change(change), *FLAGS, "--listen", "127.0.0.1:0"]
    said = subprocess.run(command, cwd=tmp_path, env=environment(**TWO), capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode == 3
    assert re.search(r"error\[CP541\]: worker \d ended before it could serve", said.stderr)


def test_a_port_that_is_taken_is_said_as_by_one_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        one, two = (corsproxy(*FLAGS, "--listen", listen, cwd=tmp_path, CORSPROXY_WORKERS=count) for count in ("1", "2"))
    assert (one.returncode, two.returncode) == (3, 3)
    assert one.stderr == two.stderr
    assert f"error[CP504]: cannot listen on {listen}: address already in use" in two.stderr


def test_a_second_proxy_on_the_same_port_is_refused(tmp_path: Path) -> None:
    """SO_REUSEPORT alone would let it in, and it would get half of the connections."""
    with crew(tmp_path) as (_, port, _):
        said = corsproxy(*FLAGS, "--listen", f"127.0.0.1:{port}", cwd=tmp_path, **TWO)
        assert said.returncode == 3
        assert "error[CP504]" in said.stderr


# --- the end ---


def test_sigterm_lets_exchanges_of_every_worker_end(tmp_path: Path) -> None:
    with silent_upstream() as listener:
        flags = ("--upstream", f"http://127.0.0.1:{listener.getsockname()[1]}", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
        with crew(tmp_path, *flags) as (process, port, family), ExitStack() as opened:
            pairs: list[tuple[socket.socket, socket.socket]] = []
            while len({family.owner(client) for client, _ in pairs}) < 2:
                pairs.append(opened.enter_context(in_flight(listener, port)))
            process.send_signal(signal.SIGTERM)
            next_line(process, "draining")
            next_line(process, "draining")
            wait_until(lambda: refuses(port))
            for client, called in pairs:
                called.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                answer = b""
                while data := client.recv(1000):
                    answer += data
                assert answer.endswith(b"\r\n\r\nok")
            assert process.wait(10) == 0


def test_while_it_delays_its_end_every_worker_serves(tmp_path: Path) -> None:
    with crew(tmp_path, CORSPROXY_SHUTDOWN_DELAY="1h") as (process, port, family), connections(port, family) as kept:
        process.send_signal(signal.SIGTERM)
        next_line(process, "ending")
        next_line(process, "ending")
        for sock in [sock for socks in kept.values() for sock in socks]:
            assert preflight(sock)
            assert sock.recv(1) == b""
        with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as late:
            late.request("OPTIONS", "/", headers=PREFLIGHT)
            assert late.getresponse().getheader("Connection") == "close"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_to_every_process_of_a_group_is_one_signal(tmp_path: Path, number: signal.Signals) -> None:
    """A terminal's Ctrl-C reaches all, and so does what systemd sends: the end is as in order as by one signal to the supervisor."""
    with changed_crew(tmp_path, "") as (process, port, family), socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        workers = family.workers
        assert preflight(sock)
        signal_group(process, number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "error" not in process.stderr.read()
        wait_until(lambda: family.all_gone(workers))


def test_sigint_cuts_what_is_in_flight(tmp_path: Path) -> None:
    with silent_upstream() as listener:
        flags = ("--upstream", f"http://127.0.0.1:{listener.getsockname()[1]}", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
        with crew(tmp_path, *flags) as (process, port, _), in_flight(listener, port) as (client, _):
            process.send_signal(signal.SIGINT)
            assert client.recv(1000) == b""
            assert process.wait(10) == 0


def test_one_worker_that_is_told_to_end_drains_and_is_replaced(tmp_path: Path) -> None:
    with silent_upstream() as listener:
        flags = ("--upstream", f"http://127.0.0.1:{listener.getsockname()[1]}", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
        with crew(tmp_path, *flags) as (process, port, family), in_flight(listener, port) as (client, called):
            told = family.owner(client)
            os.kill(told, signal.SIGTERM)
            next_line(process, "draining: 1 in flight")
            called.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            answer = b""
            while data := client.recv(1000):
                answer += data
            assert answer.endswith(b"\r\n\r\nok")
            next_line(process, "has ended")
            wait_until(lambda: len(family.workers) == 2 and told not in family.workers)


def refuses(port: int) -> bool:
    """Whether nobody listens any more. Who comes in the last moment is served, or hears nothing for a second."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionError:
        return True
    return False


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_workers_drain_and_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with silent_upstream() as listener:
        flags = ("--upstream", f"http://127.0.0.1:{listener.getsockname()[1]}", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
        with crew(tmp_path, *flags) as (process, port, family), in_flight(listener, port) as (client, called):
            workers, busy = family.workers, family.owner(client)
            process.kill()
            wait_until(lambda: not is_alive(family.nursery) and sum(map(is_alive, workers)) == 1)
            assert is_alive(busy)
            # The port is free for the next one.
            wait_until(lambda: is_free(port))
            called.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            answer = b""
            while data := client.recv(1000):
                answer += data
            assert answer.endswith(b"\r\n\r\nok")
            wait_until(lambda: family.all_gone(workers))


def test_without_its_nursery_the_proxy_ends_in_order_and_says_so(tmp_path: Path) -> None:
    with silent_upstream() as listener:
        flags = ("--upstream", f"http://127.0.0.1:{listener.getsockname()[1]}", "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0")
        with crew(tmp_path, *flags) as (process, port, family), in_flight(listener, port) as (client, called):
            workers = family.workers
            os.kill(family.nursery, signal.SIGKILL)
            next_line(process, "CP543")
            next_line(process, "draining: 1 in flight")
            called.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            answer = b""
            while data := client.recv(1000):
                answer += data
            assert answer.endswith(b"\r\n\r\nok")
            assert process.wait(10) == 1
            wait_until(lambda: family.all_gone(workers))


def test_a_worker_that_does_not_end_is_ended(tmp_path: Path) -> None:
    change = "import corsproxy.processes.workers as w; w._STOP_S = 0.2"
    with changed_crew(tmp_path, change) as (process, _, family):
        workers = family.workers
        os.kill(workers[0], signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        wait_until(lambda: family.all_gone(workers))


# --- reload ---


def file_of(origin: str, more: str = "") -> str:
    return f"listen: 127.0.0.1:0\nworkers: 2\nupstream: http://localhost:9\ncors: {{allow_origins: [{origin}]}}\n{more}"


def is_allowed(sock: socket.socket) -> bool:
    """Whether a preflight is granted, on a connection that is kept."""
    sock.sendall(ASK)
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        data = sock.recv(4096)
        assert data, answer
        answer += data
    status = int(answer.split(b" ", 2)[1])
    found = re.search(rb"Content-Length: (\d+)", answer)
    left = int(found[1]) - len(answer) + end + 4 if found else 0
    while left:
        left -= len(sock.recv(left))
    assert status in (204, 403), answer
    return status == 204


def test_a_reload_swaps_the_configuration_in_every_worker_and_in_those_to_come(tmp_path: Path) -> None:
    file = tmp_path / "corsproxy.yaml"
    file.write_text(file_of(ORIGIN))
    with crew(tmp_path, "--config", str(file)) as (process, port, family), connections(port, family) as kept:
        socks = [sock for each in kept.values() for sock in each]
        assert {is_allowed(sock) for sock in socks} == {True}
        file.write_text(file_of("https://other.example"))
        process.send_signal(signal.SIGHUP)
        next_line(process, "configuration reloaded")
        assert {is_allowed(sock) for sock in socks} == {False}
        killed = family.workers[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(family.workers) == 2 and killed not in family.workers)
        next_line(process, "CP541")
        for _ in range(20):
            assert ask(port, "OPTIONS", "/", PREFLIGHT)[0] == 403


def test_a_wrong_file_changes_no_worker(tmp_path: Path) -> None:
    file = tmp_path / "corsproxy.yaml"
    file.write_text(file_of(ORIGIN))
    with crew(tmp_path, "--config", str(file)) as (process, port, family), connections(port, family) as kept:
        file.write_text(file_of("https://other.example/"))
        process.send_signal(signal.SIGHUP)
        next_line(process, "CP511")
        assert {is_allowed(sock) for each in kept.values() for sock in each} == {True}


def test_the_number_of_workers_needs_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "corsproxy.yaml"
    file.write_text(file_of(ORIGIN))
    with crew(tmp_path, "--config", str(file)) as (process, _, family):
        workers = family.workers
        file.write_text(file_of(ORIGIN).replace("workers: 2", "workers: 3"))
        process.send_signal(signal.SIGHUP)
        assert "`workers`" in next_line(process, "CP512")
        assert family.workers == workers


# Its certificate cannot be read any more in that very moment, as it is: the first that says so is obeyed by place.
REFUSING = """
import corsproxy.app as app
from corsproxy.gateway.contexts import BadTlsFile
from corsproxy import problems
import corsproxy.processes.worker as worker
run = worker._Worker.run
places = []
async def placed(self, channel, sockets):
    get = self._orders.get
    async def noted():
        order = await get()
        if hasattr(order, "place"):
            places.append(order.place)
        return order
    self._orders.get = noted
    return await run(self, channel, sockets)
worker._Worker.run = placed
reconfigure = app.App.reconfigure
def refuse(self, settings):
    if places[0] in REFUSES:
        raise BadTlsFile(problems.BAD_TLS, "x.crt", "it is gone", "")
    reconfigure(self, settings)
app.App.reconfigure = refuse
"""


def test_a_worker_that_does_not_take_a_reload_is_replaced_by_one_that_does(tmp_path: Path) -> None:
    file = tmp_path / "corsproxy.yaml"
    file.write_text(file_of(ORIGIN))
    with changed_crew(tmp_path, REFUSING.replace("REFUSES", "(1,)"), "--config", str(file)) as (process, port, family):
        before = family.workers
        file.write_text(file_of("https://other.example"))
        process.send_signal(signal.SIGHUP)
        said = next_line(process, "CP542")
        assert "worker 1 did not take the new configuration" in said
        next_line(process, "configuration reloaded")
        wait_until(lambda: len(family.workers) == 2 and before[0] not in family.workers)
        assert before[1] in family.workers
        for _ in range(20):
            assert ask(port, "OPTIONS", "/", PREFLIGHT)[0] == 403


def test_a_reload_that_no_worker_takes_is_none(tmp_path: Path) -> None:
    file = tmp_path / "corsproxy.yaml"
    file.write_text(file_of(ORIGIN))
    with changed_crew(tmp_path, REFUSING.replace("REFUSES", "(1, 2)"), "--config", str(file)) as (process, port, family):
        before = family.workers
        file.write_text(file_of("https://other.example"))
        process.send_signal(signal.SIGHUP)
        next_line(process, "CP511")
        assert family.workers == before
        assert ask(port, "OPTIONS", "/", PREFLIGHT)[0] == 204


# --- sockets that all of them share ---


def ask_unix(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        return preflight(sock)


def test_a_unix_socket_is_shared_outlives_a_worker_and_its_file_goes_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "front"
    with crew(tmp_path, *FLAGS, "--listen", "127.0.0.1:0", "--listen", f"unix:{path}") as (process, _, family):
        assert ask_unix(path)
        os.kill(family.workers[0], signal.SIGKILL)
        assert all(ask_unix(path) for _ in range(10))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not path.exists()


def test_nobody_waits_at_a_shared_socket_while_the_last_exchange_ends(tmp_path: Path) -> None:
    """Its queue would be open as long as any process holds it."""
    path = tmp_path / "front"
    with silent_upstream() as listener:
        upstream = f"http://127.0.0.1:{listener.getsockname()[1]}"
        flags = ("--upstream", upstream, "--allow-origin", ORIGIN, "--listen", "127.0.0.1:0", "--listen", f"unix:{path}")
        with crew(tmp_path, *flags) as (process, port, _), in_flight(listener, port), socket.socket(socket.AF_UNIX) as late:
            # Connected by another name, the socket is found after its file is gone.
            os.link(path, tmp_path / "again")
            process.send_signal(signal.SIGTERM)
            next_line(process, "draining: 1 in flight")
            wait_until(lambda: not path.exists())

            def is_refused() -> bool:
                with socket.socket(socket.AF_UNIX) as sock:
                    try:
                        sock.connect(str(tmp_path / "again"))
                    except ConnectionRefusedError:
                        return True
                    return False

            wait_until(is_refused)
            del late


def test_sockets_that_systemd_hands_over_are_shared(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        with activated(sock, *FLAGS, cwd=tmp_path, **TWO) as process:
            assert "by sockets of the service manager" in next_line(process, "listening on")
            family = Family.of(process)
            os.kill(family.workers[0], signal.SIGKILL)
            assert [ask(port, "OPTIONS", "/", PREFLIGHT)[0] for _ in range(10)] == [204] * 10
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


@has_namespaces
def test_process_1_has_workers_too(tmp_path: Path) -> None:
    with container(*FLAGS, "--listen", "127.0.0.1:0", cwd=tmp_path, ORPHAN="yes", **TWO) as process:
        next_line(process, "listening on")
        first = inside(process)
        wait_until(lambda: len(children(first)) == 1, "an orphan was not reaped")
        (nursery,) = children(first)
        killed = children(nursery)[0]
        os.kill(killed, signal.SIGKILL)
        assert "was ended by SIGKILL" in next_line(process, "CP541")
        wait_until(lambda: len(children(nursery)) == 2 and killed not in children(nursery))
        os.kill(first, signal.SIGTERM)
        assert process.wait(10) == 0
