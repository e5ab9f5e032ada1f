"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy import problems
from corsproxy.config.units import parse_duration
from corsproxy.problems import Fault

GOOD = {"250ms": 0.25, "15s": 15.0, "10m": 600.0, "2h": 7200.0, "1.5s": 1.5, "0.5m": 30.0, "0s": 0.0, "0": 0.0, "-5s": -5.0}

BAD = {
    "5": ("`5` lacks a unit", "write `5s` or `5ms`"),
    "1.5": ("`1.5` lacks a unit", "write `1.5s` or `1.5ms`"),
    "5 s": ("`5 s` is not how a duration is spelled", "write `5s`"),
    "5sec": ("`5sec` is not how a duration is spelled", "write `5s`"),
    "5S": ("`5S` is not how a duration is spelled", "write `5s`"),
    "10minutes": ("`10minutes` is not how a duration is spelled", "write `10m`"),
    "100msec": ("`100msec` is not how a duration is spelled", "write `100ms`"),
    "3hours": ("`3hours` is not how a duration is spelled", "write `3h`"),
    "1d": ("`1d` counts days, which is no unit here", "write `24h`"),
    "0.5 days": ("`0.5 days` counts days, which is no unit here", "write `12h`"),
    "5µs": ("`µs` is not a unit of time", "write `5s`, or use `ms`, `m` or `h`"),
    "1m30s": ("`1m30s` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"),
    "": ("`` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"),
    "s": ("`s` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"),
    "1e3s": ("`1e3s` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"),
    "٣s": ("`٣s` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"),
}


@pytest.mark.parametrize(("text", "seconds"), GOOD.items())
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "said"), BAD.items())
def test_anything_else_says_what_to_write(text: str, said: tuple[str, str]) -> None:
    assert parse_duration(text) == Fault(problems.BAD_UNIT, (), *said)


def test_a_bare_number_counts_seconds_only_where_it_may() -> None:
    assert parse_duration("90", bare_seconds=True) == pytest.approx(90.0)
    assert isinstance(parse_duration("90"), Fault)


@given(st.text(max_size=30))
def test_no_text_is_too_odd(text: str) -> None:
    assert isinstance(parse_duration(text), float | Fault)
    assert isinstance(parse_duration(text, bare_seconds=True), float | Fault)
