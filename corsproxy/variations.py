"""
Heads of one client that are the same but for one place, as when it asks for one path after another: only what differs is read.

The rest was read before, byte for byte, and means what it meant then.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from corsproxy.semantics.target import is_plain_target

if TYPE_CHECKING:
    from corsproxy.request_layouts import Found

_new: Final = tuple.__new__


class Variation:
    """
    A head with a gap for a target or a field line, between `begin` and `end`, empty line included; and the upstream's, with the same gap.

    `is_line` tells whether a line may stand in the gap; without it, there a target stands. `most` is how many bytes a head may have.
    """

    __slots__ = ("_base", "_before", "_behind", "_is_line", "_most", "begin", "end")

    def __init__(
        self, base: "Found", begin: bytes, end: bytes, gap: tuple[int, int], most: int, is_line: Callable[[bytes], bool] | None
    ) -> None:
        """`gap` is where the opening of `base` has what is in the gap: from where, and how much."""
        self.begin = begin
        self.end = end
        self._base = base
        self._before, self._behind = base.opening[: gap[0]], base.opening[sum(gap) :]
        self._most = most
        self._is_line = is_line

    def fill(self, head: bytes) -> "Found | None":
        """Return what is known of a head that begins and ends so; None if what is in the gap takes a closer look."""
        piece = head[len(self.begin) : -len(self.end)]
        recalled, method, target, agent, _, form = self._base
        if not len(self.begin) + len(self.end) < len(head) <= self._most:
            return None
        if self._is_line is None:
            if is_plain_target(piece) is None:
                return None
            target = piece
        elif not self._is_line(piece):
            return None
        return _new(type(self._base), (recalled, method, target, agent, b"".join((self._before, piece, self._behind)), form))
