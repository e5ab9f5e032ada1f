"""The line that a person reads: aligned, coloured where that is wanted, and nothing that was sent can play tricks with it."""

import re

import pytest

from corsproxy import problems
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.observe.text import format_text
from corsproxy.record import ExchangeRecord
from tests.unit.observe.exchanges import ALLOWED, ORIGIN, REFUSED, forwarded, record

CLOCK = re.compile(r"\d\d:\d\d:\d\d ")


def said(made: ExchangeRecord, width: int = 0) -> str:
    """What stands behind the clock."""
    line = format_text(made, width=width)
    found = CLOCK.match(line)
    assert found
    return line[found.end() :]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "200 GET     250.0ms /orders?page=2&token=REDACTED"),
        ({"decision": Decision(Kind.NOT_CORS, Reason.NO_ORIGIN), "target": b"/"}, "200 GET     250.0ms /"),
        ({"decision": ALLOWED, "target": b"/", "sent": 25_000}, "200 GET     250.0ms /                         from https://app.example.com, 24 KiB"),
        (
            {
                "method": b"OPTIONS",
                "target": b"/",
                "status": 204,
                "decision": Decision(Kind.PREFLIGHT, Reason.PREFLIGHT_GRANTED, granted=True, origin=ORIGIN, requested_method=b"PUT"),
                "ended": 10.0003,
            },
            "204 OPTIONS   0.3ms /                         from https://app.example.com, preflight for PUT",
        ),
        (
            {"decision": REFUSED, "reason": "origin-refused", "problem": problems.ORIGIN_REFUSED, "status": 403, "request_id": "abcdefgh", "target": b"/"},
            "403 GET     250.0ms /                         CP301 origin not allowed  from https://evil.example, id abcdefgh",
        ),
        (
            {
                "decision": Decision(Kind.PREFLIGHT, Reason.PREFLIGHT_HEADER_REFUSED, origin=ORIGIN, subject=b"x-debug"),
                "reason": "preflight-header-refused",
                "problem": problems.ORIGIN_REFUSED,
                "status": 403,
                "target": b"/",
            },
            "403 GET     250.0ms /                         CP301 origin not allowed  from https://app.example.com, preflight-header-refused x-debug",
        ),
        (
            {"decision": ALLOWED, "problem": problems.UPSTREAM_REFUSED, "failure": "connecting to 127.0.0.1:9", "status": 502, "request_id": "abcdefgh"},
            "502 GET     250.0ms /orders?page=2&token=REDACTED  CP401 upstream refused the connection  connecting to 127.0.0.1:9, id abcdefgh",
        ),
        ({"status": 0, "problem": problems.CLIENT_GONE, "target": b"/"}, "--- GET     250.0ms /                         CP502 client went away"),
        (
            {"status": 101, "decision": ALLOWED, "received": 1200, "sent": 99_000_000, "ended": 71.0, "target": b"/"},
            "101 GET       61.0s /                         from https://app.example.com, WebSocket, 1.2 KiB up, 94 MiB",
        ),
        (
            {"decision": Decision(Kind.ACTUAL, Reason.ORIGIN_REFUSED, origin=ORIGIN), "retries": 2, "target": b"/"},
            "200 GET     250.0ms /                         origin-refused  from https://app.example.com, tried again 2 times",
        ),
        ({"client": "203.0.113.9", "target": b"/"}, "200 GET     250.0ms /                         by 203.0.113.9"),
        ({"client": "::1", "target": b"/"}, "200 GET     250.0ms /"),
        ({"problem": problems.BAD_REQUEST, "status": 400, "reason": "unparsable", "method": b"", "target": b"", "ended": 10.0},
         "400           0.0ms                           CP305 request refused  unparsable"),
        ({"ended": 10_000.0, "target": b"/"}, "200 GET      166min /"),
    ],
)  # fmt: skip
def test_lines(changes: dict[str, object], expected: str) -> None:
    assert said(record(**changes)).replace(problems.BAD_REQUEST.title, "request refused") == expected


@pytest.mark.parametrize("sent", [b"/\x1b[2J", b"/a\nb", b"/\xe2\x80\xae", b"/\x9b1A"])
def test_control_characters_are_escaped(sent: bytes) -> None:
    assert said(record(target=sent)).isprintable()


def test_a_path_that_is_too_long_for_the_screen_loses_its_middle() -> None:
    made = record(target=b"/" + b"x" * 98 + b"/last")

    assert len(format_text(made, width=80)) == 80
    assert said(made, width=80).endswith("/last")
    assert "…" not in format_text(made, width=200)


def test_on_a_narrow_screen_the_path_keeps_some_room() -> None:
    made = forwarded(target=b"/" + b"x" * 98)

    assert re.search(r"ms /x+…x+  CP411", said(made, width=60))


@pytest.mark.parametrize(("status", "colour"), [(101, "36"), (204, "32"), (302, "36"), (404, "33"), (502, "1;31"), (0, "33")])
def test_the_status_has_a_colour(status: int, colour: str) -> None:
    line = format_text(record(status=status), colour=True)

    assert f" \x1b[{colour}m{status or '---'}\x1b[0m GET" in line


def test_without_its_colours_a_line_is_the_same() -> None:
    made = forwarded()

    assert re.sub(r"\x1b\[[\d;]*m", "", format_text(made, colour=True)) == format_text(made)


def test_what_a_browser_hides_is_told_apart_although_its_status_is_fine() -> None:
    decision = Decision(Kind.PREFLIGHT, Reason.PREFLIGHT_METHOD_REFUSED, granted=True, origin=ORIGIN, subject=b"DELETE")
    line = format_text(record(status=204, decision=decision, reason="preflight-method-refused", target=b"/"), colour=True)

    assert "\x1b[33mpreflight-method-refused DELETE\x1b[0m  \x1b[2mfrom https://app.example.com\x1b[0m" in line
