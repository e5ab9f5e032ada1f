"""The catalogue's pages on a terminal."""

import re

import pytest

from corsproxy.cli.explain_code import page
from corsproxy.cli.main import main
from corsproxy.problems import DUPLICATE_KEY, ORIGIN_REFUSED, catalogue

DUPLICATE = """\
CP104: duplicate key (error)

YAML readers keep the last of two equal keys and forget the first, which hides
half of a policy.

What to do: Keep one of them.

See docs/errors.md#cp104
"""


@pytest.mark.parametrize("code", ["CP104", "cp104", "104", " Cp104"])
def test_a_code_is_explained_however_it_is_written(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain-code", code]) == 0
    assert capsys.readouterr() == (DUPLICATE, "")


def test_a_status_is_said_where_there_is_one() -> None:
    assert page(ORIGIN_REFUSED).startswith("CP301: origin not allowed (error, status 403)\n")
    assert page(DUPLICATE_KEY) == DUPLICATE


@pytest.mark.parametrize("code", catalogue())
def test_every_page_says_everything(code: str) -> None:
    problem = catalogue()[code]
    said = " ".join(page(problem).split())

    for text in (problem.code, problem.title, problem.why, problem.fix, problem.page):
        assert " ".join(text.split()) in said


def test_without_a_code_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain-code"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{code}  {problem.title}" for code, problem in catalogue().items()]


@pytest.mark.parametrize(
    ("code", "nearest"),
    [("CP150", "CP151"), ("1040", "CP104"), ("cp105x", "")],
)
def test_an_unknown_code_is_wrong_usage_with_the_nearest_ones(code: str, nearest: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain-code", code]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    offered = re.findall(r"(?:help: | {10})(CP\d+)  ", err)
    assert (offered[:1], len(offered)) == (([nearest], 3) if nearest else ([], 0))


def test_what_is_no_code_at_all_leads_to_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain-code", "\x1bx"]) == 2
    assert capsys.readouterr().err == (
        "error[CP151]: no problem has the code `\\x1bx`\n  = help: run `corsproxy explain-code` for the list of all\n"
    )
