"""Write a policy file to begin with. It asks nothing, and overwrites nothing unless told to."""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Final

from corsproxy.cli.exits import EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE
from corsproxy.cli.loading import DEFAULT_FILES, STDIN
from corsproxy.cli.policy_file import teach, write_policy
from corsproxy.cli.term import wants_colour, write_err, write_out
from corsproxy.config.diagnostics import Diagnostic
from corsproxy.config.load import load_flags, load_text
from corsproxy.config.render import render
from corsproxy.cors.origins import ANY
from corsproxy.problems import Severity

_DEFAULT_UPSTREAM: Final = "http://localhost:9000"
_DEFAULT_ORIGIN: Final = "https://app.example.com"
# What YAML reads as it stands: it begins with a letter, and holds neither a space nor a character that YAML knows, but colons before
# other characters.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~/-]|:(?=[0-9]))+")

_STARTER: Final = """\
# yaml-language-server: $schema=./corsproxy.schema.json     (corsproxy schema > corsproxy.schema.json)

# A policy for corsproxy: who may call what. `corsproxy check` says in words what it lets in, `corsproxy run` runs it.
# Lines that begin with "# " and a key are the defaults, or examples; uncomment what you need.
# docs/configuration.md explains every key, config.example.yaml shows all of them.

# listen: 127.0.0.1:8080            # host:port, :port (all interfaces) or unix:/run/corsproxy.sock
# public_url: https://api.example.com   # how browsers reach the proxy; without it: from the Host field

# The API to stand in front of.
upstream: {upstream}

# Whose pages may call it, and how. The pages of any other origin get 403, and the API never sees their calls.
cors:
  allow_origins:{origins}
  # allow_methods: [GET, HEAD, POST, PUT, PATCH, DELETE]
  # allow_headers: [Content-Type]   # names that scripts may set; tokens need [Authorization, Content-Type]
  # expose_headers: []              # names that scripts may read, as [X-Total-Count, Link]
  # allow_credentials: false        # true: cookies, HTTP authentication and client certificates
  # max_age: 2h                     # how long browsers remember a preflight; 0: not at all

# routes:                           # paths with a policy of their own; the longest path wins
#   - path: /public
#     cors: {{allow_origins: "*"}}
#   - path: /internal
#     cors: none                    # no page of another origin may call
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `init`."""
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default=DEFAULT_FILES[0], help=f"the file to write, - for stdout (default: ./{DEFAULT_FILES[0]})"
    )
    parser.add_argument("--upstream", metavar="URL", help=f"the API to stand in front of (default: {_DEFAULT_UPSTREAM})")
    parser.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help=f"an origin whose pages may call; may be repeated (default: {_DEFAULT_ORIGIN})",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file if there is one")


def run(arguments: argparse.Namespace) -> int:
    """Write the file; returns the exit code."""
    upstream, origins = arguments.upstream or _DEFAULT_UPSTREAM, arguments.allow_origin or [_DEFAULT_ORIGIN]
    found = load_flags(upstream, origins).diagnostics
    text = starter(upstream, origins)
    # The flags are judged first, because their messages show the flags.
    refused = _serious(found) or _serious(load_text(text, arguments.file).diagnostics)
    if refused:
        write_err(render(refused, colour=wants_colour(sys.stderr)))
        return EXIT_USAGE
    if arguments.file == STDIN:
        write_out(text)
        return EXIT_OK
    if not write_policy(arguments.file, text, overwrite=arguments.force):
        return EXIT_PROBLEMS
    teach(arguments.file)
    return EXIT_OK


def starter(upstream: str, origins: Sequence[str]) -> str:
    """Write a policy file as text. Pure; the values are quoted so that YAML reads back what was given."""
    # Flags take lists with commas between the entries, as variables do; no origin holds one.
    listed = [origin.strip() for each in origins for origin in each.split(",")]
    written = f' "{ANY}"' if listed == [ANY] else "".join(f"\n    - {_quoted(each)}" for each in listed)
    return _STARTER.format(upstream=_quoted(upstream), origins=written)


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else "'{}'".format(value.replace("'", "''"))


def _serious(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return what `check --strict` would not let pass."""
    return [each for each in diagnostics if each.severity is not Severity.NOTE]
