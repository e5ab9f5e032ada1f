"""A proxy whose calls are watched: an API, pages of two origins, and the inspector of the admin listener."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from playwright.sync_api import ConsoleMessage, Page

from tests.browser.sites import DEADLINE_S, RunningProxy, Servers, pages

ROOT: Final = Path(__file__).parents[2]
# The lines are counted from 1: the tests name some of them.
POLICY: Final = """\
listen: 127.0.0.1:0
admin: {{listen: 127.0.0.1:0}}
upstream: http://127.0.0.1:{api}
log: {{format: json}}
cors:
  allow_origins: ["http://localhost:{page}"]
  allow_methods: [GET, HEAD, POST, PUT]
  allow_headers: [Content-Type]
policies:
  read_only:
    allow_origins: [https://partner.example]
    enforce: false
routes:
  - {{path: /open, upstream: "http://127.0.0.1:{api}", cors: read_only}}
  - {{path: /closed, upstream: "http://127.0.0.1:{api}", cors: none}}
  - {{path: /down, upstream: "http://127.0.0.1:{down}", cors: {{allow_origins: "*"}}}}
"""


@dataclass(frozen=True)
class Inspected:
    """Where everything is. `page` may call, `stranger` may not; `policy` is the file."""

    policy: Path
    proxy: str
    inspector: str
    page: str
    stranger: str
    running: RunningProxy

    def line(self, text: str) -> int:
        """Return the number of the one line of the file that has a text."""
        (found,) = [number for number, line in enumerate(self.policy.read_text().splitlines(), 1) if text in line]
        return found

    def send(self, request: bytes) -> None:
        """Send bytes that no browser would, and wait for the answer."""
        host, _, port = self.proxy.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), DEADLINE_S) as connection:
            connection.sendall(request)
            assert connection.recv(65536)

    def explain(self, command: str) -> dict[str, Any]:
        """Run a command as somebody does who has copied it, and return what it explains."""
        ran = subprocess.run(
            ["/bin/sh", "-c", f"{command} --json"],
            cwd="/",
            env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S * 3,
            check=False,
        )
        assert shlex.split(command)[:2] == ["corsproxy", "explain"]
        assert ran.returncode in (0, 1), ran.stderr
        found = json.loads(ran.stdout)
        assert isinstance(found, dict)
        return found


async def answer(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade", "").lower() == "websocket":
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        await socket_.close()
        return socket_
    return web.json_response({"ok": True}, status=500 if request.path.endswith("/broken") else 200)


@contextmanager
def inspecting(directory: Path) -> Iterator[Inspected]:
    """Start everything, and stop it."""
    api = web.Application()
    api.router.add_route("*", "/{path:.*}", answer)
    with Servers() as servers, socket.socket() as down:
        down.bind(("127.0.0.1", 0))
        page = servers.start(pages())
        # What stands on a command line has to be quoted there.
        (directory / "a policy").mkdir()
        policy = directory / "a policy" / "it's.yaml"
        policy.write_text(POLICY.format(api=servers.start(api), page=page, down=down.getsockname()[1]))
        running = RunningProxy(policy, admin=True)
        try:
            lines = "".join(running.said(lambda lines: any("listening on" in line for line in lines)))
            ports = {name: re.search(rf"{name} http://127\.0\.0\.1:(\d+)", lines) for name in ("inspector on", "listening on")}
            proxy, admin = ports["listening on"], ports["inspector on"]
            assert proxy is not None, lines
            assert admin is not None, lines
            yield Inspected(
                policy,
                f"http://127.0.0.1:{proxy[1]}",
                f"http://127.0.0.1:{admin[1]}",
                f"http://localhost:{page}",
                f"http://127.0.0.1:{page}",
                running,
            )
        finally:
            running.stop()


class Console:
    """What a page says on its console, and what it throws."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)
