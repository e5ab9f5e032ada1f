"""
The smallest policy that lets through what was seen, as a file with comments: each line with its evidence, and in the end what nobody did.

It knows what evidence proves, and how a policy says it; it holds names and counts, and nothing else that clients sent.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from corsproxy.config.units import format_duration
from corsproxy.cors import names
from corsproxy.cors.pattern import OriginPattern, parse_pattern
from corsproxy.explanation.file_edits import quoted
from corsproxy.learning.evidence import Counts, Evidence, is_writable
from corsproxy.semantics.tokens import in_ascii

# A line that is written: the text, and what speaks for it.
_Entry = tuple[str, str]

_HEAD: Final = """\
# yaml-language-server: $schema=./corsproxy.schema.json     (corsproxy schema > corsproxy.schema.json)

# Learned by `corsproxy learn` in {time}, from {calls}: the least that lets them through.
# Behind each line stands how often it was seen. Read it as a proposal: what nobody did meanwhile is not in it, and what should not
# have been done is. docs/configuration.md explains every key.

# The API that was called.
upstream: {upstream}

cors:
"""
_ORIGINS: Final = "Whose pages called. Those of any other origin get 403."
_METHODS: Final = "Methods. GET, HEAD and POST need no entry: CORS always lets them through."
_HEADERS: Final = "Request headers that scripts set."
_EXPOSED: Final = "Response headers that scripts cannot read without this. Which ones they do read, nobody can see: take out the others."
_SOCKETS: Final = "Whose pages opened WebSockets."
_NO_METHODS: Final = "no other was used; without this line, PUT, PATCH and DELETE would be let in too"
_NO_HEADERS: Final = "none was set; without this line, Content-Type would be let in too"
_INSECURE: Final = "not let in: http, and the calls carry credentials. Serve the page by https"


@dataclass(frozen=True, slots=True)
class Run:
    """How it was learned: in front of which upstream, for how many seconds, and from which origins alone, if any were named."""

    upstream: str
    seconds: float
    origins: tuple[str, ...] = ()


def learned(evidence: Evidence, run: Run) -> str:
    """Write the policy file. Pure. Where the evidence is empty there is none to write."""
    needs_credentials = bool(evidence.cookies or evidence.logins)
    callers = evidence.origins or evidence.sockets.ranked()
    # Credentials for http pages are what no policy grants unless it says how dangerous that is; this one does not.
    insecure = frozenset(filter(_is_insecure, (*callers, *evidence.sockets.ranked()))) if needs_credentials else frozenset[bytes]()
    has_others = any(each not in insecure for each in callers)
    without_credentials = bool(insecure) and not has_others
    closed = insecure if has_others else frozenset[bytes]()
    body = [*_origin_lines(evidence, callers, closed), *_name_lines(evidence)]
    if needs_credentials:
        line = f"  allow_credentials: true  # {_credentials(evidence)}"
        note = ["  # Not written, because http pages would use the visitor's credentials: serve them by https, and take the `#` off."]
        body += [*note, f"  #{line[1:]}"] if without_credentials else [line]
    body += _socket_lines(evidence, callers, closed)
    unseen = [f"#   - {line}" for line in _unseen(evidence, run)]
    head = _HEAD.format(time=format_duration(max(1, round(run.seconds))), calls=_summary(evidence), upstream=quoted(run.upstream))
    return head + "\n".join([*body, "", "# What was not seen, and what else there is to know:", *unseen]) + "\n"


def _summary(evidence: Evidence) -> str:
    parts = [_counted(evidence.calls.total, "call"), _counted(evidence.preflights.total, "preflight")]
    if len(evidence.sockets):
        parts.append(_counted(evidence.sockets.total, "WebSocket"))
    origins = dict.fromkeys((*evidence.origins, *evidence.sockets.ranked()))
    return f"{_joined(parts)} of {_counted(len(origins), 'origin')}"


def _origin_lines(evidence: Evidence, callers: Sequence[bytes], closed: frozenset[bytes]) -> Iterator[str]:
    yield from _listed("allow_origins", _ORIGINS, [(each, _said_of_origin(evidence, each)) for each in map(in_ascii, callers)], closed)


def _said_of_origin(evidence: Evidence, text: str) -> str:
    origin = text.encode()
    counts = ((evidence.calls, "call"), (evidence.preflights, "preflight"), (evidence.sockets, "WebSocket"))
    return ", ".join(_counted(seen[origin], what) for seen, what in counts if seen[origin])


def _name_lines(evidence: Evidence) -> Iterator[str]:
    methods = sorted({*evidence.sent.ranked(), *evidence.asked.ranked()} - names.SAFELISTED_METHODS)
    if methods:
        yield from _listed("allow_methods", _METHODS, [(in_ascii(each), _said_of_method(evidence, each)) for each in methods])
    else:
        yield f"  allow_methods: [GET, HEAD, POST]  # {_NO_METHODS}"
    headers = [name for name in sorted(evidence.headers.ranked()) if _is_listable(name)]
    if headers:
        yield from _listed("allow_headers", _HEADERS, _entries(headers, evidence.headers, "preflight"))
    else:
        yield f"  allow_headers: []  # {_NO_HEADERS}"
    exposed = sorted(evidence.exposable.ranked())
    if exposed:
        said = [(in_ascii(evidence.spelled[name]), _counted(evidence.exposable[name], "answer")) for name in exposed]
        yield from _listed("expose_headers", _EXPOSED, said)


def _said_of_method(evidence: Evidence, method: bytes) -> str:
    sent = evidence.sent[method]
    if not sent:
        return f"{_counted(evidence.asked[method], 'preflight')}, and no call after it"
    return _counted(sent, "call") + ("" if evidence.good[method] else ", each answered with an error: does the page need it?")


def _is_listable(name: bytes) -> bool:
    return name not in names.RESPONSE_ONLY and not names.is_forbidden_request_header(name) and is_writable(name)


def _credentials(evidence: Evidence) -> str:
    seen = ((evidence.cookies, "with cookies"), (evidence.logins, "with HTTP authentication"))
    return _joined(f"{_counted(count, 'call')} {what}" for count, what in seen if count)


def _socket_lines(evidence: Evidence, callers: Sequence[bytes], closed: frozenset[bytes]) -> Iterator[str]:
    sockets = evidence.sockets.ranked()
    # Those of `allow_origins` may open them without a word.
    if sockets and set(sockets) != set(callers):
        yield from _listed("websocket_origins", _SOCKETS, _entries(sockets, evidence.sockets, "WebSocket"), closed)


def _entries(listed: Iterable[bytes], counts: Counts, what: str) -> list[_Entry]:
    return [(in_ascii(name), _counted(counts[name], what)) for name in listed]


def _listed(key: str, about: str, entries: Sequence[_Entry], closed: frozenset[bytes] = frozenset()) -> Iterator[str]:
    """Write a list, one entry a line with what speaks for it; one that is closed as a comment."""
    yield f"  # {about}"
    yield f"  {key}:"
    written = [(f"    # - {quoted(text)}" if text.encode() in closed else f"    - {quoted(text)}", text, said) for text, said in entries]
    width = max(len(line) for line, _, _ in written)
    for line, text, said in written:
        yield f"{line:{width}}  # {said}{'; ' + _INSECURE if text.encode() in closed else ''}"


def _unseen(evidence: Evidence, run: Run) -> Iterator[str]:
    if not evidence.preflights.total:
        yield "no preflight: nobody used another method than GET, HEAD and POST, or set a header that browsers ask about"
    if b"authorization" not in evidence.headers:
        yield "no `Authorization` set by a script: if tokens are sent so, it belongs under `allow_headers`"
    yield from _unseen_credentials(evidence)
    if not len(evidence.sockets):
        yield "no WebSocket: pages of these origins may open them all the same, unless the policy says `websocket_origins: none`"
    elif evidence.socket_cookies and not (evidence.cookies or evidence.logins):
        yield f"{_counted(evidence.socket_cookies, 'WebSocket')} came with cookies, which are taken off unless the policy says `allow_credentials: true`"
    if not evidence.erred:
        yield "no error of the API: what headers errors carry, as Retry-After, is not known"
    if evidence.failed:
        yield f"{_counted(evidence.failed, 'call')} had no answer of the API: nothing is known of their response headers"
    yield from _impossible(evidence)
    yield from _refused(evidence, run)
    if evidence.forgotten:
        yield f"more names came than are remembered; {evidence.forgotten} times one was not"
    others = [(evidence.own, "of the proxy's own origin"), (evidence.plain, "without an Origin")]
    said = [f"{_counted(count, 'request')} {what}" for count, what in others if count]
    if said:
        yield f"{_joined(said)}: no policy is asked about these"
    yield "paths were not told apart: one policy is for all of them"


def _impossible(evidence: Evidence) -> Iterator[str]:
    if evidence.odd:
        yield f"{_counted(evidence.odd, 'preflight')} asked for what no policy allows, as a method in lower case"
    unlisted = [in_ascii(name) for name in evidence.headers.ranked() if not _is_listable(name)]
    if unlisted:
        yield f"headers that cannot be let in, because they are none of requests: {', '.join(sorted(unlisted))}"


def _unseen_credentials(evidence: Evidence) -> Iterator[str]:
    if evidence.cookies or evidence.logins:
        return
    yield "no credentials: no call carried cookies or HTTP authentication. Scripts that say `credentials: 'include'` need `allow_credentials: true`"
    if evidence.set_cookies:
        yield f"{_counted(evidence.set_cookies, 'answer')} set cookies, and none came back: the browser dropped them, or the script did not say `include`"


def _refused(evidence: Evidence, run: Run) -> Iterator[str]:
    if run.origins:
        yield f"only these origins were let in: {', '.join(run.origins)}"
    for origin in evidence.refused.ranked():
        # What is no serialized origin has no name here.
        yield f"refused: {_counted(evidence.refused[origin], 'request')} of {in_ascii(origin) if origin else 'what is no origin'}"


def _is_insecure(origin: bytes) -> bool:
    pattern = parse_pattern(in_ascii(origin))
    return isinstance(pattern, OriginPattern) and pattern.is_insecure


def _joined(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
