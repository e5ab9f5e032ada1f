"""Where a command finds its policy, and how it loads it again."""

import argparse
import io
import sys
from pathlib import Path

import pytest

from corsproxy.cli import loading
from corsproxy.cli.loading import load, source_of
from corsproxy.cli.main import main
from corsproxy.cli.parser import Parser
from corsproxy.config.load import Loaded

SMALL = "upstream: http://localhost:9000\ncors: {allow_origins: [https://a.example]}\n"


def parsed(*arguments: str) -> argparse.Namespace:
    parser = Parser(prog="test")
    loading.add_source_arguments(parser)
    return parser.parse_all(arguments)


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "DEFAULT_FILES", ("corsproxy.yaml", str(tmp_path / "etc" / "corsproxy.yaml")))


def origins(loaded: Loaded | None) -> list[str]:
    assert loaded is not None
    assert loaded.settings is not None, loaded.diagnostics
    policy = loaded.settings.routes[0].cors
    return [pattern.text for pattern in getattr(policy, "patterns", ())]


def test_the_file_that_is_named_wins_over_the_variable_and_that_over_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flag", "variable", "corsproxy"):
        (tmp_path / f"{name}.yaml").write_text(SMALL.replace("a.example", f"{name}.example"))

    assert origins(load(parsed())) == ["https://corsproxy.example"]
    monkeypatch.setenv("CORSPROXY_CONFIG", "variable.yaml")
    assert origins(load(parsed())) == ["https://variable.example"]
    assert origins(load(parsed("--config", "flag.yaml"))) == ["https://flag.example"]


def test_an_empty_variable_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corsproxy.yaml").write_text(SMALL)
    monkeypatch.setenv("CORSPROXY_CONFIG", "")

    assert origins(load(parsed())) == ["https://a.example"]


@pytest.mark.parametrize("verb", ["check", "run", "explain --origin https://a.example", "config --effective"])
def test_an_empty_flag_leads_to_no_other_file(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is what a shell makes of a variable that is not set."""
    (tmp_path / "corsproxy.yaml").write_text(SMALL)

    for flag in ("--config", "--upstream"):
        assert main([*verb.split(), flag, ""]) == 2
        assert capsys.readouterr() == ("", f"error[CP151]: `{flag}` is empty\n  = help: give it a value, or take it out\n")


@pytest.mark.parametrize("flags", [["--allow-origin", ""], ["--listen", ""]], ids=" ".join)
def test_an_empty_flag_leads_to_no_value_of_the_file(flags: list[str], tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(SMALL)
    loaded = load(parsed("--config", str(file), *flags))

    assert loaded is not None
    assert loaded.settings is None
    assert {each.file for each in loaded.diagnostics} == {f"flag {flags[0]}"}


def test_the_second_default_is_taken_where_the_first_is_missing(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "corsproxy.yaml").write_text(SMALL)

    assert origins(load(parsed())) == ["https://a.example"]


def test_flags_win_over_variables_and_those_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corsproxy.yaml").write_text(SMALL)
    monkeypatch.setenv("CORSPROXY_CORS_ALLOW_ORIGINS", "https://variable.example")

    assert origins(load(parsed())) == ["https://variable.example"]
    assert origins(load(parsed("--config", "corsproxy.yaml", "--allow-origin", "https://flag.example"))) == ["https://flag.example"]


def test_a_source_loads_what_the_file_holds_by_then(tmp_path: Path) -> None:
    file = tmp_path / "corsproxy.yaml"
    file.write_text(SMALL)
    source = source_of(parsed("--allow-credentials"))
    assert source is not None
    assert source.file == Path("corsproxy.yaml")
    assert origins(source()) == ["https://a.example"]

    file.write_text(SMALL.replace("a.example", "b.example"))

    assert origins(source()) == ["https://b.example"]


def test_flags_alone_have_no_file_to_watch() -> None:
    source = source_of(parsed("--upstream", "http://localhost:1", "--allow-origin", "https://a.example"))

    assert source is not None
    assert source.file is None
    assert origins(source()) == origins(source()) == ["https://a.example"]


def test_stdin_is_read_once_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SMALL.encode())))
    source = source_of(parsed("--config", "-"))

    assert source is not None
    assert source.file is None
    assert origins(source()) == origins(source()) == ["https://a.example"]
    assert source().source.name == "<stdin>"


class Unreadable(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> int:
        raise IsADirectoryError(21, "Is a directory")


def test_a_stdin_that_cannot_be_read_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Unreadable())))
    source = source_of(parsed("--config", "-"))

    assert source is not None
    assert [each.message for each in source().diagnostics] == ["the file is empty"]


def test_without_anything_to_load_the_ways_on_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert load(parsed("--listen", ":80")) is None

    _, err = capsys.readouterr()
    assert err.startswith("error[CP152]: there is neither `./corsproxy.yaml` nor `")
    assert "corsproxy --config FILE" in err


def test_a_strange_variable_is_a_warning_at_the_start_and_not_at_each_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corsproxy.yaml").write_text(SMALL)
    monkeypatch.setenv("CORSPROXY_LISTN", ":80")

    loaded = load(parsed())
    assert loaded is not None
    assert loaded.settings is not None
    assert [(each.problem.code, each.message, each.help) for each in loaded.diagnostics] == [
        ("CP156", "`CORSPROXY_LISTN` is not one that corsproxy knows", "did you mean `CORSPROXY_LISTEN`?")
    ]
    source = source_of(parsed())
    assert source is not None
    assert source().diagnostics == ()
