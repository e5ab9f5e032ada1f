"""The environment variables that speak to corsproxy."""

import re
from collections.abc import Mapping
from typing import Final

from corsproxy.config.load import Override
from corsproxy.config.schema import ENVIRONMENT

CONFIG: Final = "CORSPROXY_CONFIG"
# Variable → key path of the file.
KEYS: Final = ENVIRONMENT
# Kubernetes sets these for a Service that is called corsproxy, or corsproxy-admin and the like; they are not meant for us.
_SERVICE_LINK: Final = re.compile(
    r"CORSPROXY_(?:PORT|SERVICE_).*|CORSPROXY_.+_(?:SERVICE_(?:HOST|PORT(?:_.+)?)|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_.+)?)"
)
# Such a name alone may also be a misspelt one.
_PORT_LINK: Final = re.compile(r"CORSPROXY_.+_PORT")
_PORT_LINK_VALUE: Final = re.compile(r"(?:tcp|udp|sctp)://.*")


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
    return sorted(
        name for name, value in environ.items() if name.startswith("CORSPROXY_") and name not in known and not _is_service_link(name, value)
    )


def _is_service_link(name: str, value: str) -> bool:
    if _SERVICE_LINK.fullmatch(name):
        return True
    return _PORT_LINK.fullmatch(name) is not None and _PORT_LINK_VALUE.fullmatch(value) is not None


def nearest(stranger: str) -> str:
    """Return the known variable that a misspelt one was most likely meant for, or nothing."""
    import difflib  # noqa: PLC0415 - for mistakes alone

    return next(iter(difflib.get_close_matches(stranger, [CONFIG, *KEYS], 1, 0.8)), "")
