"""What every test shares: the product's event loop, and the wire harness's fixtures."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, Self

import pytest

from corsproxy.config.settings import Route
from tests.certificates import Authority
from tests.harness import LANES, Proxy, Upstream, loopback_settings, route, sockets, until


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that the product runs on."""
    del config, item
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


class ErrorLog(logging.Handler):
    """Collects what is logged as an error, also by loggers that do not propagate."""

    LOGGERS = ("", "corsproxy", "aiohttp", "asyncio")

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def __enter__(self) -> Self:
        for name in self.LOGGERS:
            logging.getLogger(name).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.LOGGERS:
            logging.getLogger(name).removeHandler(self)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Put the faults first, which wait in real time so that the others can fill the gaps, and the browser tests last.

    Playwright's synchronous interface leaves a loop running in its thread until the session ends, so no asynchronous test can
    follow it in the same process. pytest-xdist hands tests out in this order, so none does there either.
    """
    items.sort(key=lambda item: 2 if item.get_closest_marker("browser") is not None else "faults" not in item.path.parts)


@pytest.fixture
async def quiet_loop() -> AsyncIterator[ErrorLog]:
    """Fail a test that leaves a task, a socket or an ERROR record behind. A test that means to cause one clears `lines`."""
    before = sockets()
    with ErrorLog() as log:
        yield log
        this = asyncio.current_task()
        await until(lambda: asyncio.all_tasks() <= {this}, f"tasks are left: {asyncio.all_tasks() - {this}}")
        await until(lambda: sockets() <= before, f"{sockets() - before} sockets are left")
        assert log.lines == []


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the tests of TLS trust."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def certs(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that can stand for `/certs` in the example and in the documents."""
    directory = tmp_path_factory.mktemp("certs")
    served, shown = authority.issue("localhost"), authority.issue("client")
    for name, file in (
        *(("tls.crt", served.cert_file), ("tls.key", served.key_file), ("client.pem", shown.cert_file), ("client.key", shown.key_file)),
        *(("ca.crt", authority.ca_file), ("clients.pem", authority.ca_file), ("legacy-ca.pem", authority.ca_file)),
    ):
        (directory / name).symlink_to(file)
    return directory


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def upstreams(quiet_loop: ErrorLog) -> AsyncIterator[Callable[[], Upstream]]:
    """Make scripted upstreams."""
    del quiet_loop
    made: list[Upstream] = []

    def make() -> Upstream:
        made.append(Upstream())
        return made[-1]

    yield make
    for upstream in made:
        await upstream.stop()


@pytest.fixture
async def upstream(upstreams: Callable[[], Upstream]) -> Upstream:
    return upstreams()


class ProxyFactory(Protocol):
    def __call__(self, *routes: Route, **settings: object) -> Awaitable[Proxy]: ...


@pytest.fixture
async def proxy(lane: str, upstream: Upstream) -> AsyncIterator[ProxyFactory]:
    """Start proxies: with the routes given, or with one to `upstream` under the default policy."""
    started: list[Proxy] = []

    async def start(*routes: Route, **settings: object) -> Proxy:
        chosen: Iterable[Route] = routes or (route(upstream),)
        made = Proxy(lane, loopback_settings(chosen, **settings))
        await made.start()
        started.append(made)
        return made

    yield start
    for made in started:
        await made.stop()


@pytest.fixture
async def front(proxy: ProxyFactory) -> Proxy:
    """A proxy in front of `upstream` under the default policy."""
    return await proxy()
