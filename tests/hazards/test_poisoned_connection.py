"""
The danger: bytes that the upstream sends on an idle connection become the next user's answer.

The promise: any byte on an idle connection closes it and is counted, and nobody gets it.
"""

import pytest

from tests.harness import Proxy, Upstream, chunked, get, head, ok, until

FOLLOW_UPS = 1000
EVIL = ok(b"EVIL", b"Set-Cookie: sid=alice")

POISONS = {
    "a whole response": EVIL,
    "half a head": b"HTTP/1.1 200 OK\r\nX-Evil: ",
    "an empty line": b"\r\n",
    "a timeout's answer": ok(b"", b"Connection: close", status=b"408 Request Timeout"),
}


@pytest.mark.parametrize("poison", POISONS)
async def test_no_follow_up_gets_bytes_that_came_while_the_connection_was_idle(front: Proxy, upstream: Upstream, poison: str) -> None:
    client = await front.connect()
    rounds = FOLLOW_UPS // len(POISONS)
    for number in range(rounds):
        await client.send(get(b"/%d" % number))
        served = await upstream.accept()
        assert (await served.read_request(judge=number == 0)).target == b"/%d" % number
        await served.send(ok(b"%d" % number))
        got = await client.read_response(judge=number == 0)
        assert got.body == b"%d" % number
        await until(lambda: front.pool.size == 1 and not front.pool._busy)
        await served.send(POISONS[poison])
        # The proxy hangs up; were it not to, this waits in vain.
        await served.read_until_close()
        served.close()

    assert front.pool.unexpected == rounds
    assert upstream.connections == rounds
    assert front.pool.reuses == 0


FINALS = {
    "length": ok(b"mine"),
    "chunked": head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + chunked(b"mine"),
    "204": head(b"HTTP/1.1 204 No Content"),
    "304": head(b"HTTP/1.1 304 Not Modified", b"Content-Length: 4"),
}


@pytest.mark.parametrize(
    "poison", [EVIL, b"E", b"H", b"\r\n", b"0\r\n\r\n"], ids=["a response", "a byte", "a good byte", "an empty line", "a last chunk"]
)
@pytest.mark.parametrize("final", FINALS)
async def test_bytes_behind_an_answer_are_nobodys(front: Proxy, upstream: Upstream, final: str, poison: bytes) -> None:
    """They came in one segment with the answer, so they are there before the connection is idle."""
    upstream.serve(lambda _: FINALS[final] + poison)
    client = await front.connect()
    for number in range(20):
        got = await client.ask(get())
        assert b"EVIL" not in got.raw
        assert b"alice" not in got.raw
        assert got.body == (b"mine" if got.status == 200 else b"")
        # llhttp passes an empty line behind a last chunk over, as it may before a message: nobody gets it.
        assert upstream.connections == (1 if (final, poison) == ("chunked", b"\r\n") else number + 1)


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
async def test_a_body_where_none_may_be_is_nobodys(front: Proxy, upstream: Upstream, method: bytes) -> None:
    """An upstream that answers HEAD, or 204, with a body speaks into the next answer."""
    upstream.serve(lambda request: EVIL if request.method == b"HEAD" else head(b"HTTP/1.1 204 No Content") + b"EVIL")
    client = await front.connect()
    for _ in range(20):
        got = await client.ask(get(method=method))
        assert (got.status, got.body) == (200 if method == b"HEAD" else 204, b"")


async def test_another_clients_connection_is_not_touched_by_a_poisoned_one(front: Proxy, upstream: Upstream) -> None:
    alice, bob = await front.connect(), await front.connect()
    await alice.send(get(b"/alice"))
    hers = await upstream.accept()
    await hers.read_request()
    await bob.send(get(b"/bob"))
    his = await upstream.accept()
    await his.read_request()
    await hers.send(ok(b"alice") + EVIL)
    await his.send(ok(b"bob"))

    assert (await alice.read_response()).body == b"alice"
    assert (await bob.read_response()).body == b"bob"
    await bob.send(get(b"/bob/2"))
    assert (await his.read_request()).target == b"/bob/2"
    await his.send(ok(b"bob again"))
    assert (await bob.read_response()).body == b"bob again"
