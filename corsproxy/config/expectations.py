"""
The tests that a file holds: requests, and what must become of each.

It knows their shape; `policy_tests` on this floor reads them from the file, the one on floor 2 runs them.
"""

from dataclasses import dataclass
from enum import StrEnum

from corsproxy.config.diagnostics import Span


class Expectation(StrEnum):
    """
    What a policy test can expect of a request.

    `allow`: a browser's script can make the call and read the answer, preflight included; `deny`: it cannot.
    `refused`: the proxy answers the request itself with 403, and the upstream never sees it.
    """

    ALLOW = "allow"
    DENY = "deny"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ExpectedField:
    """A header field that a response must have with this very value; None: that it must not have."""

    name: bytes
    value: bytes | None
    span: Span


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """
    A request, and what must become of it.

    `span` is where the file says so. `origin` and `host` are empty where the file says nothing, and `credentials` None.
    Everything is spelled as browsers send it; `headers` as a script writes them. `websocket`: the script opens one.
    """

    span: Span
    expect: Expectation | tuple[ExpectedField, ...]
    origin: bytes = b""
    method: bytes = b"GET"
    path: bytes = b"/"
    host: bytes = b""
    credentials: bool | None = None
    headers: tuple[bytes, ...] = ()
    websocket: bool = False
