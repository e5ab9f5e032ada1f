"""
Files with mistakes, and what a person reads about each.

`tests/configs/bad/NAME.yaml` is a file, `NAME.txt` beside it what is printed. To write the texts anew, after a look at what changes:
`CORSPROXY_UPDATE_GOLDEN=1 pytest tests/unit/config/test_corpus.py`. A file whose mistake the JSON Schema cannot see says so
in its first line: `# schema: cannot say`.
"""

import os
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from corsproxy.config import nodes
from corsproxy.config.jsonschema import json_schema
from corsproxy.config.load import load_text
from corsproxy.config.render import render
from corsproxy.problems import catalogue

CONFIGS = Path(__file__).parents[2] / "configs"
VALID = sorted((CONFIGS / "valid").glob("*.yaml"))
BAD = sorted((CONFIGS / "bad").glob("*.yaml"))
CANNOT_SAY = "# schema: cannot say\n"
# The file cannot be opened; the flags do not fit; a certificate is in another file: none of it is the content of a file.
NOT_OF_A_FILE = {"CP101", "CP115", "CP258"}

VALIDATOR = Draft7Validator(json_schema())
each_valid = pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
each_bad = pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)


def complaints(text: str) -> list[str] | None:
    """What the schema has against a file; None if there is no YAML that it could judge."""
    try:
        root = nodes.read_value(text)
    except nodes.Unreadable:
        return None
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(nodes.json_of(root))]


def verdict(path: Path) -> str:
    text = path.read_text()
    if load_text(text, path.name).settings is not None:
        return "loads"
    found = complaints(text)
    return "is no YAML" if found is None else "refused" if found else "not seen"


@each_valid
def test_a_valid_file_loads_and_pleases_the_schema(path: Path) -> None:
    loaded = load_text(path.read_text(), path.name)

    assert loaded.settings is not None, render(loaded.diagnostics)
    assert complaints(path.read_text()) == []


@each_bad
def test_a_file_with_a_mistake_is_answered_with_its_text(path: Path) -> None:
    said = render(load_text(path.read_text(), path.name).diagnostics)
    golden = path.with_suffix(".txt")
    if os.environ.get("CORSPROXY_UPDATE_GOLDEN") == "1":
        golden.write_text(said)

    assert golden.read_text() == said
    assert said


@each_bad
def test_the_schema_refuses_what_it_can_see_and_no_file_that_loads(path: Path) -> None:
    found = verdict(path)

    assert (found == "not seen") == path.read_text().startswith(CANNOT_SAY)
    if found == "loads":
        assert complaints(path.read_text()) == []


def test_the_schema_sees_most_mistakes() -> None:
    counts = Counter(map(verdict, BAD))

    assert counts["not seen"] == sum(path.read_text().startswith(CANNOT_SAY) for path in BAD)
    assert counts["refused"] > 2 * counts["not seen"], counts


def test_every_problem_of_a_file_has_an_example() -> None:
    shown = "".join(path.with_suffix(".txt").read_text() for path in BAD)
    codes = {code for code in catalogue() if "CP102" <= code <= "CP114" or code.startswith("CP2")} - NOT_OF_A_FILE

    assert [code for code in sorted(codes) if f"[{code}]" not in shown] == []


def test_every_text_belongs_to_a_file() -> None:
    assert {path.stem for path in (CONFIGS / "bad").iterdir()} == {path.stem for path in BAD}
