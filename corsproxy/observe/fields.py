"""
What the log says of one exchange, by the names that OpenTelemetry and the Elastic Common Schema have for it.

It knows what may be said, and how long; it does not know how a line looks. Spans have the same names.
"""

import re
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Final

from corsproxy.record import ExchangeRecord
from corsproxy.semantics.query import show_query

Value = str | int

# How long each text may be at most. With all of them at their longest, a line still goes into a pipe at once (PIPE_BUF, 4096 bytes).
MAX_PATH: Final = 800
MAX_QUERY: Final = 500
MAX_MESSAGE: Final = 500
MAX_TEXT: Final = 200
_ELLIPSIS: Final = "..."
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^]]*\]|[^:]*)(:\d*)?")


def attributes(record: ExchangeRecord) -> dict[str, Value]:
    """
    Return an exchange's fields. What is not known is left out, and so is a count of 0; durations are in nanoseconds, as ECS has them.

    Spec: OpenTelemetry semantic conventions, HTTP; Elastic Common Schema, event.
    """
    decision, context, problem = record.decision, record.context, record.problem
    path, query = target_of(record.target)
    is_new = record.connected != record.placed
    fields: dict[str, Value | None] = {
        "http.request.method": text_of(record.method),
        "url.path": path,
        "url.query": query,
        "http.response.status_code": record.status or None,
        "event.duration": nanoseconds(record.started, record.ended),
        "corsproxy.wait_duration": nanoseconds(record.started, record.placed),
        "corsproxy.connect_duration": nanoseconds(record.placed, record.connected if is_new else 0.0),
        "corsproxy.head_duration": nanoseconds(record.connected, record.head),
        "http.request.id": record.request_id,
        "trace.id": record.trace_id,
        "span.id": record.span_id if record.trace_id else None,
        "client.address": cut(record.client),
        "user_agent.original": text_of(record.user_agent),
        "server.address": host_of(context.exchange.authority) if context else None,
        "url.scheme": scheme_of(context.exchange.public, is_tls=record.is_tls) if context else None,
        "network.protocol.version": f"1.{context.minor}" if context and context.minor >= 0 else None,
        "corsproxy.origin": text_of(decision.origin) if decision else None,
        "corsproxy.kind": decision.kind.value if decision else None,
        "corsproxy.reason": cut(record.reason or (decision.reason.value if decision else "")),
        "corsproxy.problem": problem.code if problem else None,
        "error.type": problem.word or None if problem else None,
        "error.message": cut(record.failure, MAX_MESSAGE),
        "corsproxy.upstream": cut(record.upstream),
        "corsproxy.retries": record.retries or None,
        "http.request.body.size": record.received or None,
        "http.response.body.size": record.sent or None,
    }
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def nanoseconds(begin: float, end: float) -> int | None:
    """Return how long something took, if it began and ended."""
    return int((end - begin) * 1e9) if begin and end else None


def scheme_of(public: bytes, *, is_tls: bool) -> str:
    """Return the scheme that the client used: of the public URL, where that can be told, else of its connection."""
    return public.partition(b":")[0].decode("ascii", "replace") if public else "https" if is_tls else "http"


def target_of(target: bytes) -> tuple[str, str]:
    """Split a request target into path and query, as both may be shown: no authority, no userinfo, no secret of the query."""
    path, mark, query = target.partition(b"?")
    if not path.startswith(b"/") and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    elif b"@" in path and not path.startswith(b"/"):
        path = path.rpartition(b"@")[2]
    return text_of(path, MAX_PATH), cut(show_query(query), MAX_QUERY) if mark else ""


@lru_cache(maxsize=256)
def host_of(authority: bytes) -> str:
    """Return the host of an authority, without brackets and port."""
    match = _AUTHORITY.fullmatch(authority.decode("utf-8", "backslashreplace"))
    return cut(match["host"].strip("[]")) if match else ""


def text_of(sent: bytes, most: int = MAX_TEXT) -> str:
    """Read bytes that somebody sent: as UTF-8 where they are, and in any case within bounds."""
    return cut(sent[: most + 1].decode("utf-8", "backslashreplace"), most)


def cut(text: str, most: int = MAX_TEXT) -> str:
    """Bound a text, also in the length that it has once control characters and the like are escaped."""
    if len(text) > most:
        text = text[: most - len(_ELLIPSIS)] + _ELLIPSIS
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    while len(encode_basestring_ascii(text)) > most + 2:
        text = text.removesuffix(_ELLIPSIS)[: len(text) * 3 // 4] + _ELLIPSIS
    return text
