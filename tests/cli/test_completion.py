"""The shipped completions are what the verbs and their flags say, and bash takes them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from corsproxy.cli.completion import FILES
from corsproxy.cli.main import VERBS, build_parser, main
from corsproxy.cli.parser import flags_of

ROOT = Path(__file__).parents[2]

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")


def completed(*words: str) -> list[str]:
    """Let bash complete the last of the words."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_corsproxy; printf "%s\\n" "${COMPREPLY[@]}"'
    command = ["bash", "--norc", "-c", script, "bash", str(FILES["bash"]), "corsproxy", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout.split()


def test_the_files_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools" / "write-completion"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", FILES)
def test_a_file_is_printed_and_names_every_verb_and_flag(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out

    assert out == FILES[shell].read_text()
    written = [flag.lstrip("-") for flag in flags_of(build_parser())]
    assert [name for name in (*written, *(verb.name for verb in VERBS)) if name not in out] == []


@pytest.mark.parametrize(("shell", "help_"), [("bsh", "did you mean `bash`?"), ("powershell", "use one of `bash`, `zsh`, `fish`")])
def test_an_unknown_shell_is_wrong_usage(shell: str, help_: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 2
    assert capsys.readouterr().err == f"error[CP151]: `{shell}` is not one of the choices of `SHELL`\n  = help: {help_}\n"


def test_a_shell_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion"]) == 2
    assert capsys.readouterr().err == "error[CP151]: `SHELL` is missing\n  = help: run `corsproxy completion --help`\n"


@needs_bash
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["che"], ["check"]),
        (["check", "--str"], ["--strict"]),
        (["check", "--format", "j"], ["json"]),
        (["completion", "f"], ["fish"]),
        (["--allow-o"], ["--allow-origin"]),
        (["run", "--config", "config.ex"], ["config.example.yaml"]),
    ],
    ids=str,
)
def test_bash_completes(words: list[str], expected: list[str]) -> None:
    assert completed(*words) == expected
