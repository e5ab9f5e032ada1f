"""The catalogue of problems: complete, stable, and fit for those who read it."""

import re
from dataclasses import replace
from http import HTTPStatus

import pytest

from corsproxy import problems
from corsproxy.problems import Problem, Severity, Stage, catalogue

EVERY = pytest.mark.parametrize("problem", [pytest.param(problem, id=code) for code, problem in catalogue().items()])


def test_the_catalogue_holds_every_problem_of_the_module_by_its_code_in_order() -> None:
    found = catalogue()
    declared = [value for value in vars(problems).values() if isinstance(value, Problem)]

    assert list(found) == sorted(found)
    assert {code: problem.code for code, problem in found.items()} == {code: code for code in found}
    assert len(found) == len(declared)


def test_two_problems_with_one_code_are_a_mistake() -> None:
    other = replace(problems.NO_ROUTE, title="another")

    with pytest.raises(ValueError, match="two problems share the code CP304"):
        problems._by_code([problems.NO_ROUTE, other])


@EVERY
def test_a_problem_says_what_why_and_what_to_do(problem: Problem) -> None:
    assert re.fullmatch(r"CP[1-5]\d\d", problem.code)
    assert problem.title
    assert not problem.title.endswith(".")
    assert problem.why.endswith(".")
    assert problem.fix.endswith(".")


@EVERY
def test_a_problem_that_becomes_an_answer_has_a_status_and_a_detail_and_any_other_has_neither(problem: Problem) -> None:
    assert bool(problem.status) == bool(problem.detail)
    if problem.status:
        assert 400 <= HTTPStatus(problem.status) <= 599
        assert problem.severity is Severity.ERROR
        assert problem.detail.endswith(".")


@EVERY
def test_a_problems_detail_is_for_strangers(problem: Problem) -> None:
    """What a client reads names no key of the file, no address and nothing that varies."""
    assert not re.search(r"[`{}%/]", problem.detail)


@EVERY
def test_a_problems_stage_tells_whose_side_it_is_on(problem: Problem) -> None:
    by_block = {"CP4": {Stage.UPSTREAM, Stage.PROXY}, "CP3": {Stage.CLIENT, Stage.PROXY}}
    if problem.status:
        assert problem.stage in by_block.get(problem.code[:3], {Stage.PROXY})
    if problem.status in (502, 504):
        assert problem.stage is Stage.UPSTREAM


# What ends an exchange after its answer has begun, or without one.
SILENT = (problems.TUNNEL_CUT, problems.TUNNEL_IDLE, problems.CLIENT_GONE, problems.CLIENT_STALLED)


def test_whatever_ends_an_exchange_has_a_word_of_its_own() -> None:
    ending = [problem for problem in catalogue().values() if problem.status or problem in SILENT]

    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", problem.word) for problem in ending)
    assert len({problem.word for problem in ending}) == len(ending)
    assert [problem.code for problem in catalogue().values() if problem.word and problem not in ending] == []


def test_the_urn_carries_the_code() -> None:
    assert problems.NO_ROUTE.urn == "urn:corsproxy:problem:CP304"
