"""The prose of the reference page speaks of what exists. Its tables are made by `tools/sync`; `test_sync` holds them to the program."""

import re
from pathlib import Path

from corsproxy.cli.environment import CONFIG
from corsproxy.cli.loading import add_source_arguments
from corsproxy.cli.parser import Parser, flags_of
from corsproxy.config.schema import ENVIRONMENT
from corsproxy.problems import catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def test_every_variable_is_listed_and_no_other() -> None:
    assert re.findall(r"^(CORSPROXY_\w+)  +\S", PAGE, re.MULTILINE) == [CONFIG, *ENVIRONMENT]


def test_every_flag_that_wins_over_the_file_is_explained() -> None:
    parser = Parser(add_help=False)
    add_source_arguments(parser)

    assert [flag for flag in flags_of(parser) if f"`{flag}" not in PAGE] == []


def test_every_code_that_is_named_exists() -> None:
    assert set(re.findall(r"CP\d{3}", PAGE)) <= catalogue().keys()
    assert re.findall(r"\[(CP\d{3})\](?!\(errors\.md#cp\d{3}\))", PAGE) == []


def test_every_danger_of_a_policy_is_named() -> None:
    judged = [code for code in catalogue() if code.startswith("CP2")]

    assert [code for code in judged if code not in PAGE] == []


def test_links_inside_the_page_lead_to_headings() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", heading.lstrip("# ").lower()).replace(" ", "-") for heading in re.findall(r"^##+ .+$", PAGE, re.MULTILINE)
    }

    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors
