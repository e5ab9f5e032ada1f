"""Ask a running proxy whether it is alive, or ready, in one line: for exec probes and HEALTHCHECK."""

import argparse
from typing import Final

from corsproxy.cli.asking import NotReachable, add_address_arguments, ask, find_address
from corsproxy.cli.exits import EXIT_OK, EXIT_PROBLEMS
from corsproxy.cli.term import write_out

# Kubernetes gives up after 1 s and Docker after 30 s, if nobody says otherwise.
_TIMEOUT_S: Final = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `probe`."""
    parser.add_argument("--ready", action="store_true", help="ask whether traffic is welcome, not only whether the process is alive")
    add_address_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask; returns 0 for yes and 1 for anything else, with a line that says which."""
    try:
        reply = ask(find_address(arguments), "GET", "/readyz" if arguments.ready else "/healthz", _TIMEOUT_S)
    except NotReachable as error:
        write_out(f"not reachable: {error}\n")
        return EXIT_PROBLEMS
    first, *_ = reply.body.decode("utf-8", "replace").splitlines() or [""]
    said = first if first.isprintable() else ""
    if reply.status == 200:
        write_out(f"{said}\n")
        return EXIT_OK
    write_out(f"{said or 'no'}\n" if arguments.ready and reply.status == 503 else f"answered {reply.status}: {said}\n")
    return EXIT_PROBLEMS
