"""
An explanation for programs: the values of `corsproxy explain --json`.

Members are only ever added. It knows the shape and nothing else; secrets are struck out by whoever writes it.
"""

from collections.abc import Sequence
from typing import Any, Final

from corsproxy.config.diagnostics import Span, shown_line
from corsproxy.config.settings import Settings
from corsproxy.cors.browser import CredentialsMode, Fields, Stage, is_cross_origin, normalize_method
from corsproxy.explanation.amended import Impossible
from corsproxy.explanation.change import Change
from corsproxy.explanation.curl import is_secret
from corsproxy.explanation.explain import ALWAYS_EXPOSED, Explanation, Reading
from corsproxy.reasons import Why, verdict_in_words, why_exchange
from corsproxy.rehearse import PLAIN, Ending, Exchange, Rehearsal
from corsproxy.semantics.tokens import in_ascii

# What says nothing of the call: the moment, and what stands for an upstream that is not asked.
_MOMENT: Final = frozenset({b"date", b"connection"})
_OF_UPSTREAM: Final = frozenset(name.lower() for name, _ in PLAIN.lines)


def as_json(settings: Settings, explanation: Explanation) -> dict[str, Any]:
    """
    Write an explanation as the values of JSON. Pure.

    `preflight` and `actual` are null where the browser sends no such request, `browser` and an exchange's `status` where only the upstream
    can tell.
    """
    rehearsal, reason = explanation.rehearsal, explanation.why
    request, verdict = rehearsal.request, rehearsal.outcome.verdict
    is_open = rehearsal.ending is Ending.UPSTREAM_DECIDES
    return {
        "ending": rehearsal.ending.value,
        "reason": reason.code,
        "because": reason.words,
        "decided_by": _place_as_json(reason),
        "call": {
            "origin": in_ascii(request.origin),
            "url": in_ascii(request.url_origin + rehearsal.call.path),
            "method": in_ascii(normalize_method(request.method)),
            "headers": [in_ascii(name) for name, _ in request.headers],
            "credentials": request.credentials.value,
            "websocket": rehearsal.call.websocket,
            "cross_origin": is_cross_origin(request),
        },
        "browser": None
        if is_open
        else {
            "ok": verdict.ok,
            "stage": rehearsal.outcome.stage.value,
            "reason": verdict.reason.value,
            "subject": in_ascii(verdict.subject),
            "words": verdict_in_words(verdict),
        },
        "checks": [
            {"check": each.name, "result": each.result.value, "words": each.words, "rule": each.rule, "key": each.key, "place": each.place}
            for each in explanation.checks
        ],
        "preflight": _exchange_as_json(settings, rehearsal.preflight, rehearsal) if rehearsal.preflight is not None else None,
        "actual": _exchange_as_json(settings, rehearsal.actual, rehearsal) if rehearsal.outcome.stage is Stage.ACTUAL else None,
        "readable": _reading_as_json(explanation.reading),
        "cookies": {
            "words": explanation.cookies.words,
            "single": [
                {"written": each.written, "received": each.received, "fate": each.fate.value, "words": each.words}
                for each in explanation.cookies.single
            ],
            "help": explanation.cookies.help,
        },
        "consoles": {each.engine.value: {"messages": list(each.messages), "script": each.rejection} for each in explanation.consoles},
        "change": _change_as_json(explanation.change),
        "curl": list(explanation.curl),
    }


def shown_fields(exchange: Exchange) -> Fields:
    """
    Return the fields of an answer that the proxy is sure of: not the moment's, nor those of the upstream.

    Values that were set from a secret are masked. Pure.
    """
    left_out = _MOMENT | (_OF_UPSTREAM if exchange.forwarded else frozenset())
    shown = [line for line in exchange.response.fields if line[0].lower() not in left_out]
    # An id is another one for each request.
    ids = exchange.planned.context.exchange.request_id_header.lower()
    masks = dict.fromkeys(exchange.secret, b"***") | {ids: b"..."}
    return tuple((name, masks.get(name.lower(), value)) for name, value in shown)


def shown_request(exchange: Exchange) -> Fields:
    """Return the fields that the browser sends, as far as they matter here. Pure."""
    return tuple((name, b"***" if is_secret(name) else value) for name, value in exchange.request.lines)


def _exchange_as_json(settings: Settings, exchange: Exchange, rehearsal: Rehearsal) -> dict[str, Any]:
    need = rehearsal.need if exchange is rehearsal.preflight else None
    found: dict[str, Any] = {"because": need.value} if need is not None else {}
    is_open = rehearsal.ending is Ending.UPSTREAM_DECIDES
    return found | {
        "request": {
            "method": in_ascii(exchange.request.method),
            "target": in_ascii(exchange.request.target),
            "fields": _fields(shown_request(exchange)),
        },
        "decision": why_exchange(settings, exchange).code,
        "forwarded": exchange.forwarded,
        "status": exchange.response.status if not is_open else None,
        "fields": _fields(shown_fields(exchange)) if not is_open else [],
    }


def _place_as_json(reason: Why) -> dict[str, Any] | None:
    if reason.span is None:
        return None
    span: Span = reason.span
    line, column = (span.line, span.column) if span.source.is_file else (None, None)
    return {
        "key": reason.key,
        "written": reason.is_written,
        "file": span.source.name,
        "line": line,
        "column": column,
        "text": shown_line(span),
    }


def _reading_as_json(reading: Reading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    return {
        "any_header": reading.names is None,
        "headers": [in_ascii(name) for name in reading.names or ()],
        "always": [in_ascii(name) for name in ALWAYS_EXPOSED],
    }


def _change_as_json(change: Change | Impossible | None) -> dict[str, Any] | None:
    if change is None:
        return None
    if isinstance(change, Impossible):
        return {"possible": False, "code": change.code, "words": change.words}
    return {
        "possible": True,
        "words": change.words,
        "file": change.file,
        "lines": [{"line": each.line, "old": list(each.old), "new": list(each.new)} for each in change.hunks],
        "flags": list(change.flags),
        "elsewhere": change.elsewhere,
        "risks": list(change.risks),
        "routes": list(change.reach),
    }


def _fields(lines: Sequence[tuple[bytes, bytes]]) -> list[list[str]]:
    return [[in_ascii(name), value.decode("utf-8", "backslashreplace")] for name, value in lines]


def mode_in_words(rehearsal: Rehearsal) -> str:
    """Say whether the call carries credentials. Pure."""
    request = rehearsal.request
    is_own = request.credentials is CredentialsMode.SAME_ORIGIN and not is_cross_origin(request)
    return "with credentials" if request.credentials is CredentialsMode.INCLUDE or is_own else "without credentials"
