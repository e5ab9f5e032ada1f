"""When a request may be sent a second time."""

from dataclasses import dataclass
from typing import Final

# > Of the request methods defined by this specification, GET, HEAD, OPTIONS, and TRACE are safe (RFC 9110 9.2.1).
_REPEATABLE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    What is known of an attempt that failed.

    `connected`: a connection existed. `reused`: it had served a request before. `received`: a byte of the answer came.
    `timed_out`: the upstream may still be at work on it. `number` counts from 1.
    """

    method: bytes
    has_body: bool
    connected: bool
    reused: bool
    received: bool
    timed_out: bool
    number: int


def may_retry(attempt: Attempt, retries: int) -> bool:
    """
    Tell whether the request may be sent once more, on a fresh connection.

    Pure. Never after a byte of an answer, never after a timeout, never a method that changes something, never a
    body (it is gone). A connection that could not be made has sent nothing, so any method may try again.

    Spec: RFC 9110 9.2.2 (automatic retries); RFC 9112 9.3.1.
    """
    if attempt.number > retries or attempt.received or attempt.timed_out:
        return False
    if not attempt.connected:
        return True
    return attempt.reused and attempt.method in _REPEATABLE and not attempt.has_body
