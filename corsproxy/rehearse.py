"""
Rehearse an exchange without sockets: the live proxy's own rules, an upstream that always answers alike, and a model browser.

It knows how a call goes on from its preflight to what the script may read. Policy tests and explanations ask here; neither
the upstream nor a real browser is involved.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from corsproxy import edits, problems
from corsproxy.answers import Answer, Context, problem_answer
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Settings
from corsproxy.cors import browser
from corsproxy.cors.browser import BrowserRequest, BrowserResponse, CredentialsMode, Fields, Outcome, PreflightNeed, Stage, Verdict
from corsproxy.cors.names import KNOWN_METHODS
from corsproxy.cors.origin import parse_origin
from corsproxy.cors.policy import CorsPolicy
from corsproxy.plan import Connection, Forward, Fresh, Plan, Tunnel, plan
from corsproxy.problems import Problem
from corsproxy.semantics.fields import RequestHead, ResponseHead
from corsproxy.semantics.framing import Refusal
from corsproxy.semantics.websocket import UPGRADE_LINES, VERSION, accept_of

# What an upstream that knows nothing of CORS answers.
PLAIN: Final = ResponseHead(200, b"OK", 1, [(b"Content-Type", b"text/plain"), (b"Content-Length", b"0")])

_DATE: Final = b"Thu, 01 Jan 1970 00:00:00 GMT"
# > The blocks 192.0.2.0/24 (TEST-NET-1), [...] are provided for use in documentation. (RFC 5737 3)
_PEER: Final = "192.0.2.1"
_FRESH: Final = Fresh(b"rehearsal", b"1" * 32, b"1" * 16)

# The values with which a script sets a header, where they matter: JSON is why Content-Type needs permission, the others need none.
_VALUES: Final = {
    b"content-type": b"application/json",
    b"accept": b"application/json",
    b"accept-language": b"en",
    b"content-language": b"en",
    b"range": b"bytes=0-99",
}
# Any 16 bytes will do for a key.
_KEY: Final = b"cmVoZWFyc2FsLW9mLXdzcw=="
HANDSHAKE: Final = (*UPGRADE_LINES, (b"Sec-WebSocket-Key", _KEY), (b"Sec-WebSocket-Version", VERSION))
_SWITCHING: Final = ResponseHead(101, b"Switching Protocols", 1, [*UPGRADE_LINES, (b"Sec-WebSocket-Accept", accept_of(_KEY))])
_LOOPBACK: Final = re.compile(rb"(?:(?:.+\.)?localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?")
# Where a script says nothing, fetch() is "same-origin".
_MODES: Final = {None: CredentialsMode.SAME_ORIGIN, False: CredentialsMode.OMIT, True: CredentialsMode.INCLUDE}


@dataclass(frozen=True, slots=True)
class Call:
    """
    What a script of a page asks for; without `origin`, a request that carries none, as a program or a link makes it.

    `host` b"" is one that the proxy answers for; `credentials` None is what the policy allows. `headers` are the names that
    the script sets, with values as most scripts have them; `fields` are set with the values given. `upload_listener`: it watches the
    progress of an upload; `stream`: the body is a ReadableStream. `websocket`: it opens a WebSocket, and method, credentials and headers
    are those of any handshake.
    """

    origin: bytes = b""
    method: bytes = b"GET"
    path: bytes = b"/"
    host: bytes = b""
    credentials: bool | None = None
    headers: tuple[bytes, ...] = ()
    websocket: bool = False
    fields: Fields = ()
    upload_listener: bool = False
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, what the plan said to it, and the head that the client got. The upstream has seen it if it was `forwarded`."""

    request: RequestHead
    planned: Plan
    response: BrowserResponse

    @property
    def forwarded(self) -> bool:
        """Whether the upstream has seen the request."""
        return isinstance(self.planned, Forward)

    @property
    def secret(self) -> frozenset[bytes]:
        """The lower-case names of the response's fields whose values must not show."""
        route = self.planned.context.route
        return route.response_headers.secret if route is not None and self.forwarded else frozenset()

    @property
    def problem(self) -> Problem | None:
        """What the proxy answered instead of the upstream, if that was a problem."""
        return self.planned.problem if isinstance(self.planned, Answer) else None


class Ending(StrEnum):
    """What a call comes to; the values are stable API."""

    WORKS = "works"
    BROWSER_REFUSES = "browser-refuses"
    PROXY_REFUSES = "proxy-refuses"
    UPSTREAM_DECIDES = "upstream-decides"  # The route passes CORS through, and here is no upstream to ask.


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """
    A call from its beginning to its end.

    `actual` is what becomes of the request itself, also where the browser would never send it, because the call throws or
    its preflight fails; `outcome` says how far the browser goes.
    """

    call: Call
    request: BrowserRequest
    need: PreflightNeed | None
    preflight: Exchange | None
    actual: Exchange
    outcome: Outcome

    @property
    def decisive(self) -> Exchange:
        """The last exchange that the browser would make."""
        return self.preflight if self.preflight is not None and self.outcome.stage is Stage.PREFLIGHT else self.actual

    @property
    def ending(self) -> Ending:
        """What it comes to."""
        if self.outcome.stage is Stage.SCRIPT or self.outcome.verdict.reason is browser.Reason.STREAM_OVER_HTTP1:
            return Ending.BROWSER_REFUSES
        if self.decisive.problem is not None:
            return Ending.PROXY_REFUSES
        if self.decisive.planned.context.cors is CorsMode.PASSTHROUGH and browser.is_cross_origin(self.request):
            return Ending.UPSTREAM_DECIDES
        return Ending.WORKS if self.outcome.ok else Ending.BROWSER_REFUSES


def rehearse(settings: Settings, call: Call, response: ResponseHead = PLAIN) -> Rehearsal:
    """
    Play a call through; where it reaches the upstream, that answers `response`.

    Pure: same arguments, same answer. Never raises.

    Spec: Fetch #main-fetch, #http-fetch.
    """
    request = _browser_request(settings, call)
    if call.websocket:
        return _rehearse_websocket(settings, call, request)
    play = _Play(settings, request, call, response)
    if call.credentials is None:
        # A GET without fields finds the policy of any path, whatever the call's method is.
        cors = play.serve(b"GET", ()).planned.context.cors
        if isinstance(cors, CorsPolicy) and cors.credentials:
            play = replace(play, request=replace(request, credentials=CredentialsMode.INCLUDE))
    return play.through()


@dataclass(frozen=True, slots=True)
class _Play:
    """A call that is not a WebSocket, with what answers it."""

    settings: Settings
    request: BrowserRequest
    call: Call
    upstream: ResponseHead

    def serve(self, method: bytes, fields: Fields) -> Exchange:
        return _serve(self.settings, self.request, self.call, (method, fields), self.upstream)

    def through(self) -> Rehearsal:
        call, request = self.call, self.request
        made: list[Exchange] = []

        def answer(method: bytes, fields: Fields) -> BrowserResponse:
            made.append(self.serve(method, fields))
            return made[-1].response

        if not call.origin:
            response = answer(call.method, request.headers)
            readable = browser.Readable(response.status, response.fields)
            ended = Outcome(Verdict(True, browser.Reason.SAME_ORIGIN), Stage.ACTUAL, False, readable)
            return Rehearsal(call, request, None, None, made[0], ended)
        outcome = browser.fetch(request, answer)
        preflight = made[0] if outcome.preflight_sent else None
        if outcome.stage is not Stage.ACTUAL:
            answer(browser.normalize_method(request.method), browser.actual_fields(request))
        need = browser.needs_preflight(request) if outcome.stage is not Stage.SCRIPT else None
        if call.stream and outcome.stage is Stage.ACTUAL:
            # The standard leaves it open; Chromium, the one engine that streams uploads, does so over HTTP/2 and later only.
            outcome = replace(outcome, verdict=Verdict(False, browser.Reason.STREAM_OVER_HTTP1), response=None)
        return Rehearsal(call, request, need, preflight, made[-1], outcome)


def _rehearse_websocket(settings: Settings, call: Call, request: BrowserRequest) -> Rehearsal:
    """
    Open a WebSocket: one request without a preflight, always with credentials, and the script sees whether it got a 101.

    Spec: WebSockets #concept-websocket-establish.
    """
    request = replace(request, method=b"GET", headers=(), credentials=CredentialsMode.INCLUDE)
    origin: Fields = ((b"Origin", call.origin),) if call.origin else ()
    made = _serve(settings, request, call, (b"GET", (*origin, *HANDSHAKE)))
    if call.origin and (fault := browser.script_fault(request)) is not None:
        return Rehearsal(call, request, None, None, made, Outcome(fault, Stage.SCRIPT))
    opened = made.response.status == 101
    readable = browser.Readable(made.response.status, made.response.fields)
    verdict = (
        Verdict(opened, browser.Reason.OK) if opened else Verdict(False, browser.Reason.WEBSOCKET_STATUS, b"%d" % made.response.status)
    )
    return Rehearsal(call, request, None, None, made, Outcome(verdict, Stage.ACTUAL, False, readable if opened else None))


def serve(settings: Settings, head: RequestHead, connection: Connection, response: ResponseHead = PLAIN) -> Exchange:
    """
    Serve one request in memory; where it is forwarded, the upstream answers `response`.

    Pure; never raises.

    Spec: RFC 9110 7.
    """
    planned: Plan
    if head.method not in KNOWN_METHODS:
        # No rule of ours sees it: the parser refuses it first.
        planned = problem_answer(Context(head.method, head.minor, persistent=False), problems.BAD_REQUEST, reason="method", close=True)
    else:
        planned = plan(settings, head, connection, _FRESH)
    if isinstance(planned, Answer):
        return Exchange(head, planned, _parsed(planned.to_bytes(_DATE)))
    if isinstance(planned, Tunnel):
        switched = edits.receive_switch(planned.context, _SWITCHING, planned.key)
        assert not isinstance(switched, Refusal)  # noqa: S101 - the 101 is ours
        return Exchange(head, planned, _parsed(switched.head))
    received = edits.receive(planned.context, response)
    if isinstance(received, Refusal):
        failure = problem_answer(planned.context, received.problem, reason=received.reason, close=True)
        return Exchange(head, planned, _parsed(failure.to_bytes(_DATE)))
    return Exchange(head, planned, _parsed(edits.render(planned.context, received, _DATE, close=False)))


def default_host(settings: Settings) -> bytes:
    """
    Choose a host that the proxy answers for: of `public_url`, else of `hosts`, else localhost with the port that it listens on.

    Spec: RFC 9110 7.2.
    """
    if settings.own_origins:
        return settings.own_origins[0].partition(b"://")[2]
    rules = settings.hosts
    if rules.any_host or rules.loopback:
        port = next((address.port for address in settings.listen if address.port), 0)
        return b"localhost:%d" % port if port not in (0, 80, 443) else b"localhost"
    return min(rules.names) if rules.names else b"www" + min(rules.suffixes)


def usual_value(name: bytes) -> bytes:
    """
    Return the value with which scripts set a header, as far as it matters to a browser.

    Spec: Fetch #cors-safelisted-request-header.
    """
    return _VALUES.get(name.lower(), b"1")


def _browser_request(settings: Settings, call: Call) -> BrowserRequest:
    return request_to(_url_origin(settings, call.host or default_host(settings), call.origin), call)


def request_to(url_origin: bytes, call: Call) -> BrowserRequest:
    """
    Return what a browser makes of a call to a URL of this origin.

    Spec: Fetch #requests.
    """
    headers = (*((name, usual_value(name)) for name in call.headers), *call.fields)
    mode = _MODES[call.credentials]
    return BrowserRequest(call.origin or url_origin, url_origin, call.method, headers, mode, call.upload_listener, call.stream)


def _url_origin(settings: Settings, host: bytes, page: bytes) -> bytes:
    """Say by which origin a browser reaches this host: as `public_url` has it, or the page, else by http on this machine."""
    for origin in (*settings.own_origins, page):
        if origin.partition(b"://")[2] == host:
            return origin
    # An https page may call an http host only where it is potentially trustworthy (Mixed Content 4.4; Secure Contexts 3.1).
    if not settings.own_origins and _LOOPBACK.fullmatch(host):
        return b"http://" + host
    parsed = parse_origin(settings.own_origins[0] if settings.own_origins else page)
    scheme = parsed.scheme if parsed is not None and parsed.scheme in (b"http", b"https") else b"https"
    return scheme + b"://" + host


def _serve(settings: Settings, request: BrowserRequest, call: Call, sent: tuple[bytes, Fields], upstream: ResponseHead = PLAIN) -> Exchange:
    method, fields = sent
    scheme, _, host = request.url_origin.partition(b"://")
    # A certificate is a credential; programs have theirs whatever the mode.
    is_own = request.credentials is CredentialsMode.SAME_ORIGIN and not browser.is_cross_origin(request)
    has_certificate = request.credentials is CredentialsMode.INCLUDE or is_own
    connection = Connection(_PEER, tls=scheme == b"https", has_certificate=has_certificate)
    return serve(settings, RequestHead(method, call.path, 1, [(b"Host", host), *fields]), connection, upstream)


def _parsed(content: bytes) -> BrowserResponse:
    status_line, *lines = content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    fields = tuple((name, value) for line in lines for name, _, value in [line.partition(b": ")])
    return BrowserResponse(int(status_line.split(b" ")[1]), fields)
