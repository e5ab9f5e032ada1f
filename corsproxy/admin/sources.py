"""
What the admin application is told of the proxy: values and callables in one frozen object.

It knows neither gateway nor processes. Whoever puts the proxy together makes it: one process of itself, a supervisor of all its
workers; that is why what has to be gathered is awaited.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from corsproxy.changes import ReloadOutcome
from corsproxy.config.load import Loaded
from corsproxy.config.settings import Settings
from corsproxy.observe.ring import Ring
from corsproxy.observe.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class InForce:
    """
    The configuration in force.

    `loaded` is what it was made of: its tree, its warnings, its secrets. `settings` are those of `loaded` but for the keys that
    `needs_restart` names, which keep the values that they had at the start.
    """

    settings: Settings
    loaded: Loaded
    needs_restart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of being ready. `text` says more, for an operator; it holds no secret."""

    name: str
    ok: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """
    Whether traffic is welcome: only if every check holds.

    `information` weighs nothing: a pod must not leave service because its upstream is down, or its new file is wrong.
    """

    checks: tuple[Check, ...]
    information: tuple[Check, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


async def _no_need() -> None:
    """Do nothing: the exchanges of one process are in its ring as they end."""


@dataclass(frozen=True, slots=True)
class Sources:
    """
    Everything that admin pages are made from.

    `reload` asks for a reload and waits for its outcome. What is awaited may take as long as an answer of a worker does. `ring` has the last
    exchanges; without it there is no inspector. `look` brings it up to date.
    """

    in_force: Callable[[], InForce]
    readiness: Callable[[], Awaitable[Readiness]]
    metrics: Callable[[], Awaitable[Snapshot]]
    reload: Callable[[], Awaitable[ReloadOutcome]]
    ring: Ring | None = None
    look: Callable[[], Awaitable[None]] = _no_need
