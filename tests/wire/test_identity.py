"""Who a client is, and what a route changes on the way: a file in, bytes on both sides out."""

from collections.abc import Iterable
from typing import Any

import pytest

from corsproxy.config.load import load_text
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Proxy, Upstream, exchange, get, ok

FORWARDING = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"forwarded", b"x-real-ip")
# What anybody can write.
LIES = (
    b"X-Forwarded-For: 10.0.0.1",
    b"x-forwarded-for: 10.0.0.2",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: admin.internal",
    b"X-Forwarded-Port: 443",
    b"X-Forwarded-User: admin",
    b"X_Forwarded_For: 10.0.0.3",
    b"X-Real-IP: 10.0.0.4",
    b"Forwarded: for=10.0.0.5;proto=https",
)
TRUSTING = "trusted_proxies: [127.0.0.1]\n"


async def proxy_of(proxy: ProxyFactory, upstream: Upstream, more: str = "", cors: str = "{allow_origins: [https://app.example]}") -> Proxy:
    """Start a proxy as a file says. `{up}` in it is the upstream's URL."""
    url = f"http://127.0.0.1:{upstream.port}"
    loaded = load_text(f"upstream: {url}\ncors: {cors}\n" + more.replace("{up}", url), "f", environ={"KEY": "from-a-variable"})
    assert loaded.settings is not None, loaded.diagnostics
    settings = loaded.settings
    given: dict[str, Any] = {"forwarding": settings.forwarding, "own_origins": settings.own_origins}
    return await proxy(*settings.routes, **given)


def told(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What an upstream was told of a client, by any name that a server may read so."""
    found = [(name.lower().replace(b"_", b"-"), value) for name, value in fields]
    return [(name, value) for name, value in found if name in FORWARDING or name.startswith(b"x-forwarded")]


# --- who the client is ---


async def test_a_stranger_is_who_the_connection_says(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy_of(proxy, upstream)
    seen, _ = await exchange(front, upstream, get(b"/", *LIES), ok())

    assert told(seen.fields) == [
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"proxy.test"),
        (b"x-forwarded-port", b"80"),
    ]
    (record,) = await front.recorded()
    assert record.client == "127.0.0.1"


async def test_where_nothing_is_told_a_strangers_word_does_not_pass_either(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy_of(proxy, upstream, "forwarded: none\n")
    seen, _ = await exchange(front, upstream, get(b"/", *LIES), ok())

    assert told(seen.fields) == []


async def test_of_a_trusted_proxy_the_nearest_stranger_is_the_client(proxy: ProxyFactory, upstream: Upstream) -> None:
    """What the client itself put in front of the list moves nothing."""
    front = await proxy_of(proxy, upstream, TRUSTING)
    lines = (b"X-Forwarded-For: 6.6.6.6, 203.0.113.9, 127.0.0.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: api.example")
    seen, _ = await exchange(front, upstream, get(b"/", *lines), ok())

    assert dict(told(seen.fields))[b"x-forwarded-for"] == b"6.6.6.6, 203.0.113.9, 127.0.0.1, 127.0.0.1"
    assert (seen.value(b"x-forwarded-proto"), seen.value(b"x-forwarded-host")) == (b"https", b"api.example")
    (record,) = await front.recorded()
    assert record.client == "203.0.113.9"


@pytest.mark.parametrize("more", ["", TRUSTING], ids=["stranger", "trusted"])
async def test_only_a_trusted_word_makes_a_request_one_of_the_same_origin(proxy: ProxyFactory, upstream: Upstream, more: str) -> None:
    front = await proxy_of(proxy, upstream, more)
    request = get(b"/", b"Origin: https://api.example", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: api.example")
    if more:
        _, got = await exchange(front, upstream, request, ok())
    else:
        got = await front.ask(request)

    assert got.status == (200 if more else 403)


# --- the request's name ---


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        ((b"X-Request-Id: abcdefgh",), True),
        ((b"X-Request-Id: short",), False),
        ((b'X-Request-Id: abcdefgh"<script>',), False),
        ((b"X-Request-Id: abcdefgh", b"X-Request-Id: ijklmnop"), False),
        ((b"X-Request-Id: " + b"a" * 129,), False),
        ((), False),
    ],
    ids=str,
)
async def test_a_request_has_one_name_everywhere(
    proxy: ProxyFactory, upstream: Upstream, sent: tuple[bytes, ...], *, is_kept: bool
) -> None:
    front = await proxy_of(proxy, upstream)
    seen, got = await exchange(front, upstream, get(b"/", *sent), ok(b"", b"X-Request-Id: of-the-upstream"))

    (name,) = seen.values(b"x-request-id")
    assert got.values(b"x-request-id") == [name]
    (record,) = await front.recorded()
    assert record.request_id == name.decode()
    assert (name == b"abcdefgh") is is_kept


async def test_a_name_that_is_not_trusted_is_replaced_in_any_spelling(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy_of(proxy, upstream, "request_id: {header: X-Correlation-Id, trust: false}\n")
    lines = (b"x-correlation-id: abcdefgh", b"X-Request-Id: passes-as-it-is")
    seen, got = await exchange(front, upstream, get(b"/", *lines), ok())

    (name,) = seen.values(b"x-correlation-id")
    assert name != b"abcdefgh"
    assert got.value(b"x-correlation-id") == name
    assert seen.value(b"x-request-id") == b"passes-as-it-is"


# --- header rules ---


async def test_what_rules_set_no_client_can_say(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy_of(proxy, upstream, 'headers: {request: {set: {X-Api-Key: "${KEY}"}, remove: [X-Debug]}}\n')
    lines = (b"X-Api-Key: guessed", b"x_api_key: guessed", b"X_Api-Key: guessed", b"X-Debug: 1", b"x_debug: 1")
    seen, _ = await exchange(front, upstream, get(b"/", *lines), ok())

    assert [line for line in seen.fields if b"key" in line[0].lower() or b"debug" in line[0].lower()] == [
        (b"X-Api-Key", b"from-a-variable")
    ]


async def test_a_secret_stays_with_the_upstream_that_it_was_written_for(proxy: ProxyFactory, upstream: Upstream) -> None:
    more = """\
headers: {request: {set: {X-Api-Key: "${KEY}", X-Stage: test}}}
routes:
  - {path: /elsewhere, upstream: "{up}"}
"""
    front = await proxy_of(proxy, upstream, more)
    own, _ = await exchange(front, upstream, get(b"/"), ok())
    other, _ = await exchange(front, upstream, get(b"/elsewhere", b"X-Api-Key: of-the-client"), ok())

    assert (own.value(b"x-api-key"), own.value(b"x-stage")) == (b"from-a-variable", b"test")
    assert (other.value(b"x-api-key"), other.value(b"x-stage")) == (b"of-the-client", b"test")


async def test_rules_for_responses_leave_the_proxys_own_answers_alone(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy_of(proxy, upstream, "headers: {response: {remove: [Server], set: {X-Frame-Options: DENY}, add: {Vary: Accept}}}\n")
    allowed = get(b"/", b"Origin: https://app.example")
    _, got = await exchange(front, upstream, allowed, ok(b"", b"Server: old", b"X-Frame-Options: ALLOWALL"))
    refused = await front.ask(get(b"/", b"Origin: " + ORIGIN))

    assert (got.values(b"server"), got.values(b"x-frame-options")) == ([], [b"DENY"])
    assert {name.strip() for value in got.values(b"vary") for name in value.split(b",")} == {b"Accept", b"Origin"}
    assert (refused.status, refused.values(b"x-frame-options")) == (403, [])


# --- cookies and redirects ---


async def test_a_session_cookie_and_a_redirect_lead_through_the_proxy(proxy: ProxyFactory, upstream: Upstream) -> None:
    more = """\
public_url: https://api.example
cookies: {same_site: none, domain: remove}
routes:
  - {path: /legacy, strip_prefix: true, upstream: {url: "{up}/app"}}
"""
    front = await proxy_of(proxy, upstream, more)
    authority = b"127.0.0.1:%d" % upstream.port
    answer = ok(
        b"",
        b"Set-Cookie: sid=1; Path=/app; Domain=legacy.internal; HttpOnly",
        b"Set-Cookie: __Host-a=1; Path=/; Secure",
        b"Location: http://" + authority + b"/app/next?q=1",
        status=b"302 Found",
    )
    seen, got = await exchange(front, upstream, get(b"/legacy/x"), answer)

    assert seen.target == b"/app/x"
    assert got.values(b"set-cookie") == [
        b"sid=1; Path=/legacy; HttpOnly; SameSite=None; Secure",
        b"__Host-a=1; Path=/; Secure; SameSite=None",
    ]
    assert got.value(b"location") == b"https://api.example/legacy/next?q=1"


async def test_a_redirect_to_elsewhere_keeps_its_bytes(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy_of(proxy, upstream, "public_url: https://api.example\n")
    for location in (
        b"https://login.example/?back=http://127.0.0.1",
        b"http://127.0.0.1:%d@evil.example/" % upstream.port,
        b"//evil.example",
    ):
        _, got = await exchange(front, upstream, get(), ok(b"", b"Location: " + location, status=b"302 Found"))
        assert got.value(b"location") == location
