"""Which names anybody can have a name below."""

import subprocess
import sys

import pytest

from corsproxy.config.load import load_text
from corsproxy.config.suffixes import is_public_suffix
from tests.unit.config.diagnosed import U, said


@pytest.mark.parametrize(
    "name",
    [
        "com",
        "com.",
        "co.uk",
        "github.io",
        "compute.amazonaws.com",
        "eu-west-1.compute.amazonaws.com",
        "ck",
        "kobe.jp",
        "xn--p1ai",
        "xn--55qx5d.cn",
    ],
)
def test_a_name_of_either_section_is_a_public_suffix(name: str) -> None:
    assert is_public_suffix(name)


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        "me.github.io",
        "www.ck",
        "city.kobe.jp",
        "internal",
        "local",
        "test",
        "localhost",
        "lan",
        "svc.cluster.local",
        "a_b.internal",
    ],
)
def test_a_name_with_one_owner_and_one_that_the_list_does_not_know_are_none(name: str) -> None:
    assert not is_public_suffix(name)


def test_a_policy_without_a_wildcard_loads_no_list() -> None:
    """Starting without it is faster, and most policies need none."""
    program = (
        "import sys\n"
        "from corsproxy.config.load import load_text\n"
        "for origin in ('https://a.example', 'http://localhost:*', 'https://*.a.example'):\n"
        "    load_text('upstream: http://localhost:9000\\ncors: {allow_origins: [\"' + origin + '\"]}', 'f')\n"
        "    print('publicsuffixlist' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)

    assert found.stdout.split() == ["False", "False", "True"]


def policy(rest: str) -> str:
    return U + "cors:\n  allow_origins: [https://a.example, 'https://*.github.io']\n" + rest


def test_a_wildcard_on_one_is_an_error_with_credentials_and_a_warning_without() -> None:
    message = "`https://*.github.io` lets in every site below `github.io`, and anybody can have one there"
    help_ = "write `https://*.example.github.io`, with the domain that is yours"

    assert said(policy("  allow_credentials: true\n")) == [
        f"CP213 3:38 {message} | {help_}, or `dangerously_allow_public_suffixes: true` in this policy"
    ]
    assert said(policy("")) == [f"CP256 3:38 {message} | {help_}"]
    assert load_text(policy(""), "f").settings is not None


@pytest.mark.parametrize("credentials", ["", "  allow_credentials: true\n"])
def test_what_is_accepted_by_name_is_said_by_that_name_alone(credentials: str) -> None:
    text = policy("  dangerously_allow_public_suffixes: true\n" + credentials)

    assert said(text) == ["CP251 4:3 `dangerously_allow_public_suffixes` is on | take it out as soon as it is not needed"]
    assert load_text(text, "f").settings is not None
