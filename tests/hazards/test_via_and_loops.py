"""
The danger: two proxies that name each other as upstream send a request round for ever.

The promise: every request that leaves says whom it has passed; one that comes back is 508, and readable.
"""

from dataclasses import replace

import pytest

from corsproxy.config.settings import Listen, Route, Settings
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from tests.conftest import ProxyFactory
from tests.harness import LANES, ORIGIN, Proxy, Upstream, exchange, get, head, loopback_settings, ok, policy, route

OWN = (b"Via", b"1.1 corsproxy")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], [b"1.1 corsproxy"]),
        ([b"Via: 1.1 other"], [b"1.1 other", b"1.1 corsproxy"]),
        ([b"Via: 1.0 a, 1.1 b (c)", b"X: 1", b"via: HTTP/2 d:80"], [b"1.0 a, 1.1 b (c)", b"HTTP/2 d:80", b"1.1 corsproxy"]),
        ([b"Via: 1.1 corsproxy2"], [b"1.1 corsproxy2", b"1.1 corsproxy"]),
        ([b"Via: 1.1 x (corsproxy)"], [b"1.1 x (corsproxy)", b"1.1 corsproxy"]),
        ([b"Via:"], [b"", b"1.1 corsproxy"]),
    ],
)
async def test_via_is_added_behind_those_that_are_there(
    front: Proxy, upstream: Upstream, lines: list[bytes], expected: list[bytes]
) -> None:
    seen, got = await exchange(front, upstream, get(b"/", *lines), ok())

    assert (seen.values(b"via"), got.status) == (expected, 200)


async def test_via_says_what_the_client_spoke(front: Proxy, upstream: Upstream) -> None:
    seen, _ = await exchange(front, upstream, head(b"GET / HTTP/1.0"), ok())
    assert seen.values(b"via") == [b"1.0 corsproxy"]


async def test_without_a_pseudonym_nothing_is_said(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(pseudonym=b"")
    seen, got = await exchange(front, upstream, get(b"/", b"Via: 1.1 other"), ok())
    assert (seen.values(b"via"), got.status) == ([b"1.1 other"], 200)


@pytest.mark.parametrize("value", [b"1.1 corsproxy", b"1.1 a, 1.0 corsproxy", b"HTTP/1.1  corsproxy (x)", b"1.1 corsproxy, 1.1 b"])
async def test_what_comes_back_is_508_and_readable(front: Proxy, upstream: Upstream, value: bytes) -> None:
    client = await front.connect()
    got = await client.ask(get(b"/", b"Via: " + value, b"Origin: " + ORIGIN))

    assert (got.status, got.cors[b"access-control-allow-origin"], got.values(b"connection")) == (508, ORIGIN, [])
    assert upstream.connections == 0


async def test_a_preflight_that_comes_back_is_answered_all_the_same(front: Proxy) -> None:
    request = get(b"/", b"Via: 1.1 corsproxy", b"Origin: " + ORIGIN, b"Access-Control-Request-Method: PUT", method=b"OPTIONS")
    assert (await front.ask(request)).status == 204


def next_to(port: int, pseudonym: bytes) -> Settings:
    settings = UpstreamSettings(f"http://127.0.0.1:{port}", "127.0.0.1", port, b"127.0.0.1:%d" % port)
    return loopback_settings([Route(b"/", settings, policy(), route(settings).timeouts)], pseudonym=pseudonym)


async def test_two_proxies_that_name_each_other_end_it(proxy: ProxyFactory, upstream: Upstream) -> None:
    """One goes on to the other, which sends it back: two exchanges, and not one more."""
    first = await proxy()
    second = Proxy(LANES[0], next_to(first.port, b"second"))
    await second.start()
    # The first now points at the second.
    first.gateway.settings = replace(next_to(second.port, b"first"), listen=(Listen("127.0.0.1", first.port),))
    try:
        got = await first.ask(get(b"/", b"Origin: " + ORIGIN))
        assert (got.status, got.cors[b"access-control-allow-origin"]) == (508, ORIGIN)
        assert len(await first.recorded(2)) == 2
        assert len(await second.recorded(1)) == 1
        assert upstream.connections == 0
    finally:
        first.gateway.settings = replace(first.gateway.settings, routes=first.settings.routes)
        for gateway in (first, second):
            for pool in gateway.gateway.pools.values():
                pool.close()
        await second.stop()


async def test_a_chain_of_two_is_no_loop(proxy: ProxyFactory, upstream: Upstream) -> None:
    behind = await proxy(pseudonym=b"behind")
    before = Proxy(LANES[0], next_to(behind.port, b"before"))
    await before.start()
    try:
        seen, got = await exchange(before, upstream, get(b"/", b"Origin: " + ORIGIN), ok())
        assert seen.values(b"via") == [b"1.1 before", b"1.1 behind"]
        assert (got.status, got.cors) == (200, {b"access-control-allow-origin": ORIGIN})
    finally:
        for pool in before.gateway.pools.values():
            pool.close()
        await before.stop()


# --- Max-Forwards ---


@pytest.mark.parametrize(("sent", "seen_value"), [(b"1", b"0"), (b"10", b"9"), (b"007", b"6")])
async def test_max_forwards_is_counted_down_on_options(front: Proxy, upstream: Upstream, sent: bytes, seen_value: bytes) -> None:
    seen, _ = await exchange(front, upstream, get(b"/", b"max-FORWARDS: " + sent, method=b"OPTIONS"), ok(b""))
    assert seen.fields[1] == (b"max-FORWARDS", seen_value)


async def test_max_forwards_of_zero_is_answered_here(front: Proxy, upstream: Upstream) -> None:
    got = await front.ask(get(b"/", b"Max-Forwards: 0", method=b"OPTIONS"))
    assert (got.status, got.values(b"allow") != []) == (204, True)
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("method", "value"), [(b"GET", b"0"), (b"POST", b"1"), (b"OPTIONS", b"x"), (b"OPTIONS", b"-1"), (b"OPTIONS", b"9" * 12)]
)
async def test_elsewhere_and_as_no_number_it_is_passed_on(front: Proxy, upstream: Upstream, method: bytes, value: bytes) -> None:
    seen, got = await exchange(front, upstream, get(b"/", b"Max-Forwards: " + value, method=method), ok(b""))
    assert (seen.values(b"max-forwards"), got.status) == ([value], 200)
