"""The name of a request: upstream, downstream, in bodies and in records, one and the same."""

import json
import re

import pytest

from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import ForwardingSettings
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Field, Proxy, Upstream, chunked, exchange, get, head, ok, policy, route

FRESH = re.compile(rb"[0-9a-f]{8,}")
MINE = b"X-Request-Id: client-id.1"


async def test_a_request_without_a_name_gets_one_everywhere(front: Proxy, upstream: Upstream) -> None:
    seen, got = await exchange(front, upstream, get(), ok(b"x", b"X-Request-Id: upstreams-own"))
    name = got.value(b"x-request-id")

    assert name is not None
    assert FRESH.fullmatch(name)
    assert seen.value(b"x-request-id") == name
    assert (await front.recorded())[0].request_id == name.decode()


async def test_two_requests_have_two_names(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    client = await front.connect()

    assert len({(await client.ask(get())).value(b"x-request-id") for _ in range(5)}) == 5


@pytest.mark.parametrize("value", [b"client-id", b"a" * 128, b"A.b_c-9.", b"00000000"])
async def test_a_clients_own_is_kept(front: Proxy, upstream: Upstream, value: bytes) -> None:
    seen, got = await exchange(front, upstream, get(b"/", b"x-request-ID: " + value), ok())

    assert (seen.value(b"x-request-id"), got.value(b"x-request-id")) == (value, value)


@pytest.mark.parametrize("value", [b"", b"short", b"a" * 129, b"client id", b"client/id", b"client\xe9id", b"<script>", b"a, b, c, d"])
async def test_what_is_no_name_is_replaced(front: Proxy, upstream: Upstream, value: bytes) -> None:
    seen, got = await exchange(front, upstream, get(b"/", b"X-Request-Id: " + value), ok())

    assert FRESH.fullmatch(seen.value(b"x-request-id") or b"")
    assert got.value(b"x-request-id") == seen.value(b"x-request-id")


ANSWERS = {
    "200": ok(b"x"),
    "204": head(b"HTTP/1.1 204 x"),
    "304": head(b"HTTP/1.1 304 x"),
    "redirect": ok(b"", b"Location: /", status=b"302 x"),
    "error": ok(b"x", status=b"500 x"),
    "chunked": head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"x"),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("cors", [policy(), CorsMode.NONE, CorsMode.PASSTHROUGH], ids=["policy", "none", "passthrough"])
async def test_it_is_echoed_on_every_final_answer(proxy: ProxyFactory, upstream: Upstream, answer: bytes, cors: object) -> None:
    front = await proxy(route(upstream, cors=cors))  # type: ignore[arg-type]
    _, got = await exchange(front, upstream, get(b"/", MINE), answer)

    assert got.value(b"x-request-id") == b"client-id.1"


async def test_it_is_echoed_to_a_head_and_to_an_old_client(front: Proxy, upstream: Upstream) -> None:
    length = head(b"HTTP/1.1 200 OK", b"Content-Length: 9")
    for request, answer in ((get(b"/", MINE, method=b"HEAD"), length), (head(b"GET / HTTP/1.0", MINE), ok())):
        _, got = await exchange(front, upstream, request, answer)
        assert got.value(b"x-request-id") == b"client-id.1"


async def test_an_interim_answer_has_none(front: Proxy, upstream: Upstream) -> None:
    hints = head(b"HTTP/1.1 103 Early Hints", b"Link: </a>", b"X-Request-Id: upstreams-own")
    _, got = await exchange(front, upstream, get(b"/", MINE), hints + ok())

    assert [interim.fields for interim in got.interims] == [((b"Link", b"</a>"),)]
    assert got.value(b"x-request-id") == b"client-id.1"


REFUSALS = {
    "a refused origin": (get(b"/", MINE, b"Origin: " + STRANGER), 403),
    "a refused preflight": (get(b"/", MINE, b"Origin: " + STRANGER, b"Access-Control-Request-Method: PUT", method=b"OPTIONS"), 403),
    "another host's": (head(b"GET http://a.example/ HTTP/1.1", b"Host: b.example", MINE), 400),
    "TRACE": (get(b"/", MINE, method=b"TRACE"), 405),
    "an expectation": (get(b"/", MINE, b"Expect: x"), 417),
    "a target that is too long": (get(b"/" + b"a" * 20000, MINE), 414),
}


@pytest.mark.parametrize(("request_", "status"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_says_it_in_field_and_body(front: Proxy, request_: bytes, status: int) -> None:
    got = await front.ask(request_)

    assert (got.status, got.value(b"x-request-id"), json.loads(got.body)["request_id"]) == (status, b"client-id.1", "client-id.1")


async def test_a_failure_says_it_and_lets_an_allowed_origin_read_it(front: Proxy, upstream: Upstream) -> None:
    await upstream.fall()
    got = await front.ask(get(b"/", MINE, b"Origin: " + ORIGIN))

    assert (got.status, got.value(b"x-request-id"), json.loads(got.body)["request_id"]) == (502, b"client-id.1", "client-id.1")
    assert got.cors[b"access-control-expose-headers"] == b"X-Request-Id, Proxy-Status"


async def test_another_field_may_carry_it(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(forwarding=ForwardingSettings(request_id_header=b"X-Correlation-Id"))
    lines: list[bytes] = [b"x-correlation-id: client-id.1", b"X-Request-Id: another"]
    seen, got = await exchange(front, upstream, get(b"/", *lines), ok(b"x", b"X-Correlation-Id: upstreams", b"X-Request-Id: its"))
    refused = await front.ask(get(b"/", *lines, b"Origin: " + STRANGER))

    def ids(fields: tuple[Field, ...]) -> list[Field]:
        return [line for line in fields if line[0].lower().endswith(b"-id")]

    assert ids(seen.fields) == [(b"X-Request-Id", b"another"), (b"X-Correlation-Id", b"client-id.1")]
    assert ids(got.fields) == [(b"X-Request-Id", b"its"), (b"X-Correlation-Id", b"client-id.1")]
    assert ids(refused.fields) == [(b"X-Correlation-Id", b"client-id.1")]


async def test_a_trace_begins_where_none_came(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(forwarding=ForwardingSettings(begins_trace=True))
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    begun, _ = await exchange(front, upstream, get(), ok())
    carried, _ = await exchange(front, upstream, get(b"/", b"TraceParent: " + parent), ok())
    invalid, _ = await exchange(front, upstream, get(b"/", b"traceparent: x"), ok())
    match = re.fullmatch(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-01", begun.value(b"traceparent") or b"")
    traces = [record.trace_id for record in await front.recorded(3)]

    assert match is not None
    assert (carried.value(b"traceparent"), invalid.value(b"traceparent")) == (parent, b"x")
    assert traces == [match.group(1).decode(), parent[3:35].decode(), ""]
