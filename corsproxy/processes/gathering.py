"""
What several workers tell of themselves, as one proxy says it at the admin listener.

It asks, waits a moment, and adds up; it knows nothing of starts and ends.
"""

import asyncio
import os
import secrets
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from corsproxy.admin.sources import Check, InForce, Readiness, Sources
from corsproxy.observe import figures
from corsproxy.observe.entry import Entry
from corsproxy.observe.figures import FIGURES, Type
from corsproxy.observe.ring import MAX_LOOK, Ring
from corsproxy.observe.snapshot import Snapshot, total
from corsproxy.observe.writer import lines_dropped
from corsproxy.processes.channel import Channel
from corsproxy.processes.messages import Ask, Look, Seen, Told
from corsproxy.reload import Reloader
from corsproxy.vitals import figures_of_reloads, reload_check

# Below the ten seconds that Prometheus waits. Of who answers later, what it told last counts.
_PATIENCE_S: Final = 2.0
# People who look at the same time look at the same, and a worker that is slow must not hold back what the others have seen.
_FRESH_S: Final = 0.1
_LOOK_PATIENCE_S: Final = 0.5
# What one worker tells at a time, once it has told of the beginning.
_MAX_MORE: Final = 100
# What only ever grows must not shrink when a worker ends: to who scrapes it would look like a start anew, with everything counted twice.
_LASTING: Final = frozenset(
    name for name, figure in FIGURES.items() if figure.type in (Type.COUNTER, Type.HISTOGRAM) and not figure.of_system
)


class Teller(Protocol):
    """A worker, as far as it is asked. `told` is what it has told last, `seen` the number of the last exchange that it has told of."""

    channel: Channel | None
    is_ready: bool
    told: Told | None
    seen: int
    pid: int


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
        self._ring: Ring | None = None
        self._fresh: list[Entry] = []
        self._looking = asyncio.Lock()
        self._looked = 0.0
        self._asked = 0
        self._missing: dict[int, set[Teller]] = {}
        self._complete: dict[int, asyncio.Event] = {}

    def sources(self, reloader: Reloader) -> Sources:
        """Make what the admin's pages are made from."""

        async def readiness() -> Readiness:
            await self._ask(lambda number, _: Ask(number))
            return self._readiness(reloader)

        async def metrics() -> Snapshot:
            await self._ask(lambda number, _: Ask(number))
            own = Snapshot({figures.LOG_DROPPED: {(): (lines_dropped(),)}}, (os.getpid(),))
            told = [teller.told.figures for teller in self._crew.tellers if teller.told is not None]
            return total([self.past, *told, own, figures_of_reloads(reloader)])

        def in_force() -> InForce:
            return reloader.in_force

        self._ring = Ring(lambda: reloader.in_force.settings, secrets.token_hex(4))
        return Sources(in_force, readiness, metrics, reloader.reload, self._ring, self._look)

    def on_told(self, teller: Teller, told: Told) -> None:
        """Take what a worker tells."""
        teller.told = told
        self._settle(told.number, teller)

    def on_seen(self, teller: Teller, seen: Seen) -> None:
        """Take what a worker tells of exchanges; they are put in order when all have answered."""
        # One that was slow has been asked again meanwhile, for the same.
        if seen.after == teller.seen:
            teller.seen = seen.last
            self._fresh += map(Entry.from_plain, seen.entries)
        if self._ring is not None:
            self._ring.tell(str(teller.pid), seen.counts)
        self._settle(seen.number, teller)

    def on_lost(self, teller: Teller) -> None:
        """Keep the counts of one that is gone; what it had not told yet is gone with it."""
        if self._ring is not None:
            self._ring.forget(str(teller.pid))
        if teller.told is not None:
            lasting = {name: values for name, values in teller.told.figures.values.items() if name in _LASTING}
            self.past += Snapshot(lasting)
            teller.told = None
        for number in tuple(self._missing):
            self._settle(number, teller)

    async def _look(self) -> None:
        """Bring the ring up to date. While nobody looks, the workers keep what they have seen."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now - self._looked < _FRESH_S:
                return
            await self._ask(lambda number, teller: Look(number, teller.seen, _MAX_MORE if teller.seen else MAX_LOOK), _LOOK_PATIENCE_S)
            self._looked = asyncio.get_running_loop().time()
            fresh, self._fresh = self._fresh, []
            if self._ring is not None:
                self._ring.take(sorted(fresh, key=lambda entry: entry.time))

    async def _ask(self, question: Callable[[int, Teller], object], patience_s: float = _PATIENCE_S) -> None:
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
                    teller.channel.send(question(number, teller))
            async with asyncio.timeout(patience_s):
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
