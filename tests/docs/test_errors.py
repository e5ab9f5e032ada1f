"""The page of problems is what the catalogue says, and the catalogue holds what the program can say."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from corsproxy import problems
from corsproxy.problems import Problem

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text()


def test_every_code_has_a_place_to_link_to() -> None:
    assert re.findall(r"^### (CP\d+)$", PAGE, re.MULTILINE) == list(problems.catalogue())


def names_used(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "problems":
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module == "corsproxy.problems":
            yield from (alias.name for alias in node.names)


def test_every_problem_can_be_met() -> None:
    used = {name for path in (ROOT / "corsproxy").rglob("*.py") for name in names_used(path)}
    unused = {value.code for name, value in vars(problems).items() if isinstance(value, Problem) and name not in used}

    assert unused == set()
