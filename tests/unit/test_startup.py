"""The last gate before settings take effect."""

from pathlib import Path

from corsproxy.config.load import load_text
from corsproxy.config.render import render
from corsproxy.startup import checked

GOOD = """\
upstream: http://localhost:9000
cors: {allow_origins: [https://app.example.com], max_age: 24h}
tests:
  - {origin: https://app.example.com, expect: allow}
"""


def test_settings_whose_tests_hold_pass_as_they_are() -> None:
    loaded = load_text(GOOD, "f")

    assert checked(loaded) is loaded


def test_a_test_that_fails_takes_the_settings_away_and_keeps_what_was_said_before() -> None:
    found = checked(load_text(GOOD.replace("allow}", "deny}") + "  - {expect: refused}\n", "f"))

    assert found.settings is None
    assert [(each.problem.code, each.line) for each in found.diagnostics] == [("CP252", 2), ("CP122", 4), ("CP122", 5)]


def test_a_file_that_does_not_load_is_not_tested() -> None:
    loaded = load_text("upstream: 1\n", "f")

    assert checked(loaded) is loaded


def test_a_test_that_fails_tells_no_secret(tmp_path: Path) -> None:
    secret = tmp_path / "origin"
    secret.write_text("https://customer.example\n")
    text = f"""\
upstream: http://localhost:9000
cors: {{allow_origins: ["${{file:{secret}}}", https://app.example.com]}}
tests:
  - {{origin: "${{file:{secret}}}", expect: deny}}
  - {{origin: https://app.example.com, expect: {{response: {{Access-Control-Allow-Origin: "${{file:{secret}}}"}}}}}}
"""
    found = checked(load_text(text, "f"))

    assert [each.problem.code for each in found.diagnostics] == ["CP122", "CP122"]
    assert "customer" not in render(found.diagnostics)
    assert f"`${{file:{secret}}}` of `allow_origins`" in found.diagnostics[0].message
