"""What is told in brief of known exchanges: whoever looks, or counts, sees what the records would have said."""

from dataclasses import replace
from typing import Any

import pytest

from corsproxy.observe.counters import Counters
from corsproxy.observe.entry import MAX_TARGET_BYTES, entry_of
from corsproxy.observe.ring import Ring
from corsproxy.observe.shapes import format_brief, format_json
from corsproxy.record import Brief, ExchangeRecord, record_of
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Proxy, Upstream, get, policy, put, route
from tests.wire.test_known_exchanges import TIMES, answer, known, of_head, play

pytestmark = pytest.mark.parametrize("lane", ["express"])

ALLOWED = b"Origin: " + ORIGIN
AGENT = b"User-Agent: ua"
TRACED = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
GOOD = get(b"/good", ALLOWED)
BAD = get(b"/bad", b"Origin: " + STRANGER)
FORWARDED = {
    "get": get(b"/a?b=c", ALLOWED, AGENT),
    "without-an-origin": get(b"/a"),
    "head": get(b"/a", ALLOWED, method=b"HEAD"),
    "post": put(b"something", ALLOWED, method=b"POST"),
    "traced": get(b"/a", ALLOWED, TRACED),
    "longest": get(b"/" + b"a" * (MAX_TARGET_BYTES - 1)),
}
PREFLIGHT = get(b"/", ALLOWED, b"Access-Control-Request-Method: PUT", method=b"OPTIONS")


def listen(front: Proxy) -> list[Brief]:
    """Keep what is told in brief, and the records as ever."""
    briefs: list[Brief] = []

    def take(brief: Brief) -> None:
        briefs.append(brief)
        front.records.append(record_of(brief))

    front.gateway.witness_brief = take
    return briefs


def ring_of(front: Proxy, *briefs: Brief) -> Ring:
    """A ring that has seen these, as the app shows them."""
    made = Ring(lambda: front.gateway.settings, "a1", size=4)
    made.briefs.otherwise = made.add
    for brief in briefs:
        made.briefs.put(brief)
    return made


@pytest.mark.parametrize("request_", FORWARDED.values(), ids=FORWARDED)
async def test_an_exchange_in_brief_shows_as_its_record(proxy: ProxyFactory, upstream: Upstream, request_: bytes) -> None:
    front = await proxy(route(upstream, cors=policy()))
    briefs = listen(front)
    await known(front, upstream, request_, of_head() if request_.startswith(b"HEAD") else answer())
    made = ring_of(front, briefs[-1])

    assert isinstance(made.briefs._kept[1], tuple)
    assert made.find("a1-1") == entry_of(front.records[-1], "a1-1", front.gateway.settings)


async def test_the_record_of_a_brief_is_the_one_that_a_lane_writes(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy()))
    listen(front)
    await known(front, upstream, FORWARDED["get"])
    read, recalled = front.records[1], front.records[-1]
    assert read.recalled is None
    assert recalled.recalled is not None
    times = {name: getattr(read, name) for name in ("time", "started", "placed", "connected", "head", "ended")}
    ids: dict[str, Any] = {"request_id": read.request_id, "recalled": None, "_context": read.context}

    assert all(getattr(recalled, name) for name in (*times, "request_id"))
    assert replace(recalled, **times, **ids) == read


@pytest.mark.parametrize("request_", FORWARDED.values(), ids=FORWARDED)
async def test_its_line_is_that_of_its_record(proxy: ProxyFactory, upstream: Upstream, request_: bytes) -> None:
    front = await proxy(route(upstream, cors=policy()))
    briefs = listen(front)
    await known(front, upstream, request_, of_head() if request_.startswith(b"HEAD") else answer())
    made = briefs[-1]
    line = format_json(record_of(made))

    assert made[0].said is not None
    assert format_brief(made) == line
    *rest, _, _ = made
    for status, sent in ((404, 0), (200, 12345)):
        other: Brief = (*rest, status, sent)  # type: ignore[assignment]
        assert format_brief(other) == format_json(record_of(other))


async def test_a_preflight_in_brief_shows_as_its_record(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy()))
    briefs = listen(front)
    client = await front.connect()
    for _ in range(TIMES):
        await client.ask(PREFLIGHT)
    await front.recorded(TIMES)
    made = ring_of(front, briefs[-1])

    assert isinstance(made.briefs._kept[1], tuple)
    assert made.find("a1-1") == entry_of(front.records[-1], "a1-1", front.gateway.settings)
    for _ in range(2):
        assert format_brief(briefs[-1]) == format_json(record_of(briefs[-1]))


TELLING = {"refused": BAD, "cookie": get(b"/a", ALLOWED, b"Cookie: a=1"), "long": get(b"/" + b"a" * MAX_TARGET_BYTES)}


@pytest.mark.parametrize("request_", TELLING.values(), ids=TELLING)
async def test_what_deserves_a_look_or_is_long_is_kept_as_it_is(proxy: ProxyFactory, upstream: Upstream, request_: bytes) -> None:
    front = await proxy(route(upstream, cors=policy(enforce=False)))
    briefs = listen(front)
    await known(front, upstream, request_)
    made = ring_of(front, briefs[-1])

    assert isinstance(made.briefs._kept[1], ExchangeRecord)
    assert made.find("a1-1") == entry_of(front.records[-1], "a1-1", front.gateway.settings)


async def good_and_bad(front: Proxy, upstream: Upstream) -> tuple[Brief, Brief]:
    briefs = listen(front)
    client, served = await known(front, upstream, GOOD)
    good = briefs[-1]
    for _ in range(TIMES):
        await play(client, served, BAD)
    await front.recorded(2 * TIMES)
    return good, briefs[-1]


async def test_a_place_is_taken_over_by_what_comes_later_in_brief_or_not(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy(enforce=False)))
    good, bad = await good_and_bad(front, upstream)
    made = ring_of(front, bad, good, good, bad, good, bad, bad, good)

    assert [entry.path for entry in made.since(4).entries] == ["/good", "/bad", "/bad", "/good"]
    assert [entry.id for entry in made.since(0).entries] == [f"a1-{number}" for number in (1, 4, 5, 6, 7, 8)]


@pytest.mark.parametrize("times", [1, 63, 64, 65, 500])
async def test_what_is_told_in_brief_is_counted_as_its_records_are(proxy: ProxyFactory, upstream: Upstream, times: int) -> None:
    front = await proxy(route(upstream, cors=policy(enforce=False)))
    good, bad = await good_and_bad(front, upstream)
    *rest, ended, status, sent = good
    others: list[Brief] = [(*rest, ended + 0.003 * number, status, sent + number) for number in range(times)]  # type: ignore[misc]
    others += [(*rest, ended, 404, sent), bad]  # type: ignore[list-item]
    made, whole = ring_of(front), Ring(lambda: front.gateway.settings, "a1")
    counters, each = Counters(made.briefs.settle), Counters()
    made.briefs.counting.append(counters.add_all)

    def otherwise(record: ExchangeRecord) -> None:
        made.add(record)
        counters.add(record)

    made.briefs.otherwise = otherwise
    for brief in others:
        made.briefs.put(brief)
        whole.add(record_of(brief))
        each.add(record_of(brief))

    assert made.counts() == whole.counts()
    assert rounded(counters) == rounded(each)


async def test_what_two_rings_are_told_of_one_request_they_count_each_for_itself(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy()))
    briefs = listen(front)
    await known(front, upstream, GOOD)
    *rest, _, sent = briefs[-1]
    one, other = ring_of(front), ring_of(front)
    for number in range(1000):
        changing: Brief = (*rest, (200, 304, 404)[number % 3], sent)  # type: ignore[assignment]
        one.briefs.put(changing)
        if not number % 2:
            other.briefs.put(changing)
        assert len(one.briefs._uncounted) <= 64

    assert (one.counts()["total"], one.counts()["reasons"]) == (1000, [("origin-allowed", 1000, 0)])
    assert (other.counts()["total"], other.counts()["reasons"]) == (500, [("origin-allowed", 500, 0)])


def rounded(counters: Counters) -> object:
    """Figures, in which sums of seconds do not depend on their order."""
    values = counters.snapshot().values
    return {name: {labels: tuple(round(number, 9) for number in value) for labels, value in rows.items()} for name, rows in values.items()}
