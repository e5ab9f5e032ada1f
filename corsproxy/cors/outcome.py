"""
The words in which the model browser speaks: what a script asked for, what came back, and what the browser concludes.

Shapes and no rules: `browser` has these. It imports nothing of this package, as its neighbour.
"""

from dataclasses import dataclass
from enum import StrEnum

Fields = tuple[tuple[bytes, bytes], ...]


class CredentialsMode(StrEnum):
    """What the script said about credentials. XMLHttpRequest's `withCredentials` is INCLUDE. Spec: Fetch #concept-request-credentials-mode."""

    OMIT = "omit"
    SAME_ORIGIN = "same-origin"
    INCLUDE = "include"


class PreflightNeed(StrEnum):
    """Why a preflight comes first. Spec: Fetch #main-fetch."""

    METHOD = "method"
    HEADERS = "headers"
    UPLOAD_LISTENER = "upload-listener"
    STREAM_BODY = "stream-body"


class Reason(StrEnum):
    """Why the browser accepts or fails; the values are stable API. Behind each: what `Verdict.subject` holds, if anything."""

    OK = "ok"
    SAME_ORIGIN = "same-origin"
    REDIRECT = "redirect"  # The Location. Accepted and followed: the script reads nothing of this response.
    REDIRECT_USERINFO = "redirect-userinfo"  # The origin that it leads to: a redirect across origins must not bring a user name along.
    REDIRECT_STREAM = "redirect-stream"  # The status, which asks for a body again that was streamed.
    INVALID_METHOD = "invalid-method"  # The method. These four: the script's call throws, nothing is sent.
    FORBIDDEN_METHOD = "forbidden-method"  # The method.
    INVALID_HEADER = "invalid-header"  # The name.
    BODY_NOT_ALLOWED = "body-not-allowed"  # The method.
    MIXED_CONTENT = "mixed-content"  # The origin asked for. Nothing is sent, and the script gets a network error.
    STREAM_OVER_HTTP1 = "stream-over-http1"  # Said by who knows the connection: no browser streams a body over HTTP/1.1.
    ACAO_MISSING = "acao-missing"
    ACAO_MULTIPLE = "acao-multiple"  # The combined value.
    ACAO_MISMATCH = "acao-mismatch"  # The value.
    ACAO_WILDCARD_WITH_CREDENTIALS = "acao-wildcard-with-credentials"  # `*`.
    ACAC_NOT_TRUE = "acac-not-true"  # The combined value, empty if there is none.
    PREFLIGHT_REDIRECT = "preflight-redirect"  # The status.
    PREFLIGHT_STATUS = "preflight-status"  # The status.
    ACAM_UNPARSABLE = "acam-unparsable"  # The combined value.
    ACAH_UNPARSABLE = "acah-unparsable"  # The combined value.
    METHOD_NOT_ALLOWED = "method-not-allowed"  # The method.
    METHOD_WILDCARD_WITH_CREDENTIALS = "method-wildcard-with-credentials"  # The method, that a literal `*` does not cover.
    HEADER_NOT_ALLOWED = "header-not-allowed"  # The name.
    HEADER_WILDCARD_WITH_CREDENTIALS = "header-wildcard-with-credentials"  # The name, that a literal `*` does not cover.
    WEBSOCKET_STATUS = "websocket-status"  # The status, which is not 101: the WebSocket does not open.
    AUTHORIZATION_NOT_LISTED = "authorization-not-listed"  # The name: there is a `*`, but it never covers Authorization.


class Stage(StrEnum):
    """How far a fetch came: the call itself, its preflight, or the actual request."""

    SCRIPT = "script"
    PREFLIGHT = "preflight"
    ACTUAL = "actual"


@dataclass(frozen=True, slots=True)
class BrowserRequest:
    """What the script asked for. A body's own Content-Type (`text/plain;charset=UTF-8` of a string) belongs in `headers`."""

    origin: bytes  # Serialized, of the page; or b"null".
    url_origin: bytes  # Serialized, of the URL asked for.
    method: bytes = b"GET"  # As the script wrote it.
    headers: Fields = ()  # As the script set them.
    credentials: CredentialsMode = CredentialsMode.SAME_ORIGIN
    upload_listener: bool = False  # XMLHttpRequestUpload has one.
    stream_body: bool = False  # A ReadableStream.


@dataclass(frozen=True, slots=True)
class BrowserResponse:
    """What came back: the status and the field lines as received."""

    status: int
    fields: Fields = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accepted or not, why, and the value at fault."""

    ok: bool
    reason: Reason
    subject: bytes = b""


@dataclass(frozen=True, slots=True)
class Readable:
    """What of a response the script may read."""

    status: int
    fields: Fields

    @property
    def names(self) -> frozenset[bytes]:
        """The names of the readable fields, lower case."""
        return frozenset(name.lower() for name, _ in self.fields)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a fetch ended. `response` is None when the script gets a network error, or when a redirect goes on."""

    verdict: Verdict
    stage: Stage
    preflight_sent: bool = False
    response: Readable | None = None

    @property
    def ok(self) -> bool:
        """Whether the browser accepted every answer."""
        return self.verdict.ok

    @property
    def exposed(self) -> frozenset[bytes]:
        """The names that the script can read, lower case."""
        return frozenset() if self.response is None else self.response.names
