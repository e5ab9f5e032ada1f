"""Names that are no keys, and what a person reads about them."""

import pytest

from corsproxy.config.load import load_text
from corsproxy.config.schema import CORS, FILE, HEADERS, KEYS, SECTIONS
from corsproxy.config.unknown import guess_key, nested
from tests.unit.config.diagnosed import UC, said

MEANT = {
    (CORS, "allowOrigins"): "allow_origins",
    (CORS, "AllowOrigins"): "allow_origins",
    (CORS, "ALLOW_ORIGINS"): "allow_origins",
    (CORS, "allowedOriginPatterns"): "allow_origins",
    (CORS, "accessControlAllowOriginList"): "",
    (CORS, "maxAge"): "max_age",
    (CORS, "supports_credentials"): "allow_credentials",
    (FILE, "reverse_proxy"): "upstream",
    (FILE, "upstream.url"): "upstream",
    (FILE, "CORS_ALLOWED_ORIGINS"): "cors",
    (FILE, "Access-Control-Max-Age"): "cors",
    (FILE, "corsPolicy"): "cors",
    (FILE, "max_age"): "",
    (FILE, "spring"): "",
    (HEADERS, "Access-Control-Max-Age"): "",
}

HELPS = {
    "CORSPROXY_LOG_LEVEL: debug\n": "write `log: {level: …}`; `CORSPROXY_LOG_LEVEL` is an environment variable",
    "Access-Control-Allow-Origin: https://a.example\n": "write `cors: {allow_origins: [https://a.example]}`",
    "Access-Control-Allow-Origin: '*'\n": 'write `cors: {allow_origins: "*"}`',
    "Access-Control-Max-Age: 600\n": "write `cors: {max_age: 600}`",
    "CORS_ALLOWED_ORIGINS: [https://a.example, https://b.example]\n": "write `cors: {allow_origins: [https://a.example, https://b.example]}`",
    "log.level: debug\n": "write `log: {level: debug}`",
    "client_max_body_size: 10MB\n": "did you mean `request_body`, under `limits`?",
    "request_body: 10MB\n": "write it under `limits`",
    "strip_prefix: true\n": "write it in one of the `routes`",
    "spring: {}\n": "take it out; docs/configuration.md lists all keys",
    "polices: {}\n": "did you mean `policies`?",
    "log: {file: a}\n": "take it out; the keys here are `format`, `level`, `access`",
    "headers: {Access-Control-Max-Age: 600}\n": "write `cors: {max_age: 600}`",
    "backend: http://localhost:9001\n": "did you mean `upstream`? it is in line 1 already",
}


@pytest.mark.parametrize(("place", "key"), MEANT.items(), ids=lambda value: value[1] if isinstance(value, tuple) else None)
def test_a_name_is_taken_for_the_key_that_it_was_meant_for(place: tuple[str, str], key: str) -> None:
    section, text = place

    assert guess_key(text, section)[0] == key


@pytest.mark.parametrize(("line", "help_"), HELPS.items())
def test_the_help_shows_what_to_write_in_this_file(line: str, help_: str) -> None:
    helps = [text.partition(" | ")[2] for text in said(UC + line) if text.startswith("CP103")]

    assert helps == [help_]


def test_a_name_of_another_tool_stands_for_the_key_that_lists_it() -> None:
    for key in KEYS:
        # The first row wins where two list the same name.
        found = {other: guess_key(other, key.section)[0] for other in key.also}
        assert all(name in SECTIONS[key.section] for name in found.values()), found
        assert key.name in found.values() or not key.also


def test_a_key_of_many_is_not_answered_with_the_whole_table() -> None:
    (only,) = [each for each in load_text(UC + "plugins: [a]\n", "f").diagnostics if each.problem.code == "CP103"]

    assert only.help == "take it out; docs/configuration.md lists all keys"


def test_a_path_of_keys_is_written_as_nested_mappings() -> None:
    assert nested("via") == "via: …"
    assert nested("upstream.tls.ca_file", "ca.pem") == "upstream: {tls: {ca_file: ca.pem}}"
