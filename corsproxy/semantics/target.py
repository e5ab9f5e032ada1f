"""
The request target: its four forms, the Host field, and the normal forms of a path.

The target is forwarded byte for byte; normal forms serve only to match routes, and to notice a path that
servers read in different ways.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from corsproxy import problems
from corsproxy.semantics.framing import Refusal


class TargetForm(StrEnum):
    """The forms of a request target (RFC 9112 3.2)."""

    ORIGIN = "origin"
    ABSOLUTE = "absolute"
    ASTERISK = "asterisk"


@dataclass(slots=True)
class Target:
    """
    A target that may be forwarded.

    `path` and `query` are raw; `query` has its `?`, or is empty. `authority` is what the request is for, as sent.
    """

    form: TargetForm
    path: bytes
    query: bytes
    authority: bytes

    @property
    def raw(self) -> bytes:
        """The origin form, byte for byte as sent."""
        return self.path + self.query


# > uri-host [ ":" port ] (RFC 9110 7.2); reg-name with `_`, which real hosts have, and without userinfo, which Host never has.
# The field may be empty, but a port belongs to a host.
_AUTHORITY: Final = re.compile(rb"(?:(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{0,5})?)?")
# > Various objects and parameters in the DNS have size limits: names 255 octets or less (RFC 1035 2.3.4), and a port.
# A Host that fills the whole head would be kept by what remembers hosts.
_MAX_AUTHORITY_BYTES: Final = 255 + len(":65535")
# What llhttp lets pass in a target; the rest of the bytes never arrive.
_TARGET: Final = re.compile(rb"[!-~]+")
# A target in origin-form as llhttp lets it pass, less the fragment that no target has, and bytes outside ASCII.
PLAIN_TARGET: Final = rb"/[!\"$-~]*"
is_plain_target: Final = re.compile(PLAIN_TARGET).fullmatch

_TRICKY: Final = re.compile(rb"[%;\\]|//|/\.")
_MAX_DECODINGS: Final = 3
# An honest path has a handful; each costs a walk over the path.
MAX_FORMS: Final = 32
# Bytes of all of them together: a long path with many forms would hold the event loop for half a second.
_MAX_READ_BYTES: Final = 64 * 1024
# What ends a path for a server that decodes it before it parses it, or that thinks in C's strings.
_ENDS: Final = (b"?", b"#", b"\0")
_ENDS_OR_PARAMETERS: Final = re.compile(rb"[;?#\x00]")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


def parse_target(method: bytes, target: bytes, hosts: list[bytes] | None, minor: int) -> Target | Refusal:
    """
    Read the request target together with the Host field.

    Pure; never raises. CONNECT's authority form is not read: CONNECT is refused before.

    Spec: RFC 9112 3.2, 3.2.2; RFC 9110 7.2.
    """
    # > A server MUST respond with a 400 to any HTTP/1.1 request message that lacks a Host header field and to any request
    # > message that contains more than one Host header field line or a Host header field with an invalid field value.
    if hosts is None:
        if minor >= 1:
            return Refusal(problems.BAD_REQUEST, "host-missing")
        authority = b""
    elif len(hosts) != 1 or len(hosts[0]) > _MAX_AUTHORITY_BYTES or _AUTHORITY.fullmatch(hosts[0]) is None:
        return Refusal(problems.BAD_REQUEST, "host")
    else:
        authority = hosts[0]
    if _TARGET.fullmatch(target) is None or b"#" in target:
        return Refusal(problems.BAD_REQUEST, "target")
    if target.startswith(b"/"):
        path, mark, query = target.partition(b"?")
        return Target(TargetForm.ORIGIN, path, mark + query, authority)
    if target == b"*":
        if method != b"OPTIONS":
            return Refusal(problems.BAD_REQUEST, "target")
        return Target(TargetForm.ASTERISK, b"*", b"", authority)
    return _parse_absolute(target, authority)


def _parse_absolute(target: bytes, authority: bytes) -> Target | Refusal:
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return Refusal(problems.BAD_REQUEST, "target")
    end = min((place for mark in (b"/", b"?") if (place := rest.find(mark)) >= 0), default=len(rest))
    # > a server MUST ignore the received Host header field (RFC 9112 3.2.2); two names for one request are a doubt, so they must be equal.
    named = rest[:end]
    if not named or named.lower() != authority.lower():
        return Refusal(problems.BAD_REQUEST, "target-and-host")
    path, mark, query = rest[end:].partition(b"?")
    return Target(TargetForm.ABSOLUTE, path or b"/", mark + query, authority)


def normal_forms(path: bytes) -> tuple[bytes, ...] | None:
    """
    Return every path that a server might take this path for, the raw one first; None if there are too many, or too long ones.

    Percent-decoding up to three times, what then looks like a query, a fragment or the end of a string kept and cut off; before,
    between and after, dot segments resolved with and without `;parameters`, double slashes and backslashes read as one slash. Plain paths have one form, and cost one search.

    Spec: RFC 3986 6.2.2, 5.2.4; Servlet 4.0 "path parameters".
    """
    if has_one_form(path):
        return (path,)
    forms = {path: None}
    waiting = [path]
    read_bytes = 0
    for _ in range(_MAX_DECODINGS + 1):
        read = dict.fromkeys(waiting)
        # A server behind a server reads what the first one has read: `//a//..` is `//a/` to one, and `/a/` to the next.
        unread = waiting
        while unread:
            read_bytes += sum(map(len, unread))
            if read_bytes > _MAX_READ_BYTES:
                return None
            found = dict.fromkeys(form for current in unread for form in _readings(current))
            unread = [form for form in found if form not in read]
            read.update(found)
            if len(forms) + len(read) > MAX_FORMS:
                return None
        forms.update(read)
        waiting = [decoded for form in read for decoded in _decodings(form) if decoded not in forms]
        if not waiting:
            break
    return tuple(forms)


def has_one_form(path: bytes) -> bool:
    """
    Tell whether every server takes the path for the same, so that it is its only normal form and climbs nowhere.

    Spec: RFC 3986 6.2.2.
    """
    return _TRICKY.search(path) is None


def climbs_above_root(path: bytes) -> bool:
    """
    Tell whether some reading of the path leads above its root, as `/../x` does.

    Spec: RFC 3986 5.2.4.
    """
    if has_one_form(path):
        return False
    current = path
    for _ in range(_MAX_DECODINGS + 1):
        # A backslash that is no slash makes fewer segments, which dots climb out of sooner.
        if _climbs(current) or _climbs(current.replace(b"\\", b"/")):
            return True
        decoded = _decode(current)
        if decoded == current:
            break
        current = decoded
    return False


def _readings(path: bytes) -> list[bytes]:
    choices = (False, True)
    return [
        _resolve(spelled, strip_parameters=parameters, merge_slashes=slashes)
        for spelled in {path: None, path.replace(b"\\", b"/"): None}
        for parameters in choices
        for slashes in choices
    ]


def _climbs(path: bytes) -> bool:
    depth = 0
    for segment in path.split(b"/"):
        name = _ENDS_OR_PARAMETERS.split(segment, maxsplit=1)[0]
        depth += -1 if name == b".." else name not in (b"", b".")
        if depth < 0:
            return True
    return False


def _decodings(path: bytes) -> list[bytes]:
    decoded = _decode(path)
    return [decoded, *(decoded.partition(end)[0] for end in _ENDS if end in decoded)]


def _decode(path: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes((int(match.group(1), 16),)), path)


def _resolve(path: bytes, *, strip_parameters: bool, merge_slashes: bool) -> bytes:
    segments: list[bytes] = []
    parts = path.split(b"/")[1:]
    for place, part in enumerate(parts):
        name = part.partition(b";")[0] if strip_parameters else part
        is_last = place == len(parts) - 1
        if name in (b".", b".."):
            if name == b".." and segments:
                segments.pop()
            if is_last:
                segments.append(b"")
        elif name or is_last or not merge_slashes:
            segments.append(name)
    return b"/" + b"/".join(segments)
