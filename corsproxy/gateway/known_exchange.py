"""
The exchange of a request that is known, as nearly all are: one write to the upstream, one to the client, or an answer at once.

Nothing is made of it that nobody asks for. Whatever is out of the ordinary is for the lane's other exchange, which takes it over as it stands.
"""

from collections.abc import Sequence
from time import perf_counter, time
from typing import TYPE_CHECKING

from corsproxy import edits
from corsproxy.edits import Prepared
from corsproxy.gateway.judge import LineJudge
from corsproxy.gateway.tunnel import End
from corsproxy.gateway.upstream import UpstreamConnection
from corsproxy.known import KnownAnswer, KnownForward
from corsproxy.plan import Forward, Found, Fresh
from corsproxy.problems import Problem
from corsproxy.record import ExchangeRecord, record_of
from corsproxy.semantics.fields import FieldLine, ResponseHead
from corsproxy.semantics.framing import CHUNKED_BODY, Refusal, frame, last_chunk

if TYPE_CHECKING:
    import asyncio

    from corsproxy.gateway.express import ExpressHouse, ExpressLane
    from corsproxy.gateway.express_exchange import ExpressExchange


class KnownExchange:
    """
    The exchanges of one client connection that are known, one after another. There is `found` as long as one is in flight, and here.

    Nothing is kept of one that has ended: it holds settings that may be no longer in force, and their pools.
    """

    __slots__ = (
        "_began",
        "_connection",
        "_heir",
        "_house",
        "_is_over",
        "_lane",
        "_name",
        "_other",
        "_started",
        "found",
    )

    def __init__(self, house: "ExpressHouse", lane: "ExpressLane", other: "ExpressExchange") -> None:
        self.found: Found | None = None
        self._house = house
        self._lane = lane
        self._other = other
        # Who has taken over the exchange that began last.
        self._heir: ExpressExchange | None = None
        self._connection: UpstreamConnection | None = None
        self._name = b""
        # When it began, since the epoch and by `perf_counter`; and whether everybody was told that it ended.
        self._began = self._started = 0.0
        self._is_over = False

    def start(self, found: Found, content: bytes) -> bool:
        """Serve a request, all of which has come, with its content; False if it takes the other exchange, and nothing has been done."""
        recalled, _, _, _, opening, form = found
        known, house, client = form.known, self._house, self._lane.connection
        if not recalled.is_plain or client.wire is None or house.closes_connections:
            return False
        upstream: UpstreamConnection | None = None
        if type(known) is KnownForward:
            if house.in_flight >= house.most_known:
                return False
            pool = house.last_pool if house.last_upstream is known.route.upstream else None
            upstream = (pool or house.pool(known.route.upstream)).take()
            if upstream is None:
                return False
        name = recalled.name or house.next_id()
        self._began, self._started = time(), perf_counter()
        self.found, self._name, self._connection, self._heir, self._is_over = found, name, upstream, None, False
        house.enter(client)
        try:
            if upstream is not None and type(known) is KnownForward:
                client.body_idle_timeout = known.route.limits.body_idle_timeout
                head = (opening, name, recalled.behind, content) if not recalled.names_itself else (opening, recalled.behind, content)
                upstream.send(self, known, b"".join(head), known.alike)
            elif type(known) is KnownAnswer:
                answer = known.to_bytes(house.date())
                # Before anything is written: a client that takes nothing says so meanwhile, and then nothing may be in flight.
                self.found = None
                client.wire.write(answer)
                self._leave(found, known.status, 0)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must still be an answer
            self._confess(found, error)
        return True

    def _confess(self, found: Found, error: Exception) -> None:
        """Let the other exchange answer a mistake of ours, if anybody waits for an answer."""
        connection = self._connection
        self._forget()
        if connection is not None:
            connection.abort()
        self._other.confess(None if self._is_over else self._record(found), error)

    def _record(self, found: Found) -> ExchangeRecord:
        return record_of((found.recalled, found.target, found.agent, self._name, self._began, self._started, 0.0, 0, 0))

    def hand_over(self) -> "ExpressExchange":
        """Let the other exchange go on from here; it has what comes of this one from now on."""
        heir, found, connection = self._heir, self.found, self._connection
        if heir is not None:
            return heir
        assert found is not None and connection is not None  # noqa: S101, PT018 - one is in flight
        planned = found.plan(Fresh(self._name, b"", b""))
        assert isinstance(planned, Forward)  # noqa: S101 - an answer is never in flight
        heir = self._heir = self._other
        heir.take_over(self._record(found), planned, connection)
        self._forget()
        return heir

    # --- what the upstream connection says ---

    def on_lines(self, data: bytes, most: int, judge: LineJudge) -> tuple[Prepared, int] | None:
        """Judge the final head by its lines, if they are known: of the first such request, whose like nobody has edited yet."""
        found = self.found
        if found is None or type(found.form.known) is not KnownForward:
            return None
        alike = found.form.known.alike = edits.alike(found.recalled.context(self._name))
        return alike.recall(data, most, judge) if alike is not None else None

    def on_known(self, found: Prepared) -> None:
        """Hand over."""
        self.hand_over().on_known(found)

    def on_whole(self, found: Prepared, pieces: Sequence[bytes]) -> None:
        """Take a whole answer, and write it."""
        asked, house = self.found, self._house
        wire = self._lane.connection.wire
        if asked is None or wire is None or house.closes_connections:
            self.hand_over().on_whole(found, pieces)
            return
        # Before anything is written: the connection serves others already, and this client may say that it takes no more.
        self.found = self._connection = None
        try:
            end = found.end if found.has_date else found.end_at(house.date())
            sent = found.length
            if sent < 0:
                sent = sum(map(len, pieces))
                pieces = [part for piece in pieces for part in frame(CHUNKED_BODY, piece)]
                pieces.append(last_chunk(CHUNKED_BODY))
            wire.write(b"".join((found.before, self._name, end, *pieces)))
            self._leave(asked, found.status, sent)
        except Exception as error:  # noqa: BLE001
            self._confess(asked, error)

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
        if self._heir is not None:
            self._heir.on_flush()

    def on_writable(self) -> None:
        """Do nothing: all of the request is written."""

    # --- the end ---

    def _forget(self) -> None:
        self.found = self._connection = None

    def _leave(self, found: Found, status: int, sent: int) -> None:
        """Tell everybody that an exchange ended, and go on to the next one."""
        recalled, _, target, agent, _, _ = found
        lane = self._lane
        self._is_over = True
        self._house.leave_brief(
            lane.connection, (recalled, target, agent, self._name, self._began, self._started, perf_counter(), status, sent)
        )
        lane.end_known()
