"""`corsproxy diff`: what a review reads, what a workflow fails on, and what a program gets."""

import io
import json
import re
from pathlib import Path

import pytest

from corsproxy.cli.main import main

COMPARED = Path(__file__).parent / "compared"
OLD, NEW = "tests/cli/compared/old.yaml", "tests/cli/compared/new.yaml"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    for name in ("FORCE_COLOR", "CORSPROXY_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("name", "flags"), [("widened", [OLD, NEW]), ("narrowed", [NEW, OLD])])
def test_a_comparison_reads_as_it_is_meant_to(name: str, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *flags]) == 0
    assert capsys.readouterr().out == (COMPARED / f"{name}.txt").read_text()


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ([OLD, NEW], 0),
        ([OLD, NEW, "--fail-on", "widen"], 1),
        ([OLD, NEW, "--fail-on", "widen", "--json"], 1),
        ([OLD, OLD, "--fail-on", "widen"], 0),
        ([OLD, "tests/cli/compared/narrower.yaml", "--fail-on", "widen"], 0),
        ([OLD, "tests/cli/compared/maybe.yaml", "--fail-on", "widen"], 1),
        ([OLD, "tests/cli/compared/no-such-file.yaml"], 78),
        (["-", "-"], 2),
        ([OLD], 2),
        ([OLD, NEW, "--fail-on", "everything"], 2),
    ],
)
def test_exit_codes(flags: list[str], code: int) -> None:
    assert main(["diff", *flags]) == code


def test_what_is_not_different_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", OLD, OLD])

    assert capsys.readouterr().out == "not widened: nothing differs in what is let in\n"


def test_json_is_an_object_with_every_difference(capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", OLD, NEW, "--json"])
    found = json.loads(capsys.readouterr().out)

    assert list(found) == ["widens", "differences", "others"]
    assert (found["widens"], found["others"]) == (True, ["limits"])
    assert {each["effect"] for each in found["differences"]} == {"widened", "may-widen", "narrowed", "changed"}
    assert all(list(each) == ["effect", "path", "hosts", "key", "words", "items", "place"] for each in found["differences"])


def test_stdin_is_the_one_or_the_other(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, word in ((["-", NEW], "widened"), ([NEW, "-"], "widened")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(OLD).read_bytes())))
        assert main(["diff", *flags]) == 0
        assert capsys.readouterr().out.startswith(word)


def test_a_wrong_file_is_said_and_compares_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("upstream: http://localhost:9000\n")

    assert main(["diff", OLD, str(wrong), "--fail-on", "widen"]) == 78
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error[CP106]: the file has no `cors`" in captured.err


@pytest.mark.parametrize("form", [[], ["--json"]], ids=str)
def test_no_secret_shows(form: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CUSTOMER", "https://customer.example")
    monkeypatch.setenv("TOKEN", "hush-hush-hush")
    secret = tmp_path / "origin"
    secret.write_text("https://customer.example\n")
    file = tmp_path / "new.yaml"
    file.write_text(
        f"upstream: http://localhost:9000\ncors: {{allow_origins: ['${{file:{secret}}}']}}\n"
        "headers: {request: {set: {Authorization: 'Bearer ${TOKEN}'}}}\n"
    )

    assert main(["diff", OLD, str(file), *form]) == 0
    said = capsys.readouterr().out
    assert "authorization" in said
    assert "customer.example" not in said
    assert "hush" not in said


def test_colours_change_no_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["diff", OLD, NEW])
    coloured = capsys.readouterr().out

    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == (COMPARED / "widened.txt").read_text()


@pytest.mark.parametrize("name", ["widened", "narrowed"])
def test_it_fits_a_terminal(name: str) -> None:
    assert [line for line in (COMPARED / f"{name}.txt").read_text().splitlines() if len(line) > 100] == []
