"""A policy in words, for the lines that a proxy prints when it starts."""

from collections.abc import Sequence
from typing import Final

from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Listen, Route, Settings
from corsproxy.cors.policy import CorsPolicy

# `check` lists them all.
_MOST_ORIGINS: Final = 4


def summarize(settings: Settings, listening: Sequence[Listen], *, are_lent: bool = False) -> list[str]:
    """Say where a proxy listens, what it fronts, and whom each route lets in: one line each. `are_lent`: the sockets were handed over."""
    addresses = ", ".join(_url(address, is_tls=settings.tls is not None) for address in listening)
    lines = [f"listening on {addresses}" + (", by sockets of the service manager in place of `listen`" if are_lent else "")]
    # Routes for certain hosts are asked first.
    routes = sorted(settings.routes, key=lambda route: not route.hosts)
    places = [route.path.decode() + (f" on {', '.join(route.hosts)}" if route.hosts else "") for route in routes]
    width = max(map(len, places), default=0)
    for place, route in zip(places, routes, strict=True):
        shown = f"{place:{width}} " if len(routes) > 1 or route.hosts else ""
        lines.append(f"{shown}to {route.upstream.url}: {_policy_in_words(route)}")
    return lines


def _policy_in_words(route: Route) -> str:
    """Say in one line what a route's policy lets in."""
    policy = route.cors
    if policy is CorsMode.NONE:
        return "no cross-origin access"
    if policy is CorsMode.PASSTHROUGH:
        return "the upstream does CORS itself"
    assert isinstance(policy, CorsPolicy)  # noqa: S101 - the two modes are above
    listed = [pattern.text for pattern in policy.patterns]
    more = [f"and {len(listed) - _MOST_ORIGINS} more"] if len(listed) > _MOST_ORIGINS else []
    origins = "any origin" if policy.any_origin else ", ".join(listed[:_MOST_ORIGINS] + more)
    methods = "any method" if policy.methods is None else " ".join(method.decode() for method in policy.methods)
    parts = [origins, methods]
    if policy.headers is None:
        parts.append("any request header" + (" and Authorization" if policy.lists_authorization else ""))
    elif policy.header_list:
        parts.append("request headers " + ", ".join(name.decode() for name in policy.header_list))
    parts.append("with credentials" if policy.credentials else "no credentials")
    if not policy.enforce:
        parts.append("not enforced")
    return "; ".join(parts)


def _url(address: Listen, *, is_tls: bool) -> str:
    if address.unix_path:
        return str(address)
    scheme = "https" if is_tls else "http"
    if address.host in ("", "0.0.0.0", "::"):  # noqa: S104 - it is only named
        return f"{scheme}://localhost:{address.port} and every other address"
    return f"{scheme}://{address}"
