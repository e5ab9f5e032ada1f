"""
What an event of the log has beside its message: a problem, diagnostics, lines.

It knows how people read them (below the message) and how programs do (as fields of the one line); it writes nothing.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from corsproxy.config.diagnostics import Diagnostic
from corsproxy.config.export import to_objects
from corsproxy.config.render import render
from corsproxy.problems import Problem

_ATTRIBUTE: Final = "corsproxy_details"


@dataclass(frozen=True, slots=True)
class Details:
    """
    The details of one event.

    `code` is that of the problem that the message begins with, `lines` go on with the message, `name` is what programs call them.
    """

    code: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    lines: tuple[str, ...] = ()
    name: str = "corsproxy.lines"

    @staticmethod
    def of(record: logging.LogRecord) -> "Details":
        """Return what `details` put into a record, or nothing."""
        found = getattr(record, _ATTRIBUTE, None)
        return found if isinstance(found, Details) else _NOTHING

    def below(self, message: str, *, colour: bool = False) -> str:
        """Write a message with its details below it, for people."""
        said = render(self.diagnostics, colour=colour).rstrip()
        return "\n".join([message, *(f"  {line}" for line in self.lines), *([said] if said else [])])

    def as_objects(self) -> dict[str, Any]:
        """Return fields for JSON."""
        fields: dict[str, Any] = {"corsproxy.problem": self.code} if self.code else {}
        if self.lines:
            fields[self.name] = list(self.lines)
        return fields | {"corsproxy.diagnostics": to_objects(self.diagnostics)} if self.diagnostics else fields

    def as_texts(self) -> dict[str, str]:
        """Return fields for formats that have no lists."""
        fields = {"corsproxy.problem": self.code} if self.code else {}
        if self.lines:
            fields[self.name] = "; ".join(self.lines)
        return fields | {"corsproxy.diagnostics": "; ".join(map(_in_one_line, self.diagnostics))} if self.diagnostics else fields


_NOTHING: Final = Details()


def details(
    problem: Problem | None = None, diagnostics: Iterable[Diagnostic] = (), lines: Iterable[str] = (), name: str = "corsproxy.lines"
) -> Mapping[str, Details]:
    """Make what a logging call takes as `extra`. A message of a problem begins with its code and a space."""
    return {_ATTRIBUTE: Details(problem.code if problem is not None else "", tuple(diagnostics), tuple(lines), name)}


def _in_one_line(each: Diagnostic) -> str:
    place = f"{each.file}:{each.line}:{each.column}" if each.line else each.file
    said = (
        f"{place}: {each.severity}[{each.problem.code}]: {each.message}"
        if place
        else f"{each.severity}[{each.problem.code}]: {each.message}"
    )
    return " = ".join([said, *(f"{name}: {text}" for name, text in (("note", each.note), ("help", each.help)) if text)])
