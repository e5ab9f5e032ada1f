"""What `check` says: byte for byte as the golden files have it. `corsproxy check NAME.yaml > NAME.txt` writes one anew."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from corsproxy.cli import loading
from corsproxy.cli.main import main
from corsproxy.cli.review import review
from corsproxy.config.load import load_flags, load_text

GOLDEN = Path(__file__).parent / "golden"
SMALL = "upstream: http://localhost:9000\ncors: {allow_origins: [https://a.example]}\n"
WARNED = "listen: :8080\n" + SMALL


@pytest.fixture(autouse=True)
def _in_the_place_of_the_golden_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.mark.parametrize(
    ("arguments", "golden", "code"),
    [
        (["safe.yaml"], "safe.txt", 0),
        (["risky.yaml"], "risky.txt", 0),
        (["--strict", "risky.yaml"], "risky.txt", 1),
        (["--format", "github", "risky.yaml"], "risky.github", 0),
        (["wrong.yaml"], "wrong.txt", 1),
        (["--format", "json", "wrong.yaml"], "wrong.json", 1),
        (["--format", "github", "wrong.yaml"], "wrong.github", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_output_is_golden(arguments: list[str], golden: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert (code, (GOLDEN / golden).read_text(), "") == (main(["check", *arguments]), *capsys.readouterr())


def test_it_has_a_second_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "safe.yaml"]) == 0
    assert capsys.readouterr().out == (GOLDEN / "safe.txt").read_text()


@pytest.mark.parametrize("arguments", [["-"], ["--config", "-"]], ids=" ".join)
def test_stdin_is_read(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"cors: none\n")))

    assert main(["check", "--format", "json", *arguments]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["file"], found["code"]) == ("<stdin>", "CP106")


def test_flags_are_checked_as_run_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--format", "json", "safe.yaml", "--allow-origin", "https://a.example/"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["file"], found["code"], found["line"]) == ("flag --allow-origin", "CP201", None)


def test_a_warning_fails_under_strict_only_and_a_note_never(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warned, noted = tmp_path / "warned.yaml", tmp_path / "noted.yaml"
    warned.write_text(WARNED)
    noted.write_text(SMALL.replace("[https://a.example]", "[https://a.example], max_age: 24h"))

    assert [main(["check", str(warned)]), main(["check", "--strict", str(warned)])] == [0, 1]
    assert "1 warning\n" in capsys.readouterr().out
    assert main(["check", "--strict", str(noted)]) == 0
    assert "1 note\n" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_a_problem_and_not_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "missing.yaml"]) == 1
    assert capsys.readouterr().out.startswith("error[CP101]: `missing.yaml` cannot be read: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.yaml", "--config", "b.yaml"], "error[CP151]: `FILE` and `--config` name two files\n  = help: name one\n"),
        (["--format", "jsn"], "error[CP151]: `jsn` is not one of the choices of `--format`\n  = help: did you mean `json`?\n"),
        (
            ["--format", "x"],
            "error[CP151]: `x` is not one of the choices of `--format`\n  = help: use one of `text`, `json`, `github`\n",
        ),
        ([], "error[CP152]: there is neither "),
    ],
    ids=str,
)
def test_wrong_usage_has_a_code_of_its_own(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "DEFAULT_FILES", ("nowhere.yaml", "/nowhere.yaml"))

    assert main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)


def test_checking_opens_no_socket_and_needs_no_server() -> None:
    # The modules of a server would make every commit hook wait.

    script = "import sys; from corsproxy.cli.main import main; main(['check', 'safe.yaml']); print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(GOLDEN.parents[2])},
        cwd=GOLDEN,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert set(done.stdout.splitlines()[-1].split()).isdisjoint({"aiohttp", "asyncio", "uvloop", "corsproxy.app"})


def test_a_review_of_everything_is_golden_and_narrow() -> None:
    """The files of TLS are not there, so it is no run of `check`."""
    loaded = load_text((GOLDEN / "full.yaml").read_text(), "full.yaml")
    assert loaded.settings is not None
    found = review(loaded.settings, root=loaded.root)

    assert found == (GOLDEN / "full.review").read_text()
    assert "not-to-be-shown" not in found


@pytest.mark.parametrize("name", ["safe.txt", "risky.txt", "full.review"])
def test_a_review_is_as_wide_as_a_terminal(name: str) -> None:
    text = (GOLDEN / name).read_text()

    assert max(map(len, text[text.index("  listens on") :].splitlines())) <= 100


def test_a_review_shows_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("origin", "https://customer.example"), ("host", "api.customer.example")):
        (tmp_path / name).write_text(f"{value}\n")
    file = tmp_path / "f.yaml"
    file.write_text(
        f"""\
upstream: http://localhost:9000
hosts: ["${{file:{tmp_path}/host}}"]
cors: {{allow_origins: ["${{file:{tmp_path}/origin}}"]}}
headers: {{request: {{set: {{X-Api-Key: "${{file:{tmp_path}/origin}}"}}}}}}
"""
    )

    assert main(["check", str(file)]) == 0
    out = capsys.readouterr().out
    assert "customer" not in out
    assert f"  origins           ${{file:{tmp_path}/origin}}\n" in out
    assert f"  answers for       ${{file:{tmp_path}/host}}\n" in out


@pytest.mark.parametrize(
    ("more", "row"),
    [
        ("tests: [{origin: https://a.example, expect: allow}]", "  policy tests      1, which holds"),
        ("", "  policy tests      none yet: write calls that must work, and calls that must not, under `tests`"),
        ("forwarded: none", "  tells upstreams   nothing of the client"),
        ("forwarded: forwarded", "  tells upstreams   of the client, in Forwarded"),
        ("request_id: {header: X-Trace-Id}", "  request ids       X-Trace-Id, as clients send it"),
        ("trusted_proxies: [10.0.0.0/8]", "  believes          10.0.0.0/8: what their X-Forwarded-* and Forwarded say of a client"),
        ("cookies: {secure: true}", "  cookies           Secure"),
        ("cookies: {path: keep}", "  cookies           Path stays as the upstream wrote it"),
        ("limits: {request_body: 10MB}", "  limits            request bodies up to 10MB, pauses of up to 1m"),
        ("rate_limit: {rate: 100/s}", "  rate limit        100/s for each client address, 100 at once; above it 429"),
        ("rate_limit: {rate: 6/m, burst: 2, by: origin}", "  rate limit        6/m for each origin, 2 at once; above it 429"),
        ("rate_limit: {rate: 6/h, by: header:X-Api-Key}", "  rate limit        6/h for each value of x-api-key, 6 at once; above it 429"),
        ("headers: {request: {add: {X-A: secret}}}", "  to the upstream   X-A added"),
        ("tls: {cert_file: c, key_file: k}", "  listens on        https://127.0.0.1:8080"),
        (
            "tls: {cert_file: c, key_file: k, client_ca_file: a}",
            "  clients           must show a certificate signed by a, but for preflights; else 403",
        ),
    ],
)
def test_a_review_says_what_differs_from_the_default(more: str, row: str) -> None:
    settings = load_text(SMALL + more, "f").settings
    assert settings is not None
    assert row in review(settings).splitlines()


def test_a_review_of_a_small_file_says_nothing_of_what_it_does_not_set() -> None:
    settings = load_text(SMALL, "f").settings
    assert settings is not None
    assert len(review(settings).splitlines()) == 14


@pytest.mark.parametrize(
    ("upstream", "is_marked"),
    [
        ("http://api.example.net", True),
        ("http://10.0.0.1", False),
        ("http://api.internal", False),
        ("https://api.example.net", False),
        ("unix:/run/app.sock", False),
    ],
)
def test_a_review_marks_values_that_travel_in_clear_text(upstream: str, *, is_marked: bool) -> None:
    text = SMALL.replace("http://localhost:9000", upstream) + "headers: {request: {set: {X-Api-Key: secret}}}\n"
    settings = load_text(text, "f").settings
    assert settings is not None
    mark = "! plain http, maybe over the internet: X-Api-Key can be read on the way"
    assert (mark in review(settings).splitlines()) is is_marked


def test_a_root_route_for_some_hosts_leaves_other_paths_unanswered() -> None:
    text = "cors: none\nroutes: [{path: /, hosts: [a.example], upstream: 'http://localhost:9000'}]\n"
    settings = load_text(text, "f").settings
    assert settings is not None
    assert review(settings).endswith("\nany other path\n  answer            404\n")


def test_a_review_in_colour_is_the_same_review() -> None:
    settings = load_text((GOLDEN / "risky.yaml").read_text(), "risky.yaml").settings
    assert settings is not None
    coloured = review(settings, colour=True)

    assert "\x1b[1;33m! null: " in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == review(settings)


@pytest.mark.parametrize(
    ("flags", "row"),
    [
        ("max_age: 0", "  preflights        are not remembered"),
        ("max_age: 90s", "  preflights        are remembered for 90s: Chromium 90s, Firefox 90s, Safari 90s"),
        ("max_age: 3h", "  preflights        are remembered for 3h: Chromium 2h, Firefox 3h, Safari 10m"),
        ("allow_headers: []", "  request headers   what CORS always lets through"),
        ('allow_headers: ["*", Authorization]', "! any request header, and Authorization"),
        ("allow_methods: [PUT]", "  methods           PUT; and GET, HEAD, POST, which CORS always lets through"),
        ("enforce: false", "! enforce: false: what the policy does not allow is forwarded, and takes effect"),
    ],
)
def test_a_review_says_what_a_key_means(flags: str, row: str) -> None:
    settings = load_text(SMALL.replace("]}", f"], {flags}}}"), "f").settings
    assert settings is not None
    assert row in review(settings).splitlines()


def test_a_review_says_what_becomes_of_paths_without_a_route() -> None:
    text = "cors: none\nroutes: [{path: /api, upstream: 'http://localhost:9000'}]\n"
    settings = load_text(text, "f").settings
    assert settings is not None
    assert review(settings).endswith("\nany other path\n  answer            404\n")


def test_a_policy_without_dangers_has_no_mark() -> None:
    settings = load_flags("http://localhost:9000", ["https://a.example"]).settings
    assert settings is not None
    assert "!" not in review(settings)
