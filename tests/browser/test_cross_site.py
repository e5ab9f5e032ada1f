"""
A legacy API behind the proxy, called from pages on other sites, all by https: what each key does in a real browser.

`sites.POLICY` is the file; each of its routes is the same API under the one key that makes the difference.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from corsproxy.cli.local_ca import Issued
from tests.browser.conftest import FETCH, ThirdPartyCookies, profile
from tests.browser.sites import Arrival, Sites, running_sites
from tests.certificates import Authority
from tests.harness import LANES

pytestmark = pytest.mark.browser

BLOCKED = {"error": "TypeError: Failed to fetch"}
EMBED = """url => new Promise(resolve => {
    const picture = new Image();
    picture.onload = () => resolve(picture.width);
    picture.onerror = () => resolve("blocked");
    picture.src = url;
})"""
TIMES = """async url => {
    performance.clearResourceTimings();
    await (await fetch(url)).text();
    const [{requestStart, responseStart, transferSize}] = performance.getEntriesByName(url);
    return [requestStart > 0, responseStart > 0, transferSize > 0];
}"""


@pytest.fixture(scope="module", params=LANES)
def sites(
    request: pytest.FixtureRequest, certificate: Issued, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sites]:
    flags = [] if request.param == "express" else ["--no-express"]
    with running_sites(tmp_path_factory.mktemp("sites"), certificate, authority, *flags) as sites:
        yield sites


@pytest.fixture(scope="module")
def visitors(
    chromium: Browser, certificate: Issued, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[ThirdPartyCookies, BrowserContext]]:
    """A visitor whose browser allows third-party cookies, and one whose browser blocks them."""
    allowing, blocking = (tmp_path_factory.mktemp(setting.name) for setting in ThirdPartyCookies)
    with (
        profile(chromium, certificate, allowing, ThirdPartyCookies.ALLOWED) as generous,
        profile(chromium, certificate, blocking, ThirdPartyCookies.BLOCKED) as careful,
    ):
        yield {ThirdPartyCookies.ALLOWED: generous, ThirdPartyCookies.BLOCKED: careful}


@pytest.fixture
def visitor(visitors: dict[ThirdPartyCookies, BrowserContext]) -> Iterator[Page]:
    yield from fresh_page(visitors[ThirdPartyCookies.ALLOWED])


@pytest.fixture
def careful_visitor(visitors: dict[ThirdPartyCookies, BrowserContext]) -> Iterator[Page]:
    yield from fresh_page(visitors[ThirdPartyCookies.BLOCKED])


def fresh_page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()
    context.clear_cookies()


def fetch(page: Page, url: str, **init: str) -> dict[str, Any]:
    """Call from a page, with credentials."""
    answer: dict[str, Any] = page.evaluate(FETCH, [url, {"credentials": "include", **init}])
    return answer


def log_in(page: Page, base: str, path: str = "/login") -> int:
    """Log in, and return with which status the API then answers who that is."""
    assert fetch(page, base + path, method="POST")["status"] == 200
    return int(fetch(page, f"{base}/me")["status"])


def read_json(answer: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(answer["body"])
    return content


# --- cookies ---


@pytest.mark.parametrize("origin", ["page", "local_page"])
def test_a_session_works_from_another_site_with_same_site_none(visitor: Page, sites: Sites, origin: str) -> None:
    visitor.goto(getattr(sites, origin))

    assert log_in(visitor, f"{sites.proxy}/none") == 200
    (cookie,) = visitor.context.cookies()
    assert ("sid", "api.legacy.test", "/none", True, True, "None") == (
        *(cookie["name"], cookie["domain"], cookie["path"]),
        *(cookie["httpOnly"], cookie["secure"], cookie["sameSite"]),
    )


def test_a_session_is_lost_on_another_site_without_that_key_and_the_log_says_so_once(visitor: Page, sites: Sites) -> None:
    visitor.goto(sites.page)

    assert [401, 401] == [log_in(visitor, f"{sites.proxy}/plain") for _ in range(2)]
    assert visitor.context.cookies() == []
    said = sites.running.exchanges("/plain/login", 2)
    (notice,) = [line for line in said if "CP531" in line and "/plain:" in line]
    assert "browsers drop the cookie sid of route /plain: same-site" in notice


def test_a_session_works_as_it_is_on_the_same_site(visitor: Page, sites: Sites) -> None:
    visitor.goto(sites.neighbour)

    assert log_in(visitor, f"{sites.proxy}/same-site") == 200
    assert [] == [line for line in sites.running.exchanges("/same-site/me", 1) if "/same-site:" in line]


def test_a_cookie_for_the_domain_of_the_api_works_with_domain_remove(visitor: Page, sites: Sites) -> None:
    visitor.goto(sites.page)

    assert log_in(visitor, f"{sites.proxy}/none", "/login-wide") == 200
    visitor.goto(sites.neighbour)
    assert log_in(visitor, f"{sites.proxy}/same-site", "/login-wide") == 401


def test_a_partitioned_cookie_works_where_third_party_cookies_are_blocked(careful_visitor: Page, sites: Sites) -> None:
    careful_visitor.goto(sites.page)

    assert log_in(careful_visitor, f"{sites.proxy}/none") == 401
    assert log_in(careful_visitor, f"{sites.proxy}/partitioned") == 200
    (cookie,) = careful_visitor.context.cookies()
    assert ("/partitioned", "https://example.test") == (cookie["path"], cookie["partitionKey"])
    # One session for each embedding site.
    careful_visitor.goto(sites.local_page)
    assert fetch(careful_visitor, f"{sites.proxy}/partitioned/me")["status"] == 401


# --- redirects ---


def test_redirects_inside_the_api_end_at_the_proxy(page: Page, sites: Sites) -> None:
    page.goto(sites.page)
    before = len(sites.legacy.arrivals)

    answer = fetch(page, f"{sites.proxy}/plain/older")

    assert {"bolts": 400} == read_json(answer)
    assert [Arrival(path, is_proxied=True) for path in ("/older", "/old", "/data")] == sites.legacy.arrivals[before:]


def test_a_redirect_that_is_kept_leads_past_the_proxy_to_an_answer_that_no_page_may_read(page: Page, sites: Sites) -> None:
    page.goto(sites.page)
    before = len(sites.legacy.arrivals)

    assert fetch(page, f"{sites.proxy}/redirects-kept/old") == BLOCKED
    assert [Arrival("/old", is_proxied=True), Arrival("/data", is_proxied=False)] == sites.legacy.arrivals[before:]


# --- fields beside CORS ---


def test_an_isolated_page_embeds_a_picture_with_the_resource_policy_and_not_without(page: Page, sites: Sites) -> None:
    page.goto(f"{sites.page}/isolated")

    assert 7 == page.evaluate(EMBED, f"{sites.proxy}/embeddable/picture.svg")
    assert "blocked" == page.evaluate(EMBED, f"{sites.proxy}/plain/picture.svg")
    page.goto(sites.page)
    assert 7 == page.evaluate(EMBED, f"{sites.proxy}/plain/picture.svg"), "it is not the isolation that blocked it"


def test_an_allowed_page_reads_resource_timings_with_timing_allow_origin_and_not_without(page: Page, sites: Sites) -> None:
    page.goto(sites.page)

    assert [True, True, True] == page.evaluate(TIMES, f"{sites.proxy}/timed/data")
    assert [False, False, False] == page.evaluate(TIMES, f"{sites.proxy}/plain/data")


def test_a_script_reads_any_header_of_a_call_with_credentials_where_all_are_exposed(page: Page, sites: Sites) -> None:
    page.goto(sites.page)

    assert "Hall 3" == fetch(page, f"{sites.proxy}/exposed/data")["headers"].get("x-stock")
    assert None is fetch(page, f"{sites.proxy}/plain/data")["headers"].get("x-stock")


# --- the proxy between two kinds of TLS, and its own answers ---


def test_a_page_reads_an_api_that_wants_a_client_certificate_and_has_one_of_a_private_authority(page: Page, sites: Sites) -> None:
    page.goto(sites.page)

    assert {"bolts": 400} == read_json(fetch(page, f"{sites.proxy}/private/data"))
    assert Arrival("/data", is_proxied=True, certificate="corsproxy") == sites.legacy.arrivals[-1]


@pytest.mark.parametrize(("path", "status", "code"), [("/no-such-route", 404, "CP304"), ("/down", 502, "CP401")])
def test_a_page_reads_the_id_of_a_request_that_the_proxy_answered_itself(
    page: Page, sites: Sites, path: str, status: int, code: str
) -> None:
    page.goto(sites.page)

    answer = fetch(page, sites.proxy + path)

    problem = read_json(answer)
    assert (status, code) == (answer["status"], problem["code"])
    assert answer["headers"]["x-request-id"] == problem["request_id"]
    (line,) = [line for line in sites.running.exchanges(path, 1) if problem["request_id"] in line]
    assert code == json.loads(line)["corsproxy.problem"]
