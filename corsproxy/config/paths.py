"""
Paths as the file writes them: of routes, and of upstreams below which everything lies.

It knows their normal form and says what to write instead; it matches nothing.
"""

import posixpath
import re
from typing import Final

from corsproxy import problems
from corsproxy.problems import Fault

# RFC 3986 3.3: pchar and "/".
_PATH: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_DOT_SEGMENT: Final = re.compile(r"(?:^|/)(?:\.|%2[Ee]){1,2}(?:/|$)")
# A route is compared with paths in every form that a server may read them in; what one of those drops (`;`) can never match.
_ODD_IN_ROUTE: Final = re.compile(r"[^A-Za-z0-9._~!$&'()+,=:@/-]")
_PATTERN: Final = re.compile(r"[~^=]|.*[|\\$]|.*\(.*\)")


def parse_route_path(text: str) -> bytes | Fault:
    """
    Read a route's path in normal form, without a slash at its end unless it is the root.

    Pure; never raises.

    Spec: RFC 3986 3.3, 6.2.2.
    """
    if not text:
        return _bad_route("the path is empty", "write `/` for every path")
    if "://" in text:
        path = re.split("[?#]", text.partition("://")[2])[0].partition("/")[2]
        return _bad_route(f"`{text}` is a URL, and a route takes only its path", f"write `/{path}`")
    if _PATTERN.match(text) and not text.startswith("/"):
        return _bad_route(f"`{text}` is a pattern, and a route takes every path below its own", "write one route for each path, as `/api`")
    if "*" in text:
        plain = "/" + re.sub(r"/*\*.*", "", text).strip("/")
        return _bad_route(f"`{text}` has a `*`, and a route takes every path below its own", f"write `{plain}`")
    if not text.startswith("/"):
        return _bad_route(f"`{text}` does not begin with a slash", f"write `/{text}`")
    if "//" in text:
        return _bad_route(f"`{text}` has an empty segment", f"write `{re.sub('//+', '/', text)}`")
    if _DOT_SEGMENT.search(text):
        return _bad_route(f"`{text}` has a dot segment, which no path in normal form has", f"write `{_resolved(text)}`, to which it leads")
    odd = _ODD_IN_ROUTE.search(text)
    if odd is None:
        return (text.removesuffix("/") or "/").encode()
    if odd[0] in "?#":
        return _bad_route(f"`{text}` holds `{odd[0]}`, which ends a path", f"write `{text[: odd.start()]}`")
    above = text[: text.rindex("/", 0, odd.start())] or "/"
    return _bad_route(
        f"`{text}` holds `{odd[0]}`, which no path in normal form has", f"write `{above}`: a route takes every path below its own"
    )


def parse_base_path(text: str) -> bytes | Fault:
    """
    Read the path of an upstream's URL, without a slash at its end.

    Pure; never raises.

    Spec: RFC 3986 3.3.
    """
    if _PATH.fullmatch(text) is None:
        help_ = "percent-encode what is no letter, digit or one of `-._~!$&'()*+,;=:@`"
        return Fault(problems.BAD_ADDRESS, (), f"`{text}` is not a path as URLs spell it", help_)
    if _DOT_SEGMENT.search(text):
        return Fault(problems.BAD_ADDRESS, (), f"`{text}` has a dot segment", f"write `{_resolved(text)}`, to which it leads")
    return text.rstrip("/").encode()


def _bad_route(message: str, help_: str) -> Fault:
    return Fault(problems.BAD_ROUTE, (), message, help_)


def _resolved(text: str) -> str:
    return posixpath.normpath(re.sub("%2e", ".", text, flags=re.IGNORECASE))
