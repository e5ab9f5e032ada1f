"""A load of some hundred requests a second whose every answer is checked, and what became of each request."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Final, Self

from tests.faults.echo import body_of
from tests.harness import Client, Ended, connect, get

PER_SECOND: Final = 500
# Each asks once in so many seconds.
PACE_S: Final = 0.1
CLIENTS: Final = round(PER_SECOND * PACE_S)


class EchoProcess:
    """The upstream of `echo.py`, at one port over all its lives."""

    def __init__(self) -> None:
        self.port = 0
        self._process: Popen[str] | None = None

    def start(self) -> None:
        """Start it; it listens when this returns."""
        command = [sys.executable, str(Path(__file__).with_name("echo.py")), str(self.port)]
        self._process = Popen(command, stdout=PIPE, text=True)
        assert self._process.stdout is not None
        with self._process.stdout:
            self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """End it without a farewell."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)


@contextmanager
def echo() -> Iterator[EchoProcess]:
    """Run that upstream."""
    upstream = EchoProcess()
    upstream.start()
    try:
        yield upstream
    finally:
        upstream.kill()


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of one request.

    `status` is that of a complete answer, 0 where there is none. `fresh`: it was the first on its connection, `answered`: at least a
    byte of an answer came, `connected`: there was a connection. `phases` are what `Load.phase` was before and after.
    """

    status: int
    fresh: bool
    connected: bool
    answered: bool
    phases: tuple[str, str]

    @property
    def is_lost(self) -> bool:
        """
        Whether it counts as lost.

        Not if a connection that was kept alive closed before a byte of the answer: clients meet that race, and ask again.
        """
        return not self.status and self.connected and (self.answered or self.fresh)


class Load:
    """
    Clients that ask at a pace of their own until `stop`. Half of them keep their connections, the others make one for each request.

    A body that is not the one that was asked for fails the test, at once. `phase` is for the test to set.
    """

    def __init__(self, port: int, *, keeps: Callable[[int], bool] = lambda number: bool(number % 2), slow: bool = False) -> None:
        self.port = port
        self.phase = ""
        self.outcomes: list[Outcome] = []
        self.kept: dict[int, Client] = {}
        self._keeps = keeps
        self._slow = slow
        self._is_over = False
        self._open: set[Client] = set()
        self._asked = 0
        self._tasks = [asyncio.ensure_future(self._run(number)) for number in range(CLIENTS)]

    async def more(self, count: int) -> None:
        """Wait for the outcomes of so many more requests."""
        wanted = len(self.outcomes) + count
        while len(self.outcomes) < wanted:
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Let every client end its request."""
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave nothing behind, whatever has happened."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._open:
            client.close()

    def statuses(self, *phases: str) -> Counter[int]:
        """Count what became of requests that lie wholly within these phases."""
        return Counter(outcome.status for outcome in self.outcomes if set(outcome.phases) <= set(phases))

    async def _run(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        # Spread over the pace, or they would come in bursts.
        await asyncio.sleep(PACE_S * number / len(self._tasks))
        client: Client | None = None
        while not self._is_over:
            began = loop.time()
            client = await self._ask(number, client)
            if client is not None:
                self.kept[number] = client
            await asyncio.sleep(max(0.0, PACE_S - (loop.time() - began)))

    async def _ask(self, number: int, client: Client | None) -> Client | None:
        """Ask once; returns the connection if it is kept."""
        self._asked += 1
        target = b"/%b%d" % (b"slow/" if self._slow and self._asked % 3 == 0 else b"", self._asked)
        phase, fresh, status = self.phase, client is None, 0
        try:
            client = client or await connect(self.port)
            self._open.add(client)
        except ConnectionError:
            self.outcomes.append(Outcome(0, fresh=True, connected=False, answered=False, phases=(phase, self.phase)))
            return None
        client.history.clear()
        closes = not self._keeps(number)
        try:
            await client.send(get(target, *([b"Connection: close"] if closes else [])))
            answer = await client.read_response(judge=False)
        except Ended:
            closes = True
        else:
            status = answer.status
            assert answer.body == body_of(target) or status != 200, (target, answer.raw)
            closes = closes or answer.value(b"connection") == b"close"
        self.outcomes.append(Outcome(status, fresh, connected=True, answered=bool(client.history), phases=(phase, self.phase)))
        if closes:
            client.close()
            self._open.discard(client)
            return None
        return client
