"""What the CORS protocol asks of each request, case by case."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from corsproxy.cors import decide as module
from corsproxy.cors.decide import Decision, Facts, Kind, Reason, decide, decide_without_cors, is_preflight, is_same_origin
from corsproxy.cors.pattern import OriginPattern
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, build_policy

APP = b"https://app.example"
EVIL = b"https://evil.example"


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def policy_of(draft: PolicyDraft) -> CorsPolicy:
    policy, faults = build_policy(draft)
    assert policy is not None, faults
    return policy


DRAFT = PolicyDraft(("https://app.example",), allow_methods=("GET", "HEAD", "POST", "PUT"), allow_headers=("Content-Type", "X-A"))
POLICY = policy_of(DRAFT)
LAX = policy_of(replace(DRAFT, enforce=False))
PUBLIC = policy_of(replace(DRAFT, allow_origins=(ANY,)))
ANYTHING = policy_of(replace(DRAFT, allow_methods=(ANY,), allow_headers=(ANY,)))
ENTRY = POLICY.patterns[0]

GET = Facts(b"GET", (APP,))
PREFLIGHT = Facts(b"OPTIONS", (APP,), request_method=(b"PUT",))


def asking(*headers: bytes, method: bytes = b"PUT") -> Facts:
    return replace(PREFLIGHT, request_method=(method,), request_headers=headers)


def summary(decision: Decision) -> tuple[Kind, Reason, bool, bool]:
    return decision.kind, decision.reason, decision.granted, decision.refused


def test_reason_codes_are_stable() -> None:
    assert [reason.value for reason in Reason] == [
        "no-origin",
        "same-origin",
        "origin-allowed",
        "origin-refused",
        "origin-malformed",
        "origin-repeated",
        "method-refused",
        "preflight-granted",
        "preflight-method-refused",
        "preflight-method-malformed",
        "preflight-header-refused",
        "preflight-headers-malformed",
        "preflight-headers-too-many",
        "cors-none",
        "cors-passthrough",
    ]
    assert [kind.value for kind in Kind] == ["not-cors", "preflight", "actual", "websocket"]


# --- classifying ----------------------------------------------------------------------------------


@table(
    {
        "all three": (PREFLIGHT, True),
        "all three, with request headers": (asking(b"x-a"), True),
        "an empty Access-Control-Request-Method is present": (asking(method=b""), True),
        "no Access-Control-Request-Method": (Facts(b"OPTIONS", (APP,)), False),
        "Access-Control-Request-Headers alone": (Facts(b"OPTIONS", (APP,), request_headers=(b"x-a",)), False),
        "no Origin": (replace(PREFLIGHT, origin=()), False),
        "another method": (replace(PREFLIGHT, method=b"GET"), False),
        "options in lower case": (replace(PREFLIGHT, method=b"options"), False),
    }
)
def test_is_preflight(case: Any) -> None:
    """Rule 2: a preflight is OPTIONS and Origin and Access-Control-Request-Method."""
    facts, expected = case

    assert is_preflight(facts) is expected


@table(
    {
        "no Origin": (POLICY, Facts(b"GET"), (Kind.NOT_CORS, Reason.NO_ORIGIN, False, False)),
        "no Origin, whatever the method": (POLICY, Facts(b"DELETE"), (Kind.NOT_CORS, Reason.NO_ORIGIN, False, False)),
        "no Origin, whatever Sec-Fetch-Site says": (
            POLICY,
            Facts(b"POST", fetch_site=(b"cross-site",)),
            (Kind.NOT_CORS, Reason.NO_ORIGIN, False, False),
        ),
        "OPTIONS without Origin": (POLICY, replace(PREFLIGHT, origin=()), (Kind.NOT_CORS, Reason.NO_ORIGIN, False, False)),
        "an allowed origin": (POLICY, GET, (Kind.ACTUAL, Reason.ORIGIN_ALLOWED, True, False)),
        "an allowed origin, cross-site by its own word": (
            POLICY,
            replace(GET, fetch_site=(b"cross-site",)),
            (Kind.ACTUAL, Reason.ORIGIN_ALLOWED, True, False),
        ),
        "an allowed origin, without enforce": (LAX, GET, (Kind.ACTUAL, Reason.ORIGIN_ALLOWED, True, False)),
        "another origin": (POLICY, replace(GET, origin=(EVIL,)), (Kind.ACTUAL, Reason.ORIGIN_REFUSED, False, True)),
        "another origin, without enforce": (LAX, replace(GET, origin=(EVIL,)), (Kind.ACTUAL, Reason.ORIGIN_REFUSED, False, False)),
        "a simple POST of another origin": (POLICY, Facts(b"POST", (EVIL,)), (Kind.ACTUAL, Reason.ORIGIN_REFUSED, False, True)),
        "null": (POLICY, Facts(b"POST", (b"null",)), (Kind.ACTUAL, Reason.ORIGIN_REFUSED, False, True)),
        "null under `*`": (PUBLIC, replace(GET, origin=(b"null",)), (Kind.ACTUAL, Reason.ORIGIN_ALLOWED, True, False)),
        "two Origin lines": (POLICY, replace(GET, origin=(APP, APP)), (Kind.ACTUAL, Reason.ORIGIN_REPEATED, False, True)),
        "two Origin lines under `*`": (PUBLIC, replace(GET, origin=(APP, APP)), (Kind.ACTUAL, Reason.ORIGIN_REPEATED, False, True)),
        "a list in one Origin line": (
            POLICY,
            replace(GET, origin=(APP + b", " + EVIL,)),
            (Kind.ACTUAL, Reason.ORIGIN_MALFORMED, False, True),
        ),
        "a space list": (POLICY, replace(GET, origin=(APP + b" " + EVIL,)), (Kind.ACTUAL, Reason.ORIGIN_MALFORMED, False, True)),
        "an empty Origin": (POLICY, replace(GET, origin=(b"",)), (Kind.ACTUAL, Reason.ORIGIN_MALFORMED, False, True)),
        "a trailing slash": (POLICY, replace(GET, origin=(APP + b"/",)), (Kind.ACTUAL, Reason.ORIGIN_MALFORMED, False, True)),
        "the default port": (POLICY, replace(GET, origin=(APP + b":443",)), (Kind.ACTUAL, Reason.ORIGIN_MALFORMED, False, True)),
        "upper case": (POLICY, replace(GET, origin=(b"https://App.example",)), (Kind.ACTUAL, Reason.ORIGIN_MALFORMED, False, True)),
        "upper case under `*`": (
            PUBLIC,
            replace(GET, origin=(b"https://App.example",)),
            (Kind.ACTUAL, Reason.ORIGIN_MALFORMED, False, True),
        ),
        "NULL under `*`": (PUBLIC, replace(GET, origin=(b"NULL",)), (Kind.ACTUAL, Reason.ORIGIN_MALFORMED, False, True)),
        "a malformed origin without enforce": (LAX, replace(GET, origin=(b"x",)), (Kind.ACTUAL, Reason.ORIGIN_MALFORMED, False, False)),
        "a trailing dot is another origin": (POLICY, replace(GET, origin=(APP + b".",)), (Kind.ACTUAL, Reason.ORIGIN_REFUSED, False, True)),
    }
)
def test_origins(case: Any) -> None:
    """
    An origin is allowed as it is spelled, or not at all.

    Rule 1: a CORS request is one with Origin. Rule 4: exactly one serialized origin. Rule 5: by bytes.
    Rule 6: null only under `*`. Rule 40: simple requests are refused by `enforce`, not by CORS.
    """
    policy, facts, expected = case

    assert summary(decide(policy, facts)) == expected


@table(
    {
        "safelisted": (POLICY, b"POST", (Kind.ACTUAL, Reason.ORIGIN_ALLOWED, True, False)),
        "listed": (POLICY, b"PUT", (Kind.ACTUAL, Reason.ORIGIN_ALLOWED, True, False)),
        "unlisted: refused, and readable": (POLICY, b"DELETE", (Kind.ACTUAL, Reason.METHOD_REFUSED, True, True)),
        "unlisted without enforce: forwarded, and not readable": (LAX, b"DELETE", (Kind.ACTUAL, Reason.METHOD_REFUSED, False, False)),
        "put is another method": (POLICY, b"put", (Kind.ACTUAL, Reason.METHOD_REFUSED, True, True)),
        "OPTIONS needs listing": (POLICY, b"OPTIONS", (Kind.ACTUAL, Reason.METHOD_REFUSED, True, True)),
        "OPTIONS without enforce is forwarded": (LAX, b"OPTIONS", (Kind.ACTUAL, Reason.METHOD_REFUSED, False, False)),
        "OPTIONS under any method": (ANYTHING, b"OPTIONS", (Kind.ACTUAL, Reason.ORIGIN_ALLOWED, True, False)),
    }
)
def test_methods_of_actual_requests(case: Any) -> None:
    """Rule 2: OPTIONS without Access-Control-Request-Method is an actual request. Rule 10: by bytes. Rule 11: GET, HEAD, POST always."""
    policy, method, expected = case

    assert summary(decide(policy, Facts(method, (APP,)))) == expected


def test_an_explicit_options_call_is_granted_by_preflight_and_then_forwarded() -> None:
    """Rule 3: fetch(…, {method: "OPTIONS"}) asks for OPTIONS first, and then sends it without Access-Control-Request-Method."""
    policy = policy_of(replace(DRAFT, allow_methods=("GET", "HEAD", "POST", "OPTIONS")))

    assert summary(decide(policy, asking(method=b"OPTIONS"))) == (Kind.PREFLIGHT, Reason.PREFLIGHT_GRANTED, True, False)
    assert summary(decide(policy, Facts(b"OPTIONS", (APP,)))) == (Kind.ACTUAL, Reason.ORIGIN_ALLOWED, True, False)


def test_a_decision_names_the_origin_the_entry_and_the_culprit() -> None:
    assert decide(POLICY, GET) == Decision(Kind.ACTUAL, Reason.ORIGIN_ALLOWED, granted=True, origin=APP, entry=ENTRY)
    assert decide(PUBLIC, GET).entry == ANY
    assert decide(POLICY, replace(GET, origin=(EVIL,))) == Decision(Kind.ACTUAL, Reason.ORIGIN_REFUSED, refused=True, origin=EVIL)
    assert decide(POLICY, replace(GET, origin=(b"null",))).origin == b"null"
    assert decide(POLICY, Facts(b"DELETE", (APP,))) == Decision(
        Kind.ACTUAL, Reason.METHOD_REFUSED, granted=True, refused=True, origin=APP, subject=b"DELETE", entry=ENTRY
    )


@pytest.mark.parametrize("values", [(b"x",), (APP, EVIL), (APP + b"/",), (b"",)])
def test_what_is_no_origin_is_never_copied(values: tuple[bytes, ...]) -> None:
    """Rule 4: never pick one, never repeat one that is malformed."""
    assert decide(POLICY, replace(GET, origin=values)).origin == b""
    assert decide(POLICY, replace(PREFLIGHT, origin=values)).origin == b""


# --- same-origin ----------------------------------------------------------------------------------


def at(authority: bytes, origin: bytes, scheme: bytes = b"") -> Facts:
    return Facts(b"POST", (origin,), authority=authority, scheme=scheme)


@table(
    {
        "Sec-Fetch-Site says same-origin": (replace(GET, fetch_site=(b"same-origin",)), True),
        "Sec-Fetch-Site says none": (replace(GET, fetch_site=(b"none",)), True),
        "Sec-Fetch-Site says same-site": (replace(GET, fetch_site=(b"same-site",)), False),
        "Sec-Fetch-Site says cross-site, whatever Host says": (replace(at(b"app.example", APP), fetch_site=(b"cross-site",)), False),
        "Sec-Fetch-Site says something new, whatever Host says": (replace(at(b"app.example", APP), fetch_site=(b"fenced",)), False),
        "Sec-Fetch-Site twice": (replace(at(b"app.example", APP), fetch_site=(b"same-origin", b"same-origin")), False),
        "Sec-Fetch-Site in upper case": (replace(GET, fetch_site=(b"Same-Origin",)), False),
        "Host is the origin's": (at(b"app.example", APP), True),
        "Host in upper case": (at(b"APP.example", APP), True),
        "Host in upper case with a port": (at(b"APP.example:8443", b"https://app.example:8443"), True),
        "Host with the default port": (at(b"app.example:443", APP), True),
        "Host with an empty port": (at(b"app.example:", APP), True),
        "Host with another port": (at(b"app.example:8443", APP), False),
        "Host with the origin's port": (at(b"app.example:8443", b"https://app.example:8443"), True),
        "Host without the origin's port": (at(b"app.example", b"https://app.example:8443"), False),
        "Host of http": (at(b"app.example", b"http://app.example"), True),
        "Host of http with https's port": (at(b"app.example:443", b"http://app.example"), False),
        "another Host": (at(b"api.example", APP), False),
        "no Host": (at(b"", APP), False),
        "a Host of IPv6": (at(b"[::1]", b"http://[::1]"), True),
        "a Host of IPv6 with a port": (at(b"[::1]:8080", b"http://[::1]:8080"), True),
        "a Host of IPv6 without the port": (at(b"[::1]", b"http://[::1]:8080"), False),
        "the scheme is certain and equal": (at(b"app.example", APP, b"https"), True),
        "the scheme is certain and different": (at(b"app.example", APP, b"http"), False),
        "null": (at(b"null", b"null"), False),
        "a malformed origin": (at(b"app.example", b"https://app.example/"), False),
        "two Origin lines": (replace(at(b"app.example", APP), origin=(APP, APP)), False),
        "a web view's origin is not at any Host": (at(b"localhost", b"capacitor://localhost"), False),
        "a file is not at an empty Host": (at(b":", b"file://"), False),
        "an own origin": (replace(at(b"x", APP), own_origins=(EVIL, APP)), True),
        "Host does not count beside own origins": (replace(at(b"app.example", APP), own_origins=(EVIL,)), False),
        "own origins do not count beside Sec-Fetch-Site": (replace(GET, own_origins=(APP,), fetch_site=(b"cross-site",)), False),
        "two Origin lines beside own origins": (replace(GET, origin=(APP, APP), own_origins=(APP,)), False),
    }
)
def test_is_same_origin(case: Any) -> None:
    """Rule 1: presence of Origin does not prove cross-origin."""
    facts, expected = case

    assert is_same_origin(facts) is expected


@table(
    {
        "of an unknown origin: forwarded, nothing granted": (POLICY, EVIL, b"DELETE", (Kind.ACTUAL, Reason.SAME_ORIGIN, False, False)),
        "of an allowed origin: forwarded, granted": (POLICY, APP, b"DELETE", (Kind.ACTUAL, Reason.SAME_ORIGIN, True, False)),
        "with null by its referrer policy": (POLICY, b"null", b"POST", (Kind.ACTUAL, Reason.SAME_ORIGIN, False, False)),
        "without enforce": (LAX, EVIL, b"POST", (Kind.ACTUAL, Reason.SAME_ORIGIN, False, False)),
    }
)
def test_a_same_origin_request_is_never_refused(case: Any) -> None:
    """Rule 1: browsers send Origin on every same-origin POST too; it may be null by referrer policy. Do not refuse it."""
    policy, origin, method, expected = case

    assert summary(decide(policy, Facts(method, (origin,), fetch_site=(b"same-origin",)))) == expected


def test_a_preflight_is_judged_by_the_policy_even_if_it_says_that_it_is_same_origin() -> None:
    facts = replace(PREFLIGHT, origin=(EVIL,), fetch_site=(b"same-origin",), authority=b"evil.example")

    assert summary(decide(POLICY, facts)) == (Kind.PREFLIGHT, Reason.ORIGIN_REFUSED, False, True)


# --- preflights -----------------------------------------------------------------------------------


@table(
    {
        "a listed method": (POLICY, asking(), Reason.PREFLIGHT_GRANTED, b"", b"PUT"),
        "an unlisted method": (POLICY, asking(method=b"DELETE"), Reason.PREFLIGHT_METHOD_REFUSED, b"DELETE", b"DELETE"),
        "a safelisted method": (POLICY, asking(method=b"GET"), Reason.PREFLIGHT_GRANTED, b"", b"GET"),
        "put in lower case": (POLICY, asking(method=b"put"), Reason.PREFLIGHT_METHOD_REFUSED, b"put", b"put"),
        "any method": (ANYTHING, asking(method=b"PROPFIND"), Reason.PREFLIGHT_GRANTED, b"", b"PROPFIND"),
        "any method but one that no parser knows": (ANYTHING, asking(method=b"patch"), Reason.PREFLIGHT_METHOD_REFUSED, b"patch", b"patch"),
        "an empty method": (POLICY, asking(method=b""), Reason.PREFLIGHT_METHOD_MALFORMED, b"", b""),
        "no token": (POLICY, asking(method=b"PUT,GET"), Reason.PREFLIGHT_METHOD_MALFORMED, b"", b""),
        "two lines": (POLICY, replace(PREFLIGHT, request_method=(b"PUT", b"PUT")), Reason.PREFLIGHT_METHOD_MALFORMED, b"", b""),
        "TRACE": (ANYTHING, asking(method=b"TRACE"), Reason.PREFLIGHT_METHOD_MALFORMED, b"", b""),
        "TRACK": (ANYTHING, asking(method=b"TRACK"), Reason.PREFLIGHT_METHOD_MALFORMED, b"", b""),
        "CONNECT": (ANYTHING, asking(method=b"CONNECT"), Reason.PREFLIGHT_METHOD_MALFORMED, b"", b""),
        "a listed header": (POLICY, asking(b"x-a"), Reason.PREFLIGHT_GRANTED, b"", b"PUT"),
        "a listed header in another case": (POLICY, asking(b"X-A"), Reason.PREFLIGHT_GRANTED, b"", b"PUT"),
        "an unlisted header": (POLICY, asking(b"content-type,x-b"), Reason.PREFLIGHT_HEADER_REFUSED, b"x-b", b"PUT"),
        "the first unlisted header": (POLICY, asking(b"x-c,x-b"), Reason.PREFLIGHT_HEADER_REFUSED, b"x-c", b"PUT"),
        "the method before the header": (POLICY, asking(b"x-b", method=b"DELETE"), Reason.PREFLIGHT_METHOD_REFUSED, b"DELETE", b"DELETE"),
        "accept, which is unsafe when asked for": (POLICY, asking(b"accept"), Reason.PREFLIGHT_HEADER_REFUSED, b"accept", b"PUT"),
        "range, which is unsafe when asked for": (POLICY, asking(b"range"), Reason.PREFLIGHT_HEADER_REFUSED, b"range", b"PUT"),
        "any header": (ANYTHING, asking(b"x-b"), Reason.PREFLIGHT_GRANTED, b"", b"PUT"),
        "any header but authorization": (ANYTHING, asking(b"authorization,x-b"), Reason.PREFLIGHT_HEADER_REFUSED, b"authorization", b"PUT"),
        "an empty list": (POLICY, asking(b""), Reason.PREFLIGHT_GRANTED, b"", b"PUT"),
        "no token among the names": (POLICY, asking(b"x-a,x b"), Reason.PREFLIGHT_HEADERS_MALFORMED, b"", b"PUT"),
        "a quoted name": (ANYTHING, asking(b'"x-a"'), Reason.PREFLIGHT_HEADERS_MALFORMED, b"", b"PUT"),
        "a line break among the names": (ANYTHING, asking(b"x-a\r\nX: y"), Reason.PREFLIGHT_HEADERS_MALFORMED, b"", b"PUT"),
    }
)
def test_preflights_of_an_allowed_origin_are_answered_with_a_reason(case: Any) -> None:
    """
    An allowed origin may know the policy that is meant for it: never refused with 403, the reason tells.

    Rule 10: methods by bytes. Rule 11: safelisted methods need no listing. Rule 12: forbidden ones never. Rule 13: names without case.
    Rule 14: no invalid token is copied. Rule 16: `*` never covers Authorization. Rule 18: safelisted names that are asked for are unsafe.
    """
    policy, facts, reason, subject, requested_method = case
    decision = decide(policy, facts)

    assert summary(decision) == (Kind.PREFLIGHT, reason, True, False)
    assert (decision.subject, decision.requested_method, decision.origin) == (subject, requested_method, APP)
    assert isinstance(decision.entry, OriginPattern)


@table(
    {
        "several lines": ((b"x-a", b"content-type"), (b"x-a", b"content-type")),
        "spaces and tabs": ((b" x-a ,\tcontent-type\t",), (b"x-a", b"content-type")),
        "empty elements": ((b",,x-a,,", b""), (b"x-a",)),
        "upper case and repetition": ((b"X-A,x-a,X-a",), (b"x-a",)),
        "order is kept": ((b"x-a,content-type",), (b"x-a", b"content-type")),
    }
)
def test_the_requested_names_are_read_with_tolerance(case: Any) -> None:
    """Rule 13: other orders, spaces, tabs, several lines and a few empty elements."""
    lines, expected = case
    decision = decide(POLICY, asking(*lines))

    assert (decision.reason, decision.requested) == (Reason.PREFLIGHT_GRANTED, expected)


@table(
    {
        "100 names": ([b",".join(b"x%d" % n for n in range(100))], Reason.PREFLIGHT_GRANTED),
        "101 names": ([b",".join(b"x%d" % n for n in range(101))], Reason.PREFLIGHT_HEADERS_TOO_MANY),
        "101 equal names": ([b"x," * 101], Reason.PREFLIGHT_HEADERS_TOO_MANY),
        "4096 bytes": ([b"x" * 4096], Reason.PREFLIGHT_GRANTED),
        "4097 bytes": ([b"x" * 4097], Reason.PREFLIGHT_HEADERS_TOO_MANY),
        "4097 bytes on several lines": ([b"x" * 2048, b"y" * 2049], Reason.PREFLIGHT_HEADERS_TOO_MANY),
        "4097 bytes of nothing": ([b"," * 4097], Reason.PREFLIGHT_HEADERS_TOO_MANY),
    }
)
def test_the_work_on_requested_names_is_bounded(case: Any) -> None:
    """Rule 13: bound the work, by length and by count."""
    lines, reason = case
    decision = decide(ANYTHING, asking(*lines))

    assert (decision.reason, decision.subject) == (reason, b"")
    assert bool(decision.requested) is (reason is Reason.PREFLIGHT_GRANTED)
    assert (module.MAX_REQUESTED_HEADERS, module.MAX_REQUESTED_HEADERS_BYTES) == (100, 4096)


@table(
    {
        "another origin": ((EVIL,), Reason.ORIGIN_REFUSED, EVIL),
        "null": ((b"null",), Reason.ORIGIN_REFUSED, b"null"),
        "two origins": ((APP, APP), Reason.ORIGIN_REPEATED, b""),
        "no origin": ((b"x",), Reason.ORIGIN_MALFORMED, b""),
    }
)
def test_a_preflight_of_another_origin_is_refused_with_or_without_enforce(case: Any) -> None:
    """Rule 21: refused preflights are answered here, never forwarded; `enforce` has no say."""
    values, reason, origin = case
    for policy in (POLICY, LAX):
        assert decide(policy, replace(PREFLIGHT, origin=values)) == Decision(
            Kind.PREFLIGHT, reason, refused=True, origin=origin, requested_method=b"PUT"
        )


def test_a_refused_origin_learns_nothing_of_methods_and_names() -> None:
    decision = decide(POLICY, replace(asking(b"x-b", method=b"DELETE"), origin=(EVIL,)))

    assert (decision.subject, decision.requested, decision.granted) == (b"", (), False)


@pytest.mark.parametrize("asked", [(b"PUT, GET",), (b"PUT", b"PUT"), (b"",), (b"A" * 5000,)])
def test_what_a_refused_preflight_asked_for_is_known_if_it_is_a_method(asked: tuple[bytes, ...]) -> None:
    """People who look into it want to know; no answer says it."""
    assert decide(POLICY, replace(PREFLIGHT, origin=(EVIL,))).requested_method == b"PUT"
    assert decide(POLICY, replace(PREFLIGHT, origin=(EVIL,), request_method=asked)).requested_method == b""


# --- cors: none -----------------------------------------------------------------------------------


@table(
    {
        "no Origin": (Facts(b"GET"), Decision(Kind.NOT_CORS, Reason.NO_ORIGIN)),
        "a preflight": (PREFLIGHT, Decision(Kind.PREFLIGHT, Reason.CORS_NONE, refused=True, origin=APP, requested_method=b"PUT")),
        "a preflight that says same-origin": (
            replace(PREFLIGHT, fetch_site=(b"same-origin",)),
            Decision(Kind.PREFLIGHT, Reason.CORS_NONE, refused=True, origin=APP, requested_method=b"PUT"),
        ),
        "a cross-origin request": (GET, Decision(Kind.ACTUAL, Reason.CORS_NONE, refused=True, origin=APP)),
        "a same-origin request": (replace(GET, fetch_site=(b"same-origin",)), Decision(Kind.ACTUAL, Reason.SAME_ORIGIN, origin=APP)),
        "null": (replace(GET, origin=(b"null",)), Decision(Kind.ACTUAL, Reason.CORS_NONE, refused=True, origin=b"null")),
        "two Origin lines": (replace(GET, origin=(APP, APP)), Decision(Kind.ACTUAL, Reason.CORS_NONE, refused=True)),
        "a malformed Origin": (replace(GET, origin=(b"x",)), Decision(Kind.ACTUAL, Reason.CORS_NONE, refused=True)),
    }
)
def test_decide_without_cors(case: Any) -> None:
    """Rule 21: a route without CORS answers preflights too, and forwards none."""
    facts, expected = case

    assert decide_without_cors(facts) == expected
