"""Where diagnostics point, and how they are collected."""

import pytest

from corsproxy import problems
from corsproxy.config.diagnostics import Diagnostic, Interpolation, Report, Secrets, Source, Span, diagnostic
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


OPEN = Interpolation("${A}:${B}", ("environment variable A", "default of B"), "one:two")
SECRET = Interpolation("${file:/s}", ("file /s", "file /s"), "", is_secret=True)
FAULTY = Interpolation("${A}", is_faulty=True)


def at(column: int, interpolation: Interpolation) -> Span:
    return Span(SOURCE, 1, column, 1, column + 1, interpolation)


@pytest.mark.parametrize(
    ("interpolation", "note"),
    [
        (OPEN, "the value is `one:two` (environment variable A, default of B)"),
        (Interpolation("${A}", ("environment variable A",)), "the value is empty (environment variable A)"),
        (Interpolation("${A}", ("environment variable A",), "http://a:b@c"), "the value is `http://***@c` (environment variable A)"),
    ],
)
def test_a_value_from_outside_is_shown_with_its_source(interpolation: Interpolation, note: str) -> None:
    made = diagnostic(problems.BAD_ADDRESS, at(1, interpolation), "`one` is wrong", "write `two`")

    assert (made.message, made.help, made.note) == ("`one` is wrong", "write `two`", note)


@pytest.mark.parametrize(("span", "also"), [(at(1, SECRET), ()), (at(1, OPEN), (at(3, SECRET),)), (None, (at(3, SECRET),))])
def test_of_a_secret_only_the_kind_of_its_problem_is_said(span: Span | None, also: tuple[Span, ...]) -> None:
    made = diagnostic(problems.BAD_ADDRESS, span, "`hunter2` is wrong, or 2 hunters", "write `HUNTER2`", also=also)

    assert (made.message, made.help, made.note) == (
        "the secret from file /s: not an address or URL",
        "look at it where it comes from: what it holds is never shown",
        "",
    )


def test_a_message_from_two_places_tells_both_values() -> None:
    other = Interpolation("${C}", ("environment variable C",), "three")
    report = Report(SOURCE)
    report.add(problems.BAD_ADDRESS, at(1, OPEN), "no", also=(at(3, other),))

    assert [each.note for each in report.in_order()] == [
        "the value is `one:two` (environment variable A, default of B); the value is `three` (environment variable C)"
    ]


def test_nothing_more_is_said_of_a_value_that_could_not_be_had() -> None:
    report = Report(SOURCE)
    report.add(problems.BAD_ADDRESS, at(1, FAULTY), "`${A}` is wrong")

    assert report.in_order() == ()


def test_a_secret_is_struck_out_of_what_is_said_elsewhere() -> None:
    report = Report(SOURCE)
    report.hide("hunter")
    report.hide(" Hunter2-and-more\n")
    report.hide("one")
    report.add(problems.BAD_ADDRESS, at(1, OPEN), "HUNTER2-AND-MORE, one, xhunterx", "write `hunter`")

    assert [(each.message, each.help) for each in report.in_order()] == [("***, one, x***x", "write `***`")]


def test_what_shows_in_the_place_of_a_secret_is_not_searched_for_others() -> None:
    secrets = Secrets()
    secrets.add("hunter2-and-more", "${file:/run/secrets/hunter}")
    secrets.add("hunter")

    assert secrets.strike("Hunter2-and-more, hunter") == "${file:/run/secrets/hunter}, ***"
    assert "hunter" not in repr(secrets)


def test_nothing_is_struck_where_there_is_no_secret() -> None:
    assert Secrets().strike("all of it") == "all of it"
