"""
Plans that are known already: the same decision for requests that are alike in everything that decides.

A plan depends on few bytes of a head: the method, the route, the Host, and the fields that some gate reads. All other lines pass, and
the ids, the client's address and the length of the content are only copied. So a decision is remembered by what was read, as the bytes
between what is copied. It is cut out of what `plan_anew` wrote for such a request, and kept only if it gives back the plan that it comes
from; whatever is rare or in doubt is planned anew.

What an outsider can vary is bounded everywhere, and a decision is remembered only when it is asked for a second time.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from corsproxy import routes
from corsproxy.answers import Answer, Context, Exchange
from corsproxy.config.choices import CorsMode, OriginHeader
from corsproxy.config.settings import Route, Settings
from corsproxy.forward import Forward
from corsproxy.memo import Memo, Sights
from corsproxy.semantics.acts import DOUBT, HOST, ID, LENGTH, MAX_NAME_BYTES, PARENT, READ, SETTLED, TAKE, TELL, RequestNames
from corsproxy.semantics.fields import DEFAULT_REQUEST_ID, FieldLine, RequestHead, serialize
from corsproxy.semantics.forwarded import Hop, forwarded_lines, read_client
from corsproxy.semantics.framing import MAX_LENGTH_DIGITS, Body, BodyKind
from corsproxy.semantics.target import has_one_form
from corsproxy.semantics.trace import is_request_id, parse_traceparent

if TYPE_CHECKING:
    from corsproxy.plan import Connection, Fresh, Plan

    Anew = Callable[[Settings, RequestHead, Connection, Fresh], Plan]

MAX_DECISIONS: Final = 512
MAX_CLIENTS: Final = 1024
MAX_SITES: Final = 128
MAX_VERDICTS: Final = 1024
# A key with more bytes is not kept.
MAX_KEY_BYTES: Final = 1024
MAX_METHOD_BYTES: Final = 32

# What llhttp lets pass in a target that begins with a slash, less the fragment that no target has.
_TARGET: Final = re.compile(rb"/[!\"$-~]*")
_PATH_ENDS: Final = (b"", b"/")
# What a head has beside the lines that are counted: the request line's other bytes, Host and Content-Length.
_MARGIN: Final = 512

# They stand for what is copied while a decision is cut.
_CUT: Final[FieldLine] = (b"X-Corsproxy-Cut", b"c7d1f0a94be8")
_CUT_LINE: Final = serialize([_CUT])
_ID, _TRACE, _PARENT = b"5e2b90c1-corsproxy-id", b"9f03c2ad5b7e41860d1ce7a8b2f4936e", b"b1d07ce35a942f68"

_new: Final = tuple.__new__


class _Client(NamedTuple):
    """What is known of a client at a site: its address, and the lines that tell the upstream about it."""

    address: bytes
    lines: bytes
    site: "_Site"


class _Site:
    """What clients ask for, as far as it decides: a route, by a name, over a scheme. It is equal to itself alone."""

    __slots__ = ("_drops_origin", "_verdicts", "margin", "route", "sifts", "stripped")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.stripped = len(route.paths.stripped)
        self.margin = _MARGIN + self.stripped
        self._drops_origin = route.upstream.origin_header is not OriginHeader.KEEP and route.cors is not CorsMode.PASSTHROUGH
        self.sifts = bool(route.request_headers) or self._drops_origin
        self._verdicts: dict[bytes, bool] = {}

    def sift(self, out: list[bytes]) -> list[bytes]:
        """Leave out the lines that the route takes off. Behind the first three, `out` has names as written, each with its value."""
        verdicts, kept = self._verdicts, out[:3]
        for place in range(3, len(out), 2):
            written = out[place]
            if not (verdicts[written] if written in verdicts else self._drops(written)):
                kept += (written, out[place + 1])
        return kept

    def _drops(self, written: bytes) -> bool:
        name = written[2:-2]
        verdict = self.route.request_headers.drops(name) or (self._drops_origin and name.lower() == b"origin")
        if len(self._verdicts) < MAX_VERDICTS and len(name) <= MAX_NAME_BYTES:
            self._verdicts[written] = verdict
        return verdict


class _KnownAnswer(NamedTuple):
    """A preflight's answer. Of its exchange, `front` and `tail` are what is not copied."""

    context: Context
    front: tuple[Any, ...]
    tail: tuple[Any, ...]
    status: int
    head: bytes
    reason: str


class _KnownForward(NamedTuple):
    """
    A request that goes upstream.

    Its head is `start`, the target, `host`, the lines that pass, `before`, the client's lines, `between`, and then what is written here of id,
    trace and length, each with the bytes behind it; None where it is not written.
    """

    context: Context
    front: tuple[Any, ...]
    tail: tuple[Any, ...]
    start: bytes
    host: bytes
    before: bytes
    between: bytes
    behind_id: bytes | None
    behind_trace: bytes | None
    behind_parent: bytes
    behind_length: bytes
    body: Body
    body_limit: int | None
    head_limit: int
    reuse_upstream: bool


# What decides about a request, and what of it only is copied.
_Case = tuple[Any, ...]
# The lines to pass, what decides, what was told of the client, the lines that are copied, and the bytes of those that are left out.
_Read = tuple[list[bytes], list[bytes], list[bytes], dict[int, bytes], int]
# The paths of routes, in the order in which they are tried, with the routes' numbers.
_Places = tuple[tuple[bytes, int], ...]


class Recall:
    """Plans by one Settings, from memory where that is certain."""

    def __init__(self, settings: Settings, anew: "Anew") -> None:
        self._settings = settings
        self._anew = anew
        forwarding, limits = settings.forwarding, settings.limits
        self._trusts = forwarding.trusts if forwarding.trusted else None
        self._names = RequestNames(forwarding.request_id_header, forwarding.ids, trusted=False)
        self._trusted_names = RequestNames(forwarding.request_id_header, forwarding.ids, trusted=True)
        self._passes_id = forwarding.request_id_header.lower() == DEFAULT_REQUEST_ID
        self._trusts_id = forwarding.trusts_request_id
        self._begins = forwarding.begins_trace
        self._max_lines, self._max_head = limits.header_count, limits.request_head
        self._max_target = limits.request_line - 12 - MAX_METHOD_BYTES
        self._numbers = {id(route): number for number, route in enumerate(settings.routes)}
        table = settings.table
        self._anywhere = None if table.exact or table.suffixes else self._number(table.anywhere)
        only = table.anywhere[0] if len(table.anywhere) == 1 else None
        # Where one route takes everything as it is, no reading of a path leads elsewhere.
        self._is_simple = self._anywhere is not None and only is not None and only.path == b"/" and not only.paths.base
        self._places: Memo[bytes, _Places] = Memo(MAX_SITES)
        self._clients: Memo[_Case, _Client] = Memo(MAX_CLIENTS)
        self._sites: Memo[_Case, _Site] = Memo(MAX_SITES)
        self._known: Memo[_Case, _KnownForward | _KnownAnswer] = Memo(MAX_DECISIONS)
        self._sights = Sights()

    def plan(self, head: RequestHead, connection: "Connection", fresh: "Fresh") -> "Plan":
        """Say what happens to a request, as `plan_anew` does."""
        found = self._recognize(head, connection)
        if found is None:
            return self._anew(self._settings, head, connection, fresh)
        case, client, read = found
        known = self._known.young.get(case) or self._known.find(case)
        if known is None:
            planned = self._anew(self._settings, head, connection, fresh)
            if self._sights.is_second(case):
                self._learn(case, client, read, (head, connection, fresh), planned)
            return planned
        return self._repeat(known, client, read, head.target, fresh) or self._anew(self._settings, head, connection, fresh)

    def _recognize(self, head: RequestHead, connection: "Connection") -> tuple[_Case, _Client, _Read] | None:
        """Read a head, and say what decides about it; None where it takes a closer look."""
        method, target, minor, lines = head
        if minor != 1 or len(target) > self._max_target or len(lines) > self._max_lines or _TARGET.fullmatch(target) is None:
            return None
        read = self._read(lines, self._names if self._trusts is None or not self._trusts(connection.peer) else self._trusted_names)
        if read is None:
            return None
        _, key, told, copied, _ = read
        host = copied.get(HOST)
        if host is None:
            return None
        number = 0 if self._is_simple else self._find(host, target)
        if number < 0:
            return None
        asked = (connection, number, host, *told)
        client = self._clients.young.get(asked) or self._clients.find(asked) or self._meet(asked, connection)
        if client is None:
            return None
        length = copied.get(LENGTH)
        size = 0 if length is None else 1 if length == b"0" else 2
        # What is copied decides by being there, or not.
        return (client.site, method, size, bool(copied.get(ID)) and self._passes_id, PARENT in copied, *key), client, read

    def _read(self, lines: Sequence[FieldLine], names: RequestNames) -> _Read | None:  # noqa: C901 - a call for a line costs as much as the line
        """Walk over the lines once. None for what is rare or in doubt, whatever will come of it."""
        passed, acts = names.passed, names.acts
        # The first three places are for what stands before the lines.
        out: list[bytes] = [b"", b"", b""]
        key: list[bytes] = []
        told: list[bytes] = []
        copied: dict[int, bytes] = {}
        extra = 0
        put, note = out.append, key.append
        for name, value in lines:
            written = passed.get(name)
            if written is None:
                act, lower, written = acts.get(name) or names.meet(name)
                if act <= READ:
                    if act:
                        note(lower)
                        if act == READ:
                            note(value)
                elif act <= PARENT:
                    if act in copied:
                        return None
                    copied[act] = value
                    if act == LENGTH and not _is_plain_length(value):
                        return None
                    if act == ID:
                        extra += len(name) + len(value) + 4
                        if not self._trusts_id or not is_request_id(value):
                            copied[ID] = b""
                    if act <= LENGTH or (act == ID and not (self._passes_id and copied[ID])):
                        continue
                elif act == DOUBT:
                    return None
                else:
                    extra += len(name) + len(value) + 4
                    if act == TAKE:
                        if lower in SETTLED and value not in SETTLED[lower]:
                            return None
                        note(lower)
                        note(value)
                    elif act == TELL:
                        told += (lower, value)
                    continue
            put(written)
            put(value)
        return out, key, told, copied, extra

    def _find(self, host: bytes, target: bytes) -> int:
        """Return the number of the route, or -1 where it takes a closer look."""
        path = target.partition(b"?")[0]
        if not has_one_form(path):
            return -1
        places = self._anywhere or self._places.young.get(host) or self._places.find(host)
        if places is None:
            places = self._number(routes.for_host(self._settings.table, host))
            if len(host) <= MAX_KEY_BYTES:
                self._places.put(host, places)
        for prefix, number in places:
            if prefix == b"/" or (path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in _PATH_ENDS):
                return number
        return -1

    def _number(self, found: Sequence[Route]) -> _Places:
        return tuple((route.path, self._numbers[id(route)]) for route in found)

    def _meet(self, asked: _Case, connection: "Connection") -> _Client | None:
        """Get to know a client. A name that nobody has asked for before is left to others."""
        _, number, host, *told = asked
        if not self._sights.is_second((number, host)) or _bytes_of(asked) > MAX_KEY_BYTES:
            return None
        settings, route = self._settings, self._settings.routes[number]
        noted: dict[bytes, list[bytes]] = {}
        for place in range(0, len(told), 2):
            noted.setdefault(told[place], []).append(told[place + 1])
        hop = Hop(connection.peer, connection.tls, host)
        facts = read_client(noted, hop, settings.forwarding.trusts, settings.forwarding.mode)
        lines = forwarded_lines(settings.forwarding.mode, hop, facts, prefix=route.paths.stripped, port=0)
        seen = (number, host, facts.host, facts.proto, facts.is_certain, *connection[1:])
        site = self._sites.find(seen)
        if site is None:
            site = _Site(route)
            self._sites.put(seen, site)
        client = _Client(facts.address, serialize(lines), site)
        self._clients.put(asked, client)
        return client

    def _repeat(self, known: "_KnownForward | _KnownAnswer", client: _Client, read: _Read, target: bytes, fresh: "Fresh") -> "Plan | None":
        """Make the plan of a known decision; None where a limit needs a closer look."""
        copied, old = read[3], known.context
        named, parent = copied.get(ID) or fresh.request_id, copied.get(PARENT)
        trace = begins = b""
        if parent is not None:
            found = parse_traceparent((parent,))
            trace = found.trace_id if found else b""
        elif self._begins:
            trace, begins = fresh.trace_id, fresh.parent_id
        exchange = _new(Exchange, (named, *known.front, trace, begins, client.address, *known.tail))
        context = Context(
            old.method, 1, old.persistent, old.route, old.cors, old.decision, old.trailers, exchange, old.sent_host, old.accept
        )
        if isinstance(known, _KnownForward):
            return self._forward(known, context, client, read, target)
        return Answer(context, known.status, known.head, b"", False, None, known.reason)

    def _forward(self, known: "_KnownForward", context: Context, client: _Client, read: _Read, target: bytes) -> Forward | None:
        out, _, _, copied, extra = read
        site, exchange = client.site, context.exchange
        if site.sifts:
            extra += sum(map(len, out))
            out = site.sift(out)
        if site.stripped:
            target = target[site.stripped :]
            if target[:1] != b"/":
                target = b"/" + target
        out[0], out[1], out[2] = known.start, target, known.host
        out += (known.before, client.lines, known.between)
        if known.behind_id is not None:
            out += (exchange.request_id, known.behind_id)
        if known.behind_trace is not None:
            out += (exchange.trace_id, known.behind_trace, exchange.begins_at, known.behind_parent)
        body, length = known.body, copied.get(LENGTH)
        if length is not None:
            body = _new(Body, (BodyKind.LENGTH, int(length)))
            if known.body_limit is not None and body.length > known.body_limit:
                return None
            out += (length, known.behind_length)
        head = b"".join(out)
        # All that came is in the head, or counted; where that is near the limit, it is counted exactly.
        if len(head) + extra + site.margin > self._max_head:
            return None
        return Forward(context, site.route, head, body, known.body_limit, known.head_limit, known.reuse_upstream)

    def _learn(self, case: _Case, client: _Client, read: _Read, asked: "tuple[RequestHead, Connection, Fresh]", planned: "Plan") -> None:
        """Remember a decision, if it can be: cut at what is copied, it has to give back the plan that was made anew."""
        head, connection, fresh = asked
        if len(head.method) > MAX_METHOD_BYTES or _bytes_of(case) > MAX_KEY_BYTES:
            return
        lines = [(name, _ID if read[3].get(ID) == value else value) for name, value in head.lines]
        marked = fresh._replace(request_id=_ID, trace_id=_TRACE, parent_id=_PARENT)
        probe = self._anew(self._settings, head._replace(lines=[*lines, _CUT]), connection, marked)
        known: _KnownForward | _KnownAnswer | None = None
        if isinstance(probe, Answer):
            exchange = probe.context.exchange
            known = _KnownAnswer(probe.context, exchange[1:3], exchange[6:], probe.status, probe.head, probe.reason)
        elif type(probe) is Forward:
            known = _cut(probe, client, read[3].get(LENGTH))
        if known is not None and self._repeat(known, client, read, head.target, fresh) == planned:
            self._known.put(case, known)


def _cut(probe: Forward, client: _Client, length: bytes | None) -> _KnownForward | None:
    """Cut a head at what is copied; None where it cannot be told for certain what is."""
    context, body, head = probe.context, probe.body, probe.head
    before, rest = b"", head.partition(_CUT_LINE)[2]
    if client.lines:
        before, _, rest = rest.partition(client.lines)
    ends = b"" if length is None else length + b"\r\n\r\n"
    if head.count(_CUT_LINE) != 1 or not rest.endswith(b"Content-Length: " + ends if ends else b"\r\n"):
        return None
    rest = rest.removesuffix(ends)
    if any(rest.count(sign) > 1 for sign in (_ID, _TRACE, _PARENT)):
        return None
    rest, traced, behind = rest.partition(_TRACE)
    behind_trace, _, behind_parent = behind.partition(_PARENT)
    between, named, behind_id = rest.partition(_ID)
    return _KnownForward(
        context,
        context.exchange[1:3],
        context.exchange[6:],
        start=b"%b %b" % (context.method, probe.route.paths.base),
        host=b" HTTP/1.1\r\nHost: " + context.sent_host,
        before=b"\r\n" + before,
        between=between,
        behind_id=behind_id if named else None,
        behind_trace=behind_trace if traced else None,
        behind_parent=behind_parent,
        behind_length=b"\r\n\r\n",
        body=body,
        body_limit=probe.body_limit,
        head_limit=probe.head_limit,
        reuse_upstream=probe.reuse_upstream,
    )


def _is_plain_length(value: bytes) -> bool:
    """Tell whether a length is written as we would write it."""
    return value.isdigit() and len(value) <= MAX_LENGTH_DIGITS and (value[:1] != b"0" or value == b"0")


def _bytes_of(case: _Case) -> int:
    return sum(len(part) for part in case if isinstance(part, bytes))
