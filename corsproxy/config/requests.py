"""
Requests as browsers make them: origins, methods, paths, hosts and header names that a person wrote.

It knows what no browser would ever send, and says so: whoever asks about such a request gets an answer that no user will see.
"""

import re
from typing import Final

from corsproxy import problems
from corsproxy.cors import names
from corsproxy.cors.origin import NULL, respell
from corsproxy.cors.pattern import spelling_help
from corsproxy.problems import Fault
from corsproxy.semantics.tokens import is_token

_NOT_SENT: Final = re.compile(r"[^!-~]")
# > A double-dot URL path segment is ".." or an ASCII case-insensitive match for ".%2e", "%2e.", or "%2e%2e". (URL #double-dot-path-segment)
_DOT_SEGMENT: Final = re.compile(r"/(?:\.|%2e){1,2}(?=[/?]|\Z)", re.IGNORECASE)
_NO_ORIGIN: Final = frozenset({"none", "no", "off", "-"})


def parse_origin_of_page(text: str) -> bytes | Fault:
    """Read the origin of a page."""
    if text == NULL.decode():
        return NULL
    if text.lower() in _NO_ORIGIN:
        return _fault(f"`{text}` is no origin", "take `origin` out for a request that carries none")
    if "*" in text:
        return _fault(f"`{text}` stands for many origins, and a request comes from one", "write one of them: `https://app.example.com`")
    right, reason = respell(text)
    if reason:
        return _fault(f"no browser sends the origin `{text}`: {reason}", spelling_help(text, right))
    return text.encode()


def parse_method(text: str) -> bytes | Fault:
    """Read a method that a script can send and that the proxy's parser knows."""
    method, upper = text.encode("utf-8", "replace"), text.upper()
    if method in names.SENDABLE_METHODS:
        return method
    if method.upper() in names.FORBIDDEN_METHODS:
        return _fault(f"no script can send `{text}`", "take it out")
    if method.upper() in names.KNOWN_METHODS:
        return _fault(f"`{text}` is not `{upper}`: methods are compared by bytes", f"write `{upper}`")
    return _fault(
        f"`{text}` " + ("is a method that HTTP parsers do not know" if is_token(method) else "is no method name"), "write one as `GET`"
    )


def parse_request_path(text: str) -> bytes | Fault:
    """Read a path as it stands in a request, with its query if it has one."""
    if not text.startswith("/"):
        right = re.sub(r"\Ahttps?://[^/?#]*", "", text)
        return _fault(f"`{text}` does not begin with `/`", f"write `/{right.lstrip('/')}`")
    if "#" in text:
        return _fault(f"no browser sends a fragment, and `{text}` has one", f"write `{text.partition('#')[0]}`")
    found = _NOT_SENT.search(text)
    if found is not None:
        spelled = "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace"))
        return _fault(f"no browser sends a path with `{found[0]}` in it", f"write it as `{spelled}`")
    if _DOT_SEGMENT.search(text.partition("?")[0]):
        return _fault(f"`{text}` has a dot segment, and browsers resolve these before they send a path", "write the path that it leads to")
    return text.encode()


def parse_request_host(text: str) -> bytes | Fault:
    """Read a host as it stands in a Host field."""
    if "://" in text or "/" in text:
        right = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://", "", text).partition("/")[0]
        return _fault(f"`{text}` is a URL, not a host", f"write `{right or 'api.example.com'}`")
    if "*" in text:
        return _fault(f"`{text}` stands for many hosts, and a request is for one", "write one of them: `api.example.com`")
    for scheme in ("https", "http"):
        spelled, reason = respell(f"{scheme}://{text}")
        if reason:
            return _fault(
                f"no browser sends the host `{text}`: {reason}",
                f"write `{spelled.decode().partition('://')[2] if spelled else 'api.example.com'}`",
            )
    return text.encode()


def parse_header_name(text: str) -> bytes | Fault:
    """Read the name of a request header that a script can set."""
    name = text.encode("utf-8", "replace")
    if text == "*":
        return _fault("`*` stands for many names, and a script sets one by one", "write them: `[Content-Type]`")
    if not is_token(name):
        first = text.partition(":")[0].strip()
        return _fault(
            f"`{text}` is no header name",
            f"write the name alone: `{first}`" if is_token(first.encode("utf-8", "replace")) else "use letters, digits and `-`",
        )
    if names.is_forbidden_request_header(name.lower()):
        return _fault(f"no script can set `{text}`: the browser keeps it to itself", "take it out")
    return name


def _fault(message: str, help_: str) -> Fault:
    return Fault(problems.BAD_TEST, (), message, help_)
