"""
Plans for heads that are not taken apart: by what their lines mean, one after the other.

`recall` knows a decision by what was read of a head. Here that is known by the lines themselves (`meanings`): the meanings of all lines of a
head, in their order, are its layout, and a layout says which lines pass, which are copied, and what decides. So a head whose layout was
met before costs a look at each line, and no parser. Whatever is rare, in doubt or new is left to `recall`, which gets it parsed.

Nothing is decided here: a layout leads to the decision that `recall` has for the same lines. Every memory is bounded.
"""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from corsproxy.answers import Answer
from corsproxy.forward import Forward
from corsproxy.gaps import differing, names_differ
from corsproxy.known import Copied, KnownAnswer, KnownForward, Recalled, opening_of
from corsproxy.meanings import Judge, Meaning, Meanings
from corsproxy.memo import Memo, Sights
from corsproxy.recall import Recall
from corsproxy.record import MAX_USER_AGENT
from corsproxy.resilience.bucket import key_of
from corsproxy.semantics.accept import MAX_BYTES as MAX_ACCEPT_BYTES
from corsproxy.semantics.acts import ACCEPT, DOUBT, HOST, ID, LENGTH, PARENT, PASS, PRESENT, READ, SETTLED, SKIP, TAKE, TELL, RequestNames
from corsproxy.semantics.target import PLAIN_TARGET
from corsproxy.semantics.trace import is_request_id
from corsproxy.variations import Terms, Variation

if TYPE_CHECKING:
    from corsproxy.config.settings import Settings
    from corsproxy.plan import Connection, Fresh

MAX_LAYOUTS: Final = 512
# A layout's decisions, by method, site, and what is copied.
MAX_FORMS: Final = 64

# What llhttp takes for one of the common request lines.
_START: Final = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (%b) HTTP/1\.1" % PLAIN_TARGET).fullmatch
_READ_BY_VALUE: Final = frozenset({READ, TAKE, HOST, ACCEPT})
_READ_BY_NAME: Final = frozenset({READ, TAKE, PRESENT, ACCEPT, TELL, ID, PARENT})
_CODING: Final = b"transfer-encoding"
# Where the values begin behind these names.
_LENGTH_CUT, _PARENT_CUT, _AGENT_CUT = len("Content-Length: "), len("traceparent: "), len("User-Agent: ")
_PASSING: Final = frozenset({PASS, READ, PRESENT, ACCEPT, PARENT, ID})
# Of what does not matter for any decision, or is copied.
_VARYING: Final = frozenset({PASS, PRESENT, PARENT, ID, SKIP})
# Of these, the name does not matter either.
_NAMELESS: Final = frozenset({PASS, SKIP})


class Form(NamedTuple):
    """The decision of a layout for one method and site; `keeps` are the places of the lines that pass, and `pick` takes them, behind the last of all."""

    known: KnownForward | KnownAnswer
    layout: "Layout"
    keeps: tuple[int, ...]
    pick: "Pick"


class Found(NamedTuple):
    """A request that is known: what happens to it, what it says of itself, and the head for the upstream up to the id."""

    recalled: Recalled
    method: bytes
    target: bytes
    agent: bytes
    opening: bytes
    form: Form

    def plan(self, fresh: "Fresh") -> Answer | Forward:
        """Make the plan."""
        return self.recalled.plan(fresh, self.opening)


_new: Final = tuple.__new__
Pick = Callable[[Sequence[bytes]], Sequence[bytes]]


class Layout:
    """
    What the lines of a head mean, one after the other. Places are theirs, from 0, and -1 for a line that is not there.

    `key` is what decides, as `recall` reads it; `tells` are the places of what a trusted proxy says, each with the name. `forms` are the
    decisions that are known, each with what picks the lines that pass.
    """

    __slots__ = ("accept", "agent", "forms", "host", "id", "is_bare", "key", "length", "meanings", "parent", "tells")

    def __init__(self, meanings: tuple[Meaning, ...]) -> None:
        self.meanings = meanings
        self.host = b""
        self.key: list[bytes] = []
        self.tells: list[tuple[bytes, int]] = []
        self.accept: Sequence[bytes] = ()
        self.length = self.id = self.parent = self.agent = -1
        self.is_bare = True
        self.forms: dict[Any, Form] = {}


def lay_out(meanings: tuple[Meaning, ...], agent: int) -> Layout | None:  # noqa: C901 - one branch for each act
    """Make a layout; None for what takes a closer look. `agent` is the mark of the line that is the User-Agent."""
    found = Layout(meanings)
    marks, has_host = 0, False
    for place, meaning in enumerate(meanings):
        act, lower, value = meaning.act, meaning.lower, meaning.value
        if marks & meaning.mark:
            return None
        marks |= meaning.mark
        if meaning.mark == agent:
            found.agent = place
        if act == HOST:
            if has_host:
                return None
            has_host, found.host = True, value
        elif act == READ:
            found.key += (lower, value)
        elif act == TAKE:
            if value not in SETTLED.get(lower, (value,)):
                return None
            found.key += (lower, value)
        elif act == PRESENT:
            found.key.append(lower)
        elif act == ACCEPT:
            if found.accept or len(value) > MAX_ACCEPT_BYTES:
                return None
            found.accept = [value]
        elif act == TELL:
            found.tells.append((lower, place))
        elif act in (LENGTH, ID, PARENT):
            name = {LENGTH: "length", ID: "id", PARENT: "parent"}[act]
            if getattr(found, name) >= 0:
                return None
            setattr(found, name, place)
            found.is_bare = False
    return found if has_host else None


class RequestLayouts:
    """The layouts of requests by one Settings, with the marks that a judge gives."""

    def __init__(self, settings: "Settings", recall: Recall, judge: Judge) -> None:
        self._recall = recall
        self._judge = judge
        forwarding, limits = settings.forwarding, settings.limits
        self._id_cut = len(forwarding.request_id_header) + 2
        self._trusts_id = forwarding.trusts_request_id
        self._rate = settings.rate_limit
        # What a limit counts by may be any field.
        self._is_off = self._rate is not None and bool(self._rate.field)
        self._max_bytes, self._max_lines, self._max_target = limits.request_head - 2, limits.header_count, recall.max_target
        # A head up to here is within all limits.
        self._most = -1 if self._is_off else min(self._max_bytes, self._max_target)
        self._begins = forwarding.begins_trace
        self._agent = judge.mark(b"user-agent")
        self._rules = [route.request_headers for route in settings.routes if route.request_headers]
        self._trusts = recall.trusts
        self._strangers = Meanings(lambda name: self._act(recall.names, name))
        self._trusted = Meanings(lambda name: self._act(recall.trusted_names, name))
        self._layouts: Memo[tuple[Meaning, ...], Layout] = Memo(MAX_LAYOUTS)
        self._sights = Sights()

    def find(self, raw: bytes, connection: "Connection") -> Found | None:  # noqa: C901 - each call costs as much as what is done in it
        """
        Say what happens to a request, as `plan` does; None for whatever is not known. `raw` is a head without its last two line ends.

        Pure but for what is remembered. Never raises for client input.
        """
        lines = raw.split(b"\r\n")
        start = _START(lines.pop(0))
        if start is None or len(lines) > self._max_lines:
            return None
        method, target = start.groups()
        if len(raw) > self._most and (self._is_off or len(raw) > self._max_bytes or len(target) > self._max_target):
            return None
        known_lines = self._strangers if self._trusts is None else self._known_lines(connection)
        meanings: Any = tuple(map(known_lines.lines.young.get, lines))
        layout = self._layouts.young.get(meanings)
        if layout is None:
            meanings = known_lines.read(lines, meanings, self._judge)
            layout = self._layouts.young.get(meanings) or self._meet_layout(meanings)
        if layout is None:
            return None
        recall = self._recall
        number = 0 if recall.is_simple else recall.find_route(layout.host, target)
        asked: Any = (connection, number, layout.host)
        if layout.tells:
            asked += self._told(layout, lines)
        client = recall.clients.young.get(asked) or recall.clients.find(asked)
        if client is None:
            return None
        named, length = b"", None
        form: Any = (client.site, method)
        if not layout.is_bare:
            if layout.id >= 0:
                named = self._name_of(lines[layout.id][self._id_cut :])
            if layout.length >= 0:
                length = lines[layout.length][_LENGTH_CUT:]
            form += (named != b"" and recall.passes_id, length == b"0")
        found = layout.forms.get(form) or self._meet(layout, form)
        if found is None:
            return None
        known, _, _, pick = found
        parent = lines[layout.parent][_PARENT_CUT:] if layout.parent >= 0 else None
        agent = lines[layout.agent][_AGENT_CUT : _AGENT_CUT + MAX_USER_AGENT] if layout.agent >= 0 else b""
        counted = b"" if self._rate is None else key_of(self._rate, client.address, ())
        # What is picked last stands first, so that there is a line end before each that passes.
        lines.append(b"")
        copied = _new(Copied, (named, parent, length, layout.accept, counted))
        if length is not None and not recall.allows(known, length):
            return None
        recalled = Recalled(known, client, copied, begins=self._begins and parent is None)
        opening = opening_of(known, client, target, b"\r\n".join(pick(lines)))
        return _new(Found, (recalled, method, target, agent, opening, found))

    def vary(
        self, last: Variation | None, old: Found, new: Found, heads: tuple[bytes, bytes], connection: "Connection"
    ) -> Variation | None:
        """
        Look whether two heads differ in nothing but what may stand in gaps, as well as in those of the `last` variation; None if not.

        `heads` are those of the old one and of the new one, with their empty lines.
        """
        form, client = new.form, new.recalled.client
        if form is not old.form or client is not old.recalled.client or not isinstance(new.recalled.known, KnownForward):
            return None
        before, lines = (head.split(b"\r\n")[:-2] for head in heads)
        places = differing(before, lines)
        whole = {place for place in places if place and names_differ(before[place], lines[place])}
        if last is not None and last.form is form:
            places |= last.places
            whole |= last.whole
        if not places or not all(self._may_differ(form.layout, place - 1, is_whole=place in whole) for place in places if place):
            return None
        known_lines, meanings = self._known_lines(connection), form.layout.meanings
        is_there = None
        if not self._recall.is_simple:
            host = form.layout.host
            number = self._recall.find_route(host, new.target)
            is_there = lambda target: self._recall.find_route(host, target) == number  # noqa: E731
        terms = Terms(self._most, is_there, self._name_of, lambda place: known_lines.line_of(meanings[place - 1], self._judge))
        return Variation(new, lines, places, whole, terms)

    def _may_differ(self, layout: Layout, place: int, *, is_whole: bool) -> bool:
        """Tell whether the value in a place of a layout, or the whole line, passes, is copied or goes nowhere whatever it is."""
        meaning = layout.meanings[place]
        if is_whole:
            return meaning.is_free and meaning.act in _NAMELESS and place != layout.agent
        return meaning.act == LENGTH or (meaning.is_free and meaning.act in _VARYING and place != layout.agent)

    def _name_of(self, value: bytes) -> bytes:
        """Return the id that a client's id comes to, nothing where a fresh one is taken."""
        return value if self._trusts_id and is_request_id(value) else b""

    def _known_lines(self, connection: "Connection") -> Meanings:
        return self._strangers if self._trusts is None or not self._trusts(connection.peer) else self._trusted

    def _told(self, layout: Layout, lines: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return what a trusted proxy says of the client: each name, and its value."""
        return tuple(part for name, place in layout.tells for part in (name, lines[place][len(name) + 2 :]))

    def _meet_layout(self, meanings: tuple[Meaning, ...] | None) -> Layout | None:
        """Find the layout of lines that were asked for some time ago; make one when it is asked for a second time."""
        if meanings is None:
            return None
        layout = self._layouts.find(meanings)
        if layout is None and self._sights.is_second(meanings):
            layout = lay_out(meanings, self._agent)
            if layout is not None:
                self._layouts.put(meanings, layout)
        return layout

    def _meet(self, layout: Layout, form: Any) -> Form | None:
        """Find the decision that is known for the same lines in another form, and what picks those that pass."""
        site, method, *copied = form
        keeps_id, is_empty = copied or (False, False)
        size = 0 if layout.length < 0 else 1 if is_empty else 2
        known = self._recall.known.find((site, method, size, layout.parent < 0, keeps_id, *layout.key))
        if known is None:
            return None
        keeps = tuple(
            place
            for place, meaning in enumerate(layout.meanings)
            if meaning.act in _PASSING and (keeps_id or meaning.act != ID) and not (meaning.lower and site.drops(meaning.lower))
        )
        if len(layout.forms) >= MAX_FORMS:
            layout.forms.clear()
        found = layout.forms[form] = Form(known, layout, keeps, itemgetter(-1, *keeps))
        return found

    def _act(self, names: RequestNames, name: bytes) -> tuple[int, bytes, bool]:
        """Say what is done with a name. It counts where something depends on it, rules of routes included."""
        act, lower, _ = (PASS, b"", b"") if name in names.passed else names.acts.get(name) or names.meet(name)
        if act == TAKE and lower == _CODING:
            # Where such a body ends only a parser can tell.
            act = DOUBT
        if act not in _READ_BY_NAME:
            lower = name.lower() if any(rules.drops(name) for rules in self._rules) else b""
        return act, lower, act in _READ_BY_VALUE
