"""What a new configuration changes, in the words of the file, and what of it waits for a restart."""

from dataclasses import replace

import pytest

from corsproxy.changes import FIXED_KEYS, changes, hold_back
from corsproxy.config.load import load_text
from corsproxy.config.settings import HostRules, Limits, Listen, Settings

UPSTREAM = "upstream: http://localhost:9000\n"
CORS = "cors: {allow_origins: [https://a.example]}\n"
BEFORE = UPSTREAM + CORS


def settings(text: str) -> Settings:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, loaded.diagnostics
    return loaded.settings


CHANGES = {
    "nothing": (BEFORE, ()),
    "comments and order": ("# a comment\n\n" + CORS + UPSTREAM, ()),
    "a default that is written out": (BEFORE + "limits: {in_flight: 4000}\n", ()),
    "the policy": (UPSTREAM + "cors: {allow_origins: [https://b.example]}\n", ("cors",)),
    "the same policy under a name": (UPSTREAM + "cors: p\npolicies: {p: {allow_origins: [https://a.example]}}\n", ("cors",)),
    "the upstream": ("upstream: http://localhost:9001\n" + CORS, ("upstream",)),
    "a pool": ("upstream: {url: http://localhost:9000, pool: {wait: 1s}}\n" + CORS, ("upstream",)),
    "a timeout": (BEFORE + "timeouts: {response: 1s}\n", ("timeouts",)),
    "a limit of all": (BEFORE + "limits: {in_flight: 9}\n", ("limits",)),
    "a limit of routes": (BEFORE + "limits: {request_body: 9KB}\n", ("limits",)),
    "one more route": (BEFORE + "routes: [{path: /a, cors: none}]\n", ("routes",)),
    "public_url": (BEFORE + "public_url: https://api.example\n", ("hosts", "public_url")),
    "via and log": (BEFORE + "via: false\nlog: {level: error}\n", ("log", "via")),
}


@pytest.mark.parametrize(("after", "named"), CHANGES.values(), ids=CHANGES)
def test_what_differs_is_named_as_the_file_calls_it(after: str, named: tuple[str, ...]) -> None:
    assert changes(settings(BEFORE), settings(after)) == named


def test_a_routes_own_keys_are_named_where_the_routes_are_the_same() -> None:
    route = "routes: [{path: /a, cors: none, timeouts: {idle: %s}}]\n"
    assert changes(settings(BEFORE + route % "1s"), settings(BEFORE + route % "2s")) == ("timeouts",)


def test_every_key_that_needs_a_restart_is_one_of_the_settings() -> None:
    assert "listen" in FIXED_KEYS
    for path in FIXED_KEYS:
        assert hold_back(settings(BEFORE), settings(BEFORE), (path,)) == (settings(BEFORE), ())


def test_another_listen_is_named_and_the_running_one_stays_beside_what_is_new() -> None:
    running, new = settings(BEFORE), settings(BEFORE + "listen: 127.0.0.1:9\nvia: false\n")
    held, needs_restart = hold_back(running, new)

    assert needs_restart == ("listen",)
    assert held == replace(new, listen=(Listen("127.0.0.1", 8080),))


def test_hosts_that_listen_implies_are_implied_by_the_one_that_stays() -> None:
    """Else a page could rebind its name to a proxy on loopback because the file speaks of an address that is not in use yet."""
    held, _ = hold_back(settings(BEFORE), settings(BEFORE + "listen: ':8080'\n"))
    assert held.hosts == HostRules(loopback=True)

    held, _ = hold_back(settings(BEFORE + "listen: ':8080'\n"), settings(BEFORE))
    assert held.hosts == HostRules(any_host=True)


def test_hosts_that_the_file_names_are_new_also_where_listen_stays() -> None:
    held, _ = hold_back(settings(BEFORE), settings(BEFORE + "listen: ':8080'\nhosts: '*'\n"))
    assert held.hosts == HostRules(any_host=True)


def test_a_key_inside_a_mapping_can_be_held_back_alone() -> None:
    running, new = settings(BEFORE), settings(BEFORE + "limits: {in_flight: 9, header_count: 7}\n")
    held, needs_restart = hold_back(running, new, ("limits.in_flight",))

    assert needs_restart == ("limits.in_flight",)
    assert held.limits == Limits(header_count=7)


def test_a_mapping_that_is_switched_on_or_off_waits_as_a_whole() -> None:
    off = replace(settings(BEFORE), default_cors=None)
    on = settings(BEFORE)

    assert hold_back(off, on, ("default_cors.patterns",)) == (off, ("default_cors.patterns",))
    assert hold_back(on, off, ("default_cors.patterns",)) == (on, ("default_cors.patterns",))
