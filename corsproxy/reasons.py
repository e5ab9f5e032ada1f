"""
Why a rehearsed call came out as it did: in words, and by the line of the file that decided.

It knows what each reason means to a person; it decides nothing, and knows no terminal.
"""

from dataclasses import dataclass, replace
from typing import Final

from corsproxy.answers import Answer
from corsproxy.config.diagnostics import Span
from corsproxy.config.policies import place_of
from corsproxy.config.settings import PolicyPlaces, Settings
from corsproxy.cors import browser
from corsproxy.cors.browser import PreflightNeed
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.cors.origins import ANY
from corsproxy.cors.pattern import OriginPattern
from corsproxy.cors.policy import CorsPolicy
from corsproxy.problems import Problem
from corsproxy.rehearse import Ending, Exchange, Rehearsal
from corsproxy.semantics.tokens import in_ascii

_ORIGINS: Final = "allow_origins"
_SOCKETS: Final = "websocket_origins"
_METHODS: Final = "allow_methods"
_HEADERS: Final = "allow_headers"
_CREDENTIALS: Final = "allow_credentials"

# The key of the policy that each reason leads to, and what it says. ORIGIN, ENTRY, SUBJECT stand for what the decision holds.
_REASONS: Final[dict[Reason, tuple[str, str]]] = {
    Reason.NO_ORIGIN: ("", "the request carries no Origin, so CORS has no say in it"),
    Reason.SAME_ORIGIN: ("", "the page is of the proxy's own origin, so CORS has no say in it"),
    Reason.ORIGIN_ALLOWED: (_ORIGINS, "the entry `ENTRY` of `allow_origins` lets `ORIGIN` in"),
    Reason.ORIGIN_REFUSED: (_ORIGINS, "no entry of `allow_origins` lets `ORIGIN` in"),
    Reason.ORIGIN_MALFORMED: (_ORIGINS, "the Origin is not spelled as browsers spell one, so no entry of `allow_origins` lets it in"),
    Reason.ORIGIN_REPEATED: (_ORIGINS, "there is more than one Origin, so no entry of `allow_origins` lets them in"),
    Reason.METHOD_REFUSED: (_METHODS, "`SUBJECT` is not in `allow_methods`"),
    Reason.PREFLIGHT_GRANTED: (_ORIGINS, "the entry `ENTRY` of `allow_origins` lets `ORIGIN` in, with this method and these headers"),
    Reason.PREFLIGHT_METHOD_REFUSED: (_METHODS, "`SUBJECT` is not in `allow_methods`"),
    Reason.PREFLIGHT_METHOD_MALFORMED: ("", "the preflight asks for a method that no script can send"),
    Reason.PREFLIGHT_HEADER_REFUSED: (_HEADERS, "`SUBJECT` is not in `allow_headers`"),
    Reason.PREFLIGHT_HEADERS_MALFORMED: ("", "the preflight asks for what are no header names"),
    Reason.PREFLIGHT_HEADERS_TOO_MANY: ("", "the preflight asks for more header names than are looked at"),
    Reason.CORS_NONE: ("cors", "the route says `cors: none`"),
    Reason.CORS_PASSTHROUGH: ("cors", "the route says `cors: passthrough`: the upstream does CORS itself"),
}

_NEEDS: Final = {
    PreflightNeed.METHOD: "METHOD is none of GET, HEAD and POST",
    PreflightNeed.HEADERS: "the script sets NAMES",
    PreflightNeed.UPLOAD_LISTENER: "the script watches its upload",
    PreflightNeed.STREAM_BODY: "the body is a stream",
}

_VERDICTS: Final = {
    browser.Reason.OK: "the script may read the answer",
    browser.Reason.SAME_ORIGIN: "the page is of the same origin, so nothing is hidden from it",
    browser.Reason.REDIRECT: "the browser follows the redirect to SUBJECT",
    browser.Reason.INVALID_METHOD: "the call throws: SUBJECT is no method",
    browser.Reason.FORBIDDEN_METHOD: "the call throws: no script may use SUBJECT",
    browser.Reason.INVALID_HEADER: "the call throws: SUBJECT is no header that can be sent",
    browser.Reason.REDIRECT_USERINFO: "a redirect to SUBJECT brings a user name along, which is not allowed across origins",
    browser.Reason.REDIRECT_STREAM: "a redirect with SUBJECT would need the streamed body again",
    browser.Reason.BODY_NOT_ALLOWED: "the call throws: SUBJECT takes no body",
    browser.Reason.MIXED_CONTENT: "a page that came by https may not call SUBJECT, which is plain http (mixed content)",
    browser.Reason.STREAM_OVER_HTTP1: "browsers stream a request's body over HTTP/2 and later only, and this proxy speaks HTTP/1.1",
    browser.Reason.ACAO_MISSING: "there is no Access-Control-Allow-Origin",
    browser.Reason.ACAO_MULTIPLE: "Access-Control-Allow-Origin names more than one origin",
    browser.Reason.ACAO_MISMATCH: "Access-Control-Allow-Origin names another origin",
    browser.Reason.ACAO_WILDCARD_WITH_CREDENTIALS: "`*` in Access-Control-Allow-Origin does not count for a call with credentials",
    browser.Reason.ACAC_NOT_TRUE: "the call is made with credentials, and there is no Access-Control-Allow-Credentials",
    browser.Reason.PREFLIGHT_REDIRECT: "a preflight must not be redirected",
    browser.Reason.PREFLIGHT_STATUS: "the status SUBJECT fails a preflight",
    browser.Reason.ACAM_UNPARSABLE: "Access-Control-Allow-Methods does not parse",
    browser.Reason.ACAH_UNPARSABLE: "Access-Control-Allow-Headers does not parse",
    browser.Reason.METHOD_NOT_ALLOWED: "Access-Control-Allow-Methods lacks SUBJECT",
    browser.Reason.METHOD_WILDCARD_WITH_CREDENTIALS: "`*` in Access-Control-Allow-Methods does not count for a call with credentials",
    browser.Reason.HEADER_NOT_ALLOWED: "Access-Control-Allow-Headers lacks SUBJECT",
    browser.Reason.HEADER_WILDCARD_WITH_CREDENTIALS: "`*` in Access-Control-Allow-Headers does not count for a call with credentials",
    browser.Reason.WEBSOCKET_STATUS: "the status SUBJECT opens no WebSocket",
    browser.Reason.AUTHORIZATION_NOT_LISTED: "`*` in Access-Control-Allow-Headers does not cover SUBJECT",
}

_ABOUT_CREDENTIALS: Final = {
    browser.Reason.ACAO_WILDCARD_WITH_CREDENTIALS: (_ORIGINS, "for these the `*` of `allow_origins` does not count"),
    browser.Reason.ACAC_NOT_TRUE: (_CREDENTIALS, "the policy does not say `allow_credentials: true`"),
}


@dataclass(frozen=True, slots=True)
class Why:
    """
    Why it came out so.

    `code` is the stable word of whoever decided: a decision's reason, a refusal's, or the browser's. `key` is the key of the
    policy that it leads to, "" if it leads to none. `span` is where that stands; where the policy does not say it
    (`is_written` is false, and the default holds), where the policy stands.
    """

    code: str
    words: str
    key: str = ""
    span: Span | None = None
    is_written: bool = True

    @property
    def place(self) -> str:
        """The place as compilers write it; empty if no line decided."""
        return str(place_of(self.span)) if self.span is not None else ""


def why(settings: Settings, rehearsal: Rehearsal) -> Why:
    """
    Say why a call came out as it did.

    Pure; never raises.

    Spec: Fetch #http-cors-protocol.
    """
    verdict, exchange = rehearsal.outcome.verdict, rehearsal.decisive
    if rehearsal.outcome.stage is browser.Stage.SCRIPT or verdict.reason is browser.Reason.STREAM_OVER_HTTP1:
        return Why(verdict.reason, verdict_in_words(verdict))
    if rehearsal.ending is Ending.BROWSER_REFUSES and verdict.reason in _ABOUT_CREDENTIALS:
        return why_credentials(settings, exchange, verdict.reason)
    return why_exchange(settings, exchange)


def why_credentials(settings: Settings, exchange: Exchange, reason: browser.Reason) -> Why:
    """
    Say why a browser keeps the answer to a call with credentials from the script; `reason` is its own word.

    Spec: Fetch #cors-check.
    """
    key, words = _ABOUT_CREDENTIALS[reason]
    return _placed(
        Why(reason, f"the call is made with credentials, and {words}"), key, places_of(settings, exchange), exchange.planned.context.cors
    )


def why_exchange(settings: Settings, exchange: Exchange) -> Why:
    """
    Say why one request was answered as it was.

    Pure; never raises.

    Spec: Fetch #http-cors-protocol.
    """
    context, problem = exchange.planned.context, exchange.problem
    decision, places = context.decision, places_of(settings, exchange)
    if isinstance(exchange.planned, Answer) and problem is not None and (decision is None or not _is_cors_refusal(decision, problem)):
        said = problem.detail.removesuffix(".")
        return Why(exchange.planned.reason, said[:1].lower() + said[1:])
    if decision is None:
        return Why("", "")
    key, words = _REASONS[decision.reason]
    policy = context.cors
    if isinstance(policy, CorsPolicy):
        words = _particular(decision, policy) or words
        if key == _ORIGINS and _has_own_list(decision, policy):
            key, words = _SOCKETS, words.replace(_ORIGINS, _SOCKETS)
    words = words.replace("SUBJECT", in_ascii(decision.subject)).replace("ORIGIN", in_ascii(decision.origin))
    found = Why(decision.reason, words.replace("ENTRY", entry_in_words(decision.entry)))
    entry = _entry_span(decision, policy, places)
    return replace(found, key=_ORIGINS, span=entry) if entry is not None else _placed(found, key, places, policy)


def need_in_words(rehearsal: Rehearsal) -> str:
    """
    Say why a preflight comes first, or why none does.

    Spec: Fetch #main-fetch.
    """
    request = rehearsal.request
    if rehearsal.need is None:
        if not browser.is_cross_origin(request):
            return "the page is of the proxy's own origin"
        return in_ascii(request.method) + (" and these headers need no permission" if request.headers else " needs no permission")
    names = ", ".join(map(in_ascii, browser.unsafe_header_names(request.headers)))
    method = in_ascii(browser.normalize_method(request.method))
    return _NEEDS[rehearsal.need].replace("METHOD", method).replace("NAMES", names)


def verdict_in_words(verdict: browser.Verdict) -> str:
    """
    Say what a browser concludes.

    Spec: Fetch #cors-check, #cors-preflight-fetch.
    """
    return _VERDICTS[verdict.reason].replace("SUBJECT", f"`{in_ascii(verdict.subject)}`")


def entry_in_words(entry: OriginPattern | str | None) -> str:
    """
    Write an entry of `allow_origins` as the file does.

    Spec: HTML #ascii-serialisation-of-an-origin.
    """
    if isinstance(entry, OriginPattern):
        return f"regex: {entry.text}" if entry.regex is not None else entry.text
    return entry or ""


def _particular(decision: Decision, policy: CorsPolicy) -> str:
    """Say more where a list is no plain list."""
    if decision.reason is Reason.PREFLIGHT_HEADER_REFUSED and policy.headers is None:
        return "`*` in `allow_headers` never covers `SUBJECT`, which has to be listed by name"
    if decision.reason in (Reason.METHOD_REFUSED, Reason.PREFLIGHT_METHOD_REFUSED):
        subject = decision.subject
        if policy.methods is None:
            return "`SUBJECT` is a method that HTTP parsers do not know, so `*` in `allow_methods` does not cover it"
        if subject != subject.upper() and policy.allows_method(subject.upper()):
            return f"`SUBJECT` is not `{in_ascii(subject.upper())}`: methods are compared by bytes"
    return ""


def _is_cors_refusal(decision: Decision, problem: Problem) -> bool:
    # A path without a route is 404 whatever the policy says.
    return decision.refused and problem.status == 403


def places_of(settings: Settings, exchange: Exchange) -> PolicyPlaces | None:
    """
    Return where the policy is written that spoke in an exchange.

    Spec: Fetch #http-cors-protocol.
    """
    route = exchange.planned.context.route
    return route.places if route is not None else settings.default_places


def _has_own_list(decision: Decision, policy: CorsPolicy) -> bool:
    """Tell whether `websocket_origins` decided, and not `allow_origins` in its place."""
    return decision.kind is Kind.WEBSOCKET and policy.sockets is not None


def _entry_span(decision: Decision, policy: object, places: PolicyPlaces | None) -> Span | None:
    is_about_entry = decision.reason in (Reason.ORIGIN_ALLOWED, Reason.PREFLIGHT_GRANTED)
    if not is_about_entry or places is None or not isinstance(policy, CorsPolicy) or _has_own_list(decision, policy):
        return None
    number = 0 if decision.entry == ANY else next(n for n, pattern in enumerate(policy.patterns) if pattern is decision.entry)
    return places.origins[number] if number < len(places.origins) else None


def _placed(found: Why, key: str, places: PolicyPlaces | None, policy: object) -> Why:
    if not key or places is None:
        return replace(found, key=key)
    if key == "cors" or not isinstance(policy, CorsPolicy):
        return replace(found, key="cors", span=places.cors)
    if key in places.keys:
        return replace(found, key=key, span=places.keys[key])
    words = found.words + (_default_of(key, policy) if found.words.endswith(f"`{key}`") else "")
    return Why(found.code, words, key, places.cors, is_written=False)


def _default_of(key: str, policy: CorsPolicy) -> str:
    """Say what a list holds that the file does not write out."""
    if key == _METHODS and policy.methods is not None:
        return f", which is not written here and so is `[{', '.join(map(in_ascii, policy.methods))}]`"
    if key == _HEADERS and policy.headers is not None:
        return f", which is not written here and so is `[{', '.join(map(in_ascii, policy.header_list))}]`"
    return ""
