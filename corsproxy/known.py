"""
What is kept of a decision: the bytes between what is copied, for `recall` to put together again.

A decision is cut out of a head that was written with marks in the place of what is copied.
"""

from dataclasses import dataclass
from typing import Any, Final

from corsproxy.answers import Context
from corsproxy.config.choices import CorsMode, OriginHeader
from corsproxy.config.settings import Route
from corsproxy.forward import Forward
from corsproxy.semantics.acts import MAX_NAME_BYTES
from corsproxy.semantics.fields import FieldLine, serialize
from corsproxy.semantics.framing import Body

MAX_VERDICTS: Final = 1024
# What a head has beside the lines that are counted: the request line's other bytes, Host and Content-Length.
_MARGIN: Final = 512
# How many fields of an Exchange, from the first, are copied.
COPIED: Final = 7

# They stand for what is copied while a decision is cut.
CUT: Final[FieldLine] = (b"X-Corsproxy-Cut", b"c7d1f0a94be8")
CUT_ID, CUT_TRACE, CUT_PARENT = b"5e2b90c1-corsproxy-id", b"9f03c2ad5b7e41860d1ce7a8b2f4936e", b"b1d07ce35a942f68"
_CUT_LINE: Final = serialize([CUT])


class Site:
    """What clients ask for, as far as it decides: a route, by a name, over a scheme. It is equal to itself alone."""

    __slots__ = ("_drops_origin", "_verdicts", "margin", "route", "sifts", "stripped")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.stripped = len(route.paths.stripped)
        self.margin = _MARGIN + self.stripped
        self._drops_origin = route.upstream.origin_header is not OriginHeader.KEEP and route.cors is not CorsMode.PASSTHROUGH
        self.sifts = bool(route.request_headers) or self._drops_origin
        self._verdicts: dict[bytes, bool] = {}

    def sift(self, out: list[bytes]) -> list[bytes]:
        """Leave out the lines that the route takes off. Behind the first three, `out` has names as written, each with its value."""
        verdicts, kept = self._verdicts, out[:3]
        for place in range(3, len(out), 2):
            written = out[place]
            if not (verdicts[written] if written in verdicts else self._drops(written)):
                kept += (written, out[place + 1])
        return kept

    def cut(self, target: bytes) -> bytes:
        """Take off the route's prefix, as `upstream_target` does."""
        target = target[self.stripped :]
        # > origin-form = absolute-path [ "?" query ] (RFC 9112 3.2.1)
        return target if target[:1] == b"/" else b"/" + target

    def _drops(self, written: bytes) -> bool:
        name = written[2:-2]
        verdict = self.route.request_headers.drops(name) or (self._drops_origin and name.lower() == b"origin")
        if len(self._verdicts) < MAX_VERDICTS and len(name) <= MAX_NAME_BYTES:
            self._verdicts[written] = verdict
        return verdict


@dataclass(slots=True)
class Client:
    """What is known of a client at a site: its address, and the lines that tell the upstream about it."""

    address: bytes
    lines: bytes
    site: Site


@dataclass(slots=True)
class KnownAnswer:
    """A preflight's answer. `tail` is what of its exchange is not copied."""

    context: Context
    tail: tuple[Any, ...]
    status: int
    head: bytes
    reason: str


@dataclass(slots=True)
class KnownForward:
    """
    A request that goes upstream.

    Its head is `start`, the target, `host`, the lines that pass, `before`, the client's lines, `between`, and then what is written here of id,
    trace and length, each with the bytes behind it; None where it is not written.
    """

    context: Context
    tail: tuple[Any, ...]
    start: bytes
    host: bytes
    before: bytes
    between: bytes
    behind_id: bytes | None
    behind_trace: bytes | None
    behind_parent: bytes
    behind_length: bytes
    body: Body
    body_limit: int | None
    head_limit: int
    reuse_upstream: bool


def cut(probe: Forward, client: Client, length: bytes | None) -> KnownForward | None:
    """Cut a head at what is copied; None where it cannot be told for certain what is."""
    context, body, head = probe.context, probe.body, probe.head
    before, rest = b"", head.partition(_CUT_LINE)[2]
    if client.lines:
        before, _, rest = rest.partition(client.lines)
    ends = b"" if length is None else length + b"\r\n\r\n"
    if head.count(_CUT_LINE) != 1 or not rest.endswith(b"Content-Length: " + ends if ends else b"\r\n"):
        return None
    rest = rest.removesuffix(ends)
    if any(rest.count(sign) > 1 for sign in (CUT_ID, CUT_TRACE, CUT_PARENT)):
        return None
    rest, traced, behind = rest.partition(CUT_TRACE)
    behind_trace, _, behind_parent = behind.partition(CUT_PARENT)
    between, named, behind_id = rest.partition(CUT_ID)
    return KnownForward(
        context,
        context.exchange[COPIED:],
        start=b"%b %b" % (context.method, probe.route.paths.base),
        host=b" HTTP/1.1\r\nHost: " + context.sent_host,
        before=b"\r\n" + before,
        between=between,
        behind_id=behind_id if named else None,
        behind_trace=behind_trace if traced else None,
        behind_parent=behind_parent,
        behind_length=b"\r\n\r\n",
        body=body,
        body_limit=probe.body_limit,
        head_limit=probe.head_limit,
        reuse_upstream=probe.reuse_upstream,
    )
