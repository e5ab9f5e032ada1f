"""What the file says about TLS, and what is said about a wrong one."""

from pathlib import Path

import pytest

from corsproxy.config.load import Override, load_flags, load_text
from corsproxy.config.settings import ServerTls
from corsproxy.config.upstreams import ClientTls
from tests.unit.config.diagnosed import UC, C, said

PAIR = "cert_file: c.pem, key_file: k.pem"

CASES = {
    "an empty section": (
        UC + "tls: {}\n",
        [
            "CP106 3:1 `tls` lacks `cert_file` | write `cert_file: /certs/tls.crt`",
            "CP106 3:1 `tls` lacks `key_file` | write `key_file: /certs/tls.key`",
        ],
    ),
    "a certificate without its key": (
        UC + "tls: {cert_file: c.pem}\n",
        ["CP106 3:1 `tls` lacks `key_file` | write `key_file: /certs/tls.key`"],
    ),
    "a word for the section": (
        UC + "tls: true\n",
        ["CP105 3:6 `tls` takes a mapping, and this is a boolean | write `tls: {cert_file: /certs/tls.crt, key_file: /certs/tls.key}`"],
    ),
    "a rule without an authority": (
        UC + f"tls: {{{PAIR}, client_certificate: optional}}\n",
        [
            (
                "CP131 3:42 `client_certificate` means nothing without `client_ca_file`: nobody is asked for a certificate"
                " | write `client_ca_file: /certs/clients.pem` beside it, or take it out"
            )
        ],
    ),
    "an old version": (
        UC + f"tls: {{{PAIR}, min_version: 1.1}}\n",
        ["CP109 3:55 `1.1` is not one of the words of `min_version` | use one of `1.2`, `1.3`"],
    ),
    "an old protocol's name": (
        UC + f"tls: {{{PAIR}, min_version: SSLv3}}\n",
        ["CP109 3:55 `SSLv3` is not one of the words of `min_version` | use one of `1.2`, `1.3`"],
    ),
    "the words of other tools": (
        UC + "tls: {certificate: c.pem, key: k.pem}\n",
        [
            "CP103 3:7 `certificate` is not a key of `tls` | did you mean `cert_file`?",
            "CP103 3:27 `key` is not a key of `tls` | did you mean `key_file`?",
        ],
    ),
    "a certificate instead of a file": (
        UC + 'tls: {cert_file: "-----BEGIN CERTIFICATE-----", key_file: k.pem}\n',
        ["CP105 3:18 `cert_file` takes the name of a file, and this is its content | write `cert_file: /certs/tls.crt`"],
    ),
    "an empty name of a file": (
        UC + 'tls: {cert_file: c.pem, key_file: ""}\n',
        ["CP105 3:35 `key_file` is empty | write `key_file: /certs/tls.key`"],
    ),
    "a name of a file with a null byte": (
        UC + 'tls: {cert_file: c.pem, key_file: "k\\0"}\n',
        ["CP105 3:35 `key_file` holds a character that cannot be shown | write `key_file: /certs/tls.key`"],
    ),
    "unix sockets only": (
        UC + f"tls: {{{PAIR}}}\nlisten: unix:/s\n",
        [
            (
                "CP135 3:1 `tls` serves nobody: every address in `listen` is a unix socket, and those speak plain HTTP"
                " | take `tls` out, or write `listen: :8443`"
            )
        ],
    ),
    "an upstream without TLS": (
        "upstream: {url: http://h:81/x, tls: {ca_file: c.pem}}\n" + C,
        ["CP135 1:32 `tls` means nothing to an http:// URL: no TLS is spoken there | write `url: https://h:81/x`, or take `tls` out"],
    ),
    "an upstream on a unix socket": (
        "upstream: {url: unix:/s, tls: {ca_file: c.pem}}\n" + C,
        ["CP135 1:26 `tls` means nothing to a unix socket: no TLS is spoken there | take `tls` out"],
    ),
    "half of a pair": (
        "upstream: {url: https://h, tls: {cert_file: c.pem}}\n" + C,
        ["CP131 1:34 `cert_file` means nothing without `key_file` | write `key_file: /certs/client.key` beside it"],
    ),
    "the other half": (
        "upstream: {url: https://h, tls: {key_file: k.pem}}\n" + C,
        ["CP131 1:34 `key_file` means nothing without `cert_file` | write `cert_file: /certs/client.pem` beside it"],
    ),
    "no check": (
        "upstream: {url: https://h, tls: {dangerously_skip_verify: true}}\n" + C,
        ["CP251 1:34 `dangerously_skip_verify` is on | name the authority instead: `ca_file: /certs/legacy-ca.pem`"],
    ),
    "no check, in the words of other tools": (
        "upstream: {url: https://h, tls: {skip_verify: false}}\n" + C,
        ["CP103 1:34 `skip_verify` is not a key of `tls` | did you mean `dangerously_skip_verify`?"],
    ),
    "a name with a port": (
        "upstream: {url: https://h, tls: {server_name: legacy:8443}}\n" + C,
        ["CP108 1:47 `legacy:8443` is not a name alone | write `legacy`"],
    ),
    "a name with a scheme": (
        "upstream: {url: https://h, tls: {server_name: https://legacy/x}}\n" + C,
        ["CP108 1:47 `https://legacy/x` is not a name alone | write `legacy`"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_said(text: str, expected: list[str]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize("written", ["1.3", '"1.3"', "'1.3'"])
def test_a_version_is_taken_with_quotes_and_without(written: str) -> None:
    settings = load_text(UC + f"tls: {{{PAIR}, min_version: {written}}}\n", "f").settings

    assert settings is not None
    assert settings.tls == ServerTls("c.pem", "k.pem", min_version="1.3")


@pytest.mark.parametrize(
    ("rule", "is_required"), [("", True), (", client_certificate: required", True), (", client_certificate: optional", False)]
)
def test_client_certificates_are_required_unless_the_file_says_otherwise(rule: str, *, is_required: bool) -> None:
    settings = load_text(UC + f"tls: {{{PAIR}, client_ca_file: ca.pem{rule}}}\n", "f").settings

    assert settings is not None
    assert settings.tls == ServerTls("c.pem", "k.pem", "ca.pem", requires_client_certificate=is_required)


@pytest.mark.parametrize(
    ("written", "name"),
    [("legacy", "legacy"), ("Legacy.Internal.", "legacy.internal"), ("10.0.0.7", "10.0.0.7"), ('"::1"', "::1"), ("my_host", "my_host")],
)
def test_a_server_name_is_a_name_or_an_address(written: str, name: str) -> None:
    settings = load_text(f"upstream: {{url: https://h, tls: {{server_name: {written}}}}}\n" + C, "f").settings

    assert settings is not None
    assert settings.routes[0].upstream.client_tls == ClientTls(server_name=name)


def test_files_are_named_with_their_places() -> None:
    text = f"tls: {{{PAIR}, client_ca_file: ca.pem}}\nupstream: {{url: https://h, tls: {{ca_file: up.pem, cert_file: c.pem, key_file: k.pem}}}}\n"
    loaded = load_text(text + C, "f")

    assert sorted(Path(file).name for file in loaded.files) == ["c.pem", "ca.pem", "k.pem", "up.pem"]
    assert {place: span.line for place, span in loaded.places.items()} == {
        ("client_ca_file", "ca.pem"): 1,
        ("ca_file", "up.pem"): 2,
        ("cert_file", "c.pem"): 2,
        ("key_file", "k.pem"): 2,
    }


def test_variables_set_it_too() -> None:
    found = {path: Override(value, path) for path, value in (("tls.cert_file", "c.pem"), ("tls.key_file", "k.pem"))}
    found["upstream.tls.ca_file"] = Override("ca.pem", "variable")
    settings = load_flags("https://h", ["https://a.example"], overrides=found).settings

    assert settings is not None
    assert (settings.tls, settings.routes[0].upstream.client_tls) == (ServerTls("c.pem", "k.pem"), ClientTls("ca.pem"))


def test_a_digest_shows_nowhere() -> None:
    assert "secret" not in repr(ServerTls("c", "k", digest="secret"))
