"""Header fields as the file writes them: names that a rule may touch, and values that HTTP can carry."""

import pytest

from corsproxy import problems
from corsproxy.config.fields import MAX_VALUE_BYTES, ReadField, fault_of_id_header, fault_of_name
from corsproxy.config.load import load_text
from corsproxy.semantics.fields import HOP_BY_HOP
from corsproxy.semantics.rules import HeaderRules
from tests.unit.config.diagnosed import UC, said

REQUEST = UC + "headers:\n  request: "
RESPONSE = UC + "headers:\n  response: "


def rules_of(text: str, environ: dict[str, str] | None = None) -> HeaderRules:
    loaded = load_text(text, "f", environ=environ or {})
    assert loaded.settings is not None, said(text)
    return loaded.settings.routes[0].request_headers


CASES = {
    # --- what a mapping of rules is ---
    "a name where a rule belongs": (
        REQUEST + "{X-Api-Key: s3cret}\n",
        [
            "CP103 4:13 `X-Api-Key` is not a key of `headers.request` | write `set: {X-Api-Key: …}`, or `add: {X-Api-Key: …}` to keep any that are there"
        ],
    ),
    "a name where a direction belongs": (
        UC + "headers: {X-Api-Key: s3cret}\n",
        [
            (
                "CP103 3:11 `X-Api-Key` is not a key of `headers` | write `request: {set: {X-Api-Key: …}}` for what goes to the upstream,"
                " or `response: {set: {X-Api-Key: …}}` for what comes from it"
            )
        ],
    ),
    "a rule where a direction belongs": (
        UC + "headers: {set: {X-A: b}}\n",
        ["CP103 3:11 `set` is not a key of `headers` | write it under `request` or `response`: `request: {set: …}`"],
    ),
    "the word of nginx": (
        REQUEST + "{hide: [X-A]}\n",
        ["CP103 4:13 `hide` is not a key of `headers.request` | did you mean `remove`?"],
    ),
    "no rules": (
        UC + "headers:\n",
        ["CP105 3:1 `headers` takes a mapping, and this is nothing | write `headers: {request: {set: {X-Stage: test}}}`"],
    ),
    "rules that are a list": (
        REQUEST + "[X-A]\n",
        ["CP105 4:12 `request` takes a mapping, and this is a list | write `request: {remove: [X-Debug]}`"],
    ),
    # --- names ---
    "one name without a list": (
        REQUEST + "{remove: X-A}\n",
        ["CP105 4:21 `remove` takes a list of names of header fields, and this is a text | write a list: `remove: [X-A]`"],
    ),
    "several names in one text": (
        REQUEST + "{remove: 'X-A, X-B'}\n",
        ["CP105 4:21 `remove` takes a list of names of header fields, and this is a text | write a list: `remove: [X-A, X-B]`"],
    ),
    "names that are a mapping": (
        REQUEST + "{remove: {X-A: b}}\n",
        ["CP105 4:21 `remove` takes a list of names of header fields, and this is a mapping | write `remove: [X-Debug]`"],
    ),
    "an entry with a value": (
        REQUEST + "{remove: [{X-A: b}]}\n",
        ["CP105 4:22 an entry of `remove` is a mapping | write one name an entry"],
    ),
    "an empty entry": (
        REQUEST + "{remove: ['', ~]}\n",
        ["CP141 4:22 a header name is empty | take it out", "CP105 4:26 an entry of `remove` is nothing | write one name an entry"],
    ),
    "a pattern": (
        REQUEST + "{remove: ['X-Debug-*']}\n",
        ["CP141 4:22 `X-Debug-*` is no header name | write each name in full: there are no patterns here"],
    ),
    "a name with a space": (
        REQUEST + "{remove: [X A]}\n",
        ["CP141 4:22 `X A` is no header name | use letters, digits and `-`"],
    ),
    "a name with its colon": (
        REQUEST + "{remove: ['X-A:']}\n",
        ["CP141 4:22 `X-A:` is no header name | write `X-A`"],
    ),
    "a whole line as a name": (
        REQUEST + "{set: {'X-A: b': c}}\n",
        ["CP141 4:19 `X-A: b` is no header name | write `X-A: b`, with a space behind the colon"],
    ),
    "a name that is not ASCII": (
        REQUEST + "{set: {X-Ä: b}}\n",
        ["CP141 4:19 `X-Ä` is no header name | use letters, digits and `-`"],
    ),
    # --- values ---
    "values that are a list": (
        REQUEST + "{set: [X-A]}\n",
        ["CP105 4:18 `set` takes a mapping of names to values, and this is a list | write a mapping: `set: {X-Stage: test}`"],
    ),
    "values that are a text": (
        REQUEST + "{add: X-A}\n",
        ["CP105 4:18 `add` takes a mapping of names to values, and this is a text | write a mapping: `add: {X-Stage: test}`"],
    ),
    "no value": (
        REQUEST + "{set: {X-A: }}\n",
        ['CP105 4:19 `X-A` has no value | write `X-A: ""` for an empty one, or use `remove: [X-A]`'],
    ),
    "a value that is a list": (
        REQUEST + "{set: {X-A: [b, c]}}\n",
        ["CP105 4:24 the value of `X-A` is a list, not a text | write `X-A: some text`"],
    ),
    "a value of two lines": (
        REQUEST + '{set: {X-A: "b\\r\\nX-Evil: c"}}\n',
        ["CP141 4:24 the value of `X-A` holds a character that no header may | keep it on one line"],
    ),
    "a value with white space around": (
        REQUEST + "{set: {X-A: ' b'}}\n",
        ["CP141 4:24 the value of `X-A` begins or ends with white space, which HTTP drops | take it off"],
    ),
    "a value that is too long": (
        REQUEST + "{set: {X-A: '" + "a" * (MAX_VALUE_BYTES + 1) + "'}}\n",
        ["CP112 4:24 the value of `X-A` is over 8192 bytes | write less: servers refuse longer ones"],
    ),
    "one name twice": (
        REQUEST + "{set: {X-A: b, x-a: c}}\n",
        ["CP104 4:27 `x-a` is already set in line 4: the case of a name means nothing | keep one of the two"],
    ),
    "a variable without quotes": (
        REQUEST + "{set: {X-A: ${KEY}}}\n",
        ['CP111 4:24 YAML reads the `{` of `${KEY}` as the start of a mapping | put it in quotes: `"${KEY}"`'],
    ),
    # --- names that no rule changes ---
    "what is of the connection": (
        REQUEST + "{remove: [connection, Content-Length, TE, Transfer_Encoding]}\n",
        [
            "CP142 4:22 `connection` belongs to each connection, not to the message | take it out",
            "CP142 4:34 `Content-Length` belongs to each connection, not to the message | take it out",
            "CP142 4:50 `TE` belongs to each connection, not to the message | take it out",
            "CP142 4:54 `Transfer_Encoding` belongs to each connection, not to the message | take it out",
        ],
    ),
    "what has keys of its own in a request": (
        REQUEST + "{set: {Host: a, origin: b, Via: c}, remove: [X-Forwarded-For, X_Forwarded_Proto, forwarded, X-Request-Id]}\n",
        [
            "CP142 4:19 no header rule can change `Host` of a request: the proxy itself does | write `host_header` in the upstream",
            "CP142 4:28 no header rule can change `origin` of a request: the proxy itself does | write `origin_header` in the upstream",
            "CP142 4:39 no header rule can change `Via` of a request: the proxy itself does | write `via: false` to leave it out",
            (
                "CP142 4:57 no header rule can change `X-Forwarded-For` of a request: the proxy itself does"
                " | say it with `forwarded` and `trusted_proxies`"
            ),
            (
                "CP142 4:74 no header rule can change `X_Forwarded_Proto` of a request: the proxy itself does"
                " | say it with `forwarded` and `trusted_proxies`"
            ),
            (
                "CP142 4:93 no header rule can change `forwarded` of a request: the proxy itself does"
                " | say it with `forwarded` and `trusted_proxies`"
            ),
            "CP142 4:104 no header rule can change `X-Request-Id` of a request: the proxy itself does | write `request_id`",
        ],
    ),
    "what belongs to somebody else in a request": (
        REQUEST + "{remove: [Expect, Access-Control-Request-Method]}\n",
        [
            (
                "CP142 4:22 no header rule can change `Expect` of a request: the proxy itself does"
                " | take it out: it is between the client and the upstream"
            ),
            (
                "CP142 4:30 no header rule can change `Access-Control-Request-Method` of a request: the proxy itself does"
                " | take it out: preflights are answered here"
            ),
        ],
    ),
    "what has keys of its own in a response": (
        RESPONSE + "{add: {access-control-allow-origin: '*', X-Request-Id: a, Date: b}}\n",
        [
            (
                "CP142 4:20 no header rule can change `access-control-allow-origin` of a response: the proxy itself does"
                " | say it with `cors`: it writes these fields, and takes the upstream's off"
            ),
            "CP142 4:54 no header rule can change `X-Request-Id` of a response: the proxy itself does | write `request_id`",
            (
                "CP142 4:71 no header rule can change `Date` of a response: the proxy itself does"
                " | take it out: every answer has one, and the upstream's own stays"
            ),
        ],
    ),
    "the field of the request's id under its own name": (
        "request_id: {header: X-Trace}\n" + REQUEST + "{remove: [X-Request-Id, x_trace]}\n",
        ["CP142 5:36 no header rule can change `x_trace` of a request: the proxy itself does | write `request_id`"],
    ),
    "in a route": (
        UC + "routes:\n  - path: /a\n    headers: {response: {remove: [Upgrade]}}\n",
        ["CP142 5:35 `Upgrade` belongs to each connection, not to the message | take it out"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_wrong_rule_is_named_placed_and_mended(text: str, expected: list[str]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize("value", ["s3cret\nX: y", " s3cret", "s3cret" * 2000])
def test_no_message_about_a_secret_shows_it(value: str) -> None:
    text = REQUEST + "{set: {X-A: '${KEY}'}}\n"
    diagnostics = load_text(text, "f", environ={"KEY": value}).diagnostics

    assert [each.problem in (problems.BAD_FIELD, problems.OUT_OF_RANGE) for each in diagnostics] == [True]
    assert "s3cret" not in repr(diagnostics)


def test_values_are_read_as_they_are_written() -> None:
    text = REQUEST + "{set: {X-A: 1, X-B: true, X-C: 1.10, X-D: '', X-E: 'a  b', X-F: é, X-G: 'a\tb', X-H: off}}\n"

    assert rules_of(text).lines == (
        (b"X-A", b"1"),
        (b"X-B", b"true"),
        (b"X-C", b"1.10"),
        (b"X-D", b""),
        (b"X-E", b"a  b"),
        (b"X-F", b"\xc3\xa9"),
        (b"X-G", b"a\tb"),
        (b"X-H", b"off"),
    )


def test_the_longest_value_and_a_variable_in_the_midst() -> None:
    text = REQUEST + "{set: {X-A: 'Bearer ${KEY}'}, add: {X-B: '" + "a" * MAX_VALUE_BYTES + "'}}\n"

    assert rules_of(text, {"KEY": "k"}).lines == ((b"X-A", b"Bearer k"), (b"X-B", b"a" * MAX_VALUE_BYTES))


def test_a_field_that_was_read_does_not_show_its_value() -> None:
    loaded = load_text(UC, "f")
    assert loaded.root is not None

    assert "s3cret" not in repr(ReadField(b"X-A", loaded.root.span, b"s3cret"))


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_no_rule_touches_what_is_hop_by_hop(name: bytes) -> None:
    for side in ("request", "response"):
        fault = fault_of_name(name.upper(), side, b"X-Request-Id")
        assert fault is not None
        assert fault.problem is problems.RESERVED_FIELD


@pytest.mark.parametrize("name", [b"Authorization", b"Cookie", b"X-Api-Key", b"User-Agent", b"X-Real-IP", b"Referer", b"traceparent"])
def test_rules_may_touch_what_is_between_client_and_upstream(name: bytes) -> None:
    assert fault_of_name(name, "request", b"X-Request-Id") is None


@pytest.mark.parametrize("name", [b"Server", b"Set-Cookie", b"Location", b"Vary", b"Cache-Control", b"Via", b"Origin", b"X-Forwarded-For"])
def test_rules_may_touch_what_the_upstream_says(name: bytes) -> None:
    assert fault_of_name(name, "response", b"X-Request-Id") is None


TAKEN = [
    *(b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Origin", b"Authorization", b"Cookie", b"Set-Cookie"),
    *(b"X-Forwarded-For", b"X-Forwarded-Anything", b"Forwarded", b"Via", b"Expect", b"Date", b"Vary", b"Location", b"Content-Type"),
    *(b"Access-Control-Allow-Origin", b"Access-Control-Request-Method", b"Sec-Fetch-Site", b"Proxy-Authorization", b"traceparent"),
    *(b"host", b"x_forwarded_for", b"Content_Length", b"X-Real-IP", b"Content-Security-Policy"),
]


@pytest.mark.parametrize("name", TAKEN)
def test_a_field_with_a_meaning_cannot_carry_the_requests_id(name: bytes) -> None:
    fault = fault_of_id_header(name)

    assert fault is not None
    assert fault.problem is problems.RESERVED_FIELD
    assert fault.message == f"`{name.decode()}` has a meaning of its own, so it cannot carry the request's id"


@pytest.mark.parametrize("name", [b"X-Request-Id", b"x-request-id", b"X-Correlation-Id", b"Request-Id", b"CF-Ray", b"X-Amzn-Trace-Id"])
def test_a_field_that_others_use_for_it_can(name: bytes) -> None:
    assert fault_of_id_header(name) is None
