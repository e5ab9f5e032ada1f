"""The command `corsproxy`: verbs and their flags."""

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from typing import Final

from corsproxy import __version__
from corsproxy.cli import demo, dev_cert, run

_DESCRIPTION: Final = """\
Stands in front of an HTTP API that knows no CORS: answers preflights from one policy file,
forwards the rest untouched, and rewrites response headers so that browsers accept exactly
the cross-origin calls that the policy names."""

_EPILOG: Final = """\
verbs:
  run     run the proxy (the default: `corsproxy --config FILE` is `corsproxy run --config FILE`)
  demo    try it: a sample API without CORS, the proxy in front of it, and a page that calls both
  dev-cert  make a certificate for https in development

try it in front of an API of your own:
  corsproxy --upstream http://localhost:9000 --allow-origin https://app.example.com

keep the policy in a file (config.example.yaml shows every key):
  corsproxy --config corsproxy.yaml

signals: SIGTERM lets exchanges in flight end, SIGINT (Ctrl-C) ends at once.
exit codes: 0 ended as asked, 2 wrong usage, 3 cannot start (address taken), 78 the configuration is wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = arguments.pop(0) if arguments and not arguments[0].startswith("-") else ""
    if verb == "demo":
        return _call(_demo_parser(), demo.run, arguments)
    if verb == "dev-cert":
        return _call(_dev_cert_parser(), dev_cert.run, arguments)
    parser = _run_parser()
    if verb not in ("", "run"):
        near = difflib.get_close_matches(verb, ["run", "demo", "dev-cert"], 1)
        parser.error(f"there is no verb `{verb}`" + (f"; did you mean `{near[0]}`?" if near else ", only `run`, `demo` and `dev-cert`"))
    return _call(parser, run.run, arguments)


def _call(parser: argparse.ArgumentParser, verb: Callable[[argparse.Namespace], int], arguments: list[str]) -> int:
    return verb(parser.parse_args(arguments))


def _run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="corsproxy",
        usage="corsproxy [run] [--config FILE]\n       corsproxy [run] --upstream URL --allow-origin ORIGIN [--allow-credentials] [--listen ADDR]\n       corsproxy demo",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"corsproxy {__version__}")
    run.add_arguments(parser)
    return parser


def _dev_cert_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="corsproxy dev-cert", description=dev_cert.__doc__, allow_abbrev=False)
    dev_cert.add_arguments(parser)
    return parser


def _demo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="corsproxy demo", description=demo.__doc__, allow_abbrev=False)
    demo.add_arguments(parser)
    return parser
