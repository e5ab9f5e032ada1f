"""The admin listener for tests."""

from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

import pytest

from corsproxy.admin import pages
from corsproxy.config.settings import Listen
from tests.admin.asked import LOOPBACK, Admin, Told
from tests.conftest import ErrorLog


class AdminFactory(Protocol):
    def __call__(self, told: Told | None = None, listen: Listen = LOOPBACK) -> Awaitable[Admin]: ...


@pytest.fixture(autouse=True)
def readiness_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every request for readiness ask anew, however soon it comes."""
    monkeypatch.setattr(pages, "_READINESS_LIFETIME_S", 0.0)


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
