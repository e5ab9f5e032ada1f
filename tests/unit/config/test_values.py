"""Every kind of value, and what is said about a wrong one."""

import pytest

from corsproxy.config.choices import LogFormat, LogLevel
from corsproxy.config.load import load_text
from corsproxy.config.settings import Listen, LogSettings, Timeouts
from corsproxy.cors.policy import CorsPolicy
from tests.unit.config.diagnosed import UC, C, U, said

CASES = {
    "a duration without a unit": (
        UC + "timeouts: {connect: 5}\n",
        ["CP107 3:21 `5` lacks a unit | write `5s` or `5ms`"],
    ),
    "a duration with a word for its unit": (
        UC + "timeouts: {connect: 5sec}\n",
        ["CP107 3:21 `5sec` is not how a duration is spelled | write `5s`"],
    ),
    "a duration in days": (
        UC + "timeouts: {idle: 2d}\n",
        ["CP107 3:18 `2d` counts days, which is no unit here | write `48h`"],
    ),
    "a duration with a space": (
        UC + "timeouts: {idle: 5 s}\n",
        ["CP107 3:18 `5 s` is not how a duration is spelled | write `5s`"],
    ),
    "a duration of an unknown unit": (
        UC + "timeouts: {idle: 5y}\n",
        ["CP107 3:18 `y` is not a unit of time | write `5s`, or use `ms`, `m` or `h`"],
    ),
    "a duration that is none": (
        UC + "timeouts: {idle: soon}\n",
        ["CP107 3:18 `soon` is not a duration | write a number and a unit: `500ms`, `15s`, `10m`, `2h`"],
    ),
    "a duration that is a list": (
        UC + "timeouts: {idle: [5s]}\n",
        ["CP105 3:18 `idle` takes a duration, and this is a list | write `idle: 300s`"],
    ),
    "a duration that is missing": (
        UC + "timeouts: {idle: }\n",
        ["CP105 3:12 `idle` takes a duration, and this is nothing | write `idle: 300s`"],
    ),
    "a timeout of nothing": (
        UC + "timeouts: {response: 0s}\n",
        ["CP112 3:22 `response` takes a time above zero, and this is `0s` | write a time such as `60s`; the longest is `168h`"],
    ),
    "a timeout of zero without a unit": (
        UC + "timeouts: {response: 0}\n",
        ["CP112 3:22 `response` takes a time above zero, and this is `0` | write a time such as `60s`; the longest is `168h`"],
    ),
    "a negative timeout": (
        UC + "timeouts: {response: -5s}\n",
        ["CP112 3:22 `response` takes a time above zero, and this is `-5s` | write a time such as `60s`; the longest is `168h`"],
    ),
    "a timeout of a year": (
        UC + "timeouts: {response: 8760h}\n",
        ["CP112 3:22 `response` takes a week at most, and this is `8760h` | write a time such as `60s`; the longest is `168h`"],
    ),
    "timeouts that are a number": (
        UC + "timeouts: 5s\n",
        ["CP105 3:11 `timeouts` takes a mapping, and this is a text | write `timeouts: {response: 60s}`"],
    ),
    "a boolean as YAML 1.1 writes it": (
        UC + "log: {access: no}\n",
        ["CP111 3:15 `no` is a boolean to some YAML readers and a word to others | write `false`"],
    ),
    "a boolean with a capital": (
        UC + "log: {access: True}\n",
        ["CP111 3:15 `True` is a boolean to some YAML readers and a word to others | write `true`"],
    ),
    "a boolean in quotes": (
        UC + "log: {access: 'true'}\n",
        ['CP105 3:15 `"true"` is a text, not a boolean | write `true` without quotes'],
    ),
    "a boolean as a number": (
        UC + "log: {access: 0}\n",
        ["CP105 3:15 `access` takes `true` or `false`, and this is a number | write `false`"],
    ),
    "a boolean that is a word": (
        UC + "log: {access: maybe}\n",
        ["CP105 3:15 `access` takes `true` or `false`, and this is a text | write `true` or `false`"],
    ),
    "a boolean that is a list": (
        UC + "log: {access: []}\n",
        ["CP105 3:15 `access` takes `true` or `false`, and this is a list | write `true` or `false`"],
    ),
    "a choice by half its name": (
        UC + "log: {level: warn}\n",
        [
            "CP109 3:14 `warn` is not one of the words of `level` | did you mean `warning`? the words are `debug`, `info`, `warning`, `error`"
        ],
    ),
    "a choice with a typo": (
        UC + "log: {format: jsno}\n",
        ["CP109 3:15 `jsno` is not one of the words of `format` | did you mean `json`? the words are `auto`, `text`, `json`, `logfmt`"],
    ),
    "a choice in capitals": (
        UC + "log: {level: INFO}\n",
        ["CP109 3:14 `INFO` is not one of the words of `level` | did you mean `info`? the words are `debug`, `info`, `warning`, `error`"],
    ),
    "a choice that is unlike any": (
        UC + "log: {format: pretty}\n",
        ["CP109 3:15 `pretty` is not one of the words of `format` | use one of `auto`, `text`, `json`, `logfmt`"],
    ),
    "a choice that is empty": (
        UC + "log: {format: }\n",
        ["CP105 3:7 `format` takes a word, and this is nothing | write `format: auto`"],
    ),
    "a log that is a word": (
        UC + "log: info\n",
        ["CP105 3:6 `log` takes a mapping, and this is a text | write `log: {format: text, level: info}`"],
    ),
    "a port without a host": (
        UC + "listen: 8080\n",
        ["CP108 3:9 `8080` is a port without a host | write `:8080` for all interfaces, or `127.0.0.1:8080`"],
    ),
    "an address with a scheme": (
        UC + "listen: http://0.0.0.0:8080\n",
        ["CP108 3:9 `http://0.0.0.0:8080` is a URL, and an address to listen on has no scheme | write `0.0.0.0:8080`"],
    ),
    "an address without a port": (
        UC + "listen: localhost\n",
        ["CP108 3:9 `localhost` lacks a port | write `localhost:8080`"],
    ),
    "an address that is listed twice": (
        UC + "listen: ['127.0.0.1:80', 127.0.0.1:80]\n",
        ["CP108 3:26 `127.0.0.1:80` is listed twice | keep one of the two"],
    ),
    "an empty list of addresses": (
        UC + "listen: []\n",
        ["CP105 3:9 `listen` is an empty list | write `listen: :8080`, or take the key out"],
    ),
    "an address that is a mapping": (
        UC + "listen: {host: a, port: 1}\n",
        ["CP105 3:9 `listen` takes an address, or a list of addresses, and this is a mapping | write `listen: :8080`"],
    ),
    "an empty entry among addresses": (
        UC + "listen:\n  - localhost:80\n  -\n",
        ["CP105 5:3 `listen` takes an address, or a list of addresses, and this is nothing | write `listen: :8080`"],
    ),
    "a port that does not exist": (
        UC + "listen: ':65536'\n",
        ["CP112 3:9 there is no port 65536 | write a number from 0 to 65535"],
    ),
    "an upstream without a scheme": (
        "upstream: localhost:9000\n" + C,
        ["CP108 1:11 `localhost:9000` has no scheme | write `http://localhost:9000`"],
    ),
    "an upstream with a password": (
        "upstream: http://me:secret@api.internal\n" + C,
        [
            'CP108 1:11 an upstream\'s URL has no user name and no password | take out what stands before the `@`, and write `headers: {request: {set: {Authorization: "${UPSTREAM_AUTHORIZATION}"}}}`'
        ],
    ),
    "an upstream with a query": (
        "upstream: {url: 'http://h/?a=b'}\n" + C,
        ["CP108 1:17 an upstream's URL has no query, and this has `?a=b` | write `http://h/`"],
    ),
    "an upstream that is a port": (
        "upstream: 9000\n" + C,
        ["CP108 1:11 `9000` is a port, not a URL | write `http://localhost:9000`"],
    ),
    "an upstream that is empty": (
        "upstream:\n" + C,
        ["CP105 1:1 `upstream` takes a URL, or a mapping with `url`, and this is nothing | write `upstream: http://localhost:9000`"],
    ),
    "an upstream mapping without a URL": (
        "upstream: {}\n" + C,
        ["CP106 1:1 `upstream` lacks `url` | write `url: http://localhost:9000`"],
    ),
    "an upstream that is a list": (
        "upstream: [http://h]\n" + C,
        ["CP105 1:11 `upstream` takes a URL, or a mapping with `url`, and this is a list | write `upstream: http://localhost:9000`"],
    ),
    "a public URL with a slash": (
        UC + "public_url: https://api.example.com/\n",
        [
            "CP108 3:13 `https://api.example.com/` is not how browsers spell it: an origin ends without a slash | write `https://api.example.com`"
        ],
    ),
    "a public URL with a path": (
        UC + "public_url: [https://api.example.com/v1]\n",
        [
            "CP108 3:14 `https://api.example.com/v1` is not how browsers spell it: an origin has no path, query or fragment | write `https://api.example.com`"
        ],
    ),
    "a public URL of another scheme": (
        UC + "public_url: ftp://api.example.com\n",
        ["CP108 3:13 `ftp://api.example.com` is neither http nor https | write `https://api.example.com`"],
    ),
    "a tag": (
        UC + "listen: !!str localhost:80\n",
        ["CP105 3:9 the tag `!!str` has no meaning here | take it out"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_wrong_value_is_named_placed_and_mended(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_a_value_that_is_far_too_long_is_not_repeated() -> None:
    assert said(UC + "public_url: " + "a" * 2001) == ["CP112 3:13 `public_url` is longer than 2000 characters | write less"]


def test_every_single_value_of_a_file_is_read() -> None:
    loaded = load_text(
        U
        + C
        + "listen: [':80', 'unix:/run/c.sock', '[::1]:0', '[::1]:0']\n"
        + "public_url: [https://api.example.com, 'http://localhost:8080']\n"
        + "timeouts: {connect: 250ms, response: 1.5h, idle: 10m}\n"
        + "log: {format: logfmt, level: error, access: false}\n",
        "f",
    )

    assert loaded.diagnostics == ()
    assert loaded.settings is not None
    assert [str(each) for each in loaded.settings.listen] == [":80", "unix:/run/c.sock", "[::1]:0", "[::1]:0"]
    assert loaded.settings.own_origins == (b"https://api.example.com", b"http://localhost:8080")
    assert loaded.settings.routes[0].timeouts == Timeouts(0.25, 5400.0, 600.0)
    assert loaded.settings.log == LogSettings(LogFormat.LOGFMT, LogLevel.ERROR, access=False)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0", 0), ("600", 600), ("'600'", 600), ("10m", 600), ("2h", 7200), ("0.5h", 1800), ("0s", 0)],
)
def test_max_age_takes_a_bare_number_or_a_duration(written: str, seconds: float) -> None:
    loaded = load_text(U + f"cors: {{allow_origins: [https://a.example], max_age: {written}}}\n", "f")

    assert loaded.settings is not None
    cors = loaded.settings.routes[0].cors
    assert isinstance(cors, CorsPolicy)
    assert cors.max_age_s == seconds


def test_port_0_may_be_listed_twice() -> None:
    loaded = load_text(UC + "listen: ['127.0.0.1:0', '127.0.0.1:0']\n", "f")

    assert loaded.settings is not None
    assert loaded.settings.listen == (Listen("127.0.0.1", 0), Listen("127.0.0.1", 0))
