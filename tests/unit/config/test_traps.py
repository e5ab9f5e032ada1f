"""What a person reads when YAML stumbles."""

import pytest
import yaml

from corsproxy.config import nodes
from corsproxy.config.load import load_text
from tests.unit.config.diagnosed import said

CASES = {
    "a bare star is read as an alias": (
        "cors:\n  allow_origins: *\n",
        ['CP111 2:18 YAML reads a bare `*` as an alias | put it in quotes: `"*"`'],
    ),
    "a bare star in a list is read as an alias": (
        "cors: {allow_origins: [*]}\n",
        ['CP111 1:24 YAML reads a bare `*` as an alias | put it in quotes: `"*"`'],
    ),
    "a host that begins with a star is read as an alias": (
        "cors:\n  allow_origins:\n    - *.example.com\n",
        ['CP111 3:7 YAML reads a bare `*.example.com` as an alias | put it in quotes: `"*.example.com"`'],
    ),
    "a star with a name is an alias of nothing": (
        "cors: *shared\n",
        [
            'CP111 1:7 YAML reads `*shared` as an alias, and nothing is marked `&shared` before it | put it in quotes: `"*shared"`; or mark what it stands for with `&shared`'
        ],
    ),
    "an ampersand alone is read as the mark of an anchor": (
        "cors: &\n",
        ["CP111 1:7 YAML reads a bare `&` as the mark of an anchor | put the value in quotes"],
    ),
    "an IPv6 address without quotes is read as a list": (
        "listen: [::1]:8080\n",
        ['CP111 1:9 YAML reads `[::1]:8080` as a list | put it in quotes: `"[::1]:8080"`'],
    ),
    "an IPv6 address without quotes in a list": (
        "listen:\n  - [::1]:8080\n",
        ['CP111 2:5 YAML reads `[::1]:8080` as a list | put it in quotes: `"[::1]:8080"`'],
    ),
    "a variable without quotes inside braces opens a mapping": (
        "headers: {X: ${Y}}\n",
        ['CP111 1:14 YAML reads the `{` of `${Y}` as the start of a mapping | put it in quotes: `"${Y}"`'],
    ),
    "a tab indents": (
        "cors:\n\tallow_origins: []\n",
        ["CP111 2:1 a tab indents this line, and YAML takes only spaces | indent with spaces"],
    ),
    "a tab after spaces indents": (
        "cors:\n  \tallow_origins: []\n",
        ["CP111 2:3 a tab indents this line, and YAML takes only spaces | indent with spaces"],
    ),
    "no space behind the colon": (
        "listen:8080\nupstream: http://localhost:9000\n",
        ["CP111 1:1 `listen:` has no space behind its colon, so YAML reads one word | write `listen: 8080`"],
    ),
    "no colon at all": (
        "upstream http://localhost:9000\ncors: none\n",
        ["CP102 1:1 a key without its colon | write `upstream: http://localhost:9000`"],
    ),
    "no colon, and a comment and an empty line below": (
        "upstream http://localhost:9000\n# who may call\n\ncors: none\n",
        ["CP102 1:1 a key without its colon | write `upstream: http://localhost:9000`"],
    ),
    "a last line without a colon": (
        "cors: none\nupstream\n",
        ["CP102 2:1 a key without its colon | write `key: value`"],
    ),
    "a list that is never closed": (
        "cors: {allow_origins: [https://a.example\nlog: {}\n",
        ["CP102 2:4 a `,` or `]` is missing | close the `[` of line 1, or put the value in quotes"],
    ),
    "a list that is never closed, at the end": (
        "cors:\n  allow_origins: [https://a.example",
        ["CP102 2:18 a `,` or `]` is missing | close the `[` of line 2, or put the value in quotes"],
    ),
    "a mapping that is never closed": (
        "cors: {allow_origins: []\nlog: 1\n",
        ["CP102 2:1 a `,` or `}` is missing | close the `{` of line 1, or put the value in quotes"],
    ),
    "a quote that is never closed": (
        "cors:\n  allow_origins: 'https://a.example\nlog: x\n",
        ["CP102 2:18 a quote is never closed | close the quote of line 2"],
    ),
    "a bracket too many": (
        "cors: none\n}\n",
        ["CP102 2:1 a `}` that closes or parts nothing | take it out, or put the value in quotes"],
    ),
    "a value that begins with an at sign": (
        "listen: @here\n",
        ['CP102 1:9 a value cannot begin with `@` | put the value in quotes: `"@here"`'],
    ),
    "a value that begins with a backquote": (
        "listen: `here`\n",
        ["CP102 1:9 a value cannot begin with a backquote | put the value in quotes"],
    ),
    "two colons in one value": (
        "log: level: info\n",
        [
            "CP102 1:11 a second `: ` in one value, or a key that is indented too far | write `log: {level: info}`, or put the value in quotes"
        ],
    ),
    "a key that is indented too far": (
        "log:\n  level: info\n    format: text\n",
        [
            "CP102 3:11 a second `: ` in one value, or a key that is indented too far | put the value in quotes, or line the key up with its neighbours"
        ],
    ),
    "a key that is indented too little": (
        "log:\n  level: info\n format: text\n",
        [
            "CP102 3:2 this does not line up with what stands above it | begin it in column 3, as line 2 does, or in column 1, as line 1 does"
        ],
    ),
    "a list among keys": (
        "log:\n  level: info\n  - format\n",
        [
            "CP102 3:3 this does not line up with what stands above it | write `key: value` as the lines above do, or put this below a key of its own"
        ],
    ),
    "a backslash in double quotes": (
        'cors:\n  allow_origins:\n    - regex: "https://\\d"\n',
        ["CP102 3:23 YAML does not know this escape in double quotes | use single quotes: in them a backslash is itself"],
    ),
    "a second document": (
        "cors: none\n---\ncors: none\n",
        ["CP102 2:1 a second YAML document begins here | keep one document in the file"],
    ),
    "a control character": (
        "cors: no\x1bne\n",
        ["CP102 1:9 the character U+001B cannot stand in a YAML file | take it out, or write it as an escape in double quotes"],
    ),
    "another version of YAML": (
        "%YAML 3.0\n---\na: b\n",
        ["CP102 1:1 the file asks for another version of YAML | take the `%YAML` line out"],
    ),
    "an anchor that contains itself": (
        "x-a: &a [*a]\n",
        ["CP114 1:10 the alias `*a` stands inside of what it stands for, so it has no end | take the alias out"],
    ),
    "a mapping that contains itself": (
        "x-a: &a {b: *a}\n",
        ["CP114 1:13 the alias `*a` stands inside of what it stands for, so it has no end | take the alias out"],
    ),
}


@pytest.fixture(params=[yaml.CSafeLoader, yaml.SafeLoader], ids=["libyaml", "pure"])
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_LOADER", request.param)


@pytest.mark.usefixtures("_parser")
@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_file_that_is_not_yaml_gets_exactly_one_located_message(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_half_a_character_in_an_escape_is_refused_by_both_parsers(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = []
    for parser in (yaml.CSafeLoader, yaml.SafeLoader):
        monkeypatch.setattr(nodes, "_LOADER", parser)
        messages += [each.message for each in load_text('x-a: "\\ud800"\n', "f").diagnostics]

    assert messages == ["an escape stands for half a character"] * 2


def test_a_password_is_never_repeated() -> None:
    loaded = load_text("upstream: https://me:secret@api.internal/\ncors: none\n", "f")

    assert "secret" not in repr([(each.message, each.help, each.source_line) for each in loaded.diagnostics])
    assert loaded.diagnostics[0].source_line == "upstream: https://*********@api.internal/"
