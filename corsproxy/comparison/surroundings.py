"""
What two files say beside their policies, as far as it decides who gets at what: hosts, certificates, whose word counts, fields that are set.

Values of header fields never show.
"""

from collections.abc import Iterator
from typing import Final

from corsproxy.comparison.difference import Difference, Effect
from corsproxy.comparison.regions import host_classes
from corsproxy.config.settings import AdminSettings, Route, Settings
from corsproxy.routes import answers_host
from corsproxy.semantics.fields import READ_BY_CGI
from corsproxy.semantics.rules import HeaderRules

# What answers carry so that browsers keep strangers away from them.
_GUARDS: Final = frozenset(
    {
        b"content-security-policy",
        b"cross-origin-embedder-policy",
        b"cross-origin-opener-policy",
        b"cross-origin-resource-policy",
        b"permissions-policy",
        b"referrer-policy",
        b"strict-transport-security",
        b"x-content-type-options",
        b"x-frame-options",
    }
)
_CREDENTIALS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})


def compare_proxies(old: Settings, new: Settings) -> Iterator[Difference]:
    """Yield what differs for all routes. Pure."""
    yield from _hosts(old, new)
    for origin in (each for each in new.own_origins if each not in old.own_origins):
        words = f"pages of `{origin.decode()}` are the proxy's own, and no policy is asked about them"
        yield Difference(Effect.WIDENED, "public_url", words, (origin.decode(),))
    for origin in (each for each in old.own_origins if each not in new.own_origins):
        yield Difference(Effect.NARROWED, "public_url", f"pages of `{origin.decode()}` are no longer the proxy's own", (origin.decode(),))
    if old.own_origins and not new.own_origins:
        yield Difference(Effect.MAY_WIDEN, "public_url", "which pages are the proxy's own is told from the Host field now")
    trusted = {str(each) for each in old.forwarding.trusted}
    came = tuple(sorted({str(each) for each in new.forwarding.trusted} - trusted))
    if came:
        yield Difference(Effect.WIDENED, "trusted_proxies", f"{', '.join(came)} may say who a client is, and by which host it came", came)
    went = tuple(sorted(trusted - {str(each) for each in new.forwarding.trusted}))
    if went:
        yield Difference(Effect.NARROWED, "trusted_proxies", f"{', '.join(went)} may no longer say who a client is", went)
    yield from _certificates(old, new)
    yield from _admin(old.admin, new.admin)


def _admin(old: AdminSettings, new: AdminSettings) -> Iterator[Difference]:
    if new.dangerously_expose_admin and not old.dangerously_expose_admin:
        words = "the pages of the admin listener are for other machines too"
        yield Difference(Effect.WIDENED, "admin.dangerously_expose_admin", words)
    elif old.dangerously_expose_admin and not new.dangerously_expose_admin:
        yield Difference(
            Effect.NARROWED, "admin.dangerously_expose_admin", "the pages of the admin listener are no longer for other machines"
        )
    came = tuple(sorted(name.decode() for name in new.hosts.names - old.hosts.names))
    if new.hosts.any_host and not old.hosts.any_host:
        yield Difference(Effect.WIDENED, "admin.hosts", "the admin listener answers any Host name (DNS rebinding)", ("*",))
    elif came and not old.hosts.any_host:
        yield Difference(Effect.WIDENED, "admin.hosts", f"the admin listener answers: {', '.join(came)}", came)


def _hosts(old: Settings, new: Settings) -> Iterator[Difference]:
    if new.hosts.any_host and not old.hosts.any_host:
        yield Difference(Effect.WIDENED, "hosts", "any Host name is answered (DNS rebinding)", ("*",))
        return
    if old.hosts.any_host and not new.hosts.any_host:
        yield Difference(Effect.NARROWED, "hosts", "not any Host name is answered any longer", ("*",))
        return
    classes = tuple(host_classes(old, new))
    answered = [(each.name, answers_host(old.hosts, each.host), answers_host(new.hosts, each.host)) for each in classes]
    if came := tuple(name for name, before, after in answered if after and not before):
        yield Difference(Effect.WIDENED, "hosts", f"answered: {', '.join(came)}", came)
    if went := tuple(name for name, before, after in answered if before and not after):
        yield Difference(Effect.NARROWED, "hosts", f"no longer answered: {', '.join(went)}", went)


def _certificates(old: Settings, new: Settings) -> Iterator[Difference]:
    was = old.tls is not None and old.tls.requires_client_certificate
    is_ = new.tls is not None and new.tls.requires_client_certificate
    if was and not is_:
        yield Difference(Effect.WIDENED, "tls.client_certificate", "clients need no certificate any longer")
    elif is_ and not was:
        yield Difference(Effect.NARROWED, "tls.client_certificate", "clients must show a certificate")
    elif is_ and old.tls is not None and new.tls is not None and old.tls.client_ca_file != new.tls.client_ca_file:
        words = f"another authority signs clients' certificates: {new.tls.client_ca_file}"
        yield Difference(Effect.MAY_WIDEN, "tls.client_ca_file", words)


def compare_routes(old: Route, new: Route) -> Iterator[Difference]:
    """Yield what differs between two routes of one place, beside their policies. Pure."""
    place = str(new.place)
    if (old.upstream.url, old.upstream.authority, old.upstream.path) != (new.upstream.url, new.upstream.authority, new.upstream.path):
        words = f"requests go to {new.upstream.url} instead of {old.upstream.url}"
        yield Difference(Effect.CHANGED, "upstream", words, place=place)
    if old.paths != new.paths and old.upstream.path == new.upstream.path:
        yield Difference(Effect.CHANGED, "strip_prefix", "another part of the path reaches the upstream", place=place)
    if new.upstream.client_tls.skip_verify and not old.upstream.client_tls.skip_verify:
        words = "any certificate of the upstream is taken: whoever stands in between reads and changes everything"
        yield Difference(Effect.WIDENED, "upstream.tls.dangerously_skip_verify", words, place=place)
    if new.upstream.origin_header is not old.upstream.origin_header:
        words = f"the upstream gets Origin as `{new.upstream.origin_header.value}`: its own check of it may come out otherwise"
        yield Difference(Effect.CHANGED, "upstream.origin_header", words, place=place)
    yield from _cookies(old, new, place)
    yield from _request_headers(old.request_headers, new.request_headers, place)
    yield from _response_headers(old.response_headers, new.response_headers, place)


def _cookies(old: Route, new: Route, place: str) -> Iterator[Difference]:
    if old.cookies == new.cookies:
        return
    if new.cookies.same_site == b"None" and old.cookies.same_site != b"None":
        words = "browsers send the upstream's cookies along from every site"
        yield Difference(Effect.WIDENED, "cookies.same_site", words, place=place)
    elif old.cookies.same_site == b"None" and new.cookies.same_site != b"None":
        words = "browsers no longer send the upstream's cookies along from every site"
        yield Difference(Effect.NARROWED, "cookies.same_site", words, place=place)
    else:
        yield Difference(Effect.CHANGED, "cookies", "the upstream's cookies are rewritten otherwise", place=place)


def _request_headers(old: HeaderRules, new: HeaderRules, place: str) -> Iterator[Difference]:
    before, after = _set(old), _set(new)
    for name in sorted(after.keys() - before.keys()):
        is_credential = name in _CREDENTIALS or name in new.secret
        words = f"`{name.decode()}` is sent to the upstream" + (": whoever may call acts with it" if is_credential else "")
        yield Difference(Effect.WIDENED if is_credential else Effect.CHANGED, "headers.request", words, (name.decode(),), place=place)
    for name in sorted(before.keys() - after.keys()):
        yield Difference(
            Effect.CHANGED, "headers.request", f"`{name.decode()}` is no longer sent to the upstream", (name.decode(),), place=place
        )
    for name in sorted(name for name in after.keys() & before.keys() if after[name] != before[name]):
        yield Difference(
            Effect.CHANGED, "headers.request", f"`{name.decode()}` has another value for the upstream", (name.decode(),), place=place
        )
    for name in sorted(old.dropped - new.dropped - before.keys()):
        words = f"the client's own `{name.decode()}` reaches the upstream"
        yield Difference(Effect.WIDENED, "headers.request", words, (name.decode(),), place=place)


def _response_headers(old: HeaderRules, new: HeaderRules, place: str) -> Iterator[Difference]:
    before, after = _set(old), _set(new)
    for name in sorted((new.dropped - after.keys()) - (old.dropped - before.keys())):
        words = f"the upstream's `{name.decode()}` is taken off"
        guards = f"{words}, which keeps strangers away from its answers"
        is_guard = name in _GUARDS
        yield Difference(
            Effect.WIDENED if is_guard else Effect.CHANGED, "headers.response", guards if is_guard else words, (name.decode(),), place=place
        )
    for name in sorted(before.keys() - after.keys()):
        effect = Effect.WIDENED if name in _GUARDS else Effect.CHANGED
        yield Difference(effect, "headers.response", f"`{name.decode()}` is no longer set on answers", (name.decode(),), place=place)
    for name in sorted(name for name in after if before.get(name) != after[name]):
        yield Difference(
            Effect.CHANGED, "headers.response", f"`{name.decode()}` is set on answers, or to another value", (name.decode(),), place=place
        )


def _set(rules: HeaderRules) -> dict[bytes, tuple[bytes, ...]]:
    found: dict[bytes, tuple[bytes, ...]] = {}
    for name, value in rules.lines:
        read = name.lower().translate(READ_BY_CGI)
        found[read] = (*found.get(read, ()), value)
    return found
