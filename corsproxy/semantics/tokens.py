"""Tokens, plain values and lists: the smallest words of HTTP (RFC 9110 5.5, 5.6)."""

import re
from collections.abc import Iterable
from typing import Final

# > token = 1*tchar
# > tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA
TCHARS: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

OWS: Final = b" \t"

# > field-value = *field-content
# > field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ] (RFC 9110 5.5)
# Of these, what any strict parser takes as it is: not empty, without a tab, within ASCII.
PLAIN_VALUE: Final = rb"[!-~](?:[ -~]*[!-~])?"
is_plain_value: Final = re.compile(PLAIN_VALUE).fullmatch


def is_token(value: bytes) -> bool:
    """
    Tell whether the value is one token.

    Spec: RFC 9110 5.6.2.
    """
    # bytes.translate with a delete table runs in C: what is left over is no tchar.
    return bool(value) and not value.translate(None, TCHARS)


def in_ascii(value: bytes) -> str:
    """
    Write bytes that somebody sent for people: ASCII as it is, everything else escaped. Pure; control characters stay.

    Spec: RFC 9110 5.5 (obs-text has no charset that anybody could know).
    """
    return value.decode("ascii", "backslashreplace")


def list_elements(values: Iterable[bytes]) -> list[bytes]:
    """
    Split a list-based field's lines into elements: OWS trimmed, empty elements left out.

    Pure; elements are not checked. Quoted strings are not looked at: use it for fields whose
    elements are tokens.

    Spec: RFC 9110 5.6.1.2, 5.3.
    """
    return [element for value in values for part in value.split(b",") if (element := part.strip(OWS))]
