"""
The one table of keys.

It knows every key of the file: where it stands, what it takes, its default and why, in one line each.
Decoding reads this table; whatever else describes the file (a JSON Schema, an example, a reference page) is made from it.
"""

from typing import Final

from corsproxy.config.key import (
    COOKIES,
    CORS,
    EXTENSION_PREFIX,
    FILE,
    HEADER_RULES,
    HEADERS,
    LIMITS,
    LOG,
    POOL,
    REQUEST_ID,
    ROUTE,
    TIMEOUTS,
    TRACE,
    UPSTREAM,
    Key,
    Kind,
)
from corsproxy.config.keys_forwarding import FORWARDING_KEYS, ROUTE_FORWARDING_KEYS
from corsproxy.config.keys_limits import LIMIT_KEYS
from corsproxy.config.keys_policy import POLICY_KEYS
from corsproxy.config.settings import CorsMode, LogFormat, LogLevel

__all__ = [
    "COOKIES",
    "CORS",
    "ENVIRONMENT",
    "EXTENSION_PREFIX",
    "FILE",
    "HEADERS",
    "HEADER_RULES",
    "KEYS",
    "LIMITS",
    "LOG",
    "POOL",
    "REQUEST_ID",
    "ROUTE",
    "SECTIONS",
    "SINGLE_KEYS",
    "TIMEOUTS",
    "TRACE",
    "UPSTREAM",
    "Key",
    "Kind",
]

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
        "hosts",
        Kind.HOSTS,
        'The Host names that are answered, `"*.example.net"` for any subdomain, `"*"` for any; requests for others get 421.',
        precedent="Django `ALLOWED_HOSTS`, nginx `server_name`",
        example='[api.example.com, "*.example.net"]',
        also=("allowed_hosts", "trusted_hosts", "server_name", "server_names", "hostnames", "hostname", "domains"),
    ),
    Key(
        FILE,
        "via",
        Kind.BOOLEAN,
        "Whether requests carry `Via: 1.1 corsproxy`; without it, loops are not found.",
        default="true",
        precedent="RFC 9110 7.6.3 asks it of every gateway; Caddy sends it",
        also=("add_via", "via_header"),
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
        "limits",
        Kind.SECTION,
        "What one client may take.",
        children=LIMITS,
        precedent="nginx `client_max_body_size` and its neighbours",
        also=("limit",),
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
        UPSTREAM,
        "pool",
        Kind.SECTION,
        "How connections to this upstream are kept.",
        children=POOL,
        precedent="nginx `keepalive`",
        also=("connections", "connection_pool", "keepalive"),
    ),
    Key(
        UPSTREAM,
        "retries",
        Kind.COUNT,
        "How often a request is sent once more, where that is sure to be harmless; 0 for never.",
        default="1",
        precedent="Pingora and Caddy try once more where nothing was sent",
        least=0,
        most=10,
        also=("retry", "max_retries", "attempts"),
    ),
    *FORWARDING_KEYS,
    *POLICY_KEYS,
    *LIMIT_KEYS,
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
    *ROUTE_FORWARDING_KEYS,
    Key(ROUTE, "timeouts", Kind.SECTION, "Single timeouts of this route; the others are the file's.", children=TIMEOUTS, also=("timeout",)),
    Key(
        ROUTE,
        "limits",
        Kind.SECTION,
        "`request_body` and `body_idle_timeout` of this route; the other limits act before a route is known.",
        children=LIMITS,
        also=("limit",),
    ),
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


def _single_keys(section: str = FILE, prefix: str = "") -> dict[str, Key]:
    found: dict[str, Key] = {}
    for key in SECTIONS[section].values():
        if key.kind in _BLOCKS:
            found |= _single_keys(key.children, f"{prefix}{key.name}.")
        elif not key.children and key.kind is not Kind.FIELDS:
            found[prefix + key.name] = key
    return found


# The keys that stand in the file once and hold no others, by their path: `cors.allow_origins`. A flag or a variable can set these.
SINGLE_KEYS: Final = _single_keys()

# The environment variables that set a key: CORSPROXY_CORS_ALLOW_ORIGINS.
ENVIRONMENT: Final = {"CORSPROXY_" + path.upper().replace(".", "_"): path for path in SINGLE_KEYS}
