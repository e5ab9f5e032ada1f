"""An explanation for programs: the shape that is documented, and nothing that must not show."""

import json

import pytest

from corsproxy.config.load import load_text
from corsproxy.explanation.explain import explain
from corsproxy.explanation.export import as_json, mode_in_words, shown_fields, shown_request
from corsproxy.rehearse import Call

TEXT = """\
upstream: http://localhost:9000
cors: {allow_origins: [https://app.example.com]}
headers: {response: {set: {X-Signature: "${SIGNATURE}"}}}
routes: [{path: /through, cors: passthrough}]
"""
APP, EVIL = b"https://app.example.com", b"https://evil.example"
MEMBERS = [
    "ending",
    "reason",
    "because",
    "decided_by",
    "call",
    "browser",
    "checks",
    "preflight",
    "actual",
    "readable",
    "cookies",
    "consoles",
    "change",
    "curl",
]


@pytest.mark.parametrize(
    "call",
    [Call(APP), Call(EVIL), Call(b"null"), Call(APP, b"PUT"), Call(APP, b"TRACE"), Call(APP, path=b"/through"), Call(EVIL, websocket=True)],
    ids=str,
)
def test_every_member_is_always_there(call: Call) -> None:
    loaded = load_text(TEXT, "f", environ={"SIGNATURE": "hush-hush"})
    assert loaded.settings is not None
    found = as_json(loaded.settings, explain(loaded.settings, call))

    assert list(found) == MEMBERS
    assert json.loads(json.dumps(found)) == found
    assert "hush" not in json.dumps(found)


def test_a_change_is_lines() -> None:
    settings = load_text(TEXT, "f", environ={"SIGNATURE": "x"}).settings
    assert settings is not None

    assert as_json(settings, explain(settings, Call(EVIL)))["change"] == {
        "possible": True,
        "words": "add `https://evil.example` to `allow_origins`",
        "file": "f",
        "lines": [
            {
                "line": 2,
                "old": ["cors: {allow_origins: [https://app.example.com]}"],
                "new": ["cors: {allow_origins: [https://app.example.com, https://evil.example]}"],
            }
        ],
        "flags": [],
        "elsewhere": "",
        "risks": ["every page and every script on `https://evil.example` may call, and read the answers"],
        "routes": ["/"],
    }
    assert as_json(settings, explain(settings, Call(b"null")))["change"]["possible"] is False


def test_what_is_secret_or_of_the_moment_is_not_shown() -> None:
    settings = load_text(TEXT, "f", environ={"SIGNATURE": "hush-hush"}).settings
    assert settings is not None
    (made,) = explain(settings, Call(APP, fields=((b"Accept-Language", b"en"),))).made
    shown = dict(shown_fields(made))

    assert shown[b"X-Signature"] == b"***"
    assert shown[b"X-Request-Id"] == b"..."
    assert not {b"Date", b"Content-Length"} & set(shown)
    (first,) = explain(settings, Call(APP, fields=((b"Authorization", b"Bearer hush"),))).made
    assert b"hush" not in b"".join(value for _, value in shown_request(first))


def test_credentials_in_words() -> None:
    settings = load_text(TEXT, "f", environ={"SIGNATURE": "x"}).settings
    assert settings is not None

    said = [
        mode_in_words(explain(settings, call).rehearsal)
        for call in (Call(APP), Call(APP, credentials=True), Call(b"http://localhost:8080"))
    ]
    assert said == ["without credentials", "with credentials", "with credentials"]
