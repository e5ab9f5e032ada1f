"""The environment variables that speak to corsproxy."""

import difflib
from collections.abc import Mapping
from typing import Final

from corsproxy.config.load import Override
from corsproxy.config.schema import ENVIRONMENT

CONFIG: Final = "CORSPROXY_CONFIG"
# Variable → key path of the file.
KEYS: Final = ENVIRONMENT
# Kubernetes sets these for a Service that is called corsproxy; they are not meant for us.
_SERVICE_LINKS: Final = ("CORSPROXY_PORT", "CORSPROXY_SERVICE_")


def overrides(environ: Mapping[str, str]) -> dict[str, Override]:
    """Return what the environment sets, by key path. An empty variable sets nothing."""
    return {path: Override(environ[name], f"environment variable {name}") for name, path in KEYS.items() if environ.get(name)}


def listed() -> str:
    """Write the variables that are known, one a line, each with the path of the key that it sets; the file's own comes first."""
    known = {CONFIG: "--config", **KEYS}
    width = max(map(len, known))
    return "".join(f"{name:{width}}  {path}\n" for name, path in known.items())


def strangers(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that look as if they were meant for corsproxy, and are not known."""
    known = {CONFIG, *KEYS}
    return sorted(n for n in environ if n.startswith("CORSPROXY_") and n not in known and not n.startswith(_SERVICE_LINKS))


def nearest(stranger: str) -> str:
    """Return the known variable that a misspelt one was most likely meant for, or nothing."""
    return next(iter(difflib.get_close_matches(stranger, [CONFIG, *KEYS], 1, 0.8)), "")
