"""`corsproxy run`, the default verb: from a file or from flags to a running proxy."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from corsproxy import __version__, app
from corsproxy.certificates import check_certificates
from corsproxy.cli import environment
from corsproxy.cli.summary import summarize
from corsproxy.cli.term import wants_colour
from corsproxy.config.load import Loaded, Override, load_file, load_flags
from corsproxy.config.render import render
from corsproxy.config.settings import Listen, Settings
from corsproxy.gateway._aiohttp import CannotRun, check_aiohttp
from corsproxy.gateway.contexts import BadTlsFile
from corsproxy.gateway.server import CannotListen
from corsproxy.observe.log import configure_events
from corsproxy.problems import CANNOT_LISTEN, Severity

_log = logging.getLogger("corsproxy")

EXIT_USAGE: Final = 2
EXIT_STARTUP: Final = 3
# sysexits.h EX_CONFIG: restart policies can tell a wrong file from a crash.
EXIT_CONFIG: Final = 78
DEFAULT_FILES: Final = ("corsproxy.yaml", "/etc/corsproxy/corsproxy.yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `run`."""
    parser.add_argument("-c", "--config", metavar="FILE", help=f"the policy file (default: ./{DEFAULT_FILES[0]}, then {DEFAULT_FILES[1]})")
    parser.add_argument("--upstream", metavar="URL", help="the API to stand in front of, instead of a file's `upstream`")
    parser.add_argument(
        "--allow-origin", metavar="ORIGIN", action="append", default=[], help="an origin whose pages may call; may be repeated"
    )
    parser.add_argument("--allow-credentials", action="store_true", help="let them send cookies and other credentials")
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        action="append",
        default=[],
        help="where to listen: host:port, :port or unix:/path (default: 127.0.0.1:8080)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run a proxy; returns the exit code."""
    loaded = _load(arguments)
    if loaded is None:
        return EXIT_USAGE
    loaded = check_certificates(loaded)
    if loaded.diagnostics:
        sys.stderr.write(render(loaded.diagnostics, colour=wants_colour(sys.stderr)))
    if loaded.settings is None:
        return EXIT_CONFIG
    return start(loaded.settings)


def start(settings: Settings) -> int:
    """Start a proxy with valid settings; returns the exit code."""
    configure_events(settings.log, sys.stderr)
    for name in environment.strangers(os.environ):
        near = environment.nearest(name)
        hint = f"did you mean {near}?" if near else "docs/configuration.md lists those that are"
        _log.warning("the environment variable %s is not one that corsproxy knows; %s", name, hint)

    def announce(listening: Sequence[Listen]) -> None:
        _log.info("corsproxy %s %s", __version__, "\n  ".join(summarize(settings, listening)))

    try:
        check_aiohttp()
        return app.run(settings, announce)
    except CannotListen as error:
        sys.stderr.write(f"{Severity.ERROR.value}[{CANNOT_LISTEN.code}]: cannot listen on {error}\n  = help: {CANNOT_LISTEN.fix}\n")
    except BadTlsFile as error:
        # It was sound when it was checked, a moment ago.
        sys.stderr.write(f"{Severity.ERROR.value}[{error.problem.code}]: {error}\n  = help: {error.help}\n")
        return EXIT_CONFIG
    except CannotRun as error:
        sys.stderr.write(f"{Severity.ERROR.value}[{error.problem.code}]: {error}\n  = help: {error.problem.fix}\n")
    return EXIT_STARTUP


def _load(arguments: argparse.Namespace) -> Loaded | None:
    found = environment.overrides(os.environ)
    file = arguments.config or os.environ.get(environment.CONFIG)
    if file is None and (arguments.upstream or arguments.allow_origin):
        return load_flags(arguments.upstream, arguments.allow_origin, arguments.allow_credentials, arguments.listen, found)
    if file is None:
        file = next((name for name in DEFAULT_FILES if Path(name).is_file()), None)
    if file is None:
        if {"upstream.url", "cors.allow_origins"} <= found.keys():
            return load_flags(None, (), arguments.allow_credentials, arguments.listen, found)
        sys.stderr.write(
            "corsproxy: no policy file: there is neither ./corsproxy.yaml nor /etc/corsproxy/corsproxy.yaml\n"
            "  = help: name one:     corsproxy --config FILE\n"
            "          or do without: corsproxy --upstream http://localhost:9000 --allow-origin https://app.example.com\n"
            "          or look first: corsproxy demo\n",
        )
        return None
    for path, flag, values in (
        ("upstream.url", "--upstream", [arguments.upstream] if arguments.upstream else []),
        ("cors.allow_origins", "--allow-origin", arguments.allow_origin),
        ("cors.allow_credentials", "--allow-credentials", ["true"] if arguments.allow_credentials else []),
        ("listen", "--listen", arguments.listen),
    ):
        if values:
            found[path] = Override(",".join(values), f"flag {flag}")
    return load_file(file, found)
