"""Log lines: what they say, and what they never say."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Mapping

import pytest

from corsproxy import problems
from corsproxy.config.choices import LogFormat
from corsproxy.config.export import to_json
from corsproxy.config.load import load_text
from corsproxy.config.render import render
from corsproxy.config.settings import LogSettings
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.observe.details import details
from corsproxy.observe.log import AccessLog, EventFormatter, format_json, format_logfmt, format_text, resolve_format
from corsproxy.record import ExchangeRecord


def record(**changes: object) -> ExchangeRecord:
    made = ExchangeRecord(1_700_000_000.0, 10.0, b"GET", b"/orders?token=secret", "127.0.0.1", status=200, ended=10.25)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


REFUSED = Decision(Kind.ACTUAL, Reason.ORIGIN_REFUSED, refused=True, origin=b"https://evil.example")


def test_json_has_opentelemetry_names() -> None:
    entry = json.loads(format_json(record(decision=REFUSED, status=403, reason="origin-refused", problem=problems.ORIGIN_REFUSED)))

    assert entry == {
        "@timestamp": "2023-11-14T22:13:20.000Z",
        "event.kind": "access",
        "http.request.method": "GET",
        "url.path": "/orders",
        "http.response.status_code": 403,
        "client.address": "127.0.0.1",
        "corsproxy.origin": "https://evil.example",
        "corsproxy.kind": "actual",
        "corsproxy.reason": "origin-refused",
        "corsproxy.problem": "CP301",
        "error.type": "origin_refused",
        "event.duration": 250_000_000,
    }


@pytest.mark.parametrize("shape", [format_json, format_logfmt, format_text])
def test_no_line_has_a_query(shape: Callable[[ExchangeRecord], str]) -> None:
    assert "secret" not in shape(record())


@pytest.mark.parametrize("shape", [format_json, format_logfmt, format_text])
@pytest.mark.parametrize("sent", [b"/\x1b[2J", b"/a\nb", b"/\xe2\x80\xae", b'/"quoted" = x'])
def test_nothing_that_was_sent_can_forge_a_line(shape: Callable[[ExchangeRecord], str], sent: bytes) -> None:
    line = shape(record(target=sent))

    assert line.isprintable()


def test_text_names_code_title_and_cause() -> None:
    line = format_text(record(status=502, problem=problems.UPSTREAM_REFUSED, failure="connecting to 127.0.0.1:9: Connection refused"))

    assert line.endswith(
        "502 GET     /orders 250.0ms  CP401 upstream refused the connection: connecting to 127.0.0.1:9: Connection refused"
    )


def test_text_says_nothing_of_cors_where_there_is_none() -> None:
    assert format_text(record(decision=Decision(Kind.NOT_CORS, Reason.NO_ORIGIN))).endswith("200 GET     /orders 250.0ms")


def test_an_answer_that_never_went_out_has_no_status() -> None:
    assert "--- GET" in format_text(record(status=0, problem=problems.CLIENT_GONE))
    assert "http.response.status_code" not in json.loads(format_json(record(status=0)))


def test_logfmt_quotes_what_has_spaces() -> None:
    line = format_logfmt(record(failure="two words"))

    assert ' error.message="two words"' in line
    assert " url.path=/orders " in line


def test_auto_is_json_where_nobody_watches() -> None:
    assert resolve_format(LogSettings(), io.StringIO()) is LogFormat.JSON
    assert resolve_format(LogSettings(format=LogFormat.TEXT), io.StringIO()) is LogFormat.TEXT


async def test_lines_are_written_in_batches_and_in_order() -> None:
    stream = io.StringIO()
    log = AccessLog(LogSettings(format=LogFormat.TEXT), stream)
    for path in (b"/1", b"/2"):
        log.add(record(target=path))
    assert stream.getvalue() == ""

    log.flush()

    assert [line.split()[3] for line in stream.getvalue().splitlines()] == ["/1", "/2"]


async def test_lines_come_out_by_themselves() -> None:
    stream = io.StringIO()
    AccessLog(LogSettings(format=LogFormat.TEXT), stream).add(record())

    written = asyncio.Event()
    asyncio.get_running_loop().call_later(0.06, written.set)  # the log's own timer is older and shorter
    await written.wait()
    assert stream.getvalue()


async def test_a_closed_stdout_costs_lines_and_not_the_proxy() -> None:
    stream = io.StringIO()
    log = AccessLog(LogSettings(format=LogFormat.JSON), stream)
    stream.close()
    log.add(record())

    log.flush()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (LogFormat.TEXT, "warning: the 1st"),
        (LogFormat.JSON, '"log.level":"warning","message":"the 1st"'),
        (LogFormat.LOGFMT, 'log.level=warning message="the 1st"'),
    ],
)
def test_events_have_the_same_shapes(shape: LogFormat, expected: str) -> None:
    event = logging.LogRecord("corsproxy", logging.WARNING, "", 0, "the %s", ("1st",), None)

    assert expected in EventFormatter(shape).format(event)


def test_an_event_carries_its_traceback() -> None:
    boom = ValueError("boom")
    event = logging.LogRecord("corsproxy", logging.ERROR, "", 0, "internal error", (), (ValueError, boom, None))

    assert "ValueError: boom" in EventFormatter(LogFormat.TEXT).format(event)


def test_json_says_which_upstream_and_how_long_each_part_took() -> None:
    entry = json.loads(format_json(record(upstream="http://up:81", connected=10.001, head=10.2)))

    assert (entry["corsproxy.upstream"], entry["corsproxy.connect_duration"], entry["corsproxy.head_duration"]) == (
        "http://up:81",
        1_000_000,
        200_000_000,
    )


FOUND = load_text(
    "upstream: http://localhost:9000\ncors: {allow_orgins: [https://a.example], max_age: 9h}\nlistn: 127.0.0.1:1\n", "f.yaml"
).diagnostics


def event_of(level: int, message: str, extra: Mapping[str, object]) -> logging.LogRecord:
    return logging.getLogger("corsproxy").makeRecord("corsproxy", level, "", 0, message, (), None, extra=dict(extra))


def test_a_problem_and_its_diagnostics_are_read_by_people_as_check_shows_them() -> None:
    event = event_of(logging.ERROR, "CP511 refused", details(problems.RELOAD_REFUSED, FOUND))

    assert EventFormatter(LogFormat.TEXT).format(event) == "error[CP511]: refused\n" + render(FOUND).rstrip()


def test_a_note_is_called_one() -> None:
    assert EventFormatter(LogFormat.TEXT).format(event_of(logging.INFO, "CP534 lost", details(problems.ORIGIN_LOST))) == (
        f"note[{problems.ORIGIN_LOST.code}]: CP534 lost".replace(f"{problems.ORIGIN_LOST.code} ", "")
    )


def test_programs_get_problem_and_diagnostics_as_fields() -> None:
    event = event_of(logging.ERROR, "CP511 refused", details(problems.RELOAD_REFUSED, FOUND))
    entry = json.loads(EventFormatter(LogFormat.JSON).format(event))

    assert (entry["message"], entry["corsproxy.problem"]) == ("CP511 refused", "CP511")
    assert entry["corsproxy.diagnostics"] == json.loads(to_json(FOUND))


def test_logfmt_holds_each_diagnostic_in_one_line() -> None:
    line = EventFormatter(LogFormat.LOGFMT).format(event_of(logging.ERROR, "CP511 refused", details(problems.RELOAD_REFUSED, FOUND)))

    assert line.startswith("time=2")
    assert line.endswith(
        ' message="CP511 refused" corsproxy.problem=CP511 corsproxy.diagnostics="f.yaml:2:8: error[CP103]: `allow_orgins` is not a key of'
        " `cors` = help: did you mean `allow_origins`?; f.yaml:2:52: note[CP252]: Chromium caps `max_age` at 2h, Safari at 10m;"
        ' f.yaml:3:1: error[CP103]: `listn` is not a key of the file = help: did you mean `listen`?"'
    )


def test_the_lines_of_an_event_stand_below_it_or_in_a_list() -> None:
    event = event_of(logging.INFO, "listening", details(lines=["/a to b", "/ to c"], name="corsproxy.routes"))

    assert EventFormatter(LogFormat.TEXT).format(event) == "listening\n  /a to b\n  / to c"
    assert json.loads(EventFormatter(LogFormat.JSON).format(event))["corsproxy.routes"] == ["/a to b", "/ to c"]
    assert EventFormatter(LogFormat.LOGFMT).format(event).endswith(' message=listening corsproxy.routes="/a to b; / to c"')


def test_text_names_the_client_unless_it_is_on_this_machine() -> None:
    assert " 250.0ms by 203.0.113.9" in format_text(record(client="203.0.113.9"))
    assert [format_text(record(client=client)).endswith(" 250.0ms") for client in ("127.0.0.1", "::1", "")] == [True, True, True]


def test_text_names_a_request_that_failed_as_its_error_body_does() -> None:
    assert format_text(record(status=403, problem=problems.ORIGIN_REFUSED, request_id="abcdefgh")).endswith(
        " CP301 origin not allowed (id abcdefgh)"
    )
    assert "abcdefgh" not in format_text(record(request_id="abcdefgh"))
