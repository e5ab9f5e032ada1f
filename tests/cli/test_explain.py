"""`corsproxy explain`: what a person reads is what the files beside this one hold, and a program gets the same as JSON."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from corsproxy.cli.main import main

EXPLAINED = Path(__file__).parent / "explained"
# Each begins with the command and ends with its exit code; write a new one with its first line only, and look at what the test says.
GOLDEN = sorted(EXPLAINED.glob("*.txt"))
POLICY = "tests/cli/explained/policy.yaml"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    for name in ("FORCE_COLOR", "CORSPROXY_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def explain(*flags: str, file: str = POLICY) -> int:
    return main(["explain", "-c", file, *flags])


def as_json(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    explain(*flags, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_an_explanation_reads_as_it_is_meant_to(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, *_ = golden.read_text().splitlines()
    code = main(shlex.split(command.removeprefix("$ corsproxy ")))
    captured = capsys.readouterr()

    assert f"{command}\n{captured.out}exit code {code}\n" == golden.read_text()
    assert captured.err == ""


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_json_agrees_with_the_text(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, *_, ending = golden.read_text().splitlines()
    code = main([*shlex.split(command.removeprefix("$ corsproxy ")), "--json"])
    found = json.loads(capsys.readouterr().out)

    assert ending == f"exit code {code}"
    assert (code == 0) == (found["ending"] == "works")
    # A refused call says in its first line what is the matter.
    assert golden.read_text().splitlines()[1].endswith(f": {found['because']} ({found['reason']})")
    if found["decided_by"] is not None:
        assert f"--> {found['decided_by']['file']}:{found['decided_by']['line']}:{found['decided_by']['column']}\n" in golden.read_text()
        assert found["decided_by"]["text"] in golden.read_text()
    for exchange in (found["preflight"], found["actual"]):
        for name, value in (exchange or {"fields": []})["fields"]:
            assert f"  < {name}: {value}\n" in golden.read_text()
    marks = {"passed": "ok", "failed": "NO", "noted": "--", "unreached": "  ", "open": "??"}
    for check in found["checks"]:
        assert f"\n  {marks[check['result']]} {check['check']:15} " in golden.read_text()
    assert [line for command in found["curl"] for line in command.splitlines() if f"  {line}\n" not in golden.read_text()] == []
    for hunk in (found["change"] or {}).get("lines", []):
        assert [line for line in hunk["new"] if f"+ {line}\n" not in golden.read_text()] == []


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_an_explanation_fits_a_terminal(golden: Path) -> None:
    command, verdict, *lines = golden.read_text().splitlines()

    assert command
    assert verdict
    # Header fields, diagnoses of a browser and lines of the file stay whole, for they are copied.
    free = [
        line
        for line in lines
        if not line.startswith(("  >", "  <", "  the browser", "    -H", "  curl", " -->")) and " | " not in line and " + " not in line
    ]
    assert [line for line in free if len(line) > 100] == []


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_colours_change_no_word(golden: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command, *_ = golden.read_text().splitlines()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(shlex.split(command.removeprefix("$ corsproxy ")))
    coloured = capsys.readouterr().out

    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) in golden.read_text()


def test_json_has_members_that_programs_can_rely_on(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--origin", "https://app.example.com", "--method", "PUT", "--path", "/orders?x=1")

    assert {name: found[name] for name in ("ending", "reason", "because", "decided_by", "call", "browser")} == {
        "ending": "works",
        "reason": "origin-allowed",
        "because": "the entry `https://app.example.com` of `allow_origins` lets `https://app.example.com` in",
        "decided_by": {
            "key": "allow_origins",
            "written": True,
            "file": POLICY,
            "line": 5,
            "column": 7,
            "text": "    - https://app.example.com",
        },
        "call": {
            "origin": "https://app.example.com",
            "url": "https://api.example.com/orders?x=1",
            "method": "PUT",
            "headers": [],
            "credentials": "include",
            "websocket": False,
            "cross_origin": True,
        },
        "browser": {"ok": True, "stage": "actual", "reason": "ok", "subject": "", "words": "the script may read the answer"},
    }
    assert found["preflight"] == {
        "because": "method",
        "request": {
            "method": "OPTIONS",
            "target": "/orders?x=1",
            "fields": [
                ["Host", "api.example.com"],
                ["Origin", "https://app.example.com"],
                ["Access-Control-Request-Method", "PUT"],
            ],
        },
        "decision": "preflight-granted",
        "forwarded": False,
        "status": 204,
        "fields": [
            ["Access-Control-Allow-Origin", "https://app.example.com"],
            ["Access-Control-Allow-Credentials", "true"],
            ["Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"],
            ["Access-Control-Allow-Headers", "authorization, content-type"],
            ["Access-Control-Max-Age", "7200"],
            ["Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"],
        ],
    }
    assert found["actual"] == {
        "request": {
            "method": "PUT",
            "target": "/orders?x=1",
            "fields": [["Host", "api.example.com"], ["Origin", "https://app.example.com"]],
        },
        "decision": "origin-allowed",
        "forwarded": True,
        "status": 200,
        "fields": [
            ["X-Request-Id", "..."],
            ["Vary", "Origin"],
            ["Access-Control-Allow-Origin", "https://app.example.com"],
            ["Access-Control-Allow-Credentials", "true"],
            ["Access-Control-Expose-Headers", "X-Total-Count"],
        ],
    }
    assert (found["readable"]["headers"], found["consoles"], found["change"]) == (["X-Total-Count"], {}, None)
    assert [each["check"] for each in found["checks"] if each["result"] == "failed"] == []


def test_json_leaves_open_what_only_the_upstream_knows(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--origin", "https://app.example.com", "--path", "/already-cors")

    assert (found["ending"], found["browser"], found["preflight"]) == ("upstream-decides", None, None)
    assert (found["actual"]["forwarded"], found["actual"]["status"], found["actual"]["fields"]) == (True, None, [])


def test_json_says_that_nothing_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--origin", "https://app.example.com", "--method", "TRACE")

    assert (found["browser"]["stage"], found["preflight"], found["actual"], found["decided_by"]) == ("script", None, None, None)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--origin", "https://a.example/"], "`--origin`: no browser sends the origin `https://a.example/`: an origin ends without a slash\n  = help: write `https://a.example`"),
        (["--origin", "null", "--method", "F O"], "`--method`: `F O` is no method name\n  = help: write one as `GET`"),
        (["--origin", "null", "--path", "a"], "`--path`: `a` does not begin with `/`\n  = help: write `/a`"),
        (["--origin", "null", "--host", "A.example"], "`--host`: no browser sends the host `A.example`"),
        (["--origin", "null", "--header", "Cookie"], "`--header`: no script can set `Cookie`: the browser keeps it to itself\n  = help: take it out"),
        (["--origin", "null", "--credentials", "maybe"], "`maybe` is not one of the choices of `--credentials`"),
        (["--origin", "null", "--header", "Cookie: a=b"], "`--header`: no script can set `Cookie`"),
        (["--origin", "null", "--header", "X-A: a\nb"], "`--header`: the value of `X-A` holds a control character\n  = help: take it out"),
        (["--origin", "null", "--upload-listener"], "`--upload-listener` needs an upload, and GET has no body"),
        (["--origin", "null", "--websocket", "--stream"], "`--websocket` takes no `--upload-listener` or `--stream`"),
        ([], "`--origin` is missing"),
    ],
)  # fmt: skip
def test_what_no_browser_does_is_wrong_usage(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(*flags) == 2
    assert said in capsys.readouterr().err


def test_a_wrong_file_is_said_and_explains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("upstream: http://localhost:9000\n")

    assert explain("--origin", "https://a.example", file=str(file)) == 78
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error[CP106]: the file has no `cors`" in captured.err


def test_a_file_whose_own_tests_fail_can_be_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "failing.yaml"
    file.write_text("upstream: http://localhost:9000\ncors: {allow_origins: '*'}\ntests: [{origin: https://a.example, expect: deny}]\n")

    assert explain("--origin", "https://a.example", file=str(file)) == 0
    assert capsys.readouterr().out.startswith("works: ")


def test_no_file_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["explain", "--origin", "https://a.example"]) == 2


def test_flags_can_be_explained_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--upstream", "http://localhost:9000", "--allow-origin", "https://a.example"]

    assert main(["explain", "--origin", "https://a.example", *flags]) == 0
    assert " --> flag --allow-origin\n  |\n  | https://a.example\n  | ^^^^^^^^^^^^^^^^^\n" in capsys.readouterr().out
    assert main(["explain", "--origin", "https://b.example", *flags]) == 1
    assert "  where the value comes from: flag --allow-origin\n  + --allow-origin https://b.example\n" in capsys.readouterr().out


def test_what_a_person_gave_for_a_secret_does_not_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ([], ["--json"]):
        explain("--origin", "https://app.example.com", "--header", "Authorization: Bearer hush", "--header", "X-Api-Key: hush", *form)
        assert "hush" not in capsys.readouterr().out


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    explain("--origin", "https://app.example.com")

    assert capsys.readouterr().out.startswith("\x1b[1;32mworks\x1b[0m: the entry")


def test_a_pattern_cannot_speak_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text('upstream: http://up\ncors: {allow_origins: [{regex: "https://a\\\\.example|\\e"}]}\n')
    explain("--origin", "https://a.example", file=str(file))

    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=str)
def test_no_secret_shows(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Such a name would break JSON if it were put into the finished text.
    secret = tmp_path / 'the "origin"'
    secret.write_text("https://customer.example\n")
    file = tmp_path / "f.yaml"
    file.write_text(f"upstream: http://localhost:9000\ncors: {{allow_origins: ['${{file:{secret}}}']}}\n")

    assert explain("--origin", "https://customer.example", *flags, file=str(file)) == 0
    out = capsys.readouterr().out
    assert "customer" not in out
    if flags:
        assert json.loads(out)["call"]["origin"] == f"${{file:{secret}}}"


@pytest.mark.parametrize("flags", [("--method", "PUT"), ("--header", "X-A"), ("--credentials", "omit")], ids=" ".join)
def test_a_websocket_has_no_method_headers_or_credentials_to_choose(flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("--origin", "https://app.example.com", "--websocket", *flags) == 2
    assert "browsers choose them" in capsys.readouterr().err


def test_a_websocket_of_an_allowed_page_opens(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--origin", "https://app.example.com", "--websocket")

    assert (found["ending"], found["preflight"], found["actual"]["status"]) == ("works", None, 101)
