"""
What a gateway owes to those before and behind it: Via, Max-Forwards, TE.

Hop-by-hop fields themselves are taken off in `fields` and `framing`.
"""

from collections.abc import Sequence
from typing import Final

from corsproxy.semantics.fields import FieldLine
from corsproxy.semantics.tokens import list_elements

_MAX_FORWARDS_DIGITS: Final = 9


def via_line(minor: int, pseudonym: bytes) -> FieldLine:
    """
    Write the Via line of a request that came over HTTP/1.`minor`.

    Spec: RFC 9110 7.6.3 (a gateway MUST send it upstream).
    """
    return (b"Via", b"1.%d %b" % (minor, pseudonym))


def has_passed(values: Sequence[bytes], pseudonym: bytes) -> bool:
    """
    Tell whether a request has been through the proxy of that pseudonym already.

    Spec: RFC 9110 7.6.3, 7.6 (MUST NOT forward to itself).
    """
    return any(pseudonym in element.split()[1:2] for element in list_elements(values))


def max_forwards(values: Sequence[bytes]) -> int | None:
    """
    Read Max-Forwards; None for what is no number, which is ignored.

    Spec: RFC 9110 7.6.2.
    """
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > _MAX_FORWARDS_DIGITS:
        return None
    return int(values[0])


def takes_trailers(values: Sequence[bytes]) -> bool:
    """
    Tell whether a TE field says that its sender takes trailers.

    Spec: RFC 9110 10.1.4.
    """
    return any(element.partition(b";")[0].strip().lower() == b"trailers" for element in list_elements(values))
