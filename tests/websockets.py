"""What tests of WebSocket share: handshakes as bytes, and a tunnel that is open."""

from typing import Final

from corsproxy.semantics.websocket import accept_of
from tests.harness import Client, Proxy, Served, Upstream, get, head

# That of RFC 6455 1.3.
KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ASKS: Final = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + KEY,
)


def handshake(*lines: bytes, target: bytes = b"/") -> bytes:
    """Write a handshake with lines behind it."""
    return get(target, *ASKS, *lines)


def switching(*lines: bytes, key: bytes = KEY) -> bytes:
    """Write the 101 that grants it."""
    return head(
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_of(key),
        *lines,
    )


async def open_tunnel(front: Proxy, upstream: Upstream, *lines: bytes, client: Client | None = None) -> tuple[Client, Served]:
    """Do a handshake, and return both ends of the tunnel."""
    client = client or await front.connect()
    await client.send(handshake(*lines))
    served = await upstream.accept()
    await served.read_request_head()
    await served.send(switching())
    assert (await client.read_response(judge=False)).status == 101
    return client, served
