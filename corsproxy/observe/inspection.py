"""
Why one exchange came out as it did, for the inspector: what was sent, and how to see it again.

It makes the exchange anew from what an entry keeps, by the settings in force; it sends nothing, and knows no page.
"""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any, Final

from corsproxy import rehearse
from corsproxy.config.nodes import Node
from corsproxy.config.requests import parse_header_name, parse_origin_of_page, parse_request_host, parse_request_path
from corsproxy.config.settings import Settings
from corsproxy.cors.browser import Fields
from corsproxy.cors.decide import Kind
from corsproxy.cors.names import KNOWN_METHODS
from corsproxy.explanation.explain import explain_rehearsal
from corsproxy.explanation.export import as_json
from corsproxy.observe.entry import Entry, Outcome, shown_part
from corsproxy.plan import Connection
from corsproxy.reasons import why, why_exchange
from corsproxy.rehearse import Call, Exchange, Rehearsal
from corsproxy.semantics.fields import RequestHead
from corsproxy.semantics.tokens import in_ascii

# What of an answer speaks to a browser's CORS protocol, or to caches about it.
_SHOWN: Final = frozenset({b"vary", b"timing-allow-origin", b"cross-origin-resource-policy"})
_COMMAND: Final = ("corsproxy", "explain")
# What a whole call comes to, where the exchange is one of its two.
_WHOLE: Final = {
    "method-refused": ("preflight-method-refused", "A browser asks first, and meets the same list there: preflight-method-refused."),
    "preflight-granted": ("origin-allowed", "The browser goes on to the request itself, which comes to origin-allowed."),
}


def call_of(entry: Entry) -> Call | None:
    """
    Return the call of a script that the exchange belongs to; None if none of a browser's can be told.

    A preflight belongs to the call that it asks for. What is not spelled as browsers spell it, no browser has sent.
    """
    path, host = _path(entry), entry.host
    origin, where = parse_origin_of_page(entry.origin), parse_request_path(path)
    if not entry.origin or not isinstance(origin, bytes) or not isinstance(where, bytes):
        return None
    named = parse_request_host(host) if host else b""
    headers = tuple(name for text in entry.asked_headers if isinstance(name := parse_header_name(text), bytes))
    method = (entry.asked_method if entry.kind == Kind.PREFLIGHT else entry.method).encode()
    if not isinstance(named, bytes) or not method or len(headers) != len(entry.asked_headers):
        return None
    if entry.kind == Kind.WEBSOCKET:
        return Call(origin, path=where, host=named, websocket=True)
    # A browser sends cookies across origins only if the script said `include`.
    return Call(origin, method, where, named, True if entry.has_cookie else None, headers)


def inspect(entry: Entry, settings: Settings, source: Sequence[str], root: Node | None = None) -> dict[str, Any]:
    """
    Explain an exchange, in values that JSON has. Pure; never raises.

    `source` are the flags by which `corsproxy explain` finds the settings in force, `root` the tree that these were read from. `explained` is
    what that command says in JSON, or null where no script can have made such a call.
    """
    again = _again(entry, settings)
    call = call_of(entry)
    rehearsal = rehearse.rehearse(settings, call) if call is not None else None
    command, note = _command(entry, call, rehearsal, settings, source)
    return {
        "entry": entry.as_plain(),
        "now": _now(entry, again, rehearsal, settings),
        "sent": _sent(entry, again),
        "command": command,
        "command_note": note,
        "explained": as_json(settings, explain_rehearsal(settings, rehearsal, root=root)) if rehearsal is not None else None,
    }


def _path(entry: Entry) -> str:
    # The query's values are gone, and no rule reads them.
    return entry.path.partition("?")[0]


def _again(entry: Entry, settings: Settings) -> Exchange | None:
    """Make the request anew, and serve it; None if it cannot be told from what is kept."""
    if (
        entry.path.endswith("…")
        or entry.method.encode() not in KNOWN_METHODS
        or (not entry.origin and entry.kind not in ("", Kind.NOT_CORS))
    ):
        return None
    lines: list[tuple[bytes, bytes]] = [(b"Host", entry.host.encode())]
    if entry.origin:
        lines.append((b"Origin", entry.origin.encode()))
    if entry.kind == Kind.PREFLIGHT and entry.asked_method:
        lines.append((b"Access-Control-Request-Method", entry.asked_method.encode()))
        if entry.asked_headers:
            lines.append((b"Access-Control-Request-Headers", ",".join(entry.asked_headers).encode()))
    if entry.kind == Kind.WEBSOCKET:
        lines += rehearse.HANDSHAKE
    connection = Connection("192.0.2.1", tls=entry.public.startswith("https:"))
    return rehearse.serve(settings, RequestHead(entry.method.encode(), _path(entry).encode(), 1, lines), connection)


def _now(entry: Entry, again: Exchange | None, rehearsal: Rehearsal | None, settings: Settings) -> dict[str, Any] | None:
    """Say what the settings in force make of it, if that is something else than then."""
    if again is None or entry.outcome == Outcome.FAILED:
        return None
    found = why_exchange(settings, again)
    if entry.outcome == Outcome.HIDDEN and entry.has_cookie and rehearsal is not None and not rehearsal.outcome.ok:
        found = why(settings, rehearsal)
    if found.code == entry.reason:
        return None
    line, part = shown_part(found.span)
    return {"reason": found.code, "because": found.words, "place": found.place, "line": line, "part": part}


def _sent(entry: Entry, again: Exchange | None) -> dict[str, Any] | None:
    """Return the CORS fields of the answer; those of another status are none of this one's."""
    if again is None or (not again.forwarded and again.response.status != entry.status):
        return None
    return {
        "status": entry.status,
        "from_upstream": again.forwarded,
        "fields": [[in_ascii(name), in_ascii(value)] for name, value in _cors_fields(again)],
    }


def _cors_fields(exchange: Exchange) -> Fields:
    lines = exchange.response.fields
    shown = [line for line in lines if line[0].lower().startswith(b"access-control-") or line[0].lower() in _SHOWN]
    return tuple((name, b"***" if name.lower() in exchange.secret else value) for name, value in shown)


def _command(entry: Entry, call: Call | None, rehearsal: Rehearsal | None, settings: Settings, source: Sequence[str]) -> tuple[str, str]:
    """Write the command that shows the same again, and say what it shows if that is not quite the same; empty if there is none."""
    if call is None or rehearsal is None:
        return _about_problem(entry), ""
    found = why(settings, rehearsal).code
    command = shlex.join([*_COMMAND, *source, *_flags(call)])
    if found == entry.reason:
        return command, ""
    whole, said = _WHOLE.get(entry.reason, ("", ""))
    if found == whole:
        return command, said
    if entry.problem and entry.outcome == Outcome.FAILED:
        return _about_problem(entry), ""
    return command, f"By the file in force now it comes to {found}."


def _flags(call: Call) -> Iterator[str]:
    """Write a call as the flags of `corsproxy explain`; a value that begins with `-` must not be taken for a flag."""
    yield f"--origin={in_ascii(call.origin)}"
    if call.websocket:
        yield "--websocket"
    elif call.method != b"GET":
        yield f"--method={in_ascii(call.method)}"
    yield f"--path={in_ascii(call.path)}"
    if call.host:
        yield f"--host={in_ascii(call.host)}"
    for name in call.headers:
        yield f"--header={in_ascii(name)}"
    if call.credentials is not None and not call.websocket:
        yield "--credentials=include"


def _about_problem(entry: Entry) -> str:
    return shlex.join(["corsproxy", "explain-code", entry.problem]) if entry.problem else ""
