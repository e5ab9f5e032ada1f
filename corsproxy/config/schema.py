"""
The one table of keys.

It knows every key of the file: where it stands, what it takes, its default and why, in one line each.
Decoding reads this table; whatever else describes the file (a JSON Schema, an example, a reference page) is made from it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from corsproxy.config.settings import CorsMode, LogFormat, LogLevel


class Kind(StrEnum):
    """What a key takes."""

    ADDRESSES = "an address, or a list of addresses"
    ORIGIN_URLS = "a URL, or a list of URLs"
    URL = "a URL"
    UPSTREAM = "a URL, or a mapping with `url`"
    DURATION = "a duration"
    SECONDS = "a duration, or a number of seconds"
    BOOLEAN = "`true` or `false`"
    CHOICE = "a word"
    ORIGINS = 'a list of origins, or `"*"`'
    NAMES = 'a list of names, or `"*"`'
    POLICY = "a policy, the name of one, `none` or `passthrough`"
    POLICIES = "a mapping of names to policies"
    ROUTES = "a list of routes"
    PATH = "a path"
    SECTION = "a mapping"


@dataclass(frozen=True, slots=True)
class Key:
    """
    One key.

    `section` names the mapping that it stands in ("" is the file itself), `children` the one that it opens.
    `default` is what a user would write for it, as YAML; empty if there is none. `precedent` says where the
    default or the name is from. `also` lists names that people know it by from other tools.
    """

    section: str
    name: str
    kind: Kind
    doc: str
    default: str = ""
    children: str = ""
    choices: tuple[str, ...] = ()
    precedent: str = ""
    example: str = ""
    also: tuple[str, ...] = ()
    is_required: bool = False
    is_dangerous: bool = False
    is_reloadable: bool = True
    since: str = "0.1"


FILE: Final = ""
UPSTREAM: Final = "upstream"
TIMEOUTS: Final = "timeouts"
CORS: Final = "cors"
ROUTE: Final = "route"
LOG: Final = "log"

# Keys of the file that begin so are ignored: a place for YAML anchors. Precedent: Compose extension fields.
EXTENSION_PREFIX: Final = "x-"

KEYS: Final = (
    Key(
        FILE,
        "listen",
        Kind.ADDRESSES,
        'Where to accept connections: `host:port`, `:port` (all interfaces), `"[::1]:port"`, `unix:/path`, or a list of them. Port 0 takes any free port.',
        default="127.0.0.1:8080",
        precedent="uvicorn listens on loopback; 8080 is the usual port of proxies",
        example=":8080",
        also=("bind", "address", "addr", "host", "port", "listener", "listeners"),
        is_reloadable=False,
    ),
    Key(
        FILE,
        "public_url",
        Kind.ORIGIN_URLS,
        "How browsers reach the proxy, one or a list; without it, taken from each request's Host.",
        precedent="Grafana `root_url`, Keycloak `hostname`",
        example="https://api.example.com",
        also=("base_url", "external_url", "public_urls", "root_url"),
    ),
    Key(
        FILE,
        "upstream",
        Kind.UPSTREAM,
        "The API that requests are forwarded to, for every path that no route takes.",
        children=UPSTREAM,
        precedent="nginx `upstream`",
        example="http://localhost:9000",
        also=("backend", "target", "proxy_pass", "to", "origin", "upstreams", "destination"),
    ),
    Key(
        FILE,
        "timeouts",
        Kind.SECTION,
        "How long the upstream may take.",
        children=TIMEOUTS,
        precedent="Envoy route timeouts",
        also=("timeout",),
    ),
    Key(
        FILE,
        "cors",
        Kind.POLICY,
        "The default policy, for the upstream and for every route that has no `cors` of its own.",
        children=CORS,
        choices=tuple(CorsMode),
        precedent="Istio `corsPolicy`",
        also=("policy", "cors_policy", "corspolicy"),
    ),
    Key(
        FILE,
        "policies",
        Kind.POLICIES,
        "Named policies, for `cors: NAME` in routes.",
        children=CORS,
        default="{}",
        example="{partners: {allow_origins: [https://a.partner.example]}}",
        also=("cors_policies",),
    ),
    Key(
        FILE,
        "routes",
        Kind.ROUTES,
        "Paths with an upstream, a policy or timeouts of their own; the longest matching prefix wins, on segment boundaries.",
        children=ROUTE,
        default="[]",
        precedent="nginx `location`",
        also=("paths", "locations", "route", "rules"),
    ),
    Key(FILE, "log", Kind.SECTION, "What is logged, and how.", children=LOG, also=("logging", "logs")),
    Key(
        UPSTREAM,
        "url",
        Kind.URL,
        "`http://host:port`, `https://host`, `unix:/path` or `unix:/path:/base`; a path is put before the request's.",
        example="https://legacy.internal:8443/base",
        also=("uri", "address", "host", "target", "server"),
        is_required=True,
    ),
    Key(
        TIMEOUTS,
        "connect",
        Kind.DURATION,
        "Until the connection stands: DNS, TCP and TLS.",
        default="5s",
        precedent="Envoy `connect_timeout` 5 s",
        also=("connect_timeout", "connection"),
    ),
    Key(
        TIMEOUTS,
        "response",
        Kind.DURATION,
        "From the last byte of the request to the head of the response.",
        default="60s",
        precedent="nginx `proxy_read_timeout` 60 s",
        also=("read", "request", "response_timeout", "read_timeout", "header"),
    ),
    Key(
        TIMEOUTS,
        "idle",
        Kind.DURATION,
        "The upstream owes bytes and sends none, or takes none.",
        default="300s",
        precedent="Envoy `stream_idle_timeout` 300 s",
        also=("idle_timeout", "stream", "write", "send"),
    ),
    Key(
        CORS,
        "allow_origins",
        Kind.ORIGINS,
        "The origins whose pages may call: exact, `https://*.example.com`, `http://localhost:*`, `regex: '…'`, or `\"*\"` for any.",
        precedent="Starlette CORSMiddleware `allow_origins`",
        example="[https://app.example.com]",
        also=("origins", "origin", "allowed_origins", "allow_origin", "allowed_origin", "allow_origin_regex", "alloworigins"),
        is_required=True,
    ),
    Key(
        CORS,
        "allow_methods",
        Kind.NAMES,
        'The methods that scripts may use; `"*"` for any.',
        default="[GET, HEAD, POST, PUT, PATCH, DELETE]",
        precedent="the npm package cors",
        also=("methods", "allowed_methods", "method", "allow_method", "allowmethods"),
    ),
    Key(
        CORS,
        "allow_headers",
        Kind.NAMES,
        'The request headers that scripts may set; `"*"` for any but Authorization, which is always listed by name.',
        default="[Content-Type]",
        precedent="Starlette safelists Content-Type",
        example="[Authorization, Content-Type]",
        also=("headers", "allowed_headers", "request_headers", "allow_header", "allowheaders"),
    ),
    Key(
        CORS,
        "expose_headers",
        Kind.NAMES,
        'The response headers that scripts may read; `"*"` for any.',
        default="[]",
        precedent="Fetch: only safelisted response headers are readable",
        example="[X-Total-Count, Link]",
        also=("exposed_headers", "response_headers", "expose_header", "exposeheaders"),
    ),
    Key(
        CORS,
        "allow_credentials",
        Kind.BOOLEAN,
        "Whether cookies and HTTP authentication may be used across origins.",
        default="false",
        precedent="Fetch: no credentials unless a server says so",
        also=("credentials", "supports_credentials", "allow_credential", "with_credentials", "allowcredentials"),
    ),
    Key(
        CORS,
        "max_age",
        Kind.SECONDS,
        "How long browsers remember a preflight; 0 switches that off.",
        default="2h",
        precedent="Chromium caps at 7200 s",
        also=("maxage", "max_age_seconds", "ttl", "preflight_max_age"),
    ),
    Key(
        CORS,
        "enforce",
        Kind.BOOLEAN,
        "Whether a cross-origin request outside of the policy is refused (403) instead of forwarded without grants.",
        default="true",
        precedent="Spring answers 403",
    ),
    Key(
        CORS,
        "dangerously_allow_null_origin",
        Kind.BOOLEAN,
        "Lets `null` stand in `allow_origins`: an origin that any web site can take on.",
        default="false",
        precedent="jub0bs/cors names its dangerous settings so",
        also=("allow_null_origin", "allow_null"),
        is_dangerous=True,
    ),
    Key(
        CORS,
        "dangerously_allow_insecure_origins",
        Kind.BOOLEAN,
        "Lets http origins use credentials.",
        default="false",
        precedent="jub0bs/cors names its dangerous settings so",
        also=("allow_insecure_origins", "allow_insecure"),
        is_dangerous=True,
    ),
    Key(
        ROUTE,
        "path",
        Kind.PATH,
        "The prefix of the paths that this route takes: `/api` takes `/api` and `/api/…`, not `/apis`.",
        example="/api",
        also=("prefix", "match", "location", "paths", "uri", "url"),
        is_required=True,
    ),
    Key(
        ROUTE,
        "upstream",
        Kind.UPSTREAM,
        "The upstream of this route; without it, the file's.",
        children=UPSTREAM,
        example="http://reports.internal:8000",
        also=("backend", "target", "proxy_pass", "to", "destination"),
    ),
    Key(
        ROUTE,
        "cors",
        Kind.POLICY,
        "The policy of this route: it replaces the file's as a whole. Without it, the file's.",
        children=CORS,
        choices=tuple(CorsMode),
        example="none",
        also=("policy", "cors_policy"),
    ),
    Key(ROUTE, "timeouts", Kind.SECTION, "Single timeouts of this route; the others are the file's.", children=TIMEOUTS, also=("timeout",)),
    Key(
        LOG,
        "format",
        Kind.CHOICE,
        "The shape of a line; `auto` is text on a terminal and JSON elsewhere.",
        default="auto",
        choices=tuple(LogFormat),
        also=("type", "style"),
    ),
    Key(
        LOG,
        "level",
        Kind.CHOICE,
        "The least severity that is logged.",
        default="info",
        choices=tuple(LogLevel),
        also=("severity", "verbosity"),
    ),
    Key(LOG, "access", Kind.BOOLEAN, "Whether each exchange gets a line.", default="true", also=("access_log", "requests")),
)

SECTIONS: Final = {
    section: {key.name: key for key in KEYS if key.section == section} for section in dict.fromkeys(key.section for key in KEYS)
}

_BLOCKS: Final = (Kind.UPSTREAM, Kind.SECTION, Kind.POLICY)


def _single_keys() -> dict[str, Key]:
    found: dict[str, Key] = {}
    for key in SECTIONS[FILE].values():
        if key.kind in _BLOCKS:
            found |= {f"{key.name}.{child.name}": child for child in SECTIONS[key.children].values()}
        elif not key.children:
            found[key.name] = key
    return found


# The keys that stand in the file once and hold no others, by their path: `cors.allow_origins`. A flag or a variable can set these.
SINGLE_KEYS: Final = _single_keys()

# The environment variables that set a key: CORSPROXY_CORS_ALLOW_ORIGINS.
ENVIRONMENT: Final = {"CORSPROXY_" + path.upper().replace(".", "_"): path for path in SINGLE_KEYS}
