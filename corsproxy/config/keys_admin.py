"""The rows of the table of keys that are about the admin listener."""

from typing import Final

from corsproxy.config.key import ADMIN, FILE, Key, Kind

OFF: Final = "off"

ADMIN_SECTION: Final = Key(
    FILE,
    "admin",
    Kind.SECTION,
    'Health, readiness, metrics and a reload, on an address of their own and never on those of `listen`. `admin: "off"` is short for `listen: "off"` in it.',
    children=ADMIN,
    choices=(OFF,),
    precedent="Envoy `admin`, Caddy `admin`",
    also=("management", "status", "metrics", "health", "healthcheck", "monitoring", "dashboard"),
    comment="health, readiness, metrics, reload; never on the addresses of `listen`",
)

ADMIN_KEYS: Final = (
    Key(
        ADMIN,
        "listen",
        Kind.ADDRESS_OR_OFF,
        'Where operators ask: `host:port`, `:port` for all interfaces, `unix:/path`; `"off"` closes it. On an address that other machines can reach only '
        "`/healthz`, `/readyz` and `/metrics` are served. Where corsproxy runs without a file, a port that is taken is a warning; with one, it does not start.",
        default="127.0.0.1:9876",
        precedent="Caddy's admin listens on loopback",
        also=("address", "addr", "bind", "port", "host", "socket", "enabled"),
        is_reloadable=False,
        comment='"off" closes it; on an address that other machines can reach: health and metrics only',
    ),
    Key(
        ADMIN,
        "hosts",
        Kind.HOSTS,
        'The Host names that it answers besides `localhost`, `*.localhost` and IP addresses: `"*.example.net"` for any subdomain. Others get 421, because a web '
        "page can make its own name lead here (DNS rebinding).",
        precedent="Caddy `admin.origins`",
        example="[corsproxy-admin.internal]",
        also=("allowed_hosts", "origins", "host_names", "trusted_hosts", "names"),
        implied="localhost and IP addresses",
        comment="names that it answers besides localhost and IP addresses",
    ),
    Key(
        ADMIN,
        "dangerously_expose_admin",
        Kind.BOOLEAN,
        "Serves everything, the reload and the live page too, on an address that other machines can reach. Whoever can connect then sees who calls what, and can "
        "make the file be loaded again; there is no password.",
        default="false",
        also=("expose", "insecure", "expose_admin", "public"),
        comment="true: everything, to whoever can connect",
        is_dangerous=True,
    ),
)
