"""What happened since the start, as plain ints; whoever serves metrics reads them."""

from collections import Counter

from corsproxy.record import ExchangeRecord


class Counters:
    """
    Counts of exchanges. Every key comes from a closed set, so nothing here can grow without bound.

    `tunnels` are the WebSockets that have ended; the gateway knows how many are open. `statuses` by status, `decisions` by (kind, reason), `problems` by code; `received` and `sent` in body bytes.
    """

    def __init__(self) -> None:
        self.exchanges = 0
        self.statuses: Counter[int] = Counter()
        self.decisions: Counter[tuple[str, str]] = Counter()
        self.problems: Counter[str] = Counter()
        self.tunnels = 0
        self.retries = 0
        self.received = 0
        self.sent = 0

    def add(self, record: ExchangeRecord) -> None:
        """Count one exchange."""
        self.exchanges += 1
        self.statuses[record.status] += 1
        if record.decision is not None:
            self.decisions[record.decision.kind.value, record.decision.reason.value] += 1
        if record.problem is not None:
            self.problems[record.problem.code] += 1
        self.tunnels += record.is_tunnel
        self.retries += record.retries
        self.received += record.received
        self.sent += record.sent
