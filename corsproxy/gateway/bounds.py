"""What the limits of the file come to for each lane, and for the clock that looks at deadlines."""

from typing import Any, Final

from corsproxy.config.settings import Limits, Settings
from corsproxy.gateway.plain import PlainHeads

# A head between the limit and this many times the limit is parsed, so that its refusal can carry CORS fields.
_PARSED_EXCESS: Final = 4
# How long an unread request body is read on after an early answer, so that the client can read that answer.
_LINGERING_S: Final = 2.0
_READ_BUFFER_BYTES: Final = 64 * 1024


def front_options(limits: Limits) -> dict[str, Any]:
    """Return what aiohttp's server is told."""
    return {
        "max_head_bytes": _PARSED_EXCESS * limits.request_head,
        "keepalive_timeout": limits.keep_alive_timeout,
        "lingering_time": _LINGERING_S,
        "read_bufsize": _READ_BUFFER_BYTES,
        "auto_decompress": False,
        "access_log": None,
        "max_line_size": _PARSED_EXCESS * limits.request_line,
        "max_field_size": _PARSED_EXCESS * limits.request_head,
        "max_headers": _PARSED_EXCESS * limits.header_count,
    }


def bound_heads(heads: PlainHeads, limits: Limits) -> None:
    """Bound what the express lane takes, so that aiohttp would have taken it too."""
    heads.max_bytes = min(limits.request_head, _PARSED_EXCESS * limits.request_line)
    heads.max_lines = limits.header_count


def sweep_interval(settings: Settings) -> float:
    """Say how often deadlines are looked at so that each is kept to within a quarter of itself, or a second."""
    routes = settings.routes
    body_idle_timeout = min((route.limits.body_idle_timeout for route in routes), default=60.0)
    timeouts = [min(r.timeouts.response, r.timeouts.idle, r.timeouts.tunnel_idle) for r in routes]
    shortest = min((settings.limits.header_timeout, settings.limits.keep_alive_timeout, body_idle_timeout, *timeouts))
    return min(1.0, max(0.02, shortest / 4))
