"""
Bounded memories: what was worked out once need not be worked out again, and nobody can make them grow.

They change how long an answer takes, and never the answer.
"""

from collections.abc import Hashable
from typing import Any, Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MAX_SIGHTS: Final = 4096


class Memo(Generic[Key, Value]):
    """
    A memory of two generations. What is asked for again stays; what was asked for once goes with its generation.

    So whoever makes keys up can neither make it grow over twice `max_entries`, nor drive out what others use.
    """

    __slots__ = ("_max_entries", "_old", "young")

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self.young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def find(self, key: Key) -> Value | None:
        """Return what is known of a key, or None. A caller in a hurry asks `young` first."""
        found = self.young.get(key)
        if found is None and self._old:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Key, value: Value) -> None:
        """Keep a value."""
        if len(self.young) >= self._max_entries:
            self._old, self.young = self.young, {}
        self.young[key] = value

    def __len__(self) -> int:
        """Count what is kept, twice where it is in both generations."""
        return len(self.young) + len(self._old)


class Sights:
    """Tells what comes again from what comes once, by hashes alone; two keys with one hash make a second sight of the first."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def is_second(self, key: Hashable) -> bool:
        """Take note of a key; tell whether it was there before, not too long ago."""
        sight = hash(key)
        if sight in self.seen:
            return True
        if len(self.seen) >= _MAX_SIGHTS:
            self.seen.clear()
        self.seen.add(sight)
        return False


class Kept:
    """A place in a frozen value for what higher floors have worked out from it; it goes when the value goes."""

    __slots__ = ("by_edits", "by_lines", "by_plan")

    def __init__(self) -> None:
        self.by_plan: Any = None
        self.by_lines: Any = None
        self.by_edits: Any = None
