"""What is kept of a decision: a head cut at what is copied, and what a route takes off."""

from dataclasses import replace

import pytest

from corsproxy.answers import Context, Exchange
from corsproxy.config.choices import CorsMode, OriginHeader
from corsproxy.config.settings import Route
from corsproxy.config.upstreams import Upstream
from corsproxy.forward import Forward
from corsproxy.known import CUT, CUT_ID, CUT_PARENT, CUT_TRACE, MAX_VERDICTS, Client, Site, cut
from corsproxy.semantics.acts import MAX_NAME_BYTES
from corsproxy.semantics.fields import serialize
from corsproxy.semantics.framing import NO_BODY, Body, BodyKind
from corsproxy.semantics.rules import compile_rules

ROUTE = Route(b"/api", Upstream("http://up/v1", "up", 80, b"up", b"/v1"), CorsMode.NONE)
CONTEXT = Context(b"POST", 1, persistent=True, exchange=Exchange(CUT_ID), sent_host=b"up")
OUT = [b"\r\nOrigin: ", b"https://app.example", b"\r\nX_Debug: ", b"1", b"\r\nCookie: ", b"a=1"]
TOLD = b"X-Forwarded-For: 192.0.2.1\r\n"


def probe_of(behind: bytes, body: Body = NO_BODY, lines: bytes = b"A: b\r\n" + serialize([CUT])) -> Forward:
    head = b"POST /v1/api HTTP/1.1\r\nHost: up\r\n" + lines + behind + b"\r\n"
    return Forward(CONTEXT, ROUTE, head, body, 10, 20, reuse_upstream=True)


def client() -> Client:
    return Client(b"192.0.2.1", TOLD, Site(ROUTE))


def test_a_head_is_cut_at_whatever_is_copied() -> None:
    behind = b"X-Set: 1\r\n" + TOLD + b"X-Request-Id: %b\r\ntraceparent: 00-%b-%b-01\r\nVia: 1.1 corsproxy\r\nContent-Length: 5\r\n"
    known = cut(probe_of(behind % (CUT_ID, CUT_TRACE, CUT_PARENT), Body(BodyKind.LENGTH, 5)), client(), b"5")

    assert known is not None
    assert (known.start, known.host) == (b"POST /v1", b" HTTP/1.1\r\nHost: up")
    assert (known.before, known.between) == (b"\r\nX-Set: 1\r\n", b"X-Request-Id: ")
    assert (known.behind_id, known.behind_trace, known.behind_parent) == (
        b"\r\ntraceparent: 00-",
        b"-",
        b"-01\r\nVia: 1.1 corsproxy\r\nContent-Length: ",
    )
    assert known.behind_length == b"\r\n\r\n"


def test_what_is_not_written_here_is_not_cut() -> None:
    known = cut(probe_of(TOLD + b"Via: 1.1 corsproxy\r\n"), client(), None)

    assert known is not None
    assert (known.before, known.between) == (b"\r\n", b"Via: 1.1 corsproxy\r\n\r\n")
    assert (known.behind_id, known.behind_trace) == (None, None)


@pytest.mark.parametrize(
    "probe",
    {
        "without the mark": probe_of(TOLD, lines=b"A: b\r\n"),
        "with the mark of a client as well": probe_of(TOLD, lines=2 * serialize([CUT])),
        "with an id twice": probe_of(TOLD + b"X-Request-Id: %b\r\nX-Id: %b\r\n" % (CUT_ID, CUT_ID)),
        "with a trace twice": probe_of(TOLD + b"A: %b\r\nB: %b\r\n" % (CUT_TRACE, CUT_TRACE)),
        "without the length": probe_of(TOLD, Body(BodyKind.LENGTH, 5)),
    }.items(),
    ids=lambda item: item[0],
)
def test_what_cannot_be_told_for_certain_is_not_cut(probe: tuple[str, Forward]) -> None:
    name, forward = probe
    assert cut(forward, client(), b"5" if name == "without the length" else None) is None


@pytest.mark.parametrize(
    ("route", "kept"),
    [
        (ROUTE, [b"\r\nOrigin: ", b"\r\nX_Debug: ", b"\r\nCookie: "]),
        (replace(ROUTE, request_headers=compile_rules([b"X-Debug"])), [b"\r\nOrigin: ", b"\r\nCookie: "]),
        (replace(ROUTE, upstream=replace(ROUTE.upstream, origin_header=OriginHeader.REMOVE)), [b"\r\nX_Debug: ", b"\r\nCookie: "]),
    ],
)
def test_a_site_takes_off_what_its_route_takes_off(route: Route, kept: list[bytes]) -> None:
    site = Site(route)
    for _ in range(2):
        assert site.sift(OUT)[::2] == kept
    assert site.sifts == (len(kept) < 3)


def test_under_the_upstreams_own_cors_origin_stays() -> None:
    upstream = replace(ROUTE.upstream, origin_header=OriginHeader.REMOVE)

    assert not Site(replace(ROUTE, cors=CorsMode.PASSTHROUGH, upstream=upstream)).sifts


@pytest.mark.parametrize(("target", "rest"), [(b"/api/x?y", b"/x?y"), (b"/api", b"/"), (b"/api?y", b"/?y"), (b"/api/", b"/")])
def test_the_prefix_is_taken_off(target: bytes, rest: bytes) -> None:
    assert Site(replace(ROUTE, strip_prefix=True)).cut(target) == rest


def test_verdicts_on_made_up_names_are_few_and_short() -> None:
    site = Site(replace(ROUTE, request_headers=compile_rules([b"X-Debug"])))
    for number in range(MAX_VERDICTS + 5):
        site.sift([b"\r\nx-%d: " % number, b"", b"\r\n" + b"y" * MAX_NAME_BYTES + b"%d: " % number, b""])

    assert len(site._verdicts) == MAX_VERDICTS
    assert max(map(len, site._verdicts)) <= MAX_NAME_BYTES + 4
    assert site.sift([b"\r\nX.Debug: ", b"1"]) == []
