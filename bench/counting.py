"""
What metrics and the inspector cost: counting and keeping one exchange on the data path, one scrape, and one look.

CPU time of this process, best of several rounds; figures are nanoseconds, and milliseconds for a scrape.
"""

import os
import sys
import time
from collections.abc import Callable

from corsproxy import problems
from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.observe.counters import Counters
from corsproxy.observe.metrics import render
from corsproxy.observe.ring import SIZE, Ring
from corsproxy.observe.snapshot import Snapshot
from corsproxy.plan import Connection, Fresh, plan
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import RequestHead

ROUNDS = 7
TIMES = 200_000
SCRAPES = 50
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def record(status: int, decision: Decision, problem: problems.Problem | None = None) -> ExchangeRecord:
    return ExchangeRecord(0, 100.0, b"GET", b"/", "", status, decision, problem=problem, ended=100.003, sent=1000)


RECORDS = {
    "an allowed request": record(200, Decision(Kind.ACTUAL, Reason.ORIGIN_ALLOWED, granted=True)),
    "a preflight": record(204, Decision(Kind.PREFLIGHT, Reason.PREFLIGHT_GRANTED, granted=True)),
    "a refusal": record(403, Decision(Kind.ACTUAL, Reason.ORIGIN_REFUSED, refused=True), problems.ORIGIN_REFUSED),
}


def best(work: Callable[[], object], times: int) -> float:
    """Return the CPU time of one call in seconds, of the best round."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - start) / times)
    return min(found)


def judged(settings: Settings, origin: bytes) -> ExchangeRecord:
    """Return the record of a request that a policy has judged, with all that the inspector wants to know of it."""
    head = RequestHead(b"GET", b"/orders/1?page=2", 1, [(b"Host", b"localhost:8080"), (b"Origin", origin)])
    context = plan(settings, head, Connection("192.0.2.1"), Fresh(b"1" * 16, b"1" * 32, b"1" * 16)).context
    made = ExchangeRecord(0, 100.0, head.method, head.target, "192.0.2.1", 200, context.decision, context=context, ended=100.003)
    if context.decision is not None and context.decision.refused:
        made.status, made.problem, made.reason = 403, problems.ORIGIN_REFUSED, context.decision.reason
    return made


def measure_ring() -> None:
    settings = load_text("upstream: http://localhost:9000\ncors: {allow_origins: [https://app.example.com]}\n", "bench").settings
    assert settings is not None
    ring = Ring(lambda: settings, "bench")
    nothing = best(lambda: None, TIMES)
    for name, origin in (("an allowed request", b"https://app.example.com"), ("a refusal", b"https://evil.example")):
        each = judged(settings, origin)
        sys.stdout.write(f"keeping {name}: {(best(lambda each=each: ring.add(each), TIMES) - nothing) * 1e9:.0f} ns\n")  # type: ignore[misc]
    sys.stdout.write(f"a look at {SIZE} exchanges: {best(lambda: ring.since(0, SIZE), SCRAPES) * 1e3:.1f} ms\n")


def main() -> None:
    measure_ring()
    counters = Counters()
    nothing = best(lambda: None, TIMES)
    for name, each in RECORDS.items():
        sys.stdout.write(f"counting {name}: {(best(lambda each=each: counters.add(each), TIMES) - nothing) * 1e9:.0f} ns\n")  # type: ignore[misc]
    for kind in Kind:
        for reason in Reason:
            for status in (200, 404, 502):
                counters.add(record(status, Decision(kind, reason)))
    for problem in problems.catalogue().values():
        counters.add(record(problem.status, Decision(Kind.ACTUAL, Reason.ORIGIN_ALLOWED), problem))
    snapshot = counters.snapshot() + Snapshot(processes=(os.getpid(),))
    sys.stdout.write(f"a snapshot: {best(counters.snapshot, SCRAPES) * 1e3:.2f} ms\n")
    for name, accept in (("text", ""), ("OpenMetrics", OPENMETRICS)):
        body, _ = render(snapshot, accept)
        taken = best(lambda accept=accept: render(snapshot, accept), SCRAPES)  # type: ignore[misc]
        sys.stdout.write(f"writing {len(body)} bytes of {name}: {taken * 1e3:.2f} ms\n")


if __name__ == "__main__":
    main()
