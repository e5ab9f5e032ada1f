"""
An upstream as a process of its own, which can be killed: it answers with what was asked for, many times over, and a checksum.

`/slow…` takes a fifth of a second. Run as a script it listens on the port that it is given, or on any.
"""

import asyncio
import hashlib
import sys


def body_of(target: bytes) -> bytes:
    """What the answer to a target has to be: no part of it looks like another."""
    digest = hashlib.sha256(target).hexdigest().encode()
    return b"%b %b\n" % (target, digest) + digest * 20


class Echo(asyncio.Protocol):
    """One connection; requests have no bodies, and come one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1]
            if target.startswith(b"/slow"):
                asyncio.get_running_loop().call_later(0.2, self.answer, target)
            else:
                self.answer(target)

    def answer(self, target: bytes) -> None:
        body = body_of(target)
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
