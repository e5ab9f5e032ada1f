"""
Run the tests that a file brings along.

It knows what each expectation means of a rehearsed call, and how to say in one diagnostic what was expected, what
happened, and which line decided.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from corsproxy import problems
from corsproxy.config.choices import CorsMode
from corsproxy.config.diagnostics import Diagnostic, Span, diagnostic
from corsproxy.config.expectations import Expectation, ExpectedField, PolicyTest
from corsproxy.config.settings import Settings
from corsproxy.cors.decide import Reason
from corsproxy.reasons import Why, why, why_exchange
from corsproxy.rehearse import Call, Ending, Exchange, Rehearsal, rehearse

# Fields whose values follow from the policy and the request. Others may be set from a secret, so they are never shown.
_OPEN: Final = frozenset({"vary", "content-type", "content-length", "location", "timing-allow-origin", "cross-origin-resource-policy"})


def run(settings: Settings) -> tuple[Diagnostic, ...]:
    """
    Run every test of the settings; returns what failed, in the file's order.

    Pure: the rules of the live proxy, and no upstream.

    Spec: Fetch #http-cors-protocol.
    """
    return tuple(found for test in settings.tests for found in _run_one(settings, test))


def _run_one(settings: Settings, test: PolicyTest) -> Iterator[Diagnostic]:
    rehearsal = rehearse(settings, Call(test.origin, test.method, test.path, test.host, test.credentials, test.headers, test.websocket))
    senseless = _senseless(settings, test, rehearsal)
    if senseless is not None:
        yield senseless
    elif isinstance(test.expect, Expectation):
        found = _judge(settings, test, test.expect, rehearsal)
        if found is not None:
            yield found
    else:
        for field in test.expect:
            found = _judge_field(settings, test, field, rehearsal)
            if found is not None:
                yield found


def _senseless(settings: Settings, test: PolicyTest, rehearsal: Rehearsal) -> Diagnostic | None:
    """Say why this request can test no policy, if that is so."""
    problem = rehearsal.actual.problem
    if problem is not None and problem.status != 403:
        words = why_exchange(settings, rehearsal.actual).words
        message = f"{_named(test)} tests no policy: the proxy answers {problem.status}, because {words}"
        return diagnostic(problems.BAD_TEST, test.span, message, _served(settings, is_host=problem is problems.MISDIRECTED))
    if isinstance(test.expect, Expectation) and rehearsal.actual.planned.context.cors is CorsMode.PASSTHROUGH and test.origin:
        message = f"{_named(test)} tests no policy: its route says `cors: passthrough`, so the upstream decides"
        return diagnostic(problems.BAD_TEST, test.span, message, "take the test out, or give the route a policy")
    return None


def _served(settings: Settings, *, is_host: bool) -> str:
    if is_host:
        return f"name a host that is served, as `host: {min(settings.hosts.names, default=b'localhost').decode()}`"
    return f"name a path that is served, as `path: {settings.routes[0].path.decode()}`"


def _judge(settings: Settings, test: PolicyTest, expect: Expectation, rehearsal: Rehearsal) -> Diagnostic | None:
    works = rehearsal.ending is Ending.WORKS
    # What counts is the request itself: a preflight is asked by browsers only, and not by each of their requests.
    is_refused = rehearsal.actual.problem is not None
    holds = {Expectation.ALLOW: works, Expectation.DENY: not works, Expectation.REFUSED: is_refused}[expect]
    if holds:
        return None
    reason = why(settings, rehearsal)
    if expect is Expectation.REFUSED:
        reason = why_exchange(settings, rehearsal.actual)
        happened = "the request reaches the upstream"
        if not works:
            happened += f", though a browser {'would not send it' if rehearsal.decisive is rehearsal.preflight else 'hides the answer'}"
            reason = _why_forwarded(settings, rehearsal)
    elif works:
        happened = "it works" if test.origin else "it reaches the upstream"
    else:
        happened = _refused_by(rehearsal)
    return _failure(test.span, f"{_named(test)} should be `{expect}`, but {happened}", reason)


def _why_forwarded(settings: Settings, rehearsal: Rehearsal) -> Why:
    """Say why a request that a browser refuses goes upstream all the same."""
    reason, decision = why(settings, rehearsal), rehearsal.actual.planned.context.decision
    if decision is not None and decision.reason is not Reason.ORIGIN_ALLOWED:
        return replace(reason, words=f"{reason.words}, and the policy says `enforce: false`")
    who = "preflights are" if reason.code == Reason.PREFLIGHT_HEADER_REFUSED else "the browser is"
    return replace(reason, words=f"{reason.words}, and only {who} held to that")


def _refused_by(rehearsal: Rehearsal) -> str:
    if rehearsal.ending is Ending.PROXY_REFUSES:
        return "the proxy refuses it with 403"
    if rehearsal.decisive is rehearsal.preflight:
        return "its preflight fails"
    return "the browser hides the answer"


def _judge_field(settings: Settings, test: PolicyTest, field: ExpectedField, rehearsal: Rehearsal) -> Diagnostic | None:
    found = _combined(rehearsal.actual, field.name)
    if found == field.value:
        return None
    name = field.name.decode()
    is_open = name.lower() in _OPEN or name.lower().startswith("access-control-")
    is_open = is_open and name.lower().encode() not in rehearsal.actual.secret
    wanted = f"have {_shown(name, field.value, 'this', is_open=is_open)}" if field.value is not None else f"have no `{name}`"
    happened = f"it has {_shown(name, found, 'another', is_open=is_open)}" if found is not None else "it has none"
    return _failure(field.span, f"the response to {_named(test)} should {wanted}, but {happened}", why_exchange(settings, rehearsal.actual))


def _combined(exchange: Exchange, name: bytes) -> bytes | None:
    # > A recipient MAY combine multiple field lines within a field section that have the same field name into one field line (RFC 9110 5.3)
    values = [value for each, value in exchange.response.fields if each.lower() == name.lower()]
    return b", ".join(values) if values else None


def _failure(span: Span, message: str, reason: Why) -> Diagnostic:
    because = f": {reason.words} ({reason.code})" if reason.words else ""
    what = f"`{reason.key}`" if reason.is_written else "the policy"
    help_ = f"see {what} at {reason.place}, or change what the test expects" if reason.place else "change what the test expects"
    return diagnostic(problems.TEST_FAILED, span, message + because, help_)


def _named(test: PolicyTest) -> str:
    """Name the request, for a test has no name of its own."""
    said = f"{'the WebSocket ' if test.websocket else ''}`{test.method.decode()} {test.path.decode()}`"
    if test.host:
        said += f" at `{test.host.decode()}`"
    said += f" from `{test.origin.decode()}`" if test.origin else " without Origin"
    if test.headers:
        said += f" with {', '.join(f'`{name.decode()}`' for name in test.headers)}"
    if test.credentials is not None:
        said += (
            " and credentials" if test.credentials and test.headers else " with credentials" if test.credentials else " without credentials"
        )
    return said


def _shown(name: str, value: bytes, instead: str, *, is_open: bool) -> str:
    return f"`{name}: {value.decode('utf-8', 'backslashreplace')}`" if is_open else f"{instead} `{name}`"
