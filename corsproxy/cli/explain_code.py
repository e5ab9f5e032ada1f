"""Explain a code that a message named: what it means, why it matters, what to do. Without a code: list all of them."""

import argparse
import re
import textwrap
from collections.abc import Iterable
from itertools import zip_longest
from typing import Final

from corsproxy.cli.exits import EXIT_OK, EXIT_USAGE
from corsproxy.cli.term import complain, write_out
from corsproxy.problems import USAGE, Problem, catalogue

_PREFIX: Final = "CP"
_WIDTH: Final = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `explain-code`."""
    parser.add_argument("code", metavar="CODE", nargs="?", help="a code as messages show it: CP104, cp104 or 104")


def run(arguments: argparse.Namespace) -> int:
    """Print the page of a code, or the list of all; returns the exit code."""
    known = catalogue()
    if arguments.code is None:
        write_out("".join(f"{code}  {problem.title}\n" for code, problem in known.items()))
        return EXIT_OK
    asked = arguments.code.strip().upper()
    code = asked if asked.startswith(_PREFIX) else f"{_PREFIX}{asked}"
    if code in known:
        write_out(page(known[code]))
        return EXIT_OK
    near = [f"{each}  {known[each].title}" for each in _nearest(code, known)]
    complain(USAGE, f"no problem has the code `{arguments.code}`", *(near or ["run `corsproxy explain-code` for the list of all"]))
    return EXIT_USAGE


def page(problem: Problem) -> str:
    """Write what the catalogue says of a problem, for a terminal. Pure."""
    status = f", status {problem.status}" if problem.status else ""
    parts = [
        f"{problem.code}: {problem.title} ({problem.severity}{status})",
        textwrap.fill(problem.why, _WIDTH, break_long_words=False, break_on_hyphens=False),
        textwrap.fill(f"What to do: {problem.fix}", _WIDTH, break_long_words=False, break_on_hyphens=False),
        f"See {problem.page}",
    ]
    return "\n\n".join(parts) + "\n"


def _nearest(code: str, known: Iterable[str]) -> list[str]:
    """Return the three codes that a wrong one is most likely meant for: those with the most digits in place, then by distance."""
    digits = code.removeprefix(_PREFIX)
    if re.fullmatch(r"[0-9]{1,4}", digits) is None:
        return []
    written = f"{_PREFIX}{int(digits):03}"

    def distance(each: str) -> tuple[int, int]:
        wrong = sum(left != right for left, right in zip_longest(each, written))
        return wrong, abs(int(each.removeprefix(_PREFIX)) - int(digits))

    return sorted(known, key=distance)[:3]
