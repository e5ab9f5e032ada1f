"""A WebSocket through the proxy: the handshake on both sides, raw bytes both ways, and every way to end."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from corsproxy import problems
from corsproxy.config.settings import Limits, Listen, ServerTls, Timeouts
from corsproxy.config.upstreams import ClientTls, PoolSettings
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from corsproxy.gateway.tunnel import Tunnel
from corsproxy.semantics.rules import HeaderRules
from tests.certificates import Authority, Pair
from tests.conftest import ProxyFactory
from tests.harness import (
    ORIGIN,
    Client,
    Proxy,
    Served,
    Upstream,
    Wire,
    blocks,
    exchange,
    get,
    head,
    loopback_settings,
    ok,
    route,
    stalled,
    turns,
    until,
)
from tests.tls import TlsServed, TlsUpstream, client_context, connect_tls
from tests.websockets import ACCEPT, ASKS, KEY, handshake, open_tunnel, switching

OFFERED = 64 * 1024 * 1024
# The kernel's buffers of two connections, grown to their largest, and the proxy's own.
MAX_IN_BETWEEN = 24 * 1024 * 1024
ALL_BYTES = bytes(range(256))


async def pass_both_ways(client: Wire, served: Wire) -> None:
    for sender, reader in ((client, served), (served, client)):
        await sender.send(ALL_BYTES)
        assert await reader.read_exactly(len(ALL_BYTES)) == ALL_BYTES


# --- the handshake ---


async def test_the_upstream_gets_the_handshake_and_the_client_its_answer(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy()
    lines = [b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", b"Sec-WebSocket-Protocol: chat, superchat"]
    answer = switching(
        b"Sec-WebSocket-Protocol: chat", b"Set-Cookie: s=1", b"Access-Control-Allow-Origin: *", b"Keep-Alive: timeout=5", b"X-Seen: 1"
    )
    seen, got = await exchange(front, upstream, handshake(b"Origin: " + ORIGIN, *lines), answer)

    assert seen.start == b"GET / HTTP/1.1"
    assert seen.without() == [
        (b"Host", upstream.authority),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", KEY),
        (b"Origin", ORIGIN),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits"),
        (b"Sec-WebSocket-Protocol", b"chat, superchat"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
    ]
    assert got.start == b"HTTP/1.1 101 Switching Protocols"
    assert got.without() == [
        (b"Sec-WebSocket-Accept", ACCEPT),
        (b"Sec-WebSocket-Protocol", b"chat"),
        (b"Set-Cookie", b"s=1"),
        (b"X-Seen", b"1"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
    ]


async def test_the_rules_of_the_route_touch_both_heads(proxy: ProxyFactory, upstream: Upstream) -> None:
    sets, removes = HeaderRules(lines=((b"X-Api-Key", b"secret"),)), HeaderRules(frozenset({b"server"}))
    front = await proxy(replace(route(upstream), request_headers=sets, response_headers=removes))
    seen, got = await exchange(front, upstream, handshake(), switching(b"Server: legacy"))

    assert seen.values(b"x-api-key") == [b"secret"]
    assert got.values(b"server") == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(switching(key=b"x" * 22 + b"=="), id="the accept of another key"),
        pytest.param(head(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"), id="no accept"),
        pytest.param(switching(b"Sec-WebSocket-Accept: " + ACCEPT), id="two accepts"),
        pytest.param(switching().replace(b"Upgrade: websocket", b"Upgrade: h2c"), id="another protocol"),
        pytest.param(switching(b"Connection: Sec-WebSocket-Accept"), id="an accept that is taken off"),
        pytest.param(switching(b"Content-Length: 5"), id="a length"),
    ],
)
async def test_a_101_that_does_not_answer_the_handshake_is_a_502(front: Proxy, upstream: Upstream, answer: bytes) -> None:
    client = await front.connect()
    await client.send(handshake())
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(answer + b"SMUGGLED")
    got = await client.read_response()

    assert (got.status, got.values(b"connection"), b"SMUGGLED" in got.raw) == (502, [b"close"], False)
    assert await client.read_until_close() == b""
    await served.wait_closed()
    (record,) = await front.recorded()
    assert record.problem is not None
    assert (record.status, record.problem.code, upstream.connections) == (502, "CP412", 1)


async def test_an_answer_that_is_no_101_is_relayed_with_its_grant(front: Proxy, upstream: Upstream) -> None:
    answer = ok(b"who are you?", b"WWW-Authenticate: Basic", status=b"401 Unauthorized")
    _, got = await exchange(front, upstream, handshake(b"Origin: " + ORIGIN), answer)

    assert (got.status, got.body, got.value(b"connection")) == (401, b"who are you?", b"close")
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    assert (front.gateway.tunnels, front.gateway.in_flight) == (0, 0)


async def test_an_interim_before_the_101_passes(front: Proxy, upstream: Upstream) -> None:
    _, got = await exchange(front, upstream, handshake(), head(b"HTTP/1.1 103 Early Hints", b"Link: <a>") + switching())

    assert ([interim.start for interim in got.interims], got.status) == ([b"HTTP/1.1 103 Early Hints"], 101)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(b"/", *ASKS[:3]), 400),
        (get(b"/", *ASKS, b"Sec-WebSocket-Key: " + KEY), 400),
        (get(b"/", *ASKS, b"Content-Length: 5") + b"hello", 400),
        (get(b"/", *ASKS, method=b"POST"), 400),
        (get(b"/", *ASKS, b"Connection: Sec-WebSocket-Key"), 400),
    ],
    ids=["no key", "two keys", "a body", "another method", "a key that would be taken off"],
)
async def test_a_malformed_handshake_is_refused(front: Proxy, upstream: Upstream, request_: bytes, status: int) -> None:
    client = await front.connect()
    got = await client.ask(request_)

    assert (got.status, got.value(b"connection"), upstream.connections) == (status, b"close", 0)


async def test_another_version_is_told_which_one_is_spoken(front: Proxy, upstream: Upstream) -> None:
    got = await front.ask(get(b"/", *ASKS[:2], b"Sec-WebSocket-Version: 8", ASKS[3]))

    assert (got.status, got.value(b"sec-websocket-version"), got.value(b"upgrade")) == (426, b"13", b"websocket")
    assert (got.values(b"connection"), upstream.connections) == ([b"Upgrade", b"close"], 0)


@pytest.mark.parametrize("value", [b"h2c", b"websocket, h2c", b"h2c, websocket", b"websocket/13", b"TLS/1.0"])
async def test_any_other_upgrade_is_dropped(front: Proxy, upstream: Upstream, value: bytes) -> None:
    request = get(b"/", b"Connection: Upgrade", b"Upgrade: " + value, *ASKS[2:])
    seen, got = await exchange(front, upstream, request, ok(b"plain"))

    assert (seen.values(b"upgrade"), seen.values(b"connection")) == ([], [])
    assert (got.status, got.body) == (200, b"plain")


async def test_http_1_0_upgrades_nothing(front: Proxy, upstream: Upstream) -> None:
    seen, got = await exchange(front, upstream, head(b"GET / HTTP/1.0", *ASKS), ok())

    assert (seen.values(b"upgrade"), got.status) == ([], 200)


# --- bytes that come too early ---


async def test_bytes_behind_a_handshake_are_refused_with_it(front: Proxy, upstream: Upstream) -> None:
    got = await front.ask(handshake() + get(b"/admin"))

    assert (got.status, got.value(b"connection"), upstream.connections) == (400, b"close", 0)


async def test_bytes_before_the_101_break_the_handshake_off(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(handshake())
    served = await upstream.accept()
    await served.read_request_head()
    await client.send(get(b"/admin"))
    got = await client.read_response()

    assert (got.status, got.value(b"connection")) == (400, b"close")
    assert await served.read_until_close() == b""
    assert await client.read_until_close() == b""
    assert (upstream.connections, front.gateway.tunnels) == (1, 0)


async def test_bytes_that_come_while_a_connection_is_waited_for_are_not_forwarded(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(replace(upstream.settings, pool=PoolSettings(max_connections=1))))
    first = await front.connect()
    await first.send(get())
    served = await upstream.accept()
    await served.read_request()
    client = await front.connect()
    await client.send(handshake())
    await until(lambda: front.gateway.tunnels == 1)
    await client.send(b"early")
    await turns()
    await served.send(ok())

    assert (await client.read_response()).status == 400
    await served.wait_closed()
    assert upstream.connections == 1


# --- the tunnel ---


async def test_bytes_pass_both_ways_as_they_are(front: Proxy, upstream: Upstream) -> None:
    client, served = await open_tunnel(front, upstream)
    await pass_both_ways(client, served)
    await pass_both_ways(client, served)

    assert (front.gateway.tunnels, front.gateway.in_flight, front.records) == (1, 0, [])


async def test_what_comes_with_the_101_and_behind_it_passes(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(handshake())
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(switching() + b"hello")
    await client.read_head()

    assert await client.read_exactly(5) == b"hello"
    await pass_both_ways(client, served)


async def test_a_101_may_come_byte_by_byte(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send_in_pieces(handshake()[:40], handshake()[40:])
    served = await upstream.accept()
    await served.read_request_head()
    await served.send_bytewise(switching() + b"hello")
    await client.read_head()

    assert await client.read_exactly(5) == b"hello"


async def test_a_handshake_may_follow_other_requests_on_both_connections(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok())
    await client.read_response()
    await client.send(handshake())
    await served.read_request_head()
    await served.send(switching())
    await client.read_head()

    await pass_both_ways(client, served)
    assert upstream.connections == 1


async def test_none_of_the_timers_of_requests_runs_in_a_tunnel(proxy: ProxyFactory, upstream: Upstream) -> None:
    limits = Limits(keep_alive_timeout=0.05, header_timeout=0.05)
    timeouts = Timeouts(response=0.05, idle=0.05)
    front = await proxy(route(upstream, timeouts=timeouts), limits=limits)
    client, served = await open_tunnel(front, upstream)
    # Many times what would have ended an exchange.
    await asyncio.sleep(0.5)

    await pass_both_ways(client, served)


@pytest.mark.parametrize("way", ["down", "up"])
async def test_a_slow_reader_holds_its_writer_up(front: Proxy, upstream: Upstream, way: str) -> None:
    client, served = await open_tunnel(front, upstream, client=await front.connect(receive_buffer=16 * 1024))
    sender, reader = (served, client) if way == "down" else (client, served)
    sent, digest = 0, hashlib.sha256()

    async def send() -> None:
        nonlocal sent
        for block in blocks(OFFERED):
            await sender.loop.sock_sendall(sender.sock, block)
            digest.update(block)
            sent += len(block)

    sending = asyncio.ensure_future(send())
    assert await stalled(lambda: sent) < MAX_IN_BETWEEN
    # The other way is not held up by it.
    await reader.send(b"still here")
    assert await sender.read_exactly(10) == b"still here"
    reader.keeps_history = False
    left, got = OFFERED, hashlib.sha256()
    while left:
        data = await reader.read_some()
        got.update(data)
        left -= len(data)
    await sending
    assert got.digest() == digest.digest()
    await pass_both_ways(client, served)


# --- ends ---


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_an_end_is_passed_on_behind_all_bytes_and_the_other_way_goes_on(front: Proxy, upstream: Upstream, first: str) -> None:
    client, served = await open_tunnel(front, upstream)
    one, other = (client, served) if first == "client" else (served, client)
    await one.send(b"the last word")
    one.finish_sending()

    assert await other.read_until_close() == b"the last word"
    assert other.ended == "fin"
    await other.send(b"not yet")
    assert await one.read_exactly(7) == b"not yet"
    other.finish_sending()
    assert await one.read_until_close() == b""
    assert one.ended == "fin"
    (record,) = await front.recorded()
    sizes = (13, 7) if first == "client" else (7, 13)
    assert (record.status, record.received, record.sent, record.problem) == (101, *sizes, None)
    assert (front.gateway.tunnels, front.open_upstream) == (0, 0)


@pytest.mark.parametrize(("first", "code"), [("client", "CP502"), ("upstream", "CP413")])
async def test_a_reset_is_passed_on(front: Proxy, upstream: Upstream, first: str, code: str) -> None:
    client, served = await open_tunnel(front, upstream)
    one, other = (client, served) if first == "client" else (served, client)
    one.reset()

    assert await other.read_until_close() == b""
    assert other.ended == "reset"
    (record,) = await front.recorded()
    assert record.problem is not None
    assert (record.status, record.problem.code) == (101, code)


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_whoever_hangs_up_after_its_end_ends_in_order(front: Proxy, upstream: Upstream, first: str) -> None:
    client, served = await open_tunnel(front, upstream)
    one, other = (client, served) if first == "client" else (served, client)
    await one.send(b"bye")
    one.close()
    assert await other.read_until_close() == b"bye"
    # It is gone, so its kernel answers this with a reset.
    await other.send(b"are you there?")
    other.finish_sending()

    (record,) = await front.recorded()
    assert (other.ended, record.problem) == ("fin", None)


async def test_a_silent_tunnel_is_closed_in_order(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, timeouts=Timeouts(tunnel_idle=0.2)))
    client, served = await open_tunnel(front, upstream)

    assert [await client.read_until_close(), await served.read_until_close()] == [b"", b""]
    assert (client.ended, served.ended) == ("fin", "fin")
    (record,) = await front.recorded()
    assert record.problem is not None
    assert (record.problem.code, record.ended - record.started >= 0.2) == ("CP507", True)


@pytest.mark.parametrize("way", ["down", "up"])
def test_bytes_of_one_way_keep_a_tunnel_open(way: str) -> None:
    loop, client, upstream = Mock(), Mock(), Mock()
    for transport in (client, upstream):
        transport.is_closing.return_value = False
        transport.get_write_buffer_size.return_value = 0
    loop.time.return_value = 0.0
    tunnel = Tunnel(client, upstream, 10.0, loop, Mock())
    for now in (9.0, 18.0, 27.0):
        loop.time.return_value = now
        (tunnel.upstream if way == "down" else tunnel.client).on_data(b"ping")
        tunnel.expire(now + 9.0)
    assert (tunnel.problem, client.close.called, upstream.close.called) == (None, False, False)

    tunnel.expire(37.1)

    assert (tunnel.problem, client.close.called, upstream.close.called) == (problems.TUNNEL_IDLE, True, True)


async def test_whoever_takes_nothing_is_cut_after_a_while(proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corsproxy.gateway.tunnel._FAREWELL_S", 0.2)
    front = await proxy(route(upstream, timeouts=Timeouts(tunnel_idle=0.2)))
    _, served = await open_tunnel(front, upstream, client=await front.connect(receive_buffer=16 * 1024))

    async def send() -> None:
        for block in blocks(OFFERED):
            await served.loop.sock_sendall(served.sock, block)

    with pytest.raises(ConnectionError):
        await send()
    (record,) = await front.recorded()
    assert record.problem is not None
    assert record.problem.code == "CP507"


# --- how many ---


async def test_above_the_limit_a_handshake_is_a_503_that_asks_to_come_again(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(tunnels=1))
    client, served = await open_tunnel(front, upstream)
    got = await front.ask(handshake(b"Origin: " + ORIGIN))

    assert (got.status, got.value(b"retry-after"), upstream.connections) == (503, b"1", 1)
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    client.close()
    await served.wait_closed()
    served.close()
    await until(lambda: front.gateway.tunnels == 0)
    await open_tunnel(front, upstream)


async def test_a_handshake_that_has_no_answer_yet_counts(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(tunnels=1))
    client = await front.connect()
    await client.send(handshake())
    await upstream.accept()

    assert (await front.ask(handshake())).status == 503


async def test_tunnels_are_no_exchanges_in_flight(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(in_flight=1))
    for _ in range(3):
        await open_tunnel(front, upstream)
    _, got = await exchange(front, upstream, get(), ok())

    assert (got.status, front.gateway.tunnels) == (200, 3)


# --- the end of the proxy ---


async def test_a_drain_leaves_tunnels_open_until_they_end(front: Proxy, upstream: Upstream) -> None:
    client, served = await open_tunnel(front, upstream)
    draining = asyncio.ensure_future(front.gateway.drain(15))
    await until(lambda: front.gateway.draining)
    await turns()
    await pass_both_ways(client, served)
    client.finish_sending()
    await served.wait_closed()
    served.finish_sending()

    assert await draining is True
    assert (await client.read_until_close(), client.ended) == (b"", "fin")


async def test_the_end_of_the_grace_closes_both_ends_in_order(front: Proxy, upstream: Upstream) -> None:
    client, served = await open_tunnel(front, upstream)

    assert await front.gateway.drain(0.1) is True
    assert [await client.read_until_close(), await served.read_until_close()] == [b"", b""]
    assert (client.ended, served.ended) == ("fin", "fin")
    (record,) = front.records
    assert (record.status, record.problem) == (101, None)


async def test_a_stop_cuts_tunnels(front: Proxy, upstream: Upstream) -> None:
    client, served = await open_tunnel(front, upstream)
    await front.gateway.stop()

    assert [await client.read_until_close(), await served.read_until_close()] == [b"", b""]
    assert [record.status for record in front.records] == [101]


async def test_a_reload_leaves_a_tunnel_alone(proxy: ProxyFactory, upstreams: Callable[[], Upstream]) -> None:
    old, new = upstreams(), upstreams()
    front = await proxy(route(old))
    client, served = await open_tunnel(front, old)
    front.gateway.reconfigure(loopback_settings([route(new)]))
    assert [pool.is_retired for pool in front.gateway.pools.values()] == [True]
    await pass_both_ways(client, served)
    client.close()
    await served.wait_closed()
    served.close()
    await until(lambda: front.gateway.tunnels == 0)


async def test_a_client_that_leaves_before_the_101_leaves_nothing_behind(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(handshake())
    served = await upstream.accept()
    await served.read_request_head()
    client.reset()
    await served.wait_closed()

    await until(lambda: not front.gateway.tunnels)
    (record,) = await front.recorded()
    assert (record.status, front.gateway.in_flight) == (0, 0)


# --- TLS and unix sockets ---


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost", "127.0.0.1")


async def test_a_tunnel_passes_tls_on_both_sides(proxy: ProxyFactory, quiet_loop: object, authority: Authority, pair: Pair) -> None:
    del quiet_loop
    upstream = TlsUpstream(pair)
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))), tls=ServerTls(pair.cert_file, pair.key_file))
    client = await connect_tls(front.port, client_context(authority.ca_file))
    front._clients.append(client)
    _, served = await open_tunnel(front, upstream, client=client)
    await pass_both_ways(client, served)
    await served.send(b"bye")
    assert isinstance(served, TlsServed)
    await served.notify_close()

    assert (await client.read_until_close(), client.ended) == (b"bye", "close_notify")
    client.close()
    assert (await served.read_until_close(), served.ended) == (b"", "close_notify")
    await upstream.stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_one_way_of_an_upstream_with_tls_ends_before_the_other(
    proxy: ProxyFactory, quiet_loop: object, authority: Authority, pair: Pair, version: ssl.TLSVersion
) -> None:
    del quiet_loop
    upstream = TlsUpstream(pair)
    upstream.context.maximum_version = version
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    client, served = await open_tunnel(front, upstream)
    await client.send(b"the last word")
    client.finish_sending()
    assert (await served.read_until_close(), served.ended) == (b"the last word", "close_notify")
    await served.send(b"not yet")
    assert await client.read_exactly(7) == b"not yet"
    assert isinstance(served, TlsServed)
    await served.notify_close()

    assert (await client.read_until_close(), client.ended) == (b"", "fin")
    await until(lambda: not front.gateway.tunnels)
    await upstream.stop()


async def test_an_upstream_with_tls_that_ends_first_still_hears_the_client(
    proxy: ProxyFactory, quiet_loop: object, authority: Authority, pair: Pair
) -> None:
    del quiet_loop
    upstream = TlsUpstream(pair)
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    client, served = await open_tunnel(front, upstream)
    assert isinstance(served, TlsServed)
    await served.notify_close()
    assert (await client.read_until_close(), client.ended) == (b"", "fin")
    await client.send(b"not yet")
    assert await served.read_exactly(7) == b"not yet"
    client.finish_sending()

    assert (await served.read_until_close(), served.ended) == (b"", "close_notify")
    await upstream.stop()


async def test_an_upstream_with_tls_that_is_cut_off_is_a_reset(
    proxy: ProxyFactory, quiet_loop: object, authority: Authority, pair: Pair
) -> None:
    del quiet_loop
    upstream = TlsUpstream(pair)
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    client, served = await open_tunnel(front, upstream)
    served.close()

    assert (await client.read_until_close(), client.ended) == (b"", "reset")
    await upstream.stop()


async def test_a_tunnel_passes_unix_sockets_on_both_sides(proxy: ProxyFactory, tmp_path: Path) -> None:
    inner, outer = str(tmp_path / "inner.sock"), str(tmp_path / "outer.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.setblocking(False)
    listener.bind(inner)
    listener.listen()
    told = UpstreamSettings(f"unix:{inner}", "", 0, b"localhost", unix_path=inner)
    front = await proxy(route(told), listen=(Listen("127.0.0.1", 0), Listen(unix_path=outer)))
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(outer)
    with listener, Client(sock) as client:
        await client.send(handshake())
        accepted, _ = await client.loop.sock_accept(listener)
        with Served(accepted) as served:
            await served.read_request_head()
            await served.send(switching())
            await client.read_head()
            await pass_both_ways(client, served)
            client.finish_sending()
            await served.wait_closed()
            await served.send(b"bye")
        assert (await client.read_until_close(), client.ended) == (b"bye", "fin")
    await until(lambda: not front.gateway.tunnels)
