"""What reaches the upstream is what the client sent: target, names, values, order; nothing added, nothing lost."""

from dataclasses import replace

import pytest

from tests.conftest import ProxyFactory
from tests.harness import ADDED_BY_PROXY, Field, Proxy, Upstream, exchange, get, head, ok, put, route

TARGETS = [
    b"/",
    b"/plain",
    b"//",
    b"//evil.example/x",
    b"///a///b//",
    b"/a//b",
    b"/%2F",
    b"/a%2fb%2Fc",
    b"/%2e%2E/",
    b"/./a/../b",
    b"/a/.",
    b"/;",
    b"/a;jsessionid=1;v=2/b",
    b"/a+b%20c",
    b"/?",
    b"/a?",
    b"/a??",
    b"/a?b?c",
    b"/a?b=%2F&c=+&d=%zz",
    b"/%zz%",
    b"/%00%ff%0d%0a",
    b"/a?x=1&x=2&&=",
    b"/a?/../%2e%2e/",
    b"/a:b@c",
    b"/!$&'()*,=~-._",
    b'/"<>|^`{}',
    b"/\\back\\slash",
    b"/[1]?a[]=1&b[k]=2",
    b"/a?next=http://evil.example/%3Fx",
    b"/" + b"long/" * 1000,
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:32].decode())
async def test_the_target_arrives_byte_for_byte(front: Proxy, upstream: Upstream, target: bytes) -> None:
    seen, got = await exchange(front, upstream, get(target), ok())

    assert seen.start == b"GET %b HTTP/1.1" % target
    assert got.status == 200


async def test_a_path_of_the_upstream_is_put_before_the_target(proxy: ProxyFactory, upstream: Upstream) -> None:

    prefixed = await proxy(route(replace(upstream.settings, path=b"/api/v1")))

    seen, _ = await exchange(prefixed, upstream, get(b"//x%2F;y?z"), ok())

    assert seen.target == b"/api/v1//x%2F;y?z"


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"http://proxy.test/a?b", b"/a?b"),
        (b"HTTP://Proxy.Test", b"/"),
        (b"http://proxy.test?q", b"/?q"),
        (b"http://proxy.test//x", b"//x"),
    ],
)
async def test_an_absolute_target_for_this_host_becomes_an_origin_form(front: Proxy, upstream: Upstream, sent: bytes, seen: bytes) -> None:
    request, _ = await exchange(front, upstream, get(sent), ok())

    assert request.target == seen


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND", b"SEARCH", b"PURGE"])
async def test_the_method_arrives(front: Proxy, upstream: Upstream, method: bytes) -> None:
    seen, got = await exchange(front, upstream, get(method=method), ok(b"" if method == b"HEAD" else b"ok"))

    assert (seen.method, got.status) == (method, 200)


@pytest.mark.parametrize("method", [b"TRACE", b"CONNECT"])
async def test_a_method_that_would_echo_or_tunnel_is_refused(front: Proxy, upstream: Upstream, method: bytes) -> None:
    target = b"proxy.test:80" if method == b"CONNECT" else b"/"
    got = await front.ask(get(target, method=method))

    assert got.status == 405
    assert got.value(b"allow")
    assert upstream.connections == 0


async def test_host_is_the_upstreams_and_the_clients_is_gone(front: Proxy, upstream: Upstream) -> None:
    seen, _ = await exchange(front, upstream, head(b"GET / HTTP/1.1", b"hOsT: public.example:8443"), ok())

    assert seen.values(b"host") == [upstream.authority]


async def test_a_bare_request_arrives_bare(front: Proxy, upstream: Upstream) -> None:
    """No Accept, no Accept-Encoding, no User-Agent, no Content-Type, no Connection."""
    seen, _ = await exchange(front, upstream, get(), ok())

    assert seen.without() == [(b"Host", upstream.authority)]


async def test_a_bare_response_arrives_bare(front: Proxy, upstream: Upstream) -> None:
    """No Server and no Content-Type; Date because a final response must have one, Vary because the policy looks at Origin."""
    _, got = await exchange(front, upstream, get(), ok(b"x"))

    assert {name for name, _ in got.without()} == {b"Content-Length", b"Date", b"Vary"}


async def test_an_upstreams_date_is_kept_and_not_joined_by_another(front: Proxy, upstream: Upstream) -> None:
    _, got = await exchange(front, upstream, get(), ok(b"", b"dATE: Sun, 06 Nov 1994 08:49:37 GMT"))

    assert [line for line in got.fields if line[0].lower() == b"date"] == [(b"dATE", b"Sun, 06 Nov 1994 08:49:37 GMT")]


# Field lines that must arrive as they are, in this order, in either direction.
LINES: list[tuple[str, list[Field]]] = [
    ("case of names", [(b"x-lower", b"1"), (b"X-UPPER", b"2"), (b"X-miXed", b"3")]),
    ("order", [(b"X-B", b"1"), (b"X-A", b"2"), (b"X-C", b"3"), (b"X-A", b"4")]),
    ("repetition", [(b"X-A", b"1"), (b"X-A", b"1"), (b"x-a", b"1")]),
    ("empty value", [(b"X-Empty", b""), (b"X-After", b"1")]),
    ("tab inside", [(b"X-Tab", b"a\tb")]),
    ("commas and quotes", [(b"X-List", b'a, "b, c" ,,d;q=0.5, \\')]),
    ("obs-text", [(b"X-Latin", b"caf\xe9"), (b"X-Utf8", "naïve ☃".encode()), (b"X-High", bytes(range(0x80, 0x100)))]),
    ("lone surrogate bytes", [(b"X-Broken", b"\xed\xa0\x80\xff\xfe\xc0\xaf")]),
    ("every visible byte", [(b"X-Ascii", bytes(range(0x21, 0x7F)))]),
    ("every name byte", [(b"!#$%&'*+-.^`|~09azAZ", b"1")]),
    ("underscores", [(b"X_Under_Score", b"1")]),
    ("names like ours", [(b"X-Host", b"1"), (b"Hosts", b"2"), (b"Content-Lengths", b"3"), (b"Connections", b"4"), (b"Dates", b"5")]),
    ("many", [(b"X-%d" % number, b"%d" % number) for number in range(60)]),
    ("a long value", [(b"X-Long", b"v" * 16_000)]),
    ("a long name", [(b"X-" + b"n" * 500, b"1")]),
    ("cache fields", [(b"Cache-Control", b"no-cache, max-age=0"), (b"Pragma", b"no-cache"), (b"Age", b"3"), (b"Expires", b"0")]),
    ("content fields", [(b"Content-Type", b"text/plain; charset=x"), (b"Content-Encoding", b"gzip"), (b"Content-MD5", b"Q2hlY2s=")]),
    ("something that looks like a head", [(b"X-Fold", b"GET / HTTP/1.1 Host: evil"), (b"X-Colon", b":::")]),
]
REQUEST_LINES: list[tuple[str, list[Field]]] = [
    *LINES,
    ("cookies", [(b"Cookie", b"a=1; b=\xe9\xff"), (b"cookie", b"c=3")]),
    ("credentials", [(b"Authorization", b"Basic \xe9=="), (b"X-Api-Key", b"k")]),
    ("conditions", [(b"If-None-Match", b'W/"a", "b"'), (b"Range", b"bytes=0-1,5-"), (b"If-Modified-Since", b"yesterday")]),
    (
        "a browser's",
        [(b"User-Agent", b"x"), (b"Accept", b"*/*"), (b"Accept-Encoding", b"br"), (b"Sec-Fetch-Site", b"none"), (b"DNT", b"1")],
    ),
    ("someone's own via", [(b"X-Via", b"1.1 a")]),
]
RESPONSE_LINES: list[tuple[str, list[Field]]] = [
    *LINES,
    (
        "cookies",
        [(b"Set-Cookie", b"a=1; Path=/"), (b"set-cookie", b"b=\xe9"), (b"Set-Cookie", b"a=2; Expires=Wed, 21 Oct 2015 07:28:00 GMT")],
    ),
    ("server", [(b"Server", b"nasty/1.0 (\xfc)"), (b"X-Powered-By", b"x")]),
    ("challenges", [(b"WWW-Authenticate", b"Basic realm=a, Digest x=1"), (b"WWW-Authenticate", b"Negotiate")]),
    ("location", [(b"Location", b"http://elsewhere.example//x?y#z"), (b"Content-Location", b"/a/../b")]),
    ("isolation", [(b"Timing-Allow-Origin", b"*"), (b"Cross-Origin-Resource-Policy", b"same-origin"), (b"Alt-Svc", b"clear")]),
]


def named(lines: list[tuple[str, list[Field]]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("lines", [case for _, case in lines], ids=[name for name, _ in lines])


def written(lines: list[Field]) -> list[bytes]:
    return [name + b": " + value for name, value in lines]


@named(REQUEST_LINES)
async def test_request_fields_arrive_as_sent(front: Proxy, upstream: Upstream, lines: list[Field]) -> None:
    seen, _ = await exchange(front, upstream, get(b"/", *written(lines)), ok())

    assert seen.without(b"host") == lines


@named(RESPONSE_LINES)
async def test_response_fields_arrive_as_sent(front: Proxy, upstream: Upstream, lines: list[Field]) -> None:
    _, got = await exchange(front, upstream, get(), ok(b"x", *written(lines)))

    assert got.without(b"content-length", b"date", b"vary") == lines


async def test_whitespace_around_a_value_is_no_part_of_it(front: Proxy, upstream: Upstream) -> None:
    answer = ok(b"", b"X-A:1", b"X-B: \t 2 \t ", b"X-C:  ")
    seen, got = await exchange(front, upstream, get(b"/", b"X-A:1", b"X-B: \t 2 \t ", b"X-C:  "), answer)

    expected = [(b"X-A", b"1"), (b"X-B", b"2"), (b"X-C", b"")]
    assert seen.without(b"host") == expected
    assert got.without(b"content-length", b"date", b"vary") == expected


@pytest.mark.parametrize(
    "status",
    [
        b"200 OK",
        b"200 ",
        b"201 Created",
        b"206 Partial Content",
        b"226 IM Used",
        b"299 Odd",
        b"301 Moved",
        b"302 Found",
        b"308 x",
        b"400 Bad",
        b"401 Who are you?",
        b"404 Nope",
        b"418 I'm a teapot",
        b"451 No",
        b"500 Oops",
        b"503 Later",
        b"599 Last",
        b"200 a  b\tc",
        b"200 caf\xe9",
        b"200 HTTP/1.1 200 OK",
    ],
    ids=repr,
)
async def test_status_and_reason_arrive_as_sent_and_no_redirect_is_followed(front: Proxy, upstream: Upstream, status: bytes) -> None:
    _, got = await exchange(front, upstream, get(), ok(b"x", b"Location: /elsewhere", status=status))

    assert got.start == b"HTTP/1.1 " + status
    assert got.value(b"location") == b"/elsewhere"
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"0\r\n\r\n",
        bytes(range(256)) * 5,
        b"\x1f\x8b\x08\0nonsense",
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_bodies_are_not_looked_at(front: Proxy, upstream: Upstream, body: bytes) -> None:
    """Not decompressed, not decoded, not taken for messages; in either direction."""
    request = put(body, b"Content-Encoding: gzip", b"Content-Type: application/json")
    seen, got = await exchange(front, upstream, request, ok(body, b"Content-Encoding: gzip"))

    assert (seen.body, got.body) == (body, body)
    assert (seen.value(b"content-encoding"), got.value(b"content-encoding")) == (b"gzip", b"gzip")
    assert int(seen.value(b"content-length") or b"-1") == len(body)


@pytest.mark.parametrize(
    "name",
    [b"Transfer_Encoding", b"Content_Length", b"Host_", b"X_Forwarded_For", b"Cookie", b"Content-length"],
)
async def test_a_name_that_some_servers_read_as_a_judged_one_is_dropped(front: Proxy, upstream: Upstream, name: bytes) -> None:
    """WSGI, CGI and PHP read `_` as `-`, so such a field could say what the judged one may not."""
    dropped = {b"Transfer_Encoding", b"Content_Length", b"X_Forwarded_For"}
    value = b"0" if name == b"Content-length" else b"chunked"
    seen, _ = await exchange(front, upstream, get(b"/", name + b": " + value, method=b"POST"), ok())

    assert bool(seen.values(name)) is (name not in dropped)


async def test_nothing_is_added_but_what_the_design_names(front: Proxy, upstream: Upstream) -> None:
    lines = [b"X-%d: %d" % (number, number) for number in range(3)]
    seen, got = await exchange(front, upstream, get(b"/", *lines), ok(b"", *lines))

    sent = {b"x-0", b"x-1", b"x-2", b"host", b"content-length"}
    assert {name.lower() for name, _ in seen.fields} - sent <= ADDED_BY_PROXY
    assert {name.lower() for name, _ in got.fields} - sent - {b"date", b"vary"} <= ADDED_BY_PROXY
