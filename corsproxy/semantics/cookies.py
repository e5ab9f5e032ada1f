"""
Set-Cookie as browsers read it: attributes, name prefixes, and what makes a browser drop a cookie.

A line is cut where browsers cut it, at each semicolon, inside of quotes too. A cookie's value is never changed, and never
returned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_WSP: Final = b" \t"
# > If the attribute-value is longer than 1024 octets … ignore the cookie-av (RFC 6265bis 5.6)
_MAX_ATTRIBUTE_BYTES: Final = 1024
# > If the sum of the lengths of the name string and the value string is more than 4096 octets … ignore (RFC 6265bis 5.6)
_MAX_PAIR_BYTES: Final = 4096
# > a %x00-08 / %x0A-1F / %x7F character (CTL characters excluding HTAB) (RFC 6265bis 5.6)
_CONTROLS: Final = bytes([*range(0x09), *range(0x0A, 0x20), 0x7F])
_PREFIXES: Final = (b"__secure-", b"__host-", b"__http-")


@dataclass(frozen=True, slots=True)
class CookieRules:
    """
    What is changed in a Set-Cookie line.

    `same_site` is `None`, `Lax` or `Strict`, or empty to keep the cookie's own; `None` implies `secure`, and so does
    `partitioned`. `secure` and `partitioned` add what is missing and take nothing away. `domain`: None keeps the
    attribute, an empty one removes it, any other replaces its value where one stands (a host-only cookie stays host-only).
    `path` maps Path back through a PathMap.
    """

    same_site: bytes = b""
    secure: bool = False
    partitioned: bool = False
    domain: bytes | None = None
    path: bool = True


@dataclass(frozen=True, slots=True)
class PathMap:
    """
    What happened to a request's path: the route's prefix `stripped` off, the upstream's path `base` put before the rest.

    Both begin with a slash and end without one, or are empty.
    """

    base: bytes = b""
    stripped: bytes = b""


class CookieFault(StrEnum):
    """Why a browser drops a cookie."""

    EMPTY = "empty"  # neither name nor value
    CONTROL_CHARACTER = "control-character"
    TOO_LONG = "too-long"
    NAMELESS_PREFIX = "nameless-prefix"  # no name, and a value that a server would take for a prefixed name
    NONE_WITHOUT_SECURE = "none-without-secure"
    PARTITIONED_WITHOUT_SECURE = "partitioned-without-secure"
    SECURE_PREFIX = "secure-prefix"  # `__Secure-` asks for Secure
    HOST_PREFIX = "host-prefix"  # `__Host-` asks for Secure, Path=/ and no Domain
    HTTP_PREFIX = "http-prefix"  # `__Http-` and `__Host-Http-` ask for Secure and HttpOnly
    SECURE_OVER_HTTP = "secure-over-http"
    FOREIGN_DOMAIN = "foreign-domain"  # Domain is not the host that the client sees, nor one above it
    SAME_SITE = "same-site"  # set by the answer to a cross-site request, and not SameSite=None


class _Line:
    """A Set-Cookie line in pieces; attributes are found by their lower-case names."""

    __slots__ = ("_attributes", "_is_changed", "_names", "_pair", "content", "name")

    def __init__(self, value: bytes) -> None:
        self._pair, *self._attributes = value.split(b";")
        self._names = [attribute.partition(b"=")[0].strip(_WSP).lower() for attribute in self._attributes]
        self._is_changed = False
        # > If the name-value-pair string lacks a %x3D ("=") character, then the name string is empty (RFC 6265bis 5.6)
        before, equals, after = self._pair.partition(b"=")
        self.name = before.strip(_WSP) if equals else b""
        self.content = (after if equals else before).strip(_WSP)

    def attribute(self, name: bytes) -> bytes | None:
        """Return the value that counts for browsers, the last one that is not too long; None without one."""
        place = self._counting(name)
        return None if place is None else self._value(place)

    def put(self, name: bytes, spelling: bytes, value: bytes) -> None:
        """Leave exactly one attribute of that name, with that value, where the one that counted stood."""
        place = self._counting(name)
        if place is None:
            self.remove(name)
            self.append(b"%b=%b" % (spelling, value))
            return
        if self._value(place) != value:
            self._attributes[place] = b"%b=%b" % (self._attributes[place].partition(b"=")[0].rstrip(_WSP), value)
            self._is_changed = True
        self._keep([other for other, found in enumerate(self._names) if found != name or other == place])

    def remove(self, name: bytes) -> None:
        self._keep([place for place, found in enumerate(self._names) if found != name])

    def append(self, attribute: bytes) -> None:
        if self._attributes and not self._attributes[-1].strip(_WSP):
            self._keep(range(len(self._names) - 1))
        self._attributes.append(b" " + attribute)
        self._names.append(attribute.partition(b"=")[0].lower())
        self._is_changed = True

    def serialize(self, unchanged: bytes) -> bytes:
        return b";".join([self._pair, *self._attributes]) if self._is_changed else unchanged

    def _keep(self, places: Sequence[int]) -> None:
        if len(places) != len(self._names):
            self._attributes = [self._attributes[place] for place in places]
            self._names = [self._names[place] for place in places]
            self._is_changed = True

    def _counting(self, name: bytes) -> int | None:
        if name not in self._names:
            return None
        for place in range(len(self._names) - 1, -1, -1):
            if self._names[place] == name and len(self._value(place)) <= _MAX_ATTRIBUTE_BYTES:
                return place
        return None

    def _value(self, place: int) -> bytes:
        return self._attributes[place].partition(b"=")[2].strip(_WSP)


def cookie_name(value: bytes) -> bytes:
    """
    Return the cookie's name, for people; empty for a cookie without one. Its bytes are the upstream's, unchecked.

    Spec: RFC 6265bis 5.6.
    """
    name, equals, _ = value.partition(b";")[0].partition(b"=")
    return name.strip(_WSP) if equals else b""


def rewrite_set_cookie(value: bytes, rules: CookieRules, paths: PathMap) -> bytes:
    """
    Rewrite one Set-Cookie line by the rules.

    Pure; never raises. Whatever no rule changes keeps its bytes, its place and its spelling, and a line that nothing changes
    is returned itself. Of a repeated attribute that a rule sets, one is left. A `__Host-` cookie keeps its Domain and
    Path, without which browsers drop it. A cookie without Path needs nothing: the browser takes the directory of the public
    URL, which is the upstream's directory mapped back.

    Spec: RFC 6265bis 4.1.3, 5.6, 5.7; CHIPS.
    """
    maps_path = rules.path and paths.base != paths.stripped
    # > If the cookie's same-site-flag is "None" [and] secure-only-flag is false, abort (RFC 6265bis 5.7); CHIPS asks the same of Partitioned.
    secure = rules.secure or rules.partitioned or rules.same_site == b"None"
    if not (maps_path or secure or rules.same_site or rules.domain is not None):
        return value
    line = _Line(value)
    if not line.name and not line.content:
        return value
    if not line.name.lower().startswith(b"__host-"):
        _rewrite_scope(line, rules, paths if maps_path else None)
    if rules.same_site:
        # Values compare without case: `samesite=none` says it already.
        has = line.attribute(b"samesite") or b""
        line.put(b"samesite", b"SameSite", has if has.lower() == rules.same_site.lower() else rules.same_site)
    if secure and line.attribute(b"secure") is None:
        line.append(b"Secure")
    if rules.partitioned and line.attribute(b"partitioned") is None:
        line.append(b"Partitioned")
    return line.serialize(value)


def _rewrite_scope(line: _Line, rules: CookieRules, paths: PathMap | None) -> None:
    if rules.domain == b"":
        line.remove(b"domain")
    elif rules.domain is not None and line.attribute(b"domain"):
        line.put(b"domain", b"Domain", rules.domain)
    path = line.attribute(b"path") if paths is not None else None
    # > If the attribute-value is empty or if the first character of the attribute-value is not "/", let cookie-path be the
    # > default-path (RFC 6265bis 5.6.4)
    if paths is not None and path is not None and path.startswith(b"/"):
        public = _public_path(path, paths)
        if public != path:
            line.put(b"path", b"Path", public)


def _public_path(path: bytes, paths: PathMap) -> bytes:
    """Map the Path back so that it covers, of what the proxy reaches, what it covered at the upstream."""
    base = paths.base
    if path == base or path.startswith(base + b"/"):
        rest = path[len(base) :]
    elif base.startswith(path if path.endswith(b"/") else path + b"/"):
        # A Path above the base covers all of it.
        rest = b""
    else:
        return path
    # The upstream's `/` is the route's prefix with and without a slash; `/reports/` would not cover `/reports`.
    return paths.stripped + (b"" if rest == b"/" else rest) or b"/"


def cookie_fault(value: bytes, *, is_secure_transport: bool, host: bytes = b"", is_cross_site: bool = False) -> CookieFault | None:
    """
    Say why a browser would drop the cookie; None if it would keep it.

    Pure; never raises. Judge the line that the client gets. `is_secure_transport`: https as the browser sees it, or a local
    host that browsers trust. `host`: the host of the public URL, without a port; empty leaves Domain unjudged. `is_cross_site`:
    the answer goes to a cross-site request that is no navigation. Public suffixes and third-party blocking are not judged.

    Spec: RFC 6265bis 5.6, 5.7; CHIPS.
    """
    line = _Line(value)
    if value.translate(None, _CONTROLS) != value:
        return CookieFault.CONTROL_CHARACTER
    if not line.name and not line.content:
        return CookieFault.EMPTY
    if len(line.name) + len(line.content) > _MAX_PAIR_BYTES:
        return CookieFault.TOO_LONG
    if not line.name and line.content.lower().startswith(_PREFIXES):
        return CookieFault.NAMELESS_PREFIX
    is_secure = line.attribute(b"secure") is not None
    same_site = (line.attribute(b"samesite") or b"").lower()
    if not is_secure and (fault := _fault_without_secure(line, same_site)) is not None:
        return fault
    if (fault := _prefix_fault(line)) is not None:
        return fault
    if is_secure and not is_secure_transport:
        return CookieFault.SECURE_OVER_HTTP
    domain = (line.attribute(b"domain") or b"").removeprefix(b".").lower()
    if host and domain and not (host.lower() == domain or host.lower().endswith(b"." + domain)):
        return CookieFault.FOREIGN_DOMAIN
    # > If the cookie was received from … a cross-site request [that is no top-level navigation] … ignore the cookie (RFC 6265bis 5.7)
    return CookieFault.SAME_SITE if is_cross_site and same_site != b"none" else None


def _fault_without_secure(line: _Line, same_site: bytes) -> CookieFault | None:
    if same_site == b"none":
        return CookieFault.NONE_WITHOUT_SECURE
    if line.attribute(b"partitioned") is not None:
        return CookieFault.PARTITIONED_WITHOUT_SECURE
    # > matched case-insensitively (RFC 6265bis 5.4)
    return CookieFault.SECURE_PREFIX if line.name.lower().startswith(b"__secure-") else None


def _prefix_fault(line: _Line) -> CookieFault | None:
    name = line.name.lower()
    if not name.startswith(b"__"):
        return None
    is_secure = line.attribute(b"secure") is not None
    # > [`__Host-`:] the secure-only-flag set, the host-only-flag set, and a Path attribute whose value is "/" (RFC 6265bis 5.4)
    is_host_only = is_secure and line.attribute(b"path") == b"/" and not line.attribute(b"domain")
    if name.startswith(b"__host-") and not is_host_only:
        return CookieFault.HOST_PREFIX
    is_http = is_secure and line.attribute(b"httponly") is not None
    return CookieFault.HTTP_PREFIX if name.startswith((b"__http-", b"__host-http-")) and not is_http else None
