"""What happened in one exchange: written by the gateway, read by logs, counters and metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from corsproxy.answers import Context
from corsproxy.cors.decide import Decision
from corsproxy.known import KnownForward, Recalled
from corsproxy.problems import Problem
from corsproxy.rewrite import Notice
from corsproxy.semantics.fields import ResponseHead

# Records are kept by the hundred; a lane takes no more of the field than this.
MAX_USER_AGENT: Final = 256


# Neither slots nor a constructor for each field: most fields of most records are as they are by default, and one is made for each exchange.
@dataclass(init=False)
class ExchangeRecord:
    """
    One exchange. Times are in seconds of `time.perf_counter` but `time`, which is since the epoch.

    `target` is raw, with its query. `status` is what the client got (0: nothing). `received` and `sent` count body
    bytes from and to the client; `notices` are worth a line in the log, once; `reads_until_close`: only the connection's end tells the client that the body is complete. `failure` is a sentence for the operator: it may name addresses, never secrets.
    `recalled` is what a plan from memory was made of. `placed` is when there was a place in the pool of the upstream, `connected` when there was a
    connection. `is_tls` tells of the client's connection; `span` is what tracing holds of it until it has ended, and `span_id` names it, where spans are sent. `on_head`
    is told of the upstream's final head, where somebody has asked for it.
    """

    time: float
    started: float
    method: bytes
    target: bytes
    client: str
    status: int = 0
    decision: Decision | None = None
    _context: Context | None = None
    reason: str = ""
    problem: Problem | None = None
    failure: str = ""
    request_id: str = ""
    trace_id: str = ""
    notices: tuple[Notice, ...] = ()
    upstream: str = ""
    upstream_reused: bool = False
    retries: int = 0
    reads_until_close: bool = False
    received: int = 0
    sent: int = 0
    connected: float = 0.0
    head: float = 0.0
    ended: float = 0.0
    placed: float = 0.0
    is_tls: bool = False
    user_agent: bytes = b""
    span_id: str = ""
    span: Any = None
    on_head: Callable[[ResponseHead], None] | None = None
    recalled: Recalled | None = None

    def __init__(self, time: float, started: float, method: bytes, target: bytes, client: str, **others: Any) -> None:
        self.time = time
        self.started = started
        self.method = method
        self.target = target
        self.client = client
        if others:
            for name, value in others.items():
                setattr(self, name, value)

    @property
    def context(self) -> Context | None:
        """What the plan found out. Of a request that was recalled, it is put together when somebody asks for it."""
        if self._context is None and self.recalled is not None:
            self._context = self.recalled.context(self.request_id.encode("ascii"))
        return self._context

    @context.setter
    def context(self, context: Context | None) -> None:
        self._context = context

    @property
    def is_tunnel(self) -> bool:
        """Whether it became a WebSocket; it ends with that, and `received` and `sent` are the bytes both ways."""
        return self.status == 101


# What is said of an exchange that went as known ones go: what it was recalled as, its target, its User-Agent, its id, when it began since the
# epoch and by `time.perf_counter`, when it ended, its status and how much of content went to the client; the last three are 0 while it is in flight.
Brief = tuple[Recalled, bytes, bytes, bytes, float, float, float, int, int]


def record_of(brief: Brief) -> ExchangeRecord:
    """Write the record of an exchange that has gone, so far, as known ones go: on a connection that was there, in the first attempt."""
    recalled, target, agent, name, began, started, ended, status, sent = brief
    known, client = recalled.known, recalled.client
    record = ExchangeRecord(began, started, known.context.method, target, client.text)
    record.recalled, record.decision = recalled, known.context.decision
    record.request_id, record.trace_id = name.decode("ascii"), recalled.trace.decode("ascii")
    record.user_agent, record.is_tls = agent, client.is_tls
    record.status, record.ended, record.sent = status, ended, sent
    if isinstance(known, KnownForward):
        record.upstream, record.upstream_reused, record.received = known.route.upstream.url, True, recalled.length
        record.placed, record.connected, record.head = started, started, ended
    else:
        record.reason = known.reason
    return record
