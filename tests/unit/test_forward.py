"""The head that goes upstream: forwarding fields, ids, Host, Origin, and the route's own rules."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from corsproxy.config.choices import CorsMode, OriginHeader
from corsproxy.config.settings import ForwardingSettings, Route, Settings
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.policy import PolicyDraft, build_policy
from corsproxy.forward import Forward, sent_host, upstream_target
from corsproxy.plan import Connection, plan
from corsproxy.semantics.fields import FieldLine, RequestHead
from corsproxy.semantics.forwarded import ForwardedMode
from corsproxy.semantics.rules import compile_rules
from corsproxy.semantics.target import Target, TargetForm
from tests.unit.planned import CLIENT, FRESH

POLICY, _ = build_policy(PolicyDraft(("https://app.example",), enforce=False))
assert POLICY is not None
UP = Upstream("http://up:81", "up", 81, b"up:81")
HOST = (b"Host", b"api.example")
QUIET = ForwardingSettings(ForwardedMode.NONE)
PROXY = Connection("10.0.0.7")
TRUSTING = ForwardingSettings(trusted=(ip_network("10.0.0.0/8"), "unix"))


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def route_of(upstream: Upstream = UP, *, path: bytes = b"/", **changes: Any) -> Route:
    assert POLICY is not None
    return replace(Route(path, upstream, POLICY), **changes)


def forward_of(
    *lines: FieldLine,
    route: Route | None = None,
    forwarding: ForwardingSettings = QUIET,
    peer: Connection = CLIENT,
    host: FieldLine | None = HOST,
    target: bytes = b"/x",
    method: bytes = b"GET",
    minor: int = 1,
    pseudonym: bytes = b"",
) -> Forward:
    settings = Settings((route or route_of(),), pseudonym=pseudonym, forwarding=forwarding)
    head = RequestHead(method, target, minor, [*([host] if host else []), *lines])
    planned = plan(settings, head, peer, FRESH)
    assert isinstance(planned, Forward), planned
    return planned


def sent(*lines: FieldLine, **given: Any) -> list[FieldLine]:
    """Return the lines that go upstream, Host left out."""
    return lines_of(forward_of(*lines, **given))[1:]


def lines_of(planned: Forward) -> list[FieldLine]:
    found = planned.head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
    return [(name, value) for line in found for name, _, value in [line.partition(b": ")]]


ID = (b"X-Request-Id", FRESH.request_id)


# --- the target -----------------------------------------------------------------------------------


@table(
    {
        "as it is": (b"/", b"", False, b"/a//b/%2e?c=/d", b"/a//b/%2e?c=/d"),
        "the upstream's path before it": (b"/", b"/v1", False, b"/a?b", b"/v1/a?b"),
        "a prefix stays unless it is stripped": (b"/reports", b"", False, b"/reports/a", b"/reports/a"),
        "a prefix is stripped": (b"/reports", b"", True, b"/reports/a/b?c", b"/a/b?c"),
        "once": (b"/a", b"", True, b"/a/a/a", b"/a/a"),
        "stripped to nothing is the root": (b"/reports", b"", True, b"/reports", b"/"),
        "stripped to nothing with a query": (b"/reports", b"", True, b"/reports?x=1", b"/?x=1"),
        "a slash at the end": (b"/reports", b"", True, b"/reports/", b"/"),
        "stripped, then the upstream's path": (b"/reports", b"/v1", True, b"/reports/a", b"/v1/a"),
        "both, and nothing left": (b"/reports", b"/v1", True, b"/reports?q", b"/v1/?q"),
        "the root cannot be stripped": (b"/", b"/v1", True, b"/a", b"/v1/a"),
        "slashes behind the prefix stay": (b"/a", b"", True, b"/a//b", b"//b"),
        "an absolute target": (b"/reports", b"/v1", True, b"http://api.example/reports/a?http://x/", b"/v1/a?http://x/"),
        "an absolute target that ends with the prefix": (b"/reports", b"", True, b"http://api.example/reports", b"/"),
    }
)
def test_the_prefix_is_taken_off_and_the_upstreams_path_put_before(case: Any) -> None:
    path, base, strips, target, expected = case
    planned = forward_of(route=route_of(replace(UP, path=base), path=path, strip_prefix=strips), target=target)

    assert planned.head.startswith(b"GET %b HTTP/1.1\r\n" % expected)


def test_upstream_target_reads_the_origin_form() -> None:
    target = Target(TargetForm.ORIGIN, b"/a/b", b"?", b"api.example")

    assert upstream_target(route_of(path=b"/a", strip_prefix=True), target) == b"/b?"


# --- Host -----------------------------------------------------------------------------------------


@table(
    {
        "its own": (b"", HOST, b"up:81"),
        "the client's": (None, HOST, b"api.example"),
        "the client's as it is spelled, with its port": (None, (b"Host", b"API.example:8443"), b"API.example:8443"),
        "the client's, and there is none": (None, None, b"up:81"),
        "the client's, and it is empty": (None, (b"Host", b""), b"up:81"),
        "a name": (b"legacy.internal", HOST, b"legacy.internal"),
    }
)
def test_host_is_as_the_upstream_says(case: Any) -> None:
    host_header, host, expected = case
    route = route_of(replace(UP, host_header=host_header))
    planned = forward_of(route=route, host=host, minor=0)

    assert lines_of(planned)[0] == (b"Host", expected)
    assert planned.context.sent_host == expected == sent_host(route, Target(TargetForm.ORIGIN, b"/", b"", host[1] if host else b""))
    assert planned.head.count(b"Host: ") == 1


def test_a_preserved_host_of_an_absolute_target_is_its_authority() -> None:
    planned = forward_of(route=route_of(replace(UP, host_header=None)), target=b"http://API.example/x")

    assert planned.head.startswith(b"GET /x HTTP/1.1\r\nHost: api.example\r\n")


# --- Origin ---------------------------------------------------------------------------------------


ORIGIN = (b"oRigin", b"https://app.example")


@table(
    {
        "kept": (OriginHeader.KEEP, UP, None, [ORIGIN], [ORIGIN]),
        "removed": (OriginHeader.REMOVE, UP, None, [ORIGIN], []),
        "the upstream's own": (OriginHeader.UPSTREAM, UP, None, [ORIGIN], [(b"Origin", b"http://up:81")]),
        "the upstream's own, https": (
            OriginHeader.UPSTREAM,
            replace(UP, tls=True, authority=b"up"),
            None,
            [ORIGIN],
            [(b"Origin", b"https://up")],
        ),
        "none came, so none goes": (OriginHeader.UPSTREAM, UP, None, [], []),
        "passthrough keeps it when it is to be removed": (OriginHeader.REMOVE, UP, CorsMode.PASSTHROUGH, [ORIGIN], [ORIGIN]),
        "passthrough keeps it when it is to be the upstream's": (OriginHeader.UPSTREAM, UP, CorsMode.PASSTHROUGH, [ORIGIN], [ORIGIN]),
        "several are removed": (OriginHeader.REMOVE, UP, None, [ORIGIN, ORIGIN], []),
        "several become one": (OriginHeader.UPSTREAM, UP, None, [ORIGIN, ORIGIN], [(b"Origin", b"http://up:81")]),
    }
)
def test_origin_is_as_the_upstream_says(case: Any) -> None:
    header, upstream, mode, lines, expected = case
    route = route_of(replace(upstream, origin_header=header), **({"cors": mode} if mode else {}))

    assert [line for line in sent(*lines, route=route) if line[0].lower() == b"origin"] == expected


# --- forwarding fields ----------------------------------------------------------------------------


def test_a_strangers_forwarding_fields_are_replaced() -> None:
    forged = [
        (b"X-Forwarded-For", b"127.0.0.1"),
        (b"x-forwarded-proto", b"https"),
        (b"X-Forwarded-Host", b"evil.example"),
        (b"X-Forwarded-Port", b"1"),
        (b"X-Forwarded-Prefix", b"/evil"),
        (b"X-Forwarded-Server", b"evil"),
        (b"X_Forwarded_For", b"127.0.0.1"),
        (b"X-Real-IP", b"127.0.0.1"),
        (b"X_Real_IP", b"127.0.0.1"),
        (b"Forwarded", b"for=127.0.0.1"),
    ]

    assert sent(*forged, forwarding=ForwardingSettings()) == [
        (b"X-Forwarded-For", b"192.0.2.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"api.example"),
        (b"X-Forwarded-Port", b"80"),
        ID,
    ]


def test_a_trusted_proxys_fields_are_carried_on() -> None:
    told = [
        (b"X-Forwarded-For", b"203.0.113.9, 10.0.0.1"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"shop.example"),
        (b"X-Forwarded-Prefix", b"/outer"),
        (b"X-Forwarded-Server", b"lb1"),
        (b"X-Real-IP", b"203.0.113.9"),
        (b"X_Forwarded_For", b"127.0.0.1"),
    ]
    planned = forward_of(*told, forwarding=TRUSTING, peer=PROXY, route=route_of(path=b"/x", strip_prefix=True), target=b"/x/y")

    assert lines_of(planned)[1:] == [
        (b"X-Forwarded-Server", b"lb1"),
        (b"X-Real-IP", b"203.0.113.9"),
        (b"X-Forwarded-For", b"203.0.113.9, 10.0.0.1, 10.0.0.7"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"shop.example"),
        (b"X-Forwarded-Port", b"443"),
        (b"X-Forwarded-Prefix", b"/outer/x"),
        ID,
    ]
    assert planned.context.exchange.client == b"203.0.113.9"


@table(
    {
        "X-Forwarded-*": (ForwardedMode.X_FORWARDED, [b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Forwarded-Port"]),
        "Forwarded": (ForwardedMode.FORWARDED, [b"Forwarded"]),
        "both": (
            ForwardedMode.BOTH,
            [b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Forwarded-Port", b"Forwarded"],
        ),
        "none": (ForwardedMode.NONE, []),
    }
)
def test_the_mode_says_which_fields_tell_of_the_client(case: Any) -> None:
    mode, expected = case
    forged = [(b"X-Forwarded-For", b"127.0.0.1"), (b"Forwarded", b"for=127.0.0.1")]

    assert [name for name, _ in sent(*forged, forwarding=ForwardingSettings(mode))] == [*expected, b"X-Request-Id"]


# --- the request's id, and the trace --------------------------------------------------------------


@table(
    {
        "a client's own stays where it stands, as it is spelled": (
            {},
            [(b"x-request-ID", b"client-id.1"), (b"X-A", b"b")],
            [(b"x-request-ID", b"client-id.1"), (b"X-A", b"b")],
            b"client-id.1",
        ),
        "none came": ({}, [], [ID], FRESH.request_id),
        "too short": ({}, [(b"X-Request-Id", b"short")], [ID], FRESH.request_id),
        "with other signs": ({}, [(b"X-Request-Id", b"id with spaces")], [ID], FRESH.request_id),
        "two of them": ({}, [(b"X-Request-Id", b"client-id.1"), (b"X-Request-Id", b"client-id.1")], [ID], FRESH.request_id),
        "one is not believed": ({"trusts_request_id": False}, [(b"X-Request-Id", b"client-id.1")], [ID], FRESH.request_id),
        "one that CGI reads alike is dropped": ({}, [(b"X_Request_Id", b"client-id.1")], [ID], FRESH.request_id),
        "one for this hop alone": (
            {},
            [(b"X-Request-Id", b"client-id.1"), (b"Connection", b"X-Request-Id")],
            [ID],
            FRESH.request_id,
        ),
        "under another name": (
            {"request_id_header": b"X-Trace"},
            [(b"x-trace", b"client-id.1"), (b"X-Request-Id", b"plain")],
            [(b"X-Request-Id", b"plain"), (b"X-Trace", b"client-id.1")],
            b"client-id.1",
        ),
        "under another name, none came": (
            {"request_id_header": b"X-Trace"},
            [(b"X-Request-Id", b"client-id.1")],
            [(b"X-Request-Id", b"client-id.1"), (b"X-Trace", FRESH.request_id)],
            FRESH.request_id,
        ),
        "under another name, one that CGI reads alike is dropped": (
            {"request_id_header": b"X-Trace"},
            [(b"X_Trace", b"forged-id.1"), (b"X-Trace", b"client-id.1"), (b"X.Trace", b"forged-id.2")],
            [(b"X-Trace", b"client-id.1")],
            b"client-id.1",
        ),
        "under another name, invalid": (
            {"request_id_header": b"X-Trace"},
            [(b"X-Trace", b"")],
            [(b"X-Trace", FRESH.request_id)],
            FRESH.request_id,
        ),
    }
)
def test_the_upstream_gets_one_id_and_it_is_the_exchanges(case: Any) -> None:
    given, lines, expected, request_id = case
    planned = forward_of(*lines, forwarding=ForwardingSettings(ForwardedMode.NONE, **given))

    assert lines_of(planned)[1:] == expected
    assert planned.context.exchange.request_id == request_id


PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
BEGUN = (b"traceparent", b"00-%b-%b-01" % (FRESH.trace_id, FRESH.parent_id))


@table(
    {
        "one that came is passed on, and read": (True, [(b"Traceparent", PARENT)], [(b"Traceparent", PARENT)], PARENT[3:35]),
        "one that is not valid is passed on all the same": (True, [(b"traceparent", b"x")], [(b"traceparent", b"x")], b""),
        "none came, one begins": (True, [], [BEGUN], FRESH.trace_id),
        "none came, none begins": (False, [], [], b""),
        "one that came for this hop alone": (
            True,
            [(b"traceparent", PARENT), (b"Connection", b"traceparent")],
            [BEGUN],
            FRESH.trace_id,
        ),
    }
)
def test_a_trace_is_passed_on_or_begun(case: Any) -> None:
    begins, lines, expected, trace_id = case
    planned = forward_of(*lines, forwarding=ForwardingSettings(ForwardedMode.NONE, begins_trace=begins))

    assert [line for line in lines_of(planned) if line[0].lower() == b"traceparent"] == expected
    assert planned.context.exchange.trace_id == trace_id


# --- header rules ---------------------------------------------------------------------------------


def test_a_rule_that_writes_the_trace_leaves_it_alone() -> None:
    rules = compile_rules(replace=[(b"traceparent", b"00-fixed")])
    lines = sent(route=route_of(request_headers=rules), forwarding=ForwardingSettings(ForwardedMode.NONE, begins_trace=True))

    assert [value for name, value in lines if name == b"traceparent"] == [b"00-fixed"]


RULES = compile_rules([b"X-Debug"], [(b"X-Api-Key", b"s3cret")], [(b"X-Stage", b"test")])


def test_rules_act_on_the_clients_lines_and_the_proxys_own_come_behind() -> None:
    lines = [(b"X-Debug", b"1"), (b"x-api-key", b"mine"), (b"X_Api_Key", b"mine"), (b"X-Stage", b"dev"), (b"Accept", b"*/*")]

    assert sent(*lines, route=route_of(request_headers=RULES), pseudonym=b"me") == [
        (b"X-Stage", b"dev"),
        (b"Accept", b"*/*"),
        (b"X-Api-Key", b"s3cret"),
        (b"X-Stage", b"test"),
        ID,
        (b"Via", b"1.1 me"),
    ]


def test_a_client_cannot_take_a_rules_field_off_by_nominating_it() -> None:
    lines = [(b"Connection", b"X-Api-Key, X-Stage"), (b"X-Api-Key", b"mine")]

    assert sent(*lines, route=route_of(request_headers=RULES)) == [(b"X-Api-Key", b"s3cret"), (b"X-Stage", b"test"), ID]


def test_what_goes_upstream_does_not_show() -> None:
    """A traceback, a debugger or a log may print it."""
    assert "s3cret" not in repr(forward_of(route=route_of(request_headers=RULES)))
