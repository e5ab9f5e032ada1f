"""Counts of what happened."""

from corsproxy import problems
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.observe.counters import Counters
from corsproxy.record import ExchangeRecord


def test_every_exchange_is_counted_once_by_status_decision_and_problem() -> None:
    counters = Counters()
    decision = Decision(Kind.ACTUAL, Reason.ORIGIN_REFUSED, refused=True)
    for _ in range(2):
        counters.add(
            ExchangeRecord(0, 0, b"GET", b"/", "", status=403, decision=decision, problem=problems.ORIGIN_REFUSED, sent=10, received=3)
        )
    counters.add(ExchangeRecord(0, 0, b"GET", b"/", "", status=200, retries=1))
    counters.add(ExchangeRecord(0, 0, b"GET", b"/", "", status=101, sent=5))

    assert (counters.exchanges, counters.tunnels) == (4, 1)
    assert counters.statuses == {403: 2, 200: 1, 101: 1}
    assert counters.decisions == {("actual", "origin-refused"): 2}
    assert counters.problems == {"CP301": 2}
    assert (counters.received, counters.sent, counters.retries) == (6, 25, 1)
