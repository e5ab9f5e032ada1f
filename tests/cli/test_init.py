"""The first file: it holds, it shows keys that exist, and it overwrites nothing."""

import os
import re
from pathlib import Path

import pytest

from corsproxy.cli.init import starter
from corsproxy.cli.main import main
from corsproxy.config.load import load_text
from corsproxy.cors.policy import CorsPolicy

COMMENTED = re.compile(r"^( *)# ( *)(?=[a-z_]+:(?: |$)|- )", re.MULTILINE)


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_writes_a_file_that_passes_strictly_and_says_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    out, err = capsys.readouterr()

    assert out == ""
    assert err == (
        "wrote corsproxy.yaml\n\nnext:\n"
        "  corsproxy check         says in words what it lets in\n"
        "  corsproxy run           runs it\n"
        "  docs/configuration.md   explains every key\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["corsproxy.yaml"]
    assert main(["check", "--strict"]) == 0
    assert capsys.readouterr().out.startswith("corsproxy.yaml: no problems\n")


def test_values_stand_in_the_file_as_they_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--upstream", "unix:/run/app.sock:/base", "--allow-origin", "http://localhost:*", "--allow-origin", "https://[::1]:8443"]

    assert main(["init", "-", *arguments]) == 0
    out, err = capsys.readouterr()
    settings = load_text(out, "f").settings
    assert err == ""
    assert settings is not None
    policy = settings.routes[0].cors
    assert isinstance(policy, CorsPolicy)
    assert settings.routes[0].upstream.url == "unix:/run/app.sock:/base"
    assert [pattern.text for pattern in policy.patterns] == ["http://localhost:*", "https://[::1]:8443"]


@pytest.mark.parametrize(
    "value", ["a'b", "a: b", "a #b", "[x]", "*x", "&x", "!x", "%x", "@x", "`x`", "{x}", "- x", '"x"', "yes", "1", "x\\n"]
)
def test_whatever_is_given_is_read_back_as_text(value: str) -> None:
    # These are no upstreams and no origins, and `init` refuses them; what is tested is that YAML cannot be slipped in.
    messages = [each.message for each in load_text(starter(value, [value]), "f").diagnostics]

    assert any(f"`{value}`" in message for message in messages), messages


def test_any_origin_is_written_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "-", "--allow-origin", "*"]) == 0
    assert '\n  allow_origins: "*"\n' in capsys.readouterr().out


def test_every_key_that_it_shows_exists() -> None:
    text = starter("http://localhost:9000", ["https://app.example.com"])
    shown = COMMENTED.sub(r"\1\2", text)

    assert shown != text
    assert len(COMMENTED.findall(text)) > 10
    loaded = load_text(shown, "f")
    assert (loaded.settings is not None, loaded.diagnostics) == (True, ())


def test_the_editor_is_told_where_the_schema_lies() -> None:
    assert starter("http://localhost:9000", []).startswith("# yaml-language-server: $schema=./corsproxy.schema.json ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--upstream", "localhost:9000"], " --> flag --upstream\n"),
        (["--allow-origin", "https://a.example/"], "error[CP201]: `https://a.example/` never matches"),
        (["--allow-origin", "null"], "error[CP203]: "),
        (["--allow-origin", "https://a.example\n  x: y"], "holds a character that cannot be shown"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_before_anything_is_written(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_left_alone_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")

    assert main(["init", "mine.yaml"]) == 1
    assert capsys.readouterr().err == (
        "error[CP154]: `mine.yaml` exists already\n  = help: write to another one, or overwrite it with `--force`\n"
    )
    assert file.read_text() == "mine"
    assert main(["init", "mine.yaml", "--force"]) == 0
    assert "corsproxy run --config mine.yaml" in capsys.readouterr().err
    assert file.read_text().startswith("# yaml-language-server")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_link_that_leads_nowhere_is_not_followed_and_a_forced_one_still_leads_to_the_file(tmp_path: Path) -> None:
    link, file = tmp_path / "link.yaml", tmp_path / "file.yaml"
    link.symlink_to(file)

    assert main(["init", "link.yaml"]) == 1
    assert not file.exists()
    assert main(["init", "link.yaml", "--force"]) == 0
    assert link.is_symlink()
    assert file.is_file()


def test_where_there_are_no_hard_links_nothing_is_overwritten_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)

    assert [main(["init", "a.yaml"]), main(["init", "a.yaml"])] == [0, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


@pytest.mark.parametrize("name", ["nowhere/a.yaml", "."])
def test_a_place_that_takes_no_file_is_said(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", name, "--force"]) == 1
    assert capsys.readouterr().err.startswith(f"error[CP153]: `{name}` cannot be written: ")
