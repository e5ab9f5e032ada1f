"""
The settings of a running proxy: frozen, complete, valid.

A reload builds new ones and swaps one reference; an exchange keeps the settings it began with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from corsproxy.config.choices import CorsMode, LogFormat, LogLevel, Redirects
from corsproxy.config.diagnostics import Span
from corsproxy.config.expectations import PolicyTest
from corsproxy.config.rates import RateLimit
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.policy import CorsPolicy
from corsproxy.memo import Kept
from corsproxy.semantics.cookies import CookieRules, PathMap
from corsproxy.semantics.forwarded import ForwardedMode
from corsproxy.semantics.networks import UNIX, Network, trusts_in
from corsproxy.semantics.rules import NO_RULES, HeaderRules, compile_rules


@dataclass(frozen=True, slots=True)
class Listen:
    """
    One address to listen on: host and port, or the path of a unix socket.

    `host` is "" for all interfaces; IPv6 without brackets. `port` 0 takes any free port.
    """

    host: str = ""
    port: int = 0
    unix_path: str = ""

    def __str__(self) -> str:
        """Write the address as the file would."""
        if self.unix_path:
            return f"unix:{self.unix_path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """
    TLS towards clients. Files are in PEM; an empty name is no file.

    With a `client_ca_file` clients are asked for a certificate; `requires_client_certificate`: without a valid one, only preflights
    pass. `digest` stands for the content of the files, once they were read: other content is another value.
    """

    cert_file: str
    key_file: str
    client_ca_file: str = ""
    requires_client_certificate: bool = False
    min_version: str = "1.2"
    digest: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HostRules:
    """
    Which Host names are answered; any other gets 421 (DNS rebinding).

    `names` are exact and lower-case, `suffixes` begin with a dot and stand for any subdomain. `any_host` answers all;
    `loopback` answers localhost, its subdomains and IP literals. `by_listen`: the file says nothing of hosts, so the addresses
    to listen on decide.
    """

    names: frozenset[bytes] = frozenset()
    suffixes: tuple[bytes, ...] = ()
    any_host: bool = False
    loopback: bool = False
    by_listen: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What one client may take. Sizes in bytes, timeouts in seconds; None is "auto" for `connections`.

    `body_idle_timeout`: no progress although something is owed by the client, or waits for it. Both it and
    `request_body` may differ by route.
    """

    # Precedents: nginx large_client_header_buffers 4 x 8 KiB, Envoy 60 KiB and 100 headers, Node 16 KiB.
    request_line: int = 16 * 1024
    request_head: int = 64 * 1024
    header_count: int = 100
    response_head: int = 128 * 1024
    # Envoy's edge advice: less than half of the file descriptors, for each connection may need one upstream.
    connections: int | None = None
    in_flight: int = 4000
    # Precedents: Caddy and Apache 30 to 60 s, nginx 60 s; AWS load balancers idle at 60 s and must be the first to hang up.
    header_timeout: float = 30.0
    keep_alive_timeout: float = 75.0
    # Open WebSockets. Precedent: half of what may be in flight, for each holds two sockets for as long as it likes.
    tunnels: int = 2000


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """The limits that a route may set: `request_body` in bytes (None: no limit), `body_idle_timeout` in seconds."""

    request_body: int | None = None
    body_idle_timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """
    Seconds.

    `connect`: DNS, TCP and TLS. `response`: from the last request byte written to the response head.
    `idle`: the upstream owes response bytes and sends none, or takes no request bytes. `tunnel_idle`: no byte either way in a WebSocket.
    """

    # Precedents: Envoy 5 s, nginx 60 s (proxy_read_timeout), Envoy 300 s (stream_idle_timeout), Envoy 1 h (tcp_proxy idle_timeout).
    connect: float = 5.0
    response: float = 60.0
    idle: float = 300.0
    tunnel_idle: float = 3600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the file something was written. Line and column count from 1; line 0 is "no file"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Write it as compilers do."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


KEEP_COOKIES: Final = CookieRules()


@dataclass(frozen=True, slots=True)
class PolicyPlaces:
    """
    Where the parts of a policy are written, for people who ask which line decided, and what to write instead.

    `cors` is the key that holds the policy or names its mode. `keys` are the policy's own keys as far as they are written, `values` what
    stands behind them, and behind a `cors` that names a mode; `items` are the entries of lists, in order. `body` is the mapping.
    """

    cors: Span
    keys: Mapping[str, Span] = field(default_factory=dict, hash=False)
    values: Mapping[str, Span] = field(default_factory=dict, hash=False)
    items: Mapping[str, tuple[Span, ...]] = field(default_factory=dict, hash=False)
    body: Span | None = None

    @property
    def origins(self) -> tuple[Span, ...]:
        """The entries of `allow_origins`."""
        return self.items.get("allow_origins", ())


@dataclass(frozen=True, slots=True)
class Route:
    """
    One route: requests whose path begins with `path` (on a segment boundary) go to `upstream` under `cors`.

    `path` is in normal form, begins with `/`, and ends without a slash unless it is the root.
    `policy_name` is what the file calls the policy: a name of `policies`, "cors" for the default one, "" for one of its own.
    `hosts` are those that the route is for; it is for any if none is named. `paths` says what is done to a path on its way.
    """

    path: bytes
    upstream: Upstream
    cors: CorsPolicy | CorsMode
    timeouts: Timeouts = Timeouts()
    policy_name: str = ""
    place: Place = Place("")
    limits: RouteLimits = RouteLimits()
    # Two policies are the same wherever they are written.
    places: PolicyPlaces | None = field(default=None, compare=False, repr=False)
    hosts: tuple[str, ...] = ()
    strip_prefix: bool = False
    request_headers: HeaderRules = NO_RULES
    response_headers: HeaderRules = NO_RULES
    cookies: CookieRules = KEEP_COOKIES
    redirects: Redirects = Redirects.REWRITE
    paths: PathMap = field(init=False, repr=False, compare=False, default=PathMap())
    kept: Kept = field(init=False, repr=False, compare=False, default_factory=Kept)

    def __post_init__(self) -> None:
        """Say once what is done to every path."""
        stripped = self.path if self.strip_prefix and self.path != b"/" else b""
        object.__setattr__(self, "paths", PathMap(self.upstream.path, stripped))


@dataclass(frozen=True, slots=True)
class RouteTable:
    """
    The routes of each host, those that are for it before those that are for any, each part as in `Settings.routes`.

    `exact` by host; `suffixes` begin with a dot, longest first; `anywhere` for every other host.
    """

    anywhere: tuple[Route, ...]
    exact: dict[bytes, tuple[Route, ...]] = field(default_factory=dict)
    suffixes: tuple[tuple[bytes, tuple[Route, ...]], ...] = ()


def build_table(routes: tuple[Route, ...]) -> RouteTable:
    """Sort routes by the hosts that they are for: an exact name before the wildcards that cover it, the longest of those first."""
    anywhere = tuple(route for route in routes if not route.hosts)
    names = {host for route in routes for host in route.hosts}
    wildcards = sorted((name for name in names if name.startswith("*.")), key=lambda name: (-len(name), name))

    def of(*hosts: str) -> tuple[Route, ...]:
        """Return the routes of some hosts, the first host's first, and then those of any."""
        return (*dict.fromkeys(route for host in hosts for route in routes if host in route.hosts), *anywhere)

    def covering(name: str) -> list[str]:
        return [wildcard for wildcard in wildcards if name.endswith(wildcard[1:]) and name != wildcard]

    return RouteTable(
        anywhere,
        {name.encode(): of(name, *covering(name)) for name in names if not name.startswith("*.")},
        tuple((wildcard[1:].encode(), of(wildcard, *covering(wildcard))) for wildcard in wildcards),
    )


@dataclass(frozen=True, slots=True)
class ForwardingSettings:
    """
    What the upstream is told of a client and of a request.

    `trusted` are the networks, and "unix", whose forwarding fields are believed: `trusts` tells it of a peer. `request_id_header` is the field
    of the request's name; `trusts_request_id`: a well-formed one of the client's is kept. `begins_trace`: `traceparent` is made where none came.
    `ids` takes off whatever a server could read as that field.
    """

    mode: ForwardedMode = ForwardedMode.X_FORWARDED
    trusted: tuple[Network | str, ...] = ()
    request_id_header: bytes = b"X-Request-Id"
    trusts_request_id: bool = True
    begins_trace: bool = False
    trusts: Callable[[str], bool] = field(init=False, repr=False, compare=False)
    ids: HeaderRules = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the look-up."""
        object.__setattr__(self, "ids", compile_rules([self.request_id_header]))
        networks = tuple(each for each in self.trusted if not isinstance(each, str))
        object.__setattr__(self, "trusts", trusts_in(networks, unix=UNIX in self.trusted))


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    format: LogFormat = LogFormat.AUTO
    level: LogLevel = LogLevel.INFO
    access: bool = True


@dataclass(frozen=True, slots=True)
class Shutdown:
    """How a proxy ends, in seconds: `delay` while it still accepts, then `grace` for what is in flight."""

    delay: float = 0.0
    # Below Kubernetes' 30 s of terminationGracePeriodSeconds.
    grace: float = 25.0


# Precedent: uvicorn listens on loopback; 8080 is what reverse proxies use where 80 is not theirs.
DEFAULT_LISTEN: Final = Listen("127.0.0.1", 8080)
# Precedent: Envoy's 9901 and HAProxy's 9999 are the admin's of others, who may stand beside.
DEFAULT_ADMIN: Final = Listen("127.0.0.1", 9876)


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """
    Where operators look: health, metrics, a reload.

    `listen` is None where it is off. `hosts` are the Host names that are answered. `dangerously_expose_admin`: everything is served, also on an
    address that other machines can reach.
    """

    listen: Listen | None = DEFAULT_ADMIN
    hosts: HostRules = HostRules(loopback=True)
    dangerously_expose_admin: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Everything that a proxy runs by.

    `own_origins` are the origins of `public_url`, serialized. `routes` are sorted so that the first match is the
    longest: by falling length of path; the implicit route of the top-level `upstream` comes last. `table` sorts them by host. `default_cors` and
    `default_places` are the top-level `cors`: it also speaks for paths that no route matches. `pseudonym` names this very proxy in Via; b"" writes none.
    `express`: plain exchanges take the express lane. `workers` is how many processes serve; None: one for each usable CPU.
    """

    routes: tuple[Route, ...]
    listen: tuple[Listen, ...] = (DEFAULT_LISTEN,)
    own_origins: tuple[bytes, ...] = ()
    default_cors: CorsPolicy | CorsMode | None = None
    hosts: HostRules = HostRules(any_host=True)
    pseudonym: bytes = b"corsproxy"
    tls: ServerTls | None = None
    forwarding: ForwardingSettings = ForwardingSettings()
    limits: Limits = Limits()
    rate_limit: RateLimit | None = None
    log: LogSettings = field(default_factory=LogSettings)
    admin: AdminSettings = AdminSettings()
    express: bool = True
    tests: tuple[PolicyTest, ...] = ()
    workers: int | None = 1
    shutdown: Shutdown = Shutdown()
    default_places: PolicyPlaces | None = field(default=None, compare=False, repr=False)
    table: RouteTable = field(init=False, repr=False, compare=False)
    # A reload begins with an empty one.
    kept: Kept = field(init=False, repr=False, compare=False, default_factory=Kept)

    def __post_init__(self) -> None:
        """Sort the routes by host once."""
        object.__setattr__(self, "table", build_table(self.routes))
