"""The proxy's own answers, byte by byte."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.answers import Answer, Context, Exchange, cors_lines, empty_answer, preflight_answer, problem_answer, proxy_status
from corsproxy.config.choices import CorsMode
from corsproxy.cors.decide import Decision, Facts, Kind, Reason, decide, decide_without_cors
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, build_policy
from corsproxy.problems import Problem

APP = b"https://app.example"
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
DRAFT = PolicyDraft(("https://app.example",))


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def policy_of(**changes: Any) -> CorsPolicy:
    policy, faults = build_policy(replace(DRAFT, **changes))
    assert policy is not None, faults
    return policy


POLICY = policy_of()
PUBLIC = policy_of(allow_origins=(ANY,))
CREDENTIALED = policy_of(allow_credentials=True)
GET = Facts(b"GET", (APP,))
PREFLIGHT = Facts(b"OPTIONS", (APP,), request_method=(b"PUT",))


def context_of(policy: CorsPolicy, facts: Facts = GET, **changes: Any) -> Context:
    return replace(Context(facts.method, 1, persistent=True, cors=policy, decision=decide(policy, facts)), **changes)


def lines_of(content: bytes) -> list[tuple[bytes, bytes]]:
    head = content.partition(b"\r\n\r\n")[0]
    return [(name, value) for line in head.split(b"\r\n")[1:] for name, _, value in [line.partition(b": ")]]


# --- Connection -----------------------------------------------------------------------------------


@table(
    {
        "HTTP/1.1 stays without a word": (1, True, False, b""),
        "HTTP/1.1 that is to end is told so": (1, True, True, b"Connection: close\r\n"),
        "HTTP/1.1 that wishes to end is told so": (1, False, False, b"Connection: close\r\n"),
        "HTTP/1.0 stays only by a word": (0, True, False, b"Connection: keep-alive\r\n"),
        "HTTP/1.0 ends without a word": (0, False, False, b""),
        "HTTP/1.0 that is to end": (0, True, True, b""),
    }
)
def test_the_connection_field_says_what_the_version_does_not(case: Any) -> None:
    minor, persistent, close, expected = case

    assert Context(b"GET", minor, persistent).connection_line(close=close) == expected


@table(
    {
        "stays": (True, False, False, True),
        "the client ends it": (False, False, False, False),
        "the answer ends it": (True, True, False, False),
        "the moment ends it": (True, False, True, False),
    }
)
def test_keeps_connection_and_the_field_agree(case: Any) -> None:
    persistent, answer_closes, close, expected = case
    answer = Answer(Context(b"GET", 1, persistent), 200, b"HTTP/1.1 200 OK\r\n", close=answer_closes)

    assert answer.keeps_connection(close=close) is expected
    assert (b"Connection: close" not in answer.to_bytes(DATE, close=close)) is expected


# --- preflights -----------------------------------------------------------------------------------


def test_a_preflights_answer_is_a_204_without_content_length() -> None:
    """Rule 7: 204 without body. Rule 8: no redirect and no challenge. Rule 20: ACAM, ACAH and ACMA here. Rule 22: Vary, and nothing public."""
    context = context_of(POLICY, PREFLIGHT)
    assert context.decision is not None

    assert preflight_answer(context, POLICY, context.decision).to_bytes(DATE) == (
        b"HTTP/1.1 204 No Content\r\n"
        b"Access-Control-Allow-Origin: https://app.example\r\n"
        b"Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE\r\n"
        b"Access-Control-Allow-Headers: content-type\r\n"
        b"Access-Control-Max-Age: 7200\r\n"
        b"Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"\r\n"
    )
    answer = preflight_answer(context, POLICY, context.decision)
    assert (answer.status, answer.reason, answer.close, answer.problem) == (204, "preflight-granted", False, None)


def test_options_of_the_proxy_itself_is_answered_with_what_it_allows() -> None:
    """Rule 25: CORS fields stand on what the proxy itself produces."""
    answer = empty_answer(context_of(POLICY, replace(GET, method=b"OPTIONS", fetch_site=(b"same-origin",))))

    assert (answer.status, answer.body, answer.reason) == (204, b"", "options")
    assert lines_of(answer.to_bytes(DATE)) == [
        (b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        (b"Access-Control-Allow-Origin", APP),
        (b"Vary", b"Origin"),
        (b"Date", DATE),
    ]


# --- problems -------------------------------------------------------------------------------------


def test_a_problem_is_an_answer_that_scripts_of_allowed_origins_can_read() -> None:
    """Rule 25: CORS fields on every status and on what the proxy produces. Rule 28: what it carries beyond the seven is exposed."""
    answer = problem_answer(context_of(CREDENTIALED), problems.UPSTREAM_POOL_FULL, reason="pool", close=True)
    content = answer.to_bytes(DATE)

    assert content.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert lines_of(content) == [
        (b"Content-Type", b"application/problem+json"),
        (b"Content-Length", b"%d" % len(answer.body)),
        (b"Cache-Control", b"no-store"),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Retry-After", b"1"),
        (b"Proxy-Status", b'corsproxy; error=connection_limit_reached; details="No connection to the upstream was free in time."'),
        (b"Access-Control-Allow-Origin", APP),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Expose-Headers", b"Retry-After, Proxy-Status"),
        (b"Vary", b"Origin"),
        (b"Date", DATE),
        (b"Connection", b"close"),
    ]
    assert content.endswith(b"\r\n\r\n" + answer.body)
    assert json.loads(answer.body) == {
        "type": "urn:corsproxy:problem:CP410",
        "title": problems.UPSTREAM_POOL_FULL.title,
        "status": 503,
        "detail": problems.UPSTREAM_POOL_FULL.detail,
        "stage": "proxy",
        "code": "CP410",
    }
    assert (answer.problem, answer.reason, answer.close) == (problems.UPSTREAM_POOL_FULL, "pool", True)


def test_a_problem_ends_no_connection_by_itself() -> None:
    answer = problem_answer(BASE, problems.NO_ROUTE)

    assert (answer.close, answer.reason, BASE.trailers) == (False, "", False)


def test_the_answer_to_a_head_has_the_length_and_not_the_body() -> None:
    answer = problem_answer(context_of(POLICY, replace(GET, method=b"HEAD")), problems.NO_ROUTE)
    content = answer.to_bytes(DATE)

    assert content.endswith(b"\r\n\r\n")
    assert (b"Content-Length", b"%d" % len(answer.body)) in lines_of(content)
    assert answer.body


def test_a_405_says_what_is_allowed_and_no_other_status_does() -> None:
    allowed = [(b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]

    for problem in problems.catalogue().values():
        if problem.status:
            lines = lines_of(problem_answer(Context(b"GET", 1, persistent=True), problem).to_bytes(DATE))

            assert [line for line in lines if line[0] == b"Allow"] == (allowed if problem.status == 405 else [])
            assert [line[1] for line in lines if line[0] == b"Retry-After"] == ([b"1"] if problem.status == 503 else [])


def test_nothing_that_the_client_sent_stands_in_a_problem() -> None:
    """Rule 15: nothing is reflected."""
    decision = Decision(Kind.ACTUAL, Reason.METHOD_REFUSED, refused=True, origin=b"https://evil.example", subject=b"EVIL")
    answer = problem_answer(Context(b"EVIL", 1, persistent=True, cors=POLICY, decision=decision), problems.METHOD_REFUSED)

    assert b"evil" not in answer.to_bytes(DATE).lower()


# --- CORS fields ----------------------------------------------------------------------------------


ACAO = (b"Access-Control-Allow-Origin", APP)
STAR = (b"Access-Control-Allow-Origin", b"*")
VARY = (b"Vary", b"Origin")
EXPOSED = (b"Access-Control-Expose-Headers", b"Retry-After")
NO_ORIGIN = Facts(b"GET")
EVIL = Facts(b"GET", (b"https://evil.example",))
BASE = Context(b"GET", 1, persistent=True)


@table(
    {
        "nothing is known yet": (BASE, []),
        "no policy can be told": (replace(BASE, decision=decide(POLICY, GET)), []),
        "a preflight, and no policy can be told": (replace(BASE, decision=decide(POLICY, PREFLIGHT)), []),
        "a preflight, and CORS is passed through": (replace(BASE, cors=CorsMode.PASSTHROUGH, decision=decide(POLICY, PREFLIGHT)), []),
        "a policy, and no decision yet": (replace(BASE, cors=POLICY), []),
        "an allowed origin": (context_of(POLICY), [ACAO, EXPOSED, VARY]),
        "another origin": (context_of(POLICY, EVIL), [VARY]),
        "no origin": (context_of(POLICY, NO_ORIGIN), [VARY]),
        "everybody": (context_of(PUBLIC), [STAR, EXPOSED]),
        "everybody, without Origin": (context_of(PUBLIC, NO_ORIGIN), [STAR, EXPOSED]),
        "everybody, but what is no origin": (context_of(PUBLIC, replace(GET, origin=(b"x",))), []),
        "a preflight": (
            context_of(POLICY, PREFLIGHT),
            [(b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")],
        ),
        "a preflight on a route without CORS": (
            replace(BASE, cors=CorsMode.NONE, decision=decide_without_cors(PREFLIGHT)),
            [(b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")],
        ),
        "a route without CORS": (replace(BASE, cors=CorsMode.NONE, decision=decide_without_cors(GET)), []),
        "a route that passes CORS through": (
            replace(BASE, cors=CorsMode.PASSTHROUGH, decision=Decision(Kind.ACTUAL, Reason.CORS_PASSTHROUGH)),
            [],
        ),
    }
)
def test_cors_fields_of_own_answers(case: Any) -> None:
    """
    Who can read what went wrong.

    Rule 21: a refused preflight has no grants. Rule 31: without Origin, `*` is sent by a public policy. Rule 32: Vary stands on every answer
    of the resource: allowed, refused, no-Origin, errors. Rule 33: but under `*` without credentials.
    """
    context, expected = case

    assert cors_lines(context, [b"Retry-After"]) == expected


def test_nothing_to_expose_is_no_field() -> None:
    assert cors_lines(context_of(POLICY)) == [ACAO, VARY]


@pytest.mark.parametrize(
    ("problem", "line"), [(problems.BODY_TOO_LARGE, b"413 Content Too Large"), (problems.TARGET_TOO_LONG, b"414 URI Too Long")]
)
def test_a_status_has_the_name_of_rfc_9110_on_every_python(problem: Problem, line: bytes) -> None:
    answer = problem_answer(Context(b"GET", 1, persistent=True), problem)

    assert answer.head.startswith(b"HTTP/1.1 " + line + b"\r\n")


# --- the request's id -----------------------------------------------------------------------------


NAMED = Exchange(request_id=b"request-1", request_id_header=b"X-Trace")


@table(
    {
        "an allowed origin may read it": (POLICY, b"X-Trace, Proxy-Status"),
        "beside the policy's names": (policy_of(expose_headers=("ETag",)), b"ETag, X-Trace, Proxy-Status"),
        "everybody, by a star": (policy_of(allow_origins=(ANY,), expose_headers=(ANY,)), b"*"),
        "with credentials, by its name": (policy_of(allow_credentials=True, expose_headers=(ANY,)), b"X-Trace, Proxy-Status"),
    }
)
def test_a_problem_says_the_requests_id_and_exposes_it(case: Any) -> None:
    policy, exposed = case
    answer = problem_answer(context_of(policy, exchange=NAMED), problems.UPSTREAM_UNREACHABLE)
    lines = dict(lines_of(answer.head))

    assert lines[b"X-Trace"] == b"request-1"
    assert lines[b"Access-Control-Expose-Headers"] == exposed
    problem = json.loads(answer.body)
    assert (problem["request_id"], problem["instance"]) == ("request-1", "urn:corsproxy:request:request-1")
    assert lines[b"Content-Length"] == b"%d" % len(answer.body)


def test_a_stranger_gets_the_id_and_may_not_read_it() -> None:
    context = context_of(POLICY, Facts(b"GET", (b"https://evil.example",)), exchange=NAMED)
    lines = dict(lines_of(problem_answer(context, problems.ORIGIN_REFUSED).head))

    assert lines[b"X-Trace"] == b"request-1"
    assert b"Access-Control-Expose-Headers" not in lines


def test_a_retry_and_an_id_are_exposed_together() -> None:
    lines = dict(lines_of(problem_answer(context_of(POLICY, exchange=NAMED), problems.OVERLOADED).head))

    assert lines[b"Access-Control-Expose-Headers"] == b"X-Trace, Retry-After, Proxy-Status"


def test_an_exchange_without_a_name_says_none() -> None:
    answer = problem_answer(context_of(POLICY), problems.OVERLOADED)

    assert b"request_id" not in answer.body
    assert b"X-Request-Id" not in answer.head


def test_own_answers_carry_the_fields_beside_cors() -> None:
    policy = policy_of(timing_allow_origin=True, resource_policy="cross-origin")
    lines = cors_lines(context_of(policy))

    assert lines[-3:] == [(b"Timing-Allow-Origin", APP), (b"Cross-Origin-Resource-Policy", b"cross-origin"), (b"Vary", b"Origin")]
    assert cors_lines(Context(b"GET", 1, persistent=True, cors=CorsMode.PASSTHROUGH, decision=decide(policy, GET))) == []


# --- Proxy-Status ---------------------------------------------------------------------------------

ANSWERED = [problem for problem in problems.catalogue().values() if problem.status]
# What RFC 9209 2.3 registers for an intermediary that answers itself, and the statuses that it recommends.
REGISTERED = {
    "dns_error": {502},
    "destination_not_found": {404},
    "destination_ip_unroutable": {502},
    "connection_refused": {502},
    "connection_terminated": {502},
    "connection_timeout": {504},
    "connection_write_timeout": {504},
    "connection_limit_reached": {503},
    "tls_protocol_error": {502},
    "tls_certificate_error": {502},
    "http_request_error": {400, 405, 408, 411, 413, 414, 417, 426, 429, 431, 501},
    "http_request_denied": {403, 421},
    "http_response_incomplete": {502},
    "http_response_timeout": {504},
    "http_protocol_error": {502},
    "http_upgrade_failed": {502},
    "proxy_internal_response": {503},
    "proxy_internal_error": {500},
    "proxy_loop_detected": {508},
}


@pytest.mark.parametrize("problem", ANSWERED, ids=lambda problem: problem.code)
def test_every_answer_says_which_registered_fault_it_was(problem: Problem) -> None:
    assert problem.status in REGISTERED[problem.proxy_error]
    name, value = proxy_status(problem)

    # > Proxy-Status is a List (RFC 9209 2); an sf-string is of printable ASCII (RFC 8941 3.3.3).
    assert name == b"Proxy-Status"
    assert re.fullmatch(rb'corsproxy; error=[a-z_]+; details="[ !#-\[\]-~]+"', value)
    assert problem_answer(BASE, problem).head.count(b"\r\nProxy-Status: " + value + b"\r\n") == 1


def test_every_registered_fault_is_met() -> None:
    assert {problem.proxy_error for problem in ANSWERED} == set(REGISTERED)


def test_details_are_written_as_a_string_of_structured_fields() -> None:
    odd = replace(problems.NO_ROUTE, detail=r'It says "no" \ never.')

    assert proxy_status(odd)[1].endswith(rb'; details="It says \"no\" \\ never."')


# --- plain text -----------------------------------------------------------------------------------


def test_a_person_gets_the_same_facts_as_plain_text() -> None:
    context = context_of(POLICY, exchange=NAMED, accept=[b"text/html,*/*;q=0.8"])
    answer = problem_answer(context, problems.UPSTREAM_REFUSED)
    lines = dict(lines_of(answer.head))

    assert answer.body == (
        b"502 upstream refused the connection\n\nThe upstream refused the connection.\n\ncode: CP401\nstage: upstream\nrequest id: request-1\n"
    )
    assert lines[b"Content-Type"] == b"text/plain; charset=utf-8"
    assert lines[b"Content-Length"] == b"%d" % len(answer.body)
    assert lines[b"Vary"] == b"Origin, Accept"
    # Whatever else is said of it is the same.
    as_json = dict(lines_of(problem_answer(replace(context, accept=[b"*/*"]), problems.UPSTREAM_REFUSED).head))
    assert as_json.pop(b"Content-Type") == b"application/problem+json"
    assert {name: lines[name] for name in as_json if name != b"Content-Length"} == {
        name: value for name, value in as_json.items() if name != b"Content-Length"
    }


@pytest.mark.parametrize("problem", ANSWERED, ids=lambda problem: problem.code)
def test_text_and_json_say_the_same(problem: Problem) -> None:
    text = problem_answer(replace(BASE, accept=[b"text/plain"]), problem).body.decode()
    members = json.loads(problem_answer(BASE, problem).body)

    assert members.pop("type") == f"urn:corsproxy:problem:{problem.code}"
    assert all(str(value) in text for value in members.values())
    assert text.endswith("\n")


@table(
    {
        "an allowed origin": (context_of(POLICY, accept=()), b"Origin, Accept"),
        "everybody": (context_of(PUBLIC, accept=()), b"Accept"),
        "a route without CORS": (replace(BASE, cors=CorsMode.NONE, decision=decide_without_cors(GET), accept=()), b"Accept"),
        "a route that passes CORS through": (
            replace(BASE, cors=CorsMode.PASSTHROUGH, decision=Decision(Kind.ACTUAL, Reason.CORS_PASSTHROUGH), accept=()),
            b"Accept",
        ),
        "refused before a route was known": (replace(BASE, accept=()), b"Accept"),
        "a head that nobody could read": (BASE, None),
        "a preflight": (
            context_of(POLICY, PREFLIGHT, accept=[b"text/plain"]),
            b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        ),
    }
)
def test_an_answer_varies_by_what_chose_its_form(case: Any) -> None:
    """RFC 9110 12.5.5: Vary names every field that the choice was made by, also where it was not there."""
    context, vary = case
    lines = dict(lines_of(problem_answer(context, problems.NO_ROUTE).head))

    assert lines.get(b"Vary") == vary


def test_nobody_reads_the_answer_to_a_preflight_so_it_has_one_form() -> None:
    answer = problem_answer(context_of(POLICY, PREFLIGHT, accept=[b"text/plain"]), problems.ORIGIN_REFUSED)

    assert dict(lines_of(answer.head))[b"Content-Type"] == b"application/problem+json"


def test_what_an_answer_says_beside_is_exposed_too() -> None:
    answer = problem_answer(context_of(POLICY), problems.NO_ROUTE, said=[(b"X-Wait", b"5")])
    lines = dict(lines_of(answer.head))

    assert (lines[b"X-Wait"], lines[b"Access-Control-Expose-Headers"]) == (b"5", b"Proxy-Status, X-Wait")
