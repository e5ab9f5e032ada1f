"""
A call as command lines for curl, so that what the proxy answers can be seen without a browser.

curl judges nothing: what comes back has to be read as a browser reads it.
"""

import re
from collections.abc import Iterator
from typing import Final

from corsproxy.cors.browser import Stage
from corsproxy.rehearse import Exchange, Rehearsal

# What a person gave as a value of such a header stays with that person.
_SECRET: Final = re.compile(rb"auth|cookie|key|password|secret|session|token", re.IGNORECASE)
# What curl writes itself.
_OWN: Final = frozenset({b"host"})


def is_secret(name: bytes) -> bool:
    """Tell whether the values of a request header are for nobody's eyes. Pure."""
    # That of a preflight are names, and Sec-WebSocket-Key is no secret.
    lower = name.lower()
    return _SECRET.search(lower) is not None and not lower.startswith((b"access-control-", b"sec-"))


def curl_lines(rehearsal: Rehearsal) -> tuple[str, ...]:
    """
    Write the requests that the browser makes, each as one command for a POSIX shell, a header a line.

    Pure. In the place of secrets stand variables of the shell.
    """
    return tuple(_command(rehearsal, exchange) for exchange in _made(rehearsal))


def _made(rehearsal: Rehearsal) -> Iterator[Exchange]:
    if rehearsal.preflight is not None:
        yield rehearsal.preflight
    if rehearsal.outcome.stage is Stage.ACTUAL:
        yield rehearsal.actual


def _command(rehearsal: Rehearsal, exchange: Exchange) -> str:
    request = exchange.request
    url = (rehearsal.request.url_origin + request.target).decode("ascii", "backslashreplace")
    parts = ["curl -i" if request.method != b"HEAD" else "curl -I"]
    if rehearsal.call.websocket:
        # Without an end, for a WebSocket that opens says nothing by itself.
        parts.append("--http1.1 --max-time 2")
    if request.method not in (b"GET", b"HEAD"):
        parts.append(f"-X {_quoted(request.method.decode('ascii', 'backslashreplace'))}")
    if b"*" in request.target or b"[" in request.target or b"{" in request.target:
        parts.append("-g")
    parts.append(_quoted(url))
    return " \\\n  ".join([" ".join(parts), *(f"-H {_line(name, value)}" for name, value in request.lines if name.lower() not in _OWN)])


def _line(name: bytes, value: bytes) -> str:
    if is_secret(name):
        variable = name.decode("ascii", "backslashreplace").upper()
        return f'"{name.decode("ascii", "backslashreplace")}: ${re.sub("[^A-Z0-9]", "_", variable)}"'
    return _quoted(f"{name.decode('ascii', 'backslashreplace')}: {value.decode('utf-8', 'backslashreplace')}")


def _quoted(text: str) -> str:
    if text and all(each.isascii() and (each.isalnum() or each in "-_./:") for each in text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"
