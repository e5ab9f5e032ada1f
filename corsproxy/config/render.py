"""
Diagnostics as text, in the form that rustc made familiar.

It knows terminals: wide characters, tabs, control characters, long lines, colour; it does not know what is wrong.
"""

import unicodedata
from collections.abc import Iterable
from typing import Final

from corsproxy.config.diagnostics import Diagnostic, Span, shown_line
from corsproxy.problems import Problem, Severity

# Precedent: rustc assumes 140 columns where it knows no width; most terminals show 100 beside an editor.
MAX_LINE: Final = 100
MAX_MESSAGE: Final = 400

_TAB: Final = "    "
_ELLIPSIS: Final = "…"
_ESCAPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
_BOLD, _RESET, _BLUE, _CYAN = "1", "0", "1;34", "1;36"
_COLOURS: Final = {Severity.ERROR: "1;31", Severity.WARNING: "1;33", Severity.NOTE: "1;32"}


def render(diagnostics: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """
    Write diagnostics one below the other, with a line at the end that counts them; nothing if there are none.

    Pure. Whatever the file holds, the text holds no control character but line ends, and ANSI colours if asked for.
    """
    found = tuple(diagnostics)
    return "\n".join([*(_block(each, colour=colour) for each in found), summary(found) + "\n"]) if found else ""


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """Count diagnostics in words: `4 errors, 1 warning`; `no problems`."""
    counts = dict.fromkeys(Severity, 0)
    for each in diagnostics:
        counts[each.severity] += 1
    said = [f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items() if count]
    return ", ".join(said) or "no problems"


def _block(each: Diagnostic, *, colour: bool) -> str:
    lines = [headline(each.problem, each.message, colour=colour)]
    lines += _pointer(each.file, each.span, each.source_line, _COLOURS[each.severity], colour=colour)
    gutter = " " * max(1, len(str(each.line or "")))
    said = (("note", each.note), ("help", each.help))
    lines += [f"{gutter} {advice(name, text, colour=colour)}" for name, text in said if text]
    return "\n".join(lines) + "\n"


def headline(problem: Problem, message: str, *, colour: bool = False) -> str:
    """Write what a diagnostic says first: `error[CP103]: …`. Pure."""
    name = f"{problem.severity}[{problem.code}]"
    return f"{_paint(name, _COLOURS[problem.severity], colour=colour)}{_paint(f': {_short(message)}', _BOLD, colour=colour)}"


def advice(name: str, text: str, *, colour: bool = False) -> str:
    """Write what a diagnostic says last: `= help: …`. Pure."""
    return f"{_paint('=', _BLUE, colour=colour)} {_paint(name, _CYAN, colour=colour)}: {_short(text)}"


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[{_RESET}m" if colour else text


def pointer(span: Span, *, colour: bool = False) -> str:
    """Show a place as diagnostics do: its file, its line, and a caret below. Pure; ends without a line break."""
    return "\n".join(_pointer(span.source.name, span, shown_line(span), _COLOURS[Severity.NOTE], colour=colour))


def _pointer(file: str, span: Span | None, source_line: str, hue: str, *, colour: bool) -> list[str]:
    number = str(span.line) if span is not None and span.source.is_file else ""
    gutter = " " * max(1, len(number))
    place = f"{file}:{number}:{span.column}" if span is not None and number else file
    lines = [f"{gutter[1:]} {_paint('-->', _BLUE, colour=colour)} {escape(place)}"]
    if span is not None:
        bar = _paint("|", _BLUE, colour=colour)
        shown, before, width = _excerpt(source_line, span)
        numbered = _paint(number.ljust(len(gutter)), _BLUE, colour=colour)
        lines += [
            f"{gutter} {bar}",
            f"{numbered} {bar} {shown}".rstrip(),
            f"{gutter} {bar} {' ' * before}{_paint('^' * width, hue, colour=colour)}",
        ]
    return lines


def _excerpt(text: str, span: Span) -> tuple[str, int, int]:
    """Return the source line as it is shown, the columns before the caret, and the caret's width."""
    start = min(max(span.column - 1, 0), len(text))
    end = span.end_column - 1 if span.end_line == span.line else len(text.rstrip())
    end = min(max(end, start), len(text))
    cells = [escape(character, tab=_TAB) for character in text]
    widths = [_width(cell) for cell in cells]
    left, right = _window(widths, start, end)
    head = _ELLIPSIS if left > 0 else ""
    tail = _ELLIPSIS if right < len(cells) else ""
    before = len(head) + sum(widths[left:start])
    return head + "".join(cells[left:right]) + tail, before, max(1, sum(widths[start : min(end, right)]))


def _window(widths: list[int], start: int, end: int) -> tuple[int, int]:
    """Choose which characters of a long line to show, so that the caret's start is among them."""
    if sum(widths) <= MAX_LINE:
        return 0, len(widths)
    # A third of the room stands before the caret; what is not needed behind it goes before it as well.
    left, room = start, MAX_LINE // 3
    while left > 0 and room >= widths[left - 1]:
        left -= 1
        room -= widths[left]
    right, room = left, MAX_LINE
    while right < len(widths) and room >= widths[right]:
        room -= widths[right]
        right += 1
    while left > 0 and right >= end and room >= widths[left - 1]:
        left -= 1
        room -= widths[left]
    return left, right


def escape(text: str, *, tab: str = r"\t") -> str:
    """Make a text safe for a terminal: control and format characters, lone surrogates and odd spaces are written as escapes."""
    return "".join(
        tab if each == "\t" else _escaped(each) if unicodedata.category(each) in _ESCAPED and each != " " else each for each in text
    )


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _short(text: str) -> str:
    """Cut the middle out of a message that quotes a very long value."""
    escaped = escape(text)
    if len(escaped) <= MAX_MESSAGE:
        return escaped
    return f"{escaped[: MAX_MESSAGE // 2]}{_ELLIPSIS}{escaped[-MAX_MESSAGE // 2 :]}"
