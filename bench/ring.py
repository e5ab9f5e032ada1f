"""
What the inspector costs: keeping one exchange on the data path, and one look.

CPU time of this process, best of several rounds; figures are nanoseconds, and milliseconds for a look.
"""

import sys
import time
from collections.abc import Callable

from corsproxy import problems
from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings
from corsproxy.observe.ring import SIZE, Ring
from corsproxy.plan import Connection, Fresh, plan
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import RequestHead

ROUNDS = 7
TIMES = 200_000
LOOKS = 50
ORIGINS = {"an allowed request": b"https://app.example.com", "a refusal": b"https://evil.example"}


def judged(settings: Settings, origin: bytes) -> ExchangeRecord:
    """Return the record of a request that a policy has judged, with all that the inspector wants to know of it."""
    head = RequestHead(b"GET", b"/orders/1?page=2", 1, [(b"Host", b"localhost:8080"), (b"Origin", origin)])
    context = plan(settings, head, Connection("192.0.2.1"), Fresh(b"1" * 16, b"1" * 32, b"1" * 16)).context
    made = ExchangeRecord(
        0, 100.0, head.method, head.target, "192.0.2.1", status=200, decision=context.decision, context=context, ended=100.003
    )
    if context.decision is not None and context.decision.refused:
        made.status, made.problem, made.reason = 403, problems.ORIGIN_REFUSED, context.decision.reason
    return made


def best(work: Callable[[], object], times: int) -> float:
    """Return the CPU time of one call in seconds, of the best round."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - start) / times)
    return min(found)


def main() -> None:
    settings = load_text("upstream: http://localhost:9000\ncors: {allow_origins: [https://app.example.com]}\n", "bench").settings
    assert settings is not None
    ring = Ring(lambda: settings, "bench")
    nothing = best(lambda: None, TIMES)
    for name, origin in ORIGINS.items():
        each = judged(settings, origin)
        sys.stdout.write(f"keeping {name}: {(best(lambda each=each: ring.add(each), TIMES) - nothing) * 1e9:.0f} ns\n")  # type: ignore[misc]
    sys.stdout.write(f"a look at {SIZE} exchanges: {best(lambda: ring.since(0, SIZE), LOOKS) * 1e3:.1f} ms\n")


if __name__ == "__main__":
    main()
