"""Every command that a document shows runs: what stays on this machine is run, what does not is judged by its words and files."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corsproxy.cli.main import DEFAULT, verb_parser
from tests.cli.test_run import running

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SHELL = re.compile(r"^```(?:sh|console|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMALLEST = "upstream: http://localhost:9000\ncors:\n  allow_origins: [https://app.example.com]\n"
# They end by themselves, and ask nobody. 1 is "a call does not work", or "there is a problem".
OFFLINE = ("check", "validate", "explain", "explain-code", "config", "init", "schema", "completion", "version")
# Tools that are judged by the files that they are told to read.
FOREIGN = ("docker", "export", "pip", "kubectl", "helm", "systemctl", "mkdir", "cp", "git", "cd")


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in SHELL.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.removeprefix("$ ").split("  # ")[0].split("      #")[0].strip()
                if command and not command.startswith("#"):
                    yield str(page.relative_to(ROOT)), command


ALL = list(dict.fromkeys(commands()))


def words_of(command: str) -> list[str]:
    """Split a command, without what it is redirected to."""
    return shlex.split(re.split(r" [|>] ", command)[0])


def of(*programs: str) -> list[tuple[str, str]]:
    return [(page, command) for page, command in ALL if words_of(command)[0] in programs]


def test_every_command_is_of_a_program_that_is_judged() -> None:
    assert {words_of(command)[0] for _, command in ALL} <= {"corsproxy", "make", "curl", *FOREIGN}


@pytest.mark.parametrize(("page", "command"), of("corsproxy"))
def test_a_command_of_ours_runs(page: str, command: str, tmp_path: Path) -> None:
    words = words_of(command)[1:]
    verb = words[0] if words and not words[0].startswith("-") else DEFAULT
    # Ends the program where a flag is unknown, or a value not of its kind.
    verb_parser(verb).parse_args(words[1:] if verb != DEFAULT or words[:1] == [DEFAULT] else words)
    if verb not in OFFLINE:
        return
    policy = next(iter(YAML.findall((ROOT / page).read_text())), SMALLEST)
    if verb != "init":
        (tmp_path / "corsproxy.yaml").write_text(policy if "upstream" in policy and "/certs/" not in policy else SMALLEST)
    done = subprocess.run(
        [sys.executable, "-m", "corsproxy", *words],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode in (0, 1), done.stderr
    assert done.stdout


@pytest.mark.parametrize(("page", "command"), of("make"))
def test_a_target_of_make_exists(page: str, command: str) -> None:
    del page
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert [word for word in words_of(command)[1:] if "=" not in word and word not in targets] == []


@pytest.mark.parametrize(("page", "command"), of(*FOREIGN))
def test_a_command_of_others_names_files_that_exist(page: str, command: str) -> None:
    del page
    named = [word for word in words_of(command) if word.startswith(("deploy/", "tools/", "docs/", "tests/"))]

    assert [word for word in named if not (ROOT / word).exists()] == []


@pytest.mark.parametrize(("page", "command"), of("curl"))
def test_curl_gets_an_answer(page: str, command: str, tmp_path: Path) -> None:
    del page
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("NOT TESTED: the documents' curl lines, for curl is missing")
    with running(
        "--upstream", "http://127.0.0.1:9", "--allow-origin", "https://app.example.com", "--listen", "127.0.0.1:0", cwd=tmp_path
    ) as (_, port):
        words = [word.replace("localhost:8080", f"127.0.0.1:{port}") for word in words_of(command)]
        done = subprocess.run([curl, *words[1:]], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stderr
    assert "Access-Control-Allow-Origin: https://app.example.com" in done.stdout
