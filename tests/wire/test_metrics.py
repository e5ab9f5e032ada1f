"""What is scraped after exchanges that are known: every number is right."""

import asyncio
import socket
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from corsproxy import vitals
from corsproxy.config.settings import Limits
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from corsproxy.observe.counters import Counters
from corsproxy.observe.metrics import render
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Client, Proxy, Upstream, get, head, ok, policy, put, route, until
from tests.websockets import open_tunnel

ALLOWED = b"Origin: " + ORIGIN
Numbers = dict[tuple[str, ...], float]


def scraped(front: Proxy) -> dict[str, Numbers]:
    """Scrape a proxy, as far as it is not zero: by name, the numbers by the values of their labels."""
    counters = Counters()
    for record in front.records:
        counters.add(record)
    body, _ = render(vitals.figures_of_worker(front.gateway, counters), "")
    found: dict[str, Numbers] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            if sample.value and not sample.name.startswith("process_"):
                labels = tuple(value for name, value in sample.labels.items() if name != "le")
                found.setdefault(sample.name.removeprefix("corsproxy_"), {})[labels] = sample.value
    return found


def closed_port() -> UpstreamSettings:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    return UpstreamSettings(f"http://127.0.0.1:{port}", "127.0.0.1", port, b"127.0.0.1:%d" % port)


async def test_exchanges_are_told_apart_by_kind_decision_and_status(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda request: ok(b"four", status=b"404 Not Found" if request.target == b"/gone" else b"200 OK"))
    front = await proxy(route(closed_port(), b"/down"), route(upstream, b"/open", policy(enforce=False)), route(upstream))
    preflight = (ALLOWED, b"Access-Control-Request-Method: PUT")
    for request, status in (
        (get(b"/"), 200),
        (get(b"/gone"), 404),
        (get(b"/", ALLOWED), 200),
        (put(b"12345", ALLOWED), 200),
        (get(b"/", b"Origin: " + STRANGER), 403),
        (get(b"/open", b"Origin: " + STRANGER), 200),
        (get(b"/", *preflight, method=b"OPTIONS"), 204),
        (get(b"/", *preflight, b"Access-Control-Request-Headers: x-not-listed", method=b"OPTIONS"), 204),
        (get(b"/down", ALLOWED), 502),
        (get(b"/", b"Transfer-Encoding: gzip, chunked"), 501),
    ):
        assert (await front.ask(request)).status == status, request
    await until(lambda: len(front.records) == 10)
    found = scraped(front)

    assert found["requests_total"] == {
        ("none", "not-cors", "2xx"): 1,
        ("none", "not-cors", "4xx"): 1,
        ("granted", "actual", "2xx"): 2,
        ("refused", "actual", "4xx"): 1,
        ("withheld", "actual", "2xx"): 1,
        ("granted", "preflight", "2xx"): 1,
        ("refused", "preflight", "2xx"): 1,
        ("granted", "actual", "5xx"): 1,
        ("none", "none", "5xx"): 1,
    }
    assert found["cors_decisions_total"] == {
        ("none", "no-origin"): 2,
        ("granted", "origin-allowed"): 3,
        ("refused", "origin-refused"): 1,
        ("withheld", "origin-refused"): 1,
        ("granted", "preflight-granted"): 1,
        ("refused", "preflight-header-refused"): 1,
    }
    assert found["request_duration_seconds_count"] == {("not-cors",): 2, ("actual",): 5, ("preflight",): 2, ("none",): 1}
    assert found["request_body_bytes_total"] == {("actual",): 5}
    assert found["upstream_errors_total"] == {("connection_refused",): 1}
    assert found["upstream_retries_total"] == {(): 1}
    assert found["problems_total"] == {("CP301",): 1, ("CP401",): 1, ("CP311",): 1}
    assert found["response_body_bytes_total"]["not-cors",] == 8
    assert "in_flight_requests" not in found


async def test_what_is_under_way_is_a_gauge(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(in_flight=7, tunnels=5, connections=9))
    client = await front.connect()
    await client.send(get(b"/slow"))
    served = await upstream.accept()
    await served.read_request()
    idle = await front.connect()
    await until(lambda: front.gateway.connections == 2)
    found = scraped(front)

    assert (found["in_flight_requests"], found["in_flight_requests_limit"]) == ({(): 1}, {(): 7})
    assert (found["client_connections"], found["client_connections_limit"]) == ({(): 2}, {(): 9})
    assert found["upstream_connections"] == {("busy",): 1}
    assert "requests_total" not in found

    await served.send(ok())
    await client.read_response()
    await until(lambda: not front.gateway.in_flight)
    idle.close()
    await until(lambda: front.gateway.connections == 1)
    found = scraped(front)
    assert "in_flight_requests" not in found
    assert found["client_connections"] == {(): 1}
    assert found["upstream_connections"] == {("idle",): 1}
    assert found["requests_total"] == {("none", "not-cors", "2xx"): 1}


async def test_connections_to_the_upstream_are_counted_also_those_of_pools_that_are_gone(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy()
    client = await front.connect()
    for _ in range(3):
        await client.ask(get())
    found = scraped(front)
    assert (found["upstream_connects_total"], found["upstream_connection_reuses_total"]) == ({(): 1}, {(): 2})

    front.gateway.reconfigure(replace(front.settings, routes=(route(closed_port()),)))
    await until(lambda: not front.gateway.pools)
    found = scraped(front)
    assert (found["upstream_connects_total"], found["upstream_connection_reuses_total"]) == ({(): 1}, {(): 2})
    assert "upstream_connections" not in found


async def test_bytes_that_nobody_asked_for_are_counted(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok())
    await client.read_response()
    await served.send(ok(b"EVIL"))
    await served.wait_closed()

    assert scraped(front)["upstream_unexpected_data_total"] == {(): 1}


async def test_what_is_no_request_is_counted_apart(front: Proxy) -> None:
    for nonsense in (b"NONSENSE\r\n\r\n", head(b"GET / HTTP/1.1", b"Host : a")):
        client = await front.connect()
        await client.send(nonsense)
        await client.read_until_close()
    found = scraped(front)

    assert found["unparsable_requests_total"] == {(): 2}
    assert found["requests_total"] == {("none", "none", "4xx"): 2}
    assert found["problems_total"] == {("CP305",): 2}
    # Nobody can say when it began.
    assert found["request_duration_seconds_count"] == {("none",): 2}
    assert "request_duration_seconds_sum" not in found


async def test_what_takes_the_express_lane_is_counted(front: Proxy, upstream: Upstream, lane: str) -> None:
    upstream.serve(lambda _: ok())
    for _ in range(2):
        assert (await front.ask(get())).status == 200
    # aiohttp serves it on either lane.
    assert (await front.ask(get(b"http://proxy.test/"))).status == 200

    assert scraped(front).get("express_requests_total", {}).get((), 0) == (2 if lane == "express" else 0)


async def test_a_websocket_is_open_and_then_counted_with_its_bytes(front: Proxy, upstream: Upstream) -> None:
    client, served = await open_tunnel(front, upstream, ALLOWED)
    await client.send(b"12345")
    assert await served.read_exactly(5) == b"12345"
    await served.send(b"1234567")
    assert await client.read_exactly(7) == b"1234567"
    found = scraped(front)
    assert found["tunnels_open"] == {(): 1}
    assert found.keys().isdisjoint({"tunnels_total", "in_flight_requests"})

    client.close()
    await served.read_until_close()
    served.close()
    await until(lambda: bool(front.records))
    found = scraped(front)
    assert found["tunnels_total"] == {(): 1}
    assert "tunnels_open" not in found
    assert found["requests_total"] == {("granted", "websocket", "1xx"): 1}
    assert found["cors_decisions_total"] == {("granted", "origin-allowed"): 1}
    assert (found["request_body_bytes_total"], found["response_body_bytes_total"]) == ({("websocket",): 5}, {("websocket",): 7})


async def test_a_client_that_leaves_before_its_answer_has_no_status(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    client.close()
    await until(lambda: bool(front.records))
    found = scraped(front)

    assert found["requests_total"] == {("none", "not-cors", "none"): 1}
    assert found["problems_total"] == {("CP502",): 1}


async def test_two_proxies_are_added_up(proxy: ProxyFactory, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok(b"four"))
    fronts = [await proxy(), await proxy()]
    clients: list[Client] = [await front.connect() for front in fronts]
    await asyncio.gather(*(client.ask(get(b"/", ALLOWED)) for client in clients))
    await clients[0].ask(get())
    await until(lambda: sum(len(front.records) for front in fronts) == 3)
    counters = [Counters(), Counters()]
    for front, counter in zip(fronts, counters, strict=True):
        for record in front.records:
            counter.add(record)
    one, two = (vitals.figures_of_worker(front.gateway, counter) for front, counter in zip(fronts, counters, strict=True))
    together = one + two

    assert together.number("corsproxy_requests_total", "actual", "granted", "2xx") == 2
    assert together.number("corsproxy_requests_total", "not-cors", "none", "2xx") == 1
    assert together.number("corsproxy_response_body_bytes_total", "actual") == 8
    assert together.number("corsproxy_request_duration_seconds", "actual") == 2
    assert together.number("corsproxy_workers") == 2
    assert together.number("corsproxy_client_connections") == 2
    assert together.number("corsproxy_in_flight_requests_limit") == 2 * fronts[0].settings.limits.in_flight
