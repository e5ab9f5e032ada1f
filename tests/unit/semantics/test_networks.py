"""Addresses and networks of peers: one machine, whatever it is spelled like, and only those that are named are trusted."""

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any

import pytest

from corsproxy.semantics.networks import UNIX, parse_network, trusts_in


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


TRUSTS: Callable[[str], bool] = trusts_in([ip_network("10.0.0.0/8"), ip_network("fd00::/8")], unix=True)


@table(
    {
        "a network": ("10.0.0.0/8", ip_network("10.0.0.0/8")),
        "an address": ("192.0.2.1", ip_network("192.0.2.1/32")),
        "everybody": ("0.0.0.0/0", ip_network("0.0.0.0/0")),
        "an IPv6 network": ("fd00::/8", ip_network("fd00::/8")),
        "an IPv6 address": ("::1", ip_network("::1/128")),
        "IPv4 in IPv6": ("::ffff:10.0.0.0/104", ip_network("10.0.0.0/8")),
        "an IPv4 address in IPv6": ("::ffff:10.0.0.1", ip_network("10.0.0.1/32")),
        "all IPv4 in IPv6": ("::ffff:0:0/96", ip_network("0.0.0.0/0")),
        "a network around them": ("::fffe:0:0/95", ip_network("::fffe:0:0/95")),
        "host bits": ("10.0.0.1/8", None),
        "a mask": ("10.0.0.0/255.0.0.0", None),
        "a length with zeros": ("10.0.0.0/08", None),
        "a length of many digits": ("10.0.0.0/" + "9" * 5000, None),
        "no length": ("10.0.0.0/", None),
        "too long": ("10.0.0.0/33", None),
        "a scope": ("fe80::1%eth0", None),
        "brackets": ("[::1]", None),
        "a name": ("localhost", None),
        "a short form": ("10.0.0/24", None),
        "blanks": (" 10.0.0.0/8", None),
        "other digits": ("10.0.0.0/٨", None),
        "nothing": ("", None),
    }
)
def test_a_network_is_read_strictly(case: Any) -> None:
    text, expected = case

    assert parse_network(text) == expected


@table(
    {
        "inside": ("10.255.0.1", True),
        "outside": ("11.0.0.1", False),
        "IPv6 inside": ("fd00::1", True),
        "IPv6 with a scope": ("fd00::1%eth0", True),
        "IPv6 outside": ("fe80::1%eth0", False),
        "IPv4 in IPv6": ("::ffff:10.0.0.1", True),
        "no address": ("10.0.0.1.example", False),
        "a long text": ("1" * 1000, False),
        "a unix socket": (UNIX, True),
    }
)
def test_a_peer_is_trusted_by_its_network(case: Any) -> None:
    peer, expected = case

    assert TRUSTS(peer) is expected


def test_nobody_is_trusted_unless_named() -> None:
    trusts = trusts_in(iter(()))

    assert [trusts(peer) for peer in ("127.0.0.1", "::1", UNIX)] == [False] * 3


# --- the client -----------------------------------------------------------------------------------
