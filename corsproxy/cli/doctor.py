"""Ask a live server as a browser would, judge its answers as a browser does, and name the fault with its fix."""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from corsproxy.cli.doctor_visits import Manner, origin_of, visit
from corsproxy.cli.examined import Examined, as_json, as_text
from corsproxy.cli.exits import EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE
from corsproxy.cli.explain import add_call_arguments, call_of, struck
from corsproxy.cli.loading import source_of
from corsproxy.cli.term import complain, wants_colour, write_err, write_out
from corsproxy.config.load import Loaded
from corsproxy.doctor.judge import diagnose
from corsproxy.doctor.seen import Visit
from corsproxy.explanation.explain import Explanation, explain
from corsproxy.problems import USAGE
from corsproxy.rehearse import Call, request_to

_SECONDS: Final = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)s?")
# A person who waits longer than this wants to see that something happens.
_PATIENCE_S: Final = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `doctor`."""
    parser.add_argument("url", metavar="URL", help="what the script calls: a server with CORS of its own, an API without any, or a proxy")
    add_call_arguments(parser, has_url=True)
    asking = parser.add_argument_group("asking")
    asking.add_argument(
        "--via", metavar="PROXY", help="the address of a proxy, to ask both and show them side by side: http://localhost:8080"
    )
    asking.add_argument("--preflight-only", action="store_true", help="send the preflight and no request, which a server might act on")
    asking.add_argument(
        "--timeout", type=_read_seconds, default=10.0, metavar="SECONDS", help="how long each answer may take (default: 10)"
    )
    asking.add_argument("--ca-file", metavar="FILE", default="", help="authorities of certificates to believe besides the system's")
    parser.add_argument("-c", "--config", metavar="FILE", help="the file of the corsproxy in front, for the line in it that decides")
    parser.add_argument("--json", action="store_true", help="write JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Visit one server, or two; returns 0 if a browser could make the call and read the answer, else 1."""
    call = call_of(arguments)
    urls = [arguments.url] if arguments.via is None else [arguments.url, _beside(arguments.via, arguments.url)]
    for url in urls:
        if not _is_url(url, is_websocket=call is not None and call.websocket):
            complain(USAGE, f"`{url}` is no URL of http or https", "write it as `https://api.example.com/orders`, without a user name")
            return EXIT_USAGE
    if call is None:
        return EXIT_USAGE
    loaded = _load(arguments.config) if arguments.config is not None else None
    if arguments.config is not None and (loaded is None or loaded.settings is None):
        complain(USAGE, f"`{arguments.config}` is no valid policy file", f"run `corsproxy check --config {arguments.config}`")
        return EXIT_USAGE
    manner = Manner(arguments.timeout, arguments.ca_file, not arguments.preflight_only, _progress() if sys.stderr.isatty() else _silent)
    try:
        visits = asyncio.run(_visit_all(call, urls, manner))
    except OSError as error:
        complain(USAGE, f"`--ca-file`: {error.strerror or error}", "name a file with certificates in PEM")
        return EXIT_USAGE
    finally:
        if sys.stderr.isatty():
            write_err("\r\x1b[K")
    # The proxy is what is asked last.
    examined = [_examine(made, call, loaded if made is visits[-1] else None) for made in visits]
    if arguments.json:
        text = json.dumps(_struck([as_json(each) for each in examined], loaded), indent=2) + "\n"
    else:
        text = as_text(examined, colour=wants_colour(sys.stdout))
        text = loaded.secrets.strike(text) if loaded is not None else text
    write_out(text)
    return EXIT_OK if examined[-1].diagnosis.works else EXIT_PROBLEMS


def _load(name: str) -> Loaded | None:
    none: dict[str, Any] = {"upstream": None, "allow_origin": [], "allow_credentials": False, "listen": [], "no_express": False}
    source = source_of(argparse.Namespace(config=name, **none))
    return source.load() if source is not None else None


async def _visit_all(call: Call, urls: list[str], manner: Manner) -> list[Visit]:
    return [await visit(request_to(origin_of(_as_http(url)), call), _as_http(url), manner, is_websocket=call.websocket) for url in urls]


def _examine(made: Visit, call: Call, loaded: Loaded | None) -> Examined:
    """Judge a visit, and ask the file of the proxy in front what it makes of the same call."""
    explanation: Explanation | None = None
    if loaded is not None and loaded.settings is not None:
        _, _, rest = made.url.partition("://")
        host, slash, path = rest.partition("/")
        asked = Call(
            call.origin,
            call.method,
            (slash + path).partition("#")[0].encode() or b"/",
            host.encode(),
            call.credentials,
            websocket=call.websocket,
            fields=call.fields,
            upload_listener=call.upload_listener,
            stream=call.stream,
        )
        explanation = explain(loaded.settings, asked, root=loaded.root)
    return Examined(made, diagnose(made), explanation)


def _beside(proxy: str, url: str) -> str:
    """Put the path and query of one URL behind the address of another."""
    _, _, rest = url.partition("://")
    _, slash, path = rest.partition("/")
    return proxy.rstrip("/") + slash + path


def _as_http(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return {"ws": "http", "wss": "https"}.get(scheme.lower(), scheme.lower()) + mark + rest


def _is_url(url: str, *, is_websocket: bool) -> bool:
    if url.lower().startswith(("ws:", "wss:")) and not is_websocket:
        return False
    try:
        return (
            bool(origin_of(_as_http(url))) and "@" not in url.partition("://")[2].partition("/")[0] and url.isprintable() and " " not in url
        )
    except (ValueError, UnicodeError):
        return False


def _read_seconds(text: str) -> float:
    found = _SECONDS.fullmatch(text)
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"`{text}` is no number of seconds; write it as `10`")
    return float(found[1])


def _silent(_: str) -> None:
    """Say nothing."""


def _progress() -> Callable[[str], None]:
    """Say on a terminal what is being asked, once it takes long."""
    begun = time.monotonic()

    def tell(text: str) -> None:
        if time.monotonic() - begun > _PATIENCE_S:
            write_err(f"\r\x1b[K{text[:78]}")

    return tell


def _struck(value: Any, loaded: Loaded | None) -> Any:
    return struck(value, loaded.secrets) if loaded is not None else value
