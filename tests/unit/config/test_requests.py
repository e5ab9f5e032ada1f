"""Requests that a person wrote down: what no browser sends is said, with what to write instead."""

from collections.abc import Callable

import pytest

from corsproxy.config.requests import parse_header_name, parse_method, parse_origin_of_page, parse_request_host, parse_request_path
from corsproxy.problems import BAD_TEST, Fault

Parse = Callable[[str], bytes | Fault]
GOOD: list[tuple[Parse, str]] = [
    (parse_origin_of_page, "https://app.example.com"),
    (parse_origin_of_page, "http://localhost:3000"),
    (parse_origin_of_page, "capacitor://localhost"),
    (parse_origin_of_page, "null"),
    (parse_method, "GET"),
    (parse_method, "PATCH"),
    (parse_method, "PROPFIND"),
    (parse_request_path, "/"),
    (parse_request_path, "/orders/1?x=/../y&z=%20"),
    (parse_request_path, "/a..b/...//c"),
    (parse_request_path, "/..%2finternal"),
    (parse_request_host, "api.example.com"),
    (parse_request_host, "api.example.com:8443"),
    (parse_request_host, "[::1]:8080"),
    (parse_header_name, "X-A"),
    (parse_header_name, "authorization"),
]
BAD: list[tuple[Parse, str, str, str]] = [
    (
        parse_origin_of_page,
        "https://App.example/",
        "no browser sends the origin `https://App.example/`: an origin ends without a slash",
        "write `https://app.example`",
    ),
    (parse_origin_of_page, "none", "`none` is no origin", "take `origin` out for a request that carries none"),
    (
        parse_origin_of_page,
        "https://*.a.example",
        "`https://*.a.example` stands for many origins, and a request comes from one",
        "write one of them: `https://app.example.com`",
    ),
    (parse_method, "patch", "`patch` is not `PATCH`: methods are compared by bytes", "write `PATCH`"),
    (parse_method, "get", "`get` is not `GET`: methods are compared by bytes", "write `GET`"),
    (parse_method, "trace", "no script can send `trace`", "take it out"),
    (parse_method, "FOO", "`FOO` is a method that HTTP parsers do not know", "write one as `GET`"),
    (parse_method, "F O", "`F O` is no method name", "write one as `GET`"),
    (parse_request_path, "a", "`a` does not begin with `/`", "write `/a`"),
    (parse_request_path, "https://x.example/a?b", "`https://x.example/a?b` does not begin with `/`", "write `/a?b`"),
    (parse_request_path, "/a#b", "no browser sends a fragment, and `/a#b` has one", "write `/a`"),
    (parse_request_path, "/a b", "no browser sends a path with ` ` in it", "write it as `%20`"),
    (parse_request_path, "/é", "no browser sends a path with `é` in it", "write it as `%C3%A9`"),
    (
        parse_request_path,
        "/a/%2E./b",
        "`/a/%2E./b` has a dot segment, and browsers resolve these before they send a path",
        "write the path that it leads to",
    ),
    (
        parse_request_path,
        "/a/..?b",
        "`/a/..?b` has a dot segment, and browsers resolve these before they send a path",
        "write the path that it leads to",
    ),
    (parse_request_host, "https://a.example/b", "`https://a.example/b` is a URL, not a host", "write `a.example`"),
    (
        parse_request_host,
        "a.example:443",
        "no browser sends the host `a.example:443`: browsers leave out the default port 443 of https",
        "write `a.example`",
    ),
    (
        parse_request_host,
        "a.example:80",
        "no browser sends the host `a.example:80`: browsers leave out the default port 80 of http",
        "write `a.example`",
    ),
    (
        parse_request_host,
        "*.a.example",
        "`*.a.example` stands for many hosts, and a request is for one",
        "write one of them: `api.example.com`",
    ),
    (parse_header_name, "*", "`*` stands for many names, and a script sets one by one", "write them: `[Content-Type]`"),
    (parse_header_name, "Cookie", "no script can set `Cookie`: the browser keeps it to itself", "take it out"),
    (parse_header_name, "sec-fetch-site", "no script can set `sec-fetch-site`: the browser keeps it to itself", "take it out"),
    (parse_header_name, "X-A: 1", "`X-A: 1` is no header name", "write the name alone: `X-A`"),
    (parse_header_name, "X A", "`X A` is no header name", "use letters, digits and `-`"),
]


@pytest.mark.parametrize(("parse", "text"), GOOD)
def test_what_a_browser_sends_is_taken_as_it_is(parse: Parse, text: str) -> None:
    assert parse(text) == text.encode()


@pytest.mark.parametrize(("parse", "text", "message", "help_"), BAD)
def test_what_no_browser_sends_is_said(parse: Parse, text: str, message: str, help_: str) -> None:
    assert parse(text) == Fault(BAD_TEST, (), message, help_)
