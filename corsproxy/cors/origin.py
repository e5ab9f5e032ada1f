"""
Serialized origins, exactly as browsers send them.

It knows the syntax and one right spelling per origin; it never mends a value that came over the wire.
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

# An origin of a browser is far shorter; the bound keeps every later match cheap.
MAX_ORIGIN_BYTES: Final = 300

NULL: Final = b"null"
DEFAULT_PORTS: Final = {b"http": 80, b"https": 443, b"ws": 80, b"wss": 443, b"ftp": 21}

_ORIGIN: Final = re.compile(
    rb"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::(?P<port>[1-9][0-9]{0,4}))?",
)
# > deviation characters (UTS 46 6, table 4)
_DEVIATIONS: Final = frozenset("ßẞς\u200c\u200d")
_ONE_TEXT: Final = re.compile("[^, ]*")
_ONE_SLASH: Final = re.compile(r"(https?):/?([a-z0-9_.-]*[a-z_-][a-z0-9_.-]*(?::[0-9]+)?)", re.IGNORECASE)
# Old Android web views send this for pages loaded from a file.
_FILE_ORIGIN: Final = b"file://"


@dataclass(frozen=True, slots=True)
class Origin:
    """A tuple origin: scheme and host lower-case; `port` is None where it is the scheme's default."""

    scheme: bytes
    host: bytes
    port: int | None

    @property
    def effective_port(self) -> int | None:
        """The port that a connection would use, as far as the scheme tells."""
        return self.port if self.port is not None else DEFAULT_PORTS.get(self.scheme)

    def serialize(self) -> bytes:
        """
        Write the origin as browsers send it.

        Spec: HTML #ascii-serialisation-of-an-origin.
        """
        return b"%b://%b" % (self.scheme, self.host) + (b":%d" % self.port if self.port is not None else b"")


def parse_origin(value: bytes) -> Origin | None:
    """
    Read one serialized tuple origin; None if the value is not spelled as a browser spells it.

    Pure; never raises. `null` is not a tuple origin. No lower-casing, no trimming, no default port taken
    off: a browser never sends such a spelling, so whatever sent it must not be taken for one.

    Spec: Fetch #origin-header; HTML #ascii-serialisation-of-an-origin; URL #host-serializing.
    """
    # The bound comes before the cache, so that nobody can fill memory with long keys.
    return _parse(value) if len(value) <= MAX_ORIGIN_BYTES else None


@lru_cache(maxsize=512)
def _parse(value: bytes) -> Origin | None:
    match = _ORIGIN.fullmatch(value)
    if match is None:
        return Origin(b"file", b"", None) if value == _FILE_ORIGIN else None
    scheme, host, digits = match.group("scheme", "host", "port")
    port = int(digits) if digits else None
    if port is not None and (port > 65535 or port == DEFAULT_PORTS.get(scheme)):
        return None
    if not _is_serialized_host(host):
        return None
    return Origin(scheme, host, port)


def _is_serialized_host(host: bytes) -> bool:
    if host.startswith(b"["):
        try:
            # > An IPv6 address is serialized compressed. (URL #concept-ipv6-serializer)
            return _serialize_ipv6(host[1:-1]) == host
        except ValueError:
            return False
    if not looks_like_ipv4(host):
        return True
    try:
        return str(ipaddress.IPv4Address(host.decode())).encode() == host
    except ValueError:
        return False


def looks_like_ipv4(host: bytes) -> bool:
    """
    Tell whether a URL parser would read this host as an IPv4 address: its last label is a number.

    Spec: URL #ends-in-a-number-checker.
    """
    labels = host.removesuffix(b".").split(b".")
    last = labels[-1]
    return last.isdigit() or re.fullmatch(rb"0x[0-9a-f]*", last) is not None


def _serialize_ipv6(address: bytes) -> bytes:
    # `compressed` writes ::ffff:1.2.3.4 in dotted form on new Pythons; browsers write hexadecimal groups.
    packed = ipaddress.IPv6Address(address.decode()).packed
    groups = [packed[i] << 8 | packed[i + 1] for i in range(0, 16, 2)]
    start, length = _longest_zero_run(groups)
    if length < 2:
        return b"[" + b":".join(b"%x" % g for g in groups) + b"]"
    left, right = groups[:start], groups[start + length :]
    return b"[" + b":".join(b"%x" % g for g in left) + b"::" + b":".join(b"%x" % g for g in right) + b"]"


def _longest_zero_run(groups: list[int]) -> tuple[int, int]:
    best = (0, 0)
    start = 0
    while start < len(groups):
        end = start
        while end < len(groups) and groups[end] == 0:
            end += 1
        if end - start > best[1]:
            best = (start, end - start)
        start = max(end, start + 1)
    return best


def respell(text: str) -> tuple[bytes | None, str]:
    """
    Say what is wrong with an origin that a person wrote, and how it should be spelled.

    Returns (the right spelling or None, the reason as a lower-case clause). For origins that are
    spelled well the reason is empty.

    Spec: HTML #ascii-serialisation-of-an-origin; URL #concept-ipv4-parser.
    """
    value = text.encode("utf-8", "replace")
    if parse_origin(value) is not None:
        return value, ""
    if not text.isascii():
        return _respell_idna(text), "browsers send host names in ASCII (punycode)"
    if not _ONE_TEXT.fullmatch(text):
        spaced = text != text.strip()
        return (_respelled(text.strip()), "there are spaces around it") if spaced else (None, "an origin holds no space and no comma")
    if "://" not in text:
        if match := _ONE_SLASH.fullmatch(text):
            return _respelled(f"{match[1]}://{match[2]}"), "two slashes stand behind the scheme"
        return _respelled(f"https://{text}"), "the scheme is missing"
    scheme, _, rest = text.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    host = authority.rpartition("@")[2]
    guess = _respelled(f"{scheme}://{host}")
    if "@" in authority:
        return guess, "an origin has no user name or password"
    if tail == "/":
        return guess, "an origin ends without a slash"
    if tail:
        return guess, "an origin has no path, query or fragment"
    return guess, _odd_host(scheme, host, is_repaired=guess is not None)


def _odd_host(scheme: str, host: str, *, is_repaired: bool) -> str:
    name, _, port = host.rpartition(":") if re.search(r":[0-9]*$", host) else (host, "", "")
    if (scheme + host).lower() != scheme + host:
        return "browsers send scheme and host in lower case"
    # Python refuses to read thousands of digits.
    number = int(port) if port.isdigit() and len(port) <= 7 else None
    if number is not None and number == DEFAULT_PORTS.get(scheme.encode()):
        return f"browsers leave out the default port {number} of {scheme}"
    if port.isdigit() and (number is None or not 0 < number < 65536):
        return f"there is no port {port}"
    if port.startswith("0"):
        return "browsers send the port without leading zeros"
    if looks_like_ipv4(name.encode()) or name.startswith("["):
        return "browsers send an IP address in its shortest usual form" if is_repaired else "this is no IP address"
    return "this is not a scheme, a host and a port"


def _respelled(text: str) -> bytes | None:
    """Return the spelling that a browser would send for a nearly right origin, if there is one."""
    scheme, _, rest = text.lower().partition("://")
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d{0,7}))?", rest)
    if match is None:
        return None
    host, digits = match.group(1).encode(), match.group(2)
    port = int(digits) if digits else None
    if port == DEFAULT_PORTS.get(scheme.encode()):
        port = None
    try:
        if host.startswith(b"["):
            host = _serialize_ipv6(host[1:-1])
        elif looks_like_ipv4(host):
            host = _serialize_ipv4(host)
    except ValueError:
        return None
    value = Origin(scheme.encode(), host, port).serialize()
    return value if parse_origin(value) is not None else None


def _serialize_ipv4(host: bytes) -> bytes:
    """
    Read the odd forms that URL parsers know: 0x7f.1, 0177.0.0.1, 2130706433.

    Raises ValueError if it is none. Spec: URL #concept-ipv4-parser.
    """
    parts = [_ipv4_number(part) for part in host.removesuffix(b".").split(b".")]
    if len(parts) > 4 or any(part > 255 for part in parts[:-1]) or parts[-1] >= 256 ** (5 - len(parts)):
        raise ValueError(host)
    number = parts[-1] + sum(part * 256 ** (3 - place) for place, part in enumerate(parts[:-1]))
    return str(ipaddress.IPv4Address(number)).encode()


def _ipv4_number(part: bytes) -> int:
    # int() also takes signs, spaces and underscores; URL parsers take none of them.
    if not part.isalnum():
        raise ValueError(part)
    if part.startswith(b"0x"):
        return int(part[2:] or b"0", 16)
    return int(part, 8) if len(part) > 1 and part.startswith(b"0") else int(part)


def _respell_idna(text: str) -> bytes | None:
    # Python's codec is IDNA 2003: it maps these to other names than browsers do, and digits of other scripts to ports.
    if not _DEVIATIONS.isdisjoint(text) or any(c.isdigit() and not c.isascii() for c in text):
        return None
    try:
        return _respelled(text.encode("idna").decode() if "://" not in text else _idna_url(text))
    except (UnicodeError, ValueError):
        return None


def _idna_url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    host, colon, port = rest.partition(":")
    return f"{scheme}://{host.encode('idna').decode()}{colon}{port}"
