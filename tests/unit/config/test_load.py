"""Files, flags and variables: which wins, and what is said about each."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corsproxy.config.load import MAX_FILE_BYTES, Loaded, Override, load_file, load_flags, load_text
from corsproxy.config.render import render
from corsproxy.config.schema import SINGLE_KEYS
from corsproxy.config.settings import HostRules, Limits, Listen, RouteLimits
from corsproxy.cors.policy import CorsPolicy

GOOD = """\
# A policy with a bit of everything.
listen: [127.0.0.1:8080, "[::1]:8080", unix:/run/corsproxy.sock]
public_url: https://api.example.com
hosts: [api.example.com, "*.example.net"]
via: true
upstream:
  url: https://legacy.internal:8443/base
  pool: {max_connections: auto, idle_timeout: 4s, wait: 5s}
  retries: 1
timeouts: {connect: 5s, response: 1.5m, idle: 300s}
x-shared: &shared
  allow_origins: &ours [https://app.example.com, "https://*.example.com"]
  max_age: 10m
cors:
  <<: *shared
  allow_methods: [GET, HEAD, POST, PUT, PATCH, DELETE]
  allow_headers: [Authorization, Content-Type]
  expose_headers: [X-Total-Count]
  allow_credentials: true
policies:
  partners:
    allow_origins:
      - https://a.partner.example
      - regex: 'https://pr-\\d+\\.preview\\.example'
  public: {allow_origins: "*", enforce: false}
limits: {request_body: none, request_line: 16KiB, header_count: 100, in_flight: 4000}
routes:
  - path: /public
    cors: public
    limits: {request_body: 10MB, body_idle_timeout: 2m}
  - path: /reports/
    upstream: http://reports.internal:8000
    timeouts: {response: 10m}
  - path: /partner-api
    cors: partners
  - {path: /internal, cors: none}
  - {path: /through, cors: passthrough}
  - {path: /own, cors: {allow_origins: *ours}}
log: {format: auto, level: info, access: true}
"""
SMALL = "upstream: http://localhost:9000\ncors: {allow_origins: [https://a.example], allow_credentials: true}\n"


def said(loaded: Loaded) -> list[str]:
    return [
        f"{each.problem.code} {each.file}:{each.line}:{each.column} {each.message}" + (f" | {each.help}" if each.help else "")
        for each in loaded.diagnostics
    ]


def origins(loaded: Loaded) -> set[bytes]:
    assert loaded.settings is not None, said(loaded)
    cors = loaded.settings.default_cors
    assert isinstance(cors, CorsPolicy)
    return set(cors.exact)


def test_a_good_file_has_nothing_to_mend(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)
    loaded = load_file(file)

    assert [each.problem.code for each in loaded.diagnostics] == ["CP262"]
    assert loaded.settings is not None
    assert [route.path for route in loaded.settings.routes] == [
        b"/partner-api",
        b"/internal",
        b"/reports",
        b"/through",
        b"/public",
        b"/own",
        b"/",
    ]
    assert loaded.source.name == str(file)


def test_a_file_that_is_not_there_is_a_diagnostic(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        (each,) = load_file(path).diagnostics
        assert (each.problem.code, each.file, each.line) == ("CP101", str(path), 0)

    assert said(load_file("a\0b")) == ["CP101 a\0b:0:0 `a\0b` cannot be read: its name holds a null byte | check the path"]


def test_what_was_loaded_names_the_file_that_it_depends_on(tmp_path: Path) -> None:
    good, bad, absent = (tmp_path / name for name in ("good", "bad", "absent"))
    good.write_text(GOOD)
    bad.write_text("[")

    assert [load_file(path).files for path in (good, bad, absent)] == [(str(good),), (str(bad),), (str(absent),)]
    assert load_text(GOOD, "f").files == ()
    assert load_flags("http://localhost:9000", ["https://a.example"]).files == ()


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(b"#" * (MAX_FILE_BYTES + 1))

    assert said(load_file(file)) == [f"CP114 {file}:0:0 the file is larger than 1024 KiB | check that it is the right file"]
    file.write_bytes(SMALL.encode() + b"#" * (MAX_FILE_BYTES - len(SMALL)))
    assert load_file(file).settings is not None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"a: b\nc: caf\xe9\n", "CP102 f:2:7 the byte 0xe9 is not UTF-8 | save the file as UTF-8", id="latin-1"),
        pytest.param(
            "ä: \udcff".encode("utf-8", "surrogateescape"), "CP102 f:1:4 the byte 0xff is not UTF-8 | save the file as UTF-8", id="columns"
        ),
        pytest.param(SMALL.encode("utf-16"), "CP102 f:1:1 the file is UTF-16, not UTF-8 | save the file as UTF-8", id="utf-16"),
        pytest.param(
            b"\x00",
            "CP102 f:1:1 the character U+0000 cannot stand in a YAML file | take it out, or write it as an escape in double quotes",
            id="a null byte",
        ),
    ],
)
def test_a_file_that_is_no_text_is_one_located_diagnostic(content: bytes, expected: str) -> None:
    assert said(load_text(content, "f")) == [expected]


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter() -> None:
    text = "\ufeff" + (SMALL + "log: {level: loud}\n").replace("\n", "\r\n")

    assert said(load_text(text.encode(), "f")) == [
        "CP109 f:3:14 `loud` is not one of the words of `level` | use one of `debug`, `info`, `warning`, `error`"
    ]


def test_what_the_caller_found_wins_over_the_file() -> None:
    loaded = load_text(
        SMALL + "listen: ':1'\n",
        "f",
        {
            "listen": Override("127.0.0.1:2, :3", "flag --listen"),
            "upstream.url": Override("http://other:1", "environment variable CORSPROXY_UPSTREAM_URL"),
            "cors.allow_origins": Override("https://b.example,https://c.example", "environment variable CORSPROXY_CORS_ALLOW_ORIGINS"),
            "log.access": Override("false", "environment variable CORSPROXY_LOG_ACCESS"),
            "timeouts.response": Override("5s", "environment variable CORSPROXY_TIMEOUTS_RESPONSE"),
        },
    )

    assert loaded.settings is not None, said(loaded)
    assert loaded.settings.listen == (Listen("127.0.0.1", 2), Listen("", 3))
    assert loaded.settings.routes[0].upstream.url == "http://other:1"
    assert loaded.settings.routes[0].timeouts.response == 5.0
    assert not loaded.settings.log.access
    assert origins(loaded) == {b"https://b.example", b"https://c.example"}
    policy = loaded.settings.default_cors
    assert isinstance(policy, CorsPolicy)
    assert policy.credentials


def test_a_key_beside_the_url_joins_a_url_that_stands_alone() -> None:
    overrides = {
        "upstream.retries": Override("0", "environment variable CORSPROXY_UPSTREAM_RETRIES"),
        "upstream.pool.max_connections": Override("7", "environment variable CORSPROXY_UPSTREAM_POOL_MAX_CONNECTIONS"),
    }

    for text in (SMALL, SMALL.replace("upstream: http://localhost:9000", "upstream: {url: http://localhost:9000, retries: 5}")):
        loaded = load_text(text, "f", overrides)
        assert loaded.settings is not None, said(loaded)
        upstream = loaded.settings.routes[0].upstream
        assert (upstream.port, upstream.retries, upstream.pool.max_connections) == (9000, 0, 7)


def test_every_kind_of_number_can_be_overridden() -> None:
    overrides = {
        "limits.request_body": Override("10MB", "environment variable CORSPROXY_LIMITS_REQUEST_BODY"),
        "limits.in_flight": Override("12", "environment variable CORSPROXY_LIMITS_IN_FLIGHT"),
        "limits.connections": Override("auto", "environment variable CORSPROXY_LIMITS_CONNECTIONS"),
        "via": Override("false", "environment variable CORSPROXY_VIA"),
        "hosts": Override("api.example.com, *.example.net", "environment variable CORSPROXY_HOSTS"),
    }

    loaded = load_text(SMALL + "limits: {request_body: none, connections: 5}\n", "f", overrides)

    assert loaded.settings is not None, said(loaded)
    assert loaded.settings.limits == Limits(in_flight=12)
    assert loaded.settings.routes[0].limits == RouteLimits(request_body=10_000_000)
    assert loaded.settings.hosts == HostRules(names=frozenset({b"api.example.com"}), suffixes=(b".example.net",))
    assert loaded.settings.pseudonym == b""


def test_a_wrong_number_is_shown_with_its_variable() -> None:
    loaded = load_text(SMALL, "f", {"limits.request_body": Override("10", "environment variable CORSPROXY_LIMITS_REQUEST_BODY")})

    assert said(loaded) == ["CP107 environment variable CORSPROXY_LIMITS_REQUEST_BODY:0:0 `10` lacks a unit | write `10B` or `10KiB`"]


def test_a_faulty_value_of_the_file_that_is_overridden_is_no_matter() -> None:
    text = "upstream: nonsense\ncors: nonsense\n"
    overrides = {"upstream.url": Override("http://a", "flag --upstream"), "cors.allow_origins": Override("*", "flag --allow-origin")}

    loaded = load_text(text, "f", overrides)

    assert loaded.settings is not None, said(loaded)
    assert isinstance(loaded.settings.default_cors, CorsPolicy)
    assert loaded.settings.default_cors.any_origin


def test_a_wrong_value_is_shown_with_its_source() -> None:
    loaded = load_text(
        SMALL,
        "f",
        {
            "listen": Override("8080", "environment variable CORSPROXY_LISTEN"),
            "cors.allow_origins": Override("https://b.example, https://c.example/", "environment variable CORSPROXY_CORS_ALLOW_ORIGINS"),
            "public_url": Override("https://a\x1b", "flag --public-url"),
            "cors.max_age": Override("soon", "flag --max-age"),
        },
    )

    assert said(loaded) == [
        "CP105 flag --public-url:0:0 `public_url` holds a character that cannot be shown | take it out",
        (
            "CP108 environment variable CORSPROXY_LISTEN:0:0 `8080` is a port without a host"
            " | write `:8080` for all interfaces, or `127.0.0.1:8080`"
        ),
        "CP107 flag --max-age:0:0 `soon` is not a duration | write a number and a unit: `500ms`, `15s`, `10m`, `2h`",
        (
            "CP201 environment variable CORSPROXY_CORS_ALLOW_ORIGINS:0:0 `https://c.example/` never matches: an origin ends without a slash"
            " | write `https://c.example`"
        ),
    ]
    assert "  | https://b.example, https://c.example/\n  |                    ^^^^^^^^^^^^^^^^^^\n" in render(loaded.diagnostics)


def test_two_flags_are_enough() -> None:
    loaded = load_flags("http://localhost:9000", ["https://app.example.com", "http://localhost:*"])

    assert loaded.settings is not None, said(loaded)
    (route,) = loaded.settings.routes
    assert (route.path, route.upstream.port, str(route.place)) == (b"/", 9000, "flag --allow-origin")
    assert loaded.settings.listen == (Listen("127.0.0.1", 8080),)
    assert origins(loaded) == {b"https://app.example.com"}


def test_all_flags_together() -> None:
    loaded = load_flags("unix:/run/a.sock", ["https://app.example.com"], True, [":8080", "unix:/run/c.sock"])

    assert loaded.settings is not None, said(loaded)
    assert loaded.settings.listen == (Listen("", 8080), Listen(unix_path="/run/c.sock"))
    assert isinstance(loaded.settings.default_cors, CorsPolicy)
    assert loaded.settings.default_cors.credentials


def test_wrong_flags_are_all_shown_at_once() -> None:
    loaded = load_flags("localhost:9000", ["*"], True, ["8080"])

    assert loaded.settings is None
    assert [(each.problem.code, each.file) for each in loaded.diagnostics] == [
        ("CP108", "flag --listen"),
        ("CP202", "flag --allow-origin"),
        ("CP108", "flag --upstream"),
    ]


def test_flags_that_are_missing_are_named() -> None:
    assert said(load_flags()) == [
        "CP115 command line:0:0 no upstream is named | add `--upstream http://localhost:9000`, or `--config FILE`",
        "CP115 command line:0:0 no origin is allowed | add `--allow-origin https://app.example.com`, or `--config FILE`",
    ]


def test_variables_stand_in_for_flags_and_flags_win() -> None:
    overrides = {
        "upstream.url": Override("http://a", "environment variable CORSPROXY_UPSTREAM_URL"),
        "cors.allow_origins": Override("https://a.example", "environment variable CORSPROXY_CORS_ALLOW_ORIGINS"),
        "listen": Override(":1", "environment variable CORSPROXY_LISTEN"),
    }

    assert origins(load_flags(overrides=overrides)) == {b"https://a.example"}
    loaded = load_flags("http://b", ["https://b.example"], listen=[":2"], overrides=overrides)
    assert origins(loaded) == {b"https://b.example"}
    assert loaded.settings is not None
    assert (loaded.settings.listen, loaded.settings.routes[0].upstream.host) == ((Listen("", 2),), "b")


def test_every_key_that_can_be_overridden_can_be_wrong() -> None:
    for path in SINGLE_KEYS:
        for value in ("", "\udcff", "[", "*", "0", "a b", "x" * 5000, "9" * 5000, ",", "null", "true"):
            holds_one_truth(load_text(SMALL, "f", {path: Override(value, f"flag {path}")}))


def holds_one_truth(loaded: Loaded) -> None:
    errors = [each for each in loaded.diagnostics if each.severity == "error"]
    assert (loaded.settings is None) == bool(errors)
    for each in loaded.diagnostics:
        assert each.message
        assert not each.message.endswith(".")
        assert (
            each.message[0].islower()
            or each.message[0] in "`0123456789"
            or each.message.startswith(("YAML", "GET", "HEAD", "POST", "Chromium"))
        )
        # A problem of a policy has no help where only the owner knows what was meant.
        assert each.help or each.severity != "error" or each.problem.code.startswith("CP2"), each
        assert "invalid value" not in each.message
    render(loaded.diagnostics, colour=True).encode()


PIECES = sorted(
    {
        *GOOD.split(),
        *GOOD.splitlines(),
        ":",
        "-",
        "[",
        "]",
        "{",
        "}",
        "*",
        "&a",
        "*a",
        "<<:",
        '"',
        "'",
        "\t",
        "\n",
        "  ",
        "null",
        "off",
        "!!x",
        "%",
    }
)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """Cut, double, move and replace parts of the good file."""
    text = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        new = draw(st.sampled_from(PIECES) | st.text(max_size=5) | st.just(text[start:end] * 2))
        text = text[:start] + new + text[end:]
    return text


@settings(max_examples=300, deadline=None)
@given(mutations())
def test_any_mutation_of_a_good_file_is_settings_or_diagnostics(text: str) -> None:
    holds_one_truth(load_text(text, "f"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_diagnostics(content: bytes) -> None:
    holds_one_truth(load_text(content, "f"))


def test_any_line_may_be_missing_doubled_or_swapped() -> None:
    lines = GOOD.splitlines(keepends=True)
    for at in range(len(lines)):
        holds_one_truth(load_text("".join(lines[:at] + lines[at + 1 :]), "f"))
        holds_one_truth(load_text("".join(lines[: at + 1] + lines[at:]), "f"))
        holds_one_truth(load_text("".join(lines[:at] + lines[at + 1 : at + 2] + lines[at : at + 1] + lines[at + 2 :]), "f"))
