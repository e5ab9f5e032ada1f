"""
What is said of a rate limit: how many requests in how much time, how many at once, and whose requests are counted together.

It knows how that is written; it counts nothing.
"""

import re
from dataclasses import dataclass
from typing import Final

from corsproxy import problems
from corsproxy.problems import Fault
from corsproxy.semantics.fields import FORWARDING, READ_BY_CGI, is_other_forwarding
from corsproxy.semantics.tokens import is_token

# More in a second than one process can answer.
MAX_RATE: Final = 1_000_000
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_RATE: Final = re.compile("([0-9]{1,12})/([smh])")
# `10r/s` is nginx's, `100/minute` is Django's and Flask's, `5 per hour` is prose.
_LIKELY: Final = re.compile(r"([0-9]{1,12})(?:\.[0-9]+)? ?(?:r|req|requests)? ?(?:/|p|per )? ?([a-z]*)")
_UNITS: Final = {"s": "s", "sec": "s", "second": "s", "m": "m", "min": "m", "minute": "m", "h": "h", "hour": "h", "hr": "h", "": ""}
_LONGER: Final = {"d": 24, "day": 24, "w": 168, "week": 168}
# Up to here an `s` at a unit's end is no plural.
_SHORT: Final = 2

CLIENT_IP: Final = "client_ip"
ORIGIN: Final = "origin"
_HEADER: Final = "header:"
_OTHER_CLIENT_IP: Final = frozenset(
    {"ip", "client", "address", "client_address", "remote_addr", "remote_ip", "peer", "source_ip", "clientip"}
)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    count: int
    period_s: int


@dataclass(frozen=True, slots=True)
class RateLimit:
    """
    How many requests may go upstream: `burst` at once, and `rate` in the long run.

    Requests with the same value of `field` (lower-case) are counted together; b"" counts by the client's address.
    """

    rate: Rate
    burst: int
    field: bytes = b""


def parse_rate(text: str) -> Rate | Fault:
    """
    Read a rate (`100/s`, `600/m`, `1000/h`); a Fault (with an empty path) says what is wrong.

    Pure; never raises.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        return Fault(problems.BAD_UNIT, (), f"`{text}` is not a rate", _meant(text.strip().lower()))
    count = int(match[1])
    if not 0 < count <= MAX_RATE:
        bound = f"{MAX_RATE}/{match[2]} at most" if count else "a rate above zero"
        help_ = "take `rate_limit` out for no limit" if count else "write `cors: none`, or take the route out, to let nobody through"
        return Fault(problems.OUT_OF_RANGE, (), f"`rate` takes {bound}, and this is `{text}`", help_)
    return Rate(count, _SECONDS[match[2]])


def _meant(plain: str) -> str:
    match = _LIKELY.fullmatch(plain)
    usual = "write requests and a time: `100/s`, `600/m` or `1000/h`"
    if match is None or not int(match[1]):
        return usual
    count, word = match[1], match[2].removesuffix("s") if len(match[2]) > _SHORT else match[2]
    if word in _LONGER:
        return f"write `{max(1, int(count) // _LONGER[word])}/h`: there is no longer unit"
    if "." in plain or word not in _UNITS:
        return usual
    return f"write `{count}/{_UNITS[word]}`" if word else f"write `{count}/s` or `{count}/m`"


def format_rate(rate: Rate) -> str:
    """Write a rate as the file has it."""
    unit = next(unit for unit, seconds in _SECONDS.items() if seconds == rate.period_s)
    return f"{rate.count}/{unit}"


def parse_counted_by(text: str) -> bytes | Fault:
    """
    Read whose requests are counted together, as the name of a field in lower case, b"" for the client's address.

    Pure; never raises. A Fault has an empty path.
    """
    if text == CLIENT_IP:
        return b""
    if text == ORIGIN:
        return ORIGIN.encode()
    name = text.removeprefix(_HEADER).encode("utf-8", "replace")
    if text.startswith(_HEADER) and is_token(name):
        # To WSGI, CGI and PHP, `X_Forwarded_For` is the same field.
        lower = name.lower()
        read = lower.translate(READ_BY_CGI)
        if read in FORWARDING or is_other_forwarding(read):
            help_ = "write `by: client_ip`, and name the proxies in front under `trusted_proxies`"
            return Fault(problems.BAD_RATE_KEY, (), f"any client can write what it likes into `{name.decode()}`", help_)
        return lower
    return Fault(problems.BAD_RATE_KEY, (), f"requests cannot be counted by `{text}`", _meant_key(text))


def _meant_key(text: str) -> str:
    plain = text.strip().lower().replace("-", "_").replace(" ", "_")
    name = text.partition(":")[2].strip()
    if plain in _OTHER_CLIENT_IP or plain == CLIENT_IP:
        return f"write `{CLIENT_IP}`"
    if plain.startswith("header") and is_token(name.encode("utf-8", "replace")):
        return f"write `{_HEADER}{name}`, without a space"
    if is_token(text.encode("utf-8", "replace")) and "-" in text:
        return f"write `{_HEADER}{text}`"
    return f"use `{CLIENT_IP}`, `{ORIGIN}`, or a field as `{_HEADER}X-Api-Key`"
