"""
An exchange on the express lane: decide, then move, by callbacks only.

What the aiohttp lane does with `await` (`handler.py`), in the same order and with the same parts: `plan`, `exchange`, the pool.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from corsproxy import problems
from corsproxy.answers import Answer, Context, problem_answer
from corsproxy.gateway.exchange import Incoming, admit, identify, is_too_large, is_tried_again, record_answer, record_connection
from corsproxy.gateway.pool import UpstreamUnavailable
from corsproxy.gateway.tunnel import break_off
from corsproxy.gateway.upstream import UpstreamConnection
from corsproxy.plan import Forward, Found, Plan, plan
from corsproxy.problems import Problem
from corsproxy.record import MAX_USER_AGENT, ExchangeRecord
from corsproxy.semantics.fields import RequestHead
from corsproxy.semantics.framing import NO_BODY, frame, last_chunk

if TYPE_CHECKING:
    from corsproxy.gateway.express import ExpressHouse, ExpressLane

_log = logging.getLogger("corsproxy")

_Acquiring = asyncio.Task[tuple[UpstreamConnection, bool]]


class ExpressExchange(Incoming):
    """The exchanges of one client connection, one after another: each has a record, and none is in flight where there is no record."""

    __slots__ = ("_acquiring", "_has_begun", "_has_ended", "_house", "_lane", "_loop", "_planned", "_record", "_stamp")

    def __init__(self, house: "ExpressHouse", lane: "ExpressLane", loop: asyncio.AbstractEventLoop) -> None:
        self._house = house
        self._lane = lane
        self._loop = loop
        self._record: ExchangeRecord | None = None
        self._planned: Forward | None = None
        # A connection is being made; that is rare, so it may be a task.
        self._acquiring: _Acquiring | None = None
        # The request's head is written upstream; and all of the request is.
        self._has_begun = False
        self._has_ended = False
        # When something of the request's body came last.
        self._stamp = 0.0
        self.forget()

    def start(self, head: RequestHead) -> None:
        """Serve a request, whatever happens."""
        house, peer = self._house, self._lane.connection.peer
        record = self._enter(head.method, head.target, house.heads.user_agent)
        context: Context | None = None
        try:
            if house.tracer is not None:
                head = house.tracer.enter(head, record)
            planned = plan(house.settings, head, peer, house.fresh())
            context = self.context = planned.context
            identify(record, context)
            self._follow(record, planned)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must still be an answer
            self.context = context or Context(head.method, head.minor, persistent=False)
            self._confess(error)

    def start_found(self, found: Found) -> None:
        """Serve a request whose plan is in memory, whatever happens."""
        record = self._enter(found.method, found.target, found.agent)
        context: Context | None = None
        try:
            planned = found.plan(self._house.fresh())
            context = self.context = planned.context
            identify(record, context)
            self._follow(record, planned)
        except Exception as error:  # noqa: BLE001
            self.context = context or Context(found.method, 1, persistent=False)
            self._confess(error)

    def take_over(self, record: ExchangeRecord, planned: Forward, connection: UpstreamConnection) -> None:
        """Go on with an exchange whose request is written upstream."""
        self._record, self._planned = record, planned
        self.expect(planned.context, connection, needs_head=False)
        self._has_begun = self._has_ended = True

    def _enter(self, method: bytes, target: bytes, agent: bytes) -> ExchangeRecord:
        connection = self._lane.connection
        peer = connection.peer
        record = self._record = ExchangeRecord(time.time(), time.perf_counter(), method, target, peer.peer)
        record.is_tls, record.user_agent = peer.tls, agent[:MAX_USER_AGENT]
        self._house.enter(connection)
        return record

    def _follow(self, record: ExchangeRecord, planned: Plan) -> None:
        answer = planned if isinstance(planned, Answer) else admit(self._house, planned)
        if answer is not None:
            self._answer(record, answer)
        elif isinstance(planned, Forward):
            route = planned.route
            self._lane.connection.body_idle_timeout = route.limits.body_idle_timeout
            record.upstream = route.upstream.url
            self._planned = planned
            self._attempt(record, planned)

    # --- attempts ---

    def _attempt(self, record: ExchangeRecord, planned: Forward) -> None:
        self._has_begun = self._has_ended = False
        # Asked for each time: a reload may have retired the pool, and one that is retired and unused is forgotten.
        pool = self._house.pool(planned.route.upstream)
        # A second attempt goes on a fresh connection: the other idle ones may be as stale as the first.
        is_second = record.retries > 0
        connection = None if is_second else pool.take()
        if connection is not None:
            record.upstream_reused, record.placed, record.connected = True, record.started, record.started
            self._begin(record, planned, connection)
            return
        task = self._acquiring = self._loop.create_task(pool.acquire(planned.route.timeouts.connect, fresh=is_second))
        task.add_done_callback(self._on_acquired)

    def _on_acquired(self, task: _Acquiring) -> None:
        record, planned = self._record, self._planned
        error = None if task.cancelled() else task.exception()
        if task is not self._acquiring or record is None or planned is None:
            if not task.cancelled() and error is None:
                # The client left while the connection was being made.
                task.result()[0].abort()
            return
        self._acquiring = None
        try:
            if isinstance(error, UpstreamUnavailable):
                self._fail(record, planned, error.problem, error.text, None)
            elif error is not None:
                self._confess(error)
            elif task.cancelled():
                self.cancel()
            else:
                connection, reused = task.result()
                record_connection(record, connection, reused=reused)
                self._begin(record, planned, connection)
        except Exception as mistake:  # noqa: BLE001
            self._confess(mistake)

    def _begin(self, record: ExchangeRecord, planned: Forward, connection: UpstreamConnection) -> None:
        """Write the head with whatever of the body is here already."""
        self.expect(planned.context, connection, needs_head=record.on_head is not None)
        connection.begin(self, planned)
        self._has_begun = True
        if planned.body == NO_BODY:
            self._has_ended = True
            connection.write(planned.head)
            connection.end_request()
        else:
            self._stamp = self._loop.time()
            self._upload(record, planned, connection, [planned.head])
        if not connection.is_open and self._record is record and self._has_begun:
            # It was lost between the end of the task that made it and now, and nobody would be told.
            connection.abort()
            self._fail(record, planned, problems.UPSTREAM_CLOSED, "closed before the answer", connection)

    def _fail(self, record: ExchangeRecord, planned: Forward, problem: Problem, text: str, connection: UpstreamConnection | None) -> None:
        """Try again, or give up."""
        # What still comes of the attempt that failed has nothing to say to the next one.
        self._has_begun, self.problem = False, None
        if not record.status and is_tried_again(planned, record, problem, connection):
            self._attempt(record, planned)
            return
        record.failure = text
        self._give_up(record, problem)

    # --- the request's body ---

    def on_content(self) -> None:
        """Send on what came of the body."""
        record, planned = self._record, self._planned
        if record is None or planned is None or self._has_ended:
            return
        self._stamp = self._loop.time()
        if not self._has_begun:
            self._lane.mind_content()
            return
        try:
            self._upload(record, planned, self.connection, [])
        except Exception as error:  # noqa: BLE001
            self._confess(error)

    def _upload(self, record: ExchangeRecord, planned: Forward, connection: UpstreamConnection, pieces: list[bytes]) -> None:
        lane, body = self._lane, planned.body
        for chunk in lane.take_content():
            record.received += len(chunk)
            pieces += frame(body, chunk)
        is_excessive = is_too_large(planned, record)
        has_ended = lane.has_body_ended and not is_excessive
        if has_ended:
            pieces.append(last_chunk(body))
        if pieces:
            connection.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if has_ended:
            self._has_ended = True
            connection.end_request()
        elif is_excessive:
            self._break_off(problems.BODY_TOO_LARGE, f"the request's body is over {planned.body_limit} bytes")
        elif lane.body_fault:
            self._break_off(problems.BAD_REQUEST, f"the request's body broke off: {lane.body_fault}")
        elif connection.blocked:
            lane.pause_reading()
        else:
            lane.resume_reading()

    def on_writable(self) -> None:
        """Read the body on: the upstream takes bytes again."""
        if self._record is not None and not self._has_ended:
            self._stamp = self._loop.time()
            self._lane.resume_reading()

    def expire(self, now: float) -> None:
        """Look whether the client still sends the body that it owes. `now` is the loop's clock."""
        planned = self._planned
        if planned is None or not self._has_begun or self._has_ended:
            return
        timeout = planned.route.limits.body_idle_timeout
        if now - self._stamp > timeout:
            self._break_off(problems.REQUEST_TIMEOUT, f"no byte of the request's body came for {timeout:g} s")

    def _break_off(self, problem: Problem, text: str) -> None:
        """Whatever breaks a body off, what went upstream must not look complete."""
        self.connection.abort()
        self.on_failure(problem, text)
        self.on_flush()

    # --- the response ---

    def on_body(self, data: bytes) -> None:
        """Queue content: it is written before more of it is read, and then the client's transport says whether it takes more."""
        self.chunks.append(data)

    def on_flush(self) -> None:
        """Write what came."""
        record, planned = self._record, self._planned
        if record is None or planned is None or not self._has_begun:
            return
        try:
            self._flush(record, planned, self.connection)
        except Exception as error:  # noqa: BLE001
            self._confess(error)

    def _flush(self, record: ExchangeRecord, planned: Forward, connection: UpstreamConnection) -> None:
        lane, house = self._lane, self._house
        wire = lane.connection.wire
        if wire is None:
            return
        # Half of a request may still be on its way: nobody can tell where the next one begins unless it all arrives.
        close = house.closes_connections or not self._has_ended or lane.may_be_misread
        pieces = self.collect(record, house.date(), close=close)
        if pieces:
            wire.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if self.problem is not None:
            self._fail(record, planned, self.problem, self.failure, connection)
        elif self.ended:
            self._end(record, keep_alive=self.keep_alive)
        elif lane.connection.blocked_since:
            connection.pause_reading()

    def on_client_blocked(self) -> None:
        """Read no more of the response: the client is slower."""
        if self._has_begun and not self.ended:
            self.connection.pause_reading()

    def on_client_writable(self) -> None:
        """Read the response on."""
        if self._has_begun and not self.ended:
            self.connection.resume_reading()

    # --- answers of our own ---

    def _answer(self, record: ExchangeRecord, answer: Answer) -> None:
        house, lane = self._house, self._lane
        close = house.closes_connections or lane.may_be_misread
        record_answer(record, answer)
        wire = lane.connection.wire
        if wire is not None:
            wire.write(answer.to_bytes(house.date(), close=close))
        self._end(record, keep_alive=answer.keeps_connection(close=close))

    def _give_up(self, record: ExchangeRecord, problem: Problem) -> None:
        """Answer a problem if nothing was written yet; else cut the client off, so that the part is not taken for the whole."""
        record.problem = problem
        lane = self._lane
        if not record.status:
            self._answer(record, problem_answer(self.context, problem, close=not lane.has_body_ended))
            return
        break_off(lane.connection.wire, reads_until_close=record.reads_until_close)
        self._end(record, keep_alive=False, is_cut=True)

    def confess(self, record: ExchangeRecord | None, error: Exception) -> None:
        """Answer a mistake that was made elsewhere in an exchange; without a record, it has ended."""
        self._record, self._has_begun = record, False
        if record is not None:
            self.context = record.context or Context(record.method, 1, persistent=False)
        self._confess(error)

    def _confess(self, error: BaseException) -> None:
        """Answer a mistake of ours."""
        record = self._record
        _log.error("internal error", exc_info=error)
        if record is None:
            return
        if self._has_begun:
            self.connection.abort()
        record.failure = repr(error)
        self._give_up(record, problems.INTERNAL_ERROR)

    # --- the end ---

    def on_client_lost(self) -> None:
        """Let go: nobody waits for the answer any more."""
        record = self._record
        if record is None:
            return
        record.problem = problems.CLIENT_STALLED if self._lane.connection.stalled else problems.CLIENT_GONE
        self._let_go()
        self._end(record, keep_alive=False, is_cut=True)

    def cancel(self) -> None:
        """Give the exchange up although the client is still there: a stop cuts it."""
        record = self._record
        if record is None:
            return
        record.problem = problems.CLIENT_GONE
        self._let_go()
        break_off(self._lane.connection.wire, reads_until_close=bool(record.status) and record.reads_until_close)
        self._end(record, keep_alive=False, is_cut=True)

    def _let_go(self) -> None:
        if self._acquiring is not None:
            acquiring, self._acquiring = self._acquiring, None
            acquiring.cancel()
        elif self._has_begun and not self.ended and self.problem is None:
            self.connection.abort()

    def _end(self, record: ExchangeRecord, *, keep_alive: bool, is_cut: bool = False) -> None:
        record.ended = time.perf_counter()
        lane = self._lane
        connection = lane.connection
        self._record = self._planned = None
        self._has_begun = False
        self.forget()
        self._house.leave(connection, record)
        lane.end_exchange(keep_alive=keep_alive, is_cut=is_cut)
