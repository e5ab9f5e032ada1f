"""Set-Cookie on its way to a browser of another site."""

import logging

import pytest

from corsproxy.observe.notices import Notices
from corsproxy.semantics.cookies import CookieRules
from tests.conftest import ProxyFactory
from tests.harness import ORIGIN, Proxy, Upstream, exchange, get, ok, policy
from tests.wire.routes import routed

ODD = [b"a=b; Path=/x;; HttpOnly ;Expires=Wed, 09 Jun 2030 10:18:14 GMT", b'c="d; e"; path = /', b"f", b"=g", b"\xe9=\xff; SameSite=Weird"]


async def test_without_rules_cookies_arrive_byte_for_byte_and_line_by_line(front: Proxy, upstream: Upstream) -> None:
    """Rule 38: never join Set-Cookie lines."""
    _, got = await exchange(front, upstream, get(), ok(b"x", *(b"Set-Cookie: " + line for line in ODD)))

    assert got.values(b"set-cookie") == ODD


@pytest.mark.parametrize(
    ("rules", "sent", "expected"),
    [
        pytest.param(CookieRules(b"None"), b"a=b; Path=/", b"a=b; Path=/; SameSite=None; Secure", id="none implies secure"),
        pytest.param(CookieRules(b"Lax"), b"a=b; samesite=none; Secure", b"a=b; samesite=Lax; Secure", id="lax"),
        pytest.param(CookieRules(secure=True), b"a=b", b"a=b; Secure", id="secure"),
        pytest.param(CookieRules(partitioned=True), b"a=b; Secure", b"a=b; Secure; Partitioned", id="partitioned"),
        pytest.param(CookieRules(domain=b""), b"a=b; Domain=legacy.internal; Path=/", b"a=b; Path=/", id="no domain"),
        pytest.param(CookieRules(domain=b"example.com"), b"a=b; Domain=legacy.internal", b"a=b; Domain=example.com", id="another domain"),
        pytest.param(CookieRules(domain=b"example.com"), b"a=b", b"a=b", id="host-only stays host-only"),
        pytest.param(
            CookieRules(b"None", domain=b""), b"__Host-a=b; Secure; Path=/", b"__Host-a=b; Secure; Path=/; SameSite=None", id="__Host-"
        ),
    ],
)
async def test_rules_change_what_they_name(
    proxy: ProxyFactory, upstream: Upstream, rules: CookieRules, sent: bytes, expected: bytes
) -> None:
    front = await proxy(routed(upstream, cookies=rules))
    _, got = await exchange(front, upstream, get(), ok(b"x", b"Set-Cookie: " + sent, b"sET-cOOKIE: " + sent, b"X-Cookie: " + sent))

    assert got.without(b"vary", b"date", b"content-length") == [
        (b"Set-Cookie", expected),
        (b"sET-cOOKIE", expected),
        (b"X-Cookie", sent),
    ]


async def test_the_path_is_mapped_back_through_base_and_prefix(proxy: ProxyFactory, upstream: Upstream) -> None:
    front = await proxy(routed(upstream, path=b"/reports", strip_prefix=True, of_upstream={"path": b"/v1"}))
    sent = [b"a=1; Path=/v1", b"b=1; Path=/v1/x", b"c=1; Path=/", b"d=1; Path=/other", b"e=1", b"__Host-f=1; Secure; Path=/"]
    _, got = await exchange(front, upstream, get(b"/reports/x"), ok(b"x", *(b"Set-Cookie: " + line for line in sent)))

    assert got.values(b"set-cookie") == [
        b"a=1; Path=/reports",
        b"b=1; Path=/reports/x",
        b"c=1; Path=/reports",
        b"d=1; Path=/other",
        b"e=1",
        b"__Host-f=1; Secure; Path=/",
    ]


async def test_a_dropped_cookie_is_noticed_once_and_its_value_is_not_told(
    proxy: ProxyFactory, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    front = await proxy(routed(upstream, cors=policy(allow_credentials=True)))
    lines = [b"Origin: " + ORIGIN, b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: cors"]
    upstream.serve(lambda _: ok(b"x", b"Set-Cookie: sid=s3cret; Path=/"))
    for _ in range(3):
        await front.ask(get(b"/", *lines))
    records = await front.recorded(3)
    notices = Notices()
    with caplog.at_level(logging.INFO, "corsproxy"):
        for record in records:
            notices.add(record.notices)

    assert [len(record.notices) for record in records] == [1, 1, 1]
    assert [entry.getMessage() for entry in caplog.records] == ["CP531 browsers drop the cookie sid of route /: same-site"]
    assert "s3cret" not in repr(records)
