"""The policy that is written: it holds for what was seen and for nothing else, and no line of it can go."""

import re
from collections.abc import Callable, Iterator

import pytest

from corsproxy import problems
from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings
from corsproxy.cors.policy import CorsPolicy
from corsproxy.learning.learned import Run, learned
from corsproxy.problems import Severity
from corsproxy.rehearse import Call, Ending, rehearse
from tests.unit.learning.seen import PAGE, Seen

OTHER = b"https://app.example.com"
COOKIE = (b"Cookie", b"session=of-a-secret")
TOKEN = (b"Authorization", b"Bearer of-a-secret")
RUN = Run("http://localhost:9000", 12.3)


def settings_of(text: str) -> Settings:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, loaded.diagnostics
    assert not [each for each in loaded.diagnostics if each.problem.severity is not Severity.NOTE], "it fails `check --strict`"
    return loaded.settings


def policy_of(text: str) -> CorsPolicy:
    policy = settings_of(text).routes[0].cors
    assert isinstance(policy, CorsPolicy)
    return policy


def lines_of(text: str) -> Iterator[str]:
    """The lines without their comments."""
    for line in text.splitlines():
        kept = re.sub(r"(^| +)#.*", "", line)
        if kept.strip():
            yield kept


def works(text: str, call: Call) -> bool:
    """Whether a browser makes the call under a file."""
    settings = load_text(text, "f").settings
    return settings is not None and rehearse(settings, call).ending is Ending.WORKS


def everything() -> Seen:
    seen = Seen()
    seen.preflight(b"PUT", b"content-type", b"x-trace")
    seen.call(b"PUT", answered=((b"X-Total-Count", b"3"), (b"ETag", b'"of-a-secret"')))
    seen.preflight(b"DELETE", b"authorization")
    seen.call(b"DELETE", TOKEN)
    seen.call(b"GET", COOKIE, origin=OTHER)
    seen.socket(origin=OTHER)
    return seen


def test_it_holds_what_was_seen_and_nothing_else() -> None:
    text = learned(everything().evidence, RUN)
    policy = policy_of(text)

    assert {pattern.text for pattern in policy.patterns} == {PAGE.decode(), OTHER.decode()}
    assert set(policy.methods or ()) == {b"PUT", b"DELETE"}
    assert policy.headers == frozenset({b"content-type", b"x-trace", b"authorization"})
    assert set(policy.exposed or ()) == {b"X-Total-Count", b"ETag"}
    assert policy.credentials
    assert policy.allows_socket(OTHER)
    assert not policy.allows_socket(PAGE)
    assert "of-a-secret" not in text


def test_the_evidence_stands_behind_each_line() -> None:
    text = learned(everything().evidence, RUN)

    for line in (
        "- http://localhost:5173  # 2 calls, 2 preflights",
        '- "?https://app.example.com"?  # 1 call, 1 WebSocket',
        "- PUT +# 1 call",
        "- x-trace +# 1 preflight",
        "- ETag +# 1 answer",
        "allow_credentials: true  # 1 call with cookies",
    ):
        assert re.search(line.replace("  #", " +#"), text), line
    assert "in 12s, from 3 calls, 2 preflights and 1 WebSocket of 2 origins" in text


NEEDS = {
    "http://localhost:5173": Call(PAGE),
    "https://app.example.com": Call(OTHER),
    "PUT": Call(PAGE, b"PUT"),
    "DELETE": Call(PAGE, b"DELETE"),
    "content-type": Call(PAGE, headers=(b"content-type",)),
    "x-trace": Call(PAGE, headers=(b"x-trace",)),
    "authorization": Call(PAGE, headers=(b"authorization",)),
    "allow_credentials: true": Call(PAGE, credentials=True),
}


def test_each_line_is_needed_by_a_call() -> None:
    """By rehearsal; the names that scripts read are looked at in the policy, for a rehearsed answer has none of its own."""
    text = "\n".join(lines_of(learned(everything().evidence, RUN)))
    entries = [line for line in text.splitlines() if line.startswith(("    - ", "  allow_credentials"))]
    assert len(entries) == 11

    for entry in entries:
        lines = text.splitlines()
        # The origin stands in two lists; the last one is of WebSockets.
        place = len(lines) - 1 - lines[::-1].index(entry) if entry == entries[-1] else lines.index(entry)
        without = "\n".join([*lines[:place], *lines[place + 1 :]])
        name = entry.strip().removeprefix("- ").strip('"')
        if entry == entries[-1]:
            assert not works(without, Call(OTHER, websocket=True))
            assert works(text, Call(OTHER, websocket=True))
        elif name in ("ETag", "X-Total-Count"):
            assert name.encode() in (policy_of(text).exposed or ())
            assert name.encode() not in (policy_of(without).exposed or ())
        else:
            assert works(text, NEEDS[name]), name
            assert not works(without, NEEDS[name]), name


def test_where_nothing_but_the_plainest_was_seen_the_defaults_are_narrowed() -> None:
    seen = Seen()
    seen.call()
    text = learned(seen.evidence, RUN)
    policy = policy_of(text)

    assert policy.methods == (b"GET", b"HEAD", b"POST")
    assert policy.headers == frozenset()
    assert not policy.exposed
    assert not policy.credentials
    for said in (
        "no preflight: ",
        "no `Authorization` set",
        "no credentials: ",
        "no WebSocket: ",
        "no error of the API: ",
        "paths were not told apart",
    ):
        assert f"#   - {said}" in text


def failed(seen: Seen) -> None:
    seen.request(b"GET", (b"Origin", PAGE), problem=problems.UPSTREAM_CLOSED)


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (lambda seen: seen.call(answered=((b"Set-Cookie", b"a=of-a-secret"),)), "1 answer set cookies, and none came back"),
        (lambda seen: seen.socket(COOKIE), "1 WebSocket came with cookies, which are taken off"),
        (failed, "1 call had no answer of the API"),
        (lambda seen: seen.preflight(b"patch"), "1 preflight asked for what no policy allows"),
        (lambda seen: seen.preflight(b"GET", b"etag"), "headers that cannot be let in, because they are none of requests: etag"),
        (lambda seen: seen.call(origin=b"null"), "refused: 1 request of null"),
        (lambda seen: seen.request(b"GET"), "1 request without an Origin: no policy is asked"),
        (
            lambda seen: [seen.call(origin=b"https://a%d.example" % number) for number in range(101)],
            "more names came than are remembered; 2 times",
        ),
    ],
)
def test_it_says_what_else_there_is_to_know(happens: Callable[[Seen], object], said: str) -> None:
    seen = Seen()
    seen.call()
    happens(seen)
    text = learned(seen.evidence, RUN)

    assert said in text
    assert "of-a-secret" not in text
    settings_of(text)


def test_a_method_that_never_got_an_answer_but_errors_is_doubted() -> None:
    seen = Seen()
    seen.preflight(b"PATCH")
    seen.call(b"PATCH", status=405)
    seen.preflight(b"PUT")

    text = learned(seen.evidence, RUN)
    assert "- PATCH  # 1 call, each answered with an error: does the page need it?" in text
    assert "- PUT    # 1 preflight, and no call after it" in text


def test_http_pages_get_no_credentials_and_nothing_dangerous_is_written() -> None:
    seen = Seen()
    seen.call(b"GET", COOKIE, origin=b"http://dev.example")
    seen.call(b"GET", COOKIE, origin=OTHER)
    text = learned(seen.evidence, RUN)

    assert "    # - http://dev.example " in text
    assert [pattern.text for pattern in policy_of(text).patterns] == [OTHER.decode()]
    assert "dangerously" not in text


def test_where_all_pages_are_http_credentials_are_left_out() -> None:
    seen = Seen()
    seen.call(b"GET", COOKIE, origin=b"http://dev.example")
    text = learned(seen.evidence, RUN)

    assert [pattern.text for pattern in policy_of(text).patterns] == ["http://dev.example"]
    assert not policy_of(text).credentials
    assert "\n  # allow_credentials: true" in text


def test_pages_that_only_open_websockets_are_let_in() -> None:
    seen = Seen()
    seen.socket()

    assert policy_of(learned(seen.evidence, RUN)).allows_socket(PAGE)


@pytest.mark.parametrize(
    "name", [b"no", b"null", b"1", b"a'b", b"#x", b"x`y", b"~x", b"y", b"&x", b"!x", b"%x", b"|", b"yes", b"on", b"0x1"]
)
def test_names_that_mean_something_to_yaml_are_read_back_as_names(name: bytes) -> None:
    seen = Seen()
    seen.preflight(b"GET", name)
    seen.call(answered=((name, b"of-a-secret"),))
    policy = policy_of(learned(seen.evidence, RUN))

    assert policy.headers == frozenset({name})
    assert policy.exposed == (name,)


@pytest.mark.parametrize("name", [b"*", b"x-*", b"~"])
def test_names_that_no_file_can_hold_are_left_out(name: bytes) -> None:
    seen = Seen()
    seen.preflight(b"GET", name)
    seen.call(answered=((name, b"1"),))
    text = learned(seen.evidence, RUN)

    assert policy_of(text).headers == frozenset()
    assert not policy_of(text).exposed
    assert "headers that cannot be let in" in text
