"""
The aiohttp lane: any exchange, the plain way. The file to read first.

decide (`plan`) → answer here, or move: head and body upstream, head and body back. It holds no rule of its own:
what is sent comes from `plan`, `edits` and `answers`; what is retried, from `resilience`.
"""

import asyncio
import logging
import time
from contextlib import AbstractContextManager, suppress
from typing import Final, Protocol

from aiohttp import hdrs, web

from corsproxy import edits, problems
from corsproxy.answers import Answer, Context, problem_answer
from corsproxy.gateway._aiohttp import ClientConnection, Written, is_last
from corsproxy.gateway.exchange import House, admit, identify, is_too_large, is_tried_again, record_answer, record_connection
from corsproxy.gateway.pool import UpstreamPool, UpstreamUnavailable
from corsproxy.gateway.relay import Relay, Switch
from corsproxy.gateway.tunnel import Tunnel as WebSocket
from corsproxy.gateway.tunnel import break_off
from corsproxy.gateway.upstream import UpstreamConnection
from corsproxy.plan import Forward, Tunnel, plan
from corsproxy.problems import Problem
from corsproxy.record import MAX_USER_AGENT, ExchangeRecord
from corsproxy.semantics.fields import RequestHead, ResponseHead
from corsproxy.semantics.framing import NO_BODY, Refusal, frame, last_chunk

_log = logging.getLogger("corsproxy")

# The reason of a refusal, for the log.
_EARLY: Final = "bytes-before-101"


class Gateway(House, Protocol):
    """The gateway, as this lane knows it."""

    @property
    def has_room_for_tunnel(self) -> bool:
        """Whether one more WebSocket may be opened."""

    def handshake(self, record: ExchangeRecord) -> AbstractContextManager[None]:
        """Count a handshake among the tunnels."""

    def open_tunnel(self, client: ClientConnection, upstream: asyncio.Transport, idle_timeout: float, record: ExchangeRecord) -> WebSocket:
        """Join a client's connection to an upstream's."""


class _AttemptFailed(Exception):
    """An attempt ended before a byte of its answer went to the client."""

    def __init__(self, problem: Problem, text: str, connection: UpstreamConnection | None) -> None:
        super().__init__(text)
        self.problem = problem
        self.text = text
        self.connection = connection


class AiohttpLane:
    """Serves exchanges on aiohttp's requests. One for all connections."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one exchange, whatever happens."""
        connection = request.protocol
        assert isinstance(connection, ClientConnection)  # noqa: S101 - Front makes nothing else
        head = _request_head(request)
        record = ExchangeRecord(
            time.time(), time.perf_counter(), head.method, head.target, connection.peer.peer, is_tls=connection.peer.tls
        )
        record.user_agent = request.headers.get(hdrs.USER_AGENT, "").encode("utf-8", "surrogateescape")[:MAX_USER_AGENT]
        context = Context(head.method, head.minor, persistent=False)
        connection.begin_exchange(request.content)
        self._gateway.enter(connection)
        try:
            if self._gateway.tracer is not None:
                head = self._gateway.tracer.enter(head, record)
            planned = plan(self._gateway.settings, head, connection.peer, self._gateway.fresh())
            context = planned.context
            identify(record, context)
            if isinstance(planned, Forward):
                planned = self._admit(planned, connection)
            if isinstance(planned, Answer):
                return self._answer(request, planned, record)
            connection.body_idle_timeout = planned.route.limits.body_idle_timeout
            if isinstance(planned, Tunnel):
                with self._gateway.handshake(record):
                    return await self._forward(request, planned, record)
            return await self._forward(request, planned, record)
        except asyncio.CancelledError:
            if not record.is_tunnel:
                record.problem = problems.CLIENT_STALLED if connection.stalled else problems.CLIENT_GONE
                # Where the client is still there, it is a stop that cuts the exchange.
                if record.status:
                    break_off(request.transport, reads_until_close=record.reads_until_close)
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of ours must still be an answer
            _log.exception("internal error")
            record.failure = repr(error)
            return self._give_up(request, context, record, problems.INTERNAL_ERROR)
        finally:
            connection.end_exchange()
            if not record.is_tunnel:
                record.ended = time.perf_counter()
                self._gateway.leave(connection, record)

    def _admit(self, planned: Forward, connection: ClientConnection) -> Forward | Answer:
        """Let a request go upstream if there is room for it, and a handshake if nothing came behind it."""
        context, gateway = planned.context, self._gateway
        refusal = admit(gateway, planned)
        if refusal is not None:
            return refusal
        if isinstance(planned, Tunnel):
            # > the client MUST wait for a response from the server before sending any further data (RFC 6455 4.1)
            if connection.has_early_bytes:
                return problem_answer(context, problems.BAD_REQUEST, reason=_EARLY, close=True)
            if not gateway.has_room_for_tunnel:
                return problem_answer(context, problems.TOO_MANY_TUNNELS, close=True)
        return planned

    def _answer(self, request: web.BaseRequest, answer: Answer, record: ExchangeRecord) -> web.StreamResponse:
        close = self._gateway.closes_connections or is_last(request)
        record_answer(record, answer)
        if request.transport is not None:
            request.transport.write(answer.to_bytes(self._gateway.date(), close=close))
        return Written(keep_alive=answer.keeps_connection(close=close))

    def _give_up(self, request: web.BaseRequest, context: Context, record: ExchangeRecord, problem: Problem) -> web.StreamResponse:
        """Answer a problem if nothing was written yet; else cut the client off, so that the part is not taken for the whole."""
        record.problem = problem
        if not record.status:
            return self._answer(request, problem_answer(context, problem, close=not request.content.is_eof()), record)
        break_off(request.transport, reads_until_close=record.reads_until_close)
        return Written(keep_alive=False)

    async def _forward(self, request: web.BaseRequest, planned: Forward, record: ExchangeRecord) -> web.StreamResponse:
        record.upstream = planned.route.upstream.url
        while True:
            # Asked for each time: a reload may have retired the pool, and one that is retired and unused is forgotten.
            pool = self._gateway.pool(planned.route.upstream)
            try:
                return await self._attempt(request, planned, pool, record)
            except _AttemptFailed as failed:
                if is_tried_again(planned, record, failed.problem, failed.connection):
                    continue
                record.failure = failed.text
                return self._give_up(request, planned.context, record, failed.problem)

    async def _attempt(
        self,
        request: web.BaseRequest,
        planned: Forward,
        pool: UpstreamPool,
        record: ExchangeRecord,
    ) -> web.StreamResponse:
        timeouts = planned.route.timeouts
        try:
            # A second attempt goes on a fresh connection: the other idle ones may be as stale as the first.
            connection, reused = await pool.acquire(timeouts.connect, fresh=record.retries > 0)
        except UpstreamUnavailable as error:
            raise _AttemptFailed(error.problem, error.text, None) from None
        record_connection(record, connection, reused=reused)
        client = request.protocol
        assert isinstance(client, ClientConnection)  # noqa: S101 - Front makes nothing else
        switch = self._switch(client, planned, record) if isinstance(planned, Tunnel) else None
        relay = Relay(planned.context, connection, self._loop, switch, needs_head=record.on_head is not None)
        if switch is not None:
            if client.has_early_bytes:
                connection.abort()
                raise _AttemptFailed(problems.BAD_REQUEST, _EARLY, connection)
            client.on_early_bytes = lambda: _give_up(connection, relay, problems.BAD_REQUEST, _EARLY)
        connection.begin(relay, planned)
        upload = self._start_upload(request, planned, connection, relay, record)
        try:
            return await self._download(request, planned, relay, record, upload)
        finally:
            client.on_early_bytes = None
            if upload is not None:
                upload.cancel()
                with suppress(asyncio.CancelledError):
                    await upload
            if relay.tunnel is not None:
                relay.tunnel.abandon()
            elif not relay.ended and relay.problem is None:
                connection.abort()

    # --- the request's body ---

    def _start_upload(
        self,
        request: web.BaseRequest,
        planned: Forward,
        connection: UpstreamConnection,
        relay: Relay,
        record: ExchangeRecord,
    ) -> "asyncio.Task[None] | None":
        """Write the head with whatever of the body is here already, and leave the rest to a task."""
        if planned.body == NO_BODY:
            connection.write(planned.head)
            connection.end_request()
            return None
        content = request.content
        first = b"" if content.exception() else content.read_nowait()
        record.received += len(first)
        pieces = [planned.head, *frame(planned.body, first)]
        if content.at_eof() and not is_too_large(planned, record):
            connection.write(b"".join([*pieces, last_chunk(planned.body)]))
            connection.end_request()
            return None
        connection.write(b"".join(pieces))
        return self._loop.create_task(self._upload(request, planned, connection, relay, record))

    async def _upload(
        self,
        request: web.BaseRequest,
        planned: Forward,
        connection: UpstreamConnection,
        relay: Relay,
        record: ExchangeRecord,
    ) -> None:
        """Move the rest of the body. Whatever breaks it off, what went upstream must not look complete."""
        idle_timeout = planned.route.limits.body_idle_timeout
        try:
            while not is_too_large(planned, record):
                async with asyncio.timeout(idle_timeout):
                    data = await request.content.readany()
                if not data:
                    connection.write(last_chunk(planned.body))
                    connection.end_request()
                    return
                record.received += len(data)
                for piece in frame(planned.body, data):
                    connection.write(piece)
                await relay.writable()
            _give_up(connection, relay, problems.BODY_TOO_LARGE, f"the request's body is over {planned.body_limit} bytes")
        except TimeoutError:
            _give_up(connection, relay, problems.REQUEST_TIMEOUT, f"no byte of the request's body came for {idle_timeout:g} s")
        except (web.RequestPayloadError, OSError, RuntimeError) as error:
            _give_up(connection, relay, problems.BAD_REQUEST, f"the request's body broke off: {error}")

    # --- WebSocket ---

    def _switch(self, client: ClientConnection, planned: Tunnel, record: ExchangeRecord) -> Switch:
        """Make what a 101 of the upstream meets: it is judged, written to the client, and bytes pass from then on, all in one go."""

        def switch(head: ResponseHead, transport: asyncio.Transport, waiting: list[bytes]) -> WebSocket | Refusal:
            switched = edits.receive_switch(planned.context, head, planned.key)
            if isinstance(switched, Refusal):
                return switched
            if client.wire is None:
                return Refusal(problems.CLIENT_GONE, "client-gone")
            client.wire.write(b"".join([*waiting, switched.head]))
            record.status, record.head, record.notices = head.status, time.perf_counter(), switched.notices
            client.on_early_bytes = None
            return self._gateway.open_tunnel(client, transport, planned.route.timeouts.tunnel_idle, record)

        return switch

    # --- the response ---

    async def _download(
        self,
        request: web.BaseRequest,
        planned: Forward,
        relay: Relay,
        record: ExchangeRecord,
        upload: "asyncio.Task[None] | None",
    ) -> web.StreamResponse:
        while True:
            await relay.news()
            if relay.tunnel is not None:
                # Callbacks move the bytes from now on; this waits only because aiohttp would close after it.
                await relay.tunnel.client_gone
                return Written(keep_alive=False)
            transport = request.transport
            if transport is None:
                raise asyncio.CancelledError
            # Half of a request may still be on its way: nobody can tell where the next one begins unless it all arrives.
            close = self._gateway.closes_connections or (upload is not None and not upload.done()) or is_last(request)
            pieces = relay.collect(record, self._gateway.date(), close=close)
            if pieces:
                transport.write(b"".join(pieces))
                # A slow client would have them held twice, here and joined.
                pieces.clear()
            if relay.problem is not None:
                return self._fail(request, planned, relay, record)
            if relay.ended:
                return Written(keep_alive=relay.keep_alive)
            await request.writer.drain()
            relay.resume()

    def _fail(self, request: web.BaseRequest, planned: Forward, relay: Relay, record: ExchangeRecord) -> web.StreamResponse:
        assert relay.problem is not None  # noqa: S101 - the caller looked
        if not record.status:
            raise _AttemptFailed(relay.problem, relay.failure, relay.connection)
        record.failure = relay.failure
        return self._give_up(request, planned.context, record, relay.problem)


def _give_up(connection: UpstreamConnection, relay: Relay, problem: Problem, text: str) -> None:
    connection.abort()
    relay.on_failure(problem, text)
    relay.on_flush()


def _request_head(request: web.BaseRequest) -> RequestHead:
    version = request.version
    return RequestHead(
        request.method.encode("latin-1"),
        request.raw_path.encode("utf-8", "surrogateescape"),
        version.minor if version.major == 1 else -1,
        request.raw_headers,
    )
