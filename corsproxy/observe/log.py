"""
The log: a line for each exchange on stdout, events on stderr.

Text for people, JSON with OpenTelemetry's names or logfmt for machines. It knows when lines are made, and which; what they look like, its neighbours.
"""

import asyncio
import json
import logging
from typing import Any, Final, TextIO

from corsproxy.config.choices import LogFormat, LogLevel
from corsproxy.config.settings import LogSettings
from corsproxy.observe.details import Details
from corsproxy.observe.shapes import format_json, format_logfmt, logfmt, timestamp
from corsproxy.observe.terminal import paint, wants_colour, width_of
from corsproxy.observe.text import format_text
from corsproxy.observe.writer import Writer, writer_to
from corsproxy.record import ExchangeRecord

# Lines wait this long, so that a busy proxy writes once for many; and no longer than for so many.
_FLUSH_INTERVAL_S: Final = 0.05
_MAX_RECORDS: Final = 200


def resolve_format(settings: LogSettings, stream: TextIO) -> LogFormat:
    """Say what `auto` means for a stream: text on a terminal, JSON elsewhere."""
    if settings.format is not LogFormat.AUTO:
        return settings.format
    return LogFormat.TEXT if stream.isatty() else LogFormat.JSON


class AccessLog:
    """One line an exchange. `add` only keeps it: lines are made and handed to a writer in batches, and nothing waits for those who read them."""

    def __init__(self, settings: LogSettings, stream: TextIO) -> None:
        self._shape = resolve_format(settings, stream)
        self._stream = stream
        self._colour = wants_colour(stream)
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
            lines = self._lines(records)
            self._writer.write(("\n".join(lines) + "\n").encode(errors="backslashreplace"))

    def _lines(self, records: list[ExchangeRecord]) -> list[str]:
        if self._shape is LogFormat.JSON:
            return [format_json(record) for record in records]
        if self._shape is LogFormat.LOGFMT:
            return [format_logfmt(record) for record in records]
        width = width_of(self._stream)
        return [format_text(record, colour=self._colour, width=width) for record in records]


class EventFormatter(logging.Formatter):
    """Events of the proxy's own life in the same three shapes."""

    def __init__(self, shape: LogFormat, *, colour: bool = False) -> None:
        super().__init__()
        self._shape = shape
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Write one event."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        level, details = record.levelname.lower(), Details.of(record)
        if self._shape is LogFormat.TEXT:
            return details.below(_headline(record.levelno, level, details.code, message, colour=self._colour), colour=self._colour)
        fields: dict[str, Any] = {
            "@timestamp": timestamp(record.created),
            "event.dataset": "corsproxy.events",
            "log.level": level,
            "message": message,
        }
        if self._shape is LogFormat.JSON:
            return json.dumps(fields | details.as_objects(), separators=(",", ":"))
        # The first field is called as in a line of an exchange.
        texts = {"time": fields.pop("@timestamp")} | fields | details.as_texts()
        return logfmt(texts)


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
    log.setFormatter(EventFormatter(resolve_format(settings, stream), colour=wants_colour(stream)))
    level = _LEVELS[settings.level]
    for name in ("corsproxy", "aiohttp", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [log]
        logger.propagate = False
        logger.setLevel(level if name == "corsproxy" else max(level, logging.WARNING))


_HUES: Final = {logging.ERROR: "1;31", logging.WARNING: "1;33", logging.INFO: "1;32"}
_LEVELS: Final = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


def _headline(number: int, level: str, code: str, message: str, *, colour: bool) -> str:
    """Begin an event for people as diagnostics do: `warning[CP512]: …`."""
    if not code and number == logging.INFO:
        return message
    name = "note" if number == logging.INFO else level
    name = paint(f"{name}[{code}]" if code else name, _HUES.get(number, ""), colour=colour)
    return f"{name}: {message.removeprefix(f'{code} ')}"
