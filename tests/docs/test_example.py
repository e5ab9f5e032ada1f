"""The example is a policy: it starts as it is, every key stands in it, and whatever is uncommented holds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from corsproxy.config.load import load_text
from corsproxy.config.schema import BLOCKS, FILE, KEYS, ROUTE, SECTIONS, Key
from corsproxy.problems import Severity
from corsproxy.startup import checked

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config.example.yaml").read_text()
LINES = EXAMPLE.splitlines()
# What is commented out begins with a key or with an entry of a list; prose does not.
COMMENTED = re.compile(r"^( *)# ( *)(?=[a-z_]+:(?: |$)|- )")


def blocks() -> Iterator[list[int]]:
    """The commented keys and entries, each with the lines below it that are indented deeper."""
    block: list[int] = []
    depth = 0
    for number, line in enumerate(LINES):
        match = COMMENTED.match(line)
        column = len(match[0]) - 2 if match else 0
        if match and block and number == block[-1] + 1 and column > depth:
            block.append(number)
            continue
        if block:
            yield block
        block, depth = ([number], column) if match else ([], 0)
    if block:
        yield block


def uncomment(*numbers: int) -> str:
    return "\n".join(COMMENTED.sub(r"\1\2", line) if number in numbers else line for number, line in enumerate(LINES)) + "\n"


COMMENTED_OUT = list(blocks())
EVERYTHING = yaml.safe_load(uncomment(*(number for block in COMMENTED_OUT for number in block)))


def errors(text: str, certs: Path) -> list[str]:
    text = text.replace("/certs/", f"{certs}/")
    return [
        f"{each.line}: {each.message}"
        for each in checked(load_text(text, "config.example.yaml")).diagnostics
        if each.severity is Severity.ERROR
    ]


def test_it_starts_as_it_is() -> None:
    assert load_text(EXAMPLE, "config.example.yaml").diagnostics == ()
    assert len(COMMENTED_OUT) > 15


@pytest.mark.parametrize("block", COMMENTED_OUT, ids=lambda block: LINES[block[0]].strip(" #").partition(" ")[0])
def test_each_block_can_be_uncommented(block: list[int], certs: Path) -> None:
    text = uncomment(*block)

    assert text != EXAMPLE
    assert errors(text, certs) == []


def test_all_blocks_can_be_uncommented_together(certs: Path) -> None:
    text = uncomment(*(number for block in COMMENTED_OUT for number in block))

    # The pages of the example's own tests show no certificate.
    assert errors(text.replace("client_certificate: required", "client_certificate: optional"), certs) == []


def test_no_commented_key_hides_in_prose() -> None:
    # A line that is neither prose nor uncommented would never be checked.
    left = [line for line in uncomment(*(number for block in COMMENTED_OUT for number in block)).splitlines() if re.match(r" *#", line)]

    assert [line for line in left if re.match(r" *#\s*[a-z_]+:(?: |$)", line)] == []


def places(section: str = FILE, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Key]]:
    """Every key that stands in the file once, blocks too, with the names that lead to it."""
    for key in SECTIONS[section].values():
        if key.is_shown_elsewhere:
            continue
        yield (*above, key.name), key
        if key.kind in BLOCKS:
            yield from places(key.children, (*above, key.name))


@pytest.mark.parametrize(("path", "key"), [pytest.param(path, key, id=".".join(path)) for path, key in places()])
def test_every_key_stands_where_the_loader_looks_for_it_with_its_default(path: tuple[str, ...], key: Key) -> None:
    found: Any = EVERYTHING
    for name in path:
        found = found[name]

    if key.default and not key.block:
        assert found == yaml.safe_load(key.default)


def test_what_is_shown_elsewhere_is_shown_with_all_that_is_below_it() -> None:
    names = {name for key in KEYS if key.is_shown_elsewhere for name in (key.name, *SECTIONS.get(key.children, {}))}

    assert [name for name in names if not re.search(rf"^#.* {name}:", EXAMPLE, re.MULTILINE)] == []


def test_every_key_of_a_route_stands_in_one() -> None:
    assert {name for route in EVERYTHING["routes"] for name in route} == SECTIONS[ROUTE].keys()
