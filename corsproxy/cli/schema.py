"""Print the JSON Schema of the file, for editors: `corsproxy schema > corsproxy.schema.json`."""

import argparse
import sys

from corsproxy.cli import environment
from corsproxy.config.jsonschema import schema_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `schema`."""
    parser.add_argument("--env", action="store_true", help="print the environment variables instead, each with the key that it sets")


def run(arguments: argparse.Namespace) -> int:
    """Print it; returns the exit code."""
    sys.stdout.write(environment.listed() if arguments.env else schema_text())
    return 0
