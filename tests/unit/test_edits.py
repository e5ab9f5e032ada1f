"""What becomes of an upstream's response head on its way to the client."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.answers import Context, Exchange
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.decide import Decision, Facts, Kind, Reason, decide
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, build_policy
from corsproxy.edits import Received, keeps_connection, receive, render, render_end, render_interim
from corsproxy.semantics.fields import FieldLine, ResponseHead
from corsproxy.semantics.framing import CHUNKED_BODY, CLOSE_DELIMITED, NO_BODY, Body, BodyKind, Refusal
from corsproxy.semantics.rules import compile_rules

APP = b"https://app.example"
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
DRAFT = PolicyDraft(("https://app.example",))
PLAIN = Context(b"GET", 1, persistent=True)
LENGTH = (b"Content-Length", b"5")
CHUNKED = (b"Transfer-Encoding", b"chunked")
DATED = (b"Date", b"x")


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def policy_of(**changes: Any) -> CorsPolicy:
    policy, faults = build_policy(replace(DRAFT, **changes))
    assert policy is not None, faults
    return policy


POLICY = policy_of()
PUBLIC = policy_of(allow_origins=(ANY,))
CREDENTIALED = policy_of(allow_credentials=True, expose_headers=(ANY,))


def context_of(policy: CorsPolicy, *origin: bytes, method: bytes = b"GET") -> Context:
    return replace(PLAIN, method=method, cors=policy, decision=decide(policy, Facts(method, origin)))


def received_of(context: Context, *lines: FieldLine, status: int = 200, minor: int = 1, reason: bytes = b"OK") -> Received:
    found = receive(context, ResponseHead(status, reason, minor, lines))
    assert isinstance(found, Received), found
    return found


def rendered(context: Context, *lines: FieldLine, close: bool = False, **head: Any) -> bytes:
    return render(context, received_of(context, *lines, **head), DATE, close=close)


def fields_of(content: bytes) -> list[FieldLine]:
    return [(name, value) for line in content.split(b"\r\n")[1:] if line for name, _, value in [line.partition(b": ")]]


def cors_of(context: Context, *lines: FieldLine, **head: Any) -> list[FieldLine]:
    """Return what was added to the lines, and the Vary."""
    return [
        line for line in fields_of(rendered(context, DATED, *lines, **head)) if line not in (DATED, *lines) or line[0].lower() == b"vary"
    ]


# --- receiving ------------------------------------------------------------------------------------


@table(
    {
        "a length": ([LENGTH], 1, Body(BodyKind.LENGTH, 5), Body(BodyKind.LENGTH, 5), True),
        "a length in HTTP/1.0": ([LENGTH], 0, Body(BodyKind.LENGTH, 5), Body(BodyKind.LENGTH, 5), False),
        "a length in HTTP/1.0 that stays": (
            [LENGTH, (b"Connection", b"keep-alive")],
            0,
            Body(BodyKind.LENGTH, 5),
            Body(BodyKind.LENGTH, 5),
            True,
        ),
        "a length, and then the end": ([LENGTH, (b"Connection", b"close")], 1, Body(BodyKind.LENGTH, 5), Body(BodyKind.LENGTH, 5), False),
        "chunked": ([CHUNKED], 1, CHUNKED_BODY, CHUNKED_BODY, True),
        "until the close": ([], 1, CLOSE_DELIMITED, CLOSE_DELIMITED, False),
    }
)
def test_receive_says_how_the_body_ends_and_whether_the_connection_lasts(case: Any) -> None:
    lines, minor, body, client_body, reusable = case
    received = received_of(PLAIN, *lines, minor=minor)

    assert (received.body, received.client_body, received.reusable) == (body, client_body, reusable)


def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    context = replace(PLAIN, minor=0)
    received = received_of(context, CHUNKED, DATED)

    assert (received.body, received.client_body, received.reusable) == (CHUNKED_BODY, CLOSE_DELIMITED, True)
    assert render(context, received, DATE, close=False) == b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\n"


def test_a_client_of_http_1_0_gets_a_length_as_it_is() -> None:
    assert received_of(replace(PLAIN, minor=0), LENGTH).client_body == Body(BodyKind.LENGTH, 5)


def test_a_doubtful_head_is_refused() -> None:
    found = receive(PLAIN, ResponseHead(200, b"OK", 1, [LENGTH, CHUNKED]))

    assert isinstance(found, Refusal)
    assert (found.problem, found.reason) == (problems.UPSTREAM_BAD_HEAD, "length-and-coding")


def test_a_connection_field_cannot_take_the_length_off() -> None:
    """The client would wait for the end of a body that nothing ends."""
    found = receive(PLAIN, ResponseHead(200, b"OK", 1, [LENGTH, (b"Connection", b"Content-Length")]))

    assert isinstance(found, Refusal)
    assert (found.problem, found.reason) == (problems.UPSTREAM_BAD_HEAD, "connection-option")


# --- rendering ------------------------------------------------------------------------------------


def test_a_head_keeps_its_order_spelling_and_bytes() -> None:
    """Rule 30: Timing-Allow-Origin and Cross-Origin-Resource-Policy are the upstream's own."""
    lines = [
        (b"x-b", b"1"),
        (b"Set-Cookie", b"a=b; Path=/"),
        (b"X-A", b"\xff"),
        (b"set-cookie", b"c=d"),
        (b"Timing-Allow-Origin", b"*"),
        (b"Cross-Origin-Resource-Policy", b"same-site"),
        (b"Date", b"yesterday"),
        (b"content-length", b"5"),
    ]
    written = b"".join(b"%b: %b\r\n" % line for line in lines)

    assert rendered(PLAIN, *lines, status=299, reason=b"Na ja \xe9") == b"HTTP/1.1 299 Na ja \xe9\r\n" + written + b"\r\n"


def test_hop_by_hop_fields_stay_behind() -> None:
    lines = [
        (b"Connection", b"X-Hop, keep-alive"),
        (b"X-Hop", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Upgrade", b"h2c"),
        (b"TE", b"x"),
        (b"Trailer", b"x"),
        DATED,
        LENGTH,
    ]

    assert rendered(PLAIN, *lines) == b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n"


def test_what_a_connection_field_takes_off_is_gone_for_good() -> None:
    """A Date that goes is written anew, and a Vary that goes is not merged back in."""
    context = context_of(POLICY)
    lines = [(b"Connection", b"date, vary"), DATED, (b"Vary", b"Cookie"), LENGTH]

    assert rendered(context, *lines) == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVary: Origin\r\nDate: %b\r\n\r\n" % DATE


@table(
    {
        "a Date if there is none": ([LENGTH], {}, b"Content-Length: 5\r\nDate: %b\r\n" % DATE),
        "chunks are announced": ([DATED, CHUNKED], {}, b"Date: x\r\nTransfer-Encoding: chunked\r\n"),
        "until the close is announced": ([DATED], {}, b"Date: x\r\nConnection: close\r\n"),
        "the end is announced": ([DATED, LENGTH], {"close": True}, b"Date: x\r\nContent-Length: 5\r\nConnection: close\r\n"),
        "a 304 keeps the length of the 200": ([DATED, LENGTH], {"status": 304}, b"Date: x\r\nContent-Length: 5\r\n"),
        "a 204 has no length": ([DATED, LENGTH], {"status": 204}, b"Date: x\r\n"),
        "a 204 has no chunks": ([DATED, CHUNKED], {"status": 204}, b"Date: x\r\n"),
    }
)
def test_what_is_added_or_taken_off(case: Any) -> None:
    lines, options, expected = case
    status = options.get("status", 200)

    assert rendered(PLAIN, *lines, **options) == b"HTTP/1.1 %d OK\r\n%b\r\n" % (status, expected)


def test_the_answer_to_a_head_keeps_the_length_and_loses_the_coding() -> None:
    context = replace(PLAIN, method=b"HEAD")

    assert received_of(context, LENGTH).client_body == NO_BODY
    assert rendered(context, DATED, LENGTH) == b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n"
    assert rendered(context, DATED, CHUNKED) == b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\n"


@table(
    {
        "the usual": (b"Not Found", b"Not Found"),
        "none": (b"", b""),
        "another language": (b"Pas trouv\xe9", b"Pas trouv\xe9"),
        "a tab": (b"a\tb", b"a\tb"),
        "the first byte beyond ASCII": (b"\x80", b"\x80"),
        "a NUL": (b"a\x00b", b""),
        "an escape sequence": (b"\x1b[31mred", b""),
        "DEL": (b"a\x7f", b""),
    }
)
def test_a_reason_phrase_that_is_none_is_left_out(case: Any) -> None:
    """llhttp lets control characters in a reason phrase pass; the grammar does not."""
    reason, expected = case

    assert rendered(PLAIN, LENGTH, reason=reason).startswith(b"HTTP/1.1 200 %b\r\n" % expected)
    assert render_interim(PLAIN, ResponseHead(103, reason, 1, [])) == b"HTTP/1.1 103 %b\r\n\r\n" % expected


@table(
    {
        "stays": (PLAIN, [LENGTH], False, True),
        "the client ends it": (replace(PLAIN, persistent=False), [LENGTH], False, False),
        "we end it": (PLAIN, [LENGTH], True, False),
        "the body ends it": (PLAIN, [], False, False),
        "the upstream's own end is not the client's": (PLAIN, [LENGTH, (b"Connection", b"close")], False, True),
    }
)
def test_keeps_connection_and_the_field_agree(case: Any) -> None:
    context, lines, close, expected = case
    received = received_of(context, *lines)

    assert keeps_connection(context, received, close=close) is expected
    assert (b"Connection: close\r\n" not in render(context, received, DATE, close=close)) is expected


# --- interim responses and trailers ---------------------------------------------------------------


def test_an_interim_response_passes_without_cors_length_and_hop_by_hop_fields() -> None:
    """Rule 25: 1xx excepted. Rule 30: the upstream's Access-Control-* goes here too."""
    lines = [
        (b"Link", b"</a.css>; rel=preload"),
        (b"Access-Control-Allow-Origin", b"*"),
        (b"Content-Length", b"5"),
        (b"Connection", b"X-Hop"),
        (b"X-Hop", b"1"),
    ]
    head = ResponseHead(103, b"Early Hints", 1, lines)

    assert render_interim(context_of(PUBLIC), head) == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    assert render_interim(replace(PLAIN, minor=0), head) == b""
    assert b"Access-Control-Allow-Origin: *" in render_interim(replace(PLAIN, cors=CorsMode.PASSTHROUGH), head)


TRAILERS = [
    (b"X-Checksum", b"1"),
    (b"Set-Cookie", b"a"),
    (b"Access-Control-Allow-Origin", b"*"),
    (b"content-type", b"x"),
    (b"Vary", b"*"),
    (b"Host", b"x"),
]


@table(
    {
        "for a client that takes them": (True, [CHUNKED], b"0\r\nX-Checksum: 1\r\n\r\n"),
        "for a client that does not": (False, [CHUNKED], b"0\r\n\r\n"),
        "where there are no chunks": (True, [LENGTH], b""),
    }
)
def test_trailers(case: Any) -> None:
    """Rule 30: no Access-Control-* comes through as a trailer."""
    trailers, lines, expected = case
    context = replace(PLAIN, trailers=trailers)

    assert render_end(context, received_of(context, *lines), TRAILERS) == expected


@pytest.mark.parametrize(
    "name",
    b"Age Cache-Control Date Expires Location Proxy-Authenticate Retry-After Set-Cookie Vary Warning WWW-Authenticate Content-Length Host "
    b"Transfer-Encoding Connection Trailer Authorization Cookie Content-Encoding Access-Control-Allow-Origin".split(),
)
def test_a_field_that_frames_routes_authenticates_or_steers_is_no_trailer(name: bytes) -> None:
    context = replace(PLAIN, trailers=True)

    assert render_end(context, received_of(context, CHUNKED), [(name, b"x"), (name.lower(), b"x")]) == b"0\r\n\r\n"


@table(
    {
        "a client that takes trailers": (True, [CHUNKED], [(b"Trailer", b"X-A, X-B"), (b"Trailer", b"X-C")]),
        "a client that does not": (False, [CHUNKED], []),
        "no chunks": (True, [LENGTH], []),
    }
)
def test_trailers_are_announced_to_those_who_get_them(case: Any) -> None:
    trailers, lines, expected = case
    content = rendered(replace(PLAIN, trailers=trailers), *lines, (b"Trailer", b"X-A, X-B"), (b"trailer", b"X-C"))

    assert [line for line in fields_of(content) if line[0] == b"Trailer"] == expected


# --- CORS -----------------------------------------------------------------------------------------


ACAO = (b"Access-Control-Allow-Origin", APP)
STAR = (b"Access-Control-Allow-Origin", b"*")
ACAC = (b"Access-Control-Allow-Credentials", b"true")
VARY = (b"Vary", b"Origin")


@table(
    {
        "an allowed origin": (context_of(POLICY, APP), [LENGTH], [VARY, ACAO]),
        "another origin that a same-origin decision let pass": (
            replace(PLAIN, cors=POLICY, decision=Decision(Kind.ACTUAL, Reason.SAME_ORIGIN)),
            [LENGTH],
            [VARY],
        ),
        "another origin without enforce": (context_of(policy_of(enforce=False), b"https://evil.example"), [LENGTH], [VARY]),
        "no origin": (context_of(POLICY), [LENGTH], [VARY]),
        "credentials": (context_of(policy_of(allow_credentials=True), APP), [LENGTH], [VARY, ACAO, ACAC]),
        "nothing is exposed to those who are granted nothing": (
            context_of(policy_of(enforce=False, expose_headers=("ETag",)), b"https://evil.example"),
            [LENGTH],
            [VARY],
        ),
        "everybody": (context_of(PUBLIC, APP), [LENGTH], [STAR]),
        "everybody, without Origin": (context_of(PUBLIC), [LENGTH], [STAR]),
        "everybody, without enforce, whatever Origin says": (
            context_of(policy_of(allow_origins=(ANY,), enforce=False), b"x"),
            [LENGTH],
            [STAR],
        ),
        "a fixed list to expose": (
            context_of(policy_of(expose_headers=("ETag",)), APP),
            [LENGTH],
            [VARY, ACAO, (b"Access-Control-Expose-Headers", b"ETag")],
        ),
        "a computed list to expose: the names of this very response": (
            context_of(CREDENTIALED, APP),
            [LENGTH, (b"ETag", b"x"), (b"Set-Cookie", b"a=b"), (b"Connection", b"close")],
            [VARY, ACAO, ACAC, (b"Access-Control-Expose-Headers", b"Date, ETag, Vary")],
        ),
        "a route without CORS": (replace(PLAIN, cors=CorsMode.NONE, decision=Decision(Kind.NOT_CORS, Reason.NO_ORIGIN)), [LENGTH], []),
        "a route that passes CORS through": (
            replace(PLAIN, cors=CorsMode.PASSTHROUGH, decision=Decision(Kind.ACTUAL, Reason.CORS_PASSTHROUGH)),
            [LENGTH, STAR],
            [],
        ),
        "nothing decided": (replace(PLAIN, cors=POLICY), [LENGTH], []),
    }
)
def test_cors_fields_are_added_by_the_decision(case: Any) -> None:
    """
    What a browser gets with the upstream's response.

    Rule 20: Access-Control-Expose-Headers on actual responses, no lists of methods and headers. Rule 23 and rule 24: one origin, `true` once.
    Rule 29: with credentials the names, not the star. Rule 31: without Origin no grant but the star. Rule 32: Vary whoever asks. Rule 33: not for `*`.
    """
    context, lines, expected = case
    added = [line for line in cors_of(context, *lines) if line[0] != b"Connection"]

    assert added == expected


@pytest.mark.parametrize("status", [200, 206, 301, 302, 304, 400, 401, 404, 405, 416, 500, 502, 503, 599])
def test_cors_fields_stand_on_every_status(status: int) -> None:
    """Rule 25: every status. Rule 26: 304 too. Rule 27: redirects too, each hop."""
    lines = [LENGTH, (b"Location", b"https://other.example/")]

    assert cors_of(context_of(POLICY, APP), *lines, status=status) == [VARY, ACAO]


def test_a_304_has_no_computed_list() -> None:
    """Rule 26: the cache updates its fields from a 304, and must not forget what the 200 exposed."""
    assert cors_of(context_of(CREDENTIALED, APP), (b"ETag", b"x"), status=304) == [VARY, ACAO, ACAC]
    fixed = policy_of(expose_headers=("ETag",))
    assert (b"Access-Control-Expose-Headers", b"ETag") in cors_of(context_of(fixed, APP), status=304)


def test_nothing_of_the_upstreams_own_cors_remains() -> None:
    """Rule 30: every Access-Control-* of the upstream goes, in whatever case, before ours is added. Rule 23: exactly one remains."""
    lines = [
        (b"access-control-allow-origin", b"*"),
        (b"ACCESS-CONTROL-ALLOW-CREDENTIALS", b"true"),
        (b"Access-Control-Allow-Methods", b"*"),
        LENGTH,
    ]

    assert [line for line in fields_of(rendered(context_of(POLICY, APP), *lines)) if line[0].lower().startswith(b"access-control")] == [
        ACAO
    ]
    assert b"ccess-control" not in rendered(context_of(POLICY), *lines).lower().replace(b"access-control-request", b"")
    none = replace(PLAIN, cors=CorsMode.NONE, decision=Decision(Kind.NOT_CORS, Reason.NO_ORIGIN))
    assert b"ccess-control" not in rendered(none, *lines).lower()


@table(
    {
        "none there": ([], [(b"Vary", b"Origin")]),
        "another name": ([(b"vary", b"Accept-Encoding")], [(b"Vary", b"Accept-Encoding, Origin")]),
        "there already, as it is spelled": ([(b"vary", b"origin")], [(b"vary", b"origin")]),
        "two lines become one": ([(b"Vary", b"Accept"), (b"vary", b"Cookie")], [(b"Vary", b"Accept, Cookie, Origin")]),
        "a star stays": ([(b"Vary", b"*")], [(b"Vary", b"*")]),
        "two equal lines become one": ([(b"Vary", b"Origin"), (b"Vary", b"Origin")], [(b"Vary", b"Origin")]),
    }
)
def test_vary_is_merged(case: Any) -> None:
    """Rule 34: merged into the upstream's, on one line."""
    lines, expected = case
    content = rendered(context_of(POLICY), *lines, LENGTH)

    assert [line for line in fields_of(content) if line[0].lower() == b"vary"] == expected


def test_a_public_policy_leaves_the_upstreams_vary_alone() -> None:
    """Rule 33: the answer does not depend on Origin."""
    lines = [(b"Vary", b"Accept"), (b"vary", b"Accept")]

    assert [line for line in fields_of(rendered(context_of(PUBLIC, APP), *lines, LENGTH)) if line[0].lower() == b"vary"] == lines


def test_an_event_stream_is_granted_and_nothing_of_it_is_changed() -> None:
    """Rule 43: EventSource needs Access-Control-Allow-Origin and -Credentials; no coding is added."""
    policy = policy_of(allow_credentials=True)
    lines = [DATED, (b"Content-Type", b"text/event-stream"), (b"Cache-Control", b"no-cache"), CHUNKED]

    assert rendered(context_of(policy, APP), *lines) == (
        b"HTTP/1.1 200 OK\r\n"
        b"Date: x\r\n"
        b"Content-Type: text/event-stream\r\n"
        b"Cache-Control: no-cache\r\n"
        b"Vary: Origin\r\n"
        b"Access-Control-Allow-Origin: https://app.example\r\n"
        b"Access-Control-Allow-Credentials: true\r\n"
        b"Transfer-Encoding: chunked\r\n"
        b"\r\n"
    )


# --- a route's rules ------------------------------------------------------------------------------


ROUTE = Route(b"/", Upstream("http://up", "up", 80, b"up"), CREDENTIALED)
NAMED = Exchange(request_id=b"request-1")


def routed(*removed: bytes, policy: CorsPolicy = CREDENTIALED, add: list[FieldLine] | None = None) -> Context:
    rules = compile_rules(removed, add=add or ())
    return replace(context_of(policy, APP), route=replace(ROUTE, cors=policy, response_headers=rules), exchange=NAMED)


def test_a_computed_list_names_what_rules_put_on_and_nothing_that_they_took_off() -> None:
    context = routed(b"Server", add=[(b"X-Stage", b"test")])
    lines = dict(fields_of(rendered(context, DATED, (b"Server", b"x"), (b"ETag", b"e"), (b"X-Request-Id", b"upstreams"), LENGTH)))

    assert lines[b"Access-Control-Expose-Headers"] == b"Date, ETag, X-Stage, X-Request-Id, Vary"


@table(
    {
        "removed: Origin is there all the same": (compile_rules([b"Vary"]), [(b"Vary", b"Cookie")], [b"Origin"]),
        "set: Origin joins": (compile_rules(replace=[(b"Vary", b"Accept")]), [(b"Vary", b"Cookie")], [b"Accept, Origin"]),
        "set to a star": (compile_rules(replace=[(b"vary", b"*")]), [(b"Vary", b"Cookie")], [b"*"]),
        "added: all in one": (compile_rules(add=[(b"Vary", b"Accept")]), [(b"Vary", b"Cookie")], [b"Cookie, Accept, Origin"]),
        "set to Origin": (compile_rules(replace=[(b"Vary", b"origin")]), [], [b"origin"]),
    }
)
def test_vary_of_rules_is_merged_like_the_upstreams(case: Any) -> None:
    """Rules 32 and 34: a rule cannot take Origin off."""
    rules, lines, expected = case
    context = replace(routed(policy=POLICY), route=replace(ROUTE, cors=POLICY, response_headers=rules))

    assert [value for name, value in fields_of(rendered(context, DATED, *lines)) if name.lower() == b"vary"] == expected


@pytest.mark.parametrize("status", [200, 204, 206, 301, 304, 404, 502])
def test_the_requests_id_stands_on_every_final_status(status: int) -> None:
    lines = fields_of(rendered(routed(), (b"X-Request-Id", b"upstreams"), status=status))

    assert [line for line in lines if line[0] == b"X-Request-Id"] == [(b"X-Request-Id", b"request-1")]


def test_no_interim_response_carries_an_id_or_what_rules_take_off() -> None:
    head = ResponseHead(103, b"Early Hints", 1, [(b"Link", b"</a>"), (b"Server", b"x"), (b"x-request-id", b"upstreams")])

    assert render_interim(routed(b"server", add=[(b"X-A", b"b")]), head) == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def test_what_rules_take_off_is_no_trailer_either() -> None:
    context = replace(routed(b"X-Debug", add=[(b"X-A", b"b")]), trailers=True)
    received = received_of(context, CHUNKED)

    assert render_end(context, received, [(b"x-debug", b"1"), (b"X-Sum", b"2")]) == b"0\r\nX-Sum: 2\r\n\r\n"


@table(
    {
        "left alone": ({}, [b"https://upstreams.example"], [b"same-site"]),
        "replaced": ({"timing_allow_origin": True, "resource_policy": "cross-origin"}, [APP], [b"cross-origin"]),
    }
)
def test_the_fields_beside_cors_replace_the_upstreams_where_they_are_configured(case: Any) -> None:
    """Rule 30: Timing-Allow-Origin and CORP are left alone unless configured."""
    changes, timing, resource = case
    lines = [(b"timing-allow-origin", b"https://upstreams.example"), (b"Cross-Origin-Resource-Policy", b"same-site")]
    found = fields_of(rendered(context_of(policy_of(**changes), APP), DATED, *lines))

    assert [value for name, value in found if name.lower() == b"timing-allow-origin"] == timing
    assert [value for name, value in found if name.lower() == b"cross-origin-resource-policy"] == resource


def test_a_route_that_passes_cors_through_keeps_the_upstreams_cors_and_gets_the_id() -> None:
    context = replace(PLAIN, cors=CorsMode.PASSTHROUGH, route=replace(ROUTE, cors=CorsMode.PASSTHROUGH), exchange=NAMED)
    lines = [DATED, (b"Access-Control-Allow-Origin", b"*"), (b"Timing-Allow-Origin", b"*")]

    assert fields_of(rendered(context, *lines, LENGTH)) == [*lines, LENGTH, (b"X-Request-Id", b"request-1")]
