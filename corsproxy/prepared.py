"""
Response heads that are edited: those that are known but for the id of their exchange, and those that differ from one of these in a few places.

An upstream says the same of one answer after another, but for a date, a length or an id: such a head is not looked at line by line.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from corsproxy.gaps import LENGTH, VALUE, Gaps, Template, cut, differing, names_differ, value_of
from corsproxy.meanings import Judge
from corsproxy.memo import Memo
from corsproxy.response_layouts import ResponseLayout
from corsproxy.rewrite import Notice
from corsproxy.semantics import acts
from corsproxy.semantics.framing import HEAD_END, Body, BodyKind, whole_chunks

# A head with more bytes is not kept.
MAX_BYTES: Final = 2048
# Kinds of heads that are told apart, and those of which the gaps are tried.
MAX_KINDS: Final = 8
MAX_TRIED: Final = 4
# So many heads that differed nowhere else, as within the second that a Date says, are worth a look at the next one line by line.
_STABLE: Final = 64

_new: Final = object.__new__
_body: Final = tuple.__new__


# Nobody changes one; see Context.
@dataclass(slots=True)
class Received:
    """
    A response head that may be relayed.

    `body` says how the upstream's body ends, `client_body` how the client will see it end. `reusable`: the
    upstream keeps its connection after a complete body. The client's head is `before`, a Date unless it `has_date`, `after`, and
    what the moment says of the connection. `notices` are what the operator should know of it.
    """

    status: int
    body: Body
    client_body: Body
    reusable: bool
    before: bytes
    after: bytes
    has_date: bool
    notices: tuple[Notice, ...] = ()


class Prepared:
    """
    A head that was edited, but for the id of its exchange: `before`, the id, `behind`, a Date unless it `has_date`, and `after`. The rest as in Received.

    `length` is how many bytes of content the upstream sends, -1 where its head does not say. Nobody changes one; it is written for many clients.
    """

    __slots__ = ("after", "before", "behind", "body", "end", "has_date", "length", "reusable", "status")

    def __init__(self, status: int, framing: tuple[Body, bool], pieces: tuple[bytes, bytes, bytes], *, has_date: bool) -> None:
        """`framing` are the body and whether the connection is reusable, `pieces` are `before`, `behind` and `after`."""
        before, behind, after = pieces
        self.status = status
        self.body, self.reusable = framing
        self.length = self.body.length if self.body.kind in (BodyKind.LENGTH, BodyKind.NONE) else -1
        self.has_date = has_date
        self.before = before
        self.behind = behind
        self.after = after
        # What is left to write for a client that stays, where there is a Date.
        self.end = behind + after + b"\r\n"

    def chunks(self, data: bytes) -> Sequence[bytes] | None:
        """Return the content that chunks have, if they are all that there is; else None."""
        return whole_chunks(data) if self.body.kind is BodyKind.CHUNKED else None

    def end_at(self, date: bytes) -> bytes:
        """Return what is left to write for a client that stays, where there is no Date."""
        return b"%bDate: %b\r\n%b\r\n" % (self.behind, date, self.after)

    def received(self, name: bytes) -> Received:
        """Return it for an exchange that goes by this id."""
        before = b"".join((self.before, name, self.behind))
        return Received(self.status, self.body, self.body, self.reusable, before, self.after, self.has_date)

    def but(self, before: bytes, length: int) -> "Prepared":
        """Return the same with other bytes before the id, and another length unless that is -1."""
        found = _new(Prepared)
        found.status, found.reusable, found.has_date = self.status, self.reusable, self.has_date
        found.before, found.behind, found.after, found.end = before, self.behind, self.after, self.end
        if length < 0:
            found.body, found.length = self.body, self.length
        else:
            found.body, found.length = _body(Body, (BodyKind.LENGTH, length)), length
        return found


class Variation:
    """
    Heads that mean the same, line by line, and differ in some places: how one is edited with what stands there.

    `hits` counts them. After `fill`, `size` is how many bytes the head had.
    """

    __slots__ = ("_base", "_gaps", "_length", "_template", "hits", "size")

    def __init__(self, base: Prepared, layout: ResponseLayout, lines: Sequence[bytes], places: set[int]) -> None:
        """`base` was made of `lines`, the status line last, and these differ from others of the `layout` in `places`, which `may_differ`."""
        *fields, start = lines
        self.hits = self.size = 0
        self._base = base
        takes = [(LENGTH if place == layout.length else VALUE, place in layout.keeps) for place in sorted(places)]
        parts = cut([start, *fields], {place + 1: value_of(fields[place]) for place in places})
        parts[-1] += HEAD_END
        self._gaps = Gaps(parts, takes)
        kept = [fields[place] for place in layout.keeps]
        parts = cut([start, *kept], {at + 1: value_of(kept[at]) for at, place in enumerate(layout.keeps) if place in places})
        # What is written behind the lines that pass.
        parts[-1] += base.before[len(b"\r\n".join([start, *kept])) :]
        self._template = Template(parts)
        # Which of what passes is the length of a body that comes.
        self._length = -1
        if base.body.kind is BodyKind.LENGTH and layout.length in places:
            self._length = sum(place in places for place in layout.keeps if place < layout.length)

    def fill(self, data: bytes) -> Prepared | None:
        """Edit the head that the first bytes are; None if it differs in another place, or what differs takes a closer look."""
        gaps = self._gaps
        pieces = gaps.read(data)
        if pieces is None:
            return None
        self.hits += 1
        self.size = gaps.size
        if not pieces:
            return self._base
        return self._base.but(self._template.fill(pieces), int(pieces[self._length]) if self._length >= 0 else -1)


class Kind:
    """Heads that mean the same, line by line: the last one's lines, in what places they differed, and how often that was not known before."""

    __slots__ = ("lines", "misses", "places", "variation")

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.lines = lines
        self.places: set[int] = set()
        self.misses = 0
        self.variation: Variation | None = None

    def learn(self, base: Prepared, layout: ResponseLayout, lines: Sequence[bytes]) -> None:
        """See in what places a head differs from the last one. More and more rarely: what could not be known before will be so again."""
        places = self.places
        if self.variation is not None and self.variation.hits >= _STABLE:
            self.misses = 0
        else:
            self.misses += 1
            if self.misses & (self.misses - 1):
                return
            places = places | differing(self.lines, lines)
        if all(may_differ(layout, place, self.lines[place], lines[place]) for place in places):
            self.places, self.variation = places, Variation(base, layout, lines, places)
        self.lines = lines


def may_differ(layout: ResponseLayout, place: int, one: bytes, other: bytes) -> bool:
    """Tell whether two lines in one place of a layout differ in nothing but a value that changes nothing else, or is the length."""
    meaning = layout.meanings[place]
    return (meaning.is_free or meaning.act == acts.LENGTH) and not names_differ(one, other)


# Edits a head by its lines: what is made of it, its layout, and its lines, the status line last.
Edit = Callable[[bytes, Judge], tuple[Prepared, ResponseLayout, Sequence[bytes]] | None]


class Alike:
    """Edits the answers to requests that were decided alike. It is equal to itself alone."""

    __slots__ = ("_edit", "_kinds", "_tried")

    def __init__(self, edit: Edit) -> None:
        self._edit = edit
        self._kinds: Memo[tuple[ResponseLayout, bytes], Kind] = Memo(MAX_KINDS)
        self._tried: list[Variation] = []

    def recall(self, data: bytes, most: int, judge: Judge) -> tuple[Prepared, int] | None:
        """
        Edit the head that the first bytes are, without taking it apart, and say how many they are; None where it takes a parser.

        `most` is how many they may be.
        """
        tried = self._tried
        for variation in tried:
            found = variation.fill(data)
            if found is not None:
                if variation is not tried[0]:
                    self._try_first(variation)
                size = variation.size
                return (found, size) if size <= most else None
        end = data.find(HEAD_END)
        size = end + len(HEAD_END)
        found = self._meet(data[:end], judge) if end > 0 and size <= most else None
        return (found, size) if found is not None else None

    def _meet(self, raw: bytes, judge: Judge) -> Prepared | None:
        """Edit a head, less its last two line ends, by its lines, and see in what places it differs from others."""
        edited = self._edit(raw, judge)
        if edited is None:
            return None
        found, layout, lines = edited
        if len(raw) > MAX_BYTES:
            return found
        key = (layout, lines[-1])
        kind = self._kinds.find(key)
        if kind is None:
            self._kinds.put(key, Kind(lines))
            return found
        known = kind.variation
        if known is None or known in self._tried or known.fill(raw + HEAD_END) is None:
            kind.learn(found, layout, lines)
        if kind.variation is not None:
            self._try_first(kind.variation, instead_of=known)
        return found

    def _try_first(self, variation: Variation, instead_of: Variation | None = None) -> None:
        rest = [other for other in self._tried if other is not variation and other is not instead_of]
        self._tried = [variation, *rest[: MAX_TRIED - 1]]
