"""Lines for programs: equal to the fields that they are made of, whole, and within bounds."""

import json
import select

from hypothesis import given, settings

from corsproxy import problems
from corsproxy.observe.fields import attributes
from corsproxy.observe.shapes import format_json, format_logfmt, timestamp
from corsproxy.record import ExchangeRecord
from tests.unit.observe.exchanges import REFUSED, forwarded, record, records

PIPE_BUF = max(4096, getattr(select, "PIPE_BUF", 0))


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


@given(records)
def test_json_says_what_the_fields_say(made: ExchangeRecord) -> None:
    line = format_json(made)

    assert json.loads(line) == {"@timestamp": timestamp(made.time), "event.dataset": "corsproxy.access", **attributes(made)}
    assert line.isascii()
    assert line.isprintable()


@given(records)
@settings(max_examples=300)
def test_a_line_goes_into_a_pipe_at_once(made: ExchangeRecord) -> None:
    assert len(format_json(made)) < PIPE_BUF


@given(records)
def test_logfmt_can_be_taken_apart(made: ExchangeRecord) -> None:
    line = format_logfmt(made)
    fields: dict[str, object] = {}
    while line:
        name, _, line = line.partition("=")
        if line.startswith('"'):
            fields[name], end = json.JSONDecoder().raw_decode(line)
            line = line[end:].removeprefix(" ")
        else:
            fields[name], _, line = line.partition(" ")

    assert fields == {
        "time": timestamp(made.time),
        "event.dataset": "corsproxy.access",
        **{name: str(value) for name, value in attributes(made).items()},
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
