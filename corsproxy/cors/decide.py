"""
What the CORS protocol asks of one request.

Pure functions from a policy and the facts of a request to a Decision. No header is written here
(`respond` does that) and no route is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from corsproxy.cors import names
from corsproxy.cors.origin import DEFAULT_PORTS, parse_origin
from corsproxy.cors.pattern import OriginPattern
from corsproxy.cors.policy import CorsPolicy
from corsproxy.semantics.tokens import is_token, list_elements

# A browser's longest list is a few dozen names; the bounds keep hostile lists cheap.
MAX_REQUESTED_HEADERS: Final = 100
MAX_REQUESTED_HEADERS_BYTES: Final = 4096
# No method that anybody uses is longer; it is kept for people to see.
_MAX_METHOD_BYTES: Final = 40

_SAME_ORIGIN_SITES: Final = frozenset({b"same-origin", b"none"})


class Kind(StrEnum):
    """What a request is to the CORS protocol (Fetch #http-requests)."""

    NOT_CORS = "not-cors"
    PREFLIGHT = "preflight"
    ACTUAL = "actual"
    # No request of the CORS protocol, which WebSockets do not have: judged by the same policy all the same.
    WEBSOCKET = "websocket"


class Reason(StrEnum):
    """Why a decision came out as it did. Stable: logs, metrics and people rely on the words."""

    NO_ORIGIN = "no-origin"
    SAME_ORIGIN = "same-origin"
    ORIGIN_ALLOWED = "origin-allowed"
    ORIGIN_REFUSED = "origin-refused"
    ORIGIN_MALFORMED = "origin-malformed"
    ORIGIN_REPEATED = "origin-repeated"
    METHOD_REFUSED = "method-refused"
    PREFLIGHT_GRANTED = "preflight-granted"
    PREFLIGHT_METHOD_REFUSED = "preflight-method-refused"
    PREFLIGHT_METHOD_MALFORMED = "preflight-method-malformed"
    PREFLIGHT_HEADER_REFUSED = "preflight-header-refused"
    PREFLIGHT_HEADERS_MALFORMED = "preflight-headers-malformed"
    PREFLIGHT_HEADERS_TOO_MANY = "preflight-headers-too-many"
    CORS_NONE = "cors-none"
    CORS_PASSTHROUGH = "cors-passthrough"


@dataclass(slots=True)
class Facts:
    """
    What a decision needs to know of a request.

    Field values as received, one element a line. `own_origins` are the proxy's public origins; where they are
    empty, `authority` (the Host field's) stands in, compared with `scheme` only where that is certain.
    """

    method: bytes
    origin: Sequence[bytes] = ()
    request_method: Sequence[bytes] = ()
    request_headers: Sequence[bytes] = ()
    fetch_site: Sequence[bytes] = ()
    own_origins: Sequence[bytes] = ()
    authority: bytes = b""
    scheme: bytes = b""
    private_network: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """
    The outcome.

    `granted`: the origin may be told so (ACAO). `refused`: the request gets 403 here and nothing of it goes
    upstream. `origin` is the request's origin where it is one. `subject` is the method or header name at fault.
    `entry` is the entry of `allow_origins` that let the origin in: a pattern or "*". `requested_method` is what a preflight asked for,
    and `requested` the header names, lower-case; a refused origin's are not read. `private_network`: it asked for a private network too, and the policy allows that.
    """

    kind: Kind
    reason: Reason
    granted: bool = False
    refused: bool = False
    origin: bytes = b""
    subject: bytes = b""
    entry: OriginPattern | str | None = None
    requested_method: bytes = b""
    requested: tuple[bytes, ...] = ()
    private_network: bool = False
    # What the edits have written of it, once: the same for every response to whom it is known.
    written: list[Any] = field(default_factory=list, compare=False, repr=False, init=False)


def is_preflight(facts: Facts) -> bool:
    """
    Tell whether a request is a CORS-preflight request: OPTIONS, Origin and Access-Control-Request-Method.

    Spec: Fetch #http-requests.
    """
    return facts.method == b"OPTIONS" and bool(facts.origin) and bool(facts.request_method)


def decide(policy: CorsPolicy, facts: Facts) -> Decision:
    """
    Say what the CORS protocol asks of this request under a policy.

    Pure: same arguments, same answer. Never raises for client input.

    Spec: Fetch #http-cors-protocol, #cors-preflight-fetch, #cors-check.
    """
    if not facts.origin:
        return Decision(Kind.NOT_CORS, Reason.NO_ORIGIN)
    if is_preflight(facts):
        return _decide_preflight(policy, facts)
    origin, entry, fault = _judge_origin(policy, facts.origin)
    if is_same_origin(facts):
        return Decision(Kind.ACTUAL, Reason.SAME_ORIGIN, granted=entry is not None, origin=origin, entry=entry)
    if entry is None:
        return Decision(Kind.ACTUAL, fault, refused=policy.enforce, origin=origin)
    if not policy.allows_method(facts.method):
        return Decision(
            Kind.ACTUAL,
            Reason.METHOD_REFUSED,
            granted=policy.enforce,
            refused=policy.enforce,
            origin=origin,
            subject=facts.method,
            entry=entry,
        )
    return Decision(Kind.ACTUAL, Reason.ORIGIN_ALLOWED, granted=True, origin=origin, entry=entry)


def decide_without_cors(facts: Facts) -> Decision:
    """
    Decide for a route that says `cors: none`: preflights and cross-origin requests are refused.

    Spec: Fetch #http-cors-protocol.
    """
    if not facts.origin:
        return Decision(Kind.NOT_CORS, Reason.NO_ORIGIN)
    origin = _valid_origin(facts.origin)
    if is_preflight(facts):
        return Decision(Kind.PREFLIGHT, Reason.CORS_NONE, refused=True, origin=origin, requested_method=_asked(facts))
    if is_same_origin(facts):
        return Decision(Kind.ACTUAL, Reason.SAME_ORIGIN, origin=origin)
    return Decision(Kind.ACTUAL, Reason.CORS_NONE, refused=True, origin=origin)


def decide_websocket(policy: CorsPolicy | None, facts: Facts) -> Decision:
    """
    Say whether a handshake may go upstream; None is the policy of a route that says `cors: none`.

    Pure; never raises. `granted` says what it says of any request: an answer that is no WebSocket may be read. `entry` is that of
    `websocket_origins`, or of `allow_origins` where that stands in for it. `enforce` has no say.

    Spec: RFC 6455 4.1, 10.2.
    """
    # > The request MUST include a header field with the name |Origin| if the request is coming from a browser client (RFC 6455 4.1)
    if not facts.origin:
        return Decision(Kind.WEBSOCKET, Reason.NO_ORIGIN)
    origin = _valid_origin(facts.origin)
    granted = policy is not None and bool(origin) and policy.allows_origin(origin) is not None
    if is_same_origin(facts):
        return Decision(Kind.WEBSOCKET, Reason.SAME_ORIGIN, granted=granted, origin=origin)
    if policy is None:
        return Decision(Kind.WEBSOCKET, Reason.CORS_NONE, refused=True, origin=origin)
    entry = policy.allows_socket(origin) if origin else None
    if entry is not None:
        return Decision(Kind.WEBSOCKET, Reason.ORIGIN_ALLOWED, granted=granted, origin=origin, entry=entry)
    repeated = len(facts.origin) != 1
    fault = Reason.ORIGIN_REPEATED if repeated else Reason.ORIGIN_REFUSED if origin else Reason.ORIGIN_MALFORMED
    return Decision(Kind.WEBSOCKET, fault, granted=granted, refused=True, origin=origin)


def is_same_origin(facts: Facts) -> bool:
    """
    Tell whether a request with an Origin comes from a page of the proxy's own origin.

    Sec-Fetch-Site decides where it is present (a script cannot set it); else the Origin is compared with the
    proxy's own origins, or with the Host field.

    Spec: Fetch Metadata 2.3 (Sec-Fetch-Site); Fetch #origin-header.
    """
    if facts.fetch_site:
        return len(facts.fetch_site) == 1 and facts.fetch_site[0] in _SAME_ORIGIN_SITES
    if len(facts.origin) != 1:
        return False
    if facts.own_origins:
        return facts.origin[0] in facts.own_origins
    return _is_at_authority(facts.origin[0], facts.authority, facts.scheme)


def _is_at_authority(serialized: bytes, authority: bytes, scheme: bytes) -> bool:
    host, colon, digits = authority.lower().rpartition(b":")
    if not colon or not (digits.isdigit() or not digits):
        host, digits = authority.lower(), b""
    # Parsing costs more than the rest of a decision, and most origins are of another host.
    if host not in serialized:
        return False
    origin = parse_origin(serialized)
    # Only http and https URLs lead here: `capacitor://localhost` is not at `Host: localhost`.
    if origin is None or origin.scheme not in (b"http", b"https") or (scheme and origin.scheme != scheme):
        return False
    # > If the port is elided from the URI, the default port for that scheme is used. (RFC 9110 4.2.1)
    port = int(digits) if digits else DEFAULT_PORTS.get(origin.scheme)
    return host == origin.host and port == origin.effective_port


def _valid_origin(values: Sequence[bytes]) -> bytes:
    if len(values) != 1 or (parse_origin(values[0]) is None and values[0] != b"null"):
        return b""
    return values[0]


def _judge_origin(policy: CorsPolicy, values: Sequence[bytes]) -> tuple[bytes, OriginPattern | str | None, Reason]:
    if len(values) != 1:
        return b"", None, Reason.ORIGIN_REPEATED
    entry = policy.allows_origin(values[0])
    if entry is not None:
        return values[0], entry, Reason.ORIGIN_ALLOWED
    origin = _valid_origin(values)
    return origin, None, Reason.ORIGIN_REFUSED if origin else Reason.ORIGIN_MALFORMED


def _decide_preflight(policy: CorsPolicy, facts: Facts) -> Decision:
    origin, entry, fault = _judge_origin(policy, facts.origin)
    if entry is None:
        return Decision(Kind.PREFLIGHT, fault, refused=True, origin=origin, requested_method=_asked(facts))
    reason, subject, requested = _judge_preflight(policy, facts)
    method = facts.request_method[0] if reason is not Reason.PREFLIGHT_METHOD_MALFORMED else b""
    return Decision(
        Kind.PREFLIGHT,
        reason,
        granted=True,
        origin=origin,
        subject=subject,
        entry=entry,
        requested_method=method,
        requested=requested,
        # Private Network Access (WICG, abandoned): the field's only value is `true`.
        private_network=policy.private_network and reason is Reason.PREFLIGHT_GRANTED and list(facts.private_network) == [b"true"],
    )


def _asked(facts: Facts) -> bytes:
    """Return the method that a refused preflight asked for, for whoever wants to know; nothing if it is none."""
    asked = facts.request_method
    return asked[0] if len(asked) == 1 and len(asked[0]) <= _MAX_METHOD_BYTES and is_token(asked[0]) else b""


def _judge_preflight(policy: CorsPolicy, facts: Facts) -> tuple[Reason, bytes, tuple[bytes, ...]]:
    if len(facts.request_method) != 1 or not is_token(facts.request_method[0]):
        return Reason.PREFLIGHT_METHOD_MALFORMED, b"", ()
    method = facts.request_method[0]
    if method in names.FORBIDDEN_METHODS:
        return Reason.PREFLIGHT_METHOD_MALFORMED, b"", ()
    if sum(map(len, facts.request_headers)) > MAX_REQUESTED_HEADERS_BYTES:
        return Reason.PREFLIGHT_HEADERS_TOO_MANY, b"", ()
    elements = list_elements(facts.request_headers)
    if len(elements) > MAX_REQUESTED_HEADERS:
        return Reason.PREFLIGHT_HEADERS_TOO_MANY, b"", ()
    if not all(map(is_token, elements)):
        return Reason.PREFLIGHT_HEADERS_MALFORMED, b"", ()
    requested = tuple(dict.fromkeys(element.lower() for element in elements))
    if not policy.allows_method(method):
        return Reason.PREFLIGHT_METHOD_REFUSED, method, requested
    for name in requested:
        if not policy.allows_header(name):
            return Reason.PREFLIGHT_HEADER_REFUSED, name, requested
    return Reason.PREFLIGHT_GRANTED, b"", requested
