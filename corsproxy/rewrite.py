"""
What a route's rules make of a response's lines: cookies, redirects, header rules, the request's id.

Pure. It also notices what an operator should know: cookies that browsers will drop, redirects that lose the origin.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from corsproxy import problems, routes
from corsproxy.answers import Context
from corsproxy.config.choices import Redirects
from corsproxy.config.settings import Route
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.decide import Kind, Reason
from corsproxy.cors.policy import CorsPolicy
from corsproxy.problems import Problem
from corsproxy.semantics.cookies import cookie_fault, cookie_name, rewrite_set_cookie
from corsproxy.semantics.fields import FieldLine, Survey
from corsproxy.semantics.redirects import Places, leaves, rewrite_location, rewrite_refresh, upstream_authorities
from corsproxy.semantics.tokens import is_token

_REFERENCES: Final = frozenset({b"location", b"content-location", b"refresh"})
_REWRITTEN: Final = (b"set-cookie", *_REFERENCES)
# Fetch #redirect-status: what Location means elsewhere, nobody follows.
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NOWHERE: Final = Places(frozenset())
_MAX_SHOWN: Final = 64


class Notice(NamedTuple):
    """Something about an exchange that an operator should be told once. `subject` tells one such thing from another."""

    problem: Problem
    route: str
    subject: str
    text: str


def rewrite(context: Context, route: Route, status: int, survey: Survey, notices: list[Notice]) -> Survey:
    """
    Rewrite a response's lines; what there is to tell is added to `notices`.

    The route's own rules have the last word, and the request's id stands for the upstream's.

    Spec: RFC 6265bis 5.6; RFC 9110 10.2.2.
    """
    lines, noted = survey.passed, survey.noted
    if any(name in noted for name in _REWRITTEN):
        lines = [_rewrite_line(line, context, route) for line in lines]
    rules = route.response_headers
    if rules:
        lines = rules.apply(lines)
        noted = {**noted, b"vary": [value for name, value in lines if name.lower() == b"vary"]}
    if b"set-cookie" in noted:
        for name, value in lines:
            if name.lower() == b"set-cookie":
                _judge_cookie(value, context, route, notices)
    if status in _REDIRECTS and b"location" in noted and not rules.drops(b"location"):
        _judge_location(noted[b"location"], context, route, notices)
    return Survey(_with_request_id(context, lines), noted)


def rewrite_cookie(context: Context, route: Route, value: bytes, notices: list[Notice]) -> bytes:
    """
    Rewrite one Set-Cookie line that no header rule concerns, as `rewrite` does.

    Spec: RFC 6265bis 5.6.
    """
    value = rewrite_set_cookie(value, route.cookies, route.paths)
    _judge_cookie(value, context, route, notices)
    return value


def _with_request_id(context: Context, lines: list[FieldLine]) -> list[FieldLine]:
    exchange = context.exchange
    if not exchange.request_id:
        return lines
    name = exchange.request_id_header.lower()
    kept = [line for line in lines if line[0].lower() != name]
    kept.append((exchange.request_id_header, exchange.request_id))
    return kept


def _rewrite_line(line: FieldLine, context: Context, route: Route) -> FieldLine:
    name, value = line
    lower = name.lower()
    if lower == b"set-cookie":
        value = rewrite_set_cookie(value, route.cookies, route.paths)
    elif lower in _REFERENCES and route.redirects is Redirects.REWRITE:
        places = _places_of(context, route)
        value = rewrite_refresh(value, places) if lower == b"refresh" else rewrite_location(value, places)
    return line if value is line[1] else (name, value)


def _places_of(context: Context, route: Route) -> Places:
    return _places(route.upstream, context.sent_host, route.paths.base, route.paths.stripped, context.exchange.public)


@lru_cache(maxsize=1024)
def _places(upstream: Upstream, sent_host: bytes, base: bytes, stripped: bytes, public: bytes) -> Places:
    return Places(upstream_authorities(upstream.authority, upstream.tls, sent_host), base, stripped, public)


def _judge_cookie(value: bytes, context: Context, route: Route, notices: list[Notice]) -> None:
    exchange, policy, decision = context.exchange, context.cors, context.decision
    # Without credentials a browser takes no cookie from the answer, whatever it says.
    takes_cookies = isinstance(policy, CorsPolicy) and policy.credentials and decision is not None and decision.granted
    fault = cookie_fault(
        value,
        is_secure_transport=exchange.is_secure is not False,
        host=routes.without_port(exchange.public.partition(b"://")[2] or exchange.authority),
        is_cross_site=exchange.is_cross_site and takes_cookies,
    )
    if fault is not None:
        name = _shown(cookie_name(value)[:_MAX_SHOWN])
        text = f"browsers drop the cookie {name or 'without a name'} of route {_shown(route.path)}: {fault.value}"
        notices.append(Notice(problems.COOKIE_DROPPED, _shown(route.path), f"{name} {fault.value}", text))


def _judge_location(values: list[bytes], context: Context, route: Route, notices: list[Notice]) -> None:
    decision, exchange = context.decision, context.exchange
    if decision is None or decision.kind is not Kind.ACTUAL or decision.reason is not Reason.ORIGIN_ALLOWED:
        return
    places = _places_of(context, route) if route.redirects is Redirects.REWRITE else _NOWHERE
    # Whichever scheme the client sees: what is wrong about it is not this notice's to say.
    own = [exchange.public] if exchange.public else [scheme + exchange.authority for scheme in (b"http://", b"https://")]
    if any(leaves(value, places, own) for value in values):
        text = f"a redirect of route {_shown(route.path)} leaves for another origin: the browser's next request says `Origin: null`"
        notices.append(Notice(problems.ORIGIN_LOST, _shown(route.path), "", text))


def _shown(name: bytes) -> str:
    """Return a name for a log line, within bounds; what is no token or path is not repeated."""
    return name[:_MAX_SHOWN].decode("ascii") if is_token(name.replace(b"/", b"")) or name == b"/" else "?" if name else ""
