"""
What is asked of a call, in the order in which a browser and the proxy ask it: which rule asks, how it came out, and by which line.

It tells a rehearsed call step by step; it decides nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from corsproxy import problems
from corsproxy.answers import Answer
from corsproxy.config.choices import CorsMode
from corsproxy.config.diagnostics import Span
from corsproxy.config.nodes import Mapping, Node
from corsproxy.config.plaintext import is_private_host
from corsproxy.config.policies import place_of
from corsproxy.config.settings import Settings
from corsproxy.cors import browser
from corsproxy.cors.browser import CredentialsMode, PreflightNeed, Stage
from corsproxy.cors.decide import Reason
from corsproxy.cors.max_age import remembered_s
from corsproxy.cors.names import SAFELISTED_METHODS
from corsproxy.cors.origin import looks_like_ipv4, parse_origin
from corsproxy.cors.policy import CorsPolicy
from corsproxy.explanation.safelist import why_unsafe
from corsproxy.reasons import Why, need_in_words, places_of, verdict_in_words, why_exchange
from corsproxy.rehearse import Ending, Exchange, Rehearsal
from corsproxy.routes import is_local
from corsproxy.semantics.tokens import in_ascii


class Result(StrEnum):
    """How a check came out; the values are stable API."""

    PASSED = "passed"
    FAILED = "failed"
    NOTED = "noted"  # Nothing to pass or fail: it says how things stand.
    UNREACHED = "unreached"  # An earlier check failed.
    OPEN = "open"  # Only the upstream can tell.


@dataclass(frozen=True, slots=True)
class Check:
    """
    One check.

    `name` is a stable word, `rule` the standard's heading that asks it. `key` and `place` are the key of the file that decided, and
    where it stands (`file:line:column`), empty where none did.
    """

    name: str
    result: Result
    words: str
    rule: str
    key: str = ""
    place: str = ""


_NEED_RULES: Final = {
    PreflightNeed.METHOD: "Fetch, CORS-safelisted method",
    PreflightNeed.HEADERS: "Fetch, CORS-unsafe request-header names",
    PreflightNeed.UPLOAD_LISTENER: "Fetch, use-CORS-preflight flag",
    PreflightNeed.STREAM_BODY: "Fetch, use-CORS-preflight flag",
}
_SCRIPT_RULES: Final = {
    browser.Reason.INVALID_METHOD: "Fetch, method",
    browser.Reason.FORBIDDEN_METHOD: "Fetch, forbidden method",
    browser.Reason.INVALID_HEADER: "Fetch, header name",
    browser.Reason.BODY_NOT_ALLOWED: "Fetch, Request constructor",
    browser.Reason.MIXED_CONTENT: "Mixed Content, should fetching request be blocked",
}
_ROUTING: Final = (problems.NO_ROUTE, problems.AMBIGUOUS_PATH)
_METHOD_REASONS: Final = frozenset({Reason.METHOD_REFUSED, Reason.PREFLIGHT_METHOD_REFUSED})


def checks(settings: Settings, rehearsal: Rehearsal, root: Node | None = None) -> tuple[Check, ...]:
    """Tell a call check by check. `root` is the tree that the settings were read from: it has the places of keys outside of policies. Pure."""
    found: list[Check] = []
    for check in _Telling(settings, rehearsal, root).run():
        is_over = any(each.result is Result.FAILED for each in found)
        found.append(_after_the_end(check, rehearsal) if is_over else check)
    return tuple(found)


def _after_the_end(check: Check, rehearsal: Rehearsal) -> Check:
    """Say of a check behind the one that failed that it is not made; but a request that needs no preflight was sent already."""
    if check.name == "request" and rehearsal.outcome.stage is Stage.ACTUAL and rehearsal.actual.forwarded:
        return Check(check.name, Result.NOTED, "the upstream sees it all the same: only the answer is hidden", check.rule)
    return Check(check.name, Result.UNREACHED, "", check.rule)


@dataclass(frozen=True, slots=True)
class _Telling:
    settings: Settings
    rehearsal: Rehearsal
    root: Node | None

    def run(self) -> Iterator[Check]:
        rehearsal, verdict = self.rehearsal, self.rehearsal.outcome.verdict
        is_cross = browser.is_cross_origin(rehearsal.request)
        if rehearsal.outcome.stage is Stage.SCRIPT:
            yield Check("call", Result.FAILED, verdict_in_words(verdict), _SCRIPT_RULES[verdict.reason])
            return
        if rehearsal.call.websocket:
            yield Check("call", Result.PASSED, "a script may open it", "WebSockets, the constructor")
        else:
            method = in_ascii(browser.normalize_method(rehearsal.request.method))
            yield Check("call", Result.PASSED, f"a script may send {method}", "Fetch, forbidden method; forbidden request-header")
        yield self._origins(is_cross=is_cross)
        yield from self._local_network()
        yield from self._host_and_route()
        if rehearsal.call.websocket:
            yield self._gate()
            yield from self._limits()
            return
        if is_cross:
            yield self._preflight_need()
        if rehearsal.preflight is not None and rehearsal.preflight.planned.context.cors is not CorsMode.PASSTHROUGH:
            yield from self._preflight(rehearsal.preflight)
        yield from self._actual(is_cross=is_cross)

    # --- before the policy ---

    def _origins(self, *, is_cross: bool) -> Check:
        page, there = in_ascii(self.rehearsal.request.origin), in_ascii(self.rehearsal.request.url_origin)
        what = "another origin, so CORS applies" if is_cross else "the page's own origin, so CORS has no say"
        rule = "Fetch, main fetch" if not self.rehearsal.call.websocket else "WebSockets, establish a WebSocket connection"
        if self.rehearsal.call.websocket:
            what = "another origin: WebSockets know no CORS, so the proxy looks at Origin" if is_cross else "the page's own origin"
        words = f"`{page}` calls `{there}`: {what}"
        return self._keyed(Check("cross-origin", Result.NOTED, words, rule), "public_url")

    def _local_network(self) -> Iterator[Check]:
        """Say that a permission may be asked for: addresses are not looked up, so only names and literals are judged."""
        page, there = parse_origin(self.rehearsal.request.origin), parse_origin(self.rehearsal.request.url_origin)
        if there is None or not _is_near(there.host) or (page is not None and _is_near(page.host)):
            return
        words = "the page comes from elsewhere, and the proxy is on the visitor's machine or network: Chromium asks the visitor first"
        if page is None or page.scheme == b"http":
            words += ", and lets no page ask that came by plain http"
        yield Check("local-network", Result.NOTED, words, "Local Network Access, permission prompt: no header grants it")

    def _host_and_route(self) -> Iterator[Check]:
        exchange = self._first
        problem, host = exchange.problem, in_ascii(self.rehearsal.request.url_origin.partition(b"://")[2])
        if problem is problems.MISDIRECTED:
            yield self._keyed(Check("host", Result.FAILED, f"this proxy does not answer for `{host}`: 421", "RFC 9110, 7.4"), "hosts")
        else:
            yield self._keyed(Check("host", Result.PASSED, f"the proxy answers for `{host}`", "RFC 9110, 7.4"), "hosts")
        route, path = exchange.planned.context.route, in_ascii(self.rehearsal.call.path)
        rule = "longest path prefix"
        if route is not None:
            said = f"`{in_ascii(route.path)}` takes `{path}` to {route.upstream.url}"
            yield Check("route", Result.PASSED, said, rule, "routes", str(route.place))
        elif isinstance(exchange.planned, Answer) and problem in _ROUTING:
            yield Check("route", Result.FAILED, _said(exchange), rule)
        elif problem is not None and problem is not problems.MISDIRECTED:
            yield Check("request", Result.FAILED, _said(exchange), "RFC 9110")
        else:
            # A preflight to a path without a route is granted by the default policy, so that the script can read the 404.
            yield Check("route", Result.NOTED, f"no route takes `{path}`", rule)

    # --- the policy ---

    def _preflight_need(self) -> Check:
        request, need = self.rehearsal.request, self.rehearsal.need
        if need is None:
            rule = "Fetch, CORS-safelisted method; CORS-safelisted request-header"
            return Check("preflight", Result.NOTED, f"none is due: {need_in_words(self.rehearsal)}", rule)
        reasons = [need_in_words(self.rehearsal)] if need is not PreflightNeed.HEADERS else []
        reasons += [f"{in_ascii(name)} ({words})" for name, words in why_unsafe(request.headers)]
        return Check("preflight", Result.NOTED, f"one is due: {', '.join(reasons)}", _NEED_RULES[need])

    def _preflight(self, exchange: Exchange) -> Iterator[Check]:
        context = exchange.planned.context
        decision, policy, request = context.decision, context.cors, self.rehearsal.request
        verdict, failed = self.rehearsal.outcome.verdict, self.rehearsal.outcome.stage is Stage.PREFLIGHT
        if decision is None or not decision.granted:
            # The status fails it too, but the missing ACAO is what is seen first.
            yield self._checked("origin", Result.FAILED, "Fetch, CORS check", why_exchange(self.settings, exchange))
            return
        yield self._origin_granted(exchange)
        if request.credentials is CredentialsMode.INCLUDE:
            yield self._credentials(exchange)
        if not isinstance(policy, CorsPolicy):
            return
        method = in_ascii(browser.normalize_method(request.method))
        if decision.reason in _METHOD_REASONS:
            yield self._checked("method", Result.FAILED, "Fetch, CORS-preflight fetch", why_exchange(self.settings, exchange))
        else:
            is_safe = browser.normalize_method(request.method) in SAFELISTED_METHODS
            said = f"{method} needs no permission" if is_safe else f"`allow_methods` has {method}"
            yield self._policy_key(Check("method", Result.PASSED, said, "Fetch, CORS-preflight fetch"), "" if is_safe else "allow_methods")
        if names := browser.unsafe_header_names(request.headers):
            is_refused = decision.reason is Reason.PREFLIGHT_HEADER_REFUSED
            if is_refused:
                yield self._checked("headers", Result.FAILED, "Fetch, CORS-preflight fetch", why_exchange(self.settings, exchange))
            else:
                said = f"`allow_headers` has {', '.join(map(in_ascii, names))}"
                yield self._policy_key(Check("headers", Result.PASSED, said, "Fetch, CORS-preflight fetch"), "allow_headers")
        if failed and verdict.reason not in (browser.Reason.ACAC_NOT_TRUE, browser.Reason.ACAO_WILDCARD_WITH_CREDENTIALS):
            return
        yield self._policy_key(Check("preflight-cache", Result.NOTED, _memory(policy), "Fetch, CORS-preflight cache"), "max_age")

    def _actual(self, *, is_cross: bool) -> Iterator[Check]:
        rehearsal, exchange = self.rehearsal, self.rehearsal.actual
        context = exchange.planned.context
        if context.cors is CorsMode.PASSTHROUGH and is_cross:
            yield self._checked("origin", Result.OPEN, "Fetch, CORS check", why_exchange(self.settings, exchange))
            return
        had_preflight = rehearsal.preflight is not None
        if is_cross and not had_preflight and context.decision is not None:
            if context.decision.granted:
                yield self._origin_granted(exchange)
            else:
                yield self._checked("origin", Result.FAILED, "Fetch, CORS check", why_exchange(self.settings, exchange))
            if rehearsal.request.credentials is CredentialsMode.INCLUDE:
                yield self._credentials(exchange)
        yield from self._limits()
        if is_cross and exchange.problem is None and isinstance(context.cors, CorsPolicy):
            yield self._policy_key(
                Check("exposed", Result.NOTED, _exposed(context.cors), "Fetch, CORS filtered response"), "expose_headers"
            )

    def _gate(self) -> Check:
        exchange, decision = self.rehearsal.actual, self.rehearsal.actual.planned.context.decision
        result = Result.FAILED if decision is not None and decision.refused else Result.PASSED
        if exchange.planned.context.cors is CorsMode.PASSTHROUGH:
            result = Result.OPEN
        return self._checked("origin", result, "RFC 6455, 10.2", why_exchange(self.settings, exchange))

    def _limits(self) -> Iterator[Check]:
        """Tell whether the request itself gets through the proxy."""
        exchange, verdict = self.rehearsal.actual, self.rehearsal.outcome.verdict
        rule = "RFC 9110" if not self.rehearsal.call.websocket else "RFC 6455, 4.1"
        if exchange.problem is not None:
            yield Check("request", Result.FAILED, f"{exchange.problem.status}: {_said(exchange)}", rule)
        elif verdict.reason is browser.Reason.STREAM_OVER_HTTP1:
            yield Check("request", Result.FAILED, verdict_in_words(verdict), "Fetch, HTTP-network fetch")
        elif self.rehearsal.ending is Ending.UPSTREAM_DECIDES:
            yield Check("request", Result.OPEN, "the upstream answers", rule)
        else:
            yield Check("request", Result.PASSED, "the proxy forwards it", rule)

    # --- parts ---

    @property
    def _first(self) -> Exchange:
        return self.rehearsal.preflight if self.rehearsal.preflight is not None else self.rehearsal.actual

    def _origin_granted(self, exchange: Exchange) -> Check:
        found = why_exchange(self.settings, exchange)
        decision = exchange.planned.context.decision
        if decision is not None and decision.reason in (*_METHOD_REASONS, Reason.PREFLIGHT_HEADER_REFUSED):
            said = f"`allow_origins` lets `{in_ascii(decision.origin)}` in"
            return self._policy_key(Check("origin", Result.PASSED, said, "Fetch, CORS check"), "allow_origins")
        words = found.words.removesuffix(", with this method and these headers")
        return Check("origin", Result.PASSED, words, "Fetch, CORS check", found.key, found.place)

    def _credentials(self, exchange: Exchange) -> Check:
        policy = exchange.planned.context.cors
        rule = "Fetch, CORS check; CORS protocol and credentials"
        if isinstance(policy, CorsPolicy) and policy.any_origin:
            said = "the call is made with credentials, and for these the `*` of `allow_origins` does not count"
            return self._policy_key(Check("credentials", Result.FAILED, said, rule), "allow_origins")
        if isinstance(policy, CorsPolicy) and policy.credentials:
            return self._policy_key(Check("credentials", Result.PASSED, "the policy allows credentials", rule), "allow_credentials")
        said = "the call is made with credentials, and the policy does not say `allow_credentials: true`"
        return self._policy_key(Check("credentials", Result.FAILED, said, rule), "allow_credentials")

    def _checked(self, name: str, result: Result, rule: str, found: Why) -> Check:
        return Check(name, result, found.words, rule, found.key, found.place)

    def _policy_key(self, check: Check, key: str) -> Check:
        places = places_of(self.settings, self._first)
        if places is None or not key:
            return check
        return Check(check.name, check.result, check.words, check.rule, key, _place(places.keys.get(key, places.cors)))

    def _keyed(self, check: Check, key: str) -> Check:
        entry = self.root.entries.get(key) if isinstance(self.root, Mapping) else None
        if entry is None:
            return check
        return Check(check.name, check.result, check.words, check.rule, key, _place(entry.key.span))


def _is_near(host: bytes) -> bool:
    return is_local(host) or ((looks_like_ipv4(host) or host.startswith(b"[")) and is_private_host(host.decode().strip("[]")))


def _place(span: Span) -> str:
    return str(place_of(span))


def _said(exchange: Exchange) -> str:
    assert exchange.problem is not None  # noqa: S101 - whoever calls has looked
    said = exchange.problem.detail.removesuffix(".")
    return said[:1].lower() + said[1:]


def _memory(policy: CorsPolicy) -> str:
    if policy.max_age_s == 0:
        return "the browser asks again before each such request"
    each = ", ".join(f"{name} {seconds} s" for name, seconds in remembered_s(policy.max_age_s).items())
    return f"the browser asks once, and remembers: {each}"


def _exposed(policy: CorsPolicy) -> str:
    if policy.exposed is None:
        return "the script reads every header but Set-Cookie"
    listed = "".join(f"{in_ascii(name)}, " for name in policy.exposed)
    return f"the script reads {listed and f'{listed}and '}the seven headers that are always exposed"
