"""Files that are there whole or not at all."""

import os
import secrets
from pathlib import Path


def write_file(path: Path, text: str, *, overwrite: bool = False) -> None:
    """
    Write a text file in one step: nobody ever reads half of it.

    Raises FileExistsError if there is one, and it may not be overwritten, and OSError for all else.
    """
    # A link is followed, so that it still leads to the file afterwards.
    place = Path(os.path.realpath(path)) if overwrite else path
    written = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    try:
        _write_new(written, text)
        if overwrite:
            written.replace(place)
        else:
            _link(written, place, text)
    finally:
        written.unlink(missing_ok=True)


def _link(written: Path, place: Path, text: str) -> None:
    """Give the file its name. Unlike a rename, this fails where the name is taken: there is no moment between looking and writing."""
    try:
        os.link(written, place)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links. What is left of the promise is that nothing is overwritten.
        _write_new(place, text)


def _write_new(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
