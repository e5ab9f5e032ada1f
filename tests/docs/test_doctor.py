"""docs/doctor.md names every fault that the doctor knows."""

import re
from pathlib import Path

from corsproxy.doctor import faults

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def test_every_fault_stands_in_the_table_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (fault|risk|note) \|", PAGE.read_text(), re.MULTILINE)
    known = [each for each in vars(faults).values() if isinstance(each, faults.Fault)]

    assert rows == [(each.name, each.severity.value) for each in known]
    assert len({each.name for each in known}) == len(known)
