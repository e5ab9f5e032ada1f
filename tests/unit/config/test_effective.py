"""What is in force, and where each value comes from."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from corsproxy.config.diagnostics import Source
from corsproxy.config.effective import effective, to_json, to_yaml
from corsproxy.config.load import Loaded, Override, load_flags, load_text
from corsproxy.config.schema import BLOCKS, FILE, SECTIONS, Key, Kind
from corsproxy.config.settings import Place, Settings
from tests.unit.config.diagnosed import UC, C, U
from tests.unit.config.test_corpus import ENVIRON

CONFIGS = Path(__file__).parents[2] / "configs"
VALID = sorted((CONFIGS / "valid").glob("*.yaml"))


def shown(loaded: Loaded) -> str:
    assert loaded.settings is not None, loaded.diagnostics
    assert loaded.root is not None
    return to_yaml(effective(loaded.root))


def in_full(settings: Settings | None) -> str:
    """Write settings out without the places where policies are written; compiled patterns are told by their text."""
    assert settings is not None
    nowhere = Source("").span(1, 1)
    tests = tuple(replace(test, span=nowhere) for test in settings.tests)
    plain = replace(settings, tests=tests, routes=tuple(replace(route, place=Place("")) for route in settings.routes))
    return re.sub(r" at 0x[0-9a-f]+", "", repr(plain))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_what_is_printed_loads_again_as_the_same_settings(path: Path) -> None:
    loaded = load_text(path.read_bytes(), path.name, environ=ENVIRON)
    text = shown(loaded)
    again = load_text(text, "again", environ=ENVIRON)

    assert in_full(again.settings) == in_full(loaded.settings)
    assert [line.partition("  # ")[0].rstrip() for line in shown(again).splitlines()] == [
        line.partition("  # ")[0].rstrip() for line in text.splitlines()
    ]


def test_every_key_that_stands_in_a_file_once_is_there() -> None:
    def names(section: str, above: str) -> set[str]:
        found: set[str] = set()
        for key in SECTIONS[section].values():
            found |= names(key.children, f"{above}{key.name}.") if key.kind in BLOCKS else {f"{above}{key.name}"}
        return found

    client = "ca_file: a, server_name: b, cert_file: c, key_file: d"
    tls = "tls: {cert_file: a, key_file: b, client_ca_file: c}\n"
    root = load_text(f"upstream: {{url: https://h, tls: {{{client}}}}}\n{C}{tls}rate_limit: {{rate: 1/s}}\n", "f").root
    assert root is not None

    assert to_json(effective(root)).keys() == names(FILE, "")


def test_each_value_says_where_it_comes_from() -> None:
    overrides = {
        "limits.in_flight": Override("50", "environment variable CORSPROXY_LIMITS_IN_FLIGHT"),
        "listen": Override(":80", "flag --listen"),
    }
    lines = shown(load_text(UC + "via: false\nhosts: '*'\n", "corsproxy.yaml", overrides)).splitlines()

    assert 'listen: [":80"]                         # flag --listen' in lines
    assert "via: false                              # corsproxy.yaml:3" in lines
    assert 'hosts: "*"                              # corsproxy.yaml:4' in lines
    assert "  in_flight: 50                         # environment variable CORSPROXY_LIMITS_IN_FLIGHT" in lines
    assert "  retries: 1                            # default" in lines
    assert "# public_url:                           # not set" in lines


def test_what_is_implied_is_said_in_words() -> None:
    assert "# hosts:                                # not set: by public_url and listen\n" in shown(load_text(UC, "f"))


def test_a_default_that_would_be_an_error_to_write_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECTIONS[FILE], "via", replace(SECTIONS[FILE]["via"], needs=("hosts",)))

    assert "# via:                                  # not set: means nothing without hosts\n" in shown(load_text(UC, "f"))
    assert "via: true                               # default\n" in shown(load_text(UC + "hosts: a\n", "f"))


def test_a_feature_that_is_off_without_its_mapping_stays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECTIONS["log"], "file", Key("log", "file", Kind.PATH, "Where to.", example="/a"))

    assert "# log:                                  # not set\n" in shown(load_text(UC, "f"))
    assert "  # file:                               # not set\n" in shown(load_text(UC + "log: {level: info}\n", "f"))


def test_flags_alone_are_shown_as_flags() -> None:
    lines = shown(load_flags("http://localhost:9000", ["https://a.example"])).splitlines()

    assert "  url: http://localhost:9000            # flag --upstream" in lines
    assert "  allow_origins: [https://a.example]    # flag --allow-origin" in lines


def test_the_short_form_of_an_upstream_is_written_out() -> None:
    text = shown(load_text("upstream: unix:/run/a.sock\n" + C, "f"))

    assert yaml.safe_load(text)["upstream"] == {
        "url": "unix:/run/a.sock",
        "pool": {"max_connections": "auto", "idle_timeout": "4s", "wait": "5s"},
        "retries": 1,
        "host_header": "upstream",
        "origin_header": "keep",
    }


def test_routes_and_policies_show_what_they_say_themselves() -> None:
    more = "policies: {p q: {allow_origins: [https://b.example]}}\nroutes:\n- {path: /a, cors: p q}\n- path: /b\n  timeouts: {}\n"
    lines = shown(load_text(UC + more, "f")).splitlines()
    start, end = lines.index("policies:"), lines.index("headers:")

    assert lines[start:end] == ["policies:", '  "p q":', "    allow_origins: [https://b.example]   # f:3"]
    assert lines[lines.index("routes:") : lines.index("admin:")] == [
        "routes:",
        "  - path: /a                            # f:5",
        '    cors: "p q"                         # f:5',
        "  - path: /b                            # f:6",
        "    timeouts: {}                        # f:7",
        "tests: []                               # default",
    ]


def test_a_long_list_has_a_line_and_a_place_for_each_entry() -> None:
    origins = "".join(f"\n  - https://a-long-name-of-a-page-{number}.example" for number in range(3))
    lines = shown(load_text(f"{U}cors:\n  allow_origins:{origins}\n  - regex: https://b\n", "f")).splitlines()

    assert lines[lines.index("  allow_origins:") :][:5] == [
        "  allow_origins:",
        "    - https://a-long-name-of-a-page-0.example   # f:4",
        "    - https://a-long-name-of-a-page-1.example   # f:5",
        "    - https://a-long-name-of-a-page-2.example   # f:6",
        "    - regex: https://b                  # f:7",
    ]


def test_as_json_each_path_has_a_value_and_a_source() -> None:
    root = load_text(
        UC + "via: false\nroutes: [{path: /a, limits: {request_body: 1MB}}]\n", "f", {"log.level": Override("debug", "flag --x")}
    ).root
    assert root is not None
    found = to_json(effective(root))

    assert found["via"] == {"value": False, "source": "file", "name": "f", "line": 3}
    assert found["log.level"] == {"value": "debug", "source": "flag", "name": "--x"}
    assert found["limits.header_count"] == {"value": 100, "source": "default"}
    assert found["cors.allow_methods"] == {"value": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], "source": "default"}
    assert found["public_url"] == {"value": None, "source": "not set"}
    assert found["routes[0].limits.request_body"] == {"value": "1MB", "source": "file", "name": "f", "line": 4}
