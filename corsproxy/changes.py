"""
What differs between the settings in force and new ones, and what of it has to wait for a restart.

It knows which keys are in use from the start to the end, and what people call each setting; it puts nothing in force.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

from corsproxy.config.diagnostics import Diagnostic
from corsproxy.config.hosts import implied_hosts
from corsproxy.config.schema import SINGLE_KEYS
from corsproxy.config.settings import Route, Settings

# Key paths of the file whose value is in use from the start to the end.
FIXED_KEYS: Final = tuple(path for path, key in SINGLE_KEYS.items() if not key.is_reloadable)

# Where settings have another name than the key that a person wrote.
_KEY_OF_FIELD: Final = {
    "own_origins": "public_url",
    "pseudonym": "via",
    "default_cors": "cors",
    "policy_name": "cors",
    "request_headers": "headers",
    "response_headers": "headers",
}


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """
    What came of one reload.

    `needs_restart` names the keys that the file sets otherwise than they are in force; `changed` tells whether any other did.
    `time` is in seconds since the epoch.
    """

    ok: bool
    diagnostics: tuple[Diagnostic, ...]
    needs_restart: tuple[str, ...]
    changed: bool
    time: float


def hold_back(running: Settings, new: Settings, fixed: Iterable[str] = FIXED_KEYS) -> tuple[Settings, tuple[str, ...]]:
    """
    Return new settings with the running values of what needs a restart, and the paths of those keys that differ.

    What a held-back value implies for other keys stays implied by it: which Host names are answered depends on `listen`.
    """
    needs_restart: list[str] = []
    for path in fixed:
        names = path.split(".")
        if _value_at(running, names) != _value_at(new, names):
            needs_restart.append(path)
            new = _with_value_of(running, new, names)
    # Whether TLS is spoken is decided when listening begins; its files may change at any time.
    if (running.tls is None) != (new.tls is None):
        needs_restart.append("tls")
        new = replace(new, tls=running.tls)
    if new.hosts.by_listen:
        new = replace(new, hosts=implied_hosts(new.listen, tuple(host for route in new.routes for host in route.hosts)))
    return new, tuple(needs_restart)


def _value_at(settings: Any, names: Sequence[str]) -> Any:
    for name in names:
        settings = getattr(settings, name) if settings is not None else None
    return settings


def _with_value_of(running: Any, new: Any, names: Sequence[str]) -> Any:
    name, *rest = names
    value, other = getattr(running, name), getattr(new, name)
    if rest and is_dataclass(value) and is_dataclass(other):
        value = _with_value_of(value, other, rest)
    return replace(new, **{name: value})


def changes(before: Settings, after: Settings) -> tuple[str, ...]:
    """Name the keys whose meaning differs, in alphabetical order; one that was only moved to another line does not."""
    found = _differing(Settings, before, after) - {"routes"}
    if [(route.hosts, route.path) for route in before.routes] != [(route.hosts, route.path) for route in after.routes]:
        found.add("routes")
    else:
        for old, new in zip(before.routes, after.routes, strict=True):
            found |= _differing(Route, old, new) - {"place"}
    return tuple(sorted({_KEY_OF_FIELD.get(name, name) for name in found}))


def _differing(kind: type[Settings] | type[Route], before: object, after: object) -> set[str]:
    return {field.name for field in fields(kind) if field.compare and getattr(before, field.name) != getattr(after, field.name)}
