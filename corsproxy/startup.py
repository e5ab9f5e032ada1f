"""
The last gates before settings take effect, at a start and at a reload.

It knows that certificates must be usable and a file's own tests must hold; it knows neither sockets nor terminals.
"""

from dataclasses import replace

from corsproxy.certificates import check_certificates
from corsproxy.config.diagnostics import Diagnostic
from corsproxy.config.load import Loaded
from corsproxy.config.settings import Settings


def checked(loaded: Loaded) -> Loaded:
    """Try the certificates of what was loaded, and run its tests: the settings are gone if one fails, and the diagnostics say which. Never raises."""
    loaded = check_certificates(loaded)
    failures = tuple(map(loaded.secrets.strike_from, _failures(loaded.settings) if loaded.settings is not None else ()))
    if not failures:
        return loaded
    together = sorted((*loaded.diagnostics, *failures), key=lambda each: (each.line, each.column))
    return replace(loaded, settings=None, diagnostics=tuple(together))


def _failures(settings: Settings) -> tuple[Diagnostic, ...]:
    if not settings.tests:
        return ()
    from corsproxy import policy_tests  # noqa: PLC0415 - it brings the model browser, and most files have no tests

    return policy_tests.run(settings)
