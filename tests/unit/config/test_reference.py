"""The tables of the reference page."""

import pytest

from corsproxy.config.reference import Unmarked, fill
from corsproxy.config.schema import SECTIONS

MARKED = {section: f"<!-- generated: keys {section or 'FILE'} -->\nSTALE\n<!-- end -->\n" for section in SECTIONS}


def page(*sections: str) -> str:
    return "".join(f"## `{section or 'Top level'}`\nprose\n\n{MARKED[section]}" for section in sections)


def test_what_stands_between_the_marks_is_made_anew_and_the_rest_stays() -> None:
    made = fill("before\n" + page(*SECTIONS) + "after\n", {})

    assert made.startswith("before\n## `Top level`\nprose\n\n<!-- generated: keys FILE -->\n\n| key | takes |")
    assert made.endswith("<!-- end -->\nafter\n")
    assert "STALE" not in made
    assert fill(made, {}) == made


def test_a_row_says_kind_default_meaning_and_precedent() -> None:
    rows = fill(page(*SECTIONS), {}).splitlines()

    assert "| `connect` | a duration | `5s` | Until the connection stands: DNS, TCP and TLS. (Envoy `connect_timeout` 5 s) |" in rows
    assert [row for row in rows if row.startswith("| `path` | a path | required | ")]
    assert [row for row in rows if row.startswith("| `format` | `auto`, `text`, `json` or `logfmt` | `auto` | ")]
    assert [row for row in rows if row.startswith("| `timeouts` | a mapping | the file's | ")]


def test_marks_tell_what_needs_a_restart_and_what_is_dangerous() -> None:
    rows = {row.split("`")[1]: row for row in fill(page(*SECTIONS), {}).splitlines() if row.startswith("| `")}

    assert "*Needs a restart.*" in rows["listen"]
    assert "**Dangerous**" in rows["dangerously_allow_null_origin"]
    assert "*Needs a restart.*" not in rows["allow_origins"]
    assert "**Dangerous**" not in rows["allow_origins"]


def test_a_key_that_opens_a_mapping_leads_to_where_that_is_explained() -> None:
    made = fill(page(*SECTIONS), {})

    top, _, rest = made.partition("<!-- end -->")
    assert "for every path that no route takes. [Below](#upstream)." in top
    assert "replaces the file's block as a whole. [Above](#upstream)." in rest


@pytest.mark.parametrize(
    ("text", "parts"),
    {
        "a section without a place": (page(*list(SECTIONS)[1:]), {}),
        "a section with two places": (page(*SECTIONS, "cors"), {}),
        "a part that nobody makes": (page(*SECTIONS) + "<!-- generated: poems -->\n<!-- end -->\n", {}),
        "a part without a place": (page(*SECTIONS), {"flags": "all of them"}),
    }.values(),
)
def test_a_page_that_lacks_a_part_or_asks_for_too_much_is_refused(text: str, parts: dict[str, str]) -> None:
    with pytest.raises(Unmarked, match="generated: "):
        fill(text, parts)


def test_what_the_caller_adds_is_filled_in() -> None:
    assert "<!-- generated: flags -->\n\nall of them\n\n<!-- end -->" in fill(
        page(*SECTIONS) + "<!-- generated: flags -->\n<!-- end -->\n", {"flags": "all of them\n"}
    )
