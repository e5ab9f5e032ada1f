"""The fields that carry a decision to the browser."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from corsproxy.cors import respond
from corsproxy.cors.decide import Facts, decide
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, build_policy
from corsproxy.cors.respond import FieldLine, expose_line, grant_lines, merge_vary, own_expose_line, preflight_lines

APP = b"https://app.example"
EVIL = b"https://evil.example"
DRAFT = PolicyDraft(("https://app.example",), allow_methods=("PUT", "GET", "HEAD", "POST"), allow_headers=("X-A", "Content-Type"))

ACAO, ACAC = b"Access-Control-Allow-Origin", b"Access-Control-Allow-Credentials"
ACAM, ACAH = b"Access-Control-Allow-Methods", b"Access-Control-Allow-Headers"
ACMA, ACEH = b"Access-Control-Max-Age", b"Access-Control-Expose-Headers"
VARY = (b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def policy_of(draft: PolicyDraft = DRAFT, **changes: Any) -> CorsPolicy:
    policy, faults = build_policy(replace(draft, **changes))
    assert policy is not None, faults
    return policy


def preflight(policy: CorsPolicy, method: bytes = b"PUT", headers: bytes | None = None, origin: bytes = APP) -> list[FieldLine]:
    facts = Facts(b"OPTIONS", (origin,), request_method=(method,), request_headers=() if headers is None else (headers,))
    return preflight_lines(policy, decide(policy, facts))


def grants(policy: CorsPolicy, *origin: bytes, method: bytes = b"GET", same_origin: bool = False) -> list[FieldLine]:
    return grant_lines(policy, decide(policy, Facts(method, origin, fetch_site=(b"same-origin",) if same_origin else ())))


# --- preflights -----------------------------------------------------------------------------------


def test_a_granted_preflight_carries_the_policys_lists_in_the_order_of_the_file() -> None:
    """
    The whole answer, line by line.

    Rule 15: the configured lists, never what was asked. Rule 17: tokens only. Rule 20: no Access-Control-Expose-Headers.
    Rule 22: Vary names what the answer depends on. Rule 23: one Access-Control-Allow-Origin, byte-identical.
    """
    assert preflight(policy_of(), headers=b"content-type") == [
        (ACAO, APP),
        (ACAM, b"PUT, GET, HEAD, POST"),
        (ACAH, b"x-a, content-type"),
        (ACMA, b"7200"),
        VARY,
    ]


def test_credentials_are_granted_on_the_preflight_already() -> None:
    """Rule 9: Access-Control-Allow-Credentials belongs on the preflight too. Rule 24: exactly `true`, once."""
    lines = preflight(policy_of(allow_credentials=True))

    assert lines[:2] == [(ACAO, APP), (ACAC, b"true")]
    assert [name for name, _ in lines].count(ACAC) == 1


def test_a_public_policy_answers_with_a_star() -> None:
    """Rule 23: the star, if everybody is meant."""
    lines = preflight(policy_of(allow_origins=(ANY,)))

    assert lines[0] == (ACAO, b"*")
    assert ACAC not in dict(lines)


@table(
    {
        "listed": (("PUT", "GET"), False, b"PUT", b"PUT, GET"),
        "safelisted and listed": (("PUT", "GET"), False, b"GET", b"PUT, GET"),
        "safelisted and unlisted: it is named too": (("PUT", "GET"), False, b"POST", b"PUT, GET, POST"),
        "unlisted: the true list": (("PUT", "GET"), False, b"DELETE", b"PUT, GET"),
        "malformed: the true list": (("PUT", "GET"), False, b"PU T", b"PUT, GET"),
        "an empty list, and one to name": ((), False, b"POST", b"POST"),
        "an empty list is never written empty": ((), False, b"PUT", b"GET"),
        "any": ((ANY,), False, b"PROPFIND", b"*"),
        "any, but this one no parser takes": ((ANY,), False, b"patch", b"GET, HEAD, POST"),
        "any, but this one is malformed": ((ANY,), False, b"PU T", b"GET, HEAD, POST"),
        "any, but this one is forbidden": ((ANY,), False, b"TRACE", b"GET, HEAD, POST"),
        "any, with credentials": ((ANY,), True, b"PROPFIND", b"PROPFIND"),
        "any, with credentials, but this one no parser takes": ((ANY,), True, b"patch", b"GET, HEAD, POST"),
        "any, with credentials, but this one is malformed": ((ANY,), True, b"PU\rT", b"GET, HEAD, POST"),
    }
)
def test_access_control_allow_methods(case: Any) -> None:
    """
    What a preflight is told about methods.

    Rule 11: the safelisted one that is asked for is named. Rule 14: no invalid token is copied. Rule 16: with credentials `*` would be a
    literal name. Rule 47: an upload listener's preflight for POST is answered under a policy that names no extra method.
    """
    methods, credentials, requested, expected = case
    policy = policy_of(allow_methods=methods, allow_credentials=credentials)

    assert [value for name, value in preflight(policy, requested) if name == ACAM] == [expected]


@table(
    {
        "listed": (("X-A", "X-B"), False, b"x-b", b"x-a, x-b"),
        "unlisted: the true list": (("X-A",), False, b"x-c", b"x-a"),
        "nothing asked: the true list": (("X-A",), False, None, b"x-a"),
        "nothing listed: no field": ((), False, b"x-a", None),
        "any": ((ANY,), False, b"x-a", b"*"),
        "any and authorization": ((ANY, "Authorization"), False, b"authorization", b"*, authorization"),
        "any, and authorization asked but unlisted: no star, which browsers let cover it": ((ANY,), False, b"authorization,x-a", b"x-a"),
        "any, and authorization alone asked but unlisted": ((ANY,), False, b"authorization", None),
        "any, with credentials: what was asked": ((ANY,), True, b"X-A, x-b", b"x-a, x-b"),
        "any, with credentials, nothing asked": ((ANY,), True, None, None),
        "any, with credentials, authorization unlisted": ((ANY,), True, b"authorization,x-a", b"x-a"),
        "any, with credentials, authorization listed": ((ANY, "Authorization"), True, b"authorization,x-a", b"authorization, x-a"),
        "any, with credentials, malformed": ((ANY,), True, b"x a", None),
        "any, with credentials, a star is a name": ((ANY,), True, b"*", b"*"),
    }
)
def test_access_control_allow_headers(case: Any) -> None:
    """
    What a preflight is told about header names.

    Rule 13: lower case. Rule 14 and rule 15: nothing is reflected unchecked. Rule 16: `*` is literal with credentials and never covers
    Authorization. Rule 36: a Bearer token needs `authorization` in the list, and no credentials.
    """
    headers, credentials, requested, expected = case
    policy = policy_of(allow_headers=headers, allow_credentials=credentials)
    lines = preflight(policy, headers=requested)

    assert [value for name, value in lines if name == ACAH] == ([] if expected is None else [expected])


@table(
    {
        "the default": (7200, b"7200"),
        "0 switches the cache off, and is said": (0, b"0"),
        "a day": (86400, b"86400"),
    }
)
def test_access_control_max_age(case: Any) -> None:
    """Rule 19: delta-seconds; `0` is emitted."""
    max_age_s, expected = case

    assert dict(preflight(policy_of(max_age_s=max_age_s)))[ACMA] == expected


@table(
    {
        "a refused method": {"method": b"DELETE"},
        "a refused header": {"headers": b"x-b"},
        "a malformed header": {"headers": b"x b"},
    }
)
def test_a_preflight_that_asks_for_more_is_told_the_truth_and_may_ask_again(case: Any) -> None:
    """Rule 21: a refusal of method or header keeps Access-Control-Allow-Origin; no age, so that a mended policy works at once."""
    lines = preflight(policy_of(), **case)

    assert lines == [(ACAO, APP), (ACAM, b"PUT, GET, HEAD, POST"), (ACAH, b"x-a, content-type"), VARY]


def test_nothing_but_checked_tokens_is_written() -> None:
    """Rule 17: a list that does not parse fails the preflight."""
    policy = policy_of(allow_methods=(ANY,), allow_headers=(ANY,), allow_credentials=True)
    lines = preflight(policy, b"PUT\r\nX: y", b"x-a\r\nSet-Cookie: a=b")

    assert all(b"\r" not in value and b"Set-Cookie" not in value for _, value in lines)


# --- actual responses -----------------------------------------------------------------------------


@table(
    {
        "an allowed origin": (policy_of(), (APP,), {}, [(ACAO, APP)]),
        "an allowed origin with credentials": (policy_of(allow_credentials=True), (APP,), {}, [(ACAO, APP), (ACAC, b"true")]),
        "an allowed origin under a wildcard": (
            policy_of(allow_origins=("https://*.example",)),
            (APP,),
            {},
            [(ACAO, APP)],
        ),
        "another origin": (policy_of(), (EVIL,), {}, []),
        "another origin without enforce": (policy_of(enforce=False), (EVIL,), {}, []),
        "no origin": (policy_of(), (), {}, []),
        "no origin, with credentials": (policy_of(allow_credentials=True), (), {}, []),
        "two origins": (policy_of(), (APP, APP), {}, []),
        "a refused method, readable": (policy_of(), (APP,), {"method": b"DELETE"}, [(ACAO, APP)]),
        "a refused method without enforce, not readable": (policy_of(enforce=False), (APP,), {"method": b"DELETE"}, []),
        "a same-origin request of an unknown origin": (policy_of(), (EVIL,), {"same_origin": True}, []),
        "a same-origin request of an allowed origin": (policy_of(), (APP,), {"same_origin": True}, [(ACAO, APP)]),
        "everybody: an origin": (policy_of(allow_origins=(ANY,)), (EVIL,), {}, [(ACAO, b"*")]),
        "everybody: null": (policy_of(allow_origins=(ANY,)), (b"null",), {}, [(ACAO, b"*")]),
        "everybody: no origin": (policy_of(allow_origins=(ANY,)), (), {}, [(ACAO, b"*")]),
        "everybody, but what is no origin is refused": (policy_of(allow_origins=(ANY,)), (b"x",), {}, []),
        "everybody: without enforce, caches may keep the answer to what is no origin": (
            policy_of(allow_origins=(ANY,), enforce=False),
            (b"x",),
            {},
            [(ACAO, b"*")],
        ),
        "everybody: without enforce, two Origin lines": (
            policy_of(allow_origins=(ANY,), enforce=False),
            (APP, APP),
            {},
            [(ACAO, b"*")],
        ),
        "everybody, but not with a refused method": (
            policy_of(allow_origins=(ANY,), enforce=False),
            (APP,),
            {"method": b"DELETE"},
            [],
        ),
        "everybody: a same-origin request, whatever its Origin says": (
            policy_of(allow_origins=(ANY,)),
            (b"x",),
            {"same_origin": True},
            [(ACAO, b"*")],
        ),
    }
)
def test_grants_of_actual_responses(case: Any) -> None:
    """
    Who is told that it may read.

    Rule 20: no list of methods or headers on actual responses. Rule 23: the star or the byte-identical origin, once. Rule 24: credentials only
    with an origin. Rule 31: without Origin, `*` is sent by a public policy only. Rule 33: the star goes to everybody, for no Vary says otherwise.
    """
    policy, origin, options, expected = case

    assert grants(policy, *origin, **options) == expected


def test_null_by_name_is_granted_as_null() -> None:
    """Rule 6: null by name, under a dangerous switch only."""
    policy = policy_of(allow_origins=("null",), dangerously_allow_null_origin=True)

    assert grants(policy, b"null") == [(ACAO, b"null")]


# --- exposing -------------------------------------------------------------------------------------


PRESENT = [b"ETag", b"content-type", b"Set-Cookie", b"X-Total", b"x-total", b"SET-COOKIE2", b"Link", b"Expires"]


@table(
    {
        "nothing": ((), False, False, None),
        "a fixed list": (("ETag", "X-Total"), False, False, b"ETag, X-Total"),
        "a fixed list with credentials": (("ETag",), True, False, b"ETag"),
        "a fixed list on a 304": (("ETag",), True, True, b"ETag"),
        "any": ((ANY,), False, False, b"*"),
        "any on a 304": ((ANY,), False, True, b"*"),
        "any with credentials: what is there": ((ANY,), True, False, b"ETag, x-total, Link"),
        "any with credentials on a 304: the cache keeps the 200's": ((ANY,), True, True, None),
    }
)
def test_access_control_expose_headers(case: Any) -> None:
    """
    What a script may read beyond the safelisted seven.

    Rule 28: all else needs exposing. Rule 29: with credentials `*` is a literal name; Set-Cookie is never exposed. Rule 26: a 304 updates the cache.
    """
    exposed, credentials, not_modified, expected = case
    policy = policy_of(expose_headers=exposed, allow_credentials=credentials)

    assert expose_line(policy, PRESENT, not_modified=not_modified) == (None if expected is None else (ACEH, expected))


def test_a_computed_list_has_64_names_at_most_and_is_never_empty() -> None:
    policy = policy_of(expose_headers=(ANY,), allow_credentials=True)
    names = [b"X-%d" % number for number in range(65)]
    line = expose_line(policy, names, not_modified=False)

    assert line == (ACEH, b", ".join(names[:64]))
    assert expose_line(policy, [b"Content-Type"], not_modified=False) is None
    assert respond.MAX_COMPUTED_EXPOSED == 64


@table(
    {
        "nothing": ((), False, [], None),
        "what it carries": ((), False, [b"Retry-After"], b"Retry-After"),
        "what it carries beside the policy's": (("ETag",), True, [b"Retry-After"], b"ETag, Retry-After"),
        "no repetition": (("retry-after",), False, [b"Retry-After"], b"Retry-After"),
        "any": ((ANY,), False, [b"Retry-After"], b"*"),
        "any with credentials": ((ANY,), True, [b"Retry-After"], b"Retry-After"),
        "any with credentials, nothing there": ((ANY,), True, [], None),
        "safelisted names go without saying": (("Content-Length",), False, [], None),
    }
)
def test_own_answers_expose_what_they_carry(case: Any) -> None:
    """Rule 28: Retry-After and X-Request-Id need exposing on our own answers too."""
    exposed, credentials, present, expected = case
    policy = policy_of(expose_headers=exposed, allow_credentials=credentials)

    assert own_expose_line(policy, present) == (None if expected is None else (ACEH, expected))


# --- Vary -----------------------------------------------------------------------------------------


@table(
    {
        "nothing there": ([], b"Origin"),
        "another name": ([b"Accept-Encoding"], b"Accept-Encoding, Origin"),
        "there already": ([b"Origin"], b"Origin"),
        "there already in another case": ([b"Accept, origin"], b"Accept, origin"),
        "several lines": ([b"Accept", b"Cookie"], b"Accept, Cookie, Origin"),
        "a star stays": ([b"*"], b"*"),
        "a star among names stays alone": ([b"Accept, *"], b"*"),
        "a star on a second line": ([b"Accept", b"*"], b"*"),
        "repetitions go": ([b"Accept, accept, ORIGIN, Origin"], b"Accept, ORIGIN"),
        "empty elements go": ([b", ,Accept,"], b"Accept, Origin"),
        "an empty field": ([b""], b"Origin"),
        "a name that only contains it": ([b"X-Origin"], b"X-Origin, Origin"),
    }
)
def test_merge_vary(case: Any) -> None:
    """Rule 34: field names without case, no duplicates, `Vary: *` stays."""
    values, expected = case

    assert merge_vary(values, b"Origin") == expected
    assert merge_vary([expected], b"Origin") == expected


# --- beside CORS ----------------------------------------------------------------------------------


TAO, CORP = b"Timing-Allow-Origin", b"Cross-Origin-Resource-Policy"


@table(
    {
        "nothing": ({}, (APP,), [], frozenset()),
        "timings for an allowed origin": ({"timing_allow_origin": True}, (APP,), [(TAO, APP)], frozenset({b"timing-allow-origin"})),
        "timings for another origin": ({"timing_allow_origin": True}, (EVIL,), [], frozenset({b"timing-allow-origin"})),
        "timings for no origin": ({"timing_allow_origin": True}, (), [], frozenset({b"timing-allow-origin"})),
        "timings for everybody": (
            {"timing_allow_origin": True, "allow_origins": (ANY,)},
            (),
            [(TAO, b"*")],
            frozenset({b"timing-allow-origin"}),
        ),
        "a resource policy is for everybody": (
            {"resource_policy": "same-site"},
            (EVIL,),
            [(CORP, b"same-site")],
            frozenset({b"cross-origin-resource-policy"}),
        ),
        "both": (
            {"resource_policy": "cross-origin", "timing_allow_origin": True},
            (APP,),
            [(TAO, APP), (CORP, b"cross-origin")],
            frozenset({b"timing-allow-origin", b"cross-origin-resource-policy"}),
        ),
    }
)
def test_the_fields_beside_cors(case: Any) -> None:
    """Rule 44: Timing-Allow-Origin names whom Access-Control-Allow-Origin names. Rule 30: the upstream's are left alone unless configured."""
    changes, origin, expected, replaced = case
    policy = policy_of(**changes)

    assert respond.neighbour_lines(policy, grants(policy, *origin)) == expected
    assert respond.replaced_neighbours(policy) == replaced


def test_a_preflight_varies_by_what_it_is_asked() -> None:
    asked = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

    assert respond.preflight_vary(None) == respond.preflight_vary(policy_of()) == (b"Vary", asked)
    assert respond.preflight_vary(policy_of(allow_private_network=True)) == (
        b"Vary",
        asked + b", Access-Control-Request-Private-Network",
    )
