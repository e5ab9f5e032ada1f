"""When a request may be sent a second time, case by case."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from corsproxy.resilience.retry import Attempt, may_retry

# A GET on a connection that had served before, and that ended before the first byte of an answer: the race that everybody meets.
STALE = Attempt(b"GET", has_body=False, connected=True, reused=True, received=False, timed_out=False, number=1)
UNCONNECTED = replace(STALE, connected=False, reused=False)


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


@table(
    {
        "GET on a stale connection": (STALE, True),
        "HEAD on a stale connection": (replace(STALE, method=b"HEAD"), True),
        "OPTIONS on a stale connection": (replace(STALE, method=b"OPTIONS"), True),
        "GET with a body: it is gone": (replace(STALE, has_body=True), False),
        "POST on a stale connection": (replace(STALE, method=b"POST"), False),
        "PATCH on a stale connection": (replace(STALE, method=b"PATCH"), False),
        "PUT on a stale connection": (replace(STALE, method=b"PUT"), False),
        "DELETE on a stale connection": (replace(STALE, method=b"DELETE"), False),
        "get in lower case is no method that we know": (replace(STALE, method=b"get"), False),
        "GET on a fresh connection": (replace(STALE, reused=False), False),
        "GET after a byte of the answer": (replace(STALE, received=True), False),
        "GET after a timeout": (replace(STALE, timed_out=True), False),
        "the second attempt": (replace(STALE, number=2), False),
        "no connection: nothing was sent": (UNCONNECTED, True),
        "no connection, POST": (replace(UNCONNECTED, method=b"POST"), True),
        "no connection, POST with a body that is still here": (replace(UNCONNECTED, method=b"POST", has_body=True), True),
        "no connection in time": (replace(UNCONNECTED, timed_out=True), False),
        "no connection twice": (replace(UNCONNECTED, number=2), False),
    }
)
def test_a_request_is_sent_again_only_if_it_cannot_have_had_an_effect(case: Any) -> None:
    attempt, expected = case

    assert may_retry(attempt, 1) is expected


def test_without_retries_there_is_none() -> None:
    assert not may_retry(STALE, 0)
    assert not may_retry(UNCONNECTED, 0)


def test_the_number_of_retries_is_the_number_of_retries() -> None:
    assert [may_retry(replace(UNCONNECTED, number=number), 2) for number in (1, 2, 3)] == [True, True, False]
