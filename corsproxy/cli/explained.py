"""An explanation on a terminal, or for a pipe: the first line says what is the matter, and the rest why."""

from collections.abc import Iterator
from typing import Final

from corsproxy.cli.page import DIM, GREEN, RED, WIDTH, YELLOW, Page, folded
from corsproxy.config.render import escape, pointer
from corsproxy.cors.browser import Reason, Stage, normalize_method
from corsproxy.explanation.amended import Impossible
from corsproxy.explanation.change import Change
from corsproxy.explanation.checks import Check, Result
from corsproxy.explanation.explain import Explanation, Reading
from corsproxy.explanation.export import mode_in_words, shown_fields, shown_request
from corsproxy.reasons import need_in_words, verdict_in_words
from corsproxy.rehearse import Ending, Exchange, Rehearsal
from corsproxy.semantics.tokens import in_ascii

_HEADLINES: Final = {
    Ending.WORKS: ("works", GREEN),
    Ending.BROWSER_REFUSES: ("refused by the browser", RED),
    Ending.PROXY_REFUSES: ("refused by the proxy", RED),
    Ending.UPSTREAM_DECIDES: ("up to the upstream", YELLOW),
}
_MARKS: Final = {
    Result.PASSED: ("ok", GREEN),
    Result.FAILED: ("NO", RED),
    Result.NOTED: ("--", DIM),
    Result.UNREACHED: ("", DIM),
    Result.OPEN: ("??", YELLOW),
}
_ENGINES: Final = {"chromium": "Chromium", "firefox": "Firefox", "safari": "Safari"}


def as_text(explanation: Explanation, *, colour: bool = False) -> str:
    """
    Write an explanation for people. Pure.

    Holds no control character but line ends, and ANSI colours if asked for. It may hold secrets of the settings.
    """
    page = Page(colour=colour)
    _write_verdict(explanation, page)
    page.heading("checks, in the browser's order")
    for check in explanation.checks:
        _write_check(check, page)
    _write_exchanges(explanation, page)
    if explanation.reading is not None:
        page.heading("the script reads")
        page.indented(_reading_in_words(explanation.reading))
    _write_cookies(explanation, page)
    if explanation.curl:
        page.heading("with curl, which judges nothing")
        for command in explanation.curl:
            for line in command.splitlines():
                page.raw(line)
    _write_consoles(explanation, page)
    _write_change(explanation.change, page)
    return "\n".join(page.lines) + "\n"


def _write_verdict(explanation: Explanation, page: Page) -> None:
    rehearsal, reason = explanation.rehearsal, explanation.why
    headline, hue = _HEADLINES[rehearsal.ending]
    page.line(f"{page.paint(headline, hue)}: {escape(reason.words)} ({reason.code})")
    if reason.span is not None:
        page.line(pointer(reason.span, colour=page.colour))
    page.line("")
    for text in (*_call_in_lines(rehearsal), _consequence(rehearsal)):
        page.indented(text)


def _write_exchanges(explanation: Explanation, page: Page) -> None:
    rehearsal = explanation.rehearsal
    for number, exchange in enumerate(explanation.made, 1):
        is_preflight = exchange is rehearsal.preflight
        what = f"the browser asks first, because {need_in_words(rehearsal)}" if is_preflight else _sent_in_words(rehearsal)
        page.heading(f"{number}. {what}")
        for line in _exchange_in_lines(rehearsal, exchange):
            page.raw(line)


def _write_consoles(explanation: Explanation, page: Page) -> None:
    if not explanation.consoles:
        return
    page.heading("the browser's console")
    is_stream = explanation.rehearsal.outcome.verdict.reason is Reason.STREAM_OVER_HTTP1
    silence = "nothing: what cannot stream a body sends its name as a text" if is_stream else "nothing: it lets the call pass"
    for console in explanation.consoles:
        page.labelled(_ENGINES[console.engine], *(console.messages or (silence,)))
        page.labelled("", f"the script gets: {console.rejection}")


def _write_check(check: Check, page: Page) -> None:
    mark, hue = _MARKS[check.result]
    first, *others = folded(escape(check.words), WIDTH - 21) if check.words else ["not reached"]
    shown = page.paint(first, DIM) if check.result is Result.UNREACHED else first
    page.line(f"  {page.paint(mark.ljust(2), hue)} {check.name:15} {shown}")
    for line in others:
        page.line(" " * 21 + line)
    if check.result is not Result.UNREACHED:
        for line in folded(escape(f"{check.rule}; {check.place}" if check.place else check.rule), WIDTH - 21):
            page.line(" " * 21 + page.paint(line, DIM))


def _call_in_lines(rehearsal: Rehearsal) -> Iterator[str]:
    request, call = rehearsal.request, rehearsal.call
    what = "a WebSocket to" if call.websocket else in_ascii(normalize_method(request.method))
    yield f"{what} {in_ascii(request.url_origin + call.path)} from {in_ascii(request.origin)}"
    said = [mode_in_words(rehearsal)]
    names = ", ".join(in_ascii(name) for name, _ in request.headers)
    said += [f"the script sets {names}"] if names else []
    said += ["it watches the upload"] if call.upload_listener else []
    said += ["the body is a stream"] if call.stream else []
    yield "; ".join(said)


def _consequence(rehearsal: Rehearsal) -> str:
    match rehearsal.ending:
        case Ending.WORKS:
            return "the script can make this call and read the answer" if not rehearsal.call.websocket else "the WebSocket opens"
        case Ending.UPSTREAM_DECIDES:
            return "the proxy passes the upstream's answer through as it is"
        case Ending.PROXY_REFUSES:
            said = f"{rehearsal.decisive.response.status}, and the upstream never sees the request"
            return f"{said}; the script can read that answer" if rehearsal.outcome.ok else said
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
    yield f"> {in_ascii(exchange.request.method)} {in_ascii(exchange.request.target)}"
    for name, value in shown_request(exchange):
        yield f"> {in_ascii(name)}: {value.decode('utf-8', 'backslashreplace')}"
    if rehearsal.ending is Ending.UPSTREAM_DECIDES:
        yield "< whatever the upstream answers"
        return
    yield f"< {exchange.response.status}, " + ("from the upstream, and of its fields" if exchange.forwarded else "from the proxy")
    for name, value in shown_fields(exchange):
        yield f"< {in_ascii(name)}: {in_ascii(value)}"
    verdict = rehearsal.outcome.verdict
    if exchange is not rehearsal.decisive:
        yield "the browser goes on"
    else:
        yield f"the browser {'accepts it' if verdict.ok else 'refuses it'}: {verdict_in_words(verdict)} ({verdict.reason})"


def _reading_in_words(reading: Reading) -> str:
    if reading.names is None:
        named = ", which each answer names, for `*` does not count with credentials" if reading.is_per_answer else ""
        return f"status, body, and every header but Set-Cookie{named}"
    listed = "".join(f"{in_ascii(name)}, " for name in reading.names)
    return f"status, body, {listed}Cache-Control, Content-Language, Content-Length, Content-Type, Expires, Last-Modified, Pragma"


def _write_cookies(explanation: Explanation, page: Page) -> None:
    cookies, rehearsal = explanation.cookies, explanation.rehearsal
    if rehearsal.call.websocket or rehearsal.outcome.stage is Stage.SCRIPT or rehearsal.ending is Ending.UPSTREAM_DECIDES:
        return
    page.heading("cookies of the API")
    page.indented(cookies.words)
    for each in cookies.single:
        becomes = f" -> {each.received}" if each.received != each.written else ""
        page.indented(each.written + becomes)
        page.indented(each.words, width=4)
    if cookies.help:
        page.indented(cookies.help)


def _write_change(change: Change | Impossible | None, page: Page) -> None:
    if change is None:
        return
    if isinstance(change, Impossible):
        page.heading("no change to the policy is safe, or of use; instead")
        page.indented(change.words)
        return
    page.heading("the smallest change that lets it pass")
    page.indented(change.words)
    if change.elsewhere:
        page.indented(f"where the value comes from: {change.elsewhere}")
    for flag in change.flags:
        page.raw(f"+ {flag}", GREEN)
    if change.hunks:
        page.raw(f"--- {change.file}", DIM)
    _write_hunks(change, page)
    for risk in change.risks:
        page.labelled("risk", risk)
    if len(change.reach) > 1:
        page.labelled("routes", f"all that this policy speaks for: {', '.join(change.reach)}")


def _write_hunks(change: Change, page: Page) -> None:
    for hunk in change.hunks:
        width = len(str(hunk.line + max(len(hunk.old), len(hunk.new))))
        for offset, old in enumerate(hunk.old):
            page.raw(f"{hunk.line + offset:{width}} - {old}", RED)
        for offset, new in enumerate(hunk.new):
            page.raw(f"{hunk.line + offset:{width}} + {new}", GREEN)
