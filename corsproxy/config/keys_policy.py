"""The rows of the table of keys that make a policy."""

from typing import Final

from corsproxy.config.key import CORS, Key, Kind
from corsproxy.cors.policy import NO_SOCKETS, RESOURCE_POLICIES, SOCKETS_AS_CORS

_ORIGINS_EXAMPLE: Final = r"""
- https://app.example.com  # exact, as the browser sends it: no path, no slash at the end
# - https://*.example.com  # any subdomain, any depth, not example.com itself
# - http://localhost:*  # any port, none included
# - regex: 'https://pr-\d+\.preview\.example\.net'  # always matched whole
""".strip()

POLICY_KEYS: Final = (
    Key(
        CORS,
        "allow_origins",
        Kind.ORIGINS,
        "The origins whose pages may call: exact, `https://*.example.com`, `http://localhost:*`, `regex: '…'`, or `\"*\"` for any.",
        precedent="Starlette CORSMiddleware `allow_origins`",
        example="[https://app.example.com]",
        also=(
            *("origins", "origin", "allowed_origins", "allow_origin", "allowed_origin"),
            *("allow_origin_regex", "allow_origin_list", "allow_origin_string_match", "allowed_origin_regexes"),
            *("allowed_origin_patterns", "allow_origin_list_regex"),
        ),
        is_required=True,
        comment='a list, or "*"',
        block=_ORIGINS_EXAMPLE,
        is_live=True,
        flag="--allow-origin",
    ),
    Key(
        CORS,
        "allow_methods",
        Kind.NAMES,
        'The methods that scripts may use. `"*"`: any that parsers know, but CONNECT, TRACE and TRACK. GET, HEAD and POST cannot be forbidden.',
        default="[GET, HEAD, POST, PUT, PATCH, DELETE]",
        precedent="the npm package cors",
        also=("methods", "allowed_methods", "method", "allow_method", "allowmethods"),
        comment='or "*"',
    ),
    Key(
        CORS,
        "allow_headers",
        Kind.NAMES,
        'The request headers that scripts may set. `"*"`: any but Authorization, which is always listed by name: `["*", Authorization]`.',
        default="[Content-Type]",
        precedent="Starlette safelists Content-Type",
        example="[Authorization, Content-Type]",
        also=("headers", "allowed_headers", "request_headers", "allow_header", "allowheaders"),
        comment='names that scripts may set; or "*": any but Authorization, which is always listed by name',
    ),
    Key(
        CORS,
        "expose_headers",
        Kind.NAMES,
        (
            "The response headers that scripts may read, besides Cache-Control, Content-Language, Content-Length, Content-Type, Expires, Last-Modified "
            'and Pragma. `"*"`: any; with credentials, where browsers know no `*`, the names on each response.'
        ),
        default="[]",
        precedent="Fetch: only safelisted response headers are readable",
        example="[X-Total-Count, Link]",
        also=("exposed_headers", "response_headers", "expose_header", "exposeheaders"),
        comment='names that scripts may read besides the seven safelisted ones, as [X-Total-Count, Link]; or "*"',
    ),
    Key(
        CORS,
        "allow_credentials",
        Kind.BOOLEAN,
        (
            "Whether cookies, HTTP authentication and client certificates may be used across origins. A token that a script sets itself needs "
            "`allow_headers: [Authorization]` instead."
        ),
        default="false",
        precedent="Fetch: no credentials unless a server says so",
        also=("credentials", "supports_credentials", "allow_credential", "with_credentials", "allowcredentials"),
        comment="true: cookies, HTTP authentication and client certificates",
        flag="--allow-credentials",
    ),
    Key(
        CORS,
        "max_age",
        Kind.SECONDS,
        "How long browsers remember a preflight, up to 24h; 0 switches that off. Chromium keeps 2 h at most, Safari 10 minutes.",
        default="2h",
        precedent="Chromium caps at 7200 s",
        also=("maxage", "max_age_seconds", "ttl", "preflight_max_age"),
        comment="how long browsers remember a preflight; 0: not at all",
    ),
    Key(
        CORS,
        "enforce",
        Kind.BOOLEAN,
        (
            "Whether a cross-origin request outside of the policy is refused (403) and never reaches the upstream. `false`: it is forwarded without "
            "grants, as CORS libraries do, and the browser hides the answer."
        ),
        default="true",
        precedent="Spring answers 403",
        comment="false: a cross-origin request outside the policy is forwarded all the same, without grants",
    ),
    Key(
        CORS,
        "websocket_origins",
        Kind.SOCKET_ORIGINS,
        (
            "The origins whose pages may open WebSockets, judged before anything goes upstream, whatever `enforce` says. `cors`: those of "
            "`allow_origins`; `none`: no other than the proxy's own. Browsers have no CORS for WebSockets, and send cookies with each handshake; "
            "without `allow_credentials`, Cookie and Authorization are taken off one of another origin."
        ),
        default="cors",
        choices=(SOCKETS_AS_CORS, NO_SOCKETS),
        precedent="RFC 6455 10.2; Rails `allowed_request_origins`, Socket.IO `cors`",
        example="[https://app.example.com]",
        also=("websocket_origin", "websockets", "websocket", "ws_origins", "allowed_request_origins", "socket_origins"),
        comment="cors: those of allow_origins; none; or a list; judged before the upstream sees the handshake",
    ),
    Key(
        CORS,
        "allow_private_network",
        Kind.BOOLEAN,
        "Whether granted preflights answer `Access-Control-Request-Private-Network`, for browsers before Local Network Access.",
        default="false",
        precedent="jub0bs/cors `PrivateNetworkAccess`; off since CVE-2024-6221",
        comment="true: granted preflights answer Access-Control-Request-Private-Network",
        also=("private_network", "allow_private_network_access", "private_network_access"),
    ),
    Key(
        CORS,
        "timing_allow_origin",
        Kind.BOOLEAN,
        "Whether the allowed origins' pages may read resource timings: `Timing-Allow-Origin`.",
        default="false",
        precedent="Resource Timing: none unless a server says so",
        comment="true: Timing-Allow-Origin for the allowed origins",
        also=("timing", "tao", "timing_allow_origins"),
    ),
    Key(
        CORS,
        "resource_policy",
        Kind.CHOICE,
        "`Cross-Origin-Resource-Policy`, for pages under COEP that load images and the like without CORS; without this key the upstream's own stays.",
        choices=RESOURCE_POLICIES,
        precedent="Helmet `crossOriginResourcePolicy`",
        example="cross-origin",
        comment="sets Cross-Origin-Resource-Policy, for pages under COEP; without it the upstream's stays",
        also=("corp", "cross_origin_resource_policy"),
    ),
    Key(
        CORS,
        "dangerously_allow_null_origin",
        Kind.BOOLEAN,
        "Lets `null` stand in `allow_origins`. Any web site can take that origin on.",
        default="false",
        precedent="jub0bs/cors names its dangerous settings so",
        also=("allow_null_origin", "allow_null"),
        is_dangerous=True,
        comment="true: `null` may stand in allow_origins; any web site can take it on",
    ),
    Key(
        CORS,
        "dangerously_allow_insecure_origins",
        Kind.BOOLEAN,
        "Lets http origins use credentials. Whoever controls the network between the visitor and an http page can use the visitor's session.",
        default="false",
        precedent="jub0bs/cors names its dangerous settings so",
        also=("allow_insecure_origins", "allow_insecure"),
        is_dangerous=True,
        comment="true: http origins may use credentials",
    ),
    Key(
        CORS,
        "dangerously_allow_public_suffixes",
        Kind.BOOLEAN,
        "Lets a wildcard stand for every site below a public suffix, as `https://*.github.io`, and use credentials.",
        default="false",
        precedent="jub0bs/cors `DangerouslyTolerateSubdomainsOfPublicSuffixes`",
        also=("allow_public_suffixes", "allow_subdomains_of_public_suffixes"),
        is_dangerous=True,
    ),
)
