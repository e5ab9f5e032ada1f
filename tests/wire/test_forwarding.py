from tests.harness import Proxy, Upstream, exchange, get, ok

async def test_a(front: Proxy, upstream: Upstream) -> None:
    seen, got = await exchange(front, upstream, get(b"//a%2F;x?y+%zz"), ok())
    assert seen.target == b"//a%2F;x?y+%zz"
    assert got.body == b"ok"
