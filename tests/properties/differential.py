"""
Compare the lanes on many made-up exchanges: `python -m tests.properties.differential COUNT [SEED]`.

Each exchange has a seed of its own, so that one that differs can be played again alone: `… 1 SEED`.
"""

import asyncio
import random
import sys
import time

from tests.properties.exchanges import PLACES, script
from tests.properties.lanes import Outcome, Script, play


async def compare(place: int, played: Script, methods: list[bytes]) -> tuple[Outcome, Outcome]:
    """Play a script on both lanes."""
    return await play("aiohttp", PLACES[place], played, methods), await play("express", PLACES[place], played, methods)


def differences(there: Outcome, here: Outcome) -> list[str]:
    """Say in which parts two outcomes differ."""
    parts = ("answers", "rest", "ended", "upstreams", "records")
    pairs = [(part, getattr(there, part), getattr(here, part)) for part in parts]
    return [f"{part}:\n  aiohttp {one!r}\n  express {other!r}" for part, one, other in pairs if one != other]


def main(count: int, seed: int) -> int:
    """Compare so many; returns the exit code."""
    begin, expressed = time.monotonic(), 0
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        asyncio.set_event_loop(runner.get_loop())
        for number in range(seed, seed + count):
            choices = random.Random(number)
            place = choices.randrange(len(PLACES))
            played, methods = script(choices.randrange)
            there, here = runner.run(compare(place, played, methods))
            expressed += here.expressed
            if there != here:
                sys.stdout.write(
                    f"seed {number} differs, under settings {place}:\n{played}\n{methods}\n" + "\n".join(differences(there, here)) + "\n"
                )
                return 1
            if number % 1000 == 999:
                spent = time.monotonic() - begin
                sys.stdout.write(f"{number + 1 - seed} exchanges, {expressed} requests on the express lane, {spent:.0f} s\n")
                sys.stdout.flush()
    sys.stdout.write(f"no difference in {count} exchanges from seed {seed}; {expressed} requests took the express lane\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
