"""What a route's rules make of a response's lines, and what an operator is told of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.answers import Context, Exchange
from corsproxy.config.choices import CorsMode, Redirects
from corsproxy.config.settings import Route
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.decide import Facts, decide
from corsproxy.cors.policy import CorsPolicy, PolicyDraft, build_policy
from corsproxy.rewrite import Notice, rewrite
from corsproxy.semantics.cookies import CookieRules
from corsproxy.semantics.fields import FieldLine, survey_response
from corsproxy.semantics.rules import compile_rules

APP = b"https://app.example"
UP = Upstream("http://legacy:81/v1", "legacy", 81, b"legacy:81", b"/v1")
EXCHANGE = Exchange(request_id=b"request-1", authority=b"api.example:8443")
ID = (b"X-Request-Id", b"request-1")


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def policy_of(**changes: Any) -> CorsPolicy:
    policy, faults = build_policy(replace(PolicyDraft(("https://app.example",)), **changes))
    assert policy is not None, faults
    return policy


POLICY = policy_of()
CREDENTIALED = policy_of(allow_credentials=True)


def route_of(**changes: Any) -> Route:
    return replace(Route(b"/reports", UP, POLICY, strip_prefix=True), **changes)


def context_of(policy: CorsPolicy | CorsMode = POLICY, origin: bytes = APP, **exchange: Any) -> Context:
    decision = decide(policy, Facts(b"GET", (origin,) if origin else ())) if isinstance(policy, CorsPolicy) else None
    return Context(
        b"GET", 1, persistent=True, cors=policy, decision=decision, exchange=EXCHANGE._replace(**exchange), sent_host=b"legacy:81"
    )


def rewritten(*lines: FieldLine, route: Route | None = None, context: Context | None = None, status: int = 200) -> list[FieldLine]:
    return rewrite(context or context_of(), route or route_of(), status, survey_response(lines), []).passed


def noticed(*lines: FieldLine, route: Route | None = None, context: Context | None = None, status: int = 302) -> list[Notice]:
    notices: list[Notice] = []
    rewrite(context or context_of(), route or route_of(), status, survey_response(lines), notices)
    return notices


# --- rewriting ------------------------------------------------------------------------------------


def test_what_names_the_upstream_is_called_as_clients_call_it_and_all_else_keeps_its_bytes() -> None:
    lines = [
        (b"LOCATION", b"http://legacy:81/v1/a?b#c"),
        (b"X-Other", b"http://legacy:81/v1/a"),
        (b"content-location", b"/v1/a.json"),
        (b"Set-Cookie", b"a=1; Path=/v1/a; HttpOnly"),
        (b"Refresh", b"5; url=/v1/b"),
        (b"set-cookie", b"b=2;PATH=/other"),
        (b"Link", b"</v1/c>; rel=next"),
    ]

    assert rewritten(*lines) == [
        (b"LOCATION", b"/reports/a?b#c"),
        (b"X-Other", b"http://legacy:81/v1/a"),
        (b"content-location", b"/reports/a.json"),
        (b"Set-Cookie", b"a=1; Path=/reports/a; HttpOnly"),
        (b"Refresh", b"5; url=/reports/b"),
        (b"set-cookie", b"b=2;PATH=/other"),
        (b"Link", b"</v1/c>; rel=next"),
        ID,
    ]


@table(
    {
        "path-only without a public URL": (b"", b"http://legacy:81/v1/a", b"/reports/a"),
        "absolute with one": (b"https://api.example", b"http://legacy:81/v1/a", b"https://api.example/reports/a"),
        "path-only stays path-only": (b"https://api.example", b"/v1/a", b"/reports/a"),
        "the other scheme of the same port": (b"", b"https://legacy:81/v1/a", b"/reports/a"),
        "another port is another place": (b"", b"http://legacy/v1/a", b"http://legacy/v1/a"),
        "elsewhere": (b"", b"https://elsewhere.example/v1/a", b"https://elsewhere.example/v1/a"),
        "no way to a third place is made": (b"", b"http://legacy:81/v1//evil.example/", b"/reports//evil.example/"),
    }
)
def test_location_is_rewritten(case: Any) -> None:
    public, value, expected = case

    assert rewritten((b"Location", value), context=context_of(public=public))[0][1] == expected


def test_the_host_that_was_sent_names_the_upstream_too() -> None:
    context = replace(context_of(), sent_host=b"api.example")

    assert rewritten((b"Location", b"https://api.example/v1/"), context=context)[0][1] == b"/reports/"


def test_two_slashes_at_the_front_are_no_host() -> None:
    route = Route(b"/", replace(UP, path=b""), POLICY)

    assert rewritten((b"Location", b"http://legacy:81//evil.example/"), route=route)[0][1] == b"/.//evil.example/"


def test_redirects_that_are_to_be_kept_are_kept_and_cookies_are_not() -> None:
    lines = [(b"Location", b"http://legacy:81/v1/a"), (b"Refresh", b"0; url=/v1/a"), (b"Set-Cookie", b"a=1; Path=/v1")]
    route = route_of(redirects=Redirects.KEEP)

    assert rewritten(*lines, route=route) == [*lines[:2], (b"Set-Cookie", b"a=1; Path=/reports"), ID]


def test_cookies_are_rewritten_by_the_routes_rules() -> None:
    route = route_of(cookies=CookieRules(b"None", partitioned=True, domain=b"", path=False))

    assert rewritten((b"Set-Cookie", b"a=1; Domain=legacy; Path=/v1"), route=route) == [
        (b"Set-Cookie", b"a=1; Path=/v1; SameSite=None; Secure; Partitioned"),
        ID,
    ]


# --- header rules ---------------------------------------------------------------------------------


def test_the_routes_rules_have_the_last_word() -> None:
    rules = compile_rules([b"Server"], [(b"Location", b"/else"), (b"X-Frame-Options", b"DENY")], [(b"Set-Cookie", b"mine=1; Path=/v1")])
    lines = [(b"Server", b"x"), (b"Location", b"/v1/a"), (b"Set-Cookie", b"a=1; Path=/v1")]

    assert rewritten(*lines, route=route_of(response_headers=rules)) == [
        (b"Set-Cookie", b"a=1; Path=/reports"),
        (b"Location", b"/else"),
        (b"X-Frame-Options", b"DENY"),
        (b"Set-Cookie", b"mine=1; Path=/v1"),
        ID,
    ]


@table(
    {
        "set": (compile_rules(replace=[(b"Vary", b"Accept")]), [b"Accept"]),
        "removed": (compile_rules(remove=[b"vary"]), []),
        "added": (compile_rules(add=[(b"Vary", b"Accept")]), [b"Cookie", b"Accept"]),
        "left alone": (compile_rules(remove=[b"Server"]), [b"Cookie"]),
    }
)
def test_vary_is_noted_as_the_rules_leave_it(case: Any) -> None:
    rules, expected = case
    survey = rewrite(context_of(), route_of(response_headers=rules), 200, survey_response([(b"Vary", b"Cookie")]), [])

    assert survey.noted[b"vary"] == expected
    assert [value for name, value in survey.passed if name == b"Vary"] == expected


# --- the request's id -----------------------------------------------------------------------------


def test_the_upstreams_own_id_is_replaced() -> None:
    assert rewritten((b"x-request-id", b"upstreams-own"), (b"X-A", b"b"), (b"X-Request-Id", b"another")) == [(b"X-A", b"b"), ID]


def test_another_name_for_it_leaves_the_usual_one_alone() -> None:
    context = context_of(request_id_header=b"X-Trace")
    lines = [(b"X-Request-Id", b"upstreams-own"), (b"X-TRACE", b"upstreams-own")]

    assert rewritten(*lines, context=context) == [lines[0], (b"X-Trace", b"request-1")]


def test_an_exchange_without_a_name_changes_nothing() -> None:
    lines = [(b"X-Request-Id", b"upstreams-own")]

    assert rewritten(*lines, context=context_of(request_id=b"")) == lines


# --- notices of cookies ---------------------------------------------------------------------------


CROSS = {"is_cross_site": True}


@table(
    {
        "a good one": (CREDENTIALED, {}, b"sid=s3cret; Secure; SameSite=None", None),
        "without SameSite, to another site": (CREDENTIALED, CROSS, b"sid=s3cret", "sid of route /reports: same-site"),
        "without SameSite, to the same site": (CREDENTIALED, {}, b"sid=s3cret", None),
        "without SameSite, where browsers take no cookie anyway": (POLICY, CROSS, b"sid=s3cret", None),
        "without SameSite, where CORS is the upstream's": (CorsMode.PASSTHROUGH, CROSS, b"sid=s3cret", None),
        "SameSite=None without Secure": (POLICY, {}, b"sid=s3cret; SameSite=None", "sid of route /reports: none-without-secure"),
        "Secure over plain http": (POLICY, {"is_secure": False}, b"sid=s3cret; Secure", "sid of route /reports: secure-over-http"),
        "Secure over https": (POLICY, {"is_secure": True}, b"sid=s3cret; Secure", None),
        "Secure over who knows what": (POLICY, {"is_secure": None}, b"sid=s3cret; Secure", None),
        "the domain of the upstream": (POLICY, {}, b"sid=s3cret; Domain=legacy", "sid of route /reports: foreign-domain"),
        "the domain of the host that was asked, whatever its port": (POLICY, {}, b"sid=s3cret; Domain=api.example", None),
        "the domain of the public URL": (
            POLICY,
            {"public": b"https://shop.example:8443", "authority": b"internal"},
            b"sid=s3cret; Domain=shop.example",
            None,
        ),
        "without a name": (POLICY, {}, b"__Host-s3cret", "without a name of route /reports: nameless-prefix"),
        "a name that cannot be shown": (POLICY, {}, b"s\xe9 d=s3cret; SameSite=None", "? of route /reports: none-without-secure"),
        "a very long name": (
            POLICY,
            {},
            b"n" * 100 + b"=s3cret; SameSite=None",
            "n" * 64 + " of route /reports: none-without-secure",
        ),
    }
)
def test_a_cookie_that_browsers_drop_is_noticed_without_its_value(case: Any) -> None:
    policy, exchange, value, expected = case
    found = noticed((b"Set-Cookie", value), context=context_of(policy, **exchange))

    assert [notice.text for notice in found] == ([] if expected is None else [f"browsers drop the cookie {expected}"])
    assert all(notice.problem is problems.COOKIE_DROPPED for notice in found)
    assert "s3cret" not in repr(found)


def test_a_cookie_is_judged_as_the_client_gets_it() -> None:
    line = (b"Set-Cookie", b"sid=1; SameSite=None")

    assert noticed(line, route=route_of(cookies=CookieRules(secure=True))) == []
    assert noticed(line, route=route_of(response_headers=compile_rules([b"Set-Cookie"]))) == []


def test_two_cookies_are_two_subjects_and_two_lines_of_one_are_one() -> None:
    found = noticed(*[(b"Set-Cookie", value) for value in (b"a=1; SameSite=None", b"b=1; SameSite=None", b"a=2; SameSite=None")])

    assert [notice.subject for notice in found] == ["a none-without-secure", "b none-without-secure", "a none-without-secure"]


# --- notices of redirects -------------------------------------------------------------------------


AWAY = b"https://elsewhere.example/"
OTHER = b"https://other.example"


@table(
    {
        "to a third place": (AWAY, {}, 302, True),
        "any other redirect": (AWAY, {}, 308, True),
        "of a created resource, which nobody follows": (AWAY, {}, 201, False),
        "of a 200": (AWAY, {}, 200, False),
        "of a 304": (AWAY, {}, 304, False),
        "to the upstream, which becomes us": (b"http://legacy:81/v1/x", {}, 302, False),
        "to the upstream, where we do not reach": (b"http://legacy:81/x", {}, 302, True),
        "relative": (b"x", {}, 302, False),
        "path-only": (b"/x", {}, 302, False),
        "to what the client calls us": (b"https://api.example:8443/x", {}, 302, False),
        "to the public URL": (b"https://shop.example/x", {"exchange": {"public": b"https://shop.example"}}, 302, False),
        "of a request without Origin": (AWAY, {"origin": b""}, 302, False),
        "of an origin that is told nothing": (AWAY, {"policy": policy_of(enforce=False), "origin": OTHER}, 302, False),
        "kept, to the upstream": (b"http://legacy:81/v1/x", {"route": {"redirects": Redirects.KEEP}}, 302, True),
        "kept, path-only": (b"/v1/x", {"route": {"redirects": Redirects.KEEP}}, 302, False),
        "where CORS is the upstream's": (AWAY, {"policy": CorsMode.PASSTHROUGH}, 302, False),
        "where a rule writes another": (
            AWAY,
            {"route": {"response_headers": compile_rules(replace=[(b"Location", b"/")])}},
            302,
            False,
        ),
    }
)
def test_a_redirect_that_loses_the_origin_is_noticed(case: Any) -> None:
    value, given, status, expected = case
    context = context_of(given.get("policy", POLICY), given.get("origin", APP), **given.get("exchange", {}))
    found = noticed((b"Location", value), route=route_of(**given.get("route", {})), context=context, status=status)

    text = "a redirect of route /reports leaves for another origin: the browser's next request says `Origin: null`"
    assert found == ([Notice(problems.ORIGIN_LOST, "/reports", "", text)] if expected else [])
