"""The documents say what is true: links resolve, examples load, every key and every flag is explained."""

import re
from pathlib import Path

import pytest

from corsproxy.cli.main import DEFAULT, main, verb_parser
from corsproxy.config.load import load_text
from corsproxy.startup import checked

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_every_link_inside_the_project_resolves(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@each_page
def test_every_policy_in_a_document_loads(page: Path, certs: Path) -> None:
    for block in YAML.findall(page.read_text()):
        loaded = checked(load_text(block.replace("/certs/", f"{certs}/"), page.name))
        assert loaded.settings is not None, loaded.diagnostics


def test_the_readme_shows_the_message_that_a_user_gets() -> None:
    text = "upstream: http://localhost:9000\ncors:\n  allow_orgins: [https://app.example.com]\n"
    messages = [diagnostic.message for diagnostic in load_text(text, "corsproxy.yaml").diagnostics]
    assert "`allow_orgins` is not a key of `cors`" in messages
    assert "error[CP103]: `allow_orgins` is not a key of `cors`\n --> corsproxy.yaml:3:3" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md"])
def test_a_document_shows_what_explain_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "corsproxy.yaml").write_text("upstream: http://localhost:9000\ncors:\n  allow_origins: [https://app.example.com]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    (shown,) = re.findall(r"^\$ corsproxy (explain [^\n]*)\n(.*?)\n```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)

    assert main(shown[0].split()) == 1
    # A document may leave the end out, but nothing between.
    assert capsys.readouterr().out.startswith(shown[1].rstrip("\n") + "\n")


def test_help_names_every_flag_that_the_readme_uses() -> None:
    text = verb_parser(DEFAULT).format_help()
    flags = {
        flag
        for line in re.findall(r"^corsproxy .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
        for flag in re.findall(r"--[a-z-]+", line)
    }
    assert flags
    assert [flag for flag in flags if flag not in text] == []


def test_every_test_that_the_promises_name_exists() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`((?:tests|bench)/[\w/.-]+)`", text)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
