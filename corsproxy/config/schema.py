"""
The one table of keys.

It knows every key of the file: where it stands, what it takes, its default and why, in one line each.
Decoding reads this table; whatever else describes the file (the JSON Schema, the example, the reference page) is made from it
by `tools/sync`. Adding a key is adding a row and saying how it is decoded.
"""

from typing import Final

from corsproxy.config.choices import CorsMode
from corsproxy.config.key import (
    ADMIN,
    BLOCKS,
    COOKIES,
    CORS,
    EXPECT,
    EXTENSION_PREFIX,
    FILE,
    HEADER_RULES,
    HEADERS,
    LIMITS,
    LOG,
    POOL,
    REQUEST_ID,
    ROUTE,
    TESTS,
    TIMEOUTS,
    TLS,
    TRACE,
    UPSTREAM,
    UPSTREAM_TLS,
    Key,
    Kind,
)
from corsproxy.config.keys_admin import ADMIN_KEYS, ADMIN_SECTION
from corsproxy.config.keys_forwarding import CHANGE_KEYS, CLIENT_KEYS, ROUTE_FORWARDING_KEYS, UPSTREAM_HEAD_KEYS
from corsproxy.config.keys_limits import LIMIT_KEYS, RATE_LIMIT_SECTION
from corsproxy.config.keys_log import LOG_KEYS
from corsproxy.config.keys_policy import POLICY_KEYS
from corsproxy.config.keys_process import EXPRESS_KEY, SHUTDOWN_KEYS, SHUTDOWN_SECTION, WORKERS_KEY
from corsproxy.config.keys_tests import TEST_KEYS
from corsproxy.config.keys_tls import TLS_KEYS, TLS_SECTION, UPSTREAM_TLS_SECTION

__all__ = [
    "ADMIN",
    "BLOCKS",
    "COOKIES",
    "CORS",
    "ENVIRONMENT",
    "EXPECT",
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
    "TESTS",
    "TIMEOUTS",
    "TLS",
    "TRACE",
    "UPSTREAM",
    "UPSTREAM_TLS",
    "Key",
    "Kind",
]

_ROUTES_EXAMPLE: Final = """\
- path: /public
  cors: {allow_origins: "*"}
- path: /reports
  upstream: http://localhost:9001
  timeouts: {response: 10m}
- path: /legacy
  upstream:
    url: https://legacy.internal:8443
    tls:  # for https upstreams; without it, the system's authorities and the URL's host
      ca_file: /certs/legacy-ca.pem  # instead of the system's authorities
      server_name: legacy  # SNI, and the name in its certificate
      cert_file: /certs/client.pem  # to show to the upstream (mTLS)
      key_file: /certs/client.key
      dangerously_skip_verify: false  # true: any certificate is taken
- path: /v1
  hosts: [v1.example.net]  # for these hosts alone; such routes come first
  upstream: http://localhost:9002
  strip_prefix: true  # the upstream gets the rest of the path
  headers: {request: {set: {X-Stage: test}}}  # after the file's
  cookies: {path: keep}
  redirects: keep
- path: /upload
  limits: {request_body: 1GiB, body_idle_timeout: 5m}  # a route may set these two
- path: /internal
  cors: none  # no CORS at all: cross-origin requests that carry Origin are refused
- path: /already-cors
  cors: passthrough  # the upstream does CORS itself"""

_TESTS_EXAMPLE: Final = """\
- {origin: https://app.example.com, method: PUT, path: /orders/1, headers: [Content-Type], expect: allow}
- {origin: https://app.example.com, credentials: false, headers: [X-Debug], expect: deny}
- {origin: https://evil.example, path: /orders, expect: refused}
- {host: localhost, method: GET, path: /, expect: allow}  # no origin: what is no page's script
- origin: https://app.example.com
  expect:
    response: {Access-Control-Allow-Origin: https://app.example.com, Vary: Origin, X-Debug: null}"""

KEYS: Final = (
    Key(
        FILE,
        "listen",
        Kind.ADDRESSES,
        'Where to accept connections: `host:port`; `:port` for all interfaces; `"[::1]:port"`; `unix:/path`. Port 0 takes any free port. A unix socket gets mode 0660.',
        default="127.0.0.1:8080",
        precedent="uvicorn listens on loopback; 8080 is the usual port of proxies",
        example=":8080",
        also=("bind", "address", "addr", "host", "port", "listener", "listeners"),
        is_reloadable=False,
        comment='host:port, :port (all interfaces), "[::1]:port", unix:/run/corsproxy.sock, or a list of them',
        flag="--listen",
    ),
    WORKERS_KEY,
    Key(
        FILE,
        "public_url",
        Kind.ORIGIN_URLS,
        "How browsers reach the proxy: scheme, host and port, without a path. It tells same-origin requests from cross-origin ones where the "
        "browser does not say which it is (no `Sec-Fetch-Site`); without it, the request's Host does. It also is the default of `hosts`.",
        precedent="Grafana `root_url`, Keycloak `hostname`",
        example="https://api.example.com",
        also=("base_url", "external_url", "public_urls", "root_url"),
        comment="how browsers reach the proxy, one or a list; without it: from the Host field",
    ),
    Key(
        FILE,
        "hosts",
        Kind.HOSTS,
        'The Host names that are answered, `"*.example.net"` for any subdomain, `"*"` for any; requests for others get 421 before anything else is looked at.',
        precedent="Django `ALLOWED_HOSTS`, nginx `server_name`",
        example='[api.example.com, "*.example.net", localhost]',
        also=("allowed_hosts", "trusted_hosts", "server_name", "server_names", "hostnames", "hostname", "domains"),
        implied="by `public_url` and `listen`",
        lead=(
            'Host names that are answered, others get 421 (DNS rebinding); "*" = any. Default: localhost names, IP addresses and the hosts of public_url;\n'
            "without public_url, where other machines can connect, any, with a warning."
        ),
    ),
    Key(
        FILE,
        "via",
        Kind.BOOLEAN,
        (
            "Whether requests carry `Via: 1.1 corsproxy`; one that has been here already then gets 508. nginx compresses nothing for a request with "
            "Via unless `gzip_proxied` says so: `false` leaves the field out, and loops are not found."
        ),
        default="true",
        precedent="RFC 9110 7.6.3 asks it of every gateway; Caddy sends it",
        also=("add_via", "via_header"),
        comment="false: no Via on requests; loops are then not found",
    ),
    *CLIENT_KEYS,
    TLS_SECTION,
    Key(
        FILE,
        "upstream",
        Kind.UPSTREAM,
        "The API to stand in front of, for every path that no route takes.",
        children=UPSTREAM,
        precedent="nginx `upstream`",
        example="http://localhost:9000",
        also=("backend", "target", "proxy_pass", "reverse_proxy", "to", "origin", "upstreams", "destination", "proxy", "service"),
        lead="The API to stand in front of; `upstream: http://localhost:9000` is short for this. A path is put before the request's.",
    ),
    Key(
        FILE,
        "timeouts",
        Kind.SECTION,
        "How long the upstream may take.",
        children=TIMEOUTS,
        precedent="Envoy route timeouts",
        also=("timeout",),
        comment="towards the upstream; a route may override single ones",
    ),
    Key(
        FILE,
        "cors",
        Kind.POLICY,
        "The default policy, for the upstream and for every route that has no `cors` of its own.",
        children=CORS,
        choices=tuple(CorsMode),
        precedent="Istio `corsPolicy`",
        also=("policy", "cors_policy", "cors_options", "globalcors"),
        lead="Who may call from a page on another origin, and how. The policy of every route that names none.",
    ),
    Key(
        FILE,
        "policies",
        Kind.POLICIES,
        "Policies with a name, for `cors: NAME` in routes and at the top level.",
        children=CORS,
        default="{}",
        example="{partners: {allow_origins: [https://a.partner.example]}}",
        also=("cors_policies",),
        comment="named policies, for `cors: NAME` in routes",
        block="partners:\n  allow_origins: [https://a.partner.example, https://b.partner.example]",
    ),
    *CHANGE_KEYS,
    Key(
        FILE,
        "limits",
        Kind.SECTION,
        "What one client may take.",
        children=LIMITS,
        precedent="nginx `client_max_body_size` and its neighbours",
        also=("limit",),
        comment="what one client may take",
    ),
    RATE_LIMIT_SECTION,
    Key(
        FILE,
        "routes",
        Kind.ROUTES,
        "Paths with an upstream, a policy, timeouts or limits of their own; the longest matching path wins, on segment boundaries.",
        children=ROUTE,
        default="[]",
        precedent="nginx `location`",
        also=("paths", "locations", "route", "rules"),
        comment="the longest matching path prefix wins, on segment boundaries",
        block=_ROUTES_EXAMPLE,
    ),
    Key(
        FILE,
        "tests",
        Kind.TESTS,
        "Requests, and what must become of each: run at the start and before a reload takes effect.",
        children=TESTS,
        default="[]",
        precedent="Prometheus tests its rules beside them; a policy is reviewed like code",
        also=("test", "policy_tests", "examples", "checks", "assertions"),
        comment="examples that must hold, or the file does not take effect",
        block=_TESTS_EXAMPLE,
    ),
    ADMIN_SECTION,
    Key(
        FILE,
        "log",
        Kind.SECTION,
        "What is logged, and how.",
        children=LOG,
        also=("logging", "logs"),
    ),
    SHUTDOWN_SECTION,
    EXPRESS_KEY,
    Key(
        UPSTREAM,
        "url",
        Kind.URL,
        "`http://host:port`, `https://host`, `unix:/path` or `unix:/path:/base`. A path is put before the request's. User names, queries and fragments are errors.",
        example="http://localhost:9000",
        also=("uri", "address", "host", "target", "server"),
        is_required=True,
        comment="http, https, unix:/run/app.sock or unix:/run/app.sock:/base",
        is_live=True,
        flag="--upstream",
    ),
    *UPSTREAM_HEAD_KEYS,
    UPSTREAM_TLS_SECTION,
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
        (
            "How often a request is sent once more, 0 to 10. Only where the connection could not be made, or where one that had been used before "
            "closed without a byte of an answer and the request is GET, HEAD or OPTIONS without a body. Never after a timeout."
        ),
        default="1",
        precedent="Pingora and Caddy try once more where nothing was sent",
        least=0,
        most=10,
        also=("retry", "max_retries", "attempts"),
        comment="only where nothing was sent, or where sending twice does no harm; 0 = never",
    ),
    *POLICY_KEYS,
    *LIMIT_KEYS,
    *TLS_KEYS,
    Key(
        ROUTE,
        "path",
        Kind.PATH,
        "The prefix of the paths that the route takes: `/api` takes `/api` and `/api/…`, not `/apis`. Capitals count.",
        example="/api",
        also=("prefix", "match", "location", "paths", "uri", "url"),
        is_required=True,
    ),
    Key(
        ROUTE,
        "upstream",
        Kind.UPSTREAM,
        "The upstream of this route: it replaces the file's block as a whole.",
        children=UPSTREAM,
        example="http://reports.internal:8000",
        also=("backend", "target", "proxy_pass", "reverse_proxy", "to", "destination"),
        implied="the file's",
    ),
    Key(
        ROUTE,
        "cors",
        Kind.POLICY,
        "The policy of this route: it replaces the file's as a whole.",
        children=CORS,
        choices=tuple(CorsMode),
        example="none",
        also=("policy", "cors_policy", "cors_options"),
        implied="the file's",
    ),
    Key(
        ROUTE,
        "timeouts",
        Kind.SECTION,
        "Single timeouts of this route; the others are the file's.",
        children=TIMEOUTS,
        also=("timeout",),
        implied="the file's",
    ),
    *ROUTE_FORWARDING_KEYS,
    Key(
        ROUTE,
        "limits",
        Kind.SECTION,
        "`request_body` and `body_idle_timeout` only: the others act before a route is known.",
        children=LIMITS,
        also=("limit",),
        implied="the file's",
    ),
    *LOG_KEYS,
    *SHUTDOWN_KEYS,
    *ADMIN_KEYS,
    *TEST_KEYS,
)

SECTIONS: Final = {
    section: {key.name: key for key in KEYS if key.section == section} for section in dict.fromkeys(key.section for key in KEYS)
}


def _single_keys(section: str = FILE, prefix: str = "") -> dict[str, Key]:
    found: dict[str, Key] = {}
    for key in SECTIONS[section].values():
        if key.kind in BLOCKS:
            found |= _single_keys(key.children, f"{prefix}{key.name}.")
        elif not key.children and key.kind is not Kind.FIELDS:
            found[prefix + key.name] = key
    return found


# The keys that stand in the file once and hold no others, by their path: `cors.allow_origins`. A flag or a variable can set these.
SINGLE_KEYS: Final = _single_keys()

# The environment variables that set a key: CORSPROXY_CORS_ALLOW_ORIGINS.
ENVIRONMENT: Final = {"CORSPROXY_" + path.upper().replace(".", "_"): path for path in SINGLE_KEYS}
