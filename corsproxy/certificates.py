"""
The files that `tls` and `upstream.tls` name: read, tried, and dated, before any connection depends on them.

It knows which line of the file names each of them; what makes a file unusable is for the gateway to say, which will use it.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.diagnostics import Report
from corsproxy.config.load import Loaded
from corsproxy.config.settings import ServerTls
from corsproxy.config.upstreams import ClientTls, Upstream
from corsproxy.gateway.contexts import BadTlsFile, certificate_dates, client_context, digest, server_context

# A week is long enough to renew by hand; certificates that live for days are renewed by machines, without a warning in between.
_SOON_S: Final = 7 * 24 * 3600.0
_LONG_LIVED_S: Final = 30 * 24 * 3600.0


def check_certificates(loaded: Loaded, now: float | None = None) -> Loaded:
    """
    Read every certificate file that settings name, and return them with what is wrong added to the diagnostics.

    The settings that come back hold a digest of each file's content, so that settings differ where a file has changed. Never raises.
    `now` is in seconds since the epoch.
    """
    settings = loaded.settings
    if settings is None or not loaded.places:
        return loaded
    report = Report(loaded.source)
    report.secrets = loaded.secrets
    report.keep(loaded.diagnostics)
    check = _Check(loaded, report, time.time() if now is None else now)
    tls = check.server(settings.tls) if settings.tls is not None else None
    upstreams: dict[Upstream, Upstream] = {}
    for route in settings.routes:
        upstream = route.upstream
        if upstream.tls and upstream not in upstreams:
            upstreams[upstream] = replace(upstream, client_tls=check.client(upstream.client_tls))
    routes = tuple(replace(route, upstream=upstreams.get(route.upstream, route.upstream)) for route in settings.routes)
    checked = None if report.has_errors else replace(settings, tls=tls, routes=routes)
    return replace(loaded, settings=checked, diagnostics=report.in_order())


class _Check:
    """Tries files, and reports at the place that names them."""

    def __init__(self, loaded: Loaded, report: Report, now: float) -> None:
        self._places = loaded.places
        self._report = report
        self._now = now

    def server(self, tls: ServerTls) -> ServerTls:
        found = self._try(server_context, tls)
        return tls if found is None else replace(tls, digest=found)

    def client(self, tls: ClientTls) -> ClientTls:
        found = self._try(client_context, tls) if tls.ca_file or tls.cert_file else None
        return tls if found is None else replace(tls, digest=found)

    def _try(self, make: Callable[[Any], object], tls: ServerTls | ClientTls) -> str | None:
        try:
            # The digest comes first: if a file changes in between, the next reading finds a difference.
            found = digest(tls)
            make(tls)
            self._judge_dates(tls.cert_file)
        except BadTlsFile as bad:
            self._report.add(bad.problem, self._places.get((bad.key, getattr(tls, bad.key))), bad.message, bad.help)
            return None
        return found

    def _judge_dates(self, file: str) -> None:
        dates = certificate_dates(file) if file else None
        if dates is None:
            return
        begins, ends = dates
        message = ""
        if self._now > ends:
            message = f"the certificate in `{file}` has expired at {_written(ends)}"
        elif self._now < begins:
            message = f"the certificate in `{file}` is not valid before {_written(begins)}"
        elif ends - self._now < _SOON_S and ends - begins > _LONG_LIVED_S:
            message = f"the certificate in `{file}` expires at {_written(ends)}"
        if message:
            self._report.add(problems.CERTIFICATE_DATES, self._places.get(("cert_file", file)), message, "renew it")


def _written(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
