"""The wire harness with TLS: both ends know exactly which records they send, and whether a close_notify came."""

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import replace

from corsproxy.config.upstreams import ClientTls
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from tests.certificates import Pair
from tests.harness import DEADLINE_S, Client, Served, Upstream, Wire, connect


class TlsWire(Wire):
    """An end of a connection with TLS. `ended` is "close_notify" where the peer said that it ends."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_name: str | None = None) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name)

    async def shake(self) -> None:
        """Do the handshake. Raises ssl.SSLError, or ConnectionError where the peer ends it."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._push()
                if not await self._pull():
                    raise ConnectionResetError(self.ended) from None
            except ssl.SSLError:
                await self._push()
                raise
            else:
                await self._push()
                return

    async def send(self, data: bytes) -> None:
        self.tls.write(data)
        await self._push()
        self.sent += len(data)

    async def notify_close(self) -> None:
        """Send a close_notify."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self._push()

    async def _push(self) -> None:
        await super().send(self._outgoing.read())

    async def _pull(self) -> bool:
        async with asyncio.timeout(DEADLINE_S):
            try:
                data = await self.loop.sock_recv(self.sock, 256 * 1024)
            except ConnectionError:
                self.ended = "reset"
                return False
        self.ended = "" if data else "fin"
        self._incoming.write(data)
        return bool(data)

    async def _read(self) -> bool:
        while not self.ended:
            try:
                data = self.tls.read(256 * 1024)
            except ssl.SSLWantReadError:
                await self._pull()
                continue
            except ssl.SSLZeroReturnError:
                data = b""
            if not data:
                self.ended = "close_notify"
                return False
            self.history += data
            self._buffer += data
            return True
        return False


class TlsClient(TlsWire, Client):
    """A client's end."""


class TlsServed(TlsWire, Served):
    """An upstream's end."""


def client_context(ca_file: str, pair: Pair | None = None) -> ssl.SSLContext:
    """What a careful client uses."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if pair is not None:
        context.load_cert_chain(pair.cert_file, pair.key_file)
    return context


async def connect_tls(port: int, context: ssl.SSLContext, name: str = "localhost") -> TlsClient:
    """Connect to loopback and do the handshake."""
    plain = await connect(port)
    client = TlsClient(plain.sock, context, name)
    try:
        await client.shake()
    except BaseException:
        client.close()
        raise
    return client


class TlsUpstream(Upstream):
    """A scripted upstream that speaks TLS. `failures` are the handshakes that failed, as it sees them."""

    def __init__(self, pair: Pair, client_ca_file: str = "") -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pair.cert_file, pair.key_file)
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        if client_ca_file:
            self.context.load_verify_locations(client_ca_file)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.failures: list[str] = []
        super().__init__()

    def told(self, tls: ClientTls, host: str = "127.0.0.1") -> UpstreamSettings:
        """How a proxy is told of it."""
        url = f"https://{host}:{self.port}"
        return replace(self.settings, url=url, host=host, authority=url.removeprefix("https://").encode(), tls=True, client_tls=tls)

    async def _accept(self) -> None:
        while True:
            sock, _ = await self.loop.sock_accept(self._listener)
            self.connections += 1
            served = TlsServed(sock, self.context)
            self.served.append(served)
            self._tasks.append(self.loop.create_task(self._shake(served)))

    async def _shake(self, served: TlsServed) -> None:
        try:
            await served.shake()
        except (ssl.SSLError, ConnectionError) as error:
            self.failures.append(str(error))
            served.close()
        else:
            self._arrived.put_nowait(served)
