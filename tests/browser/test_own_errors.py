"""
What a page in a real browser reads of an answer that the proxy made itself: status, code, request id, and when to come back.

A page whose origin the policy does not name gets a CORS failure like any other, also where the file says `enforce: false`, so that the same
answer is made for it.
"""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page

from corsproxy.cli.local_ca import Issued
from tests.browser.conftest import FETCH
from tests.browser.sites import API, NEIGHBOUR, PAGE, LegacyApi, RunningProxy, Servers, pages

pytestmark = pytest.mark.browser

BLOCKED = {"error": "TypeError: Failed to fetch"}
# Of two calls to an upstream that never answers, and has room for one, the other is answered by the proxy. No cache joins the two.
RACE = """async ([url]) => {
    const stop = new AbortController();
    const calls = [1, 2].map(n => fetch(url + "?" + n, {cache: "no-store", signal: stop.signal}));
    calls.forEach(call => call.catch(() => {}));
    try {
        const answer = await Promise.race(calls);
        return {status: answer.status, type: answer.type, body: await answer.text(), headers: Object.fromEntries([...answer.headers])};
    } catch (error) {
        return {error: String(error)};
    } finally {
        stop.abort();
    }
}"""
POLICY: Final = """\
listen: 127.0.0.1:0
hosts: [{host}]
tls: {{cert_file: {cert}, key_file: {key}}}
log: {{format: json}}
cors: {{allow_origins: ["{origin}"], allow_headers: [X-Long], enforce: {enforce}}}
routes:
  - {{path: /api, upstream: "http://127.0.0.1:{api}", strip_prefix: true}}
  - {{path: /small, upstream: "http://127.0.0.1:{api}", limits: {{request_body: 10B}}}}
  - {{path: /down, upstream: "http://127.0.0.1:{down}"}}
  - {{path: /silent, upstream: "http://127.0.0.1:{silent}", timeouts: {{response: 100ms}}}}
  - path: /full
    upstream: {{url: "http://127.0.0.1:{silent}", pool: {{max_connections: 1, wait: 50ms}}}}
"""
# One call is let through, by whoever comes first, and none for an hour.
LIMIT: Final = "rate_limit: {rate: 1/h, burst: 1}\n"


@dataclass(frozen=True)
class Site:
    """Where the proxies are, by what their file says, and the origins of an allowed page and of another one."""

    proxies: dict[str, str]
    page: str
    stranger: str


@pytest.fixture(scope="module")
def site(certificate: Issued, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("errors")
    with ExitStack() as stack:
        servers = stack.enter_context(Servers())
        down, silent = (stack.enter_context(socket.socket()) for _ in range(2))
        for each in (down, silent):
            each.bind(("127.0.0.1", 0))
        # Nobody ever accepts: connections stand in the kernel's queue, and what they say is answered by nobody.
        silent.listen(16)
        page = servers.start(pages(), serving(certificate))
        values = {
            "host": API,
            "cert": certificate.cert_file,
            "key": certificate.key_file,
            "origin": f"https://{PAGE}:{page}",
            "api": servers.start(LegacyApi().app()),
            "down": down.getsockname()[1],
            "silent": silent.getsockname()[1],
        }
        files = {
            "enforced": POLICY.format(enforce="true", **values),
            "open": POLICY.format(enforce="false", **values),
            "limited": POLICY.format(enforce="false", **values) + LIMIT,
        }
        proxies = {name: start(stack, directory / f"{name}.yaml", text) for name, text in files.items()}
        yield Site(proxies, f"https://{PAGE}:{page}", f"https://{NEIGHBOUR}:{page}")


def serving(issued: Issued) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    return context


def start(stack: ExitStack, policy: Path, text: str) -> str:
    policy.write_text(text)
    running = RunningProxy(policy)
    stack.callback(running.stop)
    return f"https://{API}:{running.port()}"


def post(body: str) -> dict[str, Any]:
    return {"method": "POST", "body": body, "headers": {"Content-Type": "text/plain"}}


# The path, what is sent, and the code.
CALLS: Final[dict[int, tuple[str, dict[str, Any], str]]] = {
    404: ("/no-such-route", {}, "CP304"),
    413: ("/small", post("x" * 11), "CP308"),
    429: ("/api/data", {}, "CP331"),
    431: ("/api/data", {"headers": {"X-Long": "x" * 70_000}}, "CP310"),
    502: ("/down", {}, "CP401"),
    503: ("/full", {}, "CP410"),
    504: ("/silent", {}, "CP408"),
}


def call(page: Page, proxy: str, status: int) -> dict[str, Any]:
    """Make the call that meets a status."""
    path, init, _ = CALLS[status]
    if status == 503:
        answer: dict[str, Any] = page.evaluate(RACE, [proxy + path])
        return answer
    answer = page.evaluate(FETCH, [proxy + path, init])
    if status == 429 and answer.get("status") != 429:
        answer = page.evaluate(FETCH, [proxy + path, init])
    return answer


@pytest.mark.parametrize("status", CALLS)
def test_a_page_of_an_allowed_origin_reads_status_code_and_request_id(page: Page, site: Site, status: int) -> None:
    page.goto(site.page)
    answer = call(page, site.proxies["limited" if status == 429 else "enforced"], status)
    problem, headers = json.loads(answer["body"]), answer["headers"]

    assert (answer["status"], answer["type"]) == (status, "cors")
    assert (problem["status"], problem["code"]) == (status, CALLS[status][2])
    assert problem["request_id"] == headers["x-request-id"]
    assert problem["instance"] == f"urn:corsproxy:request:{headers['x-request-id']}"
    assert headers["content-type"] == "application/problem+json"
    assert headers["proxy-status"].startswith("corsproxy; error=")
    assert ("retry-after" in headers) == (status in (429, 503))
    if status == 429:
        wait = int(headers["retry-after"])
        assert 0 < wait <= 3600
        assert headers["ratelimit"] == f'"default";r=0;t={wait}'
        assert headers["ratelimit-policy"] == '"default";q=1;w=3600'


@pytest.mark.parametrize("policy", ["enforced", "open"])
@pytest.mark.parametrize("status", CALLS)
def test_a_page_of_any_other_origin_gets_a_plain_cors_failure(page: Page, site: Site, status: int, policy: str) -> None:
    page.goto(site.stranger)

    assert call(page, site.proxies["limited" if status == 429 else policy], status) == BLOCKED


def test_a_person_who_opens_the_address_reads_plain_text(page: Page, site: Site) -> None:
    response = page.goto(f"{site.proxies['enforced']}/down")

    assert response is not None
    assert (response.status, response.headers["content-type"]) == (502, "text/plain; charset=utf-8")
    assert page.inner_text("body").startswith(
        "502 upstream refused the connection\n\nThe upstream refused the connection.\n\ncode: CP401\n"
    )
