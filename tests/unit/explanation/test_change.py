"""Changes to a file: what is to be written, what it risks, and that it lets the call pass."""

import pytest

from corsproxy.config.load import Override, load_flags, load_text
from corsproxy.explanation.amended import Impossible
from corsproxy.explanation.change import Change, propose
from corsproxy.explanation.file_edits import Hunk
from corsproxy.rehearse import Call, Ending, rehearse

APP, EVIL = b"https://app.example.com", b"https://evil.example"
TEXT = """\
upstream: http://localhost:9000
cors:
  allow_origins:
    - https://app.example.com     # the shop
  allow_headers: [X-A]
routes:
  - path: /none
    cors: none
  - {path: /sockets, cors: {allow_origins: [https://app.example.com], websocket_origins: none}}
  - {path: /listed, cors: {allow_origins: [https://app.example.com], websocket_origins: [https://app.example.com]}}
"""


def proposed(call: Call, text: str = TEXT) -> Change:
    loaded = load_text(text, "f.yaml")
    assert loaded.settings is not None, loaded.diagnostics
    found = propose(loaded.settings, rehearse(loaded.settings, call))
    assert isinstance(found, Change)
    return found


def works_after(change: Change, call: Call, text: str = TEXT) -> bool:
    changed = load_text(change.apply(text), "f.yaml")
    assert changed.settings is not None, changed.diagnostics
    return rehearse(changed.settings, call).ending is Ending.WORKS


@pytest.mark.parametrize(
    ("call", "words", "lines"),
    [
        (Call(EVIL), "add `https://evil.example` to `allow_origins`", [Hunk(5, (), ("    - https://evil.example",))]),
        (
            Call(APP, b"LOCK", headers=(b"X-B",)),
            "add `LOCK` to `allow_methods` and `X-B` to `allow_headers`",
            [
                Hunk(
                    5,
                    ("  allow_headers: [X-A]",),
                    ("  allow_methods: [GET, HEAD, POST, PUT, PATCH, DELETE, LOCK]", "  allow_headers: [X-A, X-B]"),
                )
            ],
        ),
        (Call(APP, credentials=True), "write `allow_credentials: true`", [Hunk(5, (), ("  allow_credentials: true",))]),
        (
            Call(EVIL, b"LOCK", b"/none", credentials=True),
            "give the route a policy for `https://evil.example`, in the place of `cors: none`",
            [
                Hunk(
                    8,
                    ("    cors: none",),
                    (
                        (
                            "    cors: {allow_origins: [https://evil.example], "
                            "allow_methods: [GET, HEAD, POST, PUT, PATCH, DELETE, LOCK], allow_credentials: true}"
                        ),
                    ),
                )
            ],
        ),
        (Call(EVIL, path=b"/sockets", websocket=True), "add `https://evil.example` to `websocket_origins`", None),
        (Call(EVIL, path=b"/listed", websocket=True), "add `https://evil.example` to `websocket_origins`", None),
    ],
)
def test_a_change_is_lines_of_the_file(call: Call, words: str, lines: list[Hunk] | None) -> None:
    change = proposed(call)

    assert change.words == words
    assert change.file == "f.yaml"
    assert lines is None or list(change.hunks) == lines
    assert change.edits
    assert works_after(change, call)


def test_what_it_risks_is_said() -> None:
    said = " ".join(proposed(Call(b"http://localhost:3000", b"LOCK", headers=(b"Authorization",), credentials=True)).risks)

    for words in (
        "every page and every script on `http://localhost:3000` may call, and read the answers, as the visitor",
        "the visitor's own machine",
        "may send LOCK",
        "may set Authorization",
        "any token that it has",
        "act as the visitor, with the visitor's session",
    ):
        assert words in said
    assert "plain http" in " ".join(proposed(Call(b"http://a.example")).risks)
    assert "closed to pages of other origins on purpose" in " ".join(proposed(Call(EVIL, path=b"/none")).risks)
    assert "may open WebSockets" in " ".join(proposed(Call(EVIL, path=b"/sockets", websocket=True)).risks)


def test_a_policy_for_every_web_site_says_so() -> None:
    text = "upstream: http://localhost:9000\ncors: {allow_origins: '*'}\n"

    assert "every web site may set X-B" in " ".join(proposed(Call(APP, headers=(b"X-B",)), text).risks)


def test_flags_are_flags() -> None:
    settings = load_flags("http://localhost:9000", ["https://app.example.com"]).settings
    assert settings is not None
    found = propose(settings, rehearse(settings, Call(EVIL, credentials=True)))

    assert isinstance(found, Change)
    assert found.flags == ("--allow-origin https://evil.example", "--allow-credentials")
    assert (found.edits, found.hunks, found.elsewhere) == ((), (), "flag --allow-origin")


def test_a_variable_is_named() -> None:
    overrides = {"cors.allow_origins": Override("https://app.example.com", "environment variable CORSPROXY_CORS_ALLOW_ORIGINS")}
    settings = load_text("upstream: http://localhost:9000\n", "f.yaml", overrides).settings
    assert settings is not None
    found = propose(settings, rehearse(settings, Call(EVIL)))

    assert isinstance(found, Change)
    assert (found.flags, found.edits, found.elsewhere) == ((), (), "environment variable CORSPROXY_CORS_ALLOW_ORIGINS")


def test_a_flag_above_a_file_is_what_has_to_change() -> None:
    overrides = {"cors.allow_origins": Override("https://app.example.com", "flag --allow-origin")}
    settings = load_text(TEXT, "f.yaml", overrides).settings
    assert settings is not None
    found = propose(settings, rehearse(settings, Call(EVIL, headers=(b"X-B",))))

    assert isinstance(found, Change)
    assert found.flags == ("--allow-origin https://evil.example",)
    assert [hunk.new for hunk in found.hunks] == [("  allow_headers: [X-A, X-B]",)]


def test_no_danger_is_suggested() -> None:
    settings = load_text(TEXT, "f.yaml").settings
    assert settings is not None

    assert isinstance(propose(settings, rehearse(settings, Call(b"null"))), Impossible)
