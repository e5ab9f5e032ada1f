"""
The danger: a client says who it is, where it comes from and what it is called, and somebody believes it.

The promise: only a trusted proxy's word counts, in every spelling; and a name that is taken over cannot hurt a log or a header.
"""

import asyncio
import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from corsproxy.config.settings import ForwardingSettings, Listen
from corsproxy.observe.shapes import format_json, format_logfmt
from corsproxy.observe.text import format_text
from corsproxy.semantics.forwarded import ForwardedMode
from tests.conftest import ProxyFactory
from tests.harness import Proxy, Request, Upstream, exchange, get, ok

ADDRESS = b"203.0.113.66"
SPELLINGS = [
    b"X-Forwarded-For",
    b"x-forwarded-for",
    b"X_Forwarded_For",
    b"X-Forwarded_For",
    b"x.forwarded.for",
    b"X-Forwarded-Client-Cert",
    b"X-Forwarded-User",
    b"X_Forwarded_User",
    b"X-Forwarded-",
    b"X-Real-IP",
    b"X_Real_IP",
    b"x-real_ip",
    b"X-Forwarded-Host",
    b"X-Forwarded-Proto",
    b"X-Forwarded-Port",
    b"X-Forwarded-Prefix",
]
ELSEWHERE = ForwardingSettings(trusted=(ip_network("10.0.0.0/8"), "unix"))
TRUSTED = ForwardingSettings(trusted=(ip_network("127.0.0.0/8"),))


def mentions(request: Request, text: bytes) -> bool:
    return text in request.head


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("forwarding", [ForwardingSettings(), ELSEWHERE], ids=["nobody is trusted", "somebody else is"])
async def test_a_strangers_word_does_not_reach_the_upstream(
    proxy: ProxyFactory, upstream: Upstream, forwarding: ForwardingSettings, name: bytes
) -> None:
    front = await proxy(forwarding=forwarding)
    seen, _ = await exchange(front, upstream, get(b"/", b"%b: %b" % (name, ADDRESS), b"%b: %b" % (name, ADDRESS)), ok())

    assert not mentions(seen, ADDRESS)
    assert seen.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert (await front.recorded())[0].client == "127.0.0.1"


@pytest.mark.parametrize("mode", ForwardedMode)
async def test_no_mode_lets_a_strangers_forwarded_through(proxy: ProxyFactory, upstream: Upstream, mode: ForwardedMode) -> None:
    front = await proxy(forwarding=ForwardingSettings(mode))
    lines = [b"Forwarded: for=%b;proto=https;host=evil.example" % ADDRESS, b"X-Forwarded-For: " + ADDRESS]
    seen, _ = await exchange(front, upstream, get(b"/", *lines), ok())

    assert not mentions(seen, ADDRESS)
    assert not mentions(seen, b"evil.example")
    assert (await front.recorded())[0].client == "127.0.0.1"


async def test_what_a_client_puts_before_a_trusted_proxys_word_is_not_the_client(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(forwarding=TRUSTED)
    seen, _ = await exchange(front, upstream, get(b"/", b"X-Forwarded-For: 10.0.0.1, %b" % ADDRESS), ok())

    assert seen.value(b"x-forwarded-for") == b"10.0.0.1, %b, 127.0.0.1" % ADDRESS
    assert (await front.recorded())[0].client == ADDRESS.decode()


@pytest.mark.parametrize("name", [b"X_Forwarded_For", b"X-Forwarded_For", b"X_Real_IP", b"X.Forwarded.Proto"])
async def test_a_trusted_proxy_may_pass_on_a_look_alike_and_it_is_dropped(proxy: ProxyFactory, upstream: Upstream, name: bytes) -> None:
    """It drops the fields that it writes itself; a look-alike of one is the client's."""
    front = await proxy(forwarding=TRUSTED)
    seen, _ = await exchange(front, upstream, get(b"/", b"%b: %b" % (name, ADDRESS)), ok())

    assert not mentions(seen, ADDRESS)


@pytest.mark.parametrize(
    "value", [b"<script>", b"a" * 5000, b"1.2.3.4, " * 500, b"\xff", b"unknown", b"_hidden", b"127.0.0.1:99999999", b'"']
)
async def test_nonsense_of_a_trusted_proxy_is_no_client(proxy: ProxyFactory, upstream: Upstream, value: bytes) -> None:
    front = await proxy(forwarding=TRUSTED)
    seen, _ = await exchange(front, upstream, get(b"/", b"X-Forwarded-For: " + value, b"X-Forwarded-Host: " + value), ok())

    assert (await front.recorded())[0].client in ("127.0.0.1", "1.2.3.4")
    assert seen.value(b"x-forwarded-for") is not None
    assert b"<" not in seen.head


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_unix_peer_is_believed_by_its_name_alone(proxy: ProxyFactory, upstream: Upstream, tmp_path: Path, is_trusted: bool) -> None:  # noqa: FBT001
    path = str(tmp_path / "s")
    trusted = ("unix",) if is_trusted else (ip_network("127.0.0.0/8"),)
    front = await proxy(listen=(Listen("127.0.0.1", 0), Listen(unix_path=path)), forwarding=ForwardingSettings(trusted=trusted))
    upstream.serve(lambda request: ok(request.value(b"x-forwarded-for") or b"nobody"))
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(get(b"/", b"X-Forwarded-For: " + ADDRESS, b"Connection: close"))
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.endswith(ADDRESS if is_trusted else b"nobody")
    assert (await front.recorded())[0].client == (ADDRESS.decode() if is_trusted else "unix")


async def test_the_hosts_that_are_answered_are_not_those_that_somebody_says(proxy: ProxyFactory, upstream: Upstream) -> None:
    """DNS rebinding: the promise of `hosts` is about the Host field."""
    front = await proxy(forwarding=ForwardingSettings(), own_origins=(b"https://api.example",))
    lines = [b"X-Forwarded-Host: evil.example", b"X-Forwarded-Proto: https", b"Origin: https://evil.example"]

    assert (await front.ask(get(b"/", *lines))).status == 403
    assert upstream.connections == 0


# --- the request's name ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        [b"X-Request-Id: forged-id.1", b"X-Request-Id: forged-id.2"],
        [b"X-Request-Id: forged-id.1, forged-id.2"],
        [b"X_Request_Id: forged-id.1"],
        [b"x.request.id: forged-id.1"],
        [b'X-Request-Id: forged-id"} {"a":"'],
        [b"X-Request-Id: forged-id\xe2\x80\xae"],
        [b"X-Request-Id: forged-id.1", b"Connection: X-Request-Id"],
        [b"X-Request-Id: forged-id" + b"a" * 128],
    ],
    ids=lambda lines: lines[-1][:40].decode("latin-1"),
)
async def test_what_could_be_read_in_two_ways_is_no_name(front: Proxy, upstream: Upstream, lines: list[bytes]) -> None:
    seen, got = await exchange(front, upstream, get(b"/", *lines), ok())
    record = (await front.recorded())[0]

    assert seen.values(b"x-request-id") == got.values(b"x-request-id") == [record.request_id.encode()]
    assert b"forged" not in seen.head
    assert b"forged" not in got.head
    assert all("forged" not in shape(record) for shape in (format_json, format_logfmt, format_text))


async def test_under_another_name_a_look_alike_does_not_reach_the_upstream(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(forwarding=ForwardingSettings(request_id_header=b"X-Correlation-Id"))
    seen, _ = await exchange(front, upstream, get(b"/", b"X_Correlation_Id: forged-id.1", b"x.correlation.id: forged-id.2"), ok())

    assert b"forged" not in seen.head
    assert len(seen.values(b"x-correlation-id")) == 1


async def test_names_of_our_own_where_clients_are_not_believed(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(forwarding=ForwardingSettings(trusts_request_id=False))
    seen, got = await exchange(front, upstream, get(b"/", b"X-Request-Id: forged-id.1"), ok())
    refused = await front.ask(get(b"/", b"X-Request-Id: forged-id.1", b"Origin: https://evil.example"))

    assert b"forged" not in seen.head + got.head + refused.raw
    assert seen.value(b"x-request-id") == got.value(b"x-request-id")
    assert json.loads(refused.body)["request_id"].encode() == refused.value(b"x-request-id")
