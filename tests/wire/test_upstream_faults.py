"""
What upstreams do wrong, done by real sockets, and which status, code and word it becomes.

One table, so that no two faults look alike to a script, in the log or in a metric.
"""

import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from corsproxy.config.settings import Limits, Timeouts
from corsproxy.config.upstreams import PoolSettings
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from corsproxy.problems import catalogue
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Client, Proxy, Response, Upstream, complete_status, get, head, ok, put, route

ASKED = get(b"/", b"Origin: " + ORIGIN)
SHORT = Timeouts(connect=0.1, response=0.1, idle=0.1)
# Nobody can be reached by TCP at the address that means everybody.
UNREACHABLE = "255.255.255.255"

Fault = Callable[[ProxyFactory, Upstream], Awaitable[tuple[Proxy, Response]]]


async def ask(front: Proxy, request: bytes = ASKED) -> tuple[Proxy, Response]:
    return front, await front.ask(request)


def told(upstream: Upstream, **changes: object) -> UpstreamSettings:
    return replace(upstream.settings, **changes)  # type: ignore[arg-type]


async def meet(front: Proxy, upstream: Upstream, play: Callable[[Client, Upstream], Awaitable[None]]) -> tuple[Proxy, Response]:
    client = await front.connect()
    await play(client, upstream)
    return front, await client.read_response()


async def refuse(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
    await upstream.fall()
    return await ask(await proxy())


async def lack_a_socket(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
    return await ask(await proxy(route(told(upstream, unix_path="/nonexistent/app.sock"))))


async def lack_a_name(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
    return await ask(await proxy(route(told(upstream, host="nowhere.invalid"))))


async def lack_a_way(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
    return await ask(await proxy(route(told(upstream, host=UNREACHABLE), timeouts=Timeouts(connect=5.0))))


async def speak_plainly(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
    front = await proxy(route(told(upstream, tls=True)))

    async def play(client: Client, upstream: Upstream) -> None:
        await client.send(ASKED)
        # What could not be connected is tried once more.
        for _ in range(2):
            served = await upstream.accept()
            await served.read_some()
            await served.send(ok(status=b"400 Bad Request"))

    return await meet(front, upstream, play)


def answering(data: bytes, *, reset: bool = False, close: bool = False) -> Fault:
    async def fault(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
        async def play(client: Client, upstream: Upstream) -> None:
            await client.send(ASKED)
            served = await upstream.accept()
            await served.read_request()
            await served.send(data)
            if reset:
                served.reset()
            elif close:
                served.close()

        return await meet(await proxy(route(upstream, timeouts=replace(SHORT, connect=5.0))), upstream, play)

    return fault


async def queue_for_ever(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
    fillers = [socket.socket() for _ in range(4)]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        try:
            return await ask(await proxy(route(told(upstream, port=listener.getsockname()[1]), timeouts=SHORT)))
        finally:
            for filler in fillers:
                filler.close()


async def take_no_bytes(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
    upstream.receive_buffer = 4096
    front = await proxy(route(upstream, timeouts=replace(SHORT, connect=5.0)))
    client = await front.connect()
    # More than all buffers on the way hold, and whatever the proxy reads of it.
    client.loop.create_task(client.send(put(b"x" * 32 * 1024 * 1024, b"Origin: " + ORIGIN))).add_done_callback(
        lambda task: task.exception()
    )
    await upstream.accept()
    return front, await client.read_response()


async def be_busy(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
    front = await proxy(route(told(upstream, pool=PoolSettings(max_connections=1, wait=0.05))))
    first = await front.connect()
    await first.send(get(b"/first"))
    served = await upstream.accept()
    await served.read_request()
    _, got = await ask(front)
    await served.send(ok())
    assert (await first.read_response()).status == 200
    await front.recorded(2)
    return front, got


async def take_too_many(proxy: ProxyFactory, upstream: Upstream) -> tuple[Proxy, Response]:
    front = await proxy(limits=Limits(in_flight=1))
    first = await front.connect()
    await first.send(get(b"/first"))
    served = await upstream.accept()
    await served.read_request()
    _, got = await ask(front)
    await served.send(ok())
    assert (await first.read_response()).status == 200
    await front.recorded(2)
    return front, got


@dataclass(frozen=True)
class Case:
    fault: Fault
    status: int
    code: str
    word: str
    proxy_error: str


CASES = {
    "refused": Case(refuse, 502, "CP401", "connection_refused", "connection_refused"),
    "no such unix socket": Case(lack_a_socket, 502, "CP401", "connection_refused", "connection_refused"),
    "unresolved": Case(lack_a_name, 502, "CP402", "unresolved", "dns_error"),
    "unreachable": Case(lack_a_way, 502, "CP403", "unreachable", "destination_ip_unroutable"),
    "TLS failure": Case(speak_plainly, 502, "CP404", "tls_failed", "tls_protocol_error"),
    "FIN before the head": Case(answering(b"", close=True), 502, "CP405", "closed_early", "connection_terminated"),
    "reset before the head": Case(answering(b"", reset=True), 502, "CP405", "closed_early", "connection_terminated"),
    "reset within the head": Case(
        answering(b"HTTP/1.1 200 OK\r\nX-A: ", reset=True), 502, "CP405", "closed_early", "connection_terminated"
    ),
    "reset after an interim": Case(
        answering(head(b"HTTP/1.1 103 Early Hints"), reset=True), 502, "CP405", "closed_early", "connection_terminated"
    ),
    "bad head": Case(answering(b"SSH-2.0-OpenSSH\r\n\r\n"), 502, "CP406", "bad_head", "http_protocol_error"),
    "head too large": Case(
        answering(b"HTTP/1.1 200 OK\r\n" + b"X-A: %b\r\n" % (b"a" * 1000) * 200), 502, "CP406", "bad_head", "http_protocol_error"
    ),
    "connect timeout": Case(queue_for_ever, 504, "CP407", "connect_timeout", "connection_timeout"),
    "head timeout": Case(answering(b""), 504, "CP408", "response_timeout", "http_response_timeout"),
    "head timeout within the head": Case(answering(b"HTTP/1.1 200 OK\r\nX-A"), 504, "CP408", "response_timeout", "http_response_timeout"),
    "idle timeout": Case(take_no_bytes, 504, "CP409", "idle_timeout", "connection_write_timeout"),
    "pool limit": Case(be_busy, 503, "CP410", "pool_full", "connection_limit_reached"),
    "in-flight limit": Case(take_too_many, 503, "CP316", "overloaded", "proxy_internal_response"),
    "a 101 that was not asked for": Case(
        answering(head(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade")),
        502,
        "CP412",
        "bad_switch",
        "http_upgrade_failed",
    ),
}
# `tests/hazards/test_tls_upstream.py` shows certificates, for it has them.
ELSEWHERE = {"CP415"}


@pytest.mark.parametrize("name", CASES)
async def test_each_fault_has_its_status_its_code_and_its_word(proxy: ProxyFactory, upstream: Upstream, name: str) -> None:
    case = CASES[name]
    front, got = await case.fault(proxy, upstream)
    record = next(record for record in await front.recorded() if record.problem is not None)
    assert record.problem is not None

    assert (got.status, json.loads(got.body)["code"]) == (case.status, case.code)
    assert (record.status, record.problem.code, record.problem.word) == (case.status, case.code, case.word)
    assert f"; error={case.proxy_error};".encode() in (got.value(b"proxy-status") or b"")
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    assert got.values(b"retry-after") == ([b"1"] if case.status == 503 else [])
    for address in (UNREACHABLE.encode(), b"127.0.0.1", b"nowhere", b"app.sock", b":%d" % upstream.port):
        assert address not in got.raw


def test_the_table_knows_every_fault_that_becomes_an_answer() -> None:
    answered = {problem.code for problem in catalogue().values() if problem.code.startswith("CP4") and problem.status}
    # CP411 comes after a head: the answer is cut, and nothing can be said any more.
    assert {case.code for case in CASES.values()} | ELSEWHERE == (answered - {"CP411"}) | {"CP316"}


CUTS = {
    "a length": (b"Content-Length: 100", b"part"),
    "chunks": (b"Transfer-Encoding: chunked", b"4\r\npart\r\n"),
}


@pytest.mark.parametrize("framing", CUTS)
@pytest.mark.parametrize("how", ["silence", "reset", "fin"])
async def test_after_the_head_a_fault_is_a_visible_abort_with_a_word_in_the_log(
    proxy: ProxyFactory, upstream: Upstream, framing: str, how: str
) -> None:
    line, part = CUTS[framing]
    front = await proxy(route(upstream, timeouts=Timeouts(idle=0.1)))
    client = await front.connect()
    await client.send(ASKED)
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", line) + part)
    begun = await client.read_until(b"part")
    if how == "reset":
        served.reset()
    elif how == "fin":
        served.close()
    rest = await client.read_until_close()
    (record,) = await front.recorded()

    assert complete_status(begun + rest, client.ended) == 0
    assert b"corsproxy" not in rest, "no second answer behind the first"
    assert record.problem is not None
    assert (record.status, record.problem.word) == (200, "idle_timeout" if how == "silence" else "truncated")
