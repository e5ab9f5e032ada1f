"""The words of the model browser: what a script reads of an outcome."""

import ast
from pathlib import Path

from corsproxy.cors import outcome
from corsproxy.cors.outcome import Outcome, Readable, Reason, Stage, Verdict


def test_the_words_import_nothing_of_the_package() -> None:
    tree = ast.parse(Path(outcome.__file__).read_text(encoding="utf-8"))

    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} == {"dataclasses", "enum"}


def test_names_are_lower_case() -> None:
    readable = Readable(200, ((b"ETag", b'"x"'), (b"etag", b'"y"'), (b"X-Total", b"1")))

    assert readable.names == {b"etag", b"x-total"}
    assert Outcome(Verdict(True, Reason.OK), Stage.ACTUAL, False, readable).exposed == {b"etag", b"x-total"}


def test_a_network_error_exposes_nothing() -> None:
    ended = Outcome(Verdict(False, Reason.ACAO_MISSING), Stage.ACTUAL)

    assert not ended.ok
    assert ended.exposed == frozenset()
