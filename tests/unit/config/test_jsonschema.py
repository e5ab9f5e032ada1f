"""The JSON Schema says what the loader does, as far as a schema can."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from corsproxy.config import nodes, patterns
from corsproxy.config.addresses import parse_host, parse_listen, parse_public_url, parse_upstream
from corsproxy.config.jsonschema import json_schema
from corsproxy.config.load import load_text
from corsproxy.config.paths import parse_route_path
from corsproxy.config.schema import KEYS, LOG, SECTIONS, SINGLE_KEYS, Kind
from corsproxy.config.units import parse_duration, parse_size
from corsproxy.cors.names import SENDABLE_METHODS
from corsproxy.cors.pattern import parse_pattern
from corsproxy.problems import Fault
from tests.unit.config import test_load
from tests.unit.config.diagnosed import UC

ROOT = Path(__file__).parents[3]
SCHEMA = json_schema()
VALIDATOR = Draft7Validator(SCHEMA)
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMENTED = re.compile(r"^( *)# ( *)(?=[a-z_]+:(?: |$)|- )", re.MULTILINE)
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
EXAMPLE = (ROOT / "config.example.yaml").read_text()
TEXTS = {
    "the example": EXAMPLE,
    "the example, all of it": COMMENTED.sub(r"\1\2", EXAMPLE),
    "a bit of everything": test_load.GOOD,
    **{f"{page.name} {place}": text for page in PAGES for place, text in enumerate(YAML.findall(page.read_text()))},
}


def value_of(text: str) -> Any:
    return nodes.json_of(nodes.read_value(text))


def complaints(text: str) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(value_of(text))]


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside of the schema."""
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(part)


def test_it_is_a_schema_of_draft_07() -> None:
    Draft7Validator.check_schema(SCHEMA)

    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_it_refers_only_to_what_it_defines_and_uses_all_of_it() -> None:
    used = {part["$ref"].removeprefix("#/definitions/") for part in parts(SCHEMA) if "$ref" in part}

    assert used == SCHEMA["definitions"].keys()


def test_nothing_stands_beside_a_reference_where_draft_07_would_ignore_it() -> None:
    assert [part for part in parts(SCHEMA) if "$ref" in part and len(part) > 1] == []


def test_every_kind_of_key_has_a_schema_and_every_key_a_description() -> None:
    described = {part["description"] for part in parts(SCHEMA) if isinstance(part.get("description"), str)}

    assert {key.kind for key in KEYS} == set(Kind)
    assert {key.doc for key in KEYS} <= described


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_what_we_show_pleases_it(text: str) -> None:
    assert load_text(text, "f").settings is not None
    assert complaints(text) == []


@pytest.mark.parametrize("path", SINGLE_KEYS)
def test_a_variable_can_stand_for_any_single_value(path: str) -> None:
    """What it will be is known when the file is loaded."""
    value: Any = "${NAME}"
    for name in reversed(path.split(".")):
        value = {name: value}
    errors = [error for error in VALIDATOR.iter_errors(value) if list(error.absolute_path) == path.split(".")]

    assert errors == []


@pytest.mark.parametrize("line", ["hosts: ['${HOST}', a.example]", "routes: [{path: '/${A}', cors: '${B}'}]", "log: {level: '${L:-info}'}"])
def test_a_variable_can_stand_inside_of_lists_and_texts(line: str) -> None:
    assert complaints(f"{UC}{line}\n") == []


@pytest.mark.parametrize("line", ["via: '$'", "log: {level: $LEVEL}", "listen: '$ {A}'"])
def test_a_dollar_alone_is_no_variable(line: str) -> None:
    assert complaints(f"{UC}{line}\n") != []


def test_keys_for_anchors_are_free_at_the_top_and_nowhere_else() -> None:
    assert complaints(f"{UC}x-anything: [1, {{a: b}}]\n") == []
    assert complaints("upstream: {url: http://localhost:9000, x-anything: 1}\ncors: none\n") != []


def test_a_route_takes_no_limit_that_acts_before_it_is_known() -> None:
    assert complaints(f"{UC}routes: [{{path: /a, limits: {{request_body: 1MB}}}}]\n") == []
    assert complaints(f"{UC}routes: [{{path: /a, limits: {{in_flight: 1}}}}]\n") != []


def test_a_key_that_needs_another_one_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECTIONS[LOG], "access", replace(SECTIONS[LOG]["access"], needs=("level",)))
    validator = Draft7Validator(json_schema())

    def is_fine(line: str) -> bool:
        return validator.is_valid(nodes.json_of(nodes.read_value(f"{UC}log: {line}\n")))

    assert is_fine("{access: true, level: info}")
    assert is_fine("{level: info}")
    assert not is_fine("{access: true}")


def test_a_dangerous_setting_excuses_what_it_stands_beside() -> None:
    null = "upstream: http://a\ncors: {allow_origins: [null]%s}\n"
    http = "upstream: http://a\ncors: {allow_origins: [http://a.example], allow_credentials: true%s}\n"

    assert complaints(null % "") != []
    assert complaints(null % ", dangerously_allow_null_origin: true") == []
    assert complaints(null % ", dangerously_allow_null_origin: false") != []
    assert complaints(http % "") != []
    assert complaints(http % ", dangerously_allow_insecure_origins: true") == []


def test_methods_are_completed_from_those_that_scripts_can_send() -> None:
    found = [{method.encode() for method in part["enum"]} for part in parts(SCHEMA) if "PROPFIND" in part.get("enum", ())]

    assert sorted(found, key=len) == [SENDABLE_METHODS, SENDABLE_METHODS | {b"*"}]


def test_defaults_and_examples_are_values_of_their_keys() -> None:
    for section, keys in SECTIONS.items():
        properties = SCHEMA["definitions"][section]["properties"] if section else SCHEMA["properties"]
        for key in keys.values():
            made = properties[key.name]
            shown = [*made.get("examples", []), *([made["default"]] if "default" in made else [])]
            validator = Draft7Validator({**made, "definitions": SCHEMA["definitions"]})
            assert [error.message for value in shown for error in validator.iter_errors(value)] == [], key.name
            assert bool(key.default) == ("default" in made)


PARSERS: dict[str, tuple[Callable[[str], object], str, str]] = {
    "addresses": (parse_listen, patterns.ADDRESS, "unix:/ a A 1 0 : [::1] [ ] . - _ 127.0.0.1 65535 99999 localhost"),
    "hosts": (parse_host, patterns.HOST, "* *. a A 1 : [::1] [ ] . - _ 127.0.0.1 localhost"),
    "public URLs": (parse_public_url, patterns.PUBLIC_URL, "http:// https:// a A 1 : [::1] . - _ ~ 127.0.0.1 :80 :8080 / * null"),
    "upstreams": (parse_upstream, patterns.UPSTREAM_URL, "http:// HTTPS:// unix:/ a A : [::1] . .. / % %20 %2e 1 :80 :/ - _ ~ ( é"),
    "paths of routes": (parse_route_path, patterns.ROUTE_PATH, "/ a A 1 . .. % %20 ; , = ~ - _ // * ? #"),
    "origins": (
        parse_pattern,
        patterns.ORIGIN,
        "http:// https:// file:// app:// *. :* * a A 1 : [::1] . - _ ~ 127.0.0.1 :8080 null",
    ),
    "durations": (parse_duration, patterns.SECONDS, "0 1 5 . 00 ms s m h d \N{MICRO SIGN}s"),
    "sizes": (parse_size, f"0|{patterns.SIZE}|0.*", "0 1 5 . 00 B KB MiB GB k Ki PB"),
}


@pytest.mark.parametrize(("parse", "pattern", "pieces"), PARSERS.values(), ids=PARSERS.keys())
def test_a_pattern_never_refuses_what_the_parser_takes(parse: Callable[[str], object], pattern: str, pieces: str) -> None:
    @given(st.lists(st.sampled_from(pieces.split()), min_size=1, max_size=6).map("".join))
    def check(text: str) -> None:
        if not isinstance(parse(text), Fault):
            assert re.fullmatch(pattern, text), text

    check()
