"""A proxy on a thread of its own: playwright's synchronous interface holds the main thread's loop."""

import asyncio
import os
import threading
from dataclasses import replace
from typing import Self

from corsproxy.config.load import load_text
from corsproxy.config.render import render
from corsproxy.config.settings import Settings
from corsproxy.gateway.server import Gateway
from corsproxy.record import ExchangeRecord

# `make browser LANE=aiohttp` runs all browser tests on the other lane; twice in each run would take too long.
IS_EXPRESS = os.environ.get("BROWSER_LANE", "express") == "express"


def settings_of(text: str) -> Settings:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, render(loaded.diagnostics)
    return replace(loaded.settings, express=IS_EXPRESS)


class Front:
    """The proxy, and what it recorded."""

    def __init__(self, text: str) -> None:
        self.settings = settings_of(text)
        self.records: list[ExchangeRecord] = []
        self.port = 0
        self._listening = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gateway: Gateway | None = None
        self._ending: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        self._gateway = gateway = Gateway(self.settings, self.records.append)
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self.port = (await gateway.start())[0].port
        self._listening.set()
        await self._ending.wait()
        await gateway.stop()

    def change(self, text: str) -> None:
        """Let another file take effect: one that knows the port."""
        assert self._loop is not None
        assert self._gateway is not None
        self.settings, gateway, changed = settings_of(text), self._gateway, threading.Event()

        def reconfigure() -> None:
            gateway.reconfigure(self.settings)
            changed.set()

        self._loop.call_soon_threadsafe(reconfigure)
        assert changed.wait(10)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._ending is not None
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(10)
