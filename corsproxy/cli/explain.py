"""Say what becomes of one cross-origin call, why, which line of the policy decides, and what to change; nothing is sent."""

import argparse
import json
import re
import sys
from collections.abc import Callable
from typing import Any, Final

from corsproxy.cli.exits import EXIT_CONFIG, EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE
from corsproxy.cli.explained import as_text
from corsproxy.cli.loading import add_source_arguments, load
from corsproxy.cli.term import complain, wants_colour, write_err, write_out
from corsproxy.config.diagnostics import Secrets
from corsproxy.config.render import render
from corsproxy.config.requests import parse_header_name, parse_origin_of_page, parse_request_host, parse_request_path
from corsproxy.explanation.explain import explain
from corsproxy.explanation.export import as_json
from corsproxy.problems import BAD_TEST, USAGE, Fault
from corsproxy.rehearse import Call, Ending, usual_value
from corsproxy.semantics.tokens import is_token

_CREDENTIALS: Final = {"include": True, "omit": False}
_UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BARE: Final = (b"GET", b"HEAD")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `explain`."""
    add_call_arguments(parser)
    parser.add_argument("--json", action="store_true", help="write JSON, for programs")
    add_source_arguments(parser)


def add_call_arguments(parser: argparse.ArgumentParser, *, has_url: bool = False) -> None:
    """Declare the flags that say what a script asks for; with a URL elsewhere, host and path are no flags."""
    call = parser.add_argument_group("the call")
    call.add_argument("--origin", required=True, type=argument(parse_origin_of_page), help="the origin of the page whose script calls")
    call.add_argument("--method", default=b"GET", type=argument(_parse_method), help="the method, as the script writes it (default: GET)")
    if has_url:
        parser.set_defaults(path=b"/", host=b"")
    else:
        call.add_argument(
            "--path", default=b"/", type=argument(parse_request_path), help="the path, with its query if it has one (default: /)"
        )
        call.add_argument(
            "--host", default=b"", type=argument(parse_request_host), help="the host (default: one that the proxy answers for)"
        )
    call.add_argument(
        "--header",
        metavar="NAME[: VALUE]",
        default=[],
        action="append",
        type=_read_header,
        help="a request header that the script sets, with its value where that matters; may be repeated",
    )
    call.add_argument("--credentials", choices=tuple(_CREDENTIALS), help="what the script asks for (default: what the policy allows)")
    call.add_argument("--upload-listener", action="store_true", help="the script watches an upload (XMLHttpRequest)")
    call.add_argument("--stream", action="store_true", help="the body is a ReadableStream")
    call.add_argument("--websocket", action="store_true", help="the script opens a WebSocket")


def run(arguments: argparse.Namespace) -> int:
    """Explain one call; returns 0 if a browser could make it and read the answer, else 1."""
    loaded = load(arguments, is_tested=False)
    if loaded is None:
        return EXIT_USAGE
    if loaded.settings is None:
        write_err(render(loaded.diagnostics, colour=wants_colour(sys.stderr)))
        return EXIT_CONFIG
    call = call_of(arguments)
    if call is None:
        return EXIT_USAGE
    explanation = explain(loaded.settings, call, root=loaded.root)
    if arguments.json:
        text = json.dumps(struck(as_json(loaded.settings, explanation), loaded.secrets), indent=2) + "\n"
    else:
        text = loaded.secrets.strike(as_text(explanation, colour=wants_colour(sys.stdout)))
    write_out(text)
    return EXIT_OK if explanation.ending is Ending.WORKS else EXIT_PROBLEMS


def call_of(arguments: argparse.Namespace) -> Call | None:
    """Return the call that the flags describe; None, said on stderr, where no browser makes such a call."""
    if arguments.websocket and (arguments.method != b"GET" or arguments.header or arguments.credentials is not None):
        complain(USAGE, "`--websocket` takes no `--method`, `--header` or `--credentials`: browsers choose them", "take them out")
        return None
    if arguments.websocket and (arguments.upload_listener or arguments.stream):
        complain(USAGE, "`--websocket` takes no `--upload-listener` or `--stream`: it has no body", "take them out")
        return None
    if arguments.upload_listener and arguments.method.upper() in _BARE:
        complain(USAGE, f"`--upload-listener` needs an upload, and {arguments.method.decode()} has no body", "add `--method POST`")
        return None
    return Call(
        arguments.origin,
        arguments.method,
        arguments.path,
        arguments.host,
        _CREDENTIALS.get(arguments.credentials),
        websocket=arguments.websocket,
        fields=tuple(arguments.header),
        upload_listener=arguments.upload_listener,
        stream=arguments.stream,
    )


def struck(value: Any, secrets: Secrets) -> Any:
    """Strike secrets out of every text before it is written as JSON: what stands in their place may need escapes."""
    if isinstance(value, dict):
        return {name: struck(each, secrets) for name, each in value.items()}
    if isinstance(value, list):
        return [struck(each, secrets) for each in value]
    return secrets.strike(value) if isinstance(value, str) else value


def argument(parse: Callable[[str], bytes | Fault]) -> Callable[[str], bytes]:
    """Make a reader of a flag's value of one for the file's."""

    def read(text: str) -> bytes:
        found = parse(text)
        if isinstance(found, Fault):
            raise argparse.ArgumentTypeError(f"{found.message}; {found.help}" if found.help else found.message)
        return found

    return read


def _read_header(text: str) -> tuple[bytes, bytes]:
    # curl takes them in this form.
    name, colon, value = text.partition(":")
    found = argument(parse_header_name)(name if colon else text)
    if not colon:
        return found, usual_value(found)
    if _UNSENDABLE.search(value):
        raise argparse.ArgumentTypeError(f"the value of `{name}` holds a control character; take it out")
    return found, value.strip().encode("utf-8", "surrogateescape")


def _parse_method(text: str) -> bytes | Fault:
    # What a browser makes of an odd method is worth explaining, so any token will do.
    method = text.encode("utf-8", "replace")
    return method if is_token(method) else Fault(BAD_TEST, (), f"`{text}` is no method name", "write one as `GET`")
