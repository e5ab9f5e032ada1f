"""Path and query arrive byte for byte, whatever their encoding."""

import random
from typing import Final

from tests.harness import Proxy, Request, Upstream, get, ok

TARGETS: Final = 2000
# Every byte that a target may have (RFC 9112 3.2; strict llhttp takes what RFC 3986 would have encoded, too), and what people trip over.
LEGAL: Final = [bytes((byte,)) for byte in range(0x21, 0x7F) if byte != ord("#")]
TRICKY: Final = [
    b"%2F",
    b"%2f",
    b"%2e%2e",
    b"%25",
    b"%zz",
    b"%",
    b"//",
    b"/./",
    b"/../",
    b";v=1",
    b"..;/",
    b"+",
    b"?",
    b"??",
    b"\\",
    b"|",
    b"&&",
    b"=",
]


def make_target(draw: random.Random) -> bytes:
    """Make a target of legal bytes, every second piece of it a tricky one."""
    pieces = draw.choices(LEGAL, k=draw.randint(0, 40)) + draw.choices(TRICKY, k=draw.randint(0, 8))
    draw.shuffle(pieces)
    return b"/" + b"".join(pieces)


async def test_two_thousand_targets_arrive_byte_for_byte(front: Proxy, upstream: Upstream) -> None:
    """The same 2,000 in every run."""
    draw = random.Random(2000)
    targets = [b"/", b"/?", b"//", b"//evil.example/x", *(make_target(draw) for _ in range(TARGETS))]
    seen: list[bytes] = []

    async def take(request: Request) -> bytes:
        seen.append(request.target)
        return ok()

    upstream.serve(take)
    client = await front.connect()
    for target in targets:
        assert (await client.ask(get(target))).status == 200

    assert seen == targets
