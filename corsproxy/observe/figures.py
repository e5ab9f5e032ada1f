"""
The one table of metrics: what each is called, what it counts, which labels it has.

Rendering, the page about metrics, the alerts and the dashboard are held against it. Every label's values come from a closed set:
an origin, a path or a host in one would let anybody fill the memory of whoever scrapes.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Type(StrEnum):
    """What Prometheus makes of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Merge(StrEnum):
    """How the figures of two processes become one."""

    SUM = "sum"
    MOST = "most"
    LEAST = "least"


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One metric.

    `name` is as it is scraped, `doc` one sentence. `of_system`: what the system knows of a process, under the names that
    every client library of Prometheus gives it; only Linux tells.
    """

    name: str
    type: Type
    doc: str
    labels: tuple[str, ...] = ()
    merge: Merge = Merge.SUM
    of_system: bool = False


# > [ 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10 ] (OpenTelemetry semantic conventions, http.server.request.duration)
DURATION_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

REQUESTS: Final = "corsproxy_requests_total"
DURATION: Final = "corsproxy_request_duration_seconds"
IN_FLIGHT: Final = "corsproxy_in_flight_requests"
IN_FLIGHT_LIMIT: Final = "corsproxy_in_flight_requests_limit"
CONNECTIONS: Final = "corsproxy_client_connections"
CONNECTIONS_LIMIT: Final = "corsproxy_client_connections_limit"
REQUEST_BYTES: Final = "corsproxy_request_body_bytes_total"
RESPONSE_BYTES: Final = "corsproxy_response_body_bytes_total"
TUNNELS_OPEN: Final = "corsproxy_tunnels_open"
TUNNELS_LIMIT: Final = "corsproxy_tunnels_limit"
TUNNELS: Final = "corsproxy_tunnels_total"
CORS_DECISIONS: Final = "corsproxy_cors_decisions_total"
PROBLEMS: Final = "corsproxy_problems_total"
RATE_LIMITED: Final = "corsproxy_rate_limited_requests_total"
UNPARSABLE: Final = "corsproxy_unparsable_requests_total"
EXPRESS: Final = "corsproxy_express_requests_total"
UPSTREAM_CONNECTIONS: Final = "corsproxy_upstream_connections"
UPSTREAM_CONNECTS: Final = "corsproxy_upstream_connects_total"
UPSTREAM_REUSES: Final = "corsproxy_upstream_connection_reuses_total"
UPSTREAM_ERRORS: Final = "corsproxy_upstream_errors_total"
UPSTREAM_RETRIES: Final = "corsproxy_upstream_retries_total"
UPSTREAM_UNEXPECTED: Final = "corsproxy_upstream_unexpected_data_total"
RELOAD_SUCCESSFUL: Final = "corsproxy_config_last_reload_successful"
RELOAD_TIMESTAMP: Final = "corsproxy_config_last_reload_success_timestamp_seconds"
RELOADS: Final = "corsproxy_config_reloads_total"
DANGEROUS: Final = "corsproxy_dangerous_settings"
LOG_DROPPED: Final = "corsproxy_log_lines_dropped_total"
WORKERS: Final = "corsproxy_workers"
BUILD: Final = "corsproxy_build_info"

_TABLE: Final = (
    Figure(REQUESTS, Type.COUNTER, "Exchanges that ended, WebSockets included.", ("kind", "decision", "status_class")),
    Figure(
        DURATION, Type.HISTOGRAM, "From a request's head to the end of its answer; of a WebSocket, to the end of its handshake.", ("kind",)
    ),
    Figure(IN_FLIGHT, Type.GAUGE, "Exchanges under way, event streams included, WebSockets not."),
    Figure(IN_FLIGHT_LIMIT, Type.GAUGE, "What `limits.in_flight` allows, of all workers together."),
    Figure(CONNECTIONS, Type.GAUGE, "Connections of clients, idle ones included."),
    Figure(CONNECTIONS_LIMIT, Type.GAUGE, "What `limits.connections` comes to, of all workers together."),
    Figure(
        REQUEST_BYTES,
        Type.COUNTER,
        "Body bytes from clients; of a WebSocket, every byte behind its handshake. Counted when the exchange ends.",
        ("kind",),
    ),
    Figure(
        RESPONSE_BYTES,
        Type.COUNTER,
        "Body bytes to clients; of a WebSocket, every byte behind its handshake. Counted when the exchange ends.",
        ("kind",),
    ),
    Figure(TUNNELS_OPEN, Type.GAUGE, "WebSockets that are open, and handshakes under way."),
    Figure(TUNNELS_LIMIT, Type.GAUGE, "What `limits.tunnels` allows, of all workers together."),
    Figure(TUNNELS, Type.COUNTER, "WebSockets that were opened and have ended."),
    Figure(CORS_DECISIONS, Type.COUNTER, "What the policies made of requests, and why.", ("decision", "reason")),
    Figure(PROBLEMS, Type.COUNTER, "Exchanges that ended with a problem, by its code in the list of problems.", ("code",)),
    Figure(RATE_LIMITED, Type.COUNTER, "Requests that got 429."),
    Figure(
        UNPARSABLE,
        Type.COUNTER,
        "What came from clients and was no request: bad grammar, heads that are too large or too late. Counted among the requests, too.",
    ),
    Figure(EXPRESS, Type.COUNTER, "Requests that took the express lane; the others took aiohttp's."),
    Figure(UPSTREAM_CONNECTIONS, Type.GAUGE, "Connections to upstreams.", ("state",)),
    Figure(UPSTREAM_CONNECTS, Type.COUNTER, "Connections to upstreams that were made."),
    Figure(UPSTREAM_REUSES, Type.COUNTER, "Requests that went out on a connection that had served before."),
    Figure(UPSTREAM_ERRORS, Type.COUNTER, "Exchanges that an upstream failed.", ("reason",)),
    Figure(UPSTREAM_RETRIES, Type.COUNTER, "Attempts beyond the first."),
    Figure(
        UPSTREAM_UNEXPECTED, Type.COUNTER, "Idle connections that were closed because the upstream sent bytes that nobody had asked for."
    ),
    Figure(RELOAD_SUCCESSFUL, Type.GAUGE, "1 if the last reload took effect, or there was none; 0 if it was refused.", merge=Merge.LEAST),
    Figure(RELOAD_TIMESTAMP, Type.GAUGE, "When the configuration in force was loaded, since the epoch.", merge=Merge.LEAST),
    Figure(RELOADS, Type.COUNTER, "Reloads, by what became of them.", ("outcome",)),
    Figure(DANGEROUS, Type.GAUGE, "How many `dangerously_…` keys are on.", merge=Merge.MOST),
    Figure(LOG_DROPPED, Type.COUNTER, "Lines of the log that were lost because nobody read them in time."),
    Figure(WORKERS, Type.GAUGE, "Processes that serve clients."),
    Figure(BUILD, Type.INFO, "The version of corsproxy, and of what runs it.", ("version", "python_version"), merge=Merge.MOST),
    Figure("process_cpu_seconds_total", Type.COUNTER, "Processor time, user and system.", of_system=True),
    Figure("process_resident_memory_bytes", Type.GAUGE, "Resident memory.", of_system=True),
    Figure("process_virtual_memory_bytes", Type.GAUGE, "Virtual memory.", of_system=True),
    Figure("process_open_fds", Type.GAUGE, "Open file descriptors.", of_system=True),
    Figure("process_max_fds", Type.GAUGE, "How many there may be.", of_system=True),
    Figure(
        "process_start_time_seconds",
        Type.GAUGE,
        "When the first of the processes started, since the epoch.",
        merge=Merge.LEAST,
        of_system=True,
    ),
)
FIGURES: Final = {figure.name: figure for figure in _TABLE}
