"""
The danger: the zone of an IPv6 address may hold anything, a line break too, and an upstream's address is written into every request.

The promise: what is no zone is no address, and no zone leaves this machine.
"""

import pytest

from corsproxy.cli.dev_cert import read_host
from corsproxy.config.addresses import parse_listen, parse_server_name, parse_upstream
from corsproxy.config.load import load_text
from corsproxy.config.settings import Listen
from corsproxy.config.upstreams import Upstream
from corsproxy.problems import Fault

BAD = ("a\r\nX-Evil: 1", "a b", "", "a/b", "a\0", "ä", "a%b", "\n")


@pytest.mark.parametrize("zone", BAD)
def test_what_is_no_zone_is_no_address(zone: str) -> None:
    assert isinstance(parse_upstream(f"http://[fe80::1%{zone}]:9"), Fault)
    assert isinstance(parse_listen(f"[fe80::1%{zone}]:9"), Fault)
    assert load_text('upstream: "http://[fe80::1%${ZONE}]"\ncors: none\n', "f", environ={"ZONE": zone}).settings is None


def test_an_upstream_is_not_told_the_zone() -> None:
    found = parse_upstream("http://[fe80::1%eth0]:9")

    assert isinstance(found, Upstream)
    assert (found.host, found.authority) == ("fe80::1%eth0", b"[fe80::1]:9")
    assert parse_listen("[fe80::1%eth0]:9") == Listen("fe80::1%eth0", 9)


@pytest.mark.parametrize("zone", ["eth0", *BAD])
def test_no_certificate_is_for_a_zone(zone: str) -> None:
    assert isinstance(parse_server_name(f"fe80::1%{zone}"), Fault)
    assert isinstance(read_host(f"fe80::1%{zone}"), Fault)
    assert isinstance(read_host(f"[fe80::1%{zone}]"), Fault)
