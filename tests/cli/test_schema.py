"""`corsproxy schema`: what editors and scripts ask for."""

import json
from pathlib import Path

import pytest

from corsproxy.cli.environment import CONFIG, KEYS
from corsproxy.cli.main import main
from corsproxy.config.jsonschema import json_schema

SHIPPED = Path(__file__).parents[2] / "corsproxy" / "corsproxy.schema.json"


def test_it_prints_the_schema_that_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0

    said = capsys.readouterr().out
    assert said == SHIPPED.read_text()
    assert json.loads(said) == json_schema()


def test_it_prints_each_variable_with_the_key_that_it_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--env"]) == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == [CONFIG, "--config"]
    assert dict(lines[1:]) == KEYS
    assert ["CORSPROXY_CORS_ALLOW_ORIGINS", "cors.allow_origins"] in lines
