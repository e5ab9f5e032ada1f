"""Who may look at the inspector: behind the admin listener's guard, as every other page, and nothing of it without a ring."""

import asyncio
import json

import pytest

from corsproxy.observe.ring import Ring
from tests.admin.asked import EVERYWHERE, Told, exposed, in_force
from tests.admin.conftest import AdminFactory
from tests.admin.test_guard import is_guarded
from tests.harness import head
from tests.unit.observe.observed import APP, EVIL, preflight, recorded, settings_of

SETTINGS = settings_of()
STREAM = b"/inspector/events"
TARGETS = [
    b"/",
    b"/inspector/inspector.js",
    b"/inspector/inspector.css",
    b"/inspector/icon.svg",
    b"/inspector/exchanges",
    b"/inspector/exchanges/a1-1",
]
SECRETS = [(b"Cookie", b"sid=very-secret"), (b"Authorization", b"Bearer very-secret"), (b"X-Api-Key", b"very-secret")]
CROSS_SITE = [(b"Origin: https://evil.example",), (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: cors"), (b"Sec-Fetch-Site: same-site",)]


@pytest.fixture
def told() -> Told:
    ring = Ring(lambda: SETTINGS, "a1")
    ring.add(recorded(SETTINGS, b"GET", b"/orders?token=very-secret&very-secret", APP, *SECRETS))
    ring.add(recorded(SETTINGS, b"GET", b"http://ada:very-secret@localhost:8080/orders", EVIL, *SECRETS))
    ring.add(preflight(SETTINGS, APP, b"PUT", b"x-trace", target=b"/orders?key=very-secret"))
    return Told(ring=ring)


@pytest.mark.parametrize("target", TARGETS, ids=str)
async def test_every_part_of_it_is_guarded_as_any_other_page(start: AdminFactory, told: Told, target: bytes) -> None:
    admin = await start(told)
    response = await admin.ask(target)

    assert response.status == 200
    is_guarded(response)


@pytest.mark.parametrize("target", [*TARGETS, STREAM], ids=str)
async def test_a_page_of_another_site_gets_none_of_it(start: AdminFactory, told: Told, target: bytes) -> None:
    admin = await start(told)
    for lines in CROSS_SITE:
        assert (await admin.ask(target, *lines)).status == 403
    for host in (b"evil.example", b"localhost.evil.example:9876"):
        assert (await admin.ask(target, host=host)).status == 421


@pytest.mark.parametrize("target", [*TARGETS, STREAM], ids=str)
async def test_other_machines_get_none_of_it(start: AdminFactory, told: Told, target: bytes) -> None:
    admin = await start(told, EVERYWHERE)
    assert (await admin.ask(target, host=b"10.0.0.1:9876")).status == 403


async def test_other_machines_get_it_where_the_file_says_that_they_may(start: AdminFactory, told: Told) -> None:
    exposed(told)
    admin = await start(told, EVERYWHERE)
    assert (await admin.ask(b"/inspector/exchanges", host=b"10.0.0.1:9876")).status == 200


@pytest.mark.parametrize("target", TARGETS, ids=str)
async def test_without_a_ring_there_is_no_inspector(start: AdminFactory, target: bytes) -> None:
    admin = await start(Told())
    assert (await admin.ask(target)).status == 404


async def test_no_secret_is_in_any_of_it(start: AdminFactory, told: Told) -> None:
    admin = await start(told)
    for target in (b"/inspector/exchanges", *(b"/inspector/exchanges/a1-%d" % number for number in (1, 2, 3))):
        response = await admin.ask(target)
        assert response.status == 200
        assert b"very-secret" not in response.body
    shown = json.loads((await admin.ask(b"/inspector/exchanges")).body)["entries"]
    assert [(each["has_cookie"], each["has_authorization"]) for each in shown] == [(True, True), (True, True), (False, False)]


async def test_secrets_of_the_file_are_struck_out(start: AdminFactory, told: Told) -> None:
    told.in_force = in_force("headers: {request: {set: {X-Api-Key: '${KEY}'}}}\n", {"KEY": "evil.example"})
    admin = await start(told)
    for target in (b"/inspector/exchanges", b"/inspector/exchanges/a1-2"):
        assert b"evil.example" not in (await admin.ask(target)).body


async def test_a_stop_ends_the_streams(start: AdminFactory, told: Told) -> None:
    admin = await start(told)
    client = await admin.connect()
    await client.send(head(b"GET %b HTTP/1.1" % STREAM, b"Host: localhost"))
    received = await client.read_until(b"event: exchanges")
    received += await client.read_until(b"\n\n")
    assert b"a1-1" in received
    assert b"very-secret" not in received
    stopping = asyncio.ensure_future(admin.server.stop())
    await client.read_until_close()
    await stopping
