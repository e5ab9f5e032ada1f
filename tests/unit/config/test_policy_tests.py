"""Policy tests in a file: how they are written, and what is said of those that cannot be."""

import pytest

from corsproxy.config.expectations import Expectation, ExpectedField, PolicyTest
from corsproxy.config.load import load_text
from tests.unit.config.diagnosed import UC, said

GOOD = (
    UC
    + """\
tests:
  - {origin: https://a.example, method: PUT, path: /x?y, host: api.example, credentials: true, headers: [X-A], expect: allow}
  - origin: null
    expect: deny
  - expect:
      response:
        Vary: Origin
        X-Gone: null
        X-Empty: ""
        Age: 60
"""
)
WORDS = "the words are `allow`, `deny`, `refused`"
CASES = {
    "no list": (
        "tests: {expect: allow}",
        [
            "CP105 3:8 `tests` takes a list of tests, and this is a mapping | write a list: `- {origin: https://app.example.com, expect: allow}`"
        ],
    ),
    "no mapping": (
        "tests: [allow]",
        ["CP105 3:9 a test is a text, not a mapping | write `- {origin: https://app.example.com, expect: allow}`"],
    ),
    "nothing": (
        "tests:\n  -",
        ["CP105 4:3 a test is nothing, not a mapping | write `- {origin: https://app.example.com, expect: allow}`"],
    ),
    "nothing expected": (
        "tests: [{origin: https://a.example}]",
        ["CP106 3:10 a test lacks `expect` | write `expect: allow`, `expect: deny` or `expect: refused`"],
    ),
    "an unknown key": (
        "tests: [{orgin: https://a.example, expect: allow}]",
        ["CP103 3:10 `orgin` is not a key of a test | did you mean `origin`?"],
    ),
    "a key that is not built": (
        "tests: [{redirect: true, expect: allow}]",
        [
            "CP103 3:10 `redirect` is not a key of a test | take it out; the keys here are `origin`, `method`, `path`, `host`, `credentials`, `headers`, `websocket`, `expect`"
        ],
    ),
    "what a WebSocket has not": (
        "tests: [{origin: https://a.example, websocket: true, method: PUT, headers: [X-A], expect: allow}]",
        [
            "CP121 3:54 `method` says nothing of a WebSocket: browsers choose it | take `method` out, or `websocket`",
            "CP121 3:67 `headers` says nothing of a WebSocket: browsers choose it | take `headers` out, or `websocket`",
        ],
    ),
    "a word that is nearly right": (
        "tests: [{expect: allowed}]",
        [f"CP109 3:18 `allowed` is not what a test can expect | did you mean `allow`? {WORDS}"],
    ),
    "a status": ("tests: [{expect: 403}]", [f"CP109 3:18 `403` is not what a test can expect | did you mean `refused`? {WORDS}"]),
    "another word": (
        "tests: [{expect: perhaps}]",
        ["CP109 3:18 `perhaps` is not what a test can expect | use one of `allow`, `deny`, `refused`, or `{response: {Vary: Origin}}`"],
    ),
    "no word": (
        "tests: [{expect: [allow]}]",
        ["CP105 3:18 `expect` takes `allow`, `deny`, `refused`, or a mapping with `response`, and this is a list | write `expect: allow`"],
    ),
    "no response": ("tests: [{expect: {}}]", ["CP106 3:10 `expect` lacks `response` | write `expect: {response: {Vary: Origin}}`"]),
    "a response under another name": (
        "tests: [{expect: {headers: {Vary: Origin}}}]",
        ["CP103 3:19 `headers` is not a key of `expect` | did you mean `response`?"],
    ),
    "an empty response": (
        "tests: [{expect: {response: {}}}]",
        ["CP121 3:29 `response` is empty, so the test expects nothing | write `expect: {response: {Vary: Origin}}`"],
    ),
    "a response of another kind": (
        "tests: [{expect: {response: 200}}]",
        [
            "CP105 3:29 `response` takes a mapping of header names to values, and this is a number | write `expect: {response: {Vary: Origin}}`"
        ],
    ),
    "fields that cannot be": (
        'tests: [{expect: {response: {"X A": 1, Vary: [Origin], X-B: }}}]',
        [
            "CP121 3:30 `X A` is no header name | write `expect: {response: {Vary: Origin}}`",
            "CP105 3:46 `Vary` takes a value, and this is a list | write one text, or `null` for a field that must not be there",
            'CP105 3:56 `X-B` has no value | write `X-B: null` for a field that must not be there, or `X-B: ""` for an empty one',
        ],
    ),
    "credentials of nobody": (
        "tests: [{credentials: true, expect: allow}]",
        ["CP121 3:10 `credentials` says nothing without `origin` | add `origin`, or take `credentials` out"],
    ),
    "what no browser does": (
        "tests: [{origin: https://a.example/, method: put, path: a, host: A.example, headers: [X-A, Cookie], expect: allow}]",
        [
            "CP121 3:18 no browser sends the origin `https://a.example/`: an origin ends without a slash | write `https://a.example`",
            "CP121 3:46 `put` is not `PUT`: methods are compared by bytes | write `PUT`",
            "CP121 3:57 `a` does not begin with `/` | write `/a`",
            "CP121 3:66 no browser sends the host `A.example`: browsers send scheme and host in lower case | write `a.example`",
            "CP121 3:92 no script can set `Cookie`: the browser keeps it to itself | take it out",
        ],
    ),
    "any header": (
        'tests: [{headers: "*", expect: allow}]',
        ["CP121 3:19 `*` stands for many names, and a script sets one by one | write them: `[Content-Type]`"],
    ),
    "no origin where one is named": (
        "tests: [{origin: ~, expect: allow}]",
        ["CP105 3:18 `origin` takes an origin, and this is nothing | write `origin: https://app.example.com`"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_test_that_cannot_be_says_so(text: str, expected: list[str]) -> None:
    assert said(f"{UC}{text}\n") == expected


def test_a_test_is_what_was_written() -> None:
    settings = load_text(GOOD, "f").settings
    assert settings is not None
    first, second, third = settings.tests

    assert first == PolicyTest(
        first.span, Expectation.ALLOW, b"https://a.example", b"PUT", b"/x?y", b"api.example", credentials=True, headers=(b"X-A",)
    )
    assert second == PolicyTest(second.span, Expectation.DENY, b"null")
    assert isinstance(third.expect, tuple)
    assert third == PolicyTest(third.span, third.expect)
    assert [(field.name, field.value) for field in third.expect] == [
        (b"Vary", b"Origin"),
        (b"X-Gone", None),
        (b"X-Empty", b""),
        (b"Age", b"60"),
    ]


def test_a_test_knows_where_it_says_what_it_expects() -> None:
    settings = load_text(GOOD, "f").settings
    assert settings is not None
    spans = [test.span for test in settings.tests]
    fields = [field.span for field in settings.tests[2].expect if isinstance(field, ExpectedField)]

    assert [(span.line, span.column) for span in spans] == [(4, 120), (6, 13), (8, 7)]
    assert [(span.line, span.column, span.end_column) for span in fields] == [(9, 9, 21), (10, 9, 21), (11, 9, 20), (12, 9, 16)]


def test_keys_of_a_test_are_not_recommended_at_the_top() -> None:
    (line,) = said(f"{UC}expect: allow\n")

    assert line.startswith("CP103 3:1 `expect` is not a key of the file | take it out; the name most like it is `express`;")
