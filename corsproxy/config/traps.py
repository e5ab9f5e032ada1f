"""
Why YAML stumbles, in the words of someone who wrote a configuration file.

It knows the spellings that YAML gives a meaning of its own; it does not know YAML's parser.
"""

import re
from typing import Final

from corsproxy import problems
from corsproxy.config.diagnostics import Diagnostic, Source, Span, diagnostic
from corsproxy.problems import Problem

_IPV6_ADDRESS: Final = re.compile(r"(?<![\"'])\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]:?\d*")
_VARIABLE: Final = re.compile(r"\$\{[^}\s]*\}?")
_NO_SPACE: Final = re.compile(r"\s*([A-Za-z_]+):([^\s/].*)")
_ALIAS: Final = re.compile(r"\*[^\s,\]}]*")
_COLON: Final = re.compile(r":(?:\s|$)")
HALF_A_CHARACTER: Final = ("an escape stands for half a character", r"write it whole: `\U0001F600`")
# What word processors make of quotes.
TYPOGRAPHIC: Final = ("“", "”", "„", "«", "»", "‘", "’", "‚")  # noqa: RUF001
TEMPLATE: Final = (
    "`{{` opens two mappings: this looks like a template that nobody filled in",
    "fill it in before corsproxy reads the file; or write `${NAME}` for an environment variable",
)
_Place = tuple[int, int]

_WITHOUT_COLON: Final = "a key without its colon"
_SECOND_COLON: Final = "a second `: ` in one value, or a key that is indented too far"
_MISALIGNED: Final = "this does not line up with what stands above it"
_CONFLICT: Final = re.compile("<{7} |={7}$|>{7} ")
_OTHER_COMMENT: Final = re.compile(r"\s*(//|/\*|--(?!-))")
_SECTION_OF_INI: Final = re.compile(r"\[([A-Za-z][\w.-]*)\]\s*")
_KEY_IN_A_VALUE: Final = re.compile(r"\s*(?:- )?([A-Za-z_]+): ([A-Za-z_]+: .*)")

# Words of the two parsers' messages, and what to say instead; the first row that fits counts. LINE is where the unfinished part began.
_GRAMMAR: Final = (
    ("incompatible", "the file asks for another version of YAML", "take the `%YAML` line out"),
    ("invalid Unicode", *HALF_A_CHARACTER),
    ("flow node", "a value is missing inside of `{` or `[`", "write the value, and close the `{` or `[` that it stands in"),
    ("escape", "YAML does not know this escape in double quotes", "use single quotes: in them a backslash is itself"),
    ("quoted scalar", "a quote is never closed", "close the quote of LINE"),
    ("flow sequence", "a `,` or `]` is missing", "close the `[` of LINE, or put the value in quotes"),
    ("flow", "a `,` or `}` is missing", "close the `{` of LINE, or put the value in quotes"),
    (
        "mapping values are not allowed",
        _SECOND_COLON,
        "put the value in quotes, or line the key up with its neighbours",
    ),
    ("could not find expected ':'", _WITHOUT_COLON, "write `key: value`"),
    ("document start", _MISALIGNED, "begin every entry in the column where the first one begins"),
    ("block", _MISALIGNED, "begin every entry in the column where LINE begins"),
)


def alias_help(source: Source, name: str) -> str:
    """Say what to do about an alias for something that is not marked before it."""
    marked = next((number for number, text in enumerate(source.lines, 1) if re.search(rf"&{re.escape(name)}(?:\s|$)", text)), 0)
    if marked:
        return f"move what `&{name}` marks in line {marked} above this one"
    return f'put it in quotes: `"*{name}"`; or mark what it stands for with `&{name}`'


def one_line(text: str) -> str:
    """Put a parser's message on one line, lower-case, without a full stop."""
    words = " ".join(text.split())
    return (words[:1].lower() + words[1:]).rstrip(".")


def inside(place: _Place, lines: tuple[str, ...]) -> _Place:
    """Keep a parser's mark inside of the file: libyaml adds a line break to one that ends without it."""
    return place if not lines or place[0] <= len(lines) else (len(lines), len(lines[-1]) + 1)


def explain(source: Source, problem: str, place: _Place | None, context: str, context_place: _Place | None) -> Diagnostic:
    """
    Turn the parser's complaint into a diagnostic: a trap if it is one, else what is missing where.

    `problem` and `context` are the parser's words; the places are its marks, line and column from 1.
    """
    lines = source.lines
    place, context_place = (inside(each, lines) if each is not None else None for each in (place, context_place))
    line, column = place or (1, 1)
    stranger = _of_another_format(source, line)
    if stranger is not None:
        return stranger
    # At the end of the file the place where the unfinished part began says more.
    is_at_end = line == len(lines) and not lines[-1][column - 1 :].strip()
    if context_place is not None and (is_at_end or "could not find expected ':'" in problem):
        line, column = context_place
    if "mapping values are not allowed" in problem or "document start" in problem:
        blamed = _line_without_colon(lines, line)
        if blamed is not None:
            (line, column), problem = blamed, "could not find expected ':'"
    for number in dict.fromkeys((line, context_place[0] if context_place else line)):
        trap = _trap(source, number, column if number == line else 1, context)
        if trap is not None:
            return trap
    text = source.line(line)
    if "escape" in problem and text[column - 2 : column - 1] == "\\" != text[column - 1 : column]:
        column -= 1  # One of the two parsers points behind the backslash.
    end = min(column + 1, len(text) + 1)
    stray = text[column - 1 : column]
    if stray and stray in "}],":
        message, help_ = f"a `{stray}` that closes or parts nothing", "take it out, or put the value in quotes"
    elif "cannot start any token" in problem:
        message = f"a value cannot begin with {f'`{stray}`' if stray != '`' else 'a backquote'}"
        help_ = "put the value in quotes" + (f": `{_quoted(text[column - 1 :])}`" if stray != "`" else "")
    else:
        message, help_ = _grammar(problem, context, context_place)
        help_ = _spelled_out(source, line, message) or help_
    return diagnostic(problems.NOT_YAML, Span(source, line, column, line, max(end, column)), message, help_)


def _of_another_format(source: Source, last: int) -> Diagnostic | None:
    """Look for lines that no YAML has, up to the one that YAML stumbled over."""

    def found(number: int, message: str, help_: str) -> Diagnostic:
        text = source.line(number)
        start = len(text) - len(text.lstrip())
        return diagnostic(problems.NOT_YAML, Span(source, number, start + 1, number, max(len(text), start + 1) + 1), message, help_)

    for number in range(1, min(last, len(source.lines)) + 1):
        text = source.line(number)
        if _CONFLICT.match(text):
            return found(number, "a merge conflict is left in the file", "keep one side, and take the lines of `<`, `=` and `>` out")
        if match := _OTHER_COMMENT.match(text):
            return found(number, f"`{match[1]}` begins no comment in YAML", "begin the comment with `# `")
        if number <= 2 and (match := _SECTION_OF_INI.fullmatch(text)):
            return found(
                number,
                f"`{text.strip()}` begins a section in TOML and INI files, and this is YAML",
                f"write `{match[1]}:`, and its keys below it, indented",
            )
    return None


def _spelled_out(source: Source, line: int, message: str) -> str:
    """Say how to write this very line, where that can be told."""
    text = source.line(line)
    first, _, rest = text.strip().partition(" ")
    if message == _WITHOUT_COLON and re.fullmatch("[a-z_]+", first) and rest:
        return f"write `{first}: {rest.strip()}`"
    if message == _SECOND_COLON and (match := _KEY_IN_A_VALUE.fullmatch(text)):
        return f"write `{match[1]}: {{{match[2]}}}`, or put the value in quotes"
    if message != _MISALIGNED:
        return ""
    columns: dict[int, int] = {}
    for number in range(line - 1, 0, -1):
        above = source.line(number)
        column = len(above) - len(above.lstrip()) + 1
        if above.strip() and not above.lstrip().startswith("#") and column < min(columns, default=column + 1):
            columns[column] = number
    if len(text) - len(text.lstrip()) + 1 in columns:
        return "write `key: value` as the lines above do, or put this below a key of its own"
    said = [f"column {column}, as line {number} does" for column, number in columns.items()]
    return f"begin it in {', or in '.join(said)}" if said else ""


def _quoted(text: str) -> str:
    """Put a value in quotes: all of a line, or of an entry, less its comment."""
    value = re.split(r"[,\]}]| #", text, maxsplit=1)[0].strip()
    return f'"{value}"'


def _line_without_colon(lines: tuple[str, ...], number: int) -> _Place | None:
    """Find the line above that YAML took for the beginning of this one: as far indented, and without a key."""
    indent = len(lines[number - 1]) - len(lines[number - 1].lstrip())
    for above in range(number - 1, 0, -1):
        text = lines[above - 1]
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        is_beside = len(text) - len(text.lstrip()) == indent
        return (above, indent + 1) if is_beside and not _COLON.search(text) else None
    return None


def _trap(source: Source, number: int, column: int, context: str) -> Diagnostic | None:
    text = source.line(number)

    def found(problem: Problem, start: int, end: int, message: str, help_: str) -> Diagnostic:
        return diagnostic(problem, Span(source, number, start + 1, number, end + 1), message, help_)

    if "alias" in context and (match := _ALIAS.search(text, column - 2 if column > 1 else 0)):
        message = f"YAML reads a bare `{match[0]}` as an alias"
        return found(problems.YAML_TRAP, *match.span(), message, f'put it in quotes: `"{match[0]}"`')
    if "anchor" in context and "&" in text:
        at = text.index("&")
        return found(problems.YAML_TRAP, at, at + 1, "YAML reads a bare `&` as the mark of an anchor", "put the value in quotes")
    indent = text[: len(text) - len(text.lstrip())]
    if "\t" in indent:
        at = indent.index("\t")
        return found(problems.YAML_TRAP, at, at + 1, "a tab indents this line, and YAML takes only spaces", "indent with spaces")
    if match := _IPV6_ADDRESS.search(text):
        message = f"YAML reads `{match[0]}` as a list"
        return found(problems.YAML_TRAP, *match.span(), message, f'put it in quotes: `"{match[0]}"`')
    if (
        ("flow" in context or "{" in text)
        and (match := _VARIABLE.search(text))
        and text[match.start() - 1 : match.start()] not in ('"', "'")
    ):
        message = f"YAML reads the `{{` of `{match[0]}` as the start of a mapping"
        return found(problems.YAML_TRAP, *match.span(), message, f'put it in quotes: `"{match[0]}"`')
    if match := _NO_SPACE.fullmatch(text):
        key, rest = match.groups()
        message = f"`{key}:` has no space behind its colon, so YAML reads one word"
        return found(problems.YAML_TRAP, match.start(1), match.end(1) + 1, message, f"write `{key}: {rest}`")
    return None


def _grammar(problem: str, context: str, context_place: _Place | None) -> tuple[str, str]:
    where = f"line {context_place[0]}" if context_place else "this line"
    said = f"{problem}; {context}"
    for words, message, help_ in _GRAMMAR:
        if words in said:
            return message, help_.replace("LINE", where)
    return f"YAML cannot read this: {problem}", "look at this line and at the one above it"
