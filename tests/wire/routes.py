"""What the tests of routes' own rules share."""

from dataclasses import replace
from typing import Any

from corsproxy.config.settings import Route
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from tests.harness import Upstream, route


def routed(upstream: Upstream, *, path: bytes = b"/", cors: Any = None, of_upstream: dict[str, Any] | None = None, **changes: Any) -> Route:
    """Build a route of the upstream, with other fields of the upstream's settings and of the route's."""
    settings: UpstreamSettings = replace(upstream.settings, **(of_upstream or {}))
    return replace(route(settings, path, cors), **changes)
