"""Which verb a command line names, and what is said when it names none."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corsproxy import __version__
from corsproxy.cli.exits import EXIT_CLOSED_PIPE, EXIT_PROBLEMS, EXIT_USAGE
from corsproxy.cli.main import VERBS, Verb, build_parser, main, verb_parser
from corsproxy.cli.parser import flags_of

ROOT = Path(__file__).parents[2]

each_verb = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


@each_verb
def test_every_verb_is_a_module_with_a_docstring_its_flags_and_its_deed(verb: Verb) -> None:
    module = importlib.import_module(verb.module)

    assert module.__doc__
    assert callable(module.add_arguments)
    assert callable(module.run)


def test_verbs_and_aliases_are_told_apart() -> None:
    names = [name for verb in VERBS for name in (verb.name, *verb.aliases)]
    assert len(set(names)) == len(names)


@each_verb
def test_every_verb_is_helped(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said([verb.name, "--help"], capsys)

    assert (code, err) == (0, "")
    assert out.startswith(f"usage: corsproxy {verb.name} ")


def test_help_groups_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(["--help"], capsys)

    assert code == 0
    for verb in VERBS:
        assert f"\n{verb.group}:\n" in out
        assert f"\n  {verb.name} " in out
        assert verb.help in out


def test_help_fits_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(["--help"], capsys)

    assert [line for line in out.splitlines() if len(line) > 110] == []


@each_verb
def test_the_help_of_a_verb_begins_with_what_it_does(verb: Verb) -> None:
    assert (importlib.import_module(verb.module).__doc__ or "").lstrip()[0].isupper()


@pytest.mark.parametrize(
    ("variables", "begins"),
    [
        (
            {"FORCE_COLOR": "1"},
            "\x1b[1;31merror[CP151]\x1b[0m\x1b[1m: there is no verb `chekc`\x1b[0m\n  \x1b[1;34m=\x1b[0m \x1b[1;36mhelp\x1b[0m: ",
        ),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, "error[CP151]: there is no verb `chekc`\n  = help: "),
        ({}, "error[CP151]: there is no verb `chekc`\n  = help: "),
    ],
    ids=["forced", "forbidden", "no terminal"],
)
def test_a_complaint_has_colours_where_diagnostics_have(
    variables: dict[str, str], begins: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    _, _, err = said(["chekc"], capsys)
    assert err == f"{begins}did you mean `check`?\n"


@pytest.mark.parametrize("arguments", [["--version"], ["version"]], ids=" ".join)
def test_the_version_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert said(arguments, capsys) == (0, f"corsproxy {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dmeo"], "there is no verb `dmeo`\n  = help: did you mean `demo`?"),
        (["xyzzy"], "there is no verb `xyzzy`\n  = help: use one of `run`, `reload`, "),
        (["--confg", "a.yaml"], "there is no flag `--confg`\n  = help: did you mean `--config`?"),
        (["run", "--listn=:80"], "there is no flag `--listn`\n  = help: did you mean `--listen`?"),
        (["demo", "--qqq"], "there is no flag `--qqq`\n  = help: run `corsproxy demo --help`"),
        (["--config", "a.yaml", "demo"], "`demo` is one argument too many\n  = help: write the verb first: `corsproxy demo …`"),
        (["run", "a.yaml"], "`a.yaml` is one argument too many\n  = help: run `corsproxy run --help`"),
        (["run", "--listen"], "`--listen` lacks its value\n  = help: run `corsproxy run --help`"),
        (["demo", "--port", "x"], "`x` is no whole number, which `--port` takes\n  = help: run `corsproxy demo --help`"),
        (["--conf", "a.yaml"], "there is no flag `--conf`\n  = help: did you mean `--config`?"),
        (["\x1b[31mred"], "there is no verb `\\x1b[31mred`\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_with_the_right_one(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(arguments, capsys)

    assert (code, out) == (EXIT_USAGE, "")
    assert err.startswith(f"error[CP151]: {message}")


def test_a_file_in_the_place_of_a_verb_is_known_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("")
    monkeypatch.chdir(tmp_path)

    assert said(["mine.yaml"], capsys)[2].endswith("  = help: write `corsproxy --config mine.yaml` to run this file\n")


def test_one_parser_holds_every_verb_and_every_flag() -> None:
    flags = set(flags_of(build_parser()))

    assert "--version" in flags
    for verb in VERBS:
        assert set(flags_of(verb_parser(verb.name))) <= flags


def test_only_the_verb_that_runs_is_imported() -> None:
    script = "import sys; from corsproxy.cli.main import main; main(['version']); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)

    modules = set(done.stdout.splitlines()[-1].split())
    assert "corsproxy.cli.version" in modules
    assert modules.isdisjoint({"aiohttp", "asyncio", "yaml", "corsproxy.cli.run", "corsproxy.app", "corsproxy.config.load"})


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_reader_that_goes_away_is_no_mistake(unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "corsproxy", "--help"],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )

    assert (done.returncode, done.stderr) == (EXIT_CLOSED_PIPE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_is_said() -> None:
    with Path("/dev/full").open("w") as stdout:
        command = [sys.executable, "-m", "corsproxy", "version"]
        done = subprocess.run(command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=30, check=False)

    assert done.returncode == EXIT_PROBLEMS
    assert done.stderr.startswith("error[CP153]: stdout cannot be written: ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_leads_to_nowhere(closed: str) -> None:
    script = f'exec "$0" -m corsproxy check - {closed}'
    done = subprocess.run(["sh", "-c", script, sys.executable], cwd=ROOT, input="", capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, "Traceback" in done.stderr) == (EXIT_PROBLEMS, False)
    assert ("the file is empty" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_data_is_written_where_a_closed_reader_is_known() -> None:
    # `sys.stdout.write` would end in a traceback where stdout is not buffered. The demo writes a banner, and is no filter.
    writers = [
        path.name
        for path in (ROOT / "corsproxy" / "cli").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.stdout.write"
    ]
    assert set(writers) <= {"term.py", "demo.py"}
