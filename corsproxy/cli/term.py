"""What a terminal can show."""

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
