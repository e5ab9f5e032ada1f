"""Say what a new policy lets in that an old one did not, and what no longer; for reviews of changes."""

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from corsproxy.cli.exits import EXIT_CONFIG, EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE
from corsproxy.cli.explain import struck
from corsproxy.cli.loading import STDIN, read_stdin
from corsproxy.cli.term import complain, wants_colour, write_out
from corsproxy.comparison.compare import Comparison, as_json, compare
from corsproxy.comparison.difference import Difference, Effect
from corsproxy.config.load import Loaded, load_file, load_text
from corsproxy.config.render import escape, render
from corsproxy.problems import USAGE, Severity

_WIDTH: Final = 96
_WIDEN: Final = "widen"
_MARKS: Final = {
    Effect.WIDENED: ("+", "1;31"),
    Effect.MAY_WIDEN: ("?", "1;33"),
    Effect.NARROWED: ("-", "1;32"),
    Effect.CHANGED: ("~", "2"),
}
_COUNTED: Final = {
    Effect.WIDENED: "newly allowed",
    Effect.MAY_WIDEN: "maybe newly allowed",
    Effect.NARROWED: "newly refused",
    Effect.CHANGED: "changed",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `diff`."""
    parser.add_argument("old", metavar="OLD", help="the policy file as it was; - for stdin")
    parser.add_argument("new", metavar="NEW", help="the policy file as it will be; - for stdin")
    parser.add_argument("--json", action="store_true", help="write JSON, for programs")
    parser.add_argument("--fail-on", choices=(_WIDEN,), help="widen: exit with 1 if something is, or may be, newly allowed")


def run(arguments: argparse.Namespace) -> int:
    """Compare two files; returns the exit code."""
    if arguments.old == arguments.new == STDIN:
        complain(USAGE, "`OLD` and `NEW` are both stdin, and one of them can be", "name a file")
        return EXIT_USAGE
    old, new = _load(arguments.old), _load(arguments.new)
    if old.settings is None or new.settings is None:
        found = [each for loaded in (old, new) for each in loaded.diagnostics if each.severity is Severity.ERROR]
        sys.stderr.write(render(found, colour=wants_colour(sys.stderr)))
        return EXIT_CONFIG
    comparison = compare(old.settings, new.settings)
    if arguments.json:
        found_json = struck(struck(as_json(comparison), old.secrets), new.secrets)
        text = json.dumps(found_json, indent=2) + "\n"
    else:
        text = new.secrets.strike(old.secrets.strike(as_text(comparison, colour=wants_colour(sys.stdout))))
    write_out(text)
    return EXIT_PROBLEMS if arguments.fail_on == _WIDEN and comparison.widens else EXIT_OK


def _load(name: str) -> Loaded:
    # What variables would put above a file is the same for both, and so no difference.
    if name == STDIN:
        return load_text(read_stdin(), "<stdin>", environ=os.environ)
    return load_file(name, environ=os.environ)


def as_text(comparison: Comparison, *, colour: bool = False) -> str:
    """Write a comparison for people: in the first line whether it lets more in. Pure."""

    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    lines = [_headline(comparison)]
    for places, found in _by_places(comparison.differences):
        lines += ["", paint(escape("; ".join(places)), "1")]
        for each in sorted(found, key=lambda one: list(Effect).index(one.effect)):
            mark, hue = _MARKS[each.effect]
            first, *others = _folded(each)
            lines.append(f"  {paint(mark, hue)} {first}")
            lines += [f"    {' ' * 22}{line}" for line in others]
    if comparison.others:
        lines += ["", f"differs too, and lets nobody in: {', '.join(comparison.others)}"]
    return "\n".join(lines) + "\n"


def _by_places(differences: tuple[Difference, ...]) -> Iterator[tuple[tuple[str, ...], list[Difference]]]:
    """Say once what is so for several routes, as for all that take over a policy."""
    places: dict[Difference, list[str]] = {}
    for each in differences:
        places.setdefault(replace(each, path="", hosts=()), []).append(_place(each.path, each.hosts))
    groups: dict[tuple[str, ...], list[Difference]] = {}
    for bare, found in places.items():
        groups.setdefault(tuple(found), []).append(bare)
    yield from groups.items()


def _headline(comparison: Comparison) -> str:
    # What is so for several routes counts once, as it is shown.
    once = {replace(each, path="", hosts=()) for each in comparison.differences}
    numbers = {effect: sum(each.effect is effect for each in once) for effect in _COUNTED}
    counts = ", ".join(f"{number} {_COUNTED[effect]}" for effect, number in numbers.items() if number)
    if not counts:
        return "not widened: nothing differs in what is let in"
    return f"{'widened' if comparison.of(Effect.WIDENED) else 'maybe widened' if comparison.widens else 'not widened'}: {counts}"


def _place(path: str, hosts: tuple[str, ...]) -> str:
    if not path:
        return "for every route"
    return f"{path} on {', '.join(hosts)}" if hosts else path


def _folded(each: Difference) -> Iterator[str]:
    words = escape(f"{each.words} ({each.place})" if each.place else each.words)
    folded = textwrap.wrap(words, _WIDTH - 26, break_long_words=False, break_on_hyphens=False)
    yield f"{escape(each.key):21} {folded[0]}"
    yield from folded[1:]
