"""A reload on the wire: an exchange ends under the settings that it began with, the next one begins under the new ones."""

import gc
import io
import logging
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from corsproxy import problems
from corsproxy.app import App
from corsproxy.config.choices import LogLevel
from corsproxy.config.settings import Limits, LogSettings, Route, RouteLimits, ServerTls, Settings, Timeouts
from corsproxy.config.upstreams import PoolSettings
from corsproxy.gateway import server
from corsproxy.gateway.contexts import BadTlsFile
from corsproxy.gateway.pool import UpstreamPool
from tests.certificates import Authority
from tests.conftest import ErrorLog, ProxyFactory
from tests.harness import (
    ORIGIN,
    STRANGER,
    Client,
    Proxy,
    Served,
    Upstream,
    connect,
    get,
    head,
    loopback_settings,
    ok,
    policy,
    put,
    route,
    turns,
    until,
)

ALLOWED = b"Origin: " + ORIGIN


def reconfigure(front: Proxy, *routes: Route, **settings: object) -> None:
    front.gateway.reconfigure(loopback_settings(routes, **settings))


async def begin(front: Proxy, upstream: Upstream, *lines: bytes, client: Client | None = None) -> tuple[Client, Served]:
    """Begin an exchange that lasts until the test ends it."""
    client = client or await front.connect()
    await client.send(get(b"/begun", *lines))
    served = await upstream.accept()
    assert (await served.read_request()).target == b"/begun"
    return client, served


# --- the policy ---


async def test_an_exchange_in_flight_ends_under_the_old_policy_and_the_next_begins_under_the_new(
    proxy: ProxyFactory, upstream: Upstream
) -> None:
    old = policy(ORIGIN.decode(), expose_headers=("X-Old",), allow_credentials=True)
    new = policy(STRANGER.decode(), expose_headers=("X-New",))
    front = await proxy(route(upstream, cors=old))
    client, served = await begin(front, upstream, ALLOWED)
    reconfigure(front, route(upstream, cors=new))
    await served.send(ok())

    assert (await client.read_response()).cors == {
        b"access-control-allow-origin": ORIGIN,
        b"access-control-allow-credentials": b"true",
        b"access-control-expose-headers": b"X-Old",
    }
    assert (await client.ask(get(b"/", ALLOWED))).status == 403
    await client.send(get(b"/", b"Origin: " + STRANGER))
    await served.read_request()
    await served.send(ok())
    assert (await client.read_response()).cors == {
        b"access-control-allow-origin": STRANGER,
        b"access-control-expose-headers": b"X-New",
    }
    assert upstream.connections == 1


async def test_the_problem_of_an_exchange_in_flight_is_readable_to_whom_the_old_policy_allowed(
    proxy: ProxyFactory, upstream: Upstream
) -> None:
    front = await proxy()
    client, served = await begin(front, upstream, ALLOWED)
    reconfigure(front, route(upstream, cors=policy(STRANGER.decode())))
    served.close()
    got = await client.read_response()

    assert (got.status, got.value(b"access-control-allow-origin")) == (502, ORIGIN)


# --- limits and timeouts ---


async def test_the_deadlines_of_an_exchange_in_flight_stay_and_those_of_the_next_are_new(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy()
    client, served = await begin(front, upstream)
    reconfigure(front, route(upstream, timeouts=Timeouts(response=0.1)))
    late = await front.connect()
    await late.send(get(b"/late"))
    assert (await late.read_response()).status == 504
    await served.send(ok(b"in its own time"))

    assert (await client.read_response()).body == b"in its own time"


async def test_a_shorter_deadline_does_not_wait_for_the_old_pace_of_looking(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(server, "sweep_interval", lambda _: 3600.0)
        front = await proxy()
    await turns()
    reconfigure(front, route(upstream, timeouts=Timeouts(response=0.1)))

    assert (await front.ask(get())).status == 504


async def test_an_open_connection_follows_a_new_header_timeout(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy()
    client = await front.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: proxy.te")
    await until(lambda: front.open_clients == 1)
    reconfigure(front, route(upstream), limits=Limits(header_timeout=0.1))

    assert (await client.read_response()).status == 408


async def test_a_new_keep_alive_timeout_is_that_of_new_connections(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy()
    old = await front.connect()
    await old.ask(get())
    reconfigure(front, route(upstream), limits=Limits(keep_alive_timeout=0.1))
    new = await front.connect()
    await new.ask(get())
    assert await new.read_until_close() == b""
    assert (await old.ask(get())).status == 200


async def test_a_lower_number_of_exchanges_holds_at_once(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy()
    begun = [await begin(front, upstream) for _ in range(2)]
    reconfigure(front, route(upstream), limits=Limits(tunnels=0, in_flight=2))
    assert (await front.ask(get())).status == 503
    reconfigure(front, route(upstream))
    begun.append(await begin(front, upstream))
    for client, served in begun:
        await served.send(ok())
        assert (await client.read_response()).status == 200


async def test_the_limits_of_heads_hold_on_open_connections_within_their_parsers_bounds(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(limits=Limits(request_head=2048, request_line=1024, header_count=10))
    client = await front.connect()
    await client.ask(get())
    long = get(b"/", b"X: " + b"a" * 4000)
    reconfigure(front, route(upstream), limits=Limits(request_head=8192, request_line=1024, header_count=10))
    assert (await client.ask(long)).status == 200
    reconfigure(front, route(upstream), limits=Limits(request_head=2048, request_line=1024, header_count=10))
    assert (await client.ask(long)).status == 431


async def test_the_parsers_bounds_are_those_of_new_connections(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(limits=Limits(request_head=2048, request_line=1024, header_count=10))
    long = get(b"/", b"X: " + b"a" * 30_000)
    assert (await front.ask(long)).status == 431
    reconfigure(front, route(upstream))
    assert (await front.ask(long)).status == 200


async def test_the_limit_of_a_response_head_is_that_under_which_the_exchange_began(proxy: ProxyFactory, upstream: Upstream) -> None:
    answer = head(b"HTTP/1.1 200 OK", b"Content-Length: 0", b"X: " + b"a" * 4000)
    front = await proxy()
    client, served = await begin(front, upstream)
    reconfigure(front, route(upstream), limits=Limits(response_head=2048))
    await served.send(answer)
    assert (await client.read_response()).status == 200

    # The connection is the same, and the limit is not.
    await client.send(get())
    await served.read_request()
    await served.send(answer)
    assert (await client.read_response()).status == 502
    assert upstream.connections == 1


async def test_the_limit_of_a_body_is_that_under_which_the_exchange_began(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy()
    client = await front.connect()
    body = b"a" * 1000
    await client.send(put(body)[:-500])
    served = await upstream.accept()
    await served.read_head()
    reconfigure(front, replace(route(upstream), limits=RouteLimits(request_body=100)))
    await client.send(body[500:])
    assert await served.read_exactly(1000) == body
    await served.send(ok())
    assert (await client.read_response()).status == 200
    assert (await client.ask(put(body))).status == 413


async def test_fewer_connections_are_allowed_at_once_and_more_as_well(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy()
    clients = [await front.connect() for _ in range(4)]
    for client in clients:
        await client.ask(get())
    reconfigure(front, route(upstream), limits=Limits(connections=3))
    # Those that were idle longest go: one at once, and one that would take more than nine tenths of the places.
    for client in clients[:2]:
        assert await client.read_until_close() == b""
    await until(lambda: front.open_clients == 2)
    reconfigure(front, route(upstream), limits=Limits(connections=100))
    for client in clients[2:]:
        assert (await client.ask(get())).values(b"connection") == []


async def test_who_waits_outside_is_let_in_when_more_connections_are_allowed(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(connections=1))
    client, served = await begin(front, upstream)
    outside = await front.connect()
    await outside.send(get(b"/outside"))
    await turns(20)
    assert upstream.connections == 1
    reconfigure(front, route(upstream))
    late = await upstream.accept()
    assert (await late.read_request()).target == b"/outside"
    for waiting, answering in ((outside, late), (client, served)):
        await answering.send(ok())
        assert (await waiting.read_response()).status == 200


async def test_a_connection_that_leaves_makes_no_room_while_there_are_too_many(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy()
    begun = [await begin(front, upstream) for _ in range(3)]
    reconfigure(front, route(upstream), limits=Limits(connections=1))
    for client, served in begun[:2]:
        await served.send(ok())
        assert (await client.read_response()).value(b"connection") == b"close"
        assert not front.gateway._room.is_set()
    await until(lambda: front.open_clients == 1)
    assert not front.gateway._room.is_set()
    client, served = begun[2]
    await served.send(ok())
    await client.read_response()
    client.close()
    await until(front.gateway._room.is_set)


# --- pools ---


async def test_the_idle_connections_of_an_upstream_that_is_gone_close_at_once_and_others_stay(
    proxy: ProxyFactory, upstream: Upstream, upstreams: Callable[[], Upstream]
) -> None:
    other = upstreams()
    front = await proxy(route(upstream, b"/a"), route(other))
    served = []
    for target, each in ((b"/a", upstream), (b"/", other)):
        client = await front.connect()
        await client.send(get(target))
        served.append(await each.accept())
        await served[-1].read_request()
        await served[-1].send(ok())
        await client.read_response()
    reconfigure(front, route(other, cors=policy(STRANGER.decode())))
    await served[0].wait_closed()
    assert list(front.gateway.pools) == [other.settings]

    await client.send(get())
    await served[1].read_request()
    await served[1].send(ok())
    await client.read_response()
    assert other.connections == 1


async def test_a_busy_connection_of_an_upstream_that_is_gone_ends_with_its_exchange(
    proxy: ProxyFactory, upstream: Upstream, upstreams: Callable[[], Upstream]
) -> None:
    other = upstreams()
    other.serve(lambda _: ok(b"other"))
    front = await proxy()
    client, served = await begin(front, upstream)
    reconfigure(front, route(other))
    assert (await front.ask(get())).body == b"other"
    await served.send(ok(b"mine"))
    assert (await client.read_response()).body == b"mine"
    await served.wait_closed()
    assert (await client.ask(get())).body == b"other"
    await until(lambda: list(front.gateway.pools) == [other.settings])


async def test_an_upstream_that_comes_back_finds_its_pool_again(
    proxy: ProxyFactory, upstream: Upstream, upstreams: Callable[[], Upstream]
) -> None:
    front = await proxy()
    client, served = await begin(front, upstream)
    pool = front.pool
    reconfigure(front, route(upstreams()))
    reconfigure(front, route(upstream))
    await served.send(ok())
    await client.read_response()
    await client.send(get())
    await served.read_request()
    await served.send(ok())
    await client.read_response()

    assert (upstream.connections, front.pool) == (1, pool)


async def test_a_retry_goes_where_its_exchange_began(proxy: ProxyFactory, upstream: Upstream, upstreams: Callable[[], Upstream]) -> None:
    front = await proxy()
    client, served = await begin(front, upstream)
    await served.send(ok())
    await client.read_response()
    await client.send(get(b"/begun"))
    await served.read_request()
    reconfigure(front, route(upstreams()))
    served.close()
    fresh = await upstream.accept()
    assert (await fresh.read_request()).target == b"/begun"
    assert front.gateway.pools[upstream.settings].is_retired
    await fresh.send(ok(b"retried"))
    assert (await client.read_response()).body == b"retried"
    await fresh.wait_closed()
    await until(lambda: not front.gateway.pools)


def pooled(upstream: Upstream, **pool: object) -> Route:
    return replace(route(upstream), upstream=replace(upstream.settings, pool=PoolSettings(**pool)))  # type: ignore[arg-type]


async def test_who_waits_for_a_connection_to_an_upstream_that_is_gone_gets_it(
    proxy: ProxyFactory, upstream: Upstream, upstreams: Callable[[], Upstream]
) -> None:
    front = await proxy(pooled(upstream, max_connections=1, wait=10.0))
    first, served = await begin(front, upstream)
    second = await front.connect()
    await second.send(get(b"/second"))
    await until(lambda: len(front.pool._waiters) == 1)
    reconfigure(front, route(upstreams()))
    await served.send(ok())
    await first.read_response()
    assert (await served.read_request()).target == b"/second"
    await served.send(ok())
    await second.read_response()
    await served.wait_closed()
    await until(lambda: not front.gateway.pools)


async def test_a_pools_own_settings_are_new_at_once(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(pooled(upstream, max_connections=1, wait=10.0))
    client, served = await begin(front, upstream)
    reconfigure(front, pooled(upstream, max_connections=1, wait=0.05))
    second = await front.connect()
    await second.send(get(b"/second"))
    late = await upstream.accept()
    await late.read_request()
    assert (await front.ask(get())).status == 503
    assert (await front.recorded())[0].problem is problems.UPSTREAM_POOL_FULL
    for waiting, answering in ((second, late), (client, served)):
        await answering.send(ok())
        assert (await waiting.read_response()).status == 200


async def test_places_follow_the_number_of_exchanges(proxy: ProxyFactory, upstream: Upstream) -> None:
    """`pool.max_connections: auto` is `limits.in_flight` and `limits.tunnels` together."""
    front = await proxy()
    begun = [await begin(front, upstream) for _ in range(3)]
    for client, served in begun[:2]:
        await served.send(ok())
        await client.read_response()
    reconfigure(front, route(upstream), limits=Limits(tunnels=0, in_flight=2))
    # The one that went idle first is too many.
    await begun[0][1].wait_closed()
    assert front.pool.size == 2
    reconfigure(front, route(upstream), limits=Limits(tunnels=0, in_flight=1))
    await begun[1][1].wait_closed()
    client, served = begun[2]
    await served.send(ok())
    await client.read_response()
    assert front.pool.size == 1


async def test_busy_connections_that_became_too_many_close_when_they_are_done(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy()
    begun = [await begin(front, upstream) for _ in range(2)]
    reconfigure(front, route(upstream), limits=Limits(tunnels=0, in_flight=1))
    for client, served in begun:
        await served.send(ok())
        await client.read_response()
    await begun[0][1].wait_closed()
    assert front.pool.size == 1


async def test_who_waits_for_a_connection_goes_on_when_there_may_be_more(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy()
    limits = Limits(tunnels=0, in_flight=1)
    first, served = await begin(front, upstream)
    front.pool.reconfigure(limits, is_retired=False)
    second = await front.connect()
    await second.send(get(b"/second"))
    await until(lambda: len(front.pool._waiters) == 1)
    reconfigure(front, route(upstream))
    late = await upstream.accept()
    assert (await late.read_request()).target == b"/second"
    for waiting, answering in ((second, late), (first, served)):
        await answering.send(ok())
        assert (await waiting.read_response()).status == 200


async def test_who_waits_goes_on_only_when_no_more_than_the_new_number_are_left(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy()
    begun = [await begin(front, upstream) for _ in range(3)]
    front.pool.reconfigure(Limits(tunnels=0, in_flight=2), is_retired=False)
    waiting = await front.connect()
    await waiting.send(get(b"/waiting"))
    await until(lambda: len(front.pool._waiters) == 1)
    for left, (client, served) in enumerate(begun[:2]):
        served.close()
        await client.read_response()
        assert len(front.pool._waiters) == 1 - left
    late = await upstream.accept()
    assert (await late.read_request()).target == b"/waiting"
    for asking, answering in ((waiting, late), begun[2]):
        await answering.send(ok())
        assert (await asking.read_response()).status == 200


async def test_a_pool_that_is_made_for_an_upstream_that_is_gone_is_forgotten(
    proxy: ProxyFactory, upstreams: Callable[[], Upstream]
) -> None:
    """An exchange that began before a reload may ask after its pool was forgotten."""
    front = await proxy()
    gone = upstreams().settings
    assert front.gateway.pool(gone).is_retired
    await until(lambda: gone not in front.gateway.pools)


async def test_ten_thousand_reloads_leave_nothing_behind(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy()
    client = await front.connect()

    pools: weakref.WeakSet[UpstreamPool] = weakref.WeakSet()

    def kept(kind: type) -> int:
        gc.collect()
        return sum(type(each) is kind for each in gc.get_objects())

    before = kept(Settings)
    for number in range(10_000):
        reconfigure(front, pooled(upstream, wait=1.0 + number))
        pools.add(front.gateway.pool(front.gateway.settings.routes[0].upstream))
        if number % 500 == 0:
            assert (await client.ask(get())).status == 200
    assert len(front.gateway.pools) == 1
    assert upstream.connections == 20
    await until(lambda: len(pools) == 1, "retired pools are kept")
    # The harness keeps those that it began with.
    assert kept(Settings) <= before + 1


# --- all or nothing ---


async def test_a_reload_that_is_refused_changes_no_log_either(
    upstream: Upstream, quiet_loop: ErrorLog, authority: Authority, tmp_path: Path
) -> None:
    """A certificate's file may break between the moment when it was checked and the swap."""
    pair = authority.issue("localhost")
    settings = loopback_settings((route(upstream),), tls=ServerTls(pair.cert_file, pair.key_file), log=LogSettings(level=LogLevel.ERROR))
    app = App(settings, io.StringIO(), io.StringIO())
    await app.start()
    logger, access = logging.getLogger("corsproxy"), app._access
    before = (logger.level, tuple(logger.handlers))
    broken = ServerTls(str(tmp_path / "gone.pem"), pair.key_file)
    with pytest.raises(BadTlsFile):
        app.reconfigure(replace(settings, tls=broken, log=LogSettings(level=LogLevel.DEBUG, access=False)))
    after = (logger.level, tuple(logger.handlers))
    await app.stop()

    assert after == before
    assert app._access is access
    assert quiet_loop.lines == []


# --- the instance ---


async def test_the_instance_keeps_its_name_in_via(upstream: Upstream, quiet_loop: ErrorLog) -> None:
    upstream.serve(lambda request: ok(request.value(b"via") or b"none"))
    settings = loopback_settings((route(upstream),))
    app = App(settings, io.StringIO(), io.StringIO())
    port = (await app.start())[0].port
    said = []
    with await connect(port) as client:
        for pseudonym in (b"corsproxy", b"corsproxy", b"", b"corsproxy"):
            app.reconfigure(replace(settings, pseudonym=pseudonym))
            said.append((await client.ask(get())).body)
        looped = await client.ask(get(b"/", b"Via: " + said[0]))
    assert said[0].startswith(b"1.1 corsproxy-")
    assert said == [said[0], said[0], b"none", said[0]]
    assert looped.status == 508
    await app.stop()
    assert quiet_loop.lines == []
