"""
The danger: TLS with an upstream that is not who it should be, or that ends without a word, looks like an exchange that went well.

The promise: a certificate is checked against the authorities and the name that the file says; a handshake that fails is a 502 that names no
address, and the log has the reason; an end without close_notify is a truncation; nothing that came before an end is lost.
"""

import asyncio
import gc
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from corsproxy import problems
from corsproxy.config.settings import Timeouts
from corsproxy.config.upstreams import ClientTls, PoolSettings
from corsproxy.config.upstreams import Upstream as UpstreamSettings
from corsproxy.gateway.contexts import BadTlsFile, client_context
from corsproxy.gateway.reading import InPieces, read_buffer
from corsproxy.gateway.tls import TlsFailed, TlsStream
from tests.certificates import Authority, Pair
from tests.conftest import ErrorLog, ProxyFactory
from tests.harness import ORIGIN, Client, Proxy, Response, Upstream, chunked, get, head, ok, put, route, turns, until
from tests.tls import TlsServed, TlsUpstream

ALLOWED = b"Origin: " + ORIGIN
UNTIL_CLOSE = head(b"HTTP/1.1 200 OK")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost", "127.0.0.1")


@pytest.fixture
async def secure(quiet_loop: ErrorLog) -> AsyncIterator[Callable[..., TlsUpstream]]:
    """Make upstreams that speak TLS."""
    del quiet_loop
    made: list[TlsUpstream] = []

    def make(pair: Pair, client_ca_file: str = "") -> TlsUpstream:
        made.append(TlsUpstream(pair, client_ca_file))
        return made[-1]

    yield make
    for upstream in made:
        await upstream.stop()


Secure = Callable[..., TlsUpstream]


async def served(upstream: TlsUpstream) -> TlsServed:
    found = await upstream.accept()
    assert isinstance(found, TlsServed)
    return found


# --- what is right ---


async def test_a_private_authority_is_trusted_and_http_1_1_is_asked_for(
    proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority
) -> None:
    upstream = secure(pair)
    upstream.serve(lambda request: ok(request.body))
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    client = await front.connect()
    got = [await client.ask(put(b"x" * size, ALLOWED)) for size in (3, 1_000_000)]

    assert [(answer.status, len(answer.body)) for answer in got] == [(200, 3), (200, 1_000_000)]
    assert upstream.connections == 1
    (connection,) = upstream.served
    assert isinstance(connection, TlsServed)
    assert connection.tls.selected_alpn_protocol() == "http/1.1"


async def test_the_name_is_the_one_of_the_file(proxy: ProxyFactory, secure: Secure, authority: Authority) -> None:
    upstream = secure(authority.issue("legacy"))
    asked: list[object] = []
    upstream.context.sni_callback = lambda _, name, __: asked.append(name)
    upstream.serve(lambda _: ok())
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file, server_name="legacy"))))

    assert (await front.ask(get())).status == 200
    assert asked == ["legacy"]
    assert upstream.requests[0].value(b"host") == upstream.authority


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_upstream_that_demands_a_certificate_gets_ours(
    proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority, version: ssl.TLSVersion
) -> None:
    ours = authority.issue("corsproxy")
    upstream = secure(pair, authority.ca_file)
    upstream.context.maximum_version = version
    upstream.serve(lambda _: ok())
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file, cert_file=ours.cert_file, key_file=ours.key_file))))

    assert (await front.ask(get())).status == 200


async def test_an_upstream_may_ask_for_our_certificate_after_the_handshake(
    proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority
) -> None:
    """Apache does where only some paths want one."""
    ours = authority.issue("corsproxy")
    upstream = secure(pair, authority.ca_file)
    upstream.context.post_handshake_auth = True
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file, cert_file=ours.cert_file, key_file=ours.key_file))))
    client = await front.connect()
    await client.send(get())
    connection = await served(upstream)
    await connection.read_request()
    assert connection.tls.getpeercert() is None
    connection.tls.verify_client_post_handshake()
    await connection.send(ok(b"first"))
    assert (await client.read_response()).body == b"first"
    await client.send(get(b"/next"))
    await connection.read_request()
    await connection.send(ok())
    assert (await client.read_response()).body == b"ok"

    certificate = connection.tls.getpeercert()
    assert certificate is not None
    assert int(str(certificate["serialNumber"]), 16) == ours.serial


async def test_no_check_only_where_the_file_says_so(proxy: ProxyFactory, secure: Secure, authority: Authority) -> None:
    upstream = secure(authority.issue("another", days=-1, since=9))
    upstream.serve(lambda _: ok())
    front = await proxy(route(upstream.told(ClientTls(skip_verify=True))))

    assert (await front.ask(get())).status == 200


# --- what is wrong ---


async def refused(front: Proxy, upstream: TlsUpstream, method: bytes = b"GET") -> tuple[Response, str]:
    """What the client got, and what the log says."""
    got = await front.ask(get(b"/", ALLOWED, method=method))
    record = (await front.recorded())[-1]
    assert record.problem is not None
    # The two that a person has to tell apart: what answers there, and what it shows.
    expected = problems.UPSTREAM_CERTIFICATE if "certificate verify failed" in record.failure else problems.UPSTREAM_TLS
    assert (got.status, record.problem) == (502, expected)
    assert got.cors[b"access-control-allow-origin"] == ORIGIN
    assert json.loads(got.body)["detail"] == expected.detail
    assert upstream.requests == []
    return got, record.failure


FAULTS = {
    "another name": (["other"], 90, "certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1'"),
    "expired": (["127.0.0.1"], -1, "certificate verify failed: certificate has expired"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_wrong_certificate_is_a_502_and_the_log_says_why(
    proxy: ProxyFactory, secure: Secure, authority: Authority, fault: str
) -> None:
    names, days, reason = FAULTS[fault]
    upstream = secure(authority.issue(*names, days=days, since=9))
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    _, failure = await refused(front, upstream)

    assert failure == f"TLS with 127.0.0.1:{upstream.port}: {reason}"
    # It is told why.
    await until(lambda: bool(upstream.failures))
    assert "alert" in upstream.failures[0].lower()


async def test_a_host_name_that_does_not_match_is_named(proxy: ProxyFactory, secure: Secure, authority: Authority) -> None:
    upstream = secure(authority.issue("legacy"))
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file, server_name="x"))))
    _, failure = await refused(front, upstream)

    reason = "certificate verify failed: Hostname mismatch, certificate is not valid for 'x'"
    assert failure == f"TLS with 127.0.0.1:{upstream.port}: {reason}"


@pytest.mark.parametrize("trust", ["the system's", "another"])
async def test_an_authority_that_is_not_trusted(
    proxy: ProxyFactory, secure: Secure, pair: Pair, tmp_path_factory: pytest.TempPathFactory, trust: str
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"), "other")
    upstream = secure(pair)
    front = await proxy(route(upstream.told(ClientTls(other.ca_file if trust == "another" else ""))))
    _, failure = await refused(front, upstream)

    assert failure == f"TLS with 127.0.0.1:{upstream.port}: certificate verify failed: unable to get local issuer certificate"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_upstream_that_misses_our_certificate(
    proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority, version: ssl.TLSVersion
) -> None:
    upstream = secure(pair, authority.ca_file)
    upstream.context.maximum_version = version
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    _, failure = await refused(front, upstream, b"POST")

    reason = {"TLSv1_2": "sslv3 alert handshake failure", "TLSv1_3": "tlsv13 alert certificate required"}[version.name]
    assert failure == f"TLS with 127.0.0.1:{upstream.port}: {reason}"


async def test_an_upstream_that_speaks_plain_http(proxy: ProxyFactory, upstream_plain: "PlainUpstream", authority: Authority) -> None:
    front = await proxy(route(upstream_plain.told(ClientTls(authority.ca_file))))
    got = await front.ask(get())
    record = (await front.recorded())[0]

    assert (got.status, record.failure) == (502, f"TLS with 127.0.0.1:{upstream_plain.port}: {record.failure.rpartition(': ')[2]}")
    assert record.failure.rpartition(": ")[2] in ("wrong version number", "record layer failure", "packet length too long")


async def test_an_upstream_that_hangs_up_in_the_handshake(proxy: ProxyFactory, upstream_plain: "PlainUpstream") -> None:
    upstream_plain.answer = b""
    front = await proxy(route(upstream_plain.told(ClientTls(skip_verify=True))))
    got = await front.ask(get())
    record = (await front.recorded())[0]

    assert (got.status, record.problem and record.problem.code) == (502, "CP404")
    assert record.failure.startswith(f"TLS with 127.0.0.1:{upstream_plain.port}: ")


async def test_a_handshake_takes_no_longer_than_connecting_may(proxy: ProxyFactory, upstream_plain: "PlainUpstream") -> None:
    upstream_plain.answer = None
    front = await proxy(route(upstream_plain.told(ClientTls(skip_verify=True)), timeouts=Timeouts(connect=0.1)))
    got = await front.ask(get())
    record = (await front.recorded())[0]

    assert (got.status, record.problem and record.problem.code) == (504, "CP407")


class PlainUpstream:
    """An upstream that speaks no TLS: it answers the first bytes with `answer` and hangs up; None says nothing."""

    def __init__(self) -> None:
        self.answer: bytes | None = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        await reader.read(1)
        if self.answer is not None:
            writer.write(self.answer)
            writer.close()

    def told(self, tls: ClientTls) -> UpstreamSettings:
        url = f"https://127.0.0.1:{self.port}"
        return UpstreamSettings(url, "127.0.0.1", self.port, url.encode()[8:], tls=True, client_tls=tls)

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()


@pytest.fixture
async def upstream_plain(quiet_loop: ErrorLog) -> AsyncIterator[PlainUpstream]:
    del quiet_loop
    upstream = PlainUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


# --- how it ends ---


async def begun(front: Proxy, upstream: TlsUpstream, start: bytes) -> tuple[Client, TlsServed]:
    client = await front.connect()
    await client.send(get())
    connection = await served(upstream)
    await connection.read_request()
    await connection.send(start)
    await client.read_head()
    return client, connection


@pytest.mark.parametrize("how", ["close_notify", "fin", "reset"])
async def test_only_close_notify_ends_a_body_that_lasts_until_close(
    proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority, how: str
) -> None:
    upstream = secure(pair)
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    client, connection = await begun(front, upstream, UNTIL_CLOSE + b"body")
    assert await client.read_exactly(4) == b"body"
    if how == "close_notify":
        await connection.notify_close()
    if how == "reset":
        connection.reset()
    else:
        connection.close()
    await client.read_until_close()
    record = (await front.recorded())[0]

    assert client.ended == ("fin" if how == "close_notify" else "reset")
    assert (record.problem and record.problem.code) == (None if how == "close_notify" else "CP411")
    if how == "fin":
        assert record.failure.endswith(f"TLS with 127.0.0.1:{upstream.port}: closed without close_notify")


@pytest.mark.parametrize("framing", ["until close", "length", "chunked"])
async def test_what_came_before_the_end_is_not_lost_on_a_slow_client(
    proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority, framing: str
) -> None:
    """An event loop's own TLS may drop what it holds while reading is paused, when the upstream ends."""
    body = bytes(range(256)) * 20_000
    framed = {
        "until close": UNTIL_CLOSE + body,
        "length": ok(body, b"Connection: close"),
        "chunked": head(b"HTTP/1.1 200 OK", b"Connection: close", b"Transfer-Encoding: chunked") + chunked(body),
    }[framing]
    upstream = secure(pair)
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    client = await front.connect(receive_buffer=4096)
    await client.send(get())
    connection = await served(upstream)
    await connection.read_request()

    async def send() -> None:
        await connection.send(framed)
        await connection.notify_close()
        connection.close()

    sending = asyncio.ensure_future(send())
    # The proxy has paused: it has the client's connection full, and part of the rest before it.
    await until(lambda: any(held._reading_paused for held in front.pool._busy))
    await turns(20)
    got = await client.read_response(judge=False)
    await sending

    assert got.body == body


async def test_a_large_upload_waits_for_the_upstream(proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority) -> None:
    upstream = secure(pair)
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    client = await front.connect()
    body = b"u" * 8_000_000
    sending = asyncio.ensure_future(client.send(put(body)))
    connection = await served(upstream)
    await until(lambda: any(held.blocked for held in front.pool._busy))
    request = await connection.read_request(judge=False)
    await connection.send(ok())

    assert request.body == body
    await sending
    assert (await client.read_response()).status == 200


async def test_idle_connections_end_with_close_notify(proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority) -> None:
    upstream = secure(pair)
    told = replace(upstream.told(ClientTls(authority.ca_file)), pool=PoolSettings(idle_timeout=0.05))
    front = await proxy(route(told))
    client = await front.connect()
    await client.send(get())
    connection = await served(upstream)
    await connection.read_request()
    await connection.send(ok())
    await client.read_response()
    front.pool.sweep(front.gateway._loop.time() + 1)
    assert await connection.read_until_close() == b""

    assert connection.ended == "close_notify"


async def test_bytes_on_an_idle_connection_close_it(proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority) -> None:
    upstream = secure(pair)
    front = await proxy(route(upstream.told(ClientTls(authority.ca_file))))
    client = await front.connect()
    await client.send(get())
    connection = await served(upstream)
    await connection.read_request()
    await connection.send(ok())
    await client.read_response()
    await connection.send(ok(b"EVIL"))
    await until(lambda: front.pool.unexpected == 1)
    await client.send(get(b"/next"))
    connection = await served(upstream)
    await connection.read_request()
    await connection.send(ok(b"mine"))

    assert (await client.read_response()).body == b"mine"


# --- the stream on both loops ---


class Recorder(InPieces):
    """Takes note of what the stream says."""

    def __init__(self) -> None:
        super().__init__(read_buffer())
        self.data = b""
        self.blocked: list[bool] = []
        self.lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self.data += data

    def pause_writing(self) -> None:
        self.blocked.append(True)

    def resume_writing(self) -> None:
        self.blocked.append(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


class Renegotiating:
    """An SSLObject in the place of one whose peer renegotiates (TLS 1.2): it takes nothing until `is_held` is False."""

    is_held = True

    def __init__(self, real: ssl.SSLObject) -> None:
        self.real = real
        self.read, self.unwrap = real.read, real.unwrap

    def write(self, data: memoryview) -> int:
        if self.is_held:
            raise ssl.SSLWantReadError
        return self.real.write(data[:1000])


async def test_while_an_upstream_renegotiates_what_we_write_waits_and_whoever_writes_is_told(
    quiet_loop: ErrorLog, pair: Pair, authority: Authority
) -> None:
    del quiet_loop
    upstream, recorder, loop = TlsUpstream(pair), Recorder(), asyncio.get_running_loop()
    stream = TlsStream(recorder, client_context(ClientTls(authority.ca_file)), "localhost", "legacy:8443", loop)
    await loop.create_connection(lambda: stream, "127.0.0.1", upstream.port)
    await stream.established
    connection = await served(upstream)
    held = Renegotiating(stream._tls)
    stream._tls = held  # type: ignore[assignment]
    stream.write(b"a" * 5000)
    stream.write(b"b")
    assert recorder.blocked == [True]

    held.is_held = False
    await connection.send(b"done")
    assert await connection.read_exactly(5001) == b"a" * 5000 + b"b"
    assert (recorder.blocked, recorder.data) == ([True, False], b"done")
    stream.close()
    await upstream.stop()


@pytest.fixture
def plain_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop that runs where there is no uvloop."""
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


@pytest.mark.parametrize("notified", [True, False])
@pytest.mark.parametrize("paused", [True, False])
def test_the_stream_means_the_same_on_asyncios_own_loop(
    plain_loop: asyncio.AbstractEventLoop, pair: Pair, authority: Authority, *, notified: bool, paused: bool
) -> None:
    async def play() -> tuple[bytes, list[Exception | None]]:
        upstream = TlsUpstream(pair)
        recorder = Recorder()
        loop = asyncio.get_running_loop()
        stream = TlsStream(recorder, client_context(ClientTls(authority.ca_file)), "localhost", "legacy:8443", loop)
        await loop.create_connection(lambda: stream, "127.0.0.1", upstream.port)
        await stream.established
        connection = await served(upstream)
        if paused:
            stream.pause_reading()
        await connection.send(b"x" * 100_000)
        if notified:
            await connection.notify_close()
        connection.close()
        if paused:
            await turns(20)
            stream.resume_reading()
        await until(lambda: bool(recorder.lost))
        await upstream.stop()
        return recorder.data, recorder.lost

    data, (lost,) = plain_loop.run_until_complete(play())

    assert len(data) == 100_000
    if notified:
        assert lost is None
    else:
        assert isinstance(lost, TlsFailed)
        assert str(lost) == "TLS with legacy:8443: closed without close_notify"


async def test_a_handshake_that_is_given_up_leaves_no_failure_that_nobody_fetches(quiet_loop: ErrorLog, authority: Authority) -> None:
    del quiet_loop
    silent, loop = Upstream(), asyncio.get_running_loop()

    async def give_up() -> None:
        stream = TlsStream(Recorder(), client_context(ClientTls(authority.ca_file)), "localhost", "legacy:8443", loop)
        await loop.create_connection(lambda: stream, "127.0.0.1", silent.port)
        stream.abort()
        await until(stream.established.done)
        assert stream.established.cancelled()

    await give_up()
    gc.collect()
    await silent.stop()


@pytest.mark.parametrize("at", ["start", "reload"])
async def test_files_that_break_after_they_came_into_force_break_no_first_request(
    proxy: ProxyFactory, secure: Secure, pair: Pair, authority: Authority, tmp_path: Path, at: str
) -> None:
    """A reload refuses them and says that what is in force stays: so it must, also for an upstream that nobody has asked yet."""
    upstream, ca_file = secure(pair), tmp_path / "ca.pem"
    upstream.serve(lambda _: ok())
    ca_file.write_bytes(Path(authority.ca_file).read_bytes())  # noqa: ASYNC240 - it is small
    told = upstream.told(ClientTls(str(ca_file), digest="1"))
    front = await proxy(route(told) if at == "start" else route(upstream))
    front.gateway.reconfigure(replace(front.gateway.settings, routes=(route(told),)))
    ca_file.unlink()

    assert (await front.ask(get())).status == 200


async def test_a_reload_with_files_that_broke_a_moment_ago_changes_nothing(
    proxy: ProxyFactory, secure: Secure, pair: Pair, tmp_path: Path
) -> None:
    front = await proxy()
    before = front.gateway.settings
    with pytest.raises(BadTlsFile):
        front.gateway.reconfigure(replace(before, routes=(route(secure(pair).told(ClientTls(str(tmp_path / "gone.pem"), digest="1"))),)))

    assert front.gateway.settings is before
    assert list(front.gateway.pools) == []


async def test_a_failed_handshake_with_an_upstream_from_a_secret_tells_none_of_its_names(
    proxy: ProxyFactory, secure: Secure, authority: Authority
) -> None:
    upstream = secure(authority.issue("elsewhere"))
    told = replace(upstream.told(ClientTls(authority.ca_file)), url="${file:/run/secrets/upstream}")
    front = await proxy(route(told))
    assert (await front.ask(get())).status == 502

    (record,) = await front.recorded()
    assert record.failure == "TLS with ${file:/run/secrets/upstream}: the handshake failed"
