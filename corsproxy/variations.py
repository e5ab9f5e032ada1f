"""
Heads of one client that are the same but in a few places, as when it asks for one path after another: only what differs is read.

The rest was read before, byte for byte, and means what it meant then (`gaps`).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from corsproxy.gaps import LENGTH, TARGET, VALUE, Gaps, Takes, Template, cut, value_of
from corsproxy.known import KnownForward
from corsproxy.recall import Recall
from corsproxy.semantics.framing import HEAD_END

if TYPE_CHECKING:
    from corsproxy.known import Recalled
    from corsproxy.request_layouts import Found

_new: Final = tuple.__new__


class Terms(NamedTuple):
    """
    What a head is held to whatever stands in its gaps. `most` is how many bytes it may have.

    `is_there` tells whether a target leads to where the others do, None where all do. `name_of` returns the id that a client's id comes to, and
    `line_of` what takes a line that means the same as the one in a place, whatever its name.
    """

    most: int
    is_there: Callable[[bytes], bool] | None
    name_of: Callable[[bytes], bytes]
    line_of: Callable[[int], Takes]


class Variation:
    """
    A head with gaps, for a target, for the values of lines that pass, or for these lines, and for what is copied; and the upstream's, with the same gaps.

    `form` is that of the heads that it fits, and `places` are their lines with a gap, the request line being 0; those that are all gap are in `whole`. After `fill`, `size` is how many
    bytes such a head had.
    """

    __slots__ = (
        "_base",
        "_copied",
        "_gaps",
        "_has_target",
        "_is_simple",
        "_made",
        "_picks",
        "_template",
        "_terms",
        "form",
        "places",
        "size",
        "whole",
    )

    def __init__(self, base: "Found", lines: Sequence[bytes], places: set[int], whole: set[int], terms: Terms) -> None:
        """`lines` are those of the head that `base` was made of."""
        known, client, layout = base.recalled.known, base.recalled.client, base.form.layout
        assert isinstance(known, KnownForward)  # noqa: S101 - of what is answered nothing varies
        self.form, self.places, self.whole, self.size = base.form, places, whole, 0
        self._base, self._terms = base, terms
        self._has_target = 0 in places
        places_of = {"length": layout.length + 1, "parent": layout.parent + 1, "name": layout.id + 1}
        kept = [0, *(place + 1 for place in base.form.keeps)]
        wanted = sorted(place for place in places if place in kept or place in places_of.values())
        takes = {place: terms.line_of(place) for place in whole} | {0: TARGET}
        if layout.length >= 0:
            takes[places_of["length"]] = LENGTH
        gaps = {place: (0, len(lines[place])) if place in whole else value_of(lines[place]) for place in places if place}
        spans = gaps | {0: _span(base.method + b" ", base.target)} if 0 in places else gaps
        parts = cut(lines, spans)
        parts[-1] += HEAD_END
        self._gaps = Gaps(parts, [(takes.get(place, VALUE), place in wanted) for place in sorted(places)])
        # What is copied to other places than the opening, each with which of the pieces it is.
        self._copied = [(name, wanted.index(place)) for name, place in places_of.items() if place in wanted and place]
        picks = [at for at, place in enumerate(wanted) if place in kept]
        self._picks = picks if len(picks) < len(wanted) else None
        target = client.site.cut(base.target) if client.site.stripped else base.target
        written = [known.start + target + known.host, *(lines[place] for place in kept[1:])]
        spans = {at: gaps[place] if at else _span(known.start, target) for at, place in enumerate(kept) if place in places}
        parts = cut(written, spans)
        parts[-1] += base.opening[len(b"\r\n".join(written)) :]
        self._template = Template(parts)
        # As most are: nothing but paths and values that pass.
        self._is_simple = (
            not self._copied and self._picks is None and self._has_target and terms.is_there is None and not client.site.stripped
        )
        self._made = type(base)

    def fill(self, data: bytes) -> "Found | None":
        """Return what is known of the head that the first bytes are; None if it differs in another place, or what differs takes a closer look."""
        gaps, terms = self._gaps, self._terms
        pieces = gaps.read(data)
        size = self.size = gaps.size
        if pieces is None or size > terms.most:
            return None
        recalled, method, target, agent, _, form = self._base
        if self._is_simple:
            return _new(self._made, (recalled, method, pieces[0], agent, self._template.fill(pieces), form))
        if self._copied:
            copied = self._copy(recalled, pieces)
            if copied is None:
                return None
            recalled = copied
        written = pieces if self._picks is None else [pieces[at] for at in self._picks]
        if self._has_target:
            target, site = written[0], recalled.client.site
            if terms.is_there is not None and not terms.is_there(target):
                return None
            if site.stripped:
                written = [site.cut(target), *written[1:]]
        return _new(self._made, (recalled, method, target, agent, self._template.fill(written), form))

    def _copy(self, recalled: "Recalled", pieces: Sequence[bytes]) -> "Recalled | None":
        """Return what is known of a request with other bytes to copy; None if they decide another thing."""
        values = {name: pieces[at] for name, at in self._copied}
        length = values.get("length")
        if length is not None and (length == b"0" or not Recall.allows(recalled.known, length)):
            return None
        if "name" in values:
            values["name"] = self._terms.name_of(values["name"])
            if bool(values["name"]) is not bool(recalled.name):
                return None
        return recalled.but(**values)


def _span(before: bytes, gap: bytes) -> tuple[int, int]:
    return len(before), len(before) + len(gap)
