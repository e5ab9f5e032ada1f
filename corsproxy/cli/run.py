"""Run the proxy until it is told to end."""

import argparse
import logging
import sys
from collections.abc import Sequence

from corsproxy import __version__, app
from corsproxy.cli.exits import EXIT_CONFIG, EXIT_STARTUP, EXIT_USAGE
from corsproxy.cli.loading import add_source_arguments, load
from corsproxy.cli.summary import summarize
from corsproxy.cli.term import complain, wants_colour
from corsproxy.config.render import render
from corsproxy.config.settings import Listen, Settings
from corsproxy.gateway._aiohttp import CannotRun, check_aiohttp
from corsproxy.gateway.server import CannotListen
from corsproxy.observe.log import configure_events
from corsproxy.problems import CANNOT_LISTEN

_log = logging.getLogger("corsproxy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `run`."""
    add_source_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run a proxy; returns the exit code."""
    loaded = load(arguments)
    if loaded is None:
        return EXIT_USAGE
    if loaded.diagnostics:
        sys.stderr.write(render(loaded.diagnostics, colour=wants_colour(sys.stderr)))
    if loaded.settings is None:
        return EXIT_CONFIG
    return start(loaded.settings)


def start(settings: Settings) -> int:
    """Start a proxy with valid settings; returns the exit code."""
    configure_events(settings.log, sys.stderr)

    def announce(listening: Sequence[Listen]) -> None:
        _log.info("corsproxy %s %s", __version__, "\n  ".join(summarize(settings, listening)))

    try:
        check_aiohttp()
        return app.run(settings, announce)
    except CannotListen as error:
        complain(CANNOT_LISTEN, f"cannot listen on {error}")
    except CannotRun as error:
        complain(error.problem, str(error))
    return EXIT_STARTUP
