"""
The table of calls by which `explain`, the proxy and a real browser are held against each other: policies, pages, and what their scripts do.

It names no outcome: what comes of a call is for those three to say, and they have to agree. `works` is what a person expects, so that
three mistakes that agree are found too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

API: Final = "api.legacy.test"


class Page(StrEnum):
    """Where a script runs."""

    APP = "http://app.example.test:{p1}"
    SHOP = "http://shop.example.test:{p1}"
    DEEP = "http://a.b.example.test:{p1}"
    APEX = "http://example.test:{p1}"
    OTHER_PORT = "http://app.example.test:{p2}"
    EVIL = "http://evil.test:{p1}"
    LOOKALIKE = "http://appxexample.test:{p1}"
    NEIGHBOUR = "http://app.legacy.test:{p1}"
    LOCAL = "http://localhost:{p1}"
    SECURE = "https://app.example.test:{ps}"
    OWN = "http://api.legacy.test:{proxy}"
    SANDBOX = "null (a sandboxed frame)"
    DATA = "null (a data: frame)"


class Kind(StrEnum):
    """What a script does."""

    FETCH = "fetch"
    UPLOAD = "upload"  # XMLHttpRequest with a listener on its upload.
    STREAM = "stream"
    SOCKET = "socket"


@dataclass(frozen=True)
class Case:
    """
    One call.

    `init` is what fetch() is given beside the URL. `upstream` says how the upstream answers: `status`, `location`, `grant` (an
    Access-Control-Allow-Origin of its own).
    """

    name: str
    path: str
    works: bool
    page: Page = Page.APP
    init: Mapping[str, Any] = field(default_factory=dict)
    upstream: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = Kind.FETCH
    host: str = API


# Each route is one policy.
POLICIES: Final = {
    "/plain": "{allow_origins: [{app}]}",
    "/methods": "{allow_origins: [{app}], allow_methods: [GET, PUT, PATCH, OPTIONS, PROPFIND]}",
    "/any-method": '{allow_origins: [{app}], allow_methods: "*"}',
    "/headers": "{allow_origins: [{app}], allow_headers: [X-A, X-B, If-None-Match, Authorization]}",
    "/any-header": '{allow_origins: [{app}], allow_headers: "*"}',
    "/any-header-by-name": '{allow_origins: [{app}], allow_headers: ["*", Authorization]}',
    "/public-any-header": '{allow_origins: "*", allow_headers: "*", allow_methods: "*"}',
    "/session": '{allow_origins: [{app}], allow_credentials: true, dangerously_allow_insecure_origins: true, allow_methods: "*", allow_headers: "*", expose_headers: "*"}',
    "/exposed": "{allow_origins: [{app}], expose_headers: [ETag]}",
    "/exposed-any": '{allow_origins: [{app}], expose_headers: "*"}',
    "/public": '{allow_origins: "*"}',
    "/subdomains": "{allow_origins: ['http://*.example.test:{p1}']}",
    "/subdomains-any-port": "{allow_origins: ['http://*.example.test:*']}",
    "/ports": "{allow_origins: ['http://app.example.test:*']}",
    "/regex": "{allow_origins: [{regex: 'http://[a-z]+\\.example\\.test:{p1}'}]}",
    "/null": "{allow_origins: ['null'], dangerously_allow_null_origin: true}",
    "/local": "{allow_origins: ['http://localhost:*']}",
    "/secure": "{allow_origins: [{secure}]}",
    "/none": "none",
    "/through": "passthrough",
    "/open": "{allow_origins: [{app}], enforce: false}",
    "/sockets-none": "{allow_origins: [{app}], websocket_origins: none}",
    "/sockets-listed": "{allow_origins: [{app}], websocket_origins: [{evil}]}",
    "/uncached": "{allow_origins: [{app}], max_age: 0}",
}
EXTRA: Final = {
    "/small": ("{allow_origins: [{app}]}", "limits: {request_body: 1KiB}"),
    "/down": ("{allow_origins: [{app}]}", "upstream: 'http://127.0.0.1:{down}'"),
    "/kept": ("{allow_origins: [{app}]}", "redirects: keep"),
}
JSON: Final = {"Content-Type": "application/json"}
WITH: Final = {"credentials": "include"}


def _simple() -> list[Case]:
    return [
        Case("a simple GET", "/plain", works=True),
        Case("a HEAD", "/plain", works=True, init={"method": "HEAD"}),
        Case("a POST of a text", "/plain", works=True, init={"method": "POST", "body": "x"}),
        Case("a POST of a form", "/plain", works=True, init={"method": "POST", "body": "a=b", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}),
        Case("a lower-case get", "/plain", works=True, init={"method": "get"}),
        Case("another origin", "/plain", works=False, page=Page.EVIL),
        Case("another origin posts", "/plain", works=False, page=Page.EVIL, init={"method": "POST", "body": "x"}),
        Case("another port", "/plain", works=False, page=Page.OTHER_PORT),
        Case("the same site, another origin", "/plain", works=False, page=Page.NEIGHBOUR),
        Case("no policy but the default speaks", "/nowhere", works=True),
        Case("a path without a route, with a preflight", "/nowhere", works=True, init={"method": "PUT"}),
        Case("a path without a route, from another origin", "/nowhere", works=False, page=Page.EVIL),
        Case("a host that is not answered, which the page may read", "/plain", works=True, host="other.legacy.test"),
        Case("a host that is not answered, from another origin", "/plain", works=False, host="other.legacy.test", page=Page.EVIL),
        Case("a host that is not answered, with a preflight", "/plain", works=False, host="other.legacy.test", init={"method": "PUT"}),
        Case("by localhost", "/plain", works=True, host="localhost"),
        Case("by localhost, from another origin", "/plain", works=False, host="localhost", page=Page.EVIL),
        Case("by localhost, from localhost", "/local", works=True, host="localhost", page=Page.LOCAL),
        Case("from localhost where that is not named", "/plain", works=False, page=Page.LOCAL),
    ]  # fmt: skip


def _methods() -> list[Case]:
    return [
        Case("a PUT", "/plain", works=True, init={"method": "PUT", "body": "x"}),
        Case("a DELETE", "/plain", works=True, init={"method": "DELETE"}),
        Case("a PUT in lower case, which browsers raise", "/plain", works=True, init={"method": "put"}),
        Case("a patch in lower case, which they do not", "/plain", works=False, init={"method": "patch"}),
        Case("a PATCH", "/plain", works=True, init={"method": "PATCH"}),
        Case("a method that is not listed", "/plain", works=False, init={"method": "PROPFIND"}),
        Case("one that is", "/methods", works=True, init={"method": "PROPFIND"}),
        Case("a DELETE that is not listed", "/methods", works=False, init={"method": "DELETE"}),
        Case("a POST that is not listed", "/methods", works=True, init={"method": "POST", "body": "x"}),
        Case("a HEAD that is not listed", "/methods", works=True, init={"method": "HEAD"}),
        Case("a script's own OPTIONS, listed", "/methods", works=True, init={"method": "OPTIONS"}),
        Case("a script's own OPTIONS, not listed", "/plain", works=False, init={"method": "OPTIONS"}),
        Case("any method", "/any-method", works=True, init={"method": "LOCK"}),
        Case("any method, but one that no parser knows", "/any-method", works=False, init={"method": "FOO"}),
        Case("any method, but patch in lower case", "/any-method", works=False, init={"method": "patch"}),
        Case("any method with credentials", "/session", works=True, init={"method": "LOCK", **WITH}),
        Case("a method from another origin", "/any-method", works=False, page=Page.EVIL, init={"method": "PUT"}),
        Case("a forbidden method", "/any-method", works=False, init={"method": "TRACE"}),
        Case("a GET with a body", "/plain", works=False, init={"method": "GET", "body": "x"}),
    ]


def _headers() -> list[Case]:
    long, full = "a" * 129, "a" * 128
    return [
        Case("a POST of JSON", "/plain", works=True, init={"method": "POST", "body": "{}", "headers": JSON}),
        Case("JSON where Content-Type is not listed", "/headers", works=False, init={"method": "POST", "body": "{}", "headers": JSON}),
        Case("a header that is listed", "/headers", works=True, init={"headers": {"X-A": "1"}}),
        Case("in another case", "/headers", works=True, init={"headers": {"x-a": "1", "X-b": "2"}}),
        Case("a header that is not listed", "/headers", works=False, init={"headers": {"X-C": "1"}}),
        Case("one that is and one that is not", "/headers", works=False, init={"headers": {"X-A": "1", "X-C": "1"}}),
        Case("Authorization, listed", "/headers", works=True, init={"headers": {"Authorization": "Bearer x"}}),
        Case("Authorization, not listed", "/plain", works=False, init={"headers": {"Authorization": "Bearer x"}}),
        Case("any header", "/any-header", works=True, init={"headers": {"X-C": "1"}}),
        Case("any header never covers Authorization", "/any-header", works=False, init={"headers": {"Authorization": "Bearer x"}}),
        Case("for the public neither", "/public-any-header", works=False, init={"headers": {"Authorization": "Bearer x", "X-C": "1"}}),
        Case("any header for the public", "/public-any-header", works=True, init={"headers": {"X-C": "1"}}),
        Case("any header, and Authorization by name", "/any-header-by-name", works=True, init={"headers": {"Authorization": "Bearer x", "X-C": "1"}}),
        Case("any header with credentials", "/session", works=True, init={"headers": {"X-C": "1"}, **WITH}),
        Case("Authorization with credentials, not by name", "/session", works=False, init={"headers": {"Authorization": "x"}, **WITH}),
        Case("a safelisted header of 128 bytes", "/plain", works=True, init={"headers": {"Accept": full}}),
        Case("a safelisted header of 129 bytes", "/plain", works=False, init={"headers": {"Accept": long}}),
        Case("one of 129 bytes under any header", "/any-header", works=True, init={"headers": {"Accept": long}}),
        Case("more than 1024 bytes on many lines", "/plain", works=False, init={"headers": [["Accept", full]] * 9}),
        Case("a byte that is not safe", "/plain", works=False, init={"headers": {"Accept": "(x)"}}),
        Case("a language that is safe", "/plain", works=True, init={"headers": {"Accept-Language": "en-GB, en;q=0.5"}}),
        Case("a language that is not", "/plain", works=False, init={"headers": {"Accept-Language": "en_GB"}}),
        Case("a simple range", "/plain", works=True, init={"headers": {"Range": "bytes=0-99"}}),
        Case("an open range", "/plain", works=True, init={"headers": {"Range": "bytes=5-"}}),
        Case("the last bytes", "/plain", works=False, init={"headers": {"Range": "bytes=-5"}}),
        Case("a text with a parameter", "/plain", works=True, init={"method": "POST", "body": "x", "headers": {"Content-Type": "text/plain; a=b"}}),
        Case("a header that the browser keeps to itself", "/plain", works=True, init={"headers": {"X-HTTP-Method-Override": "TRACE"}}),
        Case("a name that is none", "/any-header", works=False, init={"headers": {"X A": "1"}}),
        Case("a head that is too large", "/any-header", works=True, init={"headers": {"X-Big": "x" * 70_000}}),
    ]  # fmt: skip


def _credentials() -> list[Case]:
    return [
        Case("credentials where they are allowed", "/session", works=True, init=WITH),
        Case("credentials where they are not", "/plain", works=False, init=WITH),
        Case("credentials with a preflight where they are not", "/plain", works=False, init={"method": "PUT", **WITH}),
        Case("credentials for everybody", "/public", works=False, init=WITH),
        Case("credentials for everybody, with a preflight", "/public", works=False, init={"method": "PUT", **WITH}),
        Case("credentials that are left out", "/session", works=True, init={"credentials": "omit"}),
        Case("credentials from another origin", "/session", works=False, page=Page.EVIL, init=WITH),
    ]


def _origins() -> list[Case]:
    return [
        Case("everybody", "/public", works=True, page=Page.EVIL),
        Case("everybody, with a preflight", "/public", works=True, page=Page.EVIL, init={"method": "PUT"}),
        Case("a subdomain", "/subdomains", works=True, page=Page.SHOP),
        Case("a subdomain of a subdomain", "/subdomains", works=True, page=Page.DEEP),
        Case("not the domain itself", "/subdomains", works=False, page=Page.APEX),
        Case("a name that looks like it", "/subdomains", works=False, page=Page.LOOKALIKE),
        Case("a subdomain on another port", "/subdomains", works=False, page=Page.OTHER_PORT),
        Case("a subdomain on any port", "/subdomains-any-port", works=True, page=Page.OTHER_PORT),
        Case("any port", "/ports", works=True, page=Page.OTHER_PORT),
        Case("any port of another host", "/ports", works=False, page=Page.SHOP),
        Case("a pattern", "/regex", works=True, page=Page.SHOP),
        Case("a pattern matches whole", "/regex", works=False, page=Page.DEEP),
        Case("a pattern's dot is a dot", "/regex", works=False, page=Page.LOOKALIKE),
        Case("null, sandboxed", "/plain", works=False, page=Page.SANDBOX),
        Case("null, data", "/plain", works=False, page=Page.DATA),
        Case("null with a preflight", "/plain", works=False, page=Page.SANDBOX, init={"method": "PUT"}),
        Case("null where it is let in", "/null", works=True, page=Page.SANDBOX),
        Case("null for everybody", "/public", works=True, page=Page.DATA),
        Case("a page of the proxy's own origin", "/none", works=True, page=Page.OWN),
        Case("a page of the proxy's own origin posts", "/none", works=True, page=Page.OWN, init={"method": "POST", "body": "x"}),
        Case("a page of the proxy's own origin deletes", "/none", works=True, page=Page.OWN, init={"method": "DELETE", "headers": {"X-C": "1"}}),
    ]  # fmt: skip


def _routes() -> list[Case]:
    return [
        Case("no CORS", "/none", works=False),
        Case("no CORS, with a preflight", "/none", works=False, init={"method": "PUT"}),
        Case("passed through to who knows no CORS", "/through", works=False),
        Case("passed through to who does", "/through", works=True, upstream={"grant": "*"}),
        Case("passed through with credentials", "/through", works=False, init=WITH, upstream={"grant": "*"}),
        Case("passed through with a preflight", "/through", works=False, init={"method": "PUT"}, upstream={"grant": "*"}),
        Case("not enforced, from another origin", "/open", works=False, page=Page.EVIL),
        Case("not enforced, from another origin, with a preflight", "/open", works=False, page=Page.EVIL, init={"method": "PUT"}),
        Case("not enforced, and allowed", "/open", works=True),
        Case("a cache that is off", "/uncached", works=True, init={"method": "PUT"}),
    ]


def _answers() -> list[Case]:
    return [
        Case("exposed by name", "/exposed", works=True),
        Case("exposed, all", "/exposed-any", works=True),
        Case("exposed, all, with credentials", "/session", works=True, init=WITH),
        Case("exposed to the page's own origin", "/none", works=True, page=Page.OWN),
        Case("an upstream's 404", "/plain", works=True, upstream={"status": "404"}),
        Case("an upstream's 403", "/plain", works=True, upstream={"status": "403"}),
        Case("an upstream's 500", "/plain", works=True, init={"method": "PUT"}, upstream={"status": "500"}),
        Case("an upstream's 204", "/plain", works=True, upstream={"status": "204"}),
        Case("an upstream's 304", "/headers", works=True, init={"headers": {"If-None-Match": '"x"'}}, upstream={"status": "304"}),
        Case("an upstream's own grant to nobody we know", "/plain", works=True, upstream={"grant": "https://other.example"}),
        Case("an upstream's own grant to everybody", "/plain", works=False, page=Page.EVIL, upstream={"grant": "*"}),
        Case("an upstream that is down", "/down", works=True),
        Case("an upstream that is down, from another origin", "/down", works=False, page=Page.EVIL),
        Case("a preflight while the upstream is down", "/down", works=True, init={"method": "PUT"}),
        Case("a body that is too large", "/small", works=True, init={"method": "POST", "body": "x" * 2000}),
        Case("a redirect within", "/plain", works=True, upstream={"status": "302", "location": "/plain/there"}),
        Case("a redirect to the upstream by name", "/plain", works=True, upstream={"status": "307", "location": "http://127.0.0.1:{upstream}/plain/there"}),
        Case("a redirect to where the page is not allowed", "/plain", works=False, upstream={"status": "302", "location": "/none/there"}),
        Case("a redirect that leads past the proxy", "/kept", works=False, upstream={"status": "302", "location": "http://127.0.0.1:{upstream}/plain/there"}),
        Case("a redirect of a POST", "/plain", works=True, init={"method": "POST", "body": "x"}, upstream={"status": "303", "location": "/plain/there"}),
        Case("a redirect with a header that needs a preflight", "/headers", works=True, init={"headers": {"X-A": "1"}}, upstream={"status": "302", "location": "/headers/there"}),
        Case("a redirect to where that header is not listed", "/headers", works=False, init={"headers": {"X-A": "1"}}, upstream={"status": "302", "location": "/plain/there"}),
        Case("a redirect from another origin", "/plain", works=False, page=Page.EVIL, upstream={"status": "302", "location": "/public/there"}),
    ]  # fmt: skip


def _others() -> list[Case]:
    return [
        Case("an upload that is watched", "/plain", works=True, init={"method": "POST", "body": "x"}, kind=Kind.UPLOAD),
        Case("an upload that is watched, from another origin", "/plain", works=False, page=Page.EVIL, init={"method": "POST", "body": "x"}, kind=Kind.UPLOAD),
        Case("a stream", "/plain", works=False, init={"method": "POST"}, kind=Kind.STREAM),
        Case("a stream from another origin", "/plain", works=False, page=Page.EVIL, init={"method": "POST"}, kind=Kind.STREAM),
        Case("a WebSocket", "/plain", works=True, kind=Kind.SOCKET),
        Case("a WebSocket of another origin", "/plain", works=False, page=Page.EVIL, kind=Kind.SOCKET),
        Case("a WebSocket of another origin, not enforced", "/open", works=False, page=Page.EVIL, kind=Kind.SOCKET),
        Case("a WebSocket of null", "/plain", works=False, page=Page.SANDBOX, kind=Kind.SOCKET),
        Case("a WebSocket where none may be", "/sockets-none", works=False, kind=Kind.SOCKET),
        Case("a WebSocket of one who is listed for these", "/sockets-listed", works=True, page=Page.EVIL, kind=Kind.SOCKET),
        Case("a WebSocket of one who is not", "/sockets-listed", works=False, kind=Kind.SOCKET),
        Case("a WebSocket to where there is no CORS", "/none", works=False, kind=Kind.SOCKET),
        Case("a WebSocket of the proxy's own page", "/none", works=True, page=Page.OWN, kind=Kind.SOCKET),
        Case("a WebSocket that the upstream judges", "/through", works=True, page=Page.EVIL, kind=Kind.SOCKET),
        Case("a page by https calls plain http", "/secure", works=False, page=Page.SECURE),
        Case("a page by https calls this machine", "/secure", works=True, page=Page.SECURE, host="localhost"),
        Case("a page by https, with a preflight, calls this machine", "/secure", works=True, page=Page.SECURE, host="localhost", init={"method": "PUT"}),
    ]  # fmt: skip


CASES: Final = [*_simple(), *_methods(), *_headers(), *_credentials(), *_origins(), *_routes(), *_answers(), *_others()]
