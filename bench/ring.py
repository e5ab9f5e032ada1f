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
from corsproxy.gateway.plain import PlainHeads
from corsproxy.observe.ring import SIZE, Ring
from corsproxy.plan import Connection, Fresh, layouts_of, plan
from corsproxy.record import Brief, ExchangeRecord
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


def told(settings: Settings) -> Brief:
    """Return what is told in brief of a request that is known by heart."""
    lines = [(b"Host", b"localhost:8080"), (b"Origin", b"https://app.example.com")]
    client, layouts = Connection("192.0.2.1"), layouts_of(settings, PlainHeads().judge)
    raw = b"\r\n".join([b"GET /orders/1?page=2 HTTP/1.1", *(b"%b: %b" % line for line in lines)])
    for _ in range(4):
        plan(settings, RequestHead(b"GET", b"/orders/1?page=2", 1, lines), client, Fresh(b"1" * 16, b"1" * 32, b"1" * 16))
        found = layouts.find(raw, client)
    assert found is not None
    return found.recalled, found.target, found.agent, b"1" * 16, 0.0, 100.0, 100.003, 200, 250


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
    brief = told(settings)
    sys.stdout.write(f"keeping and counting a known request: {(best(lambda: ring.briefs.put(brief), TIMES) - nothing) * 1e9:.0f} ns\n")
    sys.stdout.write(f"a look at {SIZE} exchanges: {best(lambda: ring.since(0, SIZE), LOOKS) * 1e3:.1f} ms\n")


if __name__ == "__main__":
    main()
