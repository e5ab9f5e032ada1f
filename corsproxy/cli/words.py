"""
Settings in words, beside the policies: how a proxy is called, what it tells its upstreams, what it changes on the way.

Each function says what a person would ask about, and nothing where all is as usual. Pure; values of header fields never show.
"""

from collections.abc import Iterator
from typing import Final

from corsproxy.config.admin import is_private
from corsproxy.config.choices import Redirects
from corsproxy.config.plaintext import is_private_host
from corsproxy.config.rates import RateLimit, format_rate
from corsproxy.config.settings import AdminSettings, ForwardingSettings, HostRules, Listen, Route, RouteLimits, ServerTls
from corsproxy.config.units import format_size
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.policy import CorsPolicy
from corsproxy.semantics.cookies import CookieRules
from corsproxy.semantics.forwarded import ForwardedMode
from corsproxy.semantics.networks import UNIX
from corsproxy.semantics.rules import HeaderRules

_USUAL_FORWARDING: Final = ForwardingSettings()
_TOLD: Final = {
    ForwardedMode.X_FORWARDED: "X-Forwarded-*",
    ForwardedMode.FORWARDED: "Forwarded",
    ForwardedMode.BOTH: "X-Forwarded-* and Forwarded",
}


def listening(addresses: tuple[Listen, ...], tls: ServerTls | None) -> str:
    """Say where a proxy listens, and how its addresses begin in a browser."""

    def said(each: Listen) -> str:
        if tls is None or each.unix_path:
            return str(each)
        return f"https://{each}" if each.host else f"https://*{each}"

    return ", ".join(map(said, addresses))


def hosts(rules: HostRules) -> str:
    """Say which Host names are answered."""
    if rules.any_host:
        return "any Host name"
    names = sorted(name.decode() for name in rules.names) + [f"*{suffix.decode()}" for suffix in rules.suffixes]
    return ", ".join([*names, *(["localhost, *.localhost, IP addresses"] if rules.loopback else [])])


def admin(settings: AdminSettings) -> str:
    """Say where operators ask, and what they get there; nothing where that is as usual."""
    if settings == AdminSettings():
        return ""
    if settings.listen is None:
        return "off: no health, no metrics, no reload by request"
    named = "" if settings.hosts == AdminSettings().hosts else f"; answers for {hosts(settings.hosts)}"
    if is_private(settings.listen):
        return f"{settings.listen}{named}"
    served = "everything" if settings.dangerously_expose_admin else "health and metrics only"
    return f"{settings.listen}, which other machines can reach: {served}{named}"


def dangers_of_admin(settings: AdminSettings) -> Iterator[str]:
    """Say what whoever can reach the admin listener may do."""
    if settings.listen is None:
        return
    if settings.dangerously_expose_admin and not is_private(settings.listen):
        yield "admin: whoever can reach it sees who calls what, and can make the file be loaded again"
    if settings.hosts.any_host:
        yield "admin: a web page can make its own name lead to it, and read what it serves (DNS rebinding)"


def client_certificates(tls: ServerTls) -> str:
    """Say who needs a certificate."""
    signer = f"a certificate signed by {tls.client_ca_file}"
    return f"must show {signer}, but for preflights; else 403" if tls.requires_client_certificate else f"may show {signer}"


def rate_limit(limit: RateLimit | None) -> str:
    """Say how many requests go upstream, if that is bounded."""
    if limit is None:
        return ""
    who = "client address" if not limit.field else "origin" if limit.field == b"origin" else f"value of {limit.field.decode()}"
    return f"{format_rate(limit.rate)} for each {who}, {limit.burst} at once; above it 429"


def believed(forwarding: ForwardingSettings) -> str:
    """Say whose word about a client counts."""
    peers = ("unix sockets" if each == UNIX else str(each) for each in forwarding.trusted)
    return f"{', '.join(peers)}: what their X-Forwarded-* and Forwarded say of a client"


def open_networks(forwarding: ForwardingSettings) -> Iterator[str]:
    """Yield the trusted networks that hold every address."""
    yield from (str(each) for each in forwarding.trusted if not isinstance(each, str) and each.prefixlen == 0)


def told(forwarding: ForwardingSettings) -> str:
    """Say how an upstream learns of the client."""
    if forwarding.mode is ForwardedMode.NONE:
        return "nothing of the client"
    return f"of the client, in {_TOLD[forwarding.mode]}"


def is_usual_told(forwarding: ForwardingSettings) -> bool:
    """Tell whether `told` says no more than the default."""
    return forwarding.mode is _USUAL_FORWARDING.mode


def request_ids(forwarding: ForwardingSettings) -> str:
    """Say where requests get their names; nothing where that is as usual."""
    name, trusts = forwarding.request_id_header, forwarding.trusts_request_id
    if (name, trusts) == (_USUAL_FORWARDING.request_id_header, True):
        return ""
    return f"{name.decode()}, {'as clients send it' if trusts else 'always made here'}"


# --- towards the upstream ---


def upstream(route: Route) -> Iterator[str]:
    """Yield what is unusual about how a route calls its upstream."""
    called, tls = route.upstream, route.upstream.client_tls
    if route.strip_prefix and route.path != b"/":
        yield f"{route.path.decode()} is taken off the path"
    if tls.ca_file and not tls.skip_verify:
        yield f"is believed with a certificate signed by {tls.ca_file} alone"
    if tls.server_name:
        yield f"is called {tls.server_name} in TLS, and its certificate has to say so"
    if tls.cert_file:
        yield f"is shown the certificate {tls.cert_file}"
    if called.host_header is None:
        yield "gets the client's Host"
    elif called.host_header:
        yield f"gets Host: {called.host_header.decode()}"
    if called.origin_header == "remove":
        yield "gets no Origin"
    elif called.origin_header == "upstream":
        yield "gets its own origin as Origin"


def dangers_of_upstream(route: Route) -> Iterator[str]:
    """Yield what a stranger between here and the upstream could do."""
    called = route.upstream
    if called.client_tls.skip_verify:
        yield "any certificate of the upstream is taken: whoever stands in between reads and changes everything"
    if is_open_to_eavesdroppers(called):
        sent = ["visitors' credentials"] if isinstance(route.cors, CorsPolicy) and route.cors.credentials else []
        sent += [_names(route.request_headers)] if route.request_headers.lines else []
        if sent:
            yield f"plain http, maybe over the internet: {' and '.join(sent)} can be read on the way"


def is_open_to_eavesdroppers(called: Upstream) -> bool:
    """Tell whether an upstream is called in clear text outside of this machine and its private networks."""
    return not (called.tls or called.unix_path or is_private_host(called.host))


# --- what is changed on the way ---


def header_rules(rules: HeaderRules) -> str:
    """Say which fields are set, added and removed; nothing if none is."""
    lowers = {name.lower() for name, _ in rules.lines}
    done = {
        "set": [name.decode() for name, _ in rules.lines if name.lower() in rules.dropped],
        "added": [name.decode() for name, _ in rules.lines if name.lower() not in rules.dropped],
        "removed": sorted(name.decode() for name in rules.dropped - lowers),
    }
    return "; ".join(f"{', '.join(dict.fromkeys(names))} {verb}" for verb, names in done.items() if names)


def _names(rules: HeaderRules) -> str:
    return ", ".join(dict.fromkeys(name.decode() for name, _ in rules.lines))


def cookies(rules: CookieRules) -> Iterator[str]:
    """Yield what becomes of cookies that the upstream sets; nothing if they stay as they are."""
    attributes = [f"SameSite={rules.same_site.decode()}"] if rules.same_site else []
    if rules.secure or rules.partitioned or rules.same_site == b"None":
        attributes.append("Secure")
    if rules.partitioned:
        attributes.append("Partitioned")
    if attributes:
        yield f"{'work from other sites: ' if rules.same_site == b'None' else ''}{'; '.join(attributes)}"
    if rules.domain is not None:
        yield f"Domain becomes {rules.domain.decode()}" if rules.domain else "without Domain: only the proxy's host gets them"
    if not rules.path:
        yield "Path stays as the upstream wrote it"


def redirects(rules: Redirects) -> str:
    """Say what becomes of redirects to the upstream; nothing where they are rewritten."""
    return "stay as they are, so browsers may be led past the proxy" if rules is Redirects.KEEP else ""


def limits(found: RouteLimits) -> str:
    """Say what bodies may be."""
    size = "of any size" if found.request_body is None else f"up to {format_size(found.request_body)}"
    return f"request bodies {size}, pauses of up to {duration(found.body_idle_timeout)}"


def duration(seconds: float) -> str:
    """Write a duration as the file would, in the largest unit that leaves it whole."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"
