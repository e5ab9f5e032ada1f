"""What the file says about the admin listener, and who can reach it then."""

import pytest

from corsproxy.config.addresses import parse_listen
from corsproxy.config.admin import is_private
from corsproxy.config.load import load_text
from corsproxy.config.settings import AdminSettings, HostRules, Listen

POLICY = "upstream: http://localhost:9000\ncors: {allow_origins: [https://a.example]}\n"


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", AdminSettings(Listen("127.0.0.1", 9876), HostRules(loopback=True))),
        ('admin: "off"', AdminSettings(None)),
        ("admin: off", AdminSettings(None)),
        ("admin: {}", AdminSettings()),
        ("admin: {listen: off, hosts: [a]}", AdminSettings(None, HostRules(frozenset({b"a"}), loopback=True))),
        ('admin: {listen: ":9876"}', AdminSettings(Listen("", 9876))),
        ("admin: {listen: unix:/run/a.sock}", AdminSettings(Listen(unix_path="/run/a.sock"))),
        ('admin: {hosts: "*.a.example"}', AdminSettings(hosts=HostRules(suffixes=(b".a.example",), loopback=True))),
        ('admin: {hosts: "*"}', AdminSettings(hosts=HostRules(any_host=True))),
        ("admin: {dangerously_expose_admin: true}", AdminSettings(dangerously_expose_admin=True)),
        ("listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}", AdminSettings(Listen("127.0.0.1", 0))),
    ],
)
def test_it_is_read(text: str, settings: AdminSettings) -> None:
    loaded = load_text(POLICY + text, "f")

    assert loaded.settings is not None, loaded.diagnostics
    assert loaded.settings.admin == settings


@pytest.mark.parametrize(
    "text", ["127.0.0.1:1", "[::1]:1", "localhost:1", "a.localhost:1", "127.9.9.9:1", "[::ffff:127.0.0.1]:1", "unix:/run/a"]
)
def test_only_this_machine_can_reach_loopback_and_unix_sockets(text: str) -> None:
    listen = parse_listen(text)
    assert isinstance(listen, Listen)
    assert is_private(listen)


@pytest.mark.parametrize("text", [":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "ops.internal:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1"])
def test_others_can_reach_every_other_address(text: str) -> None:
    listen = parse_listen(text)
    assert isinstance(listen, Listen)
    assert not is_private(listen)


def test_what_is_closed_is_private() -> None:
    assert is_private(None)
