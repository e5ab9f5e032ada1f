"""The closed sets of words that a file may choose from, as settings hold them."""

from enum import StrEnum


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


class OriginHeader(StrEnum):
    """What the upstream gets for the request's Origin."""

    KEEP = "keep"
    REMOVE = "remove"
    UPSTREAM = "upstream"


class SameSite(StrEnum):
    """What `SameSite` of a cookie becomes."""

    KEEP = "keep"
    NONE = "none"
    LAX = "lax"
    STRICT = "strict"


class CookiePath(StrEnum):
    """What `Path` of a cookie becomes."""

    AUTO = "auto"
    KEEP = "keep"


class Redirects(StrEnum):
    """What becomes of a response's references to the upstream."""

    REWRITE = "rewrite"
    KEEP = "keep"
