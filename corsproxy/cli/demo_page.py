"""
The demo's page: a small site on an origin of its own, whose scripts call the legacy API straight and through corsproxy.

It serves static files, two addresses for its script (where things are, what reached the API), and nothing else.
"""

from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from corsproxy.cli.demo_api import RequestLog

STATIC = (
    ("/", "index.html", "text/html"),
    ("/demo.css", "demo.css", "text/css"),
    ("/demo.js", "demo.js", "text/javascript"),
    ("/calls.js", "calls.js", "text/javascript"),
    ("/icon.svg", "icon.svg", "image/svg+xml"),
)

LOG = web.AppKey("LOG", RequestLog)
PLACES = web.AppKey("PLACES", dict[str, str])
HEADERS = web.AppKey("HEADERS", dict[str, str])


def demo_page(
    *, proxy_url: str, api_url: str, allowed_origin: str, log: RequestLog, policy: str = "", far_url: str = "", inspector_url: str = ""
) -> web.Application:
    """
    Build the site.

    Args:
        proxy_url: Where corsproxy listens. The host is that of `allowed_origin` (`localhost`): to the session cookie
            another host would be another site.
        api_url: Where the legacy API listens.
        allowed_origin: The one origin that the demo's policy allows, `http://localhost:PORT` of this very site.
        log: What reached the legacy API.
        policy: The policy in force as YAML, shown on the page as it stands here.
        inspector_url: Where each call through the proxy is explained, if it is anywhere.
        far_url: The proxy under a name that is another site to browsers, if it has one: a call is made there then.
    """
    proxy, api = str(URL(proxy_url).origin()), str(URL(api_url).origin())
    far = str(URL(far_url).origin()) if far_url else ""
    app = web.Application()
    app[LOG] = log
    app[PLACES] = {
        "proxy_url": proxy,
        "api_url": api,
        "far_url": far,
        "inspector_url": str(URL(inspector_url).origin()) if inspector_url else "",
        "allowed_origin": allowed_origin,
        "policy": policy,
    }
    app[HEADERS] = security_headers(*filter(None, (proxy, api, far)))
    app.on_response_prepare.append(add_headers)
    for path, name, content_type in STATIC:
        app.router.add_get(path, serve_static(name, content_type))
    app.router.add_get("/config.json", show_places)
    app.router.add_get("/api-log", show_log)
    return app


def security_headers(*called: str) -> dict[str, str]:
    """Name what the page may load and call; nothing inline, nothing from elsewhere."""
    content_policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        f"connect-src 'self' {' '.join(called)}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(content_policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",  # the next program on this port is not this one
    }


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on every answer, also on errors."""
    response.headers.update(request.app[HEADERS])


def serve_static(name: str, content_type: str) -> Handler:
    """Read a file of the package once and answer with it."""
    text = files("corsproxy.cli").joinpath("demo_static", name).read_text("utf-8")

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type, charset="utf-8")

    return serve


async def show_places(request: web.Request) -> web.Response:
    """Tell the script where everything is."""
    return web.json_response(request.app[PLACES])


async def show_log(request: web.Request) -> web.Response:
    """Tell the script what reached the legacy API after entry `since`."""
    since = request.query.get("since", "0")
    if not (since.isascii() and since.isdigit() and len(since) < 16):
        raise web.HTTPBadRequest(text="`since` is the number of a log entry\n")
    log = request.app[LOG]
    return web.json_response({"last_seq": log.last_seq, "entries": log.since(int(since))})
