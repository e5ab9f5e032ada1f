"""CORS as bytes: one opinion, the policy's, on every answer; the upstream's is gone."""

import json

import pytest

from corsproxy.config.choices import CorsMode
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, OWN_GRANT, STRANGER, Proxy, Upstream, chunked, exchange, get, head, ok, policy, put, route

FROM_ALLOWED = b"Origin: " + ORIGIN
FROM_STRANGER = b"Origin: " + STRANGER
PREFLIGHT_VARY = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

GRANT = {b"access-control-allow-origin": ORIGIN}


def preflight(target: bytes = b"/", *lines: bytes, origin: bytes = ORIGIN, method: bytes = b"PUT") -> bytes:
    return get(target, b"Origin: " + origin, b"Access-Control-Request-Method: " + method, *lines, method=b"OPTIONS")


# Every spelling by which an upstream, or something in front of it, may already have an opinion.
OPINIONS = [
    [b"Access-Control-Allow-Origin: *"],
    [b"access-control-allow-origin: https://app.example.com"],
    [b"ACCESS-CONTROL-ALLOW-ORIGIN: null"],
    [b"Access-Control-Allow-Origin: *", b"Access-Control-Allow-Origin: https://evil.example"],
    [b"aCCess-cONTROL-aLLow-oRIGIN:", b"Access-Control-Allow-Credentials: true"],
    [
        b"Access-Control-Allow-Methods: *",
        b"Access-Control-Allow-Headers: *",
        b"Access-Control-Max-Age: 9",
        b"Access-Control-Expose-Headers: *",
    ],
    [b"Access-Control-Allow-Private-Network: true", b"Access-Control-Made-Up: 1"],
]


@pytest.mark.parametrize("lines", OPINIONS, ids=lambda lines: lines[0].decode())
async def test_the_upstreams_opinion_is_replaced_for_an_allowed_origin(front: Proxy, upstream: Upstream, lines: list[bytes]) -> None:
    _, got = await exchange(front, upstream, get(b"/", FROM_ALLOWED), ok(b"x", b"X-Before: 1", *lines, b"X-After: 2"))

    assert got.cors == GRANT
    assert [line for line in got.without() if line[0].startswith(b"X-")] == [(b"X-Before", b"1"), (b"X-After", b"2")]


@pytest.mark.parametrize("lines", OPINIONS, ids=lambda lines: lines[0].decode())
async def test_the_upstreams_opinion_is_removed_where_nobody_is_told_anything(front: Proxy, upstream: Upstream, lines: list[bytes]) -> None:
    _, got = await exchange(front, upstream, get(), ok(b"x", *lines))

    assert got.cors == {}


@pytest.mark.parametrize(
    "status", [200, 201, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 416, 429, 500, 502, 503, 599]
)
async def test_every_status_carries_the_grant_and_vary(front: Proxy, upstream: Upstream, status: int) -> None:
    lines = [b"Access-Control-Allow-Origin: *", b"ETag: x", b"Location: /"]
    start = b"%d x" % status
    answer = head(b"HTTP/1.1 " + start, *lines) if status in (204, 304) else ok(b"x", *lines, status=start)
    _, got = await exchange(front, upstream, get(b"/", FROM_ALLOWED), answer)

    assert got.status == status
    assert got.cors == GRANT
    assert got.value(b"vary") == b"Origin"


@pytest.mark.parametrize("framing", ["length", "chunked", "close", "head"])
async def test_every_framing_carries_the_grant(front: Proxy, upstream: Upstream, framing: str) -> None:
    answers = {
        "length": ok(b"x"),
        "chunked": head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"x"),
        "close": head(b"HTTP/1.0 200 OK") + b"x",
        "head": head(b"HTTP/1.1 200 OK", b"Content-Length: 9"),
    }
    request = get(b"/", FROM_ALLOWED, method=b"HEAD" if framing == "head" else b"GET")
    _, got = await exchange(front, upstream, request, answers[framing], close=framing == "close")

    assert got.cors == GRANT


VARY = [
    ([], b"Origin"),
    ([b"Accept-Encoding"], b"Accept-Encoding, Origin"),
    ([b"Accept, Accept-Encoding"], b"Accept, Accept-Encoding, Origin"),
    ([b"Accept", b"accept-encoding"], b"Accept, accept-encoding, Origin"),
    ([b"origin"], b"origin"),
    ([b"Accept, ORIGIN, accept"], b"Accept, ORIGIN"),
    ([b"Origin", b"Origin"], b"Origin"),
    ([b"*"], b"*"),
    ([b"Accept, *"], b"*"),
    ([b"", b","], b"Origin"),
]


@pytest.mark.parametrize(("values", "merged"), VARY, ids=repr)
@pytest.mark.parametrize("origin", [[FROM_ALLOWED], []], ids=["allowed", "none"])
async def test_vary_is_merged_into_one_line(
    front: Proxy, upstream: Upstream, values: list[bytes], merged: bytes, origin: list[bytes]
) -> None:
    _, got = await exchange(front, upstream, get(b"/", *origin), ok(b"x", *[b"vary: " + value for value in values]))

    assert got.value(b"vary") == merged


async def test_the_origin_of_the_request_is_forwarded(front: Proxy, upstream: Upstream) -> None:
    seen, _ = await exchange(front, upstream, get(b"/", FROM_ALLOWED), ok())

    assert seen.value(b"origin") == ORIGIN


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE"])
async def test_a_stranger_is_refused_and_reaches_nothing(front: Proxy, upstream: Upstream, method: bytes) -> None:
    got = await front.ask(get(b"/", FROM_STRANGER, method=method))

    assert (got.status, got.cors, got.value(b"vary")) == (403, {}, b"Origin, Accept")
    assert got.value(b"content-type") == b"application/problem+json"
    assert upstream.connections == 0


async def test_a_strangers_upload_is_refused_and_the_connection_ends(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    got = await client.ask(put(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", FROM_STRANGER))

    assert (got.status, got.value(b"connection")) == (403, b"close")
    assert await client.read_until_close() == b""
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"https://app.example.com/",
        b"https://APP.example.com",
        b"https://app.example.com:443",
        b"https://app.example.com.evil.example",
        b"http://app.example.com",
        b"https://app.example.com, https://evil.example",
        b"",
        b"*",
        b"https://evil.example#https://app.example.com",
    ],
    ids=repr,
)
async def test_what_only_looks_like_the_allowed_origin_is_refused(front: Proxy, upstream: Upstream, origin: bytes) -> None:
    got = await front.ask(get(b"/", b"Origin: " + origin))

    assert (got.status, got.cors) == (403, {})
    assert upstream.connections == 0


async def test_two_origins_are_refused(front: Proxy, upstream: Upstream) -> None:
    got = await front.ask(get(b"/", FROM_ALLOWED, FROM_ALLOWED))

    assert got.status in (400, 403)
    assert got.cors == {}
    assert upstream.connections == 0


async def test_without_enforcement_a_stranger_is_forwarded_and_told_nothing(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy(enforce=False)))
    _, got = await exchange(front, upstream, get(b"/", FROM_STRANGER), ok(b"x", b"Access-Control-Allow-Origin: *"))

    assert (got.status, got.cors, got.value(b"vary")) == (200, {}, b"Origin")


async def test_credentials_say_true_once(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy(allow_credentials=True)))
    answer = ok(b"x", b"access-control-allow-credentials: TRUE", b"Set-Cookie: a=1", b"Set-Cookie: b=2")
    _, got = await exchange(front, upstream, get(b"/", FROM_ALLOWED), answer)

    assert got.cors == {**GRANT, b"access-control-allow-credentials": b"true"}
    assert got.values(b"set-cookie") == [b"a=1", b"b=2"]


@pytest.mark.parametrize("origin", [[FROM_ALLOWED], [FROM_STRANGER], []], ids=["one", "another", "none"])
async def test_a_public_policy_tells_everybody_and_adds_no_vary(proxy: ProxyFactory, upstream: Upstream, origin: list[bytes]) -> None:
    front = await proxy(route(upstream, cors=policy("*")))
    _, got = await exchange(front, upstream, get(b"/", *origin), ok(b"x", b"Vary: Accept"))

    assert (got.cors, got.value(b"vary")) == ({b"access-control-allow-origin": b"*"}, b"Accept")


async def test_names_to_expose_are_listed_once(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy(expose_headers=("X-Total", "ETag"))))
    _, got = await exchange(front, upstream, get(b"/", FROM_ALLOWED), ok(b"x", b"Access-Control-Expose-Headers: X-Secret"))

    assert got.cors[b"access-control-expose-headers"] == b"X-Total, ETag"


# --- preflights ---


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE"])
async def test_a_preflight_is_granted_here_and_reaches_nothing(front: Proxy, upstream: Upstream, method: bytes) -> None:
    got = await front.ask(preflight(b"/x?y", b"Access-Control-Request-Headers: content-type", method=method))

    assert (got.status, got.body, got.values(b"content-length")) == (204, b"", [])
    assert got.cors == {
        **GRANT,
        b"access-control-allow-methods": b"GET, HEAD, POST, PUT, PATCH, DELETE",
        b"access-control-allow-headers": b"content-type",
        b"access-control-max-age": b"7200",
    }
    assert got.value(b"vary") == PREFLIGHT_VARY
    assert upstream.connections == 0


async def test_a_preflight_is_granted_while_the_upstream_is_down(front: Proxy, upstream: Upstream) -> None:
    await upstream.fall()

    assert (await front.ask(preflight())).status == 204


@pytest.mark.parametrize("origin", [STRANGER, b"null", b"", b"https://app.example.com."])
async def test_a_strangers_preflight_is_refused_and_reaches_nothing(front: Proxy, upstream: Upstream, origin: bytes) -> None:
    client = await front.connect()
    got = await client.ask(preflight(origin=origin))

    assert (got.status, got.cors, got.value(b"vary")) == (403, {}, PREFLIGHT_VARY)
    assert (await client.ask(preflight())).status == 204
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        (b"PURGE", []),
        (b"put", []),
        (b"TRACE", []),
        (b"a b", []),
        (b"PUT", [b"Access-Control-Request-Headers: x-secret"]),
        (b"PUT", [b"Access-Control-Request-Headers: content-type, authorization"]),
        (b"PUT", [b"Access-Control-Request-Headers: a b, c"]),
        (b"PUT", [b"Access-Control-Request-Headers: " + b",".join(b"x-%d" % number for number in range(101))]),
    ],
)
async def test_a_preflight_for_too_much_gets_the_true_lists(front: Proxy, upstream: Upstream, method: bytes, lines: list[bytes]) -> None:
    """So that the browser refuses, and its console names the culprit."""
    got = await front.ask(preflight(b"/", *lines, method=method))

    assert got.status == 204
    assert got.cors == {
        **GRANT,
        b"access-control-allow-methods": b"GET, HEAD, POST, PUT, PATCH, DELETE",
        b"access-control-allow-headers": b"content-type",
    }
    assert upstream.connections == 0


@pytest.mark.parametrize("lines", [[], [b"Access-Control-Request-Method: PUT"], [b"Access-Control-Request-Headers: x"]], ids=repr)
async def test_an_options_that_is_no_preflight_is_forwarded(front: Proxy, upstream: Upstream, lines: list[bytes]) -> None:
    seen, got = await exchange(
        front, upstream, get(b"/x", *lines, method=b"OPTIONS"), ok(b"", b"Allow: GET", b"Access-Control-Allow-Origin: *")
    )

    assert (seen.method, seen.target) == (b"OPTIONS", b"/x")
    assert (got.value(b"allow"), got.cors) == (b"GET", {})


async def test_a_cross_origin_options_that_is_no_preflight_needs_options_in_the_list(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream))
    refused = await front.ask(get(b"/", FROM_ALLOWED, method=b"OPTIONS"))
    assert (refused.status, refused.cors) == (403, OWN_GRANT)

    front = await proxy(route(upstream, cors=policy(allow_methods=("GET", "OPTIONS"))))
    _, got = await exchange(front, upstream, get(b"/", FROM_ALLOWED, method=b"OPTIONS"), ok())
    assert (got.status, got.cors) == (200, GRANT)


async def test_options_of_the_whole_server_is_answered_here(front: Proxy, upstream: Upstream) -> None:
    got = await front.ask(get(b"*", method=b"OPTIONS"))

    assert got.status == 204
    assert upstream.connections == 0


# --- routes without a policy ---


async def test_passthrough_reads_adds_and_removes_nothing(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=CorsMode.PASSTHROUGH))
    lines = [b"access-control-allow-ORIGIN: *", b"Access-Control-Expose-Headers: a", b"Vary: Accept", b"X-A: 1"]
    for origin in ([FROM_ALLOWED], [FROM_STRANGER], []):
        _, got = await exchange(front, upstream, get(b"/", *origin), ok(b"x", *lines))
        assert [name + b": " + value for name, value in got.without(b"date", b"content-length")] == lines


async def test_passthrough_forwards_preflights(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=CorsMode.PASSTHROUGH))
    seen, got = await exchange(
        front, upstream, preflight(b"/", b"Access-Control-Request-Headers: a"), ok(b"", b"Access-Control-Allow-Origin: x")
    )

    assert seen.value(b"access-control-request-method") == b"PUT"
    assert got.cors == {b"access-control-allow-origin": b"x"}


async def test_passthrough_errors_carry_no_cors_fields(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=CorsMode.PASSTHROUGH))
    await upstream.fall()
    got = await front.ask(get(b"/", FROM_ALLOWED))

    assert (got.status, got.cors, got.values(b"vary")) == (502, {}, [b"Accept"])


async def test_a_route_without_cors_refuses_what_is_cross_origin(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=CorsMode.NONE))

    for request in (get(b"/", FROM_ALLOWED), preflight()):
        got = await front.ask(request)
        assert (got.status, got.cors) == (403, {})
    assert upstream.connections == 0


async def test_a_route_without_cors_removes_the_upstreams_opinion(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=CorsMode.NONE))
    _, got = await exchange(front, upstream, get(), ok(b"x", b"Access-Control-Allow-Origin: *"))

    assert (got.status, got.cors) == (200, {})


# --- paths ---


async def test_each_route_has_its_own_policy(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(
        route(upstream, b"/closed", CorsMode.NONE),
        route(upstream, b"/open", policy("*")),
        route(upstream),
    )
    _, got = await exchange(front, upstream, get(b"/open/x", FROM_STRANGER), ok())
    assert got.cors == {b"access-control-allow-origin": b"*"}
    assert (await front.ask(get(b"/closed/x", FROM_ALLOWED))).status == 403
    _, got = await exchange(front, upstream, get(b"/opener", FROM_ALLOWED), ok())
    assert got.cors == GRANT


@pytest.mark.parametrize(
    "target",
    [
        b"/open/../closed",
        b"/open/%2e%2e/closed/x",
        b"/open%2f..%2fclosed",
        b"//closed/x",
        b"/x/..;/closed",
        b"/%63losed",
        b"/open/%252e%252e/closed",
        b"/\\closed",
        b"/./closed",
    ],
)
async def test_a_path_that_could_be_two_routes_is_refused(proxy: ProxyFactory, upstream: Upstream, target: bytes) -> None:
    front = await proxy(route(upstream, b"/closed", CorsMode.NONE), route(upstream, b"/open", policy("*")), route(upstream))
    got = await front.ask(get(target, FROM_STRANGER))

    assert got.status == 400
    assert upstream.connections == 0


async def test_a_missing_route_is_a_readable_404(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, b"/api"))
    got = await front.ask(get(b"/other", FROM_ALLOWED))

    assert (got.status, got.cors) == (404, OWN_GRANT)
    assert json.loads(got.body)["status"] == 404
    assert (await front.ask(preflight(b"/other"))).status == 204
    assert upstream.connections == 0
