"""
Upstreams that are called in clear text, and what must not go to them so.

It knows which hosts are on a private network by their names and addresses alone; it resolves nothing.
"""

import ipaddress
from typing import Final

from corsproxy import problems
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.upstreams import Upstream

# Names that lead nowhere on the internet: RFC 6761 6.2 and 6.3 (test, localhost), RFC 6762 (local), RFC 8375 (home.arpa), ICANN's
# `internal`, and those of home routers and of Kubernetes.
_PRIVATE_NAMES: Final = ("internal", "local", "localhost", "lan", "home.arpa", "svc", "test")
_PRIVATE_NETWORKS: Final = tuple(
    # RFC 1918 3 and RFC 4193 3. `is_private` of ipaddress also holds networks for documentation and benchmarks.
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")),
)


def is_private_host(host: str) -> bool:
    """
    Tell whether a host is on this machine or on a private network. `host` is in lower case, IPv6 without brackets.

    Pure. A name with dots counts as public unless it ends in a name that cannot be public: where it leads is not looked up.

    Spec: RFC 1918 3; RFC 4193 3; RFC 3927; RFC 4291 2.5.6; RFC 6761; RFC 6762; RFC 8375.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.removesuffix(".")
        return "." not in name or name.endswith(tuple(f".{each}" for each in _PRIVATE_NAMES))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    # The unspecified address leads to this machine.
    if address.is_loopback or address.is_link_local or address.is_unspecified:
        return True
    return any(address in network for network in _PRIVATE_NETWORKS)


def judge_plaintext(upstream: Upstream, at: Span | None, report: Report, *, has_credentials: bool, has_secret: bool) -> None:
    """
    Warn of an upstream that credentials reach over a public network in clear text.

    `has_credentials`: visitors' credentials are sent to it; `has_secret`: a secret of the file's is added to requests.
    """
    if upstream.tls or upstream.unix_path or is_private_host(upstream.host) or not (has_credentials or has_secret):
        return
    what = "a secret of this file" if has_secret else "visitors' credentials"
    message = f"`{upstream.url}` gets {what} in clear text, over what may be the internet"
    report.add(problems.PLAIN_UPSTREAM, at, message, f"write `https{upstream.url[4:]}`, or an address of a private network")
