"""The demo's page: its files under a strict policy, its two addresses, and nothing from elsewhere."""

import re

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpClient
from aiohttp.test_utils import TestClient

from corsproxy.cli.demo_api import RequestLog
from corsproxy.cli.demo_page import STATIC, demo_page

Client = TestClient[web.Request, web.Application]

PROXY = "http://localhost:5001"
API = "http://localhost:5002"
ALLOWED = "http://localhost:5000"


@pytest.fixture
def log() -> RequestLog:
    return RequestLog()


@pytest.fixture
async def page(aiohttp_client: AiohttpClient, log: RequestLog) -> Client:
    return await aiohttp_client(demo_page(proxy_url=f"{PROXY}/", api_url=API, allowed_origin=ALLOWED, log=log, policy="cors: none\n"))


@pytest.mark.parametrize(("path", "_name", "content_type"), STATIC)
async def test_every_file_is_served_with_its_type(page: Client, path: str, _name: str, content_type: str) -> None:
    response = await page.get(path)

    assert (response.status, response.content_type, response.charset) == (200, content_type, "utf-8")
    assert await response.text()


@pytest.mark.parametrize("path", ["/", "/demo.js", "/config.json", "/api-log", "/nowhere"])
async def test_every_answer_carries_the_security_headers(page: Client, path: str) -> None:
    response = await page.get(path)

    assert response.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {PROXY} {API}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_the_page_has_no_inline_script_or_style_and_loads_only_its_own_files(page: Client) -> None:
    html = await (await page.get("/")).text()
    served = {path for path, _name, _content_type in STATIC}

    assert "<title>corsproxy demo</title>" in html
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    assert set(re.findall(r'(?:src|href)="(/[^"]*)"', html)) <= served
    for path in ("/", "/demo.css", "/demo.js", "/calls.js"):
        text = await (await page.get(path)).text()
        assert not re.search(r"""(?:src|href|import|from|url)\W{1,3}(?:https?:)?//""", text)


async def test_the_script_learns_where_everything_is(page: Client) -> None:
    response = await page.get("/config.json")

    assert await response.json() == {
        "proxy_url": PROXY,
        "api_url": API,
        "far_url": "",
        "inspector_url": "",
        "allowed_origin": ALLOWED,
        "policy": "cors: none\n",
    }


async def test_the_script_may_call_the_proxy_on_another_site_where_it_has_a_name_there(
    aiohttp_client: AiohttpClient, log: RequestLog
) -> None:
    far = "https://api.localhost:5001"
    page = await aiohttp_client(demo_page(proxy_url=PROXY, api_url=API, allowed_origin=ALLOWED, log=log, far_url=f"{far}/"))
    response = await page.get("/config.json")

    assert far == (await response.json())["far_url"]
    assert f"connect-src 'self' {PROXY} {API} {far};" in response.headers["Content-Security-Policy"]


async def test_the_script_reads_what_reached_the_api_since_an_entry(page: Client, log: RequestLog) -> None:
    log.add("OPTIONS", "/orders", ALLOWED, has_cookies=False).status = 405
    log.add("GET", "/orders", ALLOWED, has_cookies=True)

    whole = await (await page.get("/api-log")).json()
    rest = await (await page.get("/api-log?since=1")).json()
    beyond = await (await page.get("/api-log?since=999999999999999")).json()

    assert [entry["method"] for entry in whole["entries"]] == ["OPTIONS", "GET"]
    assert rest == {
        "last_seq": 2,
        "entries": [{"seq": 2, "method": "GET", "path": "/orders", "origin": ALLOWED, "has_cookies": True, "status": None}],
    }
    assert beyond == {"last_seq": 2, "entries": []}


@pytest.mark.parametrize("since", ["", "x", "-1", "²", "9" * 16])
async def test_a_since_that_is_no_entry_number_is_refused(page: Client, since: str) -> None:
    assert (await page.get("/api-log", params={"since": since})).status == 400


@pytest.mark.parametrize("url", ["localhost:5001", "/", ""])
def test_an_address_without_a_host_is_a_mistake_of_the_caller(url: str, log: RequestLog) -> None:
    with pytest.raises(ValueError, match="URL"):
        demo_page(proxy_url=url, api_url=API, allowed_origin=ALLOWED, log=log)
