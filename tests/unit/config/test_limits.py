"""What one client may take: for the whole proxy, and by route."""

import pytest

from corsproxy.config.load import load_text
from corsproxy.config.settings import Limits, RouteLimits, Settings
from tests.unit.config.diagnosed import UC, said

ROUTE = UC + "routes:\n  - path: /a\n    limits: "


def load(text: str) -> Settings:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, said(text)
    assert loaded.diagnostics == ()
    return loaded.settings


CASES = {
    "a size without a unit": (
        UC + "limits: {request_body: 512}\n",
        ["CP107 3:24 `512` lacks a unit | write `512B` or `512KiB`"],
    ),
    "a size as nginx writes it": (
        UC + "limits: {request_head: 32k}\n",
        ["CP107 3:24 `32k` is not how a size is spelled | write `32KiB` or `32KB`"],
    ),
    "a size that is a list": (
        UC + "limits: {request_head: [1KiB]}\n",
        ["CP105 3:24 `request_head` takes a size, and this is a list | write `request_head: 64KiB`"],
    ),
    "a size that is missing": (
        UC + "limits: {request_body: }\n",
        ["CP105 3:10 `request_body` takes a size, or `none`, and this is nothing | write `request_body: 10MB`"],
    ),
    "none for a size that has to be": (
        UC + "limits: {request_head: none}\n",
        ["CP107 3:24 `none` is not a size | write a number and a unit: `512B`, `16KiB`, `10MB`, `1GiB`"],
    ),
    "zero, which is no limit to nginx": (
        UC + "limits: {request_body: 0}\n",
        ["CP112 3:24 `0` is no size | write `request_body: none` for no limit"],
    ),
    "another word for none": (
        UC + "limits: {request_body: unlimited}\n",
        ["CP112 3:24 `unlimited` is no size | write `request_body: none` for no limit"],
    ),
    "zero with a unit": (
        UC + "limits: {request_body: 0B}\n",
        ["CP112 3:24 `request_body` takes 1B at least, and this is `0B` | write `1B` or more; the default is `none`"],
    ),
    "a body that nobody sends": (
        UC + "limits: {request_body: 2000GB}\n",
        ["CP112 3:24 `request_body` takes 1024GiB at most, and this is `2000GB` | write `1024GiB` or less; the default is `none`"],
    ),
    "a head that is too small": (
        UC + "limits: {request_line: 100B}\n",
        ["CP112 3:24 `request_line` takes 1KiB at least, and this is `100B` | write `1KiB` or more; the default is `16KiB`"],
    ),
    "a head that is too large": (
        UC + "limits: {response_head: 10MiB}\n",
        ["CP112 3:25 `response_head` takes 1MiB at most, and this is `10MiB` | write `1MiB` or less; the default is `128KiB`"],
    ),
    "a line that is longer than its head": (
        UC + "limits: {request_line: 128KiB}\n",
        [
            (
                "CP112 3:24 `request_line` is 128KiB, more than the 64KiB of `request_head`, which it is a part of"
                " | write `request_head: 128KiB` or more, or `request_line: 64KiB` or less"
            )
        ],
    ),
    "a head that is shorter than its line": (
        UC + "limits: {request_head: 8KiB}\n",
        [
            (
                "CP112 3:24 `request_line` is 16KiB, more than the 8KiB of `request_head`, which it is a part of"
                " | write `request_head: 16KiB` or more, or `request_line: 8KiB` or less"
            )
        ],
    ),
    "a misspelt head that is shorter than its line": (
        UC + "limits: {reqest_head: 8KiB}\n",
        [
            "CP103 3:10 `reqest_head` is not a key of `limits` | did you mean `request_head`?",
            (
                "CP112 3:23 `request_line` is 16KiB, more than the 8KiB of `request_head`, which it is a part of"
                " | write `request_head: 16KiB` or more, or `request_line: 8KiB` or less"
            ),
        ],
    ),
    "a line that cannot be read is not compared": (
        UC + "limits: {request_line: 8, request_head: 8KiB}\n",
        ["CP107 3:24 `8` lacks a unit | write `8B` or `8KiB`"],
    ),
    "a count of zero": (
        UC + "limits: {in_flight: 0}\n",
        ["CP112 3:21 `in_flight` takes 1 at least, and this is `0` | write `1` or more; the default is `4000`"],
    ),
    "a negative count": (
        UC + "limits: {connections: -1}\n",
        ["CP112 3:23 `connections` takes 1 at least, and this is `-1` | write `1` or more; the default is `auto`"],
    ),
    "a count that no process reaches": (
        UC + "limits: {connections: 10000000}\n",
        ["CP112 3:23 `connections` takes 1000000 at most, and this is `10000000` | write `1000000` or less; the default is `auto`"],
    ),
    "a count with parted thousands": (
        UC + "limits: {in_flight: 4_000}\n",
        ["CP105 3:21 `in_flight` takes a whole number, and `4_000` is none | write `in_flight: 4000`"],
    ),
    "a count with a fraction": (
        UC + "limits: {header_count: 1.5}\n",
        ["CP105 3:24 `header_count` takes a whole number, and `1.5` is none | write `header_count: 100`"],
    ),
    "a count that is a word": (
        UC + "limits: {connections: many}\n",
        ["CP105 3:23 `connections` takes a whole number, or `auto`, and `many` is none | write `connections: auto`"],
    ),
    "auto where a number has to be": (
        UC + "limits: {in_flight: auto}\n",
        ["CP105 3:21 `in_flight` takes a whole number, and `auto` is none | write `in_flight: 4000`"],
    ),
    "a count that is a mapping": (
        UC + "limits: {in_flight: {}}\n",
        ["CP105 3:21 `in_flight` takes a whole number, and this is a mapping | write `in_flight: 4000`"],
    ),
    "a time without a unit": (
        UC + "limits: {header_timeout: 30}\n",
        ["CP107 3:26 `30` lacks a unit | write `30s` or `30ms`"],
    ),
    "a time of nothing": (
        UC + "limits: {keep_alive_timeout: 0s}\n",
        ["CP112 3:30 `keep_alive_timeout` takes a time above zero, and this is `0s` | write a time such as `75s`; the longest is `168h`"],
    ),
    "the names of nginx": (
        UC + "limits: {client_max_body_size: 10MB, keepalive_timeout: 60s}\n",
        [
            "CP103 3:10 `client_max_body_size` is not a key of `limits` | did you mean `request_body`?",
            "CP103 3:38 `keepalive_timeout` is not a key of `limits` | did you mean `keep_alive_timeout`?",
        ],
    ),
    "a limit at the top": (
        UC + "request_body: 10MB\n",
        ["CP103 3:1 `request_body` is not a key of the file | write it under `limits`"],
    ),
    "limits that are a number": (
        UC + "limits: 10MB\n",
        ["CP105 3:9 `limits` takes a mapping, and this is a text | write `limits: {request_body: 10MB}`"],
    ),
    "a limit that acts before a route is known": (
        ROUTE + "{in_flight: 10, request_body: 5, header_timeout: nonsense}\n",
        [
            "CP103 5:14 `in_flight` cannot be set in a route: it acts before a route is known | write it under `limits` at the top level of the file",
            "CP107 5:43 `5` lacks a unit | write `5B` or `5KiB`",
            "CP103 5:46 `header_timeout` cannot be set in a route: it acts before a route is known | write it under `limits` at the top level of the file",
        ],
    ),
    "a misspelt limit of a route": (
        ROUTE + "{reqest_body: 5MB}\n",
        ["CP103 5:14 `reqest_body` is not a key of `limits` | did you mean `request_body`?"],
    ),
    "limits of a route that are a list": (
        ROUTE + "[10MB]\n",
        ["CP105 5:13 `limits` takes a mapping, and this is a list | write `limits: {request_body: 10MB}`"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_wrong_limit_is_named_placed_and_mended(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_without_limits_the_defaults_hold() -> None:
    settings = load(UC)

    assert (settings.limits, settings.routes[0].limits) == (Limits(), RouteLimits())
    assert load(UC + "limits: {}\n") == load(UC + "log: {}\n")


def test_every_limit_is_read() -> None:
    settings = load(
        UC
        + "limits:\n"
        + "  request_body: 1.5MiB\n  request_line: 8KiB\n  request_head: 32KiB\n  header_count: 50\n  response_head: 64KB\n"
        + "  connections: 500\n  in_flight: '20'\n  header_timeout: 5s\n  body_idle_timeout: 1m\n  keep_alive_timeout: 500ms\n"
    )

    assert settings.limits == Limits(8192, 32768, 50, 64000, 500, 20, 5.0, 0.5)
    assert settings.routes[0].limits == RouteLimits(1_572_864, 60.0)


def test_words_stand_for_no_number() -> None:
    settings = load(UC + "limits: {request_body: none, connections: auto}\n")

    assert (settings.limits.connections, settings.routes[0].limits.request_body) == (None, None)


def test_a_line_may_fill_its_head() -> None:
    assert load(UC + "limits: {request_line: 8KiB, request_head: 8KiB}\n").limits.request_head == 8192


def test_a_route_sets_what_it_names_and_inherits_the_rest() -> None:
    settings = load(
        UC
        + "limits: {request_body: 1MB, body_idle_timeout: 10s}\n"
        + "routes:\n  - {path: /upload, limits: {request_body: none}}\n  - {path: /slow, limits: {body_idle_timeout: 5m}}\n  - path: /c\n"
    )

    assert [(route.path, route.limits) for route in settings.routes] == [
        (b"/upload", RouteLimits(None, 10.0)),
        (b"/slow", RouteLimits(1_000_000, 300.0)),
        (b"/c", RouteLimits(1_000_000, 10.0)),
        (b"/", RouteLimits(1_000_000, 10.0)),
    ]
