"""Log lines: what they say, and what they never say."""

import asyncio
import io
import json
import logging
from collections.abc import Mapping

import pytest

from corsproxy import problems
from corsproxy.config.choices import LogFormat, LogLevel
from corsproxy.config.export import to_json
from corsproxy.config.load import load_text
from corsproxy.config.render import render
from corsproxy.config.settings import LogSettings
from corsproxy.observe import folding
from corsproxy.observe import log as module
from corsproxy.observe.details import details
from corsproxy.observe.log import AccessLog, EventFormatter, resolve_format
from corsproxy.record import ExchangeRecord
from tests.harness import until


def record(**changes: object) -> ExchangeRecord:
    made = ExchangeRecord(1_700_000_000.0, 10.0, b"GET", b"/orders?token=secret", "127.0.0.1", status=200, ended=10.25)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


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

    assert [line.split()[4] for line in stream.getvalue().splitlines()] == ["/1", "/2"]


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


async def test_many_lines_wait_for_no_timer() -> None:
    stream = io.StringIO()
    log = AccessLog(LogSettings(format=LogFormat.JSON), stream)
    for _ in range(3 * module._MAX_LINES):
        log.add(record())

    assert stream.getvalue().count("\n") == 3 * module._MAX_LINES


def test_an_event_on_a_terminal_has_the_colour_of_its_level() -> None:
    event = event_of(logging.WARNING, "CP512 later", details(problems.NEEDS_RESTART))

    assert EventFormatter(LogFormat.TEXT, colour=True).format(event) == "\x1b[1;33mwarning[CP512]\x1b[0m: later"


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


REFUSAL = {"status": 403, "problem": problems.ORIGIN_REFUSED, "reason": "origin-refused"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def refusals(log: AccessLog, count: int) -> None:
    for _ in range(count):
        log.add(record(**REFUSAL))


async def test_refusals_that_repeat_are_counted_and_the_end_says_how_many() -> None:
    stream = io.StringIO()
    log = AccessLog(LogSettings(format=LogFormat.JSON), stream)
    refusals(log, 1000)
    log.add(record())
    log.close()
    log.close()

    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(entry["http.response.status_code"], entry.get("corsproxy.folded")) for entry in entries] == [
        (403, None),
        (200, None),
        (403, 999),
    ]


async def test_the_count_is_written_when_its_minute_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the wall runs on; the loop's timer is what is waited for."""
    monkeypatch.setattr(folding, "WINDOW_S", 0.0)
    monkeypatch.setattr(module, "_FOLD_PAUSE_S", 0.0)
    stream = io.StringIO()
    log = AccessLog(LogSettings(format=LogFormat.LOGFMT), stream)
    refusals(log, 3)
    log.flush()
    await until(lambda: "corsproxy.folded=2" in stream.getvalue())
    log.close()


async def test_who_looks_for_a_fault_sees_each_refusal() -> None:
    stream = io.StringIO()
    log = AccessLog(LogSettings(format=LogFormat.JSON, level=LogLevel.DEBUG), stream)
    refusals(log, 50)
    log.close()

    assert stream.getvalue().count("\n") == 50


async def test_a_person_who_tries_things_out_sees_the_first_few() -> None:
    stream = Terminal()
    log = AccessLog(LogSettings(), stream)
    refusals(log, 30)
    log.close()

    assert stream.getvalue().count("403") == 21
    assert "10 more since" in stream.getvalue()
