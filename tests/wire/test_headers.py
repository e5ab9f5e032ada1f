"""Header rules as bytes: what goes to the upstream, and what comes back."""

import pytest

from corsproxy.config.choices import CorsMode
from corsproxy.semantics.rules import compile_rules
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Upstream, chunked, exchange, get, head, ok, policy, put, route
from tests.wire.routes import routed

REQUEST = compile_rules([b"X-Debug"], [(b"X-Api-Key", b"key")], [(b"X-Stage", b"test")])
RESPONSE = compile_rules([b"Server", b"X-Powered-By"], [(b"X-Frame-Options", b"DENY")], [(b"Link", b"</doc>")])


async def test_request_rules_act_on_what_the_client_sent(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, request_headers=REQUEST))
    lines = [b"x-debug: 1", b"Accept: */*", b"X-API-KEY: mine", b"X_Api_Key: mine", b"X-Stage: dev", b"X-Debug: 2"]
    seen, _ = await exchange(front, upstream, get(b"/", *lines), ok())

    assert seen.without(b"host") == [(b"Accept", b"*/*"), (b"X-Stage", b"dev"), (b"X-Api-Key", b"key"), (b"X-Stage", b"test")]


async def test_request_rules_leave_the_body_and_its_framing_alone(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, request_headers=REQUEST))
    seen, _ = await exchange(front, upstream, put(b"content", b"X-Debug: 1"), ok())
    again, _ = await exchange(front, upstream, get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + chunked(b"a", b"b"), ok())

    assert (seen.body, seen.value(b"content-length"), seen.value(b"x-api-key")) == (b"content", b"7", b"key")
    assert (again.body, again.value(b"transfer-encoding")) == (b"ab", b"chunked")


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found", b"404 Not Found", b"500 x"])
async def test_response_rules_act_on_what_the_upstream_sent(proxy: ProxyFactory, upstream: Upstream, status: bytes) -> None:
    front = await proxy(routed(upstream, response_headers=RESPONSE))
    lines = [b"server: x", b"ETag: e", b"x-frame-options: ALLOW", b"X-Powered-By: y", b"Link: </a>"]
    _, got = await exchange(front, upstream, get(), ok(b"x", *lines, status=status))

    assert got.without(b"date", b"content-length", b"vary") == [
        (b"ETag", b"e"),
        (b"Link", b"</a>"),
        (b"X-Frame-Options", b"DENY"),
        (b"Link", b"</doc>"),
    ]


async def test_response_rules_act_on_a_304_and_on_the_answer_to_a_head(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, response_headers=RESPONSE))
    answers = (
        (get(), head(b"HTTP/1.1 304 x", b"Server: x")),
        (get(method=b"HEAD"), head(b"HTTP/1.1 200 OK", b"Server: x", b"Content-Length: 9")),
    )
    for request, answer in answers:
        _, got = await exchange(front, upstream, request, answer)
        assert (got.value(b"server"), got.value(b"x-frame-options")) == (None, b"DENY")


async def test_what_is_taken_off_is_not_in_interims_and_trailers_either(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, response_headers=RESPONSE))
    answer = (
        head(b"HTTP/1.1 103 Early Hints", b"Server: x", b"Link: </a>")
        + head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked")
        + chunked(b"x", trailers=[b"Server: x", b"X-Sum: 1"])
    )
    _, got = await exchange(front, upstream, get(b"/", b"TE: trailers", b"Connection: TE"), answer)

    assert [interim.fields for interim in got.interims] == [((b"Link", b"</a>"),)]
    assert got.trailers == ((b"X-Sum", b"1"),)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(compile_rules([b"Vary"]), b"Origin", id="removed"),
        pytest.param(compile_rules(replace=[(b"Vary", b"Accept")]), b"Accept, Origin", id="set"),
        pytest.param(compile_rules(add=[(b"Vary", b"Accept")]), b"Cookie, Accept, Origin", id="added"),
        pytest.param(compile_rules(replace=[(b"Vary", b"*")]), b"*", id="a star"),
    ],
)
async def test_no_rule_takes_origin_out_of_vary(proxy: ProxyFactory, upstream: Upstream, rules: object, expected: bytes) -> None:
    """Rules 32 and 34: or a shared cache would hand one origin's answer to another."""
    front = await proxy(routed(upstream, response_headers=rules))
    _, got = await exchange(front, upstream, get(), ok(b"x", b"Vary: Cookie"))

    assert got.value(b"vary") == expected


async def test_a_computed_list_exposes_what_rules_leave_and_put_on(proxy: ProxyFactory, upstream: Upstream) -> None:
    exposing = policy(allow_credentials=True, expose_headers=("*",))
    front = await proxy(routed(upstream, cors=exposing, response_headers=RESPONSE))
    lines = [b"Server: x", b"ETag: e", b"Set-Cookie: a=b", b"Connection: X-Hop", b"X-Hop: 1", b"Access-Control-Allow-Origin: *", b"Date: d"]
    _, got = await exchange(front, upstream, get(b"/", b"Origin: " + ORIGIN), ok(b"x", *lines))

    assert got.cors[b"access-control-expose-headers"] == b"ETag, Date, X-Frame-Options, Link, X-Request-Id, Vary"


async def test_answers_of_the_proxys_own_are_no_responses_of_the_upstream(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, response_headers=RESPONSE))
    got = await front.ask(get(b"/", b"Origin: https://evil.example"))

    assert (got.status, got.value(b"x-frame-options"), upstream.connections) == (403, None, 0)


async def test_each_route_has_rules_of_its_own(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, path=b"/a", request_headers=REQUEST), route(upstream))
    seen, _ = await exchange(front, upstream, get(b"/a"), ok())
    other, _ = await exchange(front, upstream, get(b"/b", b"X-Debug: 1"), ok())

    assert (seen.value(b"x-api-key"), other.value(b"x-api-key"), other.value(b"x-debug")) == (b"key", None, b"1")


async def test_the_fields_beside_cors_are_the_policys(proxy: ProxyFactory, upstream: Upstream) -> None:
    beside = policy(timing_allow_origin=True, resource_policy="cross-origin")
    front = await proxy(routed(upstream, cors=beside))
    answer = ok(b"x", b"Timing-Allow-Origin: *", b"Cross-Origin-Resource-Policy: same-origin")
    _, told = await exchange(front, upstream, get(b"/", b"Origin: " + ORIGIN), answer)
    _, other = await exchange(front, upstream, get(), answer)
    own = await front.ask(get(b"/", b"Origin: https://evil.example"))

    assert [got.values(b"timing-allow-origin") for got in (told, other, own)] == [[ORIGIN], [], []]
    assert [got.values(b"cross-origin-resource-policy") for got in (told, other, own)] == [[b"cross-origin"]] * 3


async def test_passthrough_leaves_the_fields_beside_cors_to_the_upstream_and_applies_rules(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, cors=CorsMode.PASSTHROUGH, response_headers=RESPONSE))
    answer = ok(b"x", b"Timing-Allow-Origin: *", b"Access-Control-Allow-Origin: *", b"Server: x")
    _, got = await exchange(front, upstream, get(b"/", b"Origin: https://evil.example"), answer)

    assert got.cors == {b"access-control-allow-origin": b"*"}
    assert (got.value(b"timing-allow-origin"), got.value(b"server"), got.value(b"x-frame-options")) == (b"*", None, b"DENY")
