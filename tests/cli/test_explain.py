"""`corsproxy explain`: what a person reads is what the files beside this one hold, and a program gets the same as JSON."""

import json
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
    assert f"because {found['because']} ({found['reason']})\n" in golden.read_text()
    if found["decided_by"] is not None:
        assert f"--> {found['decided_by']['file']}:{found['decided_by']['line']}:{found['decided_by']['column']}\n" in golden.read_text()
        assert found["decided_by"]["text"] in golden.read_text()
    for exchange in (found["preflight"], found["actual"]):
        for name, value in (exchange or {"fields": []})["fields"]:
            assert f"   < {name}: {value}\n" in golden.read_text()


def test_json_has_members_that_programs_can_rely_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, "--origin", "https://app.example.com", "--method", "PUT", "--path", "/orders?x=1") == {
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
        },
        "browser": {"ok": True, "stage": "actual", "reason": "ok", "subject": ""},
        "preflight": {
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
        },
        "actual": {
            "request": {
                "method": "PUT",
                "target": "/orders?x=1",
                "fields": [["Host", "api.example.com"], ["Origin", "https://app.example.com"]],
            },
            "decision": "origin-allowed",
            "forwarded": True,
            "status": 200,
            "fields": [
                ["Vary", "Origin"],
                ["Access-Control-Allow-Origin", "https://app.example.com"],
                ["Access-Control-Allow-Credentials", "true"],
                ["Access-Control-Expose-Headers", "X-Total-Count"],
            ],
        },
    }


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
        (["--origin", "https://a.example/"], "argument --origin: no browser sends the origin `https://a.example/`: an origin ends without a slash; write `https://a.example`"),
        (["--origin", "null", "--method", "F O"], "argument --method: `F O` is no method name; write one as `GET`"),
        (["--origin", "null", "--path", "a"], "argument --path: `a` does not begin with `/`; write `/a`"),
        (["--origin", "null", "--host", "A.example"], "argument --host: no browser sends the host `A.example`"),
        (["--origin", "null", "--header", "Cookie"], "argument --header: no script can set `Cookie`: the browser keeps it to itself; take it out"),
        (["--origin", "null", "--credentials", "maybe"], "`maybe` is not one of the choices of `--credentials`"),
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


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    explain("--origin", "https://app.example.com")

    assert capsys.readouterr().out.startswith("\x1b[1;32mworks\x1b[0m: the script")


def test_a_pattern_cannot_speak_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text('upstream: http://up\ncors: {allow_origins: [{regex: "https://a\\\\.example|\\e"}]}\n')
    explain("--origin", "https://a.example", file=str(file))

    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("flags", [("--method", "PUT"), ("--header", "X-A"), ("--credentials", "omit")], ids=" ".join)
def test_a_websocket_has_no_method_headers_or_credentials_to_choose(flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("--origin", "https://app.example.com", "--websocket", *flags) == 2
    assert "browsers choose them" in capsys.readouterr().err


def test_a_websocket_of_an_allowed_page_opens(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "--origin", "https://app.example.com", "--websocket")

    assert (found["ending"], found["preflight"], found["actual"]["status"]) == ("works", None, 101)
