"""
Units of time, written out.

It knows how durations are spelled and why a bare number is none; it does not know which key takes one.
"""

import re
from typing import Final

from corsproxy import problems
from corsproxy.problems import Fault

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# What people write elsewhere, and what it is called here.
_OTHER_NAMES: Final = {
    "msec": "ms",
    "millis": "ms",
    "milliseconds": "ms",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "min": "m",
    "mins": "m",
    "minute": "m",
    "minutes": "m",
    "hour": "h",
    "hours": "h",
    "hr": "h",
    "hrs": "h",
}
_DURATION: Final = re.compile(r"(-?)([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-zµ]*)")


def parse_duration(text: str, *, bare_seconds: bool = False) -> float | Fault:
    """
    Read a duration (`250ms`, `15s`, `1.5h`) as seconds; a Fault (with an empty path) says what is wrong.

    Pure; never raises. With `bare_seconds` a number without a unit counts seconds. Negative durations are
    returned as they are: the key that takes one says what its range is.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        return Fault(problems.BAD_UNIT, (), f"`{text}` is not a duration", "write a number and a unit: `500ms`, `15s`, `10m`, `2h`")
    sign, digits, unit = match.groups()
    number = float(sign + digits)
    if not unit and (bare_seconds or number == 0):
        return number
    if not unit:
        return Fault(problems.BAD_UNIT, (), f"`{text}` lacks a unit", f"write `{sign}{digits}s` or `{sign}{digits}ms`")
    if unit in _SECONDS and " " not in text:
        return number * _SECONDS[unit]
    if unit.lower() in ("d", "day", "days"):
        hours = f"{float(digits) * 24:.6f}".rstrip("0").rstrip(".")
        return Fault(problems.BAD_UNIT, (), f"`{text}` counts days, which is no unit here", f"write `{sign}{hours}h`")
    known = unit if unit in _SECONDS else _OTHER_NAMES.get(unit.lower(), unit.lower())
    if known in _SECONDS:
        return Fault(problems.BAD_UNIT, (), f"`{text}` is not how a duration is spelled", f"write `{sign}{digits}{known}`")
    return Fault(problems.BAD_UNIT, (), f"`{unit}` is not a unit of time", f"write `{sign}{digits}s`, or use `ms`, `m` or `h`")
