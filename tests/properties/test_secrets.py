"""Wherever in a file a secret stands, and whatever it holds: nothing that people see of the file shows it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.config.diagnostics import Report, Source, Span
from corsproxy.config.load import load_text
from corsproxy.config.nodes import Mapping, Node, Scalar, read_nodes, split_lines
from corsproxy.config.render import render
from tests.docs.test_example import COMMENTED_OUT, uncomment

TEXT = uncomment(*(number for block in COMMENTED_OUT for number in block))
LINES = split_lines(TEXT)


def spans(node: Node) -> list[Span]:
    """Where every value of a file stands."""
    if isinstance(node, Scalar):
        return [node.span]
    parts = [entry.value for entry in node.entries.values()] if isinstance(node, Mapping) else node.items
    return [span for part in parts for span in spans(part)]


SOURCE = Source("f", LINES)
PLACES = [span for span in spans(read_nodes(TEXT, SOURCE, Report(SOURCE))) if span.line == span.end_line and not span.is_empty]
# Long enough that none stands in a message by chance.
CORES = st.text("abcdefghijkmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=10, max_size=20) | st.from_regex(
    "[1-9][0-9]{10,13}", fullmatch=True
)
# What readers take, half take, take apart or spell anew.
SHAPES = st.sampled_from(
    [
        *("CORE", "x CORE", " CORE ", "'CORE'", "`CORE`", "[CORE]", "${CORE}", "CORE\n", "a\nCORE\r\n", "\x1b[31mCORE", "x, CORE"),
        *("https://CORE.example", "https://CORE.example/", "HTTPS://CORE.example:443", "http://CORE.example:80", "https://a.CORE"),
        *("https://*.CORE", "https://*.CORE.com", "http://u:CORE@a.example", "https://(CORE", "(CORE)+", "é.CORE", "CORE.example"),
        *("*.CORE.example", "CORE:8080", "localhost:CORE", ":CORE", "CORE:30", "unix:/CORE", "unix:CORE", "CORE/", "CORE://a"),
        *("/CORE", "/CORE/../x", "/a*CORE", "/api?CORE", "COREs", "COREms", "CORE d", "COREd", "-CORE", "COREKiB", "COREm", "0.CORE"),
        *("none CORE", "autoCORE", "trueCORE", "nullCORE", "partnersCORE", "CONNECTCORE", "Cookie CORE", "X-CORE, Y", "Set-Cookie: CORE"),
    ]
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets") / "s"


def test_the_places_are_many() -> None:
    assert len(PLACES) > 50


@given(
    place=st.sampled_from(PLACES),
    others=st.lists(st.sampled_from(PLACES), max_size=2),
    core=CORES,
    shape=SHAPES,
    around=st.sampled_from(["", "x", "https://"]),
)
def test_a_secret_never_shows(file: Path, place: Span, others: list[Span], core: str, shape: str, around: str) -> None:
    secret = shape.replace("CORE", core)
    file.write_text(secret, newline="")
    lines = list(LINES)
    for span in sorted({place, *others}, key=lambda each: (each.line, each.column), reverse=True):
        line = lines[span.line - 1]
        lines[span.line - 1] = f'{line[: span.column - 1]}"{around}${{file:{file}}}"{line[span.end_column - 1 :]}'
    loaded = load_text("\n".join(lines), "f")
    seen = (render(loaded.diagnostics) + repr(loaded)).lower()

    assert str(file) in loaded.files
    assert core.lower() not in seen
    assert secret.strip().lower() not in seen
