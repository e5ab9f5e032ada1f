"""Calls that are played through in memory: who answers, what the browser makes of it, and which host it goes to."""

from collections.abc import Sequence

import pytest

from corsproxy import problems
from corsproxy.config.load import load_text
from corsproxy.config.settings import HostRules, Listen, Settings
from corsproxy.cors.browser import CredentialsMode, Stage
from corsproxy.plan import Connection, Fresh, Plan, plan
from corsproxy.rehearse import Call, Ending, Rehearsal, default_host, rehearse, serve, usual_value
from corsproxy.semantics.fields import FieldLine, RequestHead, ResponseHead
from tests.unit.planned import CLIENT

TEXT = """\
upstream: http://localhost:9000
cors:
  allow_origins: [https://app.example.com]
  allow_headers: [X-A]
  allow_methods: [GET, HEAD, POST, PUT]
  allow_credentials: true
routes:
  - {path: /public, cors: {allow_origins: "*", enforce: false}}
  - {path: /none, cors: none}
  - {path: /through, cors: passthrough}
  - {path: /starred, cors: {allow_origins: "*", allow_headers: "*"}}
"""
APP, EVIL = b"https://app.example.com", b"https://evil.example"


def settings_of(text: str = TEXT) -> Settings:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, loaded.diagnostics
    return loaded.settings


def play(call: Call, text: str = TEXT) -> Rehearsal:
    return rehearse(settings_of(text), call)


def values(lines: Sequence[FieldLine], name: bytes) -> list[bytes]:
    return [value for each, value in lines if each.lower() == name]


CASES = {
    "a stream": (Call(APP, b"POST", stream=True), Ending.BROWSER_REFUSES, Stage.ACTUAL, True),
    "a stream that the policy refuses first": (Call(EVIL, b"POST", stream=True), Ending.PROXY_REFUSES, Stage.PREFLIGHT, False),
    "a stream to where the upstream decides": (
        Call(APP, b"POST", b"/through", stream=True),
        Ending.UPSTREAM_DECIDES,
        Stage.PREFLIGHT,
        True,
    ),
    "an upload that is watched": (Call(APP, b"POST", upload_listener=True), Ending.WORKS, Stage.ACTUAL, True),
    "a header with a value of its own": (Call(APP, b"POST", fields=((b"Content-Type", b"text/plain"),)), Ending.WORKS, Stage.ACTUAL, True),
    "Authorization under a star": (Call(APP, path=b"/starred", headers=(b"Authorization",)), Ending.BROWSER_REFUSES, Stage.PREFLIGHT, True),
    "a WebSocket of an allowed origin": (Call(APP, websocket=True), Ending.WORKS, Stage.ACTUAL, True),
    "a WebSocket of another origin": (Call(EVIL, websocket=True), Ending.PROXY_REFUSES, Stage.ACTUAL, False),
    "a WebSocket of another origin that is not kept out": (
        Call(EVIL, path=b"/none", websocket=True),
        Ending.PROXY_REFUSES,
        Stage.ACTUAL,
        False,
    ),
    "a WebSocket that the upstream judges": (Call(EVIL, path=b"/through", websocket=True), Ending.UPSTREAM_DECIDES, Stage.ACTUAL, True),
    "a WebSocket of a program": (Call(websocket=True), Ending.WORKS, Stage.ACTUAL, True),
    "an allowed origin": (Call(APP), Ending.WORKS, Stage.ACTUAL, True),
    "an allowed origin with a preflight": (Call(APP, b"PUT", headers=(b"X-A",)), Ending.WORKS, Stage.ACTUAL, True),
    "another origin": (Call(EVIL), Ending.PROXY_REFUSES, Stage.ACTUAL, False),
    "another origin with a preflight": (Call(EVIL, b"PUT"), Ending.PROXY_REFUSES, Stage.PREFLIGHT, False),
    "another origin that is not kept out": (
        Call(b"null", path=b"/public", headers=(b"X-A",)),
        Ending.BROWSER_REFUSES,
        Stage.PREFLIGHT,
        True,
    ),
    "a method that is not listed": (Call(APP, b"DELETE"), Ending.BROWSER_REFUSES, Stage.PREFLIGHT, False),
    "a method that the parser does not know": (Call(APP, b"patch"), Ending.BROWSER_REFUSES, Stage.PREFLIGHT, False),
    "a header that is not listed": (Call(APP, headers=(b"X-B",)), Ending.BROWSER_REFUSES, Stage.PREFLIGHT, True),
    "credentials that are not allowed": (Call(APP, path=b"/public", credentials=True), Ending.BROWSER_REFUSES, Stage.ACTUAL, True),
    "a call that throws": (Call(APP, b"TRACE"), Ending.BROWSER_REFUSES, Stage.SCRIPT, False),
    "no CORS": (Call(APP, path=b"/none"), Ending.PROXY_REFUSES, Stage.ACTUAL, False),
    "no Origin": (Call(path=b"/none"), Ending.WORKS, Stage.ACTUAL, True),
    "no Origin on a post": (Call(method=b"POST"), Ending.WORKS, Stage.ACTUAL, True),
    "a route that passes CORS through": (Call(EVIL, path=b"/through"), Ending.UPSTREAM_DECIDES, Stage.ACTUAL, True),
    "a preflight that is passed through": (Call(EVIL, b"PUT", b"/through"), Ending.UPSTREAM_DECIDES, Stage.PREFLIGHT, True),
    "the proxy's own page": (Call(b"http://localhost:8080", b"POST", b"/none"), Ending.WORKS, Stage.ACTUAL, True),
    "the proxy's own page on a route that passes CORS through": (
        Call(b"http://localhost:8080", path=b"/through"),
        Ending.WORKS,
        Stage.ACTUAL,
        True,
    ),
    "a host that is not answered": (Call(APP, host=b"other.example"), Ending.PROXY_REFUSES, Stage.ACTUAL, False),
    "a path that can be read in two ways": (Call(APP, path=b"/public/..%2fnone"), Ending.PROXY_REFUSES, Stage.ACTUAL, False),
}


@pytest.mark.parametrize(("call", "ending", "stage", "forwarded"), CASES.values(), ids=CASES)
def test_a_call_comes_to_its_end(call: Call, ending: Ending, stage: Stage, forwarded: bool) -> None:  # noqa: FBT001
    found = play(call)

    assert (found.ending, found.outcome.stage, found.actual.forwarded) == (ending, stage, forwarded)
    assert found.decisive is (found.preflight if stage is Stage.PREFLIGHT else found.actual)


def test_credentials_are_those_of_the_policy_unless_the_call_says_otherwise() -> None:
    modes = [
        play(Call(APP, path=path, credentials=said)).request.credentials for path in (b"/", b"/public") for said in (None, True, False)
    ]

    assert modes == [
        CredentialsMode.INCLUDE,
        CredentialsMode.INCLUDE,
        CredentialsMode.OMIT,
        CredentialsMode.SAME_ORIGIN,
        CredentialsMode.INCLUDE,
        CredentialsMode.OMIT,
    ]
    assert play(Call(APP, b"patch")).request.credentials is CredentialsMode.INCLUDE


def test_a_call_without_an_origin_sends_none() -> None:
    lines = play(Call(method=b"POST", headers=(b"X-A",))).actual.request.lines

    assert list(lines) == [(b"Host", b"localhost:8080"), (b"X-A", b"1")]


def test_content_type_stands_for_json_and_other_safelisted_headers_need_no_permission() -> None:
    needs = [play(Call(APP, headers=(name,))).preflight is not None for name in (b"content-type", b"Accept", b"Range", b"accept-language")]

    assert needs == [True, False, False, False]


HOSTS = {
    "what it listens on": ("", APP, b"localhost:8080", b"http://localhost:8080"),
    "its public URL": ("public_url: https://api.example.com\n", APP, b"api.example.com", b"https://api.example.com"),
    "a public URL with a port": (
        "public_url: https://api.example.com:8443\n",
        APP,
        b"api.example.com:8443",
        b"https://api.example.com:8443",
    ),
    "its hosts, by the page's scheme": ("hosts: [b.example, a.example]\n", b"http://x.example", b"a.example", b"http://a.example"),
    "a subdomain of its hosts": ('hosts: ["*.example.net"]\n', b"capacitor://localhost", b"www.example.net", b"https://www.example.net"),
    "an address of this machine": ("hosts: [127.0.0.1]\n", APP, b"127.0.0.1", b"http://127.0.0.1"),
    "a unix socket": ("listen: unix:/run/x.sock\n", APP, b"localhost", b"http://localhost"),
    "the page's own host": ("hosts: [localhost]\n", b"https://localhost", b"localhost", b"https://localhost"),
}


@pytest.mark.parametrize(("keys", "page", "host", "url"), HOSTS.values(), ids=HOSTS)
def test_a_call_goes_to_a_host_that_is_answered(keys: str, page: bytes, host: bytes, url: bytes) -> None:
    found = play(Call(page), keys + TEXT)

    assert found.request.url_origin == url
    assert values(found.actual.request.lines, b"host") == [host]
    assert found.actual.problem is not problems.MISDIRECTED


def test_a_host_that_is_named_is_reached_as_the_public_url_is() -> None:
    text = 'public_url: ["http://a.example", "https://b.example"]\nhosts: "*"\n' + TEXT

    assert play(Call(APP, host=b"b.example"), text).request.url_origin == b"https://b.example"
    assert play(Call(APP, host=b"c.example"), text).request.url_origin == b"http://c.example"


@pytest.mark.parametrize("port", [0, 80, 443])
def test_a_port_that_says_nothing_is_left_out(port: int) -> None:
    settings = Settings((), listen=(Listen("127.0.0.1", port),), hosts=HostRules(loopback=True))

    assert default_host(settings) == b"localhost"


def test_an_upstream_that_breaks_the_rules_is_answered_for() -> None:
    broken = ResponseHead(200, b"OK", 1, [(b"Content-Length", b"1"), (b"Content-Length", b"2")])
    served = serve(settings_of(), RequestHead(b"GET", b"/", 1, [(b"Host", b"localhost"), (b"Origin", APP)]), CLIENT, broken)

    assert served.forwarded
    assert served.response.status == 502
    assert values(served.response.fields, b"access-control-allow-origin") == [APP]


def test_a_certificate_is_shown_with_credentials_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []

    def spy(settings: Settings, head: RequestHead, connection: Connection, fresh: Fresh) -> Plan:
        seen.append((connection.tls, connection.has_certificate))
        return plan(settings, head, connection, fresh)

    monkeypatch.setattr("corsproxy.rehearse.plan", spy)
    for call in (Call(APP, credentials=True), Call(APP, credentials=False), Call()):
        rehearse(settings_of("public_url: https://api.example.com\n" + TEXT), call)

    assert [seen[0], seen[1], seen[-1]] == [(True, True), (True, False), (True, True)]


def test_mixed_content_is_never_sent() -> None:
    text = "public_url: http://api.example.com\n" + TEXT

    for call in (Call(APP), Call(APP, websocket=True)):
        found = play(call, text)
        assert (found.ending, found.outcome.stage, found.outcome.verdict.reason) == (Ending.BROWSER_REFUSES, Stage.SCRIPT, "mixed-content")


def test_the_upstream_answers_as_it_is_told() -> None:
    redirect = ResponseHead(302, b"Found", 1, [(b"Location", b"/x")])
    found = rehearse(settings_of(), Call(APP), redirect)

    assert (found.actual.response.status, found.outcome.verdict.reason) == (302, "redirect")


def test_a_header_is_set_as_most_scripts_set_it() -> None:
    assert [usual_value(name) for name in (b"Content-Type", b"RANGE", b"X-A")] == [b"application/json", b"bytes=0-99", b"1"]
