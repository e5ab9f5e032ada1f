"""
Header rules: fields that a policy's author takes off a message and puts on.

It knows how rules are put together and applied; which names may stand in them is for whoever reads the file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from corsproxy.semantics.fields import READ_BY_CGI, FieldLine

# Names that a peer makes up must not make the memory of verdicts grow, neither by their number nor by their length.
MAX_LEARNED: Final = 1024
MAX_LEARNED_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """
    Rules that come to this: lines whose name is read as one of `dropped` go, then `lines` come.

    Names are read as WSGI, CGI and PHP read them, which take case away and merge `_` with `-`: a rule for `X-Api-Key` is one for
    `X_Api_Key` too, or what a rule sets could be set again beside it. `dropped` are names so read. `lines` may hold secrets, so they
    do not show; `secret` are the lower-case names of those that do. Build it with `compile_rules`.
    """

    dropped: frozenset[bytes] = frozenset()
    lines: tuple[FieldLine, ...] = field(default=(), repr=False)
    secret: frozenset[bytes] = frozenset()
    learned: dict[bytes, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __bool__(self) -> bool:
        """Tell whether there is anything to do."""
        return bool(self.dropped or self.lines)

    def apply(self, lines: Iterable[FieldLine]) -> list[FieldLine]:
        """
        Apply the rules to a message's lines; the order of those that stay is kept.

        Spec: RFC 9110 5.3; RFC 3875 4.1.18.
        """
        kept = self.take_off(lines)
        kept.extend(self.lines)
        return kept

    def take_off(self, lines: Iterable[FieldLine]) -> list[FieldLine]:
        """
        Return the lines that no rule takes off, in order.

        Spec: RFC 9110 5.3; RFC 3875 4.1.18.
        """
        learned = self.learned
        return [line for line in lines if not (learned[line[0]] if line[0] in learned else self.drops(line[0]))]

    def drops(self, name: bytes) -> bool:
        """
        Tell whether the rules take off a line of that name.

        Spec: RFC 3875 4.1.18.
        """
        verdict = _read(name) in self.dropped
        if len(self.learned) < MAX_LEARNED and len(name) <= MAX_LEARNED_BYTES:
            self.learned[name] = verdict
        return verdict


NO_RULES: Final = HeaderRules()


def compile_rules(
    remove: Iterable[bytes] = (),
    replace: Iterable[FieldLine] = (),
    add: Iterable[FieldLine] = (),
    *,
    secret: Iterable[bytes] = (),
    after: HeaderRules = NO_RULES,
) -> HeaderRules:
    """
    Put rules together: remove, then set (`replace`), then add, all of it `after` other rules. `secret` names those that hold secrets.

    Spec: RFC 9110 5.3 (a name may stand on several lines).
    """
    replaced = tuple({name.lower(): (name, value) for name, value in replace}.values())
    mine = frozenset(_read(name) for name in (*remove, *(name for name, _ in replaced)))
    before = tuple(line for line in after.lines if _read(line[0]) not in mine)
    return HeaderRules(after.dropped | mine, (*before, *replaced, *add), after.secret | {name.lower() for name in secret})


def _read(name: bytes) -> bytes:
    return name.lower().translate(READ_BY_CGI)
