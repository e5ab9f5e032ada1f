"""The demo page, as a visitor sees it."""

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Demo

pytestmark = pytest.mark.browser


def run_page(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("body[data-state=done]", timeout=45_000)


def test_every_call_goes_as_the_page_promises_on_the_allowed_origin(page: Page, demo: Demo) -> None:
    run_page(page, demo.page)

    assert page.get_attribute("body", "data-origin") == "allowed"
    rows = page.query_selector_all("tr[data-call]")
    assert len(rows) >= 13
    assert "cross-site-cookie" not in [row.get_attribute("data-call") for row in rows]
    assert [row.get_attribute("data-call") for row in rows if row.get_attribute("data-as-expected") != "true"] == []
    assert page.get_attribute("body", "data-mismatches") == "0"


def test_every_call_is_refused_on_an_origin_that_the_policy_does_not_name(page: Page, demo: Demo) -> None:
    run_page(page, demo.page.replace("localhost", "127.0.0.1"))

    assert page.get_attribute("body", "data-origin") == "refused"
    assert page.query_selector_all("[data-proxied=readable]") == []
    assert page.get_attribute("body", "data-mismatches") == "0"


def test_a_preflight_never_reaches_the_api_through_the_proxy(page: Page, demo: Demo) -> None:
    run_page(page, demo.page)

    for call in ("post-json", "put-header", "delete", "upload"):
        cell = page.query_selector(f"tr[data-call={call}] [data-reached-proxied]")
        assert cell is not None
        assert "OPTIONS" not in (cell.get_attribute("data-reached-proxied") or "")


def test_the_page_fits_on_a_phone(page: Page, demo: Demo) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    run_page(page, demo.page)

    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(("host", "origin"), [("localhost", "allowed"), ("127.0.0.1", "refused")])
def test_by_https_every_call_goes_as_the_page_promises(chromium: Browser, secure_demo: Demo, host: str, origin: str) -> None:
    context = chromium.new_context(ignore_https_errors=True)
    page = context.new_page()
    run_page(page, secure_demo.page.replace("localhost", host))

    assert secure_demo.proxy.startswith("https://localhost:")
    assert page.get_attribute("body", "data-origin") == origin
    rows = page.query_selector_all("tr[data-call]")
    assert [row.get_attribute("data-call") for row in rows if row.get_attribute("data-as-expected") != "true"] == []
    # The one call that only https makes possible; elsewhere the page leaves it out.
    verdict = page.get_attribute("tr[data-call=cross-site-cookie] [data-proxied]", "data-proxied")
    assert verdict == ("readable" if origin == "allowed" else "blocked")
    context.close()


def test_the_inspector_is_a_link_away_and_has_seen_the_calls(page: Page, demo: Demo) -> None:
    run_page(page, demo.page)
    page.get_by_role("link", name="inspector").click()

    page.wait_for_url(f"{demo.inspector}/")
    page.wait_for_selector("#rows tr[data-outcome=refused]")
    page.locator("#rows tr[data-outcome=refused] a").first.click()
    page.wait_for_selector(".checks")
    command = page.text_content("#command")
    assert command is not None
    assert command.startswith("corsproxy explain --config ")
