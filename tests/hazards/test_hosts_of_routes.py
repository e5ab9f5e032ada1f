"""
The danger: another spelling of a host leads past the routes that name it, to an upstream or under a policy that is not meant for it.

The promise: however a client spells a host that leads here, the routes that name it are the ones that count.
"""

from dataclasses import replace

import pytest

from corsproxy.config.choices import CorsMode
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Upstream, head, ok, route

STRICT = (
    b"internal.example",
    b"INTERNAL.Example",
    b"internal.example:8080",
    b"internal.example:",
    b"internal.example.",
    b"internal.example.:80",
)
BELOW = (b"a.wild.example", b"A.B.Wild.example:1", b"a.wild.example.")
OTHER = (b"internal.example.evil.example", b"xinternal.example", b"wild.example", b"wild.example.", b"proxy.test")


@pytest.mark.parametrize(("host", "status"), [*((host, 403) for host in (*STRICT, *BELOW)), *((host, 200) for host in OTHER)])
@pytest.mark.parametrize("form", [b"/x", b"http://HOST/x"])
async def test_a_host_has_its_own_policy_however_it_is_spelled(
    proxy: ProxyFactory, upstream: Upstream, host: bytes, status: int, form: bytes
) -> None:
    upstream.serve(lambda _: ok())
    strict = replace(route(upstream, cors=CorsMode.NONE), hosts=("internal.example", "*.wild.example"))
    front = await proxy(strict, route(upstream))
    target = form.replace(b"HOST", host.swapcase())

    assert (await front.ask(head(b"GET %b HTTP/1.1" % target, b"Host: " + host, b"Origin: " + ORIGIN))).status == status
