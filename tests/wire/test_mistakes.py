"""A mistake of ours is still an answer, it is logged, and nothing is left behind."""

import pytest

from tests.conftest import ErrorLog
from tests.harness import ORIGIN, Proxy, Upstream, get, head, ok, put, until

LANE_MODULES = {"aiohttp": "corsproxy.gateway.handler", "express": "corsproxy.gateway.express_exchange"}


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("a mistake")


@pytest.mark.parametrize("request_", [get(), put(b"something")], ids=["get", "put"])
async def test_a_mistake_of_ours_is_an_answer(
    front: Proxy, lane: str, quiet_loop: ErrorLog, monkeypatch: pytest.MonkeyPatch, request_: bytes
) -> None:
    monkeypatch.setattr(f"{LANE_MODULES[lane]}.plan", fail)
    client = await front.connect()
    got = await client.ask(request_)

    assert got.status == 500
    (record,) = await front.recorded()
    assert (record.failure, record.problem and record.problem.code) == ("RuntimeError('a mistake')", "CP501")
    assert quiet_loop.lines
    quiet_loop.lines.clear()


async def test_a_mistake_in_front_of_an_answer_cuts_the_upstream(
    front: Proxy, upstream: Upstream, quiet_loop: ErrorLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corsproxy.edits.render", fail)
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", b"Content-Length: 5") + b"he")

    assert (await client.read_response()).status == 500
    await served.wait_closed()
    assert quiet_loop.lines
    quiet_loop.lines.clear()


async def test_a_mistake_in_the_middle_of_an_answer_does_not_look_complete(
    front: Proxy, upstream: Upstream, quiet_loop: ErrorLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await front.connect()
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"2\r\nhe\r\n")
    await client.read_until(b"he\r\n")
    monkeypatch.setattr("corsproxy.gateway.exchange.frame", fail)
    await served.send(b"3\r\nllo\r\n0\r\n\r\n")

    assert await client.read_until_close() == b""
    await until(lambda: bool(front.records))
    assert front.records[0].problem is not None
    assert quiet_loop.lines
    quiet_loop.lines.clear()


@pytest.mark.parametrize(
    ("request_", "broken"),
    [
        (get(), "corsproxy.gateway.upstream.UpstreamConnection.send"),
        (
            get(b"/", b"Origin: " + ORIGIN, b"Access-Control-Request-Method: PUT", method=b"OPTIONS"),
            "corsproxy.known.KnownAnswer.to_bytes",
        ),
    ],
    ids=["get", "preflight"],
)
async def test_a_mistake_in_an_exchange_that_is_known_is_an_answer(
    front: Proxy, lane: str, upstream: Upstream, quiet_loop: ErrorLog, monkeypatch: pytest.MonkeyPatch, request_: bytes, broken: str
) -> None:
    upstream.serve(lambda _: ok())
    client = await front.connect()
    for _ in range(6):
        await client.ask(request_)
    monkeypatch.setattr(broken, fail)
    got = await client.ask(request_)

    if lane == "express":
        assert got.status == 500
        records = await front.recorded(7)
        assert (records[-1].failure, records[-1].problem and records[-1].problem.code) == ("RuntimeError('a mistake')", "CP501")
        assert front.gateway.in_flight == 0
        assert quiet_loop.lines
    quiet_loop.lines.clear()
    # Whoever asks the next time is served.
    monkeypatch.undo()
    assert (await client.ask(request_)).status == (200 if request_.startswith(b"GET") else 204)
