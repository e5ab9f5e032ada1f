"""Counts of what happened."""

import pytest

from corsproxy import problems
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.observe import figures
from corsproxy.observe.counters import Counters
from corsproxy.observe.figures import DURATION_BOUNDS
from corsproxy.observe.outcomes import UPSTREAM_FAILURES
from corsproxy.record import ExchangeRecord

REFUSED = Decision(Kind.ACTUAL, Reason.ORIGIN_REFUSED, refused=True)


def record(status: int = 200, decision: Decision | None = None, seconds: float = 0.0, **fields: object) -> ExchangeRecord:
    made = ExchangeRecord(0, 100.0, b"GET", b"/", "", status=status, decision=decision, ended=100.0 + seconds)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_every_exchange_is_counted_once_by_status_decision_and_problem() -> None:
    counters = Counters()
    for _ in range(2):
        counters.add(record(403, REFUSED, problem=problems.ORIGIN_REFUSED, sent=10, received=3))
    counters.add(record(200, Decision(Kind.NOT_CORS, Reason.NO_ORIGIN), retries=1))
    counters.add(record(400, problem=problems.BAD_REQUEST))
    counters.add(record(0, Decision(Kind.NOT_CORS, Reason.NO_ORIGIN), problem=problems.CLIENT_GONE))
    found = counters.snapshot()

    assert found.values[figures.REQUESTS] == {
        ("actual", "refused", "4xx"): (2,),
        ("not-cors", "none", "2xx"): (1,),
        ("none", "none", "4xx"): (1,),
        ("not-cors", "none", "none"): (1,),
    }
    assert found.values[figures.CORS_DECISIONS] == {("refused", "origin-refused"): (2,), ("none", "no-origin"): (2,)}
    assert found.values[figures.PROBLEMS] == {("CP301",): (2,), ("CP305",): (1,), ("CP502",): (1,)}
    assert (found.number(figures.REQUEST_BYTES, "actual"), found.number(figures.RESPONSE_BYTES, "actual")) == (6, 20)
    assert (found.number(figures.UPSTREAM_RETRIES), found.number(figures.TUNNELS)) == (1, 0)


def test_a_websocket_lasts_until_its_handshake_is_done_and_its_bytes_are_counted() -> None:
    counters = Counters()
    decision = Decision(Kind.WEBSOCKET, Reason.ORIGIN_ALLOWED, granted=True)
    counters.add(record(101, decision, 3600.0, head=100.02, sent=7, received=5))
    found = counters.snapshot()

    assert found.number(figures.TUNNELS) == 1
    assert found.values[figures.REQUESTS] == {("websocket", "granted", "1xx"): (1,)}
    assert (found.number(figures.REQUEST_BYTES, "websocket"), found.number(figures.RESPONSE_BYTES, "websocket")) == (5, 7)
    *buckets, seconds = found.values[figures.DURATION]["websocket",]
    assert buckets == [0, 0, 1] + [0] * (len(DURATION_BOUNDS) - 2)
    assert seconds == pytest.approx(0.02)


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.004, 0), (0.006, 1), (0.02, 2), (9.9, 13), (11.0, 14), (1e6, 14)])
def test_a_duration_is_counted_in_the_first_bucket_that_holds_it(seconds: float, bucket: int) -> None:
    counters = Counters()
    counters.add(record(200, REFUSED, seconds))
    *buckets, total = counters.snapshot().values[figures.DURATION]["actual",]

    assert buckets.index(1) == bucket
    assert sum(buckets) == 1
    assert total == pytest.approx(seconds)


def test_every_way_in_which_an_upstream_fails_is_there_before_it_has() -> None:
    counters = Counters()
    counters.add(record(504, REFUSED, problem=problems.UPSTREAM_RESPONSE_TIMEOUT))
    found = counters.snapshot()

    assert found.number(figures.UPSTREAM_ERRORS, "response_timeout") == 1
    assert {labels: sum(value) for labels, value in found.values[figures.UPSTREAM_ERRORS].items()} == {
        (word,): int(word == "response_timeout") for word in UPSTREAM_FAILURES.values()
    }


def test_no_status_of_an_upstream_can_make_the_figures_grow_without_bound() -> None:
    counters = Counters()
    for status in range(100, 1000):
        counters.add(record(status, REFUSED))
    assert len(counters._cells) == 9
