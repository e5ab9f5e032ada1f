"""
Why a header that a script sets asks for a preflight, in words.

`cors.browser` says whether; this says which of the rules it was: the name, the value, the 128 bytes of one, the 1024 of all.
"""

from collections.abc import Iterator
from typing import Final

from corsproxy.cors import browser
from corsproxy.cors.browser import Fields

MAX_VALUE_BYTES: Final = 128
MAX_TOTAL_BYTES: Final = 1024
_NAMES: Final = frozenset({b"accept", b"accept-language", b"content-language", b"content-type", b"range"})
_VALUES: Final = {
    b"content-type": "only text/plain and the two types of forms need no permission",
    b"range": "only one range that begins with a number needs no permission",
}


def why_unsafe(headers: Fields) -> Iterator[tuple[bytes, str]]:
    """Yield each name that asks for a preflight, lower case and sorted, and why. Pure."""
    unsafe = browser.unsafe_header_names(headers)
    total = sum(len(value) for name, value in headers if browser.is_safelisted_request_header(name, value))
    for name in unsafe:
        values = [value for each, value in headers if each.lower() == name and not browser.is_safelisted_request_header(each, value)]
        yield name, _why(name, values[0]) if values else f"the safelisted headers hold {total} bytes, and {MAX_TOTAL_BYTES} are free"


def _why(name: bytes, value: bytes) -> str:
    if name not in _NAMES:
        return "the name is not safelisted"
    if len(value) > MAX_VALUE_BYTES:
        return f"the value has {len(value)} bytes, and {MAX_VALUE_BYTES} are free"
    return _VALUES.get(name, "the value holds a byte that is not safe")
