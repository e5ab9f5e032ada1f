"""
X-Forwarded-* and Forwarded: whom a request comes from, and what the upstream is told about it.

Only what a trusted proxy sent is read. Each proxy adds to the right end of a list, so lists are walked from there: the client
is the first address that is not a trusted proxy's, and what stands left of it may be anybody's invention.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from corsproxy.semantics.fields import FieldLine
from corsproxy.semantics.networks import UNIX, parse_address, peer_address
from corsproxy.semantics.tokens import is_token, list_elements

# A chain of proxies is short; what is longer was made by a client. The nearest ones are kept.
MAX_ELEMENTS: Final = 32
MAX_BYTES: Final = 4096
_UNKNOWN: Final = "unknown"
_DEFAULT_PORTS: Final = {b"http": b"80", b"https": b"443"}
# What proxies write for the scheme of a WebSocket.
_PROTOS: Final = {b"http": b"http", b"https": b"https", b"ws": b"http", b"wss": b"https"}
_X_NAMES: Final = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix")

# Without the comma, which a Host may have and a list may not.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%-]+)(?::(?P<port>[0-9]{1,5}))?")
_PORT: Final = re.compile(rb"[1-9][0-9]{0,4}")
# Starts with one slash: `//evil.example` before a path names a host.
_PREFIX: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+;=:@%-]+)+")
# No standard; some proxies add the port.
_X_ADDRESS: Final = re.compile(
    rb"(?P<v4>[0-9.]+)(?::[0-9]{1,5})?|(?P<open>\[)?(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)(?(open)\](?::[0-9]{1,5})?)"
)

# > node = nodename [ ":" node-port ]; nodename = IPv4address / "[" IPv6address "]" / "unknown" / obfnode (RFC 7239 6)
_NODE: Final = re.compile(
    rb"(?:(?P<word>[Uu][Nn][Kk][Nn][Oo][Ww][Nn]|_[A-Za-z0-9._-]+)|(?P<v4>[0-9.]+)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
)
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*")
# > forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] ) (RFC 7239 4), and a space beside the semicolon, as many write it.
_STEP: Final = re.compile(
    rb"(?:[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    rb"(?:(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]+)|\"(?P<quoted>(?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*)\"))?"
    rb"[ \t]*(?P<end>[;,]|\Z)"
)
_QUOTED_PAIR: Final = re.compile(rb"\\(.)", re.DOTALL)


class ForwardedMode(StrEnum):
    """Which fields tell the upstream about the client."""

    X_FORWARDED = "x-forwarded"
    FORWARDED = "forwarded"
    BOTH = "both"
    NONE = "none"


@dataclass(slots=True)
class Hop:
    """Our own end of the client's connection: the peer's address or "unix", whether it is TLS, the Host field's authority."""

    peer: str
    tls: bool
    host: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """
    What trusted proxies told; empty where they told nothing that parses.

    `nodes` are the addresses (or `unknown`) before the peer, the farthest first. `address` is the client's, and the farthest
    trusted proxy has added the node that stands `place` from the right. `elements` is Forwarded as received.
    """

    nodes: tuple[str, ...] = ()
    address: str = ""
    place: int = 1
    proto: bytes = b""
    host: bytes = b""
    port: bytes = b""
    prefix: bytes = b""
    elements: bytes = b""


NOTHING_TOLD: Final = Told()


@dataclass(slots=True)
class ClientFacts:
    """
    The client as far as it can be known.

    `address` is "unix" for a local peer that tells of nobody else. `proto` is http or https, and `is_certain` where it is our
    own TLS or the word of a trusted proxy. `host` is the authority that the client used.
    """

    address: bytes
    proto: bytes
    host: bytes
    is_certain: bool
    told: Told = NOTHING_TOLD


def read_client(
    noted: Mapping[bytes, Sequence[bytes]],
    hop: Hop,
    trusts: Callable[[str], bool],
    mode: ForwardedMode = ForwardedMode.X_FORWARDED,
) -> ClientFacts:
    """
    Say who the client is, which scheme it speaks and which host it asked.

    Pure; never raises. `noted` has the forwarding fields as received, by lower-case name; those of a peer that is not trusted
    are not read. A trusted proxy writes one family, X-Forwarded-* or Forwarded, and may pass on the other as a client wrote
    it: where both came, X-Forwarded-* is read, or Forwarded where that is the `mode`. The client is the rightmost address
    that is not trusted, else the farthest trusted one; what is no address stops the walk. Of several schemes, hosts or ports
    the one at the same place counts, which the farthest trusted proxy has added.

    Spec: RFC 7239 5, 6, 7.4, 8.1.
    """
    if not trusts(hop.peer):
        return _as_seen(hop.peer, hop.host, tls=hop.tls)
    peer = peer_address(hop.peer)
    told = _read_told(noted, peer, trusts, mode)
    return ClientFacts(
        (told.address or peer).encode("ascii", "replace"),
        told.proto or (b"https" if hop.tls else b"http"),
        told.host or hop.host,
        bool(told.proto) or hop.tls,
        told,
    )


def forwarded_lines(mode: ForwardedMode, hop: Hop, facts: ClientFacts, *, prefix: bytes, port: int) -> list[FieldLine]:
    """
    Write the fields that tell the upstream about the client; all that the client sent of them is taken off before.

    Pure. `prefix` is what the route strips, `port` the one that the client used (0: that of the host, or the scheme's), which
    a trusted proxy knows better. X-Forwarded-For has addresses without ports, in their usual form; a unix peer has none, and
    is `unknown` in Forwarded. What was told in the other family is translated.

    Spec: RFC 7239 4, 5, 7.4.
    """
    if facts.told is NOTHING_TOLD:
        return list(_lines_as_seen(mode, hop.peer, hop.host, prefix, port, tls=hop.tls))
    return _lines(mode, hop, facts, prefix, port)


# Most requests come from peers that are not trusted, and one peer sends many: what is said of it is made once.


@lru_cache(maxsize=1024)
def _as_seen(peer: str, host: bytes, *, tls: bool) -> ClientFacts:
    """Return what is known of a client that nobody speaks for."""
    return ClientFacts(peer_address(peer).encode("ascii", "replace"), b"https" if tls else b"http", host, tls)


@lru_cache(maxsize=1024)
def _lines_as_seen(mode: ForwardedMode, peer: str, host: bytes, prefix: bytes, port: int, *, tls: bool) -> tuple[FieldLine, ...]:
    return tuple(_lines(mode, Hop(peer, tls, host), _as_seen(peer, host, tls=tls), prefix, port))


def _lines(mode: ForwardedMode, hop: Hop, facts: ClientFacts, prefix: bytes, port: int) -> list[FieldLine]:
    lines: list[FieldLine] = []
    if mode in (ForwardedMode.X_FORWARDED, ForwardedMode.BOTH):
        lines += _x_lines(hop, facts, prefix, port)
    if mode in (ForwardedMode.FORWARDED, ForwardedMode.BOTH):
        lines.append((b"Forwarded", _forwarded(hop, facts)))
    return lines


def _x_lines(hop: Hop, facts: ClientFacts, prefix: bytes, port: int) -> list[FieldLine]:
    told = facts.told
    addresses = told.nodes if hop.peer == UNIX else (*told.nodes, peer_address(hop.peer))
    lines = [(b"X-Forwarded-For", ", ".join(addresses).encode("ascii", "replace"))] if addresses else []
    lines.append((b"X-Forwarded-Proto", facts.proto))
    host = _HOST.fullmatch(facts.host)
    if host is not None:
        lines.append((b"X-Forwarded-Host", facts.host))
    if told.port:
        number = told.port
    elif port and not (told.proto or told.host):
        number = b"%d" % port
    else:
        # Behind a proxy our own port is not the client's.
        number = (host.group("port") if host is not None else None) or _DEFAULT_PORTS[facts.proto]
    lines.append((b"X-Forwarded-Port", number))
    if told.prefix or prefix:
        lines.append((b"X-Forwarded-Prefix", told.prefix + prefix))
    return lines


def _forwarded(hop: Hop, facts: ClientFacts) -> bytes:
    told = facts.told
    peer = _UNKNOWN if hop.peer == UNIX else peer_address(hop.peer)
    if not told.nodes:
        return _element(peer, facts.host, facts.proto)
    own = _element(peer, hop.host, b"https" if hop.tls else b"http")
    if told.elements:
        return told.elements + b", " + own
    elements = [_element(node) for node in told.nodes]
    # The client's host and scheme stand beside the client.
    elements[-told.place] = _element(told.nodes[-told.place], facts.host, facts.proto)
    return b", ".join([*elements, own])


def _element(node: str, host: bytes = b"", proto: bytes = b"") -> bytes:
    # > Note that IPv6 addresses are enclosed in quotes and brackets (RFC 7239 6)
    pairs = [b"for=" + (f'"[{node}]"' if ":" in node else node).encode("ascii", "replace")]
    if _HOST.fullmatch(host) is not None:
        pairs.append(b"host=%b" % host if is_token(host) else b'host="%b"' % host)
    if proto:
        pairs.append(b"proto=" + proto)
    return b";".join(pairs)


def _read_told(noted: Mapping[bytes, Sequence[bytes]], peer: str, trusts: Callable[[str], bool], mode: ForwardedMode) -> Told:
    has_x = any(name in noted for name in _X_NAMES)
    if b"forwarded" in noted and (mode is ForwardedMode.FORWARDED or not has_x):
        return _read_forwarded(noted[b"forwarded"], peer, trusts)
    if not has_x:
        return NOTHING_TOLD
    nodes = _x_nodes(noted.get(b"x-forwarded-for", ()))
    address, place = _walk(nodes, peer, trusts)
    host = _at(noted.get(b"x-forwarded-host", ()), place)
    port = _at(noted.get(b"x-forwarded-port", ()), place)
    prefixes = noted.get(b"x-forwarded-prefix", ())
    return Told(
        nodes,
        address,
        place,
        proto=_PROTOS.get(_at(noted.get(b"x-forwarded-proto", ()), place).lower(), b""),
        host=host if _HOST.fullmatch(host) is not None else b"",
        port=port if _PORT.fullmatch(port) is not None and int(port) < 65536 else b"",
        prefix=prefixes[0] if len(prefixes) == 1 and _PREFIX.fullmatch(prefixes[0]) is not None else b"",
    )


def _read_forwarded(values: Sequence[bytes], peer: str, trusts: Callable[[str], bool]) -> Told:
    received = b", ".join(values)
    elements = _parse_elements(received) if len(received) <= MAX_BYTES else []
    if not elements:
        return NOTHING_TOLD
    nodes = tuple(_node(element.get(b"for", b"unknown")) or _UNKNOWN for element in elements)
    address, place = _walk(nodes, peer, trusts)
    client = elements[-place]
    return Told(
        nodes,
        address,
        place,
        proto=_PROTOS.get(client.get(b"proto", b"").lower(), b""),
        host=client.get(b"host", b""),
        elements=received,
    )


def _walk(nodes: Sequence[str], peer: str, trusts: Callable[[str], bool]) -> tuple[str, int]:
    """Return the client's address, and from the right the place of the last node that was looked at."""
    address, place = peer, 0
    for node in reversed(nodes):
        place += 1
        if node == _UNKNOWN:
            break
        address = node
        if not trusts(node):
            break
    return address, max(place, 1)


def _near_elements(values: Sequence[bytes]) -> list[bytes]:
    """Split a list into its elements, within bounds: the last ones, which the nearest proxies have added."""
    received = b",".join(values)
    if len(received) > MAX_BYTES:
        # The element that the cut goes through is lost.
        received = received[-MAX_BYTES:].partition(b",")[2]
    return list_elements([received])[-MAX_ELEMENTS:]


def _at(values: Sequence[bytes], place: int) -> bytes:
    elements = _near_elements(values)
    return elements[-min(place, len(elements))] if elements else b""


def _x_nodes(values: Sequence[bytes]) -> tuple[str, ...]:
    """Read X-Forwarded-For from its right end, up to what is no address."""
    nodes: list[str] = []
    for element in reversed(_near_elements(values)):
        match = _X_ADDRESS.fullmatch(element)
        node = _UNKNOWN if element.lower() == b"unknown" else _canonical(match) if match is not None else ""
        if not node:
            break
        nodes.append(node)
    return tuple(reversed(nodes))


def _parse_elements(value: bytes) -> list[dict[bytes, bytes]]:
    """Read Forwarded's elements; none if anything in it does not parse."""
    elements: list[dict[bytes, bytes]] = []
    element: dict[bytes, bytes] = {}
    position = 0
    while True:
        step = _STEP.match(value, position)
        if step is None:
            return []
        position = step.end()
        name, token, quoted, end = step.groups()
        if name is not None:
            # > Each parameter MUST NOT occur more than once per field-value (RFC 7239 4)
            if name.lower() in element:
                return []
            element[name.lower()] = token if token is not None else _QUOTED_PAIR.sub(rb"\1", quoted)
        if end != b";" and element:
            if not _is_good(element) or len(elements) == MAX_ELEMENTS:
                return []
            elements.append(element)
            element = {}
        if not end:
            return elements


def _is_good(element: dict[bytes, bytes]) -> bool:
    return (
        all(_node(element[name]) for name in (b"for", b"by") if name in element)
        and _HOST.fullmatch(element.get(b"host", b"localhost")) is not None
        and _SCHEME.fullmatch(element.get(b"proto", b"http")) is not None
    )


def _node(value: bytes) -> str:
    """Return the address of a node, `unknown` for a word that hides it, nothing for what is no node."""
    match = _NODE.fullmatch(value)
    if match is None:
        return ""
    return _UNKNOWN if match.group("word") is not None else _canonical(match)


def _canonical(match: re.Match[bytes]) -> str:
    address = parse_address((match.group("v4") or match.group("v6")).decode("ascii"))
    return "" if address is None else str(address)
