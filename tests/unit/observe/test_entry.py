"""Entries: what is shown of an exchange, how it is classed, and what never shows."""

import json
from dataclasses import replace

import pytest

from corsproxy import problems
from corsproxy.observe.entry import MAX_TEXT, Entry, Outcome, entry_of, is_fine, shown_target
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.websocket import UPGRADE_LINES
from tests.unit.observe.observed import APP, EVIL, preflight, recorded, settings_of

SETTINGS = settings_of()
COOKIE = (b"Cookie", b"sid=very-secret")
HANDSHAKE = (*UPGRADE_LINES, (b"Sec-WebSocket-Key", b"cmVoZWFyc2FsLW9mLXdzcw=="), (b"Sec-WebSocket-Version", b"13"))


def shown(record: ExchangeRecord) -> Entry:
    return entry_of(record, "ring-1", SETTINGS)


@pytest.mark.parametrize(
    ("record", "outcome", "reason", "place"),
    [
        (recorded(SETTINGS), Outcome.PASSED, "no-origin", ""),
        (recorded(SETTINGS, b"GET", b"/orders", APP), Outcome.ALLOWED, "origin-allowed", "corsproxy.yaml:4:19"),
        (recorded(SETTINGS, b"GET", b"/orders", b"http://localhost:8080"), Outcome.PASSED, "same-origin", ""),
        (recorded(SETTINGS, b"GET", b"/orders", EVIL), Outcome.REFUSED, "origin-refused", "corsproxy.yaml:4:3"),
        (recorded(SETTINGS, b"DELETE", b"/orders", APP), Outcome.REFUSED, "method-refused", "corsproxy.yaml:5:3"),
        (recorded(SETTINGS, b"GET", b"/orders", b"HTTPS://App"), Outcome.REFUSED, "origin-malformed", "corsproxy.yaml:4:3"),
        (recorded(SETTINGS, b"GET", b"/partners/1", EVIL), Outcome.HIDDEN, "origin-refused", "corsproxy.yaml:8:5"),
        (recorded(SETTINGS, b"GET", b"/internal", APP), Outcome.REFUSED, "cors-none", "corsproxy.yaml:12:64"),
        (recorded(SETTINGS, b"GET", b"/own", EVIL), Outcome.PASSED, "cors-passthrough", "corsproxy.yaml:13:59"),
        (recorded(SETTINGS, b"GET", b"/orders", APP, COOKIE), Outcome.HIDDEN, "acac-not-true", "corsproxy.yaml:3:1"),
        (recorded(SETTINGS, b"GET", b"/orders", APP, status=500), Outcome.ALLOWED, "origin-allowed", "corsproxy.yaml:4:19"),
        (recorded(SETTINGS, b"GET", b"/orders", APP, problem=problems.UPSTREAM_REFUSED), Outcome.FAILED, "CP401", ""),
        (preflight(SETTINGS, APP, b"PUT"), Outcome.ALLOWED, "preflight-granted", "corsproxy.yaml:4:19"),
        (preflight(SETTINGS, APP, b"DELETE"), Outcome.REFUSED, "preflight-method-refused", "corsproxy.yaml:5:3"),
        (preflight(SETTINGS, APP, b"PUT", b"x-trace"), Outcome.REFUSED, "preflight-header-refused", "corsproxy.yaml:3:1"),
        (preflight(SETTINGS, EVIL, b"PUT"), Outcome.REFUSED, "origin-refused", "corsproxy.yaml:4:3"),
        (recorded(SETTINGS, b"GET", b"/orders", EVIL, *HANDSHAKE), Outcome.REFUSED, "origin-refused", "corsproxy.yaml:4:3"),
        (recorded(SETTINGS, b"GET", b"/orders", APP, *HANDSHAKE), Outcome.ALLOWED, "origin-allowed", "corsproxy.yaml:4:19"),
        (recorded(SETTINGS, b"TRACE"), Outcome.FAILED, "method", ""),
    ],
)
def test_an_exchange_is_classed_as_a_browser_sees_it(record: ExchangeRecord, outcome: Outcome, reason: str, place: str) -> None:
    entry = shown(record)

    assert (entry.outcome, entry.reason, entry.place) == (outcome.value, reason, place)
    assert is_fine(record) == (outcome in (Outcome.ALLOWED, Outcome.PASSED))


def test_it_says_who_asked_for_what() -> None:
    entry = shown(preflight(SETTINGS, APP, b"PUT", b"x-trace", b"content-type"))

    assert (entry.origin, entry.asked_method, entry.asked_headers) == (APP.decode(), "PUT", ("x-trace", "content-type"))
    assert (entry.host, entry.route, entry.policy, entry.key) == ("localhost:8080", "/", "cors", "allow_headers")
    assert entry.because.startswith("`x-trace` is not in `allow_headers`")
    assert (entry.time, entry.total_ms, entry.request_id) == (1_700_000_000.0, 250.0, "fresh-request-id")


def test_it_survives_json() -> None:
    entry = shown(preflight(SETTINGS, APP, b"PUT", b"x-trace"))

    assert Entry.from_plain(json.loads(json.dumps(entry.as_plain()))) == entry


def test_no_credential_shows() -> None:
    entry = shown(recorded(SETTINGS, b"GET", b"/orders?token=very-secret", APP, COOKIE, (b"Authorization", b"Bearer very-secret")))

    assert (entry.has_cookie, entry.has_authorization) == (True, True)
    assert "very-secret" not in json.dumps(entry.as_plain())


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (b"/orders", "/orders"),
        (b"/orders?page=2&token=abc", "/orders?page=***&token=***"),
        (b"/orders?abc", "/orders?***"),
        (b"/orders?", "/orders?"),
        (b"*", "*"),
        (b"http://user:pass@host/path?q=1", "/path?q=***"),
        (b"http://host", "/"),
        (b"user:pass@host:443", "host:443"),
        (b"/caf\xe9", "/caf\\xe9"),
    ],
)
def test_a_target_is_shown_without_what_may_be_secret(target: bytes, text: str) -> None:
    assert shown_target(target) == text


def test_long_texts_are_cut() -> None:
    assert len(shown_target(b"/" + b"a" * 100_000)) == MAX_TEXT
    assert shown_target(b"/" + b"a" * 100_000).endswith("…")
    many = [b"x-%d" % number for number in range(90)]
    assert len(shown(preflight(SETTINGS, APP, b"PUT", *many)).asked_headers) == 40


def test_what_an_exception_of_ours_says_does_not_show() -> None:
    record = recorded(SETTINGS, problem=problems.INTERNAL_ERROR)
    record.failure = "KeyError('very-secret')"

    assert "very-secret" not in json.dumps(shown(record).as_plain())
    assert shown(replace(record, problem=problems.UPSTREAM_REFUSED)).failure == record.failure


def test_a_request_that_was_never_judged_is_an_entry_too() -> None:
    entry = shown(ExchangeRecord(1.0, 1.0, b"GET", b"/", "192.0.2.1", status=500, problem=problems.INTERNAL_ERROR))

    assert (entry.outcome, entry.kind, entry.reason) == ("failed", "", problems.INTERNAL_ERROR.code)
