"""What a connection to an upstream knows of whoever it serves, what it is held to, and who keeps it."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from corsproxy.config.settings import Route
from corsproxy.edits import Prepared, Received
from corsproxy.gateway.judge import LineJudge
from corsproxy.gateway.tunnel import End
from corsproxy.problems import Problem
from corsproxy.semantics.fields import FieldLine, ResponseHead
from corsproxy.semantics.framing import Refusal

if TYPE_CHECKING:
    from corsproxy.gateway.upstream import UpstreamConnection


class Exchange(Protocol):
    """
    The other side of an upstream connection: whoever waits for the response.

    `on_flush` is called once after each batch of the others, so that head and first body bytes can be written together.
    """

    def on_head(self, head: ResponseHead) -> Received | None:
        """Judge the final head; None gives the exchange up."""

    def on_lines(self, data: bytes, most: int, judge: LineJudge) -> tuple[Prepared, int] | None:
        """Judge the final head, which the first bytes are, `most` at most, by lines that are known, and say how many they are; None if it takes a parser."""

    def on_known(self, found: Prepared) -> None:
        """Take the final head, where it was known by its lines, and its content does not come at once."""

    def on_whole(self, found: Prepared, pieces: Sequence[bytes]) -> None:
        """Take the final head, all content and the end at once, transfer coding undone. The connection is no longer the exchange's."""

    def on_interim(self, head: ResponseHead) -> None:
        """Take a 1xx response."""

    def on_switch(self, head: ResponseHead, transport: asyncio.Transport) -> End | Refusal:
        """Judge a 101. Whoever is returned gets every byte behind it, and the connection is no longer the exchange's."""

    def on_body(self, data: bytes) -> None:
        """Take content, transfer coding undone."""

    def on_trailers(self, lines: list[FieldLine]) -> None:
        """Take the trailer section of a chunked body, just before its end."""

    def on_end(self) -> None:
        """Take note that the response is complete. The connection is no longer the exchange's."""

    def on_failure(self, problem: Problem, text: str) -> None:
        """Take note that the response will not be complete. The connection is no longer the exchange's."""

    def on_flush(self) -> None:
        """Act on what came."""

    def on_writable(self) -> None:
        """Take note that the upstream takes request bytes again."""


class Terms(Protocol):
    """What an exchange is held to: the route's timeouts, bytes of the answer's head, and whether the connection may serve another one after it."""

    route: Route
    head_limit: int
    reuse_upstream: bool


class Owner(Protocol):
    """Whoever keeps idle connections."""

    def take_back(self, connection: "UpstreamConnection") -> None:
        """Keep a connection that may serve another request."""

    def forget(self, connection: "UpstreamConnection", *, unexpected: bool) -> None:
        """Drop a connection that is gone; `unexpected`: bytes came while it was idle."""
