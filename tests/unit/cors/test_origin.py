"""Serialized origins: what browsers send, and nothing else."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy.cors.origin import MAX_ORIGIN_BYTES, Origin, looks_like_ipv4, parse_origin, respell


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


# --- reading --------------------------------------------------------------------------------------


@table(
    {
        "https": (b"https://app.example", Origin(b"https", b"app.example", None)),
        "a port": (b"http://localhost:3000", Origin(b"http", b"localhost", 3000)),
        "the highest port": (b"https://a:65535", Origin(b"https", b"a", 65535)),
        "the other scheme's default port": (b"http://a:443", Origin(b"http", b"a", 443)),
        "the default port of another scheme": (b"https://a:80", Origin(b"https", b"a", 80)),
        "an A-label": (b"https://xn--bcher-kva.example", Origin(b"https", b"xn--bcher-kva.example", None)),
        "an underscore and a tilde": (b"https://my_app~1.example", Origin(b"https", b"my_app~1.example", None)),
        "a trailing dot is part of the host": (b"https://app.example.", Origin(b"https", b"app.example.", None)),
        "an IPv4 address": (b"http://127.0.0.1:80", None),
        "an IPv4 address and a port": (b"http://127.0.0.1:8080", Origin(b"http", b"127.0.0.1", 8080)),
        "an IPv6 address": (b"http://[::1]:8080", Origin(b"http", b"[::1]", 8080)),
        "IPv6, nothing to compress": (b"http://[1:2:3:4:5:6:7:8]", Origin(b"http", b"[1:2:3:4:5:6:7:8]", None)),
        "IPv6, one zero is not compressed": (b"http://[1:0:3:4:5:6:7:8]", Origin(b"http", b"[1:0:3:4:5:6:7:8]", None)),
        "IPv6, the first of two longest runs": (b"http://[1::4:0:0:7:8]", Origin(b"http", b"[1::4:0:0:7:8]", None)),
        "IPv6, a longer run later": (b"http://[1:0:0:4::8]", Origin(b"http", b"[1:0:0:4::8]", None)),
        "IPv6, mapped IPv4 in hexadecimal": (b"http://[::ffff:102:304]", Origin(b"http", b"[::ffff:102:304]", None)),
        "the unspecified address": (b"http://[::]", Origin(b"http", b"[::]", None)),
        "an extension": (b"chrome-extension://abcdefgh", Origin(b"chrome-extension", b"abcdefgh", None)),
        "a web view": (b"capacitor://localhost", Origin(b"capacitor", b"localhost", None)),
        "a page from a file in an old web view": (b"file://", Origin(b"file", b"", None)),
    }
)
def test_what_browsers_send_is_read(case: Any) -> None:
    """Rule 5: lower-case scheme and host, A-labels, compressed IPv6, no default port."""
    value, expected = case

    assert parse_origin(value) == expected
    if expected is not None:
        assert expected.serialize() == value


@table(
    {
        "empty": b"",
        "null is no tuple origin": b"null",
        "upper-case host": b"https://App.example",
        "upper-case scheme": b"HTTPS://app.example",
        "a trailing slash": b"https://app.example/",
        "a path": b"https://app.example/x",
        "a query": b"https://app.example?x",
        "a fragment": b"https://app.example#x",
        "user information": b"https://user@app.example",
        "no scheme": b"app.example",
        "no host": b"https://",
        "a host of colons": b"https://:80",
        "the default port of https": b"https://app.example:443",
        "the default port of http": b"http://app.example:80",
        "port 0": b"https://app.example:0",
        "a leading zero in the port": b"https://app.example:08443",
        "a port beyond 65535": b"https://app.example:65536",
        "an empty port": b"https://app.example:",
        "a space before": b" https://app.example",
        "a space after": b"https://app.example ",
        "a line break after": b"https://app.example\n",
        "a comma list": b"https://a.example,https://b.example",
        "the space list of RFC 6454": b"https://a.example https://b.example",
        "a star": b"*",
        "a star in the host": b"https://*.example",
        "non-ASCII": "https://bücher.example".encode(),
        "an escape": b"https://app%2eexample",
        "a scheme that begins with a digit": b"1http://app.example",
        "one slash": b"https:/app.example",
        "IPv4 with leading zeros": b"http://127.0.0.01",
        "IPv4 with three parts": b"http://127.0.1",
        "IPv4 as one number": b"http://2130706433",
        "IPv4 in hexadecimal": b"http://0x7f000001",
        "a hexadecimal last label": b"http://a.0x",
        "IPv4 out of range": b"http://1.2.3.256",
        "IPv4 with a trailing dot": b"http://127.0.0.1.",
        "IPv6 not compressed": b"http://[0:0:0:0:0:0:0:1]",
        "IPv6 compressed in the wrong place": b"http://[1:0:0:4:5::8]",
        "IPv6 with leading zeros": b"http://[::01]",
        "IPv6 in dotted form": b"http://[::ffff:1.2.3.4]",
        "IPv6 in upper case": b"http://[::A]",
        "IPv6 that is none": b"http://[1::2::3]",
        "IPv6 without brackets": b"http://::1",
        "brackets around a name": b"http://[app.example]",
        "file with a host": b"file:///",
        "too long": b"https://" + b"a" * (MAX_ORIGIN_BYTES - 7),
    }
)
def test_what_no_browser_sends_is_no_origin(case: Any) -> None:
    """Rule 4 and rule 5: nothing is lower-cased, trimmed, split, decoded or completed."""
    assert parse_origin(case) is None


def test_an_origin_of_300_bytes_is_read() -> None:
    assert parse_origin(b"https://" + b"a" * (MAX_ORIGIN_BYTES - 8)) is not None


@table(
    {
        "https": (b"https://a", 443),
        "http": (b"http://a", 80),
        "a port of its own": (b"https://a:8443", 8443),
        "ws": (b"ws://a", 80),
        "wss": (b"wss://a", 443),
        "ftp": (b"ftp://a", 21),
        "a scheme without a default": (b"capacitor://localhost", None),
    }
)
def test_effective_port(case: Any) -> None:
    value, expected = case
    origin = parse_origin(value)

    assert origin is not None
    assert origin.effective_port == expected


@table(
    {
        "dotted": (b"1.2.3.4", True),
        "a number at the end": (b"a.b.4", True),
        "a number at the end, and a dot": (b"a.4.", True),
        "hexadecimal": (b"0xff", True),
        "an empty hexadecimal number": (b"a.0x", True),
        "a name": (b"app.example", False),
        "a digit at the beginning": (b"1.example", False),
        "a digit within the last label": (b"a.b4", False),
        "hexadecimal letters without 0x": (b"a.ff", False),
        "not quite hexadecimal": (b"0xfg", False),
        "a dot alone": (b".", False),
    }
)
def test_looks_like_ipv4(case: Any) -> None:
    host, expected = case

    assert looks_like_ipv4(host) is expected


# --- spelling -------------------------------------------------------------------------------------


@table(
    {
        "a good one": ("https://app.example", b"https://app.example", ""),
        "a missing scheme": ("app.example", b"https://app.example", "the scheme is missing"),
        "a missing scheme, with a port": ("localhost:3000", b"https://localhost:3000", "the scheme is missing"),
        "a trailing slash": ("https://app.example/", b"https://app.example", "an origin ends without a slash"),
        "a trailing slash and more": ("HTTPS://App.example:443/", b"https://app.example", "an origin ends without a slash"),
        "a path": ("https://app.example/x", b"https://app.example", "an origin has no path, query or fragment"),
        "a query": ("https://app.example?x", b"https://app.example", "an origin has no path, query or fragment"),
        "a fragment": ("https://app.example#x", b"https://app.example", "an origin has no path, query or fragment"),
        "user information": ("https://me:pw@app.example/", b"https://app.example", "an origin has no user name or password"),
        "upper case": ("https://App.Example", b"https://app.example", "browsers send scheme and host in lower case"),
        "upper-case scheme": ("HTTPS://app.example", b"https://app.example", "browsers send scheme and host in lower case"),
        "the default port": ("https://app.example:443", b"https://app.example", "browsers leave out the default port 443 of https"),
        "http's default port": ("http://app.example:0080", b"http://app.example", "browsers leave out the default port 80 of http"),
        "port 0": ("https://app.example:0", None, "there is no port 0"),
        "a port too high": ("https://app.example:65536", None, "there is no port 65536"),
        "a port of nine digits": ("https://app.example:123456789", None, "there is no port 123456789"),
        "a port with a leading zero": (
            "https://app.example:08443",
            b"https://app.example:8443",
            "browsers send the port without leading zeros",
        ),
        "an empty port": ("https://app.example:", b"https://app.example", "this is not a scheme, a host and a port"),
        "IPv4 of three parts": ("http://1.2.3", b"http://1.2.0.3", "browsers send an IP address in its shortest usual form"),
        "IPv4 with a leading zero": ("http://127.0.0.01", b"http://127.0.0.1", "browsers send an IP address in its shortest usual form"),
        "IPv4, the largest part": ("http://0xff.1", b"http://255.0.0.1", "browsers send an IP address in its shortest usual form"),
        "IPv4, a part too large": ("http://256.1", None, "this is no IP address"),
        "short IPv4": ("http://127.1:8080", b"http://127.0.0.1:8080", "browsers send an IP address in its shortest usual form"),
        "octal IPv4": ("http://0177.0.0.1", b"http://127.0.0.1", "browsers send an IP address in its shortest usual form"),
        "IPv4 as one number": ("http://2130706433", b"http://127.0.0.1", "browsers send an IP address in its shortest usual form"),
        "IPv4 in hexadecimal": ("http://0x7f.1", b"http://127.0.0.1", "browsers send an IP address in its shortest usual form"),
        "an empty hexadecimal part": ("http://127.0.0.0x", b"http://127.0.0.0", "browsers send an IP address in its shortest usual form"),
        "IPv4 with a trailing dot": ("http://127.0.0.1.", b"http://127.0.0.1", "browsers send an IP address in its shortest usual form"),
        "IPv4 out of range": ("http://1.2.3.256", None, "this is no IP address"),
        "IPv4 with a part out of range": ("http://256.2.3.4", None, "this is no IP address"),
        "IPv4, the last part fills what is left": (
            "http://1.65535",
            b"http://1.0.255.255",
            "browsers send an IP address in its shortest usual form",
        ),
        "IPv4, the last part too large": ("http://1.16777216", None, "this is no IP address"),
        "IPv4 of five parts": ("http://1.2.3.4.5", None, "this is no IP address"),
        "IPv4 with a part that is no octal number": ("http://08.0.0.1", None, "this is no IP address"),
        "IPv4 with an underscore": ("http://1_0.1", None, "this is no IP address"),
        "IPv4 with a sign": ("http://1.-1.0.1", None, "this is no IP address"),
        "long IPv6": ("http://[0:0:0:0:0:0:0:1]:8080", b"http://[::1]:8080", "browsers send an IP address in its shortest usual form"),
        "dotted IPv6": ("http://[::ffff:1.2.3.4]", b"http://[::ffff:102:304]", "browsers send an IP address in its shortest usual form"),
        "IPv6 that is none": ("http://[1::2::3]", None, "this is no IP address"),
        "IPv6 without its bracket": ("http://[::1", None, "this is no IP address"),
        "a space": ("https://app example", None, "an origin holds no space and no comma"),
        "two ports": ("https://app.example:1:2", None, "this is not a scheme, a host and a port"),
        "a letter as port": ("https://app.example:x", None, "this is not a scheme, a host and a port"),
        "a host in another alphabet": (
            "https://bücher.example:8443",
            b"https://xn--bcher-kva.example:8443",
            "browsers send host names in ASCII (punycode)",
        ),
        "another alphabet without a scheme": ("bücher.example", None, "browsers send host names in ASCII (punycode)"),
        "a letter that browsers write differently": ("https://stra\u00dfe.example", None, "browsers send host names in ASCII (punycode)"),
        "digits of another script": ("https://b\u00fccher.example:\u0668", None, "browsers send host names in ASCII (punycode)"),
        "an empty label in another alphabet": ("https://bücher..example", None, "browsers send host names in ASCII (punycode)"),
        "a label too long in another alphabet": ("https://" + "ü" * 99, None, "browsers send host names in ASCII (punycode)"),
        "bytes that are no text": ("https://a\udcff.example", None, "browsers send host names in ASCII (punycode)"),
        "nothing": ("", None, "the scheme is missing"),
        "a wildcard": ("https://*", None, "this is not a scheme, a host and a port"),
    }
)
def test_respell_says_what_is_wrong_and_what_would_be_right(case: Any) -> None:
    text, right, reason = case

    assert respell(text) == (right, reason)


def test_a_port_of_thousands_of_digits_is_no_reason_to_raise() -> None:
    assert respell("https://app.example:" + "9" * 5000) == (None, "there is no port " + "9" * 5000)
    assert respell("http://" + "9" * 5000) == (None, "this is no IP address")
