"""
The log: a line for each exchange on stdout, events on stderr.

Text for people, JSON with OpenTelemetry's names or logfmt for machines. It knows when lines are made, and which; what they look like, its neighbours.
"""

import asyncio
import json
import logging
import time
from typing import Any, Final, TextIO

from corsproxy.config.choices import LogFormat, LogLevel
from corsproxy.config.settings import LogSettings
from corsproxy.observe.details import Details
from corsproxy.observe.folding import Fold, Folding
from corsproxy.observe.shapes import fold_json, fold_logfmt, format_brief, format_json, format_logfmt, logfmt, timestamp
from corsproxy.observe.terminal import paint, wants_colour, width_of
from corsproxy.observe.text import fold_text, format_text
from corsproxy.observe.writer import Writer, writer_to
from corsproxy.record import Brief, ExchangeRecord, record_of

# Lines wait this long, so that a busy proxy writes once for many; and no longer than for so many.
_FLUSH_INTERVAL_S: Final = 0.05
_MAX_LINES: Final = 400
# A person who tries things out looks at each refusal; a terminal whose text a container's engine keeps is no disk to fill all the same.
_ALOUD_ON_A_TERMINAL: Final = 20
# Windows that end close to each other are looked at together.
_FOLD_PAUSE_S: Final = 1.0


def resolve_format(settings: LogSettings, stream: TextIO) -> LogFormat:
    """Say what `auto` means for a stream: text on a terminal, JSON elsewhere."""
    if settings.format is not LogFormat.AUTO:
        return settings.format
    return LogFormat.TEXT if stream.isatty() else LogFormat.JSON


class AccessLog:
    """
    One line an exchange, and one for many refusals that are alike.

    Lines are made at once, while what they say is at hand, and handed to a writer in batches; nothing waits for those who read them.
    """

    def __init__(self, settings: LogSettings, stream: TextIO, writer: Writer | None = None) -> None:
        self._shape = resolve_format(settings, stream)
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._colour = wants_colour(stream)
        self._format = {LogFormat.JSON: format_json, LogFormat.LOGFMT: format_logfmt, LogFormat.TEXT: self._format_text}[self._shape]
        self._writer = writer or writer_to(stream)
        self._lines: list[str] = []
        # Who looks for a fault in refusals wants to see each of them.
        self._folding = None if settings.level is LogLevel.DEBUG else Folding(_ALOUD_ON_A_TERMINAL if self._is_terminal else 1)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fold_timer: asyncio.TimerHandle | None = None

    def add(self, record: ExchangeRecord) -> None:
        """Take one exchange."""
        if record.problem is not None and self._folding is not None and self._folds(record, self._folding):
            return
        self._put(self._format(record))

    def add_brief(self, brief: Brief) -> None:
        """Take one that went as known ones go."""
        if self._shape is LogFormat.JSON:
            self._put(format_brief(brief))
        else:
            self.add(record_of(brief))

    def _put(self, line: str) -> None:
        lines = self._lines
        lines.append(line)
        if self._timer is None:
            self._timer = self._loop.call_later(_FLUSH_INTERVAL_S, self.flush)
        elif len(lines) >= _MAX_LINES:
            self._hand_on()

    def flush(self) -> None:
        """Hand on what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._hand_on()

    def close(self) -> None:
        """Hand on what waits, and what was counted and not said."""
        self.flush()
        if self._fold_timer is not None:
            self._fold_timer.cancel()
            self._fold_timer = None
        if self._folding is not None:
            self._write(self._fold_lines(self._folding.end()))

    def _hand_on(self) -> None:
        lines, self._lines = self._lines, []
        self._write(lines)

    def _write(self, lines: list[str]) -> None:
        if lines:
            self._writer.write(("\n".join(lines) + "\n").encode(errors="backslashreplace"))

    def _format_text(self, record: ExchangeRecord) -> str:
        return format_text(record, colour=self._colour, width=width_of(self._stream) if self._is_terminal else 0)

    def _folds(self, record: ExchangeRecord, folding: Folding) -> bool:
        """Tell whether an exchange is only counted."""
        takes = folding.takes(record, time.time())
        self._mind_windows(folding)
        return takes

    def _mind_windows(self, folding: Folding) -> None:
        """See that a count is written when its time has come."""
        if self._fold_timer is None and folding.next_end is not None:
            self._fold_timer = self._loop.call_later(max(_FOLD_PAUSE_S, folding.next_end - time.time()), self._unfold, folding)

    def _unfold(self, folding: Folding) -> None:
        self._fold_timer = None
        self._write(self._fold_lines(folding.expire(time.time())))
        self._mind_windows(folding)

    def _fold_lines(self, folds: list[Fold]) -> list[str]:
        if self._shape is LogFormat.JSON:
            return [fold_json(fold) for fold in folds]
        if self._shape is LogFormat.LOGFMT:
            return [fold_logfmt(fold) for fold in folds]
        return [fold_text(fold, colour=self._colour) for fold in folds]


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
