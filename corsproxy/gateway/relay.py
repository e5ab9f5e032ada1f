"""
One response on its way from the upstream to an aiohttp client: callbacks on one side, `await` on the other.

It queues what came until the client takes it, and stops the upstream from sending more meanwhile.
"""

import asyncio
from collections.abc import Callable

from corsproxy.answers import Context
from corsproxy.gateway.exchange import HIGH_WATER_BYTES, Incoming
from corsproxy.gateway.tunnel import End, Tunnel
from corsproxy.gateway.upstream import UpstreamConnection
from corsproxy.problems import Problem
from corsproxy.semantics.fields import ResponseHead
from corsproxy.semantics.framing import Refusal

# Judges a 101, and opens the tunnel; what is still to be written to the client before it comes with it.
Switch = Callable[[ResponseHead, asyncio.Transport, list[bytes]], Tunnel | Refusal]


class Relay(Incoming):
    """
    The Exchange of the aiohttp lane.

    `await news()` returns when something came; then look at `collect()`, `ended` and `problem`.
    """

    def __init__(
        self,
        context: Context,
        connection: UpstreamConnection,
        loop: asyncio.AbstractEventLoop,
        switch: Switch | None = None,
        *,
        needs_head: bool,
    ) -> None:
        super().__init__(context, connection, needs_head=needs_head)
        self.tunnel: Tunnel | None = None
        self._switch = switch
        self._loop = loop
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    # --- what the upstream connection says ---

    def on_switch(self, head: ResponseHead, transport: asyncio.Transport) -> End | Refusal:
        """Let whoever asked for a WebSocket judge the 101; nobody else gets one."""
        if self._switch is None:
            return super().on_switch(head, transport)
        found = self._switch(head, transport, self.take_interims())
        if isinstance(found, Tunnel):
            self.tunnel = found
            return found.upstream
        return found

    def on_failure(self, problem: Problem, text: str) -> None:
        """Take note of a failure."""
        super().on_failure(problem, text)
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

    def resume(self) -> None:
        """Let the upstream send on: the client has taken what came."""
        if not self.ended and self.queued < HIGH_WATER_BYTES:
            self.connection.resume_reading()

    async def writable(self) -> None:
        """Wait until the upstream takes request bytes, or the exchange has failed."""
        while self.connection.blocked and self.problem is None:
            self._writable = self._loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None
