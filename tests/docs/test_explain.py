"""The page about `explain` shows what the command says: each of its examples is run."""

import re
import shlex
from pathlib import Path

import pytest

from corsproxy.cli.main import main
from corsproxy.config.load import load_text
from corsproxy.explanation.explain import explain
from corsproxy.explanation.export import as_json
from corsproxy.rehearse import Call

PAGE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text()
POLICY = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
SHOWN = re.findall(r"^```text\n\$ corsproxy ([^\n]*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LEFT_OUT = "[...]\n"


@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
def test_an_example_is_what_the_command_says(
    command: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "corsproxy.yaml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    main(shlex.split(command))
    said = capsys.readouterr().out

    first, *others = shown.split(LEFT_OUT)
    assert said.startswith(first)
    assert others or said == first
    for part in filter(None, others):
        before, found, said = said.partition(part)
        assert found == part, before
    assert not others or not others[-1] or said == ""


def test_every_member_of_the_json_is_explained_and_no_other() -> None:
    settings = load_text(POLICY, "corsproxy.yaml").settings
    assert settings is not None
    found = as_json(settings, explain(settings, Call(b"https://app.example.com")))
    cells = re.findall(r"^\| (`[^|]*`) \|", PAGE.split("## For programs")[1], re.MULTILINE)

    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == list(found)
