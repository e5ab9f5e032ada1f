"""A model browser in front of the real plan: what it may do is what the policy says, no more and no less."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corsproxy import edits, problems, rehearse
from corsproxy.answers import Answer, problem_answer
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route, Settings, Timeouts
from corsproxy.config.upstreams import Upstream
from corsproxy.cors import browser
from corsproxy.cors.browser import BrowserRequest, BrowserResponse, CredentialsMode, Fields
from corsproxy.cors.names import SAFELISTED_METHODS, SENDABLE_METHODS
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, RegexEntry, build_policy
from corsproxy.plan import Forward, plan
from corsproxy.semantics.fields import FieldLine, RequestHead, ResponseHead
from tests.unit.planned import CLIENT, FRESH

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
API = b"https://api.example"
UPSTREAM = Upstream("http://up", "up", 80, b"up")

# The entries of `allow_origins`, each with the origins that it stands for, told by hand: no code of ours says what an entry means.
MEANINGS: dict[str, frozenset[bytes]] = {
    "https://app.example": frozenset({b"https://app.example"}),
    "https://app.example:8443": frozenset({b"https://app.example:8443"}),
    "https://*.app.example": frozenset({b"https://a.app.example", b"https://a.b.app.example"}),
    "https://app.example:*": frozenset({b"https://app.example", b"https://app.example:8443"}),
    "http://localhost:*": frozenset({b"http://localhost:3000"}),
    r"regex https://pr-\d{1,3}\.example": frozenset({b"https://pr-7.example"}),
    "capacitor://localhost": frozenset({b"capacitor://localhost"}),
}
ORIGINS = sorted(frozenset().union(*MEANINGS.values()) | {b"https://evil.example", b"https://app.example.", b"http://app.example", b"null"})

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]
SCRIPT_METHODS = [*(method.encode() for method in METHODS), b"get", b"put", b"patch", b"FETCH", b"*"]
LISTED_NAMES = ["Content-Type", "X-A", "x-b", "Authorization", "Accept", "Range", "If-None-Match"]
HEADERS: list[FieldLine] = [
    (b"Content-Type", b"application/json"),
    (b"Content-Type", b"text/plain"),
    (b"X-A", b"1"),
    (b"X-B", b"2"),
    (b"authorization", b"Bearer x"),
    (b"Accept", b"text/html"),
    (b"Accept", b"(unsafe)"),
    (b"Accept-Language", b"x" * 129),
    (b"Range", b"bytes=0-99"),
    (b"Range", b"bytes=-99"),
    (b"If-None-Match", b'"x"'),
    (b"*", b"1"),
    (b"Cookie", b"dropped by the browser"),
]


@dataclass(frozen=True)
class Server:
    """The proxy with one policy, and an upstream that answers everything alike. It keeps what went upstream."""

    policy: CorsPolicy
    response: ResponseHead
    forwarded: list[bytes]

    def exchange(self, method: bytes, fields: Fields) -> BrowserResponse:
        """Serve one request of the browser."""
        context_settings = Settings((Route(b"/", UPSTREAM, self.policy, Timeouts()),), default_cors=self.policy)
        head = RequestHead(method, b"/x", 1, [(b"Host", b"api.example"), *fields])
        served = rehearse.serve(context_settings, head, CLIENT, self.response)
        if isinstance(served.planned, Forward):
            self.forwarded.append(served.planned.head)
        return served.response


def parsed(content: bytes) -> BrowserResponse:
    status_line, *lines = content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    fields = tuple((name, value) for line in lines for name, _, value in [line.partition(b": ")])
    return BrowserResponse(int(status_line.split(b" ")[1]), fields)


OK = ResponseHead(200, b"OK", 1, [(b"Content-Length", b"0"), (b"ETag", b'"x"')])


def serve(policy: CorsPolicy, response: ResponseHead = OK) -> Server:
    return Server(policy, response, [])


def policy_of(draft: PolicyDraft) -> CorsPolicy:
    policy, faults = build_policy(draft)
    assert policy is not None, faults
    return policy


@st.composite
def drafts(draw: st.DrawFn) -> PolicyDraft:
    credentials = draw(st.booleans())
    if not credentials and draw(st.integers(0, 3)) == 0:
        origins: list[str] = [ANY]
    else:
        origins = draw(st.lists(st.sampled_from(sorted(MEANINGS)), min_size=1, max_size=3, unique=True))
    with_null = not credentials and origins != [ANY] and draw(st.booleans())
    entries = [RegexEntry(entry.removeprefix("regex ")) if entry.startswith("regex ") else entry for entry in origins]
    methods = draw(st.one_of(st.just([ANY]), st.lists(st.sampled_from(METHODS), unique=True)))
    names = draw(st.one_of(st.just([ANY]), st.just([ANY, "Authorization"]), st.lists(st.sampled_from(LISTED_NAMES), unique=True)))
    exposed = draw(st.sampled_from([(), (ANY,), ("ETag", "X-Total")]))
    return PolicyDraft(
        (*entries, "null") if with_null else tuple(entries),
        allow_methods=tuple(methods),
        allow_headers=tuple(names),
        expose_headers=exposed,
        allow_credentials=credentials,
        max_age_s=draw(st.sampled_from([0, 600])),
        enforce=draw(st.booleans()),
        dangerously_allow_null_origin=with_null,
    )


@st.composite
def requests(draw: st.DrawFn) -> BrowserRequest:
    method = draw(st.sampled_from(SCRIPT_METHODS))
    return BrowserRequest(
        draw(st.sampled_from(ORIGINS)),
        API,
        method,
        tuple(draw(st.lists(st.sampled_from(HEADERS), max_size=3, unique_by=lambda header: header[0].lower()))),
        draw(st.sampled_from(CredentialsMode)),
        upload_listener=draw(st.booleans()),
        stream_body=method.upper() not in (b"GET", b"HEAD") and draw(st.booleans()),
    )


def names_origin(draft: PolicyDraft, origin: bytes) -> bool:
    for entry in draft.allow_origins:
        if isinstance(entry, RegexEntry):
            if origin in MEANINGS[f"regex {entry.pattern}"]:
                return True
        elif entry == ANY or origin == entry.encode() or origin in MEANINGS.get(entry, ()):
            return True
    return False


def names_method(draft: PolicyDraft, method: bytes) -> bool:
    if method in SAFELISTED_METHODS:
        return True
    return method in SENDABLE_METHODS if draft.allow_methods == (ANY,) else method.decode() in draft.allow_methods


def names_header(draft: PolicyDraft, name: bytes) -> bool:
    listed = {listed.lower().encode() for listed in draft.allow_headers}
    return name in listed or (b"*" in listed and name != b"authorization")


def may(draft: PolicyDraft, request: BrowserRequest) -> bool:
    """Say what the policy promises, in its own words."""
    return (
        names_origin(draft, request.origin)
        and names_method(draft, browser.normalize_method(request.method))
        and all(names_header(draft, name) for name in browser.unsafe_header_names(request.headers))
        and (draft.allow_credentials or request.credentials is not CredentialsMode.INCLUDE)
    )


def acao_lines(fields: Fields) -> list[bytes]:
    return [value for name, value in fields if name.lower() == b"access-control-allow-origin"]


BOUNDED = settings(deadline=None)


@BOUNDED
@given(drafts(), requests())
def test_a_fetch_succeeds_exactly_when_the_policy_names_all_of_it(draft: PolicyDraft, request: BrowserRequest) -> None:
    """Rule 15: both the intersection and the configured list satisfy the browser, and nothing more does."""
    outcome = browser.fetch(request, serve(policy_of(draft)).exchange)

    # A Location or a 403 that can be read is an accepted answer too: here the upstream sends neither.
    assert outcome.ok == may(draft, request), outcome
    if outcome.ok:
        assert outcome.response is not None
        assert outcome.response.status == 200


@BOUNDED
@given(drafts(), requests())
def test_enforce_refuses_nothing_that_would_succeed_and_changes_no_outcome(draft: PolicyDraft, request: BrowserRequest) -> None:
    """Rule 40: `enforce` is no part of CORS, so no browser can tell whether it is on but by what does not reach the upstream."""
    strict, lax = serve(policy_of(replace(draft, enforce=True))), serve(policy_of(replace(draft, enforce=False)))

    with_enforce = browser.fetch(request, strict.exchange)
    without = browser.fetch(request, lax.exchange)

    assert (with_enforce.ok, with_enforce.stage, with_enforce.response) == (without.ok, without.stage, without.response)
    assert strict.forwarded == lax.forwarded if without.ok else set(strict.forwarded) <= set(lax.forwarded)


@BOUNDED
@given(drafts(), requests(), st.data())
def test_removing_an_origin_never_allows_more(draft: PolicyDraft, request: BrowserRequest, data: st.DataObject) -> None:
    assume(len(draft.allow_origins) > 1)
    gone = data.draw(st.sampled_from(draft.allow_origins))
    smaller = serve(policy_of(replace(draft, allow_origins=tuple(entry for entry in draft.allow_origins if entry != gone))))
    larger = serve(policy_of(draft))

    less, more = browser.fetch(request, smaller.exchange), browser.fetch(request, larger.exchange)

    assert more.ok or not less.ok
    assert set(smaller.forwarded) <= set(larger.forwarded)


JUNK_NAMES = [
    b"Access-Control-Allow-Origin",
    b"access-control-allow-credentials",
    b"Access-Control-Allow-Methods",
    b"ACCESS-CONTROL-ALLOW-HEADERS",
    b"Access-Control-Expose-Headers",
    b"Access-Control-Max-Age",
    b"Access-Control-Allow-Private-Network",
    b"Access-Control-Junk",
]
JUNK_VALUES = [b"*", b"true", b"null", b"https://evil.example", b"https://app.example", b"GET, PUT", b"", b"\xff"]


@BOUNDED
@given(drafts(), requests(), st.lists(st.tuples(st.sampled_from(JUNK_NAMES), st.sampled_from(JUNK_VALUES)), min_size=1, max_size=5))
def test_the_upstreams_own_opinion_changes_nothing(draft: PolicyDraft, request: BrowserRequest, junk: list[FieldLine]) -> None:
    """Rule 30: whatever Access-Control-* the upstream sends, the browser sees what it would see without it."""
    policy = policy_of(draft)
    noisy = serve(policy, OK._replace(lines=[*junk[:1], *OK.lines, *junk[1:]]))

    assert browser.fetch(request, noisy.exchange) == browser.fetch(request, serve(policy).exchange)


FAILURES = [problem for problem in problems.catalogue().values() if problem.status]


@BOUNDED
@given(drafts(), requests(), st.sampled_from([200, 204, 206, 301, 304, 401, 404, 500, 503]), st.sampled_from([None, *FAILURES]))
def test_every_response_to_an_allowed_origin_can_be_read(
    draft: PolicyDraft,
    request: BrowserRequest,
    status: int,
    failure: problems.Problem | None,
) -> None:
    """Rule 23: exactly one Access-Control-Allow-Origin. Rule 25: on every status and on our own problems. Rule 32 and rule 33: Vary by policy."""
    policy = policy_of(draft)
    method = browser.normalize_method(request.method)
    head = RequestHead(method, b"/x", 1, [(b"Host", b"api.example"), *browser.actual_fields(request)])
    planned = plan(Settings((Route(b"/", UPSTREAM, policy, Timeouts()),)), head, CLIENT, FRESH)
    if failure is not None:
        content = problem_answer(planned.context, failure).to_bytes(DATE)
    elif isinstance(planned, Answer):
        content = planned.to_bytes(DATE)
    else:
        received = edits.receive(planned.context, OK._replace(status=status, lines=[*OK.lines, (b"vary", b"Accept")]))
        assert isinstance(received, edits.Received)
        content = edits.render(planned.context, received, DATE, close=False)
    fields = parsed(content).fields
    is_named = names_origin(draft, request.origin)
    is_lax_refusal = not draft.enforce and not names_method(draft, method)

    expected = [b"*" if policy.is_public else request.origin] if is_named and not is_lax_refusal else []
    assert acao_lines(fields) == expected
    varies = [element.strip().lower() for name, value in fields if name.lower() == b"vary" for element in value.split(b",")]
    assert varies.count(b"origin") == (0 if policy.is_public else 1)
    assert [value for name, value in fields if name == b"Access-Control-Allow-Credentials"] == (
        [b"true"] if expected and policy.credentials else []
    )


@BOUNDED
@given(drafts(), requests())
def test_what_is_refused_never_reaches_the_upstream(draft: PolicyDraft, request: BrowserRequest) -> None:
    """Rule 21: no preflight is forwarded; and under `enforce` no cross-origin request of another origin is."""
    server = serve(policy_of(replace(draft, enforce=True)))
    browser.fetch(request, server.exchange)

    assert all(b"Access-Control-Request-Method" not in head for head in server.forwarded)
    assert names_origin(draft, request.origin) or not server.forwarded


@BOUNDED
@given(drafts(), requests(), st.booleans())
def test_a_page_of_the_proxys_own_origin_is_never_hindered(draft: PolicyDraft, request: BrowserRequest, enforce: bool) -> None:  # noqa: FBT001
    """Rule 1: browsers send Origin same-origin too; such requests are not refused, whatever the policy."""
    # Others do not parse.
    assume(browser.normalize_method(request.method) in SENDABLE_METHODS)
    server = serve(policy_of(replace(draft, enforce=enforce)))
    outcome = browser.fetch(replace(request, origin=API), server.exchange)

    assert outcome.ok
    assert len(server.forwarded) == 1


@pytest.mark.parametrize("mode", [CorsMode.NONE, CorsMode.PASSTHROUGH])
@BOUNDED
@given(requests())
def test_without_a_policy_nobody_is_granted_anything(mode: CorsMode, request: BrowserRequest) -> None:
    """Rule 41: nothing opens by itself."""

    def exchange(method: bytes, fields: Fields) -> BrowserResponse:
        head = RequestHead(method, b"/x", 1, [(b"Host", b"api.example"), *fields])
        served = rehearse.serve(Settings((Route(b"/", UPSTREAM, mode, Timeouts()),)), head, CLIENT, OK)
        assert served.forwarded == (mode is CorsMode.PASSTHROUGH and method in SENDABLE_METHODS)
        return served.response

    assert not browser.fetch(request, exchange).ok


def test_the_model_is_not_vacuous() -> None:
    """Both verdicts happen for a good part of what is drawn, with a preflight and without one."""
    seen = {(may(draft, request), browser.needs_preflight(request) is not None) for draft, request in _corners()}

    assert seen == {(True, True), (True, False), (False, True), (False, False)}


def _corners() -> Iterator[tuple[PolicyDraft, BrowserRequest]]:
    draft = PolicyDraft(("https://app.example",), allow_methods=("PUT",))
    for origin in ORIGINS:
        for method in (b"GET", b"PUT", b"DELETE"):
            yield draft, BrowserRequest(origin, API, method)


def test_the_hand_written_meanings_are_within_what_is_drawn() -> None:
    assert all(meaning <= set(ORIGINS) for meaning in MEANINGS.values())
    assert isinstance(
        plan(
            Settings((Route(b"/", UPSTREAM, policy_of(PolicyDraft((ANY,))), Timeouts()),)),
            RequestHead(b"GET", b"/", 1, [(b"Host", b"x")]),
            CLIENT,
            FRESH,
        ),
        Forward,
    )
