"""The inspector's addresses: a page without anything inline, a stream that goes on where it left off, and why for one exchange."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from importlib.resources import files
from typing import Any, Self

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from corsproxy.admin import inspector
from corsproxy.admin.inspector import MAX_STREAMS, Inspected, Inspector
from corsproxy.observe.ring import Ring
from corsproxy.problems import UPSTREAM_REFUSED
from tests.harness import DEADLINE_S
from tests.unit.observe.observed import APP, EVIL, POLICY, preflight, recorded, settings_of

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]
SETTINGS = settings_of()
STATIC = files("corsproxy.admin").joinpath("static")


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    clients: list[Client] = []

    async def start(ring: Ring, **changes: Any) -> Client:
        app = web.Application()
        Inspector(replace(Inspected(ring, lambda: SETTINGS, source=lambda: ("--config", "corsproxy.yaml")), **changes)).add_to(app)
        clients.append(TestClient(TestServer(app)))
        await clients[-1].start_server()
        return clients[-1]

    yield start
    for client in clients:
        await client.close()


@pytest.fixture
def ring() -> Ring:
    return Ring(lambda: SETTINGS, "a1")


class Events:
    """The events of a stream, one after the other."""

    def __init__(self, client: Client, headers: dict[str, str] | None = None) -> None:
        self._client = client
        self._headers = headers or {}

    async def __aenter__(self) -> Self:
        self.response = await self._client.get("/inspector/events", headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.response.close()

    async def next(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return the id and the data of the next event of a name."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                lines = (await self.response.content.readuntil(b"\n\n")).decode().splitlines()
                fields = dict(line.split(": ", 1) for line in lines if line and not line.startswith(":"))
                if fields.get("event") == name:
                    return fields.get("id", ""), json.loads(fields["data"])


async def asked(client: Client, path: str) -> Any:
    async with client.get(path) as response:
        assert response.content_type == "application/json"
        return await response.json()


# --- the page ---


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html"),
        ("/inspector/inspector.css", "text/css"),
        ("/inspector/inspector.js", "text/javascript"),
        ("/inspector/icon.svg", "image/svg+xml"),
    ],
)
async def test_the_page_and_its_parts_are_served(serve: Serve, ring: Ring, path: str, content_type: str) -> None:
    client = await serve(ring)
    async with client.get(path) as response:
        assert (response.status, response.content_type) == (200, content_type)
        assert await response.read()


def test_the_page_has_nothing_inline_and_loads_nothing_from_elsewhere() -> None:
    """The content policy of the admin listener allows neither."""
    page = STATIC.joinpath("inspector.html").read_text()
    scripts = re.findall(r"<script[^>]*>([^<]*)</script>", page)
    assert scripts == [""]
    assert not re.search(r"\s(?:style|on\w+)=|<style|javascript:", page)
    for name in ("inspector.html", "inspector.css", "inspector.js"):
        text = STATIC.joinpath(name).read_text().replace("http://www.w3.org/2000/svg", "")
        loaded = re.findall(r"""(?:src|href)=["']?(https?:[^"'\s>]+)|url\(([^)]+)\)|import[^;]*["'](https?:[^"']+)""", text)
        assert loaded == [], name


def test_the_script_never_writes_markup() -> None:
    script = STATIC.joinpath("inspector.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function", script)


# --- programs ---


async def test_the_list_has_everything_that_is_kept(serve: Serve, ring: Ring) -> None:
    ring.add(recorded(SETTINGS, b"GET", b"/orders?token=very-secret", APP))
    ring.add(recorded(SETTINGS, b"GET", b"/orders", EVIL))
    found = await asked(await serve(ring), "/inspector/exchanges")

    assert [(entry["id"], entry["outcome"], entry["path"]) for entry in found["entries"]] == [
        ("a1-1", "allowed", "/orders?token=***"),
        ("a1-2", "refused", "/orders"),
    ]
    assert (found["last"], found["counts"]["total"], found["counts"]["bad"]) == ("a1-2", 2, 1)


@pytest.mark.parametrize(("after", "left"), [("a1-1", 1), ("a1-2", 0), ("b2-2", 2), ("x", 2), ("a1-%D9%A2", 2), ("a1-" + "9" * 50, 2)])
async def test_the_list_can_go_on_where_it_left_off(serve: Serve, ring: Ring, after: str, left: int) -> None:
    for _ in range(2):
        ring.add(recorded(SETTINGS))

    assert len((await asked(await serve(ring), f"/inspector/exchanges?after={after}"))["entries"]) == left


async def test_an_exchange_is_explained(serve: Serve, ring: Ring) -> None:
    ring.add(preflight(SETTINGS, APP, b"PUT", b"x-trace"))
    found = await asked(await serve(ring), "/inspector/exchanges/a1-1")

    assert found["entry"]["reason"] == "preflight-header-refused"
    assert found["now"] is None
    assert ["Access-Control-Allow-Headers", "content-type"] in found["sent"]["fields"]
    assert found["command"] == (
        "corsproxy explain --config corsproxy.yaml --origin=https://app.example.com --method=PUT --path=/orders --host=localhost:8080 --header=x-trace"
    )


@pytest.mark.parametrize("name", ["a1-7", "b2-1", "x", "%2e%2e", "a1-1%0a"])
async def test_an_exchange_that_is_not_kept_is_404(serve: Serve, ring: Ring, name: str) -> None:
    ring.add(recorded(SETTINGS))
    async with (await serve(ring)).get(f"/inspector/exchanges/{name}") as response:
        assert response.status == 404


async def test_it_tells_what_the_file_in_force_makes_of_an_older_exchange(serve: Serve, ring: Ring) -> None:
    ring.add(recorded(SETTINGS, b"GET", b"/orders", EVIL))
    mended = settings_of(POLICY.replace("[https://app.example.com]", "[https://app.example.com, https://evil.example]"))
    found = await asked(await serve(ring, settings=lambda: mended), "/inspector/exchanges/a1-1")

    assert (found["entry"]["reason"], found["entry"]["place"]) == ("origin-refused", "corsproxy.yaml:4:3")
    assert (found["now"]["reason"], found["now"]["place"]) == ("origin-allowed", "corsproxy.yaml:4:44")
    assert found["now"]["line"][slice(*found["now"]["part"])] == "https://evil.example"
    assert found["command_note"] == "By the file in force now it comes to origin-allowed."


async def test_what_the_upstream_failed_at_is_no_matter_of_the_policy(serve: Serve, ring: Ring) -> None:
    ring.add(recorded(SETTINGS, b"GET", b"/orders", APP, problem=UPSTREAM_REFUSED, status=502))
    found = await asked(await serve(ring), "/inspector/exchanges/a1-1")

    assert (found["now"], found["command"]) == (None, f"corsproxy explain-code {UPSTREAM_REFUSED.code}")


async def test_secrets_of_the_file_are_struck_out(serve: Serve, ring: Ring) -> None:
    ring.add(recorded(SETTINGS, b"GET", b"/orders", EVIL))
    client = await serve(ring, strike=lambda text: text.replace("evil.example", "***"))
    for path in ("/inspector/exchanges", "/inspector/exchanges/a1-1"):
        async with client.get(path) as response:
            assert "evil" not in await response.text()
    async with Events(client) as events:
        assert "evil" not in json.dumps(await events.next("exchanges"))
        assert "evil" not in json.dumps(await events.next("counts"))


# --- the stream ---


async def test_a_page_gets_all_there_is_and_then_what_ends(serve: Serve, ring: Ring) -> None:
    ring.add(recorded(SETTINGS))
    async with Events(await serve(ring, address=lambda: "http://localhost:8080")) as events:
        assert events.response.headers["Content-Type"] == "text/event-stream"
        assert (await events.next("hello"))[1] == {"name": "a1", "version": "0.1.0", "address": "http://localhost:8080"}
        first, data = await events.next("exchanges")
        assert (first, data["all"], len(data["entries"])) == ("a1-1", True, 1)
        assert (await events.next("counts"))[1]["total"] == 1

        ring.add(recorded(SETTINGS, b"GET", b"/orders", EVIL))
        second, data = await events.next("exchanges")
        assert (second, data["all"], [entry["outcome"] for entry in data["entries"]]) == ("a1-2", False, ["refused"])


async def test_a_page_without_anything_to_show_hears_so(serve: Serve, ring: Ring) -> None:
    async with Events(await serve(ring)) as events:
        assert (await events.next("exchanges"))[1] == {"entries": [], "last": "a1-0", "missed": 0, "all": True}


async def test_a_page_that_comes_back_goes_on_where_it_left_off(serve: Serve, ring: Ring) -> None:
    for _ in range(3):
        ring.add(recorded(SETTINGS))
    async with Events(await serve(ring), {"Last-Event-ID": "a1-2"}) as events:
        _, data = await events.next("exchanges")
        assert (data["all"], [entry["id"] for entry in data["entries"]]) == (False, ["a1-3"])


async def test_a_page_of_another_start_begins_anew(serve: Serve, ring: Ring) -> None:
    ring.add(recorded(SETTINGS))
    async with Events(await serve(ring), {"Last-Event-ID": "b2-700"}) as events:
        assert (await events.next("exchanges"))[1]["all"] is True


async def test_a_flood_is_thinned_out_and_what_deserves_a_look_stays(serve: Serve, ring: Ring) -> None:
    async with Events(await serve(ring)) as events:
        await events.next("exchanges")
        for number in range(400):
            ring.add(recorded(SETTINGS, b"GET", b"/orders", EVIL if number == 5 else APP))
        _, data = await events.next("exchanges")

    assert len(data["entries"]) == inspector._MAX_BATCH
    assert data["missed"] == 400 - inspector._MAX_BATCH
    assert [entry["outcome"] for entry in data["entries"]].count("refused") == 1


async def test_only_so_many_pages_look_at_once(serve: Serve, ring: Ring) -> None:
    client = await serve(ring)
    opened = [await Events(client).__aenter__() for _ in range(MAX_STREAMS)]
    async with client.get("/inspector/events") as refused:
        assert refused.status == 503
    for events in opened:
        events.response.close()

    async def has_room() -> bool:
        async with client.get("/inspector/events") as response:
            return response.status == 200

    async with asyncio.timeout(DEADLINE_S):
        while not await has_room():  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.01)


async def test_a_page_that_takes_nothing_is_let_go(serve: Serve, ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page whose buffers are full: `write` waits until it reads on."""

    async def wait(_: web.StreamResponse, __: bytes) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(inspector, "_STALLED_S", 0.05)
    monkeypatch.setattr(web.StreamResponse, "write", wait)
    async with asyncio.timeout(DEADLINE_S):
        async with (await serve(ring)).get("/inspector/events") as response:
            assert (response.status, await response.read()) == (200, b"")


async def test_the_stream_ends_with_the_application(serve: Serve, ring: Ring) -> None:
    client = await serve(ring)
    async with Events(client) as events:
        await events.next("exchanges")
        async with asyncio.timeout(DEADLINE_S):
            closing = asyncio.ensure_future(client.server.close())
            await events.response.content.read()
            await closing
