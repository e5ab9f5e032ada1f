"""A proxy that learns, from its start to the first signal: what passes becomes evidence."""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from corsproxy.app import App
from corsproxy.cli.exits import EXIT_OK
from corsproxy.config.settings import Listen, Settings
from corsproxy.learning.evidence import Evidence, Sighting, sight
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import RequestHead

_PROGRESS_S: Final = 1.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Learner:
    """Follows every exchange, and puts it among the evidence when it has ended."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def enter(self, head: RequestHead, record: ExchangeRecord) -> RequestHead:
        """Look at a request's head, and ask for the answer's. The head goes on as it is."""
        sighting = sight(head)
        record.span, record.on_head = sighting, sighting.take
        return head

    def add(self, record: ExchangeRecord) -> None:
        """Take note of an exchange that ended."""
        sighting, record.span, record.on_head = record.span, None, None
        self._evidence.add(record, sighting if isinstance(sighting, Sighting) else Sighting())

    async def close(self) -> None:
        """Take note that there will be no more."""


async def watch(
    settings: Settings,
    evidence: Evidence,
    seconds: float | None,
    announce: Callable[[Sequence[Listen]], None],
    tell: Callable[[str], None] | None,
) -> int:
    """
    Run the proxy until a signal, or for so many seconds; what is in flight then is cut, and counts. Returns the exit code.

    A second signal ends the program at once. Raises CannotListen.
    """
    proxy = App(settings, sys.stdout, sys.stderr, follower=Learner(evidence))
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def take_signal() -> None:
        told.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in _SIGNALS:
        loop.add_signal_handler(number, take_signal)
    announce(await proxy.start())
    telling = loop.create_task(_tell(evidence, tell)) if tell is not None else None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await told.wait()
    finally:
        if telling is not None:
            telling.cancel()
    await proxy.stop()
    if tell is not None:
        tell("")
    return EXIT_OK


async def _tell(evidence: Evidence, tell: Callable[[str], None]) -> None:
    while True:
        tell(so_far(evidence))
        await asyncio.sleep(_PROGRESS_S)


def so_far(evidence: Evidence) -> str:
    """Say in one line what was seen."""
    counts = (
        (evidence.calls.total, "calls"),
        (evidence.preflights.total, "preflights"),
        (evidence.sockets.total, "WebSockets"),
        (len(evidence.origins), "origins"),
        (len(evidence.headers), "headers"),
        (evidence.refused.total, "refused"),
    )
    return "seen: " + ", ".join(f"{count} {what}" for count, what in counts)
