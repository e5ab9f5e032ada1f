"""
The express lane: the plain exchange, on bytes.

It takes a request only when the head proves plain (`plain.py`). Anything else goes, bytes untouched, to aiohttp, for the rest of that
connection; nothing malformed is ever answered here. No task and no future: callbacks from protocol to protocol. `docs/express-lane.md`
says why no request can mean one thing to this lane and another to the upstream.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from corsproxy import problems
from corsproxy.config.upstreams import Upstream
from corsproxy.gateway._aiohttp import ClientConnection
from corsproxy.gateway.chunked import ChunkedBody
from corsproxy.gateway.exchange import HIGH_WATER_BYTES, House
from corsproxy.gateway.express_exchange import ExpressExchange
from corsproxy.gateway.known_exchange import KnownExchange
from corsproxy.gateway.last_head import LastHead
from corsproxy.gateway.plain import PlainHeads, Probe
from corsproxy.gateway.pool import UpstreamPool
from corsproxy.plan import Found
from corsproxy.record import Brief
from corsproxy.request_layouts import RequestLayouts
from corsproxy.semantics.fields import RequestHead
from corsproxy.semantics.framing import HEAD_END

_log = logging.getLogger("corsproxy")

# What is received behind a request that is still being served: from here on, no more is read.
_MAX_HELD_BYTES: Final = 64 * 1024
# How long an idle connection remembers its last head.
_FORGETTING_S: Final = 5.0


class ExpressHouse(House, Protocol):
    """
    The gateway, as this lane knows it. `heads` reads for all connections; `express_exchanges` counts. `next_id` makes a request's id, and
    `last_pool` is that of `last_upstream`, which was asked for last;
    with `most_known` exchanges in flight, another one takes a closer look.
    """

    draining: bool
    next_id: Callable[[], bytes]
    last_upstream: Upstream | None
    last_pool: UpstreamPool | None
    most_known: int
    heads: PlainHeads
    layouts: RequestLayouts
    express_exchanges: int

    def leave_brief(self, connection: ClientConnection, brief: Brief) -> None:
        """Take note of an exchange that ended, and went as known ones go."""


# What a connection is about.
_READING: Final = 0  # a head is awaited, or has come in part
_BUSY: Final = 1  # an exchange is in flight
_LINGERING: Final = 2  # the answer is written, and what is left of the request's body is read for a while, so that the client can read it
_DONE: Final = 3  # nothing that comes counts any more


class ExpressLane:
    """
    One client connection on the express lane.

    `content` is what came of the current request's body and has not gone upstream; `has_body_ended`: there is no more of it.
    """

    __slots__ = (
        "_chunked",
        "_exchange",
        "_fed",
        "_held",
        "_idle_since",
        "_is_paused",
        "_is_taking",
        "_known",
        "_last",
        "_linger",
        "_loop",
        "_probe",
        "_remaining",
        "_state",
        "body_fault",
        "connection",
        "content",
        "house",
    )

    def __init__(self, house: ExpressHouse, connection: ClientConnection, loop: asyncio.AbstractEventLoop) -> None:
        self.house = house
        self.connection = connection
        self.content: list[bytes] = []
        self.body_fault = ""
        self._loop = loop
        self._exchange = ExpressExchange(house, self, loop)
        self._known = KnownExchange(house, self, self._exchange)
        self._state = _READING
        self._idle_since = loop.time()
        self._last = LastHead()
        # The part of a head that has come, or what came behind a request.
        self._held = b""
        # How much of a part of a head the probe has seen.
        self._fed = 0
        self._probe: Probe | None = None
        self._remaining = 0
        self._chunked: ChunkedBody | None = None
        self._is_paused = False
        self._is_taking = False
        self._linger: asyncio.TimerHandle | None = None
        # aiohttp believes the connection idle, and would close it in the middle of an exchange.
        connection.keep_alive(False)

    # --- what the connection says ---

    def on_data(self, data: bytes) -> None:
        """Take bytes of the client."""
        if self._state == _READING and not self.connection.blocked_since:
            house, last = self.house, self._last
            found = None if self._held else last.find(data, house.settings, self.connection.peer)
            if found is None:
                self._take_heads(self._held + data if self._held else data)
                return
            length = len(data) - last.size
            if length != found.recalled.length:
                self._take_again(found, data)
            else:
                house.express_exchanges += 1
                self._state = _BUSY
                content = data[last.size :] if length else b""
                if not self._known.start(found, content):
                    self.content = [content] if content else []
                    self._exchange.start_found(found)
        else:
            self._take_later(data)

    def _take_later(self, data: bytes) -> None:
        """Take what does not begin a request whose turn has come."""
        if self._state == _BUSY:
            behind = self._take_body(data)
            if behind and not self.may_be_misread:
                self._hold(behind)
            if self.content or self.has_body_ended or self.body_fault:
                self._current().on_content()
        elif self._state == _LINGERING:
            self._take_body(data)
            self.content.clear()
            if self.has_body_ended:
                self._close()
        elif self._state == _READING:
            # The client does not take the answer before this one.
            self._hold(data)

    def on_blocked(self) -> None:
        """Take note that the client reads slower than we write."""
        self._current().on_client_blocked()

    def on_writable(self) -> None:
        """Take note that it has caught up."""
        self._current().on_client_writable()
        self._go_on()

    def on_lost(self) -> None:
        """Take note that the client is gone."""
        self._state = _DONE
        self._held = b""
        if self._linger is not None:
            self._linger.cancel()
        self._current().on_client_lost()

    def cancel(self) -> None:
        """Give the exchange in flight up, as if the client had left."""
        self._current().cancel()

    def expire(self, now: float) -> None:
        """Look at the deadlines that are this lane's to keep. `now` is the loop's clock."""
        connection = self.connection
        if self._state == _BUSY:
            if not self._is_paused:
                self._exchange.expire(now)
            return
        if self._state != _READING or self._held or connection.blocked_since:
            return
        idle_s = now - self._idle_since
        if idle_s > _FORGETTING_S:
            self._last.forget()
        if idle_s > connection.keepalive_timeout:
            self._state = _DONE
            connection.close_if_idle()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of an exchange is left to do."""
        return self._state in (_READING, _DONE)

    # --- heads ---

    def _take_heads(self, data: bytes) -> None:
        """Take one request after another, as long as each ends before the next; what comes behind one in flight is held."""
        house = self.house
        self._is_taking = True
        while data:
            end = data.find(HEAD_END, max(0, self._fed - len(HEAD_END) + 1))
            if not house.settings.express:
                self._hand_over(data)
                break
            if end < 0:
                self._hold_part(data)
                break
            size = end + len(HEAD_END)
            found = head = None
            if house.tracer is None and size <= house.heads.max_bytes:
                found = self._last.learn(data, size, house.layouts, house.settings, self.connection.peer)
            if found is not None:
                self._remaining, self._chunked = found.recalled.length, None
            else:
                head = house.heads.read(data if size == len(data) else data[:size])
                if head is None or not self._begin_body(data, size):
                    self._hand_over(data)
                    break
            self._held, self._fed, self._probe = b"", 0, None
            self.connection.head_since = 0.0
            # Where a chunked body ended in what was read nobody knows: the connection ends with this exchange.
            data = b"" if self._chunked is not None or size == len(data) else self._take_body(data[size:])
            self._begin(found, head)
            if self._state != _READING or self.connection.blocked_since:
                if data and self._state in (_READING, _BUSY):
                    self._hold(data)
                break
        self._is_taking = False

    def _begin_body(self, data: bytes, size: int) -> bool:
        """Take what came of a body with its head, which has `size` bytes; tells whether its framing is in order so far."""
        heads = self.house.heads
        self._remaining, self._chunked = heads.length, None
        if heads.is_chunked:
            self._chunked = ChunkedBody(heads)
            self._take_body(data[size:])
        return not self.body_fault

    def _take_again(self, found: Found, data: bytes) -> None:
        """Take a request that was found by the last one, and what came behind its head."""
        self._remaining = found.recalled.length
        behind = self._take_body(data[self._last.size :])
        if behind:
            self._hold(behind)
        self._begin(found, None)

    def _begin(self, found: Found | None, head: RequestHead | None) -> None:
        """Serve a request that is known, or whose head was taken apart."""
        self.house.express_exchanges += 1
        self._state = _BUSY
        if found is not None:
            # Taken before: an answer at once may bring the next request's.
            pieces = self.take_content()
            if self._remaining or not self._known.start(found, b"".join(pieces)):
                self.content = pieces
                self._exchange.start_found(found)
        elif head is not None:
            self._exchange.start(head)

    def _current(self) -> ExpressExchange:
        """Return who has to do with whatever is out of the ordinary."""
        return self._exchange if self._known.found is None else self._known.hand_over()

    def _hold_part(self, data: bytes) -> None:
        """Keep the part of a head that has come, unless it is too long to be plain, or broken already."""
        if len(data) > self.house.heads.max_bytes:
            self._hand_over(data)
            return
        if self._probe is None:
            self._probe = Probe(self.house.heads)
        if not self._probe.feed(data[self._fed :]):
            self._hand_over(data)
            return
        self._held, self._fed = data, len(data)
        # The deadline of a head goes on over a hand-over, and ends when a handler begins.
        self.connection.head_since = self.connection.head_since or self._loop.time()

    def _hand_over(self, data: bytes) -> None:
        """Give the connection to aiohttp, beginning with these bytes: they are the first of a request, and no exchange is in flight."""
        self._state, self._held, self._probe = _DONE, b"", None
        if self.house.draining:
            # aiohttp is about to stop, and would swallow them.
            self.connection.refuse(problems.DRAINING)
            return
        self.connection.express = None
        self.connection.data_received(data)

    # --- bodies ---

    @property
    def has_body_ended(self) -> bool:
        """Whether the whole body of the current request has come."""
        return not self._remaining and (self._chunked is None or self._chunked.ended)

    @property
    def may_be_misread(self) -> bool:
        """Whether it is not known where the next request begins: the connection ends with this exchange, on either lane."""
        return self._chunked is not None and not self._chunked.ended_plainly

    def take_content(self) -> list[bytes]:
        """Return the content that came since the last time."""
        content, self.content = self.content, []
        return content

    def _take_body(self, data: bytes) -> bytes:
        """Take what belongs to the current request's body, and return what lies behind it."""
        if not data:
            return data
        if self._chunked is not None:
            if self._chunked.ended:
                return data
            self._chunked.feed(data)
            self.content += self._chunked.take()
            self.body_fault = self._chunked.fault
            return b""
        remaining = self._remaining
        if remaining >= len(data):
            self._remaining = remaining - len(data)
            self.content.append(data)
            return b""
        if remaining:
            self.content.append(data[:remaining])
            self._remaining = 0
        return data[remaining:]

    def _hold(self, data: bytes) -> None:
        """Keep what came behind a request until the answer before it is written."""
        self._held += data
        if len(self._held) >= _MAX_HELD_BYTES:
            self.pause_reading()

    def pause_reading(self) -> None:
        """Read no more from the client."""
        wire = self.connection.wire
        if not self._is_paused and wire is not None and not wire.is_closing():
            self._is_paused = True
            wire.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        wire = self.connection.wire
        if self._is_paused:
            self._is_paused = False
            if wire is not None and not wire.is_closing():
                wire.resume_reading()

    def mind_content(self) -> None:
        """Read no more as long as too much of the body waits for the upstream."""
        if sum(map(len, self.content)) >= HIGH_WATER_BYTES:
            self.pause_reading()

    # --- the end of an exchange ---

    def end_known(self) -> None:
        """Go on to the next request: all of this one came, and its answer is written."""
        self._state = _READING
        self._idle_since = self._loop.time()
        if (self._held or self._is_paused) and not self._is_taking:
            self._go_on()

    def end_exchange(self, *, keep_alive: bool, is_cut: bool) -> None:
        """Go on to the next request, or end the connection; `is_cut`: that has been seen to."""
        connection = self.connection
        if self.content:
            self.content = []
        if keep_alive and self.has_body_ended:
            self._state, self._chunked = _READING, None
            self._idle_since = self._loop.time()
            if not self._is_taking and (self._held or self._is_paused):
                self._go_on()
            return
        self._held = b""
        if is_cut or connection.wire is None:
            self._state = _DONE
        elif self.has_body_ended or self.body_fault or not connection.front.lingering_s:
            self._close()
        else:
            self._state = _LINGERING
            self.resume_reading()
            self._linger = self._loop.call_later(connection.front.lingering_s, self._close)

    def _go_on(self) -> None:
        """Take what was held, if its turn has come."""
        if self._state == _READING and not self.connection.blocked_since:
            # Before anything is handed over, too: aiohttp would never read on.
            self.resume_reading()
            if self._held:
                held, self._held = self._held, b""
                self._take_heads(held)

    def _close(self) -> None:
        self._state = _DONE
        self.connection.force_close()
