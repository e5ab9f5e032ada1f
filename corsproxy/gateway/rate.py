"""
The gate of the rate limit, for all lanes: whether one more request of a client may go upstream.

It holds the buckets of the limit in force; what a request is counted by, the plan has said.
"""

import time
from collections.abc import Callable

from corsproxy import problems
from corsproxy.answers import Answer, problem_answer
from corsproxy.config.rates import RateLimit
from corsproxy.forward import Forward
from corsproxy.resilience.bucket import Buckets
from corsproxy.semantics.framing import NO_BODY

_NS = 1_000_000_000


class RateGate:
    """
    Counts what goes upstream.

    `share`: how many processes divide the limit among them; `is_on` tells whether there is one. `clock` is in nanoseconds, and never goes back.
    """

    def __init__(self, limit: RateLimit | None, *, share: int = 1, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._share = share
        self._clock = clock
        self._limit: RateLimit | None = None
        self._buckets: Buckets | None = None
        self.is_on = False
        self.reconfigure(limit)

    def reconfigure(self, limit: RateLimit | None) -> None:
        """Follow new settings: a limit that is the same goes on counting, another one begins with full buckets."""
        if limit != self._limit:
            self._limit = limit
            self._buckets = Buckets(limit, share=self._share) if limit is not None else None
            self.is_on = limit is not None

    @property
    def keys(self) -> int:
        """How many clients are remembered."""
        return len(self._buckets) if self._buckets is not None else 0

    def refuse(self, planned: Forward) -> Answer | None:
        """
        Count a request that is about to go upstream; where its client has had too many, return what it is told.

        Spec: RFC 6585 4; draft-ietf-httpapi-ratelimit-headers-10.
        """
        buckets, limit = self._buckets, self._limit
        if buckets is None or limit is None:
            return None
        wait_ns = buckets.take(planned.context.exchange.rate_key, self._clock())
        if not wait_ns:
            return None
        wait_s = -(-wait_ns // _NS)
        # How long an empty bucket takes to fill.
        window_s = -(-limit.burst * limit.rate.period_s // limit.rate.count)
        said = [
            (b"Retry-After", b"%d" % wait_s),
            (b"RateLimit", b'"default";r=0;t=%d' % wait_s),
            (b"RateLimit-Policy", b'"default";q=%d;w=%d' % (limit.burst, window_s)),
        ]
        return problem_answer(planned.context, problems.RATE_LIMITED, close=planned.body != NO_BODY, said=said)
