"""The rows of the table of keys that say what is logged, and how."""

from typing import Final

from corsproxy.config.choices import LogFormat, LogLevel
from corsproxy.config.key import LOG, Key, Kind

LOG_KEYS: Final = (
    Key(
        LOG,
        "format",
        Kind.CHOICE,
        "The shape of a line: `auto` is `text` on a terminal and `json` elsewhere.",
        default="auto",
        choices=tuple(LogFormat),
        also=("type", "style"),
        comment="text on a terminal, JSON lines elsewhere; text | json | logfmt",
    ),
    Key(
        LOG,
        "level",
        Kind.CHOICE,
        "The least severity of events; with `debug`, refusals that repeat are written each.",
        default="info",
        choices=tuple(LogLevel),
        also=("severity", "verbosity"),
        comment="debug | info | warning | error",
    ),
    Key(
        LOG,
        "access",
        Kind.BOOLEAN,
        "Whether each exchange gets a line.",
        default="true",
        also=("access_log", "requests"),
        comment="one line for each exchange, on stdout",
    ),
)
