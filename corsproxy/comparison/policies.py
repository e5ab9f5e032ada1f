"""
Two policies of one route: which origins, methods, headers and credentials are newly allowed, or no longer.

A call is allowed where each part of it is. So what one part lets in more is said, whatever another takes away: both stand in a review.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from corsproxy.comparison.difference import Difference, Effect
from corsproxy.comparison.origins import Entry, OriginSet, beyond
from corsproxy.config.choices import CorsMode
from corsproxy.config.policies import place_of
from corsproxy.config.settings import PolicyPlaces
from corsproxy.cors.names import SAFELISTED_METHODS
from corsproxy.cors.policy import CorsPolicy

Cors = CorsPolicy | CorsMode | None
_NOBODY: Final = OriginSet()
# Spec: Fetch #cross-origin-resource-policy-header; from the narrowest to the widest.
_EMBEDDERS: Final = (b"same-origin", b"same-site", b"cross-origin")


@dataclass(frozen=True, slots=True)
class Written:
    """What a route does about CORS, None where nothing is served, and where that is written."""

    cors: Cors
    places: PolicyPlaces | None = None

    def place(self, key: str) -> str:
        """Say where a key stands, or else the policy."""
        if self.places is None:
            return ""
        return str(place_of(self.places.keys.get(key, self.places.cors)))


def compare_policies(old: Written, new: Written) -> Iterator[Difference]:
    """Yield what differs between two policies of one place. Pure."""
    if CorsMode.PASSTHROUGH in (old.cors, new.cors):
        yield from _passthrough(old, new)
        return
    yield from _origins(old, new, "allow_origins", _origins_of(old), _origins_of(new))
    yield from _origins(old, new, "websocket_origins", _sockets_of(old), _sockets_of(new))
    if isinstance(old.cors, CorsPolicy) and isinstance(new.cors, CorsPolicy):
        yield from _lists(old, new, old.cors, new.cors)
        yield from _switches(old, new, old.cors, new.cors)
        yield from _opt_outs(old, new)
    elif isinstance(new.cors, CorsPolicy):
        yield from _opened(new, new.cors)
    elif isinstance(old.cors, CorsPolicy):
        what = "`cors: none`" if new.cors is CorsMode.NONE else "nothing is served"
        yield Difference(Effect.NARROWED, "cors", f"{what}: no page of another origin may call any longer", place=old.place("cors"))


def _passthrough(old: Written, new: Written) -> Iterator[Difference]:
    if old.cors is new.cors:
        return
    if new.cors is CorsMode.PASSTHROUGH:
        words = "`cors: passthrough`: the upstream alone decides who may call, WebSockets included"
        yield Difference(Effect.MAY_WIDEN, "cors", words, place=new.place("cors"))
    elif isinstance(new.cors, CorsPolicy):
        words = "a policy decides now, and no longer the upstream: it may allow what the upstream did not"
        yield Difference(Effect.MAY_WIDEN, "cors", words, place=new.place("cors"))
    else:
        words = "no page of another origin may call any longer: the upstream decided who might"
        yield Difference(Effect.NARROWED, "cors", words, place=new.place("cors"))


def _opened(new: Written, policy: CorsPolicy) -> Iterator[Difference]:
    words = "there is a policy now, where no page of another origin could call"
    said = f"{words}; with credentials" if policy.credentials else words
    yield Difference(Effect.WIDENED, "cors", said, place=new.place("cors"))
    if not policy.enforce:
        yield Difference(
            Effect.WIDENED, "enforce", "what the policy does not allow is forwarded, and takes effect", place=new.place("enforce")
        )


# --- origins ---


def _origins_of(of: Written) -> OriginSet:
    if not isinstance(of.cors, CorsPolicy):
        return _NOBODY
    spans = of.places.origins if of.places is not None else ()
    return OriginSet(of.cors.any_origin, of.cors.patterns, tuple(str(place_of(span)) for span in spans))


def _sockets_of(of: Written) -> OriginSet:
    if not isinstance(of.cors, CorsPolicy):
        return _NOBODY
    if of.cors.sockets is None:
        return _origins_of(of)
    spans = of.places.items.get("websocket_origins", ()) if of.places is not None else ()
    return OriginSet(of.cors.sockets.any_origin, of.cors.sockets.patterns, tuple(str(place_of(span)) for span in spans))


def _origins(old: Written, new: Written, key: str, before: OriginSet, after: OriginSet) -> Iterator[Difference]:
    if key == "websocket_origins" and _follows(old) and _follows(new):
        return
    what = "WebSockets may be opened" if key == "websocket_origins" else "calls are allowed"
    for entry in beyond(after, before):
        effect = Effect.WIDENED if entry.is_certain else Effect.MAY_WIDEN
        doubt = "" if entry.is_certain else ", if the old list does not let these in already"
        place = entry.place or new.place(key)
        yield Difference(effect, key, f"{what} from `{entry.text}`{doubt}", (entry.text,), place=place)
    for entry in beyond(before, after):
        yield Difference(Effect.NARROWED, key, _lost(entry, what), (entry.text,), place=entry.place or old.place(key))


def _follows(of: Written) -> bool:
    """Tell whether WebSockets follow `allow_origins`, about which everything is said there."""
    return not isinstance(of.cors, CorsPolicy) or of.cors.sockets is None


def _lost(entry: Entry, what: str) -> str:
    doubt = "" if entry.is_certain else ", but for what the new list lets in"
    return f"{what} no longer from `{entry.text}`{doubt}"


# --- methods and headers ---


def _lists(old: Written, new: Written, before: CorsPolicy, after: CorsPolicy) -> Iterator[Difference]:
    yield from _came_and_went(old, new, "allow_methods", _methods(before), _methods(after))
    yield from _came_and_went(old, new, "allow_headers", _headers(before), _headers(after))
    yield from _came_and_went(old, new, "expose_headers", _exposed(before), _exposed(after))


@dataclass(frozen=True, slots=True)
class _Names:
    """Names that are allowed; `is_any`: beside them all others but those `shut`."""

    names: frozenset[str]
    is_any: bool = False
    shut: frozenset[str] = frozenset()

    def allows(self, name: str) -> bool:
        return name in self.names or (self.is_any and name not in self.shut)

    def beyond(self, other: "_Names") -> tuple[str, ...]:
        """Return what is allowed here and not there; `*` stands for all that nobody names."""
        if other.is_any:
            return tuple(sorted(name for name in other.shut - other.names if self.allows(name)))
        if self.is_any:
            return ("*", *sorted((self.shut & self.names) - other.names))
        return tuple(sorted(self.names - other.names))


def _methods(policy: CorsPolicy) -> _Names:
    # Those that CORS always lets through make no difference.
    if policy.methods is None:
        return _Names(frozenset(), is_any=True)
    return _Names(frozenset(method.decode() for method in frozenset(policy.methods) - SAFELISTED_METHODS))


def _headers(policy: CorsPolicy) -> _Names:
    names = frozenset(name.decode() for name in policy.header_list)
    return _Names(names) if policy.headers is not None else _Names(names, is_any=True, shut=_NEVER_ANY)


def _exposed(policy: CorsPolicy) -> _Names:
    if policy.exposed is None:
        return _Names(frozenset(), is_any=True)
    return _Names(frozenset(name.decode().lower() for name in policy.exposed))


# Spec: Fetch #cors-non-wildcard-request-header-name.
_NEVER_ANY: Final = frozenset({"authorization"})
_SAID: Final = {
    "allow_methods": ("scripts may send", "scripts may no longer send"),
    "allow_headers": ("scripts may set", "scripts may no longer set"),
    "expose_headers": ("scripts may read", "scripts may no longer read"),
}


def _came_and_went(old: Written, new: Written, key: str, before: _Names, after: _Names) -> Iterator[Difference]:
    came, went = after.beyond(before), before.beyond(after)
    may, may_not = _SAID[key]
    if came:
        yield Difference(Effect.WIDENED, key, f"{may} {_listed(key, came)}", came, place=new.place(key))
    if went:
        kept = f", but for {', '.join(sorted(after.names))}" if "*" in went and after.names else ""
        yield Difference(Effect.NARROWED, key, f"{may_not} {_listed(key, went)}{kept}", went, place=old.place(key))


def _listed(key: str, names: tuple[str, ...]) -> str:
    any_ = {"allow_methods": "any method", "allow_headers": "any header", "expose_headers": "any header"}[key]
    return ", ".join(any_ if name == "*" else name for name in names)


# --- switches ---


def _switches(old: Written, new: Written, before: CorsPolicy, after: CorsPolicy) -> Iterator[Difference]:
    flips = (
        ("allow_credentials", before.credentials, after.credentials, "calls may carry the visitor's session, and so may WebSockets"),
        ("enforce", not before.enforce, not after.enforce, "what the policy does not allow is forwarded, and takes effect"),
        ("allow_private_network", before.private_network, after.private_network, "pages may call this proxy inside a private network"),
        ("timing_allow_origin", before.timing, after.timing, "scripts see where the time of a call goes"),
    )
    for key, was, is_, words in flips:
        if is_ and not was:
            yield Difference(Effect.WIDENED, key, words, place=new.place(key))
        elif was and not is_:
            yield Difference(Effect.NARROWED, key, f"no longer: {words}", place=old.place(key))
    if before.max_age_s != after.max_age_s:
        words = f"preflights are remembered for {after.max_age_s} s instead of {before.max_age_s} s"
        yield Difference(Effect.CHANGED, "max_age", words, place=new.place("max_age"))
    if before.resource_policy != after.resource_policy:
        yield _embedding(new, before.resource_policy, after.resource_policy)


def _opt_outs(old: Written, new: Written) -> Iterator[Difference]:
    """Yield the dangers that a policy newly takes on by name, or no longer does; what they let in is said by the lists."""
    before, after = _accepted(old), _accepted(new)
    for key in sorted(after - before):
        yield Difference(Effect.CHANGED, key, "a danger is accepted by name: see what the lists hold", place=new.place(key))
    for key in sorted(before - after):
        yield Difference(Effect.CHANGED, key, "a danger is no longer accepted by name", place=old.place(key))


def _accepted(of: Written) -> frozenset[str]:
    values = of.places.values if of.places is not None else {}
    dangers = {key: span for key, span in values.items() if key.startswith("dangerously_")}
    return frozenset(key for key, span in dangers.items() if span.source.line(span.line)[span.column - 1 : span.end_column - 1] != "false")


def _embedding(new: Written, before: bytes, after: bytes) -> Difference:
    place = new.place("resource_policy")
    if not after or not before:
        words = (
            f"Cross-Origin-Resource-Policy is {after.decode()}, whatever the upstream says" if after else "the upstream says who may embed"
        )
        return Difference(Effect.MAY_WIDEN if after != b"same-origin" else Effect.NARROWED, "resource_policy", words, place=place)
    widens = _EMBEDDERS.index(after) > _EMBEDDERS.index(before)
    words = f"who may embed: {after.decode()} instead of {before.decode()}"
    return Difference(Effect.WIDENED if widens else Effect.NARROWED, "resource_policy", words, place=place)
