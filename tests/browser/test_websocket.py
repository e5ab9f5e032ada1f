"""What a real browser makes of WebSockets through the proxy: it asks nobody before it opens one, so the proxy has to."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from playwright.sync_api import Page
from websockets.sync.server import Server, ServerConnection, serve

from tests.browser.front import Front

pytestmark = pytest.mark.browser

ECHO = """async (url) => {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    const next = () => new Promise((resolve, reject) => {
        socket.onmessage = (event) => resolve(event.data);
        socket.onerror = () => reject(new Error("refused"));
    });
    try {
        await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = () => reject(new Error("refused")); });
    } catch (error) {
        return String(error);
    }
    const wrong = [];
    for (const size of [0, 1, 125, 126, 65535, 65536, 1048576]) {
        const text = "é".repeat(size / 2) + "x".repeat(size % 2);
        socket.send(text);
        if (await next() !== text) wrong.push(["text", size]);
        const bytes = new Uint8Array(size).map((_, place) => place * 7);
        socket.send(bytes);
        const got = new Uint8Array(await next());
        if (got.length !== size || !got.every((byte, place) => byte === bytes[place])) wrong.push(["binary", size]);
    }
    const closed = new Promise((resolve) => { socket.onclose = (event) => resolve([event.code, event.wasClean]); });
    socket.close(4000, "done");
    return {wrong, extensions: socket.extensions, closed: await closed};
}"""


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


class Blank(BaseHTTPRequestHandler):
    """An empty page. A real server has it, for browsers let no page of unknown whereabouts call loopback addresses."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def origin(page: Page) -> Iterator[str]:
    """Open an empty page, and return its origin."""
    with HTTPServer(("127.0.0.1", 0), Blank) as blank:
        thread = threading.Thread(target=blank.serve_forever)
        thread.start()
        found = f"http://127.0.0.1:{blank.server_port}"
        page.goto(f"{found}/")
        yield found
        blank.shutdown()
        thread.join(10)


def config(server: Server, origin: str) -> str:
    port = server.socket.getsockname()[1]
    return f"listen: 127.0.0.1:0\nupstream: http://127.0.0.1:{port}\ncors: {{allow_origins: ['{origin}']}}\n"


def test_an_allowed_page_exchanges_text_and_bytes(page: Page, origin: str, server: Server) -> None:
    with Front(config(server, origin)) as front:
        said = page.evaluate(ECHO, f"ws://127.0.0.1:{front.port}/")

    assert (said["wrong"], said["closed"]) == ([], [4000, True])
    assert said["extensions"].startswith("permessage-deflate")
    assert [record.status for record in front.records] == [101]


@pytest.mark.usefixtures("origin")
def test_a_page_of_another_origin_is_refused(page: Page, server: Server) -> None:
    with Front(config(server, "https://app.example.com")) as front:
        said = page.evaluate(ECHO, f"ws://127.0.0.1:{front.port}/")

    assert said == "Error: refused"
    assert [(record.status, record.problem and record.problem.code) for record in front.records] == [(403, "CP322")]
