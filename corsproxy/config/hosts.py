"""
Which Host names a proxy answers, and what is implied where the file does not say.

It knows why that matters: a page that makes its own name lead to this machine (DNS rebinding) is of the same origin as
whatever answers there, and no CORS rule protects that.
"""

import ipaddress
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.addresses import ANY_HOST
from corsproxy.config.diagnostics import Report
from corsproxy.config.nodes import Entry, Scalar, Sequence
from corsproxy.config.scalars import place_of_item
from corsproxy.config.settings import DEFAULT_LISTEN, HostRules, Listen
from corsproxy.config.values import Section
from corsproxy.cors.origin import parse_origin

_ANY: Final = HostRules(any_host=True)


def read_hosts(section: Section, fields: dict[str, Any], report: Report) -> HostRules:
    """
    Build the rules of a file, from `hosts`, or else from `public_url` and `listen`.

    `fields` are the file's single values as far as they could be read.
    """
    if not section.lacks("hosts"):
        return _named(section.entries.get("hosts"), fields.get("hosts", ()), report)
    if not section.lacks("public_url"):
        origins = [parse_origin(origin) for origin in fields.get("public_url", ())]
        return HostRules(names=frozenset(origin.host for origin in origins if origin is not None), loopback=True)
    implied = implied_hosts(fields.get("listen", (DEFAULT_LISTEN,)))
    if not implied.any_host:
        return implied
    message = "every Host name is answered: there is neither `hosts` nor `public_url`, and `listen` is open to other machines"
    help_ = 'name the hosts: `hosts: [api.example.com]` or `CORSPROXY_HOSTS=api.example.com`; or say that any will do: `hosts: "*"`'
    report.add(problems.ANY_HOST, section.entries["listen"].value_span, message, help_)
    return implied


def implied_hosts(listen: tuple[Listen, ...]) -> HostRules:
    """Return the rules of a file that says nothing of hosts: they depend on who can reach the addresses."""
    if all(map(_is_loopback, listen)):
        return HostRules(loopback=True, by_listen=True)
    return HostRules(any_host=True, by_listen=True)


def _named(entry: Entry | None, hosts: tuple[str, ...], report: Report) -> HostRules:
    if ANY_HOST in hosts:
        if len(hosts) > 1 and entry is not None and isinstance(entry.value, Sequence):
            item = next(item for item in entry.value.items if isinstance(item, Scalar) and item.text == ANY_HOST)
            message = "`*` makes the other hosts meaningless"
            report.add(problems.BAD_ADDRESS, place_of_item(item), message, 'write `hosts: "*"` alone, or take `*` out')
        return _ANY
    return HostRules(
        names=frozenset(host.encode() for host in hosts if not host.startswith("*")),
        suffixes=tuple(host.removeprefix("*").encode() for host in hosts if host.startswith("*")),
    )


def _is_loopback(listen: Listen) -> bool:
    if listen.unix_path:
        return True
    try:
        address = ipaddress.ip_address(listen.host)
    except ValueError:
        return listen.host.rstrip(".") == "localhost" or listen.host.rstrip(".").endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
