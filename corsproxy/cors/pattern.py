"""
Which origins an entry of `allow_origins` stands for.

It knows the four forms (exact, any subdomain, any port, regex) and compiles them; it does not know policies.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from corsproxy import problems
from corsproxy.cors.origin import NULL, Origin, looks_like_ipv4, parse_origin, respell
from corsproxy.cors.regex import Regex, RegexRefused
from corsproxy.problems import Fault

_WILDCARD_HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
# Hosts that never leave the machine: what a browser calls potentially trustworthy (Secure Contexts 3.1).
_LOOPBACK_HOST: Final = re.compile(rb"localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\]")


class PatternKind(StrEnum):
    """The forms that an entry can have."""

    EXACT = "exact"
    WILDCARD = "wildcard"
    REGEX = "regex"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """
    One entry of `allow_origins`, compiled.

    `text` is the entry as written. For wildcards `suffix` is `.example.com` or empty, and `host` the exact
    host when only the port is free. Build it with `parse_pattern`.
    """

    text: str
    kind: PatternKind
    scheme: bytes = b""
    host: bytes = b""
    suffix: bytes = b""
    port: int | None = None
    any_port: bool = False
    regex: Regex | None = None

    def matches(self, serialized: bytes, origin: Origin | None) -> bool:
        """
        Tell whether a request's origin matches.

        Pure. `origin` is `parse_origin(serialized)`; None matches nothing but the entry `null`.

        Spec: Fetch #origin-header (comparison by bytes).
        """
        match self.kind:
            case PatternKind.EXACT | PatternKind.NULL:
                return serialized == self.text.encode()
            case PatternKind.REGEX:
                return origin is not None and self.regex is not None and self.regex.fullmatch(serialized)
        return origin is not None and self._matches_wildcard(origin)

    def _matches_wildcard(self, origin: Origin) -> bool:
        if origin.scheme != self.scheme or not (self.any_port or origin.port == self.port):
            return False
        if not self.suffix:
            return origin.host == self.host
        # `.example.com` itself is no subdomain, and an empty label in front is none either.
        head = origin.host.removesuffix(self.suffix)
        return head != origin.host and bool(head) and not head.startswith(b".") and not head.endswith(b".")

    @property
    def is_insecure(self) -> bool:
        """Whether it lets in http origins of hosts that are not loopback (Secure Contexts 3.1)."""
        if self.kind is PatternKind.REGEX:
            return self.regex is not None and self.regex.may_start_with(b"http://")
        if self.kind is PatternKind.WILDCARD:
            name = self.host or self.suffix.removeprefix(b".")
            return self.scheme == b"http" and _LOOPBACK_HOST.fullmatch(name) is None
        origin = parse_origin(self.text.encode())
        return origin is not None and origin.scheme == b"http" and _LOOPBACK_HOST.fullmatch(origin.host) is None


_EXAMPLES: Final = "write `https://*.example.com` for any subdomain, `http://localhost:*` for any port, or a `regex:`"


def parse_pattern(text: str, *, regex: bool = False) -> OriginPattern | Fault:
    """
    Compile one entry of `allow_origins`; a Fault (with an empty path) says what is wrong with it.

    The entry `*` is not a pattern: policies know it.

    Spec: HTML #ascii-serialisation-of-an-origin.
    """
    if regex:
        if text.startswith("/"):
            return Fault(
                problems.REGEX_SUBSET, (), f"`{text}` begins with a slash, and no origin does", f"write `{_without_slashes(text)}`"
            )
        try:
            return OriginPattern(text, PatternKind.REGEX, regex=Regex(text))
        except RegexRefused as refused:
            return Fault(problems.REGEX_SUBSET, (), f"at character {refused.position + 1} of `{text}`: {refused}", refused.help)
    if text == NULL.decode():
        return OriginPattern(text, PatternKind.NULL)
    if "*" in text:
        return _parse_wildcard(text)
    right, reason = respell(text)
    if reason:
        return Fault(problems.ORIGIN_SPELLING, (), f"`{text}` never matches: {reason}", spelling_help(text, right))
    return OriginPattern(text, PatternKind.EXACT)


def spelling_help(text: str, right: bytes | None) -> str:
    """Say how to write an origin, whose right spelling may not be known."""
    if right:
        return f"write `{right.decode()}`"
    parts = [respell(part)[0] for part in re.split("[, ]+", text) if part]
    if len(parts) > 1 and None not in parts:
        return "write one origin an entry: " + ", ".join(f"`{part.decode()}`" for part in parts if part)
    return "write scheme and host, as `https://app.example.com`"


def _without_slashes(text: str) -> str:
    """Take off what JavaScript puts around a pattern, and the anchors."""
    plain = re.sub(r"/[a-z]*\Z", "", text.removeprefix("/")).replace("\\/", "/")
    return plain.removeprefix("^").removesuffix("$")


def _parse_wildcard(text: str) -> OriginPattern | Fault:
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        help_ = (
            f"write `https://{rest}`, and `http://{rest}` if that is meant too"
            if "*" in scheme
            else f"list the origins, as `{scheme}://app`"
        )
        return Fault(problems.BAD_WILDCARD, (), f"`{text}` has a wildcard with a scheme other than http and https", help_)
    any_port = rest.endswith(":*")
    host_and_port = rest.removesuffix(":*")
    any_subdomain = host_and_port.startswith("*.")
    plain = host_and_port.removeprefix("*.")
    if not separator or "*" in plain or not plain or not (any_subdomain or any_port):
        return Fault(problems.BAD_WILDCARD, (), f"`{text}` has a `*` that stands for nothing", _wildcard_help(text))
    right, reason = respell(f"{scheme}://{plain}")
    origin = parse_origin(f"{scheme}://{plain}".encode()) if not reason else None
    if origin is None:
        spelled = f"write `{_with_wildcards(right, any_subdomain=any_subdomain, any_port=any_port)}`" if right else _EXAMPLES
        return Fault(problems.ORIGIN_SPELLING, (), f"`{text}` never matches: {reason}", spelled)
    if any_port and origin.port is not None:
        return Fault(problems.BAD_WILDCARD, (), f"`{text}` names a port and any port", _either_port(text, origin.port))
    if any_subdomain and (origin.host.startswith(b"[") or looks_like_ipv4(origin.host)):
        return Fault(
            problems.BAD_WILDCARD,
            (),
            f"`{text}` has a wildcard before an IP address, which has no subdomains",
            f"write `{right.decode() if right else ''}`",
        )
    if any_subdomain and _WILDCARD_HOST.fullmatch(origin.host.decode()) is None:
        return Fault(problems.BAD_WILDCARD, (), f"`{text}` has an empty label in its host name", "write `https://*.example.com`")
    return OriginPattern(
        text,
        PatternKind.WILDCARD,
        scheme=origin.scheme,
        host=b"" if any_subdomain else origin.host,
        suffix=b"." + origin.host if any_subdomain else b"",
        port=origin.port,
        any_port=any_port,
    )


def _either_port(text: str, port: int) -> str:
    return f"write `{text.removesuffix(':*')}`, or `{text.removesuffix(f':{port}:*')}:*` for any port"


def _wildcard_help(text: str) -> str:
    if text.startswith("*."):
        return f"write the scheme too: `https://{text}`"
    if text.startswith(("/", "^")) or "\\" in text:
        return f"write it as a pattern: `- regex: '{_without_slashes(text)}'`"
    scheme, separator, rest = text.partition("://")
    if not separator:
        return 'write `"*"` alone for any origin, or name scheme and host: `https://*.example.com`'
    if rest == "*":
        return f'write `"*"` alone for any origin, or name the domain: `{scheme}://*.example.com`'
    if rest.endswith("/*") and "*" not in rest[:-1]:
        return f"write `{scheme}://{rest.partition('/')[0]}`: an origin has no path"
    if re.fullmatch(r"\*[a-z0-9-]+\.[a-z0-9.-]+", rest):
        # Without the dot, `https://*example.com` would stand for a name that anybody can have: `evilexample.com`.
        return f"write `{scheme}://*.{rest[1:]}` for any subdomain"
    return _EXAMPLES


def _with_wildcards(right: bytes, *, any_subdomain: bool, any_port: bool) -> str:
    scheme, _, rest = right.decode().partition("://")
    return f"{scheme}://{'*.' if any_subdomain else ''}{rest}{':*' if any_port else ''}"
