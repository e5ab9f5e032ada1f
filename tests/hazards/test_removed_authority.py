"""
The danger: an authority's key is stolen and its certificate taken out of `client_ca_file`, and whoever is connected stays in.

The promise: with the next request on a connection, with a session from before, and with a handshake that began before, a certificate
counts only if an authority of the file in force has signed it.
"""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from corsproxy.config.settings import ServerTls, Settings
from tests.certificates import Authority
from tests.conftest import ProxyFactory
from tests.harness import Ended, Proxy, Upstream, connect, get, ok, until
from tests.tls import TlsClient, client_context, connect_tls


@pytest.fixture
def old(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "old", "old")


@pytest.fixture
def mutual(authority: Authority, old: Authority) -> ServerTls:
    pair = authority.issue("localhost")
    return ServerTls(pair.cert_file, pair.key_file, old.ca_file, requires_client_certificate=True, digest="1")


@pytest.fixture
def shown(authority: Authority, old: Authority) -> ssl.SSLContext:
    return client_context(authority.ca_file, old.issue("somebody"))


def reload(front: Proxy, tls: ServerTls) -> Settings:
    front.gateway.reconfigure(replace(front.gateway.settings, tls=tls))
    return front.gateway.settings


async def connected(front: Proxy, context: ssl.SSLContext) -> TlsClient:
    client = await connect_tls(front.port, context)
    front._clients.append(client)
    return client


async def test_an_idle_connection_ends(
    proxy: ProxyFactory, upstream: Upstream, mutual: ServerTls, shown: ssl.SSLContext, tmp_path: Path
) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(tls=mutual)
    client = await connected(front, shown)
    assert (await client.ask(get())).status == 200
    reload(front, replace(mutual, client_ca_file=Authority(tmp_path / "new", "new").ca_file, digest="2"))

    assert await client.read_until_close() == b""


async def test_an_exchange_in_flight_ends_as_it_began_and_the_next_is_refused(
    proxy: ProxyFactory, upstream: Upstream, mutual: ServerTls, shown: ssl.SSLContext, tmp_path: Path
) -> None:
    front = await proxy(tls=mutual)
    client = await connected(front, shown)
    await client.send(get())
    served = await upstream.accept()
    await served.read_request()
    reload(front, replace(mutual, client_ca_file=Authority(tmp_path / "new", "new").ca_file, digest="2"))
    await served.send(ok())

    assert (await client.read_response()).status == 200
    assert (await client.ask(get())).status == 403
    assert upstream.connections == 1


async def test_the_same_file_with_other_authorities_counts_too(
    proxy: ProxyFactory, upstream: Upstream, mutual: ServerTls, shown: ssl.SSLContext, old: Authority, tmp_path: Path
) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(tls=mutual)
    client = await connected(front, shown)
    assert (await client.ask(get())).status == 200
    new = Authority(tmp_path / "new", "new")
    Path(old.ca_file).write_bytes(Path(new.ca_file).read_bytes())  # noqa: ASYNC240 - they are small
    reload(front, replace(mutual, digest="2"))

    assert await client.read_until_close() == b""


async def test_another_certificate_of_our_own_ends_no_connection(
    proxy: ProxyFactory, upstream: Upstream, mutual: ServerTls, authority: Authority, shown: ssl.SSLContext
) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(tls=mutual)
    client = await connected(front, shown)
    assert (await client.ask(get())).status == 200
    pair = authority.issue("localhost")
    reload(front, replace(mutual, cert_file=pair.cert_file, key_file=pair.key_file, digest="2"))

    assert (await client.ask(get())).status == 200


async def test_one_more_authority_ends_no_connection(
    proxy: ProxyFactory, upstream: Upstream, mutual: ServerTls, shown: ssl.SSLContext, old: Authority, tmp_path: Path
) -> None:
    """Whoever changes from one authority to another names both for a while."""
    upstream.serve(lambda _: ok())
    front = await proxy(tls=mutual)
    client = await connected(front, shown)
    assert (await client.ask(get())).status == 200
    both, new = tmp_path / "both.pem", Authority(tmp_path / "new", "new")
    contents = [Path(each.ca_file).read_bytes() for each in (new, old)]  # noqa: ASYNC240 - they are small
    both.write_bytes(b"".join(contents))
    reload(front, replace(mutual, client_ca_file=str(both), digest="2"))
    assert (await client.ask(get())).status == 200
    reload(front, replace(mutual, client_ca_file=new.ca_file, digest="3"))

    assert await client.read_until_close() == b""


async def test_a_handshake_that_began_before_is_given_up(proxy: ProxyFactory, mutual: ServerTls, tmp_path: Path) -> None:
    front = await proxy(tls=mutual)
    with await connect(front.port) as client:
        await until(lambda: front.gateway.tls.under_way == 1)
        reload(front, replace(mutual, client_ca_file=Authority(tmp_path / "new", "new").ca_file, digest="2"))

        assert await client.read_until_close() == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_from_before_brings_no_certificate_back(
    proxy: ProxyFactory,
    upstream: Upstream,
    mutual: ServerTls,
    shown: ssl.SSLContext,
    version: ssl.TLSVersion,
    tmp_path: Path,
) -> None:
    upstream.serve(lambda _: ok())
    front = await proxy(tls=mutual)
    shown.maximum_version = version
    before = await connected(front, shown)
    assert (await before.ask(get())).status == 200
    session = before.tls.session
    again = await resumed(front, shown, session)
    assert (again.tls.session_reused, (await again.ask(get())).status) == (True, 200)
    reload(front, replace(mutual, client_ca_file=Authority(tmp_path / "new", "new").ca_file, digest="2"))

    with pytest.raises((ssl.SSLError, ConnectionError, Ended)):
        await (await resumed(front, shown, session)).ask(get())


async def resumed(front: Proxy, context: ssl.SSLContext, session: ssl.SSLSession | None) -> TlsClient:
    client = TlsClient((await connect(front.port)).sock, context, "localhost")
    front._clients.append(client)
    client.tls = context.wrap_bio(client._incoming, client._outgoing, server_hostname="localhost", session=session)
    await client.shake()
    return client
