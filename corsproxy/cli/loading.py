"""
Where a command finds its policy: a file, stdin, or flags alone, with the environment above the file and flags above both.

Every verb that needs settings loads them here, so that `check` never says other than what `run` does.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from corsproxy.cli import environment
from corsproxy.cli.term import complain
from corsproxy.config.diagnostics import Diagnostic, Source, diagnostic
from corsproxy.config.load import MAX_FILE_BYTES, Loaded, Override, load_file, load_flags, load_text
from corsproxy.problems import NO_POLICY, UNKNOWN_VARIABLE, USAGE
from corsproxy.startup import checked

DEFAULT_FILES: Final = ("corsproxy.yaml", "/etc/corsproxy/corsproxy.yaml")
STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class PolicySource:
    """
    Where settings come from; calling it loads them, as often as wanted.

    `file` is what a watcher looks at; None for flags alone and for stdin, which is read once and remembered. `flags` lead another
    command to the same source, from any directory.
    """

    file: Path | None
    load: Callable[[], Loaded]
    flags: tuple[str, ...] = ()

    def __call__(self) -> Loaded:
        """Load the settings, and hold them against the file's own tests. Never raises: what is wrong is among the diagnostics."""
        return replace(checked(self.load()), flags=self.flags)


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that say where a policy comes from, and those that win over it."""
    group = parser.add_argument_group("the policy")
    group.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help=f"the policy file, or - for stdin (default: ./{DEFAULT_FILES[0]}, then {DEFAULT_FILES[1]})",
    )
    group.add_argument("--upstream", metavar="URL", help="the API to stand in front of, instead of a file's `upstream`")
    group.add_argument(
        "--allow-origin", metavar="ORIGIN", action="append", default=[], help="an origin whose pages may call; may be repeated"
    )
    group.add_argument("--allow-credentials", action="store_true", help="let them send cookies and other credentials")
    group.add_argument(
        "--listen",
        metavar="ADDR",
        action="append",
        default=[],
        help="where to listen: host:port, :port or unix:/path; may be repeated (default: 127.0.0.1:8080)",
    )
    group.add_argument("--no-express", action="store_true", help="serve every exchange the slower way, for doubt and for comparison")


def load(arguments: argparse.Namespace, *, is_tested: bool = True) -> Loaded | None:
    """
    Load what the command line names, with a warning for each variable that only looks as if it were meant for corsproxy.

    None when there is nothing to load, which is then said on stderr. `is_tested` runs the file's own tests.
    """
    source = source_of(arguments)
    return None if source is None else load_first(source, is_tested=is_tested)


def load_first(source: PolicySource, *, is_tested: bool = True) -> Loaded:
    """Load a source for the first time, with a warning for each variable that only looks as if it were meant for corsproxy."""
    loaded = source() if is_tested else source.load()
    return replace(loaded, diagnostics=(*_strange_variables(os.environ), *loaded.diagnostics))


def source_of(arguments: argparse.Namespace) -> PolicySource | None:
    """Return what the command line names, to be loaded again and again; None, said on stderr, when there is nothing to load."""
    for flag, value in (("--config", arguments.config), ("--upstream", arguments.upstream)):
        if value == "":
            # A variable of a shell that is not set must not lead to another policy, or upstream.
            complain(USAGE, f"`{flag}` is empty", "give it a value, or take it out")
            return None
    found = environment.overrides(os.environ)
    name = arguments.config or os.environ.get(environment.CONFIG) or None
    if name is None and (arguments.upstream is not None or arguments.allow_origin):
        return _flags(arguments, found)
    if name is None:
        name = next((each for each in DEFAULT_FILES if Path(each).is_file()), None)
    if name is None:
        if {"upstream.url", "cors.allow_origins"} <= found.keys():
            return _flags(arguments, found)
        complain(
            NO_POLICY,
            "there is neither " + " nor ".join(f"`{each}`" if each.startswith("/") else f"`./{each}`" for each in DEFAULT_FILES),
            "name one:      corsproxy --config FILE",
            "or do without: corsproxy --upstream http://localhost:9000 --allow-origin https://app.example.com",
            "or begin one:  corsproxy init",
            "or look first: corsproxy demo",
        )
        return None
    overrides = found | _overrides(arguments)
    if name == STDIN:
        content = read_stdin()
        return PolicySource(None, lambda: load_text(content, "<stdin>", overrides, os.environ), ("--config", STDIN, *_spelled(overrides)))
    flags = ("--config", str(Path(name).absolute()), *_spelled(overrides))
    return PolicySource(Path(name), lambda: load_file(name, overrides, os.environ), flags)


def read_stdin() -> bytes:
    """Return what stdin holds; nothing where it leads to what cannot be read."""
    try:
        return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    except OSError:
        return b""


def _flags(arguments: argparse.Namespace, found: Mapping[str, Override]) -> PolicySource:
    found = {**found, **{path: Override(values[0], f"flag {flag}") for path, flag, values in _switches(arguments) if values}}
    return PolicySource(
        None,
        lambda: load_flags(arguments.upstream, arguments.allow_origin, arguments.allow_credentials, arguments.listen, found),
        tuple(_spelled({**found, **_overrides(arguments)})),
    )


def _overrides(arguments: argparse.Namespace) -> dict[str, Override]:
    given = (
        ("upstream.url", "--upstream", [arguments.upstream] if arguments.upstream is not None else []),
        ("cors.allow_origins", "--allow-origin", arguments.allow_origin),
        ("cors.allow_credentials", "--allow-credentials", ["true"] if arguments.allow_credentials else []),
        ("listen", "--listen", arguments.listen),
        *_switches(arguments),
    )
    return {path: Override(",".join(values), f"flag {flag}") for path, flag, values in given if values}


def _switches(arguments: argparse.Namespace) -> list[tuple[str, str, list[str]]]:
    return [("express", "--no-express", ["false"] if arguments.no_express else [])]


def _spelled(overrides: Mapping[str, Override]) -> Iterator[str]:
    """Write what wins over a file as flags, as far as there are flags for it."""
    for path, flag in (("upstream.url", "--upstream"), ("cors.allow_origins", "--allow-origin"), ("listen", "--listen")):
        if path in overrides:
            yield from (f"{flag}={value.strip()}" for value in overrides[path].value.split(","))
    if "cors.allow_credentials" in overrides and overrides["cors.allow_credentials"].value == "true":
        yield "--allow-credentials"
    if "express" in overrides and overrides["express"].value == "false":
        yield "--no-express"


def _strange_variables(environ: Mapping[str, str]) -> list[Diagnostic]:
    found = []
    for name in environment.strangers(environ):
        near = environment.nearest(name)
        help_ = f"did you mean `{near}`?" if near else "run `corsproxy schema --env` for those that are"
        # The name is shown and not the value, which may be anything.
        span = Source("environment", (name,), is_file=False).span(1, len(name) + 1)
        found.append(diagnostic(UNKNOWN_VARIABLE, span, f"`{name}` is not one that corsproxy knows", help_))
    return found
