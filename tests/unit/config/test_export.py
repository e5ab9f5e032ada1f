"""Diagnostics for programs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy import problems
from corsproxy.config.diagnostics import Diagnostic, Source, Span, diagnostic
from corsproxy.config.export import to_github, to_json
from corsproxy.config.load import load_text

SOURCE = Source("my, file:1.yaml", ("a: 1", "a: 2"))
FOUND = diagnostic(problems.DUPLICATE_KEY, Span(SOURCE, 2, 1, 2, 2), "`a` is 100% there already\nor so", "take it out")


def test_json_holds_what_and_where() -> None:
    assert json.loads(to_json([FOUND])) == [
        {
            "code": "CP104",
            "severity": "error",
            "title": "duplicate key",
            "message": "`a` is 100% there already\nor so",
            "help": "take it out",
            "note": "",
            "file": "my, file:1.yaml",
            "line": 2,
            "column": 1,
            "end_line": 2,
            "end_column": 2,
            "url": "docs/errors.md#cp104",
        }
    ]


def test_json_says_null_where_there_is_no_place() -> None:
    (found,) = json.loads(to_json(load_text("", "f.yaml").diagnostics))

    assert (found["file"], found["line"], found["column"], found["end_line"], found["end_column"]) == ("f.yaml", None, None, None, None)


def test_a_value_of_a_flag_has_no_place_in_a_file() -> None:
    source = Source("flag --listen", ("x",), is_file=False)
    found = diagnostic(problems.BAD_ADDRESS, source.span(1, 2), "no")

    assert (found.line, found.end_line, found.end_column) == (0, 0, 0)
    assert to_github([found]) == "::error file=flag --listen,title=CP108::no\n"


def test_no_diagnostics_are_an_empty_list() -> None:
    assert to_json([]) == "[]\n"
    assert to_github([]) == ""


def test_an_annotation_is_escaped_as_github_reads_it() -> None:
    assert to_github([FOUND]) == (
        "::error file=my%2C file%3A1.yaml,line=2,endLine=2,col=1,endColumn=2,title=CP104::"
        "`a` is 100%25 there already%0Aor so%0A= help: take it out\n"
    )


def test_a_stretch_of_lines_has_no_columns() -> None:
    found = diagnostic(problems.YAML_TRAP, Span(SOURCE, 1, 3, 2, 2), "no")

    assert to_github([found]) == "::error file=my%2C file%3A1.yaml,line=1,endLine=2,title=CP111::no\n"


@pytest.mark.parametrize(
    ("problem", "level"), [(problems.NOT_YAML, "error"), (problems.DANGEROUS_SETTING, "warning"), (problems.MAX_AGE_CAPPED, "notice")]
)
def test_severities_have_githubs_names(problem: problems.Problem, level: str) -> None:
    assert to_github([Diagnostic(problem, "no", file="f")]).startswith(f"::{level} file=f,")


@given(st.text(), st.text(), st.text())
def test_no_text_can_begin_a_command_of_its_own(message: str, help_: str, file: str) -> None:
    written = to_github([Diagnostic(problems.NOT_YAML, message, help_, file=file)])

    assert written.endswith("\n")
    assert "\n" not in written[:-1]
    assert "\r" not in written
    assert written.split("::", 2)[1].count(":") == 0
