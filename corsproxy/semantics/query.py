"""
Queries as they may be shown: the values of names that look like secrets are masked.

It knows names, and not what any API calls its secrets: it masks too much rather than too little. Paths are none of its business.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

MASK: Final = "REDACTED"
# What stands behind it is not read, and not shown.
MAX_QUERY_BYTES: Final = 2048

_SEPARATORS: Final = re.compile(rb"([&;])")
_NESTED_SEPARATORS: Final = re.compile(rb"[?&;#]")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")
# Anywhere in a name, whatever stands around them; `auth` not as in `author`.
_STEMS: Final = re.compile(
    r"token|secret|passw|passcode|passphrase|pwd|signature|session|sessid|jwt|credential|bearer|hmac|saml|assertion|csrf|xsrf|cookie"
    r"|auth(?!or(?!i))"
)
# At the end of a name: `apikey`, `AWSAccessKeyId` is one of the words.
_ENDINGS: Final = ("key", "code", "sig", "sid")
_WORDS: Final = frozenset({"cred", "creds", "key", "code", "keys", "codes", "mfa", "nonce", "otp", "pass", "pin", "sign", "ticket", "totp"})
# A JSON Web Token shows itself, whatever its name is; so does a scheme of Authorization.
_TELLING_VALUE: Final = re.compile(rb"eyJ[A-Za-z0-9_-]{5,}\.|(?i:\b(?:bearer|basic)[ +])")
_MAX_CACHED_BYTES: Final = 64
_MAX_DECODINGS: Final = 3


def show_query(query: bytes) -> str:
    """
    Write a query (without its `?`) as it may be shown.

    Pure. Names are compared decoded and in lower case, and stay as they were sent. A value in which a name like that has one is masked
    too: a URL inside of a URL.

    Spec: OpenTelemetry semantic conventions, `url.query` (REDACTED); RFC 3986 3.4.
    """
    pieces = _SEPARATORS.split(query[:MAX_QUERY_BYTES])
    return "".join([_show(piece) for piece in pieces])


def is_secret_name(name: bytes) -> bool:
    """
    Tell whether a parameter's name, as it was sent, looks like that of a secret.

    Spec: none; the names that OAuth 2.0, SAML, JWT and the signed URLs of AWS, Azure and Google use, and what APIs call the like.
    """
    return _is_known_secret(name) if len(name) <= _MAX_CACHED_BYTES else _is_secret(name)


def _show(piece: bytes) -> str:
    name, equals, value = piece.partition(b"=")
    if equals and value and (is_secret_name(name) or _tells(value)):
        return f"{_text(name)}={MASK}"
    return _text(piece) if not _tells(name) else MASK


def _tells(value: bytes) -> bool:
    """Tell whether a value shows by itself that it is secret, or holds parameters that are."""
    if len(value) < 6:
        return False
    decoded = _decoded(value)
    if _TELLING_VALUE.search(decoded):
        return True
    if b"=" not in decoded:
        return False
    pairs = [piece.partition(b"=") for piece in _NESTED_SEPARATORS.split(decoded)]
    return any(equals and inner and is_secret_name(name) for name, equals, inner in pairs)


def _decoded(sent: bytes) -> bytes:
    # Some servers decode twice.
    for _ in range(_MAX_DECODINGS):
        if b"%" not in sent:
            break
        sent = unquote_to_bytes(sent)
    return sent


def _is_secret(name: bytes) -> bool:
    spelled = _decoded(name).decode("latin-1")
    words = _NO_WORD.split(_CAMEL.sub("-", spelled).lower())
    squeezed = "".join(_NO_WORD.split(spelled.lower()))
    return bool(_STEMS.search(squeezed)) or squeezed.endswith(_ENDINGS) or not _WORDS.isdisjoint(words)


_is_known_secret: Final = lru_cache(maxsize=1024)(_is_secret)


def _text(sent: bytes) -> str:
    return sent.decode("utf-8", "backslashreplace")
