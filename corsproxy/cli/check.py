"""Load a policy as `run` does, without a socket: say what is wrong with it, or what it lets in."""

import argparse
import sys
from typing import Final

from corsproxy.cli.exits import EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE
from corsproxy.cli.loading import add_source_arguments, load
from corsproxy.cli.review import review
from corsproxy.cli.term import complain, wants_colour, write_out
from corsproxy.config.export import to_github, to_json
from corsproxy.config.load import Loaded
from corsproxy.config.render import render, summary
from corsproxy.problems import USAGE, Severity

_TEXT, _JSON, _GITHUB = "text", "json", "github"
_FAILING: Final = {False: (Severity.ERROR,), True: (Severity.ERROR, Severity.WARNING)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `check`."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="the policy file, as `--config` names it; - for stdin")
    parser.add_argument("--strict", action="store_true", help="let warnings fail too")
    parser.add_argument(
        "--format",
        choices=(_TEXT, _JSON, _GITHUB),
        default=_TEXT,
        help="text: the problems, and what the policy lets in (the default); json: a list of problems; github: annotations for a workflow",
    )
    add_source_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check a policy; returns the exit code."""
    if arguments.file is not None:
        if arguments.config is not None:
            complain(USAGE, "`FILE` and `--config` name two files", "name one")
            return EXIT_USAGE
        arguments.config = arguments.file
    loaded = load(arguments)
    if loaded is None:
        return EXIT_USAGE
    write_out(_written(loaded, arguments.format))
    failing = _FAILING[arguments.strict]
    return EXIT_PROBLEMS if any(each.severity in failing for each in loaded.diagnostics) else EXIT_OK


def _written(loaded: Loaded, form: str) -> str:
    if form == _JSON:
        return to_json(loaded.diagnostics)
    if form == _GITHUB:
        return to_github(loaded.diagnostics)
    colour = wants_colour(sys.stdout)
    problems = render(loaded.diagnostics, colour=colour) or f"{loaded.source.name}: {summary(())}\n"
    if loaded.settings is None:
        return problems
    return f"{problems}\n{loaded.secrets.strike(review(loaded.settings, root=loaded.root, colour=colour))}"
