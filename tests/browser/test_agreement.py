"""
What `explain` says of a call, what the live proxy answers, and what a real browser makes of it, are one: for each case of `agreement`.

All calls of a page are made in one go, so that hundreds take seconds.
"""

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Frame

from corsproxy.cli.local_ca import Issued
from corsproxy.cors import browser
from corsproxy.cors.browser import BrowserRequest, BrowserResponse, CredentialsMode, Fields, Outcome, Reason, Stage, Verdict
from corsproxy.cors.console import Engine, messages
from corsproxy.cors.decide import Kind as Decided
from corsproxy.explanation.explain import ALWAYS_EXPOSED, Explanation, explain, failure_of
from corsproxy.rehearse import Call
from corsproxy.semantics.fields import ResponseHead
from tests.browser.agreement import API, CASES, EXTRA, POLICIES, Case, Kind, Page
from tests.browser.front import Front
from tests.browser.sites import Servers

# All calls of all pages are made before the first test ends: seconds, and more on a machine that does much else.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

RUN = """async calls => {
    const run = async ({url, init, kind}) => {
        if (kind === "socket") {
            return await new Promise(resolve => {
                const socket = new WebSocket(url.replace(/^http/, "ws"));
                socket.onopen = () => { resolve({ok: true}); socket.close(); };
                socket.onerror = () => resolve({ok: false});
            });
        }
        if (kind === "upload") {
            return await new Promise(resolve => {
                const request = new XMLHttpRequest();
                request.open(init.method, url);
                request.upload.onprogress = () => {};
                request.onloadend = () => resolve({ok: request.status !== 0, status: request.status});
                request.send(init.body);
            });
        }
        if (kind === "stream") {
            const body = new ReadableStream({start: c => { c.enqueue(new Uint8Array([120])); c.close(); }});
            init = {...init, body, duplex: "half"};
        }
        try {
            const answer = await fetch(url, init);
            return {ok: true, status: answer.status, headers: [...answer.headers].map(([name]) => name)};
        } catch (error) {
            return {ok: false, error: String(error)};
        }
    };
    const results = [];
    for (const call of calls) results.push(await run(call));
    return results;
}"""
FRAME = """kind => new Promise(resolve => {
    const frame = document.createElement("iframe");
    frame.onload = resolve;
    if (kind === "data") frame.src = "data:text/html,<title>null</title>";
    else { frame.sandbox = "allow-scripts"; frame.srcdoc = "<title>null</title>"; }
    document.body.append(frame);
})"""
# The fields that the upstream sends of its own accord, whatever it is asked.
OWN_FIELDS: Fields = ((b"ETag", b'"x"'), (b"X-Total", b"1"), (b"Content-Type", b"text/plain"))
MAX_HOPS = 5


@dataclass
class Upstream:
    """It knows no CORS, answers as the query says, and notes which cases reached it."""

    seen: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.query.get("case", ""))
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _talk(request)
        if request.path == "/page":
            return web.Response(text="<!doctype html><title>own</title>", content_type="text/html")
        await request.read()
        query = request.query
        headers = {name.decode(): value.decode() for name, value in OWN_FIELDS}
        headers |= {"Location": query["location"]} if "location" in query else {}
        headers |= {"Access-Control-Allow-Origin": query["grant"]} if "grant" in query else {}
        status = int(query.get("status", "200"))
        return web.Response(status=status, headers=headers, body=b"" if status in (204, 304) else b"x")


async def _talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


def upstream_head(query: Mapping[str, str]) -> ResponseHead:
    """What that upstream answers, for who asks nobody."""
    lines = [*OWN_FIELDS]
    lines += [(b"Location", query["location"].encode())] if "location" in query else []
    lines += [(b"Access-Control-Allow-Origin", query["grant"].encode())] if "grant" in query else []
    return ResponseHead(int(query.get("status", "200")), b"", 1, lines)


@dataclass(frozen=True)
class Seen:
    """What the browser made of a case: whether the script got an answer, the headers that it read, and the console's lines."""

    ok: bool
    headers: frozenset[str]
    console: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """The proxy, which cases of a browser reached the upstream, the origins of pages, and what the browser made of every case."""

    front: Front
    reached: frozenset[str]
    ports: Mapping[str, int]
    seen: Mapping[str, Seen]

    def fill(self, text: str) -> str:
        return filled(text, self.ports)

    def origin(self, page: Page) -> bytes:
        return b"null" if page.value.startswith("null") else self.fill(page).encode()

    def url(self, case: Case) -> str:
        return url_of(case, self.ports)


def filled(text: str, ports: Mapping[str, int]) -> str:
    for name, port in ports.items():
        text = text.replace(f"{{{name}}}", str(port))
    for page in (Page.APP, Page.EVIL, Page.SECURE):
        named = f"{{{page.name.lower()}}}"
        text = text.replace(named, filled(page, ports)) if named in text else text
    return text


def url_of(case: Case, ports: Mapping[str, int]) -> str:
    query = {"case": f"{CASES.index(case):03}."} | {name: filled(value, ports) for name, value in case.upstream.items()}
    return f"http://{case.host}:{ports['proxy']}{case.path}?{urllib.parse.urlencode(query)}"


def policy(ports: Mapping[str, int]) -> str:
    up = f"'http://127.0.0.1:{ports['upstream']}'"
    lines = ["listen: 127.0.0.1:0", f"hosts: [{API}, localhost]", "cors: {allow_origins: [{app}]}", "routes:"]
    for path, cors in POLICIES.items():
        lines.append(f"  - {{path: {path}, upstream: {up}, cors: {cors}}}")
    for path, (cors, more) in EXTRA.items():
        named = "" if more.startswith("upstream") else f"upstream: {up}, "
        lines.append(f"  - {{path: {path}, {named}cors: {cors}, {more}}}")
    lines.append(f"  - {{path: /page, upstream: {up}, cors: none}}")
    return filled("\n".join(lines) + "\n", ports)


@pytest.fixture(scope="module")
def world(chromium: Browser, certificate: Issued) -> Iterator[World]:
    upstream, pages = Upstream(), web.Application()
    pages.add_routes([web.get("/", _blank)])
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", upstream.answer)])
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate.cert_file, certificate.key_file)
    with Servers() as servers:
        ports = {
            "p1": servers.start(pages),
            "p2": servers.start(_copy()),
            "ps": servers.start(_copy(), serving),
            "upstream": servers.start(app),
        }
        ports["down"] = 1
        with Front(policy(ports)) as front:
            ports["proxy"] = front.port
            # Who asks nobody has to be told by which scheme the proxy is reached.
            front.change(f"public_url: http://{API}:{front.port}\n{policy(ports)}")
            context = chromium.new_context()
            seen = _watched(context, ports)
            # Whoever asks the live proxy later is another one.
            yield World(front, frozenset(upstream.seen), ports, seen)
            context.close()


async def _blank(_: web.Request) -> web.Response:
    return web.Response(text="<!doctype html><title>page</title>", content_type="text/html")


def _copy() -> web.Application:
    app = web.Application()
    app.add_routes([web.get("/", _blank)])
    return app


def _watched(context: BrowserContext, ports: Mapping[str, int]) -> dict[str, Seen]:
    """Let a browser make all calls, a page at a time."""
    found: dict[str, Seen] = {}
    for place in Page:
        cases = [case for case in CASES if case.page is place]
        page = context.new_page()
        said: list[ConsoleMessage] = []
        page.on("console", partial(_note, said))
        frame = _open(page.main_frame, place, ports)
        results = frame.evaluate(RUN, [{"url": url_of(case, ports), "init": dict(case.init), "kind": case.kind.value} for case in cases])
        # Messages come in order: when this one has come, so have all before it.
        with page.expect_console_message(lambda message: message.text == "that is all"):
            frame.evaluate("console.log('that is all')")
        for case, result in zip(cases, results, strict=True):
            mark = f"case={CASES.index(case):03}."
            lines = [each.text for each in said if mark in each.text or mark in each.location["url"]]
            found[case.name] = Seen(result["ok"], frozenset(result.get("headers", ())), tuple(lines))
        page.close()
    return found


def _note(said: list[ConsoleMessage], message: ConsoleMessage) -> None:
    said.append(message)


def _open(frame: Frame, place: Page, ports: Mapping[str, int]) -> Frame:
    if place is Page.OWN:
        frame.goto(filled(place, ports) + "/page")
        return frame
    is_null = place.value.startswith("null")
    frame.goto((filled(Page.APP, ports) if is_null else filled(place, ports)) + "/")
    if is_null:
        frame.evaluate(FRAME, "data" if place is Page.DATA else "sandbox")
        (frame,) = frame.child_frames
    return frame


# --- the call, as each of the three understands it ---


def script_headers(case: Case) -> Fields:
    given = case.init.get("headers", {})
    pairs = [(name.encode(), value.encode()) for name, value in (given.items() if isinstance(given, dict) else given)]
    # A text brings its own type along.
    if "body" in case.init and not any(name.lower() == b"content-type" for name, _ in pairs):
        pairs.append((b"Content-Type", b"text/plain;charset=UTF-8"))
    return tuple(pairs)


def call_of(world: World, case: Case) -> Call:
    url = urllib.parse.urlsplit(world.url(case))
    is_socket = case.kind is Kind.SOCKET
    return Call(
        world.origin(case.page),
        case.init.get("method", "GET").encode(),
        f"{url.path}?{url.query}".encode(),
        url.netloc.encode(),
        None if is_socket else case.init.get("credentials") == "include",
        websocket=is_socket,
        fields=() if is_socket else script_headers(case),
        upload_listener=case.kind is Kind.UPLOAD,
        stream=case.kind is Kind.STREAM or (case.init.get("method") == "GET" and "body" in case.init),
    )


def explained(world: World, case: Case) -> Explanation:
    query = {name: world.fill(value) for name, value in case.upstream.items()}
    return explain(world.front.settings, call_of(world, case), response=upstream_head(query))


def explained_to_the_end(world: World, case: Case) -> Outcome:
    """Follow redirects as a browser does: what explain says of the last request."""
    found = explained(world, case).rehearsal
    for _ in range(MAX_HOPS):
        if found.outcome.verdict.reason is not Reason.REDIRECT:
            return found.outcome
        call, url = found.call, (found.request.url_origin + found.call.path).decode()
        there = urllib.parse.urlsplit(urllib.parse.urljoin(url, found.outcome.verdict.subject.decode()))
        following = browser.follow(found.request, found.actual.response.status, f"http://{there.netloc}".encode())
        assert isinstance(following, BrowserRequest)
        if following.url_origin != found.request.url_origin:
            # Past the proxy nobody knows CORS.
            judged = browser.judge_response(following, BrowserResponse(200, OWN_FIELDS))
            assert isinstance(judged, Verdict)
            return Outcome(judged, Stage.ACTUAL)
        call = Call(following.origin, following.method, there.path.encode(), call.host, call.credentials, fields=following.headers)
        found = explain(world.front.settings, call, response=upstream_head({})).rehearsal
    raise AssertionError("too many redirects")


def exchanged(host: str, path: str, method: bytes, fields: Fields) -> BrowserResponse:
    connection = http.client.HTTPConnection("127.0.0.1", int(host.rpartition(":")[2]), timeout=10)
    try:
        connection.putrequest(method.decode(), path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        for name, value in fields:
            connection.putheader(name.decode(), value)
        connection.endheaders()
        answer = connection.getresponse()
        return BrowserResponse(answer.status, tuple((name.encode(), value.encode()) for name, value in answer.getheaders()))
    finally:
        connection.close()


def judged_live(world: World, case: Case) -> Outcome:
    """What the model browser makes of the live proxy's answers, redirects included."""
    url = urllib.parse.urlsplit(world.url(case))
    call = call_of(world, case)
    mode = CredentialsMode.INCLUDE if call.credentials else CredentialsMode.OMIT
    origin = f"http://{url.netloc}".encode()
    request = BrowserRequest(call.origin, origin, call.method, call.fields, mode, call.upload_listener, call.stream)
    target = f"{url.path}?{url.query}"
    for _ in range(MAX_HOPS):
        netloc = urllib.parse.urlsplit(request.url_origin.decode()).netloc
        outcome = browser.fetch(request, partial(exchanged, netloc, target))
        if outcome.verdict.reason is not Reason.REDIRECT:
            return outcome
        there = urllib.parse.urlsplit(urllib.parse.urljoin(f"http://{netloc}{target}", outcome.verdict.subject.decode()))
        following = browser.follow(request, int(case.upstream["status"]), f"http://{there.netloc}".encode())
        assert isinstance(following, BrowserRequest)
        request, target = following, there.path
    raise AssertionError("too many redirects")


def handshake_status(world: World, case: Case) -> int:
    url = urllib.parse.urlsplit(world.url(case))
    (made,) = explained(world, case).made
    lines = tuple(line for line in made.request.lines if line[0] != b"Host")
    return exchanged(url.netloc, f"{url.path}?{url.query}", b"GET", lines).status


each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_the_browser_does_what_explain_says(world: World, case: Case) -> None:
    outcome = explained_to_the_end(world, case)

    assert world.seen[case.name].ok == outcome.ok, (outcome, world.seen[case.name])
    assert outcome.ok == case.works, outcome


@each_case
def test_the_live_proxy_answers_what_explain_says(world: World, case: Case) -> None:
    said = explained_to_the_end(world, case)
    if case.kind is Kind.SOCKET:
        assert handshake_status(world, case) == explained(world, case).rehearsal.actual.response.status
        return
    live = judged_live(world, case)

    if case.kind is Kind.STREAM and said.verdict.reason is Reason.STREAM_OVER_HTTP1:
        # That is between browser and connection; the answers grant it.
        assert live.ok
        return
    assert (said.verdict, said.stage, said.preflight_sent) == (live.verdict, live.stage, live.preflight_sent)


@each_case
def test_a_preflight_comes_when_explain_says_so_and_nothing_else_reaches_the_upstream(world: World, case: Case) -> None:
    mark = f"case={CASES.index(case):03}.".encode()
    found = explained(world, case)
    sent = [record for record in world.front.records if mark in record.target]
    preflights = [record for record in sent if record.method == b"OPTIONS" and _is_preflight(record.decision)]
    if case.path != "/through" and case.init.get("method") != "OPTIONS":
        assert bool(preflights) == (found.rehearsal.preflight is not None)
    if case.path not in ("/through", "/down") and case.kind is not Kind.STREAM:
        forwarded = [exchange for exchange in found.made if exchange.forwarded]
        reached = f"{CASES.index(case):03}." in world.reached
        if case.path == "/small":
            # What is explained has no content, so nothing is too large about it.
            assert forwarded
            assert not reached
            return
        assert reached == bool(forwarded or (case.kind is Kind.SOCKET and found.rehearsal.actual.problem is None))


def _is_preflight(decision: Any) -> bool:
    return decision is None or decision.kind is Decided.PREFLIGHT


@each_case
def test_the_console_says_what_explain_says(world: World, case: Case) -> None:
    if case.kind is Kind.UPLOAD:
        return  # It is no fetch, and Chromium says so.
    found = explained(world, case)
    console = [line for line in world.seen[case.name].console if not line.startswith("Failed to load resource: the server responded")]
    failure = failure_of(found.rehearsal)
    if found.rehearsal.outcome.verdict.reason is Reason.REDIRECT:
        assert all("(redirected from" in line or "net::ERR_FAILED" in line for line in console), console
    elif failure is None:
        assert console == []
    elif failure.stage is not Stage.SCRIPT or failure.verdict.reason is Reason.MIXED_CONTENT:
        # Other versions say more behind it: what an opaque response would do.
        assert all(any(line.startswith(said) for line in console) for said in messages(failure, Engine.CHROMIUM)), console
        assert found.ending != "upstream-decides" or found.consoles == ()
        if found.consoles:
            assert found.consoles[0].messages == messages(failure, Engine.CHROMIUM)


@each_case
def test_a_script_reads_the_headers_that_explain_names(world: World, case: Case) -> None:
    seen, found = world.seen[case.name], explained(world, case)
    # What only the upstream knows, or the length of a body decides, is left out.
    if case.kind is not Kind.FETCH or not seen.ok or case.upstream.get("location") or case.path in ("/through", "/small"):
        return
    live = judged_live(world, case)
    assert {name.encode() for name in seen.headers} == live.exposed
    assert found.reading is not None
    if found.reading.names is not None and found.rehearsal.actual.problem is None and case.path != "/down":
        named = {name.lower() for name in found.reading.names}
        assert live.exposed <= named | set(ALWAYS_EXPOSED)
        assert named & {name.lower() for name, _ in OWN_FIELDS} <= live.exposed


def test_a_cache_that_is_off_asks_twice_and_one_that_is_on_once(world: World, chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto(world.fill(Page.APP) + "/")
    counts = {}
    for path in ("/plain", "/uncached"):
        url = f"http://{API}:{world.ports['proxy']}{path}/cached"
        before = len(world.front.records)
        for _ in range(2):
            assert page.evaluate(RUN, [{"url": url, "init": {"method": "PUT"}, "kind": "fetch"}])[0]["ok"]
        counts[path] = [record.method for record in world.front.records[before:]].count(b"OPTIONS")
    page.close()

    assert counts == {"/plain": 1, "/uncached": 2}
    said = {
        path: next(
            each.words
            for each in explain(world.front.settings, Call(world.origin(Page.APP), b"PUT", path.encode())).checks
            if each.name == "preflight-cache"
        )
        for path in counts
    }
    assert "asks once" in said["/plain"]
    assert "asks again" in said["/uncached"]


def test_the_table_is_wide_enough() -> None:
    names = [case.name for case in CASES]

    assert len(set(names)) == len(names) >= 60
    assert {case.page for case in CASES} == set(Page)
    assert {case.kind for case in CASES} == set(Kind)
    assert {case.path for case in CASES} >= POLICIES.keys() | EXTRA.keys()
    assert json.dumps(names)
