"""An index: which rules of the protocol are claimed by which tests."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

# What a rule says stands behind its number in each docstring. 37, 38, 42 and 44 to 46 come with the features that they are about.
BUILT = [*range(1, 37), 39, 40, 41, 43, 47, 48]


def claims() -> dict[int, set[str]]:
    """Find `Rule 13: …` in the docstrings of tests."""
    found: dict[int, set[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for number in re.findall(r"\b[Rr]ule (\d+)\b", ast.get_docstring(node) or ""):
                    found.setdefault(int(number), set()).add(f"{path.name}::{node.name}")
    return found


CLAIMS = claims()


@pytest.mark.parametrize("rule", BUILT)
def test_each_rule_is_claimed_by_a_test(rule: int) -> None:
    assert CLAIMS.get(rule)


def test_no_test_claims_a_rule_that_does_not_exist() -> None:
    assert set(CLAIMS) <= set(range(1, 49))
