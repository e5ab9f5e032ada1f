"""
What one proxy says of itself, for whoever asks at the admin listener.

It puts together what gateway, counters and reloads know, and holds none of it.
"""

import platform

from corsproxy import __version__, problems
from corsproxy.admin.sources import Check, InForce, Readiness, Sources
from corsproxy.changes import ReloadOutcome
from corsproxy.config.load import Loaded
from corsproxy.gateway.server import Gateway
from corsproxy.observe import figures
from corsproxy.observe.counters import Counters
from corsproxy.observe.ring import Ring
from corsproxy.observe.snapshot import Labels, Snapshot, Value
from corsproxy.observe.writer import lines_dropped
from corsproxy.reload import Reloader


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
        figures.EXPRESS: {(): (gateway.express_exchanges,)},
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


def readiness_of(gateway: Gateway, last: ReloadOutcome | None) -> Readiness:
    """Say whether a gateway takes traffic. What an upstream or a new file is like weighs nothing."""
    checks = (
        Check("config", ok=True, text="loaded"),
        Check("listening", gateway.is_listening, "" if gateway.is_listening else "it does not listen"),
        Check("not draining", not (gateway.draining or gateway.is_leaving), _ending(gateway)),
    )
    return Readiness(checks, (reload_check(last), *upstream_checks(gateway)))


def _ending(gateway: Gateway) -> str:
    return "it is draining" if gateway.draining else "it is about to drain" if gateway.is_leaving else ""


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


def sources_of_process(gateway: Gateway, counters: Counters, reloader: Reloader, ring: Ring) -> Sources:
    """Make the sources of a proxy that is one process."""

    async def readiness() -> Readiness:
        return readiness_of(gateway, reloader.last)

    async def metrics() -> Snapshot:
        return figures_of_worker(gateway, counters) + figures_of_reloads(reloader)

    def in_force() -> InForce:
        return reloader.in_force

    return Sources(in_force, readiness, metrics, reloader.reload, ring)
