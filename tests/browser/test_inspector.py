"""
The inspector in a real browser: a refused call appears while the page is open, its reason and line are right, and the command that
stands there shows the same. Nothing that traffic brings along becomes markup, and people reach everything.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import FETCH
from tests.browser.inspected import Console, Inspected, inspecting

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
# A browser on a busy machine takes its time.
expect.set_options(timeout=20_000)

SOCKET = """url => new Promise(resolve => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("error");
})"""


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspected]:
    with inspecting(tmp_path_factory.mktemp("inspected")) as found:
        yield found


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def visitor(context: BrowserContext) -> Page:
    """A page of another program: its calls are what is watched."""
    return context.new_page()


@pytest.fixture
def inspector(context: BrowserContext, inspected: Inspected) -> Iterator[Page]:
    """The inspector, open and live, whose console stays empty."""
    page = context.new_page()
    console = Console(page)
    watch(page, inspected.inspector)
    yield page
    assert console.said == []


def watch(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("body")).to_have_attribute("data-state", "live")


@dataclass(frozen=True)
class Case:
    """A call that a script makes, what the inspector says of it, and the line that decided."""

    name: str
    path: str
    reason: str
    line: str
    outcome: str = "Refused"
    init: dict[str, Any] = field(default_factory=dict)
    is_stranger: bool = False


CASES = [
    Case("an origin that is not allowed", "/orders", "origin-refused", 'allow_origins: ["http://localhost', is_stranger=True),
    Case("a header that is not allowed", "/orders", "preflight-header-refused", "allow_headers", init={"headers": {"X-Trace": "1"}}),
    Case("a method that is not allowed", "/orders/1", "preflight-method-refused", "allow_methods", init={"method": "DELETE"}),
    Case("a route without CORS", "/closed/1", "cors-none", "cors: none"),
    Case("an answer that is hidden", "/open/1", "origin-refused", "[https://partner.example]", "Hidden"),
    Case("a call that is allowed", "/orders/2", "origin-allowed", 'allow_origins: ["http://localhost', "Allowed"),
    Case(
        "a preflight that is granted",
        "/orders/3",
        "preflight-granted",
        'allow_origins: ["http://localhost',
        "Allowed",
        init={"method": "PUT"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_call_appears_with_its_reason_its_line_and_a_command_that_shows_the_same(
    inspector: Page, visitor: Page, inspected: Inspected, case: Case
) -> None:
    before = inspector.locator("#rows tr").count()
    visitor.goto(f"{inspected.stranger if case.is_stranger else inspected.page}/")
    heard = Console(visitor)
    visitor.evaluate(FETCH, [f"{inspected.proxy}{case.path}", case.init])

    row = inspector.locator("#rows tr", has=inspector.locator(".c-reason", has_text=case.reason), has_text=case.path).first
    expect(row).to_be_visible()
    assert inspector.locator("#rows tr").count() > before
    row.locator("a").click()
    detail = inspector.locator("#detail")
    expect(detail.locator(".pill").first).to_have_text(case.outcome)
    expect(detail.locator(".codes")).to_contain_text(case.reason)
    place = f"{inspected.policy}:{inspected.line(case.line)}:"
    expect(detail.locator(".line figcaption").first).to_have_text(re.compile(re.escape(place)))
    assert "now" not in (detail.text_content() or "").split("See it again")[0].lower().split()

    # The very words that stood on the visitor's console.
    blocked = [text for text in heard.said if "CORS policy" in text]
    console = detail.locator(".console").first.text_content() if blocked else ""
    assert blocked == [line for line in (console or "").splitlines() if "CORS policy" in line]
    is_fine = case.outcome == "Allowed"
    expect(detail.locator(".checks [data-result=failed]")).to_have_count(0 if is_fine else 1)
    expect(detail.locator(".diff ins")).to_have_count(0 if is_fine else 1)
    expect(detail.locator(".risk")).to_have_count(0 if is_fine else 1)

    detail.get_by_role("button", name="Copy the command").click()
    expect(detail.get_by_role("button", name="Copy the command")).to_have_text("Copied")
    command = inspector.evaluate("navigator.clipboard.readText()")
    assert command == detail.locator("#command").text_content()
    explained = inspected.explain(command)
    assert case.reason in (explained["reason"], explained["preflight"] and explained["preflight"]["decision"])


def test_a_websocket_of_a_stranger_is_explained(inspector: Page, visitor: Page, inspected: Inspected) -> None:
    visitor.goto(f"{inspected.stranger}/")
    assert visitor.evaluate(SOCKET, inspected.proxy.replace("http", "ws") + "/live") == "error"

    inspector.locator("#rows tr", has_text="/live").locator("a").first.click()
    command = inspector.locator("#command").text_content()
    assert command is not None
    assert "--websocket" in command
    assert inspected.explain(command)["reason"] == "origin-refused"


def test_cookies_without_allow_credentials_hide_the_answer(inspector: Page, visitor: Page, inspected: Inspected) -> None:
    visitor.context.add_cookies([{"name": "sid", "value": "very-secret", "url": f"http://localhost{inspected.proxy[16:]}"}])
    visitor.goto(f"{inspected.page}/")
    proxy = inspected.proxy.replace("127.0.0.1", "localhost")
    assert "error" in visitor.evaluate(FETCH, [f"{proxy}/me", {"credentials": "include"}])

    row = inspector.locator("#rows tr", has_text="/me").first
    expect(row).to_have_attribute("data-outcome", "hidden")
    row.locator("a").click()
    command = inspector.locator("#command").text_content()
    assert command is not None
    assert inspected.explain(command)["reason"] == "acac-not-true"


def test_what_fails_upstream_is_told_apart_from_what_the_policy_refuses(inspector: Page, visitor: Page, inspected: Inspected) -> None:
    visitor.goto(f"{inspected.page}/")
    visitor.evaluate(FETCH, [f"{inspected.proxy}/down/1", {}])

    row = inspector.locator("#rows tr", has_text="/down/1").first
    expect(row).to_have_attribute("data-outcome", "failed")
    row.locator("a").click()
    expect(inspector.locator("#command")).to_have_text(re.compile(r"^corsproxy explain-code CP4\d\d$"))


def test_a_file_that_was_mended_is_told(inspector: Page, visitor: Page, inspected: Inspected) -> None:
    before = inspected.policy.read_text()
    visitor.goto(f"{inspected.page}/")
    visitor.evaluate(FETCH, [f"{inspected.proxy}/mended", {"method": "PATCH"}])
    expect(inspector.locator("#rows tr", has_text="/mended").first).to_be_visible()
    try:
        inspected.policy.write_text(before.replace("HEAD, POST, PUT]", "HEAD, POST, PUT, PATCH]"))
        inspected.running.said(lambda lines: any("configuration reloaded" in line for line in lines))
        inspector.locator("#rows tr", has_text="/mended").locator("a").first.click()
        expect(inspector.locator("#detail .now")).to_contain_text("preflight-granted")
    finally:
        inspected.policy.write_text(before)


# --- finding one's way ---


def test_the_filter_stands_in_the_address(inspector: Page, visitor: Page, inspected: Inspected) -> None:
    visitor.goto(f"{inspected.stranger}/")
    visitor.evaluate(FETCH, [f"{inspected.proxy}/filtered", {}])
    visitor.goto(f"{inspected.page}/")
    visitor.evaluate(FETCH, [f"{inspected.proxy}/filtered", {}])
    expect(inspector.locator("#rows tr", has_text="/filtered")).to_have_count(2)

    inspector.keyboard.press("/")
    inspector.keyboard.type(f"refused path:/filtered origin:{inspected.stranger} status:4xx method:GET reason:origin")
    expect(inspector.locator("#rows tr")).to_have_count(1)
    again = inspector.context.new_page()
    watch(again, inspector.url)
    expect(again.locator("#rows tr")).to_have_count(1)
    assert again.locator("#rows tr").get_attribute("data-outcome") == "refused"

    inspector.keyboard.press("Escape")
    expect(inspector.locator("#filter")).to_have_value("")
    assert "q=" not in inspector.url


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("path:/sorted", 3),
        ("path:/sorted -refused", 2),
        ("path:/sorted status:403 status:500", 2),
        ("path:/sorted allowed status:5xx", 1),
        ("path:/sorted preflight", 0),
        ("/sorted 127.0.0.1:", 3),
        ('"/sorted/a b"', 0),
        ("path:/sorted is:allowed method:get", 2),
        ("<img> ( [ \\ * +", 0),
    ],
)
def test_filters_narrow_the_list(inspector: Page, visitor: Page, inspected: Inspected, text: str, count: int) -> None:
    if not inspector.locator("#rows tr", has_text="/sorted").count():
        visitor.goto(f"{inspected.stranger}/")
        visitor.evaluate(FETCH, [f"{inspected.proxy}/sorted/1", {}])
        visitor.goto(f"{inspected.page}/")
        visitor.evaluate(FETCH, [f"{inspected.proxy}/sorted/broken", {}])
        inspected.send(b"GET /sorted/3 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nOrigin: %b\r\n\r\n" % inspected.page.encode())
        expect(inspector.locator("#rows tr", has_text="/sorted")).to_have_count(3)
    inspector.locator("#filter").fill(text)

    expect(inspector.locator("#rows tr")).to_have_count(count)
    expect(inspector.locator("#empty")).to_be_visible(visible=not count)


def test_counts_lead_to_what_they_count(inspector: Page, visitor: Page, inspected: Inspected) -> None:
    visitor.goto(f"{inspected.stranger}/")
    visitor.evaluate(FETCH, [f"{inspected.proxy}/counted", {}])
    inspector.locator("#origins button", has_text=inspected.stranger.removeprefix("http://")).click()

    expect(inspector.locator("#filter")).to_have_value(f"origin:{inspected.stranger}")
    expect(inspector.locator("#rows tr", has_text="/counted")).to_have_count(1)
    inspector.locator("#chips button", has_text="Refused").click()
    expect(inspector.locator("#filter")).to_have_value(f"origin:{inspected.stranger} refused")
    inspector.locator("#look").click()
    expect(inspector.locator("#filter")).to_have_value("refused hidden failed")


def test_pausing_holds_the_list_and_loses_nothing(inspector: Page, visitor: Page, inspected: Inspected) -> None:
    inspector.keyboard.press("p")
    expect(inspector.locator("#waiting")).to_have_text("Paused")
    visitor.goto(f"{inspected.page}/")
    visitor.evaluate(FETCH, [f"{inspected.proxy}/held", {}])
    expect(inspector.locator("#waiting")).to_have_text("Paused: 1 new")
    assert inspector.locator("#rows tr", has_text="/held").count() == 0

    inspector.get_by_role("button", name="Resume").click()
    expect(inspector.locator("#rows tr", has_text="/held")).to_have_count(1)
    expect(inspector.locator("#waiting")).to_be_hidden()


def test_everything_goes_by_keyboard(inspector: Page, visitor: Page, inspected: Inspected) -> None:
    visitor.goto(f"{inspected.page}/")
    for number in range(3):
        visitor.evaluate(FETCH, [f"{inspected.proxy}/keys/{number}", {}])
    inspector.locator("#filter").fill("path:/keys")
    expect(inspector.locator("#rows tr")).to_have_count(3)
    inspector.keyboard.press("Enter")
    focused = "document.activeElement.closest('tr')?.textContent ?? document.activeElement.id"
    assert "/keys/2" in inspector.evaluate(focused)
    inspector.keyboard.press("j")
    inspector.keyboard.press("j")
    inspector.keyboard.press("k")
    assert "/keys/1" in inspector.evaluate(focused)
    inspector.keyboard.press("Enter")
    expect(inspector.locator("#detail-title")).to_be_focused()
    assert "x=" in inspector.url
    inspector.keyboard.press("j")
    expect(inspector.locator("#detail-title")).to_contain_text("/keys/0")
    inspector.keyboard.press("Escape")
    expect(inspector.locator("#detail")).to_be_hidden()
    assert "/keys/0" in inspector.evaluate(focused)
    inspector.keyboard.press("?")
    expect(inspector.locator("#help")).to_be_visible()
    inspector.locator("#keys-on").uncheck()
    inspector.keyboard.press("Escape")
    inspector.keyboard.press("p")
    expect(inspector.locator("#waiting")).to_be_hidden()


def test_an_exchange_has_an_address_of_its_own(inspector: Page, visitor: Page, inspected: Inspected) -> None:
    visitor.goto(f"{inspected.stranger}/")
    visitor.evaluate(FETCH, [f"{inspected.proxy}/linked", {}])
    inspector.locator("#rows tr", has_text="/linked").locator("a").first.click()
    expect(inspector.locator("#detail-title")).to_contain_text("/linked")
    again = inspector.context.new_page()
    watch(again, inspector.url)
    expect(again.locator("#detail-title")).to_contain_text("/linked")

    inspector.go_back()
    expect(inspector.locator("#detail")).to_be_hidden()
    inspector.go_forward()
    expect(inspector.locator("#detail-title")).to_contain_text("/linked")


def test_an_exchange_that_is_gone_is_said(context: BrowserContext, inspected: Inspected) -> None:
    page = context.new_page()
    watch(page, f"{inspected.inspector}/?x=abcd-9")
    expect(page.locator("#detail-title")).to_have_text("Gone")


def test_a_lost_connection_is_said_and_mended(context: BrowserContext, inspected: Inspected) -> None:
    page = context.new_page()
    page.route("**/inspector/events", lambda route: route.abort())
    page.goto(inspected.inspector)
    expect(page.locator("#state")).to_have_text("Reconnecting")
    expect(page.locator("#news")).to_contain_text("lost")
    expect(page.locator("#waiting")).to_contain_text("does not answer")
    page.unroute("**/inspector/events")
    expect(page.locator("body")).to_have_attribute("data-state", "live")


# --- hostile values ---


HOSTILE = b"/<img/src=x/onerror=window.owned=1>'\"--><script>window.owned=1</script>"


def test_what_was_sent_is_text(inspector: Page, inspected: Inspected) -> None:
    inspected.send(
        b"OPTIONS %b?<script>=1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nOrigin: %b\r\nAccess-Control-Request-Method: PUT\r\n"
        b"Access-Control-Request-Headers: x-'`|~,content-type\r\n\r\n" % (HOSTILE, inspected.page.encode())
    )
    row = inspector.locator("#rows tr", has_text="onerror").first
    expect(row.locator(".path")).to_have_text(HOSTILE.decode() + "?<script>=***")
    row.locator("a").click()
    expect(inspector.locator("#detail-title")).to_contain_text(HOSTILE.decode())
    assert inspector.locator("#rows img, #rows script, #detail img, #detail script").count() == 0
    assert inspector.evaluate("window.owned") is None

    command = inspector.locator("#command").text_content()
    assert command is not None
    assert inspected.explain(command)["reason"] == "preflight-header-refused"


def test_an_address_cannot_bring_markup_along(context: BrowserContext, inspected: Inspected) -> None:
    page = context.new_page()
    console = Console(page)
    watch(page, f"{inspected.inspector}/?q=<img src=x onerror=owned=1>&x=<script>owned=1</script>")
    expect(page.locator("#detail-title")).to_have_text("Gone")
    expect(page.locator("#filter")).to_have_value("<img src=x onerror=owned=1>")
    assert page.evaluate("window.owned") is None
    assert [text for text in console.said if "404" not in text] == []


def test_no_secret_is_on_the_page_or_in_its_data(inspector: Page, inspected: Inspected) -> None:
    inspected.send(
        b"GET /secrets?token=very-secret&very-secret HTTP/1.1\r\nHost: 127.0.0.1:1\r\nOrigin: %b\r\nCookie: sid=very-secret\r\n"
        b"Authorization: Bearer very-secret\r\nX-Api-Key: very-secret\r\n\r\n" % inspected.page.encode()
    )
    inspector.locator("#rows tr", has_text="/secrets").locator("a").first.click()
    expect(inspector.locator("#detail")).to_contain_text("Cookie and Authorization")
    assert "very-secret" not in inspector.content()
    identity = inspector.locator("#rows tr", has_text="/secrets").first.get_attribute("data-id")
    for path in ("/inspector/exchanges", f"/inspector/exchanges/{identity}"):
        found = inspector.request.get(f"{inspected.inspector}{path}")
        assert "/secrets" in found.text()
        assert "very-secret" not in found.text()


# --- who may look ---


def test_a_page_of_another_origin_can_neither_read_nor_frame_it(visitor: Page, inspected: Inspected) -> None:
    visitor.goto(f"{inspected.page}/")
    for path in ("/", "/inspector/exchanges", "/inspector/events", "/inspector/inspector.js"):
        assert "error" in visitor.evaluate(FETCH, [f"{inspected.inspector}{path}", {}])
        answered = visitor.request.get(f"{inspected.inspector}{path}", headers={"Sec-Fetch-Site": "cross-site", "Origin": inspected.page})
        assert answered.status == 403
    framed = """url => new Promise(resolve => {
        const frame = document.createElement("iframe");
        frame.onload = () => { try { resolve(frame.contentDocument?.title ?? "") } catch { resolve("") } };
        frame.src = url;
        document.body.append(frame);
    })"""
    assert visitor.evaluate(framed, f"{inspected.inspector}/") == ""


def test_a_foreign_host_name_leads_nowhere(visitor: Page, inspected: Inspected) -> None:
    """A web page that makes its own name lead here (DNS rebinding) would be of the same origin."""
    for path in ("/", "/inspector/exchanges", "/inspector/events"):
        assert visitor.request.get(f"{inspected.inspector}{path}", headers={"Host": "rebound.example"}).status == 421


# --- everybody ---


SCHEMES = [("light", 1440), ("dark", 1440), ("light", 1100), ("light", 375), ("dark", 375)]


@pytest.mark.parametrize(("scheme", "width"), SCHEMES)
def test_axe_finds_nothing_to_mend(chromium: Browser, visitor: Page, inspected: Inspected, scheme: Any, width: int) -> None:
    visitor.goto(f"{inspected.stranger}/")
    visitor.evaluate(FETCH, [f"{inspected.proxy}/seen", {}])
    visitor.goto(f"{inspected.page}/")
    for path, init in (("/seen", {}), ("/seen", {"method": "DELETE"}), ("/open/seen", {}), ("/down/seen", {})):
        visitor.evaluate(FETCH, [f"{inspected.proxy}{path}", init])
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    console = Console(page)
    watch(page, inspected.inspector)
    expect(page.locator("#rows tr", has_text="/seen").first).to_be_visible()

    judge(page)
    page.locator("#filter").fill("nothing at all")
    judge(page)
    page.locator("#filter").fill("")
    for outcome in ("refused", "hidden", "failed", "allowed") if (scheme, width) == SCHEMES[0] else ("refused",):
        page.locator(f"#rows tr[data-outcome={outcome}] a").first.click()
        expect(page.locator("#detail .pill")).to_be_visible()
        judge(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.locator("#detail").get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    judge(page)
    assert console.said == []
    context.close()


def judge(page: Page) -> None:
    found = Axe().run(page, options={"resultTypes": ["violations"]})
    violations = [
        (each["id"], [(node["target"], node["failureSummary"]) for node in each["nodes"]]) for each in found.response["violations"]
    ]
    assert violations == [], json.dumps(violations, indent=2)


def test_a_screen_reader_hears_a_summary_and_not_every_row(inspector: Page) -> None:
    region = inspector.locator("#news")
    assert (region.get_attribute("role"), region.get_attribute("aria-live")) == ("status", "polite")
    assert inspector.locator("#exchanges [aria-live], #rows[aria-live]").count() == 0
