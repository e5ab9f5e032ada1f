"""
The lines of exchanges for programs: JSON and logfmt.

JSON is put together from pieces that are remembered, because a line is written for every exchange; a test holds it to `attributes`.
Every memory is bounded.
"""

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from corsproxy.observe import fields
from corsproxy.observe.fields import MAX_MESSAGE, MAX_TEXT, Value, attributes, cut, text_of
from corsproxy.observe.folding import Fold
from corsproxy.record import ExchangeRecord

# As `event.dataset` names the lines of exchanges.
DATASET: Final = "corsproxy.access"
# A target that is longer is worth no memory.
_MAX_KEPT_BYTES: Final = 256
_CUT: Final = MAX_TEXT + 1
_NO_REQUEST: Final = -2
_THOUSANDTHS: Final = tuple(f"{number:03d}Z" for number in range(1000))
_PLAIN: Final = re.compile(r"[!#-<>-\[\]-~]+")


def format_json(record: ExchangeRecord) -> str:
    """Write an exchange as one JSON object."""
    decision, target, status, sent = record.decision, record.target, record.status, record.sent
    asked = _asked(record.method, target) if len(target) <= _MAX_KEPT_BYTES else _asked.__wrapped__(record.method, target)
    return (
        f'{{"@timestamp":"{timestamp(record.time)}","event.dataset":"corsproxy.access"{asked}'
        f"""{f',"http.response.status_code":{status}' if status else ""}{_durations(record)}"""
        f"""{f',"http.request.id":{quoted(record.request_id)}' if record.request_id else ""}"""
        f"{_trace(record) if record.trace_id else ''}"
        f"{_client(record.client, record.user_agent[:_CUT], *_connection(record))}"
        f"{_decided(str(decision.kind), str(decision.reason), decision.origin[:_CUT], record.reason) if decision else _text('corsproxy.reason', cut(record.reason))}"
        f"{_failed(record) if record.problem or record.failure else ''}"
        f"{_upstream(record.upstream) if record.upstream else ''}"
        f"""{f',"corsproxy.retries":{record.retries}' if record.retries else ""}"""
        f"""{f',"http.request.body.size":{record.received}' if record.received else ""}"""
        f"""{f',"http.response.body.size":{sent}}}' if sent else "}"}"""
    )


def format_logfmt(record: ExchangeRecord) -> str:
    """Write an exchange as `key=value` pairs."""
    return logfmt({"time": timestamp(record.time), "event.dataset": DATASET, **attributes(record)})


def fold_json(fold: Fold) -> str:
    """Write what stands for refusals that repeat as one JSON object."""
    return json.dumps({"@timestamp": timestamp(fold.last), **_of_fold(fold)}, separators=(",", ":"))


def fold_logfmt(fold: Fold) -> str:
    """Write the same as `key=value` pairs."""
    return logfmt({"time": timestamp(fold.last), **_of_fold(fold)})


def _of_fold(fold: Fold) -> dict[str, Value]:
    span = {"event.start": timestamp(fold.first), "event.end": timestamp(fold.last)}
    return {"event.dataset": DATASET, **span, **fold.attributes()}


def logfmt(values: dict[str, Value]) -> str:
    """Write `key=value` pairs; a value that is no plain word is quoted as in JSON."""
    return " ".join(f"{name}={_word(str(value))}" for name, value in values.items())


def timestamp(seconds: float) -> str:
    """Write a time since the epoch as RFC 3339 has it, in UTC, with milliseconds."""
    whole = int(seconds)
    return _second(whole) + _THOUSANDTHS[int((seconds - whole) * 1000)]


@lru_cache(maxsize=8)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S.")


def _text(name: str, value: str) -> str:
    return f',"{name}":{quoted(value)}' if value else ""


def _durations(record: ExchangeRecord) -> str:
    started, placed, connected, head, ended = record.started, record.placed, record.connected, record.head, record.ended
    if head and placed and connected and ended:
        values = ((ended - started) * 1e9, (placed - started) * 1e9, (connected - placed) * 1e9, (head - connected) * 1e9)
        return ',"event.duration":%d,"corsproxy.wait_duration":%d,"corsproxy.connect_duration":%d,"corsproxy.head_duration":%d' % values  # noqa: UP031 - three times as fast
    return (
        _duration("event.duration", started, ended)
        + _duration("corsproxy.wait_duration", started, placed)
        + (_duration("corsproxy.connect_duration", placed, connected) if placed else "")
        + (_duration("corsproxy.head_duration", connected, head) if connected else "")
    )


def _duration(name: str, begin: float, end: float) -> str:
    return f',"{name}":{int((end - begin) * 1e9)}' if end else ""


def _trace(record: ExchangeRecord) -> str:
    return _text("trace.id", record.trace_id) + _text("span.id", record.span_id)


def _failed(record: ExchangeRecord) -> str:
    return (
        _text("corsproxy.problem", record.problem.code if record.problem else "")
        + _text("error.type", record.problem.word if record.problem else "")
        + _text("error.message", cut(record.failure, MAX_MESSAGE))
    )


def _connection(record: ExchangeRecord) -> tuple[bytes, bytes, int, bool]:
    """Return what is worth to be remembered, because it is the same for all exchanges of a connection."""
    context = record.context
    if context is None:
        return b"", b"", _NO_REQUEST, False
    exchange = context.exchange
    return exchange.authority, exchange.public, context.minor, record.is_tls


@lru_cache(maxsize=512)
def _asked(method: bytes, target: bytes) -> str:
    path, query = fields.target_of(target)
    return _text("http.request.method", text_of(method)) + _text("url.path", path) + _text("url.query", query)


@lru_cache(maxsize=512)
def _client(address: str, user_agent: bytes, authority: bytes, public: bytes, minor: int, is_tls: bool) -> str:  # noqa: FBT001 - a key
    return (
        _text("client.address", cut(address))
        + _text("user_agent.original", text_of(user_agent))
        + _text("server.address", fields.host_of(authority))
        + _text("url.scheme", fields.scheme_of(public, is_tls=is_tls) if minor > _NO_REQUEST else "")
        + _text("network.protocol.version", f"1.{minor}" if minor >= 0 else "")
    )


@lru_cache(maxsize=512)
def _decided(kind: str, decided: str, origin: bytes, reason: str) -> str:
    return _text("corsproxy.origin", text_of(origin)) + _text("corsproxy.kind", kind) + _text("corsproxy.reason", cut(reason or decided))


@lru_cache(maxsize=64)
def _upstream(url: str) -> str:
    return _text("corsproxy.upstream", cut(url))


def _word(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
