"""Run the proxy until it is told to end."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from corsproxy import __version__, app
from corsproxy.cli.exits import EXIT_CONFIG, EXIT_STARTUP, EXIT_USAGE
from corsproxy.cli.loading import add_source_arguments, load_first, source_of
from corsproxy.cli.summary import summarize
from corsproxy.cli.term import complain, wants_colour
from corsproxy.config.diagnostics import Secrets
from corsproxy.config.load import Loaded
from corsproxy.config.render import render
from corsproxy.config.settings import Listen, Settings
from corsproxy.gateway._aiohttp import CannotRun, check_aiohttp
from corsproxy.gateway.contexts import BadTlsFile
from corsproxy.gateway.server import CannotListen
from corsproxy.observe.log import configure_events
from corsproxy.problems import CANNOT_LISTEN

_log = logging.getLogger("corsproxy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `run`."""
    add_source_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run a proxy; returns the exit code."""
    source = source_of(arguments)
    if source is None:
        return EXIT_USAGE
    loaded = load_first(source)
    if loaded.diagnostics:
        sys.stderr.write(render(loaded.diagnostics, colour=wants_colour(sys.stderr)))
    if loaded.settings is None:
        return EXIT_CONFIG
    return start(loaded.settings, source, loaded.files, loaded.secrets)


def start(settings: Settings, load: Callable[[], Loaded], files: Sequence[str], secrets: Secrets) -> int:
    """Start a proxy with valid settings; returns the exit code. What is said of the settings passes `secrets`."""
    configure_events(settings.log, sys.stderr)

    def announce(listening: Sequence[Listen]) -> None:
        _log.info("corsproxy %s %s", __version__, secrets.strike("\n  ".join(summarize(settings, listening))))

    try:
        check_aiohttp()
        return app.run(settings, announce, load, files)
    except CannotListen as error:
        complain(CANNOT_LISTEN, f"cannot listen on {error}")
    except BadTlsFile as error:
        # It was sound when it was checked, a moment ago.
        complain(error.problem, str(error), error.help)
        return EXIT_CONFIG
    except CannotRun as error:
        complain(error.problem, str(error))
    return EXIT_STARTUP
