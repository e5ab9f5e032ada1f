"""
What becomes of cookies in a call: what the route makes of them, and whether a browser keeps and sends them.

The upstream's cookies are not known, so three usual ones stand for them. Which blocking of third-party cookies a visitor chose cannot be
known either, and is said as such.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from corsproxy.config.settings import Route
from corsproxy.config.suffixes import is_public_suffix
from corsproxy.cors.browser import CredentialsMode, is_cross_origin
from corsproxy.cors.origin import looks_like_ipv4, parse_origin
from corsproxy.rehearse import Rehearsal
from corsproxy.routes import is_local
from corsproxy.semantics.cookies import CookieFault, cookie_fault, rewrite_set_cookie

# As a session cookie was written before SameSite, as frameworks write it today, and as one that is meant for other sites.
USUAL: Final = (b"session=...; HttpOnly", b"session=...; HttpOnly; SameSite=Lax", b"session=...; HttpOnly; SameSite=None; Secure")
_DROPPED: Final = {
    CookieFault.NONE_WITHOUT_SECURE: "dropped: SameSite=None needs Secure",
    CookieFault.PARTITIONED_WITHOUT_SECURE: "dropped: Partitioned needs Secure",
    CookieFault.SECURE_OVER_HTTP: "dropped: it is Secure, and the proxy is called by plain http",
    CookieFault.FOREIGN_DOMAIN: "dropped: its Domain is not the host that the browser called",
    CookieFault.SECURE_PREFIX: "dropped: `__Secure-` needs Secure",
    CookieFault.HOST_PREFIX: "dropped: `__Host-` needs Secure, Path=/ and no Domain",
    CookieFault.HTTP_PREFIX: "dropped: `__Http-` needs Secure and HttpOnly",
}


class Fate(StrEnum):
    """What becomes of a cookie; the values are stable API."""

    SENT = "sent"
    THIRD_PARTY = "third-party"  # Sent, unless the browser blocks third-party cookies.
    NOT_SENT = "not-sent"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie of the upstream as it was written, as the browser gets it, and what becomes of it."""

    written: str
    received: str
    fate: Fate
    words: str


@dataclass(frozen=True, slots=True)
class Cookies:
    """What a call does with cookies: in a sentence, and for single ones where they take part at all. `help` is empty or an imperative."""

    words: str
    single: tuple[Cookie, ...] = ()
    help: str = ""


def cookies_of(rehearsal: Rehearsal, lines: Sequence[bytes] = USUAL) -> Cookies:
    """Say what becomes of cookies in a call; `lines` are values of Set-Cookie as the upstream writes them. Pure; never raises."""
    request, route = rehearsal.request, rehearsal.actual.planned.context.route
    is_cross = is_cross_origin(request)
    if request.credentials is CredentialsMode.OMIT or (is_cross and request.credentials is not CredentialsMode.INCLUDE):
        said = "none is sent, and none is kept: the call is made without credentials"
        help_ = "if a session is needed: `credentials: 'include'` in the script, and `allow_credentials: true` in the policy"
        return Cookies(said, help=help_ if is_cross else "")
    if route is None:
        return Cookies("no upstream is asked, so none is read or set")
    is_foreign = not same_site(request.origin, request.url_origin)
    single = tuple(_judge(line, route, request.url_origin, is_foreign=is_foreign) for line in lines)
    where = "another site than" if is_foreign else "the same site as"
    said = f"the page is of {where} the proxy"
    is_lost = is_foreign and all(each.fate is not Fate.THIRD_PARTY for each in single[:2])
    help_ = "write `cookies: {same_site: none}` for the route, if a session has to work from there" if is_lost else ""
    return Cookies(said, single, help_)


def same_site(page: bytes, there: bytes) -> bool:
    """
    Tell whether two serialized origins are of one site, as browsers count sites.

    Spec: HTML #schemefully-same-site.
    """
    first, second = _site(page), _site(there)
    return first is not None and first == second


def _site(origin: bytes) -> tuple[bytes, str] | None:
    parsed = parse_origin(origin)
    if parsed is None:
        return None
    host = parsed.host.decode()
    if host.startswith("[") or looks_like_ipv4(parsed.host):
        return parsed.scheme, host
    labels = host.split(".")
    for place in range(len(labels)):
        if is_public_suffix(".".join(labels[place:])):
            return parsed.scheme, ".".join(labels[max(0, place - 1) :])
    # > If no rules match, the prevailing rule is "*". (https://github.com/publicsuffix/list/wiki/Format)
    return parsed.scheme, ".".join(labels[-2:])


def _judge(line: bytes, route: Route, url_origin: bytes, *, is_foreign: bool) -> Cookie:
    received = rewrite_set_cookie(line, route.cookies, route.paths)
    host = url_origin.partition(b"://")[2]
    is_secure = url_origin.startswith(b"https:") or is_local(host)
    fault = cookie_fault(received, is_secure_transport=is_secure, is_cross_site=is_foreign)
    written, becomes = (value.decode("ascii", "backslashreplace") for value in (line, received))
    if fault is CookieFault.SAME_SITE:
        return Cookie(written, becomes, Fate.NOT_SENT, "not sent from another site, and not kept if this call sets it")
    if fault is not None:
        return Cookie(written, becomes, Fate.DROPPED, _DROPPED.get(fault, f"dropped: {fault.value}"))
    if not is_foreign:
        return Cookie(written, becomes, Fate.SENT, "kept and sent")
    if any(attribute == "partitioned" for attribute in _attributes(becomes)):
        return Cookie(written, becomes, Fate.SENT, "kept and sent, in a jar of its own for each site that calls")
    return Cookie(written, becomes, Fate.THIRD_PARTY, "kept and sent, unless the browser blocks third-party cookies (Safari does)")


def _attributes(line: str) -> Iterator[str]:
    yield from (each.partition("=")[0].strip().lower() for each in line.split(";")[1:])
