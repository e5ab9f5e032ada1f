"""Refusals that repeat: the first at once, then a count a minute, in bounded memory."""

import json

import pytest

from corsproxy import problems
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.observe.folding import MAX_KINDS, WINDOW_S, Folding, is_refusal, network_of
from corsproxy.observe.shapes import fold_json, fold_logfmt
from corsproxy.observe.text import fold_text
from corsproxy.record import ExchangeRecord
from tests.unit.observe.exchanges import ALLOWED, record

START = 1_700_000_000.0


def refused(time: float = START, origin: bytes = b"https://evil.example", **changes: object) -> ExchangeRecord:
    decision = Decision(Kind.ACTUAL, Reason.ORIGIN_REFUSED, refused=True, origin=origin)
    given = {"status": 403, "problem": problems.ORIGIN_REFUSED, "reason": "origin-refused", "decision": decision}
    made = record(**(given | changes))
    made.time = time
    return made


def scan(time: float = START, client: str = "203.0.113.9", **changes: object) -> ExchangeRecord:
    return record(time=time, client=client, **({"status": 400, "problem": problems.BAD_REQUEST, "reason": "unparsable"} | changes))


def feed(folding: Folding, *records: ExchangeRecord) -> list[bool]:
    return [folding.takes(each, each.time) for each in records]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"status": 404, "upstream": "http://up"}, False),
        ({"status": 403, "problem": problems.ORIGIN_REFUSED}, True),
        ({"status": 404, "problem": problems.NO_ROUTE}, True),
        ({"status": 400, "problem": problems.BAD_REQUEST}, True),
        ({"status": 503, "problem": problems.OVERLOADED}, True),
        ({"status": 502, "problem": problems.UPSTREAM_REFUSED, "upstream": "http://up"}, False),
        ({"status": 413, "problem": problems.BODY_TOO_LARGE, "upstream": "http://up"}, False),
        ({"status": 500, "problem": problems.INTERNAL_ERROR}, False),
        ({"status": 0, "problem": problems.CLIENT_GONE}, False),
    ],
)
def test_what_is_a_refusal(changes: dict[str, object], expected: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_refusal(record(**changes)) is expected


def test_the_first_is_written_and_the_others_are_counted() -> None:
    folding = Folding()

    assert feed(folding, refused(), refused(START + 1), refused(START + 2)) == [False, True, True]
    assert folding.next_end == START + WINDOW_S
    assert folding.expire(START + WINDOW_S - 1) == []
    (fold,) = folding.expire(START + WINDOW_S)
    assert (fold.count, fold.first, fold.last) == (2, START + 1, START + 2)


def test_what_goes_on_is_counted_by_the_minute_until_a_minute_is_quiet() -> None:
    folding = Folding()
    feed(folding, refused(), refused())
    folding.expire(START + 60)

    assert feed(folding, refused(START + 61)) == [True]
    (fold,) = folding.expire(START + 120)
    assert (fold.count, fold.first) == (1, START + 61)
    assert folding.expire(START + 180) == []
    assert folding.next_end is None
    assert feed(folding, refused(START + 181)) == [False]


def test_a_kind_is_problem_reason_and_origin() -> None:
    others = [refused(origin=b"https://other.example"), refused(reason="other"), refused(problem=problems.CORS_OFF)]

    assert feed(Folding(), refused(), *others) == [False] * 4
    assert feed(Folding(), refused(client="203.0.113.9"), refused(client="198.51.100.1")) == [False, True]


def test_where_no_origin_was_told_clients_of_a_network_are_alike() -> None:
    folding = Folding()

    assert feed(folding, scan(), scan(client="203.0.113.200"), scan(client="198.51.100.1")) == [False, True, False]
    assert folding.end()[0].client == "203.0.113.0/24"


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.9", "203.0.113.0/24"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("unix", "unix"), ("", ""), ("_hidden", "_hidden")],
)
def test_networks(address: str, network: str) -> None:
    assert network_of(address) == network


def test_what_works_is_never_folded() -> None:
    assert feed(Folding(), *[record(decision=ALLOWED)] * 5) == [False] * 5


def test_a_scanner_that_makes_origins_up_neither_fills_the_memory_nor_the_disk() -> None:
    folding = Folding()
    written = feed(folding, *(refused(origin=b"https://o%d.example" % number) for number in range(10_000)))

    assert written.count(False) == MAX_KINDS + 1
    folds = folding.end()
    assert [(fold.count, fold.origin, fold.client) for fold in folds] == [(10_000 - MAX_KINDS - 1, "many", "many")]
    assert "corsproxy.origin" not in folds[0].attributes()


def test_some_may_be_written_before_counting_begins() -> None:
    folding = Folding(aloud=2)

    assert feed(folding, refused(), refused(), refused()) == [False, False, True]
    folding.expire(START + 60)
    assert feed(folding, refused(START + 61)) == [True]


def test_a_clock_that_is_set_back_keeps_no_window_open() -> None:
    folding = Folding()
    feed(folding, refused(), refused())

    (fold,) = folding.expire(START - 3600)
    assert fold.count == 1
    assert folding.next_end == START - 3600 + WINDOW_S


def test_the_end_says_what_was_counted() -> None:
    folding = Folding()
    feed(folding, refused(), refused(), scan())

    assert [fold.count for fold in folding.end()] == [1]
    assert folding.end() == []


def test_the_line_says_how_many_and_from_when_to_when() -> None:
    folding = Folding()
    feed(folding, refused(), refused(START + 1), refused(START + 2.5))
    (fold,) = folding.end()

    assert json.loads(fold_json(fold)) == {
        "@timestamp": "2023-11-14T22:13:22.500Z",
        "event.dataset": "corsproxy.access",
        "event.start": "2023-11-14T22:13:21.000Z",
        "event.end": "2023-11-14T22:13:22.500Z",
        "http.response.status_code": 403,
        "corsproxy.folded": 2,
        "corsproxy.problem": "CP301",
        "corsproxy.reason": "origin-refused",
        "corsproxy.origin": "https://evil.example",
    }
    assert fold_logfmt(fold).startswith(
        "time=2023-11-14T22:13:22.500Z event.dataset=corsproxy.access event.start=2023-11-14T22:13:21.000Z "
    )
    assert fold_text(fold)[8:].startswith(" 403 2 more since ")
    assert fold_text(fold).endswith("CP301 origin not allowed  from https://evil.example")


def test_the_line_names_networks_and_reasons() -> None:
    folding = Folding()
    feed(folding, scan(), scan())
    (fold,) = folding.end()

    assert fold_text(fold).endswith("  by 203.0.113.0/24, unparsable")


def test_nothing_that_was_sent_can_forge_the_line() -> None:
    folding = Folding()
    feed(folding, refused(origin=b"\x1b[2J\n"), refused(origin=b"\x1b[2J\n"))
    (fold,) = folding.end()

    assert fold_text(fold).isprintable()
    assert fold_json(fold).isprintable()
    assert fold_logfmt(fold).isprintable()
