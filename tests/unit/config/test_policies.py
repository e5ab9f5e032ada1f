"""Policies in a file: where their faults are shown, and how they are named."""

import pytest

from corsproxy.config.choices import CorsMode
from corsproxy.config.load import load_text
from corsproxy.config.settings import Place
from corsproxy.cors.origins import Origins
from corsproxy.cors.policy import CorsPolicy
from tests.unit.config.diagnosed import C, U, said

CASES = {
    "a misspelt key": (
        U + "cors:\n  allow_orgins: [https://a.example]\n",
        ["CP103 3:3 `allow_orgins` is not a key of `cors` | did you mean `allow_origins`?"],
    ),
    "a misspelt key whose value is wrong too": (
        U + "cors:\n  allow_orgins: [https://a.example/]\n",
        [
            "CP103 3:3 `allow_orgins` is not a key of `cors` | did you mean `allow_origins`?",
            "CP201 3:18 `https://a.example/` never matches: an origin ends without a slash | write `https://a.example`",
        ],
    ),
    "a key as another tool calls it": (
        U + "cors: {origins: [https://a.example], credentials: true, methods: [GET, HEAD, POST]}\n",
        [
            "CP103 2:8 `origins` is not a key of `cors` | did you mean `allow_origins`?",
            "CP103 2:38 `credentials` is not a key of `cors` | did you mean `allow_credentials`?",
            "CP103 2:57 `methods` is not a key of `cors` | did you mean `allow_methods`?",
        ],
    ),
    "a key in camel case": (
        U + "cors: {allowOrigins: [https://a.example], maxAge: 1h}\n",
        [
            "CP103 2:8 `allowOrigins` is not a key of `cors` | did you mean `allow_origins`?",
            "CP103 2:43 `maxAge` is not a key of `cors` | did you mean `max_age`?",
        ],
    ),
    "a key with dashes": (
        U + "cors: {allow-origins: [https://a.example]}\n",
        ["CP103 2:8 `allow-origins` is not a key of `cors` | did you mean `allow_origins`?"],
    ),
    "a key that is not built": (
        U + "cors: {allow_origins: [https://a.example], proxy_origins: none}\n",
        [
            "CP103 2:44 `proxy_origins` is not a key of `cors` | take it out; the names most like it are `allow_origins`, `websocket_origins`; docs/configuration.md lists all keys"
        ],
    ),
    "a colon that is missing in braces": (
        U + "cors: {allow_origins: [https://a.example], max_age 5}\n",
        ["CP103 2:44 `max_age 5` is not a key of `cors` | write `max_age: 5`, with a colon"],
    ),
    "a duplicate key": (
        U + "cors:\n  allow_origins: [https://a.example]\n  max_age: 1h\n  max_age: 2h\n",
        ["CP104 5:3 `max_age` is already set in line 4 | keep one of the two"],
    ),
    "no origins named": (
        U + "cors: {allow_credentials: true}\n",
        ["CP106 2:1 `cors` lacks `allow_origins` | write `allow_origins: [https://app.example.com]`"],
    ),
    "an empty list of origins": (
        U + "cors:\n  allow_origins: []\n",
        ["CP211 3:18 `allow_origins` is empty | list origins, as `https://app.example.com`"],
    ),
    "no value for origins": (
        U + "cors:\n  allow_origins:\n",
        ["CP211 3:3 `allow_origins` is empty | list origins, as `https://app.example.com`"],
    ),
    "one origin without its list": (
        U + "cors:\n  allow_origins: https://a.example, https://b.example\n",
        [
            'CP105 3:18 `allow_origins` takes a list of origins, or `"*"`, and this is a text | write a list: `allow_origins: [https://a.example, https://b.example]`'
        ],
    ),
    "a slash at the end of an origin": (
        U + "cors:\n  allow_origins:\n    - https://a.example\n    - https://b.example/\n",
        ["CP201 5:7 `https://b.example/` never matches: an origin ends without a slash | write `https://b.example`"],
    ),
    "an upper-case origin": (
        U + "cors: {allow_origins: [https://A.example]}\n",
        ["CP201 2:24 `https://A.example` never matches: browsers send scheme and host in lower case | write `https://a.example`"],
    ),
    "the default port of an origin": (
        U + "cors: {allow_origins: ['https://a.example:443']}\n",
        ["CP201 2:24 `https://a.example:443` never matches: browsers leave out the default port 443 of https | write `https://a.example`"],
    ),
    "a star with credentials": (
        U + 'cors:\n  allow_origins: "*"\n  allow_credentials: true\n',
        [
            "CP202 3:18 `*` with `allow_credentials: true` would let every web site act as the visitor | list the origins, or take `allow_credentials` out"
        ],
    ),
    "a star among others": (
        U + "cors: {allow_origins: [https://a.example, '*']}\n",
        ['CP212 2:43 `*` makes the other origins meaningless | write `allow_origins: "*"` alone, or take `*` out'],
    ),
    "the origin null": (
        U + "cors: {allow_origins: [null]}\n",
        [
            "CP203 2:24 `null` is an origin that any web site can take on | take it out, or write `dangerously_allow_null_origin: true` in this policy"
        ],
    ),
    "an http origin with credentials": (
        U + "cors: {allow_origins: ['http://a.example'], allow_credentials: true}\n",
        [
            "CP205 2:24 `http://a.example` lets http pages use the visitor's credentials | use https, or write `dangerously_allow_insecure_origins: true` in this policy"
        ],
    ),
    "an empty entry among origins": (
        U + "cors:\n  allow_origins:\n    - https://a.example\n    -\n",
        ["CP105 5:5 an entry of `allow_origins` is empty | take it out"],
    ),
    "a list in a list": (
        U + "cors: {allow_origins: [[https://a.example]]}\n",
        ["CP105 2:24 an entry of `allow_origins` is a list | write one text an entry, as `- https://app.example.com`, or `- regex: '…'`"],
    ),
    "a regex outside of the subset": (
        U + "cors:\n  allow_origins:\n    - regex: 'https://(a+)+'\n",
        ["CP206 4:14 at character 13 of `https://(a+)+`: `+` repeats a group | repeat one character or class, or use `{m,n}`"],
    ),
    "a regex that YAML reads as a list": (
        U + "cors:\n  allow_origins:\n    - regex: [a-z]\n",
        ["CP105 4:14 `regex` takes a text, and this is a list | write `regex: 'https://pr-\\d+\\.example\\.com'`, in single quotes"],
    ),
    "a mapping that is no regex": (
        U + "cors: {allow_origins: [{pattern: a}]}\n",
        ["CP105 2:24 an entry of `allow_origins` is a mapping | write `- regex: 'a'`"],
    ),
    "a wildcard in the middle": (
        U + "cors: {allow_origins: ['https://a.*.example']}\n",
        [
            (
                "CP212 2:24 `https://a.*.example` has a `*` that stands for nothing | write `https://*.example.com` for any subdomain, "
                "`http://localhost:*` for any port, or a `regex:`"
            ),
        ],
    ),
    "methods in one text": (
        U + "cors: {allow_origins: [https://a.example], allow_methods: 'GET, PUT'}\n",
        ['CP105 2:59 `allow_methods` takes a list of names, or `"*"`, and this is a text | write a list: `allow_methods: [GET, PUT]`'],
    ),
    "names that are a mapping": (
        U + "cors: {allow_origins: [https://a.example], expose_headers: {Link: true}}\n",
        [
            'CP105 2:60 `expose_headers` takes a list of names, or `"*"`, and this is a mapping | write `expose_headers: [X-Total-Count, Link]`'
        ],
    ),
    "a regex among names": (
        U + "cors: {allow_origins: [https://a.example], allow_headers: [{regex: a}]}\n",
        ["CP105 2:60 an entry of `allow_headers` is a mapping | write one text an entry"],
    ),
    "a lower-case method": (
        U + "cors: {allow_origins: [https://a.example], allow_methods: [GET, HEAD, POST, patch]}\n",
        ["CP207 2:77 `patch` is not `PATCH`: methods are compared by bytes | write `PATCH`"],
    ),
    "a forbidden method": (
        U + "cors: {allow_origins: [https://a.example], allow_methods: [GET, HEAD, POST, TRACE]}\n",
        ["CP207 2:77 no script can send `TRACE` | take it out"],
    ),
    "a header that no script can set": (
        U + "cors: {allow_origins: [https://a.example], allow_headers: [Cookie]}\n",
        ["CP208 2:60 no script can set `Cookie`: the browser keeps it to itself | take it out"],
    ),
    "a header that no script can read": (
        U + "cors: {allow_origins: [https://a.example], expose_headers: [Link, Set-Cookie]}\n",
        ["CP209 2:67 no script can read `Set-Cookie`, exposed or not | take it out"],
    ),
    "a max_age over a day": (
        U + "cors:\n  allow_origins: [https://a.example]\n  max_age: 90000\n",
        ["CP210 4:12 `max_age` is over 86400 s, the most that any browser keeps | write `24h` or less"],
    ),
    "a negative max_age": (
        U + "cors:\n  allow_origins: [https://a.example]\n  max_age: -1\n",
        ["CP210 4:12 `max_age` is negative: -1 | write `0` to switch the browser's cache off"],
    ),
    "a max_age of half a second": (
        U + "cors:\n  allow_origins: [https://a.example]\n  max_age: 500ms\n",
        ["CP107 4:12 `max_age` counts whole seconds, and `500ms` is none | write `1s`"],
    ),
    "a max_age of a day in days": (
        U + "cors:\n  allow_origins: [https://a.example]\n  max_age: 1d\n",
        ["CP107 4:12 `1d` counts days, which is no unit here | write `24h`"],
    ),
    "a max_age over what Chromium keeps": (
        U + "cors:\n  allow_origins: [https://a.example]\n  max_age: 24h\n",
        ["CP252 4:12 Chromium caps `max_age` at 2h, Safari at 10m"],
    ),
    "a method list without the safelisted ones": (
        U + "cors:\n  allow_origins: [https://a.example]\n  allow_methods: [PUT]\n",
        ["CP253 4:3 GET, HEAD, POST cannot be forbidden by leaving them out: CORS always lets them through"],
    ),
    "a dangerous key": (
        U + 'cors:\n  allow_origins: ["null"]\n  dangerously_allow_null_origin: true\n',
        ["CP251 4:3 `dangerously_allow_null_origin` is on | take it out as soon as it is not needed"],
    ),
    "a dot that is not escaped": (
        U + "cors:\n  allow_origins:\n    - regex: 'https://a.example'\n",
        ["CP254 4:14 a `.` in `https://a.example` matches any character, not only a dot | write `\\.`"],
    ),
    "no policy at all": (
        U + "cors:\n",
        [
            "CP105 2:1 `cors` takes a policy, the name of one, `none` or `passthrough`, and this is nothing | write `cors: {allow_origins: [https://app.example.com]}`, or `cors: none`"
        ],
    ),
    "an empty policy": (
        U + "cors: {}\n",
        ["CP106 2:1 `cors` lacks `allow_origins` | write `allow_origins: [https://app.example.com]`"],
    ),
    "a list for a policy": (
        U + "cors: [https://a.example]\n",
        [
            "CP105 2:7 `cors` takes a policy, the name of one, `none` or `passthrough`, and this is a list | write `cors: {allow_origins: [https://a.example]}`, or `cors: none`"
        ],
    ),
    "off for a policy": (
        U + "cors: off\n",
        ["CP111 2:7 `off` is a boolean to some YAML readers and a word to others | write `cors: none` for no CORS"],
    ),
    "false for a policy": (
        U + "cors: false\n",
        ["CP105 2:7 `false` is a boolean, and `cors` takes a policy or a word | write `cors: none` for no CORS"],
    ),
    "true for a policy": (
        U + "cors: true\n",
        [
            "CP105 2:7 `true` is a boolean, and `cors` takes a policy or a word | say who may call: `cors: {allow_origins: [https://app.example.com]}`"
        ],
    ),
    "a star for a policy": (
        U + "cors: '*'\n",
        ['CP105 2:7 `*` is not a policy | write `cors: {allow_origins: "*"}`'],
    ),
    "an origin for a policy": (
        U + "cors: https://a.example\n",
        ["CP105 2:7 `https://a.example` is not a policy | write `cors: {allow_origins: [https://a.example]}`"],
    ),
    "a policy that nobody defined": (
        U + "cors: strict\n",
        ["CP110 2:7 no policy is called `strict` | define it under `policies`"],
    ),
    "a policy with a typo": (
        U + "policies: {partners: {allow_origins: [https://a.example]}}\ncors: partner\n",
        ["CP110 3:7 no policy is called `partner` | did you mean `partners`?"],
    ),
    "a word with a typo": (
        U + "cors: passthru\n",
        ["CP110 2:7 no policy is called `passthru` | did you mean `passthrough`?"],
    ),
    "a policy by the name of a word": (
        U + C + "policies:\n  none: {allow_origins: [https://a.example]}\n",
        ["CP109 4:3 `none` cannot be a policy's name: `cors: none` has a meaning of its own | choose another name, as `none_policy`"],
    ),
    "a policy without a name": (
        U + C + "policies:\n  '': {allow_origins: [https://a.example]}\n",
        ["CP105 4:3 an empty text is no name for a policy | use letters"],
    ),
    "a policy that is a word": (
        U + C + "policies:\n  open: none\n",
        ["CP105 4:9 the policy `open` is a text, not a mapping | write `open: {allow_origins: [https://app.example.com]}`"],
    ),
    "policies that are a list": (
        U + C + "policies: [a]\n",
        [
            "CP105 3:11 `policies` takes a mapping of names to policies, and this is a list | write `policies: {partners: {allow_origins: [https://a.partner.example]}}`"
        ],
    ),
    "a fault in a policy that no route uses": (
        U + C + "policies:\n  open:\n    allow_origins: [https://a.example/]\n",
        ["CP201 5:21 `https://a.example/` never matches: an origin ends without a slash | write `https://a.example`"],
    ),
    "a fault behind an alias is said once": (
        U + "x-shared: &shared\n  allow_origins: [https://a.example/]\ncors: *shared\npolicies: {open: *shared}\n",
        ["CP201 3:19 `https://a.example/` never matches: an origin ends without a slash | write `https://a.example`"],
    ),
    "a fault behind a merge": (
        U + "x-shared: &shared\n  allow_origins: '*'\ncors:\n  <<: *shared\n  allow_credentials: true\n",
        [
            "CP202 3:18 `*` with `allow_credentials: true` would let every web site act as the visitor | list the origins, or take `allow_credentials` out"
        ],
    ),
    "a value that fails does not hide the others": (
        U + "cors:\n  allow_origins: 5\n  allow_credentials: yes\n  allow_methods: [get]\n  max_age: x\n",
        [
            'CP105 3:18 `allow_origins` takes a list of origins, or `"*"`, and this is a number | write `allow_origins: [https://app.example.com]`',
            "CP111 4:22 `yes` is a boolean to some YAML readers and a word to others | write `true`",
            "CP207 5:19 `get` is not `GET`: methods are compared by bytes | write `GET`",
            "CP107 6:12 `x` is not a duration | write a number and a unit: `500ms`, `15s`, `10m`, `2h`",
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_faulty_policy_is_shown_where_it_is_written(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_a_route_says_which_policy_it_has_and_where_that_is_written() -> None:
    loaded = load_text(
        "upstream: http://localhost:9000\n"
        "cors:\n"
        "  allow_origins: [https://a.example]\n"
        "policies:\n"
        "  partners: {allow_origins: [https://b.example]}\n"
        "routes:\n"
        "  - {path: /own, cors: {allow_origins: '*'}}\n"
        "  - {path: /named, cors: partners}\n"
        "  - {path: /off, cors: none}\n"
        "  - {path: /through, cors: passthrough}\n"
        "  - {path: /default}\n",
        "f",
    )

    assert [each.problem.code for each in loaded.diagnostics] == ["CP262"]
    assert loaded.settings is not None
    assert {route.path.decode(): (route.policy_name, route.place) for route in loaded.settings.routes} == {
        "/own": ("", Place("f", 7, 18)),
        "/named": ("partners", Place("f", 5, 3)),
        "/off": ("", Place("f", 9, 18)),
        "/through": ("", Place("f", 10, 22)),
        "/default": ("cors", Place("f", 2, 1)),
        "/": ("cors", Place("f", 2, 1)),
    }
    kinds = {route.path.decode(): route.cors for route in loaded.settings.routes}
    assert (kinds["/off"], kinds["/through"]) == (CorsMode.NONE, CorsMode.PASSTHROUGH)
    assert kinds["/default"] is kinds["/"] is loaded.settings.default_cors


def test_the_policy_of_a_route_replaces_the_default_one_as_a_whole() -> None:
    loaded = load_text(
        "upstream: http://localhost:9000\n"
        "cors: {allow_origins: [https://a.example], allow_credentials: true, max_age: 60, enforce: false}\n"
        "routes:\n"
        "  - {path: /a, cors: {allow_origins: [https://b.example]}}\n",
        "f",
    )

    assert loaded.settings is not None
    policy = loaded.settings.routes[0].cors
    assert isinstance(policy, CorsPolicy)
    assert (policy.exact, policy.credentials, policy.max_age_s, policy.enforce) == (frozenset({b"https://b.example"}), False, 7200, True)


def test_every_key_of_a_policy_arrives() -> None:
    loaded = load_text(
        "upstream: http://localhost:9000\n"
        "cors:\n"
        "  allow_origins: [https://a.example, 'https://*.b.example', 'http://localhost:*', {regex: 'https://c-\\d+\\.example'}, 'null']\n"
        "  allow_methods: [GET, HEAD, POST, QUERY]\n"
        "  allow_headers: [X-One, Authorization]\n"
        "  expose_headers: [Link]\n"
        "  allow_credentials: false\n"
        "  max_age: 5m\n"
        "  enforce: false\n"
        "  dangerously_allow_null_origin: true\n"
        "  dangerously_allow_insecure_origins: false\n",
        "f",
    )

    assert [each.problem.code for each in loaded.diagnostics] == ["CP251"]
    assert loaded.settings is not None
    policy = loaded.settings.default_cors
    assert isinstance(policy, CorsPolicy)
    assert len(policy.patterns) == 5
    assert policy.methods == (b"GET", b"HEAD", b"POST", b"QUERY")
    assert policy.headers == frozenset({b"x-one", b"authorization"})
    assert policy.exposed == (b"Link",)
    assert (policy.credentials, policy.max_age_s, policy.enforce) == (False, 300, False)


def sockets(text: str) -> tuple[list[str], Origins | None]:
    loaded = load_text(f"upstream: http://localhost:9000\ncors: {{allow_origins: [https://a.example], {text}}}\n", "f")
    policy = loaded.settings.default_cors if loaded.settings is not None else None
    assert policy is None or isinstance(policy, CorsPolicy)
    return [each.problem.code for each in loaded.diagnostics], policy.sockets if policy is not None else None


@pytest.mark.parametrize("text", ["max_age: 1h", "websocket_origins: cors"])
def test_the_origins_of_websockets_are_those_that_may_call(text: str) -> None:
    assert sockets(text) == ([], None)


def test_the_origins_of_websockets_may_be_none_any_or_a_list() -> None:
    assert sockets("websocket_origins: none") == ([], Origins())
    assert sockets('websocket_origins: "*"') == ([], Origins(any_origin=True))
    faults, found = sockets("websocket_origins: [https://b.example, {regex: 'https://c\\.example'}]")
    assert (faults, found is not None and [pattern.text for pattern in found.patterns]) == (
        [],
        ["https://b.example", "https://c\\.example"],
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("websocket_origins: []", "CP211"),
        ("websocket_origins: [cors]", "CP201"),
        ("websocket_origins: [none, https://b.example]", "CP201"),
        ("websocket_origins: https://b.example", "CP105"),
        ("websocket_origins: [https://b.example/]", "CP201"),
        ("websocket_origins: ['null']", "CP203"),
        ('websocket_origins: "*", allow_credentials: true', "CP202"),
        ("websocket_origins: [http://b.example], allow_credentials: true", "CP205"),
        ("websocket_origins: ['https://*.com'], allow_credentials: true", "CP213"),
    ],
)
def test_the_origins_of_websockets_are_judged_as_those_that_may_call(text: str, code: str) -> None:
    assert sockets(text) == ([code], None)


@pytest.mark.parametrize("key", ["allow_methods", "allow_headers", "expose_headers"])
@pytest.mark.parametrize("star", ['"*"', "['*']"])
def test_a_star_stands_for_any_alone_or_in_a_list(key: str, star: str) -> None:
    loaded = load_text(f"upstream: http://localhost:9000\ncors: {{allow_origins: {star}, {key}: {star}}}\n", "f")

    assert loaded.diagnostics == ()
