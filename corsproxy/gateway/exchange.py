"""
What the lanes have in common: one exchange's bookkeeping, and a response on its way to the client.

A lane decides when bytes are read and written. What is admitted, tried again, recorded and sent stands here, and the rules themselves in
`plan`, `edits`, `answers` and `resilience`.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Protocol

from corsproxy import edits, problems
from corsproxy.answers import Answer, Context, problem_answer
from corsproxy.config.settings import Settings
from corsproxy.config.upstreams import Upstream
from corsproxy.edits import Prepared, Received
from corsproxy.gateway._aiohttp import ClientConnection
from corsproxy.gateway.pool import UpstreamPool
from corsproxy.gateway.rate import RateGate
from corsproxy.gateway.tunnel import End
from corsproxy.gateway.upstream import UpstreamConnection
from corsproxy.meanings import Judge
from corsproxy.plan import Forward, Fresh
from corsproxy.problems import Problem, Stage
from corsproxy.record import ExchangeRecord
from corsproxy.resilience.retry import Attempt, may_retry
from corsproxy.semantics.fields import FieldLine, RequestHead, ResponseHead
from corsproxy.semantics.framing import NO_BODY, BodyKind, Refusal, frame

# Queued content from which on the upstream is not read: one full read, or a few small ones.
HIGH_WATER_BYTES: Final = 64 * 1024

# The upstream may still be at work, the wait was long enough, or another attempt would lack the same.
_TIMEOUTS: Final = (
    problems.UPSTREAM_CONNECT_TIMEOUT,
    problems.UPSTREAM_RESPONSE_TIMEOUT,
    problems.UPSTREAM_IDLE_TIMEOUT,
    problems.UPSTREAM_POOL_FULL,
    problems.OUT_OF_DESCRIPTORS,
)

_NOBODYS: Final = Context(b"", 1, persistent=False)


class Tracer(Protocol):
    """Who follows each exchange from its beginning: most of all, who makes a span of it."""

    def enter(self, head: RequestHead, record: ExchangeRecord) -> RequestHead:
        """Begin a span, and return the head with its id as the parent of whatever comes next."""


class House(Protocol):
    """
    The gateway, as far as every lane knows it. `tracer` is None where no spans are made; `in_flight` counts exchanges, the one that asks
    included, and more than `most_in_flight` there may not be.
    """

    settings: Settings
    rate: RateGate
    closes_connections: bool
    in_flight: int
    most_in_flight: int
    tracer: Tracer | None

    def date(self) -> bytes:
        """Return the HTTP-date of this second."""

    def pool(self, upstream: Upstream) -> UpstreamPool:
        """Return the pool of an upstream."""

    def fresh(self) -> Fresh:
        """Return the ids of one exchange."""

    def enter(self, connection: ClientConnection) -> None:
        """Take note of an exchange that begins."""

    def leave(self, connection: ClientConnection, record: ExchangeRecord) -> None:
        """Take note of an exchange that ended."""


def identify(record: ExchangeRecord, context: Context) -> None:
    """Record whose exchange it is, and what was decided."""
    exchange = context.exchange
    record.context, record.decision, record.client = context, context.decision, exchange.client.decode("ascii")
    record.request_id, record.trace_id = exchange.request_id.decode("ascii"), exchange.trace_id.decode("ascii")


def record_connection(record: ExchangeRecord, connection: UpstreamConnection, *, reused: bool) -> None:
    """Record by which connection the request goes upstream, and when there was a place for it."""
    record.upstream_reused, record.connected = reused, time.perf_counter()
    record.placed = record.connected if reused else connection.began


def admit(house: House, planned: Forward) -> Answer | None:
    """Say why a request does not go upstream although the rules would let it; None if it may."""
    if house.in_flight > house.most_in_flight:
        return problem_answer(planned.context, problems.OVERLOADED, close=planned.body != NO_BODY)
    return house.rate.refuse(planned)


def record_answer(record: ExchangeRecord, answer: Answer) -> None:
    """Record an answer of the proxy's own."""
    record.status, record.reason, record.problem = answer.status, answer.reason, answer.problem
    record.sent = len(answer.body)


def is_too_large(planned: Forward, record: ExchangeRecord) -> bool:
    """Whether more came of the request's body than may."""
    return planned.body_limit is not None and record.received > planned.body_limit


def is_tried_again(planned: Forward, record: ExchangeRecord, problem: Problem, connection: UpstreamConnection | None) -> bool:
    """Say whether there is another attempt after one that failed before a byte of its answer went to the client, and count it."""
    attempt = Attempt(
        method=planned.context.method,
        has_body=planned.body != NO_BODY,
        connected=connection is not None,
        reused=connection is not None and record.upstream_reused,
        received=connection is not None and connection.received,
        timed_out=problem in _TIMEOUTS,
        number=record.retries + 1,
    )
    # Where the client is at fault, no other attempt would help.
    if problem.stage is Stage.CLIENT or not may_retry(attempt, planned.route.upstream.retries):
        return False
    record.retries += 1
    return True


class Incoming(ABC):
    """
    A response as it comes: the part of an Exchange that is the same on every lane.

    It queues what came until `collect` writes it for the client.
    """

    __slots__ = (
        "chunks",
        "connection",
        "context",
        "ended",
        "failure",
        "head",
        "interims",
        "keep_alive",
        "needs_head",
        "problem",
        "queued",
        "received",
        "trailers",
    )

    def __init__(self, context: Context, connection: UpstreamConnection, *, needs_head: bool) -> None:
        self.expect(context, connection, needs_head=needs_head)

    def expect(self, context: Context, connection: UpstreamConnection, *, needs_head: bool) -> None:
        """Wait for the response to one attempt. `needs_head`: somebody wants to see its head taken apart."""
        self.context = context
        self.connection = connection
        self.needs_head = needs_head
        self.received: Received | None = None
        self.head: ResponseHead | None = None
        self.interims: list[ResponseHead] = []
        self.chunks: list[bytes] = []
        self.queued = 0
        self.trailers: list[FieldLine] = []
        self.keep_alive = False
        self.ended = False
        self.problem: Problem | None = None
        self.failure = ""

    def forget(self) -> None:
        """Keep nothing of what was: it holds settings that may be no longer in force, and their pools."""
        self.expect(_NOBODYS, None, needs_head=False)  # type: ignore[arg-type]

    # --- what the upstream connection says ---

    def on_head(self, head: ResponseHead) -> Received | None:
        """Judge the final head."""
        received = edits.receive(self.context, head)
        if isinstance(received, Refusal):
            self.problem, self.failure = received.problem, f"the answer's head is refused: {received.reason}"
            return None
        self.received, self.head = received, head
        return received

    def on_lines(self, data: bytes, most: int, judge: Judge) -> tuple[Prepared, int] | None:
        """Judge the final head by its lines, if they are known."""
        alike = None if self.needs_head else edits.alike(self.context)
        return alike.recall(data, most, judge) if alike is not None else None

    def on_known(self, found: Prepared) -> None:
        """Take the final head, known by its lines."""
        self.received = found.received(self.context.exchange.request_id)

    def on_whole(self, found: Prepared, pieces: Sequence[bytes]) -> None:
        """Take a whole answer at once."""
        self.on_known(found)
        # However much it is, no more comes; and the connection is somebody else's already.
        self.chunks += pieces
        self.queued += sum(map(len, pieces))
        self.on_end()
        self.on_flush()

    def on_interim(self, head: ResponseHead) -> None:
        """Queue a 1xx response."""
        self.interims.append(head)

    def on_switch(self, head: ResponseHead, transport: asyncio.Transport) -> End | Refusal:
        """Refuse a 101: nobody asked for one."""
        del head, transport
        return Refusal(problems.UPSTREAM_BAD_SWITCH, "not-asked")

    def on_body(self, data: bytes) -> None:
        """Queue content."""
        self.chunks.append(data)
        self.queued += len(data)
        if self.queued >= HIGH_WATER_BYTES:
            self.connection.pause_reading()

    @abstractmethod
    def on_flush(self) -> None:
        """Act on what came; each lane does in its own way."""

    def on_trailers(self, lines: list[FieldLine]) -> None:
        """Keep the trailer section."""
        self.trailers = lines

    def on_end(self) -> None:
        """Take note of the end."""
        self.ended = True

    def on_failure(self, problem: Problem, text: str) -> None:
        """Take note of a failure."""
        self.problem, self.failure = problem, text

    # --- what the lane asks ---

    def take_interims(self) -> list[bytes]:
        """Write the 1xx responses that came since the last time."""
        interims, self.interims = self.interims, []
        return [edits.render_interim(self.context, head) for head in interims]

    def collect(self, record: ExchangeRecord, date: bytes, *, close: bool) -> list[bytes]:
        """Write what the client gets of what came since the last time. `close` ends its connection, if that can still be said."""
        pieces = self.take_interims() if self.interims else []
        received = self.received
        if received is None:
            return pieces
        context = self.context
        if not record.status:
            # If it fails, nothing has been said to the client yet.
            pieces.append(edits.render(context, received, date, close=close))
            self.keep_alive = edits.keeps_connection(context, received, close=close)
            record.status, record.head = received.status, time.perf_counter()
            record.notices = received.notices
            if record.on_head is not None and self.head is not None:
                record.on_head(self.head)
            record.reads_until_close = received.client_body.kind is BodyKind.UNTIL_CLOSE
        if self.chunks:
            chunks, self.chunks, self.queued = self.chunks, [], 0
            body = received.client_body
            for chunk in chunks:
                record.sent += len(chunk)
                pieces += frame(body, chunk)
        if self.ended:
            pieces.append(edits.render_end(context, received, self.trailers))
        return pieces
