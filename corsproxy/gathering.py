"""
What several workers tell of themselves, as one proxy says it at the admin listener.

It asks, waits a moment, and adds up; it knows nothing of starts and ends.
"""

import asyncio
import os
from collections.abc import Iterable
from typing import Final, Protocol

from corsproxy.admin.sources import Check, InForce, Readiness, Sources
from corsproxy.channel import Channel
from corsproxy.messages import Ask, Told
from corsproxy.observe import figures
from corsproxy.observe.figures import FIGURES, Type
from corsproxy.observe.snapshot import Snapshot, total
from corsproxy.observe.writer import lines_dropped
from corsproxy.reload import Reloader
from corsproxy.vitals import figures_of_reloads, reload_check

# Below the ten seconds that Prometheus waits. Of who answers later, what it told last counts.
_PATIENCE_S: Final = 2.0
# What only ever grows must not shrink when a worker ends: to who scrapes it would look like a start anew, with everything counted twice.
_LASTING: Final = frozenset(
    name for name, figure in FIGURES.items() if figure.type in (Type.COUNTER, Type.HISTOGRAM) and not figure.of_system
)


class Teller(Protocol):
    """A worker, as far as it is asked. `told` is what it has told last."""

    channel: Channel | None
    is_ready: bool
    told: Told | None


class Crew(Protocol):
    """All workers. `count` is how many there should be; `ending` says in which way they are about to end, if they are."""

    count: int

    @property
    def tellers(self) -> Iterable[Teller]:
        """Those that are alive."""

    @property
    def ending(self) -> str:
        """Empty while they serve."""


class Gathering:
    """Asks the workers of a crew. `past` are the counts of those that are gone."""

    def __init__(self, crew: Crew) -> None:
        self.past = Snapshot()
        self._crew = crew
        self._asked = 0
        self._missing: dict[int, set[Teller]] = {}
        self._complete: dict[int, asyncio.Event] = {}

    def sources(self, reloader: Reloader) -> Sources:
        """Make what the admin's pages are made from."""

        async def readiness() -> Readiness:
            await self._ask()
            return self._readiness(reloader)

        async def metrics() -> Snapshot:
            await self._ask()
            own = Snapshot({figures.LOG_DROPPED: {(): (lines_dropped(),)}}, (os.getpid(),))
            told = [teller.told.figures for teller in self._crew.tellers if teller.told is not None]
            return total([self.past, *told, own, figures_of_reloads(reloader)])

        def in_force() -> InForce:
            return reloader.in_force

        return Sources(in_force, readiness, metrics, reloader.reload)

    def on_told(self, teller: Teller, told: Told) -> None:
        """Take what a worker tells."""
        teller.told = told
        self._settle(told.number, teller)

    def on_lost(self, teller: Teller) -> None:
        """Keep the counts of one that is gone; what it had not told yet is gone with it."""
        if teller.told is not None:
            lasting = {name: values for name, values in teller.told.figures.values.items() if name in _LASTING}
            self.past += Snapshot(lasting)
            teller.told = None
        for number in tuple(self._missing):
            self._settle(number, teller)

    async def _ask(self) -> None:
        """Let every worker tell of itself, as far as they do in time."""
        self._asked += 1
        number = self._asked
        asked = {teller for teller in self._crew.tellers if teller.is_ready and teller.channel is not None}
        if not asked:
            return
        self._missing[number], self._complete[number] = asked, asyncio.Event()
        try:
            for teller in tuple(asked):
                if teller.channel is not None:
                    teller.channel.send(Ask(number))
            async with asyncio.timeout(_PATIENCE_S):
                await self._complete[number].wait()
        except TimeoutError:
            return
        finally:
            del self._missing[number], self._complete[number]

    def _settle(self, number: int, teller: Teller) -> None:
        missing = self._missing.get(number)
        if missing is not None:
            missing.discard(teller)
            if not missing:
                self._complete[number].set()

    def _readiness(self, reloader: Reloader) -> Readiness:
        serving = sum(teller.is_ready for teller in self._crew.tellers)
        count, ending = self._crew.count, self._crew.ending
        checks = (
            Check("config", ok=True, text="loaded"),
            Check("listening", serving > 0, "" if serving else "no worker listens"),
            Check("not draining", not ending, ending),
        )
        workers = Check("workers", serving >= count, f"{serving} of {count} serve")
        return Readiness(checks, (reload_check(reloader.last), workers, *self._upstreams()))

    def _upstreams(self) -> list[Check]:
        """Say of each upstream whether the last attempts of all workers worked."""
        found: dict[str, list[Check]] = {}
        for teller in self._crew.tellers:
            for check in teller.told.upstreams if teller.told is not None else ():
                found.setdefault(check.name, []).append(check)
        return [min(checks, key=lambda check: check.ok) for checks in found.values()]
