"""
A policy with the least added to it: what that takes, and what `cors.policy` says to it.

It knows which of a policy's parts refuse a call, one after the other, and adds to these alone. It changes settings, not files.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from corsproxy import problems
from corsproxy.answers import Answer
from corsproxy.config.choices import CorsMode
from corsproxy.config.diagnostics import Span
from corsproxy.config.settings import PolicyPlaces, Settings
from corsproxy.config.suffixes import is_public_suffix
from corsproxy.cors import browser
from corsproxy.cors.decide import Kind, Reason
from corsproxy.cors.names import SENDABLE_METHODS
from corsproxy.cors.origins import ANY, RegexEntry
from corsproxy.cors.pattern import OriginPattern, PatternKind
from corsproxy.cors.policy import NO_SOCKETS, SOCKETS_AS_CORS, CorsPolicy, PolicyDraft, build_policy
from corsproxy.problems import Severity
from corsproxy.reasons import places_of
from corsproxy.rehearse import Ending, Exchange, Rehearsal, rehearse

# Origin, method, headers, credentials: each is at fault once.
_MAX_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class Additions:
    """
    What is added to a policy: names as they are to be written.

    `origin` joins `allow_origins`, `socket` a list of `websocket_origins` that is written out. `opens`: there was a mode, and there is
    a policy now.
    """

    origin: str = ""
    socket: str = ""
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    credentials: bool = False
    opens: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the file that take part."""
        if self.opens:
            return ("cors",)
        taking = (
            ("allow_origins", self.origin),
            ("websocket_origins", self.socket),
            ("allow_methods", self.methods),
            ("allow_headers", self.headers),
            ("allow_credentials", self.credentials),
        )
        return tuple(key for key, added in taking if added)


@dataclass(frozen=True, slots=True)
class Impossible:
    """Why no addition lets a call pass. `words` say what would be the danger or the hindrance, `code` is the reason in one stable word."""

    code: str
    words: str


def amend(settings: Settings, rehearsal: Rehearsal) -> Additions | Impossible:
    """
    Find what has to be added so that a call works, or say why nothing does.

    Pure; never raises. Additions are proven: a policy with them is valid, and the call was played through under it.

    Spec: Fetch #http-cors-protocol.
    """
    added, current, call = Additions(), settings, rehearsal.call
    origin_policy = rehearsal.decisive.planned.context.cors
    places = places_of(settings, rehearsal.decisive)
    for _ in range(_MAX_ROUNDS):
        if rehearsal.ending is Ending.WORKS:
            return added
        step = _step(rehearsal, added)
        if isinstance(step, Impossible):
            return step
        if step == added:
            break
        added = step
        policy = _built(origin_policy, places, added)
        if isinstance(policy, Impossible):
            return policy
        current = _with_policy(settings, rehearsal.decisive, policy)
        rehearsal = rehearse(current, call)
    return Impossible("unknown", "no change to the policy alone lets this call pass")


def _step(rehearsal: Rehearsal, added: Additions) -> Additions | Impossible:
    """Add what the refusal that comes first asks for."""
    verdict, exchange = rehearsal.outcome.verdict, rehearsal.decisive
    if rehearsal.outcome.stage is browser.Stage.SCRIPT or verdict.reason is browser.Reason.STREAM_OVER_HTTP1:
        return Impossible(verdict.reason, _SCRIPT.get(verdict.reason, "the browser sends nothing, whatever the policy says"))
    decision, problem = exchange.planned.context.decision, exchange.problem
    if exchange.planned.context.cors is CorsMode.PASSTHROUGH:
        return Impossible(
            "cors-passthrough", "the route passes the upstream's own CORS answers through: allow it there, or write a policy here"
        )
    if problem is problems.MISDIRECTED:
        return Impossible(problem.code, _HOSTS.replace("HOST", rehearsal.request.url_origin.partition(b"://")[2].decode()))
    if problem is not None and (problem.status != 403 or decision is None or not (decision.refused or decision.kind is Kind.PREFLIGHT)):
        return Impossible(exchange.planned.reason if isinstance(exchange.planned, Answer) else "", _lower(problem.fix))
    if decision is None:
        return Impossible("unknown", "no policy speaks for this call")
    return _from_decision(rehearsal, decision.reason, added)


def _from_decision(rehearsal: Rehearsal, reason: Reason, added: Additions) -> Additions | Impossible:
    exchange = rehearsal.decisive
    decision, policy = exchange.planned.context.decision, exchange.planned.context.cors
    assert decision is not None  # noqa: S101 - whoever calls has looked
    origin = rehearsal.call.origin.decode()
    if reason is Reason.CORS_NONE:
        return _NULL if origin == "null" else replace(added, opens=True, origin=origin)
    if reason in (Reason.ORIGIN_REFUSED, Reason.ORIGIN_MALFORMED, Reason.ORIGIN_REPEATED):
        if reason is not Reason.ORIGIN_REFUSED:
            return Impossible(reason, "no browser sends such an Origin, and none should be let in")
        if origin == "null":
            return _NULL
        has_own_list = decision.kind is Kind.WEBSOCKET and isinstance(policy, CorsPolicy) and policy.sockets is not None
        return replace(added, socket=origin) if has_own_list else replace(added, origin=origin)
    if reason in (Reason.METHOD_REFUSED, Reason.PREFLIGHT_METHOD_REFUSED):
        return _add_method(decision.subject, policy, added)
    if reason is Reason.PREFLIGHT_HEADER_REFUSED and isinstance(policy, CorsPolicy):
        missing = [name for name in decision.requested if not policy.allows_header(name)]
        spelled = {name.lower(): name.decode() for name, _ in rehearsal.request.headers}
        return replace(added, headers=(*added.headers, *(spelled.get(name, name.decode()) for name in missing)))
    match rehearsal.outcome.verdict.reason:
        case browser.Reason.ACAC_NOT_TRUE:
            return replace(added, credentials=True)
        case browser.Reason.ACAO_WILDCARD_WITH_CREDENTIALS:
            return _WILDCARD
    return Impossible(reason, "no browser sends such a preflight")


def _add_method(method: bytes, policy: object, added: Additions) -> Additions | Impossible:
    text = method.decode("ascii", "backslashreplace")
    if method in SENDABLE_METHODS:
        return replace(added, methods=(*added.methods, text))
    if method.upper() in SENDABLE_METHODS:
        is_allowed = isinstance(policy, CorsPolicy) and policy.allows_method(method.upper())
        listed = "" if is_allowed else f", and list `{text.upper()}` in `allow_methods`"
        return Impossible("method-spelling", f"methods are compared by bytes: write `{text.upper()}` in the script{listed}")
    return Impossible("method-unknown", f"`{text}` is a method that HTTP parsers do not know, so no policy can allow it: use another one")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].removesuffix(".")


_HOSTS: Final = (
    "add `HOST` to `hosts`, or to `public_url` if browsers are to reach the proxy by it; with each name that is answered ask whether a "
    "stranger can make it lead here (DNS rebinding)"
)
_NULL: Final = Impossible(
    "null-origin",
    "any web site can take on the origin `null`, with a sandboxed frame or a `data:` page, so to let it in is to let everybody in: "
    "give the page an origin of its own (serve it by https, or add `allow-same-origin` to the frame's `sandbox`)",
)
_WILDCARD: Final = Impossible(
    "wildcard-with-credentials",
    "`*` with credentials would let every web site act as the visitor: name the origins in `allow_origins`, and then write "
    "`allow_credentials: true`; or let the script leave the credentials out",
)
_SCRIPT: Final[dict[browser.Reason, str]] = {
    browser.Reason.FORBIDDEN_METHOD: "no script may send this method, whatever a server allows: use another one",
    browser.Reason.INVALID_METHOD: "this is no method: correct the script",
    browser.Reason.INVALID_HEADER: "this is no header that can be sent: correct the script",
    browser.Reason.BODY_NOT_ALLOWED: "GET and HEAD take no body: use POST, or send no body",
    browser.Reason.MIXED_CONTENT: "serve the proxy by https (`tls`, or a server in front of it), and write that URL as `public_url`",
    browser.Reason.STREAM_OVER_HTTP1: (
        "send a Blob or a string as the body, or put a server before this proxy that speaks HTTP/2 with browsers"
    ),
}


def _built(policy: CorsPolicy | CorsMode | None, places: PolicyPlaces | None, added: Additions) -> CorsPolicy | Impossible:
    draft = _draft(policy, places) if isinstance(policy, CorsPolicy) else PolicyDraft(())
    origins = (*draft.allow_origins, added.origin) if added.origin else draft.allow_origins
    sockets = draft.websocket_origins
    if added.socket:
        sockets = (added.socket,) if sockets == (NO_SOCKETS,) else (*sockets, added.socket)
    built, faults = build_policy(
        replace(
            draft,
            allow_origins=origins,
            websocket_origins=sockets,
            allow_methods=(*draft.allow_methods, *added.methods),
            allow_headers=(*draft.allow_headers, *added.headers),
            allow_credentials=draft.allow_credentials or added.credentials,
        ),
        is_public_suffix=is_public_suffix,
    )
    if built is not None:
        return built
    fault = next(each for each in faults if each.problem.severity is Severity.ERROR)
    return Impossible(fault.problem.code, f"{fault.message}, so such a file would not load: {fault.help}")


def _draft(policy: CorsPolicy, places: PolicyPlaces | None) -> PolicyDraft:
    """Say what a person wrote to get this policy."""
    methods = (ANY,) if policy.methods is None else tuple(method.decode() for method in policy.methods)
    names = tuple(name.decode() for name in policy.header_list)
    sockets: tuple[str | RegexEntry, ...] = (SOCKETS_AS_CORS,)
    if policy.sockets is not None:
        sockets = _entries(policy.sockets.any_origin, policy.sockets.patterns) or (NO_SOCKETS,)
    return PolicyDraft(
        _entries(policy.any_origin, policy.patterns),
        allow_methods=methods,
        allow_headers=(ANY, *names) if policy.headers is None else names,
        expose_headers=(ANY,) if policy.exposed is None else tuple(name.decode() for name in policy.exposed),
        allow_credentials=policy.credentials,
        max_age_s=policy.max_age_s,
        enforce=policy.enforce,
        websocket_origins=sockets,
        allow_private_network=policy.private_network,
        timing_allow_origin=policy.timing,
        resource_policy=policy.resource_policy.decode(),
        dangerously_allow_null_origin=_is_on(places, "dangerously_allow_null_origin", _has_null(policy)),
        dangerously_allow_insecure_origins=_is_on(places, "dangerously_allow_insecure_origins", _has(policy, _is_insecure)),
        dangerously_allow_public_suffixes=_is_on(places, "dangerously_allow_public_suffixes", _has(policy, _is_wide)),
    )


def _entries(any_origin: bool, patterns: tuple[OriginPattern, ...]) -> tuple[str | RegexEntry, ...]:  # noqa: FBT001 - a field of whoever asks
    if any_origin:
        return (ANY,)
    return tuple(RegexEntry(each.text) if each.kind is PatternKind.REGEX else each.text for each in patterns)


def _is_on(places: PolicyPlaces | None, key: str, proven: bool) -> bool:  # noqa: FBT001 - what is known without looking
    """Tell whether an opt-out is on: either the policy could not be as it is without, or the file says so."""
    span = places.values.get(key) if places is not None else None
    if proven or span is None:
        return proven
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1] == "true"


def _has_null(policy: CorsPolicy) -> bool:
    return any(pattern.kind is PatternKind.NULL for pattern in policy.patterns)


def _has(policy: CorsPolicy, is_dangerous: Callable[[OriginPattern], bool]) -> bool:
    return policy.credentials and any(map(is_dangerous, policy.patterns))


def _is_insecure(pattern: OriginPattern) -> bool:
    return pattern.is_insecure


def _is_wide(pattern: OriginPattern) -> bool:
    return bool(pattern.suffix) and is_public_suffix(pattern.suffix.decode().removeprefix("."))


def _with_policy(settings: Settings, exchange: Exchange, policy: CorsPolicy) -> Settings:
    """Put another policy in the place of the one that spoke, wherever it speaks."""
    places = places_of(settings, exchange)
    routes = tuple(replace(route, cors=policy) if route.places is places else route for route in settings.routes)
    is_default = settings.default_places is not None and settings.default_places is places
    return replace(settings, routes=routes, default_cors=policy if is_default else settings.default_cors)


def reach(settings: Settings, exchange: Exchange, keys: Iterable[str]) -> tuple[str, ...]:
    """
    Name the routes that a change of these keys concerns, in the policy that spoke in an exchange: also those that share a part of it.

    Spec: Fetch #http-cors-protocol.
    """
    places, touched = places_of(settings, exchange), tuple(keys)
    if places is None:
        return ()
    found = [route for route in settings.routes if any(_is_shared(places, route.places, key) for key in touched)]
    return tuple(dict.fromkeys(route.path.decode() + (f" on {', '.join(route.hosts)}" if route.hosts else "") for route in found))


def _is_shared(ours: PolicyPlaces, theirs: PolicyPlaces | None, key: str) -> bool:
    """Tell whether a key that is changed, or joins our policy, counts for another one: by its name, by an alias, or merged."""
    if theirs is None:
        return False
    if theirs is ours:
        return True
    if key in ours.values:
        return key in theirs.values and _spot(ours.values[key]) == _spot(theirs.values[key])
    body, name = ours.body, theirs.keys.get("allow_origins")
    return body is not None and name is not None and _spot(ours.keys["allow_origins"]) == _spot(name) and _is_within(name, body)


def _spot(span: Span) -> tuple[str, int, int]:
    return span.source.name, span.line, span.column


def _is_within(inner: Span, outer: Span) -> bool:
    begins, ends = (outer.line, outer.column), (outer.end_line, outer.end_column)
    return inner.source is outer.source and begins <= (inner.line, inner.column) < ends
