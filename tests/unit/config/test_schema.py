"""The table of keys is complete, and says what the code does."""

from argparse import ArgumentParser
from dataclasses import fields

from corsproxy.cli import run
from corsproxy.config.load import load_text
from corsproxy.config.schema import ENVIRONMENT, FILE, KEYS, LIMITS, SECTIONS, SINGLE_KEYS, Kind
from corsproxy.config.settings import Limits, RouteLimits, Timeouts
from corsproxy.config.units import parse_size

# Without them, the request or another key says it.
NEEDLESS = (
    "resource_policy",
    "burst",
    "redirects",
    "public_url",
    "hosts",
    "origin",
    "host",
    "credentials",
    "client_ca_file",
    "ca_file",
    "server_name",
    "cert_file",
    "key_file",
)
BLOCKS = (Kind.UPSTREAM, Kind.SECTION, Kind.POLICY)


def test_no_key_stands_in_a_section_twice() -> None:
    places = [(key.section, key.name) for key in KEYS]

    assert len(places) == len(set(places))


def test_every_section_is_opened_by_a_key() -> None:
    assert {key.children for key in KEYS if key.children} | {FILE} == SECTIONS.keys()


def test_every_key_says_what_it_is_for_in_one_line() -> None:
    for key in KEYS:
        assert key.doc.endswith("."), key
        assert "\n" not in key.doc, key


def test_a_key_is_required_or_has_a_default_or_is_a_block() -> None:
    for key in KEYS:
        assert key.is_required or key.default or key.kind in BLOCKS or key.name in NEEDLESS, key


def test_what_is_dangerous_is_called_so() -> None:
    assert {key.name for key in KEYS if key.is_dangerous} == {key.name for key in KEYS if key.name.startswith("dangerously_")}


def test_no_other_name_is_a_key_beside_it() -> None:
    for key in KEYS:
        assert not set(key.also) & SECTIONS[key.section].keys(), key


def test_the_defaults_of_the_table_are_those_of_the_settings() -> None:
    def written(section: str) -> str:
        return ", ".join(f"{key.name}: {key.default}" for key in SECTIONS[section].values() if key.default)

    least = "upstream: http://localhost:9000\ncors: {allow_origins: [https://a.example]}\n"
    most = (
        f"upstream: {{url: http://localhost:9000, {written('upstream')}, pool: {{{written('pool')}}}}}\n"
        f"cors: {{allow_origins: [https://a.example], {written('cors')}}}\n"
        f"timeouts: {{{written('timeouts')}}}\nlimits: {{{written('limits')}}}\nlog: {{{written('log')}}}\n"
        f"request_id: {{{written('request_id')}}}\ntrace: {{{written('trace')}}}\ncookies: {{{written('cookies')}}}\n"
        f"headers: {{request: {{{written('header_rules')}}}, response: {{{written('header_rules')}}}}}\n"
        + "".join(f"{key.name}: {key.default}\n" for key in SECTIONS[FILE].values() if key.default)
    )

    assert load_text(most, "f").diagnostics == ()
    assert load_text(most, "f").settings == load_text(least, "f").settings
    assert (Timeouts().connect, Limits().request_head) == (5.0, 64 * 1024)


def test_bounds_are_wide_enough_for_the_default() -> None:
    for key in KEYS:
        if key.most:
            written = key.example or key.default
            number = int(written) if written.isdigit() else parse_size(written) if written != "auto" else key.least
            assert isinstance(number, int), key
            assert key.least <= number <= key.most, key
        assert bool(key.most) == (key.kind in (Kind.SIZE, Kind.SIZE_OR_NONE, Kind.COUNT, Kind.COUNT_OR_AUTO)), key


def test_what_a_route_may_limit_is_what_its_settings_hold() -> None:
    assert {name for name, key in SECTIONS[LIMITS].items() if not key.is_global} == {field.name for field in fields(RouteLimits)}
    assert {name for name, key in SECTIONS[LIMITS].items() if key.is_global} == {field.name for field in fields(Limits)}


def test_examples_and_defaults_can_be_copied_from_the_table() -> None:
    for key in KEYS:
        if key.section == FILE and key.example:
            text = "upstream: http://localhost:9000\ncors: none\n".replace(f"{key.name}: ", f"x-{key.name}: ")
            assert load_text(f"{text}{key.name}: {key.example}\n", "f").settings is not None, key


def test_variables_are_named_after_key_paths() -> None:
    assert ENVIRONMENT["CORSPROXY_LISTEN"] == "listen"
    assert ENVIRONMENT["CORSPROXY_UPSTREAM_URL"] == "upstream.url"
    assert ENVIRONMENT["CORSPROXY_CORS_ALLOW_ORIGINS"] == "cors.allow_origins"
    assert ENVIRONMENT["CORSPROXY_UPSTREAM_POOL_MAX_CONNECTIONS"] == "upstream.pool.max_connections"
    assert ENVIRONMENT["CORSPROXY_LIMITS_REQUEST_BODY"] == "limits.request_body"
    assert set(ENVIRONMENT.values()) == SINGLE_KEYS.keys()
    # Kubernetes sets these for a Service called corsproxy.
    assert not [name for name in ENVIRONMENT if name.startswith(("CORSPROXY_PORT", "CORSPROXY_SERVICE"))]


def test_the_flags_of_the_table_are_those_of_the_command_line() -> None:
    parser = ArgumentParser()
    run.add_arguments(parser)
    known = {flag for action in parser._actions for flag in action.option_strings}

    assert {key.flag for key in KEYS if key.flag} <= known
    assert all(key in SINGLE_KEYS.values() for key in KEYS if key.flag)


def test_what_stands_in_the_example_is_one_line_beside_a_key() -> None:
    for key in KEYS:
        assert "\n" not in key.comment, key
        assert not key.comment.endswith("."), key
        assert set(key.needs) <= SECTIONS[key.section].keys(), key
