"""Notices: what an operator should know of exchanges, each said once."""

import logging
from typing import Final

from corsproxy.observe.details import details
from corsproxy.problems import Severity
from corsproxy.rewrite import Notice

_log = logging.getLogger("corsproxy")

# An upstream that makes names up must not make the memory, or the log, grow.
MAX_SAID: Final = 256
_LEVELS: Final = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.NOTE: logging.INFO}


class Notices:
    """Says each notice once: the same problem of the same route and subject is not said again."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str, str]] = set()

    def add(self, notices: tuple[Notice, ...]) -> None:
        """Say those that were not said yet; beyond a bound, nothing more."""
        for notice in notices:
            key = (notice.problem.code, notice.route, notice.subject)
            if key in self._said or len(self._said) >= MAX_SAID:
                continue
            self._said.add(key)
            _log.log(_LEVELS[notice.problem.severity], "%s %s", notice.problem.code, notice.text, extra=details(notice.problem))

    def forget(self) -> None:
        """Begin anew: under another configuration what was said may have been mended, or not."""
        self._said.clear()
