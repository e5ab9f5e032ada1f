"""`${…}` in values: what it stands for, what is refused, and what is a secret."""

import os
import re
import time
from collections.abc import Mapping as Given
from pathlib import Path
from typing import Any

import pytest

from corsproxy.config.diagnostics import Report, Source
from corsproxy.config.interpolate import MAX_VALUE, interpolate
from corsproxy.config.load import Override, load_file, load_text
from corsproxy.config.nodes import Mapping, Node, Scalar, Sequence, read_nodes, split_lines
from corsproxy.config.render import render
from corsproxy.cors.policy import CorsPolicy
from tests.unit.config.diagnosed import C, U

ENVIRON = {"A": "one", "B_2": "two", "EMPTY": "", "N": "600", "T": "true", "REF": "${A}", "YAML": "x: [1, {a: b}]\n- c", "NULL": "null"}


def tree(text: str, environ: Given[str, str] = ENVIRON) -> tuple[Node, list[str], tuple[str, ...]]:
    """Read a document, and return the tree, what is said about it in one line each, and the files that it reads."""
    source = Source("f", split_lines(text))
    report = Report(source)
    root, files = interpolate(read_nodes(text, source, report), environ, report)
    said = [
        f"{each.problem.code} {each.line}:{each.column} {each.message}" + (f" | {each.help}" if each.help else "")
        for each in report.in_order()
    ]
    return root, said, files


def plain(node: Node) -> Any:
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {name: plain(entry.value) for name, entry in node.entries.items()}


def scalar(node: Node, *path: str | int) -> Scalar:
    for step in path:
        if isinstance(node, Sequence):
            assert isinstance(step, int)
            node = node.items[step]
        else:
            assert isinstance(node, Mapping)
            node = node.entries[str(step)].value
    assert isinstance(node, Scalar)
    return node


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${A}", "one"),
        ("x${A}-${B_2}y", "xone-twoy"),
        ("${A}${A}", "oneone"),
        ("${EMPTY}", None),
        ('"${EMPTY}"', ""),
        ("x${EMPTY}", "x"),
        ("${A:-other}", "one"),
        ("${MISSING:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${MISSING:-}", None),
        ("${MISSING:-a:-b}", "a:-b"),
        ("${MISSING:-http://localhost:9000}", "http://localhost:9000"),
        ("${N}", 600),
        ('"${N}"', "600"),
        ("'${N}'", "600"),
        ("${N}s", "600s"),
        ("-${N}", -600),
        ("${T}", True),
        ("'${T}'", "true"),
        ("${MISSING:-false}", False),
        ("${NULL}", None),
        ("$A", "$A"),
        ("$", "$"),
        ("a$", "a$"),
        ("$(A)", "$(A)"),
        ("$$", "$$"),
        ("$$A", "$$A"),
        ("{}", {}),
        ("$${A}", "${A}"),
        ("'$${'", "${"),
        ("$$${A}", "$${A}"),
        ("$${A}${A}", "${A}one"),
        ("${REF}", "${A}"),
        ("${YAML}", "x: [1, {a: b}]\n- c"),
        ("|\n  ${N}\n", "600\n"),
        (">-\n  ${A}\n  ${N}", "one 600"),
        (r'"\x24{A}"', "one"),
    ],
)
def test_what_a_value_becomes(written: str, value: object) -> None:
    root, said, _ = tree(f"k: {written}")

    assert said == []
    assert plain(root) == {"k": value}


def test_every_value_is_looked_at_and_no_key() -> None:
    root, said, _ = tree("a: [x, '${A}', {b: '${A}'}]\n'${A}': {c: &c '${A}', d: *c}\n'${': y\n")

    assert said == []
    assert plain(root) == {"a": ["x", "one", {"b": "one"}], "${A}": {"c": "one", "d": "one"}, "${": "y"}


def test_a_document_that_is_one_value() -> None:
    assert plain(tree("${A}")[0]) == "one"


def test_top_level_keys_that_are_ignored_need_no_variables_but_what_is_used_of_them_does() -> None:
    root, said, _ = tree("x-a: ['${MISSING}', &b '${GONE}']\nc: *b\nd: {x-e: '${LOST}'}\n")

    assert [each[:10] for each in said] == ["CP116 1:25", "CP116 3:11"]
    assert plain(root) == {"x-a": ["${MISSING}", "${GONE}"], "c": "${GONE}", "d": {"x-e": "${LOST}"}}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${MISSING}", "CP116 1:4 the environment variable `MISSING` is not set | set it, or give it a default: `${MISSING:-default}`"),
        ("a${MISSING}b", "CP116 1:5 the environment variable `MISSING` is not set | set it, or give it a default: `${MISSING:-default}`"),
        ("'${BYTES}'", "CP116 1:5 the environment variable `BYTES` is not UTF-8 | set it to a text"),
        ("x${A", "CP118 1:5 `${A` is never closed | write `${NAME}`; for a plain `${`, write `$${`"),
        ("${", "CP118 1:4 `${` is never closed | write `${NAME}`; for a plain `${`, write `$${`"),
        ("'${}'", "CP118 1:5 `${}` names no variable | write `${NAME}`; for a plain `${`, write `$${`"),
        ("'${ }'", "CP118 1:5 `${ }` names no variable | write `${NAME}`; for a plain `${`, write `$${`"),
        (
            "${1X}",
            "CP118 1:4 `${1X}` names no variable | write `${NAME}`: letters, digits and `_`, no digit first; for a plain `${`, write `$${`",
        ),
        (
            "${A.B}",
            "CP118 1:4 `${A.B}` names no variable | write `${NAME}`: letters, digits and `_`, no digit first; for a plain `${`, write `$${`",
        ),
        (
            "'${{ secrets.A }}'",
            "CP118 1:5 `${{ secrets.A }` names no variable | write `${NAME}`: letters, digits and `_`, no digit first; for a plain `${`, write `$${`",
        ),
        (
            "${Ä}",
            "CP118 1:4 `${Ä}` names no variable | write `${NAME}`: letters, digits and `_`, no digit first; for a plain `${`, write `$${`",
        ),
        ("'${ A }'", "CP118 1:5 `${ A }` has spaces around the name | write `${A}`"),
        ("'${ A:-b}'", "CP118 1:5 `${ A:-b}` has spaces around the name | write `${A:-b}`"),
        ("${A:?x}", "CP118 1:4 `${A:?x}` has a `:?`, which means nothing here | write `${A}`"),
        ("${A?x}", "CP118 1:4 `${A?x}` has a `?`, which means nothing here | write `${A}`"),
        ("${A:+x}", "CP118 1:4 `${A:+x}` has a `:+`, which means nothing here | write `${A}`"),
        ("${A-x}", "CP118 1:4 `${A-x}` has a `-`, which means nothing here | write `${A:-x}`"),
        ("${A:=x}", "CP118 1:4 `${A:=x}` has a `:=`, which means nothing here | write `${A:-x}`"),
        ("${A:8080}", "CP118 1:4 `${A:8080}` has a `:`, which means nothing here | write `${A:-8080}`"),
        ("${env:A}", "CP118 1:4 `${env:A}` has a prefix, and a variable is only its name | write `${A}`"),
        ("${env.A}", "CP118 1:4 `${env.A}` has a prefix, and a variable is only its name | write `${A}`"),
        (
            "${A:-${B_2}}",
            "CP118 1:4 `${A:-${B_2}}` has a reference inside of a reference | write one default, as plain text: `${NAME:-default}`",
        ),
        (
            "'${A:-$${x}'",
            "CP118 1:5 `${A:-$${x}` has a reference inside of a reference | write one default, as plain text: `${NAME:-default}`",
        ),
        ("${file:}", "CP118 1:4 `${file:}` names no file | write `${file:/run/secrets/token}`"),
        ("${file:key}", "CP118 1:4 `${file:key}` names no absolute path | write `${file:/run/secrets/key}`"),
        ("${file:../a/key}", "CP118 1:4 `${file:../a/key}` names no absolute path | write `${file:/run/secrets/key}`"),
        ("${File:/a}", "CP118 1:4 `${File:/a}` is not how a file is named | write `${file:/a}`"),
        ("'${file:/absent/x}'", "CP117 1:5 the file `/absent/x` cannot be read: no such file or directory | " + "CHECK"),
        (r'"${file:/a\0b}"', "CP117 1:4 the file `/a\0b` cannot be read: its name holds a null byte | " + "CHECK"),
        ("${file:/}", "CP117 1:4 the file `/` is not a regular file | name a file that holds the value"),
    ],
)
def test_a_reference_that_cannot_be_used_is_an_error(written: str, expected: str) -> None:
    root, said, _ = tree(f"k: {written}", {**ENVIRON, "BYTES": "a\udcff"})

    assert said == [expected.replace("CHECK", "check the path, and that the user that runs corsproxy may read it")]
    assert plain(root) == {"k": scalar(read_nodes(f"k: {written}", Source("f"), Report(Source("f"))), "k").text}


def test_all_references_of_a_value_are_checked() -> None:
    assert [each.partition(" the ")[0][:10] for each in tree("k: ${X}, ${A}, ${1}, ${Y}, ${X}")[1]] == [
        "CP116 1:4",
        "CP118 1:16",
        "CP116 1:22",
    ]


def test_no_other_variable_is_suggested() -> None:
    """Which variables there are is nobody's business: their names may say what they are for."""
    assert "SECRET_TOKEN" not in str(tree("k: ${SECRET_TOKE}", {"SECRET_TOKEN": "x"})[1])


@pytest.mark.parametrize("text", ["k: ${A}${B_2}", "k: y${A}", "k: ${A}${A}", "k: ${A}${FILE}"])
def test_a_value_is_bounded(tmp_path: Path, text: str) -> None:
    (tmp_path / "s").write_text("x")
    environ = {"A": "x" * MAX_VALUE, "B_2": "y"}

    assert tree("k: ${A}", environ)[1] == []
    (said,) = tree(text.replace("FILE", f"file:{tmp_path}/s"), environ)[1]
    assert re.sub(r" 1:\d+ ", " ", said) == "CP112 the value is longer than 65536 characters | shorten it"


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"abc", "abc"),
        (b"abc\n", "abc"),
        (b"abc\r\n", "abc"),
        (b"abc\n\n", "abc\n"),
        (b"abc\r", "abc\r"),
        (b" abc ", " abc "),
        (b"", ""),
        (b"\n", ""),
        ("ü\n".encode(), "ü"),
        (b"${A}", "${A}"),
        (b"x" * MAX_VALUE, "x" * MAX_VALUE),
    ],
)
def test_a_file_stands_for_what_it_holds_less_one_line_end(tmp_path: Path, content: bytes, value: str) -> None:
    file = tmp_path / "a secret"
    file.write_bytes(content)
    root, said, files = tree(f'k: "${{file:{file}}}"')

    assert (said, plain(root), files) == ([], {"k": value}, (str(file),))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x" * (MAX_VALUE + 1), "is larger than 64 KiB | check that it is the right file"),
        (b"caf\xe9", "is not UTF-8 | save it as text"),
        (b"\xed\xa0\x80", "is not UTF-8 | save it as text"),
    ],
)
def test_a_file_that_is_no_secret_is_an_error(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "s"
    file.write_bytes(content)

    assert tree(f"k: ${{file:{file}}}")[1] == [f"CP117 1:4 the file `{file}` {expected}"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_hold_the_start_up(tmp_path: Path) -> None:
    pipe = tmp_path / "p"
    os.mkfifo(pipe)

    assert tree(f"k: ${{file:{pipe}}}")[1] == [f"CP117 1:4 the file `{pipe}` is not a regular file | name a file that holds the value"]


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s").write_text("abc")
    opened: list[object] = []
    real = os.open

    def watched(path: str, flags: int) -> int:
        opened.append(path)
        return real(path, flags)

    monkeypatch.setattr(os, "open", watched)
    root, _, files = tree(f"[ '${{file:{tmp_path}/s}}', 'x${{file:{tmp_path}/s}}${{file:{tmp_path}/s}}' ]")

    assert plain(root) == ["abc", "xabcabc"]
    assert list(files) == opened == [f"{tmp_path}/s"]


def test_the_files_of_a_configuration_are_named_so_that_a_change_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "age").write_text("1h\n")
    (tmp_path / "link").symlink_to("age")
    file = tmp_path / "f.yaml"
    text = (
        U
        + f"cors:\n  allow_origins: [https://a.example]\n  max_age: ${{file:{tmp_path}/link}}\nlog: {{level: '${{file:{tmp_path}/absent}}'}}\n"
    )
    file.write_text(text)
    loaded = load_file("f.yaml")

    assert loaded.settings is None
    assert loaded.files == (str(file), f"{tmp_path}/link", f"{tmp_path}/absent")
    assert load_text(text, "f").files == loaded.files[1:]

    (tmp_path / "absent").write_text("debug")
    assert load_file("f.yaml").settings is not None
    assert load_file("absent.yaml").files == (str(tmp_path / "absent.yaml"),)


# --- secrets --------------------------------------------------------------------------------------


def test_a_value_says_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("abc")
    root, _, _ = tree(f"a: ${{A}}-${{MISSING:-x}}\nb: ${{file:{tmp_path}/s}}\nc: plain\nd: $${{A}}\n")
    found = {name: (each.is_interpolated, each.is_secret, each.origins, each.shown) for name in "abcd" for each in [scalar(root, name)]}

    assert found == {
        "a": (True, False, ("environment variable A", "default of MISSING"), "one-x"),
        "b": (True, True, (f"file {tmp_path}/s",), f"${{file:{tmp_path}/s}}"),
        "c": (False, False, (), "plain"),
        "d": (False, False, (), "${A}"),
    }


@pytest.mark.parametrize("key", ["headers", "Headers", "header", "request_headers"])
def test_what_header_rules_refer_to_is_secret_wherever_it_stands(key: str) -> None:
    """Misspelt or not: a wrong key must not make a secret show."""
    rules = "{request: {set: {X-Key: 'Bearer ${A}', X-Stage: prod, X-B: '${MISSING:-x}'}}}"
    for text, path in (
        (f"{key}: {rules}\nother: ['${{A}}', '${{B_2}}']\n", (key,)),
        (f"routes:\n  - path: /\n    {key}: {rules}\nother: ['${{A}}', '${{B_2}}']\n", ("routes", 0, key)),
        (f"x-rules: &r {rules}\n{key}: *r\nother: ['${{A}}', '${{B_2}}']\n", (key,)),
        (f"x-route: &r {{{key}: {rules}}}\nroutes: [{{<<: *r, path: /}}]\nother: ['${{A}}', '${{B_2}}']\n", ("routes", 0, key)),
    ):
        root, said, _ = tree(text)
        names = [scalar(root, *path, "request", "set", name).is_secret for name in ("X-Key", "X-Stage", "X-B")]

        assert said == []
        assert names == [True, False, True]
        assert [scalar(root, "other", place).is_secret for place in (0, 1)] == [True, False]


def test_a_secret_does_not_show_in_a_repr(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("hunter2")
    root, _, _ = tree(
        f"a: {{b: ['x${{file:{tmp_path}/s}}', '${{A}}']}}\nheaders: {{request: {{set: {{X: '${{TOKEN}}'}}}}}}", {"TOKEN": "tok", "A": "one"}
    )

    assert scalar(root, "a", "b", 0).text == "xhunter2"
    assert "hunter2" not in repr(root)
    assert "tok'" not in repr(root)
    assert "one" in repr(root)


# --- in a file ------------------------------------------------------------------------------------


def test_values_have_their_meaning_behind_the_variables() -> None:
    text = "upstream: ${UP:-http://localhost:9000}\ncors:\n  allow_origins: ['https://${HOST}']\n  max_age: ${AGE}\n  allow_credentials: ${C:-true}\n"
    settings = load_text(text, "f", None, {"HOST": "a.example", "AGE": "600"}).settings

    assert settings is not None
    (route,) = settings.routes
    assert route.upstream.url == "http://localhost:9000"
    assert isinstance(route.cors, CorsPolicy)
    assert (route.cors.exact, route.cors.max_age_s, route.cors.credentials) == (frozenset({b"https://a.example"}), 600, True)


def test_a_wrong_value_is_shown_under_its_reference_with_its_source() -> None:
    loaded = load_text("upstream: ${UPSTREAM}\n" + C, "f.yaml", None, {"UPSTREAM": "localhost"})

    assert render(loaded.diagnostics) == (
        "error[CP108]: `localhost` has no scheme\n"
        " --> f.yaml:1:11\n"
        "  |\n"
        "1 | upstream: ${UPSTREAM}\n"
        "  |           ^^^^^^^^^^^\n"
        "  = note: the value is `localhost` (environment variable UPSTREAM)\n"
        "  = help: write `http://localhost`\n"
        "\n"
        "1 error\n"
    )


def test_a_message_from_two_values_shows_neither_if_one_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("64KiB")
    text = f"{U}{C}limits: {{request_line: '${{LINE}}', request_head: '${{HEAD:-file:}}'}}\n"

    (open_,) = load_text(text, "f", None, {"LINE": "70KiB", "HEAD": "65536B"}).diagnostics
    assert open_.message == "`request_line` is 70KiB, more than the 64KiB of `request_head`, which it is a part of"
    assert open_.note == "the value is `70KiB` (environment variable LINE); the value is `65536B` (environment variable HEAD)"

    (veiled,) = load_text(text.replace("${HEAD:-file:}", f"${{file:{tmp_path}/s}}"), "f", None, {"LINE": "70KiB"}).diagnostics
    assert (veiled.message, veiled.note) == (f"the secret from file {tmp_path}/s: out of range", "")


def test_a_missing_variable_is_all_that_is_said_of_its_value() -> None:
    loaded = load_text("upstream: ${X}\ncors: ${Y}\nlisten: ['${Z}', '${Z}']\nroutes: [{path: '${P}'}]\n", "f")

    assert [each.problem.code for each in loaded.diagnostics] == ["CP116"] * 5


def test_without_an_environment_no_variable_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM", "http://localhost:1")

    assert [each.problem.code for each in load_text("upstream: ${UPSTREAM}\n" + C, "f").diagnostics] == ["CP116"]


def test_what_a_flag_replaces_needs_no_variable_and_a_flag_is_taken_as_it_is() -> None:
    loaded = load_text("upstream: ${X}\n" + C, "f", {"upstream.url": Override("http://localhost:1", "flag --upstream")})
    assert loaded.diagnostics == ()

    loaded = load_text(U + C, "f", {"upstream.url": Override("http://${A}", "flag --upstream")}, ENVIRON)
    assert [(each.problem.code, each.message) for each in loaded.diagnostics] == [("CP108", "`${A}` is not a host name")]


def test_an_upstream_that_is_a_secret_goes_by_the_text_in_the_file(tmp_path: Path) -> None:
    """Logs name an upstream by its URL."""
    (tmp_path / "s").write_text("http://hunter2:9000/hunter3\n")
    written = f"${{file:{tmp_path}/s}}"
    for upstream in (written, f"{{url: '{written}', retries: 0}}"):
        loaded = load_text(f"upstream: {upstream}\n{C}", "f")
        assert loaded.settings is not None
        found = loaded.settings.routes[0].upstream

        assert (found.url, found.host, found.port, found.path) == (written, "hunter2", 9000, b"/hunter3")
        assert "hunter" not in repr(loaded.settings)


def test_a_value_of_very_many_references_takes_no_longer_than_its_length() -> None:
    """Four times as many would take sixteen times as long if each looked at all before it."""

    def seconds(count: int) -> float:
        text = "upstream: http://localhost:9000\ncors: none\nhosts: '" + "${A:-}" * count + "'\n"
        begun = time.process_time()
        load_text(text, "f", environ={})
        return time.process_time() - begun

    assert min(seconds(40_000) for _ in range(2)) < 8 * min(seconds(10_000) for _ in range(3))
