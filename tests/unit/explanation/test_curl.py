"""A call as command lines, read back by a shell."""

import shlex

import pytest

from corsproxy.config.load import load_text
from corsproxy.explanation.curl import curl_lines, is_secret
from corsproxy.rehearse import Call, rehearse

TEXT = "upstream: http://localhost:9000\ncors: {allow_origins: [https://app.example.com], allow_headers: [X-A, Authorization]}\n"
APP = b"https://app.example.com"


def commands(call: Call) -> list[list[str]]:
    settings = load_text(TEXT, "f").settings
    assert settings is not None
    # A shell joins lines that end in a backslash; shlex does not.
    return [shlex.split(line.replace("\\\n", "")) for line in curl_lines(rehearse(settings, call))]


def with_flags(headers: list[str]) -> list[str]:
    return [part for header in headers for part in ("-H", header)]


def test_a_preflight_and_its_request_are_two_commands() -> None:
    first, second = commands(Call(APP, b"PUT", b"/a?x=1&y=2", fields=((b"X-A", b"it's"),)))
    headers = ["Origin: https://app.example.com", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a"]

    assert first == ["curl", "-i", "-X", "OPTIONS", "http://localhost:8080/a?x=1&y=2", *with_flags(headers)]
    headers = ["X-A: it's", "Origin: https://app.example.com", "Sec-Fetch-Site: cross-site"]
    assert second == ["curl", "-i", "-X", "PUT", "http://localhost:8080/a?x=1&y=2", *with_flags(headers)]


def test_a_simple_call_is_one() -> None:
    assert commands(Call(APP)) == [
        ["curl", "-i", "http://localhost:8080/", "-H", "Origin: https://app.example.com", "-H", "Sec-Fetch-Site: cross-site"]
    ]
    assert commands(Call(APP, b"HEAD"))[0][:2] == ["curl", "-I"]


def test_what_is_never_sent_is_no_command() -> None:
    assert commands(Call(APP, b"TRACE")) == []
    assert len(commands(Call(APP, b"LOCK"))) == 1


def test_a_websocket_ends_by_itself() -> None:
    (command,) = commands(Call(APP, websocket=True))

    assert command[:5] == ["curl", "-i", "--http1.1", "--max-time", "2"]
    assert "Upgrade: websocket" in command


def test_a_secret_is_a_variable_of_the_shell() -> None:
    settings = load_text(TEXT, "f").settings
    assert settings is not None
    said = "\n".join(curl_lines(rehearse(settings, Call(APP, fields=((b"Authorization", b"Bearer hush"),)))))

    assert "hush" not in said
    assert '-H "Authorization: $AUTHORIZATION"' in said


@pytest.mark.parametrize("name", [b"Authorization", b"X-Api-Key", b"X-CSRF-Token", b"x-client-secret", b"X-Session"])
def test_names_of_secrets_are_known(name: bytes) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", [b"X-A", b"Accept", b"Access-Control-Request-Headers", b"Sec-WebSocket-Key", b"Origin"])
def test_other_names_are_not(name: bytes) -> None:
    assert not is_secret(name)


def test_brackets_in_a_path_are_no_pattern() -> None:
    assert "-g" in commands(Call(APP, path=b"/a[1]"))[0]
