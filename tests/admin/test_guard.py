"""Who may ask the admin listener: no web page of another site, by whatever name it leads there."""

import logging
import socket
from pathlib import Path

import pytest

from corsproxy.admin import guard
from corsproxy.config.settings import Listen
from tests.admin.asked import EVERYWHERE, Admin, Told, exposed, in_force
from tests.admin.conftest import AdminFactory
from tests.conftest import ErrorLog
from tests.harness import Client, Response, head

PAGES = [b"/healthz", b"/readyz", b"/readyz?verbose", b"/metrics", b"/config", b"/config?format=json"]
NO_PAGES = [b"/", b"/nothing", b"//evil.example/", b"/healthz/", b"/config?format=xml", b"/-/reload"]


def is_guarded(response: Response) -> None:
    policy = (response.value(b"content-security-policy") or b"").split(b"; ")
    assert {b"default-src 'none'", b"frame-ancestors 'none'", b"base-uri 'none'", b"form-action 'none'"} <= set(policy)
    assert not [each for each in policy if b"unsafe" in each or b"*" in each or b"http" in each]
    assert response.value(b"x-content-type-options") == b"nosniff"
    assert response.value(b"cache-control") == b"no-store"
    assert response.value(b"referrer-policy") == b"no-referrer"
    assert response.value(b"cross-origin-resource-policy") == b"same-origin"
    assert response.value(b"cross-origin-opener-policy") == b"same-origin"
    assert response.values(b"server") == []
    assert response.cors == {}


@pytest.mark.parametrize("target", PAGES + NO_PAGES, ids=str)
async def test_every_answer_is_guarded(admin: Admin, target: bytes) -> None:
    response = await admin.ask(target)

    assert (response.status < 300) == (target in PAGES)
    is_guarded(response)


async def test_refusals_are_guarded_too(admin: Admin) -> None:
    for response in (
        await admin.ask(host=b"evil.example"),
        await admin.ask(b"/metrics", b"Origin: https://evil.example"),
        await admin.ask(b"/-/reload", method=b"POST"),
        await admin.ask(b"/metrics", method=b"DELETE"),
    ):
        assert response.status in (403, 405, 415, 421)
        is_guarded(response)


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:9876", b"a.localhost", b"127.0.0.1:9876", b"10.1.2.3", b"[::1]:9876"], ids=str)
async def test_hosts_that_no_page_can_make_its_own_are_answered(admin: Admin, host: bytes) -> None:
    assert (await admin.ask(host=host)).status == 200


@pytest.mark.parametrize("target", [b"/healthz", b"/readyz", b"/metrics", b"/config", b"/-/reload", b"/nothing"], ids=str)
async def test_a_name_that_a_page_can_make_lead_here_is_answered_nowhere(admin: Admin, target: bytes) -> None:
    for host in (b"evil.example", b"localhost.evil.example:9876", b"127.0.0.1.evil.example", b"1.2.3.4x"):
        response = await admin.ask(target, host=host)
        assert response.status == 421
        assert b"admin.hosts" in response.body


async def test_the_names_of_the_file_are_answered_and_a_reload_changes_them(admin: Admin) -> None:
    admin.told.in_force = in_force('admin: {hosts: [corsproxy-admin, "*.svc.cluster.local"]}\n')
    for host, status in ((b"corsproxy-admin:9876", 200), (b"a.svc.cluster.local", 200), (b"localhost", 200), (b"svc.cluster.local", 421)):
        assert (await admin.ask(host=host)).status == status
    admin.told.in_force = in_force()
    assert (await admin.ask(host=b"corsproxy-admin:9876")).status == 421


async def test_a_health_check_without_a_host_is_answered(admin: Admin) -> None:
    # HAProxy's `option httpchk` sends HTTP/1.0 without one; browsers always send one.
    client = await admin.connect()
    assert (await client.ask(head(b"GET /healthz HTTP/1.0"))).status == 200


async def test_a_unix_socket_answers_for_any_name(start: AdminFactory, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    admin = await start(listen=Listen(unix_path=str(path)))
    client = Client(socket.socket(socket.AF_UNIX))
    with client:
        await client.loop.sock_connect(client.sock, str(path))
        for target in (b"/healthz", b"/config"):
            assert (await client.ask(head(b"GET %b HTTP/1.1" % target, b"Host: whatever"))).status == 200
    await admin.stop()
    assert not path.exists()


# --- other sites ---


@pytest.mark.parametrize(
    "lines",
    [
        (b"Origin: https://evil.example",),
        (b"Origin: null",),
        (b"Origin: http://localhost:3000",),
        (b"Origin: http://localhost:9876.evil.example",),
        (b"Sec-Fetch-Site: cross-site",),
        # A page of another port of this machine is of the same site.
        (b"Sec-Fetch-Site: same-site",),
        (b"Sec-Fetch-Site: nonsense",),
        (b"Sec-Fetch-Site: same-origin", b"Origin: https://evil.example"),
        (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: iframe"),
        (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Dest: script"),
    ],
    ids=str,
)
@pytest.mark.parametrize("target", [b"/healthz", b"/metrics", b"/config"], ids=str)
async def test_requests_of_other_sites_are_refused(admin: Admin, target: bytes, lines: tuple[bytes, ...]) -> None:
    assert (await admin.ask(target, *lines)).status == 403


@pytest.mark.parametrize(
    "lines",
    [
        (b"Sec-Fetch-Site: none", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document"),
        (b"Sec-Fetch-Site: same-origin",),
        (b"Origin: http://localhost:9876", b"Sec-Fetch-Site: same-origin"),
        (b"Origin: HTTP://LOCALHOST:9876",),
        # A link that a person follows.
        (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document"),
    ],
    ids=str,
)
async def test_its_own_pages_people_and_programs_may_ask(admin: Admin, lines: tuple[bytes, ...]) -> None:
    assert (await admin.ask(b"/config", *lines)).status == 200


async def test_a_form_of_another_site_that_is_followed_like_a_link_reloads_nothing(admin: Admin) -> None:
    navigation = (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document")

    assert (await admin.post(b"/-/reload", *navigation)).status == 403
    assert admin.told.reloads == 0


@pytest.mark.parametrize(
    "lines", [(), (b"Content-Type: text/plain",), (b"Content-Type: application/x-www-form-urlencoded",), (b"Content-Type: ,",)], ids=str
)
async def test_what_a_form_can_send_is_no_request_for_a_reload(admin: Admin, lines: tuple[bytes, ...]) -> None:
    assert (await admin.ask(b"/-/reload", *lines, b"Content-Length: 0", method=b"POST")).status == 415
    assert admin.told.reloads == 0


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"], ids=str)
async def test_only_a_post_reloads(admin: Admin, method: bytes) -> None:
    response = await admin.ask(b"/-/reload", method=method)

    assert (response.status, response.value(b"allow")) == (405, b"POST")
    assert admin.told.reloads == 0


# --- other machines ---


async def test_other_machines_get_health_and_metrics_and_nothing_else(start: AdminFactory) -> None:
    admin = await start(listen=EVERYWHERE)
    for target in PAGES:
        response = await admin.ask(target)
        assert response.status == (403 if target.startswith(b"/config") else 200), target
    assert (await admin.post()).status == 403
    assert (await admin.ask(b"/")).status == 403
    assert admin.told.reloads == 0


async def test_what_is_open_to_other_machines_is_said_as_written(start: AdminFactory) -> None:
    # Routing unquotes the path; what is compared must be the same.
    admin = await start(listen=EVERYWHERE)
    for target in (b"/%63onfig", b"/metrics/../config", b"/metrics%2f..%2fconfig", b"http://localhost:9876/config", b"/config;/metrics"):
        response = await admin.ask(target)
        assert response.status in (400, 403, 404), target
        assert b"upstream" not in response.body


async def test_they_get_everything_where_the_file_says_so_from_the_next_request_on(start: AdminFactory) -> None:
    admin = await start(listen=EVERYWHERE)
    assert (await admin.ask(b"/config")).status == 403
    exposed(admin.told)
    assert (await admin.ask(b"/config")).status == 200
    assert (await admin.post()).status == 200
    assert admin.told.reloads == 1


# --- too much ---


async def test_whoever_floods_it_is_held_back_and_health_is_not(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_REQUESTS_PER_S", 0.0)
    client = await admin.connect()
    request = head(b"GET /metrics HTTP/1.1", b"Host: localhost")
    statuses = [(await client.ask(request)).status for _ in range(int(guard._BURST) + 5)]

    assert statuses == [200] * int(guard._BURST) + [429] * 5
    for target in (b"/healthz", b"/readyz"):
        assert (await admin.ask(target)).status == 200


async def test_it_fills_again_with_time(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_REQUESTS_PER_S", 1e9)
    client = await admin.connect()
    request = head(b"GET /metrics HTTP/1.1", b"Host: localhost")

    assert {(await client.ask(request)).status for _ in range(int(guard._BURST) + 5)} == {200}


async def test_a_mistake_of_ours_is_an_answer_and_an_error_in_the_log(start: AdminFactory, quiet_loop: ErrorLog) -> None:
    async def fail() -> None:
        raise RuntimeError("secret detail")

    admin = await start(Told(before=fail))
    response = await admin.ask(b"/metrics")

    assert response.status == 500
    assert b"secret" not in response.body
    is_guarded(response)
    assert {line.splitlines()[0] for line in quiet_loop.lines} == {"internal error: an admin page failed"}
    quiet_loop.lines.clear()


@pytest.mark.parametrize(
    "request_",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /<script>alert(1)</script> HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: %b\r\n\r\n" % (b"x" * 20_000),
        b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * 20_000),
        head(b"GET / HTTP/1.1", b"Host: localhost", *(b"X-%d: 1" % number for number in range(200))),
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ],
    ids=["nonsense", "two-hosts", "version", "long-field", "long-target", "many-fields", "tls"],
)
async def test_what_does_not_parse_gets_a_plain_answer_and_is_no_error_of_ours(admin: Admin, request_: bytes) -> None:
    # The fixture fails this test if anything is logged as an error.
    client = await admin.connect()
    await client.send(request_)
    answer = await client.read_until_close()

    assert answer.split(b" ")[1] in (b"400", b"431")
    assert b"nosniff" in answer
    assert b"script" not in answer.partition(b"\r\n\r\n")[2]
    assert b"xxx" not in answer


async def test_nothing_of_it_goes_to_the_access_log(admin: Admin, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await admin.ask(b"/healthz")
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []
