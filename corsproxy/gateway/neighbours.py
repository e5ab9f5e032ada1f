"""What a client's connection knows of whoever keeps it, and of the express lane on it."""

from typing import TYPE_CHECKING, Protocol

from corsproxy.plan import Connection
from corsproxy.problems import Problem

if TYPE_CHECKING:
    from corsproxy.gateway._aiohttp import ClientConnection


class Owner(Protocol):
    """Whoever keeps the client connections."""

    def connected(self, connection: "ClientConnection") -> None:
        """Take note of a new connection."""

    def disconnected(self, connection: "ClientConnection") -> None:
        """Take note of one that is gone."""

    def unparsable_answer(self, problem: Problem, peer: Connection) -> bytes:
        """Return the answer to bytes that are no request, too many, or too late."""


class Express(Protocol):
    """The express lane of one connection. As long as a connection has one, aiohttp sees none of its bytes."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing of an exchange is left to do."""

    def on_data(self, data: bytes) -> None:
        """Take bytes of the client."""

    def on_blocked(self) -> None:
        """Take note that the client reads slower than we write."""

    def on_writable(self) -> None:
        """Take note that it has caught up."""

    def on_lost(self) -> None:
        """Take note that the client is gone."""

    def cancel(self) -> None:
        """Give the exchange in flight up."""

    def expire(self, now: float) -> None:
        """Look at the deadlines."""
