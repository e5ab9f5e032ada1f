"""
Header fields as the file writes them: names, and values to put on.

It knows which names a rule cannot touch, and which key to use instead; it does not know what rules do.
"""

from dataclasses import dataclass, field
from typing import Final

from corsproxy import problems
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.key import Key
from corsproxy.config.nodes import Mapping, Node, Scalar, Sequence
from corsproxy.config.scalars import kind_of, place_of_item, refuse_kind
from corsproxy.cors import names
from corsproxy.problems import Fault
from corsproxy.semantics.fields import GUARDED, HOP_BY_HOP, READ_BY_CGI
from corsproxy.semantics.tokens import is_token

MAX_VALUE_BYTES: Final = 8 * 1024
# > field-vchar = VCHAR / obs-text; field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ] (RFC 9110 5.5)
_VALUE_BYTES: Final = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))

_FRAMING: Final = HOP_BY_HOP | {b"content-length"}
_FORWARDING: Final = "say it with `forwarded` and `trusted_proxies`"
# What a rule cannot change, and what does it instead.
_OF_REQUESTS: Final = {
    b"host": "write `host_header` in the upstream",
    b"origin": "write `origin_header` in the upstream",
    b"forwarded": _FORWARDING,
    b"via": "write `via: false` to leave it out",
    b"expect": "take it out: it is between the client and the upstream",
    b"access-control-request-method": "take it out: preflights are answered here",
    b"access-control-request-headers": "take it out: preflights are answered here",
}
_TAKEN: Final = (
    GUARDED
    | names.REQUEST_ONLY
    | names.RESPONSE_ONLY
    | names.SAFELISTED_RESPONSE_HEADERS
    | names.FORBIDDEN_RESPONSE_HEADERS
    | {b"traceparent", b"tracestate", b"x-real-ip", b"location", b"refresh", b"link"}
)
_TAKEN_PREFIXES: Final = (b"content-", b"cross-origin-", b"timing-")
_OF_RESPONSES: Final = {b"date": "take it out: every answer has one, and the upstream's own stays"}


@dataclass(frozen=True, slots=True)
class ReadField:
    """A name, or a name and a value, and where it stands. `is_interpolated`: the value came from a variable or a file."""

    name: bytes
    span: Span
    value: bytes = field(default=b"", repr=False)
    is_interpolated: bool = False


def fault_of_name(name: bytes, side: str, request_id_header: bytes) -> Fault | None:
    """
    Say why no rule may touch a field, and what to write instead. `side` is "request" or "response".

    Spec: RFC 9110 7.6.1; RFC 9112 6.
    """
    # To WSGI, CGI and PHP, `X_Forwarded_For` is the same field.
    lower, shown = name.lower().translate(READ_BY_CGI), name.decode("ascii", "replace")
    help_ = (_OF_REQUESTS if side == "request" else _OF_RESPONSES).get(lower)
    if lower in _FRAMING:
        return Fault(problems.RESERVED_FIELD, (), f"`{shown}` belongs to each connection, not to the message", "take it out")
    if request_id_header and lower == request_id_header.lower().translate(READ_BY_CGI):
        help_ = "write `request_id`"
    elif side == "request" and lower.startswith(b"x-forwarded-"):
        help_ = _FORWARDING
    elif side == "response" and lower.startswith(b"access-control-"):
        help_ = "say it with `cors`: it writes these fields, and takes the upstream's off"
    if help_ is None:
        return None
    return Fault(problems.RESERVED_FIELD, (), f"no header rule can change `{shown}` of a {side}: the proxy itself does", help_)


def fault_of_id_header(name: bytes) -> Fault | None:
    """
    Say why a field cannot carry the request's id: it means something already.

    Spec: RFC 9110 16.3.1.
    """
    read = name.lower().translate(READ_BY_CGI)
    is_taken = (
        read in _TAKEN
        or names.is_forbidden_request_header(read)
        or read.startswith(_TAKEN_PREFIXES)
        or any(fault_of_name(name, side, b"") is not None for side in ("request", "response"))
    )
    if not is_taken:
        return None
    message = f"`{name.decode('ascii', 'replace')}` has a meaning of its own, so it cannot carry the request's id"
    return Fault(problems.RESERVED_FIELD, (), message, "write `header: X-Request-Id`, or a name that is yours, as `X-Correlation-Id`")


def read_name(node: Node, span: Span, key: Key, report: Report) -> bytes | None:
    """Read the name of a header field."""
    if not isinstance(node, Scalar) or node.is_null:
        refuse_kind(node, span, key, report)
        return None
    return _name(node.text, span, report)


def read_names(node: Node, span: Span, key: Key, report: Report) -> list[ReadField] | None:
    """Read a list of names of header fields."""
    if not isinstance(node, Sequence):
        parts = ", ".join(node.text.replace(",", " ").split()) if isinstance(node, Scalar) else ""
        refuse_kind(node, span, key, report, f"write a list: `{key.name}: [{parts}]`" if parts else "")
        return None
    found: list[ReadField] = []
    for item in node.items:
        at = place_of_item(item)
        if not isinstance(item, Scalar) or item.is_null:
            report.add(problems.WRONG_TYPE, at, f"an entry of `{key.name}` is {kind_of(item)}", "write one name an entry")
            continue
        name = _name(item.text, at, report)
        if name is not None:
            found.append(ReadField(name, at))
    return found


def read_values(node: Node, span: Span, key: Key, report: Report) -> list[ReadField] | None:
    """Read a mapping of names of header fields to their values."""
    if not isinstance(node, Mapping):
        refuse_kind(node, span, key, report, f"write a mapping: `{key.name}: {key.example}`")
        return None
    found: list[ReadField] = []
    seen: dict[bytes, Span] = {}
    for entry in node.entries.values():
        name = _name(entry.key.text, entry.key.span, report)
        if name is None:
            continue
        first = seen.setdefault(name.lower(), entry.key.span)
        if first is not entry.key.span:
            message = f"`{entry.key.text}` is already set in line {first.line}: the case of a name means nothing"
            report.add(problems.DUPLICATE_KEY, entry.key.span, message, "keep one of the two")
        value = _value(entry.value, entry.value_span, entry.key.text, report)
        if value is not None and isinstance(entry.value, Scalar):
            found.append(ReadField(name, entry.key.span, value, entry.value.is_interpolated))
    return found


def _name(text: str, span: Span, report: Report) -> bytes | None:
    name = text.encode("utf-8", "replace")
    # A `*` may stand in a name by the grammar of HTTP, and in no name that anybody uses.
    if is_token(name) and b"*" not in name:
        return name
    if not text:
        help_ = "take it out"
    elif "*" in text:
        help_ = "write each name in full: there are no patterns here"
    elif ":" in text:
        plain, _, value = text.partition(":")
        help_ = f"write `{plain.strip()}: {value.strip()}`, with a space behind the colon" if value.strip() else f"write `{plain.strip()}`"
    else:
        help_ = "use letters, digits and `-`"
    report.add(problems.BAD_FIELD, span, f"`{text}` is no header name" if text else "a header name is empty", help_)
    return None


def _value(node: Node, span: Span, name: str, report: Report) -> bytes | None:
    if not isinstance(node, Scalar):
        report.add(problems.WRONG_TYPE, span, f"the value of `{name}` is {kind_of(node)}, not a text", f"write `{name}: some text`")
        return None
    if node.is_null and not node.is_quoted:
        report.add(problems.WRONG_TYPE, span, f"`{name}` has no value", f'write `{name}: ""` for an empty one, or use `remove: [{name}]`')
        return None
    value = node.text.encode("utf-8", "replace")
    if value.translate(None, _VALUE_BYTES):
        report.add(problems.BAD_FIELD, span, f"the value of `{name}` holds a character that no header may", "keep it on one line")
    elif value != value.strip(b" \t"):
        report.add(problems.BAD_FIELD, span, f"the value of `{name}` begins or ends with white space, which HTTP drops", "take it off")
    elif len(value) > MAX_VALUE_BYTES:
        report.add(
            problems.OUT_OF_RANGE, span, f"the value of `{name}` is over {MAX_VALUE_BYTES} bytes", "write less: servers refuse longer ones"
        )
    else:
        return value
    return None
