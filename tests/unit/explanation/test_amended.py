"""What has to be added to a policy so that a call works; and what must not be."""

import pytest

from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings
from corsproxy.explanation.amended import Additions, Impossible, amend, reach
from corsproxy.rehearse import Call, rehearse

TEXT = """\
upstream: http://localhost:9000
cors:
  allow_origins: [https://app.example.com]
  allow_headers: [X-A]
policies:
  any: {allow_origins: "*"}
  session: {allow_origins: [https://app.example.com], allow_credentials: true, websocket_origins: none}
routes:
  - {path: /any, cors: any}
  - {path: /starred, cors: {allow_origins: "*", allow_headers: "*"}}
  - {path: /session, cors: session}
  - {path: /other-session, cors: session, hosts: [api.example.com]}
  - {path: /none, cors: none}
  - {path: /through, cors: passthrough}
"""
APP, EVIL = b"https://app.example.com", b"https://evil.example"


def settings_of(text: str = TEXT) -> Settings:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, loaded.diagnostics
    return loaded.settings


def amended(call: Call, text: str = TEXT) -> Additions | Impossible:
    settings = settings_of(text)
    return amend(settings, rehearse(settings, call))


@pytest.mark.parametrize(
    ("call", "added"),
    [
        (Call(EVIL), Additions(origin="https://evil.example")),
        (Call(APP, b"PROPFIND"), Additions(methods=("PROPFIND",))),
        (Call(APP, headers=(b"X-Z", b"x-b", b"X-A")), Additions(headers=("x-b", "X-Z"))),
        (Call(APP, credentials=True), Additions(credentials=True)),
        (
            Call(EVIL, b"OPTIONS", headers=(b"Authorization",), credentials=True),
            Additions(origin="https://evil.example", methods=("OPTIONS",), headers=("Authorization",), credentials=True),
        ),
        (Call(APP, path=b"/starred", headers=(b"Authorization", b"X-Any")), Additions(headers=("Authorization",))),
        (Call(EVIL, path=b"/none", method=b"LOCK"), Additions(origin="https://evil.example", opens=True, methods=("LOCK",))),
        (Call(EVIL, websocket=True), Additions(origin="https://evil.example")),
        (Call(APP, path=b"/session", websocket=True), Additions(socket="https://app.example.com")),
    ],
)
def test_the_least_is_added(call: Call, added: Additions) -> None:
    assert amended(call) == added


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (Call(b"null"), "null-origin", "let everybody in"),
        (Call(b"null", path=b"/none"), "null-origin", "let everybody in"),
        (Call(APP, path=b"/any", credentials=True), "wildcard-with-credentials", "every web site act as the visitor"),
        (Call(APP, b"TRACE"), "forbidden-method", "no script may send this method"),
        (Call(APP, b"patch"), "method-spelling", "write `PATCH` in the script"),
        (Call(APP, b"propfind"), "method-spelling", "write `PROPFIND` in the script, and list `PROPFIND` in `allow_methods`"),
        (Call(APP, b"FOO"), "method-unknown", "HTTP parsers do not know"),
        (Call(APP, path=b"/through"), "cors-passthrough", "allow it there, or write a policy"),
        (Call(APP, b"POST", stream=True), "stream-over-http1", "a server before this proxy that speaks HTTP/2"),
        (Call(APP, host=b"other.example:99999"), "CP314", "DNS rebinding"),
        (Call(b"http://insecure.example", path=b"/session"), "CP205", "so such a file would not load"),
        (Call(APP, fields=((b"ETag", b"1"),)), "CP208", "is a response header"),
        (Call(APP, fields=((b"X-A", b"x" * 70_000),)), "request-head", "head"),
    ],
)
def test_what_would_be_a_danger_or_of_no_use_is_not_suggested(call: Call, code: str, words: str) -> None:
    found = amended(call)

    assert isinstance(found, Impossible)
    assert words in found.words
    assert found.code == code


def test_a_call_that_works_needs_nothing() -> None:
    assert amended(Call(APP)) == Additions()


def test_an_opt_out_that_the_file_has_counts() -> None:
    text = TEXT.replace("websocket_origins: none", "dangerously_allow_insecure_origins: true")

    assert amended(Call(b"http://insecure.example", path=b"/session"), text) == Additions(origin="http://insecure.example")


def test_a_policy_with_dangers_of_its_own_can_grow() -> None:
    text = """\
upstream: http://localhost:9000
cors:
  allow_origins: [https://*.github.io, "null", {regex: 'https://pr-[0-9]{1,3}\\.example'}]
  dangerously_allow_null_origin: true
  expose_headers: "*"
  resource_policy: cross-origin
"""

    assert amended(Call(APP), text) == Additions(origin="https://app.example.com")


@pytest.mark.parametrize(
    ("path", "key", "routes"),
    [
        (b"/", "allow_origins", ("/",)),
        (b"/session", "allow_origins", ("/other-session on api.example.com", "/session")),
        (b"/session", "max_age", ("/other-session on api.example.com", "/session")),
        (b"/none", "cors", ("/none",)),
    ],
)
def test_whom_a_change_concerns_is_known(path: bytes, key: str, routes: tuple[str, ...]) -> None:
    settings = settings_of()

    assert reach(settings, rehearse(settings, Call(EVIL, path=path)).decisive, [key]) == routes


@pytest.mark.parametrize(
    ("path", "key", "routes"),
    [
        (b"/", "allow_origins", ("/listed", "/a", "/b", "/")),
        (b"/", "allow_credentials", ("/a", "/b", "/")),
        (b"/", "allow_methods", ("/a", "/b", "/")),
        (b"/b", "allow_credentials", ("/a", "/b", "/")),
        (b"/b", "allow_methods", ("/b",)),
        (b"/listed", "allow_origins", ("/listed", "/a", "/b", "/")),
        (b"/listed", "allow_methods", ("/listed",)),
    ],
)
def test_routes_that_take_over_merge_or_repeat_a_part_share_it(path: bytes, key: str, routes: tuple[str, ...]) -> None:
    text = """\
upstream: http://localhost:9000
cors: &default {allow_origins: &list [https://app.example.com], allow_credentials: true}
routes: [{path: /a}, {path: /b, cors: {<<: *default, max_age: 0}}, {path: /c, cors: none}, {path: /listed, cors: {allow_origins: *list}}]
"""
    settings = settings_of(text)

    assert reach(settings, rehearse(settings, Call(EVIL, path=path)).decisive, [key]) == routes
