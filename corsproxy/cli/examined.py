"""What `doctor` found, on a terminal or for a pipe, and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from corsproxy.cli.page import BOLD, DIM, GREEN, RED, YELLOW, Page
from corsproxy.config.render import escape, pointer
from corsproxy.cors import browser
from corsproxy.cors.outcome import PreflightNeed
from corsproxy.doctor.faults import Severity
from corsproxy.doctor.judge import Diagnosis, Finding
from corsproxy.doctor.seen import Seen, Step, Visit
from corsproxy.explanation.change import Change
from corsproxy.explanation.curl import is_secret
from corsproxy.explanation.explain import Explanation
from corsproxy.rehearse import Ending
from corsproxy.semantics.tokens import in_ascii

_ENGINES: Final = {"chromium": "Chromium", "firefox": "Firefox", "safari": "Safari"}
_HUES: Final = {Severity.FAULT: ("FAULT", RED), Severity.RISK: ("risk", YELLOW), Severity.NOTE: ("note", DIM)}
_STEPS: Final = {
    Step.PREFLIGHT: "the browser asks first",
    Step.ACTUAL: "the request",
    Step.REDIRECTED: "behind the redirect",
    Step.STRANGER: "from an origin that nobody can have allowed",
    Step.NO_ORIGIN: "without an Origin, as a cache may ask",
    Step.REVALIDATION: "whether a cached copy is still good",
    Step.MISSING_PAGE: "a page that is not there",
}
_NEEDS: Final = {
    PreflightNeed.METHOD: "its method needs permission",
    PreflightNeed.HEADERS: "its headers need permission",
    PreflightNeed.UPLOAD_LISTENER: "the script watches the upload",
    PreflightNeed.STREAM_BODY: "its body is a stream",
}
# What of an answer matters here.
_SHOWN: Final = ("access-control-", "vary", "location", "cross-origin-resource-policy", "proxy-status", "www-authenticate", "set-cookie")


@dataclass(frozen=True, slots=True)
class Examined:
    """One server: what was seen, what is wrong, and what the file of the corsproxy in front says of it, if there is one."""

    visit: Visit
    diagnosis: Diagnosis
    explanation: Explanation | None = None


def as_text(examined: Sequence[Examined], *, colour: bool = False) -> str:
    """Write what was found for people, one server after the other; of two, the difference first. Pure."""
    page = Page(colour=colour)
    if len(examined) > 1:
        straight, through = examined
        page.line(page.paint("side by side", BOLD))
        for label, each in (("straight", straight), ("through", through)):
            page.labelled(label, f"{each.visit.url}: {_headline(each)[0]}{_first_title(each)}")
        page.line("")
    for number, each in enumerate(examined):
        if number:
            page.lines += ["", page.paint("─" * 40, DIM), ""]
        _write(each, page)
    return "\n".join(page.lines) + "\n"


def _first_title(examined: Examined) -> str:
    faults = [each for each in examined.diagnosis.findings if each.fault.severity is Severity.FAULT]
    return f": {faults[0].title}" if faults else ""


def _headline(examined: Examined) -> tuple[str, str]:
    if examined.diagnosis.works:
        return "works", GREEN
    return ("the WebSocket does not open" if examined.visit.is_websocket else "a browser fails"), RED


def _write(examined: Examined, page: Page) -> None:
    visit, diagnosis = examined.visit, examined.diagnosis
    words, hue = _headline(examined)
    faults = [each for each in diagnosis.findings if each.fault.severity is Severity.FAULT]
    page.line(page.paint(words, hue) + (f": {escape(faults[0].title)} ({faults[0].fault.name})" if faults else ""))
    request = visit.request
    what = "WebSocket to" if visit.is_websocket else request.method.decode("latin-1")
    page.indented(f"{what} {visit.url} from {request.origin.decode('ascii', 'replace')}")
    need = None if visit.is_websocket else browser.needs_preflight(request)
    if not visit.is_websocket:
        page.indented(f"credentials: {request.credentials.value}; " + (f"preflighted: {_NEEDS[need]}" if need else "no preflight is due"))
    for finding in diagnosis.findings:
        _write_finding(finding, page)
    if examined.explanation is not None:
        _write_explanation(examined.explanation, page)
    for seen in visit.seen:
        _write_seen(seen, page)
    if diagnosis.consoles:
        page.heading("the browser's console")
        for engine, lines, rejection in diagnosis.consoles:
            page.labelled(_ENGINES[engine], *(lines or ("nothing: it lets the call pass",)))
            page.labelled("", f"the script gets: {rejection}")
    if diagnosis.reads:
        page.heading("the script reads")
        page.indented(f"status, body, {', '.join(diagnosis.reads)}")
    preflight = visit.find(Step.PREFLIGHT)
    if diagnosis.works and preflight is not None and preflight.response is not None:
        page.heading("if it still fails in your browser")
        page.indented(
            f"it may hold the answer to an older preflight, for up to {browser.max_age_s(preflight.response)} s: open a private window, or "
            "switch the cache off in the developer tools"
        )


def _write_finding(finding: Finding, page: Page) -> None:
    label, hue = _HUES[finding.fault.severity]
    where = f" [{finding.step.value}]" if finding.step is not None else ""
    page.line("")
    page.line(f"{page.paint(label, hue)} {escape(finding.fault.name)}{where}")
    page.indented(finding.title)
    page.indented(f"fix: {finding.fix}")
    if finding.fault.key:
        page.indented(f"in a corsproxy in front: `{finding.fault.key}`")


def _write_explanation(explanation: Explanation, page: Page) -> None:
    page.heading("what the file of the corsproxy in front says")
    page.indented(f"{explanation.ending.value.replace('-', ' ')}: {explanation.why.words} ({explanation.why.code})")
    if explanation.why.span is not None:
        page.line(pointer(explanation.why.span, colour=page.colour))
    if isinstance(explanation.change, Change):
        page.indented(f"to allow it, {explanation.change.words}")
    elif explanation.ending is Ending.WORKS:
        page.indented("by this file the call works: is another one in force, or does something stand between?")


def _write_seen(seen: Seen, page: Page) -> None:
    page.heading(f"{_STEPS[seen.step]}: {seen.method.decode('latin-1')} {seen.url}")
    for name, value in seen.fields:
        page.raw(f"> {in_ascii(name)}: {'...' if is_secret(name) else in_ascii(value)}")
    if seen.response is None:
        page.raw(f"< no answer: {seen.trouble.value if seen.trouble else 'unknown'} ({seen.said})")
        return
    page.raw(f"< {seen.response.status}")
    for name, value in seen.response.fields:
        if name.lower().startswith(tuple(each.encode() for each in _SHOWN)):
            shown = value.partition(b"=")[0] + b"=..." if name.lower() == b"set-cookie" else value
            page.raw(f"< {in_ascii(name)}: {in_ascii(shown)}")


def as_json(examined: Examined) -> dict[str, Any]:
    """Return what was found as JSON has it; members are only ever added."""
    visit, diagnosis = examined.visit, examined.diagnosis
    return {
        "url": visit.url,
        "origin": visit.request.origin.decode("ascii", "replace"),
        "method": visit.request.method.decode("latin-1"),
        "works": diagnosis.works,
        "findings": [
            {
                "name": each.fault.name,
                "severity": each.fault.severity.value,
                "step": each.step.value if each.step is not None else None,
                "title": each.title,
                "fix": each.fix,
                "key": each.fault.key or None,
            }
            for each in diagnosis.findings
        ],
        "reads": list(diagnosis.reads),
        "consoles": {engine.value: {"messages": list(lines), "rejection": rejection} for engine, lines, rejection in diagnosis.consoles},
        "exchanges": [
            {
                "step": seen.step.value,
                "method": seen.method.decode("latin-1"),
                "url": seen.url,
                "status": seen.response.status if seen.response is not None else None,
                "trouble": seen.trouble.value if seen.trouble is not None else None,
            }
            for seen in visit.seen
        ],
        "file": _of_file(examined.explanation),
    }


def _of_file(explanation: Explanation | None) -> dict[str, Any] | None:
    if explanation is None:
        return None
    span = explanation.why.span
    return {
        "ending": explanation.ending.value,
        "reason": explanation.why.code,
        "because": explanation.why.words,
        "place": f"{span.source.name}:{span.line}:{span.column}" if span is not None else None,
        "change": explanation.change.words if isinstance(explanation.change, Change) else None,
    }
