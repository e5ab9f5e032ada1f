"""
One response on its way from the upstream to an aiohttp client: callbacks on one side, `await` on the other.

It queues what came until the client takes it, and stops the upstream from sending more meanwhile.
"""

import asyncio
from collections.abc import Callable

from corsproxy import edits, problems
from corsproxy.answers import Context
from corsproxy.edits import Received
from corsproxy.gateway.tunnel import End, Tunnel
from corsproxy.gateway.upstream import UpstreamConnection
from corsproxy.problems import Problem
from corsproxy.semantics.fields import FieldLine, ResponseHead
from corsproxy.semantics.framing import Refusal

# Queued content from which on the upstream is not read: one full read, or a few small ones.
_HIGH_WATER_BYTES = 64 * 1024


# Judges a 101, and opens the tunnel; what is still to be written to the client before it comes with it.
Switch = Callable[[ResponseHead, asyncio.Transport, list[bytes]], Tunnel | Refusal]


class Relay:
    """
    The Exchange of the aiohttp lane.

    `await news()` returns when something came; then look at `received`, `take()`, `ended` and `problem`.
    """

    def __init__(
        self, context: Context, connection: UpstreamConnection, loop: asyncio.AbstractEventLoop, switch: Switch | None = None
    ) -> None:
        self.context = context
        self.connection = connection
        self.received: Received | None = None
        self.trailers: list[FieldLine] = []
        self.keep_alive = False
        self.ended = False
        self.problem: Problem | None = None
        self.failure = ""
        self.tunnel: Tunnel | None = None
        self._switch = switch
        self._loop = loop
        self._interims: list[ResponseHead] = []
        self._chunks: list[bytes] = []
        self._queued = 0
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    # --- what the upstream connection says ---

    def on_head(self, head: ResponseHead) -> Received | None:
        """Judge the final head."""
        received = edits.receive(self.context, head)
        if isinstance(received, Refusal):
            self.problem, self.failure = received.problem, f"the answer's head is refused: {received.reason}"
            return None
        self.received = received
        return received

    def on_interim(self, head: ResponseHead) -> None:
        """Queue a 1xx response."""
        self._interims.append(head)

    def on_switch(self, head: ResponseHead, transport: asyncio.Transport) -> End | Refusal:
        """Let whoever asked for a WebSocket judge the 101; nobody else gets one."""
        if self._switch is None:
            return Refusal(problems.UPSTREAM_BAD_SWITCH, "not-asked")
        found = self._switch(head, transport, [edits.render_interim(self.context, interim) for interim in self.take_interims()])
        if isinstance(found, Tunnel):
            self.tunnel = found
            return found.upstream
        return found

    def on_body(self, data: bytes) -> None:
        """Queue content."""
        self._chunks.append(data)
        self._queued += len(data)
        if self._queued >= _HIGH_WATER_BYTES:
            self.connection.pause_reading()

    def on_trailers(self, lines: list[FieldLine]) -> None:
        """Keep the trailer section."""
        self.trailers = lines

    def on_end(self) -> None:
        """Take note of the end."""
        self.ended = True

    def on_failure(self, problem: Problem, text: str) -> None:
        """Take note of a failure."""
        self.problem, self.failure = problem, text
        self.on_writable()

    def on_flush(self) -> None:
        """Wake whoever waits for news."""
        self._has_news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def on_writable(self) -> None:
        """Wake whoever waits to write."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # --- what the lane asks ---

    async def news(self) -> None:
        """Wait until something came since the last call."""
        if not self._has_news:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._has_news = False

    def take(self) -> list[bytes]:
        """Return the queued content."""
        chunks, self._chunks, self._queued = self._chunks, [], 0
        return chunks

    def resume(self) -> None:
        """Let the upstream send on: the client has taken what came."""
        if not self.ended and self._queued < _HIGH_WATER_BYTES:
            self.connection.resume_reading()

    def take_interims(self) -> list[ResponseHead]:
        """Return the queued 1xx responses."""
        interims, self._interims = self._interims, []
        return interims

    async def writable(self) -> None:
        """Wait until the upstream takes request bytes, or the exchange has failed."""
        while self.connection.blocked and self.problem is None:
            self._writable = self._loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None
