"""Say which version this is."""

import argparse

from corsproxy import __version__
from corsproxy.cli.exits import EXIT_OK
from corsproxy.cli.term import write_out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `version`: none."""


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001 - every verb takes them
    """Print the version; returns the exit code."""
    write_out(f"corsproxy {__version__}\n")
    return EXIT_OK
