"""Serving https: handshakes side by side, certificates that change, client certificates, and whoever speaks no TLS."""

import asyncio
import logging
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from corsproxy.config.settings import Limits, Listen, ServerTls
from corsproxy.gateway.contexts import BadTlsFile
from tests.certificates import Authority, Pair
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Proxy, Upstream, connect, get, ok, put, turns, until
from tests.tls import TlsClient, client_context, connect_tls

ALLOWED = b"Origin: " + ORIGIN
PREFLIGHT = get(b"/", ALLOWED, b"Access-Control-Request-Method: PUT", method=b"OPTIONS")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost", "127.0.0.1")


@pytest.fixture
def tls(pair: Pair) -> ServerTls:
    return ServerTls(pair.cert_file, pair.key_file)


@pytest.fixture
def trust(authority: Authority) -> ssl.SSLContext:
    return client_context(authority.ca_file)


def serial(client: TlsClient) -> int:
    certificate = client.tls.getpeercert()
    assert certificate is not None
    return int(str(certificate["serialNumber"]), 16)


async def connected(front: Proxy, context: ssl.SSLContext) -> TlsClient:
    client = await connect_tls(front.port, context)
    front._clients.append(client)
    return client


# --- serving ---


async def test_an_exchange_passes_with_tls_1_3_and_http_1_1(
    proxy: ProxyFactory, upstream: Upstream, tls: ServerTls, trust: ssl.SSLContext
) -> None:
    upstream.serve(lambda request: ok(request.body))
    front = await proxy(tls=tls)
    client = await connected(front, trust)
    got = [await client.ask(put(b"x" * size, ALLOWED)) for size in (3, 300_000)]

    assert (client.tls.version(), client.tls.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
    assert [(answer.status, len(answer.body)) for answer in got] == [(200, 3), (200, 300_000)]
    assert got[0].cors[b"access-control-allow-origin"] == ORIGIN


async def test_an_answer_that_ends_the_connection_ends_with_close_notify(
    proxy: ProxyFactory, upstream: Upstream, tls: ServerTls, trust: ssl.SSLContext
) -> None:
    upstream.serve(lambda _: ok())
    client = await connected(await proxy(tls=tls), trust)
    assert (await client.ask(get(b"/", b"Connection: close"))).body == b"ok"
    assert await client.read_until_close() == b""

    assert client.ended == "close_notify"


async def test_a_part_never_ends_with_close_notify_where_that_would_be_the_end_of_the_body(
    proxy: ProxyFactory, upstream: Upstream, tls: ServerTls, trust: ssl.SSLContext
) -> None:
    client = await connected(await proxy(tls=tls), trust)
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    await served.send(b"HTTP/1.1 200 OK\r\n\r\npart")
    await client.read_head()
    assert await client.read_exactly(4) == b"part"
    served.reset()
    await client.read_until_close()

    assert client.ended == "reset"


VERSIONS = {"1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.mark.parametrize(("least", "spoken"), [("1.2", "1.2"), ("1.2", "1.3"), ("1.3", "1.3")])
async def test_the_versions_from_the_oldest_on_are_spoken(
    proxy: ProxyFactory, tls: ServerTls, trust: ssl.SSLContext, least: str, spoken: str
) -> None:
    front = await proxy(tls=replace(tls, min_version=least))
    trust.maximum_version = VERSIONS[spoken]

    assert (await connected(front, trust)).tls.version() == f"TLSv{spoken}"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("least", "older"), [("1.2", "1.1"), ("1.3", "1.2")])
async def test_older_versions_are_not(proxy: ProxyFactory, tls: ServerTls, trust: ssl.SSLContext, least: str, older: str) -> None:
    front = await proxy(tls=replace(tls, min_version=least))
    trust.set_ciphers("DEFAULT:@SECLEVEL=0")
    trust.minimum_version = trust.maximum_version = VERSIONS[older]
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await connected(front, trust)

    await until(lambda: front.gateway.tls.failed == 1)


async def test_a_unix_socket_beside_it_speaks_plain_http(
    proxy: ProxyFactory, upstream: Upstream, tls: ServerTls, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    upstream.serve(lambda _: ok())
    path = str(tmp_path / "s")
    front = await proxy(tls=tls, listen=(Listen("127.0.0.1", 0), Listen(unix_path=path)))
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(get())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    await writer.wait_closed()

    assert (await (await connected(front, trust)).ask(get())).status == 200


# --- whoever does it wrong ---


async def test_a_client_that_ignores_our_farewell_does_not_keep_its_place(
    proxy: ProxyFactory, upstream: Upstream, tls: ServerTls, trust: ssl.SSLContext
) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(tls=tls)
    client = await connected(front, trust)
    assert (await client.ask(get())).status == 200
    (connection,) = front.gateway._connections
    connection.close_if_idle()
    await until(lambda: not front.gateway._connections)
    await client.read_until_close()

    assert client.ended == "close_notify"


async def test_slow_handshakes_hold_up_nobody(proxy: ProxyFactory, upstream: Upstream, tls: ServerTls, trust: ssl.SSLContext) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(tls=tls)
    slow = [await front.connect() for _ in range(20)]
    for client in slow:
        await client.send(b"\x16\x03\x01")

    assert (await (await connected(front, trust)).ask(get())).status == 200
    assert (front.gateway.tls.under_way, front.gateway.tls.failed) == (20, 0)


async def test_a_slow_handshake_is_cut_after_the_time_for_a_head(proxy: ProxyFactory, tls: ServerTls) -> None:
    front = await proxy(tls=tls, limits=Limits(header_timeout=0.1))
    client = await front.connect()
    await client.send(b"\x16\x03\x01")
    assert await client.read_until_close() == b""

    await until(lambda: not front.gateway.tls.under_way)
    assert front.gateway.tls.failed == 1


async def test_handshakes_count_as_connections(proxy: ProxyFactory, upstream: Upstream, tls: ServerTls, trust: ssl.SSLContext) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(tls=tls, limits=Limits(connections=2))
    slow = [await front.connect() for _ in range(2)]
    await until(lambda: front.gateway.tls.under_way == 2)
    waiting = asyncio.ensure_future(connected(front, trust))
    await turns(50)
    assert not waiting.done()
    slow[0].close()
    client = await waiting

    assert (await client.ask(get())).status == 200


@pytest.mark.parametrize(
    "sent", [get(), b"\0" * 100, b"\x16\x03\x01\x00\x05hello", b""], ids=["plain HTTP", "zeros", "no hello", "nothing"]
)
async def test_what_is_no_tls_is_closed_and_logged_at_debug_only(
    proxy: ProxyFactory, upstream: Upstream, tls: ServerTls, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    front = await proxy(tls=tls)
    client = await front.connect()
    await client.send(sent)
    client.finish_sending()
    said = await client.read_until_close()

    assert b"HTTP" not in said
    await until(lambda: front.gateway.tls.failed == 1)
    said_of_it = [(record.levelname, record.getMessage().partition(":")[0]) for record in caplog.records if record.name == "corsproxy"]
    assert said_of_it == [("DEBUG", "a TLS handshake failed")]
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert (upstream.connections, front.records) == (0, [])


async def test_a_stop_gives_handshakes_up(proxy: ProxyFactory, tls: ServerTls) -> None:
    front = await proxy(tls=tls)
    client = await connect(front.port)
    await until(lambda: front.gateway.tls.under_way == 1)
    assert await front.gateway.drain(5)
    assert await client.read_until_close() == b""
    client.close()

    assert front.gateway.tls.under_way == 0


# --- certificates that change ---


async def test_a_new_certificate_is_for_new_handshakes_and_old_connections_live_on(
    proxy: ProxyFactory, upstream: Upstream, authority: Authority, trust: ssl.SSLContext
) -> None:
    upstream.serve(lambda _: ok())
    old = authority.issue("localhost", file="changing")
    tls = ServerTls(old.cert_file, old.key_file, digest="1")
    front = await proxy(tls=tls)
    before = await connected(front, trust)
    assert (serial(before), (await before.ask(get())).status) == (old.serial, 200)

    new = authority.issue("localhost", file="changing")
    assert serial(await connected(front, trust)) == old.serial
    front.gateway.tls.update(replace(tls, digest="2"), 30)
    assert serial(await connected(front, trust)) == new.serial != old.serial
    assert (await before.ask(get())).status == 200


async def test_new_files_that_cannot_be_used_change_nothing(proxy: ProxyFactory, authority: Authority, trust: ssl.SSLContext) -> None:
    old = authority.issue("localhost", file="breaking")
    tls = ServerTls(old.cert_file, old.key_file, digest="1")
    front = await proxy(tls=tls)
    Path(old.cert_file).write_text("none")  # noqa: ASYNC240 - it is a small one
    with pytest.raises(BadTlsFile, match="holds no certificate in PEM"):
        front.gateway.tls.update(replace(tls, digest="2"), 30)

    assert serial(await connected(front, trust)) == old.serial


# --- client certificates ---


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("clients"), "clients")


@pytest.fixture
def mutual(tls: ServerTls, clients: Authority) -> ServerTls:
    return replace(tls, client_ca_file=clients.ca_file, requires_client_certificate=True)


async def test_without_a_certificate_only_preflights_pass_and_the_refusal_can_be_read(
    proxy: ProxyFactory, upstream: Upstream, mutual: ServerTls, trust: ssl.SSLContext
) -> None:
    front = await proxy(tls=mutual)
    client = await connected(front, trust)
    preflight = await client.ask(PREFLIGHT)
    refused = await client.ask(get(b"/", ALLOWED))

    assert (preflight.status, preflight.cors[b"access-control-allow-origin"]) == (204, ORIGIN)
    assert (refused.status, refused.cors[b"access-control-allow-origin"]) == (403, ORIGIN)
    assert b'"code":"CP321"' in refused.body
    # The next one can bring a certificate.
    assert await client.read_until_close() == b""
    assert upstream.connections == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_with_a_certificate_it_passes(
    proxy: ProxyFactory, upstream: Upstream, mutual: ServerTls, authority: Authority, clients: Authority, version: ssl.TLSVersion
) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(tls=mutual)
    context = client_context(authority.ca_file, clients.issue("somebody"))
    context.maximum_version = version
    client = await connected(front, context)

    assert [(await client.ask(get(b"/", ALLOWED))).status for _ in range(2)] == [200, 200]


async def test_optional_lets_both_pass(
    proxy: ProxyFactory, upstream: Upstream, mutual: ServerTls, authority: Authority, clients: Authority, trust: ssl.SSLContext
) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(tls=replace(mutual, requires_client_certificate=False))
    contexts = (trust, client_context(authority.ca_file, clients.issue("somebody")))

    assert [(await (await connected(front, context)).ask(get())).status for context in contexts] == [200, 200]


@pytest.mark.parametrize("fault", ["of another authority", "expired"])
async def test_a_bad_certificate_fails_the_handshake(
    proxy: ProxyFactory, upstream: Upstream, mutual: ServerTls, authority: Authority, clients: Authority, fault: str
) -> None:
    bad = clients.issue("somebody", days=-1, since=9) if fault == "expired" else authority.issue("somebody")
    front = await proxy(tls=mutual)
    # In TLS 1.3 the client's side of the handshake is done before its certificate is looked at.
    client = await connected(front, client_context(authority.ca_file, bad))
    await client.send(get())
    assert await client.read_until_close() == b""

    assert (front.gateway.tls.failed, upstream.connections, front.records) == (1, 0, [])


async def test_nobody_can_show_a_certificate_on_a_unix_socket(proxy: ProxyFactory, mutual: ServerTls, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    await proxy(tls=mutual, listen=(Listen("127.0.0.1", 0), Listen(unix_path=path)))
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(get())
    assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
    writer.close()
    await writer.wait_closed()
