"""What the log says of an exchange, by which names, and within which bounds."""

import pytest

from corsproxy import problems
from corsproxy.observe.fields import MAX_PATH, MAX_TEXT, attributes, cut, host_of, target_of, text_of
from tests.unit.observe.exchanges import forwarded, record


def test_every_field() -> None:
    assert attributes(forwarded()) == {
        "http.request.method": "GET",
        "url.path": "/orders",
        "url.query": "page=2&token=REDACTED",
        "http.response.status_code": 200,
        "event.duration": 250_000_000,
        "http.request.id": "abcdefgh",
        "trace.id": "a" * 32,
        "span.id": "b" * 16,
        "client.address": "203.0.113.9",
        "user_agent.original": "curl/8",
        "server.address": "api.example.com",
        "url.scheme": "https",
        "network.protocol.version": "1.1",
        "corsproxy.origin": "https://app.example.com",
        "corsproxy.kind": "actual",
        "corsproxy.reason": "origin-allowed",
        "corsproxy.problem": "CP411",
        "error.type": "truncated",
        "error.message": "it ended",
        "corsproxy.upstream": "http://up:81",
        "corsproxy.retries": 1,
        "corsproxy.wait_duration": pytest.approx(1_000_000, abs=1),
        "corsproxy.connect_duration": pytest.approx(2_000_000, abs=1),
        "corsproxy.head_duration": pytest.approx(197_000_000, abs=1),
        "http.request.body.size": 3,
        "http.response.body.size": 7,
    }


def test_what_is_not_known_is_left_out() -> None:
    assert attributes(record(method=b"", target=b"", client="", status=0, ended=0.0, problem=problems.BAD_REQUEST)) == {
        "corsproxy.problem": "CP305",
        "error.type": "bad_request",
    }


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"/a/b", ("/a/b", "")),
        (b"/a?", ("/a", "")),
        (b"/a?b=c?d", ("/a", "b=c?d")),
        (b"/token/hunter2", ("/token/hunter2", "")),
        (b"/Bearer%20x", ("/Bearer%20x", "")),
        (b"http://me:hunter2@host:1/a?b", ("/a", "b")),
        (b"http://me:hunter2@host", ("/", "")),
        (b"me:hunter2@host:443", ("host:443", "")),
        (b"*", ("*", "")),
        (b"/a@b://c@d/e", ("/a@b://c@d/e", "")),
    ],
)
def test_targets(target: bytes, shown: tuple[str, str]) -> None:
    assert target_of(target) == shown


@pytest.mark.parametrize(
    ("authority", "host"),
    [(b"a.example", "a.example"), (b"a.example:80", "a.example"), (b"[::1]:80", "::1"), (b"[::1]", "::1"), (b"", ""), (b"a:b:c", "")],
)
def test_hosts(authority: bytes, host: str) -> None:
    assert host_of(authority) == host


def test_texts_are_bounded_also_when_they_are_escaped() -> None:
    assert cut("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert cut("x" * MAX_TEXT + "y") == "x" * (MAX_TEXT - 3) + "..."
    assert cut('"' * 10) == '"' * 10
    assert 20 < len(cut("\0" * MAX_TEXT)) <= MAX_TEXT // 6
    assert cut("\0" * MAX_TEXT).endswith("\0...")
    assert len(text_of(b"/" * 100_000, MAX_PATH)) == MAX_PATH


def test_bytes_are_read_as_utf_8_where_they_are() -> None:
    assert text_of("é".encode()) == "é"
    assert text_of(b"\xe9") == "\\xe9"
