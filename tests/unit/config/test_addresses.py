"""Addresses and URLs as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.config.addresses import parse_host, parse_listen, parse_public_url, parse_upstream
from corsproxy.config.paths import parse_route_path
from corsproxy.config.settings import Listen
from corsproxy.config.upstreams import Upstream
from corsproxy.problems import Fault

LISTEN = {
    "127.0.0.1:8080": Listen("127.0.0.1", 8080),
    "localhost:0": Listen("localhost", 0),
    "LOCALHOST:80": Listen("localhost", 80),
    ":8080": Listen("", 8080),
    "0.0.0.0:65535": Listen("0.0.0.0", 65535),
    "[::1]:8080": Listen("::1", 8080),
    "[0:0::1]:8080": Listen("::1", 8080),
    "[::]:80": Listen("::", 80),
    "unix:/run/corsproxy.sock": Listen(unix_path="/run/corsproxy.sock"),
    "unix:/run/a:b.sock": Listen(unix_path="/run/a:b.sock"),
}

BAD_LISTEN = {
    "22:22": "CP111 `22:22` is a number in base 60 to some YAML readers, and no address to any | write `:22` for all interfaces, or `127.0.0.1:22`",
    "8080:80": "CP108 `8080:80` has a number for its host | write `:8080` for all interfaces, or `127.0.0.1:8080`",
    "8080": "CP108 `8080` is a port without a host | write `:8080` for all interfaces, or `127.0.0.1:8080`",
    "localhost": "CP108 `localhost` lacks a port | write `localhost:8080`",
    "": "CP108 `` lacks a port | write `:8080`",
    "[::1]": 'CP108 `[::1]` lacks a port | write `"[::1]:8080"`',
    "::1": 'CP108 `::1` is an IPv6 address without brackets | write `"[::1]:8080"`',
    "::1:8080": 'CP108 `::1:8080` is an IPv6 address without brackets | write `"[::1]:8080"`',
    "fe80:1:2:3:4:5:6:7:80": 'CP108 `fe80:1:2:3:4:5:6:7:80` is an IPv6 address without brackets | write `"[fe80:1:2:3:4:5:6:7]:80"`',
    "a:b:c": "CP108 `a:b:c` has more than one colon | write `host:port`",
    "*:8080": "CP108 `*:8080` has a `*` for its host | write `:8080` for all interfaces",
    "http://localhost:80": "CP108 `http://localhost:80` is a URL, and an address to listen on has no scheme | write `localhost:80`",
    "/run/a.sock": "CP108 `/run/a.sock` is a path | write `unix:/run/a.sock` for a unix socket",
    "unix:run/a.sock": "CP108 `unix:run/a.sock` names no absolute path | write `unix:/run/run/a.sock`",
    "unix:": "CP108 `unix:` names no absolute path | write `unix:/run/corsproxy.sock`",
    "unix:///run/a": "CP108 `unix:///run/a` has slashes of a URL | write `unix:/run/a`",
    "unix:/run/": "CP108 `unix:/run/` is no path of a socket | write the path of a file, of 103 bytes at most",
    "unix:/\x07": "CP108 `unix:/\x07` holds a character that no path should have | take it out",
    "a:http": "CP108 `http` is not a port | write a number from 0 to 65535",
    "a:": "CP108 the port behind the colon is missing | write a number from 0 to 65535",
    "[::1]8080": "CP108 `[::1]8080` is not a host and a port | write `host:port`, or `[::1]:port`",
    "a:٣": "CP108 `٣` is not a port | write a number from 0 to 65535",
    "a:99999": "CP112 there is no port 99999 | write a number from 0 to 65535",
    "256.0.0.1:80": "CP108 `256.0.0.1` is not an IPv4 address | write four numbers from 0 to 255: `127.0.0.1`",
    "127.1:80": "CP108 `127.1` is not an IPv4 address | write four numbers from 0 to 255: `127.0.0.1`",
    "[::g]:80": "CP108 `[::g]` is not an IPv6 address | write one as `[::1]`",
    "a b:80": "CP108 `a b` is not a host name | use letters, digits, `-`, `_` and single dots",
    "bücher.example:80": "CP108 `bücher.example` is not ASCII | write `xn--bcher-kva.example`",
    "straße.example:80": "CP108 `straße.example` is not ASCII | write the name in punycode (`xn--…`)",
}

UPSTREAM = {
    "http://localhost:9000": Upstream("http://localhost:9000", "localhost", 9000, b"localhost:9000"),
    "http://localhost": Upstream("http://localhost", "localhost", 80, b"localhost"),
    "http://localhost:80/": Upstream("http://localhost:80/", "localhost", 80, b"localhost"),
    "HTTPS://API.Internal:443/Base/": Upstream("HTTPS://API.Internal:443/Base/", "api.internal", 443, b"api.internal", b"/Base", tls=True),
    "https://legacy:8443/a/b%20c": Upstream("https://legacy:8443/a/b%20c", "legacy", 8443, b"legacy:8443", b"/a/b%20c", tls=True),
    "http://under_score.": Upstream("http://under_score.", "under_score.", 80, b"under_score."),
    "http://[0:0::1]:9000": Upstream("http://[0:0::1]:9000", "::1", 9000, b"[::1]:9000"),
    "http://10.0.0.1": Upstream("http://10.0.0.1", "10.0.0.1", 80, b"10.0.0.1"),
    "unix:/run/app.sock": Upstream("unix:/run/app.sock", "", 0, b"localhost", unix_path="/run/app.sock"),
    "unix:/run/app.sock:/base/": Upstream("unix:/run/app.sock:/base/", "", 0, b"localhost", b"/base", unix_path="/run/app.sock"),
}

BAD_UPSTREAM = {
    "localhost:9000": "CP108 `localhost:9000` has no scheme | write `http://localhost:9000`",
    "api.internal:443": "CP108 `api.internal:443` has no scheme | write `https://api.internal:443`",
    "api.internal/base": "CP108 `api.internal/base` has no scheme | write `http://api.internal/base`",
    "http:/localhost": "CP108 `http:/localhost` has no scheme | write `http://localhost`",
    "http//localhost:9000": "CP108 `http//localhost:9000` has no scheme | write `http://localhost:9000`",
    "https//localhost": "CP108 `https//localhost` has no scheme | write `https://localhost`",
    "https:": "CP108 `https:` has no scheme | write `https://localhost:9000`",
    "9000": "CP108 `9000` is a port, not a URL | write `http://localhost:9000`",
    "/run/a.sock": "CP108 `/run/a.sock` is a path, not a URL | write `unix:/run/a.sock` for a unix socket, or `http://localhost:9000/run/a.sock`",
    "": "CP108 `` is not a URL | write `http://localhost:9000`, without spaces around it",
    " http://a": "CP108 ` http://a` is not a URL | write `http://localhost:9000`, without spaces around it",
    "ws://a/b": "CP108 `ws` is not a scheme of an upstream | write `http://a/b`: WebSockets begin as HTTP",
    "wss://a": "CP108 `wss` is not a scheme of an upstream | write `https://a`: WebSockets begin as HTTP",
    "ftp://a": "CP108 `ftp` is not a scheme of an upstream | write `http://a` or `https://a`",
    "http+unix:///run/a": "CP108 `http+unix:///run/a` is not how a unix socket is spelled | write `unix:/run/a`",
    "unix:///run/a": "CP108 `unix:///run/a` is not how a unix socket is spelled | write `unix:/run/a`",
    "unix:a": "CP108 `unix:a` names no absolute path | write `unix:/run/a`",
    "unix://": "CP108 `unix://` is not how a unix socket is spelled | write `unix:/`",
    "unix:/run/a:/b?c": "CP108 `/b?c` is not a path as URLs spell it | percent-encode what is no letter, digit or one of `-._~!$&'()*+,;=:@`",
    "http://me:pw@a": 'CP108 an upstream\'s URL has no user name and no password | take out what stands before the `@`, and write `headers: {request: {set: {Authorization: "${UPSTREAM_AUTHORIZATION}"}}}`',
    "me:pw@a": 'CP108 an upstream\'s URL has no user name and no password | take out what stands before the `@`, and write `headers: {request: {set: {Authorization: "${UPSTREAM_AUTHORIZATION}"}}}`',
    "http://a?b": "CP108 an upstream's URL has no query, and this has `?b` | write `http://a`",
    "http://a/#b": "CP108 an upstream's URL has no fragment, and this has `#b` | write `http://a/`",
    "http://": "CP108 the URL has no host | write `http://localhost:9000`",
    "http://:80": "CP108 the URL has no host | write `http://localhost:9000`",
    "http://::1": "CP108 `::1` is an IPv6 address without brackets | write `[::1]`",
    "http://a:0": "CP112 there is no port 0 | write a number from 1 to 65535",
    "http://a:": "CP108 the port behind the colon is missing | write a number from 1 to 65535",
    "http://a..b": "CP108 `a..b` is not a host name | use letters, digits, `-`, `_` and single dots",
    "http://*.a": "CP108 `*.a` is not a host name | use letters, digits, `-`, `_` and single dots",
    "http://0x7f.1": "CP108 `0x7f.1` is not an IPv4 address | write four numbers from 0 to 255: `127.0.0.1`",
    "http://a/../b": "CP108 `/../b` has a dot segment | write `/b`, to which it leads",
    "http://a/%2e/b": "CP108 `/%2e/b` has a dot segment | write `/b`, to which it leads",
    "http://a/%zz": "CP108 `/%zz` is not a path as URLs spell it | percent-encode what is no letter, digit or one of `-._~!$&'()*+,;=:@`",
}

HOSTS = ("api.example.com", "*.example.net", "*", "localhost", "under_score.x", "a.", "xn--bcher-kva.example", "10.0.0.1", "[::1]")

BAD_HOST = {
    "API.example.com": "CP108 `API.example.com` is not how browsers spell it | write `api.example.com`",
    "*.Example.net": 'CP108 `*.Example.net` is not how browsers spell it | write `"*.example.net"`',
    "api.example.com:8080": "CP108 `api.example.com:8080` has a port, and a host is answered on every port | write `api.example.com`",
    "*.a.b:80": 'CP108 `*.a.b:80` has a port, and a host is answered on every port | write `"*.a.b"`',
    "api.example.com:http": "CP108 `api.example.com:http` is not a host name | use letters, digits, `-`, `_` and single dots",
    "https://api.example.com/v1": "CP108 `https://api.example.com/v1` is a URL, and a host is only its name | write `api.example.com`",
    "https://api.example.com:8443": "CP108 `https://api.example.com:8443` is a URL, and a host is only its name | write `api.example.com`",
    "api.example.com/": "CP108 `api.example.com/` is a URL, and a host is only its name | write `api.example.com`",
    "http://[::1]:80/": 'CP108 `http://[::1]:80/` is a URL, and a host is only its name | write `"[::1]"`',
    ".example.com": 'CP108 `.example.com` begins with a dot | write `"*.example.com"` for its subdomains, and `example.com` for itself',
    "*example.com": (
        'CP108 `*example.com` has a `*` that stands for nothing | write `"*.example.com"` for any subdomain, or `"*"` for any host'
    ),
    "a.*.b": 'CP108 `a.*.b` has a `*` that stands for nothing | write `"*.example.com"` for any subdomain, or `"*"` for any host',
    "*:8080": 'CP108 `*:8080` has a `*` that stands for nothing | write `"*.example.com"` for any subdomain, or `"*"` for any host',
    "*.10.0.0.1": "CP108 `*.10.0.0.1` has a wildcard before an IP address, which has no subdomains | write `10.0.0.1`",
    "*.[::1]": "CP108 `*.[::1]` has a wildcard before an IP address, which has no subdomains | write `[::1]`",
    "127.1": "CP108 `127.1` is not an IPv4 address | write four numbers from 0 to 255: `127.0.0.1`",
    "8080": "CP108 `8080` is not an IPv4 address | write four numbers from 0 to 255: `127.0.0.1`",
    "::1": 'CP108 `::1` is an IPv6 address without brackets | write `"[::1]"`',
    "[0:0::1]": 'CP108 `[0:0::1]` is not how browsers spell it | write `"[::1]"`',
    "[::FFFF:1.2.3.4]": 'CP108 `[::FFFF:1.2.3.4]` is not how browsers spell it | write `"[::ffff:102:304]"`',
    "[::1]:80": 'CP108 `[::1]:80` has a port, and a host is answered on every port | write `"[::1]"`',
    "[::ab": "CP108 `[::ab` has more than one colon | write the name alone",
    "[ab]": "CP108 `[ab]` is not an IPv6 address | write one as `[::1]`",
    "a:b:c": "CP108 `a:b:c` has more than one colon | write the name alone",
    "": 'CP108 `` is not a host name | write `api.example.com`, `"*.example.com"` or `"*"`',
    "*.": 'CP108 `*.` is not a host name | write `api.example.com`, `"*.example.com"` or `"*"`',
    ":80": 'CP108 `:80` is not a host name | write `api.example.com`, `"*.example.com"` or `"*"`',
    ".": "CP108 `.` is not a host name | use letters, digits, `-`, `_` and single dots",
    "a..b": "CP108 `a..b` is not a host name | use letters, digits, `-`, `_` and single dots",
    "me@a": "CP108 `me@a` is not a host name | use letters, digits, `-`, `_` and single dots",
    "bücher.example": "CP108 `bücher.example` is not ASCII | write `xn--bcher-kva.example`",
}

BAD_PUBLIC = {
    "https://a.example/": (
        "CP108 `https://a.example/` is not how browsers spell it: an origin ends without a slash | write `https://a.example`"
    ),
    "ws://a": "CP108 `ws://a` is neither http nor https | write `https://api.example.com`",
    "null": "CP108 `null` is not how browsers spell it: the scheme is missing | write `https://null`",
}

BAD_ROUTE = {
    "*": "CP113 `*` has a `*`, and a route takes every path below its own | write `/`",
    "/a/**/b": "CP113 `/a/**/b` has a `*`, and a route takes every path below its own | write `/a`",
    "/a//b": "CP113 `/a//b` has an empty segment | write `/a/b`",
    "/.": "CP113 `/.` has a dot segment, which no path in normal form has | write `/`, to which it leads",
    "/a b": "CP113 `/a b` holds ` `, which no path in normal form has | write `/`: a route takes every path below its own",
    "/a#b": "CP113 `/a#b` holds `#`, which ends a path | write `/a`",
    "/a;b": "CP113 `/a;b` holds `;`, which no path in normal form has | write `/`: a route takes every path below its own",
    "/caf\u00e9": "CP113 `/caf\u00e9` holds `\u00e9`, which no path in normal form has | write `/`: a route takes every path below its own",
    "/a\\b": "CP113 `/a\\b` holds `\\`, which no path in normal form has | write `/`: a route takes every path below its own",
}


def said(fault: object) -> str:
    assert isinstance(fault, Fault), fault
    assert fault.path == ()
    return f"{fault.problem.code} {fault.message}" + (f" | {fault.help}" if fault.help else "")


@pytest.mark.parametrize(("text", "listen"), LISTEN.items())
def test_an_address_to_listen_on_is_read(text: str, listen: Listen) -> None:
    assert parse_listen(text) == listen


@pytest.mark.parametrize(("text", "expected"), BAD_LISTEN.items())
def test_a_wrong_address_says_what_to_write(text: str, expected: str) -> None:
    assert said(parse_listen(text)) == expected


@pytest.mark.parametrize(("text", "upstream"), UPSTREAM.items())
def test_an_upstream_is_read_with_the_host_field_that_it_gets(text: str, upstream: Upstream) -> None:
    assert parse_upstream(text) == upstream


@pytest.mark.parametrize(("text", "expected"), BAD_UPSTREAM.items())
def test_a_wrong_upstream_says_what_to_write(text: str, expected: str) -> None:
    assert said(parse_upstream(text)) == expected


def test_names_and_urls_have_a_length() -> None:
    assert said(parse_upstream("http://" + "a" * 254)).startswith("CP108 `aaa")
    assert "is too long for a URL" in said(parse_upstream("http://a/" + "b" * 2000))
    assert "is too long for a URL" in said(parse_public_url("https://" + "b" * 2000))
    assert "103 bytes at most" in said(parse_listen("unix:/" + "é" * 60))


def test_a_public_url_becomes_an_origin() -> None:
    assert parse_public_url("https://api.example.com") == b"https://api.example.com"
    assert parse_public_url("http://[::1]:8080") == b"http://[::1]:8080"


@pytest.mark.parametrize(("text", "expected"), BAD_PUBLIC.items())
def test_a_wrong_public_url_says_what_to_write(text: str, expected: str) -> None:
    assert said(parse_public_url(text)) == expected


@pytest.mark.parametrize(
    ("text", "path"), {"/": b"/", "/a": b"/a", "/a/": b"/a", "/A.b-c_~!$&'()+,=:@/d": b"/A.b-c_~!$&'()+,=:@/d"}.items()
)
def test_a_route_path_is_taken_without_its_last_slash(text: str, path: bytes) -> None:
    assert parse_route_path(text) == path


@pytest.mark.parametrize(("text", "expected"), BAD_ROUTE.items())
def test_a_route_path_that_cannot_match_says_what_to_write(text: str, expected: str) -> None:
    assert said(parse_route_path(text)) == expected


@pytest.mark.parametrize("text", HOSTS)
def test_a_host_is_taken_as_browsers_send_it(text: str) -> None:
    assert parse_host(text) == text


@pytest.mark.parametrize(("text", "expected"), BAD_HOST.items())
def test_a_wrong_host_says_what_to_write(text: str, expected: str) -> None:
    assert said(parse_host(text)) == expected


@given(st.text(alphabet="htps:/unix.sock[]@?#%0129afé\u0660*-_ ;\\\x00", max_size=40) | st.text(max_size=40))
def test_no_text_is_too_odd(text: str) -> None:
    for parse in (parse_listen, parse_upstream, parse_public_url, parse_route_path, parse_host):
        for prefix in ("", "http://", "unix:/", "/"):
            assert parse(prefix + text) is not None
