"""
The exchange of a request that is known, as nearly all are: one write to the upstream, one to the client, or an answer at once.

Nothing is made of it that nobody asks for. Whatever is out of the ordinary is for the lane's other exchange, which takes it over as it stands.
"""

from collections.abc import Sequence
from time import perf_counter, time
from typing import TYPE_CHECKING, Final

from corsproxy import edits
from corsproxy.edits import Alike, Prepared
from corsproxy.gateway.judge import LineJudge
from corsproxy.gateway.tunnel import End
from corsproxy.gateway.upstream import UpstreamConnection
from corsproxy.known import KnownAnswer, KnownForward
from corsproxy.plan import Forward, Found, Fresh
from corsproxy.problems import Problem
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import FieldLine, ResponseHead
from corsproxy.semantics.framing import CHUNKED_BODY, BodyKind, Refusal, frame, last_chunk

if TYPE_CHECKING:
    import asyncio

    from corsproxy.gateway.express import ExpressHouse, ExpressLane
    from corsproxy.gateway.express_exchange import ExpressExchange

_new: Final = object.__new__


class KnownExchange:
    """
    The exchanges of one client connection that are known, one after another. There is a record as long as one is in flight, and here.

    Nothing is kept of one that has ended: it holds settings that may be no longer in force, and their pools.
    """

    __slots__ = ("_connection", "_found", "_heir", "_house", "_lane", "_name", "_other", "_prepared", "record")

    def __init__(self, house: "ExpressHouse", lane: "ExpressLane", other: "ExpressExchange") -> None:
        self.record: ExchangeRecord | None = None
        self._house = house
        self._lane = lane
        self._other = other
        # Who has taken over the exchange that began last.
        self._heir: ExpressExchange | None = None
        self._found: Found | None = None
        self._connection: UpstreamConnection | None = None
        self._name = b""
        self._prepared: Prepared | None = None

    def start(self, found: Found, content: bytes) -> bool:  # noqa: C901 - each call costs as much as what is done in it
        """Serve a request, all of which has come, with its content; False if it takes the other exchange, and nothing has been done."""
        recalled, method, target, agent, opening, form = found
        known, house, client = form.known, self._house, self._lane.connection
        if recalled.begins or client.wire is None or not known.context.persistent or house.closes_connections:
            return False
        upstream: UpstreamConnection | None = None
        if type(known) is KnownForward:
            if house.in_flight >= house.most_in_flight or house.rate.is_on:
                return False
            last, pool = house.last_pool
            if last is not known.route.upstream or pool is None:
                pool = house.pool(known.route.upstream)
            upstream = pool.take()
            if upstream is None:
                return False
        name = recalled.name or house.next_id()
        # Without its constructor, which would cost as much as all of them.
        record = _new(ExchangeRecord)
        record.time, record.started = time(), perf_counter()
        record.method, record.target, record.client = method, target, recalled.client.text
        record.recalled, record.decision = recalled, known.context.decision
        record.request_id, record.user_agent = name.decode("ascii"), agent
        if recalled.trace:
            record.trace_id = recalled.trace.decode("ascii")
        if client.peer.tls:
            record.is_tls = True
        self.record, self._found, self._name, self._connection, self._heir = record, found, name, upstream, None
        house.enter(client)
        try:
            if type(known) is KnownAnswer:
                self._answer(record, known, client.wire)
            elif type(known) is KnownForward and upstream is not None:
                route = known.route
                record.upstream, record.upstream_reused = route.upstream.url, True
                record.placed = record.connected = record.started
                client.body_idle_timeout = route.limits.body_idle_timeout
                record.received = recalled.length
                head = (opening, name, recalled.behind, content) if not recalled.names_itself else (opening, recalled.behind, content)
                upstream.send(self, known, b"".join(head))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must still be an answer
            self._confess(record, error)
        return True

    def _answer(self, record: ExchangeRecord, known: KnownAnswer, wire: "asyncio.Transport") -> None:
        answer = known.to_bytes(self._house.date())
        record.status, record.reason = known.status, known.reason
        # Before anything is written: a client that takes nothing says so meanwhile, and then nothing may be in flight.
        self._forget()
        wire.write(answer)
        record.ended = perf_counter()
        self._end(record)

    def _confess(self, record: ExchangeRecord, error: Exception) -> None:
        """Let the other exchange answer a mistake of ours, if anybody waits for an answer."""
        connection = self._connection
        self._forget()
        if connection is not None:
            connection.abort()
        self._other.confess(None if record.ended else record, error)

    def hand_over(self) -> "ExpressExchange":
        """Let the other exchange go on from here; it has what comes of this one from now on."""
        heir, record, found, connection = self._heir, self.record, self._found, self._connection
        if heir is not None:
            return heir
        assert record is not None and found is not None and connection is not None  # noqa: S101, PT018 - one is in flight
        planned = found.plan(Fresh(self._name, b"", b""))
        assert isinstance(planned, Forward)  # noqa: S101 - an answer is never in flight
        heir = self._heir = self._other
        heir.take_over(record, planned, connection, self._prepared.received(self._name) if self._prepared is not None else None)
        self._forget()
        return heir

    # --- what the upstream connection says ---

    def on_lines(self, raw: bytes, judge: LineJudge) -> Prepared | None:
        """Judge the final head by its lines, if they are known."""
        found = self._found
        if found is None:
            return None
        known = found.form.known
        if type(known) is not KnownForward:
            return None
        alike: Alike | None = known.alike
        if alike is None:
            alike = known.alike = edits.alike(found.recalled.context(self._name))
            if alike is None:
                return None
        prepared = self._prepared = alike.recall(raw, judge)
        return prepared

    def on_whole(self, pieces: Sequence[bytes]) -> None:
        """Take a whole answer, and write it."""
        record, prepared, house = self.record, self._prepared, self._house
        wire = self._lane.connection.wire
        if record is None or prepared is None or wire is None or house.closes_connections:
            self.hand_over().on_whole(pieces)
            return
        name = self._name
        # Before anything is written: the connection serves others already, and this client may say that it takes no more.
        self.record = self._found = self._prepared = self._connection = None
        try:
            end = prepared.end if prepared.has_date else prepared.end_at(house.date())
            if prepared.body.kind is BodyKind.CHUNKED:
                framed = [part for piece in pieces for part in frame(CHUNKED_BODY, piece)]
                answer = b"".join((prepared.before, name, end, *framed, last_chunk(CHUNKED_BODY)))
                record.sent = sum(map(len, pieces))
            else:
                answer = b"".join((prepared.before, name, end, *pieces))
                record.sent = prepared.length
            record.head = perf_counter()
            record.status = prepared.status
            wire.write(answer)
            record.ended = record.head
            self._end(record)
        except Exception as error:  # noqa: BLE001
            self._confess(record, error)

    def on_head(self, head: ResponseHead) -> edits.Received | None:
        """Hand over."""
        return self.hand_over().on_head(head)

    def on_interim(self, head: ResponseHead) -> None:
        """Hand over."""
        self.hand_over().on_interim(head)

    def on_switch(self, head: ResponseHead, transport: "asyncio.Transport") -> End | Refusal:
        """Hand over."""
        return self.hand_over().on_switch(head, transport)

    def on_body(self, data: bytes) -> None:
        """Hand over."""
        self.hand_over().on_body(data)

    def on_trailers(self, lines: list[FieldLine]) -> None:
        """Hand over."""
        self.hand_over().on_trailers(lines)

    def on_end(self) -> None:
        """Hand over."""
        self.hand_over().on_end()

    def on_failure(self, problem: Problem, text: str) -> None:
        """Hand over."""
        self.hand_over().on_failure(problem, text)

    def on_flush(self) -> None:
        """Hand over, if there is anything to write."""
        if self._heir is not None or self._prepared is not None:
            self.hand_over().on_flush()

    def on_writable(self) -> None:
        """Do nothing: all of the request is written."""

    # --- the end ---

    def _forget(self) -> None:
        self.record = self._found = self._prepared = self._connection = None

    def _end(self, record: ExchangeRecord) -> None:
        lane = self._lane
        lane.connection.exchanges -= 1
        self._house.leave(lane.connection, record)
        lane.end_known()
