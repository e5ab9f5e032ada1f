"""
Which route a path belongs to.

It matches prefixes on segment boundaries, and refuses a path that servers could read as belonging to
another route, so that no policy is bypassed.
"""

from collections.abc import Sequence

from corsproxy import problems
from corsproxy.config.settings import Route
from corsproxy.semantics.framing import Refusal
from corsproxy.semantics.target import climbs_above_root, normal_forms


def match(routes: Sequence[Route], path: bytes) -> Route | Refusal:
    """
    Find the route of a raw path. `routes` are sorted by falling length of path.

    Pure; never raises.

    Spec: RFC 3986 6.2.2 (paths that are equivalent after normalization).
    """
    found = _longest(routes, path)
    for form in normal_forms(path)[1:]:
        if _longest(routes, form) is not found:
            return Refusal(problems.AMBIGUOUS_PATH, "path-matches-two-routes")
    if found is None:
        return Refusal(problems.NO_ROUTE, "no-route")
    if found.upstream.path and climbs_above_root(path):
        return Refusal(problems.AMBIGUOUS_PATH, "path-leaves-upstream")
    return found


def _longest(routes: Sequence[Route], path: bytes) -> Route | None:
    for route in routes:
        prefix = route.path
        if prefix == b"/" or (path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/")):
            return route
    return None
