"""Policies: valid by construction, and every fault of a draft at once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.cors.pattern import OriginPattern
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, RegexEntry, build_policy
from corsproxy.problems import Fault, Problem

APP = "https://app.example"
DRAFT = PolicyDraft((APP,))
PUBLIC = PolicyDraft((ANY,))
CREDENTIALED = PolicyDraft((APP,), allow_credentials=True)
ORIGINS, METHODS, HEADERS, EXPOSED = "allow_origins", "allow_methods", "allow_headers", "expose_headers"


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def policy_of(draft: PolicyDraft) -> CorsPolicy:
    policy, faults = build_policy(draft)
    assert policy is not None, faults
    return policy


def faults_of(draft: PolicyDraft) -> list[tuple[Problem, tuple[str | int, ...]]]:
    return [(fault.problem, fault.path) for fault in build_policy(draft)[1]]


# --- a good draft ---------------------------------------------------------------------------------


def test_the_defaults_are_a_usual_policy() -> None:
    policy, faults = build_policy(DRAFT)

    assert faults == []
    assert policy is not None
    assert policy.methods == (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE")
    assert (policy.headers, policy.header_list) == (frozenset({b"content-type"}), (b"content-type",))
    assert (policy.exposed, policy.credentials, policy.max_age_s, policy.enforce) == ((), False, 7200, True)
    assert (policy.any_origin, policy.lists_authorization, policy.exact) == (False, False, frozenset({APP.encode()}))


def test_lists_keep_the_order_of_the_file_and_lose_repetitions() -> None:
    draft = replace(
        DRAFT,
        allow_methods=("PUT", "GET", "PUT", "HEAD", "POST"),
        allow_headers=("X-B", "x-a", "X-b"),
        expose_headers=("ETag", "X-Total", "etag"),
    )
    policy = policy_of(draft)

    assert policy.methods == (b"PUT", b"GET", b"HEAD", b"POST")
    assert policy.header_list == (b"x-b", b"x-a")
    assert policy.exposed == (b"etag", b"X-Total")


def test_any_of_everything() -> None:
    policy = policy_of(replace(PUBLIC, allow_methods=(ANY,), allow_headers=(ANY,), expose_headers=(ANY,)))

    assert (policy.any_origin, policy.patterns, policy.methods, policy.headers, policy.exposed) == (True, (), None, None, None)
    assert policy.header_list == ()


def test_any_is_written_as_a_star() -> None:
    assert ANY == "*"


def test_any_header_and_authorization_beside_it() -> None:
    """Rule 16: `*` never covers Authorization, so the two stand together."""
    policy = policy_of(replace(DRAFT, allow_headers=(ANY, "Authorization")))

    assert (policy.headers, policy.header_list, policy.lists_authorization) == (None, (b"authorization",), True)


@table(
    {
        "everybody, without credentials": (PUBLIC, True),
        "one origin": (DRAFT, False),
        "one origin, with credentials": (CREDENTIALED, False),
    }
)
def test_is_public(case: Any) -> None:
    """Rule 33: only `*` without credentials gives everybody the same answer."""
    draft, expected = case

    assert policy_of(draft).is_public is expected


# --- asking a policy ------------------------------------------------------------------------------


@table(
    {
        "exact": (DRAFT, b"https://app.example", APP),
        "another": (DRAFT, b"https://evil.example", None),
        "null": (DRAFT, b"null", None),
        "anything spelled as an origin, under `*`": (PUBLIC, b"https://evil.example", ANY),
        "null, under `*`": (PUBLIC, b"null", ANY),
        "NULL, under `*`": (PUBLIC, b"NULL", None),
        "no origin at all, under `*`": (PUBLIC, b"", None),
        "a list, under `*`": (PUBLIC, b"https://a.example, https://b.example", None),
        "upper case, under `*`": (PUBLIC, b"https://A.example", None),
        "null by name": (PolicyDraft((APP, "null"), dangerously_allow_null_origin=True), b"null", "null"),
        "the first pattern that matches": (
            PolicyDraft(("https://*.example", "https://*.app.example")),
            b"https://x.app.example",
            "https://*.example",
        ),
        "the second pattern": (PolicyDraft(("https://*.app.example", "https://*.example")), b"https://app.example", "https://*.example"),
        "exact before patterns": (PolicyDraft(("https://*.example", APP)), b"https://app.example", APP),
        "a regex": (PolicyDraft((RegexEntry(r"https://pr-\d{1,4}\.example"),)), b"https://pr-7.example", r"https://pr-\d{1,4}\.example"),
        "a regex does not cover null": (PolicyDraft((RegexEntry(".*"),)), b"null", None),
    }
)
def test_allows_origin_names_the_entry_that_lets_it_in(case: Any) -> None:
    """Rule 4, rule 5 and rule 6: whole serialized origins by bytes; `*` covers null, nothing else does unless named."""
    draft, origin, expected = case
    entry = policy_of(draft).allows_origin(origin)

    assert (entry.text if isinstance(entry, OriginPattern) else entry) == expected


@table(
    {
        "GET unlisted": (("PUT",), b"GET", True),
        "HEAD unlisted": (("PUT",), b"HEAD", True),
        "POST unlisted": (("PUT",), b"POST", True),
        "get is another method": (("PUT",), b"get", False),
        "listed": (("PUT",), b"PUT", True),
        "unlisted": (("PUT",), b"DELETE", False),
        "another case than listed": (("PATCH",), b"patch", False),
        "any": ((ANY,), b"PROPFIND", True),
        "any, but a parser must know it": ((ANY,), b"patch", False),
        "any, but not TRACE": ((ANY,), b"TRACE", False),
        "any, but not CONNECT": ((ANY,), b"CONNECT", False),
        "OPTIONS needs listing too": (("PUT",), b"OPTIONS", False),
    }
)
def test_allows_method(case: Any) -> None:
    """Rule 10: by bytes. Rule 11: GET, HEAD and POST always. Rule 12: never CONNECT, TRACE, TRACK."""
    methods, method, expected = case

    assert policy_of(replace(DRAFT, allow_methods=methods)).allows_method(method) is expected


@table(
    {
        "listed": (("X-A",), b"x-a", True),
        "unlisted": (("X-A",), b"x-b", False),
        "content-type is like any other": (("X-A",), b"content-type", False),
        "accept is like any other": (("X-A",), b"accept", False),
        "authorization unlisted": (("X-A",), b"authorization", False),
        "authorization listed": (("Authorization",), b"authorization", True),
        "any": ((ANY,), b"x-a", True),
        "any but authorization": ((ANY,), b"authorization", False),
        "any and authorization": ((ANY, "authorization"), b"authorization", True),
        "nothing is listed": ((), b"content-type", False),
    }
)
def test_allows_header(case: Any) -> None:
    """Rule 16: `*` never covers Authorization. Rule 18: safelisted names are unsafe when asked for, and need listing."""
    headers, name, expected = case

    assert policy_of(replace(DRAFT, allow_headers=headers)).allows_header(name) is expected


# --- public suffixes: what one is, the caller says ---------------------------------------------------


def is_com(name: str) -> bool:
    return name in ("com", "com.")


@table(
    {
        "a wildcard on one": ("https://*.com", True, [problems.PUBLIC_SUFFIX_WITH_CREDENTIALS]),
        "with any port": ("https://*.com:*", True, [problems.PUBLIC_SUFFIX_WITH_CREDENTIALS]),
        "with a dot at the end": ("https://*.com.", True, [problems.PUBLIC_SUFFIX_WITH_CREDENTIALS]),
        "by http": ("http://*.com", True, [problems.INSECURE_ORIGIN, problems.PUBLIC_SUFFIX_WITH_CREDENTIALS]),
        "without credentials": ("https://*.com", False, [problems.PUBLIC_SUFFIX]),
        "a wildcard below one": ("https://*.a.com", True, []),
        "no wildcard": ("https://com", True, []),
        "any port only": ("https://com:*", True, []),
    }
)
def test_a_wildcard_on_a_public_suffix_is_a_danger(case: Any) -> None:
    origin, credentials, expected = case
    draft = PolicyDraft((APP, origin), allow_credentials=credentials)
    policy, faults = build_policy(draft, is_public_suffix=is_com)

    assert [(fault.problem, fault.path) for fault in faults] == [(problem, (ORIGINS, 1)) for problem in expected]
    assert (policy is None) is any(problem.severity is problems.Severity.ERROR for problem in expected)


@pytest.mark.parametrize("credentials", [True, False])
def test_a_public_suffix_can_be_accepted_by_name(*, credentials: bool) -> None:
    draft = PolicyDraft(("https://*.com",), allow_credentials=credentials, dangerously_allow_public_suffixes=True)
    policy, faults = build_policy(draft, is_public_suffix=is_com)

    assert policy is not None
    assert [(fault.problem, fault.path) for fault in faults] == [(problems.DANGEROUS_SETTING, ("dangerously_allow_public_suffixes",))]


def test_only_the_name_behind_a_wildcard_is_asked_about() -> None:
    asked: list[str] = []

    def ask(name: str) -> bool:
        asked.append(name)
        return False

    build_policy(
        PolicyDraft((APP, "https://*.xn--4ca.example", "http://localhost:*", RegexEntry(r"https://.*\.com"))),
        is_public_suffix=ask,
    )

    assert asked == ["xn--4ca.example"]


# --- faults ---------------------------------------------------------------------------------------


FAULTY: Mapping[str, tuple[PolicyDraft, Problem, tuple[str | int, ...]]] = {
    "no origins": (PolicyDraft(()), problems.NO_ORIGINS, (ORIGINS,)),
    "`*` into private networks": (replace(PUBLIC, allow_private_network=True), problems.WILDCARD_INTO_NETWORK, (ORIGINS, 0)),
    "`*` with credentials": (replace(PUBLIC, allow_credentials=True), problems.WILDCARD_WITH_CREDENTIALS, (ORIGINS, 0)),
    "`*` beside another": (PolicyDraft((APP, ANY)), problems.BAD_WILDCARD, (ORIGINS, 1)),
    "a bad spelling": (PolicyDraft((APP, "https://App.example")), problems.ORIGIN_SPELLING, (ORIGINS, 1)),
    "a bad regex": (PolicyDraft((RegexEntry("(a"),)), problems.REGEX_SUBSET, (ORIGINS, 0)),
    "null": (PolicyDraft((APP, "null")), problems.NULL_ORIGIN, (ORIGINS, 1)),
    "null with credentials": (PolicyDraft(("null",), allow_credentials=True), problems.NULL_WITH_CREDENTIALS, (ORIGINS, 0)),
    "an http origin with credentials": (
        PolicyDraft(("https://a.example", "http://a.example"), allow_credentials=True),
        problems.INSECURE_ORIGIN,
        (ORIGINS, 1),
    ),
    "a regex that lets http in, with credentials": (
        PolicyDraft((RegexEntry(r"https?://a\.example"),), allow_credentials=True),
        problems.INSECURE_ORIGIN,
        (ORIGINS, 0),
    ),
    "CONNECT": (replace(DRAFT, allow_methods=("GET", "CONNECT")), problems.BAD_METHOD, (METHODS, 1)),
    "TRACE": (replace(DRAFT, allow_methods=("TRACE",)), problems.BAD_METHOD, (METHODS, 0)),
    "track in lower case": (replace(DRAFT, allow_methods=("track",)), problems.BAD_METHOD, (METHODS, 0)),
    "patch in lower case": (replace(DRAFT, allow_methods=("patch",)), problems.BAD_METHOD, (METHODS, 0)),
    "an unknown method": (replace(DRAFT, allow_methods=("FETCH",)), problems.BAD_METHOD, (METHODS, 0)),
    "no method at all": (replace(DRAFT, allow_methods=("GET, PUT",)), problems.BAD_METHOD, (METHODS, 0)),
    "an empty method": (replace(DRAFT, allow_methods=("",)), problems.BAD_METHOD, (METHODS, 0)),
    "`*` beside a method": (replace(DRAFT, allow_methods=("PUT", ANY)), problems.BAD_METHOD, (METHODS, 1)),
    "Cookie": (replace(DRAFT, allow_headers=("X-A", "Cookie")), problems.BAD_REQUEST_HEADER, (HEADERS, 1)),
    "Host": (replace(DRAFT, allow_headers=("host",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "Sec-Fetch-Site": (replace(DRAFT, allow_headers=("Sec-Fetch-Site",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "Proxy-Authorization": (replace(DRAFT, allow_headers=("Proxy-Authorization",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "a response header to allow": (replace(DRAFT, allow_headers=("ETag",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "no header name": (replace(DRAFT, allow_headers=("X A",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "an empty header name": (replace(DRAFT, allow_headers=("",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "a header name that is no text": (replace(DRAFT, allow_headers=("\udcff",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "Set-Cookie to expose": (replace(DRAFT, expose_headers=("ETag", "set-cookie")), problems.BAD_RESPONSE_HEADER, (EXPOSED, 1)),
    "a request header to expose": (replace(DRAFT, expose_headers=("Authorization",)), problems.BAD_RESPONSE_HEADER, (EXPOSED, 0)),
    "no header name to expose": (replace(DRAFT, expose_headers=("é",)), problems.BAD_RESPONSE_HEADER, (EXPOSED, 0)),
    "`*` beside a name to expose": (replace(DRAFT, expose_headers=("ETag", ANY)), problems.BAD_RESPONSE_HEADER, (EXPOSED, 1)),
    "a negative max_age": (replace(DRAFT, max_age_s=-1), problems.BAD_MAX_AGE, ("max_age",)),
    "a max_age over a day": (replace(DRAFT, max_age_s=86401), problems.BAD_MAX_AGE, ("max_age",)),
    "a forbidden name that is also a response's": (
        replace(DRAFT, allow_headers=("Set-Cookie",)),
        problems.BAD_REQUEST_HEADER,
        (HEADERS, 0),
    ),
    "a forbidden name that is none": (replace(DRAFT, allow_headers=("Sec-Fetch Site",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "two names with a comma": (replace(DRAFT, allow_headers=("X-A,X-B",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "a name with a space before it": (replace(DRAFT, allow_headers=(" X-A",)), problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
    "a method that is no text": (replace(DRAFT, allow_methods=("\udcff",)), problems.BAD_METHOD, (METHODS, 0)),
    "a name to expose that is no text": (replace(DRAFT, expose_headers=("\udcff",)), problems.BAD_RESPONSE_HEADER, (EXPOSED, 0)),
}
MESSAGES = {
    "no origins": ("`allow_origins` is empty", "list origins, as `https://app.example.com`"),
    "`*` into private networks": (
        "`*` with `allow_private_network: true` would let every web site reach into the visitor's network",
        "list the origins, or take `allow_private_network` out",
    ),
    "`*` with credentials": (
        "`*` with `allow_credentials: true` would let every web site act as the visitor",
        "list the origins, or take `allow_credentials` out",
    ),
    "`*` beside another": ("`*` makes the other origins meaningless", 'write `allow_origins: "*"` alone, or take `*` out'),
    "a bad spelling": ("`https://App.example` never matches: browsers send scheme and host in lower case", "write `https://app.example`"),
    "a bad regex": ("at character 1 of `(a`: a `(` without its `)`", r"close it, or write `\(` for the character itself"),
    "null": (
        "`null` is an origin that any web site can take on",
        "take it out, or write `dangerously_allow_null_origin: true` in this policy",
    ),
    "null with credentials": ("`null` with `allow_credentials: true` lets every web site act as the visitor", "take `null` out"),
    "an http origin with credentials": (
        "`http://a.example` lets http pages use the visitor's credentials",
        "use https, or write `dangerously_allow_insecure_origins: true` in this policy",
    ),
    "a regex that lets http in, with credentials": (
        "`https?://a\\.example` lets http pages use the visitor's credentials",
        "use https, or write `dangerously_allow_insecure_origins: true` in this policy",
    ),
    "CONNECT": ("no script can send `CONNECT`", "take it out"),
    "TRACE": ("no script can send `TRACE`", "take it out"),
    "track in lower case": ("no script can send `track`", "take it out"),
    "patch in lower case": ("`patch` is not `PATCH`: methods are compared by bytes", "write `PATCH`"),
    "an unknown method": ("`FETCH` is a method that HTTP parsers do not know", "take it out"),
    "no method at all": ("`GET, PUT` is no method name", "take it out"),
    "an empty method": ("`` is no method name", "take it out"),
    "`*` beside a method": ("`*` makes the other methods meaningless", 'write `allow_methods: "*"` alone, or take `*` out'),
    "Cookie": ("no script can set `Cookie`: the browser keeps it to itself", "take it out"),
    "Host": ("no script can set `host`: the browser keeps it to itself", "take it out"),
    "Sec-Fetch-Site": ("no script can set `Sec-Fetch-Site`: the browser keeps it to itself", "take it out"),
    "Proxy-Authorization": ("no script can set `Proxy-Authorization`: the browser keeps it to itself", "take it out"),
    "a response header to allow": ("`ETag` is a response header", "list it under `expose_headers` if scripts should read it"),
    "no header name": ("`X A` is no header name", "write one name an entry: `[X, A]`"),
    "an empty header name": ("a header name is empty", "take it out"),
    "a header name that is no text": ("`\udcff` is no header name", "use letters, digits and `-`"),
    "Set-Cookie to expose": ("no script can read `set-cookie`, exposed or not", "take it out"),
    "a request header to expose": ("`Authorization` is a request header", "list it under `allow_headers` if scripts should set it"),
    "no header name to expose": ("`é` is no header name", "use letters, digits and `-`"),
    "`*` beside a name to expose": ("`*` makes the other names meaningless", 'write `expose_headers: "*"` alone, or take `*` out'),
    "a negative max_age": ("`max_age` is negative: -1", "write `0` to switch the browser's cache off"),
    "a max_age over a day": ("`max_age` is over 86400 s, the most that any browser keeps", "write `24h` or less"),
    "a forbidden name that is also a response's": ("no script can set `Set-Cookie`: the browser keeps it to itself", "take it out"),
    "a forbidden name that is none": ("`Sec-Fetch Site` is no header name", "write one name an entry: `[Sec-Fetch, Site]`"),
    "two names with a comma": ("`X-A,X-B` is no header name", "write one name an entry: `[X-A, X-B]`"),
    "a name with a space before it": ("` X-A` is no header name", "write the name alone: `X-A`"),
    "a method that is no text": ("`\udcff` is no method name", "take it out"),
    "a name to expose that is no text": ("`\udcff` is no header name", "use letters, digits and `-`"),
}


@table(FAULTY)
def test_a_draft_with_a_fault_is_no_policy(case: Any) -> None:
    """
    What the protocol rules out cannot be configured.

    Rule 6: null never with credentials. Rule 12: forbidden methods are refused in the configuration.
    Rule 19: -1 is no value. Rule 24: `*` never with credentials. Rule 29: Set-Cookie can never be exposed.
    Rule 41: a policy never opens by itself: somebody has to be named. Rule 48: forbidden names are an error.
    """
    draft, problem, path = case
    policy, faults = build_policy(draft)

    assert policy is None
    assert (problem, path) in [(fault.problem, fault.path) for fault in faults]
    assert [fault.problem for fault in faults if fault.problem.severity is problems.Severity.ERROR] == [problem]


def test_all_faults_are_found_at_once() -> None:
    draft = PolicyDraft(
        ("https://A.example", ANY),
        allow_methods=("TRACE", "get"),
        allow_headers=("Cookie",),
        expose_headers=("Set-Cookie",),
        allow_credentials=True,
        max_age_s=-5,
    )

    assert faults_of(draft) == [
        (problems.WILDCARD_WITH_CREDENTIALS, (ORIGINS, 1)),
        (problems.BAD_WILDCARD, (ORIGINS, 1)),
        (problems.ORIGIN_SPELLING, (ORIGINS, 0)),
        (problems.BAD_METHOD, (METHODS, 0)),
        (problems.BAD_METHOD, (METHODS, 1)),
        (problems.BAD_REQUEST_HEADER, (HEADERS, 0)),
        (problems.BAD_RESPONSE_HEADER, (EXPOSED, 0)),
        (problems.BAD_MAX_AGE, ("max_age",)),
    ]


@table(
    {
        "http, with credentials and the dangerous switch": (
            PolicyDraft(("http://a.example",), allow_credentials=True, dangerously_allow_insecure_origins=True),
            [(problems.DANGEROUS_SETTING, ("dangerously_allow_insecure_origins",))],
        ),
        "http without credentials": (PolicyDraft(("http://a.example",)), []),
        "loopback http with credentials": (PolicyDraft(("http://localhost:3000",), allow_credentials=True), []),
        "null with the dangerous switch": (
            PolicyDraft(("null",), dangerously_allow_null_origin=True),
            [(problems.DANGEROUS_SETTING, ("dangerously_allow_null_origin",))],
        ),
        "a loose dot": (PolicyDraft((APP, RegexEntry("https://app.example"))), [(problems.UNESCAPED_DOT, (ORIGINS, 1))]),
        "a regex without a loose dot": (PolicyDraft((RegexEntry(r"https://app\.example"),)), []),
        "a max_age that Chromium caps": (replace(DRAFT, max_age_s=7201), [(problems.MAX_AGE_CAPPED, ("max_age",))]),
        "a max_age of two hours": (replace(DRAFT, max_age_s=7200), []),
        "a max_age of a day": (replace(DRAFT, max_age_s=86400), [(problems.MAX_AGE_CAPPED, ("max_age",))]),
        "a max_age of nothing": (replace(DRAFT, max_age_s=0), []),
        "safelisted methods left out": (replace(DRAFT, allow_methods=("PUT", "GET")), [(problems.SAFELISTED_METHODS, (METHODS,))]),
        "no methods": (replace(DRAFT, allow_methods=()), [(problems.SAFELISTED_METHODS, (METHODS,))]),
    }
)
def test_a_policy_may_come_with_a_warning(case: Any) -> None:
    """Rule 11: leaving GET, HEAD or POST out forbids nothing, and the file's reader is told. Rule 19: browsers cap the age."""
    draft, expected = case
    policy, faults = build_policy(draft)

    assert policy is not None
    assert [(fault.problem, fault.path) for fault in faults] == expected


@pytest.mark.parametrize("name", FAULTY)
def test_messages_name_the_value_and_the_remedy(name: str) -> None:
    faults = build_policy(FAULTY[name][0])[1]

    assert MESSAGES[name] in [(fault.message, fault.help) for fault in faults]


def test_a_missing_safelisted_method_is_named() -> None:
    message = "GET, HEAD cannot be forbidden by leaving them out: CORS always lets them through"

    assert build_policy(replace(DRAFT, allow_methods=("POST",)))[1] == [Fault(problems.SAFELISTED_METHODS, (METHODS,), message)]


@table(
    {
        "a dangerous switch": (
            replace(DRAFT, dangerously_allow_insecure_origins=True),
            "`dangerously_allow_insecure_origins` is on",
            "take it out as soon as it is not needed",
        ),
        "a loose dot": (
            PolicyDraft((RegexEntry("https://app.example"),)),
            "a `.` in `https://app.example` matches any character, not only a dot",
            "write `\\.`",
        ),
        "an age": (replace(DRAFT, max_age_s=9000), "Chromium caps `max_age` at 2h, Safari at 10m", ""),
    }
)
def test_warnings_name_the_value_and_the_remedy(case: Any) -> None:
    draft, message, help_ = case

    assert [(fault.message, fault.help) for fault in build_policy(draft)[1]] == [(message, help_)]


def test_a_list_of_methods_with_a_fault_gets_no_second_note_on_what_it_leaves_out() -> None:
    assert faults_of(replace(DRAFT, allow_methods=("GET", "patch"))) == [(problems.BAD_METHOD, (METHODS, 1))]


def test_the_switches_beside_cors_are_off_unless_they_are_on() -> None:
    plain, _ = build_policy(PolicyDraft(("https://app.example",)))
    full, faults = build_policy(
        PolicyDraft(("https://app.example",), allow_private_network=True, timing_allow_origin=True, resource_policy="same-site")
    )
    assert plain is not None
    assert full is not None

    assert (plain.private_network, plain.timing, plain.resource_policy) == (False, False, b"")
    assert (full.private_network, full.timing, full.resource_policy) == (True, True, b"same-site")
    assert faults == []
