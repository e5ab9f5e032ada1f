"""What the settings say of one upstream: where it is, how it is spoken to, how connections to it are kept."""

from dataclasses import dataclass, field

from corsproxy.config.choices import OriginHeader


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """
    How connections to one upstream are kept.

    `max_connections` None is "auto": as many as exchanges and tunnels there may be. `idle_timeout` and `wait` (for a free
    connection when all are in use) are in seconds.
    """

    max_connections: int | None = None
    # Below the 5 s after which Node, uvicorn and Apache hang up on an idle connection, so that it is ours to close.
    idle_timeout: float = 4.0
    wait: float = 5.0


@dataclass(frozen=True, slots=True)
class ClientTls:
    """
    TLS towards an upstream. Files are in PEM; an empty name is no file.

    `ca_file` stands in the place of the system's authorities, `server_name` (SNI and the name to verify) in that of the URL's host.
    `digest` is as in ServerTls.
    """

    ca_file: str = ""
    server_name: str = ""
    cert_file: str = ""
    key_file: str = ""
    skip_verify: bool = False
    digest: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Upstream:
    """
    One upstream.

    `url` is what people see of it: the text of the file where that refers to a secret. `authority` is the Host field that it gets (RFC 9112 3.2); `path` is put before the request's path, without
    a slash at its end ("" for none); `host` is without brackets, and empty for a unix socket. `tls`: it speaks https, as `client_tls` says. `host_header` is the
    Host that it gets: its own (b""), the client's (None), or a name.
    """

    url: str
    host: str = field(repr=False)
    port: int = field(repr=False)
    authority: bytes = field(repr=False)
    path: bytes = field(default=b"", repr=False)
    tls: bool = False
    unix_path: str = field(default="", repr=False)
    client_tls: ClientTls = ClientTls()
    pool: PoolSettings = PoolSettings()
    # Precedent: Pingora and Caddy try once more where nothing was sent.
    retries: int = 1
    host_header: bytes | None = b""
    origin_header: OriginHeader = OriginHeader.KEEP

    @property
    def origin(self) -> bytes:
        """Its own origin, serialized."""
        return b"%b://%b" % (b"https" if self.tls else b"http", self.authority)
