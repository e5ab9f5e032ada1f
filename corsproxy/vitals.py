"""
What one proxy says of itself, for whoever asks at the admin listener.

It puts together what gateway, counters and reloads know, and holds none of it.
"""

import platform
from typing import TYPE_CHECKING

from corsproxy import __version__, problems
from corsproxy.admin.sources import Check, Readiness, Sources
from corsproxy.changes import ReloadOutcome
from corsproxy.config.load import Loaded
from corsproxy.gateway.server import Gateway
from corsproxy.observe import figures
from corsproxy.observe.counters import Counters
from corsproxy.observe.snapshot import Labels, Snapshot, Value
from corsproxy.observe.writer import lines_dropped
from corsproxy.reload import Reloader

if TYPE_CHECKING:
    from corsproxy.app import App


def figures_of_gateway(gateway: Gateway) -> Snapshot:
    """Return what is under way in a gateway, and what its pools have done."""
    limits = gateway.settings.limits
    pools = gateway.pool_counts()
    values: dict[str, dict[Labels, Value]] = {
        figures.IN_FLIGHT: {(): (gateway.in_flight,)},
        figures.IN_FLIGHT_LIMIT: {(): (limits.in_flight,)},
        figures.CONNECTIONS: {(): (gateway.connections,)},
        figures.CONNECTIONS_LIMIT: {(): (gateway.max_connections,)},
        figures.TUNNELS_OPEN: {(): (gateway.tunnels,)},
        figures.TUNNELS_LIMIT: {(): (limits.tunnels,)},
        figures.UNPARSABLE: {(): (gateway.unparsable,)},
        figures.UPSTREAM_CONNECTIONS: {("idle",): (pools.idle,), ("busy",): (pools.busy,)},
        figures.UPSTREAM_CONNECTS: {(): (pools.connects,)},
        figures.UPSTREAM_REUSES: {(): (pools.reuses,)},
        figures.UPSTREAM_UNEXPECTED: {(): (pools.unexpected,)},
        figures.WORKERS: {(): (1,)},
    }
    return Snapshot(values)


def figures_of_reloads(reloader: Reloader) -> Snapshot:
    """Return what became of reloads, and what is in force."""
    last = reloader.last
    refused = reloader.attempts - reloader.successes
    return Snapshot(
        {
            figures.RELOAD_SUCCESSFUL: {(): (int(last is None or last.ok),)},
            figures.RELOAD_TIMESTAMP: {(): (reloader.last_success_time,)},
            figures.RELOADS: {("success",): (reloader.successes,), ("refused",): (refused,)},
            figures.DANGEROUS: {(): (_dangerous(reloader.in_force.loaded),)},
            figures.BUILD: {(__version__, platform.python_version()): (1,)},
        }
    )


def figures_of_worker(gateway: Gateway, counters: Counters) -> Snapshot:
    """Return everything that a process that serves clients counts."""
    return counters.snapshot() + figures_of_gateway(gateway) + Snapshot({figures.LOG_DROPPED: {(): (lines_dropped(),)}})


def readiness_of(app: "App", last: ReloadOutcome | None) -> Readiness:
    """Say whether a process takes traffic. What an upstream or a new file is like weighs nothing."""
    is_listening = app.gateway.is_listening
    is_ending = app.gateway.draining or (is_listening and not app.is_ready)
    checks = (
        Check("config", ok=True, text="loaded"),
        Check("listening", is_listening, "" if is_listening else "it does not listen"),
        Check("not ending", not is_ending, "it is ending" if is_ending else ""),
    )
    return Readiness(checks, (reload_check(last), *upstream_checks(app.gateway)))


def reload_check(last: ReloadOutcome | None) -> Check:
    """Say what the last reload came to."""
    if last is None:
        return Check("last reload", ok=True, text="none yet")
    if last.ok:
        waiting = f"; needs a restart: {', '.join(last.needs_restart)}" if last.needs_restart else ""
        return Check("last reload", ok=True, text=f"took effect{waiting}")
    errors = sum(each.severity is problems.Severity.ERROR for each in last.diagnostics)
    return Check(
        "last reload", ok=False, text=f"refused, with {errors} error{'' if errors == 1 else 's'}; the configuration before it stays"
    )


def upstream_checks(gateway: Gateway) -> tuple[Check, ...]:
    """Say of each upstream whether the last attempt to connect worked."""
    return tuple(
        Check(f"upstream {upstream.url}", not pool.failure, pool.failure or f"{pool.size} connections")
        for upstream, pool in gateway.pools.items()
    )


def _dangerous(loaded: Loaded) -> int:
    return sum(each.problem is problems.DANGEROUS_SETTING for each in loaded.diagnostics)


def sources_of(app: "App", reloader: Reloader) -> Sources:
    """Make the sources of a proxy that is one process."""

    async def readiness() -> Readiness:
        return readiness_of(app, reloader.last)

    async def metrics() -> Snapshot:
        return figures_of_worker(app.gateway, app.counters) + figures_of_reloads(reloader)

    return Sources(lambda: reloader.in_force, readiness, metrics, reloader.reload)
