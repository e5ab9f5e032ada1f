"""
Lists of origins: who is on one, and which lists a policy may hold.

`entries → build_origins() → Origins, and every Fault at once`. It knows what an entry stands for by `pattern`, and nothing of the rest
of a policy but what makes an entry dangerous.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from corsproxy import problems
from corsproxy.cors.origin import NULL, parse_origin
from corsproxy.cors.pattern import OriginPattern, PatternKind, parse_pattern
from corsproxy.problems import Fault

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class RegexEntry:
    """An entry of a list of origins written as `regex: …`."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Origins:
    """A valid list of origins. `exact` are the serialized ones among `patterns`. Build it with `build_origins`."""

    any_origin: bool = False
    patterns: tuple[OriginPattern, ...] = ()
    exact: frozenset[bytes] = frozenset()

    def find(self, serialized: bytes) -> OriginPattern | str | None:
        """
        Return the entry that lets this origin in, or None.

        Spec: Fetch #cors-check, #origin-header.
        """
        return find_entry(self.any_origin, self.patterns, self.exact, serialized)


def find_entry(
    any_origin: bool,  # noqa: FBT001 - a field of whoever asks, as the others
    patterns: tuple[OriginPattern, ...],
    exact: frozenset[bytes],
    serialized: bytes,
) -> OriginPattern | str | None:
    """
    Return the entry of a list that lets this origin in (`"*"` or a pattern), or None.

    Pure. A value that is no serialized origin is never allowed, not even by `*`.

    Spec: Fetch #cors-check, #origin-header.
    """
    if serialized in exact:
        return next(pattern for pattern in patterns if pattern.text.encode() == serialized)
    origin = parse_origin(serialized)
    if origin is None and serialized != NULL:
        return None
    if any_origin:
        return ANY
    return next((pattern for pattern in patterns if pattern.matches(serialized, origin)), None)


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    What the rest of a policy says of the origins in one of its lists.

    `key` is the list's name. `is_public_suffix` is asked about the host name behind each subdomain wildcard.
    """

    key: str
    is_public_suffix: Callable[[str], bool]
    allow_credentials: bool = False
    allows_null: bool = False
    allows_insecure: bool = False
    allows_public_suffixes: bool = False


def build_origins(entries: tuple[str | RegexEntry, ...], bounds: Bounds, faults: list[Fault]) -> Origins:
    """
    Judge the entries of a list; what is wrong with them is added to `faults`, and only the rest is in what is returned.

    Spec: Fetch #basic-safe-cors-protocol-setup; URL #host-public-suffix.
    """
    if not entries:
        faults.append(Fault(problems.NO_ORIGINS, (bounds.key,), f"`{bounds.key}` is empty", "list origins, as `https://app.example.com`"))
    if ANY in entries:
        _judge_any_origin(entries, bounds, faults)
    patterns: list[OriginPattern] = []
    for place, entry in enumerate(entries):
        if entry == ANY:
            continue
        path = (bounds.key, place)
        found = parse_pattern(entry.pattern, regex=True) if isinstance(entry, RegexEntry) else parse_pattern(entry)
        if isinstance(found, Fault):
            faults.append(Fault(found.problem, path, found.message, found.help))
            continue
        patterns.append(found)
        _judge_pattern(found, bounds, path, faults)
        if found.suffix and bounds.is_public_suffix(name := found.suffix.decode().removeprefix(".")):
            _judge_public_suffix(found, name, bounds, path, faults)
    exact = frozenset(p.text.encode() for p in patterns if p.kind in (PatternKind.EXACT, PatternKind.NULL))
    return Origins(ANY in entries, tuple(patterns), exact)


def _judge_any_origin(entries: tuple[str | RegexEntry, ...], bounds: Bounds, faults: list[Fault]) -> None:
    place = entries.index(ANY)
    if bounds.allow_credentials:
        faults.append(
            Fault(
                problems.WILDCARD_WITH_CREDENTIALS,
                (bounds.key, place),
                "`*` with `allow_credentials: true` would let every web site act as the visitor",
                "list the origins, or take `allow_credentials` out",
            ),
        )
    if len(entries) > 1:
        faults.append(
            Fault(
                problems.BAD_WILDCARD,
                (bounds.key, place),
                "`*` makes the other origins meaningless",
                f'write `{bounds.key}: "*"` alone, or take `*` out',
            ),
        )


def _judge_pattern(pattern: OriginPattern, bounds: Bounds, path: tuple[str | int, ...], faults: list[Fault]) -> None:
    if pattern.kind is PatternKind.NULL:
        if bounds.allow_credentials:
            faults.append(
                Fault(
                    problems.NULL_WITH_CREDENTIALS,
                    path,
                    "`null` with `allow_credentials: true` lets every web site act as the visitor",
                    "take `null` out",
                ),
            )
        elif not bounds.allows_null:
            faults.append(
                Fault(
                    problems.NULL_ORIGIN,
                    path,
                    "`null` is an origin that any web site can take on",
                    "take it out, or write `dangerously_allow_null_origin: true` in this policy",
                ),
            )
    elif bounds.allow_credentials and not bounds.allows_insecure and pattern.is_insecure:
        faults.append(
            Fault(
                problems.INSECURE_ORIGIN,
                path,
                f"`{pattern.text}` lets http pages use the visitor's credentials",
                "use https, or write `dangerously_allow_insecure_origins: true` in this policy",
            ),
        )
    if pattern.regex is not None and pattern.regex.has_loose_dot:
        faults.append(
            Fault(problems.UNESCAPED_DOT, path, f"a `.` in `{pattern.text}` matches any character, not only a dot", r"write `\.`"),
        )


def _judge_public_suffix(pattern: OriginPattern, name: str, bounds: Bounds, path: tuple[str | int, ...], faults: list[Fault]) -> None:
    # What is accepted by name is said by that name, and not twice.
    if bounds.allows_public_suffixes:
        return
    message = f"`{pattern.text}` lets in every site below `{name}`, and anybody can have one there"
    help_ = f"write `{pattern.scheme.decode()}://*.example.{name}`, with the domain that is yours"
    if bounds.allow_credentials:
        help_ += ", or `dangerously_allow_public_suffixes: true` in this policy"
    problem = problems.PUBLIC_SUFFIX_WITH_CREDENTIALS if bounds.allow_credentials else problems.PUBLIC_SUFFIX
    faults.append(Fault(problem, path, message, help_))
