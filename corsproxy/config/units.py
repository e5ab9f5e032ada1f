"""
Units of time and of size, written out.

It knows how durations and sizes are spelled and why a bare number is neither; it does not know which key takes one.
"""

import re
from typing import TYPE_CHECKING, Final

from corsproxy import problems
from corsproxy.problems import Fault

if TYPE_CHECKING:
    from decimal import Decimal

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
# Units that are none, in hours: a day is not always 24 hours long.
_LONGER: Final = {"d": 24, "day": 24, "days": 24, "w": 168, "week": 168, "weeks": 168}
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
# Go and systemd join units, ISO 8601 writes `PT1M30S`.
_JOINED: Final = re.compile(r"(?:PT)?((?:[0-9]{1,12}(?:\.[0-9]{1,6})?(?:ms|[hms]) ?)+)", re.IGNORECASE)
_PART: Final = re.compile(r"([0-9.]+)(ms|[hms])", re.IGNORECASE)
_OFF: Final = frozenset({"off", "no", "none", "false", "never", "disabled"})
_ENDLESS: Final = frozenset({"infinite", "infinity", "inf", "unlimited", "forever", "-1"})
_A_DURATION: Final = "write a number and a unit: `500ms`, `15s`, `10m`, `2h`"
_A_SIZE: Final = "write a number and a unit: `512B`, `16KiB`, `10MB`, `1GiB`"


def parse_duration(text: str, *, bare_seconds: bool = False, longest: str = "") -> float | Fault:
    """
    Read a duration (`250ms`, `15s`, `1.5h`) as seconds; a Fault (with an empty path) says what is wrong.

    Pure; never raises. With `bare_seconds` a number without a unit counts seconds. Negative durations are
    returned as they are: the key that takes one says what its range is. Nothing above `longest` is suggested.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        return Fault(problems.BAD_UNIT, (), f"`{text}` is not a duration", _meant_duration(text, longest, bare_seconds=bare_seconds))
    sign, digits, unit = match.groups()
    number = float(sign + digits)
    if not unit and (bare_seconds or number == 0):
        return number
    if not unit:
        return Fault(problems.BAD_UNIT, (), f"`{text}` lacks a unit", f"write `{sign}{digits}s` or `{sign}{digits}ms`")
    if unit in _SECONDS and " " not in text:
        return number * _SECONDS[unit]
    if unit.lower() in _LONGER:
        hours = float(digits) * _LONGER[unit.lower()]
        counted = "days" if unit.lower().startswith("d") else "weeks"
        return Fault(
            problems.BAD_UNIT, (), f"`{text}` counts {counted}, which is no unit here", f"write {_bounded(sign, hours * 3600, longest)}"
        )
    known = unit if unit in _SECONDS else _OTHER_NAMES.get(unit.lower(), unit.lower())
    if known in _SECONDS:
        return Fault(problems.BAD_UNIT, (), f"`{text}` is not how a duration is spelled", f"write `{sign}{digits}{known}`")
    return Fault(problems.BAD_UNIT, (), f"`{unit}` is not a unit of time", f"write `{sign}{digits}s`, or use `ms`, `m` or `h`")


def format_duration(seconds: float) -> str:
    """Write a time in the largest unit that leaves it whole: `24h`, `90s`, `1500ms`."""
    ms = round(seconds * 1000)
    unit = next(unit for unit, length in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)) if ms % length == 0)
    return f"{ms // round(_SECONDS[unit] * 1000)}{unit}"


def _bounded(sign: str, seconds: float, longest: str) -> str:
    most = parse_duration(longest) if longest else seconds
    if isinstance(most, float) and seconds > most:
        return f"`{longest}`, the longest that can be"
    return f"`{sign}{format_duration(seconds)}`"


def _meant_duration(text: str, longest: str, *, bare_seconds: bool) -> str:
    """Say what to write instead of something that is no number with a unit."""
    plain = text.strip().lower()
    if plain in _OFF and bare_seconds:
        return "write `0` for none"
    if plain in _OFF | _ENDLESS:
        return f"write a time; the longest is `{longest}`" if longest else _A_DURATION
    number, hash_, comment = text.partition("#")
    if hash_ and _DURATION.fullmatch(number.strip()):
        return f"write `{number.strip()}  # {comment.strip()}`: a comment needs a space before its `#`"
    if _DURATION.fullmatch(text.replace(",", ".")):
        return f"write `{text.replace(',', '.')}`"
    if match := _JOINED.fullmatch(text):
        parts = [(part[1], part[2].lower()) for part in _PART.finditer(match[1])]
        total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        return f"write {_bounded('', total, longest)}"
    return _A_DURATION


def parse_size(text: str) -> int | Fault:
    """
    Read a size (`512B`, `16KiB`, `1.5MB`) as bytes; a Fault (with an empty path) says what is wrong.

    Pure; never raises. `KiB`, `MiB` and `GiB` are powers of 1024; `KB`, `MB` and `GB` powers of 1000.

    Spec: IEC 80000-13 (binary prefixes).
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        return Fault(problems.BAD_UNIT, (), f"`{text}` is not a size", _meant_size(text))
    digits, unit = match.groups()
    if not unit and not digits.strip("0."):
        return 0
    if not unit:
        return Fault(problems.BAD_UNIT, (), f"`{text}` lacks a unit", f"write `{digits}B` or `{digits}KiB`")
    if unit in _BYTES and " " not in text:
        whole, _, part = digits.partition(".")
        scale: int = 10 ** len(part)
        size, rest = divmod(int(whole + part) * _BYTES[unit], scale)
        if rest:
            nearest = max(1, round(_times(digits, _BYTES[unit])))
            return Fault(problems.BAD_UNIT, (), f"`{text}` is no whole number of bytes", f"write `{nearest}B`")
        return size
    if unit.lower() in _OTHER_SIZES:
        meant = " or ".join(f"`{digits}{name}`" for name in _OTHER_SIZES[unit.lower()])
        return Fault(problems.BAD_UNIT, (), f"`{text}` is not how a size is spelled", f"write {meant}")
    likely = {"m": "MB", "g": "GB"}.get(unit[0].lower(), "KiB")
    meant = f"{_times(digits, 1000):f}GB" if unit.lower() in ("t", "tb") else digits + likely
    return Fault(
        problems.BAD_UNIT,
        (),
        f"`{unit}` is not a unit of size",
        f"write `{meant}`; the units are `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`",
    )


def _times(digits: str, factor: int) -> "Decimal":
    from decimal import Decimal  # noqa: PLC0415 - half a MiB, for mistakes alone

    return Decimal(digits) * factor


def _meant_size(text: str) -> str:
    number, hash_, comment = text.partition("#")
    if hash_ and _SIZE.fullmatch(number.strip()):
        return f"write `{number.strip()}  # {comment.strip()}`: a comment needs a space before its `#`"
    return f"write `{text.replace(',', '.')}`" if _SIZE.fullmatch(text.replace(",", ".")) else _A_SIZE


def format_size(size: int) -> str:
    """Write a number of bytes in the largest unit that leaves it whole, powers of 1024 first: `16KiB`, `10MB`, `512B`."""
    units = sorted(_BYTES, key=lambda unit: (not unit.endswith("iB"), -_BYTES[unit]))
    unit = next(unit for unit in units if (size % _BYTES[unit] == 0 and size >= _BYTES[unit]) or unit == "B")
    return f"{size // _BYTES[unit]}{unit}"
