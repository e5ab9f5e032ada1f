"""
The danger: any web site can open a WebSocket to any server, and the browser sends the visitor's cookies with the handshake; CORS has
no say in it (cross-site WebSocket hijacking).

The promise: the policy judges the Origin before a byte goes upstream, whatever `enforce` says, and where it allows no credentials none
are let through. What a client sends before the WebSocket stands reaches nobody.
"""

from dataclasses import replace

import pytest

from corsproxy.config.choices import CorsMode, OriginHeader
from corsproxy.cors.policy import CorsPolicy
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Upstream, exchange, get, policy, route
from tests.websockets import handshake, switching

COOKIE, TOKEN = b"Cookie: session=1", b"Authorization: Bearer t"
ALLOWED, FOREIGN = b"Origin: " + ORIGIN, b"Origin: " + STRANGER
OWN = b"Origin: http://proxy.test"
ONLY = (STRANGER.decode(),)


@pytest.mark.parametrize(
    ("cors", "lines", "code"),
    [
        (policy(), [FOREIGN], "CP322"),
        (policy(enforce=False), [FOREIGN], "CP322"),
        (policy(), [b"Origin: null"], "CP322"),
        (policy(), [ALLOWED, ALLOWED], "CP322"),
        (policy(), [b"Origin: " + ORIGIN.upper()], "CP322"),
        (policy(), [FOREIGN, b"Sec-Fetch-Site: same-site"], "CP322"),
        (policy(), [b"Origin: https://proxy.test.evil.example"], "CP322"),
        (policy(websocket_origins=("none",)), [ALLOWED], "CP322"),
        (policy(websocket_origins=ONLY), [ALLOWED], "CP322"),
        (CorsMode.NONE, [ALLOWED], "CP303"),
    ],
)
async def test_a_handshake_of_a_strange_page_is_refused_before_the_upstream(
    proxy: ProxyFactory, upstream: Upstream, cors: CorsPolicy | CorsMode, lines: list[bytes], code: str
) -> None:
    front = await proxy(route(upstream, cors=cors))
    got = await front.ask(handshake(*lines, COOKIE))

    assert (got.status, got.value(b"connection"), upstream.connections) == (403, b"close", 0)
    (record,) = await front.recorded()
    assert record.problem is not None
    assert record.problem.code == code


@pytest.mark.parametrize(
    ("cors", "lines", "kept"),
    [
        (policy(), [ALLOWED], False),
        (policy(allow_credentials=True), [ALLOWED], True),
        (policy(websocket_origins=ONLY), [FOREIGN], False),
        (policy(websocket_origins=ONLY, allow_credentials=True), [FOREIGN], True),
        (policy("*"), [FOREIGN], False),
        (policy(), [OWN], True),
        (policy(websocket_origins=("none",)), [OWN], True),
        (policy(), [FOREIGN, b"Sec-Fetch-Site: same-origin"], True),
        (policy(), [], True),
        (CorsMode.NONE, [], True),
        (CorsMode.NONE, [OWN], True),
        (CorsMode.PASSTHROUGH, [FOREIGN], True),
    ],
)
async def test_credentials_pass_only_where_the_policy_allows_them(
    proxy: ProxyFactory, upstream: Upstream, cors: CorsPolicy | CorsMode, lines: list[bytes], *, kept: bool
) -> None:
    front = await proxy(route(upstream, cors=cors))
    seen, got = await exchange(front, upstream, handshake(*lines, COOKIE, b"cookie: second=2", TOKEN), switching())

    assert got.status == 101
    assert seen.values(b"cookie") == ([b"session=1", b"second=2"] if kept else [])
    assert seen.values(b"authorization") == ([b"Bearer t"] if kept else [])


async def test_an_origin_that_the_upstream_must_not_see_is_judged_all_the_same(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(replace(upstream.settings, origin_header=OriginHeader.REMOVE)))
    seen, got = await exchange(front, upstream, handshake(ALLOWED), switching())

    assert (seen.values(b"origin"), got.status) == ([], 101)
    assert (await front.ask(handshake(FOREIGN))).status == 403


async def test_a_request_smuggled_behind_a_handshake_reaches_nobody(proxy: ProxyFactory, upstream: Upstream) -> None:
    """An upstream that declines would read it as the next request, past every rule."""
    front = await proxy()
    client = await front.connect()
    await client.send(handshake(ALLOWED) + get(b"/admin"))

    assert (await client.read_response()).status == 400
    assert await client.read_until_close() == b""
    assert upstream.connections == 0
