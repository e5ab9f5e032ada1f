"""
What the file says about TLS, towards clients and towards an upstream.

It knows which keys need each other and where TLS is spoken at all; whether a file can be read is found out by whoever opens it.
"""

from collections.abc import Mapping as Given
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.diagnostics import Report
from corsproxy.config.key import TLS, UPSTREAM_TLS
from corsproxy.config.nodes import Entry
from corsproxy.config.schema import SECTIONS
from corsproxy.config.settings import Listen, ServerTls
from corsproxy.config.upstreams import ClientTls, Upstream

_PAIR: Final = ("cert_file", "key_file")
_FILES: Final = (*_PAIR, "ca_file", "client_ca_file")
_SKIP_VERIFY: Final = "dangerously_skip_verify"


def build_server_tls(
    entry: Entry, entries: Given[str, Entry], given: Given[str, Any], listen: tuple[Listen, ...], report: Report
) -> ServerTls:
    """
    Build what `tls` says.

    `entries` are its known keys as written, `given` those of their values that could be read.
    """
    for name in _PAIR:
        if name not in entries:
            report.add(problems.MISSING_KEY, entry.key.span, f"`tls` lacks `{name}`", f"write `{name}: {SECTIONS[TLS][name].example}`")
    if "client_certificate" in entries and "client_ca_file" not in entries:
        message = "`client_certificate` means nothing without `client_ca_file`: nobody is asked for a certificate"
        help_ = "write `client_ca_file: /certs/clients.pem` beside it, or take it out"
        report.add(problems.TLS_INCOMPLETE, entries["client_certificate"].key.span, message, help_)
    if listen and all(each.unix_path for each in listen):
        message = "`tls` serves nobody: every address in `listen` is a unix socket, and those speak plain HTTP"
        report.add(problems.TLS_UNUSED, entry.key.span, message, "take `tls` out, or write `listen: :8443`")
    _name_files(entries, given, report)
    return ServerTls(
        given.get("cert_file", ""),
        given.get("key_file", ""),
        given.get("client_ca_file", ""),
        requires_client_certificate="client_ca_file" in given and given.get("client_certificate") != "optional",
        min_version=given.get("min_version", "1.2"),
    )


def build_client_tls(
    entry: Entry, entries: Given[str, Entry], given: Given[str, Any], upstream: Upstream | None, report: Report
) -> ClientTls:
    """Build what `upstream.tls` says; `upstream` is what its URL came to, if it could be read."""
    for name, other in (_PAIR, _PAIR[::-1]):
        if name in entries and other not in entries:
            message = f"`{name}` means nothing without `{other}`"
            help_ = f"write `{other}: {SECTIONS[UPSTREAM_TLS][other].example}` beside it"
            report.add(problems.TLS_INCOMPLETE, entries[name].key.span, message, help_)
    if upstream is not None and not upstream.tls:
        kind = "a unix socket" if upstream.unix_path else "an http:// URL"
        help_ = "take `tls` out" if upstream.unix_path else f"write `url: https://{upstream.url.partition('://')[2]}`, or take `tls` out"
        report.add(problems.TLS_UNUSED, entry.key.span, f"`tls` means nothing to {kind}: no TLS is spoken there", help_)
    if given.get(_SKIP_VERIFY):
        report.add(problems.DANGEROUS_SETTING, entries[_SKIP_VERIFY].key.span, f"`{_SKIP_VERIFY}` is on", _safer(entries))
    _name_files(entries, given, report)
    return ClientTls(
        given.get("ca_file", ""),
        given.get("server_name", ""),
        given.get("cert_file", ""),
        given.get("key_file", ""),
        skip_verify=given.get(_SKIP_VERIFY, False),
    )


def _safer(entries: Given[str, Entry]) -> str:
    return "take it out" if "ca_file" in entries else "name the authority instead: `ca_file: /certs/legacy-ca.pem`"


def _name_files(entries: Given[str, Entry], given: Given[str, Any], report: Report) -> None:
    for name in _FILES:
        if name in given:
            report.name_file(name, given[name], entries[name].value_span)
