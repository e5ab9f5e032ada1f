"""
The danger: an upstream's URL is a secret, and a connection that fails names its host in the log.

The promise: the log has the reason, and for the address what the file has in its place.
"""

import socket
from pathlib import Path

import pytest

from corsproxy.config.load import load_text
from corsproxy.config.upstreams import Upstream
from tests.conftest import ProxyFactory
from tests.harness import get, route

SECRET = "hidden-host"


def secret_upstream(tmp_path: Path, url: str) -> Upstream:
    (tmp_path / "url").write_text(url)
    settings = load_text(f'upstream: "${{file:{tmp_path}/url}}"\ncors: none\n', "f").settings
    assert settings is not None
    return settings.routes[0].upstream


async def failure(proxy: ProxyFactory, upstream: Upstream) -> str:
    front = await proxy(route(upstream))
    assert (await front.ask(get())).status == 502
    (record,) = await front.recorded()
    assert record.upstream == upstream.url
    return record.failure


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), ConnectionRefusedError(111, "refused"), OSError(f"no route to {SECRET}")]
)
async def test_a_connection_that_fails_does_not_name_it(
    proxy: ProxyFactory, tmp_path: Path, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(_: object) -> None:
        raise error

    monkeypatch.setattr("corsproxy.gateway.pool.UpstreamPool._resolve", resolve)
    said = await failure(proxy, secret_upstream(tmp_path, f"http://{SECRET}:9"))

    assert f"${{file:{tmp_path}/url}}" in said
    assert SECRET not in said
