"""The page of the command line names every verb, flag and exit code, and no other."""

import re
from pathlib import Path

import pytest

from corsproxy.cli import exits
from corsproxy.cli.loading import add_source_arguments
from corsproxy.cli.main import DEFAULT, VERBS, Verb, main, verb_parser
from corsproxy.cli.parser import Parser, flags_of
from corsproxy.cli.review import review
from corsproxy.config.load import load_text
from corsproxy.problems import catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
POLICY = "The policy's flags"
HELP = {"-h", "--help"}

each_verb = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)


def words_of(parser: Parser) -> set[str]:
    """The flags of a parser and the names of its other arguments."""
    names = {str(action.metavar) for action in parser._actions if not action.option_strings}
    return ({*flags_of(parser)} - HELP) | names


def words_in(section: str) -> set[str]:
    """What the first column of a section's tables names."""
    cells = re.findall(r"^\| (`[^|]*`) \|", SECTIONS[section], re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`([\w-]+)[^`]*`", cell)}


def policy_words() -> set[str]:
    parser = Parser()
    add_source_arguments(parser)
    return words_of(parser)


def test_every_verb_has_a_section_and_a_row_and_no_other_has() -> None:
    names = [verb.name for verb in VERBS]

    assert re.findall(r"^## `corsproxy ([\w-]+)`$", PAGE, re.MULTILINE) == names
    assert re.findall(r"^\| \[`([\w-]+)`\]\(#corsproxy-\1\) \|", PAGE, re.MULTILINE) == names


@each_verb
def test_a_section_names_every_flag_of_its_verb_and_no_other(verb: Verb) -> None:
    section = f"`corsproxy {verb.name}`"
    takes_a_policy = "(#the-policys-flags)" in SECTIONS[section]

    assert words_in(section) | (policy_words() if takes_a_policy else set()) == words_of(verb_parser(verb.name))


@each_verb
def test_a_section_names_the_aliases_of_its_verb(verb: Verb) -> None:
    assert [alias for alias in verb.aliases if f"`corsproxy {alias}`" not in SECTIONS[f"`corsproxy {verb.name}`"]] == []


def test_the_flags_of_a_policy_are_named_once() -> None:
    assert words_in(POLICY) == policy_words()


def test_every_flag_with_a_value_shows_it() -> None:
    for action in verb_parser(DEFAULT)._actions:
        if action.metavar:
            assert [flag for flag in action.option_strings if f"`{flag} {action.metavar}`" not in SECTIONS[POLICY]] == []


def test_every_exit_code_is_named_and_those_of_signals() -> None:
    known = {value for name, value in vars(exits).items() if name.startswith("EXIT_")}

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", SECTIONS["Exit codes"], re.MULTILINE)} == known | {128 + 15}


def test_the_choices_of_a_format_are_named() -> None:
    (action,) = (each for each in verb_parser("check")._actions if "--format" in each.option_strings)

    assert [choice for choice in action.choices or () if f"**`{choice}`**" not in PAGE] == []


def test_the_review_that_it_shows_is_what_check_says() -> None:
    text = "upstream: http://localhost:9000\ncors: {allow_origins: [https://app.example.com], allow_credentials: true}\n"
    settings = load_text(text, "corsproxy.yaml").settings
    assert settings is not None

    assert f"```text\n$ corsproxy check corsproxy.yaml\ncorsproxy.yaml: no problems\n\n{review(settings)}```" in PAGE


def test_the_comparison_that_it_shows_is_what_diff_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = SECTIONS["`corsproxy diff`"]
    for name, text in zip(("old.yaml", "new.yaml"), re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL), strict=True):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    assert main(["diff", "old.yaml", "new.yaml"]) == 0
    assert f"```text\n$ corsproxy diff old.yaml new.yaml\n{capsys.readouterr().out}```" in section


def test_every_code_that_is_named_exists() -> None:
    assert set(re.findall(r"CP\d{3}", PAGE)) <= catalogue().keys()
