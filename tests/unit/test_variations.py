"""Heads that are the same but in a few places: where there is a gap, and what may stand in it. That it is right is for tests/properties/test_lines.py."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from corsproxy.config.rates import Rate, RateLimit
from corsproxy.config.settings import ForwardingSettings, Limits, Settings
from corsproxy.config.upstreams import Upstream
from corsproxy.forward import Forward
from corsproxy.meanings import MAX_MEANINGS
from corsproxy.plan import Connection, Found
from corsproxy.semantics.framing import Body, BodyKind
from corsproxy.semantics.rules import compile_rules
from corsproxy.variations import Variation
from tests.unit.planned import CLIENT, FRESH
from tests.unit.test_request_layouts import APP, HOST, PARENT, PROXY, ROUTE, SETTINGS, TRUSTING, layouts, learn, raw_of

END = b"\r\n\r\n"
POST = b"POST /a HTTP/1.1"
STRIPPING = (replace(ROUTE, path=b"/api", upstream=Upstream("http://up/v1", "up", 80, b"up", b"/v1"), strip_prefix=True), ROUTE)


@pytest.fixture
def chosen() -> Settings:
    return replace(SETTINGS)


def vary(chosen: Settings, *raws: bytes, client: Connection = CLIENT, last: Variation | None = None) -> Variation | None:
    """What is seen of heads, one after the other."""
    found = [learn(chosen, raw, client) for raw in raws]
    for (old, new), (one, two) in zip(pairwise(found), pairwise(raws), strict=True):
        assert old is not None
        assert new is not None
        last = layouts(chosen).vary(last, old, new, (one + END, two + END), CLIENT)
    return last


def varied(chosen: Settings, *raws: bytes, client: Connection = CLIENT) -> Variation:
    found = vary(chosen, *raws, client=client)
    assert found is not None
    return found


def to(target: bytes, lines: Sequence[bytes] = (HOST, APP)) -> bytes:
    """A head that asks for a target."""
    return raw_of(*lines, start=b"GET %b HTTP/1.1" % target)


def targets(*values: bytes, lines: Sequence[bytes] = (HOST, APP)) -> list[bytes]:
    return [to(value, lines) for value in values]


def by_target(chosen: Settings) -> Variation:
    return varied(chosen, *targets(b"/a", b"/b"))


def by_line(chosen: Settings) -> Variation:
    return varied(chosen, *(raw_of(HOST, b"Cookie: a=%d" % number, APP) for number in (1, 2)))


def by_length(chosen: Settings) -> Variation:
    return varied(chosen, *(raw_of(HOST, b"Content-Length: %d" % number, APP, start=POST) for number in (1, 2)))


def by_id(chosen: Settings, name: bytes = b"X-Request-Id", *values: bytes) -> Variation:
    return varied(chosen, *(raw_of(HOST, b"%b: %b" % (name, value), APP) for value in values or (b"their-id-1", b"their-id-2")))


def head_of(found: Found | None) -> bytes:
    """The head that goes upstream, under a fresh id."""
    assert found is not None
    planned = found.plan(FRESH)
    assert isinstance(planned, Forward)
    return planned.head


def check(variation: Variation, chosen: Settings, raw: bytes, client: Connection = CLIENT) -> Found:
    """A head is filled in, and is what it is line by line."""
    found, expected = variation.fill(raw + END), learn(chosen, raw, client)
    assert variation.size == len(raw + END)
    assert found is not None
    assert expected is not None
    assert (found.method, found.target, found.agent) == (expected.method, expected.target, expected.agent)
    assert (found.opening, found.form) == (expected.opening, expected.form)
    assert found.plan(FRESH) == expected.plan(FRESH)
    for name in ("name", "trace", "length", "begins", "behind", "names_itself", "client", "known"):
        assert getattr(found.recalled, name) == getattr(expected.recalled, name)
    return found


# --- targets and lines that pass ---


@pytest.mark.parametrize("target", [b"/other?x", b"/", b"/a", b"/%2e?a=/../", b"/" + b"x" * 1000])
def test_a_target_is_filled_in(chosen: Settings, target: bytes) -> None:
    found = check(by_target(chosen), chosen, to(target))

    assert (found.method, found.target) == (b"GET", target)


@pytest.mark.parametrize("value", [b"another=3", b"a", b"a: b", b"x" * 2000, b"GET / HTTP/1.1"])
def test_a_line_is_filled_in(chosen: Settings, value: bytes) -> None:
    check(by_line(chosen), chosen, raw_of(HOST, b"Cookie: " + value, APP))


VARYING: dict[str, Sequence[bytes]] = {
    "target-and-line": (b"GET /%n HTTP/1.1", HOST, APP, b"X-A: %n"),
    "lines": (b"GET /a HTTP/1.1", HOST, b"Cookie: %n", APP, b"X-A: a%n", b"Authorization: Bearer %n"),
    "before-the-host": (b"GET /%n HTTP/1.1", b"X-A: %n", HOST, b"X-B: %n"),
    "same-name-twice": (b"GET /a HTTP/1.1", HOST, b"X-A: %n", b"X-A: b", b"X-A: c%n"),
    "target-and-length": (b"POST /%n HTTP/1.1", HOST, b"Content-Length: %n"),
    "length-between-lines": (b"PUT /a HTTP/1.1", HOST, b"X-A: %n", b"content-length: %n", b"X-B: %n"),
    "trace-and-target": (b"GET /%n HTTP/1.1", HOST, b"traceparent: 00-0af7651916cd43dd8448eb211c80319%n-b7ad6b7169203331-01"),
    "id-and-line": (b"GET /a HTTP/1.1", HOST, b"X-Request-Id: their-id-%n", b"X-A: %n"),
    "line-and-id": (b"GET /a HTTP/1.1", b"X-A: %n", b"X-Request-Id: their-id-%n", HOST),
    "all-at-once": (
        b"POST /%n?a HTTP/1.1",
        b"X-A: %n",
        HOST,
        b"User-Agent: ua",
        b"Content-Length: %n",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319%n-b7ad6b7169203331-01",
        b"Keep-Alive: %n",
        APP,
        b"X-Request-Id: their-id-%n",
        b"Cookie: a=%n",
    ),
    "what-goes-nowhere": (b"GET /a HTTP/1.1", HOST, b"Keep-Alive: %n", b"X_Request_Id: %n", b"X-Forwarded-For: %n", b"Trailer: a%n"),
    "what-goes-nowhere-and-what-does": (b"GET /%n HTTP/1.1", b"Keep-Alive: %n", HOST, b"X-A: %n"),
}


@pytest.mark.parametrize("lines", VARYING.values(), ids=VARYING)
@pytest.mark.parametrize(
    "forwarding",
    [
        ForwardingSettings(),
        ForwardingSettings(trusts_request_id=False),
        ForwardingSettings(request_id_header=b"X-Correlation-Id", begins_trace=True),
    ],
    ids=["trusting", "untrusting", "tracing"],
)
def test_whatever_varies_is_filled_in_at_once(forwarding: ForwardingSettings, lines: Sequence[bytes]) -> None:
    chosen, raw = replace(SETTINGS, forwarding=forwarding), b"\r\n".join(lines)
    variation = varied(chosen, *(raw.replace(b"%n", b"%d" % number) for number in (1, 2)))
    for number in (5, 9, 1):
        check(variation, chosen, raw.replace(b"%n", b"%d" % number))
    assert len(variation.places) == len([line for line in lines if b"%n" in line])


def test_one_place_may_differ_and_another_not(chosen: Settings) -> None:
    variation = varied(chosen, raw_of(HOST, b"X-A: 1", start=b"GET /1 HTTP/1.1"), raw_of(HOST, b"X-A: 2", start=b"GET /2 HTTP/1.1"))

    check(variation, chosen, raw_of(HOST, b"X-A: 2", start=b"GET /9 HTTP/1.1"))
    check(variation, chosen, raw_of(HOST, b"X-A: 9", start=b"GET /2 HTTP/1.1"))


def test_what_is_filled_in_leaves_nothing_behind(chosen: Settings) -> None:
    variation = by_length(chosen)
    raw = raw_of(HOST, b"Content-Length: 7", APP, start=POST)
    first = head_of(variation.fill(raw + END))
    variation.fill(raw.replace(b"7", b"10") + END)

    assert head_of(variation.fill(raw + END)) == first


def test_a_place_that_varied_before_is_a_gap_as_well(chosen: Settings) -> None:
    lines = [(HOST, b"X-A: 1", b"X-B: 1"), (HOST, b"X-A: 2", b"X-B: 1"), (HOST, b"X-A: 2", b"X-B: 2")]
    variation = varied(chosen, *(raw_of(*each) for each in lines))

    assert variation.places == {2, 3}
    check(variation, chosen, raw_of(HOST, b"X-A: 8", b"X-B: 9"))


def test_what_varied_in_heads_of_another_form_is_no_gap(chosen: Settings) -> None:
    last = varied(chosen, raw_of(HOST, b"X-A: 1", b"X-B: 1"), raw_of(HOST, b"X-A: 2", b"X-B: 1"))
    one, two = (raw_of(HOST, b"Cookie: 1", b"X-B: %d" % number) for number in (1, 2))
    found = vary(chosen, one, two, last=last)

    assert found is not None
    assert found.places == {3}


@pytest.mark.parametrize(
    "target", [b"", b"a", b"*", b"/a b", b"/a#b", b"/caf\xe9", b"/\x7f", b"/\0", b"/\r", b"/\n", b"/ HTTP/1.1\r\nX: 1\r\n\r\nGET /"]
)
def test_what_is_no_plain_target_is_not_filled_in(chosen: Settings, target: bytes) -> None:
    for variation in (by_target(chosen), varied(chosen, *targets(b"/a", b"/b", lines=(HOST, b"X-A: 1")))):
        assert variation.fill(raw_of(HOST, APP, start=b"GET %b HTTP/1.1" % target) + END) is None


@pytest.mark.parametrize(
    "start",
    [
        b"GET /c HTTP/1.0",
        b"GET /c HTTP/1.2",
        b"GET /c http/1.1",
        b"PUT /c HTTP/1.1",
        b"get /c HTTP/1.1",
        b"GET  /c HTTP/1.1",
        b" GET /c HTTP/1.1",
    ],
)
def test_another_request_line_is_not_filled_in(chosen: Settings, start: bytes) -> None:
    assert by_target(chosen).fill(raw_of(HOST, APP, start=start) + END) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Cookie:a=1",
        b"Cookie:  a=1",
        b"Cookie: a=1 ",
        b"Cookie : a=1",
        b"cookie: a=1",
        b"Cookie: ",
        b"Cookie: \0",
        b"Cookie: a\tb",
        b"Cookie: caf\xe9",
        b"Cookie: \x7f",
        b"Cookie: a\rb",
        b"Cookie: a\nb",
        b"Cookie: a\r\nX: 1",
        b"Cookie: a\r\n folded",
        b"Cookie: a\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example",
        b" Cookie: a=1",
        b"Host: evil.example",
        b"Origin: https://evil.example",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Upgrade: h2c",
        b"User-Agent: ua",
        b"X-Name: 1",
    ],
)
def test_a_line_that_means_another_thing_is_not_filled_in(chosen: Settings, line: bytes) -> None:
    assert by_line(chosen).fill(raw_of(HOST, line, APP) + END) is None


@pytest.mark.parametrize(
    "other",
    [
        raw_of(HOST, b"Cookie: a=3"),
        raw_of(HOST, b"Cookie: a=3", APP, b"X: 1"),
        raw_of(HOST, b"X: 1", b"Cookie: a=3", APP),
        raw_of(HOST, APP, b"Cookie: a=3"),
        raw_of(b"Host: other.example", b"Cookie: a=3", APP),
        raw_of(HOST, b"Cookie: a=3", b"Origin: https://other.example"),
        raw_of(HOST, b"Cookie: a=3", APP, start=b"GET /b HTTP/1.1"),
    ],
)
def test_what_differs_in_another_place_is_not_filled_in(chosen: Settings, other: bytes) -> None:
    assert by_line(chosen).fill(other + END) is None


def test_a_head_that_has_not_all_come_is_not_filled_in(chosen: Settings) -> None:
    whole = raw_of(HOST, b"Cookie: a=3", APP) + END
    variation = by_line(chosen)

    assert [size for size in range(len(whole)) if variation.fill(whole[:size]) is not None] == []
    assert variation.fill(whole) is not None


# --- what lies behind, and how long a head may be ---


@pytest.mark.parametrize("behind", [b"x", b"\r\n", b"GET / HTTP/1.1\r\n", b"\0", END, raw_of(HOST, b"Cookie: a=9", APP) + END])
def test_what_lies_behind_a_head_is_not_its_own(chosen: Settings, behind: bytes) -> None:
    raw, variation = raw_of(HOST, b"Cookie: a=3", APP), by_line(chosen)
    found = variation.fill(raw + END + behind)

    assert head_of(found) == head_of(learn(chosen, raw))
    assert variation.size == len(raw + END)


@pytest.mark.parametrize("body", [b"", b"12", b"1234567", b"1234567GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n\r\n\r\n"])
def test_a_body_behind_a_head_is_not_its_own(chosen: Settings, body: bytes) -> None:
    raw, variation = raw_of(HOST, b"Content-Length: 7", APP, start=POST), by_length(chosen)
    found = variation.fill(raw + END + body)

    assert found is not None
    assert found.recalled.length == 7
    assert variation.size == len(raw + END)


def test_the_size_is_that_of_each_head(chosen: Settings) -> None:
    variation = by_target(chosen)
    for target in (b"/", b"/" + b"x" * 100, b"/c"):
        raw = to(target)
        assert variation.fill(raw + END + raw + END) is not None
        assert variation.size == len(raw) + 4


def test_a_head_over_a_limit_is_not_filled_in() -> None:
    chosen = replace(SETTINGS, limits=Limits(request_line=300, request_head=1000))
    variation, most = by_target(chosen), layouts(chosen)._most
    rest = len(to(b"/") + END)

    assert variation.fill(to(b"/" + b"x" * (most - rest)) + END) is not None
    assert variation.size == most
    assert variation.fill(to(b"/" + b"x" * (most - rest)) + END + b"x" * 1000) is not None
    for size in (most + 1, 301, 1001, 5000):
        assert variation.fill(to(b"/" + b"x" * (size - rest)) + END) is None


# --- what is copied ---


def test_a_length_is_filled_in(chosen: Settings) -> None:
    found = check(by_length(chosen), chosen, raw_of(HOST, b"Content-Length: 7", APP, start=POST))
    planned = found.plan(FRESH)

    assert isinstance(planned, Forward)
    assert found.recalled.length == 7
    assert planned.body == Body(BodyKind.LENGTH, 7)
    assert planned.head.endswith(b"\r\nContent-Length: 7\r\n\r\n")
    assert planned.head.count(b"Content-Length") == 1


@pytest.mark.parametrize(
    "length", [b"0", b"", b"07", b"+7", b"7 ", b" 7", b"7, 7", b"7;", b"0x7", b"7a", b"11", b"9" * 18, b"9" * 19, b"\xd9\xa1"]
)
def test_a_length_that_decides_or_is_over_the_limit_is_not_filled_in(chosen: Settings, length: bytes) -> None:
    assert by_length(chosen).fill(raw_of(HOST, b"Content-Length: " + length, APP, start=POST) + END) is None


def test_a_length_up_to_the_limit_is_filled_in(chosen: Settings) -> None:
    check(by_length(chosen), chosen, raw_of(HOST, b"Content-Length: 10", APP, start=POST))


def test_without_a_limit_any_length_is_filled_in() -> None:
    chosen = replace(SETTINGS, routes=(replace(ROUTE, limits=replace(ROUTE.limits, request_body=None)),))

    assert check(by_length(chosen), chosen, raw_of(HOST, b"Content-Length: " + b"9" * 18, APP, start=POST)).recalled.length == 10**18 - 1


def test_no_content_does_not_vary_with_content(chosen: Settings) -> None:
    lengths = [raw_of(HOST, b"Content-Length: " + length, APP, start=POST) for length in (b"0", b"5")]

    assert vary(chosen, *lengths) is None
    assert vary(chosen, *reversed(lengths)) is None


def test_requests_without_content_may_vary_elsewhere(chosen: Settings) -> None:
    raws = [raw_of(HOST, b"Content-Length: 0", b"X-A: %d" % number, start=POST) for number in (1, 2, 3)]
    variation = varied(chosen, *raws[:2])

    assert head_of(check(variation, chosen, raws[2])).endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert variation.fill(raws[2].replace(b"Length: 0", b"Length: 5") + END) is None


def test_the_trace_is_that_of_each_request(chosen: Settings) -> None:
    others = [PARENT.replace(b"0af7", b"%d%dff" % (number, number)) for number in range(1, 4)]
    variation = varied(chosen, raw_of(HOST, PARENT), raw_of(HOST, others[0]))
    for number, other in enumerate(others, 1):
        found = check(variation, chosen, raw_of(HOST, other))
        assert found.recalled.trace == b"%d%dff651916cd43dd8448eb211c80319c" % (number, number)
        assert b"\r\n" + other + b"\r\n" in head_of(found)


@pytest.mark.parametrize("value", [b"x", b"00-0-0-00", PARENT[13:].upper(), b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01"])
def test_a_trace_that_is_none_passes_and_names_nothing(chosen: Settings, value: bytes) -> None:
    variation = varied(chosen, raw_of(HOST, PARENT), raw_of(HOST, PARENT.replace(b"0af7", b"1111")))
    found = check(variation, chosen, raw_of(HOST, b"traceparent: " + value))

    assert found.recalled.trace == b""
    assert b"\r\ntraceparent: " + value + b"\r\n" in head_of(found)


def test_an_id_that_may_be_taken_over_is_that_of_each_request(chosen: Settings) -> None:
    found = check(by_id(chosen), chosen, raw_of(HOST, b"X-Request-Id: their-id-3", APP))

    assert found.recalled.name == b"their-id-3"
    assert head_of(found).count(b"\r\nX-Request-Id: their-id-3\r\n") == 1
    assert head_of(found).lower().count(b"x-request-id") == 1


@pytest.mark.parametrize("value", [b"short", b"no id at all", b"x" * 129, b"their/id/3", b"their-id-3,their-id-4"])
@pytest.mark.parametrize("name", [b"X-Request-Id", b"X-Correlation-Id"])
def test_an_id_that_may_not_be_taken_over_is_not_filled_in_for_one_that_may(name: bytes, value: bytes) -> None:
    chosen = replace(SETTINGS, forwarding=ForwardingSettings(request_id_header=name))
    taken, replaced = by_id(chosen, name), by_id(chosen, name, b"no id 1", b"no id 2")
    raw = raw_of(HOST, b"%b: %b" % (name, value), APP)

    assert taken.fill(raw + END) is None
    assert replaced.fill(raw_of(HOST, name + b": their-id-3", APP) + END) is None
    assert check(replaced, chosen, raw).recalled.name == b""
    assert b"\r\n%b: fresh-request-id\r\n" % name in head_of(replaced.fill(raw + END))
    assert value not in head_of(replaced.fill(raw + END))


def test_under_another_field_an_id_is_written_anew() -> None:
    chosen = replace(SETTINGS, forwarding=ForwardingSettings(request_id_header=b"X-Correlation-Id"))
    found = check(by_id(chosen, b"x-correlation-id"), chosen, raw_of(HOST, b"x-correlation-id: their-id-3", APP))

    assert found.recalled.name == b"their-id-3"
    assert head_of(found).count(b"their-id-3") == 1
    assert b"\r\nX-Correlation-Id: their-id-3\r\n" in head_of(found)


@pytest.mark.parametrize("value", [b"their-id-3", b"no id"])
def test_an_id_counts_for_nothing_where_none_is_trusted(value: bytes) -> None:
    chosen = replace(SETTINGS, forwarding=ForwardingSettings(trusts_request_id=False))
    found = check(by_id(chosen), chosen, raw_of(HOST, b"X-Request-Id: " + value, APP))

    assert found.recalled.name == b""
    assert value not in head_of(found)
    assert b"\r\nX-Request-Id: fresh-request-id\r\n" in head_of(found)


def test_a_trace_that_begins_here_begins_in_each_request() -> None:
    chosen = replace(SETTINGS, forwarding=ForwardingSettings(begins_trace=True))
    found = check(by_target(chosen), chosen, to(b"/c"))

    assert found.recalled.begins
    assert b"\r\ntraceparent: 00-%b-%b-01\r\n" % FRESH[1:] in head_of(found)


def test_a_request_is_counted_as_its_client_whatever_varies() -> None:
    chosen = replace(SETTINGS, rate_limit=RateLimit(Rate(5, 1), 5))
    found = check(by_id(chosen), chosen, raw_of(HOST, b"X-Request-Id: their-id-3", APP))

    assert found.plan(FRESH).context.exchange.rate_key


# --- routes ---


def test_a_target_is_filled_in_without_the_prefix_that_its_route_takes_off() -> None:
    chosen = replace(SETTINGS, routes=STRIPPING)
    variation = varied(chosen, *targets(b"/api/a", b"/api/b"))
    for target, rest in (
        (b"/api/c?d", b"/v1/c?d"),
        (b"/api", b"/v1/"),
        (b"/api/", b"/v1/"),
        (b"/api?z", b"/v1/?z"),
        (b"/api/api/x", b"/v1/api/x"),
    ):
        found = check(variation, chosen, to(target))
        assert found.target == target
        assert head_of(found).startswith(b"GET %b HTTP/1.1\r\n" % rest)


def test_a_prefix_is_taken_off_where_the_target_does_not_vary() -> None:
    chosen = replace(SETTINGS, routes=STRIPPING)
    raws = [raw_of(HOST, b"X-A: %d" % number, start=b"GET /api/a HTTP/1.1") for number in (1, 2, 3)]

    assert head_of(check(varied(chosen, *raws[:2]), chosen, raws[2])).startswith(b"GET /v1/a HTTP/1.1\r\n")


def test_a_target_and_a_line_are_filled_in_where_a_prefix_is_taken_off() -> None:
    chosen = replace(SETTINGS, routes=STRIPPING)
    raws = [raw_of(b"X-A: %d" % number, HOST, b"X-B: b%d" % number, start=b"GET /api/%d HTTP/1.1" % number) for number in (1, 2, 3)]

    check(varied(chosen, *raws[:2]), chosen, raws[2])


@pytest.mark.parametrize(
    "target", [b"/", b"/apis", b"/ap", b"/API/a", b"/other/api/", b"/api/../x", b"/api%2fa", b"/api//a", b"/%61pi/a", b"/api\\a"]
)
def test_a_target_that_leads_or_may_lead_to_another_route_is_not_filled_in(target: bytes) -> None:
    chosen = replace(SETTINGS, routes=STRIPPING)

    assert varied(chosen, *targets(b"/api/a", b"/api/b")).fill(to(target) + END) is None


@pytest.mark.parametrize(
    ("one", "two", "fits", "other"),
    [
        (b"/a/1", b"/a/2", b"/a/3", b"/b/3"),
        (b"/a/1", b"/a", b"/a?b", b"/ab"),
        (b"/1", b"/2", b"/ab", b"/a/3"),
        (b"/1", b"/2", b"/b", b"/a"),
        (b"/a/b/1", b"/a/b/2", b"/a/b/3", b"/a/3"),
    ],
)
def test_a_target_is_filled_in_where_it_leads_to_the_same_route(one: bytes, two: bytes, fits: bytes, other: bytes) -> None:
    chosen = replace(SETTINGS, routes=(replace(ROUTE, path=b"/a/b"), replace(ROUTE, path=b"/a"), ROUTE))
    variation = varied(chosen, *targets(one, two))

    check(variation, chosen, to(fits))
    assert variation.fill(to(other) + END) is None


def test_two_routes_do_not_vary() -> None:
    chosen = replace(SETTINGS, routes=(replace(ROUTE, path=b"/a"), ROUTE))

    assert vary(chosen, *targets(b"/a/1", b"/b/1")) is None


def test_a_target_leads_to_a_route_by_the_host_that_stands_there() -> None:
    chosen = replace(SETTINGS, routes=(replace(ROUTE, path=b"/a", hosts=("api.example",)), replace(ROUTE, hosts=("other.example",)), ROUTE))
    lines = (b"Host: other.example", APP)
    here, there = varied(chosen, *targets(b"/a/1", b"/a/2")), varied(chosen, *targets(b"/a/1", b"/a/2", lines=lines))

    assert here.fill(to(b"/b") + END) is None
    check(there, chosen, to(b"/b", lines=lines))


def test_what_a_route_takes_off_may_vary() -> None:
    rules = compile_rules([b"X-Debug"], [(b"X-Set", b"1")])
    chosen = replace(SETTINGS, routes=(replace(ROUTE, request_headers=rules),))
    raws = [raw_of(HOST, b"x_debug: %d" % number, b"X-A: a%d" % number) for number in (1, 2, 3)]
    found = check(varied(chosen, *raws[:2]), chosen, raws[2])

    assert b"debug" not in head_of(found)
    assert b"\r\nX-A: a3\r\nX-Set: 1\r\n" in head_of(found)


# --- where there is no gap ---


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (raw_of(HOST, b"X: 1"), raw_of(HOST, b"X: 1")),
        (raw_of(HOST, b"X: 1"), raw_of(HOST, b"X: 1", b"X: 2")),
        (raw_of(HOST, b"X: 1"), raw_of(b"X: 1", HOST)),
        (raw_of(HOST, b"X: 1"), raw_of(HOST, b"ETag: 1")),
        (raw_of(HOST, b"Cookie: 1"), raw_of(HOST, b"cookie: 1")),
        (raw_of(HOST, b"X: 1"), raw_of(HOST, b"Authorization: 1")),
        (raw_of(HOST, b"User-Agent: a"), raw_of(HOST, b"User-Agent: b")),
        (raw_of(HOST, b"User-Agent: a"), raw_of(HOST, b"User-Agent: b", start=b"GET /b HTTP/1.1")),
        (raw_of(HOST, APP), raw_of(HOST, b"Origin: https://other.example")),
        (raw_of(HOST, APP, b"X: 1"), raw_of(HOST, b"Origin: https://other.example", b"X: 2")),
        (raw_of(HOST, b"Accept: a/b"), raw_of(HOST, b"Accept: c/d")),
        (raw_of(HOST, b"Connection: close"), raw_of(HOST, b"Connection: keep-alive")),
        (raw_of(HOST), raw_of(b"Host: other.example")),
        (raw_of(HOST, start=b"GET / HTTP/1.1"), raw_of(HOST, start=b"HEAD / HTTP/1.1")),
        (raw_of(HOST, b"Content-Length: 5"), raw_of(HOST, b"content-length: 6")),
        (raw_of(HOST, b"X-Request-Id: their-id-1"), raw_of(HOST, b"X-Request-Id: no id")),
    ],
)
def test_there_is_no_gap_where_what_differs_is_read(chosen: Settings, one: bytes, two: bytes) -> None:
    assert vary(chosen, one, two) is None
    assert vary(chosen, two, one) is None


def test_the_user_agent_is_that_of_each_request(chosen: Settings) -> None:
    """It is told to whoever keeps records, so it is never a gap, whatever else varies."""
    raws = [raw_of(HOST, b"User-Agent: ua", b"X-A: %d" % number, start=b"GET /%d HTTP/1.1" % number) for number in (1, 2, 3)]
    variation = varied(chosen, *raws[:2])

    assert check(variation, chosen, raws[2]).agent == b"ua"
    assert variation.fill(raws[2].replace(b"ua", b"other") + END) is None


@pytest.mark.parametrize("line", [b"X-Forwarded-For: 198.51.100.%d", b"X-Forwarded-Host: h%d.example", b"Forwarded: for=198.51.100.%d"])
def test_what_a_trusted_proxy_tells_of_a_client_is_no_gap(line: bytes) -> None:
    chosen = replace(SETTINGS, forwarding=TRUSTING)
    raws = [raw_of(HOST, line % number) for number in (7, 8)]
    one, two = (learn(chosen, raw, PROXY) for raw in raws)
    assert one is not None
    assert two is not None

    assert layouts(chosen).vary(None, one, two, (raws[0] + END, raws[1] + END), CLIENT) is None


def test_what_varies_is_that_of_the_client_that_is_told_of() -> None:
    chosen = replace(SETTINGS, forwarding=TRUSTING)
    raws = [raw_of(HOST, b"X-Forwarded-For: 198.51.100.7", b"X-A: %d" % number) for number in (1, 2, 3)]
    variation = varied(chosen, *raws[:2], client=PROXY)

    assert check(variation, chosen, raws[2], PROXY).recalled.client.text == "198.51.100.7"
    assert variation.fill(raws[2].replace(b".7", b".8") + END) is None


def test_what_a_stranger_tells_of_a_client_goes_nowhere(chosen: Settings) -> None:
    chosen = replace(SETTINGS, forwarding=TRUSTING)
    raws = [raw_of(HOST, b"X-Forwarded-For: 198.51.100.%d" % number) for number in (7, 8, 9)]
    found = check(varied(chosen, *raws[:2]), chosen, raws[2])

    assert found.recalled.client.text == "192.0.2.1"
    assert b"198.51.100" not in head_of(found)


def test_two_clients_do_not_vary(chosen: Settings) -> None:
    raws = [raw_of(HOST, b"X-A: %d" % number) for number in (1, 2)]
    one, two = learn(chosen, raws[0]), learn(chosen, raws[1], Connection("192.0.2.2"))
    assert one is not None
    assert two is not None

    assert layouts(chosen).vary(None, one, two, (raws[0] + END, raws[1] + END), CLIENT) is None


def test_there_is_no_gap_in_a_preflight(chosen: Settings) -> None:
    lines = (HOST, APP, b"Access-Control-Request-Method: PUT")

    assert vary(chosen, *(raw_of(*lines, start=b"OPTIONS %b HTTP/1.1" % target) for target in (b"/a", b"/b"))) is None


# --- lines that are all gap ---


def by_name(chosen: Settings, *lines: bytes) -> Variation:
    return varied(chosen, *(raw_of(HOST, line, APP) for line in lines or (b"X-A: 1", b"X-B: 2")))


@pytest.mark.parametrize("line", [b"X-C: 3", b"x-a: 1", b"Y: a b", b"!#$%&'*+-.^_`|~9: 1", b"X-" + b"n" * 100 + b": 1"])
def test_a_line_with_another_name_is_filled_in_if_it_means_the_same(chosen: Settings, line: bytes) -> None:
    variation = by_name(chosen)

    assert variation.whole == {2}
    for _ in range(3):
        check(variation, chosen, raw_of(HOST, line, APP))


def test_a_line_that_goes_nowhere_is_filled_in_whatever_its_name(chosen: Settings) -> None:
    variation = by_name(chosen, b"Keep-Alive: 5", b"keep-alive: 6")

    check(variation, chosen, raw_of(HOST, b"KEEP-ALIVE: 7", APP))
    assert variation.fill(raw_of(HOST, b"X-A: 7", APP) + END) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"X-C",
        b"X-C:3",
        b"X-C:  3",
        b"X-C: 3 ",
        b"X-C : 3",
        b" X-C: 3",
        b"X C: 3",
        b"X\0C: 3",
        b"X\xe4: 3",
        b": 3",
        b"X-C: ",
        b"X-C: \0",
        b"X-C: a\rb",
        b"X-C: a\nb",
        b"X-C: caf\xe9",
        b"X-C: a\r\nX-D: 1",
        b"X-C: a\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example",
        b"Host: evil.example",
        b"Origin: https://evil.example",
        b"Cookie: a=1",
        b"Authorization: a",
        b"Accept: a/b",
        b"User-Agent: ua",
        b"ETag: a",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Proxy-Connection: close",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"X-Request-Id: their-id-1",
        b"X-Forwarded-For: 192.0.2.1",
        b"Keep-Alive: 5",
        PARENT,
    ],
)
def test_a_line_that_means_another_thing_is_not_filled_in_for_one_with_any_name(chosen: Settings, line: bytes) -> None:
    variation = by_name(chosen)
    for _ in range(3):
        assert variation.fill(raw_of(HOST, line, APP) + END) is None


def test_a_name_that_a_route_drops_is_not_filled_in_for_one_that_passes() -> None:
    chosen = replace(SETTINGS, routes=(replace(ROUTE, request_headers=compile_rules([b"X-Secret"])),))

    assert by_name(chosen).fill(raw_of(HOST, b"X-Secret: 1", APP) + END) is None
    check(by_name(chosen), chosen, raw_of(HOST, b"X-C: 1", APP))


def test_made_up_names_in_a_gap_do_not_make_memory_grow(chosen: Settings) -> None:
    variation = by_name(chosen)
    for number in range(3 * MAX_MEANINGS):
        assert variation.fill(raw_of(HOST, b"X-%d: 1" % number, APP) + END) is not None
    kept = layouts(chosen)._strangers

    assert len(kept._names) <= 2 * MAX_MEANINGS
    assert len(kept._kinds) < 20
    assert len(kept.lines) < 20
