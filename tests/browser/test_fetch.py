"""
What a real browser makes of the proxy's answers: real `fetch` calls from the demo page's origin.

Each call also goes straight to the legacy API, where the browser blocks it: so it is the proxy that makes the difference.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Page

from corsproxy.cors import browser as model
from tests.browser.conftest import FETCH, Demo

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Call:
    """One call of a script, and whether the demo's policy lets it read the answer."""

    name: str
    path: str
    readable: bool
    init: dict[str, Any] = field(default_factory=dict)
    status: int = 200


JSON = {"Content-Type": "application/json"}
CALLS = [
    Call("a simple GET", "/orders", readable=True),
    Call("a HEAD", "/orders", readable=True, init={"method": "HEAD"}),
    Call("a GET with credentials", "/orders", readable=True, init={"credentials": "include"}),
    Call("a GET that omits credentials", "/orders", readable=True, init={"credentials": "omit"}),
    Call(
        "a simple POST of a form",
        "/login",
        readable=True,
        init={"method": "POST", "body": "user=ada", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ),
    Call(
        "a preflighted POST of JSON",
        "/orders",
        readable=True,
        init={"method": "POST", "body": '{"article": "Nut", "quantity": 2}', "headers": JSON},
        status=201,
    ),
    Call(
        "a preflighted POST with credentials",
        "/orders",
        readable=True,
        init={"method": "POST", "body": '{"article": "Nut", "quantity": 2}', "headers": JSON, "credentials": "include"},
        status=201,
    ),
    Call("a PUT", "/orders/2", readable=True, init={"method": "PUT", "body": '{"quantity": 3}', "headers": JSON}),
    Call("a listed header of our own", "/orders", readable=True, init={"headers": {"X-Request-Source": "test"}}),
    Call("a listed header in another case", "/orders", readable=True, init={"headers": {"x-REQUEST-source": "test"}}),
    Call("an answer of 404", "/nothing-here", readable=True, status=404),
    Call("an answer of 500", "/fail", readable=True, status=500),
    Call("an answer of 401", "/me", readable=True, status=401),
    Call("an answer with a wrong CORS header of its own", "/wrong-cors", readable=True),
    Call("a method that is not listed", "/orders/1", readable=False, init={"method": "PATCH", "body": "{}", "headers": JSON}),
    Call("a lower-case method is another method", "/orders/1", readable=False, init={"method": "patch", "body": "{}", "headers": JSON}),
    Call("a header that is not listed", "/orders", readable=False, init={"headers": {"X-Not-Listed": "1"}}),
    Call("Authorization that is not listed", "/orders", readable=False, init={"headers": {"Authorization": "Bearer x"}}),
    Call(
        "a safelisted header that is too long to be safe",
        "/orders",
        readable=False,
        init={"headers": {"Accept": "text/plain;" + "x" * 150}},
    ),
    Call("a script's own OPTIONS that is not listed", "/orders", readable=False, init={"method": "OPTIONS"}),
]
each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)


@each_call
def test_a_real_browser_reads_exactly_what_the_policy_allows(page: Page, demo: Demo, call: Call) -> None:
    page.goto(f"{demo.page}/icon.svg")

    straight = page.evaluate(FETCH, [demo.api + call.path, call.init])
    proxied = page.evaluate(FETCH, [demo.proxy + call.path, call.init])

    assert "error" in straight, "the browser lets this call through without the proxy; it proves nothing"
    if call.readable:
        assert (call.status, "cors") == (proxied.get("status"), proxied.get("type"))
    else:
        assert proxied == {"error": "TypeError: Failed to fetch"}


@each_call
def test_no_call_is_readable_from_an_origin_that_the_policy_does_not_name(page: Page, demo: Demo, call: Call) -> None:
    page.goto(demo.page.replace("localhost", "127.0.0.1") + "/icon.svg")

    assert page.evaluate(FETCH, [demo.proxy + call.path, call.init]) == {"error": "TypeError: Failed to fetch"}


@each_call
def test_the_model_browser_asks_for_a_preflight_when_the_real_one_does(page: Page, demo: Demo, call: Call) -> None:
    page.goto(f"{demo.page}/icon.svg")
    before = _last_seq(page)
    page.evaluate(FETCH, [demo.api + call.path, call.init])
    reached = [entry["method"] for entry in page.evaluate("seq => fetch('/api-log?since=' + seq).then(r => r.json())", before)["entries"]]

    request = model.BrowserRequest(
        origin=demo.page.encode(),
        url_origin=demo.api.encode(),
        method=call.init.get("method", "GET").encode(),
        headers=tuple((name.encode(), value.encode()) for name, value in call.init.get("headers", {}).items()),
        credentials=model.CredentialsMode(call.init.get("credentials", "same-origin")),
    )
    assert (model.needs_preflight(request) is not None) == (reached == ["OPTIONS"]), reached


def test_a_script_reads_the_exposed_headers_and_no_others(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.page}/icon.svg")

    headers = page.evaluate(FETCH, [f"{demo.proxy}/orders", {}])["headers"]

    assert "x-total-count" in headers
    assert "server" not in headers


def test_a_cookie_set_through_the_proxy_comes_back_with_credentials_only(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.page}/icon.svg")
    form = {"method": "POST", "body": "user=ada", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}

    page.evaluate(FETCH, [f"{demo.proxy}/login", {**form, "credentials": "include"}])

    assert page.evaluate(FETCH, [f"{demo.proxy}/me", {"credentials": "include"}])["status"] == 200
    assert page.evaluate(FETCH, [f"{demo.proxy}/me", {"credentials": "omit"}])["status"] == 401


def test_event_stream_events_arrive_one_by_one(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.page}/icon.svg")

    # The API waits between events, so an event that has arrived alone was not held back for the next one.
    counts = page.evaluate(
        """url => new Promise((resolve, reject) => {
            const counts = [];
            const source = new EventSource(url);
            source.onmessage = () => {
                counts.push(performance.getEntriesByName(url).length + counts.length);
                if (counts.length === 3) { source.close(); resolve(counts.length); }
            };
            source.onerror = () => { source.close(); reject(new Error("stream broke")); };
        })""",
        f"{demo.proxy}/events?count=5",
    )
    assert counts == 3


def test_a_page_reads_which_answer_the_proxy_made_itself(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.page}/icon.svg")

    answer = page.evaluate(FETCH, [f"{demo.proxy}/orders/1", {"headers": {"X-Request-Source": "x" * 70_000}}])

    assert answer["status"] == 431
    assert "urn:corsproxy:problem:CP310" in answer["body"]


def _last_seq(page: Page) -> int:
    return int(page.evaluate("fetch('/api-log?since=0').then(r => r.json())")["last_seq"])
