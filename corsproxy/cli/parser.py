"""The parser of one verb: argparse, with messages that suggest."""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

from corsproxy.cli.exits import EXIT_USAGE
from corsproxy.cli.term import complain, write_out
from corsproxy.problems import USAGE

# What argparse says, and what it means. The spellings are those of Python 3.11 to 3.15; a new one is shown as it is.
_CHOICE: Final = re.compile(
    r"argument (?P<name>\S+).*: invalid choice: '?(?P<value>.*?)'?(?:, maybe you meant .*)? \(choose from (?P<choices>.*)\)"
)
_KIND: Final = re.compile(r"argument (?P<name>\S+).*: invalid (?P<kind>\w+) value: '(?P<value>.*)'")
_LACKS: Final = re.compile(r"argument (?P<name>[^\s/]+).*: expected .*argument.*")
_BAD: Final = re.compile(r"argument (?P<name>\S+?): (?P<said>.*)")
_MISSING: Final = re.compile(r"the following arguments are required: (?P<names>.*)")
_KINDS: Final = {"int": "whole number", "float": "number"}


class Parser(argparse.ArgumentParser):
    """Parses exactly: no abbreviated flags, and each mistake is told with the nearest right spelling."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """Say what argparse found in the form of all other problems; ends with the code of wrong usage."""
        said, help_ = _in_our_words(message)
        self.refuse(said, *help_)

    def refuse(self, message: str, *help_lines: str) -> NoReturn:
        """Say what is wrong with the command line, and end with the code of wrong usage."""
        complain(USAGE, message, *(help_lines or (f"run `{self.prog} --help`",)))
        sys.exit(EXIT_USAGE)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write `--help` and `--version` as all other data is written; argparse passes over what fails."""
        if file is sys.stdout:
            write_out(message)
        else:
            super()._print_message(message, file)

    def parse_all(self, arguments: Sequence[str], hints: Mapping[str, str] | None = None) -> argparse.Namespace:
        """
        Parse a whole command line.

        What is left over is refused, with the flag that it was most likely meant for; `hints` are for words.
        """
        known, left = self.parse_known_args(list(arguments))
        if not left:
            return known
        flag = next((each.partition("=")[0] for each in left if each.startswith("-")), "")
        if flag:
            guess = nearest(flag, flags_of(self))
            return self.refuse(f"there is no flag `{flag}`", *((f"did you mean `{guess}`?",) if guess else ()))
        hint = (hints or {}).get(left[0])
        return self.refuse(f"`{left[0]}` is one argument too many", *((hint,) if hint else ()))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that a misspelt one was most likely meant for, or nothing."""
    import difflib  # noqa: PLC0415 - for mistakes alone

    return next(iter(difflib.get_close_matches(word, list(known), 1)), "")


def flags_of(parser: argparse.ArgumentParser) -> list[str]:
    """Return every flag of a parser and of the parsers below it, in their order."""
    found: list[str] = []
    for action in parser._actions:  # noqa: SLF001 - argparse shows them in no other way
        found += action.option_strings
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            found += [flag for below in dict.fromkeys(action.choices.values()) for flag in flags_of(below)]
    return list(dict.fromkeys(found))


def _in_our_words(message: str) -> tuple[str, list[str]]:
    """Return a message of argparse's in the grammar of ours, and what helps."""
    if found := _CHOICE.fullmatch(message):
        value, choices = found["value"], [each.strip("' ") for each in found["choices"].split(",")]
        guess = nearest(value, choices)
        help_ = f"did you mean `{guess}`?" if guess else f"use one of {', '.join(f'`{each}`' for each in choices)}"
        return f"`{value}` is not one of the choices of `{found['name']}`", [help_]
    if found := _KIND.fullmatch(message):
        return f"`{found['value']}` is no {_KINDS.get(found['kind'], found['kind'])}, which `{found['name']}` takes", []
    if found := _LACKS.fullmatch(message):
        return f"`{found['name']}` lacks its value", []
    if found := _MISSING.fullmatch(message):
        names = [each.strip() for each in found["names"].split(",")]
        return f"{' and '.join(f'`{each}`' for each in names)} {'is' if len(names) == 1 else 'are'} missing", []
    if found := _BAD.fullmatch(message):
        # What our own reader of a value said: a message and, behind a semicolon, what to write.
        said, _, help_ = found["said"].partition("; ")
        return f"`{found['name']}`: {said}", [help_] if help_ else []
    return message, []
