"""The common head in one walk: what is kept between responses. That it is right is for tests/properties/test_editor.py."""

import pytest

from corsproxy import edits
from corsproxy.answers import Context, Exchange
from corsproxy.config.settings import Route
from corsproxy.config.upstreams import Upstream
from corsproxy.cors import respond
from corsproxy.cors.decide import Facts, decide
from corsproxy.cors.policy import PolicyDraft, build_policy
from corsproxy.editor import Editor, status_line
from corsproxy.semantics.acts import MAX_ENTRIES
from corsproxy.semantics.fields import FieldLine, ResponseHead

POLICY, _ = build_policy(PolicyDraft(("https://app.example",), expose_headers=("X-B",)))
assert POLICY is not None
ROUTE = Route(b"/", Upstream("http://up", "up", 80, b"up"), POLICY)
DECISION = decide(POLICY, Facts(b"GET", (b"https://app.example",)))
CONTEXT = Context(b"GET", 1, persistent=True, route=ROUTE, cors=POLICY, decision=DECISION, exchange=Exchange(b"id-1"))
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def receive(*lines: FieldLine, status: int = 200, reason: bytes = b"OK") -> edits.Received:
    received = edits.receive(CONTEXT, ResponseHead(status, reason, 1, list(lines)))
    assert isinstance(received, edits.Received)
    return received


def test_a_head_is_what_came_and_what_the_decision_says() -> None:
    received = receive((b"server", b"s/1"), (b"Content-Length", b"5"), (b"Vary", b"Accept"), (b"Access-Control-Allow-Origin", b"*"))

    assert edits.render(CONTEXT, received, DATE, close=True) == (
        b"HTTP/1.1 200 OK\r\nserver: s/1\r\nContent-Length: 5\r\nX-Request-Id: id-1\r\nVary: Accept, Origin\r\n"
        b"Access-Control-Allow-Origin: https://app.example\r\nAccess-Control-Expose-Headers: X-B\r\n"
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\r\n"
    )


def test_what_a_decision_tells_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    right = receive((b"Content-Length", b"5")).before
    monkeypatch.setattr(respond, "grant_lines", None)

    assert receive((b"Content-Length", b"5")).before == right


def test_an_editor_is_for_one_route_one_policy_and_one_field_of_the_name() -> None:
    receive()
    kept = ROUTE.kept.by_edits
    assert isinstance(kept, Editor)
    receive()
    assert ROUTE.kept.by_edits is kept

    other = Context(
        b"GET", 1, persistent=True, route=ROUTE, cors=POLICY, decision=DECISION, exchange=Exchange(b"id-1", b"X-Correlation-Id")
    )
    received = edits.receive(other, ResponseHead(200, b"OK", 1, [(b"X-Request-Id", b"theirs")]))
    assert isinstance(received, edits.Received)
    assert b"\r\nX-Request-Id: theirs\r\nX-Correlation-Id: id-1\r\n" in received.before


@pytest.mark.parametrize(
    ("reason", "written"), [(b"OK", b"OK"), (b"", b""), (b"caf\xe9", b"caf\xe9"), (b"a\x00b", b""), (b"x" * 300, b"x" * 300)]
)
def test_a_reason_passes_if_it_is_one(reason: bytes, written: bytes) -> None:
    assert status_line(ResponseHead(200, reason, 1, [])) == b"HTTP/1.1 200 " + written
    assert receive(reason=reason).before.startswith(b"HTTP/1.1 200 " + written + b"\r\n")


def test_made_up_names_of_an_upstream_are_bounded() -> None:
    for number in range(2 * MAX_ENTRIES + 1):
        receive((b"x-%d" % number, b"1"), (b"Y" * 1000 + b"%d" % number, b"1"))
    names = ROUTE.kept.by_edits._names

    assert len(names.passed) + len(names.acts) <= MAX_ENTRIES
    assert max(map(len, names.passed)) < 100
