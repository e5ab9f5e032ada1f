"""How the parts of a file go together."""

import pytest

from corsproxy.config.choices import CorsMode, LogFormat, LogLevel
from corsproxy.config.load import load_text
from corsproxy.config.settings import Listen, LogSettings, Place, Settings, Timeouts
from corsproxy.config.upstreams import PoolSettings
from corsproxy.cors.policy import CorsPolicy
from tests.unit.config.diagnosed import UC, C, U, keys_of, said

CASES = {
    "an empty file": (
        "",
        ["CP106 0:0 the file is empty | write `upstream: http://localhost:9000` and `cors: {allow_origins: [https://app.example.com]}`"],
    ),
    "a file of comments": (
        "# nothing\n",
        ["CP106 0:0 the file is empty | write `upstream: http://localhost:9000` and `cors: {allow_origins: [https://app.example.com]}`"],
    ),
    "a file that is a list": (
        "- upstream\n",
        ["CP105 1:1 the file is a list, not a mapping of keys to values | begin with `upstream: http://localhost:9000`"],
    ),
    "a file that is one word": (
        "upstream:http://localhost:9000\n",
        [
            "CP105 1:1 the file is a text, not a mapping of keys to values | write `upstream: http://localhost:9000`, with a space behind the colon"
        ],
    ),
    "a file that is a number": (
        "42\n",
        ["CP105 1:1 the file is a number, not a mapping of keys to values | begin with `upstream: http://localhost:9000`"],
    ),
    "neither upstream nor routes": (
        C,
        ["CP106 0:0 the file has neither `upstream` nor `routes` | write `upstream: http://localhost:9000`"],
    ),
    "no upstream and an empty list of routes": (
        C + "routes: []\n",
        ["CP106 0:0 the file has neither `upstream` nor `routes` | write `upstream: http://localhost:9000`"],
    ),
    "no policy": (
        U,
        ["CP106 0:0 the file has no `cors` | write `cors: {allow_origins: [https://app.example.com]}`, or `cors: none` for no CORS"],
    ),
    "an unknown key at the top": (
        UC + "gzip: 2\n",
        ["CP103 3:1 `gzip` is not a key of the file | take it out; docs/configuration.md lists all keys"],
    ),
    "a misspelt key at the top": (
        UC + "lisen: 'localhost:80'\n",
        ["CP103 3:1 `lisen` is not a key of the file | did you mean `listen`?"],
    ),
    "a key of a policy at the top": (
        UC + "allow_origins: ['*']\n",
        ["CP103 3:1 `allow_origins` is not a key of the file | write it under `cors`"],
    ),
    "a key of the file in a route": (
        UC + "routes:\n  - {path: /a, listen: ':80'}\n",
        ["CP103 4:16 `listen` is not a key of a route | write it at the top level of the file"],
    ),
    "a key of a route at the top": (
        UC + "path: /a\n",
        ["CP103 3:1 `path` is not a key of the file | write it in one of the `routes`"],
    ),
    "a key that only the file's root may ignore": (
        U + "cors: {allow_origins: [https://a.example], x-note: a}\n",
        ["CP103 2:44 `x-note` is not a key of `cors` | take it out; docs/configuration.md lists all keys"],
    ),
    "a key that is a number": (
        UC + "8080: a\n",
        ['CP105 3:1 the key `8080` is not a word | put it in quotes: `"8080"`'],
    ),
    "a key that is a boolean": (
        UC + "true: a\n",
        ['CP105 3:1 the key `true` is not a word | put it in quotes: `"true"`'],
    ),
    "a key that is a list": (
        UC + "? [a]\n: b\n",
        ["CP105 3:3 a list stands where a key is expected | write a word; put a value that begins with `{` or `[` in quotes"],
    ),
    "a key that is an alias": (
        UC + "x-a: &a b\n*a : c\n",
        ["CP105 4:1 the alias `*a` stands where a key is expected | write the key itself"],
    ),
    "a duplicate key at the top": (
        UC + "log: {}\n" + "log: {}\n",
        ["CP104 4:1 `log` is already set in line 3 | keep one of the two"],
    ),
    "a merge of a word": (
        UC + "log: {<<: info}\n",
        ["CP105 3:7 `<<` merges mappings, and this is none | write `<<: *name`, where `&name` marks a mapping"],
    ),
    "two merges": (
        UC + "x-a: &a {level: info}\nlog:\n  <<: *a\n  <<: *a\n",
        ["CP104 6:3 `<<` is already set in line 5 | write `<<: [*first, *second]` to merge several"],
    ),
    "routes that are a mapping": (
        UC + "routes:\n  /a: {}\n",
        ["CP105 4:3 `routes` takes a list of routes, and this is a mapping | write a list: `- path: /a`"],
    ),
    "a route that is a path": (
        UC + "routes:\n  - /a\n",
        ["CP105 4:5 a route is a text, not a mapping | write `- path: /a`"],
    ),
    "a route that is nothing": (
        UC + "routes:\n  -\n",
        ["CP105 4:3 a route is nothing, not a mapping | write `- path: /api`"],
    ),
    "a route without a path": (
        UC + "routes:\n  - cors: none\n",
        ["CP106 4:5 a route lacks `path` | write `path: /api`"],
    ),
    "a route without anything": (
        UC + "routes:\n  - {}\n",
        ["CP106 4:5 a route lacks `path` | write `path: /api`"],
    ),
    "a misspelt path": (
        UC + "routes:\n  - pth: /a\n",
        ["CP103 4:5 `pth` is not a key of a route | did you mean `path`?"],
    ),
    "a path without a slash": (
        UC + "routes:\n  - path: api\n",
        ["CP113 4:11 `api` does not begin with a slash | write `/api`"],
    ),
    "a path with a star": (
        UC + "routes:\n  - path: /api/*\n",
        ["CP113 4:11 `/api/*` has a `*`, and a route takes every path below its own | write `/api`"],
    ),
    "a path with an empty segment": (
        UC + "routes:\n  - path: /a//b\n",
        ["CP113 4:11 `/a//b` has an empty segment | write `/a/b`"],
    ),
    "a path with dots": (
        UC + "routes:\n  - path: /a/../b\n",
        ["CP113 4:11 `/a/../b` has a dot segment, which no path in normal form has | write `/b`, to which it leads"],
    ),
    "a path with an escape": (
        UC + "routes:\n  - path: /a%20b\n",
        ["CP113 4:11 `/a%20b` holds `%`, which no path in normal form has | write `/`: a route takes every path below its own"],
    ),
    "a path with a query": (
        UC + "routes:\n  - path: /a?b\n",
        ["CP113 4:11 `/a?b` holds `?`, which ends a path | write `/a`"],
    ),
    "a path that is a URL": (
        UC + "routes:\n  - path: http://h/a\n",
        ["CP113 4:11 `http://h/a` is a URL, and a route takes only its path | write `/a`"],
    ),
    "a path that is empty": (
        UC + "routes:\n  - path: ''\n",
        ["CP113 4:11 the path is empty | write `/` for every path"],
    ),
    "the same path twice": (
        UC + "routes:\n  - path: /a\n  - path: /a/\n",
        ["CP113 5:11 `/a` is already the path of the route in line 4 | make one route of the two"],
    ),
    "a route without an upstream": (
        C + "routes:\n  - path: /a\n  - {path: /b, upstream: http://b}\n",
        [
            "CP106 3:11 the route `/a` has no `upstream`, and the file has none for all | write `upstream: http://localhost:9000` in the route, or at the top level for all routes"
        ],
    ),
    "a route without a policy": (
        "routes:\n  - path: /a\n    upstream: http://a\n",
        [
            "CP106 2:11 the route `/a` has no `cors`, and the file has none for all | write `cors: {allow_origins: [https://app.example.com]}`, or `cors: none` for no CORS"
        ],
    ),
    "a route without a policy where the root has its own": (
        U + "routes:\n  - path: /\n    cors: none\n  - path: /a\n",
        [
            "CP106 5:11 the route `/a` has no `cors`, and the file has none for all | write `cors: {allow_origins: [https://app.example.com]}`, or `cors: none` for no CORS"
        ],
    ),
    "a policy that is missing is said once where the file has an upstream": (
        U + "routes:\n  - path: /a\n  - path: /b\n",
        ["CP106 0:0 the file has no `cors` | write `cors: {allow_origins: [https://app.example.com]}`, or `cors: none` for no CORS"],
    ),
    "a route with an empty policy": (
        UC + "routes:\n  - path: /a\n    cors:\n",
        [
            "CP105 5:5 `cors` takes a policy, the name of one, `none` or `passthrough`, and this is nothing | write `cors: {allow_origins: [https://app.example.com]}`, or `cors: none`"
        ],
    ),
    "a route with a policy that nobody defined": (
        UC + "routes:\n  - path: /a\n    cors: parners\n",
        ["CP110 5:11 no policy is called `parners` | define it under `policies`"],
    ),
    "a route whose timeouts are wrong": (
        UC + "routes:\n  - path: /a\n    timeouts: {respond: 5s, idle: 5}\n",
        [
            "CP103 5:16 `respond` is not a key of `timeouts` | did you mean `response`?",
            "CP107 5:35 `5` lacks a unit | write `5s` or `5ms`",
        ],
    ),
    "a pool that is a number": (
        "upstream: {url: http://h, pool: 20}\n" + C,
        ["CP105 1:33 `pool` takes a mapping, and this is a number | write `pool: {idle_timeout: 4s}`"],
    ),
    "a pool with a wrong size and a wrong time": (
        "upstream: {url: http://h, pool: {max_connections: 0, idle_timeout: 4}}\n" + C,
        [
            "CP112 1:51 `max_connections` takes 1 at least, and this is `0` | write `1` or more; the default is `auto`",
            "CP107 1:68 `4` lacks a unit | write `4s` or `4ms`",
        ],
    ),
    "a pool with a key of another proxy": (
        "upstream: {url: http://h, pool: {max: 5, keepalive: 4s, min: 1}}\n" + C,
        [
            "CP103 1:34 `max` is not a key of `pool` | did you mean `max_connections`?",
            "CP103 1:42 `keepalive` is not a key of `pool` | did you mean `idle_timeout`?",
            "CP103 1:57 `min` is not a key of `pool` | take it out; " + keys_of("pool"),
        ],
    ),
    "more retries than help": (
        "upstream: {url: http://h, retries: 11}\n" + C,
        ["CP112 1:36 `retries` takes 10 at most, and this is `11` | write `10` or less; the default is `1`"],
    ),
    "retries that are a boolean": (
        "upstream: {url: http://h, retries: false}\n" + C,
        ["CP105 1:36 `retries` takes a whole number, and `false` is none | write `retries: 1`"],
    ),
    "a via that is a word": (
        UC + "via: off\n",
        ["CP111 3:6 `off` is a boolean to some YAML readers and a word to others | write `false`"],
    ),
    "what is not built": (
        "upstream: {url: http://h, proxy_protocol: true}\n" + C + "limits: {streams: 5}\n",
        [
            "CP103 1:27 `proxy_protocol` is not a key of `upstream` | take it out; " + keys_of("upstream"),
            "CP103 3:10 `streams` is not a key of `limits` | take it out; docs/configuration.md lists all keys",
        ],
    ),
    "a route whose upstream is wrong": (
        UC + "routes:\n  - path: /a\n    upstream: {uri: http://h, path: /x}\n",
        [
            "CP103 5:16 `uri` is not a key of `upstream` | did you mean `url`?",
            "CP103 5:31 `path` is not a key of `upstream` | take it out; " + keys_of("upstream"),
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_file_that_does_not_fit_together_says_so(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def load(text: str) -> Settings:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, said(text)
    return loaded.settings


def test_four_mistakes_give_four_located_messages_in_one_run() -> None:
    text = (
        "upstream: http://localhost:9000\n"
        "cors:\n"
        "  allow_orgins:\n"
        "    - https://app.example.com/\n"
        "  max_age: 1h\n"
        "  max_age: 2h\n"
        "policies:\n"
        "  open:\n"
        '    allow_origins: "*"\n'
        "    allow_credentials: true\n"
    )

    assert said(text) == [
        "CP103 3:3 `allow_orgins` is not a key of `cors` | did you mean `allow_origins`?",
        "CP201 4:7 `https://app.example.com/` never matches: an origin ends without a slash | write `https://app.example.com`",
        "CP104 6:3 `max_age` is already set in line 5 | keep one of the two",
        (
            "CP202 9:20 `*` with `allow_credentials: true` would let every web site act as the visitor"
            " | list the origins, or take `allow_credentials` out"
        ),
    ]
    assert load_text(text, "f").settings is None


def test_the_smallest_file_is_enough() -> None:
    settings = load(U + "cors:\n  allow_origins: [https://app.example.com]\n")

    (route,) = settings.routes
    assert settings.listen == (Listen("127.0.0.1", 8080),)
    assert (route.path, route.upstream.url, route.timeouts) == (b"/", "http://localhost:9000", Timeouts())
    assert (settings.own_origins, settings.log) == ((), LogSettings())


def test_routes_come_longest_first_and_the_upstream_of_the_file_last() -> None:
    settings = load(UC + "routes:\n  - path: /a\n  - path: /bb/\n  - path: /a/b/c\n  - path: /cc\n")

    assert [route.path for route in settings.routes] == [b"/a/b/c", b"/bb", b"/cc", b"/a", b"/"]


def test_a_route_for_every_path_takes_the_place_of_the_one_that_is_implied() -> None:
    settings = load(U + "routes:\n  - path: /\n    cors: none\n")

    assert [(route.path, route.cors) for route in settings.routes] == [(b"/", CorsMode.NONE)]
    assert settings.default_cors is None


def test_without_an_upstream_for_all_nothing_is_implied() -> None:
    settings = load(C + "routes:\n  - {path: /a, upstream: {url: http://a}}\n")

    assert [(route.path, route.upstream.url) for route in settings.routes] == [(b"/a", "http://a")]


def test_timeouts_merge_key_by_key() -> None:
    settings = load(UC + "timeouts: {connect: 1s, idle: 2s}\nroutes:\n  - {path: /a, timeouts: {idle: 3s}}\n")

    assert [route.timeouts for route in settings.routes] == [Timeouts(1.0, 60.0, 3.0), Timeouts(1.0, 60.0, 2.0)]


def test_top_level_keys_that_begin_with_x_are_a_place_for_anchors() -> None:
    settings = load(
        U
        + "x-shared: &shared {allow_origins: [https://a.example], max_age: 60, nonsense: [1, 2]}\n"
        + "x-timeouts: &slow\n  response: 10m\n"
        + "cors: {allow_origins: [https://b.example]}\n"
        + "routes:\n"
        + "  - path: /a\n"
        + "    timeouts: {<<: *slow, idle: 20m, response: 5m}\n"
    )

    assert settings.routes[0].timeouts == Timeouts(5.0, 300.0, 1200.0)


def test_what_a_merge_brings_in_gives_way_to_what_is_written() -> None:
    settings = load(
        U
        + "x-a: &a {allow_origins: [https://a.example], max_age: 60}\nx-b: &b {max_age: 70, enforce: false}\ncors: {<<: [*b, *a], max_age: 80}\n"
    )

    policy = settings.default_cors
    assert isinstance(policy, CorsPolicy)
    assert (policy.exact, policy.max_age_s, policy.enforce) == (frozenset({b"https://a.example"}), 80, False)


def test_warnings_do_not_keep_a_file_from_loading() -> None:
    loaded = load_text(U + "cors: {allow_origins: ['null'], dangerously_allow_null_origin: true, max_age: 24h}\n", "f")

    assert [(each.severity, each.problem.code) for each in loaded.diagnostics] == [("warning", "CP251"), ("note", "CP252")]
    assert loaded.settings is not None


def test_via_is_written_unless_it_is_switched_off() -> None:
    assert load(UC).pseudonym == load(UC + "via: true\n").pseudonym == b"corsproxy"
    assert load(UC + "via: false\n").pseudonym == b""


def test_an_upstream_may_say_how_its_connections_are_kept() -> None:
    text = "upstream: {url: http://localhost:9000, pool: {max_connections: 20, idle_timeout: 1500ms, wait: 1s}, retries: 0}\n" + C
    (route,) = load(text).routes

    assert (route.upstream.pool, route.upstream.retries) == (PoolSettings(20, 1.5, 1.0), 0)
    assert load(text.replace("20", "auto")).routes[0].upstream.pool.max_connections is None


def test_the_upstream_of_a_route_replaces_the_one_of_the_file_as_a_whole() -> None:
    settings = load(
        "upstream: {url: http://localhost:9000, pool: {wait: 1s}, retries: 0}\n"
        + C
        + "routes:\n  - {path: /a}\n  - {path: /b, upstream: {url: http://b, pool: {idle_timeout: 2s}}}\n  - {path: /c, upstream: http://c}\n"
    )

    assert [(route.upstream.pool, route.upstream.retries) for route in settings.routes] == [
        (PoolSettings(wait=1.0), 0),
        (PoolSettings(idle_timeout=2.0), 1),
        (PoolSettings(), 1),
        (PoolSettings(wait=1.0), 0),
    ]
    assert settings.routes[0].upstream == settings.routes[3].upstream


def test_settings_of_the_log_are_read() -> None:
    assert load(UC + "log: {format: json, level: debug, access: false}\n").log == LogSettings(LogFormat.JSON, LogLevel.DEBUG, access=False)


def test_the_place_of_an_implied_route_is_that_of_the_policy() -> None:
    assert load(UC).routes[0].place == Place("f", 2, 1)
