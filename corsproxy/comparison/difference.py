"""A difference between two policies: where, in what, and whether it lets more in."""

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What a difference does; the values are stable API."""

    WIDENED = "widened"  # Something is allowed that was not.
    MAY_WIDEN = "may-widen"  # It cannot be told whether something is: a pattern, or what only the upstream knows.
    NARROWED = "narrowed"  # Something is no longer allowed.
    CHANGED = "changed"  # Neither, and worth knowing.

    @property
    def widens(self) -> bool:
        """Whether a review must look at it: doubt counts."""
        return self in (Effect.WIDENED, Effect.MAY_WIDEN)


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One difference.

    `path` is the route that it concerns, with `hosts` if it is for certain ones; empty for what is so for all routes. `key` is the key of
    the file, `items` are the entries that came or went, and `words` say it in a clause. `place` is where the new file (for what went, the
    old one) says so: `file:line:column`, or empty.
    """

    effect: Effect
    key: str
    words: str
    items: tuple[str, ...] = ()
    path: str = ""
    hosts: tuple[str, ...] = ()
    place: str = ""
