"""
What becomes of an upstream's response head on its way to the client.

Pure: the head and the decision in, bytes out. Field lines keep their order, spelling and bytes; only
hop-by-hop fields, framing, CORS, Vary, a missing Date and what the route's rules name are touched.
"""

from dataclasses import dataclass
from typing import Final

from corsproxy import problems
from corsproxy.answers import Context
from corsproxy.config.choices import CorsMode
from corsproxy.cors import respond
from corsproxy.cors.policy import CorsPolicy
from corsproxy.editor import Editor, status_line
from corsproxy.prepared import Alike, Prepared, Received
from corsproxy.rewrite import Notice, rewrite
from corsproxy.semantics.fields import GUARDED, FieldLine, ResponseHead, Survey, serialize, survey_response, without
from corsproxy.semantics.framing import (
    CHUNKED_BODY,
    CLOSE_DELIMITED,
    BodyKind,
    Refusal,
    connection_options,
    is_persistent,
    nominated,
    response_body,
)
from corsproxy.semantics.websocket import UPGRADE_LINES, switch_fault

__all__ = [
    "Alike",
    "Prepared",
    "Received",
    "Switched",
    "alike",
    "keeps_connection",
    "receive",
    "receive_switch",
    "render",
    "render_end",
    "render_interim",
]

_VARY: Final = frozenset({b"vary"})
_NO_TRAILERS: Final = GUARDED | {
    b"age",
    b"cache-control",
    b"date",
    b"expires",
    b"location",
    b"proxy-authenticate",
    b"retry-after",
    b"set-cookie",
    b"vary",
    b"warning",
    b"www-authenticate",
}
_LENGTH: Final = frozenset({b"content-length"})


@dataclass(frozen=True, slots=True)
class Switched:
    """A 101 that grants a WebSocket: the head that the client gets, and what the operator should know of it."""

    head: bytes
    notices: tuple[Notice, ...] = ()


def receive(context: Context, head: ResponseHead) -> Received | Refusal:
    """
    Judge the head of a final response, and write the client's as far as it is certain.

    Pure; never raises. What `receive_anew` says, sooner where there is nothing rare in the head.
    """
    editor = _editor(context)
    return (editor.receive(context, head) if editor is not None else None) or receive_anew(context, head)


def alike(context: Context) -> Alike | None:
    """Return who edits the answers to requests that were decided like this one, by their lines; None where each takes a closer look."""
    editor = _editor(context)
    return editor.alike(context) if editor is not None else None


def _editor(context: Context) -> Editor | None:
    route = context.route
    if route is None:
        return None
    editor: Editor | None = route.kept.by_edits
    if editor is None or editor.cors is not context.cors or editor.id_header != context.exchange.request_id_header:
        editor = route.kept.by_edits = Editor(route, context.cors, context.exchange.request_id_header)
    return editor


def receive_anew(context: Context, head: ResponseHead) -> Received | Refusal:
    """
    Judge the head of a final response, and write the client's as far as it is certain. This is what `receive` means.

    Spec: RFC 9112 6.3, 9.3; RFC 9110 7.6.1, 6.6.1, 12.5.5; Fetch #http-responses.
    """
    survey = survey_response(head.lines, keep_cors=context.cors is CorsMode.PASSTHROUGH)
    body = response_body(head, survey, context.method)
    if isinstance(body, Refusal):
        return body
    options = connection_options(survey)
    reusable = body.kind is not BodyKind.UNTIL_CLOSE and is_persistent(head.minor, options)
    dropped = nominated(options)
    if dropped:
        noted = {name: values for name, values in survey.noted.items() if name not in dropped}
        survey = Survey(without(survey.passed, dropped), noted)
    notices: list[Notice] = []
    if context.route is not None:
        survey = rewrite(context, context.route, head.status, survey, notices)
    client_body = body
    if body.kind is BodyKind.CHUNKED and context.minor == 0:
        # > A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request indicates HTTP/1.1 (RFC 9112 6.1)
        client_body = CLOSE_DELIMITED
    passed = survey.passed
    # A HEAD's or a 304's length speaks of the body that a GET would get; a 204 must have none (RFC 9110 8.6).
    if head.status == 204 and b"content-length" in survey.noted:
        passed = without(passed, _LENGTH)
    before = status_line(head) + b"\r\n" + serialize(_with_cors(context, head.status, passed, survey))
    after: list[FieldLine] = []
    if client_body == CHUNKED_BODY:
        after.append((b"Transfer-Encoding", b"chunked"))
        if context.trailers:
            after += [(b"Trailer", value) for value in survey.noted.get(b"trailer", ())]
    has_date = b"date" in survey.noted
    return Received(head.status, body, client_body, reusable, before, serialize(after), has_date, tuple(notices))


def render(context: Context, received: Received, date: bytes, *, close: bool) -> bytes:
    """
    Write the head that the client gets. `date` is used if the upstream sent none; `close` ends the connection after the body.

    Spec: RFC 9110 6.6.1; RFC 9112 9.6.
    """
    closes = close or received.client_body[0] is BodyKind.UNTIL_CLOSE
    if received.has_date and context.persistent and context.minor >= 1 and not closes:
        # As most are: there is nothing to add.
        return received.before + received.after + b"\r\n"
    dated = b"" if received.has_date else b"Date: %b\r\n" % date
    return b"".join((received.before, dated, received.after, context.connection_line(close=closes), b"\r\n"))


def render_interim(context: Context, head: ResponseHead) -> bytes:
    """
    Write a 1xx response for the client, without CORS fields; nothing for a client that does not know them.

    Spec: RFC 9110 15.2 (a proxy MUST forward 1xx; a server MUST NOT send one to an HTTP/1.0 client).
    """
    if context.minor == 0:
        return b""
    survey = survey_response(head.lines, keep_cors=context.cors is CorsMode.PASSTHROUGH)
    # > A server MUST NOT send a Content-Length header field in any response with a status code of 1xx (RFC 9110 8.6)
    # The request's own id is on the final response; the upstream's would be another one.
    dropped = nominated(connection_options(survey)) | _LENGTH | {context.exchange.request_id_header.lower()}
    lines = _by_rules(context, without(survey.passed, dropped))
    return b"%b\r\n%b\r\n" % (status_line(head), serialize(lines))


def receive_switch(context: Context, head: ResponseHead, key: bytes) -> Switched | Refusal:
    """
    Judge a 101, and write the one that the client gets.

    Pure; never raises. `key` is that of the handshake.

    Spec: RFC 6455 4.1; RFC 9110 7.6.1, 7.8, 15.2.2.
    """
    survey = survey_response(head.lines, keep_cors=context.cors is CorsMode.PASSTHROUGH)
    fault = switch_fault(head, survey, key)
    if fault:
        return Refusal(problems.UPSTREAM_BAD_SWITCH, fault)
    dropped = nominated(connection_options(survey))
    survey = Survey(without(survey.passed, dropped), survey.noted) if dropped else survey
    notices: list[Notice] = []
    if context.route is not None:
        survey = rewrite(context, context.route, head.status, survey, notices)
    lines = serialize([*survey.passed, *UPGRADE_LINES])
    return Switched(b"%b\r\n%b\r\n" % (status_line(head), lines), tuple(notices))


def render_end(context: Context, received: Received, trailers: list[FieldLine]) -> bytes:
    """
    Write what ends a complete body: the last chunk, with the trailer fields that the client takes.

    Spec: RFC 9112 7.1.2; RFC 9110 6.5.1 (fields that frame, route, authenticate or steer MUST NOT be trailers).
    """
    if received.client_body != CHUNKED_BODY:
        return b""
    kept = [line for line in trailers if not _is_no_trailer(line[0].lower())] if context.trailers else []
    return b"0\r\n%b\r\n" % serialize(_by_rules(context, kept))


def _by_rules(context: Context, lines: list[FieldLine]) -> list[FieldLine]:
    """Take off what the route's rules take off; what they put on stands in the final response's head alone."""
    return lines if context.route is None else context.route.response_headers.take_off(lines)


def _is_no_trailer(name: bytes) -> bool:
    return name in _NO_TRAILERS or name.startswith((b"access-control-", b"content-"))


def keeps_connection(context: Context, received: Received, *, close: bool) -> bool:
    """
    Tell whether the client's connection stays open after the complete response.

    Spec: RFC 9112 9.3.
    """
    return context.persistent and not close and received.client_body.kind is not BodyKind.UNTIL_CLOSE


def _with_cors(context: Context, status: int, passed: list[FieldLine], survey: Survey) -> list[FieldLine]:
    policy, decision = context.cors, context.decision
    if decision is None or not isinstance(policy, CorsPolicy):
        return passed
    replaced = respond.replaced_neighbours(policy)
    lines = without(passed, replaced) if replaced else passed
    if not policy.is_public:
        values = survey.noted.get(b"vary", [])
        merged = respond.merge_vary(values, b"Origin")
        if len(values) != 1 or merged != values[0]:
            lines = [*(without(lines, _VARY) if values else lines), (b"Vary", merged)]
    grants = respond.grant_lines(policy, decision)
    if grants:
        exposed = respond.expose_line(policy, (name for name, _ in lines), not_modified=status == 304)
        lines = [*lines, *grants, exposed] if exposed else [*lines, *grants]
    neighbours = respond.neighbour_lines(policy, grants)
    return [*lines, *neighbours] if neighbours else lines
