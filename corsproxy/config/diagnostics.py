"""
What is wrong with a configuration, and where.

It knows places (a span in a file, a flag, an environment variable) and collects each diagnostic once;
it does not know how one looks on a terminal.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from corsproxy.problems import Fault, Problem, Severity

# A password in a URL. What is shown of a file may end in a log.
_PASSWORD: Final = re.compile(r"(?<=://)[^\s/@`]+(?=@)|(?<![^\s/@:\"'`\[{,])[^\s/@:\"'`\[{,]+:[^\s/@:\"'`\[{,]+(?=@)")

# A shorter secret is part of too many words to be struck out of them.
_MIN_STRUCK: Final = 6
_STRUCK: Final = "***"


@dataclass(frozen=True, slots=True)
class Interpolation:
    """
    What became of a value that was written with `${…}`.

    `written` is the text of the file. `origins` say where its parts came from: "environment variable NAME", "default of NAME",
    "file /run/secrets/token". `value` is the text that it became, and empty if it `is_secret`. `is_faulty`: a part could not be
    had, which is reported already, so that nothing else about the value is worth saying.
    """

    written: str
    origins: tuple[str, ...] = ()
    value: str = ""
    is_secret: bool = False
    is_faulty: bool = False


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
    """
    A stretch of a source. Lines and columns count characters from 1; the end lies behind the last one.

    `interpolation` is there when the value that stands here is not the text that stands here.
    """

    source: Source = field(repr=False, compare=False)
    line: int
    column: int
    end_line: int
    end_column: int
    interpolation: Interpolation | None = field(default=None, compare=False)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to underline."""
        return (self.line, self.column) == (self.end_line, self.end_column)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """
    A problem at a place.

    `message` is one lower-case clause, `help` an imperative or empty. `file` names the source also when there is
    no span; `line` 0 is "no line". `note` says which value `${…}` had, and from where.
    """

    problem: Problem
    message: str
    help: str = ""
    span: Span | None = None
    file: str = ""
    source_line: str = ""
    note: str = ""

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

    @property
    def end_line(self) -> int:
        """The line that it ends in, from 1; 0 when it is about no line."""
        return self.span.end_line if self.span is not None and self.span.source.is_file else 0

    @property
    def end_column(self) -> int:
        """The column behind its last character, from 1; 0 when it is about no line."""
        return self.span.end_column if self.span is not None and self.span.source.is_file else 0


class Secrets:
    """
    Values that must not show, each with what shows in its place: the reference that stands in the file.

    They do not show in a representation either. A value that is too short to be told from a part of a word is not kept.
    """

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        """Say how many there are."""
        return f"<{len(self._shown)} secrets>"

    def add(self, secret: str, instead: str = _STRUCK) -> None:
        """Keep a secret; the first thing to show in its place stays."""
        plain = secret.strip()
        if len(plain) < _MIN_STRUCK:
            return
        self._shown.setdefault(plain.lower(), instead)
        self._pattern = None

    def strike(self, text: str) -> str:
        """Return a text without them, in whatever case they are written."""
        if not self._shown:
            return text
        if self._pattern is None:
            # A secret that is part of another one must not break it up.
            longest_first = sorted(self._shown, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
        return self._pattern.sub(lambda match: self._shown.get(match[0].lower(), _STRUCK), text)

    def strike_from(self, each: "Diagnostic") -> "Diagnostic":
        """Return a diagnostic that says nothing of them."""
        if not self._shown:
            return each
        return replace(each, message=self.strike(each.message), help=self.strike(each.help), note=self.strike(each.note))


class Report:
    """Collects the diagnostics about one source; what is said twice is kept once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._found: dict[Diagnostic, None] = {}
        self.secrets = Secrets()
        self.has_errors = False
        # Where a file is named: by the key and its name.
        self.places: dict[tuple[str, str], Span] = {}

    def hide(self, secret: str, instead: str = _STRUCK) -> None:
        """
        Strike a secret out of everything that is said from now on.

        This is the second line, for messages that quote a value from another place than their own; the first is `diagnostic`.
        """
        self.secrets.add(secret, instead)

    def add(
        self,
        problem: Problem,
        span: Span | None,
        message: str,
        help: str = "",  # noqa: A002 - the field's name
        *,
        also: Iterable[Span] = (),
    ) -> None:
        """
        Record a problem; without a span it is about the source as a whole.

        A message may quote the value at `span`, and those at `also`. What it says of a secret never shows: see `diagnostic`.
        """
        if span is not None and span.interpolation is not None and span.interpolation.is_faulty:
            return
        self.keep([self.secrets.strike_from(diagnostic(problem, span, message, help, file=self.source.name, also=also))])

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


def diagnostic(
    problem: Problem,
    span: Span | None,
    message: str,
    help: str = "",  # noqa: A002 - the field's name
    *,
    file: str = "",
    also: Iterable[Span] = (),
) -> Diagnostic:
    """
    Make a diagnostic that carries the name and the line of its source.

    A user name and password in a URL are shown as asterisks, as many as there were characters. Of a value that holds a secret
    nothing is said but what kind of problem it has: message and help are made from it (lower-cased, cut, summed up), so
    striking it out of them would not do. `also` are the other values that they are made from.
    """
    parts = [each.interpolation for each in (span, *also) if each is not None and each.interpolation is not None]
    secret = next((part for part in parts if part.is_secret), None)
    note = ""
    if secret is not None:
        message = f"the secret from {_listed(secret.origins)}: {problem.title}"
        help = "look at it where it comes from: what it holds is never shown"  # noqa: A001 - the field's name
    elif parts:
        note = "; ".join(_told(part) for part in dict.fromkeys(parts))
    said, told, note = _mask(message), _mask(help), _mask(note)
    if span is None:
        return Diagnostic(problem, said, told, None, file, note=note)
    return Diagnostic(problem, said, told, span, span.source.name, shown_line(span), note)


def shown_line(span: Span) -> str:
    """Return the line that a span begins in as it may be shown: without the passwords of URLs."""
    return _mask(span.source.line(span.line))


def _told(part: Interpolation) -> str:
    return f"the value is {f'`{part.value}`' if part.value else 'empty'} ({_listed(part.origins)})"


def _listed(origins: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(origins))


def _mask(text: str) -> str:
    return _PASSWORD.sub(lambda match: "*" * len(match[0]), text)
