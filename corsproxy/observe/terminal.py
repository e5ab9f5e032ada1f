"""What a terminal can show. It imports nothing of ours: every verb of the command line asks it."""

import os
from typing import TextIO


def wants_colour(stream: TextIO) -> bool:
    """
    Tell whether to write colours: on a terminal, unless NO_COLOR is set; FORCE_COLOR writes them anywhere.

    Spec: https://no-color.org.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width_of(stream: TextIO) -> int:
    """Return how many columns a terminal has; 0 for what is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 0


def printable(text: str) -> str:
    """Escape whatever could move the cursor, or hide something."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def paint(text: str, code: str, *, colour: bool) -> str:
    """Colour a text, if asked for."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour and text else text
