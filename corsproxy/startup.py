"""
The last gate before settings take effect, at a start and at a reload.

It knows that a file's own tests must hold; it loads nothing, and knows neither sockets nor terminals.
"""

from dataclasses import replace

from corsproxy import policy_tests
from corsproxy.config.load import Loaded


def checked(loaded: Loaded) -> Loaded:
    """Run the tests of what was loaded: the settings are gone if one fails, and the diagnostics say which. Never raises."""
    failures = policy_tests.run(loaded.settings) if loaded.settings is not None else ()
    if not failures:
        return loaded
    together = sorted((*loaded.diagnostics, *failures), key=lambda each: (each.line, each.column))
    return replace(loaded, settings=None, diagnostics=tuple(together))
