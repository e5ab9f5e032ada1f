"""
Methods and header names as the Fetch standard sorts them: safelisted, forbidden, the rest.

Tables and predicates; names are compared lower-case, methods by bytes.
"""

from typing import Final

from corsproxy.semantics.tokens import is_token

# Spec: Fetch #cors-safelisted-method, #forbidden-method.
SAFELISTED_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST"})
FORBIDDEN_METHODS: Final = frozenset({b"CONNECT", b"TRACE", b"TRACK"})

# The methods that llhttp knows (llhttp 9, `HTTP_METHOD_MAP`), less PRI, which is HTTP/2's preface. Any other is refused by the parser.
KNOWN_METHODS: Final = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND ACL "
    b"REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK SOURCE QUERY".split(),
)
SENDABLE_METHODS: Final = KNOWN_METHODS - FORBIDDEN_METHODS

# Spec: Fetch #cors-safelisted-response-header-name.
SAFELISTED_RESPONSE_HEADERS: Final = frozenset(
    {b"cache-control", b"content-language", b"content-length", b"content-type", b"expires", b"last-modified", b"pragma"},
)

# Spec: Fetch #forbidden-response-header-name.
FORBIDDEN_RESPONSE_HEADERS: Final = frozenset({b"set-cookie", b"set-cookie2"})

# Spec: Fetch #forbidden-request-header, and the Private Network Access draft's own. The method overrides are forbidden only when
# their value names a forbidden method.
FORBIDDEN_REQUEST_HEADERS: Final = frozenset(
    b"accept-charset accept-encoding access-control-request-headers access-control-request-method access-control-request-private-network "
    b"connection content-length cookie cookie2 date dnt expect host keep-alive origin referer set-cookie te trailer transfer-encoding "
    b"upgrade via".split(),
)
_FORBIDDEN_REQUEST_PREFIXES: Final = (b"proxy-", b"sec-")

# Names that only ever stand in a response (RFC 9110 10.2, 11.6, 8.8 and kin), and that people list among request headers by mistake.
RESPONSE_ONLY: Final = frozenset(
    b"accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods access-control-allow-origin "
    b"access-control-expose-headers access-control-max-age age allow etag location proxy-authenticate retry-after server set-cookie vary "
    b"www-authenticate".split(),
)
# Names that only ever stand in a request.
REQUEST_ONLY: Final = frozenset(
    b"accept accept-charset accept-encoding accept-language access-control-request-headers access-control-request-method authorization "
    b"cookie expect from host if-match if-modified-since if-none-match if-range if-unmodified-since max-forwards origin "
    b"proxy-authorization range referer te user-agent".split(),
)

# Who reads these in a script does not wonder that they are hidden: they speak of the connection, of caches, or to the browser itself.
UNREMARKABLE_RESPONSE_HEADERS: Final = frozenset(
    b"access-control-allow-credentials access-control-allow-headers access-control-allow-methods access-control-allow-origin "
    b"access-control-expose-headers access-control-max-age accept-ranges age alt-svc cf-ray connection content-encoding "
    b"content-security-policy cross-origin-embedder-policy cross-origin-opener-policy cross-origin-resource-policy date keep-alive nel "
    b"permissions-policy referrer-policy report-to server set-cookie strict-transport-security timing-allow-origin transfer-encoding vary via "
    b"x-content-type-options x-frame-options x-powered-by x-xss-protection".split()
)


def is_forbidden_request_header(name: bytes) -> bool:
    """
    Tell whether a script may never set this header, whatever its value. `name` is lower-case.

    Spec: Fetch #forbidden-request-header.
    """
    return name in FORBIDDEN_REQUEST_HEADERS or name.startswith(_FORBIDDEN_REQUEST_PREFIXES)


def meant_header(text: str) -> str:
    """
    Say what to write instead of a text that is no header name. Pure.

    Spec: RFC 9110 5.1.
    """
    name = text.partition(":")[0].strip()
    if name != text and is_token(name.encode("utf-8", "replace")):
        return f"write the name alone: `{name}`"
    parts = text.replace(",", " ").split()
    if len(parts) > 1:
        return f"write one name an entry: `[{', '.join(parts)}]`"
    return "use letters, digits and `-`"
