"""Certificate files are tried before any connection depends on them, and what is wrong is said at the line that names them."""

import os
import shutil
import ssl
from pathlib import Path

import pytest

from corsproxy.certificates import check_certificates
from corsproxy.config.load import Loaded, load_text
from corsproxy.config.settings import Settings
from corsproxy.gateway.contexts import certificate_dates
from tests.certificates import Authority, Pair

UC = "upstream: http://localhost:9000\ncors: none\n"
DAY_S = 24 * 3600.0


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where names are relative to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pair(directory: Path, authority: Authority) -> Pair:
    made = authority.issue("localhost")
    shutil.copy(made.cert_file, directory / "c.pem")
    shutil.copy(made.key_file, directory / "k.pem")
    shutil.copy(authority.ca_file, directory / "ca.pem")
    return made


def said(loaded: Loaded) -> list[str]:
    return [f"{each.problem.code} {each.line}:{each.column} {each.message} | {each.help}" for each in loaded.diagnostics]


def checked(text: str, now: float | None = None) -> Loaded:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, loaded.diagnostics
    return check_certificates(loaded, now)


def server(cert: str = "c.pem", key: str = "k.pem", more: str = "") -> Loaded:
    return checked(f"tls:\n  cert_file: {cert}\n  key_file: {key}\n{more}{UC}")


def test_what_is_sound_gets_a_digest_of_its_content(pair: Pair, authority: Authority) -> None:
    first, again = server(), server()
    assert first.settings is not None
    assert first.diagnostics == ()
    assert first.settings == again.settings

    new = authority.issue("localhost")
    shutil.copy(new.cert_file, "c.pem")
    shutil.copy(new.key_file, "k.pem")
    assert pair.serial != new.serial
    assert server().settings not in (None, first.settings)


def test_a_file_without_tls_is_left_as_it_is() -> None:
    loaded = load_text(UC, "f")

    assert check_certificates(loaded) is loaded


@pytest.mark.usefixtures("pair")
def test_files_that_cannot_be_read(directory: Path) -> None:
    (directory / "d").mkdir()

    assert said(server(cert="none.pem")) == [
        (
            "CP132 2:14 `none.pem` cannot be read: no such file or directory"
            " | check the path; names are relative to the directory that corsproxy is started in"
        )
    ]
    assert said(server(key="d")) == ["CP132 3:13 `d` is no regular file | name the file itself"]
    os.mkfifo(directory / "pipe")
    assert said(server(key="pipe")) == ["CP132 3:13 `pipe` is no regular file | name the file itself"]


@pytest.mark.usefixtures("pair")
def test_files_that_hold_something_else(directory: Path) -> None:
    certificate = Path("c.pem").read_text()
    (directory / "der").write_bytes(ssl.PEM_cert_to_DER_cert(certificate))
    (directory / "torn.pem").write_text(certificate.replace("\n", "\nx", 4))
    (directory / "torn.key").write_text(Path("k.pem").read_text().replace("\nM", "\nN", 1))

    assert said(server(cert="der")) == [
        "CP133 2:14 `der` holds no certificate in PEM | convert it: `openssl x509 -inform DER -in der -out der.pem`"
    ]
    assert said(server(cert="k.pem", key="c.pem")) == [
        "CP133 2:14 `k.pem` holds no certificate in PEM | name the file with the certificate; this one holds a key"
    ]
    assert said(server(key="c.pem")) == [
        "CP133 3:13 `c.pem` holds no private key in PEM | name the file with the key: it has a line `-----BEGIN PRIVATE KEY-----`"
    ]
    for loaded, place, name in ((server(cert="torn.pem"), "2:14", "torn.pem"), (server(key="torn.key"), "3:13", "torn.key")):
        (message,) = said(loaded)
        assert message.startswith(f"CP133 {place} OpenSSL cannot use `{name}`: ")
        assert "_ssl.c" not in message


@pytest.mark.usefixtures("pair")
def test_a_key_with_a_password(directory: Path, authority: Authority) -> None:
    locked = authority.issue("localhost", password=b"secret")
    shutil.copy(locked.cert_file, directory / "l.pem")
    shutil.copy(locked.key_file, directory / "l.key")

    assert said(server("l.pem", "l.key")) == [
        "CP133 3:13 the key in `l.key` has a password | take it off: `openssl pkey -in l.key -out l.key.plain`"
    ]


@pytest.mark.usefixtures("pair")
def test_a_key_of_another_certificate(directory: Path, authority: Authority) -> None:
    shutil.copy(authority.issue("localhost").key_file, directory / "other.key")

    loaded = server(key="other.key")
    assert loaded.settings is None
    assert said(loaded) == [
        (
            "CP134 3:13 the key in `other.key` is not that of the certificate in `c.pem`"
            " | name the key that the certificate was made with; put the server's own certificate first in its file"
        )
    ]


@pytest.mark.usefixtures("pair")
def test_an_authority_that_is_none() -> None:
    assert said(server(more="  client_ca_file: k.pem\n")) == [
        "CP133 4:19 `k.pem` holds no certificate in PEM | name the file with the certificate; this one holds a key"
    ]
    assert server(more="  client_ca_file: ca.pem\n").diagnostics == ()


@pytest.mark.usefixtures("pair")
def test_upstreams_are_tried_too_and_each_problem_is_said_once() -> None:
    text = (
        "upstream:\n  url: https://h\n  tls:\n    ca_file: none.pem\n"
        "cors: none\nroutes:\n  - {path: /a}\n  - {path: /b, upstream: {url: https://i, tls: {ca_file: ca.pem, cert_file: c.pem, key_file: ca.pem}}}\n"
    )
    assert [line.partition(" |")[0] for line in said(checked(text))] == [
        "CP132 4:14 `none.pem` cannot be read: no such file or directory",
        "CP133 8:94 `ca.pem` holds no private key in PEM",
    ]


def digests(settings: Settings | None) -> list[str]:
    assert settings is not None
    return [route.upstream.client_tls.digest for route in settings.routes]


@pytest.mark.usefixtures("pair")
def test_an_upstream_with_new_content_in_its_files_is_another_upstream(directory: Path, authority: Authority) -> None:
    text = "upstream: {url: https://h, tls: {ca_file: ca.pem}}\ncors: none\nroutes: [{path: /a}, {path: /b, upstream: https://h}]\n"
    before = checked(text).settings
    (directory / "ca.pem").write_text(Path(authority.ca_file).read_text() * 2)
    after = checked(text).settings

    assert digests(before) != digests(after)
    # Both routes with it, and not the one without files.
    assert [bool(digest) for digest in digests(after)] == [True, False, True]


@pytest.mark.parametrize(
    ("days", "since", "message"),
    [
        (-1, 9, "has expired at "),
        (9, -1, "is not valid before "),
        (6, 60, "expires at "),
        (6, 1, ""),
        (8, 60, ""),
    ],
    ids=["expired", "not yet valid", "soon", "soon, and short-lived", "not soon"],
)
@pytest.mark.usefixtures("pair")
def test_dates_are_a_warning(directory: Path, authority: Authority, days: float, since: float, message: str) -> None:
    dated = authority.issue("localhost", days=days, since=since)
    shutil.copy(dated.cert_file, directory / "d.pem")
    shutil.copy(dated.key_file, directory / "d.key")
    loaded = server("d.pem", "d.key")

    assert loaded.settings is not None
    assert [(each.problem.code, each.line) for each in loaded.diagnostics] == ([("CP258", 2)] if message else [])
    assert all(f"the certificate in `d.pem` {message}20" in each.message for each in loaded.diagnostics)


def test_dates_are_read_as_openssl_reads_them(authority: Authority) -> None:
    for days in (1, 90, 365 * 60):
        made = authority.issue("localhost", days=days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(authority.ca_file)
        decoded = ssl._ssl._test_decode_cert(made.cert_file)  # type: ignore[attr-defined]
        expected = tuple(float(ssl.cert_time_to_seconds(decoded[name])) for name in ("notBefore", "notAfter"))
        assert certificate_dates(made.cert_file) == expected


@pytest.mark.parametrize("cut", [0, 1, 2, 10, 60, 90])
def test_dates_of_a_torn_certificate_are_none(tmp_path: Path, authority: Authority, cut: int) -> None:
    der = ssl.PEM_cert_to_DER_cert(Path(authority.issue("localhost").cert_file).read_text())
    file = tmp_path / "torn.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(der[:cut]))

    assert certificate_dates(str(file)) is None
