"""What a terminal can show, and how the command line speaks to a person."""

import os
import sys
from contextlib import suppress

from corsproxy.config.render import advice, escape, headline
from corsproxy.observe.terminal import wants_colour
from corsproxy.problems import Problem

__all__ = ["OutputFailed", "complain", "wants_colour", "write_out"]


class OutputFailed(Exception):
    """Stdout takes no more: its reader went away, or the disk is full."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def write_out(text: str) -> None:
    """Write data to stdout, at once. Raises OutputFailed, which the command line knows how to end on."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise OutputFailed(error) from error


def write_err(text: str) -> None:
    """Write what a person should know to stderr. Where that takes nothing any more, it is lost, and nothing else: the exit code still says it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        # The interpreter flushes once more at its end, and would end with another code.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)


def complain(problem: Problem, message: str, *help_lines: str) -> None:
    """Write a problem that is about no place in a file to stderr, in the form of all others."""
    colour = wants_colour(sys.stderr)
    first, *others = help_lines or (_as_help(problem.fix),)
    lines = [headline(problem, message, colour=colour), f"  {advice('help', first, colour=colour)}"]
    lines += [f"          {escape(line)}" for line in others]
    write_err("\n".join(lines) + "\n")


def _as_help(fix: str) -> str:
    """Write what the catalogue says in sentences as messages say it."""
    return fix[0].lower() + fix[1:].removesuffix(".")
