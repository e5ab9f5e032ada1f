"""docs/logging.md says what the log says."""

import json
import re
from dataclasses import replace
from pathlib import Path

from corsproxy.observe.fields import attributes
from corsproxy.observe.folding import Folding
from corsproxy.observe.shapes import fold_json, format_json
from corsproxy.problems import BAD_REQUEST
from tests.unit.observe.exchanges import forwarded

PAGE = (Path(__file__).parents[2] / "docs" / "logging.md").read_text()
NAMED = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


def folded() -> str:
    folding = Folding()
    record = replace(forwarded(), upstream="", status=400, problem=BAD_REQUEST, reason="unparsable")
    for client, decision in (("192.0.2.1", None), ("192.0.2.2", None), ("192.0.2.1", record.decision), ("192.0.2.2", record.decision)):
        folding.takes(replace(record, client=client, decision=decision), record.time)
    return "\n".join(map(fold_json, folding.end()))


def test_every_field_is_in_the_table_and_nothing_else() -> None:
    said = set(json.loads(format_json(forwarded())))
    for line in folded().splitlines():
        said |= set(json.loads(line))

    assert set(NAMED) == said
    assert set(attributes(forwarded())) <= said
    assert len(NAMED) == len(set(NAMED))


def test_the_examples_have_the_fields_in_the_order_of_the_program() -> None:
    example, fold = (json.loads(block) for block in re.findall(r"^```json\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL))
    ours = list(json.loads(format_json(forwarded())))

    assert list(example) == [name for name in ours if name in example]
    assert list(fold) == [name for name in json.loads(folded().splitlines()[1]) if name in fold]
