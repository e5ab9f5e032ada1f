"""
A certificate authority on this machine, for development, and certificates that it signs.

The only module that needs the `cryptography` library; import it where the need is certain.
"""

import datetime as dt
import ipaddress
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_FILE: Final = "ca.pem"
CA_KEY_FILE: Final = "ca-key.pem"

_CA_DAYS: Final = 730
# Apple and the CA/Browser Forum's Baseline Requirements 6.3.2: 398 days at most. Clocks differ, so it begins an hour ago.
_DAYS: Final = 397
_SKEW: Final = dt.timedelta(hours=1)
# RFC 5280 A.1, ub-common-name.
_MAX_COMMON_NAME: Final = 64
_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644


class BrokenAuthority(Exception):
    """The directory holds an authority that cannot sign; the text says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate as files, and until when it is valid. `is_new`: there was none of that name before."""

    cert_file: Path
    key_file: Path
    ends: dt.datetime
    is_new: bool


class LocalAuthority:
    """An authority in a directory. It is made where there is none, and never overwritten."""

    def __init__(self, directory: Path) -> None:
        """Load or make it. Raises BrokenAuthority, OSError."""
        self.directory = directory
        self.ca_file, self._key_file = directory / CA_FILE, directory / CA_KEY_FILE
        directory.mkdir(parents=True, exist_ok=True)
        # A key that is committed is everybody's.
        with suppress(FileExistsError):
            _create(directory / ".gitignore", b"*\n", _PUBLIC)
        self.is_new = not self.ca_file.exists() and not self._key_file.exists()
        self._certificate, self._key = self._make() if self.is_new else self._load()

    @property
    def ends(self) -> dt.datetime:
        """Until when it is valid."""
        return self._certificate.not_valid_after_utc

    def issue(self, hosts: Sequence[str]) -> Issued:
        """
        Make a certificate for names, `*.names` and IP addresses, in files that are named after the first. Raises OSError.

        Spec: RFC 5280 4.2; RFC 9525 6.3.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = [x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])] if len(hosts[0]) <= _MAX_COMMON_NAME else []
        begins = dt.datetime.now(dt.UTC) - _SKEW
        ends = min(begins + dt.timedelta(days=_DAYS), self.ends)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(name))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            # > If the subject field contains an empty sequence, then … subjectAltName … critical. (RFC 5280 4.2.1.6)
            .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=not name)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = file_stem(hosts[0])
        cert_file, key_file = self.directory / f"{stem}.pem", self.directory / f"{stem}-key.pem"
        is_new = not cert_file.exists()
        _replace(key_file, _pem(key), _PRIVATE)
        _replace(cert_file, certificate.public_bytes(Encoding.PEM), _PUBLIC)
        return Issued(cert_file, key_file, certificate.not_valid_after_utc, is_new)

    def _make(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        # Several of them in one trust store must be told apart.
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"corsproxy development CA {secrets.token_hex(4)}")])
        begins = dt.datetime.now(dt.UTC) - _SKEW
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + dt.timedelta(days=_CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _create(self._key_file, _pem(key), _PRIVATE)
        _create(self.ca_file, certificate.public_bytes(Encoding.PEM), _PUBLIC)
        return certificate, key

    def _load(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        for file in (self.ca_file, self._key_file):
            if not file.exists():
                raise BrokenAuthority(f"`{file}` is missing, and its counterpart is there")
        try:
            certificate = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
            key = load_pem_private_key(self._key_file.read_bytes(), None)
        except (ValueError, TypeError) as error:
            raise BrokenAuthority(f"the authority in `{self.directory}` cannot be read: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise BrokenAuthority(f"`{self._key_file}` is not the key of `{self.ca_file}`")
        try:
            certificate.verify_directly_issued_by(certificate)
        except (InvalidSignature, ValueError, TypeError):
            raise BrokenAuthority(f"`{self.ca_file}` is not an authority of its own") from None
        if certificate.not_valid_after_utc <= dt.datetime.now(dt.UTC):
            raise BrokenAuthority(f"the authority in `{self.ca_file}` has expired at {certificate.not_valid_after_utc:%Y-%m-%d}")
        return certificate, key


def file_stem(host: str) -> str:
    """Name the files of a certificate after a host, unlike those of the authority and the keys of other hosts. Precedent: mkcert."""
    stem = host.replace("*", "_wildcard").replace(":", "_")
    return f"{stem}_" if f"{stem}.pem" == CA_FILE or stem.endswith("-key") else stem


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _create(file: Path, content: bytes, mode: int) -> None:
    """Write a file that is not there yet, never readable by more than `mode` says. Raises FileExistsError where it is."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
        opened.write(content)


def _replace(file: Path, content: bytes, mode: int) -> None:
    """Write a file at once: a proxy that watches it sees the old content or the new."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    _create(draft, content, mode)
    draft.replace(file)
