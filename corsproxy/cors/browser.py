"""
A model of a browser: would it accept this answer, and what of it may the script read?

It knows the client side of the Fetch standard (mode "cors", as fetch() and XMLHttpRequest use it) and nothing of our policies. It imports nothing of
this package but the words that it speaks in (`outcome`), and its tables stand elsewhere again: a second opinion shares no mistake with the first.
Promise: what it accepts, a browser accepts.
Not modelled: caches, and fields that the user agent adds unasked (Accept, User-Agent, Cookie, ...).
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from corsproxy.cors.outcome import (
    BrowserRequest,
    BrowserResponse,
    CredentialsMode,
    Fields,
    Outcome,
    PreflightNeed,
    Readable,
    Reason,
    Stage,
    Verdict,
)

__all__ = [
    "BrowserRequest",
    "BrowserResponse",
    "CredentialsMode",
    "Fields",
    "Outcome",
    "PreflightNeed",
    "Readable",
    "Reason",
    "Stage",
    "Verdict",
]

_METHODS_NORMALIZED: Final = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT"})
_METHODS_SAFELISTED: Final = frozenset({b"GET", b"HEAD", b"POST"})
_METHODS_FORBIDDEN: Final = frozenset({b"CONNECT", b"TRACE", b"TRACK"})
_METHODS_BARE: Final = frozenset({b"GET", b"HEAD"})  # No body, and no Origin to the page's own origin.

_REQUEST_NAMES_FORBIDDEN: Final = frozenset(
    b"accept-charset accept-encoding access-control-request-headers access-control-request-method connection content-length cookie cookie2 date "
    b"dnt expect host keep-alive origin referer set-cookie te trailer transfer-encoding upgrade via".split()
)
_REQUEST_PREFIXES_FORBIDDEN: Final = (b"proxy-", b"sec-")
_OVERRIDE_NAMES: Final = frozenset({b"x-http-method", b"x-http-method-override", b"x-method-override"})
_NON_WILDCARD_NAME: Final = b"authorization"
_RESPONSE_NAMES_FORBIDDEN: Final = frozenset({b"set-cookie", b"set-cookie2"})
_RESPONSE_NAMES_SAFE: Final = frozenset(b"cache-control content-language content-length content-type expires last-modified pragma".split())
_FORM_TYPES: Final = frozenset({b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"})
_REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})

_HTTP_WHITESPACE: Final = b"\t\n\r "
_TAB_OR_SPACE: Final = b"\t "
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE_BYTE: Final = re.compile(rb'[\x00-\x08\x0a-\x1f"():<>?@\[\\\]{}\x7f]')
_INVALID_VALUE_BYTE: Final = re.compile(rb"[\x00\r\n]")
_LANGUAGES: Final = re.compile(rb"[0-9A-Za-z *,.;=-]*")
_SIMPLE_RANGE: Final = re.compile(rb"bytes=([0-9]+)-([0-9]*)")
_LIST_PIECE: Final = re.compile(rb'(?:[^",]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+', re.DOTALL)  # A comma within a quoted string does not split.
_TUPLE_ORIGIN: Final = re.compile(rb"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:]+\]|[^/:]+)(?::[0-9]+)?")
_BODY_NAMES: Final = frozenset({b"content-encoding", b"content-language", b"content-location", b"content-type"})
_LOOPBACK_HOST: Final = re.compile(rb"127(?:\.[0-9]+){3}|\[::1\]|(?:.+\.)?localhost\.?")


def fetch(request: BrowserRequest, exchange: Callable[[bytes, Fields], BrowserResponse]) -> Outcome:
    """Do the whole fetch, with an empty preflight cache: the preflight if one is due, then the actual request. Spec: Fetch #main-fetch, #http-fetch."""
    if (fault := script_fault(request)) is not None:
        return Outcome(fault, Stage.SCRIPT)
    preflight_due = needs_preflight(request) is not None
    if preflight_due:
        verdict = judge_preflight(request, exchange(*preflight(request)))
        if not verdict.ok:
            return Outcome(verdict, Stage.PREFLIGHT, preflight_sent=True)
    judged = judge_response(request, exchange(normalize_method(request.method), actual_fields(request)))
    if isinstance(judged, Verdict):
        return Outcome(judged, Stage.ACTUAL, preflight_due)
    reason = Reason.OK if is_cross_origin(request) else Reason.SAME_ORIGIN
    return Outcome(Verdict(True, reason), Stage.ACTUAL, preflight_due, judged)


def script_fault(request: BrowserRequest) -> Verdict | None:
    """Say why the call sends nothing, if so; forbidden headers just vanish. Spec: Fetch #dom-request, #headers-validate; Mixed Content."""
    method = normalize_method(request.method)
    if not _TOKEN.fullmatch(method):
        return Verdict(False, Reason.INVALID_METHOD, method)
    if is_forbidden_method(method):
        return Verdict(False, Reason.FORBIDDEN_METHOD, method)
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name) or _INVALID_VALUE_BYTE.search(value.strip(_HTTP_WHITESPACE)):
            return Verdict(False, Reason.INVALID_HEADER, name)
    if request.stream_body and method in _METHODS_BARE:
        return Verdict(False, Reason.BODY_NOT_ALLOWED, method)
    # > Return blocked if [...] request's URL is not a potentially trustworthy URL. (Mixed Content #should-block-fetch)
    is_mixed = request.origin.startswith(b"https://") and not _is_trustworthy(request.url_origin)
    return Verdict(False, Reason.MIXED_CONTENT, request.url_origin) if is_mixed else None


def is_cross_origin(request: BrowserRequest) -> bool:
    """Say whether the CORS protocol applies; an opaque origin is never same-origin. Spec: Fetch #main-fetch; HTML #same-origin."""
    return request.origin == b"null" or request.origin != request.url_origin


def normalize_method(method: bytes) -> bytes:
    """Upper-case the six methods that browsers upper-case; `patch` stays as it is. Spec: Fetch #concept-method-normalize."""
    upper = method.upper()
    return upper if upper in _METHODS_NORMALIZED else method


def is_forbidden_method(method: bytes) -> bool:
    """Say whether no script may use the method, in whatever case. Spec: Fetch #forbidden-method."""
    return method.upper() in _METHODS_FORBIDDEN


def is_forbidden_request_header(name: bytes, value: bytes) -> bool:
    """Say whether the browser drops this header of a script in silence. Spec: Fetch #forbidden-request-header."""
    name = name.lower()
    if name in _OVERRIDE_NAMES:
        return any(is_forbidden_method(piece.strip(_TAB_OR_SPACE)) for piece in _LIST_PIECE.findall(value))
    return name in _REQUEST_NAMES_FORBIDDEN or name.startswith(_REQUEST_PREFIXES_FORBIDDEN)


def is_safelisted_request_header(name: bytes, value: bytes) -> bool:
    """Say whether this header alone needs no preflight. Spec: Fetch #cors-safelisted-request-header, #cors-unsafe-request-header-byte."""
    if len(value) > 128:
        return False
    match name.lower():
        case b"accept":
            return not _UNSAFE_BYTE.search(value)
        case b"accept-language" | b"content-language":
            return bool(_LANGUAGES.fullmatch(value))
        case b"content-type":
            # Parsing a MIME type never fails after the subtype, and an essence of these three is made of token bytes: to cut it out is to parse it.
            essence = value.strip(_HTTP_WHITESPACE).partition(b";")[0].rstrip(_HTTP_WHITESPACE).lower()
            return not _UNSAFE_BYTE.search(value) and essence in _FORM_TYPES
        case b"range":
            # > As web browsers have historically not emitted ranges such as `bytes=-500` this algorithm does not safelist them.
            span = _SIMPLE_RANGE.fullmatch(value)
            return span is not None and (not span[2] or int(span[1]) <= int(span[2]))
        case _:
            return False


def unsafe_header_names(headers: Fields) -> tuple[bytes, ...]:
    """Name the script's headers that ask for a preflight: sorted, unique, lower case. Spec: Fetch #cors-unsafe-request-header-names."""
    headers = _header_list(headers)
    safelisted_bytes = sum(len(value) for name, value in headers if is_safelisted_request_header(name, value))
    unsafe = {name.lower() for name, value in headers if safelisted_bytes > 1024 or not is_safelisted_request_header(name, value)}
    return tuple(sorted(unsafe))


def needs_preflight(request: BrowserRequest) -> PreflightNeed | None:
    """Say why the browser asks before it sends this request, the first cause that applies; None if it just sends it. Spec: Fetch #main-fetch."""
    if not is_cross_origin(request):
        return None
    if normalize_method(request.method) not in _METHODS_SAFELISTED:
        return PreflightNeed.METHOD
    if unsafe_header_names(request.headers):
        return PreflightNeed.HEADERS
    if request.upload_listener:
        return PreflightNeed.UPLOAD_LISTENER
    return PreflightNeed.STREAM_BODY if request.stream_body else None


def preflight(request: BrowserRequest) -> tuple[bytes, Fields]:
    """Make the preflight: its method, and the fields that matter to the CORS protocol. Spec: Fetch #cors-preflight-fetch."""
    fields = ((b"Origin", request.origin), (b"Access-Control-Request-Method", normalize_method(request.method)))
    # > This intentionally does not use combine, as 0x20 following 0x2C is not the way this was implemented, for better or worse.
    names = b",".join(unsafe_header_names(request.headers))
    return b"OPTIONS", (*fields, (b"Access-Control-Request-Headers", names)) if names else fields


def actual_fields(request: BrowserRequest) -> Fields:
    """Make the fields of the actual request. Spec: Fetch #append-a-request-origin-header; Fetch Metadata #sec-fetch-site-header."""
    fields = _header_list(request.headers)
    if is_cross_origin(request) or normalize_method(request.method) not in _METHODS_BARE:
        fields += ((b"Origin", request.origin),)
    site = _fetch_site(request)
    return fields if site is None else (*fields, (b"Sec-Fetch-Site", site))


def cors_check(request: BrowserRequest, response: BrowserResponse) -> Verdict:
    """Say whether the response may be shared with the page's origin; the status does not matter. Spec: Fetch #cors-check."""
    allowed = _get(response.fields, b"access-control-allow-origin")
    if allowed is None:
        return Verdict(False, Reason.ACAO_MISSING)
    is_credentialed = request.credentials is CredentialsMode.INCLUDE
    if allowed == b"*":
        return Verdict(False, Reason.ACAO_WILDCARD_WITH_CREDENTIALS, allowed) if is_credentialed else Verdict(True, Reason.OK)
    if allowed != request.origin:
        return Verdict(False, Reason.ACAO_MULTIPLE if b"," in allowed else Reason.ACAO_MISMATCH, allowed)
    credentials = _get(response.fields, b"access-control-allow-credentials")
    if is_credentialed and credentials != b"true":
        return Verdict(False, Reason.ACAC_NOT_TRUE, credentials or b"")
    return Verdict(True, Reason.OK)


def judge_preflight(request: BrowserRequest, response: BrowserResponse) -> Verdict:
    """Say whether the answer to the preflight lets the actual request go. Spec: Fetch #cors-preflight-fetch."""
    # The standard checks CORS first and only knows that something failed; consoles name the redirect.
    if response.status in _REDIRECT_STATUSES:
        return Verdict(False, Reason.PREFLIGHT_REDIRECT, b"%d" % response.status)
    # > The CORS check is done on request rather than preflight to ensure the correct credentials mode is used.
    shared = cors_check(request, response)
    if not shared.ok:
        return shared
    if not 200 <= response.status <= 299:
        return Verdict(False, Reason.PREFLIGHT_STATUS, b"%d" % response.status)
    methods = _tokens(response.fields, b"access-control-allow-methods")
    if methods is None:
        return Verdict(False, Reason.ACAM_UNPARSABLE, b", ".join(_values(response.fields, b"access-control-allow-methods")))
    names = _tokens(response.fields, b"access-control-allow-headers")
    if names is None:
        return Verdict(False, Reason.ACAH_UNPARSABLE, b", ".join(_values(response.fields, b"access-control-allow-headers")))
    return _judge_method(request, response, methods) or _judge_headers(request, names) or Verdict(True, Reason.OK)


def max_age_s(response: BrowserResponse) -> int:
    """Say for how many seconds the preflight's answer may be cached, before the browser's own cap. Spec: Fetch #cors-preflight-fetch; RFC 9111 1.2.2."""
    values = _values(response.fields, b"access-control-max-age")
    if len(values) != 1 or not values[0].isdigit():
        return 5
    # 2**31 is what a recipient takes for a number that it cannot hold. Eleven digits exceed it; int() of thousands would raise.
    return min(int(values[0].lstrip(b"0")[:11] or b"0"), 2**31)


def judge_response(request: BrowserRequest, response: BrowserResponse) -> Readable | Verdict:
    """Say what the script may read of the actual answer; a Verdict if nothing. Spec: Fetch #http-fetch, #main-fetch, #concept-filtered-response-cors."""
    if is_cross_origin(request):
        shared = cors_check(request, response)
        if not shared.ok:
            return shared
    location = _get(response.fields, b"location")
    if response.status in _REDIRECT_STATUSES and location is not None:
        return Verdict(True, Reason.REDIRECT, location)
    readable = {name.lower() for name, _ in response.fields}
    if is_cross_origin(request):
        exposed = {name.lower() for name in _tokens(response.fields, b"access-control-expose-headers") or ()}
        # > One of the headerNames can still be `*` at this point, but will only match a header whose name is `*`.
        if b"*" not in exposed or request.credentials is CredentialsMode.INCLUDE:
            readable = exposed | _RESPONSE_NAMES_SAFE
    readable -= _RESPONSE_NAMES_FORBIDDEN
    return Readable(response.status, tuple(field for field in response.fields if field[0].lower() in readable))


def follow(request: BrowserRequest, status: int, url_origin: bytes, *, has_userinfo: bool = False) -> BrowserRequest | Verdict:
    """
    Make the request that follows a redirect to a URL of `url_origin`; a Verdict if the browser does not follow. Who follows counts to 20.

    Spec: Fetch #http-redirect-fetch, #concept-request-tainted-origin.
    """
    is_hop = url_origin != request.url_origin
    if has_userinfo and (is_cross_origin(request) or request.origin != url_origin):
        return Verdict(False, Reason.REDIRECT_USERINFO, url_origin)
    if request.stream_body and status != 303:
        return Verdict(False, Reason.REDIRECT_STREAM, b"%d" % status)
    method, headers = normalize_method(request.method), request.headers
    if (status in (301, 302) and method == b"POST") or (status == 303 and method not in _METHODS_BARE):
        method, headers = b"GET", tuple(header for header in headers if header[0].lower() not in _BODY_NAMES)
        request = replace(request, stream_body=False, upload_listener=False)
    if is_hop:
        headers = tuple(header for header in headers if header[0].lower() != _NON_WILDCARD_NAME)
    # > if lastURL's origin is not same origin with url's origin and request's origin is not same origin with lastURL's origin [...] tainted
    origin = b"null" if is_hop and is_cross_origin(request) else request.origin
    return replace(request, origin=origin, url_origin=url_origin, method=method, headers=headers)


def _judge_method(request: BrowserRequest, response: BrowserResponse, methods: frozenset[bytes]) -> Verdict | None:
    method = normalize_method(request.method)
    if method in methods or method in _METHODS_SAFELISTED:
        return None
    # > If methods is null and request's use-CORS-preflight flag is set, then set methods to a new list containing request's method.
    # So beside an upload listener or a stream, to say nothing of methods allows any; an empty line is not nothing.
    if (request.upload_listener or request.stream_body) and not _values(response.fields, b"access-control-allow-methods"):
        return None
    if b"*" not in methods:
        return Verdict(False, Reason.METHOD_NOT_ALLOWED, method)
    if request.credentials is CredentialsMode.INCLUDE:
        return Verdict(False, Reason.METHOD_WILDCARD_WITH_CREDENTIALS, method)
    return None


def _judge_headers(request: BrowserRequest, names: frozenset[bytes]) -> Verdict | None:
    listed = {name.lower() for name in names}
    wanted = [name for name in unsafe_header_names(request.headers) if name not in listed]
    if b"*" not in listed:
        return Verdict(False, Reason.HEADER_NOT_ALLOWED, wanted[0]) if wanted else None
    if _NON_WILDCARD_NAME in wanted:
        return Verdict(False, Reason.AUTHORIZATION_NOT_LISTED, _NON_WILDCARD_NAME)
    if wanted and request.credentials is CredentialsMode.INCLUDE:
        return Verdict(False, Reason.HEADER_WILDCARD_WITH_CREDENTIALS, wanted[0])
    return None


def _header_list(headers: Fields) -> Fields:
    normalized = ((name, value.strip(_HTTP_WHITESPACE)) for name, value in headers)
    return tuple(header for header in normalized if not is_forbidden_request_header(*header))


def _fetch_site(request: BrowserRequest) -> bytes | None:
    there = _TUPLE_ORIGIN.fullmatch(request.url_origin)
    # > If r's url is not a potentially trustworthy URL, return.
    if there is None or not _is_trustworthy(request.url_origin):
        return None
    if not is_cross_origin(request):
        return b"same-origin"
    here = _TUPLE_ORIGIN.fullmatch(request.origin)
    if here is None or here[1] != there[1]:
        return b"cross-site"
    if here[2] == there[2]:
        return b"same-site"
    # Hosts under one top-level domain may be one site or two: only the public suffix list can tell.
    return None if here[2].rpartition(b".")[2] == there[2].rpartition(b".")[2] else b"cross-site"


def _is_trustworthy(origin: bytes) -> bool:
    found = _TUPLE_ORIGIN.fullmatch(origin)
    return found is not None and (found[1] in (b"https", b"wss") or _LOOPBACK_HOST.fullmatch(found[2]) is not None)


def _values(fields: Fields, name: bytes) -> list[bytes]:
    return [value.strip(_TAB_OR_SPACE) for field, value in fields if field.lower() == name]


def _get(fields: Fields, name: bytes) -> bytes | None:
    return b", ".join(values) if (values := _values(fields, name)) else None


def _tokens(fields: Fields, name: bytes) -> frozenset[bytes] | None:
    """Parse `#token` over all lines: None if it does not parse, empty if there is no line. Spec: Fetch #extract-header-list-values; RFC 9110 5.6.1.2."""
    elements = {element.strip(_TAB_OR_SPACE) for value in _values(fields, name) for element in value.split(b",")} - {b""}
    return frozenset(elements) if all(_TOKEN.fullmatch(element) for element in elements) else None
