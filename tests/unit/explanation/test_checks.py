"""The checks of a call, in order, each with its outcome and its place."""

import pytest

from corsproxy.config.load import load_text
from corsproxy.explanation.checks import Check, Result, checks
from corsproxy.rehearse import Call, rehearse

TEXT = """\
public_url: https://api.example.com
upstream: http://localhost:9000
cors:
  allow_origins: [https://app.example.com]
  allow_headers: [X-A]
  expose_headers: [X-Total]
  max_age: 0
routes:
  - {path: /any, cors: {allow_origins: "*", expose_headers: "*"}}
  - {path: /open, cors: {allow_origins: [https://app.example.com], enforce: false}}
  - {path: /none, cors: none}
  - {path: /through, cors: passthrough}
  - {path: /secure, cors: {allow_origins: [https://app.example.com], allow_credentials: true}}
"""
APP, EVIL, OWN = b"https://app.example.com", b"https://evil.example", b"https://api.example.com"


def told(call: Call, text: str = TEXT) -> dict[str, Check]:
    loaded = load_text(text, "f.yaml")
    assert loaded.settings is not None, loaded.diagnostics
    return {each.name: each for each in checks(loaded.settings, rehearse(loaded.settings, call), loaded.root)}


def results(call: Call, text: str = TEXT) -> list[tuple[str, str]]:
    return [(name, each.result.value) for name, each in told(call, text).items()]


BEFORE = [("call", "passed"), ("cross-origin", "noted"), ("host", "passed"), ("route", "passed")]


@pytest.mark.parametrize(
    ("call", "after"),
    [
        (Call(APP), [("preflight", "noted"), ("origin", "passed"), ("request", "passed"), ("exposed", "noted")]),
        (
            Call(APP, b"PUT", headers=(b"X-A",)),
            [
                ("preflight", "noted"),
                ("origin", "passed"),
                ("method", "passed"),
                ("headers", "passed"),
                ("preflight-cache", "noted"),
                ("request", "passed"),
                ("exposed", "noted"),
            ],
        ),
        (Call(EVIL), [("preflight", "noted"), ("origin", "failed"), ("request", "unreached")]),
        (
            Call(EVIL, path=b"/open"),
            [("preflight", "noted"), ("origin", "failed"), ("request", "noted"), ("exposed", "unreached")],
        ),
        (Call(EVIL, b"PUT"), [("preflight", "noted"), ("origin", "failed"), ("request", "unreached")]),
        (
            Call(APP, b"LOCK", headers=(b"X-A",)),
            [("preflight", "noted"), ("origin", "passed"), ("method", "failed"), ("headers", "unreached"), ("request", "unreached")],
        ),
        (
            Call(APP, headers=(b"X-B",)),
            [
                ("preflight", "noted"),
                ("origin", "passed"),
                ("method", "passed"),
                ("headers", "failed"),
                ("request", "unreached"),
                ("exposed", "unreached"),
            ],
        ),
        (
            Call(APP, b"PUT", credentials=True),
            [
                ("preflight", "noted"),
                ("origin", "passed"),
                ("credentials", "failed"),
                ("method", "unreached"),
                ("preflight-cache", "unreached"),
                ("request", "unreached"),
                ("exposed", "unreached"),
            ],
        ),
        (
            Call(APP, path=b"/any", credentials=True),
            [("preflight", "noted"), ("origin", "passed"), ("credentials", "failed"), ("request", "noted"), ("exposed", "unreached")],
        ),
        (
            Call(APP, path=b"/secure"),
            [("preflight", "noted"), ("origin", "passed"), ("credentials", "passed"), ("request", "passed"), ("exposed", "noted")],
        ),
        (Call(APP, path=b"/none"), [("preflight", "noted"), ("origin", "failed"), ("request", "unreached")]),
        (Call(APP, path=b"/through"), [("preflight", "noted"), ("origin", "open")]),
        (Call(OWN, b"POST"), [("request", "passed")]),
        (Call(APP, websocket=True), [("origin", "passed"), ("request", "passed")]),
        (Call(EVIL, websocket=True), [("origin", "failed"), ("request", "unreached")]),
        (
            Call(APP, b"POST", stream=True),
            [
                ("preflight", "noted"),
                ("origin", "passed"),
                ("method", "passed"),
                ("preflight-cache", "noted"),
                ("request", "failed"),
                ("exposed", "unreached"),
            ],
        ),
    ],
)
def test_the_order_is_the_browsers(call: Call, after: list[tuple[str, str]]) -> None:
    assert results(call) == BEFORE + after


def test_what_is_never_sent_fails_at_once() -> None:
    assert results(Call(APP, b"TRACE")) == [("call", "failed")]
    assert "mixed content" in told(Call(APP), TEXT.replace("https://api", "http://api"))["call"].words


def test_a_host_or_path_that_is_not_served_fails_there() -> None:
    assert results(Call(APP, host=b"other.example"))[2] == ("host", "failed")
    text = TEXT.replace("upstream: http://localhost:9000\n", "").replace("{path: /", "{upstream: 'http://localhost:9000', path: /")
    assert results(Call(APP, path=b"/nowhere"), text) == [
        *BEFORE[:3],
        ("route", "failed"),
        ("preflight", "unreached"),
        ("origin", "unreached"),
        ("request", "unreached"),
    ]
    assert results(Call(APP, b"PUT", path=b"/nowhere"), text)[3:] == [
        ("route", "noted"),
        ("preflight", "noted"),
        ("origin", "passed"),
        ("method", "passed"),
        ("preflight-cache", "noted"),
        ("request", "failed"),
    ]


def test_a_limit_is_named() -> None:
    found = told(Call(APP, fields=((b"X-A", b"x" * 70_000),)))

    assert found["request"].result is Result.FAILED
    assert found["request"].words.startswith("431: ")


def test_each_says_which_line_decided() -> None:
    found = told(Call(APP, b"PUT", headers=(b"X-A",)))

    assert {name: each.place.removeprefix("f.yaml:") for name, each in found.items()} == {
        "call": "",
        "cross-origin": "1:1",
        "host": "",
        "route": "3:1",
        "preflight": "",
        "origin": "4:19",
        # The file says nothing of methods, so the policy as a whole is to blame.
        "method": "3:1",
        "headers": "5:3",
        "preflight-cache": "7:3",
        "request": "",
        "exposed": "6:3",
    }
    assert found["method"].key == "allow_methods"
    assert told(Call(APP, headers=(b"X-B",)))["headers"].place == "f.yaml:5:3"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (Call(APP, b"PUT"), "one is due: PUT is none of GET, HEAD and POST"),
        (Call(APP, headers=(b"X-A",)), "one is due: x-a (the name is not safelisted)"),
        (
            Call(APP, b"PUT", headers=(b"X-A",)),
            "one is due: PUT is none of GET, HEAD and POST, x-a (the name is not safelisted)",
        ),
        (Call(APP, b"POST", upload_listener=True), "one is due: the script watches its upload"),
        (Call(APP, b"POST", stream=True), "one is due: the body is a stream"),
        (Call(APP), "none is due: GET needs no permission"),
    ],
)
def test_it_says_why_a_preflight_is_due(call: Call, words: str) -> None:
    assert told(call)["preflight"].words == words


def test_what_a_script_reads_is_told() -> None:
    assert told(Call(APP))["exposed"].words == "the script reads X-Total, and the seven headers that are always exposed"
    assert told(Call(APP, path=b"/any"))["exposed"].words == "the script reads every header but Set-Cookie"
    assert told(Call(APP, b"PUT"))["preflight-cache"].words == "the browser asks again before each such request"


@pytest.mark.parametrize(
    ("page", "host", "asks", "is_open"),
    [
        (b"https://app.example.com", b"localhost:8080", True, True),
        (b"http://app.example.com", b"localhost:8080", True, False),
        (b"https://app.example.com", b"192.168.0.7", True, True),
        (b"https://app.example.com", b"[::1]:8080", True, True),
        (b"http://localhost:3000", b"localhost:8080", False, True),
        (b"http://192.168.0.2", b"192.168.0.7", False, True),
        (b"https://app.example.com", b"api.example.com", False, True),
        (b"https://app.example.com", b"203.0.113.9", False, True),
        (b"null", b"localhost", True, False),
    ],
)
def test_a_permission_that_no_header_grants_is_said(page: bytes, host: bytes, asks: bool, is_open: bool) -> None:  # noqa: FBT001
    text = "upstream: http://localhost:9000\nhosts: '*'\ncors: {allow_origins: '*'}\n"
    found = told(Call(page, host=host), text)

    assert ("local-network" in found) == asks
    if asks:
        assert found["local-network"].result is Result.NOTED
        assert ("plain http" not in found["local-network"].words) == is_open
