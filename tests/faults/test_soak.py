"""
The danger: a leak of memory, descriptors or tasks that no single exchange shows.

The promise: after load, aborts, reloads and upstream faults everything is where it began. `make soak` takes ten minutes for it; this is
the cut of one minute, for CI, with twice the bound on memory: a minute says less of what memory comes to in the end.
"""

import asyncio
import os
import sys

import pytest

from bench.liveness import MOST_DRIFT, Soaked, Upstream, soak_for


@pytest.mark.skipif(sys.platform != "linux" or not os.environ.get("CI"), reason="it takes two minutes: CI has them, or `make soak`")
@pytest.mark.timeout(300)
def test_a_minute_of_everything_leaves_nothing_behind() -> None:
    """Load and upstream run on asyncio's own loop, as `make soak` has them; the proxy on its own."""

    async def soak() -> Soaked:
        upstream = Upstream()
        await upstream.start()
        try:
            return await soak_for(upstream, minutes=1, workers=2, warm_up_s=20)
        finally:
            await upstream.stop()

    soaked = asyncio.run(soak())
    assert soaked.is_well(2 * MOST_DRIFT), soaked
    assert soaked.requests > 100
    assert soaked.reloads > 10
