"""Lines for programs. That they say what the fields say, whatever was sent, stands in tests/properties/test_log_lines.py."""

import json

from corsproxy import problems
from corsproxy.observe.shapes import format_json, format_logfmt, timestamp
from tests.unit.observe.exchanges import REFUSED, forwarded, record


def test_json_has_opentelemetry_names() -> None:
    entry = json.loads(format_json(record(decision=REFUSED, status=403, reason="origin-refused", problem=problems.ORIGIN_REFUSED)))

    assert entry == {
        "@timestamp": "2023-11-14T22:13:20.000Z",
        "event.dataset": "corsproxy.access",
        "http.request.method": "GET",
        "url.path": "/orders",
        "url.query": "page=2&token=REDACTED",
        "http.response.status_code": 403,
        "event.duration": 250_000_000,
        "client.address": "127.0.0.1",
        "corsproxy.origin": "https://evil.example",
        "corsproxy.kind": "actual",
        "corsproxy.reason": "origin-refused",
        "corsproxy.problem": "CP301",
        "error.type": "origin_refused",
    }


def test_an_answer_that_never_went_out_has_no_status() -> None:
    assert "http.response.status_code" not in json.loads(format_json(record(status=0)))


def test_every_field_at_once() -> None:
    assert format_logfmt(forwarded()).startswith(
        "time=2023-11-14T22:13:20.000Z event.dataset=corsproxy.access http.request.method=GET url.path=/orders "
    )
    assert ' error.message="it ended"' in format_logfmt(forwarded())


def test_times() -> None:
    assert timestamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1_700_000_000.9999) == "2023-11-14T22:13:20.999Z"
