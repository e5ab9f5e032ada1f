"""The argument for the express lane names its tests; each of them exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "express-lane.md").read_text()


def test_every_test_that_the_argument_names_exists() -> None:
    defined = {
        name
        for module in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", module.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    modules = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)

    assert len(named) > 20
    assert named - defined == set()
    assert [module for module in modules if not (ROOT / module).exists()] == []


def test_every_point_of_the_contract_is_named() -> None:
    text = (ROOT / "tests" / "wire" / "test_express.py").read_text()
    points = set(re.findall(r"def (test_contract_\w+)", text))

    assert {name.split("_")[2] for name in points} == set("1234567")
    assert points - set(re.findall(r"`(test_\w+)`", PAGE)) == set()
