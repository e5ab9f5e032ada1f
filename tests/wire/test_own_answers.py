"""
Every status that the proxy makes itself, as it arrives: who can read it, in which form, and what stands beside it.

What upstreams do wrong, and which status that becomes, is in `test_upstream_faults`.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from corsproxy.config.settings import HostRules, Limits, RouteLimits
from corsproxy.problems import catalogue
from tests.conftest import ErrorLog, ProxyFactory
from tests.harness import ORIGIN, STRANGER, Proxy, Response, Upstream, exchange, get, head, ok, put, route

ALLOWED = b"Origin: " + ORIGIN
AS_TEXT = b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@dataclass(frozen=True)
class Case:
    """
    A request, and the problem that it meets.

    `request` makes it with more lines. `readable`: scripts of an allowed origin can read the answer; nobody can where the proxy cannot
    tell what was asked. `settings` are the proxy's; `arrange` is called before it is asked.
    """

    code: str
    request: Callable[..., bytes]
    readable: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    limits: RouteLimits = field(default_factory=RouteLimits)
    arrange: Callable[[Proxy, Upstream, pytest.MonkeyPatch], Any] = lambda *_: None
    path: bytes = b"/"


def asking(target: bytes = b"/", *own: bytes, method: bytes = b"GET") -> Callable[..., bytes]:
    return lambda *lines, method=method: get(target, *own, *lines, method=method)


def fail(proxy: Proxy, _: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(proxy.gateway, "pool", broken)


async def go_down(_: Proxy, upstream: Upstream, __: pytest.MonkeyPatch) -> None:
    await upstream.fall()


CASES = {
    400: Case("CP307", asking(b"/api/../x"), path=b"/api"),
    403: Case("CP302", asking(method=b"PURGE")),
    404: Case("CP304", asking(b"/nowhere"), path=b"/api"),
    405: Case("CP306", asking(method=b"TRACE")),
    411: Case("CP330", lambda *lines: head(b"POST / HTTP/1.0", b"Host: proxy.test", *lines), readable=False),
    413: Case("CP308", lambda *lines: put(b"x" * 11, *lines), limits=RouteLimits(request_body=10)),
    414: Case("CP309", asking(b"/" + b"a" * 2000), settings={"limits": Limits(request_line=1024)}),
    417: Case("CP313", asking(b"/", b"Expect: a miracle")),
    421: Case("CP314", asking(), settings={"hosts": HostRules(frozenset({b"other"}))}),
    426: Case(
        "CP329",
        asking(
            b"/",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Version: 12",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
    ),
    431: Case("CP310", asking(b"/", b"X-Long: " + b"a" * 2000), settings={"limits": Limits(request_line=1024, request_head=1024)}),
    500: Case("CP501", asking(), arrange=fail),
    501: Case("CP311", asking(b"/", b"Transfer-Encoding: gzip, chunked", method=b"POST"), readable=False),
    502: Case("CP401", asking(), arrange=go_down),
    503: Case(
        "CP316", asking(), settings={"limits": Limits(in_flight=1)}, arrange=lambda proxy, *_: setattr(proxy.gateway, "in_flight", 1)
    ),
    508: Case("CP317", asking(b"/", b"Via: 1.1 corsproxy")),
}
each_case = pytest.mark.parametrize("status", CASES)


async def answer_to(
    case: Case, proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, log: ErrorLog, *lines: bytes, **more: Any
) -> Response:
    served = replace(route(upstream, case.path), limits=case.limits)
    front = await proxy(served, **case.settings)
    before = front.gateway.in_flight
    arranged = case.arrange(front, upstream, monkeypatch)
    if arranged is not None:
        await arranged
    try:
        client = await front.connect()
        request = case.request(*lines, **more)
        await client.send(request)
        return await client.read_response(request.split(b" ")[0])
    finally:
        front.gateway.in_flight -= 1 if case.code == "CP316" else before
        if case.code == "CP501":
            log.lines.clear()


def is_exposed(got: Response, *names: bytes) -> bool:
    return set(names) <= {name.strip().lower() for name in got.cors[b"access-control-expose-headers"].split(b",")}


@each_case
async def test_an_allowed_origin_reads_it(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, quiet_loop: ErrorLog, status: int
) -> None:
    case = CASES[status]
    got = await answer_to(case, proxy, upstream, monkeypatch, quiet_loop, ALLOWED)
    problem = catalogue()[case.code]
    request_id = (got.value(b"x-request-id") or b"").decode()

    assert got.status == status
    assert got.value(b"content-type") == b"application/problem+json"
    assert json.loads(got.body) == {
        "type": f"urn:corsproxy:problem:{case.code}",
        "title": problem.title,
        "status": status,
        "detail": problem.detail,
        "stage": problem.stage.value,
        "code": case.code,
        "instance": f"urn:corsproxy:request:{request_id}",
        "request_id": request_id,
    }
    assert got.value(b"cache-control") == b"no-store"
    assert got.value(b"proxy-status") == f'corsproxy; error={problem.proxy_error}; details="{problem.detail}"'.encode()
    assert got.values(b"retry-after") == ([b"1"] if status == 503 else [])
    if case.readable:
        assert got.cors[b"access-control-allow-origin"] == ORIGIN
        assert got.value(b"vary") == b"Origin, Accept"
        assert is_exposed(got, b"proxy-status", b"x-request-id", *([b"retry-after"] if status == 503 else []))
    else:
        assert got.cors == {}
        assert got.value(b"vary") == b"Accept"
    assert upstream.requests == []
    for secret in (b"127.0.0.1", b":%d" % upstream.port, b"secret"):
        assert secret not in got.raw


@each_case
async def test_a_stranger_reads_nothing(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, quiet_loop: ErrorLog, status: int
) -> None:
    case = CASES[status]
    got = await answer_to(case, proxy, upstream, monkeypatch, quiet_loop, b"Origin: " + STRANGER)

    # Whom the policy does not let in is told so before anything that comes later.
    assert got.status in (status, 403)
    assert got.cors == {}


@each_case
async def test_a_person_gets_plain_text(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, quiet_loop: ErrorLog, status: int
) -> None:
    case = CASES[status]
    got = await answer_to(case, proxy, upstream, monkeypatch, quiet_loop, ALLOWED, AS_TEXT)
    problem = catalogue()[case.code]

    assert (got.status, got.value(b"content-type")) == (status, b"text/plain; charset=utf-8")
    assert got.body.decode().startswith(f"{status} {problem.title}\n\n{problem.detail}\n\ncode: {case.code}\nstage: {problem.stage}\n")
    assert re.search(rb"^request id: %b$" % (got.value(b"x-request-id") or b"-"), got.body, re.MULTILINE)


@pytest.mark.parametrize("status", [404, 417, 421, 500, 502, 503, 508])
@pytest.mark.parametrize("accept", [b"Accept: */*", AS_TEXT], ids=["json", "text"])
async def test_an_answer_to_head_has_the_length_of_the_one_to_get(
    proxy: ProxyFactory, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, quiet_loop: ErrorLog, status: int, accept: bytes
) -> None:
    case = CASES[status]
    lines = (ALLOWED, accept, b"X-Request-Id: request-1")
    of_head = await answer_to(case, proxy, upstream, monkeypatch, quiet_loop, *lines, method=b"HEAD")
    monkeypatch.undo()
    if status == 502:
        upstream.rise()
    of_get = await answer_to(case, proxy, upstream, monkeypatch, quiet_loop, *lines)

    assert (of_head.status, of_head.body) == (status, b"")
    assert of_head.value(b"content-length") == b"%d" % len(of_get.body)
    assert of_head.without(b"date") == of_get.without(b"date")


def test_no_status_is_forgotten() -> None:
    elsewhere = {
        408: "test_duties: a body that stops; test_slow_head: a head that does",
        429: "test_rate_limit",
        504: "test_upstream_faults",
    }

    assert {problem.status for problem in catalogue().values() if problem.status} == CASES.keys() | elsewhere.keys()


async def test_what_an_upstream_says_of_its_own_way_is_kept(proxy: ProxyFactory, upstream: Upstream) -> None:
    """An answer of the upstream's is not ours: its Proxy-Status and RateLimit pass as they came."""
    front = await proxy()
    lines = (b"Proxy-Status: cdn.example; error=dns_error, inner; received-status=500", b'RateLimit: "api";r=1;t=2', b"Retry-After: 9")
    _, got = await exchange(front, upstream, get(b"/", ALLOWED), ok(b"x", *lines, status=b"503 Unavailable"))

    assert [line for line in got.fields if line[0] in (b"Proxy-Status", b"RateLimit", b"Retry-After")] == [
        tuple(line.split(b": ", 1)) for line in lines
    ]
