"""
Exchanges that are known by heart, on the wire: the bytes are those of the first time, whatever comes between.

Every request here was sent several times before it is looked at. That it is known then is asserted, so that nothing passes because
nothing was remembered.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from ipaddress import ip_network
from itertools import count, pairwise

import pytest

from corsproxy import problems
from corsproxy.config.rates import Rate, RateLimit
from corsproxy.config.settings import ForwardingSettings, Limits, Route, RouteLimits
from corsproxy.editor import Editor
from corsproxy.gateway.express import ExpressLane
from corsproxy.gateway.known_exchange import KnownExchange
from corsproxy.request_layouts import RequestLayouts
from corsproxy.semantics.rules import compile_rules
from tests.conftest import ProxyFactory
from tests.harness import (
    DEADLINE_S,
    ORIGIN,
    STRANGER,
    Client,
    Proxy,
    Request,
    Response,
    Served,
    Upstream,
    chunked,
    complete_status,
    get,
    head,
    loopback_settings,
    ok,
    policy,
    put,
    route,
    stalled,
    turns,
    until,
)

pytestmark = pytest.mark.parametrize("lane", ["express"])

ALLOWED = b"Origin: " + ORIGIN
DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT"
GET = get(b"/a?b=c", ALLOWED, b"User-Agent: ua", b"Cookie: a=1")
HEAD = get(b"/a?b=c", ALLOWED, method=b"HEAD")
POST = put(b"something", ALLOWED, method=b"POST")
PREFLIGHT = get(b"/", ALLOWED, b"Access-Control-Request-Method: PUT", method=b"OPTIONS")
# So often that all is remembered that can be.
TIMES = 8


def answer(body: bytes = b"ok", *lines: bytes) -> bytes:
    return ok(body, DATE, *lines)


def of_head(length: int = 2) -> bytes:
    return head(b"HTTP/1.1 200 OK", DATE, b"Content-Length: %d" % length)


async def play(client: Client, served: Served, request: bytes, response: bytes = b"") -> tuple[Request, Response]:
    """One exchange on connections that are there."""
    await client.send(request)
    seen = await served.read_request()
    await served.send(response or answer())
    return seen, await client.read_response(seen.method)


async def known(front: Proxy, upstream: Upstream, request: bytes = GET, response: bytes = b"") -> tuple[Client, Served]:
    """A client, and an upstream's connection, that know a request by heart, and its answer."""
    client = await front.connect()
    await client.send(request)
    served = await upstream.accept()
    seen = await served.read_request()
    await served.send(response or answer())
    await client.read_response(seen.method)
    for _ in range(TIMES - 1):
        await play(client, served, request, response)
    await front.recorded(TIMES)
    assert is_known(front)
    return client, served


def is_known(front: Proxy) -> bool:
    """Whether the last exchange that ended was a known one."""
    return front.records[-1].recalled is not None


def without_id(raw: bytes) -> bytes:
    """A message but for its id."""
    before, name, rest = raw.partition(b"\r\nX-Request-Id: ")
    assert name
    return before + name + rest[rest.index(b"\r\n") :]


def id_of(raw: bytes) -> bytes:
    return raw.partition(b"\r\nX-Request-Id: ")[2].partition(b"\r\n")[0]


@dataclass
class Work:
    """What was not known by heart: requests and answers that were read line by line, and exchanges that were handed over."""

    requests: list[object] = field(default_factory=list)
    answers: list[object] = field(default_factory=list)
    handed_over: list[object] = field(default_factory=list)

    def clear(self) -> None:
        for each in (self.requests, self.answers, self.handed_over):
            each.clear()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    found = Work()
    for owner, name, notes in (
        (RequestLayouts, "find", found.requests),
        (Editor, "_prepare", found.answers),
        (KnownExchange, "hand_over", found.handed_over),
    ):
        original = getattr(owner, name)

        def noted(*asked: object, original: Callable[..., object] = original, notes: list[object] = notes) -> object:
            notes.append(asked)
            return original(*asked)

        monkeypatch.setattr(owner, name, noted)
    return found


# --- the same again ---


@pytest.mark.parametrize(
    ("request_", "response"),
    [(GET, answer()), (HEAD, of_head()), (POST, answer(b"stored")), (get(b"/", ALLOWED, method=b"DELETE"), answer(b""))],
    ids=["get", "head", "post", "delete"],
)
async def test_the_same_request_has_the_same_bytes_each_time(front: Proxy, upstream: Upstream, request_: bytes, response: bytes) -> None:
    client = await front.connect()
    await client.send(request_)
    served = await upstream.accept()
    seen = [await served.read_request()]
    await served.send(response)
    got = [await client.read_response(seen[0].method)]
    for _ in range(2 * TIMES):
        asked, answered = await play(client, served, request_, response)
        seen.append(asked)
        got.append(answered)
    await front.recorded(len(seen))

    assert is_known(front)
    assert {without_id(each.raw) for each in seen} == {without_id(seen[0].raw)}
    assert {without_id(each.raw) for each in got} == {without_id(got[0].raw)}
    assert [id_of(each.raw) for each in seen] == [id_of(each.raw) for each in got]
    assert len({id_of(each.raw) for each in seen}) == len(seen)
    assert upstream.connections == 1
    assert front.expressed == len(seen)


async def test_the_same_request_has_the_same_bytes_over_several_connections(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    first, last = await play(client, served, GET)
    for _ in range(3):
        other = await front.connect()
        for _ in range(3):
            seen, got = await play(other, served, GET)
            assert without_id(seen.raw) == without_id(first.raw)
            assert without_id(got.raw) == without_id(last.raw)
    assert is_known(front)
    assert upstream.connections == 1


async def test_what_is_recorded_of_a_known_exchange_is_what_is_recorded_of_any(front: Proxy, upstream: Upstream) -> None:
    await known(front, upstream, POST, answer(b"stored"))
    first, last = front.records[0], front.records[-1]
    names = (
        "method",
        "target",
        "client",
        "status",
        "reason",
        "problem",
        "received",
        "sent",
        "user_agent",
        "upstream",
        "failure",
        "retries",
    )

    assert (first.recalled, last.recalled is not None) == (None, True)
    assert [getattr(last, name) for name in names] == [getattr(first, name) for name in names]
    assert (last.received, last.sent) == (9, 6)
    assert last.started <= last.placed <= last.connected <= last.head <= last.ended
    assert last.decision == first.decision
    assert last.context is not None
    assert last.context.exchange.request_id == last.request_id.encode()


async def test_a_preflight_is_the_same_each_time(front: Proxy, upstream: Upstream) -> None:
    client = await front.connect()
    got = [await client.ask(PREFLIGHT) for _ in range(TIMES)]
    await front.recorded(TIMES)

    assert is_known(front)
    assert {each.status for each in got} == {204}
    assert len({each.raw.partition(b"\r\nDate: ")[0] for each in got}) == 1
    assert upstream.connections == 0
    await client.send(PREFLIGHT * 5)
    assert [(await client.read_response(b"OPTIONS")).status for _ in range(5)] == [204] * 5


@pytest.mark.parametrize("request_", [GET, POST, PREFLIGHT], ids=["get", "post", "preflight"])
async def test_a_known_request_is_known_however_it_is_cut(front: Proxy, upstream: Upstream, request_: bytes) -> None:
    upstream.serve(lambda _: answer())
    client = await front.connect()
    whole = [await client.ask(request_) for _ in range(TIMES)]
    await client.send_bytewise(request_)
    got = await client.read_response(request_.split(b" ")[0])

    assert (got.status, got.body) == (whole[0].status, whole[0].body)
    if upstream.requests:
        assert len({without_id(each.raw) for each in upstream.requests}) == 1
    again = await client.ask(request_)
    assert again.body == whole[0].body


# --- others are not taken for the same ---


async def test_another_request_is_not_taken_for_the_same(front: Proxy, upstream: Upstream) -> None:
    """One after another on one connection, each known; they differ in one thing, or in a part of one."""
    requests = {
        b"get": get(b"/a", b"Cookie: a=1"),
        b"cookie": get(b"/a", b"Cookie: a=2"),
        b"longer-cookie": get(b"/a", b"Cookie: a=12"),
        b"no-cookie": get(b"/a"),
        b"target": get(b"/b", b"Cookie: a=1"),
        b"longer-target": get(b"/aa", b"Cookie: a=1"),
        b"head": get(b"/a", b"Cookie: a=1", method=b"HEAD"),
        b"delete": get(b"/a", b"Cookie: a=1", method=b"DELETE"),
        b"host": head(b"GET /a HTTP/1.1", b"Host: other.test", b"Cookie: a=1"),
        b"name": get(b"/a", b"cookie: a=1"),
        b"length": get(b"/a", b"Cookie: a=1", b"Content-Length: 0"),
        b"agent": get(b"/a", b"Cookie: a=1", b"User-Agent: ua-1"),
        b"other-agent": get(b"/a", b"Cookie: a=1", b"User-Agent: ua-2"),
        b"id": get(b"/a", b"Cookie: a=1", b"X-Request-Id: their-id-1"),
        b"other-id": get(b"/a", b"Cookie: a=1", b"X-Request-Id: their-id-2"),
        b"order": get(b"/a", b"X-A: 1", b"Cookie: a=1"),
        b"other-order": get(b"/a", b"Cookie: a=1", b"X-A: 1"),
    }
    upstream.serve(lambda request: answer() if request.method != b"HEAD" else of_head())
    client = await front.connect()
    for _ in range(TIMES):
        for request in requests.values():
            await client.ask(request)
    await front.recorded(TIMES * len(requests))
    by_turn = [[request.raw for request in upstream.requests[place :: len(requests)]] for place in range(len(requests))]

    assert is_known(front)
    for request, raws in zip(requests.values(), by_turn, strict=True):
        start, _, lines = request.partition(b"\r\nHost: ")
        host, _, rest = lines.partition(b"\r\n")
        own = [line for line in rest.split(b"\r\n") if line and not line.startswith((b"Content-Length", b"X-Request-Id"))]
        for raw in raws:
            assert raw.startswith(b"\r\n".join((start, b"Host: " + upstream.authority, *own, b"")))
            assert b"\r\nX-Forwarded-Host: " + host + b"\r\n" in raw
        assert len({without_id(raw) for raw in raws}) == 1
    assert {id_of(raw) for raw in by_turn[13]} == {b"their-id-1"}
    assert {id_of(raw) for raw in by_turn[14]} == {b"their-id-2"}
    assert [record.user_agent for record in front.records[-6:-4]] == [b"ua-1", b"ua-2"]


async def test_another_client_is_told_of_as_itself(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(forwarding=ForwardingSettings(trusted=(ip_network("127.0.0.1/32"),)))
    upstream.serve(lambda _: answer())
    client = await front.connect()
    for _ in range(TIMES):
        for number in (7, 8):
            await client.ask(get(b"/", b"X-Forwarded-For: 198.51.100.%d" % number))
    await front.recorded(2 * TIMES)

    assert is_known(front)
    assert [request.value(b"x-forwarded-for") for request in upstream.requests] == [
        b"198.51.100.7, 127.0.0.1",
        b"198.51.100.8, 127.0.0.1",
    ] * TIMES
    assert [record.client for record in front.records] == ["198.51.100.7", "198.51.100.8"] * TIMES


async def test_a_connection_that_is_another_peers_is_told_of_as_that(front: Proxy, upstream: Upstream) -> None:
    """What is known of a connection can change, as when its certificate counts no more."""
    client, served = await known(front, upstream)
    (connection,) = front.gateway._connections
    connection.peer = connection.peer._replace(peer="192.0.2.9")
    for _ in range(TIMES):
        seen, _ = await play(client, served, GET)
        assert seen.value(b"x-forwarded-for") == b"192.0.2.9"


async def test_an_origin_that_is_not_allowed_is_refused_each_time(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    for _ in range(TIMES):
        got = await client.ask(GET.replace(ORIGIN, STRANGER))
        assert (got.status, b'"code":"CP301"' in got.body) == (403, True)
        assert b"access-control-allow-origin" not in got.cors
        client = await front.connect()
        _, allowed = await play(client, served, GET)
        assert allowed.cors[b"access-control-allow-origin"] == ORIGIN


async def test_one_path_after_another_is_asked_for(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda request: answer(request.target))
    client = await front.connect()
    for number in range(40):
        assert (await client.ask(get(b"/items/%d?x" % number, ALLOWED))).body == b"/items/%d?x" % number
    await front.recorded(40)

    assert is_known(front)
    assert len({without_id(request.raw).partition(b" HTTP/1.1")[2] for request in upstream.requests}) == 1


async def test_one_value_after_another_is_passed_on(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda request: answer(request.value(b"cookie") or b""))
    client = await front.connect()
    for number in range(40):
        assert (await client.ask(get(b"/", b"Cookie: a=%d" % number, ALLOWED))).body == b"a=%d" % number
    await front.recorded(40)

    assert is_known(front)


# --- what differs in a few places ---


def coded(*pieces: bytes, lines: tuple[bytes, ...] = (DATE,), trailers: tuple[bytes, ...] = ()) -> bytes:
    """A chunked answer."""
    return head(b"HTTP/1.1 200 OK", *lines, b"Transfer-Encoding: chunked") + chunked(*pieces, trailers=trailers)


VARIED_ANSWERS: dict[str, Callable[[int], bytes]] = {
    "id": lambda number: answer(b"ok", b"X-Id: v%dv" % number, b"Server: s"),
    "id-and-length": lambda number: answer(b"x" * (number % 13 + 1), b"Server: s", b"X-Id: v%dv" % number),
    "id-and-date": lambda number: ok(b"ok", b"Date: Sun, 06 Nov 1994 08:49:%02d GMT" % (number % 60), b"X-Id: v%dv" % number),
    "ids-and-what-does-not-pass": lambda number: answer(
        b"ok", b"Keep-Alive: max=%d" % number, b"X-A: v%dv" % number, b"X-Id: v%dv" % number
    ),
    "id-of-chunks": lambda number: coded(b"some", b"thing", lines=(DATE, b"X-Id: v%dv" % number)),
    "id-without-a-date": lambda number: ok(b"ok", b"X-Id: v%dv" % number),
    "id-of-nothing": lambda number: answer(b"", b"X-Id: v%dv" % number),
}


def general(raw: bytes) -> bytes:
    """An answer but for what differs: its ids, its date, its length and its body."""
    return re.sub(rb"v\d+v|Date: [^\r]+|Content-Length: \d+|\r\n\r\nx+$", b"*", without_id(raw))


@pytest.mark.parametrize("make", VARIED_ANSWERS.values(), ids=VARIED_ANSWERS)
async def test_answers_that_differ_each_time_reach_the_client_with_the_rest_byte_for_byte(
    front: Proxy, upstream: Upstream, work: Work, make: Callable[[int], bytes]
) -> None:
    numbers = count()
    upstream.serve(lambda _: make(next(numbers)))
    client = await front.connect()
    got = [await client.ask(GET) for _ in range(TIMES)]
    work.clear()
    got += [await client.ask(GET) for _ in range(40)]
    for number, each in enumerate(got):
        assert each.value(b"x-id") == b"v%dv" % number
        sent = make(number)
        assert each.body == (b"something" if b"chunked" in sent else sent.partition(b"\r\n\r\n")[2])
        for line in sent.partition(b"\r\n\r\n")[0].split(b"\r\n"):
            assert (line + b"\r\n" in each.raw) is not line.startswith(b"Keep-Alive")
    await front.recorded(len(got))

    assert is_known(front)
    assert work == Work()
    assert {general(each.raw) for each in got} == {general(got[0].raw)}
    assert upstream.connections == 1


@pytest.mark.parametrize("make", VARIED_ANSWERS.values(), ids=VARIED_ANSWERS)
async def test_answers_that_differ_each_time_are_those_of_each_connection(
    front: Proxy, upstream: Upstream, work: Work, make: Callable[[int], bytes]
) -> None:
    numbers = count()
    upstream.serve(lambda _: make(next(numbers)))
    first = await front.connect()
    whole = [await first.ask(GET) for _ in range(TIMES)]
    work.clear()
    others = [await front.connect() for _ in range(4)]
    for turn in range(5):
        for place, other in enumerate((first, *others)):
            got = await other.ask(GET)
            assert got.value(b"x-id") == b"v%dv" % (TIMES + 5 * turn + place)
            assert general(got.raw) == general(whole[0].raw)

    assert work.answers == work.handed_over == []
    assert upstream.connections == 1


async def test_answers_of_several_kinds_are_told_apart(front: Proxy, upstream: Upstream) -> None:
    """More than are kept, and each differs from the last one of its kind in an id."""
    kinds = [
        b"200 OK",
        b"200 Fine",
        b"201 Created",
        b"206 P",
        b"400 Bad",
        b"404 Not Found",
        b"500 Oops",
        b"503 Later",
        b"404 None",
        b"299 X",
    ] * 3
    numbers = count()

    def reply(_: Request) -> bytes:
        number = next(numbers)
        place = number % len(kinds)
        return ok(b"%d" % number, DATE, b"X-%d: a" % place, b"X-Id: %d" % number, status=kinds[place])

    upstream.serve(reply)
    client = await front.connect()
    for number in range(5 * len(kinds)):
        got = await client.ask(GET)
        place = number % len(kinds)
        assert (got.start, got.body) == (b"HTTP/1.1 " + kinds[place], b"%d" % number)
        assert (got.value(b"x-id"), got.value(b"x-%d" % place)) == (b"%d" % number, b"a")
    assert upstream.connections == 1


VARIED_REQUESTS: dict[str, Callable[[int], bytes]] = {
    "target": lambda number: get(b"/items/%d?x" % number, ALLOWED),
    "target-and-cookie": lambda number: get(b"/items/%d?x" % number, ALLOWED, b"Cookie: a=%d" % number),
    "length": lambda number: put(b"x" * (number % 23 + 1), ALLOWED, method=b"POST"),
    "length-and-target": lambda number: put(b"x" * (number % 23 + 1), ALLOWED, target=b"/items/%d" % number, method=b"POST"),
    "long-bodies": lambda number: put(b"x" * (number + 30_000), ALLOWED, target=b"/items/%d" % number, method=b"POST"),
    "trace": lambda number: get(b"/", ALLOWED, b"traceparent: 00-0af7651916cd43dd8448eb211c8031%02x-b7ad6b7169203331-01" % number),
    "id": lambda number: get(b"/", ALLOWED, b"X-Request-Id: their-id-%d" % number),
    "what-goes-nowhere": lambda number: get(b"/", ALLOWED, b"Keep-Alive: max=%d" % number),
    "all": lambda number: put(
        b"x" * (number % 23 + 1),
        b"Cookie: a=%d" % number,
        ALLOWED,
        b"traceparent: 00-0af7651916cd43dd8448eb211c8031%02x-b7ad6b7169203331-01" % number,
        b"X-Request-Id: their-id-%d" % number,
        b"X-A: %d" % number,
        target=b"/items/%d" % number,
    ),
}
KEPT = (b"cookie", b"x-a", b"traceparent", b"origin", b"content-length")


def of_request(raw: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """What a request asks for, its body, and its lines that pass."""
    lines, _, body = raw.partition(b"\r\n\r\n")
    start, *rest = lines.split(b"\r\n")
    return start, body, sorted(line for line in rest if line.lower().startswith(KEPT))


@pytest.mark.parametrize("make", VARIED_REQUESTS.values(), ids=VARIED_REQUESTS)
async def test_requests_that_differ_each_time_reach_the_upstream_as_they_are(
    front: Proxy, upstream: Upstream, work: Work, make: Callable[[int], bytes]
) -> None:
    upstream.serve(lambda request: answer(request.body[:100]))
    client = await front.connect()
    for number in range(60):
        if number == TIMES:
            work.clear()
        got = await client.ask(make(number))
        assert (got.status, got.body) == (200, of_request(make(number))[1][:100])
        assert id_of(got.raw) == id_of(upstream.requests[-1].raw)
    await front.recorded(60)

    assert is_known(front)
    assert [of_request(request.raw) for request in upstream.requests] == [of_request(make(number)) for number in range(60)]
    assert [record.request_id.encode() for record in front.records] == [id_of(request.raw) for request in upstream.requests]
    assert [record.target for record in front.records] == [request.target for request in upstream.requests]
    assert [record.received for record in front.records] == [len(request.body) for request in upstream.requests]
    if b"X-Request-Id" in make(0):
        assert [record.request_id for record in front.records] == [f"their-id-{number}" for number in range(60)]
    if b"traceparent" in make(0):
        assert [record.trace_id for record in front.records] == [f"0af7651916cd43dd8448eb211c8031{number:02x}" for number in range(60)]
    if len(make(0)) < 10_000:
        assert work == Work()


@pytest.mark.parametrize("make", VARIED_REQUESTS.values(), ids=VARIED_REQUESTS)
async def test_requests_that_differ_each_time_may_come_in_one_go(front: Proxy, upstream: Upstream, make: Callable[[int], bytes]) -> None:
    upstream.serve(lambda request: answer(request.body[:100]))
    client = await front.connect()
    for number in range(TIMES):
        await client.ask(make(number))
    sending = asyncio.ensure_future(client.send(b"".join(make(number) for number in range(TIMES, 40))))
    for number in range(TIMES, 40):
        assert (await client.read_response(make(number).split(b" ")[0])).body == of_request(make(number))[1][:100]
    await sending

    assert [of_request(request.raw) for request in upstream.requests] == [of_request(make(number)) for number in range(40)]
    assert front.expressed == 40


@pytest.mark.parametrize("make", [VARIED_REQUESTS["length-and-target"], VARIED_REQUESTS["all"]], ids=["length-and-target", "all"])
async def test_requests_that_differ_each_time_are_known_however_they_are_cut(
    front: Proxy, upstream: Upstream, make: Callable[[int], bytes]
) -> None:
    upstream.serve(lambda request: answer(request.body))
    client = await front.connect()
    for number in range(TIMES):
        await client.ask(make(number))
    for number in range(TIMES, 30):
        request = make(number)
        end = request.index(b"\r\n\r\n") + 4
        for cuts in ([end], [end + 1], [end - 1], [7], [7, end, len(request) - 1]):
            places = [0, *cuts, len(request)]
            await client.send_in_pieces(*(request[begin:stop] for begin, stop in pairwise(places)))
            assert (await client.read_response(b"POST")).body == request[end:]
            assert of_request(upstream.requests[-1].raw) == of_request(request)


async def test_no_content_is_no_content_behind_requests_with_some(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda request: answer(request.body))
    client = await front.connect()
    for number in (1, 2, 3, 0, 4, 5, 0, 0, 6, 7, 0, 8):
        for _ in range(2):
            assert (await client.ask(put(b"x" * number, ALLOWED, method=b"POST"))).body == b"x" * number
            assert upstream.requests[-1].value(b"content-length") == b"%d" % number
    await client.send(b"".join(put(b"x" * number, ALLOWED, method=b"POST") for number in (9, 0, 5, 0, 3)))
    assert [(await client.read_response(b"POST")).body for _ in range(5)] == [b"x" * number for number in (9, 0, 5, 0, 3)]


async def test_a_body_over_the_limit_is_refused_behind_those_within_it(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(replace(route(upstream), limits=RouteLimits(10)))
    upstream.serve(lambda request: answer(request.body))
    client = await front.connect()
    for number in (*range(1, 11), 5):
        assert (await client.ask(put(b"x" * number, ALLOWED, method=b"POST"))).body == b"x" * number
    asked = len(upstream.requests)
    got = await client.ask(put(b"x" * 11, ALLOWED, method=b"POST"))

    assert (got.status, got.cors[b"access-control-allow-origin"]) == (413, ORIGIN)
    assert len(upstream.requests) == asked


@pytest.mark.parametrize("length", [b"+5", b"-5", b"5, 5", b"5 5", b"5;", b"0x5", b"5a", b"", b"\xd9\xa5", b"9" * 30, b"5\0"])
async def test_a_broken_length_behind_those_that_were_right_is_refused(front: Proxy, upstream: Upstream, length: bytes) -> None:
    upstream.serve(lambda request: answer(request.body))
    client = await front.connect()
    for number in range(1, TIMES):
        await client.ask(put(b"x" * number, ALLOWED, method=b"POST"))
    asked = len(upstream.requests)
    got = await client.ask(get(b"/", ALLOWED, b"Content-Length: " + length, method=b"POST") + b"xxxxx")

    assert got.status == 400
    assert await client.read_until_close() == b""
    assert len(upstream.requests) == asked


async def test_a_target_of_another_route_goes_there(proxy: ProxyFactory, upstream: Upstream, upstreams: Callable[[], Upstream]) -> None:
    """Whatever the last ones were: the prefix that one of the routes takes off included."""
    other = upstreams()
    stripping = replace(route(other, b"/api"), strip_prefix=True)
    front = await proxy(stripping, route(upstream))
    upstream.serve(lambda request: answer(b"root" + request.target))
    other.serve(lambda request: answer(b"api" + request.target))
    client = await front.connect()
    for number in range(TIMES):
        assert (await client.ask(get(b"/api/%d" % number, ALLOWED))).body == b"api/%d" % number
    for target, body in (
        (b"/apis", b"root/apis"),
        (b"/api", b"api/"),
        (b"/api?x", b"api/?x"),
        (b"/", b"root/"),
        (b"/api/api/x", b"api/api/x"),
        (b"/x/api/x", b"root/x/api/x"),
    ):
        for _ in range(3):
            assert (await client.ask(get(target, ALLOWED))).body == body
            assert (await client.ask(get(b"/api/again", ALLOWED))).body == b"api/again"


CODED: dict[str, tuple[bytes, ...]] = {
    "one": (b"something",),
    "two": (b"some", b"thing"),
    "none": (),
    "many": tuple(b"%d" % number for number in range(500)),
    "long": (b"x" * 20_000, b"y" * 20_000),
    "like-an-end": (b"0\r\n\r\n", b"\r\n", b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("pieces", CODED.values(), ids=CODED)
async def test_a_chunked_answer_that_comes_whole_reaches_the_client_complete(
    front: Proxy, upstream: Upstream, work: Work, pieces: tuple[bytes, ...]
) -> None:
    client, served = await known(front, upstream, response=coded(b"as", b"known"))
    first = front.records[0]
    work.clear()
    for _ in range(5):
        _, got = await play(client, served, GET, coded(*pieces))
        assert (got.status, got.body, got.trailers) == (200, b"".join(pieces), ())
        assert (got.value(b"transfer-encoding"), got.value(b"content-length"), got.value(b"connection")) == (b"chunked", None, None)
    record = (await front.recorded(TIMES + 5))[-1]
    assert (record.status, record.sent, record.problem) == (200, len(b"".join(pieces)), first.problem)
    if len(b"".join(pieces)) < 10_000:
        assert work == Work()
    # Both connections are as good as before.
    _, got = await play(client, served, GET, answer(b"ok"))
    assert got.body == b"ok"
    assert upstream.connections == 1


async def test_chunked_answers_have_the_same_bytes_each_time(front: Proxy, upstream: Upstream) -> None:
    """The first ones take the other exchange, and the later ones are known."""
    upstream.serve(lambda _: coded(b"some", b"thing"))
    client = await front.connect()
    got = [await client.ask(GET) for _ in range(2 * TIMES)]
    await front.recorded(2 * TIMES)

    assert is_known(front)
    assert {without_id(each.raw) for each in got} == {without_id(got[0].raw)}
    assert {record.sent for record in front.records} == {9}


async def test_chunked_answers_to_requests_in_one_go_have_their_order(front: Proxy, upstream: Upstream) -> None:
    numbers = count()

    def reply(_: Request) -> bytes:
        number = next(numbers)
        return coded(*[b"%d," % number] * (number % 4)) if number % 5 else answer(b"%d" % number)

    upstream.serve(reply)
    client = await front.connect()
    for _ in range(TIMES):
        await client.ask(GET)
    await client.send(GET * 60)
    for number in range(TIMES, TIMES + 60):
        assert (await client.read_response()).body == (b"%d," % number * (number % 4) if number % 5 else b"%d" % number)
    assert front.expressed == TIMES + 60
    assert upstream.connections == 1


async def test_the_answer_to_a_known_head_has_no_chunks(front: Proxy, upstream: Upstream, work: Work) -> None:
    response = head(b"HTTP/1.1 200 OK", DATE, b"Transfer-Encoding: chunked")
    client, served = await known(front, upstream, HEAD, response)
    work.clear()
    for number in range(3):
        _, got = await play(client, served, HEAD, response.replace(b":37", b":%d" % (number + 40)))
        assert (got.status, got.body) == (200, b"")
    _, got = await play(client, served, GET, coded(b"some", b"thing"))
    assert got.body == b"something"


UNUSUAL: dict[str, tuple[bytes, bytes]] = {
    "trailer": (b"5\r\nabcde\r\n0\r\nX-Sum: 1\r\n\r\n", b"abcde"),
    "extension": (b"5;a=b\r\nabcde\r\n0\r\n\r\n", b"abcde"),
    "extension-of-the-end": (b"5\r\nabcde\r\n0;a\r\n\r\n", b"abcde"),
    "zeros": (b"0005\r\nabcde\r\n000\r\n\r\n", b"abcde"),
    "upper-case": (b"1A\r\n%b\r\n0\r\n\r\n" % (b"x" * 26), b"x" * 26),
}


@pytest.mark.parametrize(("data", "body"), UNUSUAL.values(), ids=UNUSUAL)
async def test_an_unusual_chunked_answer_reaches_the_client_complete(front: Proxy, upstream: Upstream, data: bytes, body: bytes) -> None:
    client, served = await known(front, upstream, response=coded(b"as", b"known"))
    for _ in range(3):
        _, got = await play(client, served, GET, coded()[: -len(b"0\r\n\r\n")] + data)
        assert (got.status, got.body, got.trailers) == (200, body, ())
        assert b"X-Sum" not in got.raw
        _, got = await play(client, served, GET, coded(b"plain"))
        assert got.body == b"plain"
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "stray", [b"x", b"0\r\n\r\n", answer(b"evil"), b"\r\n" + answer(b"evil")], ids=["byte", "end", "answer", "line-and-answer"]
)
async def test_stray_bytes_behind_a_chunked_answer_reach_nobody(front: Proxy, upstream: Upstream, stray: bytes) -> None:
    client, served = await known(front, upstream, response=coded(b"as", b"known"))
    _, got = await play(client, served, GET, coded(b"mi", b"ne") + stray)
    assert got.body == b"mine"
    assert await served.read_until_close() == b""
    await client.send(GET)
    fresh = await upstream.accept()
    await fresh.read_request()
    await fresh.send(coded(b"next"))
    assert (await client.read_response()).body == b"next"


async def test_an_empty_line_behind_a_chunked_answer_is_no_answer(front: Proxy, upstream: Upstream) -> None:
    """A parser skips it before the next message."""
    client, served = await known(front, upstream, response=coded(b"as", b"known"))
    for number in range(3):
        _, got = await play(client, served, GET, coded(b"%d" % number) + b"\r\n")
        assert got.body == b"%d" % number
    _, got = await play(client, served, GET, answer(b"plain"))
    assert got.body == b"plain"


CUT_SHORT = {
    "size": b"5",
    "content": b"5\r\nabc",
    "chunk": b"5\r\nabcde\r\n",
    "end": b"5\r\nabcde\r\n0\r\n",
    "last-byte": b"5\r\nabcde\r\n0\r\n\r",
    "sign": b"+5\r\nabcde\r\n0\r\n\r\n",
    "underscore": b"1_0\r\n%b\r\n0\r\n\r\n" % (b"x" * 16),
    "prefix": b"0x5\r\nabcde\r\n0\r\n\r\n",
    "bare-lf": b"5\nabcde\r\n0\r\n\r\n",
    "more-than-its-size": b"5\r\nabcdef\r\n0\r\n\r\n",
    "less-than-its-size": b"5\r\nabcd\r\n0\r\n\r\n",
    "no-size": b"\r\nabcde\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", CUT_SHORT.values(), ids=CUT_SHORT)
async def test_a_chunked_answer_that_is_not_whole_never_looks_complete(front: Proxy, upstream: Upstream, data: bytes) -> None:
    client, served = await known(front, upstream, response=coded(b"as", b"known"))
    await client.send(GET)
    await served.read_request()
    await served.send(coded()[: -len(b"0\r\n\r\n")] + data)
    await turns()
    served.close()
    raw = await client.read_until_close()

    assert complete_status(raw, client.ended) in (0, 502)
    assert (await front.recorded(TIMES + 1))[-1].problem is not None


@pytest.mark.parametrize(
    ("request_", "response"),
    [(GET, ok(b"ok")), (GET, ok(b"")), (HEAD, head(b"HTTP/1.1 200 OK", b"Content-Length: 5")), (GET, coded(b"some", b"thing", lines=()))],
    ids=["length", "nothing", "head", "chunks"],
)
async def test_an_answer_without_a_date_gets_one(front: Proxy, upstream: Upstream, work: Work, request_: bytes, response: bytes) -> None:
    client, served = await known(front, upstream, request_, response)
    first = front.records[0]
    work.clear()
    got = [(await play(client, served, request_, response))[1] for _ in range(5)]
    for each in got:
        date = parsedate_to_datetime((each.value(b"date") or b"").decode("ascii"))
        assert abs(date.timestamp() - first.time) < 60
    await front.recorded(TIMES + 5)

    assert is_known(front)
    assert work == Work()
    assert front.records[-1].sent == first.sent


@pytest.mark.parametrize("response", [ok(b"ok", b"X-A: 1"), coded(b"some", b"thing", lines=(b"X-A: 1",))], ids=["length", "chunks"])
async def test_an_answer_without_a_date_is_the_same_by_heart_as_before(front: Proxy, upstream: Upstream, response: bytes) -> None:
    upstream.serve(lambda _: response)
    client = await front.connect()
    got = [await client.ask(GET) for _ in range(2 * TIMES)]
    await front.recorded(2 * TIMES)

    assert is_known(front)
    assert {general(each.raw) for each in got} == {general(got[0].raw)}
    assert all(each.value(b"date") for each in got)


NOTHING: dict[str, tuple[bytes, bytes]] = {
    "length": (b"POST", answer(b"")),
    "head": (b"HEAD", of_head(5)),
    "head-of-chunks": (b"HEAD", head(b"HTTP/1.1 200 OK", DATE, b"Transfer-Encoding: chunked")),
    "not-modified": (b"POST", head(b"HTTP/1.1 304 Not Modified", DATE, b"ETag: a")),
    "chunks": (b"POST", coded()),
}


@pytest.mark.parametrize(("method", "response"), NOTHING.values(), ids=NOTHING)
async def test_an_answer_without_content_to_a_request_that_is_not_known_has_none(
    front: Proxy, upstream: Upstream, method: bytes, response: bytes
) -> None:
    """The head of the answer is known all the same."""
    upstream.serve(lambda _: response)
    client = await front.connect()
    got = [await client.ask(get(b"/", ALLOWED, b"Max-Forwards: 1", method=method)) for _ in range(TIMES)]
    await front.recorded(TIMES)

    assert not is_known(front)
    assert {each.body for each in got} == {b""}
    assert {without_id(each.raw) for each in got} == {without_id(got[0].raw)}
    assert [record.sent for record in front.records] == [0] * TIMES
    assert upstream.connections == 1


@pytest.mark.parametrize(("method", "response"), NOTHING.values(), ids=NOTHING)
async def test_an_answer_without_content_may_end_a_connection(front: Proxy, upstream: Upstream, method: bytes, response: bytes) -> None:
    request = get(b"/", ALLOWED, method=method)
    client, served = await known(front, upstream, request, response)
    front.gateway.begin_leaving()
    _, got = await play(client, served, request, response)

    assert (got.body, got.value(b"connection")) == (b"", b"close")
    assert await client.read_until_close() == b""


BROKEN_GAPS = {
    "nul": b"X-Id: \0",
    "del": b"X-Id: \x7f",
    "space-in-name": b"X-Id : 1",
    "lf": b"X-Id: 1\nX-B: 1",
    "cr": b"X-Id: 1\rX-B: 1",
    "another-length": b"Content-Length: 3",
    "another-framing": b"Transfer-Encoding: chunked",
}


@pytest.mark.parametrize("line", BROKEN_GAPS.values(), ids=BROKEN_GAPS)
async def test_an_answer_that_is_broken_where_others_differ_is_a_502(front: Proxy, upstream: Upstream, line: bytes) -> None:
    client, served = await known(front, upstream)
    for number in range(TIMES):
        _, got = await play(client, served, GET, answer(b"ok", b"X-Id: %d" % number))
        assert got.value(b"x-id") == b"%d" % number
    await client.send(GET)
    await served.read_request()
    await served.send(answer(b"ok", line))
    got = await client.read_response()

    assert got.status == 502
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    assert await served.read_until_close() == b""


@pytest.mark.parametrize(
    "line", [b"X-Id: ", b"X-Id:9", b"X-Id:  9", b"X-Id: caf\xe9", b"X-Id: a\tb", b"Set-Cookie: a=1", b"X-Id: " + b"x" * 5000]
)
async def test_an_answer_that_is_unusual_where_others_differ_is_read_as_ever(front: Proxy, upstream: Upstream, line: bytes) -> None:
    client, served = await known(front, upstream)
    for number in range(TIMES):
        await play(client, served, GET, answer(b"ok", b"X-Id: %d" % number))
    for _ in range(3):
        _, got = await play(client, served, GET, answer(b"ok", line))
        name, _, value = line.partition(b":")
        assert (got.status, got.body, got.value(name)) == (200, b"ok", value.strip())
        _, got = await play(client, served, GET, answer(b"ok", b"X-Id: 9"))
        assert got.value(b"x-id") == b"9"
    assert upstream.connections == 1


BROKEN = {
    "fragment": GET.replace(b"/a?b=c", b"/a?b#c"),
    "high-target": GET.replace(b"/a?b=c", b"/caf\xe9"),
    "del-in-target": GET.replace(b"/a?b=c", b"/a\x7f"),
    "space-in-target": GET.replace(b"/a?b=c", b"/a b"),
    "lf-in-target": GET.replace(b"/a?b=c", b"/a\nX: 1"),
    "nul": GET.replace(b"a=1", b"a=\0"),
    "cr": GET.replace(b"a=1", b"a=\r1"),
    "lf": GET.replace(b"a=1", b"a=1\nHost: evil.test"),
    "name": GET.replace(b"Cookie: ", b"Coo kie: "),
    "space-before-colon": GET.replace(b"Cookie: ", b"Cookie : "),
    "two-hosts": GET.replace(b"Cookie: a=1", b"Host: evil.test"),
    "two-hosts-behind": GET.replace(b"Cookie: a=1", b"Cookie: a=1\r\nHost: evil.test"),
    "two-framings": GET.replace(b"Cookie: a=1", b"Content-Length: 1\r\nTransfer-Encoding: chunked"),
    "two-lengths": GET.replace(b"Cookie: a=1", b"Content-Length: 0\r\nContent-Length: 1"),
    "two-agents": GET.replace(b"Cookie: a=1", b"User-Agent: b"),
    "folded-first": GET.replace(b"Host: ", b" Host: "),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_broken_request_behind_a_known_one_is_refused(front: Proxy, upstream: Upstream, broken: bytes) -> None:
    """It differs in one place, so all else of it is known by heart; and in that place others differed before."""
    upstream.serve(lambda request: answer(request.target))
    client = await front.connect()
    for number in range(TIMES):
        await client.ask(GET.replace(b"/a?b=c", b"/%d" % number))
    for number in range(TIMES):
        await client.ask(GET.replace(b"a=1", b"a=%d" % number))
    for number in range(TIMES):
        await client.ask(GET.replace(b"/a?b=c", b"/%d" % number).replace(b"a=1", b"a=%d" % number))
    asked = len(upstream.requests)
    got = await client.ask(broken)

    assert got.status == 400
    assert await client.read_until_close() == b""
    assert len(upstream.requests) == asked


async def test_what_is_not_plain_behind_a_known_one_is_handed_over(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda _: answer())
    client = await front.connect()
    for _ in range(TIMES):
        await client.ask(GET)
    assert (await client.ask(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))).status == 200
    assert front.expressed == TIMES


# --- what the upstream does ---


ANSWERS: dict[str, tuple[bytes, int, bytes]] = {
    "as-known": (answer(), 200, b"ok"),
    "other-date": (ok(b"ok", b"Date: Sun, 06 Nov 1994 08:49:38 GMT"), 200, b"ok"),
    "other-length": (answer(b"something"), 200, b"something"),
    "empty": (answer(b""), 200, b""),
    "no-date": (ok(b"ok"), 200, b"ok"),
    "large": (answer(b"x" * 50_000), 200, b"x" * 50_000),
    "larger-than-a-read": (answer(b"x" * 300_000), 200, b"x" * 300_000),
    "not-found": (ok(b"no", DATE, status=b"404 Not Found"), 404, b"no"),
    "no-content": (head(b"HTTP/1.1 204 No Content", DATE), 204, b""),
    "not-modified": (head(b"HTTP/1.1 304 Not Modified", DATE, b"ETag: a"), 304, b""),
    "chunks": (head(b"HTTP/1.1 200 OK", DATE, b"Transfer-Encoding: chunked") + chunked(b"some", b"thing"), 200, b"something"),
    "cookie": (answer(b"ok", b"Set-Cookie: a=1"), 200, b"ok"),
    "redirect": (ok(b"", DATE, b"Location: /x", status=b"302 Found"), 302, b""),
    "early-hints": (head(b"HTTP/1.1 103 Early Hints", b"Link: </x>") + answer(), 200, b"ok"),
    "continue": (head(b"HTTP/1.1 100 Continue") + answer(), 200, b"ok"),
    "unusual-spacing": (answer(b"ok", b"X:1", b"Y:  2"), 200, b"ok"),
    "vary": (answer(b"ok", b"Vary: Accept"), 200, b"ok"),
}


@pytest.mark.parametrize("pieces", ["whole", "head-and-body", "cut-in-the-head", "bytewise"])
@pytest.mark.parametrize(("response", "status", "body"), ANSWERS.values(), ids=ANSWERS)
async def test_any_answer_reaches_the_client_of_a_known_request(
    front: Proxy, upstream: Upstream, response: bytes, status: int, body: bytes, pieces: str
) -> None:
    client, served = await known(front, upstream)
    for _ in range(3 if len(response) < 1000 else 1):
        await client.send(GET)
        await served.read_request()
        reading = asyncio.ensure_future(client.read_response())
        end = response.index(b"\r\n\r\n") + 4
        if pieces == "whole":
            await served.send(response)
        elif pieces == "head-and-body":
            await served.send_in_pieces(response[:end], response[end:])
        elif pieces == "cut-in-the-head":
            await served.send_in_pieces(response[: end - 6], response[end - 6 :])
        else:
            await served.send_in_pieces(*(response[place : place + 1] for place in range(end)), response[end:])
        got = await reading

        assert (got.status, got.body) == (status, body)
        assert got.cors[b"access-control-allow-origin"] == ORIGIN
        assert got.value(b"connection") is None
        assert got.value(b"date") is not None
    # Both connections are as good as before.
    _, again = await play(client, served, GET)
    assert again.body == b"ok"
    assert upstream.connections == 1
    assert (await front.recorded(TIMES + 2))[-1].status == 200


async def test_the_answer_to_a_known_head_has_no_body(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream, HEAD, of_head())
    for length in (2, 300_000, 0):
        _, got = await play(client, served, HEAD, of_head(length))
        assert (got.body, got.value(b"content-length")) == (b"", b"%d" % length)
        assert is_known(front)
    seen, got = await play(client, served, GET)
    assert (seen.method, got.body) == (b"GET", b"ok")


async def test_each_second_has_its_date(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    for second in range(10, 30):
        date = b"Sun, 06 Nov 1994 08:49:%d GMT" % second
        for _ in range(3):
            _, got = await play(client, served, GET, ok(b"ok", b"Date: " + date))
            assert got.value(b"date") == date
    assert is_known(front)


async def test_a_close_delimited_answer_ends_with_its_connection(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    await client.send(GET)
    await served.read_request()
    await served.send(head(b"HTTP/1.1 200 OK", DATE) + b"some")
    await client.read_head()
    assert await client.read_exactly(4) == b"some"
    await served.send(b"thing")
    served.close()

    assert await client.read_until_close() == b"thing"
    assert client.ended == "fin"


async def test_a_close_delimited_answer_that_is_known_ends_with_its_connection(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda _: head(b"HTTP/1.1 200 OK", DATE) + b"something", close=True)
    for _ in range(TIMES):
        with await front.connect() as client:
            got = await client.ask(GET)
            assert (got.body, got.value(b"connection")) == (b"something", b"close")


async def test_an_upstream_that_closes_behind_its_answer_gets_no_more(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    _, got = await play(client, served, GET, answer(b"last", b"Connection: close"))
    assert (got.body, got.value(b"connection")) == (b"last", None)
    assert await served.read_until_close() == b""
    await client.send(GET)
    fresh = await upstream.accept()
    await fresh.read_request()
    await fresh.send(answer(b"next"))
    assert (await client.read_response()).body == b"next"


@pytest.mark.parametrize("stray", [b"x", b"\r\n", answer(b"evil")], ids=["byte", "line", "answer"])
async def test_stray_bytes_behind_an_answer_reach_nobody(front: Proxy, upstream: Upstream, stray: bytes) -> None:
    client, served = await known(front, upstream)
    _, got = await play(client, served, GET, answer(b"mine") + stray)
    assert got.body == b"mine"
    assert await served.read_until_close() == b""
    await client.send(GET)
    fresh = await upstream.accept()
    await fresh.read_request()
    await fresh.send(answer(b"next"))
    assert (await client.read_response()).body == b"next"


async def test_stray_bytes_that_come_later_reach_nobody(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    await served.send(answer(b"evil"))
    assert await served.read_until_close() == b""
    await client.send(GET)
    fresh = await upstream.accept()
    await fresh.read_request()
    await fresh.send(answer(b"mine"))

    assert (await client.read_response()).body == b"mine"
    assert front.pool.unexpected == 1


BAD_HEADS = {
    "space-in-name": b"HTTP/1.1 200 OK\r\n%b\r\nX : 1\r\nContent-Length: 2\r\n\r\nok" % DATE,
    "nul": b"HTTP/1.1 200 OK\r\n%b\r\nX: \0\r\nContent-Length: 2\r\n\r\nok" % DATE,
    "lf": b"HTTP/1.1 200 OK\r\n%b\nX: 1\r\nContent-Length: 2\r\n\r\nok" % DATE,
    "two-lengths": answer(b"ok", b"Content-Length: 3"),
    "two-framings": answer(b"ok", b"Transfer-Encoding: chunked"),
    "no-http": b"nonsense\r\n\r\n",
    "no-status": b"HTTP/1.1 OK\r\n\r\n",
    "empty-lines": b"\r\n\r\n\r\n",
    "switching": head(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: x", b"Connection: upgrade"),
}


@pytest.mark.parametrize("response", BAD_HEADS.values(), ids=BAD_HEADS)
async def test_an_answer_that_breaks_the_rules_is_a_502(front: Proxy, upstream: Upstream, response: bytes) -> None:
    client, served = await known(front, upstream)
    await client.send(GET)
    await served.read_request()
    await served.send(response)
    got = await client.read_response()

    assert got.status == 502
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    assert await served.read_until_close() == b""
    record = (await front.recorded(TIMES + 1))[-1]
    assert (record.status, record.problem is not None) == (502, True)
    assert record.context is not None
    assert id_of(got.raw) == record.request_id.encode()


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("part", [b"", b"part"], ids=["head-alone", "part"])
async def test_a_truncated_answer_never_looks_complete(front: Proxy, upstream: Upstream, part: bytes, how: str) -> None:
    client, served = await known(front, upstream)
    await client.send(GET)
    await served.read_request()
    await served.send(answer(b"part of it")[:-10] + part)
    assert b"\r\nContent-Length: 10\r\n" in await client.read_head()
    assert await client.read_exactly(len(part)) == part
    if how == "fin":
        served.close()
    else:
        served.reset()

    assert await client.read_until_close() == b""
    record = (await front.recorded(TIMES + 1))[-1]
    assert (record.status, record.sent, record.problem) == (200, len(part), problems.UPSTREAM_TRUNCATED)


# --- a connection that was stale ---


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("request_", [GET, HEAD], ids=["get", "head"])
async def test_a_known_request_is_sent_again_when_its_connection_dies(front: Proxy, upstream: Upstream, request_: bytes, how: str) -> None:
    response = answer() if request_ is GET else of_head()
    client, served = await known(front, upstream, request_, response)
    await client.send(request_)
    first = await served.read_request()
    if how == "fin":
        served.close()
    else:
        served.reset()
    fresh = await upstream.accept()
    second = await fresh.read_request()
    await fresh.send(response)

    assert second.raw == first.raw
    assert (await client.read_response(first.method)).status == 200
    assert (await front.recorded(TIMES + 1))[-1].retries == 1
    _, again = await play(client, fresh, request_, response)
    assert again.status == 200


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_known_upload_is_not_sent_again(front: Proxy, upstream: Upstream, how: str) -> None:
    client, served = await known(front, upstream, POST)
    await client.send(POST)
    await served.read_request()
    if how == "fin":
        served.close()
    else:
        served.reset()

    assert (await client.read_response(b"POST")).status == 502
    assert upstream.connections == 1
    assert (await front.recorded(TIMES + 1))[-1].problem == problems.UPSTREAM_CLOSED


async def test_where_no_connection_is_left_one_is_made(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    served.close()
    await until(lambda: front.open_upstream == 0)
    await client.send(GET)
    fresh = await upstream.accept()
    await fresh.read_request()
    await fresh.send(answer(b"fresh"))

    assert (await client.read_response()).body == b"fresh"


# --- what the client does ---


async def test_a_client_that_leaves_cuts_the_upstreams_work(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    await client.send(GET)
    await served.read_request()
    client.close()

    assert await served.read_until_close() == b""
    record = (await front.recorded(TIMES + 1))[-1]
    assert (record.status, record.problem) == (0, problems.CLIENT_GONE)
    assert record.context is not None


async def test_a_client_that_leaves_in_the_middle_of_an_answer_cuts_it(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    await client.send(GET)
    await served.read_request()
    await served.send(answer(b"part of it")[:-5])
    await client.read_head()
    client.close()

    assert await served.read_until_close() == b""
    record = (await front.recorded(TIMES + 1))[-1]
    assert (record.status, record.sent, record.problem) == (200, 5, problems.CLIENT_GONE)


async def test_the_same_request_many_times_in_one_go_has_an_answer_each(front: Proxy, upstream: Upstream) -> None:
    bodies = iter(range(10_000))
    upstream.serve(lambda _: answer(b"%d" % next(bodies)))
    client = await front.connect()
    for _ in range(TIMES):
        await client.ask(GET)
    await client.send(GET * 50)

    assert [(await client.read_response()).body for _ in range(50)] == [b"%d" % number for number in range(TIMES, TIMES + 50)]
    assert front.expressed == TIMES + 50
    assert len({without_id(request.raw) for request in upstream.requests}) == 1


async def test_different_known_requests_in_one_go_have_their_answers(front: Proxy, upstream: Upstream) -> None:
    def reply(request: Request) -> bytes:
        return answer(request.method + request.target + request.body) if request.method != b"HEAD" else of_head()

    upstream.serve(reply)
    client = await front.connect()
    requests = [GET, POST, get(b"/other", ALLOWED), HEAD, PREFLIGHT, GET, GET, put(b"x" * 3000, ALLOWED, method=b"POST")]
    for _ in range(TIMES):
        for request in requests:
            await client.ask(request)
    for _ in range(3):
        await client.send(b"".join(requests))
        got = [await client.read_response(request.split(b" ")[0]) for request in requests]
        assert [each.body for each in got] == [
            b"GET/a?b=c",
            b"POST/something",
            b"GET/other",
            b"",
            b"",
            b"GET/a?b=c",
            b"GET/a?b=c",
            b"POST/" + b"x" * 3000,
        ]
    assert front.expressed == (TIMES + 3) * len(requests)


@pytest.mark.parametrize(
    "behind", [GET, POST, b"G", GET[:-2], POST[:-3], PREFLIGHT], ids=["get", "post", "byte", "part", "body", "preflight"]
)
async def test_what_comes_behind_a_known_request_waits_for_its_answer(front: Proxy, upstream: Upstream, behind: bytes) -> None:
    for request in (POST, GET):
        client, served = await known(front, upstream, request)
        await client.send(request + behind)
        assert (await served.read_request()).method == request.split(b" ")[0]
        await turns()
        await served.send(answer(b"first"))
        assert (await client.read_response()).body == b"first"
        client.close()
        served.close()
        await until(lambda: not front.gateway.in_flight and not front.open_upstream)
        front.records.clear()


async def test_the_body_of_a_known_upload_may_come_later(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream, POST)
    end = POST.index(b"\r\n\r\n") + 4
    for cuts in ([end], [end + 4], [end, end + 4], [end - 2, end + 1], [len(POST) - 1]):
        places = [0, *cuts, len(POST)]
        await client.send_in_pieces(*(POST[begin:stop] for begin, stop in pairwise(places)))
        seen = await served.read_request()
        await served.send(answer(b"stored"))
        assert (seen.body, (await client.read_response(b"POST")).body) == (b"something", b"stored")


async def test_the_body_of_a_known_upload_and_the_next_request_come_in_one_go(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream, POST)
    end = POST.index(b"\r\n\r\n") + 4
    for first, rest in (
        (POST[:end], POST[end:] + GET),
        (POST[: end + 3], POST[end + 3 :] + POST),
        (b"", POST + POST),
        (b"", POST + GET + POST),
    ):
        await client.send_in_pieces(*([first] if first else []), rest)
        for _ in range(1 + rest.count(b" HTTP/1.1") - (not first)):
            seen = await served.read_request()
            assert seen.body == (b"something" if seen.method == b"POST" else b"")
            await served.send(answer(seen.method))
            assert (await client.read_response(seen.method)).body == seen.method


async def test_a_body_that_is_a_request_is_a_body(front: Proxy, upstream: Upstream) -> None:
    request = put(GET, ALLOWED, method=b"POST")
    upstream.serve(lambda request: answer(request.body))
    client = await front.connect()
    for _ in range(TIMES):
        assert (await client.ask(request)).body == GET
    await client.send(request * 4)
    assert [(await client.read_response(b"POST")).body for _ in range(4)] == [GET] * 4
    assert {each.method for each in upstream.requests} == {b"POST"}


async def test_a_known_request_that_ends_its_connection_ends_it(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda _: answer())
    for _ in range(TIMES):
        client = await front.connect()
        got = await client.ask(get(b"/", ALLOWED, b"Connection: close"))
        assert (got.body, got.value(b"connection")) == (b"ok", b"close")
        assert await client.read_until_close() == b""
        assert client.ended == "fin"


# --- slow clients ---


@pytest.mark.parametrize("size", [30_000, 60_000, 200_000])
async def test_a_client_that_takes_nothing_holds_nobody_else_up(front: Proxy, upstream: Upstream, size: int) -> None:
    """The upstream's connection is another client's as soon as the answer has come, whoever takes it."""
    upstream.serve(lambda _: answer(b"x" * size))
    slow, quick = await front.connect(receive_buffer=8 * 1024), await front.connect()
    for _ in range(TIMES):
        assert (await slow.ask(GET)).status == 200
    count = 8_000_000 // size
    sending = asyncio.ensure_future(slow.send(GET * count))
    await stalled(lambda: len(upstream.requests))
    for _ in range(3):
        assert len((await quick.ask(GET)).body) == size
    for _ in range(count):
        assert len((await slow.read_response(judge=False)).body) == size
    await sending
    await front.recorded(TIMES + 3 + count)

    assert front.gateway.in_flight == 0
    assert (await slow.ask(GET)).status == 200


@pytest.mark.parametrize("size", [30_000, 60_000, 200_000])
async def test_a_client_that_takes_nothing_and_leaves_cuts_nobody_else(front: Proxy, upstream: Upstream, size: int) -> None:
    upstream.serve(lambda _: answer(b"x" * size))
    slow, quick = await front.connect(receive_buffer=8 * 1024), await front.connect()
    for _ in range(TIMES):
        assert (await slow.ask(GET)).status == 200
    sending = asyncio.ensure_future(slow.send(GET * (8_000_000 // size)))
    await stalled(lambda: len(upstream.requests))
    assert len((await quick.ask(GET)).body) == size
    sending.cancel()
    await asyncio.wait({sending})
    slow.reset()
    for _ in range(3):
        assert len((await quick.ask(GET)).body) == size
    await until(lambda: front.open_clients == 1)

    assert front.gateway.in_flight == 0


async def test_a_client_that_takes_no_preflights_gets_all_of_them_later(front: Proxy) -> None:
    slow = await front.connect(receive_buffer=8 * 1024)
    for _ in range(TIMES):
        await slow.ask(PREFLIGHT)
    sending = asyncio.ensure_future(slow.send(PREFLIGHT * 20_000))
    await stalled(lambda: len(front.records))
    for _ in range(20_000):
        assert (await slow.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
    await sending

    assert front.gateway.in_flight == 0
    assert len(front.records) == TIMES + 20_000


async def test_a_slow_client_gets_all_of_a_long_answer(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    slow = await front.connect(receive_buffer=8 * 1024)
    body = bytes(4_000_000)
    for _ in range(2):
        await slow.send(GET)
        await served.read_request()
        sending = asyncio.ensure_future(served.send(answer(body)))
        await stalled(lambda: served.sent)
        assert (await slow.read_response()).body == body
        await sending
    _, got = await play(client, served, GET)
    assert got.body == b"ok"


# --- what the proxy decides ---


async def test_a_policy_that_is_withdrawn_counts_for_the_next_request(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    front.gateway.reconfigure(replace(loopback_settings([route(upstream, cors=policy("https://other.example"))]), express=True))
    got = await client.ask(GET)

    assert (got.status, got.cors.get(b"access-control-allow-origin")) == (403, None)
    assert len(front.records) == TIMES + 1
    front.gateway.reconfigure(front.settings)
    other = await front.connect()
    _, again = await play(other, served, GET)
    assert again.cors[b"access-control-allow-origin"] == ORIGIN


def by_target(number: int) -> bytes:
    return get(b"/%d" % number, ALLOWED)


def by_cookie(number: int) -> bytes:
    return get(b"/", ALLOWED, b"Cookie: a=%d" % number)


def by_length(number: int) -> bytes:
    return put(b"x" * (number + 1), ALLOWED, method=b"POST")


@pytest.mark.parametrize("make", [by_target, by_cookie, by_length])
async def test_a_policy_that_is_withdrawn_counts_for_a_request_that_differs_in_a_few_places(
    front: Proxy, upstream: Upstream, work: Work, make: Callable[[int], bytes]
) -> None:
    upstream.serve(lambda _: answer())
    client = await front.connect()
    for number in range(TIMES):
        assert (await client.ask(make(number))).cors[b"access-control-allow-origin"] == ORIGIN
    work.clear()
    await client.ask(make(TIMES))
    assert work == Work()
    asked = len(upstream.requests)
    front.gateway.reconfigure(replace(loopback_settings([route(upstream, cors=policy("https://other.example"))]), express=True))
    got = await client.ask(make(TIMES + 1))

    assert (got.status, got.cors.get(b"access-control-allow-origin")) == (403, None)
    assert len(upstream.requests) == asked
    front.gateway.reconfigure(front.settings)
    other = await front.connect()
    assert (await other.ask(make(TIMES + 2))).cors[b"access-control-allow-origin"] == ORIGIN


async def test_a_limit_that_comes_by_a_reload_counts_for_a_length_that_differs(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda request: answer(request.body))
    client = await front.connect()
    for number in range(TIMES):
        await client.ask(by_length(number))
    limited: Route = replace(route(upstream), limits=RouteLimits(5))
    front.gateway.reconfigure(replace(loopback_settings([limited]), express=True))

    assert (await client.ask(by_length(3))).body == b"xxxx"
    assert (await client.ask(by_length(7))).status == 413


async def test_rules_that_come_by_a_reload_count_for_an_answer_that_differs(front: Proxy, upstream: Upstream, work: Work) -> None:
    numbers: Iterator[int] = count()
    upstream.serve(lambda _: answer(b"ok", b"Server: s", b"X-Id: %d" % next(numbers)))
    client = await front.connect()
    for _ in range(TIMES):
        assert (await client.ask(GET)).value(b"server") == b"s"
    work.clear()
    await client.ask(GET)
    assert work == Work()
    ruled = replace(route(upstream), response_headers=compile_rules([b"Server"], [(b"X-Set", b"1")]))
    front.gateway.reconfigure(replace(loopback_settings([ruled]), express=True))
    for number in range(TIMES + 1, 3 * TIMES):
        got = await client.ask(GET)
        assert (got.value(b"server"), got.value(b"x-set"), got.value(b"x-id")) == (None, b"1", b"%d" % number)


async def test_an_upstream_that_is_replaced_gets_the_next_request(
    front: Proxy, upstream: Upstream, upstreams: Callable[[], Upstream]
) -> None:
    client, served = await known(front, upstream)
    other = upstreams()
    front.gateway.reconfigure(replace(loopback_settings([route(other)]), express=True))
    assert await served.read_until_close() == b""
    await client.send(GET)
    fresh = await other.accept()
    seen = await fresh.read_request()
    await fresh.send(answer(b"other"))

    assert seen.value(b"host") == other.authority
    assert (await client.read_response()).body == b"other"


async def test_a_known_exchange_in_flight_ends_as_it_began(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    await client.send(GET)
    await served.read_request()
    front.gateway.reconfigure(replace(loopback_settings([route(upstream, cors=policy("https://other.example"))]), express=True))
    await served.send(answer(b"begun"))
    got = await client.read_response()

    assert (got.body, got.cors[b"access-control-allow-origin"]) == (b"begun", ORIGIN)


async def test_no_more_than_allowed_are_in_flight(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(limits=Limits(in_flight=1))
    client, served = await known(front, upstream)
    other = await front.connect()
    await play(other, served, GET)
    await client.send(GET)
    await served.read_request()
    for _ in range(3):
        got = await other.ask(GET)
        assert (got.status, b'"code":"CP3' in got.body) == (503, True)
        assert got.cors[b"access-control-allow-origin"] == ORIGIN
        if got.value(b"connection"):
            other = await front.connect()
    assert (await other.ask(PREFLIGHT)).status == 204
    await served.send(answer(b"in flight"))
    assert (await client.read_response()).body == b"in flight"
    _, got = await play(other, served, GET)
    assert got.body == b"ok"


async def test_a_known_request_is_counted_by_the_rate_limit(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(rate_limit=RateLimit(Rate(TIMES, 3600), TIMES))
    upstream.serve(lambda _: answer())
    client = await front.connect()
    assert [(await client.ask(GET)).status for _ in range(TIMES + 2)] == [200] * TIMES + [429] * 2
    assert len(upstream.requests) == TIMES
    assert (await client.ask(PREFLIGHT)).status == 204


async def test_a_rate_limit_that_comes_by_a_reload_counts_at_once(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    front.gateway.reconfigure(replace(front.settings, rate_limit=RateLimit(Rate(1, 3600), 1)))
    _, got = await play(client, served, GET)
    assert got.status == 200
    assert (await client.ask(GET)).status == 429


async def test_a_known_exchange_in_flight_ends_its_connection_where_a_drain_begins(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    await client.send(GET)
    await served.read_request()
    draining = asyncio.ensure_future(front.gateway.drain(DEADLINE_S))
    await until(lambda: front.gateway.draining)
    await served.send(answer(b"last"))
    got = await client.read_response()

    assert (got.body, got.value(b"connection")) == (b"last", b"close")
    assert await client.read_until_close() == b""
    assert await draining is True


async def test_at_the_end_of_life_a_known_request_is_answered_and_its_connection_ends(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    front.gateway.begin_leaving()
    _, got = await play(client, served, GET)

    assert (got.body, got.value(b"connection")) == (b"ok", b"close")
    assert await client.read_until_close() == b""


async def test_an_upstream_that_says_nothing_is_a_504(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(replace(route(upstream), timeouts=replace(route(upstream).timeouts, response=0.3)))
    client, served = await known(front, upstream)
    await client.send(GET)
    await served.read_request()
    got = await client.read_response()

    assert (got.status, got.cors[b"access-control-allow-origin"]) == (504, ORIGIN)
    assert await served.read_until_close() == b""


def last_head(front: Proxy) -> bytes:
    """What the only connection remembers."""
    (connection,) = front.gateway._connections
    assert isinstance(connection.express, ExpressLane)
    return connection.express._last._head


async def test_a_last_head_is_forgotten_when_its_connection_is_idle(front: Proxy, upstream: Upstream) -> None:
    client, served = await known(front, upstream)
    (connection,) = front.gateway._connections
    assert connection.express is not None
    assert last_head(front) == GET
    connection.express.expire(asyncio.get_running_loop().time() + 5.1)

    assert last_head(front) == b""
    _, got = await play(client, served, GET)
    assert got.body == b"ok"


async def test_a_long_head_is_not_kept_by_its_connection(front: Proxy, upstream: Upstream) -> None:
    long = get(b"/", b"Cookie: " + b"x" * 5000)
    client, served = await known(front, upstream, long)
    assert last_head(front) == b""
    for _ in range(2):
        seen, _ = await play(client, served, long)
        assert seen.value(b"cookie") == b"x" * 5000
    await play(client, served, GET)
    await play(client, served, long)
    assert len(last_head(front)) < 4096


# --- how much is read at once ---


async def test_an_upstream_whose_answers_are_short_is_read_at_once_until_a_long_one_comes(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy()))
    client, served = await known(front, upstream)
    (connection,) = front.pool._idle
    reads_at_once = [connection.is_at_once]
    content = bytes(range(256)) * 1024
    await client.send(GET)
    await served.read_request()
    # What a transport would read at once, whatever the system has ready.
    connection.data_received(of_head(len(content)) + content[:100_000])
    reads_at_once.append(connection.is_at_once)
    await served.send(content[100_000:])
    got = await client.read_response()
    _, last = await play(client, served, GET)
    reads_at_once.append(connection.is_at_once)

    assert (got.body, last.body) == (content, b"ok")
    assert reads_at_once == [True, False, True]
    assert list(front.pool._idle) == [connection]
