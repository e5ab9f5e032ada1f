"""
The danger: a byte of a field is lost or changed on the way, so that the value that was judged is not the one that arrives.

The promise: every byte of a name or a value survives, in both directions, or the message is refused.
"""

import pytest

from tests.harness import Proxy, Request, Upstream, get, ok, turns

# > field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ]; field-vchar = VCHAR / obs-text (RFC 9110 5.5)
LEGAL_IN_VALUES = frozenset({0x09, *range(0x20, 0x7F), *range(0x80, 0x100)})
TCHARS = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

# A field whose bytes could make one value out of two ways to read it is refused when they are not ASCII.
ASCII_ONLY = [b"Host", b"Origin", b"Access-Control-Request-Method", b"Access-Control-Request-Headers", b"Connection", b"Expect"]
CARRIERS = [b"X-Any", b"Cookie", b"Authorization", b"User-Agent", b"X-Remote-User", b"If-None-Match"]


@pytest.mark.parametrize("part", range(4))
async def test_every_byte_of_a_request_value_survives_or_the_request_is_refused(front: Proxy, upstream: Upstream, part: int) -> None:
    upstream.serve(lambda _: ok())
    for byte in range(part * 64, part * 64 + 64):
        value = b"a%bz" % bytes((byte,))
        client = await front.connect()
        got = await client.ask(get(b"/", b"X-Carrier: " + value))
        if byte in LEGAL_IN_VALUES:
            assert (got.status, upstream.requests.pop().values(b"x-carrier")) == (200, [value]), hex(byte)
        else:
            assert (got.status, upstream.requests) == (400, []), hex(byte)
        client.close()


@pytest.mark.parametrize("part", range(4))
async def test_every_byte_of_a_response_value_survives_or_the_response_is_refused(front: Proxy, upstream: Upstream, part: int) -> None:
    def answer(request: Request) -> bytes:
        return ok(b"", b"X-Carrier: a%bz" % bytes((int(request.target[1:]),)))

    upstream.serve(answer)
    client = await front.connect()
    for byte in range(part * 64, part * 64 + 64):
        got = await client.ask(get(b"/%d" % byte))
        if byte in LEGAL_IN_VALUES:
            assert (got.status, got.values(b"x-carrier")) == (200, [b"a%bz" % bytes((byte,))]), hex(byte)
        else:
            assert (got.status, got.values(b"x-carrier")) == (502, []), hex(byte)


@pytest.mark.parametrize("part", range(4))
async def test_every_byte_of_a_name_survives_or_the_message_is_refused(front: Proxy, upstream: Upstream, part: int) -> None:
    upstream.serve(lambda request: ok(b"", b"X%bZ: 1" % bytes((int(request.target[1:]),))))
    for byte in range(part * 64, part * 64 + 64):
        # The colon ends the name, so there it is another name and no other byte.
        if byte == 0x3A:
            continue
        name = b"X%bZ" % bytes((byte,))
        client = await front.connect()
        got = await client.ask(get(b"/%d" % 0x58, name + b": 1"))
        if byte in TCHARS:
            assert (got.status, upstream.requests.pop().values(name)) == (200, [b"1"]), hex(byte)
        else:
            assert (got.status, upstream.requests) == (400, []), hex(byte)
        got = await client.ask(get(b"/%d" % byte)) if byte in TCHARS else await front.ask(get(b"/%d" % byte))
        assert got.status == (200 if byte in TCHARS else 502), hex(byte)
        assert got.values(name) == ([b"1"] if byte in TCHARS else []), hex(byte)
        upstream.requests.clear()
        client.close()


@pytest.mark.parametrize("name", CARRIERS)
async def test_values_beyond_ascii_pass_in_fields_that_are_not_judged(front: Proxy, upstream: Upstream, name: bytes) -> None:
    """Also where a decoder would have stopped: lone surrogates, overlong forms, cut sequences."""
    upstream.serve(lambda _: ok())
    client = await front.connect()
    for value in (
        b"admin\xff",
        b"caf\xe9",
        "é☃".encode(),
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x98",
        bytes(range(0x80, 0x100)),
    ):
        got = await client.ask(get(b"/", name + b": " + value))
        assert (got.status, upstream.requests.pop().values(name)) == (200, [value])


@pytest.mark.parametrize("name", ASCII_ONLY)
async def test_values_beyond_ascii_are_refused_in_fields_that_are_judged(front: Proxy, upstream: Upstream, name: bytes) -> None:
    upstream.serve(lambda _: ok())
    for value in (b"https://app.example.com\xff", b"\xe9", b"a\xc2\xa0"):
        lines = [name + b": " + value]
        request = get(b"/", *lines) if name != b"Host" else b"GET / HTTP/1.1\r\nHost: a\xe9\r\n\r\n"
        assert (await front.ask(request)).status == 400
    assert upstream.requests == []


async def test_an_origin_with_a_byte_more_is_not_the_allowed_one(front: Proxy, upstream: Upstream) -> None:
    """For each byte at each end: refused by one rule or another, or trimmed as whitespace is; never granted and changed."""
    upstream.serve(lambda _: ok())
    origin = b"https://app.example.com"
    for byte in range(256):
        for value in (origin + bytes((byte,)), bytes((byte,)) + origin):
            client = await front.connect()
            got = await client.ask(get(b"/", b"Origin: " + value))
            if byte in (0x09, 0x20):
                assert upstream.requests.pop().values(b"origin") == [origin]
            else:
                assert got.status in (400, 403), value
                assert got.cors == {}
            client.close()
    await turns()
    assert upstream.requests == []


async def test_a_long_value_arrives_whole(front: Proxy, upstream: Upstream) -> None:
    upstream.serve(lambda request: ok(b"", b"X-Long: " + (request.value(b"x-long") or b"")))
    client = await front.connect()
    for size in (8190, 8191, 8192, 16_384, 30_000):
        value = bytes(range(0x80, 0x100)) * (size // 128) + b"x" * (size % 128)
        got = await client.ask(get(b"/", b"X-Long: " + value))
        assert got.values(b"x-long") == [value]
