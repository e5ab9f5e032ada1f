"""
Plans that are known already: the same decision for requests that are alike in everything that decides.

A plan depends on few bytes of a head: the method, the route, the Host, and the fields that some gate reads. All other lines pass, and
the ids, the client's address and the length of the content are only copied. So a decision is remembered by what was read, as the bytes
between what is copied. It is cut out of what `plan_anew` wrote for such a request, and kept only if it gives back the plan that it comes
from; whatever is rare or in doubt is planned anew.

What an outsider can vary is bounded everywhere, and a decision is remembered only when it is asked for a second time.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from corsproxy import routes
from corsproxy.answers import Answer
from corsproxy.config.settings import Route, Settings
from corsproxy.forward import Forward
from corsproxy.known import (
    COPIED,
    CUT,
    CUT_ID,
    CUT_PARENT,
    CUT_TRACE,
    Client,
    Copied,
    KnownAnswer,
    KnownForward,
    Recalled,
    Site,
    cut,
    opening_of,
)
from corsproxy.memo import Memo, Sights
from corsproxy.resilience.bucket import key_of
from corsproxy.semantics.accept import MAX_BYTES as MAX_ACCEPT_BYTES
from corsproxy.semantics.acts import (
    ACCEPT,
    DOUBT,
    HOST,
    ID,
    LENGTH,
    PARENT,
    PASS,
    PRESENT,
    READ,
    SETTLED,
    TAKE,
    TELL,
    RequestNames,
)
from corsproxy.semantics.fields import DEFAULT_REQUEST_ID, FieldLine, RequestHead, serialize
from corsproxy.semantics.forwarded import Hop, forwarded_lines, read_client
from corsproxy.semantics.framing import is_plain_length
from corsproxy.semantics.target import has_one_form, is_plain_target
from corsproxy.semantics.trace import is_request_id

if TYPE_CHECKING:
    from corsproxy.plan import Connection, Fresh, Plan

    Anew = Callable[[Settings, RequestHead, Connection, Fresh], Plan]

MAX_DECISIONS: Final = 512
MAX_CLIENTS: Final = 1024
MAX_SITES: Final = 128
# A key with more bytes is not kept.
MAX_KEY_BYTES: Final = 1024
MAX_METHOD_BYTES: Final = 32

_PATH_ENDS: Final = (b"", b"/")
_new: Final = tuple.__new__

# What decides about a request, and what of it only is copied.
_Case = tuple[Any, ...]
# A head that was read: the lines to pass, the Host, the length, the id that may be taken over, the traceparent, what decides, what was told
# of the client, the values of Accept, and the bytes of the lines that are left out.
_Read = tuple[list[bytes], bytes, bytes | None, bytes, bytes | None, list[bytes], list[bytes], list[bytes], int]
# The paths of routes, in the order in which they are tried, with the routes' numbers.
_Places = tuple[tuple[bytes, int], ...]


class Recall:
    """Plans by one Settings, from memory where that is certain."""

    def __init__(self, settings: Settings, anew: "Anew") -> None:
        self._settings = settings
        self._anew = anew
        forwarding, limits = settings.forwarding, settings.limits
        self.trusts = forwarding.trusts if forwarding.trusted else None
        self.names = RequestNames(forwarding.request_id_header, forwarding.ids, trusted=False)
        self.trusted_names = RequestNames(forwarding.request_id_header, forwarding.ids, trusted=True)
        self._id_header = forwarding.request_id_header
        self.passes_id = forwarding.request_id_header.lower() == DEFAULT_REQUEST_ID
        self._trusts_id = forwarding.trusts_request_id
        self._begins = forwarding.begins_trace
        self._rate = settings.rate_limit
        self._max_lines, self._max_head = limits.header_count, limits.request_head
        self.max_target = limits.request_line - 12 - MAX_METHOD_BYTES
        self._numbers = {id(route): number for number, route in enumerate(settings.routes)}
        table = settings.table
        self._anywhere = None if table.exact or table.suffixes else self._number(table.anywhere)
        only = table.anywhere[0] if len(table.anywhere) == 1 else None
        # Where one route takes everything as it is, no reading of a path leads elsewhere.
        self.is_simple = self._anywhere is not None and only is not None and only.path == b"/" and not only.paths.base
        self._places: Memo[bytes, _Places] = Memo(MAX_SITES)
        self.clients: Memo[_Case, Client] = Memo(MAX_CLIENTS)
        self._sites: Memo[_Case, Site] = Memo(MAX_SITES)
        self.known: Memo[_Case, KnownForward | KnownAnswer] = Memo(MAX_DECISIONS)
        self._sights = Sights()

    def plan(self, head: RequestHead, connection: "Connection", fresh: "Fresh") -> "Plan":
        """Say what happens to a request, as `plan_anew` does."""
        method, target, minor, lines = head
        read = None
        if minor == 1 and len(target) <= self.max_target and len(lines) <= self._max_lines and is_plain_target(target) is not None:
            read = self._read(lines, self.names if self.trusts is None or not self.trusts(connection.peer) else self.trusted_names)
        if read is None:
            return self._anew(self._settings, head, connection, fresh)
        _, host, length, named, parent, key, told, _, _ = read
        number = 0 if self.is_simple else self.find_route(host, target)
        asked = (connection, number, host, *told) if told else (connection, number, host)
        client = self.clients.young.get(asked) or self.clients.find(asked) or self._meet(asked, connection)
        if client is None:
            return self._anew(self._settings, head, connection, fresh)
        # What is copied decides by being there, or not.
        size = 0 if length is None else 1 if length == b"0" else 2
        case = (client.site, method, size, parent is None, named != b"" and self.passes_id) + tuple(key)  # noqa: RUF005 - dearer
        known = self.known.young.get(case) or self.known.find(case)
        if known is not None:
            return self._repeat(known, client, read, head, fresh) or self._anew(self._settings, head, connection, fresh)
        planned = self._anew(self._settings, head, connection, fresh)
        if self._sights.is_second(case):
            self._learn(case, client, read, (head, connection, fresh), planned)
        return planned

    def _read(self, lines: Sequence[FieldLine], names: RequestNames) -> _Read | None:  # noqa: C901 - to call for a line costs as much as the line
        """Walk over the lines once. None for what is rare or in doubt, whatever will come of it."""
        passed, acts = names.passed, names.acts
        out: list[bytes] = []
        key: list[bytes] = []
        told: list[bytes] = []
        accept: list[bytes] = []
        host = length = parent = None
        has_id, named, extra = False, b"", 0
        put, note = out.append, key.append
        for name, value in lines:
            written = passed.get(name)
            if written is None:
                act, lower, written = acts.get(name) or names.meet(name)
                if act == READ:
                    note(lower)
                    note(value)
                elif act == HOST:
                    if host is not None:
                        return None
                    host = value
                    continue
                elif act == PRESENT:
                    note(lower)
                elif act == ACCEPT and not accept and len(value) <= MAX_ACCEPT_BYTES:
                    accept.append(value)
                elif act == PARENT:
                    if parent is not None:
                        return None
                    parent = value
                elif act != PASS:
                    extra += len(name) + len(value) + 4
                    if act == TAKE:
                        if lower in SETTLED and value not in SETTLED[lower]:
                            return None
                        note(lower)
                        note(value)
                    elif act == LENGTH:
                        if length is not None or not is_plain_length(value):
                            return None
                        length = value
                    elif act == ID:
                        if has_id:
                            return None
                        has_id = True
                        if self._trusts_id and is_request_id(value):
                            named = value
                            if self.passes_id:
                                put(written)
                                put(value)
                    elif act == TELL:
                        told += (lower, value)
                    elif act in (DOUBT, ACCEPT):
                        return None
                    continue
            put(written)
            put(value)
        return None if host is None else (out, host, length, named, parent, key, told, accept, extra)

    def find_route(self, host: bytes, target: bytes) -> int:
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

    def _meet(self, asked: _Case, connection: "Connection") -> Client | None:
        """Get to know a client. A name that nobody has asked for before is left to others."""
        _, number, host, *told = asked
        if number < 0 or not self._sights.is_second((number, host)) or _bytes_of(asked) > MAX_KEY_BYTES:
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
            site = Site(route)
            self._sites.put(seen, site)
        client = Client(facts.address, serialize(lines), site, connection.tls)
        self.clients.put(asked, client)
        return client

    def _repeat(self, known: KnownForward | KnownAnswer, client: Client, read: _Read, head: RequestHead, fresh: "Fresh") -> "Plan | None":
        """Make the plan of a known decision; None where a limit takes a closer look."""
        passed, _, length, named, parent, _, _, accept, extra = read
        site = client.site
        counted = b"" if self._rate is None else key_of(self._rate, client.address, head.lines)
        if site.sifts and isinstance(known, KnownForward):
            extra += sum(map(len, passed))
            passed = site.sift(passed)
        copied = Copied(named, parent, length, accept or (), counted)
        if length is not None and not self.allows(known, length):
            return None
        recalled = Recalled(known, client, copied, begins=self._begins and parent is None)
        found = recalled.plan(fresh, opening_of(known, client, head.target, b"".join(passed)))
        # All that came is in the head, or counted; where that is near the limit, it is counted exactly.
        if isinstance(found, Forward) and len(found.head) + extra + site.margin > self._max_head:
            return None
        return found

    @staticmethod
    def allows(known: KnownForward | KnownAnswer, length: bytes) -> bool:
        """Tell whether a request may have so much content."""
        return not isinstance(known, KnownForward) or known.body_limit is None or int(length) <= known.body_limit

    def _learn(self, case: _Case, client: Client, read: _Read, asked: "tuple[RequestHead, Connection, Fresh]", planned: "Plan") -> None:
        """Remember a decision, if it can be: cut at what is copied, it has to give back the plan that was made anew."""
        head, connection, fresh = asked
        if len(head.method) > MAX_METHOD_BYTES or _bytes_of(case) > MAX_KEY_BYTES:
            return
        own = self._id_header.lower() if read[3] else b""
        lines = [(name, CUT_ID if name.lower() == own else value) for name, value in head.lines]
        marked = fresh._replace(request_id=CUT_ID, trace_id=CUT_TRACE, parent_id=CUT_PARENT)
        probe = self._anew(self._settings, head._replace(lines=[*lines, CUT]), connection, marked)
        known: KnownForward | KnownAnswer | None = None
        if isinstance(probe, Answer):
            known = KnownAnswer(probe.context, probe.context.exchange[COPIED:], probe.status, probe.head, probe.reason)
        elif type(probe) is Forward:
            known = cut(probe, client, read[2])
        if known is not None and self._repeat(known, client, read, head, fresh) == planned:
            self.known.put(case, known)


def _bytes_of(case: _Case) -> int:
    return sum(len(part) for part in case if isinstance(part, bytes))
