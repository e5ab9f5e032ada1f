"""Durations and sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy import problems
from corsproxy.config.units import format_size, parse_duration, parse_size
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
    "1m30s": ("`1m30s` is not a duration", "write `90s`"),
    "": ("`` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"),
    "s": ("`s` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"),
    "1e3s": ("`1e3s` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"),
    "٣s": ("`٣s` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"),
}

GOOD_SIZES = {
    "512B": 512,
    "16KiB": 16384,
    "10MB": 10_000_000,
    "1GiB": 1024**3,
    "2KB": 2000,
    "1.5MiB": 1_572_864,
    "0.5KB": 500,
    "3GB": 3_000_000_000,
    "0": 0,
    "0B": 0,
}

BAD_SIZES = {
    "512": ("`512` lacks a unit", "write `512B` or `512KiB`"),
    "1.5": ("`1.5` lacks a unit", "write `1.5B` or `1.5KiB`"),
    "16 KiB": ("`16 KiB` is not how a size is spelled", "write `16KiB`"),
    "16kib": ("`16kib` is not how a size is spelled", "write `16KiB`"),
    "16Ki": ("`16Ki` is not how a size is spelled", "write `16KiB`"),
    "16k": ("`16k` is not how a size is spelled", "write `16KiB` or `16KB`"),
    "10m": ("`10m` is not how a size is spelled", "write `10MiB` or `10MB`"),
    "1G": ("`1G` is not how a size is spelled", "write `1GiB` or `1GB`"),
    "10mb": ("`10mb` is not how a size is spelled", "write `10MB`"),
    "10Mb": ("`10Mb` is not how a size is spelled", "write `10MB`"),
    "10 bytes": ("`10 bytes` is not how a size is spelled", "write `10B`"),
    "0.3KiB": ("`0.3KiB` is no whole number of bytes", "write `307B`"),
    "0.1B": ("`0.1B` is no whole number of bytes", "write `1B`"),
    "1PB": ("`PB` is not a unit of size", "write `1KiB`; the units are `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`"),
    "-1": ("`-1` is not a size", "write a number and a unit: `512B`, `16KiB`, `10MB`, `1GiB`"),
    "KiB": ("`KiB` is not a size", "write a number and a unit: `512B`, `16KiB`, `10MB`, `1GiB`"),
    "": ("`` is not a size", "write a number and a unit: `512B`, `16KiB`, `10MB`, `1GiB`"),
    "1e3B": ("`1e3B` is not a size", "write a number and a unit: `512B`, `16KiB`, `10MB`, `1GiB`"),
    "1_000B": ("`1_000B` is not a size", "write a number and a unit: `512B`, `16KiB`, `10MB`, `1GiB`"),
    "٣KB": ("`٣KB` is not a size", "write a number and a unit: `512B`, `16KiB`, `10MB`, `1GiB`"),
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


@pytest.mark.parametrize(("text", "size"), GOOD_SIZES.items())
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "said"), BAD_SIZES.items())
def test_any_other_size_says_what_to_write(text: str, said: tuple[str, str]) -> None:
    assert parse_size(text) == Fault(problems.BAD_UNIT, (), *said)


@pytest.mark.parametrize(
    ("size", "text"),
    {
        0: "0B",
        1: "1B",
        1000: "1KB",
        1024: "1KiB",
        65536: "64KiB",
        10**7: "10MB",
        1500: "1500B",
        1024**3: "1GiB",
        1024**4: "1024GiB",
    }.items(),
)
def test_a_size_is_written_in_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 10**12 - 1))
def test_a_size_that_is_written_reads_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.text(max_size=30))
def test_no_text_is_too_odd(text: str) -> None:
    assert isinstance(parse_duration(text), float | Fault)
    assert isinstance(parse_duration(text, bare_seconds=True), float | Fault)
    assert isinstance(parse_size(text), int | Fault)
