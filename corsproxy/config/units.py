"""
Units of time and of size, written out.

It knows how durations and sizes are spelled and why a bare number is neither; it does not know which key takes one.
"""

import re
from decimal import Decimal
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
_BYTES: Final = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
# `16k` is 16384 to nginx and Apache, and 16000 to Kubernetes; `16Ki` is Kubernetes' own.
_OTHER_SIZES: Final = {
    "k": ("KiB", "KB"),
    "m": ("MiB", "MB"),
    "g": ("GiB", "GB"),
    "ki": ("KiB",),
    "mi": ("MiB",),
    "gi": ("GiB",),
    "byte": ("B",),
    "bytes": ("B",),
} | {unit.lower(): (unit,) for unit in _BYTES}
_SIZE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]*)")
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


def parse_size(text: str) -> int | Fault:
    """
    Read a size (`512B`, `16KiB`, `1.5MB`) as bytes; a Fault (with an empty path) says what is wrong.

    Pure; never raises. `KiB`, `MiB` and `GiB` are powers of 1024; `KB`, `MB` and `GB` powers of 1000.

    Spec: IEC 80000-13 (binary prefixes).
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        return Fault(problems.BAD_UNIT, (), f"`{text}` is not a size", "write a number and a unit: `512B`, `16KiB`, `10MB`, `1GiB`")
    digits, unit = match.groups()
    if not unit and Decimal(digits) == 0:
        return 0
    if not unit:
        return Fault(problems.BAD_UNIT, (), f"`{text}` lacks a unit", f"write `{digits}B` or `{digits}KiB`")
    if unit in _BYTES and " " not in text:
        number = Decimal(digits) * _BYTES[unit]
        if number != int(number):
            return Fault(problems.BAD_UNIT, (), f"`{text}` is no whole number of bytes", f"write `{max(1, round(number))}B`")
        return int(number)
    if unit.lower() in _OTHER_SIZES:
        meant = " or ".join(f"`{digits}{name}`" for name in _OTHER_SIZES[unit.lower()])
        return Fault(problems.BAD_UNIT, (), f"`{text}` is not how a size is spelled", f"write {meant}")
    return Fault(
        problems.BAD_UNIT, (), f"`{unit}` is not a unit of size", f"write `{digits}KiB`, or use `B`, `KB`, `MB`, `GB`, `MiB` or `GiB`"
    )


def format_size(size: int) -> str:
    """Write a number of bytes in the largest unit that leaves it whole, powers of 1024 first: `16KiB`, `10MB`, `512B`."""
    units = sorted(_BYTES, key=lambda unit: (not unit.endswith("iB"), -_BYTES[unit]))
    unit = next(unit for unit in units if (size % _BYTES[unit] == 0 and size >= _BYTES[unit]) or unit == "B")
    return f"{size // _BYTES[unit]}{unit}"
