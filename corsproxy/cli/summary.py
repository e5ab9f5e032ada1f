"""A policy in words, for the lines that a proxy prints when it starts."""

from collections.abc import Sequence

from corsproxy.config.settings import CorsMode, Listen, Route, Settings
from corsproxy.cors.policy import CorsPolicy


def summarize(settings: Settings, listening: Sequence[Listen]) -> list[str]:
    """Say where a proxy listens, what it fronts, and whom each route lets in: one line each."""
    lines = [f"listening on {', '.join(_url(address, is_tls=settings.tls is not None) for address in listening)}"]
    width = max((len(route.path) for route in settings.routes), default=0)
    for route in settings.routes:
        path = f"{route.path.decode():{width}} " if len(settings.routes) > 1 else ""
        lines.append(f"{path}to {route.upstream.url}: {policy_in_words(route)}")
    return lines


def policy_in_words(route: Route) -> str:
    """Say in one line what a route's policy lets in."""
    policy = route.cors
    if policy is CorsMode.NONE:
        return "no cross-origin access"
    if policy is CorsMode.PASSTHROUGH:
        return "the upstream does CORS itself"
    assert isinstance(policy, CorsPolicy)  # noqa: S101 - the two modes are above
    origins = "any origin" if policy.any_origin else ", ".join(pattern.text for pattern in policy.patterns)
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
