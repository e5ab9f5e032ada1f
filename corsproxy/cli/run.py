"""Run the proxy until it is told to end."""

import argparse
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence

from corsproxy import __version__, app
from corsproxy.cli.exits import EXIT_CONFIG, EXIT_STARTUP, EXIT_USAGE
from corsproxy.cli.loading import add_source_arguments, load_first, source_of
from corsproxy.cli.summary import summarize
from corsproxy.cli.term import complain, wants_colour, write_err
from corsproxy.config.choices import LogFormat
from corsproxy.config.diagnostics import Diagnostic
from corsproxy.config.load import Loaded
from corsproxy.config.render import render, summary
from corsproxy.config.settings import Listen, Settings
from corsproxy.gateway._aiohttp import CannotRun, check_aiohttp
from corsproxy.gateway.contexts import BadTlsFile
from corsproxy.gateway.listener import address_of
from corsproxy.gateway.server import CannotListen
from corsproxy.observe.details import details
from corsproxy.observe.log import configure_events, resolve_format
from corsproxy.problems import BAD_INHERITED_SOCKET, CANNOT_LISTEN, Severity
from corsproxy.processes.cpus import usable_cpus
from corsproxy.systemd import BadSocket, inherited_sockets

_log = logging.getLogger("corsproxy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `run`."""
    add_source_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run a proxy; returns the exit code."""
    try:
        lent = [sock for _, sock in inherited_sockets(os.environ)]
    except BadSocket as error:
        complain(BAD_INHERITED_SOCKET, str(error))
        return EXIT_STARTUP
    if lent:
        # Whatever depends on the addresses, as which Host names are answered, depends on these.
        arguments.listen = list(dict.fromkeys(str(address_of(sock)) for sock in lent))
    source = source_of(arguments)
    if source is None:
        return EXIT_USAGE
    loaded = load_first(source)
    if loaded.settings is None:
        # How to log is not known, so it is said to people.
        write_err(render(loaded.diagnostics, colour=wants_colour(sys.stderr)))
        return EXIT_CONFIG
    return _start(loaded.settings, loaded, source, lent)


def _start(settings: Settings, loaded: Loaded, load: Callable[[], Loaded], lent: Sequence[socket.socket]) -> int:
    configure_events(settings.log, sys.stderr)

    def announce(listening: Sequence[Listen]) -> None:
        first, *lines = map(loaded.secrets.strike, summarize(settings, listening, are_lent=bool(lent)))
        _log.info("corsproxy %s %s", __version__, first, extra=details(lines=lines, name="corsproxy.routes"))

    try:
        check_aiohttp()
        if (settings.workers or usable_cpus()) > 1:
            return _run_workers(settings, loaded, announce, load, lent)
        _warn(settings, loaded.diagnostics)
        return app.run(loaded, announce, load, lent)
    except CannotListen as error:
        complain(CANNOT_LISTEN, f"cannot listen on {error}", error.help)
    except BadTlsFile as error:
        # It was sound when it was checked, a moment ago.
        complain(error.problem, str(error), error.help)
        return EXIT_CONFIG
    except CannotRun as error:
        complain(error.problem, str(error))
    return EXIT_STARTUP


def _run_workers(
    settings: Settings,
    loaded: Loaded,
    announce: Callable[[Sequence[Listen]], None],
    load: Callable[[], Loaded],
    lent: Sequence[socket.socket],
) -> int:
    from corsproxy.processes.workers import CannotStart, prepare  # noqa: PLC0415 - one process needs no supervisor

    try:
        # Workers are forked from a process in which nothing has begun yet, no log either.
        supervisor = prepare(settings, settings.workers or usable_cpus(), lent)
        _warn(settings, loaded.diagnostics)
        return supervisor.run(loaded, announce, load)
    except CannotStart as error:
        complain(error.problem, str(error), error.help)
        return EXIT_STARTUP


def _warn(settings: Settings, diagnostics: Sequence[Diagnostic]) -> None:
    """Say what is doubtful about valid settings: to people as `check` does, to programs as a line of the log."""
    if not diagnostics:
        return
    if resolve_format(settings.log, sys.stderr) is LogFormat.TEXT:
        write_err(render(diagnostics, colour=wants_colour(sys.stderr)))
        return
    level = logging.WARNING if any(each.severity is Severity.WARNING for each in diagnostics) else logging.INFO
    _log.log(level, "the configuration is in force, with %s", summary(diagnostics), extra=details(diagnostics=diagnostics))
