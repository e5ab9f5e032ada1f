"""Certificates for development: what is made, what is never touched, and what is said."""

import ssl
import stat
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

import corsproxy.cli
from corsproxy.certificates import check_certificates
from corsproxy.cli.dev_cert import read_host
from corsproxy.cli.local_ca import LocalAuthority, file_stem
from corsproxy.cli.main import main
from corsproxy.config.load import load_text
from corsproxy.config.settings import ServerTls
from corsproxy.config.upstreams import ClientTls
from corsproxy.gateway.contexts import client_context, server_context
from corsproxy.problems import Fault


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files go."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "corsproxy-certs"


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def shake(server_name: str, stem: str) -> None:
    """Do a handshake in memory, with the authority trusted. Raises ssl.SSLError."""
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context(ServerTls(f"corsproxy-certs/{stem}.pem", f"corsproxy-certs/{stem}-key.pem")).wrap_bio(a, b, server_side=True)
    client = client_context(ClientTls("corsproxy-certs/ca.pem")).wrap_bio(b, a, server_hostname=server_name)
    for end in (client, server, client, server):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_an_authority_and_a_certificate_are_made_and_explained(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev-cert", "localhost", "*.app.test", "127.0.0.1", "::1"]) == 0
    said = capsys.readouterr().out
    made = certificate(directory / "localhost.pem")

    assert sorted(file.name for file in directory.iterdir()) == [".gitignore", "ca-key.pem", "ca.pem", "localhost-key.pem", "localhost.pem"]
    assert [mode(directory / f"{name}-key.pem") for name in ("ca", "localhost")] == [0o600, 0o600]
    assert (directory / ".gitignore").read_text() == "*\n"
    assert [name.value for name in made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value][:2] == [
        "localhost",
        "*.app.test",
    ]
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert isinstance(made.public_key(), ec.EllipticCurvePublicKey)
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == 397
    for part in (
        "cert_file: corsproxy-certs/localhost.pem",
        "update-ca-certificates",
        "add-trusted-cert",
        "certutil",
        "Firefox",
        "impersonate ANY site",
    ):
        assert part in said


@pytest.mark.parametrize("name", ["localhost", "x.app.test", "127.0.0.1", "::1"])
def test_clients_that_trust_the_authority_take_it(name: str) -> None:
    assert main(["dev-cert", "localhost", "*.app.test", "127.0.0.1", "[::1]"]) == 0
    shake(name, "localhost")


def test_other_names_are_not_taken() -> None:
    assert main(["dev-cert", "localhost"]) == 0
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'other'"):
        shake("other", "localhost")


def test_what_it_says_to_write_into_the_file_loads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev-cert", "localhost", "--dir", "a place"]) == 0
    block = capsys.readouterr().out.partition("policy file:\n")[2].partition("\nBrowsers")[0]
    text = "\n".join(line[2:] for line in block.splitlines()) + "\nupstream: http://h\ncors: none\n"
    checked = check_certificates(load_text(text, "f"))

    assert checked.diagnostics == ()
    assert checked.settings is not None
    assert checked.settings.tls is not None
    assert checked.settings.tls.key_file == "a place/localhost-key.pem"


def test_the_authority_stays_and_the_certificate_is_made_anew(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev-cert", "localhost"]) == 0
    before = [(directory / name).read_bytes() for name in ("ca.pem", "ca-key.pem", "localhost.pem")]
    assert "made an authority: corsproxy-certs/ca.pem, until " in capsys.readouterr().out
    assert main(["dev-cert", "localhost"]) == 0
    after = [(directory / name).read_bytes() for name in ("ca.pem", "ca-key.pem", "localhost.pem")]
    said = capsys.readouterr().out

    assert "the authority is: corsproxy-certs/ca.pem" in said
    assert "made the certificate anew for localhost" in said
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False]
    assert mode(directory / "localhost-key.pem") == 0o600
    shake("localhost", "localhost")


@pytest.mark.parametrize("host", ["ca", "localhost-key"])
def test_no_host_has_the_files_of_the_authority_or_another_hosts_key(directory: Path, host: str) -> None:
    assert main(["dev-cert", "localhost"]) == 0
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    assert main(["dev-cert", host]) == 0

    assert {name: (directory / name).read_bytes() for name in before} == before
    shake(host, f"{host}_")


def test_files_are_named_so_that_every_system_takes_them() -> None:
    assert [file_stem(host) for host in ("*.app.test", "::1")] == ["_wildcard.app.test", "__1"]


def test_an_authority_never_outlives_itself_in_what_it_signs(directory: Path) -> None:
    authority = LocalAuthority(directory)
    issued = authority.issue(["localhost"])

    assert issued.ends <= authority.ends


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda directory: (directory / "ca-key.pem").unlink(), "`corsproxy-certs/ca-key.pem` is missing, and its counterpart is there"),
        (lambda directory: (directory / "ca.pem").write_text("x"), "the authority in `corsproxy-certs` cannot be read: "),
        (
            lambda directory: (directory / "localhost-key.pem").replace(directory / "ca-key.pem"),
            "`corsproxy-certs/ca-key.pem` is not the key of `corsproxy-certs/ca.pem`",
        ),
    ],
    ids=["no key", "no PEM", "another key"],
)
def test_a_broken_authority_is_neither_used_nor_replaced(
    directory: Path, capsys: pytest.CaptureFixture[str], break_it: object, message: str
) -> None:
    assert main(["dev-cert", "localhost"]) == 0
    assert callable(break_it)
    break_it(directory)
    before = {file.name: file.read_bytes() for file in directory.iterdir()}

    assert main(["dev-cert", "localhost"]) == 3
    assert capsys.readouterr().err.startswith(f"error[CP523]: {message}")
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before


def test_a_directory_that_cannot_be_written(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory.write_text("in the way")

    assert main(["dev-cert", "localhost"]) == 3
    assert capsys.readouterr().err == (
        "error[CP522]: `corsproxy-certs` cannot be written or read: file exists\n  = help: choose another directory with `--dir`\n"
    )


@pytest.mark.parametrize(
    ("host", "help_"),
    [
        ("https://app.test", "write `app.test`"),
        ("app.test:8443", "write `app.test`"),
        ("App.Test", "write `app.test`"),
        ("*", "name the hosts, as `localhost` or `*.example.net`"),
        ("../ca", ""),
        ("a/b", "write `a`"),
    ],
)
def test_what_is_no_host_is_said(host: str, help_: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev-cert", "localhost", host]) == 2
    said = capsys.readouterr().err

    assert said.startswith("error[CP108]: ")
    assert help_ in said
    assert not directory.exists()


def test_addresses_are_written_without_brackets() -> None:
    assert [read_host(text) for text in ("[::1]", "::1", "10.0.0.1", "localhost")] == ["::1", "::1", "10.0.0.1", "localhost"]
    assert isinstance(read_host("[::1"), Fault | str)


@pytest.mark.parametrize("arguments", [["dev-cert", "localhost"], ["demo", "--tls", "--port", "0"]], ids=["dev-cert", "demo"])
def test_without_the_library_it_says_what_to_install(
    arguments: list[str], directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.delitem(sys.modules, "corsproxy.cli.local_ca")
    monkeypatch.delattr(corsproxy.cli, "local_ca")

    assert main(arguments) == 3
    assert capsys.readouterr().err == (
        "error[CP521]: certificates are made with the library `cryptography`, which is not installed\n"
        "  = help: install it: `pip install 'corsproxy[dev-cert]'`\n"
    )
    assert not directory.exists()
