"""
TLS contexts from settings, and what is wrong with the files that they are made of.

It knows PEM, and how OpenSSL complains; it opens no connection.
"""

import calendar
import hashlib
import re
import ssl
import stat
from pathlib import Path
from typing import Final

from corsproxy import problems
from corsproxy.config.settings import ServerTls
from corsproxy.config.upstreams import ClientTls
from corsproxy.problems import Problem

# A bundle of all public authorities has a quarter of a MiB.
MAX_PEM_BYTES: Final = 4 * 1024 * 1024
# The keys that name files.
FILES: Final = ("cert_file", "key_file", "ca_file", "client_ca_file")

_ALPN: Final = ["http/1.1"]
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CERTIFICATE: Final = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")
_WRITTEN: Final = re.compile(_CERTIFICATE.pattern + rb"[^-]*")
_KEY: Final = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
# A SEQUENCE: what DER begins with, be it a certificate or a key.
_DER: Final = b"\x30"
_LEAF: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
# `[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)`
_ORIGIN_OF_ERROR: Final = re.compile(r"^\[[^\]]*\] | \(_ssl\.c:\d+\)$")


class BadTlsFile(Exception):
    """A file that a context cannot be made of: that of the key `key`. `message` and `help` are as in a diagnostic."""

    def __init__(self, problem: Problem, key: str, message: str, help_: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.key = key
        self.message = message
        self.help = help_


class _HasPassword(Exception):
    pass


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """
    Make the context for handshakes with clients. It reads files.

    With a client CA, clients are asked for a certificate and may show none: browsers send none on preflights. Raises BadTlsFile.

    Spec: Fetch #cors-protocol-and-credentials; RFC 7301.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(_ALPN)
    _load_pair(context, tls.cert_file, tls.key_file)
    if tls.client_ca_file:
        _load_authorities(context, tls.client_ca_file, "client_ca_file")
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """
    Make the context for handshakes with an upstream. It reads files. Raises BadTlsFile.

    Not `ssl.create_default_context`: what that takes for a sound chain differs between versions of Python.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    if tls.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.ca_file:
        _load_authorities(context, tls.ca_file, "ca_file")
    elif not tls.skip_verify:
        context.load_default_certs()
    if tls.cert_file:
        _load_pair(context, tls.cert_file, tls.key_file)
        # Servers that want a certificate for some paths only ask for it after the handshake (RFC 8446 4.6.2).
        context.post_handshake_auth = True
    return context


def digest(tls: ServerTls | ClientTls) -> str:
    """Stand for the content of all files. Raises BadTlsFile."""
    whole = hashlib.sha256()
    for key in FILES:
        if file := getattr(tls, key, ""):
            whole.update(hashlib.sha256(read_pem(file, key)).digest())
    return whole.hexdigest()


def read_authorities(file: str) -> frozenset[bytes]:
    """Return the certificates of a client CA file, as they are written. Raises BadTlsFile."""
    return frozenset(_WRITTEN.findall(read_pem(file, "client_ca_file")))


def read_pem(file: str, key: str) -> bytes:
    """Read the file that should hold PEM and that `key` names. Raises BadTlsFile."""
    try:
        path = Path(file)
        # A pipe would be waited for.
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadTlsFile(problems.TLS_FILE_UNREADABLE, key, f"`{file}` is no regular file", "name the file itself")
        with path.open("rb") as opened:
            content = opened.read(MAX_PEM_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else "its name is impossible"
        help_ = "check the path; names are relative to the directory that corsproxy is started in"
        if isinstance(error, PermissionError):
            help_ = "let the user that runs corsproxy read it"
        raise BadTlsFile(problems.TLS_FILE_UNREADABLE, key, f"`{file}` cannot be read: {reason}", help_) from None
    if len(content) > MAX_PEM_BYTES:
        message = f"`{file}` is larger than {MAX_PEM_BYTES // 1024 // 1024} MiB"
        raise BadTlsFile(problems.TLS_FILE_INVALID, key, message, "check that it is the right file")
    return content


def explain(error: BaseException) -> str:
    """Say in OpenSSL's own words what went wrong, without its module and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message.rstrip('.')}"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    return _ORIGIN_OF_ERROR.sub("", _ORIGIN_OF_ERROR.sub("", str(error)))


def _load_authorities(context: ssl.SSLContext, file: str, key: str) -> None:
    content = read_pem(file, key)
    if not _CERTIFICATE.search(content):
        raise _no_certificate(file, key, content)
    try:
        context.load_verify_locations(file)
    except OSError as error:
        raise _unusable(file, key, error) from None


def _load_pair(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    certificate, key = read_pem(cert_file, "cert_file"), read_pem(key_file, "key_file")
    if not _CERTIFICATE.search(certificate):
        raise _no_certificate(cert_file, "cert_file", certificate)
    if not _KEY.search(key):
        help_ = "name the file with the key: it has a line `-----BEGIN PRIVATE KEY-----`"
        if key.startswith(_DER):
            help_ = f"convert it: `openssl pkey -inform DER -in {key_file} -out {key_file}.pem`"
        raise BadTlsFile(problems.TLS_FILE_INVALID, "key_file", f"`{key_file}` holds no private key in PEM", help_)

    def refuse() -> str:
        # Without an answer OpenSSL would ask the terminal.
        raise _HasPassword

    try:
        context.load_cert_chain(cert_file, key_file, refuse)
    except _HasPassword:
        message, help_ = f"the key in `{key_file}` has a password", f"take it off: `openssl pkey -in {key_file} -out {key_file}.plain`"
        raise BadTlsFile(problems.TLS_FILE_INVALID, "key_file", message, help_) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"the key in `{key_file}` is not that of the certificate in `{cert_file}`"
            help_ = "name the key that the certificate was made with; put the server's own certificate first in its file"
            raise BadTlsFile(problems.TLS_KEY_MISMATCH, "key_file", message, help_) from None
        if _is_bad_certificate(cert_file):
            raise _unusable(cert_file, "cert_file", error) from None
        raise _unusable(key_file, "key_file", error) from None
    except OSError as error:
        raise _unusable(cert_file, "cert_file", error) from None


def _is_bad_certificate(file: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError:
        return True
    return False


def _no_certificate(file: str, key: str, content: bytes) -> BadTlsFile:
    help_ = "name the file with the certificate: it has a line `-----BEGIN CERTIFICATE-----`"
    if content.startswith(_DER):
        help_ = f"convert it: `openssl x509 -inform DER -in {file} -out {file}.pem`"
    if _KEY.search(content):
        help_ = "name the file with the certificate; this one holds a key"
    return BadTlsFile(problems.TLS_FILE_INVALID, key, f"`{file}` holds no certificate in PEM", help_)


def _unusable(file: str, key: str, error: OSError) -> BadTlsFile:
    reason = explain(error)
    help_ = f"make it anew, or look at it with `openssl x509 -noout -text -in {file}`"
    return BadTlsFile(problems.TLS_FILE_INVALID, key, f"OpenSSL cannot use `{file}`: {reason}", help_)


# --- dates ---


def certificate_dates(file: str) -> tuple[float, float] | None:
    """
    Return from when until when the first certificate of a file is valid, in seconds since the epoch; None if that cannot be told.

    The standard library tells it of a peer's certificate only. Raises BadTlsFile.

    Spec: RFC 5280 4.1; X.690 8.1.
    """
    found = _LEAF.search(read_pem(file, "cert_file").decode("ascii", "replace"))
    try:
        der = ssl.PEM_cert_to_DER_cert(found[0]) if found else b""
        certificate, _ = _element(der)
        body, _ = _element(certificate)
        # > version [0] EXPLICIT DEFAULT v1, serialNumber, signature, issuer, validity (RFC 5280 4.1)
        for _ in range(4 if body[:1] == b"\xa0" else 3):
            _, body = _element(body)
        validity, _ = _element(body)
        first, rest = _element(validity)
        last, _ = _element(rest)
        return _seconds(first), _seconds(last)
    except (ValueError, IndexError):
        return None


def _element(data: bytes) -> tuple[bytes, bytes]:
    """Split the first element of a DER encoding into its content and what follows."""
    length, start = data[1], 2
    if length >= 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise IndexError
    return data[start : start + length], data[start + length :]


def _seconds(written: bytes) -> float:
    """Read a UTCTime or a GeneralizedTime, which RFC 5280 writes in UTC and with seconds."""
    digits = written.decode("ascii").removesuffix("Z")
    if len(digits) == 12:
        # > Where YY is greater than or equal to 50, the year SHALL be interpreted as 19YY (RFC 5280 4.1.2.5.1)
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    year, *parts = (int(digits[:4]), *(int(digits[place : place + 2]) for place in range(4, 14, 2)))
    return float(calendar.timegm((year, *parts)))
