"""Why a call came out as it did: each reason has words, and leads to the line that decided."""

import pytest

from corsproxy import reasons
from corsproxy.config.load import Override, load_text
from corsproxy.config.settings import Settings
from corsproxy.cors import browser
from corsproxy.cors.browser import PreflightNeed
from corsproxy.cors.decide import Reason
from corsproxy.reasons import Why, need_in_words, verdict_in_words, why, why_exchange
from corsproxy.rehearse import Call, rehearse

TEXT = """\
upstream: http://localhost:9000
cors:
  allow_origins:
    - https://app.example.com
    - regex: 'https://pr-[0-9]\\.example'
  allow_methods: [GET, HEAD, POST]
  allow_headers: ["*"]
  allow_credentials: true
policies:
  partners: {allow_origins: "*", allow_methods: "*"}
routes:
  - {path: /partners, cors: partners}
  - {path: /none, cors: none}
  - {path: /own, cors: {allow_origins: [https://a.example], allow_headers: []}}
"""
APP, EVIL, OTHER = b"https://app.example.com", b"https://evil.example", b"https://a.example"


def settings_of(text: str = TEXT) -> Settings:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, loaded.diagnostics
    return loaded.settings


CASES = {
    "the entry that lets in": (
        Call(APP),
        "origin-allowed f:4:7 allow_origins: the entry `https://app.example.com` of `allow_origins` lets `https://app.example.com` in",
    ),
    "a pattern that lets in": (
        Call(b"https://pr-1.example", b"POST"),
        r"origin-allowed f:5:14 allow_origins: the entry `regex: https://pr-[0-9]\.example` of `allow_origins` lets `https://pr-1.example` in",
    ),
    "any origin": (
        Call(EVIL, path=b"/partners"),
        "origin-allowed f:10:29 allow_origins: the entry `*` of `allow_origins` lets `https://evil.example` in",
    ),
    "no entry": (Call(EVIL), "origin-refused f:3:3 allow_origins: no entry of `allow_origins` lets `https://evil.example` in"),
    "a method that is not listed": (Call(APP, b"PUT"), "preflight-method-refused f:6:3 allow_methods: `PUT` is not in `allow_methods`"),
    "a method in lower case": (
        Call(b"https://a.example", b"patch", b"/own"),
        "preflight-method-refused f:14:18 allow_methods (default): `patch` is not `PATCH`: methods are compared by bytes",
    ),
    "a method that no parser knows": (
        Call(EVIL, b"patch", b"/partners"),
        "preflight-method-refused f:10:34 allow_methods: `patch` is a method that HTTP parsers do not know, so `*` in `allow_methods` does not cover it",
    ),
    "a header that is not listed": (
        Call(OTHER, headers=(b"X-A",), path=b"/own"),
        "preflight-header-refused f:14:61 allow_headers: `x-a` is not in `allow_headers`",
    ),
    "a list that is not written": (
        Call(OTHER, b"PROPFIND", path=b"/own"),
        "preflight-method-refused f:14:18 allow_methods (default): `PROPFIND` is not in `allow_methods`, which is not written here and so is `[GET, HEAD, POST, PUT, PATCH, DELETE]`",
    ),
    "headers that are not written": (
        Call(OTHER, path=b"/partners", headers=(b"X-A",)),
        "preflight-header-refused f:10:3 allow_headers (default): `x-a` is not in `allow_headers`, which is not written here and so is `[content-type]`",
    ),
    "authorization": (
        Call(APP, headers=(b"Authorization",)),
        "preflight-header-refused f:7:3 allow_headers: `*` in `allow_headers` never covers `authorization`, which has to be listed by name",
    ),
    "credentials": (
        Call(OTHER, path=b"/own", credentials=True),
        "acac-not-true f:14:18 allow_credentials (default): the call is made with credentials, and the policy does not say `allow_credentials: true`",
    ),
    "credentials before all else": (
        Call(OTHER, b"PROPFIND", b"/own", credentials=True),
        "acac-not-true f:14:18 allow_credentials (default): the call is made with credentials, and the policy does not say `allow_credentials: true`",
    ),
    "credentials for any origin": (
        Call(OTHER, path=b"/partners", credentials=True),
        "acao-wildcard-with-credentials f:10:14 allow_origins: the call is made with credentials, and for these the `*` of `allow_origins` does not count",
    ),
    "no CORS": (Call(APP, path=b"/none"), "cors-none f:13:19 cors: the route says `cors: none`"),
    "no Origin": (Call(), "no-origin: the request carries no Origin, so CORS has no say in it"),
    "the proxy's own page": (
        Call(b"http://localhost:8080", b"POST"),
        "same-origin: the page is of the proxy's own origin, so CORS has no say in it",
    ),
    "a host that is not answered": (Call(APP, host=b"x.example"), "host-not-answered: this proxy does not answer for that host"),
    "an ambiguous path": (Call(APP, path=b"/own/..%2fnone"), "path-matches-two-routes: the path can be read in more than one way"),
    "a call that throws": (Call(APP, b"TRACE"), "forbidden-method: the call throws: no script may use `TRACE`"),
}


def written(reason: Why) -> str:
    place = f" {reason.place}" if reason.place else ""
    key = f" {reason.key}" if reason.key else ""
    return f"{reason.code}{place}{key}{'' if reason.is_written else ' (default)'}: {reason.words}"


@pytest.mark.parametrize(("call", "expected"), CASES.values(), ids=CASES)
def test_a_reason_leads_to_the_line_that_decided(call: Call, expected: str) -> None:
    settings = settings_of()

    assert written(why(settings, rehearse(settings, call))) == expected


def test_a_path_without_a_route_says_so_whatever_the_origin() -> None:
    settings = settings_of("cors: {allow_origins: [https://app.example.com]}\nroutes: [{path: /a, upstream: http://up}]\n")

    for origin in (APP, EVIL):
        assert written(why(settings, rehearse(settings, Call(origin, path=b"/b")))) == "no-route: no route matches this path"
    # The preflight of such a path is decided by the top-level policy.
    preflight = rehearse(settings, Call(APP, b"PUT", b"/b")).preflight
    assert preflight is not None
    assert why_exchange(settings, preflight).place == "f:1:24"


def test_a_value_from_elsewhere_is_placed_there() -> None:
    loaded = load_text(TEXT, "f", {"cors.allow_origins": Override("https://x.example,https://y.example", "flag --allow-origin")})
    assert loaded.settings is not None

    allowed = why(loaded.settings, rehearse(loaded.settings, Call(b"https://y.example")))
    refused = why(loaded.settings, rehearse(loaded.settings, Call(APP)))

    assert (allowed.place, refused.place) == ("flag --allow-origin", "flag --allow-origin")
    assert allowed.span is not None
    assert (allowed.span.column, allowed.span.end_column) == (19, 36)


def test_a_policy_that_was_not_loaded_from_a_file_has_words_and_no_place() -> None:
    settings = settings_of()
    bare = Settings(
        tuple(type(route)(route.path, route.upstream, route.cors, route.timeouts) for route in settings.routes), hosts=settings.hosts
    )
    found = why(bare, rehearse(bare, Call(EVIL)))

    assert (found.code, found.place, found.span) == ("origin-refused", "", None)


def test_every_reason_has_words() -> None:
    assert reasons._REASONS.keys() == set(Reason)
    assert reasons._VERDICTS.keys() == set(browser.Reason)
    assert reasons._NEEDS.keys() == set(PreflightNeed)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (Call(APP, b"PUT"), "PUT is none of GET, HEAD and POST"),
        (Call(APP, headers=(b"X-B", b"x-a", b"Accept")), "the script sets x-a, x-b"),
        (Call(APP, b"POST"), "POST needs no permission"),
        (Call(APP, headers=(b"Accept",)), "GET and these headers need no permission"),
        (Call(b"http://localhost:8080", b"PUT"), "the page is of the proxy's own origin"),
    ],
)
def test_why_a_preflight_comes_first_or_not_is_said(call: Call, words: str) -> None:
    assert need_in_words(rehearse(settings_of(), call)) == words


def test_a_verdict_names_its_subject() -> None:
    verdict = browser.Verdict(False, browser.Reason.HEADER_NOT_ALLOWED, b"x-a")

    assert verdict_in_words(verdict) == "Access-Control-Allow-Headers lacks `x-a`"
