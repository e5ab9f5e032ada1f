"""
An exchange as people look at it: small, plain, and without secrets.

It knows what of a record may show and how it is classed for a browser's eyes; it keeps nothing, and knows no page.
"""

import re
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from corsproxy.answers import Answer, Context
from corsproxy.config.diagnostics import Span, shown_line
from corsproxy.config.settings import Settings
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.cors.outcome import BrowserResponse
from corsproxy.cors.outcome import Reason as Verdict
from corsproxy.cors.policy import CorsPolicy
from corsproxy.problems import INTERNAL_ERROR
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import RequestHead
from corsproxy.semantics.tokens import in_ascii

if TYPE_CHECKING:
    from corsproxy.reasons import Why

# What one exchange may take of the memory: a client that sends long ones must not fill it.
MAX_TARGET_BYTES: Final = 1024
MAX_TEXT: Final = 300
MAX_NAMES: Final = 40
_MASKED: Final = "***"
_CUT: Final = "…"
# > a client MUST send the target URI in "absolute-form" (RFC 9112 3.2.2): with whatever stands before its path.
_BEFORE_PATH: Final = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")
_USERINFO: Final = re.compile(r"\A[^/?]*@")

# Reasons after which a browser lets a script read the answer, or has no say.
FINE: Final = frozenset(
    {Reason.NO_ORIGIN, Reason.SAME_ORIGIN, Reason.ORIGIN_ALLOWED, Reason.PREFLIGHT_GRANTED, Reason.CORS_PASSTHROUGH},
)
_NO_SAY: Final = frozenset({Reason.NO_ORIGIN, Reason.SAME_ORIGIN, Reason.CORS_PASSTHROUGH})


class Outcome(StrEnum):
    """What became of an exchange, in a browser's eyes. Stable: pages and programs rely on the words."""

    ALLOWED = "allowed"  # The browser lets the script go on.
    REFUSED = "refused"  # The policy says no: 403, or a preflight that the browser fails.
    HIDDEN = "hidden"  # It went upstream, and the browser keeps the answer from the script.
    FAILED = "failed"  # A problem that is none of the policy's.
    PASSED = "passed"  # CORS has no say in it.


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One exchange, in values that JSON has.

    `id` is its name on the page, `time` in seconds since the epoch, durations in milliseconds, sizes in bytes. `path` is without the
    values of its query. `reason` is the stable word of whoever decided, `because` says it in words, `place` is where the file says so, `line` that line, and `part` what of it;
    they speak of the settings that the exchange was judged by. `asked_method` and `asked_headers` are a preflight's.
    """

    id: str
    time: float
    method: str
    path: str
    outcome: str
    status: int
    reason: str = ""
    because: str = ""
    key: str = ""
    place: str = ""
    line: str = ""
    part: tuple[int, int] = (0, 0)
    kind: str = ""
    origin: str = ""
    host: str = ""
    public: str = ""
    is_secure: bool | None = None
    asked_method: str = ""
    asked_headers: tuple[str, ...] = ()
    has_cookie: bool = False
    has_authorization: bool = False
    route: str = ""
    policy: str = ""
    problem: str = ""
    title: str = ""
    failure: str = ""
    request_id: str = ""
    trace_id: str = ""
    client: str = ""
    upstream: str = ""
    reused: bool = False
    retries: int = 0
    received: int = 0
    sent: int = 0
    connected_ms: float | None = None
    head_ms: float | None = None
    total_ms: float = 0.0

    def as_plain(self) -> dict[str, Any]:
        """Return it for JSON, and for another process."""
        return {name: getattr(self, name) for name in _NAMES}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Make it of what `as_plain` returned, also after JSON."""
        return cls(**plain | {name: tuple(plain[name]) for name in ("asked_headers", "part")})


_NAMES: Final = tuple(field.name for field in fields(Entry))


def is_fine(record: ExchangeRecord) -> bool:
    """Tell whether nothing about an exchange deserves a look: cheap, for each exchange is asked."""
    decision = record.decision
    return record.problem is None and (decision is None or (decision.reason in FINE and not lacks_credentials(record)))


def lacks_credentials(record: ExchangeRecord) -> Verdict | None:
    """
    Return the browser's reason if it hides an answer because the script sent cookies and the policy does not say `allow_credentials`.

    Spec: Fetch #cors-check.
    """
    context = record.context
    if context is None or not context.exchange.has_cookie:
        return None
    decision, policy = context.decision, context.cors
    is_granted = decision is not None and decision.kind is Kind.ACTUAL and decision.reason is Reason.ORIGIN_ALLOWED
    if not is_granted or not isinstance(policy, CorsPolicy) or policy.credentials:
        return None
    return Verdict.ACAO_WILDCARD_WITH_CREDENTIALS if policy.is_public else Verdict.ACAC_NOT_TRUE


def reason_of(record: ExchangeRecord) -> str:
    """Return the stable word for why it came out so."""
    if record.problem is not None:
        return record.reason or record.problem.code
    if record.decision is None:
        return record.reason
    return (lacks_credentials(record) or record.decision.reason).value


def outcome_of(record: ExchangeRecord) -> Outcome:
    """Class an exchange."""
    decision = record.decision
    if record.problem is not None:
        is_policy = decision is not None and decision.refused and record.reason == decision.reason
        return Outcome.REFUSED if is_policy else Outcome.FAILED
    if decision is None or decision.reason in _NO_SAY:
        return Outcome.PASSED
    if decision.kind is Kind.PREFLIGHT:
        return Outcome.ALLOWED if decision.reason is Reason.PREFLIGHT_GRANTED else Outcome.REFUSED
    return Outcome.ALLOWED if decision.reason in FINE and not lacks_credentials(record) else Outcome.HIDDEN


def entry_of(record: ExchangeRecord, name: str, settings: Settings) -> Entry:
    """Make an entry of a record. `settings` only say where the top-level policy stands, for paths without a route."""
    context = record.context or Context(record.method, 1, persistent=False)
    decision, exchange, route = context.decision, context.exchange, context.route
    why = _why(record, context, settings)
    line, part = shown_part(why.span)
    problem = record.problem
    return Entry(
        id=name,
        time=record.time,
        method=in_ascii(record.method),
        path=shown_target(record.target),
        outcome=outcome_of(record).value,
        status=record.status,
        reason=reason_of(record),
        because=_cut(why.words),
        key=why.key,
        place=why.place,
        line=line,
        part=part,
        kind=decision.kind.value if decision is not None else "",
        origin=in_ascii(decision.origin) if decision is not None else "",
        host=in_ascii(exchange.authority),
        public=in_ascii(exchange.public),
        is_secure=exchange.is_secure,
        asked_method=in_ascii(decision.requested_method) if decision is not None else "",
        asked_headers=_names(decision),
        has_cookie=exchange.has_cookie,
        has_authorization=exchange.has_authorization,
        route=in_ascii(route.path) if route is not None else "",
        policy=route.policy_name if route is not None else "",
        problem=problem.code if problem is not None else "",
        title=problem.title if problem is not None else "",
        # What an exception of ours says is for the log: nobody has judged what it quotes.
        failure=_cut(record.failure) if problem is not INTERNAL_ERROR else "",
        request_id=record.request_id,
        trace_id=record.trace_id,
        client=record.client,
        upstream=_cut(record.upstream),
        reused=record.upstream_reused,
        retries=record.retries,
        received=record.received,
        sent=record.sent,
        connected_ms=_milliseconds(record, record.connected),
        head_ms=_milliseconds(record, record.head),
        total_ms=_milliseconds(record, record.ended) or 0.0,
    )


def shown_target(target: bytes) -> str:
    """
    Write a request target as it may be shown: without userinfo, and without the values of its query.

    What stands in a query without `=` may be a value, too.
    """
    text = in_ascii(target[:MAX_TARGET_BYTES]) + (_CUT if len(target) > MAX_TARGET_BYTES else "")
    path, mark, query = text.partition("?")
    path = _USERINFO.sub("", _BEFORE_PATH.sub("", path)) if not path.startswith("/") else path
    names = [name + "=" + _MASKED if equals else _MASKED for name, equals, _ in (each.partition("=") for each in query.split("&"))]
    return _cut((path or "/") + mark + ("&".join(names) if query else ""))


def shown_part(span: Span | None) -> tuple[str, tuple[int, int]]:
    """Return the line that a span begins in as it may be shown, and from where to where in it the span is."""
    if span is None:
        return "", (0, 0)
    line = shown_line(span)
    text = _cut(line.strip())
    start = span.column - 1 - (len(line) - len(line.lstrip()))
    end = start + span.end_column - span.column if span.end_line == span.line else len(text)
    return (text, (start, end)) if 0 <= start < end <= len(text) else (text, (0, 0))


def _why(record: ExchangeRecord, context: Context, settings: Settings) -> "Why":
    from corsproxy import reasons  # noqa: PLC0415 - the words, and the model browser with them, are for those who look
    from corsproxy.rehearse import Exchange  # noqa: PLC0415

    answer = Answer(context, record.status, b"", problem=record.problem, reason=record.reason)
    exchange = Exchange(RequestHead(record.method, b"/", 1, ()), answer, BrowserResponse(record.status))
    hidden = lacks_credentials(record)
    if hidden is not None:
        return reasons.why_credentials(settings, exchange, hidden)
    return reasons.why_exchange(settings, exchange)


def _names(decision: Decision | None) -> tuple[str, ...]:
    if decision is None:
        return ()
    return tuple(_cut(in_ascii(name)) for name in decision.requested[:MAX_NAMES])


def _milliseconds(record: ExchangeRecord, moment: float) -> float | None:
    return round((moment - record.started) * 1000, 3) if moment else None


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + _CUT
