"""Say what becomes of one cross-origin call, why, and which line of the policy decides; nothing is sent."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from corsproxy.cli.exits import EXIT_CONFIG, EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE
from corsproxy.cli.loading import add_source_arguments, load
from corsproxy.cli.term import complain, wants_colour, write_out
from corsproxy.config.diagnostics import Secrets, Span, shown_line
from corsproxy.config.render import escape, pointer, render
from corsproxy.config.requests import parse_header_name, parse_origin_of_page, parse_request_host, parse_request_path
from corsproxy.config.settings import Settings
from corsproxy.cors.browser import CredentialsMode, Fields, Stage, is_cross_origin, normalize_method
from corsproxy.problems import BAD_TEST, USAGE, Fault
from corsproxy.reasons import Why, need_in_words, verdict_in_words, why, why_exchange
from corsproxy.rehearse import Call, Ending, Exchange, Rehearsal, rehearse
from corsproxy.semantics.tokens import is_token

_CREDENTIALS: Final = {"include": True, "omit": False}
_GREEN, _RED, _YELLOW = "1;32", "1;31", "1;33"
_HEADLINES: Final = {
    Ending.WORKS: ("works", _GREEN, "the script can make this call and read the answer"),
    Ending.BROWSER_REFUSES: ("refused by the browser", _RED, ""),
    Ending.PROXY_REFUSES: ("refused by the proxy", _RED, ""),
    Ending.UPSTREAM_DECIDES: ("up to the upstream", _YELLOW, "the proxy passes its answer through as it is"),
}
# What of an answer speaks to a browser's CORS protocol, or to caches about it.
_SHOWN: Final = frozenset({b"vary", b"timing-allow-origin", b"cross-origin-resource-policy"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `explain`."""
    call = parser.add_argument_group("the call")
    call.add_argument("--origin", required=True, type=_argument(parse_origin_of_page), help="the origin of the page whose script calls")
    call.add_argument("--method", default=b"GET", type=_argument(_parse_method), help="the method, as the script writes it (default: GET)")
    call.add_argument(
        "--path", default=b"/", type=_argument(parse_request_path), help="the path, with its query if it has one (default: /)"
    )
    call.add_argument("--host", default=b"", type=_argument(parse_request_host), help="the host (default: one that the proxy answers for)")
    call.add_argument(
        "--header",
        metavar="NAME",
        default=[],
        action="append",
        type=_argument(parse_header_name),
        help="a request header that the script sets; may be repeated",
    )
    call.add_argument("--credentials", choices=tuple(_CREDENTIALS), help="what the script asks for (default: what the policy allows)")
    call.add_argument("--websocket", action="store_true", help="the script opens a WebSocket")
    parser.add_argument("--json", action="store_true", help="write JSON, for programs")
    add_source_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Explain one call; returns 0 if a browser could make it and read the answer, else 1."""
    loaded = load(arguments, is_tested=False)
    if loaded is None:
        return EXIT_USAGE
    if loaded.settings is None:
        sys.stderr.write(render(loaded.diagnostics, colour=wants_colour(sys.stderr)))
        return EXIT_CONFIG
    credentials, headers = _CREDENTIALS.get(arguments.credentials), tuple(arguments.header)
    if arguments.websocket and (arguments.method != b"GET" or headers or credentials is not None):
        complain(USAGE, "`--websocket` takes no `--method`, `--header` or `--credentials`: browsers choose them", "take them out")
        return EXIT_USAGE
    call = Call(arguments.origin, arguments.method, arguments.path, arguments.host, credentials, headers, arguments.websocket)
    rehearsal = rehearse(loaded.settings, call)
    if arguments.json:
        text = json.dumps(_struck(as_json(loaded.settings, rehearsal), loaded.secrets), indent=2) + "\n"
    else:
        text = loaded.secrets.strike(as_text(loaded.settings, rehearsal, colour=wants_colour(sys.stdout)))
    write_out(text)
    return EXIT_OK if rehearsal.ending is Ending.WORKS else EXIT_PROBLEMS


def as_text(settings: Settings, rehearsal: Rehearsal, *, colour: bool = False) -> str:
    """Write an explanation for people: what comes of it, why, where that is written, and the exchanges. Pure."""

    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    reason = why(settings, rehearsal)
    headline, hue, said = _HEADLINES[rehearsal.ending]
    lines = [f"{paint(headline, hue)}: {said or _refusal_in_words(rehearsal)}", *(f"  {line}" for line in _call_in_lines(rehearsal)), ""]
    lines.append(f"because {escape(reason.words)} ({reason.code})")
    if reason.span is not None:
        lines.append(pointer(reason.span, colour=colour))
    for number, exchange in enumerate(_made(rehearsal), 1):
        is_preflight = exchange is rehearsal.preflight
        what = f"the browser asks first, because {need_in_words(rehearsal)}" if is_preflight else _sent_in_words(rehearsal)
        lines += ["", f"{number}. {what}", *(f"   {line}" for line in _exchange_in_lines(rehearsal, exchange))]
    return "\n".join(lines) + "\n"


def as_json(settings: Settings, rehearsal: Rehearsal) -> dict[str, Any]:
    """
    Write an explanation for programs. Pure.

    Members are only ever added. `preflight` and `actual` are null where the browser sends no such request, `browser` and an
    exchange's `status` where only the upstream can tell.
    """
    reason, request, verdict = why(settings, rehearsal), rehearsal.request, rehearsal.outcome.verdict
    browser = {
        "ok": verdict.ok,
        "stage": rehearsal.outcome.stage.value,
        "reason": verdict.reason.value,
        "subject": _text(verdict.subject),
    }
    return {
        "ending": rehearsal.ending.value,
        "reason": reason.code,
        "because": reason.words,
        "decided_by": _place_as_json(reason),
        "call": {
            "origin": _text(request.origin),
            "url": _text(request.url_origin + rehearsal.call.path),
            "method": _text(normalize_method(request.method)),
            "headers": [_text(name) for name, _ in request.headers],
            "credentials": request.credentials.value,
        },
        "browser": browser if rehearsal.ending is not Ending.UPSTREAM_DECIDES else None,
        "preflight": _exchange_as_json(settings, rehearsal.preflight, rehearsal) if rehearsal.preflight is not None else None,
        "actual": _exchange_as_json(settings, rehearsal.actual, rehearsal) if rehearsal.outcome.stage is Stage.ACTUAL else None,
    }


def _made(rehearsal: Rehearsal) -> Iterator[Exchange]:
    """Yield the exchanges that the browser makes."""
    if rehearsal.preflight is not None:
        yield rehearsal.preflight
    if rehearsal.outcome.stage is Stage.ACTUAL:
        yield rehearsal.actual


def _call_in_lines(rehearsal: Rehearsal) -> Iterator[str]:
    request = rehearsal.request
    yield f"{_text(normalize_method(request.method))} {_text(request.url_origin + rehearsal.call.path)} from {_text(request.origin)}"
    is_own = request.credentials is CredentialsMode.SAME_ORIGIN and not is_cross_origin(request)
    said = "with credentials" if request.credentials is CredentialsMode.INCLUDE or is_own else "without credentials"
    names = ", ".join(_text(name) for name, _ in request.headers)
    yield f"{said}; the script sets {names}" if names else said


def _refusal_in_words(rehearsal: Rehearsal) -> str:
    if rehearsal.ending is Ending.PROXY_REFUSES:
        return f"{rehearsal.decisive.response.status}, and the upstream never sees the request"
    match rehearsal.outcome.stage:
        case Stage.SCRIPT:
            return "nothing is sent"
        case Stage.PREFLIGHT:
            return "the preflight fails, and the request itself is never sent"
        case Stage.ACTUAL:
            return "the upstream sees the request, and the script cannot read the answer"


def _sent_in_words(rehearsal: Rehearsal) -> str:
    if rehearsal.call.websocket:
        return "the browser sends the handshake, without a preflight"
    if rehearsal.preflight is not None:
        return "then it sends the request"
    return f"the browser just sends the request: {need_in_words(rehearsal)}"


def _exchange_in_lines(rehearsal: Rehearsal, exchange: Exchange) -> Iterator[str]:
    yield f"> {_text(exchange.request.method)} {_text(exchange.request.target)}"
    for name, value in exchange.request.lines:
        yield f"> {_text(name)}: {_text(value)}"
    if rehearsal.ending is Ending.UPSTREAM_DECIDES:
        yield "< whatever the upstream answers"
        return
    yield f"< {exchange.response.status}, " + ("from the upstream" if exchange.forwarded else "from the proxy")
    for name, value in _cors_fields(exchange):
        yield f"< {_text(name)}: {_text(value)}"
    verdict = rehearsal.outcome.verdict
    if exchange is not rehearsal.decisive:
        yield "the browser goes on"
    else:
        yield f"the browser {'accepts it' if verdict.ok else 'refuses it'}: {verdict_in_words(verdict)} ({verdict.reason})"


def _exchange_as_json(settings: Settings, exchange: Exchange, rehearsal: Rehearsal) -> dict[str, Any]:
    need = rehearsal.need if exchange is rehearsal.preflight else None
    found: dict[str, Any] = {"because": need.value} if need is not None else {}
    return found | {
        "request": {
            "method": _text(exchange.request.method),
            "target": _text(exchange.request.target),
            "fields": [[_text(name), _text(value)] for name, value in exchange.request.lines],
        },
        "decision": why_exchange(settings, exchange).code,
        "forwarded": exchange.forwarded,
        "status": exchange.response.status if rehearsal.ending is not Ending.UPSTREAM_DECIDES else None,
        "fields": [[_text(name), _text(value)] for name, value in _cors_fields(exchange)],
    }


def _place_as_json(reason: Why) -> dict[str, Any] | None:
    if reason.span is None:
        return None
    span: Span = reason.span
    line, column = (span.line, span.column) if span.source.is_file else (None, None)
    return {
        "key": reason.key,
        "written": reason.is_written,
        "file": span.source.name,
        "line": line,
        "column": column,
        "text": shown_line(span),
    }


def _cors_fields(exchange: Exchange) -> Fields:
    lines = exchange.response.fields
    shown = [line for line in lines if line[0].lower().startswith(b"access-control-") or line[0].lower() in _SHOWN]
    return tuple((name, b"***" if name.lower() in exchange.secret else value) for name, value in shown)


def _argument(parse: Callable[[str], bytes | Fault]) -> Callable[[str], bytes]:
    """Make a reader of a flag's value of one for the file's."""

    def read(text: str) -> bytes:
        found = parse(text)
        if isinstance(found, Fault):
            raise argparse.ArgumentTypeError(f"{found.message}; {found.help}" if found.help else found.message)
        return found

    return read


def _parse_method(text: str) -> bytes | Fault:
    # What a browser makes of an odd method is worth explaining, so any token will do.
    method = text.encode("utf-8", "replace")
    return method if is_token(method) else Fault(BAD_TEST, (), f"`{text}` is no method name", "write one as `GET`")


def _struck(value: Any, secrets: Secrets) -> Any:
    """Strike secrets out of every text before it is written as JSON: what stands in their place may need escapes."""
    if isinstance(value, dict):
        return {name: _struck(each, secrets) for name, each in value.items()}
    if isinstance(value, list):
        return [_struck(each, secrets) for each in value]
    return secrets.strike(value) if isinstance(value, str) else value


def _text(value: bytes) -> str:
    return value.decode("ascii", "backslashreplace")
