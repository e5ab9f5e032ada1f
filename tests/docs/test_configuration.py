"""The reference page names every key, every variable and every flag, with the kind and the default of the table."""

import re
from pathlib import Path

import pytest

from corsproxy.cli.environment import CONFIG
from corsproxy.cli.main import _demo_parser, _dev_cert_parser, _run_parser
from corsproxy.config.schema import CORS, ENVIRONMENT, FILE, KEYS, LIMITS, LOG, POOL, ROUTE, TIMEOUTS, TLS, UPSTREAM, UPSTREAM_TLS, Key
from corsproxy.problems import catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
HEADINGS = {
    FILE: "## Top level",
    UPSTREAM: "## `upstream`",
    POOL: "### `upstream.pool`",
    TLS: "## `tls`",
    UPSTREAM_TLS: "### `upstream.tls`",
    TIMEOUTS: "## `timeouts`",
    CORS: "## `cors`",
    LIMITS: "## `limits`",
    ROUTE: "## `routes`",
    LOG: "## `log`",
}
SECTIONS = dict(re.findall(r"^(##+ [^\n]+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.section}.{key.name}")
def test_every_key_has_a_row_with_its_kind_and_default(key: Key) -> None:
    rows = [line for line in SECTIONS[HEADINGS[key.section]].splitlines() if line.startswith(f"| `{key.name}` |")]

    assert len(rows) == 1
    _, kind, default, doc = re.split(r" *\| *", rows[0])[1:-1]
    assert kind == key.kind
    assert doc
    if key.default:
        assert default == f"`{key.default}`"
    elif key.is_required:
        assert default == "required"


def test_no_row_is_about_a_key_that_does_not_exist() -> None:
    for section, heading in HEADINGS.items():
        rows = re.findall(r"^\| `(\w+)` \|", SECTIONS[heading], re.MULTILINE)
        assert rows == [key.name for key in KEYS if key.section == section]


def test_every_variable_is_listed_and_no_other() -> None:
    assert re.findall(r"^(CORSPROXY_\w+)$", PAGE, re.MULTILINE) == [CONFIG, *ENVIRONMENT]


def test_every_flag_is_explained() -> None:
    flags = {
        flag
        for parser in (_run_parser(), _demo_parser(), _dev_cert_parser())
        for action in parser._actions
        for flag in action.option_strings
    }

    assert [flag for flag in flags if f"`{flag}" not in PAGE] == []


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
