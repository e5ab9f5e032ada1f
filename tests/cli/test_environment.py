"""Which variables speak to corsproxy, and which only look as if they did."""

from corsproxy.cli.environment import CONFIG, KEYS, overrides, strangers
from corsproxy.config.load import Override, load_flags, load_text
from corsproxy.config.schema import ENVIRONMENT, SINGLE_KEYS

SMALL = "upstream: http://localhost:9000\ncors: {allow_origins: [https://a.example]}\n"


def test_every_key_that_stands_once_has_a_variable() -> None:
    assert KEYS == ENVIRONMENT
    assert set(KEYS.values()) == SINGLE_KEYS.keys()
    assert CONFIG not in KEYS


def test_a_variable_is_an_override_that_knows_its_name() -> None:
    found = overrides({"CORSPROXY_LIMITS_IN_FLIGHT": "10", "CORSPROXY_VIA": "false", "PATH": "/bin", CONFIG: "a.yaml"})

    assert found == {
        "limits.in_flight": Override("10", "environment variable CORSPROXY_LIMITS_IN_FLIGHT"),
        "via": Override("false", "environment variable CORSPROXY_VIA"),
    }


def test_an_empty_variable_sets_nothing() -> None:
    assert overrides({"CORSPROXY_LISTEN": "", "CORSPROXY_HOSTS": ""}) == {}


def test_variables_win_over_the_file() -> None:
    loaded = load_text(SMALL + "limits: {in_flight: 5}\n", "f", overrides({"CORSPROXY_LIMITS_IN_FLIGHT": "7"}))

    assert loaded.settings is not None
    assert loaded.settings.limits.in_flight == 7


def test_variables_alone_are_enough_to_run() -> None:
    environ = {
        "CORSPROXY_UPSTREAM_URL": "http://localhost:9000",
        "CORSPROXY_CORS_ALLOW_ORIGINS": "https://a.example,https://b.example",
        "CORSPROXY_UPSTREAM_POOL_WAIT": "1s",
    }
    loaded = load_flags(overrides=overrides(environ))

    assert loaded.settings is not None, loaded.diagnostics
    assert loaded.settings.routes[0].upstream.pool.wait == 1.0


def test_what_looks_meant_for_corsproxy_and_is_not_known_is_a_stranger() -> None:
    environ = dict.fromkeys(("CORSPROXY_LISTN", "CORSPROXY_ROUTES", "CORSPROXY_LISTEN", "CORSPROXY_CONFIG", "PATH", "MY_CORSPROXY_X"), "a")

    assert strangers(environ) == ["CORSPROXY_LISTN", "CORSPROXY_ROUTES"]


def test_what_kubernetes_sets_for_a_service_called_corsproxy_is_passed_over() -> None:
    links = {
        "CORSPROXY_PORT": "tcp://10.0.0.1:80",
        "CORSPROXY_PORT_80_TCP": "tcp://10.0.0.1:80",
        "CORSPROXY_PORT_80_TCP_ADDR": "10.0.0.1",
        "CORSPROXY_SERVICE_HOST": "10.0.0.1",
        "CORSPROXY_SERVICE_PORT": "80",
        "CORSPROXY_SERVICE_PORT_HTTP": "80",
    }

    assert (overrides(links), strangers(links)) == ({}, [])


def test_so_is_what_it_sets_for_a_service_whose_name_begins_so() -> None:
    links = {
        "CORSPROXY_ADMIN_SERVICE_HOST": "10.0.0.1",
        "CORSPROXY_ADMIN_SERVICE_PORT_HTTP": "80",
        "CORSPROXY_ADMIN_PORT": "tcp://10.0.0.1:80",
        "CORSPROXY_ADMIN_PORT_80_TCP": "tcp://10.0.0.1:80",
        "CORSPROXY_ADMIN_PORT_80_TCP_PROTO": "tcp",
    }

    assert strangers(links) == []
    assert strangers({"CORSPROXY_LISTEN_PORT": "8080"}) == ["CORSPROXY_LISTEN_PORT"]


def test_no_key_has_a_name_that_kubernetes_would_give_to_a_link() -> None:
    # A Service called corsproxy-upstream, corsproxy-log … makes names such as CORSPROXY_UPSTREAM_SERVICE_HOST and CORSPROXY_LOG_PORT.
    assert not [name for name in KEYS if "_SERVICE_" in name or "_PORT" in name]
