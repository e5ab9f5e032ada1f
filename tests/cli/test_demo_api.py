"""The demo's legacy API: knows no CORS, keeps everything bounded, and notes what reached it."""

import hashlib

import pytest
from aiohttp import ClientResponse, web
from aiohttp.pytest_plugin import AiohttpClient
from aiohttp.test_utils import TestClient, make_mocked_request

from corsproxy.cli import demo_api
from corsproxy.cli.demo_api import BODY_BYTES, BOOK, LOGGED_REQUESTS, MB, ORDERS, SESSIONS, TRANSFER_MB, OrderBook, RequestLog, legacy_api

Client = TestClient[web.Request, web.Application]

PAGE = "http://localhost:5000"


@pytest.fixture
def log() -> RequestLog:
    return RequestLog()


@pytest.fixture
async def api(aiohttp_client: AiohttpClient, log: RequestLog) -> Client:
    return await aiohttp_client(legacy_api(log, event_interval_s=0))


def cors_headers(response: ClientResponse) -> list[str]:
    return [name for name in response.headers if name.lower().startswith("access-control-")]


def book_of(api: Client) -> OrderBook:
    app = api.app
    assert app is not None
    return app[BOOK]


# CORS: not here.


@pytest.mark.parametrize("path", ["/orders", "/orders/1", "/login", "/events", "/nowhere"])
async def test_a_preflight_is_answered_405_as_plain_text_without_cors_headers(api: Client, path: str) -> None:
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "PUT"}
    response = await api.options(path, headers=headers)

    assert (response.status, response.content_type) == (405, "text/plain")
    assert "OPTIONS" not in response.headers["Allow"]
    assert cors_headers(response) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/orders"),
        ("GET", "/orders/1"),
        ("DELETE", "/orders/1"),
        ("POST", "/orders"),
        ("POST", "/login"),
        ("GET", "/me"),
        ("GET", "/fail"),
        ("GET", "/slow?ms=0"),
        ("GET", "/events"),
        ("GET", "/download"),
        ("POST", "/upload"),
        ("GET", "/nowhere"),
        ("PUT", "/"),
    ],
)
async def test_no_answer_carries_cors_headers_and_every_answer_names_the_server(api: Client, method: str, path: str) -> None:
    response = await api.request(method, path, headers={"Origin": PAGE})

    assert cors_headers(response) == []
    assert response.headers["Server"] == "LegacyERP/4.2"


async def test_one_answer_allows_an_origin_that_is_not_ours(api: Client) -> None:
    response = await api.get("/wrong-cors", headers={"Origin": PAGE})

    assert response.headers.getall("Access-Control-Allow-Origin") == ["https://somebody.else.example"]


# Orders.


async def test_the_list_says_how_many_orders_there_are_beyond_its_limit(api: Client) -> None:
    response = await api.get("/orders?limit=2")

    assert [order["id"] for order in await response.json()] == [1, 2]
    assert response.headers["X-Total-Count"] == "5"


async def test_an_order_can_be_created_read_changed_and_deleted(api: Client) -> None:
    created = await api.post("/orders", json={"article": "Hose clamp", "quantity": 3})
    place = created.headers["Location"]
    changed = await api.put(place, json={"quantity": 4})
    patched = await api.patch(place, json={"article": "Clamp"})
    read = await api.get(place)
    deleted = await api.delete(place)
    gone = await api.get(place)

    assert [r.status for r in (created, changed, patched, read, deleted, gone)] == [201, 200, 200, 200, 204, 404]
    assert await read.json() == {"id": 1001, "article": "Clamp", "quantity": 4}
    assert (await api.delete(place)).status == 204


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * BODY_BYTES,
        b'{"article": 1}',
        b'{"article": "' + b"x" * 201 + b'"}',
        b'{"quantity": true}',
        b'{"quantity": -1}',
        b'{"quantity": 1000001}',
        b'{"quantity": ' + b"9" * 5000 + b"}",
    ],
)
async def test_a_body_that_is_no_order_is_refused_with_a_reason(api: Client, body: bytes) -> None:
    response = await api.post("/orders", data=body, headers={"Content-Type": "application/json"})

    assert response.status == 400
    assert (await response.json())["error"]


async def test_a_body_over_the_bound_or_of_another_type_is_refused(api: Client) -> None:
    json_type = {"Content-Type": "application/json"}

    assert (await api.post("/orders", data=b" " * (BODY_BYTES + 1), headers=json_type)).status == 413
    assert (await api.post("/orders", data=b"{}", headers={"Content-Type": "text/plain"})).status == 415
    assert (await api.get("/orders/7")).status == 404
    assert (await api.put("/orders/7", json={"quantity": 1})).status == 404


async def test_a_full_book_drops_the_oldest_order_that_was_added(api: Client) -> None:
    book = book_of(api)
    book.orders |= {number: {"id": number} for number in range(1001, 1001 + ORDERS - len(book.orders))}
    book.next_id = 3000

    created = await api.post("/orders", json={"quantity": 1})

    assert created.status == 201
    assert len(book.orders) == ORDERS
    assert 1001 not in book.orders
    assert 3000 in book.orders


# Sessions.


async def test_a_login_sets_a_session_cookie_that_me_needs(api: Client) -> None:
    stranger = await api.get("/me")
    login = await api.post("/login", data={"user": "ada"})
    known = await api.get("/me")

    assert stranger.status == 401
    assert login.headers.getall("Set-Cookie")[0].startswith("erp_session=")
    assert login.headers.getall("Set-Cookie")[0].endswith("; HttpOnly; Path=/")
    assert await known.json() == {"user": "ada"}


async def test_a_login_that_is_no_form_or_names_nobody_is_refused(api: Client) -> None:
    statuses = [
        (await api.post("/login", json={"user": "ada"})).status,
        (await api.post("/login", data={"user": ""})).status,
        (await api.post("/login", data={"user": "x" * 201})).status,
        (await api.post("/login", data={"user": "x" * BODY_BYTES})).status,
    ]

    assert statuses == [415, 400, 400, 413]


async def test_the_oldest_session_ends_when_there_are_too_many(api: Client) -> None:
    sessions = book_of(api).sessions
    sessions |= {str(number): "guest" for number in range(SESSIONS)}

    await api.post("/login", data={"user": "ada"})

    assert len(sessions) == SESSIONS
    assert "0" not in sessions
    assert list(sessions.values())[-1] == "ada"


# Failing and streaming.


async def test_a_failure_is_an_old_fashioned_page(api: Client) -> None:
    response = await api.get("/fail")

    assert (response.status, response.content_type) == (500, "text/html")
    assert "Stock ledger locked" in await response.text()


async def test_slow_answers_after_its_time(api: Client) -> None:
    assert await (await api.get("/slow?ms=0")).json() == {"waited_ms": 0}


@pytest.mark.parametrize(
    "path",
    [
        "/slow?ms=10001",
        "/events?count=21",
        "/events?count=-1",
        f"/download?mb={TRANSFER_MB + 1}",
        "/download?mb=1.5",
        "/download?mb=²",
        "/orders?limit=9999999999",
        "/orders?limit=",
    ],
)
async def test_a_number_outside_its_bounds_is_refused(api: Client, path: str) -> None:
    response = await api.get(path)

    assert response.status == 400
    assert "whole number" in (await response.json())["error"]


async def test_the_event_stream_sends_the_events_asked_for_and_an_end(api: Client) -> None:
    response = await api.get("/events?count=2")

    assert response.content_type == "text/event-stream"
    assert await response.text() == 'id: 1\ndata: {"order": 1}\n\nid: 2\ndata: {"order": 2}\n\nevent: end\ndata: {}\n\n'


async def test_a_download_announces_its_size_and_has_it(api: Client) -> None:
    response = await api.get("/download?mb=2")
    body = await response.read()

    assert len(body) == 2 * MB
    assert response.headers["Content-Length"] == str(2 * MB)
    assert response.headers["Content-Disposition"] == 'attachment; filename="orders-2mb.bin"'
    assert response.headers["ETag"] == '"export-2mb"'


@pytest.mark.parametrize("path", ["/events", "/download?mb=200", "/orders"])
async def test_head_is_answered_without_a_body(api: Client, path: str) -> None:
    response = await api.head(path)

    assert response.status == 200
    assert await response.read() == b""


async def test_an_upload_is_counted_and_digested(api: Client) -> None:
    body = bytes(range(256)) * 4096

    response = await api.post("/upload", data=body)

    assert await response.json() == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


async def test_an_upload_over_the_bound_is_refused(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_api, "TRANSFER_MB", 0)

    assert (await api.post("/upload", data=b"x")).status == 413


# The log.


async def test_the_log_says_what_reached_the_api_and_keeps_no_cookie_value(api: Client, log: RequestLog) -> None:
    await api.options("/orders", headers={"Origin": PAGE})
    await api.get("/me?token=secret", headers={"Cookie": "erp_session=secret"})
    await api.get("/nowhere")

    assert log.since(0) == [
        {"seq": 1, "method": "OPTIONS", "path": "/orders", "origin": PAGE, "has_cookies": False, "status": 405},
        {"seq": 2, "method": "GET", "path": "/me", "origin": None, "has_cookies": True, "status": 401},
        {"seq": 3, "method": "GET", "path": "/nowhere", "origin": None, "has_cookies": False, "status": 404},
    ]
    assert [entry["seq"] for entry in log.since(2)] == [3]
    assert log.since(3) == []


def test_the_log_is_bounded_in_entries_and_in_text(log: RequestLog) -> None:
    for _ in range(LOGGED_REQUESTS + 2):
        log.add("GET", "/" + "x" * 9999, "o" * 9999, has_cookies=False)

    entries = log.since(0)
    assert len(entries) == LOGGED_REQUESTS
    assert (entries[0]["seq"], entries[-1]["seq"], log.last_seq) == (3, LOGGED_REQUESTS + 2, LOGGED_REQUESTS + 2)
    assert {len(entries[0]["path"]), len(entries[0]["origin"])} == {200}


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_failure_of_ours(log: RequestLog) -> None:
    async def read_body(_request: web.Request) -> web.StreamResponse:
        raise ConnectionResetError

    request = make_mocked_request("POST", "/upload", app=legacy_api(log))

    with pytest.raises(web.HTTPBadRequest):
        await demo_api.note_request(request, read_body)
    assert len(log.since(0)) == 1
