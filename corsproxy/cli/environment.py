"""The environment variables that speak to corsproxy."""

from collections.abc import Mapping
from typing import Final

from corsproxy.config.load import Override

CONFIG: Final = "CORSPROXY_CONFIG"
# Variable → key path of the file.
KEYS: Final = {
    "CORSPROXY_LISTEN": "listen",
    "CORSPROXY_UPSTREAM_URL": "upstream.url",
    "CORSPROXY_CORS_ALLOW_ORIGINS": "cors.allow_origins",
}
# Kubernetes sets these for a Service that is called corsproxy; they are not meant for us.
_SERVICE_LINKS: Final = ("CORSPROXY_PORT", "CORSPROXY_SERVICE_")


def overrides(environ: Mapping[str, str]) -> dict[str, Override]:
    """Return what the environment sets, by key path. An empty variable sets nothing."""
    return {path: Override(environ[name], f"environment variable {name}") for name, path in KEYS.items() if environ.get(name)}


def strangers(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that look as if they were meant for corsproxy, and are not known."""
    known = {CONFIG, *KEYS}
    return sorted(n for n in environ if n.startswith("CORSPROXY_") and n not in known and not n.startswith(_SERVICE_LINKS))
