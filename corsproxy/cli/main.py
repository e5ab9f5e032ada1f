"""The command `corsproxy`: its verbs, and which one a command line names."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, NoReturn, Protocol, cast

from corsproxy import __version__
from corsproxy.cli.exits import EXIT_CLOSED_PIPE, EXIT_INTERRUPTED, EXIT_PROBLEMS
from corsproxy.cli.parser import Parser, nearest
from corsproxy.cli.term import OutputFailed, complain
from corsproxy.pid_one import assume_duties, is_pid_one
from corsproxy.problems import OUTPUT_FAILED


@dataclass(frozen=True, slots=True)
class Verb:
    """
    A row of the table of verbs.

    `module` is imported when the verb runs, and only then: the verbs that start no server must not pay for one.
    """

    group: str
    name: str
    module: str
    help: str
    aliases: tuple[str, ...] = ()


class VerbModule(Protocol):
    """What the module of a verb holds. Its docstring is what `--help` says first."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Declare the flags."""

    def run(self, arguments: argparse.Namespace, /) -> int:
        """Do it; returns the exit code."""


_RUNNING: Final = "a proxy"
_POLICY: Final = "a policy"
_ABOUT: Final = "corsproxy itself"
DEFAULT: Final = "run"
# Verbs of one group stand together.
VERBS: Final = (
    Verb(_RUNNING, "run", "corsproxy.cli.run", "run the proxy; the default: `corsproxy --config FILE` runs one too"),
    Verb(_RUNNING, "reload", "corsproxy.cli.reload", "let a running proxy load its file again, and say what it found"),
    Verb(_RUNNING, "probe", "corsproxy.cli.probe", "ask a running proxy whether it is alive, or ready"),
    Verb(_RUNNING, "demo", "corsproxy.cli.demo", "try it: a sample API without CORS, the proxy in front of it, and a page"),
    Verb(_POLICY, "check", "corsproxy.cli.check", "load a policy as `run` does: what is wrong, or what it lets in", aliases=("validate",)),
    Verb(_POLICY, "explain", "corsproxy.cli.explain", "say what becomes of one cross-origin call, and which line of the policy decides"),
    Verb(_POLICY, "diff", "corsproxy.cli.diff", "say what a new policy lets in that an old one did not, and what no longer"),
    Verb(_POLICY, "doctor", "corsproxy.cli.doctor", "ask a live server as a browser would, and name what is wrong with its CORS"),
    Verb(_POLICY, "learn", "corsproxy.cli.learn", "watch a page call an API in development, and write the policy that lets it"),
    Verb(_POLICY, "config", "corsproxy.cli.config", "print every key with its value in force, and where that comes from"),
    Verb(_POLICY, "init", "corsproxy.cli.init", "write a policy file to begin with"),
    Verb(_POLICY, "explain-code", "corsproxy.cli.explain_code", "explain a code that a message named, as CP104"),
    Verb(_ABOUT, "dev-cert", "corsproxy.cli.dev_cert", "make a certificate for https in development"),
    Verb(_ABOUT, "schema", "corsproxy.cli.schema", "print the JSON Schema of the file, for editors"),
    Verb(_ABOUT, "completion", "corsproxy.cli.completion", "print the completion of a shell: bash, zsh or fish"),
    Verb(_ABOUT, "version", "corsproxy.cli.version", "say which version this is"),
)
_NAMED: Final = {name: verb for verb in VERBS for name in (verb.name, *verb.aliases)}

_DESCRIPTION: Final = """\
Stands in front of an HTTP API that knows no CORS: answers preflights from one policy file,
forwards the rest untouched, and rewrites response headers so that browsers accept exactly
the cross-origin calls that the policy names."""

_USAGE: Final = """\
corsproxy [run] [--config FILE]
       corsproxy [run] --upstream URL --allow-origin ORIGIN [--allow-credentials] [--listen ADDR]
       corsproxy VERB [--help]"""

_EPILOG: Final = """\
try it in front of an API of your own:
  corsproxy --upstream http://localhost:9000 --allow-origin https://app.example.com

keep the policy in a file (config.example.yaml shows every key):
  corsproxy --config corsproxy.yaml

signals: SIGTERM ends in order, as `shutdown` says, SIGINT (Ctrl-C) ends at once, SIGHUP loads the file again.
exit codes: 0 ended as asked, 1 `check` found problems, `explain` a call that does not work, `reload` or
`probe` a no, `diff --fail-on widen` more that is let in, `learn` nothing, 2 wrong usage, 3 cannot start
(address taken) or nobody to ask, 78 the configuration is wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    _open_standard_streams()
    if is_pid_one():
        assume_duties()
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OutputFailed as failed:
        if isinstance(failed.reason, BrokenPipeError):
            return EXIT_CLOSED_PIPE
        complain(OUTPUT_FAILED, f"stdout cannot be written: {(failed.reason.strerror or str(failed.reason)).lower()}")
        return EXIT_PROBLEMS
    finally:
        _settle_stdout()


def build_parser() -> Parser:
    """Build one parser of all verbs, for those who look at the whole command line; it imports the modules of all of them."""
    parser = _root_parser()
    verb_module(DEFAULT).add_arguments(parser)
    below = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)
    for verb in VERBS:
        module = _module(verb)
        module.add_arguments(below.add_parser(verb.name, help=verb.help, description=module.__doc__, aliases=verb.aliases))
    return parser


def verb_module(name: str) -> VerbModule:
    """Import the module of a verb, by its name or an alias."""
    return _module(_NAMED[name])


def verb_parser(name: str) -> Parser:
    """Build the parser of one verb, as `build_parser` does."""
    module = verb_module(name)
    parser = Parser(prog=f"corsproxy {_NAMED[name].name}", description=module.__doc__)
    module.add_arguments(parser)
    return parser


def _run(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    try:
        if first in ("-h", "--help", "--version"):
            _root_parser().parse_all(arguments)
        if first in _NAMED:
            return verb_module(first).run(verb_parser(first).parse_all(arguments[1:]))
        if first and not first.startswith("-"):
            _refuse_verb(first)
        hints = {name: f"write the verb first: `corsproxy {name} …`" for name in _NAMED}
        return verb_module(DEFAULT).run(verb_parser(DEFAULT).parse_all(arguments, hints))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0


def _refuse_verb(word: str) -> NoReturn:
    guess = nearest(word, _NAMED)
    if guess:
        help_ = f"did you mean `{guess}`?"
    elif Path(word).is_file():
        help_ = f"write `corsproxy --config {word}` to run this file"
    else:
        help_ = f"use one of {', '.join(f'`{verb.name}`' for verb in VERBS)}"
    _root_parser().refuse(f"there is no verb `{word}`", help_)


def _root_parser() -> Parser:
    parser = Parser(prog="corsproxy", usage=_USAGE, description=_DESCRIPTION, epilog=f"{_verbs_in_words()}\n\n{_EPILOG}")
    parser.add_argument("--version", action="version", version=f"corsproxy {__version__}")
    return parser


def _verbs_in_words() -> str:
    width = max(len(verb.name) for verb in VERBS)
    lines = []
    for group, verbs in groupby(VERBS, lambda verb: verb.group):
        lines.append(f"{group}:")
        for verb in verbs:
            also = f" (also `{'`, `'.join(verb.aliases)}`)" if verb.aliases else ""
            lines.append(f"  {verb.name:{width}}  {verb.help}{also}")
    return "\n".join(lines)


def _module(verb: Verb) -> VerbModule:
    return cast("VerbModule", importlib.import_module(verb.module))


def _open_standard_streams() -> None:
    """
    Lead to nowhere what the caller closed: `corsproxy run >&-`.

    Else a socket would get a number below 3, on which libuv gives up.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _settle_stdout() -> None:
    """Let go of what stdout did not take, so that the interpreter's own flush at its end finds nothing to complain about."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
