"""
What is wrong with a configuration, and where.

It knows places (a span in a file, a flag, an environment variable) and collects each diagnostic once;
it does not know how one looks on a terminal.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from corsproxy.problems import Fault, Problem, Severity

# A password in a URL. What is shown of a file may end in a log.
_PASSWORD: Final = re.compile(r"(?<=://)[^\s/@`]+(?=@)|(?<![^\s/@:\"'`\[{,])[^\s/@:\"'`\[{,]+:[^\s/@:\"'`\[{,]+(?=@)")


@dataclass(frozen=True, slots=True)
class Source:
    """
    A text that diagnostics point into.

    `name` is a file's name, or what else brought a value: "flag --listen". Only files have line numbers.
    """

    name: str
    lines: tuple[str, ...] = field(default=(), repr=False)
    is_file: bool = True

    def line(self, number: int) -> str:
        """Return a line by its number, counted from 1; empty if there is none."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def span(self, column: int, end_column: int) -> "Span":
        """Return a span on the first line."""
        return Span(self, 1, column, 1, end_column)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source. Lines and columns count characters from 1; the end lies behind the last one."""

    source: Source = field(repr=False, compare=False)
    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to underline."""
        return (self.line, self.column) == (self.end_line, self.end_column)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """
    A problem at a place.

    `message` is one lower-case clause, `help` an imperative or empty. `file` names the source also when there is
    no span; `line` 0 is "no line".
    """

    problem: Problem
    message: str
    help: str = ""
    span: Span | None = None
    file: str = ""
    source_line: str = ""

    @property
    def severity(self) -> Severity:
        """How much it weighs."""
        return self.problem.severity

    @property
    def line(self) -> int:
        """The line in the file, from 1; 0 when it is about no line."""
        return self.span.line if self.span is not None and self.span.source.is_file else 0

    @property
    def column(self) -> int:
        """The column in the line, from 1; 0 when it is about no line."""
        return self.span.column if self.span is not None and self.span.source.is_file else 0


class Report:
    """Collects the diagnostics about one source; what is said twice is kept once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._found: dict[Diagnostic, None] = {}
        self.has_errors = False
        # Where a file is named: by the key and its name.
        self.places: dict[tuple[str, str], Span] = {}

    def add(self, problem: Problem, span: Span | None, message: str, help: str = "") -> None:  # noqa: A002 - the field's name
        """Record a problem; without a span it is about the source as a whole."""
        self.keep([diagnostic(problem, span, message, help, file=self.source.name)])

    def add_fault(self, fault: Fault, span: Span | None) -> None:
        """Record what a floor without a file found."""
        self.add(fault.problem, span, fault.message, fault.help)

    def name_file(self, key: str, name: str, span: Span) -> None:
        """Take note of a file that a key names; the first place is kept."""
        self.places.setdefault((key, name), span)

    def keep(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Record diagnostics that are made already."""
        for each in diagnostics:
            self._found[each] = None
            self.has_errors |= each.severity is Severity.ERROR

    def in_order(self) -> tuple[Diagnostic, ...]:
        """Return everything by line and column; what has no line comes first."""
        return tuple(sorted(self._found, key=lambda each: (each.line, each.column)))


def diagnostic(problem: Problem, span: Span | None, message: str, help: str = "", *, file: str = "") -> Diagnostic:  # noqa: A002
    """
    Make a diagnostic that carries the name and the line of its source.

    A user name and password in a URL are shown as asterisks, as many as there were characters.
    """
    said, told = _mask(message), _mask(help)
    if span is None:
        return Diagnostic(problem, said, told, None, file)
    return Diagnostic(problem, said, told, span, span.source.name, _mask(span.source.line(span.line)))


def _mask(text: str) -> str:
    return _PASSWORD.sub(lambda match: "*" * len(match[0]), text)
