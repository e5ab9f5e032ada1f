"""
The two lanes mean the same: made-up exchanges go down both, and everything that can be seen of them is compared.

Heads byte for byte, bodies after their transfer coding is undone, what each upstream connection got, how every connection ended, and the
records. Ids and the date are given. `make differential` plays many more of them.
"""

import asyncio
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import chunked, get, ok
from tests.properties.differential import compare, differences, main
from tests.properties.exchanges import PLACES, script
from tests.properties.lanes import Reply, Script, play

PUT = get(b"/0", b"Transfer-Encoding: chunked", method=b"PUT") + chunked(b"some", b"body")
TWO = Script((PUT, get(b"/1")), (Reply("end", (ok(),)),))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """asyncio's own loop: it can be asked whether anything is left to do."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as made:
        asyncio.set_event_loop(made.get_loop())
        yield made


# Each example is a whole connection, twice.
@settings(max_examples=max(1, settings.get_profile(settings.get_current_profile_name()).max_examples // 8))
@given(data=st.data(), place=st.integers(0, len(PLACES) - 1))
def test_the_lanes_mean_the_same(runner: asyncio.Runner, data: st.DataObject, place: int) -> None:
    played, methods = script(lambda count: data.draw(st.integers(0, count - 1)))
    there, here = runner.run(compare(place, played, methods))

    assert differences(there, here) == []


def test_the_comparison_sees_what_there_is_to_see(runner: asyncio.Runner) -> None:
    """A comparison of nothing would find no difference either."""
    here = runner.run(play("express", PLACES[0], TWO, [b"PUT", b"GET"]))

    assert [head.split(b"\r\n")[0] for head, _, _ in here.answers] == [b"HTTP/1.1 200 OK"] * 2
    assert [(body, is_complete) for _, body, is_complete in here.answers] == [(b"ok", True)] * 2
    (seen, rest, ended) = here.upstreams[0]
    assert [(head.split(b" ")[1], body) for head, body, _ in seen] == [(b"/0", b"somebody"), (b"/1", b"")]
    assert (rest, ended, here.ended, here.expressed, len(here.records)) == (b"", "", "", 2, 2)


def test_a_few_hundred_at_random(capsys: pytest.CaptureFixture[str]) -> None:
    """The same that `make differential` does, from a seed that nobody has chosen."""
    seed = random.randrange(2**31)

    assert main(200, seed) == 0, capsys.readouterr().out
