"""
What an exchange costs on each lane without sockets, and whether made-up fields pile up: `python bench/lanes.py [COUNT [unique]]`.

Processor time of all that Python does for one exchange, on transports in memory; the kernel's part, more than half of an express exchange, is
not in it. `unique` has a field that is another one each time, as a client would send that wants to fill memories: the resident size before and
after COUNT of them is shown.
"""

import asyncio
import io
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from corsproxy.app import App
from corsproxy.config.load import load_text
from corsproxy.gateway.judge import response_judge
from corsproxy.gateway.pool import UpstreamPool
from corsproxy.gateway.upstream import UpstreamConnection

POLICY = """
upstream: http://192.0.2.1:9000
cors: {allow_origins: [https://app.example.com], allow_headers: [authorization, content-type], allow_credentials: true}
log: {access: false}
admin: "off"
"""
_ROUNDS = 20


def _head(method: bytes, *lines: bytes) -> bytes:
    start = (b"%b /orders/1 HTTP/1.1" % method, b"Host: localhost", b"Origin: https://app.example.com", *lines)
    return b"\r\n".join((*start, b"", b""))


BROWSER = (
    *(b"Connection: keep-alive", b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", b"Accept: application/json"),
    *(b"Accept-Encoding: gzip, deflate, br", b"Accept-Language: en", b"Referer: https://app.example.com/", b"Sec-Fetch-Dest: empty"),
    *(b"Sec-Fetch-Mode: cors", b"Sec-Fetch-Site: cross-site", b'sec-ch-ua: "x"', b"sec-ch-ua-mobile: ?0", b"Cookie: session=abc"),
)
REQUESTS = {
    "get": _head(b"GET", b"Accept: */*"),
    "browser": _head(b"GET", *BROWSER),
    "post": _head(b"POST", b"Content-Type: application/json", b"Content-Length: 1024") + b"x" * 1024,
    "preflight": _head(b"OPTIONS", b"Access-Control-Request-Method: PUT", b"Access-Control-Request-Headers: content-type"),
}
ANSWER = b"\r\n".join(
    (b"HTTP/1.1 200 OK", b"Content-Type: application/json", b"Date: Thu, 26 Nov 2026 07:00:00 GMT", b"Content-Length: 250", b"", b"y" * 250)
)


class Wire(asyncio.Transport):
    """A transport that takes everything."""

    def write(self, data: object) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("192.0.2.2", 1) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0


class Lane:
    """One client's connection on a lane, and one to the upstream."""

    def __init__(self, *, express: bool) -> None:
        settings = load_text(POLICY, "bench").settings
        assert settings is not None
        self._loop = asyncio.get_running_loop()
        self._gateway = App(replace(settings, express=express), io.StringIO(), io.StringIO()).gateway
        self._upstream: UpstreamConnection | None = None
        UpstreamPool._connect = self._connect  # type: ignore[method-assign,assignment]  # noqa: SLF001
        self._client = self._gateway._front()  # noqa: SLF001
        self._client.connection_made(Wire())

    async def _connect(self) -> UpstreamConnection:
        (pool,) = self._gateway.pools.values()
        self._upstream = UpstreamConnection(pool, self._loop, memoryview(bytearray(1)), response_judge())
        self._upstream.connection_made(Wire())
        return self._upstream

    def close(self) -> None:
        """Let the client go."""
        self._client.connection_lost(None)

    async def play(self, requests: Iterator[bytes], *, express: bool) -> None:
        """Play exchanges one after another."""
        for request in requests:
            self._client.data_received(request)
            done = self._gateway.in_flight == 0 and express
            while not done:
                if self._upstream is not None and self._upstream._exchange is not None:  # noqa: SLF001
                    self._upstream.data_received(ANSWER)
                if express and not self._gateway.in_flight:
                    break
                await asyncio.sleep(0)
                done = not self._gateway.in_flight and not self._client.pending


def unique(count: int) -> Iterator[bytes]:
    """Requests with a field that is another one each time, name and value."""
    for number in range(count):
        yield _head(b"GET", *BROWSER, b"X-%x: %d" % (number * 2654435761 % 2**32, number))


def size() -> float:
    """The resident size now, in MiB."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


async def main(count: int, *, only_unique: bool) -> None:
    """Measure and print."""
    if not only_unique:
        await measure(count)
    lane = Lane(express=True)
    await lane.play(unique(count // 10), express=True)
    before, begin = size(), time.process_time()
    await lane.play(unique(count), express=True)
    spent_us = (time.process_time() - begin) / count * 1e6
    sys.stdout.write(f"express unique: {spent_us:.1f} us on average of {count}; {before:.1f} MiB before, {size():.1f} MiB after\n")
    lane.close()


async def measure(count: int) -> None:
    """Measure what does not differ from one request to the next."""
    each = max(1, count // 100)
    for express in (True, False):
        lane = Lane(express=express)
        for name, request in REQUESTS.items():
            spent = []
            for _ in range(_ROUNDS):
                begin = time.process_time()
                await lane.play(iter([request] * each), express=express)
                spent.append((time.process_time() - begin) / each * 1e6)
            sys.stdout.write(f"{'express' if express else 'aiohttp'} {name}: {min(spent):.1f} us at best of {_ROUNDS} rounds\n")
            sys.stdout.flush()
        lane.close()


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        runner.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, only_unique=sys.argv[2:] == ["unique"]))
