"""The rows of the table of keys that are about processes: how many serve, how fast, and how they end."""

from typing import Final

from corsproxy.config.key import FILE, SHUTDOWN, Key, Kind

# More processes than any machine has use for.
MAX_WORKERS: Final = 1024

WORKERS_KEY: Final = Key(
    FILE,
    "workers",
    Kind.COUNT_OR_AUTO,
    (
        "How many processes share the addresses. `auto`: one for each CPU that this process may use, the quota of its cgroup counted. "
        "Limits of connections, exchanges and WebSockets are those of each process."
    ),
    default="1",
    precedent="nginx `worker_processes`; uvicorn and gunicorn start with one",
    least=1,
    most=MAX_WORKERS,
    also=("worker", "processes", "worker_processes", "threads", "concurrency", "instances"),
    is_reloadable=False,
    comment="processes that share the port; auto = one per usable CPU, cgroup quota counted",
)

EXPRESS_KEY: Final = Key(
    FILE,
    "express",
    Kind.BOOLEAN,
    "Whether plain exchanges take the express lane. The other lane does the same for several times the CPU time: for doubt, and for comparison.",
    default="true",
    also=("express_lane", "fast", "fast_path"),
    comment="false: every exchange takes the aiohttp lane (slower, same meaning)",
    flag="--no-express",
)

SHUTDOWN_SECTION: Final = Key(
    FILE,
    "shutdown",
    Kind.SECTION,
    "What happens between SIGTERM and the end.",
    children=SHUTDOWN,
    precedent="Caddy `shutdown_delay` and `grace_period`",
    also=("graceful_shutdown", "drain", "termination"),
)

SHUTDOWN_KEYS: Final = (
    Key(
        SHUTDOWN,
        "delay",
        Kind.DURATION_OR_ZERO,
        (
            "How long connections are still accepted after SIGTERM. Answers say `Connection: close` and the readiness check fails meanwhile, so that "
            "load balancers look elsewhere before anything is refused."
        ),
        default="0s",
        precedent="Caddy `shutdown_delay`; the sleep that preStop hooks of Kubernetes have",
        example="5s",
        also=("shutdown_delay", "wait", "pre_stop", "drain_time", "lame_duck"),
        comment="keep accepting, answer Connection: close, fail the readiness check; then drain",
    ),
    Key(
        SHUTDOWN,
        "grace",
        Kind.DURATION_OR_ZERO,
        "How long exchanges in flight and open WebSockets may go on after that; then they are cut.",
        default="25s",
        precedent="below the 30 s of Kubernetes' `terminationGracePeriodSeconds`",
        also=("timeout", "grace_period", "graceful_timeout", "drain_timeout"),
        comment="then exchanges in flight may end, and are cut after this time",
    ),
)
