"""aiohttp's server, making our client connections."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from corsproxy.gateway._aiohttp import ClientConnection
from corsproxy.gateway.neighbours import Owner

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Front(web.Server):
    """
    aiohttp's server, making ClientConnections.

    `web.Server.__call__` swallows a TypeError from a misspelt option and falls back to defaults for all of them;
    this one does not.
    """

    def __init__(self, handler: Handler, owner: Owner, max_head_bytes: int, **options: Any) -> None:
        # A client that leaves must end its exchange, so that the upstream's work is cancelled too.
        super().__init__(handler, handler_cancellation=True)
        self.owner = owner
        self.max_head_bytes = max_head_bytes
        self.options = options
        self.lingering_s = float(options["lingering_time"])
        self.loop = asyncio.get_running_loop()

    def reconfigure(self, max_head_bytes: int, **options: Any) -> None:
        """Take other options: aiohttp's are those of connections to come, `max_head_bytes` is that of the open ones too."""
        self.max_head_bytes = max_head_bytes
        self.options = options
        self.lingering_s = float(options["lingering_time"])

    def __call__(self) -> ClientConnection:
        """Make the protocol of one connection."""
        return ClientConnection(self, loop=self.loop, **self.options)
