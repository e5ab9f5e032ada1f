"""YAML as a tree: scalars by our rules, positions, aliases, bounds."""

import time
from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.config import nodes
from corsproxy.config.diagnostics import Report, Source
from corsproxy.config.nodes import Mapping, Node, Scalar, Sequence, Unreadable, read_nodes, split_lines

SCALARS: dict[str, tuple[object, bool]] = {
    "word": ("word", False),
    "true": (True, False),
    "false": (False, False),
    "null": (None, False),
    "~": (None, False),
    "": (None, False),
    "0": (0, False),
    "42": (42, False),
    "-7": (-7, False),
    "True": ("True", False),
    "yes": ("yes", False),
    "off": ("off", False),
    "NULL": ("NULL", False),
    "010": ("010", False),
    "+5": ("+5", False),
    "0x1f": ("0x1f", False),
    "1_000": ("1_000", False),
    "1.5": ("1.5", False),
    "1e3": ("1e3", False),
    "12:30": ("12:30", False),
    "12:30:45": ("12:30:45", False),
    "8080:80": ("8080:80", False),
    "2026-01-01": ("2026-01-01", False),
    "9" * 5000: ("9" * 5000, False),
    "'true'": ("true", True),
    '"42"': ("42", True),
    "''": ("", True),
    "'*'": ("*", True),
    "|-\n  text": ("text", True),
}


@pytest.fixture(params=[yaml.CSafeLoader, yaml.SafeLoader], ids=["libyaml", "pure"])
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_LOADER", request.param)


each_parser = pytest.mark.usefixtures("_parser")


def read(text: str) -> tuple[Node, list[str]]:
    source = Source("f", split_lines(text))
    report = Report(source)
    root = read_nodes(text, source, report)
    return root, [f"{each.problem.code} {each.line}:{each.column} {each.message}" for each in report.in_order()]


def plain(node: Node) -> object:
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key: plain(entry.value) for key, entry in node.entries.items()}


def values(text: str) -> object:
    return plain(read(text)[0])


def refusal(text: str) -> str:
    with pytest.raises(Unreadable) as refused:
        read(text)
    each = refused.value.diagnostic
    assert str(refused.value) == each.message
    return f"{each.problem.code} {each.line}:{each.column} {each.message}"


@each_parser
@pytest.mark.parametrize(("written", "meant"), SCALARS.items(), ids=[text[:20] or "nothing" for text in SCALARS])
def test_a_scalar_means_what_it_looks_like(written: str, meant: tuple[object, bool]) -> None:
    root, said = read(f"key: {written}\n")

    assert isinstance(root, Mapping)
    scalar = root.entries["key"].value
    assert isinstance(scalar, Scalar)
    assert (said, scalar.value, type(scalar.value), scalar.is_quoted) == ([], meant[0], type(meant[0]), meant[1])


@each_parser
def test_every_node_knows_where_it_stands() -> None:
    root, _ = read("a:\n  - één: [x, 'y z']\n\n  -\nlast: \n")

    assert isinstance(root, Mapping)
    a, last = root.entries["a"], root.entries["last"]
    assert (a.key.span.line, a.key.span.column, a.key.span.end_column) == (1, 1, 2)
    assert isinstance(a.value, Sequence)
    first, second = a.value.items
    assert isinstance(first, Mapping)
    inner = first.entries["één"].value
    assert (first.entries["één"].key.span.column, first.entries["één"].key.span.end_column) == (5, 8)
    assert isinstance(inner, Sequence)
    assert [(item.span.line, item.span.column, item.span.end_column) for item in inner.items] == [(2, 11, 12), (2, 14, 19)]
    assert (second.span.line, second.span.column, second.span.is_empty) == (4, 4, True)
    assert last.value.span.is_empty
    assert last.value_span == last.key.span


@each_parser
def test_lines_are_counted_as_yaml_counts_them() -> None:
    for end in ("\n", "\r\n", "\r", "\u2028"):
        root, _ = read(end.join(["# one", "two: 2", "three: 3", ""]))
        assert isinstance(root, Mapping)
        assert [entry.key.span.line for entry in root.entries.values()] == [2, 3]


@each_parser
def test_aliases_stand_for_what_they_mark() -> None:
    assert values("a: &a [1, {b: 2}]\nc: *a\nd: [*a, *a]\n") == {
        "a": [1, {"b": 2}],
        "c": [1, {"b": 2}],
        "d": [[1, {"b": 2}], [1, {"b": 2}]],
    }


@each_parser
def test_an_anchor_may_be_set_again() -> None:
    assert values("a: &a 1\nb: *a\nc: &a 2\nd: *a\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


@each_parser
def test_a_merge_gives_way_to_what_is_written_and_to_earlier_merges() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {x: 0, <<: [*a, *b]}\nd: {<<: *c, x: 3}\n".replace("c: {", "c: &c {")
    root, said = read(text)

    assert said == []
    assert isinstance(root, Mapping)
    assert plain(root.entries["c"].value) == {"x": 0, "y": 1, "z": 2}
    assert plain(root.entries["d"].value) == {"x": 3, "y": 1, "z": 2}


@each_parser
def test_a_merge_key_in_quotes_is_a_key() -> None:
    assert values("'<<': 1\n") == {"<<": 1}


@each_parser
def test_the_first_of_two_equal_keys_is_kept() -> None:
    root, said = read("a: 1\nb: 2\na: 3\n")

    assert (plain(root), said) == ({"a": 1, "b": 2}, ["CP104 3:1 `a` is already set in line 1"])


@each_parser
def test_keys_that_are_no_words_are_refused_and_read_around() -> None:
    root, said = read("1: a\nnull: b\n? [c, &x d]\n: e\n? {f: g}\n: h\n*x : i\n'2': j\n")

    assert plain(root) == {"2": "j"}
    assert said == [
        "CP105 1:1 the key `1` is not a word",
        "CP105 2:1 the key `null` is not a word",
        "CP105 3:3 a list stands where a key is expected",
        "CP105 5:3 a mapping stands where a key is expected",
        "CP105 7:1 the alias `*x` stands where a key is expected",
    ]


@each_parser
@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "---\n...\n", "\n\n"])
def test_an_empty_document_is_nothing(text: str) -> None:
    assert values(text) is None


@each_parser
def test_a_billion_laughs_are_refused_at_once() -> None:
    levels = ["x0: &x0 lol\n"] + [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 200)]
    started = time.perf_counter()

    assert refusal("".join(levels)) == "CP114 5:10 the file holds more than 1,000 values, aliases expanded"
    assert time.perf_counter() - started < 5


@each_parser
def test_a_thousand_values_are_just_enough() -> None:
    listed = ", ".join("x" * 998)

    assert values(f"a: [{listed}]\n") == {"a": ["x"] * 998}
    assert refusal(f"a: [{listed}, x]\n").startswith("CP114 1:")


@each_parser
@pytest.mark.parametrize("text", ["a: &a [*a]\n", "&a {b: *a}\n", "a: &a\n  b: {c: [*a]}\n", "a: &a {<<: *a}\n"])
def test_an_alias_inside_of_what_it_stands_for_is_refused(text: str) -> None:
    assert "has no end" in refusal(text)


@each_parser
@pytest.mark.parametrize("bracket", ["[", "{", "- ", "? ", "a:\n "])
def test_depth_is_bounded(bracket: str) -> None:
    text = "".join("  " * i + "a:\n" for i in range(100)) if "a" in bracket else bracket * 100_000

    assert "nested deeper than 40 levels" in refusal(text)


def test_what_the_pure_parser_lets_python_say_is_a_diagnostic_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_LOADER", yaml.SafeLoader)

    assert refusal('"\\UFFFFFFFF"').startswith("CP102 0:0 YAML cannot read the file: ")


@given(st.text(alphabet="ab:-?[]{},&*!|>'\"%@`# \t\n\\<~.0", max_size=60) | st.text(max_size=60))
def test_any_text_is_a_tree_or_a_refusal(text: str) -> None:
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nodes, "_LOADER", loader)
            source = Source("f", split_lines(text))
            with suppress(Unreadable):
                read_nodes(text, source, Report(source))
