"""
Log lines: one for each exchange on stdout, events on stderr.

Text for people, JSON with OpenTelemetry's names or logfmt for machines. Queries, cookies and Authorization are
never written; control characters of whatever was sent come out escaped.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from corsproxy.config.choices import LogFormat, LogLevel
from corsproxy.config.settings import LogSettings
from corsproxy.cors.decide import Kind
from corsproxy.observe.details import Details
from corsproxy.observe.writer import Writer, writer_to
from corsproxy.record import ExchangeRecord

# Lines wait this long, so that a busy proxy writes once for many; and no longer than for so many.
_FLUSH_INTERVAL_S: Final = 0.05
_MAX_RECORDS: Final = 200
_Value = str | int | float
_OWN_MACHINE: Final = ("127.", "::1", "unix")


def resolve_format(settings: LogSettings, stream: TextIO) -> LogFormat:
    """Say what `auto` means for a stream: text on a terminal, JSON elsewhere."""
    if settings.format is not LogFormat.AUTO:
        return settings.format
    return LogFormat.TEXT if stream.isatty() else LogFormat.JSON


class AccessLog:
    """One line an exchange. `add` only keeps it: lines are made and handed to a writer in batches, and nothing waits for those who read them."""

    def __init__(self, settings: LogSettings, stream: TextIO) -> None:
        self._format = _FORMATS[resolve_format(settings, stream)]
        self._writer = writer_to(stream)
        self._records: list[ExchangeRecord] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, record: ExchangeRecord) -> None:
        """Take one exchange; its record changes no more."""
        self._records.append(record)
        if self._timer is None:
            self._timer = self._loop.call_later(_FLUSH_INTERVAL_S, self.flush)
        elif len(self._records) >= _MAX_RECORDS:
            self._write()

    def flush(self) -> None:
        """Hand on what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write()

    def _write(self) -> None:
        records, self._records = self._records, []
        if records:
            lines = [self._format(record) for record in records]
            self._writer.write(("\n".join(lines) + "\n").encode(errors="backslashreplace"))


def attributes(record: ExchangeRecord) -> dict[str, _Value]:
    """
    Return an exchange's log fields under OpenTelemetry's names; durations are in nanoseconds, as ECS has them.

    `corsproxy.connect_duration` and `corsproxy.head_duration` run from the request to the upstream's connection and to its head.

    Spec: OpenTelemetry semantic conventions, HTTP; Elastic Common Schema, event.
    """
    decision = record.decision
    fields: dict[str, _Value | None] = {
        "http.request.method": record.method.decode("latin-1"),
        "url.path": record.target.partition(b"?")[0].decode("latin-1"),
        "http.response.status_code": record.status or None,
        "client.address": record.client or None,
        "http.request.id": record.request_id or None,
        "trace.id": record.trace_id or None,
        "corsproxy.origin": decision.origin.decode("latin-1") or None if decision else None,
        "corsproxy.kind": decision.kind.value if decision else None,
        "corsproxy.reason": record.reason or (decision.reason.value if decision else None),
        "corsproxy.problem": record.problem.code if record.problem else None,
        "error.message": record.failure or None,
        "event.duration": round((record.ended - record.started) * 1e9),
        "http.request.body.size": record.received or None,
        "http.response.body.size": record.sent or None,
        "corsproxy.upstream": record.upstream or None,
        "corsproxy.connect_duration": round((record.connected - record.started) * 1e9) if record.connected else None,
        "corsproxy.head_duration": round((record.head - record.started) * 1e9) if record.head else None,
        "corsproxy.retries": record.retries or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def format_json(record: ExchangeRecord) -> str:
    """Write an exchange as one JSON object."""
    return json.dumps({"@timestamp": _timestamp(record.time), "event.kind": "access", **attributes(record)}, separators=(",", ":"))


def format_logfmt(record: ExchangeRecord) -> str:
    """Write an exchange as `key=value` pairs."""
    fields: Mapping[str, _Value] = {"time": _timestamp(record.time), **attributes(record)}
    return " ".join(f"{name}={_logfmt_value(value)}" for name, value in fields.items())


def format_text(record: ExchangeRecord) -> str:
    """Write an exchange for a person's eyes."""
    decision = record.decision
    path = _printable(record.target.partition(b"?")[0].decode("latin-1"))
    milliseconds = (record.ended - record.started) * 1000
    said = record.reason or (decision.reason.value if decision and decision.kind is not Kind.NOT_CORS else "")
    if record.problem is not None:
        # Errors carry the id to the page, so people may ask for it.
        more = ", ".join(filter(None, (said, f"id {_printable(record.request_id)}" if record.request_id else "")))
        said = f"{record.problem.code} {record.problem.title}" + (f" ({more})" if more else "")
    if record.failure:
        said += f": {_printable(record.failure)}"
    origin = f" from {_printable(decision.origin.decode('latin-1'))}" if decision and decision.origin else ""
    # This very machine needs no word.
    client = "" if record.client.startswith(_OWN_MACHINE) or not record.client else f" by {_printable(record.client)}"
    clock = datetime.fromtimestamp(record.time).astimezone().strftime("%H:%M:%S")
    return (
        f"{clock} {record.status or '---'} {record.method.decode('latin-1'):7} {path} {milliseconds:.1f}ms{client}{origin}  {said}".rstrip()
    )


class EventFormatter(logging.Formatter):
    """Events of the proxy's own life in the same three shapes."""

    def __init__(self, shape: LogFormat) -> None:
        super().__init__()
        self._shape = shape

    def format(self, record: logging.LogRecord) -> str:
        """Write one event."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        level, details = record.levelname.lower(), Details.of(record)
        if self._shape is LogFormat.TEXT:
            return details.below(_headline(record.levelno, level, details.code, message))
        fields: dict[str, Any] = {"@timestamp": _timestamp(record.created), "log.level": level, "message": message}
        if self._shape is LogFormat.JSON:
            return json.dumps(fields | details.as_objects(), separators=(",", ":"))
        # The first field is called as in a line of an exchange.
        texts = {"time": fields.pop("@timestamp")} | fields | details.as_texts()
        return " ".join(f"{name}={_logfmt_value(value)}" for name, value in texts.items())


class EventLog(logging.Handler):
    """Hands events to a writer, so that no event waits for those who read it."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Take one event."""
        try:
            self._writer.write((self.format(record) + "\n").encode(errors="backslashreplace"), is_event=True)
        except Exception:  # noqa: BLE001 - the proxy goes on, whatever an event is made of
            self.handleError(record)


def configure_events(settings: LogSettings, stream: TextIO) -> None:
    """Send the events of the logger `corsproxy` to a stream, and the warnings of libraries with them."""
    log = EventLog(writer_to(stream))
    log.setFormatter(EventFormatter(resolve_format(settings, stream)))
    level = _LEVELS[settings.level]
    for name in ("corsproxy", "aiohttp", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [log]
        logger.propagate = False
        logger.setLevel(level if name == "corsproxy" else max(level, logging.WARNING))


_LEVELS: Final = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}
_FORMATS: Final[Mapping[LogFormat, Callable[[ExchangeRecord], str]]] = {
    LogFormat.TEXT: format_text,
    LogFormat.JSON: format_json,
    LogFormat.LOGFMT: format_logfmt,
}


def _headline(number: int, level: str, code: str, message: str) -> str:
    """Begin an event for people as diagnostics do: `warning[CP512]: …`."""
    if code:
        return f"{'note' if number == logging.INFO else level}[{code}]: {message.removeprefix(f'{code} ')}"
    return message if number == logging.INFO else f"{level}: {message}"


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _logfmt_value(value: _Value) -> str:
    text = str(value)
    if text and not any(c in text for c in ' ="\\') and text.isprintable():
        return text
    return json.dumps(text)
