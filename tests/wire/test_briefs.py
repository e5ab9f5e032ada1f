"""What the ring keeps in brief of known exchanges: whoever looks sees what the record said."""

import pytest

from corsproxy.observe.entry import MAX_TARGET_BYTES, entry_of
from corsproxy.observe.ring import Ring
from corsproxy.record import ExchangeRecord
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, STRANGER, Proxy, Upstream, get, policy, put, route
from tests.wire.test_known_exchanges import TIMES, answer, known, of_head, play

pytestmark = pytest.mark.parametrize("lane", ["express"])

ALLOWED = b"Origin: " + ORIGIN
TRACED = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FORWARDED = {
    "get": get(b"/a?b=c", ALLOWED),
    "without-an-origin": get(b"/a"),
    "head": get(b"/a", ALLOWED, method=b"HEAD"),
    "post": put(b"something", ALLOWED, method=b"POST"),
    "traced": get(b"/a", ALLOWED, TRACED),
    "longest": get(b"/" + b"a" * (MAX_TARGET_BYTES - 1)),
}
PREFLIGHT = get(b"/", ALLOWED, b"Access-Control-Request-Method: PUT", method=b"OPTIONS")


def ring_of(front: Proxy, *records: ExchangeRecord) -> Ring:
    made = Ring(lambda: front.gateway.settings, "a1", size=4)
    for record in records:
        assert record.recalled is not None
        made.add(record)
    return made


@pytest.mark.parametrize("request_", FORWARDED.values(), ids=FORWARDED)
async def test_an_exchange_in_brief_shows_as_its_record(proxy: ProxyFactory, upstream: Upstream, request_: bytes) -> None:
    front = await proxy(route(upstream, cors=policy()))
    await known(front, upstream, request_, of_head() if request_.startswith(b"HEAD") else answer())
    record = front.records[-1]
    made = ring_of(front, record)

    assert made._recent[1] is None
    assert made.find("a1-1") == entry_of(record, "a1-1", front.gateway.settings)


async def test_a_preflight_in_brief_shows_as_its_record(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy()))
    client = await front.connect()
    for _ in range(TIMES):
        await client.ask(PREFLIGHT)
    record = (await front.recorded(TIMES))[-1]
    made = ring_of(front, record)

    assert made._recent[1] is None
    assert made.find("a1-1") == entry_of(record, "a1-1", front.gateway.settings)


TELLING = {
    "refused": get(b"/a", b"Origin: " + STRANGER),
    "cookie": get(b"/a", ALLOWED, b"Cookie: a=1"),
    "long": get(b"/" + b"a" * MAX_TARGET_BYTES),
}


@pytest.mark.parametrize("request_", TELLING.values(), ids=TELLING)
async def test_what_deserves_a_look_or_is_long_is_kept_as_it_is(proxy: ProxyFactory, upstream: Upstream, request_: bytes) -> None:
    front = await proxy(route(upstream, cors=policy(enforce=False)))
    await known(front, upstream, request_)
    record = front.records[-1]
    made = ring_of(front, record)

    assert made._recent[1] is not None
    assert made.find("a1-1") == entry_of(record, "a1-1", front.gateway.settings)


async def test_a_place_is_taken_over_by_what_comes_later_in_brief_or_not(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(route(upstream, cors=policy(enforce=False)))
    client, served = await known(front, upstream, get(b"/good", ALLOWED))
    good = front.records[-1]
    for _ in range(TIMES):
        await play(client, served, get(b"/bad", b"Origin: " + STRANGER))
    bad = (await front.recorded(2 * TIMES))[-1]
    made = ring_of(front, *[bad, good, good, bad, good, bad, bad, good])

    assert [entry.path for entry in made.since(4).entries] == ["/good", "/bad", "/bad", "/good"]
    assert [entry.id for entry in made.since(0).entries] == [f"a1-{number}" for number in (1, 4, 5, 6, 7, 8)]
