"""
Who may ask the admin application, and for what.

It knows what a browser does to whoever listens on its machine: web pages call localhost, make their own names lead there, put it
into frames. It knows no page of the admin's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from corsproxy import routes
from corsproxy.admin.sources import Sources
from corsproxy.config.settings import AdminSettings

_log = logging.getLogger("corsproxy")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# What every address serves. They say nothing of who calls what.
HEALTH: Final = frozenset({"/healthz", "/readyz"})
OPEN_TO_ALL: Final = HEALTH | {"/metrics"}

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# Precedent: a scrape a second and a few people who look around need a tenth of it.
_REQUESTS_PER_S: Final = 50.0
_BURST: Final = 100.0
# Fetch Metadata 2.3: a person who typed the address, or a page of the admin's own.
_OWN_SITES: Final = frozenset({"same-origin", "none"})


async def set_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Put on what every answer has, errors and streams too, and take off what names libraries."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)


class Guard:
    """
    The middleware in front of every page.

    `is_private`: no other machine can reach the address. Health is never refused for asking often: whoever floods the rest must not
    make a kubelet restart the pod.
    """

    def __init__(self, sources: Sources, *, is_private: bool) -> None:
        self._sources = sources
        self._is_private = is_private
        self._tokens = _BURST
        self._filled = 0.0

    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through, or say why not; whatever breaks behind it is an answer too."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _said(error.status, _SENTENCES.get(error.status, error.reason), error.headers.get("Allow"))
        except TimeoutError:
            return _said(503, "no answer in time")
        except Exception:  # noqa: BLE001 - a mistake of ours must still be an answer
            _log.exception("internal error: an admin page failed")
            return _said(500, "a mistake in corsproxy: the log has it")

    def _refusal(self, request: web.Request) -> web.Response | None:
        settings = self._sources.in_force().settings.admin
        if not _is_known_host(request, settings):
            return _said(421, "this host is not answered: use localhost or an IP address, or name it in `admin.hosts`")
        if _is_cross_site(request):
            return _said(403, "requests from other sites are refused")
        is_open = self._is_private or settings.dangerously_expose_admin
        if not is_open and request.path not in OPEN_TO_ALL:
            return _said(403, "on an address that other machines can reach, only /healthz, /readyz and /metrics are served")
        if request.path not in HEALTH and not self._take():
            return _said(429, "too many requests")
        if request.method == "POST" and request.content_type != "application/json":
            # A form, and what a page can send without asking first, has none of it.
            return _said(415, "write `Content-Type: application/json`")
        return None

    def _take(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._tokens = min(_BURST, self._tokens + (now - self._filled) * _REQUESTS_PER_S)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


_SENTENCES: Final = {404: "there is no such page", 405: "this page does not take this method"}


def _said(status: int, sentence: str, allow: str | None = None) -> web.Response:
    return web.Response(status=status, text=f"{sentence}\n", headers={"Allow": allow} if allow else None)


def _is_known_host(request: web.Request, settings: AdminSettings) -> bool:
    """Tell whether a request names a host that is answered. No web page reaches a unix socket, whatever its name leads to."""
    transport = request.transport
    if transport is not None and not isinstance(transport.get_extra_info("peername"), tuple):
        return True
    return routes.answers_host(settings.hosts, request.headers.get("Host", "").encode("utf-8", "surrogateescape"))


def _is_cross_site(request: web.Request) -> bool:
    """
    Tell whether a page of another origin asks.

    Following a link here shows the page and tells the other one nothing.

    Spec: Fetch Metadata 2.1 to 2.4; Fetch #origin-header.
    """
    headers = request.headers
    origin, host = headers.get("Origin"), headers.get("Host", "")
    if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return True
    site = headers.get("Sec-Fetch-Site")
    if site is None or site in _OWN_SITES:
        return False
    is_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document" and request.method == "GET"
    return not is_link
