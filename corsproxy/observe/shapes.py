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

from corsproxy.answers import Exchange
from corsproxy.cors.decide import Decision
from corsproxy.known import KnownForward
from corsproxy.memo import Memo, Sights
from corsproxy.observe import fields
from corsproxy.observe.fields import MAX_PATH, MAX_TEXT, Value, attributes, cut, nanoseconds, text_of
from corsproxy.observe.folding import Fold
from corsproxy.record import Brief, ExchangeRecord, record_of

# As `event.dataset` names the lines of exchanges.
DATASET: Final = "corsproxy.access"
# A query that is longer is worth no memory.
_MAX_KEPT_BYTES: Final = 256
_CUT: Final = MAX_TEXT + 1
_MAX_DECISIONS: Final = 512
_THOUSANDTHS: Final = tuple(f"{number:03d}Z" for number in range(1000))
_decisions: dict[int, tuple[Decision, str, str]] = {}
_queries: Final[Memo[bytes, str]] = Memo(512)
_sights: Final = Sights()
# What JSON and people read as it is, and is shown whole.
_PLAIN_PATH: Final = re.compile(rb"/[!#-\[\]-~]{0,%d}" % (MAX_PATH - 1)).fullmatch
_PLAIN: Final = re.compile(r"[!#-<>-\[\]-~]+")


def format_json(record: ExchangeRecord) -> str:
    """
    Write an exchange as one JSON object.

    What went well is put together here; the rest is rare, or folded, and is written the plain way.
    """
    recalled, decision, head, connected = record.recalled, record.decision, record.head, record.connected
    # What is written of it is the same for all that are known alike.
    context = record.context if recalled is None else recalled.known.context
    if context is None or decision is None or record.problem is not None or record.failure or not (record.status and record.ended):
        return _json({"@timestamp": timestamp(record.time), "event.dataset": DATASET, **attributes(record)})
    exchange, target, started, placed = context.exchange, record.target, record.started, record.placed
    if head and placed and connected == placed:
        values = ((record.ended - started) * 1e9, (placed - started) * 1e9, (head - connected) * 1e9)
        durations = '%d,"corsproxy.wait_duration":%d,"corsproxy.head_duration":%d' % values  # noqa: UP031 - three times as fast
    else:
        durations = _durations(record)
    said = None if recalled is None else recalled.said
    if said is None:
        said = _known(record, exchange, context.minor, decision)
        if recalled is not None:
            recalled.said = said
    return (
        f'{{"@timestamp":"{timestamp(record.time)}","event.dataset":"corsproxy.access"'
        f"{_asked(record.method, target)}"
        f""","http.response.status_code":{record.status},"event.duration":{durations}"""
        f"""{f',"http.request.id":{quoted(record.request_id)}' if record.request_id else ""}"""
        f"{_trace(record) if record.trace_id else ''}"
        f"{said}"
        f"""{f',"corsproxy.retries":{record.retries}' if record.retries else ""}"""
        f"""{f',"http.request.body.size":{record.received}' if record.received else ""}"""
        f"""{f',"http.response.body.size":{record.sent}}}' if record.sent else "}"}"""
    )


def format_brief(brief: Brief) -> str:
    """Write what is told in brief, as `format_json` writes its record."""
    recalled, target, _, name, began, started, ended, status, sent = brief
    known, said = recalled.known, recalled.said
    if said is None:
        return format_json(record_of(brief))
    took = int((ended - started) * 1e9)
    durations = f'{took},"corsproxy.wait_duration":0,"corsproxy.head_duration":{took}' if isinstance(known, KnownForward) else took
    return (
        f'{{"@timestamp":"{timestamp(began)}","event.dataset":"corsproxy.access"'
        f"{_asked(known.context.method, target)}"
        f""","http.response.status_code":{status},"event.duration":{durations},"http.request.id":"{name.decode("ascii")}\""""
        f"""{f',"trace.id":"{recalled.trace.decode("ascii")}"' if recalled.trace else ""}"""
        f"{said}"
        f"""{f',"http.request.body.size":{recalled.length}' if recalled.length else ""}"""
        f"""{f',"http.response.body.size":{sent}}}' if sent else "}"}"""
    )


def _known(record: ExchangeRecord, exchange: Exchange, minor: int, decision: Decision) -> str:
    """Write what is the same for all requests of these bytes from this client."""
    decided = _decisions.get(id(decision))
    if decided is None or decided[0] is not decision or decided[1] != record.reason:
        decided = _decide(decision, record.reason)
    client = _client(record.client, record.user_agent[:_CUT], exchange.authority, exchange.public, minor, record.is_tls)
    return f"{client}{decided[2]}{_upstream(record.upstream) if record.upstream else ''}"


def format_logfmt(record: ExchangeRecord) -> str:
    """Write an exchange as `key=value` pairs."""
    return logfmt({"time": timestamp(record.time), "event.dataset": DATASET, **attributes(record)})


def fold_json(fold: Fold) -> str:
    """Write what stands for refusals that repeat as one JSON object."""
    return _json({"@timestamp": timestamp(fold.last), **_of_fold(fold)})


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


_json: Final = json.JSONEncoder(separators=(",", ":")).encode


def _text(name: str, value: str) -> str:
    return f',"{name}":{quoted(value)}' if value else ""


def _durations(record: ExchangeRecord) -> str:
    """Write how long an exchange took, and then each part that is known."""
    parts = (
        ("wait_duration", record.started, record.placed),
        ("connect_duration", record.placed, record.connected if record.placed != record.connected else 0.0),
        ("head_duration", record.connected, record.head),
    )
    said = [f',"corsproxy.{name}":{nanoseconds(begin, end)}' for name, begin, end in parts if begin and end]
    return f"{nanoseconds(record.started, record.ended)}{''.join(said)}"


def _trace(record: ExchangeRecord) -> str:
    return _text("trace.id", record.trace_id) + _text("span.id", record.span_id)


def _asked(method: bytes, target: bytes) -> str:
    """Write what was asked for. A path that may be shown as it is, and a query that was shown before, cost no more than a look."""
    path, _, query = target.partition(b"?")
    if _PLAIN_PATH(path) is None or len(query) > _MAX_KEPT_BYTES:
        shown, rest = fields.target_of(target)
        return _method(method) + _text("url.path", shown) + _text("url.query", rest)
    asked = f'{_method(method)},"url.path":"{path.decode("ascii")}"'
    return asked + _query(query) if query else asked


@lru_cache(maxsize=64)
def _method(method: bytes) -> str:
    return _text("http.request.method", text_of(method))


def _query(query: bytes) -> str:
    """Write a query. Kept at its second sight: where each is another one, to keep them all costs as much again."""
    said = _queries.find(query)
    if said is None:
        said = _text("url.query", fields.target_of(b"/?" + query)[1])
        if _sights.is_second(query):
            _queries.put(query, said)
    return said


@lru_cache(maxsize=512)
def _client(address: str, user_agent: bytes, authority: bytes, public: bytes, minor: int, is_tls: bool) -> str:  # noqa: FBT001 - a key
    return (
        _text("client.address", cut(address))
        + _text("user_agent.original", text_of(user_agent))
        + _text("server.address", fields.host_of(authority))
        + _text("url.scheme", fields.scheme_of(public, is_tls=is_tls))
        + _text("network.protocol.version", f"1.{minor}" if minor >= 0 else "")
    )


def _decide(decision: Decision, reason: str) -> tuple[Decision, str, str]:
    """Write a decision and remember it: plans that are known come with the same one again."""
    if len(_decisions) >= _MAX_DECISIONS:
        _decisions.clear()
    # The decision is kept with it, so that no other can have its identity.
    said = _decided(str(decision.kind), str(decision.reason), decision.origin[:_CUT], reason)
    kept = _decisions[id(decision)] = (decision, reason, said)
    return kept


@lru_cache(maxsize=512)
def _decided(kind: str, decided: str, origin: bytes, reason: str) -> str:
    return _text("corsproxy.origin", text_of(origin)) + _text("corsproxy.kind", kind) + _text("corsproxy.reason", cut(reason or decided))


@lru_cache(maxsize=64)
def _upstream(url: str) -> str:
    return _text("corsproxy.upstream", cut(url))


def _word(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
