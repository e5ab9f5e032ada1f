# ruff: noqa: RUF001 - the quotation marks are Firefox's own.
"""
What the consoles of browsers say of a call that failed, word for word.

Chromium's texts are held against Chromium itself by the tests in `tests/browser`. Firefox's are those of its `security.properties`, Safari's
those of WebKit's `CrossOriginAccessControl`, `CrossOriginPreflightResultCache` and `FetchRequest`. It knows the words of `outcome` and
nothing else of this package.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from corsproxy.cors.outcome import BrowserRequest, Reason, Stage, Verdict


class Engine(StrEnum):
    """The browsers, by their engines: Edge, Opera and Chrome speak as Chromium does, and every browser on iOS as Safari."""

    CHROMIUM = "chromium"
    FIREFOX = "firefox"
    SAFARI = "safari"


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A call that failed: what the script asked for, at which URL, how far it came, the browser's verdict, and the status that it last saw.

    `is_websocket`: it was no fetch. `redirected_from` is the first URL where `url` is not the one that the script asked for.
    """

    request: BrowserRequest
    url: str
    stage: Stage
    verdict: Verdict
    status: int = 0
    is_websocket: bool = False
    redirected_from: str = ""

    @property
    def subject(self) -> str:
        """The value at fault."""
        return self.verdict.subject.decode("utf-8", "replace")

    @property
    def origin(self) -> str:
        """The page's."""
        return self.request.origin.decode("ascii", "replace")

    @property
    def method(self) -> str:
        """The method, as the browser would send it."""
        return self.subject or self.request.method.decode("ascii", "replace")


def messages(failure: Failure, engine: Engine) -> tuple[str, ...]:
    """
    Return the lines of one browser's console; none where it lets the call pass.

    Pure; never raises. Control characters of what a server sent are in them.

    Spec: none; Chromium `cors_error_string.cc`, Firefox `security.properties`, WebKit `CrossOriginAccessControl.cpp`.
    """
    return _TELLERS[engine](failure)


def rejection(failure: Failure, engine: Engine) -> str:
    """
    Return what the script is told: that it failed, and never why.

    Spec: Fetch #concept-network-error, #dom-global-fetch.
    """
    thrown = _THROWN[engine].get(failure.verdict.reason)
    if thrown is not None and failure.stage is Stage.SCRIPT:
        return "TypeError: " + _filled(thrown, failure)
    if failure.is_websocket:
        return "an `error` event, and a `close` event with code 1006"
    return _REJECTIONS[engine]


_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REJECTIONS: Final = {
    Engine.CHROMIUM: "TypeError: Failed to fetch",
    Engine.FIREFOX: "TypeError: NetworkError when attempting to fetch resource.",
    Engine.SAFARI: "TypeError: Load failed",
}
# What the call itself throws. METHOD and SUBJECT stand for the value at fault.
_THROWN: Final[dict[Engine, dict[Reason, str]]] = {
    Engine.CHROMIUM: {
        Reason.INVALID_METHOD: "Failed to execute 'fetch' on 'Window': 'METHOD' is not a valid HTTP method.",
        Reason.FORBIDDEN_METHOD: "Failed to execute 'fetch' on 'Window': 'METHOD' HTTP method is unsupported.",
        Reason.INVALID_HEADER: "Failed to execute 'fetch' on 'Window': Invalid name",
        Reason.BODY_NOT_ALLOWED: "Failed to execute 'fetch' on 'Window': Request with GET/HEAD method cannot have body.",
    },
    Engine.FIREFOX: {
        Reason.INVALID_METHOD: "Window.fetch: Invalid request method METHOD.",
        Reason.FORBIDDEN_METHOD: "Window.fetch: Invalid request method METHOD.",
        Reason.INVALID_HEADER: "Window.fetch: SUBJECT is an invalid header name.",
        Reason.BODY_NOT_ALLOWED: "Window.fetch: HEAD or GET Request cannot have a body.",
    },
    Engine.SAFARI: {
        Reason.INVALID_METHOD: "Method is not a valid HTTP token.",
        Reason.FORBIDDEN_METHOD: "Method is forbidden.",
        Reason.INVALID_HEADER: "Invalid header name: 'SUBJECT'",
        Reason.BODY_NOT_ALLOWED: "Request has method 'METHOD' and cannot have a body",
    },
}

_CHROMIUM: Final = {
    Reason.ACAO_MISSING: "No 'Access-Control-Allow-Origin' header is present on the requested resource.",
    Reason.ACAO_MULTIPLE: (
        "The 'Access-Control-Allow-Origin' header contains multiple values 'SUBJECT', but only one is allowed. "
        "Have the server send the header with a valid value."
    ),
    Reason.ACAO_WILDCARD_WITH_CREDENTIALS: (
        "The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' when the request's "
        "credentials mode is 'include'."
    ),
    Reason.ACAC_NOT_TRUE: (
        "The value of the 'Access-Control-Allow-Credentials' header in the response is 'SUBJECT' which must be 'true' when the request's "
        "credentials mode is 'include'."
    ),
    Reason.PREFLIGHT_STATUS: "It does not have HTTP ok status.",
    Reason.PREFLIGHT_REDIRECT: "Redirect is not allowed for a preflight request.",
    Reason.ACAM_UNPARSABLE: "Cannot parse Access-Control-Allow-Methods response header field in preflight response.",
    Reason.ACAH_UNPARSABLE: "Cannot parse Access-Control-Allow-Headers response header field in preflight response.",
    Reason.METHOD_NOT_ALLOWED: "Method METHOD is not allowed by Access-Control-Allow-Methods in preflight response.",
    Reason.METHOD_WILDCARD_WITH_CREDENTIALS: "Method METHOD is not allowed by Access-Control-Allow-Methods in preflight response.",
    Reason.HEADER_NOT_ALLOWED: "Request header field SUBJECT is not allowed by Access-Control-Allow-Headers in preflight response.",
    Reason.HEADER_WILDCARD_WITH_CREDENTIALS: (
        "Request header field SUBJECT is not allowed by Access-Control-Allow-Headers in preflight response."
    ),
    Reason.REDIRECT_USERINFO: "Redirect location '' contains a username and password, which is disallowed for cross-origin requests.",
}
# What fails a preflight before its lists are looked at is introduced as such.
_CHECKS: Final = frozenset(
    {
        Reason.ACAO_MISSING,
        Reason.ACAO_MULTIPLE,
        Reason.ACAO_MISMATCH,
        Reason.ACAO_WILDCARD_WITH_CREDENTIALS,
        Reason.ACAC_NOT_TRUE,
        Reason.PREFLIGHT_STATUS,
        Reason.PREFLIGHT_REDIRECT,
    }
)
_NO_MATCH: Final = (
    "The 'Access-Control-Allow-Origin' header has a value 'SUBJECT' that is not equal to the supplied origin. "
    "Have the server send the header with a valid value."
)
_NO_ORIGIN: Final = (
    "The 'Access-Control-Allow-Origin' header contains the invalid value 'SUBJECT'. Have the server send the header with a valid value."
)


def _chromium(failure: Failure) -> tuple[str, ...]:
    reason, url = failure.verdict.reason, failure.url
    if failure.stage is Stage.SCRIPT:
        if reason is Reason.MIXED_CONTENT:
            loaded = f"Mixed Content: The page at '{failure.origin}/' was loaded over HTTPS, but requested an insecure resource '{url}'. "
            return (loaded + "This request has been blocked; the content must be served over HTTPS.",)
        return (f"Uncaught (in promise) {rejection(failure, Engine.CHROMIUM)}",)
    if failure.is_websocket:
        where = f"WebSocket connection to '{_as_socket(url)}' failed: "
        return (f"{where}Error during WebSocket handshake: Unexpected response code: {failure.status}",)
    if reason in (Reason.STREAM_OVER_HTTP1, Reason.REDIRECT_STREAM):
        return ("Failed to load resource: net::ERR_ALPN_NEGOTIATION_FAILED",) if reason is Reason.STREAM_OVER_HTTP1 else ()
    text = _CHROMIUM.get(reason)
    if reason is Reason.ACAO_MISMATCH:
        text = _NO_MATCH if "://" in failure.subject or failure.subject == "null" else _NO_ORIGIN
    if text is None:
        return ()
    introduced = failure.stage is Stage.PREFLIGHT and reason in _CHECKS
    said = "Response to preflight request doesn't pass access control check: " if introduced else ""
    before = f"(redirected from '{failure.redirected_from}') " if failure.redirected_from else ""
    blocked = f"Access to fetch at '{url}' {before}from origin '{failure.origin}' has been blocked by CORS policy: "
    return (blocked + said + _filled(text, failure), "Failed to load resource: net::ERR_FAILED")


_FIREFOX: Final = {
    Reason.ACAO_MISSING: "(Reason: CORS header ‘Access-Control-Allow-Origin’ missing). Status code: STATUS.",
    Reason.ACAO_MULTIPLE: "(Reason: Multiple CORS header ‘Access-Control-Allow-Origin’ not allowed).",
    Reason.ACAO_MISMATCH: "(Reason: CORS header ‘Access-Control-Allow-Origin’ does not match ‘SUBJECT’).",
    Reason.ACAO_WILDCARD_WITH_CREDENTIALS: (
        "(Reason: Credential is not supported if the CORS header ‘Access-Control-Allow-Origin’ is ‘*’)."
    ),
    Reason.ACAC_NOT_TRUE: "(Reason: expected ‘true’ in CORS header ‘Access-Control-Allow-Credentials’).",
    Reason.PREFLIGHT_STATUS: "(Reason: CORS preflight response did not succeed). Status code: STATUS.",
    Reason.PREFLIGHT_REDIRECT: "(Reason: CORS request external redirect not allowed).",
    Reason.ACAM_UNPARSABLE: "(Reason: invalid token ‘SUBJECT’ in CORS header ‘Access-Control-Allow-Methods’).",
    Reason.ACAH_UNPARSABLE: "(Reason: invalid token ‘SUBJECT’ in CORS header ‘Access-Control-Allow-Headers’).",
    Reason.METHOD_NOT_ALLOWED: "(Reason: Did not find method in CORS header ‘Access-Control-Allow-Methods’).",
    Reason.METHOD_WILDCARD_WITH_CREDENTIALS: "(Reason: Did not find method in CORS header ‘Access-Control-Allow-Methods’).",
    Reason.HEADER_NOT_ALLOWED: (
        "(Reason: header ‘SUBJECT’ is not allowed according to header ‘Access-Control-Allow-Headers’ from CORS preflight response)."
    ),
    Reason.HEADER_WILDCARD_WITH_CREDENTIALS: (
        "(Reason: header ‘SUBJECT’ is not allowed according to header ‘Access-Control-Allow-Headers’ from CORS preflight response)."
    ),
    Reason.REDIRECT_USERINFO: "(Reason: CORS request did not succeed). Status code: (null).",
}
_SOON: Final = (
    "(Reason: When the `Access-Control-Allow-Headers` is `*`, the `Authorization` header is not covered. To include the `Authorization` "
    "header, it must be explicitly listed in CORS header `Access-Control-Allow-Headers`)."
)


def _firefox(failure: Failure) -> tuple[str, ...]:
    reason, url = failure.verdict.reason, failure.url
    if failure.stage is Stage.SCRIPT:
        is_mixed = reason is Reason.MIXED_CONTENT
        return (f"Blocked loading mixed active content “{url}”" if is_mixed else f"Uncaught {rejection(failure, Engine.FIREFOX)}",)
    if failure.is_websocket:
        return (f"Firefox can’t establish a connection to the server at {_as_socket(url)}.",)
    if reason is Reason.AUTHORIZATION_NOT_LISTED:
        return (f"Cross-Origin Request Warning: The Same Origin Policy will disallow reading the remote resource at {url} soon. {_SOON}",)
    text = _FIREFOX.get(reason)
    if text is None:
        return ()
    where = f"‘{url}’" if reason is Reason.ACAO_WILDCARD_WITH_CREDENTIALS else url
    blocked = f"Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote resource at {where}. "
    # Of a list that does not parse Firefox names the element.
    is_list = reason in (Reason.ACAM_UNPARSABLE, Reason.ACAH_UNPARSABLE)
    return (blocked + _filled(text, failure, name=_no_token(failure.subject) if is_list else None),)


_SAFARI: Final = {
    Reason.ACAO_MISSING: "Origin ORIGIN is not allowed by Access-Control-Allow-Origin. Status code: STATUS",
    Reason.ACAO_MULTIPLE: "Access-Control-Allow-Origin cannot contain more than one origin.",
    Reason.ACAO_MISMATCH: "Origin ORIGIN is not allowed by Access-Control-Allow-Origin. Status code: STATUS",
    Reason.ACAO_WILDCARD_WITH_CREDENTIALS: "Cannot use wildcard in Access-Control-Allow-Origin when credentials flag is true.",
    Reason.ACAC_NOT_TRUE: 'Credentials flag is true, but Access-Control-Allow-Credentials is not "true".',
    Reason.PREFLIGHT_STATUS: "Preflight response is not successful. Status code: STATUS",
    Reason.PREFLIGHT_REDIRECT: "Preflight response is not successful. Status code: STATUS",
    Reason.ACAM_UNPARSABLE: "Header Access-Control-Allow-Methods has an invalid value: SUBJECT",
    Reason.ACAH_UNPARSABLE: "Header Access-Control-Allow-Headers has an invalid value: SUBJECT",
    Reason.METHOD_NOT_ALLOWED: "Method METHOD is not allowed by Access-Control-Allow-Methods.",
    Reason.METHOD_WILDCARD_WITH_CREDENTIALS: "Method METHOD is not allowed by Access-Control-Allow-Methods.",
    Reason.HEADER_NOT_ALLOWED: "Request header field SUBJECT is not allowed by Access-Control-Allow-Headers.",
    Reason.HEADER_WILDCARD_WITH_CREDENTIALS: "Request header field SUBJECT is not allowed by Access-Control-Allow-Headers.",
    Reason.REDIRECT_USERINFO: "",
}


def _safari(failure: Failure) -> tuple[str, ...]:
    reason, url = failure.verdict.reason, failure.url
    if failure.stage is Stage.SCRIPT:
        if reason is Reason.MIXED_CONTENT:
            return (f"[blocked] The page at {failure.origin}/ was not allowed to run insecure content from {url}.",)
        return (f"Unhandled Promise Rejection: {rejection(failure, Engine.SAFARI)}",)
    if failure.is_websocket:
        return (f"WebSocket connection to '{_as_socket(url)}' failed: There was a bad response from the server.",)
    text = _SAFARI.get(reason)
    if text is None:
        return ()
    # WebKit looks at a preflight's status before anything else.
    if failure.stage is Stage.PREFLIGHT and not 200 <= failure.status <= 299:
        text = _SAFARI[Reason.PREFLIGHT_STATUS]
    said = _filled(text, failure, name=_as_set(failure))
    return tuple(filter(None, (said, f"Fetch API cannot load {url} due to access control checks.")))


_TELLERS: Final[dict[Engine, Callable[[Failure], tuple[str, ...]]]] = {
    Engine.CHROMIUM: _chromium,
    Engine.FIREFOX: _firefox,
    Engine.SAFARI: _safari,
}


def _as_set(failure: Failure) -> str:
    """Spell a header's name as the script did: WebKit alone keeps that."""
    name = failure.verdict.subject.lower()
    return next((each.decode("ascii", "replace") for each, _ in failure.request.headers if each.lower() == name), failure.subject)


def _no_token(listed: str) -> str:
    elements = [element.strip(" \t") for element in listed.split(",")]
    return next((element for element in elements if element and not _TOKEN.fullmatch(element)), listed)


def _as_socket(url: str) -> str:
    return "ws" + url.removeprefix("http")


def _filled(text: str, failure: Failure, *, name: str | None = None) -> str:
    # One pass: what is put in is another's text, and may hold any of these words.
    parts = {"SUBJECT": failure.subject if name is None else name, "METHOD": failure.method, "ORIGIN": failure.origin}
    parts["STATUS"] = str(failure.status)
    words = text.split(" ")
    return " ".join(_replaced(word, parts) for word in words)


def _replaced(word: str, parts: dict[str, str]) -> str:
    for each, value in parts.items():
        before, found, after = word.partition(each)
        if found:
            return before + value + after
    return word
