"""
Lists of origins as sets: what one lets in that another does not.

Exact origins and wildcards are decided. Whether a regular expression lets in nothing but what a list does is not: that is said as such.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from corsproxy.cors.origin import parse_origin
from corsproxy.cors.origins import ANY, find_entry
from corsproxy.cors.pattern import OriginPattern, PatternKind


@dataclass(frozen=True, slots=True)
class OriginSet:
    """The origins that a list lets in. `places` says of each entry where it stands, in the order of `patterns`."""

    any_origin: bool = False
    patterns: tuple[OriginPattern, ...] = ()
    places: tuple[str, ...] = ()

    def holds(self, serialized: bytes) -> bool:
        """Tell whether one origin is let in. Pure."""
        exact = frozenset(each.text.encode() for each in self.patterns if each.kind in (PatternKind.EXACT, PatternKind.NULL))
        return find_entry(self.any_origin, self.patterns, exact, serialized) is not None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a list that another list does not cover. `is_certain`: it lets in something that the other does not."""

    text: str
    is_certain: bool
    place: str = ""


def beyond(new: OriginSet, old: OriginSet) -> tuple[Entry, ...]:
    """Return the entries of one list that let in, or may let in, what another does not. Pure."""
    return tuple(_beyond(new, old))


def _beyond(new: OriginSet, old: OriginSet) -> Iterator[Entry]:
    if old.any_origin:
        return
    if new.any_origin:
        yield Entry(ANY, is_certain=True, place=new.places[0] if new.places else "")
    for number, pattern in enumerate(new.patterns):
        place = new.places[number] if number < len(new.places) else ""
        if _is_covered(pattern, old):
            continue
        yield Entry(written(pattern), is_certain=_is_certain(pattern, old), place=place)


def written(pattern: OriginPattern) -> str:
    """Write an entry as the file does. Pure."""
    return f"regex: {pattern.text}" if pattern.kind is PatternKind.REGEX else pattern.text


def _is_covered(pattern: OriginPattern, old: OriginSet) -> bool:
    match pattern.kind:
        case PatternKind.EXACT | PatternKind.NULL:
            return old.holds(pattern.text.encode())
        case PatternKind.REGEX:
            return any(each.regex == pattern.regex for each in old.patterns if each.kind is PatternKind.REGEX)
    return any(_wildcard_covers(each, pattern) for each in old.patterns if each.kind is PatternKind.WILDCARD)


def _wildcard_covers(outer: OriginPattern, inner: OriginPattern) -> bool:
    """Tell whether all that one wildcard stands for, another does."""
    if outer.scheme != inner.scheme or not (outer.any_port or (not inner.any_port and outer.port == inner.port)):
        return False
    if not outer.suffix:
        return not inner.suffix and outer.host == inner.host
    if inner.suffix:
        return inner.suffix.endswith(outer.suffix)
    head = inner.host.removesuffix(outer.suffix)
    return head != inner.host and bool(head) and not head.startswith(b".") and not head.endswith(b".")


def _is_certain(pattern: OriginPattern, old: OriginSet) -> bool:
    """Tell whether what is not covered is beyond doubt not covered."""
    if pattern.kind in (PatternKind.EXACT, PatternKind.NULL):
        return True
    has_regex = any(each.kind is PatternKind.REGEX for each in old.patterns)
    if pattern.kind is PatternKind.WILDCARD:
        # No list of exact origins or narrower wildcards exhausts a wildcard; a regular expression might.
        return not has_regex or not old.holds(_example(pattern))
    return False


def _example(pattern: OriginPattern) -> bytes:
    """Make an origin that a wildcard stands for, and few others do."""
    host = pattern.host or b"some-name-of-its-own" + pattern.suffix
    port = b":40963" if pattern.any_port else b"" if pattern.port is None else b":%d" % pattern.port
    serialized = b"%b://%b%b" % (pattern.scheme, host, port)
    assert parse_origin(serialized) is not None  # noqa: S101 - a wildcard is made of valid parts
    return serialized
