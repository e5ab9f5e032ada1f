"""
aiohttp without its HTTP client, which nothing here uses: `import aiohttp` loads it, and with it the certificates of all public authorities.

The package stands there as ever, but its own code runs only when somebody asks for a name that it has from there, as `aiohttp.ClientSession`. It acts when it is imported.
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any, Final

_PACKAGE: Final = "aiohttp"
_VERSION: Final = "__version__"
_NO_CPP: Final = "FROZENLIST_NO_EXTENSIONS"


def spare_client() -> None:
    """Let aiohttp's server be imported without its client, unless both are there already."""
    if _PACKAGE in sys.modules:
        return
    _spare_cpp()
    spec = find_spec(_PACKAGE)
    loader = spec.loader if spec is not None else None
    version = _version(loader.get_source(_PACKAGE) or "") if loader is not None and hasattr(loader, "get_source") else None
    if spec is None or loader is None or version is None:
        return
    package = module_from_spec(spec)

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")
        # `from aiohttp import web` asks for the attribute before it looks for a module of that name.
        if find_spec(f"{_PACKAGE}.{name}") is not None:
            return import_module(f"{_PACKAGE}.{name}")
        vars(package).pop("__getattr__", None)
        loader.exec_module(package)
        return getattr(package, name)

    vars(package).update({_VERSION: version, "__getattr__": find})
    sys.modules[_PACKAGE] = package


def _version(source: str) -> str | None:
    """Read it from the package's source: its own modules want it, and the metadata of packages takes longer to load than all of this saves."""
    line = next((line for line in source.splitlines() if line.startswith(_VERSION)), "")
    return line.partition('"')[2].rstrip('"') or None


def _spare_cpp() -> None:
    """Take frozenlist as Python: nothing but the set-up of an admin application asks it, and its compiled form brings the library of C++ with it."""
    before = os.environ.get(_NO_CPP)
    os.environ[_NO_CPP] = "1"
    try:
        import_module("frozenlist")
    finally:
        if before is None:
            del os.environ[_NO_CPP]
        else:
            os.environ[_NO_CPP] = before


spare_client()
