"""
The last head of a connection that was known: what asks again and again asks the same, or differs in a few places.

Nobody but the connection's own client is compared with it, and the connection forgets it when it is idle for a while.
"""

import logging
from typing import Final

from corsproxy.config.settings import Settings
from corsproxy.plan import Connection, Found
from corsproxy.request_layouts import RequestLayouts
from corsproxy.semantics.framing import HEAD_END
from corsproxy.variations import Variation

_log = logging.getLogger("corsproxy")

# A head with more bytes is not kept.
MAX_BYTES: Final = 4096


class LastHead:
    """`size` is how many bytes the head has that was found last."""

    __slots__ = ("_found", "_head", "_misses", "_peer", "_settings", "_variation", "size")

    def __init__(self) -> None:
        self.size = 0
        self.forget()

    def forget(self) -> None:
        """Keep nothing."""
        self._head = b""
        self._found: Found | None = None
        self._settings: Settings | None = None
        self._peer: Connection | None = None
        # In what places the last heads varied; and how many were neither the last one nor such a variation.
        self._variation: Variation | None = None
        self._misses = 0

    def find(self, data: bytes, settings: Settings, peer: Connection) -> Found | None:
        """Return what is known of a request that came, if it has the last head, or one that varies from it."""
        if self._settings is not settings or self._peer is not peer:
            return None
        variation = self._variation
        if variation is not None:
            found = variation.fill(data)
            if found is not None:
                self.size = variation.size
                return found
        if not data.startswith(self._head):
            return None
        self.size = len(self._head)
        return self._found

    def learn(self, data: bytes, size: int, layouts: RequestLayouts, settings: Settings, peer: Connection) -> Found | None:
        """Find what is known of the head that the first bytes are, line by line, and keep it. `layouts` are those of the settings."""
        head = data if size == len(data) else data[:size]
        try:
            found = layouts.find(head[: -len(HEAD_END)], peer)
        except Exception:  # noqa: BLE001 - planned anew, it gets an answer
            _log.exception("internal error")
            return None
        if found is not None and size <= MAX_BYTES:
            self._keep(head, found, layouts, settings, peer)
        return found

    def _keep(self, head: bytes, found: Found, layouts: RequestLayouts, settings: Settings, peer: Connection) -> None:
        """Keep a head, and now and then see in what places it varies from the last one."""
        if self._found is None or self._settings is not settings or self._peer is not peer:
            self.forget()
        else:
            # More and more rarely: what differs in two places once will do so again.
            if not self._misses & (self._misses - 1):
                self._variation = layouts.vary(self._variation, self._found, found, (self._head, head), peer) or self._variation
            self._misses += 1
        self._head, self._found, self._settings, self._peer = head, found, settings, peer
