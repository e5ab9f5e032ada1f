"""
The diagnosis: what a browser makes of what was seen, and what it shows besides.

Pure. It judges by the model browser (the Fetch standard); what no browser looks at, as `Vary`, by what caches do.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from corsproxy.cors import browser
from corsproxy.cors.browser import BrowserRequest, BrowserResponse, CredentialsMode, Readable, Reason, Verdict
from corsproxy.cors.console import Engine, Failure, messages, rejection
from corsproxy.cors.names import UNREMARKABLE_RESPONSE_HEADERS
from corsproxy.cors.origin import parse_origin
from corsproxy.cors.outcome import Stage
from corsproxy.doctor import faults
from corsproxy.doctor.faults import Fault, Severity
from corsproxy.doctor.seen import Seen, Step, Trouble, Visit
from corsproxy.explanation.cookies import same_site
from corsproxy.routes import is_local
from corsproxy.semantics.cookies import CookieFault, cookie_fault, cookie_name
from corsproxy.semantics.tokens import in_ascii

_TROUBLES: Final = {
    Trouble.UNRESOLVED: faults.UNRESOLVED,
    Trouble.REFUSED: faults.REFUSED,
    Trouble.UNREACHABLE: faults.UNREACHABLE,
    Trouble.TLS: faults.TLS,
    Trouble.TIMEOUT: faults.TIMEOUT,
    Trouble.BROKEN: faults.BROKEN,
}
_REASONS: Final = {
    Reason.MIXED_CONTENT: faults.MIXED_CONTENT,
    Reason.PREFLIGHT_REDIRECT: faults.PREFLIGHT_REDIRECT,
    Reason.PREFLIGHT_STATUS: faults.PREFLIGHT_STATUS,
    Reason.ACAO_MISSING: faults.ACAO_MISSING,
    Reason.ACAO_MULTIPLE: faults.ACAO_LIST,
    Reason.ACAO_MISMATCH: faults.ACAO_MISMATCH,
    Reason.ACAO_WILDCARD_WITH_CREDENTIALS: faults.WILDCARD_ORIGIN,
    Reason.ACAC_NOT_TRUE: faults.CREDENTIALS,
    Reason.ACAM_UNPARSABLE: faults.LIST_UNPARSABLE,
    Reason.ACAH_UNPARSABLE: faults.LIST_UNPARSABLE,
    Reason.METHOD_NOT_ALLOWED: faults.METHOD_REFUSED,
    Reason.METHOD_WILDCARD_WITH_CREDENTIALS: faults.WILDCARD_LIST,
    Reason.HEADER_NOT_ALLOWED: faults.HEADER_REFUSED,
    Reason.HEADER_WILDCARD_WITH_CREDENTIALS: faults.WILDCARD_LIST,
    Reason.AUTHORIZATION_NOT_LISTED: faults.AUTHORIZATION,
    Reason.REDIRECT_USERINFO: faults.REDIRECT_REFUSED,
    Reason.REDIRECT_STREAM: faults.REDIRECT_REFUSED,
    Reason.WEBSOCKET_STATUS: faults.WEBSOCKET_REFUSED,
}
_NOT_AUTHORIZED: Final = frozenset({401, 403, 407})
_NOT_HANDLED: Final = frozenset({404, 405, 501})
MAX_REDIRECTS: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault that was found, at which step, and what was found there."""

    fault: Fault
    step: Step | None = None
    subject: str = ""
    origin: str = ""

    @property
    def title(self) -> str:
        """What is wrong, with what was found."""
        title = self.fault.title if self.subject else self.fault.title.replace(" (SUBJECT)", "")
        return title.replace("SUBJECT", self.subject)

    @property
    def fix(self) -> str:
        """How the server's owner mends it."""
        return self.fault.fix.replace("ORIGIN", self.origin)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """
    What is wrong. `works`: a browser could make the call, and its script read the answer.

    `consoles` are what each browser says of the failure, with what the script gets; `reads` the names that it can read.
    """

    works: bool
    findings: tuple[Finding, ...]
    consoles: tuple[tuple[Engine, tuple[str, ...], str], ...] = ()
    reads: tuple[str, ...] = ()


def diagnose(visit: Visit) -> Diagnosis:
    """
    Judge a visit.

    Pure; never raises.

    Spec: Fetch #http-cors-protocol, #cors-preflight-fetch, #cors-check; RFC 9110 12.5.5; Cross-Origin Resource Policy.
    """
    failed = _failure(visit)
    found = [failed[0]] if failed is not None else []
    readable = None if failed is not None else _readable(visit)
    found += _risks(visit, readable)
    findings = tuple(
        Finding(each.fault, each.step, each.subject, visit.request.origin.decode("ascii", "replace")) for each in dict.fromkeys(found)
    )
    reads = tuple(sorted(name.decode("latin-1") for name in readable.names)) if readable is not None else ()
    return Diagnosis(failed is None, findings, _consoles(failed[1]) if failed is not None else (), reads)


def verdict_of(visit: Visit, seen: Seen) -> Verdict | None:
    """Say what a browser makes of one answer of the call itself; None where it makes no such request, or has no answer."""
    request = visit.last or visit.request
    if seen.response is None:
        return None
    if seen.step is Step.PREFLIGHT:
        return browser.judge_preflight(visit.request, seen.response)
    if seen.step in (Step.ACTUAL, Step.REDIRECTED):
        if visit.is_websocket:
            return _websocket_verdict(seen.response)
        judged = browser.judge_response(request if seen.step is Step.REDIRECTED else visit.request, seen.response)
        return judged if isinstance(judged, Verdict) else Verdict(True, Reason.OK)
    return None


# --- whether it works ---


def _failure(visit: Visit) -> tuple[Finding, Failure | None] | None:
    """Find the first thing that makes a browser fail, and what its console is told of it."""
    if (thrown := browser.script_fault(visit.request)) is not None:
        fault = _REASONS.get(thrown.reason, faults.CALL_THROWS)
        return Finding(fault, None, in_ascii(thrown.subject)), _told(visit, Stage.SCRIPT, thrown)
    for seen in visit.seen:
        if seen.step not in (Step.PREFLIGHT, Step.ACTUAL, Step.REDIRECTED):
            continue
        if seen.trouble is not None:
            return Finding(_TROUBLES[seen.trouble], seen.step, seen.said), None
        verdict = verdict_of(visit, seen)
        if seen.response is None or verdict is None or verdict.ok:
            continue
        stage = Stage.PREFLIGHT if seen.step is Step.PREFLIGHT else Stage.ACTUAL
        return _named(seen, seen.response, verdict), _told(visit, stage, verdict, seen)
    return _endless(visit)


def _endless(visit: Visit) -> tuple[Finding, None] | None:
    redirected = [seen for seen in visit.seen if seen.step is Step.REDIRECTED]
    if len(redirected) > MAX_REDIRECTS:
        return Finding(faults.REDIRECT_LOOP, Step.REDIRECTED), None
    last = next((seen for seen in reversed(visit.seen) if seen.step in (Step.ACTUAL, Step.REDIRECTED)), None)
    verdict = verdict_of(visit, last) if last is not None else None
    if last is not None and verdict is not None and verdict.reason is Reason.REDIRECT:
        return Finding(faults.REDIRECT_REFUSED, last.step, in_ascii(verdict.subject)), None
    return None


def _named(seen: Seen, response: BrowserResponse, verdict: Verdict) -> Finding:
    """Name the fault behind a verdict: where a login or a missing route answers, its status is the cause, and not the field that it lacks."""
    status = f"{response.status}"
    if verdict.reason in (Reason.ACAO_MISSING, Reason.PREFLIGHT_STATUS):
        if seen.step is Step.PREFLIGHT and response.status in _NOT_AUTHORIZED:
            return Finding(faults.PREFLIGHT_UNAUTHORIZED, seen.step, status)
        if seen.step is Step.PREFLIGHT and response.status in _NOT_HANDLED:
            return Finding(faults.PREFLIGHT_UNANSWERED, seen.step, status)
        if seen.step is Step.PREFLIGHT and not 200 <= response.status <= 299:
            return Finding(faults.PREFLIGHT_STATUS, seen.step, status)
        if seen.step is not Step.PREFLIGHT and response.status >= 400:
            return Finding(faults.LOST_ON_ERRORS, seen.step, status)
    if verdict.reason is Reason.ACAO_MULTIPLE and len(_values(response, b"access-control-allow-origin")) > 1:
        return Finding(faults.ACAO_DUPLICATE, seen.step, f"`{in_ascii(verdict.subject)}`")
    subject = in_ascii(verdict.subject)
    is_quoted = verdict.reason in (
        Reason.ACAO_MULTIPLE,
        Reason.ACAO_MISMATCH,
        Reason.ACAM_UNPARSABLE,
        Reason.ACAH_UNPARSABLE,
        Reason.ACAC_NOT_TRUE,
    )
    return Finding(_REASONS.get(verdict.reason, faults.CALL_THROWS), seen.step, f"`{subject}`" if subject and is_quoted else subject)


def _told(visit: Visit, stage: Stage, verdict: Verdict, seen: Seen | None = None) -> Failure:
    is_redirected = seen is not None and seen.step is Step.REDIRECTED
    return Failure(
        (visit.last or visit.request) if is_redirected else visit.request,
        seen.url if seen is not None else visit.url,
        stage,
        verdict,
        seen.response.status if seen is not None and seen.response is not None else 0,
        visit.is_websocket,
        visit.url if is_redirected else "",
    )


def _consoles(failure: Failure | None) -> tuple[tuple[Engine, tuple[str, ...], str], ...]:
    return tuple((engine, messages(failure, engine), rejection(failure, engine)) for engine in Engine) if failure is not None else ()


def _readable(visit: Visit) -> Readable | None:
    seen = visit.find(Step.REDIRECTED) or visit.find(Step.ACTUAL)
    if seen is None or seen.response is None or visit.is_websocket:
        return None
    judged = browser.judge_response((visit.last or visit.request) if seen.step is Step.REDIRECTED else visit.request, seen.response)
    return judged if isinstance(judged, Readable) else None


def _websocket_verdict(response: BrowserResponse) -> Verdict:
    if response.status == 101:
        return Verdict(True, Reason.OK)
    return Verdict(False, Reason.WEBSOCKET_STATUS, b"%d" % response.status)


# --- what the call itself does not show ---


def _risks(visit: Visit, readable: Readable | None) -> Iterator[Finding]:
    if not browser.is_cross_origin(visit.request):
        return
    if _is_public(visit.request.origin) and _is_in_local_network(visit.request.url_origin):
        yield Finding(faults.LOCAL_NETWORK)
    actual, stranger = visit.find(Step.ACTUAL), visit.find(Step.STRANGER)
    if visit.is_websocket:
        if stranger is not None and stranger.response is not None and stranger.response.status == 101:
            yield Finding(faults.WEBSOCKET_ANY_ORIGIN, Step.STRANGER)
        return
    preflight = visit.find(Step.PREFLIGHT)
    if preflight is not None and preflight.response is not None:
        ages = _values(preflight.response, b"access-control-max-age")
        if any(not value.isdigit() for value in ages):
            yield Finding(faults.MAX_AGE, Step.PREFLIGHT, f"`{in_ascii(b', '.join(ages))}`")
    if stranger is not None and stranger.response is not None and _allows_stranger(stranger, stranger.response):
        yield Finding(faults.ANY_ORIGIN, Step.STRANGER)
    if actual is None or actual.response is None:
        return
    yield from _risks_of_caches(visit, actual.response)
    # Where the call itself fails already, its fault is theirs.
    if readable is not None:
        yield from _risks_of_errors(visit)
    yield from _risks_of_reading(visit, actual.response, readable)


def _allows_stranger(stranger: Seen, response: BrowserResponse) -> bool:
    origin = next((value for name, value in stranger.fields if name == b"Origin"), b"")
    said = _values(response, b"access-control-allow-origin")
    return said == [origin] and _values(response, b"access-control-allow-credentials") == [b"true"]


def _risks_of_caches(visit: Visit, actual: BrowserResponse) -> Iterator[Finding]:
    allowed = _values(actual, b"access-control-allow-origin")
    others = [
        _values(seen.response, b"access-control-allow-origin")
        for step in (Step.STRANGER, Step.NO_ORIGIN)
        if (seen := visit.find(step)) is not None and seen.response is not None and seen.response.status == actual.status
    ]
    varies = {name.strip().lower() for value in _values(actual, b"vary") for name in value.split(b",")}
    if allowed and any(other != allowed for other in others) and not varies & {b"origin", b"*"}:
        yield Finding(faults.VARY_MISSING, Step.ACTUAL)
    again = visit.find(Step.REVALIDATION)
    if again is None or again.response is None or again.response.status != 304:
        return
    if allowed and _values(again.response, b"access-control-allow-origin") != allowed:
        yield Finding(faults.LOST_ON_304, Step.REVALIDATION)


def _risks_of_errors(visit: Visit) -> Iterator[Finding]:
    missing = visit.find(Step.MISSING_PAGE)
    if missing is None or missing.response is None or missing.response.status < 400:
        return
    if not browser.cors_check(visit.request, missing.response).ok:
        yield Finding(faults.ERRORS_HIDDEN, Step.MISSING_PAGE, f"{missing.response.status}")


def _risks_of_reading(visit: Visit, actual: BrowserResponse, readable: Readable | None) -> Iterator[Finding]:
    policy = [value.lower() for value in _values(actual, b"cross-origin-resource-policy")]
    is_foreign = not same_site(visit.request.origin, visit.request.url_origin)
    if policy == [b"same-origin"] or (policy == [b"same-site"] and is_foreign):
        yield Finding(faults.CORP, Step.ACTUAL, in_ascii(policy[0]))
    if readable is not None:
        names = {name.lower() for name, _ in actual.fields}
        hidden = sorted(names - readable.names - UNREMARKABLE_RESPONSE_HEADERS)
        is_starred = b"*" in b",".join(_values(actual, b"access-control-expose-headers"))
        if hidden:
            fault = faults.WILDCARD_EXPOSE if is_starred else faults.NOT_EXPOSED
            yield Finding(fault, Step.ACTUAL, ", ".join(f"`{in_ascii(name)}`" for name in hidden))
    if visit.request.credentials is CredentialsMode.INCLUDE:
        yield from _dropped_cookies(visit.request, actual, is_foreign=is_foreign)


def _dropped_cookies(request: BrowserRequest, actual: BrowserResponse, *, is_foreign: bool) -> Iterator[Finding]:
    host = request.url_origin.partition(b"://")[2]
    is_secure = request.url_origin.startswith(b"https:") or is_local(host)
    name_of_host = host.rpartition(b":")[0] if host.rpartition(b":")[2].isdigit() else host
    for value in _values(actual, b"set-cookie"):
        fault = cookie_fault(value, is_secure_transport=is_secure, host=name_of_host, is_cross_site=is_foreign)
        if fault is not None:
            yield Finding(faults.COOKIE_DROPPED, Step.ACTUAL, f"`{in_ascii(cookie_name(value))}` ({_of_cookie(fault)})")


def _of_cookie(fault: CookieFault) -> str:
    return fault.value.replace("-", " ")


def _is_in_local_network(origin: bytes) -> bool:
    parsed = parse_origin(origin)
    host = parsed.host.decode("ascii").strip("[]") if parsed is not None else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    return address.is_private or address.is_loopback or address.is_link_local


def _is_public(origin: bytes) -> bool:
    return parse_origin(origin) is not None and not _is_in_local_network(origin)


def _values(response: BrowserResponse, name: bytes) -> list[bytes]:
    return [value.strip(b" \t") for field, value in response.fields if field.lower() == name]


__all__ = ["MAX_REDIRECTS", "Diagnosis", "Finding", "Severity", "diagnose", "verdict_of"]
