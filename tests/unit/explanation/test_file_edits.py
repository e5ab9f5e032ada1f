"""Edits of a file: what is added, and that all else keeps its bytes."""

import pytest

from corsproxy.config.load import load_text
from corsproxy.config.settings import PolicyPlaces
from corsproxy.explanation import file_edits
from corsproxy.explanation.file_edits import Edit, Hunk, apply, hunks, listed, quoted

HEAD = "upstream: http://localhost:9000\n"


def places_of(text: str) -> PolicyPlaces:
    loaded = load_text(text, "f.yaml")
    assert loaded.settings is not None, loaded.diagnostics
    found = loaded.settings.routes[0].places
    assert found is not None
    return found


def extended(text: str, key: str = "allow_origins", *more: str) -> str | None:
    edit = file_edits.extend_list(places_of(HEAD + text), key, more or ("https://b.example",))
    return None if edit is None else apply(HEAD + text, [edit]).removeprefix(HEAD)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("cors: {allow_origins: [https://a.example]}\n", "cors: {allow_origins: [https://a.example, https://b.example]}\n"),
        ("cors: {allow_origins: [https://a.example ,]}\n", "cors: {allow_origins: [https://a.example, https://b.example ,]}\n"),
        (
            "cors:\n  allow_origins: [\n    https://a.example,  # ours\n  ]\n",
            "cors:\n  allow_origins: [\n    https://a.example, https://b.example,  # ours\n  ]\n",
        ),
        ("cors: {allow_origins: [{regex: 'https://a\\.example' }]}\n", "cors: {allow_origins: [{regex: 'https://a\\.example' }, https://b.example]}\n"),
        ("cors:\n  allow_origins:\n  - https://a.example # x\n", "cors:\n  allow_origins:\n  - https://a.example # x\n  - https://b.example\n"),
        ('cors:\n  allow_origins:\n    -   "https://a.example"\n  max_age: 0', 'cors:\n  allow_origins:\n    -   "https://a.example"\n    - https://b.example\n  max_age: 0'),
        ("cors:\n  allow_origins:\n    - regex: 'https://a\\.example'", "cors:\n  allow_origins:\n    - regex: 'https://a\\.example'\n    - https://b.example"),
        ("x-l: &l [https://a.example]\ncors: {allow_origins: *l}\n", "x-l: &l [https://a.example, https://b.example]\ncors: {allow_origins: *l}\n"),
        ('cors: {"allow_origins": ["https://a.example"]}', 'cors: {"allow_origins": ["https://a.example", https://b.example]}'),
    ],
)  # fmt: skip
def test_a_list_grows_behind_its_last_entry(before: str, after: str) -> None:
    assert extended(before) == after


def test_a_lone_star_becomes_a_list() -> None:
    text = 'cors: {allow_origins: [https://a.example], allow_headers: "*"}\n'

    assert extended(text, "allow_headers", "Authorization") == text.replace('"*"', '["*", Authorization]')


def test_an_empty_list_is_filled() -> None:
    text = "cors: {allow_origins: [https://a.example], allow_headers: []}\n"

    assert extended(text, "allow_headers", "X-A") == text.replace("[]", "[X-A]")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("cors: {allow_origins: [https://a.example]}\n", "cors: {allow_origins: [https://a.example], allow_credentials: true}\n"),
        ("cors:\n  max_age: 0\n  allow_origins: [https://a.example] # x\n", "cors:\n  max_age: 0\n  allow_origins: [https://a.example] # x\n  allow_credentials: true\n"),
        ("cors:\n    allow_origins:\n    - https://a.example\n    max_age: 0\n", "cors:\n    allow_origins:\n    - https://a.example\n    allow_credentials: true\n    max_age: 0\n"),
        ("x-l: &l [https://a.example]\ncors: {allow_origins: *l}\n", "x-l: &l [https://a.example]\ncors: {allow_credentials: true, allow_origins: *l}\n"),
        ("x-l: &l [https://a.example]\ncors:\n  allow_origins: *l\n", "x-l: &l [https://a.example]\ncors:\n  allow_credentials: true\n  allow_origins: *l\n"),
        ("x-p: &p {allow_origins: [https://a.example]}\ncors: {<<: *p, max_age: 0}\n", "x-p: &p {allow_origins: [https://a.example]}\ncors: {allow_credentials: true, <<: *p, max_age: 0}\n"),
        ("x-p: &p\n  allow_origins: [https://a.example]\ncors:\n  <<: *p\n  max_age: 0\n", "x-p: &p\n  allow_origins: [https://a.example]\ncors:\n  allow_credentials: true\n  <<: *p\n  max_age: 0\n"),
        ("cors: &p\n  allow_origins: [https://a.example]\n", "cors: &p\n  allow_origins: [https://a.example]\n  allow_credentials: true\n"),
        ("cors: &p {allow_origins: [https://a.example]}\n", "cors: &p {allow_origins: [https://a.example], allow_credentials: true}\n"),
    ],
)  # fmt: skip
def test_a_key_joins_its_policy(before: str, after: str) -> None:
    edit = file_edits.add_key(places_of(HEAD + before), "allow_credentials", "true")

    assert edit is not None
    assert apply(HEAD + before, [edit]) == HEAD + after


def test_a_value_gives_way() -> None:
    text = HEAD + "cors: {allow_origins: [https://a.example], allow_credentials: false}\n"
    edit = file_edits.replace_value(places_of(text), "allow_credentials", "true")

    assert edit is not None
    assert apply(text, [edit]) == text.replace("false", "true")


def test_what_flags_brought_is_no_text_to_change() -> None:
    from corsproxy.config.load import load_flags  # noqa: PLC0415

    settings = load_flags("http://localhost:9000", ["https://a.example"]).settings
    assert settings is not None
    places = settings.routes[0].places
    assert places is not None

    assert file_edits.extend_list(places, "allow_origins", ("https://b.example",)) is None
    assert file_edits.add_key(places, "allow_credentials", "true") is None


def test_edits_at_one_place_keep_their_order_and_the_files_own_line_ends() -> None:
    edits = [Edit(1, 2, 1, 2, "\nfirst"), Edit(1, 2, 1, 2, "\nsecond"), Edit(2, 1, 2, 2, "Z")]

    assert apply("a\r\nb\r\n", edits) == "a\r\nfirst\r\nsecond\r\nZ\r\n"


def test_a_byte_order_mark_stays() -> None:
    assert apply("\ufeffab", [Edit(1, 2, 1, 2, "-")]) == "\ufeffa-b"


def test_hunks_are_the_lines_that_change() -> None:
    assert hunks(["a", "b", "c"], [Edit(2, 2, 2, 2, "\nx"), Edit(3, 1, 3, 2, "d")]) == (Hunk(3, ("c",), ("x", "d")),)
    assert hunks(["a", "b"], [Edit(1, 2, 1, 2, "\nx")]) == (Hunk(2, (), ("x",)),)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("X-Trace", "X-Trace"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("http://[::1]:3000", '"http://[::1]:3000"'),
        ("null", '"null"'),
        ("on", '"on"'),
        ("1", '"1"'),
        ("*", '"*"'),
        ("X|Y", '"X|Y"'),
    ],
)
def test_what_yaml_could_misread_is_quoted(text: str, written: str) -> None:
    assert quoted(text) == written
    assert listed([text, "A"]) == f"[{written}, A]"
