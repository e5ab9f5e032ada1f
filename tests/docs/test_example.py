"""The example is a policy: it starts as it is, every key stands in it, and whatever is uncommented holds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from corsproxy.config.load import load_text
from corsproxy.config.schema import CORS, FILE, KEYS, LIMITS, LOG, POOL, ROUTE, SECTIONS, TIMEOUTS, TLS, UPSTREAM, UPSTREAM_TLS, Key, Kind
from corsproxy.problems import Severity

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config.example.yaml").read_text()
LINES = EXAMPLE.splitlines()
# What is commented out begins with a key or with an entry of a list; prose does not.
COMMENTED = re.compile(r"^( *)# ( *)(?=[a-z_]+:(?: |$)|- )")
# Where a section's mapping stands in the file.
PLACES = {
    FILE: (),
    UPSTREAM: ("upstream",),
    POOL: ("upstream", "pool"),
    TIMEOUTS: ("timeouts",),
    CORS: ("cors",),
    LIMITS: ("limits",),
    LOG: ("log",),
    TLS: ("tls",),
    UPSTREAM_TLS: ("routes", 3, "upstream", "tls"),
}
# The example's own upstream is plain HTTP, where TLS is an error.
ELSEWHERE = {(UPSTREAM, "tls"): ("routes", 3, "upstream")}


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


BLOCKS = list(blocks())
EVERYTHING = yaml.safe_load(uncomment(*(number for block in BLOCKS for number in block)))


def errors(text: str) -> list[str]:
    return [
        f"{each.line}: {each.message}" for each in load_text(text, "config.example.yaml").diagnostics if each.severity is Severity.ERROR
    ]


def test_it_starts_as_it_is() -> None:
    assert load_text(EXAMPLE, "config.example.yaml").diagnostics == ()
    assert len(BLOCKS) > 15


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: LINES[block[0]].strip(" #").partition(" ")[0])
def test_each_block_can_be_uncommented(block: list[int]) -> None:
    text = uncomment(*block)

    assert text != EXAMPLE
    assert errors(text) == []


def test_all_blocks_can_be_uncommented_together() -> None:
    assert errors(uncomment(*(number for block in BLOCKS for number in block))) == []


def test_no_commented_key_hides_in_prose() -> None:
    # A line that is neither prose nor uncommented would never be checked.
    left = [line for line in uncomment(*(number for block in BLOCKS for number in block)).splitlines() if re.match(r" *#", line)]

    assert [line for line in left if re.match(r" *#\s*[a-z_]+:(?: |$)", line)] == []


@pytest.mark.parametrize("key", [key for key in KEYS if key.section != ROUTE], ids=lambda key: f"{key.section}.{key.name}")
def test_every_key_stands_in_it_with_its_default(key: Key) -> None:
    found: Any = EVERYTHING
    for name in ELSEWHERE.get((key.section, key.name), PLACES[key.section]):
        found = found[name]

    assert key.name in found
    if key.default and key.kind not in (Kind.POLICIES, Kind.ROUTES):
        assert found[key.name] == yaml.safe_load(key.default)


def test_every_key_of_a_route_stands_in_one() -> None:
    assert {name for route in EVERYTHING["routes"] for name in route} == SECTIONS[ROUTE].keys()
