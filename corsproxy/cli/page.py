"""Lines under headings: how what takes a page is written on a terminal, or for a pipe."""

import textwrap
from typing import Final

from corsproxy.config.render import escape

WIDTH: Final = 96
GREEN, RED, YELLOW, BOLD, DIM = "1;32", "1;31", "1;33", "1", "2"


class Page:
    """Lines under headings."""

    def __init__(self, *, colour: bool) -> None:
        self.lines: list[str] = []
        self.colour = colour

    def paint(self, text: str, code: str) -> str:
        """Colour a text, if there are colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def line(self, text: str) -> None:
        """Write a line that is escaped already."""
        self.lines.append(text)

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.lines += ["", self.paint(escape(text), BOLD)]

    def raw(self, text: str, code: str = "") -> None:
        """Write a line as it is, however long."""
        shown = escape(text)
        self.lines.append("  " + (self.paint(shown, code) if code else shown))

    def indented(self, text: str, *, code: str = "", width: int = 2) -> None:
        """Write a text, folded."""
        for line in folded(escape(text), WIDTH - width):
            self.lines.append(" " * width + (self.paint(line, code) if code else line))

    def labelled(self, label: str, *texts: str) -> None:
        """Write texts, folded, behind a label that stands once."""
        for text in texts:
            for line in folded(escape(text), WIDTH - 11):
                self.lines.append(f"  {label:8} {line}".rstrip())
                label = ""


def folded(text: str, width: int) -> list[str]:
    """Fold a text at blanks; an empty one is one empty line."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
