"""How rows of the table become lines of the example. What the whole file must be is tested in tests/docs."""

import re
from dataclasses import replace

import pytest

from corsproxy.config.example import example, short
from corsproxy.config.schema import FILE, ROUTE, SECTIONS, Key, Kind

LINES = example().splitlines()


def test_editors_find_the_schema_in_the_first_line() -> None:
    assert LINES[0] == "# yaml-language-server: $schema=./corsproxy.schema.json     (corsproxy schema > corsproxy.schema.json)"


def test_a_key_stands_commented_out_with_its_default_and_its_comment() -> None:
    assert "# via: true                         # false: no Via on requests; loops are then not found" in LINES
    assert "#   connect: 5s                     # DNS, TCP and TLS" in LINES


def test_a_key_inside_of_a_live_block_is_commented_out_where_it_stands() -> None:
    assert "  # retries: 1                      # only where nothing was sent, or where sending twice does no harm; 0 = never" in LINES
    assert "  #   wait: 5s                      # for a free connection when all are in use, then 503" in LINES


def test_what_every_user_wants_is_live() -> None:
    live = [line.split("#")[0].rstrip() for line in LINES if line and not re.match(r" *#", line)]

    assert live == ["upstream:", "  url: http://localhost:9000", "cors:", "  allow_origins:", "    - https://app.example.com"]


def test_a_row_without_a_comment_gets_the_first_sentence_about_it() -> None:
    assert short(Key(FILE, "a", Kind.COUNT, "How many there are. Not fewer.")) == "how many there are"
    assert short(Key(FILE, "a", Kind.COUNT, "`auto` is all.")) == "`auto` is all"
    assert short(Key(FILE, "a", Kind.COUNT, "How many there are.", comment="so many")) == "so many"
    assert short(Key(FILE, "a", Kind.COUNT, "How many there are.", lead="Prose above it.")) == ""


def test_a_row_for_routes_that_no_example_shows_gets_a_route_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """So adding a key is adding a row, whoever writes the examples."""
    rows = {
        **SECTIONS[ROUTE],
        "new_key": Key(ROUTE, "new_key", Kind.BOOLEAN, "Whether it is new.", default="false"),
        "new_timeouts": replace(SECTIONS[ROUTE]["timeouts"], name="new_timeouts"),
    }
    monkeypatch.setitem(SECTIONS, ROUTE, rows)

    text = example()

    assert "#   - path: /new-key\n#     new_key: false                # whether it is new\n" in text
    assert "#     new_timeouts: {connect: 5s}" in text


def test_a_row_that_a_block_of_another_key_shows_is_not_shown_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECTIONS[FILE], "via", replace(SECTIONS[FILE]["via"], is_shown_elsewhere=True))

    assert "via:" not in example()
    assert "via:" in "\n".join(LINES)
