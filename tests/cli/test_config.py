"""`corsproxy config --effective`: what would run, and why."""

import json
from pathlib import Path

import pytest

from corsproxy.cli.main import main

FILE = "upstream: http://localhost:9000\ncors: {allow_origins: [https://app.example.com]}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, and no variables of the machine."""
    monkeypatch.chdir(tmp_path)
    for name in ("CORSPROXY_CONFIG", "CORSPROXY_LISTEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_it_prints_a_file_that_runs_the_same(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "corsproxy.yaml").write_text(FILE)
    monkeypatch.setenv("CORSPROXY_LIMITS_IN_FLIGHT", "50")

    assert main(["config", "--effective", "--listen", "127.0.0.1:0"]) == 0

    first = capsys.readouterr().out
    assert "listen: [127.0.0.1:0]                   # flag --listen\n" in first
    assert "  url: http://localhost:9000            # corsproxy.yaml:1\n" in first
    assert "  in_flight: 50                         # environment variable CORSPROXY_LIMITS_IN_FLIGHT\n" in first
    (place / "again.yaml").write_text(first)
    monkeypatch.delenv("CORSPROXY_LIMITS_IN_FLIGHT")
    assert main(["config", "--effective", "-c", "again.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["limits.in_flight"]["value"] == 50


def test_a_wrong_file_is_explained_and_nothing_is_printed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "corsproxy.yaml").write_text(FILE + "lisen: ':80'\n")

    assert main(["config", "--effective"]) == 78

    said = capsys.readouterr()
    assert said.out == ""
    assert "did you mean `listen`?" in said.err


def test_without_a_policy_it_says_how_to_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--effective"]) == 2
    assert "--config FILE" in capsys.readouterr().err


def test_warnings_do_not_stand_in_what_is_printed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "corsproxy.yaml").write_text(FILE + "listen: ':8080'\n")

    assert main(["config", "--effective"]) == 0

    said = capsys.readouterr()
    assert "CP255" in said.err
    assert "CP255" not in said.out


def test_it_says_what_it_is_asked_for_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 2
    assert "--effective" in capsys.readouterr().err
