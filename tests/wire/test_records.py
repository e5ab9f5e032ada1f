"""What is recorded of an exchange, for the log and for whoever watches."""

from dataclasses import replace

import pytest

from corsproxy import problems
from corsproxy.config.upstreams import PoolSettings
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import RequestHead
from tests.conftest import ProxyFactory
from tests.harness import Proxy, Upstream, exchange, get, ok, route, until


async def test_when_each_part_was_over(front: Proxy, upstream: Upstream) -> None:
    await exchange(front, upstream, get(), ok())
    (record,) = await front.recorded()

    assert record.started <= record.placed <= record.connected <= record.head <= record.ended


async def test_a_connection_that_was_there_needs_no_time(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda _: ok())
    client = await front.connect()
    await client.ask(get())
    await client.ask(get())
    first, second = await front.recorded(2)

    assert (first.upstream_reused, second.upstream_reused) == (False, True)
    assert first.placed < first.connected
    assert second.placed == second.connected


async def test_the_wait_for_a_place_is_told_from_connecting(proxy: ProxyFactory, upstream: Upstream) -> None:
    """The first exchange keeps the only place until its client leaves; the second has to wait, and then opens a connection."""
    pool = PoolSettings(max_connections=1)
    front = await proxy(replace(route(upstream), upstream=replace(upstream.settings, pool=pool)))
    first = await front.connect()
    await first.send(get(b"/first"))
    await upstream.accept()
    second = await front.connect()
    await second.send(get(b"/second"))
    await until(lambda: len(front.pool._waiters) == 1)
    first.close()
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok())
    await second.read_response()
    waited, later = await front.recorded(2)

    assert (waited.target, later.target) == (b"/first", b"/second")
    assert waited.ended < later.placed < later.connected


@pytest.mark.parametrize(
    ("lines", "name"),
    [([b"User-Agent: curl/8"], b"curl/8"), ([b"user-agent: \xff"], b"\xff"), ([], b""), ([b"User-Agent: " + b"x" * 9000], b"x" * 256)],
)
async def test_who_says_to_be_calling(front: Proxy, upstream: Upstream, lines: list[bytes], name: bytes) -> None:
    await exchange(front, upstream, get(b"/", *lines), ok())

    assert (await front.recorded())[0].user_agent == name


async def test_what_is_no_request_is_recorded_too(front: Proxy) -> None:
    client = await front.connect()
    await client.send(b"nonsense\r\n\r\n")
    got = await client.read_response()
    (record,) = await front.recorded()

    assert got.status == record.status == 400
    assert (record.problem, record.reason, record.client, record.method, record.context) == (
        problems.BAD_REQUEST,
        "unparsable",
        "127.0.0.1",
        b"",
        None,
    )


async def test_who_asks_for_it_is_told_of_the_upstreams_final_head(front: Proxy, upstream: Upstream) -> None:
    told: list[tuple[int, list[bytes]]] = []

    class Curious:
        def enter(self, head: RequestHead, record: ExchangeRecord) -> RequestHead:
            record.on_head = lambda answer: told.append((answer.status, [name for name, _ in answer.lines]))
            return head

    front.gateway.tracer = Curious()
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    await exchange(front, upstream, get(), early + ok(b"ok", b"X-Total-Count: 3", b"Access-Control-Allow-Origin: *"))
    # An answer of the proxy's own has no such head.
    await front.ask(get(b"/", b"Origin: https://stranger.example"))

    assert len(await front.recorded(2)) == 2
    assert [(status, b"X-Total-Count" in names) for status, names in told] == [(200, True)]
