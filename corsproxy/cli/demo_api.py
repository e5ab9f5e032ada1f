"""
The demo's legacy API: an order service that has never heard of CORS.

It answers OPTIONS with 405, sends no CORS header (but one wrong one, on purpose) and notes every request that reaches it,
so that the demo page can show what the network saw. Whatever it keeps is bounded: a program on the same machine may call it.
"""

import asyncio
import hashlib
import json
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.typedefs import Handler

LOGGED_REQUESTS = 500
LOGGED_TEXT = 200
ORDERS = 1000
SESSIONS = 100
TEXT_LENGTH = 200
QUANTITY = 1_000_000
BODY_BYTES = 64 * 1024
EVENTS = 20
SLOW_MS = 10_000
TRANSFER_MB = 256
MB = 1024 * 1024
SESSION_COOKIE = "erp_session"  # not `session`: cookies know no ports, and a neighbour on localhost may own that name
CHUNK = bytes(range(256)) * 256

FIELDS: dict[str, Callable[[Any], bool]] = {
    "article": lambda value: isinstance(value, str) and len(value) <= TEXT_LENGTH,
    "quantity": lambda value: type(value) is int and 0 <= value <= QUANTITY,
}

SEED: tuple[dict[str, Any], ...] = (
    {"id": 1, "article": "Hex bolt M8", "quantity": 400},
    {"id": 2, "article": "Spring washer", "quantity": 1200},
    {"id": 3, "article": "Bearing 6204", "quantity": 16},
    {"id": 4, "article": "V-belt A42", "quantity": 8},
    {"id": 5, "article": "Grease, 1 kg", "quantity": 24},
)


@dataclass(slots=True)
class LoggedRequest:
    """One request that reached the API; `status` is None until the answer begins. Cookie values are never kept."""

    seq: int
    method: str
    path: str
    origin: str | None
    has_cookies: bool
    status: int | None = None


@dataclass(slots=True)
class RequestLog:
    """The newest requests that reached the API, numbered from 1 without gaps; older ones fall out."""

    last_seq: int = 0
    entries: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=LOGGED_REQUESTS))

    def add(self, method: str, path: str, origin: str | None, *, has_cookies: bool) -> LoggedRequest:
        """Note one request, cut to a bounded size, and hand out its entry."""
        self.last_seq += 1
        kept_origin = None if origin is None else origin[:LOGGED_TEXT]
        entry = LoggedRequest(self.last_seq, method[:LOGGED_TEXT], path[:LOGGED_TEXT], kept_origin, has_cookies)
        self.entries.append(entry)
        return entry

    def since(self, seq: int) -> list[dict[str, Any]]:
        """Give what came after number `seq`, oldest first, ready for JSON."""
        return [asdict(entry) for entry in self.entries if entry.seq > seq]


@dataclass(slots=True)
class OrderBook:
    """All that the API remembers: orders by number, and session tokens with their users."""

    orders: dict[int, dict[str, Any]] = field(default_factory=lambda: {order["id"]: dict(order) for order in SEED})
    next_id: int = 1001
    sessions: dict[str, str] = field(default_factory=dict)


BOOK = web.AppKey("BOOK", OrderBook)
LOG = web.AppKey("LOG", RequestLog)
EVENT_INTERVAL_S = web.AppKey("EVENT_INTERVAL_S", float)
ENTRY = web.RequestKey("ENTRY", LoggedRequest)


def legacy_api(log: RequestLog, *, event_interval_s: float = 0.5) -> web.Application:
    """Build the API; every request that reaches it is noted in `log`."""
    app = web.Application(middlewares=[note_request, refuse_options], client_max_size=BODY_BYTES)
    app[BOOK] = OrderBook()
    app[LOG] = log
    app[EVENT_INTERVAL_S] = event_interval_s
    app.on_response_prepare.append(sign_response)
    app.add_routes(
        [
            web.get("/", show_index),
            web.get("/orders", list_orders),
            web.post("/orders", create_order),
            web.get("/orders/{id:[0-9]{1,9}}", show_order),
            web.put("/orders/{id:[0-9]{1,9}}", change_order),
            web.patch("/orders/{id:[0-9]{1,9}}", change_order),
            web.delete("/orders/{id:[0-9]{1,9}}", delete_order),
            web.post("/login", log_in),
            web.get("/me", show_user),
            web.get("/fail", fail),
            web.get("/slow", answer_slowly),
            web.get("/wrong-cors", answer_with_wrong_cors),
            web.get("/events", stream_events),
            web.get("/download", download),
            web.post("/upload", upload),
        ]
    )
    return app


# What happens around every request.


@web.middleware
async def note_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write the request down before anything else looks at it; say nothing when its client leaves in the middle of the body."""
    origin = request.headers.get("Origin")
    request[ENTRY] = request.app[LOG].add(request.method, request.path, origin, has_cookies="Cookie" in request.headers)
    try:
        return await handler(request)
    except (ConnectionError, web.RequestPayloadError):
        raise web.HTTPBadRequest from None  # nobody reads it; without it aiohttp logs a traceback over the demo's output


@web.middleware
async def refuse_options(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer OPTIONS as so many old servers do, which is why preflights die there."""
    if request.method == "OPTIONS":
        return web.Response(status=405, text="405 Method Not Allowed\n", headers={"Allow": "GET, HEAD, POST, PUT, PATCH, DELETE"})
    return await handler(request)


async def sign_response(request: web.Request, response: web.StreamResponse) -> None:
    """Complete the log entry and the headers, also of errors that aiohttp makes."""
    response.headers["Server"] = "LegacyERP/4.2"
    if (entry := request.get(ENTRY)) is not None:
        entry.status = response.status


# Orders.


async def show_index(_request: web.Request) -> web.Response:
    """Say what this is."""
    return web.Response(text="LegacyERP 4.2. Try /orders, /me, /fail, /events, /download?mb=5.\n")


async def list_orders(request: web.Request) -> web.Response:
    """List the first orders; X-Total-Count says how many there are."""
    orders = request.app[BOOK].orders
    limit = bounded(request, "limit", default=20, highest=100)
    return web.json_response(list(orders.values())[:limit], headers={"X-Total-Count": str(len(orders))})


async def show_order(request: web.Request) -> web.Response:
    """Show one order."""
    return web.json_response(known_order(request))


async def create_order(request: web.Request) -> web.Response:
    """Add an order; when the book is full, the oldest order that was added goes."""
    fields = await order_fields(request)
    book = request.app[BOOK]
    order: dict[str, Any] = {"id": book.next_id, "article": "Unnamed", "quantity": 1} | fields
    if len(book.orders) >= ORDERS:
        del book.orders[next(number for number in book.orders if number > len(SEED))]
    book.next_id += 1
    book.orders[order["id"]] = order
    return web.json_response(order, status=201, headers={"Location": f"/orders/{order['id']}"})


async def change_order(request: web.Request) -> web.Response:
    """Change the fields that the body names."""
    order = known_order(request)
    order.update(await order_fields(request))
    return web.json_response(order)


async def delete_order(request: web.Request) -> web.Response:
    """Delete an order, or agree that there is none."""
    request.app[BOOK].orders.pop(int(request.match_info["id"]), None)
    return web.Response(status=204)


# Sessions.


async def log_in(request: web.Request) -> web.Response:
    """Begin a session for whoever asks; the oldest session ends when there are too many."""
    if request.content_type != "application/x-www-form-urlencoded":
        refuse(web.HTTPUnsupportedMediaType, "send a form")
    form = parse_qs((await request.read()).decode("ascii", "replace"))
    user = form.get("user", [""])[0]
    if not 1 <= len(user) <= TEXT_LENGTH:
        refuse(web.HTTPBadRequest, f"send a form with a `user` of 1 to {TEXT_LENGTH} characters")
    sessions = request.app[BOOK].sessions
    if len(sessions) >= SESSIONS:
        del sessions[next(iter(sessions))]
    token = secrets.token_urlsafe(16)
    sessions[token] = user
    response = web.json_response({"user": user})
    response.set_cookie(SESSION_COOKIE, token, path="/", httponly=True)
    return response


async def show_user(request: web.Request) -> web.Response:
    """Name the user of the session."""
    user = request.app[BOOK].sessions.get(request.cookies.get(SESSION_COOKIE, ""))
    if user is None:
        refuse(web.HTTPUnauthorized, "no session, POST /login first")
    return web.json_response({"user": user})


# What goes wrong.


async def fail(_request: web.Request) -> web.Response:
    """Fail the old way: a page of HTML that nobody parses."""
    page = "<html><head><title>LegacyERP</title></head><body><h1>Error 500</h1><p>Stock ledger locked by batch job NIGHTLY-07.</p></body></html>\n"
    return web.Response(status=500, text=page, content_type="text/html")


async def answer_slowly(request: web.Request) -> web.Response:
    """Answer after `ms` milliseconds."""
    wait_ms = bounded(request, "ms", default=1000, highest=SLOW_MS)
    await asyncio.sleep(wait_ms / 1000)
    return web.json_response({"waited_ms": wait_ms})


async def answer_with_wrong_cors(_request: web.Request) -> web.Response:
    """Allow the one origin that once asked for it, hard-coded, like the header that somebody added in a hurry."""
    return web.json_response({"warehouse": "Hall 3"}, headers={"Access-Control-Allow-Origin": "https://somebody.else.example"})


# What streams.


async def stream_events(request: web.Request) -> web.StreamResponse:
    """Send `count` events, one at a time, and then an event named `end`."""
    count = bounded(request, "count", default=5, highest=EVENTS)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    if request.method == "GET":
        with suppress(ConnectionError):  # the page closed its end
            await write_events(response, count, request.app[EVENT_INTERVAL_S])
    return response


async def write_events(response: web.StreamResponse, count: int, interval_s: float) -> None:
    """Write the events of one stream, waiting between them."""
    for number in range(1, count + 1):
        if number > 1:
            await asyncio.sleep(interval_s)
        await response.write(f'id: {number}\ndata: {{"order": {number}}}\n\n'.encode())
    await response.write(b"event: end\ndata: {}\n\n")


async def download(request: web.Request) -> web.StreamResponse:
    """Send `mb` megabytes in chunks, their size announced."""
    size_mb = bounded(request, "mb", default=1, highest=TRANSFER_MB)
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="orders-{size_mb}mb.bin"',
        "ETag": f'"export-{size_mb}mb"',
    }
    response = web.StreamResponse(headers=headers)
    response.content_length = size_mb * MB
    await response.prepare(request)
    if request.method == "GET":
        with suppress(ConnectionError):  # the client has seen enough
            for _ in range(size_mb * MB // len(CHUNK)):
                await response.write(CHUNK)
    return response


async def upload(request: web.Request) -> web.Response:
    """Count and digest the body and keep nothing of it."""
    received, digest = 0, hashlib.sha256()
    async for chunk in request.content.iter_chunked(len(CHUNK)):
        received += len(chunk)
        if received > TRANSFER_MB * MB:
            raise web.HTTPRequestEntityTooLarge(max_size=TRANSFER_MB * MB, actual_size=received)
        digest.update(chunk)
    return web.json_response({"bytes": received, "sha256": digest.hexdigest()})


# Reading what was asked.


def refuse(kind: type[web.HTTPClientError], reason: str) -> NoReturn:
    """Raise the refusal with its reason as JSON."""
    raise kind(text=json.dumps({"error": reason}), content_type="application/json")


def bounded(request: web.Request, name: str, *, default: int, highest: int) -> int:
    """Read a whole number from the query; one outside 0 to `highest` is refused."""
    written = request.query.get(name, str(default))
    if not (written.isascii() and written.isdigit() and len(written) < 10 and int(written) <= highest):
        refuse(web.HTTPBadRequest, f"`{name}` is a whole number from 0 to {highest}")
    return int(written)


def known_order(request: web.Request) -> dict[str, Any]:
    """Find the order that the path names; one that is not in the book is refused."""
    number = int(request.match_info["id"])
    order = request.app[BOOK].orders.get(number)
    if order is None:
        refuse(web.HTTPNotFound, f"no order {number}")
    return order


async def order_fields(request: web.Request) -> dict[str, Any]:
    """Read the known fields of an order from a JSON body, each in bounds."""
    if request.content_type != "application/json":
        refuse(web.HTTPUnsupportedMediaType, "send application/json")
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        refuse(web.HTTPBadRequest, "the body is not JSON")
    fields = {name: body[name] for name in FIELDS if name in body} if isinstance(body, dict) else {}
    if not fields or not all(FIELDS[name](value) for name, value in fields.items()):
        refuse(web.HTTPBadRequest, f"send an `article` of at most {TEXT_LENGTH} characters, a `quantity` from 0 to {QUANTITY}, or both")
    return fields
