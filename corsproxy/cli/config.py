"""Print every key with its value in force, and where that comes from: a file that loads again."""

import argparse
import json
import sys

from corsproxy.cli.exits import EXIT_CONFIG, EXIT_OK, EXIT_USAGE
from corsproxy.cli.loading import add_source_arguments, load
from corsproxy.cli.term import wants_colour, write_err, write_out
from corsproxy.config.effective import effective, to_json, to_yaml
from corsproxy.config.render import render


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `config`."""
    parser.add_argument(
        "--effective", action="store_true", required=True, help="what is in force: the file, with variables, flags and defaults"
    )
    parser.add_argument("--json", action="store_true", help="as JSON: by path, each value with its source")
    add_source_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print it; returns the exit code."""
    loaded = load(arguments, is_tested=False)
    if loaded is None:
        return EXIT_USAGE
    if loaded.diagnostics:
        write_err(render(loaded.diagnostics, colour=wants_colour(sys.stderr)))
    if loaded.settings is None or loaded.root is None:
        return EXIT_CONFIG
    found = effective(loaded.root)
    write_out(json.dumps(to_json(found), indent=2, ensure_ascii=False) + "\n" if arguments.json else to_yaml(found))
    return EXIT_OK
