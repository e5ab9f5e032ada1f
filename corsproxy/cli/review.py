"""
A policy in words, for those who have to answer for it: who may call what, with what.

It says what the settings mean and not what the file says: defaults and what CORS itself lets in are named too.
What deserves a second look comes first, and is marked.
"""

from collections.abc import Iterator
from typing import Final

from corsproxy.config.render import escape
from corsproxy.config.settings import CorsMode, HostRules, Route, Settings
from corsproxy.cors.max_age import remembered_s
from corsproxy.cors.names import SAFELISTED_METHODS
from corsproxy.cors.pattern import OriginPattern, PatternKind
from corsproxy.cors.policy import CorsPolicy

_LABEL_WIDTH: Final = 17
# `enforce` protects visitors with browsers and is no authentication, so what it lets pass is said in the same breath.
_REFUSED: Final = "cross-origin gets 403, before the upstream sees it; requests that carry no Origin pass"
_BOLD, _ALARM, _RESET = "\x1b[1m", "\x1b[1;33m", "\x1b[0m"


def review(settings: Settings, *, colour: bool = False) -> str:
    """
    Say in words what a policy lets in, route by route.

    Pure. Holds no control character but line ends, and ANSI colours if asked for.
    """
    page = _Page(colour=colour)
    page.row("listens on", ", ".join(map(str, settings.listen)))
    page.row("answers for", _hosts_in_words(settings.hosts))
    if settings.hosts.any_host:
        page.mark("any Host name: a web page can make its own name lead here, and is then of the same origin (DNS rebinding)")
    for route in settings.routes:
        _write_route(route, page)
    if all(route.path != b"/" for route in settings.routes):
        page.heading("any other path")
        page.row("answer", "404")
    if page.marked:
        page.heading(f"{page.marked} point{' deserves' if page.marked == 1 else 's deserve'} a second look: marked with !")
    return "\n".join(page.lines) + "\n"


class _Page:
    """Lines under headings: rows with a label, and marks."""

    def __init__(self, *, colour: bool) -> None:
        self.lines: list[str] = []
        self.marked = 0
        self._colour = colour

    def heading(self, text: str) -> None:
        self.lines += ["", self._paint(escape(text), _BOLD)]

    def row(self, label: str, *texts: str) -> None:
        for text in texts:
            self.lines.append(f"  {label:{_LABEL_WIDTH}} {escape(text)}")
            label = ""

    def mark(self, text: str) -> None:
        self.lines.append(self._paint(f"! {escape(text)}", _ALARM))
        self.marked += 1

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if self._colour else text


def _write_route(route: Route, page: _Page) -> None:
    page.heading(f"{route.path.decode()} to {route.upstream.url}")
    policy = route.cors
    if isinstance(policy, CorsPolicy):
        for mark in _dangers(policy):
            page.mark(mark)
        _write_policy(policy, page)
    elif policy is CorsMode.PASSTHROUGH:
        page.mark("passthrough: the upstream alone decides who may call; nothing is refused here, WebSockets included")
        page.row("origins", "whatever the upstream allows")
    else:
        page.row("origins", "none")
        page.row("anything else", _REFUSED)
    name = f"`{route.policy_name}`, " if route.policy_name not in ("", "cors") else ""
    page.row("written in", f"{name}{route.place}")


def _write_policy(policy: CorsPolicy, page: _Page) -> None:
    page.row("origins", *(("any",) if policy.any_origin else map(_origin_in_words, policy.patterns)))
    page.row("WebSockets", *_sockets_in_words(policy))
    page.row("methods", _methods_in_words(policy))
    page.row("request headers", _request_headers_in_words(policy))
    page.row("response headers", _exposed_in_words(policy))
    page.row("credentials", "yes: cookies, HTTP authentication and client certificates" if policy.credentials else "no")
    page.row(
        "anything else",
        _REFUSED if policy.enforce else "reaches the upstream all the same, without grants: the browser hides the answer",
    )
    page.row("preflights", _memory_in_words(policy.max_age_s))


def _dangers(policy: CorsPolicy) -> Iterator[str]:
    if not policy.enforce:
        yield "enforce: false: what the policy does not allow is forwarded, and takes effect"
    if policy.credentials:
        yield "credentials: pages of these origins act as the visitor, with the visitor's session"
    if policy.any_origin:
        yield "any origin: every web site may call, and read the answers"
    if policy.sockets is not None and policy.sockets.any_origin:
        yield "any origin: every web site may open WebSockets"
    for pattern in dict.fromkeys((*policy.patterns, *(policy.sockets.patterns if policy.sockets is not None else ()))):
        yield from _dangers_of_origin(pattern, policy)
    if policy.methods is None:
        yield "any method: also those that the upstream will know one day"
    if policy.headers is None:
        yield f"any request header{', and Authorization' if policy.lists_authorization else ', but Authorization'}"
    if policy.exposed is None:
        yield "any response header: also what an answer says by mistake"


def _dangers_of_origin(pattern: OriginPattern, policy: CorsPolicy) -> Iterator[str]:
    text = pattern.text
    if pattern.kind is PatternKind.NULL:
        yield "null: any web site can take this origin on, with a sandboxed frame"
    if pattern.kind is PatternKind.REGEX:
        yield f"regex: whoever can get a name that `{text}` matches may call"
    if pattern.suffix:
        yield f"{text}: whoever controls any name below {pattern.suffix.decode().removeprefix('.')}, or a page there, may call"
    if pattern.any_port:
        yield f"{text}: whatever serves pages on any port there may call"
    if pattern.is_insecure:
        what = "use the visitor's session" if policy.credentials else "call"
        yield f"{text}: http, so whoever controls the visitor's network may {what}"


def _sockets_in_words(policy: CorsPolicy) -> tuple[str, ...]:
    """Say who may open one; `websocket_origins` is not held to `enforce`."""
    sockets = policy.sockets
    if sockets is None:
        return ("the same origins",)
    if sockets.any_origin:
        return ("any origin",)
    return tuple(map(_origin_in_words, sockets.patterns)) or ("none but of the proxy's own origin",)


def _origin_in_words(pattern: OriginPattern) -> str:
    return f"regex: {pattern.text}" if pattern.kind is PatternKind.REGEX else pattern.text


def _methods_in_words(policy: CorsPolicy) -> str:
    if policy.methods is None:
        return "any but CONNECT, TRACE and TRACK"
    listed = ", ".join(method.decode() for method in policy.methods)
    silent = sorted(method.decode() for method in SAFELISTED_METHODS.difference(policy.methods))
    return f"{listed}; and {', '.join(silent)}, which CORS always lets through" if silent else listed


def _request_headers_in_words(policy: CorsPolicy) -> str:
    if policy.headers is None:
        return "any, and Authorization" if policy.lists_authorization else "any but Authorization"
    listed = ", ".join(name.decode() for name in policy.header_list)
    return f"{listed}; and what CORS always lets through" if listed else "what CORS always lets through"


def _exposed_in_words(policy: CorsPolicy) -> str:
    always = "what CORS always exposes"
    if policy.exposed is None:
        return "any"
    listed = ", ".join(name.decode() for name in policy.exposed)
    return f"{listed}; and {always}" if listed else always


def _memory_in_words(max_age_s: int) -> str:
    if max_age_s == 0:
        return "are not remembered"
    each = ", ".join(f"{browser} {_duration(seconds)}" for browser, seconds in remembered_s(max_age_s).items())
    return f"are remembered for {_duration(max_age_s)}: {each}"


def _duration(seconds: int) -> str:
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _hosts_in_words(hosts: HostRules) -> str:
    if hosts.any_host:
        return "any Host name"
    names = sorted(name.decode() for name in hosts.names) + [f"*{suffix.decode()}" for suffix in hosts.suffixes]
    return ", ".join([*names, *(["localhost, *.localhost, IP addresses"] if hosts.loopback else [])])
