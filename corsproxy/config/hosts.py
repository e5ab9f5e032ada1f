"""
Which Host names a proxy answers, and what is implied where the file does not say.

It knows why that matters: a page that makes its own name lead to this machine (DNS rebinding) is of the same origin as
whatever answers there, and no CORS rule protects that.
"""

import ipaddress
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.addresses import ANY_HOST
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.nodes import Entry, Scalar, Sequence
from corsproxy.config.scalars import place_of_item
from corsproxy.config.settings import DEFAULT_LISTEN, HostRules, Listen
from corsproxy.config.values import Section
from corsproxy.cors.origin import parse_origin

_ANY: Final = HostRules(any_host=True)


def read_hosts(section: Section, fields: dict[str, Any], of_routes: dict[str, Span], report: Report) -> HostRules:
    """
    Build the rules of a file, from `hosts`, or else from `public_url`, `listen` and the hosts of its routes.

    `fields` are the file's single values as far as they could be read; `of_routes` are the hosts that routes name, each with where
    one of them does.
    """
    if not section.lacks("hosts"):
        hosts = fields.get("hosts", ())
        judge_any_host(section.entries.get("hosts"), hosts, report)
        rules = _ANY if ANY_HOST in hosts else HostRules(*sort_hosts(hosts))
        # Of hosts that could not be read, nobody knows what they name.
        if "hosts" in fields:
            _judge_routes(rules, of_routes, report)
        return rules
    names, suffixes = sort_hosts(tuple(of_routes))
    if not section.lacks("public_url"):
        origins = [parse_origin(origin) for origin in fields.get("public_url", ())]
        names |= {origin.host for origin in origins if origin is not None}
        return HostRules(names, suffixes, loopback=True)
    implied = implied_hosts(fields.get("listen", (DEFAULT_LISTEN,)), tuple(of_routes))
    if not implied.any_host:
        return implied
    message = "every Host name is answered: there is neither `hosts` nor `public_url`, and `listen` is open to other machines"
    help_ = 'name the hosts: `hosts: [api.example.com]` or `CORSPROXY_HOSTS=api.example.com`; or say that any will do: `hosts: "*"`'
    report.add(problems.ANY_HOST, section.entries["listen"].value_span, message, help_)
    return implied


def implied_hosts(listen: tuple[Listen, ...], of_routes: tuple[str, ...]) -> HostRules:
    """Return the rules of a file that says nothing of hosts: they depend on who can reach the addresses, and on the hosts of routes."""
    if all(map(_is_loopback, listen)):
        return HostRules(*sort_hosts(of_routes), loopback=True, by_listen=True)
    return HostRules(any_host=True, by_listen=True)


def judge_any_host(entry: Entry | None, hosts: tuple[str, ...], report: Report) -> None:
    """Refuse names beside the `*` that stands for all of them."""
    if ANY_HOST in hosts and len(hosts) > 1 and entry is not None and isinstance(entry.value, Sequence):
        item = next(item for item in entry.value.items if isinstance(item, Scalar) and item.text == ANY_HOST)
        message = "`*` makes the other hosts meaningless"
        report.add(problems.BAD_ADDRESS, place_of_item(item), message, 'write `hosts: "*"` alone, or take `*` out')


def sort_hosts(hosts: tuple[str, ...]) -> tuple[frozenset[bytes], tuple[bytes, ...]]:
    """Tell names from wildcards, which are written as suffixes."""
    return (
        frozenset(host.encode() for host in hosts if not host.startswith("*")),
        tuple(host.removeprefix("*").encode() for host in hosts if host.startswith("*")),
    )


def _judge_routes(rules: HostRules, of_routes: dict[str, Span], report: Report) -> None:
    """Refuse a route for a host that is not answered: no request would ever reach it."""
    for host, span in of_routes.items():
        name, suffix = host.removeprefix("*").encode(), host.startswith("*")
        is_covered = any(name.endswith(each) and (suffix or len(name) > len(each)) for each in rules.suffixes)
        if rules.any_host or is_covered or (not suffix and name in rules.names):
            continue
        message = f"no request reaches this route: `hosts` of the file does not name `{host}`"
        report.add(problems.BAD_ROUTE, span, message, f'add `"{host}"` to `hosts` at the top level')


def _is_loopback(listen: Listen) -> bool:
    if listen.unix_path:
        return True
    try:
        address = ipaddress.ip_address(listen.host)
    except ValueError:
        return listen.host.rstrip(".") == "localhost" or listen.host.rstrip(".").endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
