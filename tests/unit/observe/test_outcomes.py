"""The words of metrics: a closed set, and each in its place."""

import pytest

from corsproxy import problems
from corsproxy.cors.decide import Kind, Reason
from corsproxy.observe.outcomes import UPSTREAM_FAILURES, Outcome, is_rate_limited, outcome_of
from corsproxy.problems import Stage, catalogue


@pytest.mark.parametrize(
    ("kind", "reason", "refused", "outcome"),
    [
        (Kind.NOT_CORS, Reason.NO_ORIGIN, False, Outcome.NONE),
        (Kind.ACTUAL, Reason.SAME_ORIGIN, False, Outcome.NONE),
        (Kind.ACTUAL, Reason.ORIGIN_ALLOWED, False, Outcome.GRANTED),
        (Kind.ACTUAL, Reason.ORIGIN_REFUSED, True, Outcome.REFUSED),
        (Kind.ACTUAL, Reason.ORIGIN_REFUSED, False, Outcome.WITHHELD),
        (Kind.ACTUAL, Reason.METHOD_REFUSED, False, Outcome.WITHHELD),
        (Kind.ACTUAL, Reason.CORS_NONE, True, Outcome.REFUSED),
        (Kind.ACTUAL, Reason.CORS_PASSTHROUGH, False, Outcome.PASSTHROUGH),
        (Kind.PREFLIGHT, Reason.PREFLIGHT_GRANTED, False, Outcome.GRANTED),
        (Kind.PREFLIGHT, Reason.ORIGIN_REFUSED, True, Outcome.REFUSED),
        # They get the true lists, so that the browser's console can say what is missing.
        (Kind.PREFLIGHT, Reason.PREFLIGHT_HEADER_REFUSED, False, Outcome.REFUSED),
        (Kind.PREFLIGHT, Reason.PREFLIGHT_METHOD_MALFORMED, False, Outcome.REFUSED),
        (Kind.WEBSOCKET, Reason.ORIGIN_ALLOWED, False, Outcome.GRANTED),
        (Kind.WEBSOCKET, Reason.ORIGIN_MALFORMED, True, Outcome.REFUSED),
    ],
)
def test_what_a_decision_came_to(kind: Kind, reason: Reason, refused: bool, outcome: Outcome) -> None:  # noqa: FBT001
    assert outcome_of(kind, reason, refused=refused) is outcome


def test_every_decision_has_a_word() -> None:
    assert {outcome_of(kind, reason, refused=refused) for kind in Kind for reason in Reason for refused in (True, False)} == set(Outcome)


def test_every_way_in_which_an_upstream_can_fail_has_a_word_of_its_own() -> None:
    failures = {code for code, problem in catalogue().items() if problem.stage is Stage.UPSTREAM}

    assert set(UPSTREAM_FAILURES) == failures | {problems.UPSTREAM_POOL_FULL.code}
    assert len(set(UPSTREAM_FAILURES.values())) == len(UPSTREAM_FAILURES)


def test_only_429_says_that_somebody_asks_too_often() -> None:
    assert not is_rate_limited(problems.OVERLOADED)
    assert {problem.status for problem in catalogue().values() if is_rate_limited(problem)} <= {429}
