"""
The settings of a running proxy: frozen, complete, valid.

A reload builds new ones and swaps one reference; an exchange keeps the settings it began with.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from corsproxy.cors.policy import CorsPolicy


class CorsMode(StrEnum):
    """What a route does about CORS when it has no policy of its own."""

    NONE = "none"
    PASSTHROUGH = "passthrough"


class LogFormat(StrEnum):
    """The shapes of a log line; `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"
    LOGFMT = "logfmt"


class LogLevel(StrEnum):
    """The least severity that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Listen:
    """
    One address to listen on: host and port, or the path of a unix socket.

    `host` is "" for all interfaces; IPv6 without brackets. `port` 0 takes any free port.
    """

    host: str = ""
    port: int = 0
    unix_path: str = ""

    def __str__(self) -> str:
        """Write the address as the file would."""
        if self.unix_path:
            return f"unix:{self.unix_path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """
    One upstream.

    `authority` is the Host field that it gets (RFC 9112 3.2); `path` is put before the request's path, without
    a slash at its end ("" for none); `host` is without brackets, and empty for a unix socket.
    """

    url: str
    host: str
    port: int
    authority: bytes
    path: bytes = b""
    tls: bool = False
    unix_path: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """
    Seconds.

    `connect`: DNS, TCP and TLS. `response`: from the last request byte written to the response head.
    `idle`: the upstream owes response bytes and sends none, or takes no request bytes.
    """

    # Precedents: Envoy 5 s, nginx 60 s (proxy_read_timeout), Envoy 300 s (stream_idle_timeout).
    connect: float = 5.0
    response: float = 60.0
    idle: float = 300.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the file something was written. Line and column count from 1; line 0 is "no file"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Write it as compilers do."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Route:
    """
    One route: requests whose path begins with `path` (on a segment boundary) go to `upstream` under `cors`.

    `path` is in normal form, begins with `/`, and ends without a slash unless it is the root.
    `policy_name` is what the file calls the policy: a name of `policies`, "cors" for the default one, "" for one of its own.
    """

    path: bytes
    upstream: Upstream
    cors: CorsPolicy | CorsMode
    timeouts: Timeouts
    policy_name: str = ""
    place: Place = Place("")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    format: LogFormat = LogFormat.AUTO
    level: LogLevel = LogLevel.INFO
    access: bool = True


# Precedent: uvicorn listens on loopback; 8080 is what reverse proxies use where 80 is not theirs.
DEFAULT_LISTEN: Final = Listen("127.0.0.1", 8080)


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Everything that a proxy runs by.

    `own_origins` are the origins of `public_url`, serialized. `routes` are sorted so that the first match is the
    longest: by falling length of path; the implicit route of the top-level `upstream` comes last. `default_cors` is the
    top-level `cors`: it also speaks for paths that no route matches.
    """

    routes: tuple[Route, ...]
    listen: tuple[Listen, ...] = (DEFAULT_LISTEN,)
    own_origins: tuple[bytes, ...] = ()
    default_cors: CorsPolicy | CorsMode | None = None
    log: LogSettings = field(default_factory=LogSettings)
