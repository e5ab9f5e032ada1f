"""
Which hosts are answered, and which route a path belongs to.

It matches prefixes on segment boundaries, and refuses a path that servers could read as belonging to
another route, so that no policy is bypassed.
"""

import re
from collections.abc import Sequence
from typing import Final

from corsproxy import problems
from corsproxy.config.settings import HostRules, Route, RouteTable
from corsproxy.semantics.framing import Refusal
from corsproxy.semantics.target import climbs_above_root, normal_forms

_PORT: Final = re.compile(rb":\d*\Z")
# IP literals and the names that never leave the machine (RFC 6761 6.3): no attacker can make them resolve to something else.
_LOOPBACK_OR_LITERAL: Final = re.compile(rb"(?:.*\.)?localhost\.?|\[[0-9a-f:.]+\]|\d{1,3}(?:\.\d{1,3}){3}")
_LOCAL: Final = re.compile(rb"(?:.*\.)?localhost\.?|\[::1\]|127(?:\.\d{1,3}){3}")
_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443"}


def answers_host(rules: HostRules, authority: bytes) -> bool:
    """
    Tell whether the proxy answers for the host that a request names. A request without one (HTTP/1.0) is answered.

    Spec: RFC 9110 7.2, 7.4 (misdirected requests).
    """
    if rules.any_host or not authority:
        return True
    host = without_port(authority)
    if host in rules.names or (rules.loopback and _LOOPBACK_OR_LITERAL.fullmatch(host)):
        return True
    return any(host.endswith(suffix) and len(host) > len(suffix) for suffix in rules.suffixes)


def without_port(authority: bytes) -> bytes:
    """
    Return the host of an authority, in lower case.

    Spec: RFC 9110 7.2; RFC 3986 6.2.2.1.
    """
    return _PORT.sub(b"", authority.lower())


def is_local(authority: bytes) -> bool:
    """
    Tell whether an authority names the machine that the browser itself runs on.

    Spec: Secure Contexts 3.1 (is origin potentially trustworthy).
    """
    return _LOCAL.fullmatch(without_port(authority)) is not None


def public_origin(own_origins: Sequence[bytes], authority: bytes, scheme: bytes) -> bytes:
    """
    Say by which of its public origins a client knows the proxy: one with the authority that it used, else the first; empty without any.

    `scheme` decides between two of one authority; it is empty where it is not certain.

    Spec: RFC 9110 4.2.3 (a default port is left out), 7.2.
    """
    asked = authority.lower()
    at_authority = []
    for origin in own_origins:
        own_scheme, _, named = origin.partition(b"://")
        if asked in (named, named + b":", named + _DEFAULT_PORTS[own_scheme]):
            at_authority.append(origin)
    found = at_authority or own_origins
    return next((origin for origin in at_authority if scheme and origin.startswith(scheme + b":")), found[0] if found else b"")


def for_host(table: RouteTable, authority: bytes) -> Sequence[Route]:
    """
    Return the routes of a host: those that name it, the exact name first, and then those for any host.

    A dot at the end changes nothing of where a name leads, so it must not lead past the routes of that name.

    Spec: RFC 9110 7.2; RFC 1034 3.1 (absolute names).
    """
    if not (table.exact or table.suffixes):
        return table.anywhere
    host = without_port(authority)
    for name in (host, host[:-1]) if host.endswith(b".") else (host,):
        found = table.exact.get(name)
        if found is not None:
            return found
        for suffix, routes in table.suffixes:
            if name.endswith(suffix) and len(name) > len(suffix):
                return routes
    return table.anywhere


def match(routes: Sequence[Route], path: bytes) -> Route | Refusal:
    """
    Find the route of a raw path. `routes` are those of the request's host; the first that fits is the one.

    Pure; never raises.

    Spec: RFC 3986 6.2.2 (paths that are equivalent after normalization).
    """
    found = _longest(routes, path)
    # Where one route takes everything, every reading of a path leads to it.
    if len(routes) > 1 or found is None or found.path != b"/":
        forms = normal_forms(path)
        if forms is None:
            return Refusal(problems.AMBIGUOUS_PATH, "path-has-too-many-readings")
        if any(_longest(routes, form) is not found for form in forms[1:]):
            return Refusal(problems.AMBIGUOUS_PATH, "path-matches-two-routes")
    if found is None:
        return Refusal(problems.NO_ROUTE, "no-route")
    paths = found.paths
    # The upstream reads what is left of the path: `/reports/a/../../reports` is below `/reports`, and `/a/../../reports` is not below `/`.
    if (paths.base or paths.stripped) and climbs_above_root(path[len(paths.stripped) :]):
        return Refusal(problems.AMBIGUOUS_PATH, "path-leaves-upstream")
    return found


def _longest(routes: Sequence[Route], path: bytes) -> Route | None:
    for route in routes:
        prefix = route.path
        if prefix == b"/" or (path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/")):
            return route
    return None
