"""Let a running proxy load its file again, and say what it found."""

import argparse
import json
from typing import Any, Final

from corsproxy.cli.asking import Address, NotReachable, Reply, add_address_arguments, ask, find_address
from corsproxy.cli.exits import EXIT_NOT_REACHABLE, EXIT_OK, EXIT_PROBLEMS
from corsproxy.cli.term import complain, write_out
from corsproxy.problems import ADMIN_NOT_REACHABLE, ADMIN_REFUSED

# The proxy gives a reload 30 s.
_TIMEOUT_S: Final = 40.0
_SIGNAL: Final = "or send SIGHUP to its process, which does the same"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `reload`."""
    add_address_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask for a reload and print what came of it, as `check` prints problems; returns the exit code."""
    try:
        address = find_address(arguments)
        reply = ask(address, "POST", "/-/reload", _TIMEOUT_S)
    except NotReachable as error:
        complain(ADMIN_NOT_REACHABLE, str(error), "name the admin listener with `--url`", _SIGNAL)
        return EXIT_NOT_REACHABLE
    outcome = _outcome(reply)
    if outcome is None:
        return _refused(address, reply)
    write_out(outcome["report"] or f"{outcome['file']}: no problems\n")
    for path in outcome["needs_restart"]:
        write_out(f"needs a restart: {path}\n")
    if not outcome["ok"]:
        write_out("refused: the configuration that was in force stays\n")
        return EXIT_PROBLEMS
    # A file that has changed is loaded without being asked, too: whether this very reload changed anything says nothing.
    write_out("in force: what the file says\n")
    return EXIT_OK


def _outcome(reply: Reply) -> dict[str, Any] | None:
    """Return what a proxy says of a reload; None if it is something else."""
    try:
        found = json.loads(reply.body)
    except ValueError:
        return None
    wanted = {"ok": bool, "changed": bool, "file": str, "report": str, "needs_restart": list}
    is_one = isinstance(found, dict) and all(isinstance(found.get(name), kind) for name, kind in wanted.items())
    return found if is_one else None


def _refused(address: Address, reply: Reply) -> int:
    first, *_ = reply.body.decode("utf-8", "replace").splitlines() or [""]
    complain(ADMIN_REFUSED, f"{address} answered {reply.status}{f': {first}' if first.isprintable() and first else ''}", _SIGNAL)
    return EXIT_PROBLEMS
