"""A client that asks too often is told so, readably, and when to come back; nobody else feels it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

import pytest

from corsproxy import problems
from corsproxy.config.rates import Rate, RateLimit
from corsproxy.config.settings import ForwardingSettings, Limits
from corsproxy.gateway.rate import RateGate
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Proxy, Upstream, get, loopback_settings, ok, put, route
from tests.websockets import handshake

ALLOWED = b"Origin: " + ORIGIN
# Slow enough for no test to see it refill.
SLOW = RateLimit(Rate(2, 3600), 2)
TRUSTING = ForwardingSettings(trusted=(ip_network("127.0.0.1/32"),))


async def limited(proxy: ProxyFactory, upstream: Upstream, limit: RateLimit = SLOW, **settings: object) -> Proxy:
    upstream.serve(lambda _: ok())
    return await proxy(rate_limit=limit, **settings)


async def statuses(front: Proxy, *requests: bytes) -> list[int]:
    return [(await front.ask(request)).status for request in requests]


async def test_above_the_burst_there_is_a_429_that_says_when(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await limited(proxy, upstream)
    assert await statuses(front, *[get(b"/", ALLOWED)] * 2) == [200, 200]
    client = await front.connect()
    got = await client.ask(get(b"/", ALLOWED))

    assert (got.status, json.loads(got.body)["code"]) == (429, "CP331")
    wait = int(got.value(b"retry-after") or 0)
    assert 1700 < wait <= 1800
    assert got.value(b"ratelimit") == b'"default";r=0;t=%d' % wait
    assert got.value(b"ratelimit-policy") == b'"default";q=2;w=3600'
    assert got.value(b"proxy-status") == b'corsproxy; error=http_request_error; details="%b"' % problems.RATE_LIMITED.detail.encode()
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    assert re.split(", ", got.cors[b"access-control-expose-headers"].decode()) == [
        "X-Request-Id",
        "Proxy-Status",
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
    ]
    assert len(upstream.requests) == 2
    record = front.records[-1]
    assert (record.status, record.problem and record.problem.word) == (429, "rate_limited")
    # The connection goes on, and what needs no upstream is answered.
    assert (await client.ask(get(b"/", ALLOWED, b"Access-Control-Request-Method: PUT", method=b"OPTIONS"))).status == 204


async def test_what_passes_says_nothing_of_the_limit(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await limited(proxy, upstream)
    got = await front.ask(get(b"/", ALLOWED))

    assert [name for name, _ in got.fields if name.lower().startswith(b"ratelimit")] == []


async def test_an_upload_above_the_limit_is_not_read(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await limited(proxy, upstream)
    await statuses(front, *[get()] * 2)
    client = await front.connect()
    got = await client.ask(put(b"x" * 1000))

    assert (got.status, got.value(b"connection")) == (429, b"close")


async def test_what_goes_nowhere_is_not_counted(proxy: ProxyFactory, upstream: Upstream) -> None:
    """Preflights, refusals, what has no route: the limit is the upstream's."""
    front = await limited(proxy, upstream)
    for _ in range(5):
        assert await statuses(
            front,
            get(b"/", ALLOWED, b"Access-Control-Request-Method: PUT", method=b"OPTIONS"),
            get(b"/", b"Origin: " + STRANGER),
            get(b"/", b"Expect: x"),
            get(b"/", method=b"TRACE"),
        ) == [204, 403, 417, 405]

    assert await statuses(front, *[get()] * 3) == [200, 200, 429]


async def test_an_overload_costs_no_client_its_turn(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await limited(proxy, upstream, limits=Limits(in_flight=1))
    front.gateway.in_flight += 1
    assert await statuses(front, get(), get(), get()) == [503, 503, 503]
    front.gateway.in_flight -= 1

    assert await statuses(front, get(), get(), get()) == [200, 200, 429]


async def test_a_websockets_handshake_is_a_request(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await limited(proxy, upstream)
    await statuses(front, get(), get())
    client = await front.connect()
    got = await client.ask(handshake())

    assert got.status == 429
    assert front.gateway.tunnels == 0


async def test_a_second_attempt_is_no_second_request(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(rate_limit=replace(SLOW, burst=1))
    client = await front.connect()
    await upstream.fall()

    assert (await client.ask(get())).status == 502
    assert (await front.recorded())[0].retries == 1
    assert (await client.ask(get())).status == 429


# --- whose requests ---


def by_key(value: bytes) -> bytes:
    return get(b"/", b"X-Api-Key: " + value)


def by_origin(value: bytes) -> bytes:
    return get(b"/", b"Origin: " + value, b"Sec-Fetch-Site: same-origin")


def by_address(value: bytes) -> bytes:
    return get(b"/", b"X-Forwarded-For: " + value)


@pytest.mark.parametrize(
    ("field", "ask", "one", "other"),
    [
        (b"x-api-key", by_key, b"a", b"b"),
        (b"origin", by_origin, b"https://a.example", b"https://b.example"),
        (b"", by_address, b"192.0.2.1", b"192.0.2.2"),
        (b"", by_address, b"2001:db8::1", b"2001:db8:0:1::1"),
    ],
)
async def test_each_has_a_limit_of_its_own(
    proxy: ProxyFactory, upstream: Upstream, field: bytes, ask: Callable[[bytes], bytes], one: bytes, other: bytes
) -> None:
    front = await limited(proxy, upstream, replace(SLOW, field=field), forwarding=TRUSTING)

    assert await statuses(front, *[ask(one)] * 3, *[ask(other)] * 3) == [200, 200, 429, 200, 200, 429]
    assert front.gateway.rate.keys == 2


async def test_a_client_that_nobody_trusts_has_one_address_whatever_it_says(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await limited(proxy, upstream)

    assert await statuses(front, *[by_address(b"192.0.2.%d" % number) for number in range(3)]) == [200, 200, 429]


async def test_who_leaves_the_field_out_is_counted_by_address(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await limited(proxy, upstream, replace(SLOW, field=b"x-api-key"))

    assert await statuses(front, get(), get(b"/", b"X-Api-Key:"), get(), by_key(b"a")) == [200, 200, 429, 200]


# --- the gate itself ---


async def test_a_reload_keeps_what_was_counted_unless_the_limit_is_another(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await limited(proxy, upstream)
    assert await statuses(front, *[get()] * 3) == [200, 200, 429]

    same = loopback_settings([route(upstream, b"/other"), route(upstream)], rate_limit=SLOW)
    front.gateway.reconfigure(same)
    assert await statuses(front, get()) == [429]

    front.gateway.reconfigure(replace(same, rate_limit=replace(SLOW, burst=1)))
    assert await statuses(front, get(), get()) == [200, 429]

    front.gateway.reconfigure(replace(same, rate_limit=None))
    assert await statuses(front, *[get()] * 5) == [200] * 5


async def test_a_second_is_rounded_up_and_the_rate_lets_the_next_one_through(proxy: ProxyFactory, upstream: Upstream) -> None:
    now = [0]
    front = await limited(proxy, upstream, RateLimit(Rate(1, 1), 1))
    front.gateway.rate = RateGate(RateLimit(Rate(2, 3), 5), share=2, clock=lambda: now[0])
    assert await statuses(front, *[get()] * 2) == [200, 200]
    got = await front.ask(get())

    # A process of two brings one in three seconds; what is said of the policy is said of the whole.
    assert (got.status, got.value(b"retry-after")) == (429, b"3")
    assert got.value(b"ratelimit-policy") == b'"default";q=5;w=8'
    now[0] = 2_999_999_999
    assert (await front.ask(get())).value(b"retry-after") == b"1"
    now[0] = 3_000_000_000
    assert (await front.ask(get())).status == 200
