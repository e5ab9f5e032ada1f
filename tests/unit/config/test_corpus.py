"""
Files with mistakes, and what a person reads about each.

`tests/configs/bad/NAME.yaml` is a file, `NAME.txt` beside it what is printed. To write the texts anew, after a look at what changes:
`CORSPROXY_UPDATE_GOLDEN=1 pytest tests/unit/config/test_corpus.py`. A file whose mistake the JSON Schema cannot see says so
in its first line: `# schema: cannot say`.
"""

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from corsproxy.config import nodes
from corsproxy.config.jsonschema import json_schema
from corsproxy.config.load import Loaded, load_text
from corsproxy.config.render import render
from corsproxy.problems import Severity, catalogue
from corsproxy.startup import checked
from tests.certificates import Authority

CONFIGS = Path(__file__).parents[2] / "configs"
VALID = sorted((CONFIGS / "valid").glob("*.yaml"))
BAD = sorted((CONFIGS / "bad").glob("*.yaml"))
CANNOT_SAY = b"# schema: cannot say"
# The file cannot be opened; the flags do not fit; the day decides: none of it is the content of a file.
NOT_OF_A_FILE = {"CP101", "CP115", "CP258"}
# What `${…}` stands for, whatever machine the tests run on.
ENVIRON = {
    "EMPTY": "",
    "WORD": "many",
    "WRONG_URL": "localhost:9000",
    "ORIGINS": "https://a.example, https://b.example",
    "APP_ORIGIN": "https://app.example.com",
    "LEGACY_API_KEY": "wSeCrEt-0451",
    "TWO_LINES": "wSeCrEt-0451\nof two lines",
}

VALIDATOR = Draft7Validator(json_schema())
each_valid = pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
each_bad = pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)


@pytest.fixture(scope="session")
def beside(authority: Authority, certs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the files of `tls` are relative to."""
    directory = tmp_path_factory.mktemp("beside")
    locked = authority.issue("localhost", password=b"tests")
    named = {file.name: file for file in certs.iterdir()} | {"locked.pem": Path(locked.cert_file), "locked-key.pem": Path(locked.key_file)}
    for name, file in named.items():
        (directory / name).symlink_to(file)
    (directory / "notes.txt").write_text("ask Ann for the certificate\n")
    return directory


@pytest.fixture(autouse=True)
def _beside_certificates(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(beside)


def load(path: Path) -> Loaded:
    return checked(load_text(path.read_bytes(), path.name, environ=ENVIRON))


def complaints(path: Path) -> list[str] | None:
    """What the schema has against a file; None if there is no YAML that it could judge."""
    try:
        root = nodes.read_value(path.read_bytes().decode("utf-8-sig"))
    except (nodes.Unreadable, UnicodeDecodeError):
        return None
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(nodes.json_of(root))]


def verdict(path: Path) -> str:
    if load(path).settings is not None:
        return "loads"
    found = complaints(path)
    return "is no YAML" if found is None else "refused" if found else "not seen"


@each_valid
def test_a_valid_file_loads_and_pleases_the_schema(path: Path) -> None:
    loaded = load(path)

    assert loaded.settings is not None, render(loaded.diagnostics)
    assert complaints(path) == []


@each_valid
def test_a_valid_file_is_warned_of_what_it_asks_for_by_name_and_of_nothing_else(path: Path) -> None:
    asked_for = {"CP251": "dangerously_", "CP262": "passthrough"}

    said = {each.problem.code for each in load(path).diagnostics}
    assert said == {code for code, word in asked_for.items() if word in path.read_text()}


@each_bad
def test_a_file_with_a_mistake_is_answered_with_its_text(path: Path) -> None:
    said = render(load(path).diagnostics)
    golden = path.with_suffix(".txt")
    if os.environ.get("CORSPROXY_UPDATE_GOLDEN") == "1":
        golden.write_text(said)

    assert golden.read_text() == said
    assert said


@each_bad
def test_every_message_says_where_and_what_to_write(path: Path) -> None:
    for each in load(path).diagnostics:
        assert each.help or each.severity is Severity.NOTE, each.message
        assert "invalid value" not in each.message
        assert not each.help.endswith("."), each.help


@each_bad
def test_no_text_shows_a_secret(path: Path) -> None:
    assert "wsecret" not in path.with_suffix(".txt").read_text().lower()


@each_bad
def test_the_schema_refuses_what_it_can_see_and_no_file_that_loads(path: Path) -> None:
    found = verdict(path)

    assert (found == "not seen") == path.read_bytes().startswith(CANNOT_SAY)
    if found == "loads":
        assert complaints(path) == []


def test_the_schema_sees_most_mistakes() -> None:
    counts = Counter(map(verdict, BAD))

    assert len(BAD) > 300
    assert len(VALID) > 45
    assert counts["not seen"] == sum(path.read_bytes().startswith(CANNOT_SAY) for path in BAD)
    assert counts["refused"] > 2 * counts["not seen"], counts


def test_every_problem_of_a_file_has_an_example() -> None:
    shown = "".join(path.with_suffix(".txt").read_text() for path in BAD)
    codes = {code for code in catalogue() if re.match("CP1[0-4]|CP2", code)} - NOT_OF_A_FILE

    assert [code for code in sorted(codes) if f"[{code}]" not in shown] == []


def test_every_text_belongs_to_a_file() -> None:
    assert {path.stem for path in (CONFIGS / "bad").iterdir()} == {path.stem for path in BAD}
