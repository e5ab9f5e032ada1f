"""The admin listener for tests."""

from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

import pytest

from corsproxy.config.settings import Listen
from tests.admin.asked import LOOPBACK, Admin, Told
from tests.conftest import ErrorLog


class AdminFactory(Protocol):
    def __call__(self, told: Told | None = None, listen: Listen = LOOPBACK) -> Awaitable[Admin]: ...


@pytest.fixture
async def start(quiet_loop: ErrorLog) -> AsyncIterator[AdminFactory]:
    """Start admin listeners; nothing may be left of them, and no error logged."""
    del quiet_loop
    started: list[Admin] = []

    async def starting(told: Told | None = None, listen: Listen = LOOPBACK) -> Admin:
        made = Admin(told or Told(), listen)
        await made.start()
        started.append(made)
        return made

    yield starting
    for made in started:
        await made.stop()


@pytest.fixture
async def admin(start: AdminFactory) -> Admin:
    """An admin listener on loopback."""
    return await start()
