"""
The faults that a server's CORS can have: what each is, and how it is mended.

One table, for people: by whoever owns the server, and, where corsproxy stands in front, in its file.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """FAULT: a browser fails. RISK: it works here, and will not elsewhere, or lets in too many. NOTE: worth knowing."""

    FAULT = "fault"
    RISK = "risk"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault. `name` is stable API. `fix` is for the server's owner; `key` is the key of corsproxy's file that leads to it, empty if none does.

    SUBJECT and ORIGIN stand for what was found and for the page's origin.
    """

    name: str
    severity: Severity
    title: str
    fix: str
    key: str = ""


def _fault(name: str, title: str, fix: str, key: str = "") -> Fault:
    return Fault(name, Severity.FAULT, title, fix, key)


def _risk(name: str, title: str, fix: str, key: str = "") -> Fault:
    return Fault(name, Severity.RISK, title, fix, key)


# --- no answer ---
UNRESOLVED: Final = _fault(
    "unresolved", "the host name does not resolve", "check its spelling, and whether this machine asks the right name server"
)
REFUSED: Final = _fault("refused", "nobody listens at that address", "start the server, or correct the port")
UNREACHABLE: Final = _fault("unreachable", "the address cannot be reached", "look for a firewall or a missing route between here and there")
TLS: Final = _fault(
    "tls",
    "TLS fails, and the browser shows no more than a network error",
    "mend the certificate: its names, its dates, the chain that is sent with it",
    "tls",
)
TIMEOUT: Final = _fault(
    "timeout", "no answer came in time", "look at what the server waits for; a browser waits longer, and its user does not", "timeouts"
)
BROKEN: Final = _fault("broken-answer", "the answer is no HTTP, or breaks off", "look at the server's own log")

# --- before anything is sent ---
MIXED_CONTENT: Final = _fault(
    "mixed-content", "a page by https must not call plain http: the browser sends nothing", "serve the API by https", "tls"
)
CALL_THROWS: Final = _fault("call-throws", "the script's call throws, and nothing is sent (SUBJECT)", "change the script")

# --- the preflight ---
PREFLIGHT_REDIRECT: Final = _fault(
    "preflight-redirect",
    "the preflight is redirected (SUBJECT), which no browser follows",
    "call the final URL, or answer OPTIONS before whatever redirects: often http to https, a slash, or a login",
)
PREFLIGHT_UNAUTHORIZED: Final = _fault(
    "preflight-unauthorized",
    "the preflight gets SUBJECT: it carries no credentials, and must not need any",
    "answer OPTIONS with an Origin and Access-Control-Request-Method before the login",
)
PREFLIGHT_UNANSWERED: Final = _fault(
    "preflight-unanswered", "the preflight gets SUBJECT: nobody answers OPTIONS there", "answer preflights with 204 and the CORS fields"
)
PREFLIGHT_STATUS: Final = _fault("preflight-status", "the preflight gets SUBJECT, and only 200 to 299 count", "answer preflights with 204")
METHOD_REFUSED: Final = _fault("method-refused", "`Access-Control-Allow-Methods` does not list SUBJECT", "list it", "allow_methods")
HEADER_REFUSED: Final = _fault("header-refused", "`Access-Control-Allow-Headers` does not list `SUBJECT`", "list it", "allow_headers")
WILDCARD_LIST: Final = _fault(
    "wildcard-list-with-credentials",
    "a `*` in the preflight's lists does not count with credentials, and SUBJECT needs to be listed",
    "list methods and headers by name",
    "allow_headers",
)
AUTHORIZATION: Final = _fault(
    "authorization-not-listed",
    "`*` does not cover `Authorization` by the standard; browsers still let it, and warn",
    "list `Authorization` by name",
    "allow_headers",
)
LIST_UNPARSABLE: Final = _fault(
    "list-unparsable", "a list of the preflight's answer does not parse: SUBJECT", "separate names by commas, and write nothing else"
)
MAX_AGE: Final = Fault(
    "max-age-unparsable",
    Severity.NOTE,
    "`Access-Control-Max-Age` is no number (SUBJECT), so browsers ask again after five seconds",
    "write seconds, and nothing else",
    "max_age",
)

# --- the CORS check ---
ACAO_MISSING: Final = _fault(
    "acao-missing",
    "there is no `Access-Control-Allow-Origin`: the browser hides the answer",
    "send `Access-Control-Allow-Origin: ORIGIN` to that origin",
    "allow_origins",
)
ACAO_DUPLICATE: Final = _fault(
    "acao-duplicate",
    "`Access-Control-Allow-Origin` comes more than once: SUBJECT",
    "let one place write it: the application, or what stands in front",
    "allow_origins",
)
ACAO_LIST: Final = _fault(
    "acao-list",
    "`Access-Control-Allow-Origin` takes one origin, and SUBJECT is a list",
    "answer with the one origin that asks, if it is allowed",
    "allow_origins",
)
ACAO_MISMATCH: Final = _fault(
    "acao-mismatch",
    "`Access-Control-Allow-Origin` says SUBJECT, which is not the page's origin to the letter",
    "answer `ORIGIN`: no slash at the end, lower case, no default port",
    "allow_origins",
)
WILDCARD_ORIGIN: Final = _fault(
    "wildcard-origin-with-credentials",
    "`Access-Control-Allow-Origin: *` does not count with credentials",
    "answer with the origin by name",
    "allow_origins",
)
CREDENTIALS: Final = _fault(
    "credentials-refused",
    "the call has credentials, and `Access-Control-Allow-Credentials` is not `true` (SUBJECT)",
    "send `Access-Control-Allow-Credentials: true`, in lower case",
    "allow_credentials",
)
LOST_ON_ERRORS: Final = _fault(
    "lost-on-errors",
    "the answer is SUBJECT without CORS fields: the script sees a network error, and not the status",
    "send the CORS fields on errors, too; in nginx that is `add_header … always`",
)
REDIRECT_REFUSED: Final = _fault(
    "redirect-refused", "the browser does not follow the redirect to SUBJECT", "call the final URL", "redirects"
)
REDIRECT_LOOP: Final = _fault("redirect-loop", "the redirects do not end", "call the final URL", "redirects")

# --- what the call itself does not show ---
ERRORS_HIDDEN: Final = _risk(
    "errors-hidden",
    "errors come without CORS fields (SUBJECT): scripts will see network errors in their place",
    "send the CORS fields on errors, too; in nginx that is `add_header … always`",
)
LOST_ON_304: Final = _risk(
    "lost-on-304",
    "a 304 comes without `Access-Control-Allow-Origin`, or with another: some caches then replace the good one",
    "send the same CORS fields on 304",
)
VARY_MISSING: Final = _risk(
    "vary-missing",
    "the answer depends on the origin, and `Vary` does not say so: a cache hands one origin's answer to another",
    "send `Vary: Origin` on every answer of that URL, also without an Origin",
)
ANY_ORIGIN: Final = _risk(
    "any-origin-with-credentials",
    "any origin is allowed with credentials: each site can act as your users and read what comes back",
    "answer only to origins on a list",
    "allow_origins",
)
NOT_EXPOSED: Final = Fault(
    "not-exposed", Severity.NOTE, "scripts cannot read SUBJECT", "name what they need in `Access-Control-Expose-Headers`", "expose_headers"
)
WILDCARD_EXPOSE: Final = _risk(
    "wildcard-expose-with-credentials",
    "`Access-Control-Expose-Headers: *` does not count with credentials, so scripts cannot read SUBJECT",
    "list the names",
    "expose_headers",
)
COOKIE_DROPPED: Final = _risk(
    "cookie-dropped",
    "the browser drops a cookie: SUBJECT",
    "set it so that it may travel: `SameSite=None; Secure`, no foreign `Domain`",
    "cookies",
)
CORP: Final = _risk(
    "corp",
    "`Cross-Origin-Resource-Policy: SUBJECT` keeps pages under COEP, and `<img>` of other sites, from loading this; fetch() in CORS mode is not stopped",
    "send `cross-origin` where others may embed it",
    "resource_policy",
)
LOCAL_NETWORK: Final = _risk(
    "local-network-access",
    "a public page calls an address of a local network: Chromium asks the user for permission first (Local Network Access)",
    "serve both from the same network, or give the API a public address",
)
WEBSOCKET_REFUSED: Final = _fault(
    "websocket-refused", "the handshake gets SUBJECT and not 101", "let the origin in, and answer the handshake", "websocket_origins"
)
WEBSOCKET_ANY_ORIGIN: Final = _risk(
    "websocket-any-origin",
    "a WebSocket opens for any origin: browsers check none, so each site can speak as your users",
    "look at `Origin` in the handshake",
    "websocket_origins",
)
