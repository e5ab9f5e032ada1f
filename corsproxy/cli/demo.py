"""Show what corsproxy does: a sample API that knows no CORS, the proxy in front of it, and a page that calls both."""

import argparse
import errno
import json
import shlex
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from aiohttp import web

from corsproxy import app
from corsproxy.cli.demo_api import RequestLog, legacy_api
from corsproxy.cli.demo_page import demo_page
from corsproxy.cli.dev_cert import CannotCertify, certify
from corsproxy.cli.exits import EXIT_STARTUP
from corsproxy.cli.loading import PolicySource
from corsproxy.cli.term import complain
from corsproxy.config.choices import LogLevel
from corsproxy.config.load import Loaded, load_file
from corsproxy.config.settings import Listen
from corsproxy.gateway._aiohttp import check_aiohttp
from corsproxy.gateway.contexts import server_context
from corsproxy.gateway.server import CannotListen
from corsproxy.observe.log import configure_events
from corsproxy.problems import CANNOT_LISTEN

DEFAULT_PORT: Final = 8080
_LOOPBACKS: Final = ("127.0.0.1", "::1")
# An open event stream of the sample API must not hold Ctrl-C up.
_SHUTDOWN_TIMEOUT_S: Final = 0.1

_POLICY: Final = """\
# The page's origin may call, with cookies, these methods and these headers.
listen: [127.0.0.1:{proxy}{proxy6}]
admin: {{listen: 127.0.0.1:{inspector}}}
{tls}upstream: http://localhost:{api}
cors:
  allow_origins: [{scheme}://localhost:{page}]
  allow_methods: [GET, HEAD, POST, PUT, DELETE]
  allow_headers: [Content-Type, X-Request-Source]
  expose_headers: [X-Total-Count, ETag, Content-Disposition]
  allow_credentials: true
{cookies}"""

_BANNER: Final = """\
corsproxy demo

  page       {scheme}://localhost:{page}   open this in a browser
  inspector  http://127.0.0.1:{inspector}   each call through the proxy, live, and why it came out so
  proxy      {scheme}://localhost:{proxy}   corsproxy, in front of the API
  API        http://localhost:{api}   knows no CORS
{trust}
or look at the bytes:
  curl{cacert} -i -H 'Origin: {scheme}://localhost:{page}' {scheme}://localhost:{proxy}/orders
  curl{cacert} -i -X OPTIONS -H 'Origin: {scheme}://localhost:{page}' -H 'Access-Control-Request-Method: PUT' {scheme}://localhost:{proxy}/orders/1

Ctrl-C ends it. Each exchange through the proxy:
"""

_TRUST: Final = """
The certificate is of an authority that was made for this run and goes with it. Browsers warn: open the https addresses once,
the proxy's first, and let them pass; also https://{far}:{proxy}, the proxy's name on another site.
"""
# Browsers take `localhost` and each name below it for sites of their own, and find them without DNS.
_FAR_HOST: Final = "api.localhost"
_COOKIES: Final = "cookies: {same_site: none, partitioned: true}\n"
_WORDS_WITHOUT_TLS: Final = {"scheme": "http", **dict.fromkeys(("tls", "trust", "cacert", "cookies", "far"), "")}
_TLS: Final = "tls:\n  cert_file: {cert}\n  key_file: {key}\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `demo`."""
    parser.add_argument(
        "--port",
        type=int,
        metavar="N",
        help=f"the proxy's port; the API, the page and the inspector take the next three (default: {DEFAULT_PORT}, or free ports where it is taken; 0: free ports)",
    )
    parser.add_argument("--tls", action="store_true", help="page and proxy by https, with a certificate that is made for this run")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo until Ctrl-C; returns the exit code."""
    check_aiohttp()
    with ExitStack() as stack:
        try:
            proxy, api, page, inspector = _claim(arguments.port, stack)
        except OSError as error:
            complain(
                CANNOT_LISTEN,
                f"cannot listen: {(error.strerror or str(error)).lower()}",
                "choose another port with `--port`, or let it choose with `--port 0`",
            )
            return EXIT_STARTUP
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corsproxy-demo-")))
        try:
            words = _certify(directory) if arguments.tls else _WORDS_WITHOUT_TLS
        except CannotCertify as error:
            complain(error.problem, str(error), *error.help)
            return EXIT_STARTUP
        claimed = {"proxy": proxy, "api": api, "page": page, "inspector": inspector}
        ports = {name: sockets[0].getsockname()[1] for name, sockets in claimed.items()}
        policy = _POLICY.format(**ports, **words, proxy6=f', "[::1]:{ports["proxy"]}"' if len(proxy) > 1 else "")
        source = _write(policy, directory / "corsproxy.yaml")
        loaded = source()
        assert loaded.settings is not None, loaded.diagnostics  # noqa: S101 - a test loads it
        # Where things are is in the banner.
        configure_events(replace(loaded.settings.log, level=LogLevel.WARNING), sys.stderr)
        # The proxy binds its own sockets; these only held the place.
        for held in (*proxy, *inspector):
            held.close()
        try:
            return app.run_on_loop(_serve(loaded, source, policy, ports, words, api, page))
        except CannotListen as error:
            complain(CANNOT_LISTEN, f"cannot listen on {error}", error.help)
            return EXIT_STARTUP


async def _serve(
    loaded: Loaded,
    source: PolicySource,
    policy: str,
    ports: dict[str, int],
    words: dict[str, str],
    api: Sequence[socket.socket],
    page: Sequence[socket.socket],
) -> int:
    log = RequestLog()
    scheme = words["scheme"]
    site = demo_page(
        proxy_url=f"{scheme}://localhost:{ports['proxy']}",
        api_url=f"http://localhost:{ports['api']}",
        allowed_origin=f"{scheme}://localhost:{ports['page']}",
        log=log,
        policy=policy,
        inspector_url=f"http://127.0.0.1:{ports['inspector']}",
        far_url=f"https://{words['far']}:{ports['proxy']}" if words["far"] else "",
    )
    runners = [web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S) for application in (legacy_api(log), site)]
    try:
        assert loaded.settings is not None  # noqa: S101 - the caller looked
        tls = loaded.settings.tls
        context = server_context(tls) if tls is not None else None
        for runner, sockets, ssl_context in zip(runners, (api, page), (None, context), strict=True):
            await runner.setup()
            for sock in sockets:
                await web.SockSite(runner, sock, ssl_context=ssl_context).start()

        def announce(_: Sequence[Listen]) -> None:
            trust = words["trust"].format(**ports, **words)
            sys.stdout.write(_BANNER.format(**ports, **words | {"trust": trust}))
            sys.stdout.flush()

        return await app.serve(loaded, announce, source)
    finally:
        for runner in runners:
            await runner.cleanup()


def _write(policy: str, path: Path) -> PolicySource:
    """Write the policy down for as long as the demo lives: the inspector shows its lines, and commands that read it."""
    path.write_text(policy)
    return PolicySource(path, lambda: load_file(path), ("--config", str(path)))


def _certify(directory: Path) -> dict[str, str]:
    """Make a certificate that lives as long as the demo. Raises CannotCertify."""
    authority, issued = certify(directory, ["localhost", _FAR_HOST, *_LOOPBACKS])
    tls = _TLS.format(cert=json.dumps(str(issued.cert_file)), key=json.dumps(str(issued.key_file)))
    cacert = f" --cacert {shlex.quote(str(authority.ca_file))}"
    return {"scheme": "https", "tls": tls, "trust": _TRUST, "cacert": cacert, "cookies": _COOKIES, "far": _FAR_HOST}


def _claim(port: int | None, stack: ExitStack) -> list[list[socket.socket]]:
    """Bind four ports on loopback, IPv4 and IPv6 alike: a browser may take `localhost` for either. Raises OSError."""
    if port is None:
        try:
            return [_bind(number, stack) for number in range(DEFAULT_PORT, DEFAULT_PORT + 4)]
        except OSError:
            port = 0
    return [_bind(port and port + place, stack) for place in range(4)]


def _bind(port: int, stack: ExitStack) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    for host in _LOOPBACKS:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
        except OSError as error:
            if family == socket.AF_INET6 and not _is_taken(error):
                continue  # a machine without IPv6
            raise
        sock.listen(128)
        sockets.append(sock)
        port = sock.getsockname()[1]
    return sockets


def _is_taken(error: OSError) -> bool:
    return error.errno in (errno.EADDRINUSE, errno.EACCES)
