"""
What a real browser makes of streams through the proxy.

The upstream sends the next piece only after the page has told it of the last: whoever holds a piece back for the next one hangs.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

EVENTS = 100
CHUNKS = 50
# The stream breaks here once, and the page comes back for the rest.
BREAK_AFTER = 50
DEADLINE_S = 10.0


@dataclass
class Seen:
    """What the upstream has seen, and a gate: `told` is the last piece that the page has told of."""

    streams: list[dict[str, str]] = field(default_factory=list)
    told: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    change: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, number: int) -> None:
        with self.change:
            self.told = number
            self.change.notify_all()

    def wait_for(self, number: int) -> None:
        with self.change:
            assert self.change.wait_for(lambda: self.told >= number, DEADLINE_S), f"the page never told of {number}"


class Api(BaseHTTPRequestHandler):
    """An API that knows no CORS, and a page on another port of the same host, which makes it another origin."""

    protocol_version = "HTTP/1.1"
    seen: Seen

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        with suppress(ConnectionError):
            {
                "/page": lambda: self.answer(b"<!doctype html><link rel=icon href=data:,>", "text/html"),
                "/login": lambda: self.answer(b"", "text/plain", ("Set-Cookie", "session=ada; Path=/; HttpOnly")),
                "/events": self.events,
                "/chunks": self.chunks,
                "/endless": self.endless,
                "/poll": self.wait_until_left,
            }[self.path]()

    def do_POST(self) -> None:
        self.seen.tell(int(self.path.removeprefix("/told/")))
        self.answer(b"", "text/plain")

    def answer(self, body: bytes, kind: str, *fields: tuple[str, str]) -> None:
        self.begin(kind, ("Content-Length", str(len(body))), *fields)
        self.wfile.write(body)

    def begin(self, kind: str, *fields: tuple[str, str]) -> None:
        self.send_response(200)
        for name, value in (("Content-Type", kind), *fields):
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def events(self) -> None:
        self.seen.streams.append({name.lower(): value for name, value in self.headers.items()})
        first = int(self.headers.get("Last-Event-ID", "0")) + 1
        self.begin("text/event-stream", ("Transfer-Encoding", "chunked"), ("Cache-Control", "no-cache"))
        for number in range(first, EVENTS + 1):
            self.chunk(b"retry: 1\nid: %d\ndata: event %d\n\n" % (number, number))
            self.seen.wait_for(number)
            if number == BREAK_AFTER:
                break
        self.chunk(b"")

    def chunks(self) -> None:
        self.begin("application/octet-stream", ("Transfer-Encoding", "chunked"))
        for number in range(1, CHUNKS + 1):
            self.chunk(b"%d" % number)
            self.seen.wait_for(number)
        self.chunk(b"")

    def endless(self) -> None:
        self.begin("text/plain", ("Transfer-Encoding", "chunked"))
        self.chunk(b"first")
        self.wait_until_left()

    def wait_until_left(self) -> None:
        """Say nothing more, and note that the other side has closed."""
        self.seen.asked.set()
        self.connection.settimeout(DEADLINE_S)
        with suppress(ConnectionError):
            assert self.connection.recv(1) == b""
        self.seen.left.set()
        self.close_connection = True


@dataclass(frozen=True)
class Setting:
    """The page's origin, the proxy's, and what the upstream behind it has seen."""

    page: str
    proxy: str
    seen: Seen


@contextmanager
def serving(seen: Seen) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("ThisApi", (Api,), {"seen": seen})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextmanager
def proxying(config: Path, upstream: int, page: str) -> Iterator[str]:
    policy = f"{{allow_origins: ['{page}'], allow_credentials: true, allow_methods: [GET, POST]}}"
    config.write_text(f"listen: 127.0.0.1:0\nupstream: http://127.0.0.1:{upstream}\ncors: {policy}\nlog: {{access: false}}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "corsproxy", "-c", str(config)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), "CORSPROXY_ADMIN_LISTEN": "off"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
            break
    else:
        pytest.fail(said)
    yield f"http://localhost:{found[1]}"
    process.send_signal(signal.SIGTERM)
    with process.stderr:
        rest = process.stderr.read()
    assert process.wait(DEADLINE_S) == 0, rest


@pytest.fixture
def setting(tmp_path: Path, page: Page) -> Iterator[Setting]:
    seen = Seen()
    with serving(Seen()) as pages, serving(seen) as upstream:
        origin = f"http://localhost:{pages}"
        with proxying(tmp_path / "corsproxy.yaml", upstream, origin) as proxy:
            page.goto(f"{origin}/page")
            yield Setting(origin, proxy, seen)
            # What a browser keeps open would hold up the end.
            page.close()


def test_an_event_source_with_credentials_gets_every_event_at_once_and_comes_back_for_the_rest(page: Page, setting: Setting) -> None:
    got = page.evaluate(
        """async ([proxy, last]) => {
            await fetch(`${proxy}/login`, {credentials: "include"});
            const got = [];
            let opened = 0;
            await new Promise((resolve, reject) => {
                const source = new EventSource(`${proxy}/events`, {withCredentials: true});
                source.onopen = () => opened++;
                source.onmessage = event => {
                    got.push([event.data, event.lastEventId]);
                    fetch(`${proxy}/told/${event.lastEventId}`, {method: "POST", credentials: "include"}).catch(reject);
                    if (event.lastEventId === String(last)) { source.close(); resolve(); }
                };
                source.onerror = () => source.readyState === EventSource.CLOSED && reject(new Error("the stream was refused"));
            });
            return {got, opened};
        }""",
        [setting.proxy, EVENTS],
    )

    assert got == {"got": [[f"event {number}", f"{number}"] for number in range(1, EVENTS + 1)], "opened": 2}
    first, second = setting.seen.streams
    assert (first.get("last-event-id"), second.get("last-event-id")) == (None, str(BREAK_AFTER))
    for request in (first, second):
        assert (request["cookie"], request["origin"], request["accept"]) == ("session=ada", setting.page, "text/event-stream")


def test_a_script_reads_a_body_chunk_by_chunk(page: Page, setting: Setting) -> None:
    got = page.evaluate(
        """async proxy => {
            const got = [];
            const answer = await fetch(`${proxy}/chunks`);
            const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
            for (;;) {
                const {value, done} = await reader.read();
                if (done) return got;
                got.push(value);
                await fetch(`${proxy}/told/${value}`, {method: "POST"});
            }
        }""",
        setting.proxy,
    )

    assert got == [f"{number}" for number in range(1, CHUNKS + 1)]


ABORTED = """async ([proxy, path]) => {
    const controller = new AbortController();
    const asked = fetch(proxy + path, {signal: controller.signal});
    try {
        if (path === "/endless") {
            const reader = (await asked).body.getReader();
            const {value} = await reader.read();
            if (new TextDecoder().decode(value) !== "first") return "something else came first";
            controller.abort();
            await reader.read();
        } else {
            await window.reached();
            controller.abort();
            await asked;
        }
        return "it was not aborted";
    } catch (error) {
        return error.name;
    }
}"""


@pytest.mark.parametrize("path", ["/endless", "/poll"], ids=["in the body", "before the head"])
def test_an_abort_in_the_page_ends_the_upstreams_work(page: Page, setting: Setting, path: str) -> None:
    page.expose_function("reached", lambda: setting.seen.asked.wait(DEADLINE_S))

    assert page.evaluate(ABORTED, [setting.proxy, path]) == "AbortError"
    assert setting.seen.left.wait(DEADLINE_S)
