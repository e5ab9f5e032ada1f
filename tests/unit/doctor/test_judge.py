"""The diagnosis of what was seen, without a network: only what is seen counts, and the first thing that fails is named first."""

import pytest

from corsproxy.cors.browser import BrowserRequest, BrowserResponse, CredentialsMode, Fields
from corsproxy.doctor import faults
from corsproxy.doctor.judge import diagnose
from corsproxy.doctor.seen import Seen, Step, Trouble, Visit

ORIGIN, API = b"https://app.example.com", b"https://api.example.net"
URL = "https://api.example.net/orders"
GRANT: Fields = ((b"Access-Control-Allow-Origin", ORIGIN), (b"Vary", b"Origin"))


def request(
    method: bytes = b"GET", credentials: CredentialsMode = CredentialsMode.OMIT, origin: bytes = ORIGIN, there: bytes = API
) -> BrowserRequest:
    return BrowserRequest(origin, there, method, (), credentials)


def answered(step: Step, status: int = 200, fields: Fields = GRANT, sent: Fields = ()) -> Seen:
    return Seen(step, b"GET", URL, sent, BrowserResponse(status, fields))


def names(*seen: Seen, made: BrowserRequest | None = None) -> list[str]:
    return [each.fault.name for each in diagnose(Visit(made or request(), URL, seen, made or request())).findings]


def test_a_granted_answer_has_no_finding_and_can_be_read() -> None:
    found = diagnose(Visit(request(), URL, (answered(Step.ACTUAL, fields=(*GRANT, (b"Content-Type", b"text/plain"))),), request()))

    assert found.works
    assert found.findings == ()
    assert found.reads == ("content-type",)
    assert found.consoles == ()


@pytest.mark.parametrize("trouble", Trouble)
def test_each_trouble_is_a_fault(trouble: Trouble) -> None:
    found = diagnose(Visit(request(), URL, (Seen(Step.ACTUAL, b"GET", URL, (), None, trouble, "why"),)))

    assert [each.subject for each in found.findings] == ["why"]
    assert found.findings[0].fault.severity is faults.Severity.FAULT
    assert not found.works


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (401, "preflight-unauthorized"),
        (403, "preflight-unauthorized"),
        (404, "preflight-unanswered"),
        (405, "preflight-unanswered"),
        (500, "preflight-status"),
        (302, "preflight-redirect"),
        (204, "acao-missing"),
    ],
)
def test_the_status_of_a_preflight_is_the_cause_and_not_the_field_that_it_lacks(status: int, name: str) -> None:
    assert names(answered(Step.PREFLIGHT, status, ()), made=request(b"PUT")) == [name]


def test_without_vary_two_answers_must_differ_to_be_a_risk() -> None:
    always: Fields = ((b"Access-Control-Allow-Origin", ORIGIN),)
    actual, other = answered(Step.ACTUAL, fields=always), answered(Step.NO_ORIGIN, fields=())

    assert names(actual, answered(Step.NO_ORIGIN, fields=always)) == []
    assert names(actual, other) == ["vary-missing"]
    assert names(answered(Step.ACTUAL), other) == []
    # An error page says nothing about the page itself.
    assert names(actual, answered(Step.NO_ORIGIN, 500, ())) == []


def test_a_stranger_with_credentials_is_a_risk_and_without_is_none() -> None:
    stranger: Fields = ((b"Origin", b"https://x.invalid"),)
    reflected: Fields = ((b"Access-Control-Allow-Origin", b"https://x.invalid"), (b"Vary", b"Origin"))
    trusted: Fields = (*reflected, (b"Access-Control-Allow-Credentials", b"true"))

    assert names(answered(Step.ACTUAL), answered(Step.STRANGER, fields=trusted, sent=stranger)) == ["any-origin-with-credentials"]
    assert names(answered(Step.ACTUAL), answered(Step.STRANGER, fields=reflected, sent=stranger)) == []


@pytest.mark.parametrize(
    ("there", "is_asked"),
    [
        (b"https://10.0.0.1", True),
        (b"https://192.168.1.1:8443", True),
        (b"https://[fd00::1]", True),
        (b"https://printer.local", True),
        (API, False),
    ],
)
def test_local_networks_are_told_from_public_ones(there: bytes, is_asked: bool) -> None:  # noqa: FBT001
    assert ("local-network-access" in names(answered(Step.ACTUAL), made=request(there=there))) is is_asked


def test_a_same_origin_call_has_no_cors_to_judge() -> None:
    assert names(answered(Step.ACTUAL, fields=()), made=request(origin=API)) == []


def test_a_redirect_that_nobody_followed_is_refused() -> None:
    assert names(answered(Step.ACTUAL, 302, (*GRANT, (b"Location", b"https://me@other.example/")))) == ["redirect-refused"]


def test_what_the_console_says_comes_with_the_fault() -> None:
    found = diagnose(Visit(request(), URL, (answered(Step.ACTUAL, fields=()),), request()))

    assert [engine.value for engine, _, _ in found.consoles] == ["chromium", "firefox", "safari"]
    assert any("No 'Access-Control-Allow-Origin' header" in line for _, lines, _ in found.consoles for line in lines)
