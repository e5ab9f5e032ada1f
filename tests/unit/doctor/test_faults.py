"""The table of faults: each has a name of its own, and a sentence that needs no more than what was found."""

import re

import pytest

from corsproxy.config.schema import SECTIONS
from corsproxy.doctor import faults

ALL = [each for each in vars(faults).values() if isinstance(each, faults.Fault)]


def test_names_are_unique_and_stable_words() -> None:
    assert len({each.name for each in ALL}) == len(ALL)
    assert [each.name for each in ALL if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", each.name)] == []


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_a_fault_reads_as_messages_do(fault: faults.Fault) -> None:
    for text in (fault.title, fault.fix):
        assert text
        assert text[0].islower() or text[0] in "`3" or text.startswith(("TLS", "Access"))
        assert not text.endswith(".")


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_its_key_is_one_of_the_file(fault: faults.Fault) -> None:
    assert not fault.key or any(fault.key in keys for keys in SECTIONS.values())
