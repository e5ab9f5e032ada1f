"""
The parts of the space of hosts and paths in which two files each have one route: there their policies can be compared.

A route that one file has and the other has not is compared with the route that takes its requests there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from corsproxy.config.settings import Route, Settings
from corsproxy.routes import answers_host, for_host, match

# A label that no file names: it stands for all the names of a wildcard that are not named themselves.
_ANY_LABEL: Final = b"any-other-name--"
_ELSEWHERE: Final = _ANY_LABEL + b".invalid"
_LITERAL: Final = b"[::1]"


@dataclass(frozen=True, slots=True)
class Region:
    """Requests for these hosts (none: for all others) whose longest prefix is `path`, and the route of each file; None where they get no answer."""

    hosts: tuple[str, ...]
    path: str
    old: Route | None
    new: Route | None


@dataclass(frozen=True, slots=True)
class HostClass:
    """Hosts that are treated alike: what they are called, empty for all that nobody names, and one of them."""

    name: str
    host: bytes


def regions(old: Settings, new: Settings) -> tuple[Region, ...]:
    """
    Cut the space into parts that are each under one route of either file; what is so for all hosts stands once.

    Of a host that one file alone answers, what matters is what it alone has: the rest is said by the hosts. Pure.
    """
    paths = sorted({route.path for route in (*old.routes, *new.routes)} | {b"/"}, key=lambda path: (len(path), path))
    found: dict[tuple[bytes, int, int], tuple[Region, list[str]]] = {}
    for each in (HostClass("", _ELSEWHERE), *host_classes(old, new)):
        is_known = not each.name or (answers_host(old.hosts, each.host) and answers_host(new.hosts, each.host))
        for path in paths:
            before, after = _route(old, each.host, path), _route(new, each.host, path)
            if not is_known:
                before, after = _own(old, each, before), _own(new, each, after)
            if before is not None or after is not None:
                _, names = found.setdefault((path, id(before), id(after)), (Region((), path.decode(), before, after), []))
                names.append(each.name)
    return tuple(replace(region, hosts=() if "" in names else tuple(names)) for region, names in found.values())


def host_classes(old: Settings, new: Settings) -> Iterator[HostClass]:
    """Yield the classes of hosts that either file names. Pure."""
    names: set[str] = set()
    for settings in (old, new):
        names |= {host for route in settings.routes for host in route.hosts}
        names |= {name.decode() for name in settings.hosts.names}
        names |= {f"*{suffix.decode()}" for suffix in settings.hosts.suffixes}
    if old.hosts.loopback or new.hosts.loopback:
        yield HostClass("localhost and IP addresses", _LITERAL)
    for name in sorted(names):
        yield HostClass(name, _ANY_LABEL + name[1:].encode() if name.startswith("*.") else name.encode())


def _own(settings: Settings, each: HostClass, route: Route | None) -> Route | None:
    """Return a route that is for certain hosts, of a host that is answered."""
    return route if route is not None and route.hosts and answers_host(settings.hosts, each.host) else None


def _route(settings: Settings, host: bytes, path: bytes) -> Route | None:
    found = match(for_host(settings.table, host), path)
    return found if isinstance(found, Route) else None
