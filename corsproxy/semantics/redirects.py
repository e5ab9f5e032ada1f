"""
Location, Content-Location and Refresh: which references name the upstream, and what they are called from outside.

References are read as browsers read them (URL Standard), for a value that browsers and RFC 3986 take for different places
is what open redirects are made of. What is not plainly the upstream's is never changed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

_DEFAULT_PORTS: Final = {b"http": 80, b"https": 443}
_NO_ORIGINS: Final[frozenset[bytes]] = frozenset()

# > Remove any leading and trailing C0 control or space from input. Remove all ASCII tab or newline from input.
# > (URL #concept-basic-url-parser)
_C0_OR_SPACE: Final = bytes(range(0x21))
_TAB_OR_NEWLINE: Final = b"\t\n\r"
# Exactly two slashes, no user information, nothing after the port that could belong to a host: all parsers agree on these.
_AUTHORITY: Final = re.compile(
    rb"(?:(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?):)?//(?P<host>[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{0,5}))?(?=[/?#]|\Z)"
)
_HOST_AND_PORT: Final = re.compile(rb"(?P<host>[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{0,5}))?")
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:|[/\\]{2}")
_TAIL: Final = re.compile(rb"[?#]")
# > If c is U+005C (\) and url is special … (URL #path-state); > a single-dot or double-dot URL path segment (URL #single-dot-path-segment)
_RESOLVED_BY_BROWSERS: Final = re.compile(rb"\\|/(?:\.|%2[Ee]){1,2}(?:/|\Z)")
# HTML #shared-declarative-refresh-steps: seconds, one separator, perhaps `url=`, perhaps a quote.
_REFRESH: Final = re.compile(
    rb"[\t\n\f\r ]*[0-9.]+(?:[\t\n\f\r ]+[;,]?|[;,])[\t\n\f\r ]*(?:[Uu][Rr][Ll][\t\n\f\r ]*=[\t\n\f\r ]*)?(?P<quote>[\"']?)"
)


@dataclass(frozen=True, slots=True)
class Places:
    """
    Where the upstream is, and what it is called from outside.

    `authorities`: from upstream_authorities(). `base` is the upstream's path and `stripped` the prefix that the route took
    off, without slashes at their ends, empty for none. `public`: the serialized origin of the public URL; without it every
    reference is written path-only.
    """

    authorities: frozenset[bytes]
    base: bytes = b""
    stripped: bytes = b""
    public: bytes = b""


class _Reference(NamedTuple):
    """A path with what follows it, and the origins that it may be at; none for a path-only reference."""

    origins: frozenset[bytes]
    path: bytes
    tail: bytes


def upstream_authorities(authority: bytes, tls: bool, sent_host: bytes) -> frozenset[bytes]:  # noqa: FBT001
    """
    List the origins that mean the upstream, each with its port: of its own authority, and of the Host that we sent.

    Either scheme with the same port; the default port of the one scheme stands for that of the other too. What is no host
    and port names nothing.

    Spec: RFC 9110 4.2.3, 7.2.
    """
    default = b"443" if tls else b"80"
    found: set[bytes] = set()
    for name in (authority, sent_host):
        match = _HOST_AND_PORT.fullmatch(name)
        if match is not None:
            host, port = match.group("host", "port")
            found |= _origins(None, host, port)
            if not port or int(port) == int(default):
                found |= _origins(None, host, b"") | _origins(None, host, default)
    return frozenset(found)


def rewrite_location(value: bytes, places: Places) -> bytes:
    """
    Rewrite a Location or Content-Location that names the upstream to what the client calls the same place.

    Pure; never raises. The upstream's path is taken off and the stripped prefix put back, whole segments only: the very
    inverse of what was done to the request's path, once. (So an upstream that writes the prefix itself wants its
    references kept.) Path-only stays path-only. What lies outside of the upstream's path cannot be reached, and stays as
    it is, byte for byte, like everything that does not name the upstream and every relative reference.

    Spec: RFC 9110 10.2.2, 8.7; RFC 3986 4.2; URL #concept-basic-url-parser.
    """
    reference = _read(value)
    if reference is None:
        return value
    is_path_only = not reference.origins
    if places.base == places.stripped if is_path_only else reference.origins.isdisjoint(places.authorities):
        return value
    path = _public_path(reference.path, places)
    if path is None:
        return value
    if places.public and not is_path_only:
        return places.public + path + reference.tail
    # > a path … cannot begin with two slash characters [without an authority] (RFC 3986 3.3): they would name a host.
    return (b"/." if path.startswith(b"//") else b"") + path + reference.tail


def rewrite_refresh(value: bytes, places: Places) -> bytes:
    """
    Rewrite the URL in a Refresh field, as rewrite_location() does; all around it keeps its bytes.

    Spec: HTML #shared-declarative-refresh-steps.
    """
    match = _REFRESH.match(value)
    if match is None:
        return value
    quote, start = match.group("quote"), match.end()
    end = value.find(quote, start) if quote else len(value)
    if end < 0:
        end = len(value)
    url = value[start:end]
    public = rewrite_location(url, places)
    if public is url:
        return value
    if quote:
        public = public.replace(quote, b"%%%02X" % ord(quote))
    return value[:start] + public + value[end:]


def leaves(value: bytes, places: Places, own: Iterable[bytes] = ()) -> bool:
    """
    Tell whether a Location, as the upstream wrote it, will lead to another origin than ours.

    `own` are serialized origins of ours, beside the public one. A place at the upstream that the proxy cannot reach is
    another origin; so is what browsers and RFC 3986 read in different ways.

    Spec: Fetch #http-redirect-fetch (a cross-origin hop makes the next Origin `null`).
    """
    if _ABSOLUTE.match(_clean(value)) is None:
        return False
    reference = _read(value)
    if reference is None:
        return True
    if not reference.origins.isdisjoint(places.authorities) and _public_path(reference.path, places) is not None:
        return False
    ours = (_read(origin) for origin in (places.public, *own))
    return all(reference.origins.isdisjoint(origin.origins) for origin in ours if origin is not None)


def _clean(value: bytes) -> bytes:
    return value.strip(_C0_OR_SPACE).translate(None, _TAB_OR_NEWLINE)


def _read(value: bytes) -> _Reference | None:
    """Read a path-only reference, or one with a plain authority; None for all others."""
    text = _clean(value)
    match = _AUTHORITY.match(text)
    if match is not None:
        origins = _origins(*match.group("scheme", "host", "port"))
        text = text[match.end() :]
    elif text[:1] == b"/" and text[1:2] not in (b"/", b"\\"):
        origins = _NO_ORIGINS
    else:
        return None
    tail = _TAIL.search(text)
    end = len(text) if tail is None else tail.start()
    return _Reference(origins, text[:end] or b"/", text[end:])


def _origins(scheme: bytes | None, host: bytes, port: bytes | None) -> frozenset[bytes]:
    """Write the origins with their ports: of that scheme, or of both."""
    schemes = (scheme.lower(),) if scheme else (b"http", b"https")
    return frozenset([b"%b://%b:%d" % (each, host.lower(), int(port) if port else _DEFAULT_PORTS[each]) for each in schemes])


def _public_path(path: bytes, places: Places) -> bytes | None:
    """Map a path back; None for one that lies outside of the upstream's."""
    if _RESOLVED_BY_BROWSERS.search(path) is not None:
        # `/base/../x` only looks as if it were below the base.
        path = _resolve(path)
    base = places.base
    if path != base and not path.startswith(base + b"/"):
        return None
    return places.stripped + path[len(base) :] or b"/"


def _resolve(path: bytes) -> bytes:
    """
    Remove dot segments as browsers do.

    Spec: URL #path-state.
    """
    resolved: list[bytes] = []
    segments = path.replace(b"\\", b"/").split(b"/")[1:]
    for place, segment in enumerate(segments, 1):
        dots = segment.lower().replace(b"%2e", b".")
        if dots not in (b".", b".."):
            resolved.append(segment)
            continue
        if dots == b".." and resolved:
            resolved.pop()
        if place == len(segments):
            resolved.append(b"")
    return b"/" + b"/".join(resolved)
