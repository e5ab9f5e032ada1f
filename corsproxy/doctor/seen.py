"""
What a visit to a server has brought: requests as a browser makes them, and what came back.

Shapes and no rules. Whoever visits fills them, `judge` reads them.
"""

from dataclasses import dataclass
from enum import StrEnum

from corsproxy.cors.browser import BrowserRequest, BrowserResponse, Fields


class Step(StrEnum):
    """Why a request was made; the values are stable API."""

    PREFLIGHT = "preflight"
    ACTUAL = "actual"
    REDIRECTED = "redirected"  # The actual request again, where a redirect led.
    # No browser makes these: they show what the call itself would not.
    STRANGER = "stranger"  # The same URL, from an origin that nobody can have allowed.
    NO_ORIGIN = "no-origin"  # The same URL, without Origin, as a cache or an image would ask for it.
    REVALIDATION = "revalidation"  # The same URL, as a cache asks whether its copy is still good.
    MISSING_PAGE = "missing-page"  # A URL that the server cannot have.


class Trouble(StrEnum):
    """Why there is no answer; the values are stable API."""

    UNRESOLVED = "unresolved"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMEOUT = "timeout"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Seen:
    """
    One request, and the answer to it: `response`, or the `trouble` in its place with what the system `said` of it.

    `url` is whole; `fields` are what matters of the request.
    """

    step: Step
    method: bytes
    url: str
    fields: Fields
    response: BrowserResponse | None = None
    trouble: Trouble | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """
    A call and all that was seen of it, in the order in which it happened.

    `request` is what the script asked for at `url`; `last` is what became of it behind redirects. `is_websocket`: it opens a WebSocket.
    """

    request: BrowserRequest
    url: str
    seen: tuple[Seen, ...] = ()
    last: BrowserRequest | None = None
    is_websocket: bool = False

    def find(self, step: Step) -> Seen | None:
        """Return the last request of a step, if there was one."""
        return next((each for each in reversed(self.seen) if each.step is step), None)
