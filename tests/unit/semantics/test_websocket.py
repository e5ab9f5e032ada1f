from typing import Any

import pytest

from corsproxy import problems
from corsproxy.semantics.fields import RequestHead, ResponseHead, survey_request, survey_response
from corsproxy.semantics.framing import CHUNKED_BODY, NO_BODY, Body, BodyKind, Refusal
from corsproxy.semantics.websocket import Handshake, accept_of, read_handshake, switch_fault

# Those of RFC 6455 1.3.
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADES = [(b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"WebSocket")]
VERSION, SENT_KEY = (b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", KEY)
ASKS = [*UPGRADES, VERSION, SENT_KEY]
GRANT = [*UPGRADES, (b"Sec-WebSocket-Accept", ACCEPT)]


def read(lines: Any, method: bytes = b"GET", minor: int = 1, body: Body = NO_BODY) -> Handshake | Refusal | None:
    return read_handshake(RequestHead(method, b"/", minor, lines), survey_request(lines), body)


def test_the_accept_is_that_of_the_rfcs_example() -> None:
    assert accept_of(KEY) == ACCEPT


@pytest.mark.parametrize("body", [NO_BODY, Body(BodyKind.LENGTH, 0)], ids=str)
def test_a_handshake_is_known_by_its_key(body: Body) -> None:
    assert read(ASKS, body=body) == Handshake(KEY)


@pytest.mark.parametrize(
    ("lines", "minor"),
    [
        (ASKS[2:], 1),
        (ASKS[1:], 1),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c"), *ASKS[2:]], 1),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket, h2c"), *ASKS[2:]], 1),
        ([*ASKS, (b"Upgrade", b"websocket")], 1),
        (ASKS, 0),
    ],
    ids=["no Upgrade", "one that is not for this hop", "another protocol", "a list", "two", "HTTP/1.0"],
)
def test_any_other_request_asks_for_no_websocket(lines: Any, minor: int) -> None:
    assert read(lines, minor=minor) is None


CASES: dict[str, tuple[Any, bytes, Body, str]] = {
    "another method": (ASKS, b"POST", NO_BODY, "websocket-method"),
    "a body": (ASKS, b"GET", Body(BodyKind.LENGTH, 1), "websocket-body"),
    "a chunked body": (ASKS, b"GET", CHUNKED_BODY, "websocket-body"),
    "no version": ([*UPGRADES, SENT_KEY], b"GET", NO_BODY, "websocket-version"),
    "two versions": ([*ASKS, VERSION], b"GET", NO_BODY, "websocket-version"),
    "a version that is no number": ([*UPGRADES, (b"Sec-WebSocket-Version", b"x"), SENT_KEY], b"GET", NO_BODY, "websocket-version"),
    "a version that no one has": ([*UPGRADES, (b"Sec-WebSocket-Version", b"256"), SENT_KEY], b"GET", NO_BODY, "websocket-version"),
    "no key": ([*UPGRADES, VERSION], b"GET", NO_BODY, "websocket-key"),
    "two keys": ([*ASKS, SENT_KEY], b"GET", NO_BODY, "websocket-key"),
    "a key that is no base64": ([*UPGRADES, VERSION, (b"Sec-WebSocket-Key", b"!" * 24)], b"GET", NO_BODY, "websocket-key"),
    "a key that is not ASCII": ([*UPGRADES, VERSION, (b"Sec-WebSocket-Key", b"\xe9" * 24)], b"GET", NO_BODY, "websocket-key"),
    "a short key": ([*UPGRADES, VERSION, (b"Sec-WebSocket-Key", b"YWJj")], b"GET", NO_BODY, "websocket-key"),
    "a key with other bits at its end": (
        [*UPGRADES, VERSION, (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZR==")],
        b"GET",
        NO_BODY,
        "websocket-key",
    ),
}


@pytest.mark.parametrize(("lines", "method", "body", "reason"), CASES.values(), ids=CASES)
def test_a_malformed_handshake_is_refused(lines: Any, method: bytes, body: Body, reason: str) -> None:
    assert read(lines, method, body=body) == Refusal(problems.BAD_REQUEST, reason)


def test_another_version_has_a_problem_of_its_own() -> None:
    lines = [*UPGRADES, (b"Sec-WebSocket-Version", b"8"), SENT_KEY]

    assert read(lines) == Refusal(problems.WEBSOCKET_VERSION, "websocket-version")


ANSWERS: dict[str, tuple[Any, int, str]] = {
    "a grant": (GRANT, 1, ""),
    "a grant of HTTP/1.0": (GRANT, 0, "upgrade"),
    "no Upgrade": ([GRANT[0], GRANT[2]], 1, "upgrade"),
    "no Connection": (GRANT[1:], 1, "upgrade"),
    "another protocol": ([GRANT[0], (b"Upgrade", b"h2c"), GRANT[2]], 1, "upgrade"),
    "a field that is taken off": ([*GRANT, (b"Connection", b"Sec-WebSocket-Protocol")], 1, "connection-option"),
    "a length": ([*GRANT, (b"Content-Length", b"0")], 1, "framing"),
    "a coding": ([*GRANT, (b"Transfer-Encoding", b"chunked")], 1, "framing"),
    "no accept": (UPGRADES, 1, "websocket-accept"),
    "two accepts": ([*GRANT, GRANT[2]], 1, "websocket-accept"),
    "the accept of another key": ([*UPGRADES, (b"Sec-WebSocket-Accept", accept_of(b"x"))], 1, "websocket-accept"),
}


@pytest.mark.parametrize(("lines", "minor", "fault"), ANSWERS.values(), ids=ANSWERS)
def test_a_101_counts_if_it_answers_the_handshake(lines: Any, minor: int, fault: str) -> None:
    assert switch_fault(ResponseHead(101, b"", minor, lines), survey_response(lines), KEY) == fault
