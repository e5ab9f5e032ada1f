"""Print the JSON Schema of the file, for editors: `corsproxy schema > corsproxy.schema.json`."""

import argparse

from corsproxy.cli import environment
from corsproxy.cli.exits import EXIT_OK
from corsproxy.cli.term import write_out
from corsproxy.config.jsonschema import schema_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `schema`."""
    parser.add_argument("--env", action="store_true", help="print the environment variables instead, each with the key that it sets")


def run(arguments: argparse.Namespace) -> int:
    """Print it; returns the exit code."""
    write_out(environment.listed() if arguments.env else schema_text())
    return EXIT_OK
