"""A client that leaves ends its exchange at the upstream; nothing of it is left (the `proxy` fixture looks)."""

import pytest

from tests.harness import Client, Proxy, Upstream, get, head, ok, put, until


def leave(client: Client, how: str) -> None:
    {"close": client.close, "reset": client.reset, "half-close": client.finish_sending}[how]()


# A half-closed client counts as gone (reliability.md, "Cancellation").
ways = pytest.mark.parametrize("how", ["close", "reset", "half-close"])


@ways
async def test_a_client_that_leaves_before_the_answer(front: Proxy, upstream: Upstream, how: str) -> None:
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    leave(client, how)

    await served.wait_closed()
    record = (await front.recorded())[0]
    assert record.problem is not None
    assert (record.status, record.problem.code) == (0, "CP502") or record.problem.status == 0


@ways
async def test_a_client_that_leaves_in_the_middle_of_the_answer(front: Proxy, upstream: Upstream, how: str) -> None:
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: 100") + b"part")
    await client.read_head()
    await client.read_exactly(4)
    leave(client, how)

    await served.wait_closed()


@ways
async def test_a_client_that_leaves_after_early_hints(front: Proxy, upstream: Upstream, how: str) -> None:
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 103 Early Hints", b"Link: <a>"))
    await client.read_head()
    leave(client, how)

    await served.wait_closed()


@ways
@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_a_client_that_leaves_in_the_middle_of_its_upload(front: Proxy, upstream: Upstream, how: str, framing: bytes) -> None:
    client = await front.connect()
    await client.send(get(b"/", framing, method=b"POST") + b"4\r\npart\r\n")
    served = await upstream.accept()
    await served.read_request_head()
    await served.read_until(b"part\r\n")
    leave(client, how)

    await served.wait_closed()


@ways
async def test_a_client_that_leaves_between_its_requests(front: Proxy, upstream: Upstream, how: str) -> None:
    """That is no failure: the upstream's connection is kept."""
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(ok())
    await client.read_response()
    leave(client, how)
    await until(lambda: not front.open_clients)

    assert front.pool.size == 1
    other = await front.connect()
    await other.send(get(b"/next"))
    assert (await served.read_request()).target == b"/next"
    await served.send(ok())
    assert (await other.read_response()).status == 200


@ways
async def test_a_client_that_leaves_in_the_middle_of_its_head(front: Proxy, upstream: Upstream, how: str) -> None:
    client = await front.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: proxy.te")
    await until(lambda: front.open_clients == 1)
    leave(client, how)

    await until(lambda: not front.open_clients)
    assert upstream.connections == 0


async def test_a_client_that_leaves_while_its_pipelined_requests_wait(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    await client.send(get(b"/1") + get(b"/2") + put(b"x", target=b"/3"))
    served = await upstream.accept()
    assert (await served.read_request()).target == b"/1"
    client.close()

    await served.wait_closed()
    assert upstream.connections == 1


async def test_a_client_that_leaves_does_not_disturb_another(front: Proxy, upstream: Upstream) -> None:
    leaving, staying = await front.connect(), await front.connect()
    await leaving.send(get(b"/leaving"))
    first = await upstream.accept()
    await first.read_request()
    await staying.send(get(b"/staying"))
    second = await upstream.accept()
    await second.read_request()
    leaving.close()
    await first.wait_closed()
    await second.send(ok(b"stayed"))

    assert (await staying.read_response()).body == b"stayed"


async def test_a_client_that_leaves_while_the_upstream_is_dialled(front: Proxy, upstream: Upstream) -> None:
    """Whatever was opened for it is closed or kept, never lost."""
    for _ in range(20):
        client = await front.connect()
        await client.send(get())
        client.close()
    await until(lambda: not front.open_clients and not front.gateway.in_flight)
    assert front.open_upstream <= upstream.connections
