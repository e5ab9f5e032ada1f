"""
A policy in words, for those who have to answer for it: who may call what, with what.

It says what the settings mean and not what the file says: of a policy, defaults and what CORS itself lets in are named too; of all
else, what differs from the default. What deserves a second look comes first, and is marked.
"""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from corsproxy.cli import words
from corsproxy.config.choices import CorsMode
from corsproxy.config.nodes import Mapping, Node, Scalar, Sequence
from corsproxy.config.render import MAX_LINE, escape
from corsproxy.config.settings import Route, RouteLimits, Settings
from corsproxy.config.suffixes import is_public_suffix
from corsproxy.cors.max_age import remembered_s
from corsproxy.cors.names import SAFELISTED_METHODS
from corsproxy.cors.pattern import OriginPattern, PatternKind
from corsproxy.cors.policy import CorsPolicy

_LABEL_WIDTH: Final = 17
# `enforce` protects visitors with browsers and is no authentication, so what it lets pass is said in the same breath.
_REFUSED: Final = "cross-origin: 403, and the upstream never sees it; requests without Origin pass"
_BOLD, _ALARM, _RESET = "\x1b[1m", "\x1b[1;33m", "\x1b[0m"


def review(settings: Settings, *, root: Node | None = None, colour: bool = False) -> str:
    """
    Say in words what a policy lets in, route by route. `root` is the tree that the settings were read from.

    Pure. Holds no control character but line ends, and ANSI colours if asked for. It may hold secrets that are no header values.
    """
    page = _Page(colour=colour)
    _write_proxy(settings, root, page)
    are_limited = any(route.limits != RouteLimits() for route in settings.routes)
    # Routes for certain hosts are asked first.
    for route in sorted(settings.routes, key=lambda route: not route.hosts):
        _write_route(route, page)
        page.rows((("limits", words.limits(route.limits) if are_limited else ""), ("written in", _place_in_words(route))))
    if all(route.path != b"/" or route.hosts for route in settings.routes):
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
            for line in _folded(escape(text), MAX_LINE - _LABEL_WIDTH - 3):
                self.lines.append(f"  {label:{_LABEL_WIDTH}} {line}")
                label = ""

    def rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Write those that have something to say."""
        for label, text in rows:
            if text:
                self.row(label, text)

    def mark(self, text: str) -> None:
        for number, line in enumerate(_folded(escape(text), MAX_LINE - 2)):
            self.lines.append(self._paint(f"{' ' if number else '!'} {line}", _ALARM))
        self.marked += 1

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if self._colour else text


def _folded(text: str, width: int) -> list[str]:
    """Break a text at spaces; what has none stays whole, because an origin in two pieces is none."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _write_proxy(settings: Settings, root: Node | None, page: _Page) -> None:
    """Write what is so for every route."""
    tls, forwarding = settings.tls, settings.forwarding
    page.row("listens on", words.listening(settings.listen, tls))
    if tls is not None and tls.client_ca_file:
        page.row("clients", words.client_certificates(tls))
        if not tls.requires_client_certificate:
            page.mark("client_certificate: optional: who shows no certificate passes too")
    page.row("answers for", words.hosts(settings.hosts))
    if settings.hosts.any_host:
        page.mark("any Host name: a web page can make its own name lead here, and is then of the same origin (DNS rebinding)")
    if forwarding.trusted:
        page.row("believes", words.believed(forwarding))
        for network in words.open_networks(forwarding):
            page.mark(f"{network}: every client says itself who it is, and by which scheme and host it came")
    page.rows((("admin", words.admin(settings.admin)),))
    for mark in words.dangers_of_admin(settings.admin):
        page.mark(mark)
    page.rows(
        (
            ("tells upstreams", "" if words.is_usual_told(forwarding) else words.told(forwarding)),
            ("request ids", words.request_ids(forwarding)),
            ("rate limit", words.rate_limit(settings.rate_limit)),
            ("unused policies", ", ".join(_unused_policies(root))),
        )
    )
    tests = len(settings.tests)
    held = f"{tests}, {'which holds' if tests == 1 else 'and all hold'}"
    page.row("policy tests", held if tests else "none yet: write calls that must work, and calls that must not, under `tests`")


def _unused_policies(root: Node | None) -> list[str]:
    """Name the policies that no `cors` names."""
    if not isinstance(root, Mapping) or "policies" not in root.entries:
        return []
    policies, routes = root.entries["policies"].value, root.entries.get("routes")
    places = [root, *(routes.value.items if routes is not None and isinstance(routes.value, Sequence) else ())]
    said = [place.entries["cors"].value for place in places if isinstance(place, Mapping) and "cors" in place.entries]
    used = {node.text for node in said if isinstance(node, Scalar)}
    return [name for name in policies.entries if name not in used] if isinstance(policies, Mapping) else []


def _write_route(route: Route, page: _Page) -> None:
    on = f" on {', '.join(route.hosts)}" if route.hosts else ""
    page.heading(f"{route.path.decode()}{on} to {route.upstream.url}")
    for mark in (*words.dangers_of_upstream(route), *_dangers_of_cookies(route)):
        page.mark(mark)
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
    page.row("upstream", *words.upstream(route))
    page.row("cookies", *words.cookies(route.cookies))
    page.rows(
        (
            ("to the upstream", words.header_rules(route.request_headers)),
            ("to the client", words.header_rules(route.response_headers)),
            ("redirects", words.redirects(route.redirects)),
        )
    )


def _place_in_words(route: Route) -> str:
    name = f"`{route.policy_name}`, " if route.policy_name not in ("", "cors") else ""
    return f"{name}{route.place}"


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
    page.rows(
        (
            ("timing", "scripts of these origins see where the time of a call goes" if policy.timing else ""),
            ("embedding", f"Cross-Origin-Resource-Policy: {policy.resource_policy.decode()}" if policy.resource_policy else ""),
        )
    )


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
    if policy.private_network:
        yield "allow_private_network: pages from the internet may call this proxy inside a private network"


def _dangers_of_cookies(route: Route) -> Iterator[str]:
    if route.cookies.same_site == b"None":
        yield "SameSite=None: browsers send the upstream's cookies along from every site, even with images"


def _dangers_of_origin(pattern: OriginPattern, policy: CorsPolicy) -> Iterator[str]:
    text = pattern.text
    if pattern.kind is PatternKind.NULL:
        yield "null: any web site can take this origin on, with a sandboxed frame"
    if pattern.kind is PatternKind.REGEX:
        yield f"regex: whoever can get a name that `{text}` matches may call"
    if pattern.suffix:
        below = pattern.suffix.decode().removeprefix(".")
        who = "everybody can have a name" if is_public_suffix(below) else "whoever controls any name"
        yield f"{text}: {who} below {below}, {'and' if is_public_suffix(below) else 'or a page there,'} may call"
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
    each = ", ".join(f"{browser} {words.duration(seconds)}" for browser, seconds in remembered_s(max_age_s).items())
    return f"are remembered for {words.duration(max_age_s)}: {each}"
