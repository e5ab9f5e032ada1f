"""Whatever a file's settings lead to, nothing that people see of it shows a secret: what a call comes to, failing tests, reviews, summaries."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.cli.main import main
from corsproxy.config.export import to_github, to_json
from corsproxy.config.load import load_text
from corsproxy.config.render import render
from corsproxy.forward import Forward
from corsproxy.rehearse import Call, rehearse
from corsproxy.startup import checked

CORES = st.text("abcdefghijkmnopqrstuvwxyz", min_size=10, max_size=20)
# All that is shown of an answer, and others; in any case.
NAMES = st.sampled_from(
    ["Vary", "vary", "Content-Type", "Location", "Timing-Allow-Origin", "TIMING-ALLOW-ORIGIN", "Cross-Origin-Resource-Policy", "X-Token"]
)
SHAPES = st.sampled_from(["CORE", "a, CORE, b", "Accept,CORE", "https://CORE.example", "CoreCORE", '"CORE"', "CORE; x=1"])
RULES = st.sampled_from(["set", "add"])


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets")


def said(arguments: list[str]) -> str:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        main(arguments)
    return out.getvalue()


@given(
    core=CORES, shape=SHAPES, rules=st.lists(st.tuples(NAMES, RULES), min_size=1, max_size=4), of_route=st.booleans(), short=st.booleans()
)
def test_no_answer_shows_a_secret_that_a_rule_puts_into_it(
    directory: Path, core: str, shape: str, rules: list[tuple[str, str]], *, of_route: bool, short: bool
) -> None:
    """However short it is: what a rule takes from a variable or a file is known by its field's name."""
    core = f"{core[:3]}\\" if short else core
    (directory / "s").write_text(shape.replace("CORE", core))
    by_rule: dict[str, dict[str, str]] = {"set": {}, "add": {}}
    for name, rule in rules:
        if name.lower() not in map(str.lower, by_rule[rule]):
            by_rule[rule][name] = f"${{file:{directory / 's'}}}"
    headers = json.dumps({"response": by_rule})
    wanted = json.dumps(dict.fromkeys((name for name, _ in rules), "x"))
    text = "upstream: http://localhost:9000\ncors: {allow_origins: [https://app.example.com], expose_headers: '*'}\n"
    text += f"routes: [{{path: /a, headers: {headers}}}]\n" if of_route else f"headers: {headers}\n"
    test = f"tests: [{{origin: https://app.example.com, path: /a, expect: {{response: {wanted}}}}}]\n"
    (directory / "c.yaml").write_text(text)
    loaded = checked(load_text(text + test, "f"))
    failures = render(loaded.diagnostics) + to_json(loaded.diagnostics) + to_github(loaded.diagnostics)
    call = ["explain", "--origin", "https://app.example.com", "--path", "/a", "-c", str(directory / "c.yaml")]
    seen = failures + said(call) + said([*call, "--json"])

    assert loaded.settings is None
    assert core.lower() not in seen.lower()


PLACES = {
    "an origin": "cors: {allow_origins: ['SECRET', https://app.example.com]}",
    "a path": "routes: [{path: '/x/SECRETPART', cors: none}]",
    "an upstream": "upstream: 'SECRET'",
    "a public URL": "public_url: 'https://SECRETPART.example'",
    "a host": "hosts: ['SECRETPART.example', localhost, app.localhost]",
    "a test's origin": "tests: [{origin: 'SECRET', expect: allow}]",
    "a test's path": "tests: [{path: '/SECRETPART', expect: refused}]",
    "a test's field": "tests: [{expect: {response: {Vary: 'SECRETPART'}}}]",
    "a test's header": "tests: [{origin: https://app.example.com, headers: ['SECRETPART'], expect: refused}]",
    "a test's host": "tests: [{host: 'SECRETPART.example', expect: refused}]",
    "an allowed header": "cors: {allow_origins: [https://app.example.com], allow_headers: ['SECRETPART']}",
    "a regex": "cors: {allow_origins: [{regex: 'https://SECRETPART[0-9]'}]}",
}
PART = "zyxwvutsrq"


@pytest.fixture
def verbs(tmp_path: Path) -> list[list[str]]:
    file = ["-c", str(tmp_path / "c.yaml")]
    call = ["explain", *file, "--origin", "https://app.example.com", "--header", "X-A"]
    return [["check", *file], ["check", "--format", "json", *file], ["config", "--effective", *file], call, [*call, "--json"]]


@pytest.mark.parametrize("place", PLACES)
def test_no_verb_shows_a_secret_wherever_it_stands(place: str, tmp_path: Path, verbs: list[list[str]]) -> None:
    (tmp_path / "whole").write_text(f"https://{PART}.example")
    (tmp_path / "part").write_text(PART)
    line = PLACES[place].replace("SECRETPART", f"${{file:{tmp_path}/part}}").replace("SECRET", f"${{file:{tmp_path}/whole}}")
    others = {"upstream": "upstream: http://localhost:9000", "cors": "cors: {allow_origins: [https://app.example.com]}"}
    others.pop(line.partition(":")[0], None)
    (tmp_path / "c.yaml").write_text("\n".join([*others.values(), line, ""]))
    seen = [said(verb) for verb in verbs]

    assert all(seen)
    assert [text for text in seen if PART in text] == []


def test_a_plan_shows_no_secret_of_a_request() -> None:
    text = "upstream: http://localhost:9000\ncors: none\nheaders: {request: {set: {X-Token: '${TOKEN}'}}}\n"
    found = load_text(text, "f", environ={"TOKEN": PART}).settings
    assert found is not None
    planned = rehearse(found, Call(headers=(b"Authorization",))).actual.planned

    assert isinstance(planned, Forward)
    assert b"X-Token: " + PART.encode() in planned.head
    assert PART not in repr(planned)
