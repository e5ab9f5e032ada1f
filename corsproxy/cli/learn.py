"""
Stand in front of an API in development, let every page call it, watch, and write the smallest policy that lets the same calls through.

It listens on loopback only, changes no proxy that runs, and writes when it ends: at Ctrl-C, or after `--for`.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from corsproxy import app
from corsproxy.cli.exits import EXIT_OK, EXIT_PROBLEMS, EXIT_STARTUP, EXIT_USAGE
from corsproxy.cli.learn_watch import watch
from corsproxy.cli.loading import STDIN
from corsproxy.cli.policy_file import refuse_existing, teach, write_policy
from corsproxy.cli.term import complain, wants_colour, write_err, write_out
from corsproxy.config.admin import is_private
from corsproxy.config.load import Loaded, load_flags
from corsproxy.config.render import render
from corsproxy.config.settings import Listen, Settings
from corsproxy.config.units import format_duration, parse_duration
from corsproxy.gateway._aiohttp import CannotRun, check_aiohttp
from corsproxy.gateway.contexts import BadTlsFile
from corsproxy.gateway.server import CannotListen
from corsproxy.learning.evidence import Evidence
from corsproxy.learning.learned import Run, learned
from corsproxy.learning.permissive import permissive, while_learning
from corsproxy.observe.log import configure_events
from corsproxy.problems import CANNOT_LISTEN, LEARNING, LEARNS_ON_LOOPBACK, NOTHING_LEARNED, USAGE, Fault
from corsproxy.startup import checked

# Stands where the flags want an origin; the policy that is in force is another one.
_PLACEHOLDER: Final = "https://learn.invalid"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `learn`."""
    parser.add_argument("--upstream", metavar="URL", required=True, help="the API to stand in front of")
    parser.add_argument(
        "--origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="let in pages of this origin and no others; may be repeated (default: of any http or https origin)",
    )
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        action="append",
        default=[],
        help="where to listen, on loopback: 127.0.0.1:port or unix:/path; may be repeated (default: 127.0.0.1:8080)",
    )
    parser.add_argument("--for", metavar="DURATION", type=_read_duration, dest="seconds", help="end by itself after so long: 10m")
    parser.add_argument("--output", metavar="FILE", default=STDIN, help="the file to write (default: -, which is stdout)")
    parser.add_argument("--force", action="store_true", help="overwrite the file if there is one")


def run(arguments: argparse.Namespace) -> int:
    """Learn until told to end, and write what was learned; returns the exit code."""
    policy = permissive(arguments.origin)
    if isinstance(policy, Fault):
        complain(USAGE, f"`--origin`: {policy.message}", "name each origin as `http://localhost:5173`; without `--origin`, any is let in")
        return EXIT_USAGE
    loaded = _load(arguments)
    if loaded.settings is None:
        write_err(render(loaded.diagnostics, colour=wants_colour(sys.stderr)))
        return EXIT_USAGE
    open_to_all = [each for each in loaded.settings.listen if not is_private(each)]
    if open_to_all:
        complain(LEARNS_ON_LOOPBACK, f"`{open_to_all[0]}` can be reached from other machines, and whoever calls would be let in")
        return EXIT_USAGE
    name = arguments.output
    if name != STDIN and not arguments.force and Path(name).exists():
        # Now, and not after ten minutes of clicking.
        refuse_existing(name)
        return EXIT_USAGE
    write_err(render(loaded.diagnostics, colour=wants_colour(sys.stderr)) if loaded.diagnostics else "")
    evidence, begun = Evidence(), time.monotonic()
    code = _learn(while_learning(loaded.settings, policy), evidence, arguments)
    if code != EXIT_OK:
        return code
    # Another signal ends the program at once, whatever it waits for.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    return _write(evidence, Run(arguments.upstream, time.monotonic() - begun, tuple(arguments.origin)), arguments)


def _load(arguments: argparse.Namespace) -> Loaded:
    # Credentials are of the policy that is in force, and judged there.
    loaded = checked(load_flags(arguments.upstream, [_PLACEHOLDER], allow_credentials=False, listen=arguments.listen))
    return replace(loaded, flags=())


def _learn(settings: Settings, evidence: Evidence, arguments: argparse.Namespace) -> int:
    configure_events(settings.log, sys.stderr)
    who = "pages of " + ", ".join(arguments.origin) if arguments.origin else "pages of any origin"

    def announce(listening: Sequence[Listen]) -> None:
        complain(LEARNING, f"{who} may do whatever they like at {arguments.upstream} until this ends")
        ends = f"after {format_duration(arguments.seconds)}, or " if arguments.seconds else ""
        where = "stdout" if arguments.output == STDIN else arguments.output
        for address in listening:
            write_err(f"learning at {address if address.unix_path else f'http://{address}'}, in front of {arguments.upstream}\n")
        write_err(f"let the page call that address, and use it as its users do; {ends}at Ctrl-C the policy is written to {where}\n")

    try:
        check_aiohttp()
        return app.run_on_loop(watch(settings, evidence, arguments.seconds, announce, _progress()))
    except CannotListen as error:
        complain(CANNOT_LISTEN, f"cannot listen on {error}", error.help)
    except BadTlsFile as error:
        complain(error.problem, str(error), error.help)
    except CannotRun as error:
        complain(error.problem, str(error))
    return EXIT_STARTUP


def _progress() -> Callable[[str], None] | None:
    """Return what says on a terminal how far it is; None elsewhere."""
    if not sys.stderr.isatty():
        return None

    def tell(text: str) -> None:
        write_err(f"\r\x1b[K{text[:78]}")

    return tell


def _write(evidence: Evidence, run: Run, arguments: argparse.Namespace) -> int:
    if evidence.is_empty:
        refused, plain = evidence.refused.total, evidence.plain + evidence.own
        complain(
            NOTHING_LEARNED,
            f"no page of another origin called; {refused} requests were refused, {plain} were of no other origin. Nothing is written",
        )
        return EXIT_PROBLEMS
    text = learned(evidence, run)
    if arguments.output == STDIN:
        write_out(text)
        return EXIT_OK
    if write_policy(arguments.output, text, overwrite=arguments.force):
        teach(arguments.output)
        return EXIT_OK
    # What was learned must not be lost.
    write_out(text)
    return EXIT_PROBLEMS


def _read_duration(text: str) -> float:
    seconds = parse_duration(text)
    if isinstance(seconds, Fault):
        raise argparse.ArgumentTypeError(f"{seconds.message}; {seconds.help}")
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"`{text}` is no time to learn in; write it as `10m`")
    return seconds
