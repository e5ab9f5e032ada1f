"""What is recorded of an exchange, for the log and for whoever watches."""

from dataclasses import replace

import pytest

from corsproxy import problems
from corsproxy.config.upstreams import PoolSettings
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
