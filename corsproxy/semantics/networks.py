"""
Addresses and networks of peers: how they are written, and which are trusted.

It knows that one machine has several spellings; what a trusted peer may say is for `forwarded`.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What a peer on a unix socket is called.
UNIX: Final = "unix"
_MAX_ADDRESS_CHARACTERS: Final = 45
# > ::ffff:0:0/96 (RFC 4291 2.5.5.2)
_MAPPED_BITS: Final = 96
_PREFIX_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,2}")


def parse_network(text: str) -> Network | None:
    """
    Read an address or a network in CIDR notation; None for anything else, and for one with host bits set.

    IPv4-mapped IPv6 is IPv4, as it is for peers.

    Spec: RFC 4632 3.1; RFC 4291 2.3, 2.5.5.2.
    """
    _, slash, length = text.partition("/")
    if "%" in text or (slash and _PREFIX_LENGTH.fullmatch(length) is None):
        return None
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    # Whatever network begins with a mapped address is narrower than all of them.
    if mapped is not None:
        return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def trusts_in(networks: Iterable[Network], *, unix: bool = False) -> Callable[[str], bool]:
    """Make the predicate that tells of a peer ("unix", or an address as text) whether it is trusted; it remembers, within bounds."""
    trusted = tuple(networks)

    @lru_cache(maxsize=4096)
    def trusts(peer: str) -> bool:
        if peer == UNIX:
            return unix
        address = parse_address(peer)
        # A network of the other version contains nothing.
        return address is not None and any(address in network for network in trusted)

    return trusts


@lru_cache(maxsize=1024)
def peer_address(peer: str) -> str:
    """
    Return a peer's address in its usual form; "unix" stays.

    Spec: RFC 5952; RFC 4291 2.5.5.2.
    """
    address = None if peer == UNIX else parse_address(peer)
    return peer if address is None else str(address)


def parse_address(text: str) -> Address | None:
    """
    Read an address, IPv4-mapped IPv6 as IPv4; None for what is none.

    Spec: RFC 4291 2.2, 2.5.5.2; RFC 4007 11 (scopes).
    """
    # The scope of a link-local address means something on this machine only.
    text = text.partition("%")[0]
    return _parse_short_address(text) if len(text) <= _MAX_ADDRESS_CHARACTERS else None


@lru_cache(maxsize=1024)
def _parse_short_address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped
