"""
The ids by which one exchange is found again: traceparent, and the request id.

A traceparent that came is passed on as it is, valid or not; one is begun only where none came.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from corsproxy.semantics.fields import FieldLine

# > HEXDIGLC: lower-case hexadecimal character
_TRACEPARENT: Final = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?", re.DOTALL
)
_NO_TRACE: Final = b"0" * 32
_NO_PARENT: Final = b"0" * 16
_SAMPLED: Final = 0x01
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9_.-]{8,128}")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A traceparent: ids in lower-case hexadecimal, 32 and 16 digits; `flags` is one byte."""

    trace_id: bytes
    parent_id: bytes
    flags: int


def parse_traceparent(values: Sequence[bytes]) -> TraceParent | None:
    """
    Read traceparent; None for several lines and for what is not valid.

    Pure; never raises. Of a version that is not known yet, the known fields are read.

    Spec: Trace Context 3.2, 4.3.
    """
    if len(values) != 1:
        return None
    match = _TRACEPARENT.fullmatch(values[0])
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    # > Version ff is invalid. … Vendors MUST ignore the traceparent when the trace-id is invalid (all zeroes).
    if version == b"ff" or trace_id == _NO_TRACE or parent_id == _NO_PARENT:
        return None
    # > If a higher version is detected … there must be a dash after the flags or the end of the value.
    if version == b"00" and more is not None:
        return None
    return TraceParent(trace_id, parent_id, int(flags, 16))


def begin(trace_id: bytes, parent_id: bytes, *, sampled: bool = True) -> FieldLine:
    """
    Write the traceparent of a trace that begins here, from random ids in lower-case hexadecimal (32 and 16 digits, not all zero).

    Sampled, unless said otherwise: samplers that follow their parent would record nothing of a trace that is not.

    Spec: Trace Context 3.2, 4.2.
    """
    return (b"traceparent", b"00-%b-%b-%02x" % (trace_id, parent_id, _SAMPLED if sampled else 0))


def is_request_id(value: bytes) -> bool:
    """
    Tell whether a request id from outside may be taken over: 8 to 128 letters, digits, `_`, `.` or `-`.

    Spec: none; safe in logs, in header fields and in URLs.
    """
    return _REQUEST_ID.fullmatch(value) is not None
