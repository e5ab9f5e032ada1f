"""The vectors, on raw sockets: what is doubtful is refused, what is passed on is passed on as one message."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from corsproxy.answers import Context, Exchange, problem_answer
from corsproxy.config.settings import Route, Timeouts
from corsproxy.problems import Problem
from corsproxy.semantics.framing import REQUEST_DOUBTS, RESPONSE_DOUBTS, Tier
from tests.conftest import ProxyFactory
from tests.harness import Client, Ended, Message, Proxy, Request, Response, Served, Upstream, complete_status, get, ok, policy, turns
from tests.vectors.seen import beginnings
from tests.vectors.vectors import Sees, Vector, load

REQUESTS = [*load("requests.yaml"), *load("paths.yaml")]
RESPONSES = load("responses.yaml")

# llhttp refuses these before the table is asked; tests/unit/semantics/test_framing.py does.
REFUSED_BY_LLHTTP = {"request": {"length-and-coding"}, "response": {"length-and-coding"}}

# The canary: what is called so must never be the upstream's request, the next client's answer, or in an answer of the proxy's own.
CANARY = b"SMUGGLED"


@pytest.fixture
async def front(proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """The proxy that requests.yaml describes. An answer that leaves a body unread does not wait for it."""
    monkeypatch.setattr("corsproxy.gateway.bounds._LINGERING_S", 0.05)
    below = replace(upstream.settings, url=f"{upstream.settings.url}/v1", path=b"/v1")
    routes = [
        Route(b"/public", upstream.settings, policy("*"), Timeouts()),
        Route(b"/legacy", below, policy(), Timeouts()),
        Route(b"/", upstream.settings, policy(), Timeouts()),
    ]
    return await proxy(*routes)


def pieces(data: bytes, cut: str) -> list[bytes]:
    """Cut bytes up: in one, or one by one; long ones in fewer pieces, of a size that falls on no boundary."""
    size = len(data) if cut == "whole" else max(1, len(data) // 499)
    return [data[place : place + size] for place in range(0, len(data), max(1, size))]


cuts = pytest.mark.parametrize("cut", ["whole", "bytewise"])


# --- what clients send ---


def echo(request: Request) -> bytes:
    return ok(b"" if request.method == b"HEAD" else b"echo")


@cuts
@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector.name)
async def test_a_request_is_forwarded_as_it_is_or_refused(front: Proxy, upstream: Upstream, vector: Vector, cut: str) -> None:
    upstream.serve(echo)
    client = await front.connect()
    with suppress(Ended):  # the answer may come before the end of what is sent
        await client.send_in_pieces(*pieces(vector.request, cut))
    method = b"GET" if vector.reason == "unparsable" else vector.request.lstrip(b"\r\n").split(b" ", 1)[0]
    # What is refused at a later byte may have been preceded by an answer.
    answers = [await client.read_response(method if number == 0 else b"GET") for number in range(len(vector.statuses))]

    assert [answer.status for answer in answers] == vector.statuses
    assert len(upstream.requests) == vector.forwarded
    see_upstream(upstream, vector)
    for answer in answers:
        assert CANARY not in answer.raw
    if vector.problem:
        await see_refusal(front, vector, answers[-1])
    if vector.closes:
        assert await client.read_until_close() == b""
    else:
        # The connection goes on, and the next request on it is itself.
        assert (await client.ask(get(b"/next"))).body == b"echo"
        assert (upstream.requests[-1].start, upstream.requests[-1].body) == (b"GET /next HTTP/1.1", b"")
    assert (await front.ask(get(b"/alive"))).body == b"echo"
    assert upstream.requests[-1].start == b"GET /alive HTTP/1.1"


async def see_refusal(front: Proxy, vector: Vector, answer: Response) -> None:
    """A refusal says what its problem says, and nothing of the request; the log knows the reason."""
    if vector.reason == "unparsable":
        # A body may break the grammar when its head is on its way already.
        assert front.gateway.unparsable == 1 or "does not parse" in (await front.recorded())[0].failure
        problem = problem_of(vector)
    else:
        record = (await front.recorded())[0]
        assert record.problem is not None
        assert record.problem.code == vector.problem
        assert vector.reason in ("", record.reason)
        problem = record.problem
    exchange = Exchange(answer.value(b"x-request-id") or b"")
    own = problem_answer(Context(b"GET", 1, persistent=False, exchange=exchange), problem, close=True)
    assert answer.body in (own.body, b"")
    assert {name for name, _ in answer.fields} <= {
        b"Content-Type",
        b"Content-Length",
        b"Cache-Control",
        b"X-Content-Type-Options",
        b"X-Request-Id",
        b"Allow",
        b"Proxy-Status",
        b"Access-Control-Allow-Origin",
        b"Vary",
        b"Date",
        b"Connection",
    }
    assert answer.value(b"connection") in ((b"close", None) if vector.closes else (None,))


def problem_of(vector: Vector) -> Problem:
    from corsproxy import problems  # noqa: PLC0415 - a table of everything in it

    return next(entry for entry in vars(problems).values() if isinstance(entry, Problem) and entry.code == vector.problem)


def see_upstream(upstream: Upstream, vector: Vector) -> None:
    """Nothing doubtful arrived: neither a whole request nor the beginning of one."""
    seen = upstream.requests
    for request in [*seen, *beginnings(upstream)]:
        assert len(request.values(b"host")) == 1
        assert not (request.values(b"content-length") and request.values(b"transfer-encoding"))
        assert CANARY not in request.start
        assert request.start.endswith(b" HTTP/1.1")
    assert len(beginnings(upstream)) <= (0 if vector.forwarded else 1)
    if vector.sees.starts is not None:
        assert [request.start for request in seen] == vector.sees.starts
    if seen:
        see(seen[-1], vector.sees)


def see(message: Message, sees: Sees) -> None:
    """What must be there is there, and the rest is not."""
    written = [name + b": " + value for name, value in message.fields]
    for line in sees.lines:
        assert line in written
    for name in sees.lacks:
        assert name.lower() not in [written_name.lower() for written_name, _ in message.fields]
    assert sees.body in (None, message.body)


BEHIND = get(b"/SMUGGLED", b"X: SMUGGLED")
CLOSING = {
    "Connection: close": get(b"/", b"Connection: close"),
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "a GET with a body": get(b"/", b"Content-Length: 2") + b"ok",
    "a trailer": get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"0\r\nX-A: SMUGGLED\r\n\r\n",
    "an upgrade": get(b"/", b"Connection: upgrade", b"Upgrade: h2c"),
    "a refusal": get(b"/", b"Origin: https://evil.example", b"Content-Length: 2", method=b"POST") + b"ok",
    "a bad head": b"GET / HTTP/1.1\r\n\r\n",
}


@cuts
@pytest.mark.parametrize("kind", CLOSING)
async def test_what_comes_behind_the_last_request_of_a_connection_is_never_served(
    front: Proxy, upstream: Upstream, kind: str, cut: str
) -> None:
    """The parser may refuse both when they come together (RFC 9112 9.3.2 lets the client ask again), but never serves the second."""
    upstream.serve(echo)
    client = await front.connect()
    with suppress(Ended):
        await client.send_in_pieces(*pieces(CLOSING[kind] + BEHIND, cut))
    await client.read_response()
    assert await client.read_until_close() == b""
    assert (await front.ask(get(b"/alive"))).body == b"echo"
    assert [request.target for request in upstream.requests] in ([b"/alive"], [b"/", b"/alive"])


# --- what upstreams send ---


@cuts
@pytest.mark.parametrize("vector", RESPONSES, ids=lambda vector: vector.name)
async def test_a_response_is_relayed_as_it_is_refused_or_cut_off(front: Proxy, upstream: Upstream, vector: Vector, cut: str) -> None:
    client = await front.connect()
    await client.send(vector.request)
    served = await upstream.accept()
    await served.read_request()
    reading = asyncio.ensure_future(read(client, vector))
    with suppress(Ended):  # the proxy may have had enough before the end
        await served.send_in_pieces(*pieces(vector.response, cut))
    await turns()
    if vector.then == "close":
        served.close()
    elif vector.then == "reset":
        served.reset()
    await reading

    record = (await front.recorded())[0]
    assert (record.problem.code if record.problem else "") == vector.problem
    if vector.reason:
        assert reason_of(record.failure) == vector.reason
    if vector.closes:
        client = await front.connect()
    await see_the_next_answer(client, upstream, served, vector)


async def read(client: Client, vector: Vector) -> None:
    """Read what the client gets, and see whether it is what it should be."""
    if vector.cut:
        raw = await client.read_until_close()
        assert raw.startswith(b"HTTP/1.1 ")
        assert not complete_status(raw, client.ended)
        return
    answer = await client.read_response(vector.request.split(b" ", 1)[0])
    assert [answer.status] == vector.statuses
    assert vector.sees.starts in (None, [answer.start])
    see(answer, vector.sees)
    if vector.status_is_ours:
        assert CANARY not in answer.raw
        assert vector.interims or not answer.interims
        assert (answer.value(b"content-type"), answer.values(b"connection")) == (b"application/problem+json", [])
    if vector.closes:
        assert await client.read_until_close() == b""


def reason_of(failure: str) -> str:
    """The reason within the sentence for the operator."""
    for mark, reason in (
        ("refused: ", ""),
        ("grammar: ", "grammar"),
        ("empty line", "grammar"),
        ("bytes", "too-long"),
    ):
        if mark in failure:
            return reason or failure.rpartition(mark)[2]
    return "grammar" if "closed before" in failure else failure


async def see_the_next_answer(client: Client, upstream: Upstream, served: Served, vector: Vector) -> None:
    """The next request gets its own answer, on the old connection to the upstream or on a new one."""
    asking = asyncio.ensure_future(client.ask(get(b"/next")))
    reading = asyncio.ensure_future(served.read_request())
    if vector.reuses:
        request = await reading
    else:
        if not vector.then:
            with pytest.raises(Ended):
                await reading
        reading.cancel()
        served = await upstream.accept()
        request = await served.read_request()
    assert request.start == b"GET /next HTTP/1.1"
    await served.send(ok(b"next"))
    assert (await asking).body == b"next"


# --- the vectors themselves ---


def test_there_are_enough_vectors_and_each_has_a_name_of_its_own() -> None:
    names = [vector.name for vector in REQUESTS]
    assert len(REQUESTS) + len(RESPONSES) >= 120
    assert len(set(names)) == len(names)
    assert len({vector.name for vector in RESPONSES}) == len(RESPONSES)
    assert all(vector.spec for vector in [*REQUESTS, *RESPONSES])


def test_every_doubt_that_the_parsers_let_through_has_a_vector() -> None:
    assert {vector.reason for vector in REQUESTS} >= set(REQUEST_DOUBTS) - REFUSED_BY_LLHTTP["request"]
    assert {vector.reason for vector in RESPONSES} >= set(RESPONSE_DOUBTS) - REFUSED_BY_LLHTTP["response"]


def test_the_vectors_tiers_are_the_tables() -> None:
    for vector in REQUESTS:
        assert vector.tier in ("", *Tier)
        if vector.reason in REQUEST_DOUBTS:
            assert vector.tier == REQUEST_DOUBTS[vector.reason][1], vector.name
    for vector in RESPONSES:
        if vector.reason in RESPONSE_DOUBTS:
            assert vector.tier == RESPONSE_DOUBTS[vector.reason], vector.name


def test_everything_severe_is_refused() -> None:
    for vector in REQUESTS:
        if vector.tier == "severe":
            assert not vector.forwarded, vector.name
            assert vector.statuses[0] >= 400, vector.name
    for vector in RESPONSES:
        if vector.tier == "severe":
            assert vector.cut or vector.statuses == [502], vector.name
