"""
The opening handshake of WebSocket: which requests ask for one, and which 101 grants it.

It knows heads; frames are nobody's business here, for what follows the handshake passes through as it comes.
"""

import base64
import binascii
import hashlib
from typing import Final, NamedTuple

from corsproxy import problems
from corsproxy.semantics.fields import RequestHead, ResponseHead, Survey
from corsproxy.semantics.framing import NO_BODY, Body, BodyKind, Refusal, connection_options

VERSION: Final = b"13"
# What a gateway writes for itself on both sides, for Upgrade and Connection go no further than the next hop (RFC 9110 7.6.1, 7.8).
UPGRADE_LINES: Final = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NONCE_BYTES: Final = 16
_MAX_VERSION: Final = 255


class Handshake(NamedTuple):
    """A handshake that may be passed on; `key` is its Sec-WebSocket-Key."""

    key: bytes


def read_handshake(head: RequestHead, survey: Survey, body: Body) -> Handshake | Refusal | None:
    """
    Judge a request that asks for a WebSocket; None for one that does not.

    Pure; never raises. A request of HTTP/1.0, and one whose Upgrade is not for this hop or names anything else, asks for none.

    Spec: RFC 6455 4.1, 4.2.1, 4.4; RFC 9110 7.8.
    """
    noted = survey.noted
    if not _upgrades(survey, head.minor):
        return None
    # > The method of the request MUST be GET (RFC 6455 4.1)
    if head.method != b"GET":
        return Refusal(problems.BAD_REQUEST, "websocket-method")
    if body not in (NO_BODY, Body(BodyKind.LENGTH, 0)):
        return Refusal(problems.BAD_REQUEST, "websocket-body")
    versions = noted.get(b"sec-websocket-version", [])
    if versions != [VERSION]:
        return Refusal(problems.WEBSOCKET_VERSION if _is_version(versions) else problems.BAD_REQUEST, "websocket-version")
    keys = noted.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        return Refusal(problems.BAD_REQUEST, "websocket-key")
    return Handshake(keys[0])


def switch_fault(head: ResponseHead, survey: Survey, key: bytes) -> str:
    """
    Say why a 101 does not grant the handshake with that key; "" if it does.

    Pure; never raises. Extensions and the subprotocol are between the two ends.

    Spec: RFC 6455 4.1; RFC 9110 7.8, 8.6.
    """
    noted = survey.noted
    if not _upgrades(survey, head.minor):
        return "upgrade"
    # To take one of them off as a Connection option would leave the client with another handshake than the one that was judged.
    if any(option.startswith(b"sec-websocket-") for option in connection_options(survey)):
        return "connection-option"
    if b"content-length" in noted or b"transfer-encoding" in noted:
        return "framing"
    return "" if noted.get(b"sec-websocket-accept") == [accept_of(key)] else "websocket-accept"


def accept_of(key: bytes) -> bytes:
    """
    Return the Sec-WebSocket-Accept that answers a key.

    Spec: RFC 6455 4.2.2, 5.4.
    """
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _upgrades(survey: Survey, minor: int) -> bool:
    # > A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request (RFC 9110 7.8)
    if minor < 1 or b"upgrade" not in connection_options(survey):
        return False
    # One value and no list: what else is offered would have to be dropped from an offer that was read as one.
    return [value.lower() for value in survey.noted.get(b"upgrade", ())] == [b"websocket"]


def _is_version(values: list[bytes]) -> bool:
    return len(values) == 1 and values[0].isdigit() and len(values[0]) <= 3 and int(values[0]) <= _MAX_VERSION


def _is_key(value: bytes) -> bool:
    try:
        nonce = base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    # > a nonce consisting of a randomly selected 16-byte value that has been base64-encoded (RFC 6455 4.1)
    return len(nonce) == _NONCE_BYTES and base64.b64encode(nonce) == value
