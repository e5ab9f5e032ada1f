"""
The common response head, edited in one walk.

Most heads have nothing that asks for thought: fields that pass, a length or chunks, perhaps cookies. Such a head is written while it is
read; with anything rare in it, `edits` does it line by line. Both say the same.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Final

from corsproxy.answers import Context
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route
from corsproxy.cors import respond
from corsproxy.cors.decide import Decision
from corsproxy.cors.policy import CorsPolicy
from corsproxy.meanings import Judge
from corsproxy.prepared import Alike, Prepared, Received
from corsproxy.response_layouts import LENGTH_CUT, ResponseLayout, ResponseLayouts
from corsproxy.rewrite import Notice, rewrite_cookie
from corsproxy.semantics.acts import CLOSING, CODING, COOKIE, DATE, DOUBT, LENGTH, PASS, SETTLED, SKIP, VARY, ResponseNames
from corsproxy.semantics.fields import FieldLine, ResponseHead
from corsproxy.semantics.framing import CHUNKED_BODY, CLOSE_DELIMITED, MAX_LENGTH_DIGITS, NO_BODY, Body, BodyKind
from corsproxy.semantics.rules import NO_RULES

_REASON_BYTES: Final = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
# What is longer is not remembered.
_MAX_REMEMBERED_BYTES: Final = 256
_MAX_ALIKES: Final = 64
_CONNECTIONS: Final = SETTLED[b"connection"]
_CODED: Final = b"Transfer-Encoding: chunked\r\n"

_new: Final = tuple.__new__


class Editor:
    """Edits the responses of one route, whose requests are named in the field `id_header`."""

    def __init__(self, route: Route, cors: CorsPolicy | CorsMode | None, id_header: bytes) -> None:
        self.cors = cors
        self.id_header = id_header
        self._route = route
        self._policy = cors if isinstance(cors, CorsPolicy) else None
        self._merges_vary = self._policy is not None and not self._policy.is_public
        neighbours = respond.replaced_neighbours(self._policy) if self._policy is not None else frozenset[bytes]()
        own, rules, keep_cors = id_header.lower(), route.response_headers, cors is CorsMode.PASSTHROUGH
        self._names = ResponseNames(neighbours | {own}, rules, keep_cors=keep_cors)
        self.layouts = ResponseLayouts(self._names, merges_vary=self._merges_vary)
        bare = ResponseNames(neighbours, NO_RULES, keep_cors=keep_cors)
        # Rules about what is read here, or written here, are for whoever goes line by line.
        touched = [name.lower() for name, _ in rules.lines]
        self._is_plain = own not in touched and all(bare.act(name) == PASS for name in (own, *touched))
        self._is_plain = self._is_plain and not any(map(rules.drops, (b"date", b"content-length")))
        self._own = b"".join([b"\r\n%b: %b" % line for line in rules.lines]) + b"\r\n" + id_header + b": "
        self._alikes: dict[tuple[bytes, bool], Alike] = {}

    def alike(self, context: Context) -> Alike | None:
        """Return who edits the answers to requests of this decision by their lines; None where each takes a closer look."""
        granted = self._granted(context)
        if granted is None:
            return None
        key = (granted, context.method == b"HEAD")
        found = self._alikes.get(key)
        if found is None:
            if len(self._alikes) >= _MAX_ALIKES:
                self._alikes.clear()
            found = self._alikes[key] = Alike(partial(self._prepare, *key))
        return found

    def _prepare(self, granted: bytes, is_head: bool, raw: bytes, judge: Judge) -> tuple[Prepared, ResponseLayout, Sequence[bytes]] | None:  # noqa: FBT001
        """Edit a head that is not taken apart, less its last two line ends; None where it takes a parser."""
        lines = raw.split(b"\r\n")
        found = self.layouts.find(lines, judge)
        if found is None:
            return None
        status, layout = found
        before = b"\r\n".join(layout.pick(lines)) + self._own
        behind = b"%b%b\r\n" % (layout.vary, granted)
        framing, after = (CLOSE_DELIMITED, False), b""
        if status == 304 or is_head:
            framing = (NO_BODY, not layout.closes)
        elif layout.length >= 0:
            framing = (_new(Body, (BodyKind.LENGTH, int(lines[layout.length][LENGTH_CUT:]))), not layout.closes)
        elif layout.is_coded:
            framing, after = (CHUNKED_BODY, not layout.closes), _CODED
        return Prepared(status, framing, (before, behind, after), has_date=layout.has_date), layout, lines

    def receive(self, context: Context, head: ResponseHead) -> Received | None:
        """Judge the head of a final response and write the client's; None where it takes a closer look."""
        status, reason, minor, lines = head
        granted = self._granted(context)
        if granted is None or minor != 1 or not 200 <= status <= 599 or status == 204:
            return None
        out = [_status_line(status, reason) if len(reason) <= _MAX_REMEMBERED_BYTES else status_line(head)]
        notices: list[Notice] = []
        walked = self._walk(context, lines, out, notices)
        if walked is None:
            return None
        length, coding, vary, has_date, closes = walked
        out += (self._own, context.exchange.request_id)
        if self._merges_vary:
            if not vary:
                out.append(b"\r\nVary: Origin")
            elif (merged := _merged(out[vary])) != out[vary]:
                del out[vary - 1 : vary + 1]
                out += (b"\r\nVary: ", merged)
        out += (granted, b"\r\n")
        before, after = b"".join(out), b""
        if status == 304 or context.method == b"HEAD":
            body = NO_BODY
        elif coding:
            body, after = CHUNKED_BODY, _CODED
        elif length:
            body = _new(Body, (BodyKind.LENGTH, int(length)))
        else:
            return Received(status, CLOSE_DELIMITED, CLOSE_DELIMITED, False, before, b"", has_date, tuple(notices))
        return Received(status, body, body, not closes, before, after, has_date, tuple(notices) if notices else ())

    def _granted(self, context: Context) -> bytes | None:
        """Return what the policy writes into every response of a request; None where there is anything rare about it."""
        policy = self._policy
        if context.minor != 1 or not self._is_plain or not context.exchange.request_id:
            return None
        if policy is None:
            return b""
        decision = context.decision
        if decision is None:
            return None
        written = decision.written
        return written[1] if written and written[0] is policy else _grant(policy, decision)

    def _walk(  # noqa: C901 - to call for a line costs as much as the line
        self, context: Context, lines: Sequence[FieldLine], out: list[bytes], notices: list[Notice]
    ) -> tuple[bytes, bytes, int, bool, bool] | None:
        """Write the lines that pass. Return the length, the coding, where Vary's value is, whether there is a Date, and whether the upstream closes."""
        names, put = self._names, out.append
        passed, acts = names.passed, names.acts
        length, coding, vary, has_date, closes = b"", b"", 0, False, False
        for name, value in lines:
            written = passed.get(name)
            if written is None:
                act, written = acts.get(name) or names.meet(name)
                if act == SKIP:
                    continue
                if act == DATE:
                    has_date = True
                elif act == LENGTH:
                    if length or coding or not value.isdigit() or len(value) > MAX_LENGTH_DIGITS:
                        return None
                    length = value
                elif act == CLOSING:
                    if value not in _CONNECTIONS:
                        return None
                    closes = closes or value[:1] in b"cC"
                    continue
                elif act == CODING:
                    if length or coding or value != b"chunked":
                        return None
                    coding = value
                    continue
                elif act == COOKIE:
                    value = rewrite_cookie(context, self._route, value, notices)  # noqa: PLW2901 - what passes is what was rewritten
                elif act == VARY and self._merges_vary:
                    if vary or len(value) > _MAX_REMEMBERED_BYTES:
                        return None
                    vary = len(out) + 1
                elif act == DOUBT:
                    return None
            put(written)
            put(value)
        return length, coding, vary, has_date, closes


def _grant(policy: CorsPolicy, decision: Decision) -> bytes | None:
    """Write what a decision tells every response, and leave it there; None where it tells each another thing."""
    grants = respond.grant_lines(policy, decision)
    granted: bytes | None = None
    # Where `*` would be a literal name, each response lists its own.
    if not grants or policy.exposed is not None or not policy.credentials:
        exposed = respond.expose_line(policy, (), not_modified=False) if grants else None
        lines = [*grants, *([exposed] if exposed else ()), *respond.neighbour_lines(policy, grants)]
        granted = b"".join([b"\r\n%b: %b" % line for line in lines])
    decision.written[:] = policy, granted
    return granted


def status_line(head: ResponseHead) -> bytes:
    """Write the status line, without its end, for HTTP/1.1. A reason that is none is left out."""
    # > reason-phrase = 1*( HTAB / SP / VCHAR / obs-text ) (RFC 9112 4); llhttp lets every other byte but CR and LF pass too.
    return b"HTTP/1.1 %d %b" % (head.status, head.reason if not head.reason.translate(None, _REASON_BYTES) else b"")


@lru_cache(maxsize=256)
def _status_line(status: int, reason: bytes) -> bytes:
    return status_line(ResponseHead(status, reason, 1, ()))


@lru_cache(maxsize=256)
def _merged(vary: bytes) -> bytes:
    return respond.merge_vary((vary,), b"Origin")
