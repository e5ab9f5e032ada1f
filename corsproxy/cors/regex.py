"""
A small regular language that no input can make slow.

It reads the subset of regular expressions that a policy may use and matches whole strings by walking
sets of states (Thompson's construction), so that time is bounded by length times states, whatever the
pattern and whatever the origin. Python's `re` backtracks: `(a|a){40}` would hang on it.
"""

from dataclasses import dataclass
from typing import Final

# After `{m,n}` is written out. A pattern for origins has a few dozen.
MAX_STATES: Final = 500
MAX_STEPS: Final = 10 * MAX_STATES
MAX_DEPTH: Final = 20
MAX_UNBOUNDED: Final = 2
_DIGITS: Final = frozenset(b"0123456789")
_WORD: Final = _DIGITS | frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_ANY: Final = frozenset(range(0x20, 0x7F))
_SHORTHANDS: Final = {"d": _DIGITS, "D": _ANY - _DIGITS, "w": _WORD, "W": _ANY - _WORD}
_META: Final = frozenset("*+?{}])|")


class RegexRefused(ValueError):
    """
    The pattern lies outside of the subset.

    `position` counts characters from the pattern's start; `help` is an imperative ; it is never empty.
    """

    def __init__(self, message: str, position: int, help: str = "") -> None:  # noqa: A002 - the field's name in every diagnostic
        super().__init__(message)
        self.position = position
        self.help = help


@dataclass(frozen=True, slots=True)
class _Bytes:
    allowed: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    node: "_Node"
    least: int
    most: int | None


_Node = _Bytes | _Sequence | _Choice | _Repeat


class Regex:
    """
    A compiled pattern: `fullmatch(value)` is linear in the value.

    Raises RegexRefused for a pattern outside of the subset.
    """

    __slots__ = ("_accept", "_start", "_steps", "has_loose_dot", "pattern")

    def __init__(self, pattern: str) -> None:
        reader = _Reader(pattern)
        node = reader.read()
        self.pattern = pattern
        self.has_loose_dot = reader.has_loose_dot
        builder = _Builder()
        self._accept = builder.state()
        self._start = builder.closure(builder.build(node, self._accept))
        # Every consuming state: the bytes it takes, and the states (closed over empty moves) it leads to.
        self._steps = {state: (allowed, builder.closure(to)) for state, (allowed, to) in builder.consuming.items()}

    def __eq__(self, other: object) -> bool:
        """Compare by what is written: a file that is loaded again says the same."""
        return isinstance(other, Regex) and self.pattern == other.pattern

    def __hash__(self) -> int:
        """Stand for the pattern."""
        return hash(self.pattern)

    def fullmatch(self, value: bytes) -> bool:
        """Tell whether the whole value matches."""
        return self._accept in self._walk(value)

    def may_start_with(self, prefix: bytes) -> bool:
        """Tell whether some match begins with the prefix."""
        # Every state leads to the accepting one, so any state left is a match to come.
        return bool(self._walk(prefix))

    def _walk(self, value: bytes) -> frozenset[int]:
        states = self._start
        for byte in value:
            following: set[int] = set()
            for state in states:
                step = self._steps.get(state)
                if step is not None and byte in step[0]:
                    following |= step[1]
            states = frozenset(following)
            if not states:
                break
        return states


class _Builder:
    """Writes an automaton from its end to its beginning."""

    def __init__(self) -> None:
        self.consuming: dict[int, tuple[frozenset[int], int]] = {}
        self.empty: dict[int, list[int]] = {}
        self.count = 0
        self.steps = 0

    def state(self) -> int:
        self.count += 1
        if self.count > MAX_STATES:
            raise RegexRefused(f"the pattern is too large: over {MAX_STATES} states", 0, "use smaller counts in `{m,n}`")
        return self.count

    def build(self, node: _Node, end: int) -> int:
        """Return the state from which `node` leads to `end`."""
        # Empty groups make no states, but nested counts of them would never come to an end.
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise RegexRefused(f"the pattern is too large: over {MAX_STEPS} steps", 0, "use smaller counts in `{m,n}`")
        match node:
            case _Bytes(allowed):
                start = self.state()
                self.consuming[start] = (allowed, end)
                return start
            case _Sequence(parts):
                for part in reversed(parts):
                    end = self.build(part, end)
                return end
            case _Choice(options):
                start = self.state()
                self.empty[start] = [self.build(option, end) for option in options]
                return start
        return self._build_repeat(node, end)

    def _build_repeat(self, repeat: _Repeat, end: int) -> int:
        inner, least, most = repeat.node, repeat.least, repeat.most
        if most is None:
            loop = self.state()
            self.empty[loop] = [self.build(inner, loop), end]
            end = loop
        else:
            last = end
            for _ in range(most - least):
                optional = self.state()
                self.empty[optional] = [self.build(inner, end), last]
                end = optional
        for _ in range(least):
            end = self.build(inner, end)
        return end

    def closure(self, state: int) -> frozenset[int]:
        reached, waiting = {state}, [state]
        while waiting:
            for following in self.empty.get(waiting.pop(), ()):
                if following not in reached:
                    reached.add(following)
                    waiting.append(following)
        return frozenset(reached)


def _count(digits: str) -> int:
    # Python refuses to read thousands of digits.
    return int(digits) if len(digits) <= 6 else MAX_STATES + 1


class _Reader:
    """Recursive descent over the subset."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 0
        self.depth = 0
        self.unbounded = 0
        self.has_loose_dot = False

    def read(self) -> _Node:
        for place, character in enumerate(self.text):
            if not " " <= character <= "~":
                raise RegexRefused("the pattern is not ASCII", place, "write host names in punycode (`xn--…`)")
        node = self._choice()
        if self.at < len(self.text):
            raise RegexRefused("a `)` without its `(`", self.at, r"take it out, or write `\)` for the character itself")
        return node

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _choice(self) -> _Node:
        options = [self._sequence()]
        while self._peek() == "|":
            self.at += 1
            options.append(self._sequence())
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated())
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _repeated(self) -> _Node:
        start, before = self.at, self.unbounded
        node = self._atom()
        sign = self._peek()
        if sign not in ("*", "+", "?", "{"):
            return node
        if sign in ("*", "+"):
            if not isinstance(node, _Bytes):
                raise RegexRefused(f"`{sign}` repeats a group", self.at, "repeat one character or class, or use `{m,n}`")
            self.unbounded += 1
            if self.unbounded > MAX_UNBOUNDED:
                raise RegexRefused("more than two `*` or `+`", self.at, "use `{m,n}`")
            self.at += 1
            node = _Repeat(node, 0 if sign == "*" else 1, None)
        elif self.unbounded > before:
            raise RegexRefused("`*` or `+` inside a repeated group", start, "use `{m,n}` inside the group")
        elif sign == "?":
            self.at += 1
            node = _Repeat(node, 0, 1)
        else:
            node = _Repeat(node, *self._counts())
        if self._peek() and self._peek() in "*+?{":
            raise RegexRefused("a repetition of a repetition", self.at, "repeat once; a match is always of the whole origin")
        return node

    def _counts(self) -> tuple[int, int]:
        start = self.at
        end = self.text.find("}", start)
        least, comma, most = self.text[start + 1 : end].partition(",") if end > 0 else ("", "", "")
        if not least.isdigit() or (comma and not most.isdigit()):
            raise RegexRefused("a `{` without `m` or `m,n` and `}`", start, r"write `{2}` or `{2,5}`, or `\{` for the character")
        low, high = _count(least), _count(most or least)
        if high < low or high > MAX_STATES:
            raise RegexRefused(f"the counts of `{self.text[start : end + 1]}` do not fit", start, f"count upwards, to {MAX_STATES} at most")
        self.at = end + 1
        return low, high

    def _atom(self) -> _Node:
        character = self._peek()
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        if character == ".":
            # Beside letters a dot was most likely meant as the dot of a host name.
            around = self.text[max(0, self.at - 1) : self.at] + self.text[self.at + 1 : self.at + 2]
            self.has_loose_dot |= len(around) == 2 and around.isalnum()
            self.at += 1
            return _Bytes(_ANY)
        if character == "\\":
            return _Bytes(self._escape())
        if character in ("^", "$"):
            raise RegexRefused(f"an anchor `{character}`", self.at, "take it out: a pattern always matches the whole origin")
        if character in _META:
            raise RegexRefused(f"a `{character}` with nothing to repeat", self.at, f"write `\\{character}` for the character itself")
        self.at += 1
        return _Bytes(frozenset(character.encode()))

    def _group(self) -> _Node:
        start = self.at
        self.at += 1
        if self._peek() == "?":
            if self.text[self.at : self.at + 2] != "?:":
                raise RegexRefused("a look-around, a flag or a named group", start, "use plain groups: `(…)`")
            self.at += 2
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise RegexRefused(f"groups nested deeper than {MAX_DEPTH}", start, "write several patterns")
        node = self._choice()
        self.depth -= 1
        if self._peek() != ")":
            raise RegexRefused("a `(` without its `)`", start, r"close it, or write `\(` for the character itself")
        self.at += 1
        # A group of one character is still a group to the rule on `*` and `+`.
        return _Sequence((node,)) if isinstance(node, _Bytes) else node

    def _escape(self) -> frozenset[int]:
        start = self.at
        self.at += 2
        character = self.text[start + 1 : start + 2]
        if character in _SHORTHANDS:
            return _SHORTHANDS[character]
        if character.isdigit() and character:
            raise RegexRefused("a back-reference", start, "write the text again")
        if not character or character.isalnum():
            raise RegexRefused(f"an unknown escape `\\{character}`", start, r"use `\d`, `\w`, or a backslash before a sign")
        return frozenset(character.encode())

    def _class(self) -> _Node:
        start = self.at
        self.at += 1
        negated = self._peek() == "^"
        self.at += negated
        members: set[int] = set()
        while self._peek() != "]":
            if not self._peek():
                raise RegexRefused("a `[` without its `]`", start, r"close it, or write `\[` for the character itself")
            members |= self._class_member()
        self.at += 1
        allowed = _ANY - members if negated else frozenset(members)
        # `[^]` is empty too: to Python the `]` would be its first member.
        if not members or not allowed:
            raise RegexRefused("an empty class", start, "write the characters that may stand there, as `[a-z0-9-]`")
        return _Bytes(allowed)

    def _class_member(self) -> frozenset[int]:
        start = self.at
        low = self._class_unit()
        if self.text[self.at : self.at + 1] != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return low
        self.at += 1
        high = self._class_unit()
        if len(low) != 1 or len(high) != 1 or min(low) > min(high):
            raise RegexRefused(f"a bad range `{self.text[start : self.at]}`", start, "write the lower character first")
        return frozenset(range(min(low), min(high) + 1))

    def _class_unit(self) -> frozenset[int]:
        if self._peek() == "\\":
            return self._escape()
        character = self._peek()
        if character == "[":
            raise RegexRefused("a `[` inside a class", self.at, r"write `\[`")
        self.at += 1
        return frozenset(character.encode())
