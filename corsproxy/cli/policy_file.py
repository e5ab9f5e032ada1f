"""A policy file that a verb has made: it is written, and what comes next is said."""

import shlex
from pathlib import Path

from corsproxy.cli.files import write_file
from corsproxy.cli.loading import DEFAULT_FILES
from corsproxy.cli.term import complain, write_err
from corsproxy.problems import FILE_EXISTS, OUTPUT_FAILED


def write_policy(name: str, text: str, *, overwrite: bool) -> bool:
    """Write the file; False, said on stderr, where that cannot be done, or there is one that may not be overwritten."""
    try:
        write_file(Path(name), text, overwrite=overwrite)
    except FileExistsError:
        refuse_existing(name)
        return False
    except OSError as error:
        complain(OUTPUT_FAILED, f"`{name}` cannot be written: {(error.strerror or str(error)).lower()}")
        return False
    return True


def refuse_existing(name: str) -> None:
    """Say that there is such a file already."""
    complain(FILE_EXISTS, f"`{name}` exists already", "write to another one, or overwrite it with `--force`")


def teach(name: str) -> None:
    """Say what was written, and what to do with it."""
    is_default = Path(name) == Path(DEFAULT_FILES[0])
    check, run = ("", "") if is_default else (f" {shlex.quote(name)}", f" --config {shlex.quote(name)}")
    width = max(len(f"corsproxy run{run}"), len("docs/configuration.md"))
    write_err(
        f"wrote {name}\n\n"
        "next:\n"
        f"  {f'corsproxy check{check}':{width}}   says in words what it lets in\n"
        f"  {f'corsproxy run{run}':{width}}   runs it\n"
        f"  {'docs/configuration.md':{width}}   explains every key\n"
    )
