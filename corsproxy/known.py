"""
What is kept of a decision: the bytes between what is copied, for `recall` to put together again.

A decision is cut out of a head that was written with marks in the place of what is copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from corsproxy.answers import Answer, Context, Exchange
from corsproxy.config.choices import CorsMode, OriginHeader
from corsproxy.config.settings import Route
from corsproxy.forward import Forward
from corsproxy.semantics.acts import MAX_NAME_BYTES
from corsproxy.semantics.fields import FieldLine, serialize
from corsproxy.semantics.framing import Body, BodyKind
from corsproxy.semantics.trace import parse_traceparent

if TYPE_CHECKING:
    from corsproxy.plan import Fresh

MAX_VERDICTS: Final = 1024
# What a head has beside the lines that are counted: the request line's other bytes, Host and Content-Length.
_MARGIN: Final = 512
# How many fields of an Exchange, from the first, are copied.
COPIED: Final = 7

# They stand for what is copied while a decision is cut.
CUT: Final[FieldLine] = (b"X-Corsproxy-Cut", b"c7d1f0a94be8")
CUT_ID, CUT_TRACE, CUT_PARENT = b"5e2b90c1-corsproxy-id", b"9f03c2ad5b7e41860d1ce7a8b2f4936e", b"b1d07ce35a942f68"
_CUT_LINE: Final = serialize([CUT])
_new: Final = tuple.__new__


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
        """Leave out the lines that the route takes off. `out` has names as written, each with its value."""
        verdicts = self._verdicts
        kept: list[bytes] = []
        for place in range(0, len(out), 2):
            written = out[place]
            if not (verdicts[written] if written in verdicts else self._learn(written)):
                kept += (written, out[place + 1])
        return kept

    def cut(self, target: bytes) -> bytes:
        """Take off the route's prefix, as `upstream_target` does."""
        target = target[self.stripped :]
        # > origin-form = absolute-path [ "?" query ] (RFC 9112 3.2.1)
        return target if target[:1] == b"/" else b"/" + target

    def drops(self, name: bytes) -> bool:
        """Tell whether the route takes lines of a name off."""
        return self.route.request_headers.drops(name) or (self._drops_origin and name.lower() == b"origin")

    def _learn(self, written: bytes) -> bool:
        name = written[2:-2]
        verdict = self.drops(name)
        if len(self._verdicts) < MAX_VERDICTS and len(name) <= MAX_NAME_BYTES:
            self._verdicts[written] = verdict
        return verdict


@dataclass(slots=True)
class Client:
    """What is known of a client at a site: its address, as text too, the lines that tell the upstream about it, and whether its connection has TLS."""

    address: bytes
    lines: bytes
    site: Site
    is_tls: bool = False
    text: str = ""

    def __post_init__(self) -> None:
        self.text = self.address.decode("ascii")


@dataclass(slots=True)
class KnownAnswer:
    """
    A preflight's answer. `tail` is what of its exchange is not copied. `told` is for those who want to remember something about it;
    `dated` is the whole answer under the date that was asked for last.
    """

    context: Context
    tail: tuple[Any, ...]
    status: int
    head: bytes
    reason: str
    told: dict[Any, Any] = field(default_factory=dict)
    dated: tuple[bytes, bytes] = (b"", b"")

    def to_bytes(self, date: bytes) -> bytes:
        """Write the whole answer, for a client that stays."""
        if self.dated[0] is not date:
            self.dated = (date, b"%bDate: %b\r\n\r\n" % (self.head, date))
        return self.dated[1]


@dataclass(slots=True)
class KnownForward:
    """
    A request that goes upstream.

    Its head is `start`, the target, `host`, the lines that pass, `before`, the client's lines, `between`, and then what is written here of id,
    trace and length, each with the bytes behind it; None where it is not written. `told` is for those who want to remember something about it,
    and `alike` edits its answers, from the first one on.
    """

    route: Route
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
    told: dict[Any, Any] = field(default_factory=dict)
    alike: Any = None


class Copied(NamedTuple):
    """
    What a plan copies of a request beside what passes: the id that came with it, its traceparent and length (None where it has none), what its
    sender reads, and what a rate limit counts it by.
    """

    name: bytes
    parent: bytes | None
    length: bytes | None
    accept: Sequence[bytes]
    counted: bytes


def opening_of(known: KnownForward | KnownAnswer, client: Client, target: bytes, passed: bytes) -> bytes:
    """Write the head for the upstream up to the id; nothing for what is answered. `passed` are the lines that pass, each behind its line end."""
    if isinstance(known, KnownAnswer):
        return b""
    site = client.site
    target = site.cut(target) if site.stripped else target
    return b"".join((known.start, target, known.host, passed, known.before, client.lines, known.between))


class Recalled:
    """
    A request whose plan is known but for fresh ids: the same for all requests of these bytes from this client.

    `name` is the id that came with it, empty where a fresh one is taken, and `trace` the trace that it is part of. `length` is that of its
    content, 0 without any. The head for the upstream is what `opening` writes, the id unless it `names_itself`, and `behind`; where it `begins` a
    trace, it is not, and `plan` writes it. `is_plain`: it begins none, and its client stays.
    """

    __slots__ = ("_copied", "begins", "behind", "client", "is_plain", "known", "length", "name", "names_itself", "said", "trace")

    def __init__(self, known: KnownForward | KnownAnswer, client: Client, copied: Copied, *, begins: bool) -> None:
        self.known = known
        self.name = copied.name
        self.trace = b""
        self.begins = begins
        self.is_plain = not begins and known.context.persistent
        # For whoever writes lines of such requests.
        self.said: str | None = None
        self.length = 0
        self.client = client
        self._copied = copied
        if copied.parent is not None:
            found = parse_traceparent((copied.parent,))
            self.trace = found.trace_id if found is not None else b""
        if isinstance(known, KnownForward):
            length = copied.length
            self.names_itself = known.behind_id is None
            self.behind = known.behind_id or b""
            if length is not None:
                self.length = int(length)
                self.behind += length + known.behind_length

    def but(self, name: bytes | None = None, parent: bytes | None = None, length: bytes | None = None) -> "Recalled":
        """Return the same with other bytes to copy, as far as they are given. That they decide the same is for the caller to know."""
        old = self._copied
        copied = Copied(
            old.name if name is None else name,
            old.parent if parent is None else parent,
            old.length if length is None else length,
            old.accept,
            old.counted,
        )
        return Recalled(self.known, self.client, copied, begins=self.begins)

    def context(self, name: bytes, trace: bytes | None = None, begins_at: bytes = b"") -> Context:
        """Return what every answer to it needs to know; `name` is the id that it goes by, `trace` and `begins_at` are of a trace that begins here."""
        known, copied = self.known, self._copied
        old = known.context
        _, id_header, keeps_id, *_ = old.exchange
        own = (name, id_header, keeps_id, self.trace if trace is None else trace, begins_at, self.client.address, copied.counted)
        exchange = _new(Exchange, own + known.tail)
        return Context(
            old.method, 1, old.persistent, old.route, old.cors, old.decision, old.trailers, exchange, old.sent_host, copied.accept
        )

    def plan(self, fresh: "Fresh", opening: bytes) -> Answer | Forward:
        """Make the plan. `opening` is the head for the upstream up to the id."""
        known, name = self.known, self.name or fresh.request_id
        context = self.context(name, fresh.trace_id, fresh.parent_id) if self.begins else self.context(name)
        if isinstance(known, KnownAnswer):
            return Answer(context, known.status, known.head, b"", False, None, known.reason)
        head = self.head(name, opening) if known.behind_trace is None else self._write(known, context.exchange, opening)
        body = known.body if self._copied.length is None else Body(BodyKind.LENGTH, self.length)
        return Forward(context, known.route, head, body, known.body_limit, known.head_limit, known.reuse_upstream)

    def head(self, name: bytes, opening: bytes) -> bytes:
        """Write the head for the upstream, in which no trace begins."""
        return opening + self.behind if self.names_itself else b"".join((opening, name, self.behind))

    def _write(self, known: KnownForward, exchange: Exchange, opening: bytes) -> bytes:
        """Write a head in which a trace begins."""
        named = b"" if known.behind_id is None else exchange.request_id + known.behind_id
        traced = (exchange.trace_id, known.behind_trace or b"", exchange.begins_at, known.behind_parent)
        end = b"" if self._copied.length is None else self._copied.length + known.behind_length
        return b"".join((opening, named, *traced, end))


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
        probe.route,
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
