"""Where diagnostics point, and how they are collected."""

import pytest

from corsproxy import problems
from corsproxy.config.diagnostics import Diagnostic, Report, Source, Span, diagnostic
from corsproxy.problems import Fault

SOURCE = Source("f", ("one", "two: https://me:secret@host", "three"))


def span(line: int, column: int) -> Span:
    return Span(SOURCE, line, column, line, column + 1)


def test_a_report_is_in_the_order_of_the_file_and_says_nothing_twice() -> None:
    report = Report(SOURCE)
    report.add(problems.MISSING_KEY, span(3, 1), "third")
    report.add(problems.MISSING_KEY, span(1, 2), "second")
    report.add(problems.MISSING_KEY, span(1, 1), "first")
    report.add(problems.MISSING_KEY, span(1, 1), "first")
    report.add_fault(Fault(problems.MISSING_KEY, (), "about the whole"), None)

    assert [each.message for each in report.in_order()] == ["about the whole", "first", "second", "third"]


def test_only_errors_are_errors() -> None:
    report = Report(SOURCE)
    report.add(problems.DANGEROUS_SETTING, None, "a warning")
    assert not report.has_errors

    report.add(problems.UNKNOWN_KEY, None, "an error")
    assert report.has_errors


def test_a_diagnostic_carries_its_source_and_shows_no_password() -> None:
    made = diagnostic(problems.BAD_ADDRESS, span(2, 6), "`https://me:secret@host` is wrong", "write `me:secret@host`")

    assert made == Diagnostic(
        problems.BAD_ADDRESS,
        "`https://*********@host` is wrong",
        "write `*********@host`",
        span(2, 6),
        "f",
        "two: https://*********@host",
    )
    assert (made.line, made.column) == (2, 6)


def test_a_flag_has_no_line() -> None:
    flag = Source("flag --listen", ("8080",), is_file=False)
    made = diagnostic(problems.BAD_ADDRESS, flag.span(1, 5), "no")

    assert (made.file, made.line, made.column, made.source_line) == ("flag --listen", 0, 0, "8080")


@pytest.mark.parametrize("number", [-1, 0, 4])
def test_a_line_that_is_not_there_is_empty(number: int) -> None:
    assert SOURCE.line(number) == ""
