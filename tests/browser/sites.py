"""A legacy API, pages on several sites, and the proxy between them, by https: what the tests of other sites call."""

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from aiohttp import web

from corsproxy.cli.local_ca import Issued
from tests.certificates import Authority, Pair
from tests.harness import turns

# One API, and pages: of the same site, of another, and of one below `localhost`.
API: Final = "api.legacy.test"
NEIGHBOUR, PAGE, LOCAL_PAGE = "app.legacy.test", "app.example.test", "app.localhost"
HOSTS: Final = [API, NEIGHBOUR, PAGE, LOCAL_PAGE]

DEADLINE_S: Final = 10
PICTURE: Final = b'<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>'
# Each route is the same API under one key that makes the difference.
POLICY: Final = """\
listen: 127.0.0.1:0
hosts: [{host}]
tls: {{cert_file: {cert}, key_file: {key}}}
log: {{format: json}}
cors: &policy
  allow_origins: [{origins}]
  allow_credentials: true
x-api: &api {{upstream: "http://127.0.0.1:{api}", strip_prefix: true}}
routes:
  - {{path: /plain, <<: *api}}
  - {{path: /same-site, <<: *api}}
  - {{path: /none, <<: *api, cookies: {{same_site: none, domain: remove}}}}
  - {{path: /partitioned, <<: *api, cookies: {{same_site: none, domain: remove, partitioned: true}}}}
  - {{path: /redirects-kept, <<: *api, redirects: keep}}
  - {{path: /embeddable, <<: *api, cors: {{<<: *policy, resource_policy: cross-origin}}}}
  - {{path: /timed, <<: *api, cors: {{<<: *policy, timing_allow_origin: true}}}}
  - {{path: /exposed, <<: *api, cors: {{<<: *policy, expose_headers: "*"}}}}
  - path: /private
    strip_prefix: true
    upstream:
      url: https://127.0.0.1:{private}
      tls: {{ca_file: {ca}, server_name: legacy.internal, cert_file: {client_cert}, key_file: {client_key}}}
  - {{path: /down, upstream: "http://127.0.0.1:{down}"}}
"""


@dataclass(frozen=True)
class Arrival:
    """A request that reached the API: whether the proxy sent it, and who showed a certificate."""

    path: str
    is_proxied: bool
    certificate: str = ""


@dataclass
class LegacyApi:
    """It has never heard of CORS nor of SameSite, names its own host, and notes what reaches it."""

    arrivals: list[Arrival] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.on_response_prepare.append(self._note)
        app.add_routes(
            [
                web.post("/login", log_in),
                web.post("/login-wide", log_in),
                web.get("/me", show_user),
                web.get("/older", redirect_by_path),
                web.get("/old", redirect_by_url),
                web.get("/data", show_data),
                web.get("/picture.svg", show_picture),
            ]
        )
        return app

    async def _note(self, request: web.Request, _: web.StreamResponse) -> None:
        shown = request.get_extra_info("peercert") or {}
        name = dict(pair for (pair,) in shown.get("subject", ())).get("commonName", "")
        self.arrivals.append(Arrival(request.path, "Via" in request.headers, name))


async def log_in(request: web.Request) -> web.Response:
    domain = "; Domain=legacy.internal" if request.path == "/login-wide" else ""
    return web.json_response({}, headers={"Set-Cookie": f"sid=ada; HttpOnly; Path=/{domain}"})


async def show_user(request: web.Request) -> web.Response:
    user = request.cookies.get("sid")
    return web.json_response({"user": user}, status=401 if user is None else 200)


async def redirect_by_path(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/old"})


async def redirect_by_url(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": f"http://{request.host}/data"})


async def show_data(_: web.Request) -> web.Response:
    return web.json_response({"bolts": 400}, headers={"X-Stock": "Hall 3"})


async def show_picture(_: web.Request) -> web.Response:
    return web.Response(body=PICTURE, content_type="image/svg+xml")


def pages() -> web.Application:
    """An empty page, and one that embeds only what agrees to it."""

    async def show(request: web.Request) -> web.Response:
        headers = {"Cross-Origin-Embedder-Policy": "require-corp"} if request.path == "/isolated" else {}
        return web.Response(text="<!doctype html><title>page</title>", content_type="text/html", headers=headers)

    app = web.Application()
    app.add_routes([web.get("/", show), web.get("/isolated", show)])
    return app


class Servers:
    """Servers on a loop in a thread of its own: playwright's synchronous interface keeps the main thread's."""

    def __init__(self) -> None:
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runners: list[web.AppRunner] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for runner in self._runners:
            self._do(runner.cleanup())
        self._do(self._hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def start(self, app: web.Application, tls: ssl.SSLContext | None = None) -> int:
        """Serve on a free port of loopback, and return it."""
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._runners.append(runner)
        self._do(runner.setup())
        self._do(web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start())
        return int(runner.addresses[0][1])

    async def _hang_up(self) -> None:
        # A browser that keeps a connection for later does not notice that TLS wants to end on it.
        for transport in list(self._loop._transports.values()):  # type: ignore[attr-defined]
            transport.abort()
        await turns()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)


class RunningProxy:
    """`corsproxy` as a user starts it, and all that it says, in order."""

    def __init__(self, policy: Path, *flags: str, admin: bool = False) -> None:
        variables = {} if admin else {"CORSPROXY_ADMIN_LISTEN": "off"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "corsproxy", "--config", str(policy), *flags],
            cwd=policy.parent,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._news = threading.Condition()
        self._lines: list[str] = []
        self._has_ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def port(self) -> int:
        """Wait until it listens."""
        lines = self.said(lambda lines: any("listening on" in line for line in lines))
        found = re.search(r"listening on https://127\.0\.0\.1:(\d+)", "".join(lines))
        assert found is not None, "".join(lines)
        return int(found[1])

    def exchanges(self, path: str, count: int) -> list[str]:
        """Wait until it has logged so many exchanges of a path, and return all that it said until then."""
        return self.said(lambda lines: sum(json.loads(line).get("url.path") == path for line in lines) >= count)

    def said(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Wait until what it said fulfils a condition, and return it."""
        with self._news:
            assert self._news.wait_for(lambda: condition(self._lines) or self._has_ended, DEADLINE_S), "".join(self._lines)
            assert not self._has_ended, "".join(self._lines)
            return list(self._lines)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(DEADLINE_S) == 0, "".join(self._lines)
        self._reader.join(DEADLINE_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._has_ended = True
            self._news.notify_all()


@dataclass(frozen=True)
class Sites:
    """Where everything is: the API behind the proxy, and the origins of its pages."""

    legacy: LegacyApi
    running: RunningProxy
    proxy: str
    page: str
    neighbour: str
    local_page: str


@contextmanager
def running_sites(directory: Path, issued: Issued, authority: Authority, *flags: str) -> Iterator[Sites]:
    """Start everything, and stop it."""
    served, shown = authority.issue("legacy.internal"), authority.issue("corsproxy")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(issued.cert_file, issued.key_file)
    legacy = LegacyApi()
    # A port that is taken and does not listen refuses connections as long as this lasts.
    with Servers() as servers, socket.socket() as down:
        down.bind(("127.0.0.1", 0))
        page = servers.start(pages(), serving)
        origins = {host: f"https://{host}:{page}" for host in (PAGE, NEIGHBOUR, LOCAL_PAGE)}
        policy = directory / "corsproxy.yaml"
        policy.write_text(
            POLICY.format(
                host=API,
                cert=issued.cert_file,
                key=issued.key_file,
                origins=", ".join(origins.values()),
                api=servers.start(legacy.app()),
                private=servers.start(legacy.app(), demanding(served, authority)),
                ca=authority.ca_file,
                client_cert=shown.cert_file,
                client_key=shown.key_file,
                down=down.getsockname()[1],
            )
        )
        running = RunningProxy(policy, *flags)
        try:
            yield Sites(legacy, running, f"https://{API}:{running.port()}", *origins.values())
        finally:
            running.stop()


def demanding(pair: Pair, authority: Authority) -> ssl.SSLContext:
    """Serve nobody who does not show a certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca_file)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
