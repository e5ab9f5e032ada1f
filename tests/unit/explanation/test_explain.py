"""An explanation as a whole: its parts agree with each other."""

import pytest

from corsproxy.config.load import load_text
from corsproxy.cors.console import Engine
from corsproxy.explanation.amended import Impossible
from corsproxy.explanation.change import Change
from corsproxy.explanation.checks import Result
from corsproxy.explanation.explain import Explanation, Reading, explain, failure_of
from corsproxy.rehearse import Call, Ending, rehearse
from corsproxy.semantics.fields import ResponseHead

TEXT = """\
upstream: http://localhost:9000
cors: {allow_origins: [https://app.example.com], expose_headers: [X-Total]}
routes:
  - {path: /any, cors: {allow_origins: "*", expose_headers: "*"}}
  - {path: /session, cors: {allow_origins: [https://app.example.com], allow_credentials: true, expose_headers: "*"}}
  - {path: /through, cors: passthrough}
"""
APP, EVIL = b"https://app.example.com", b"https://evil.example"
CALLS = [
    Call(APP),
    Call(APP, b"PUT", headers=(b"Content-Type",)),
    Call(APP, b"LOCK"),
    Call(APP, headers=(b"X-B",)),
    Call(APP, credentials=True),
    Call(EVIL),
    Call(EVIL, b"PUT"),
    Call(b"null"),
    Call(b"null", path=b"/any"),
    Call(APP, path=b"/any", credentials=True),
    Call(APP, path=b"/session"),
    Call(APP, path=b"/through"),
    Call(APP, b"TRACE"),
    Call(APP, b"POST", stream=True),
    Call(APP, b"POST", upload_listener=True),
    Call(APP, websocket=True),
    Call(EVIL, websocket=True),
    Call(b"http://localhost:8080"),
    Call(APP, fields=((b"Accept", b"x" * 129),)),
    Call(APP, fields=((b"Content-Type", b"text/plain"),), method=b"POST"),
    Call(APP, host=b"other.example"),
]


def explained(call: Call, response: ResponseHead | None = None) -> Explanation:
    loaded = load_text(TEXT, "f")
    assert loaded.settings is not None, loaded.diagnostics
    if response is not None:
        return explain(loaded.settings, call, response=response, root=loaded.root)
    return explain(loaded.settings, call, root=loaded.root)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_the_parts_agree(call: Call) -> None:
    found = explained(call)
    failed = [each for each in found.checks if each.result is Result.FAILED]

    assert (found.ending is Ending.WORKS) == (found.change is None)
    assert len(failed) == (0 if found.ending in (Ending.WORKS, Ending.UPSTREAM_DECIDES) else 1)
    if found.ending is not Ending.UPSTREAM_DECIDES:
        assert bool(found.consoles) == (not found.rehearsal.outcome.ok)
    assert len(found.made) == len(found.curl)
    # What decided is what failed.
    if failed and found.why.place:
        assert failed[0].place == found.why.place


@pytest.mark.parametrize(
    ("call", "reading"),
    [
        (Call(APP), Reading((b"X-Total",))),
        (Call(APP, path=b"/any"), Reading(None)),
        (Call(APP, path=b"/session"), Reading(None, is_per_answer=True)),
        (Call(b"http://localhost:8080"), Reading(None)),
        (Call(EVIL), None),
        (Call(APP, websocket=True), None),
        (Call(APP, path=b"/through"), None),
    ],
)
def test_what_a_script_reads(call: Call, reading: Reading | None) -> None:
    assert explained(call).reading == reading


def test_an_answer_of_the_proxys_own_can_be_read_by_an_allowed_page() -> None:
    found = explained(Call(APP, fields=tuple((b"Accept", b"x") for _ in range(101))))

    assert (found.ending, found.rehearsal.outcome.ok, found.consoles) == (Ending.PROXY_REFUSES, True, ())
    assert found.reading is not None
    assert found.reading.names is not None
    assert b"x-request-id" in found.reading.names


def test_each_browser_has_its_console() -> None:
    consoles = explained(Call(EVIL)).consoles

    assert [console.engine for console in consoles] == list(Engine)
    assert consoles[0].messages[0].startswith("Access to fetch at 'http://localhost:8080/' from origin ")


def test_an_upstream_that_redirects_is_followed() -> None:
    found = explained(Call(APP), ResponseHead(302, b"Found", 1, [(b"Location", b"/x")]))

    assert found.rehearsal.outcome.verdict.reason == "redirect"
    assert failure_of(found.rehearsal) is None


def test_a_change_or_the_reason_why_there_is_none() -> None:
    assert isinstance(explained(Call(EVIL)).change, Change)
    assert isinstance(explained(Call(b"null")).change, Impossible)
    assert explained(Call(APP)).change is None


def test_a_call_that_works_is_no_failure() -> None:
    settings = load_text(TEXT, "f").settings
    assert settings is not None
    assert failure_of(rehearse(settings, Call(APP))) is None
