"""
What the file says about the admin listener.

It knows which Host names it answers, and which addresses other machines can reach; what is served there is for the admin
application to say.
"""

from dataclasses import replace
from typing import Final

from corsproxy import problems
from corsproxy.config.addresses import ANY_HOST
from corsproxy.config.diagnostics import Report
from corsproxy.config.hosts import implied_hosts, judge_any_host, sort_hosts
from corsproxy.config.keys_admin import OFF
from corsproxy.config.nodes import Entry, Mapping, Scalar
from corsproxy.config.schema import FILE, SECTIONS
from corsproxy.config.settings import AdminSettings, HostRules, Listen
from corsproxy.config.values import read_entries

_EXPOSE: Final = "dangerously_expose_admin"
_HELP: Final = 'write `admin: {listen: 127.0.0.1:9876}`, or `admin: "off"`'


def read_admin(entry: Entry | None, listen: tuple[Listen, ...], report: Report) -> AdminSettings:
    """Read the block; what is missing or faulty is left at its default. `listen` are the proxy's own addresses."""
    if entry is None:
        return AdminSettings()
    if isinstance(entry.value, Scalar) and entry.value.text == OFF:
        return AdminSettings(listen=None)
    entries, given = read_entries(entry, SECTIONS[FILE]["admin"], _HELP, report)
    if not isinstance(entry.value, Mapping):
        return AdminSettings()
    settings = AdminSettings(dangerously_expose_admin=given.get(_EXPOSE, False))
    if "listen" in given:
        settings = replace(settings, listen=None if given["listen"] == OFF else given["listen"])
        if getattr(given["listen"], "port", 0) and given["listen"] in listen:
            message = f"`{given['listen']}` is an address of `listen` too, and the admin listener is never served to clients"
            report.add(problems.BAD_ADDRESS, entries["listen"].value_span, message, "choose another port, or a unix socket")
    if "hosts" in given:
        hosts = given["hosts"]
        judge_any_host(entries["hosts"], hosts, report)
        if hosts == (ANY_HOST,):
            message = "the admin listener answers every Host name, so that a web page can make its own name lead to it"
            report.add(problems.ADMIN_ANY_HOST, entries["hosts"].value_span, message, "name the hosts: `hosts: [corsproxy-admin.internal]`")
        rules = HostRules(any_host=True) if ANY_HOST in hosts else HostRules(*sort_hosts(hosts), loopback=True)
        settings = replace(settings, hosts=rules)
    if given.get(_EXPOSE):
        message = f"`{_EXPOSE}` is on"
        if is_private(settings.listen):
            help_ = "take it out: only this machine can reach the address, and everything is served there"
        else:
            help_ = "let only this machine reach it: `listen: 127.0.0.1:9876`, or a unix socket"
        report.add(problems.DANGEROUS_SETTING, entries[_EXPOSE].key.span, message, help_)
    return settings


def is_private(listen: Listen | None) -> bool:
    """Tell whether no other machine can reach an address: a loopback one, a unix socket, or none at all."""
    return listen is None or not implied_hosts((listen,), ()).any_host
