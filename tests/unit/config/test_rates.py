"""Rates, and what requests are counted by, as people write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.config import patterns
from corsproxy.config.rates import Rate, format_rate, parse_counted_by, parse_rate
from corsproxy.problems import BAD_RATE_KEY, BAD_UNIT, OUT_OF_RANGE, Fault

GOOD = {"100/s": Rate(100, 1), "600/m": Rate(600, 60), "1000/h": Rate(1000, 3600), "1/h": Rate(1, 3600), "1000000/s": Rate(1_000_000, 1)}
USUAL = "write requests and a time: `100/s`, `600/m` or `1000/h`"
BAD = {
    "100": "write `100/s` or `100/m`",
    "100 / s": "write `100/s`",
    "10/hrs": "write `10/h`",
    "100/sec": "write `100/s`",
    "100r/s": "write `100/s`",
    "10 requests per second": "write `10/s`",
    "10/minute": "write `10/m`",
    "10/minutes": "write `10/m`",
    "5 per hour": "write `5/h`",
    "100/S": "write `100/s`",
    "240/d": "write `10/h`: there is no longer unit",
    "3/day": "write `1/h`: there is no longer unit",
    "1.5/s": USUAL,
    "10/ms": USUAL,
    "-1/s": USUAL,
    "": USUAL,
    "fast": USUAL,
    "none": USUAL,
    "0": USUAL,
    "\u0663/s": USUAL,
}


@pytest.mark.parametrize("text", GOOD)
def test_a_rate_is_requests_in_a_time(text: str) -> None:
    found = parse_rate(text)

    assert found == GOOD[text]
    assert format_rate(found) == text
    assert re.fullmatch(patterns.RATE, text)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_rate_says_what_to_write(text: str) -> None:
    assert parse_rate(text) == Fault(BAD_UNIT, (), f"`{text}` is not a rate", BAD[text])
    assert not re.fullmatch(patterns.RATE, text)


@pytest.mark.parametrize("text", ["0/s", "1000001/s", "999999999999/h"])
def test_a_rate_has_its_bounds(text: str) -> None:
    found = parse_rate(text)

    assert isinstance(found, Fault)
    assert found.problem is OUT_OF_RANGE


KEYS = {
    "client_ip": b"",
    "origin": b"origin",
    "header:X-Api-Key": b"x-api-key",
    "header:Authorization": b"authorization",
    "header:origin": b"origin",
}
BAD_KEYS = {
    "ip": "write `client_ip`",
    "Client-IP": "write `client_ip`",
    "remote addr": "write `client_ip`",
    "header": "use `client_ip`, `origin`, or a field as `header:X-Api-Key`",
    "header:": "use `client_ip`, `origin`, or a field as `header:X-Api-Key`",
    "header: X-Api-Key": "write `header:X-Api-Key`, without a space",
    "Header:X-Api-Key": "write `header:X-Api-Key`, without a space",
    "X-Api-Key": "write `header:X-Api-Key`",
    "cookie:session": "use `client_ip`, `origin`, or a field as `header:X-Api-Key`",
    "": "use `client_ip`, `origin`, or a field as `header:X-Api-Key`",
    "\ud800": "use `client_ip`, `origin`, or a field as `header:X-Api-Key`",
}


@pytest.mark.parametrize("text", KEYS)
def test_requests_are_counted_by_an_address_an_origin_or_a_field(text: str) -> None:
    assert parse_counted_by(text) == KEYS[text]
    assert re.fullmatch(patterns.RATE_KEY, text)


@pytest.mark.parametrize("text", BAD_KEYS)
def test_by_anything_else_they_are_not(text: str) -> None:
    assert parse_counted_by(text) == Fault(BAD_RATE_KEY, (), f"requests cannot be counted by `{text}`", BAD_KEYS[text])
    assert not re.fullmatch(patterns.RATE_KEY, text)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "Forwarded", "X-Real-IP", "X-Forwarded-User"])
def test_a_field_in_which_clients_name_themselves_limits_nobody(name: str) -> None:
    found = parse_counted_by(f"header:{name}")

    assert isinstance(found, Fault)
    assert found.problem is BAD_RATE_KEY
    assert found.help == "write `by: client_ip`, and name the proxies in front under `trusted_proxies`"


@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    assert isinstance(parse_rate(text), Rate | Fault)
    assert isinstance(parse_counted_by(text), bytes | Fault)
