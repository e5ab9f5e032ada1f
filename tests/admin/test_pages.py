"""What the admin's pages say, and with which status."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.admin import pages
from corsproxy.admin.sources import Check, Readiness
from corsproxy.changes import ReloadOutcome
from corsproxy.config.diagnostics import diagnostic
from corsproxy.config.effective import effective, to_json, to_yaml
from corsproxy.config.load import load_text
from corsproxy.observe.metrics import render
from tests.admin.asked import EVERYWHERE, POLICY, Admin, Told, exposed, for_ever, in_force
from tests.admin.conftest import AdminFactory
from tests.harness import Response, until

BAD = load_text(POLICY.replace("allow_origins", "allow_orgins"), "policy.yaml").diagnostics
SECRET = "hush-hush-hush"


def said(response: Response) -> Any:
    assert response.value(b"content-type") == b"application/json; charset=utf-8"
    return json.loads(response.body)


def refused(*diagnostics: Any) -> ReloadOutcome:
    return ReloadOutcome(ok=False, diagnostics=diagnostics, needs_restart=(), changed=False, time=1.0)


# --- health ---


async def test_whoever_is_alive_says_so_whatever_else_is_wrong(admin: Admin) -> None:
    admin.told.readiness = Readiness((Check("listening", ok=False),))
    response = await admin.ask(b"/healthz")

    assert (response.status, response.body) == (200, b"ok\n")
    assert response.value(b"content-type") == b"text/plain; charset=utf-8"


async def test_a_head_request_gets_no_body(admin: Admin) -> None:
    response = await admin.ask(b"/healthz", method=b"HEAD")
    assert (response.status, response.value(b"content-length")) == (200, b"3")


async def test_ready_is_only_who_meets_every_condition(admin: Admin) -> None:
    assert (await admin.ask(b"/readyz")).body == b"ready\n"
    admin.told.readiness = Readiness(
        (Check("listening", ok=True), Check("not draining", ok=False, text="it is draining"), Check("x", ok=False))
    )
    response = await admin.ask(b"/readyz")

    assert (response.status, response.body) == (503, b"not ready: it is draining, x\n")


@pytest.mark.parametrize("query", [b"verbose", b"verbose=1", b"verbose=", b"a=b&verbose"], ids=str)
async def test_verbose_says_why_and_what_is_only_worth_knowing_changes_nothing(admin: Admin, query: bytes) -> None:
    information = (Check("last reload", ok=False, text="refused, with 2 errors"), Check("upstream http://a", ok=True, text="1 connection"))
    admin.told.readiness = Readiness((Check("listening", ok=True), Check("not draining", ok=False, text="it is draining")), information)
    response = await admin.ask(b"/readyz?" + query)

    assert response.status == 503
    assert response.body.decode().splitlines() == [
        "[+] listening",
        "[-] not draining: it is draining",
        "[!] last reload: refused, with 2 errors",
        "[+] upstream http://a: 1 connection",
        "not ready: it is draining",
    ]
    admin.told.readiness = replace(admin.told.readiness, checks=(Check("listening", ok=True),))
    assert (await admin.ask(b"/readyz?" + query)).status == 200


async def test_who_asks_in_one_moment_gets_one_answer(start: AdminFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_READINESS_LIFETIME_S", 3600.0)
    asked: list[None] = []
    may_answer = asyncio.Event()

    async def ask() -> None:
        asked.append(None)
        await may_answer.wait()

    admin = await start(Told(before=ask))
    requests = [asyncio.ensure_future(admin.ask(b"/readyz")) for _ in range(5)]
    await until(lambda: sum(each.is_busy for each in admin.server._connections) == 5)
    may_answer.set()

    assert {response.status for response in await asyncio.gather(*requests)} == {200}
    assert len(asked) == 1
    assert (await admin.ask(b"/readyz?verbose")).status == 200
    assert len(asked) == 1


async def test_other_machines_hear_of_no_upstream(start: AdminFactory) -> None:
    admin = await start(listen=EVERYWHERE)
    admin.told.readiness = Readiness((Check("listening", ok=True),), (Check("upstream http://legacy.internal", ok=False),))
    response = await admin.ask(b"/readyz?verbose")

    assert (response.status, response.body) == (200, b"[+] listening\nready\n")
    exposed(admin.told)
    assert b"legacy.internal" in (await admin.ask(b"/readyz?verbose")).body


# --- metrics ---

ACCEPTS = [
    b"",
    b"text/plain",
    b"text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    b"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
    b"application/openmetrics-text",
    b"application/openmetrics-text;version=x.y",
    b"application/openmetrics-text;version=",
    b"application/openmetrics-text;version=1.0.0;escaping=<script>",
    b",;,=;",
]


@pytest.mark.parametrize("accept", ACCEPTS, ids=str)
async def test_metrics_come_in_the_form_that_is_asked_for(admin: Admin, accept: bytes) -> None:
    response = await admin.ask(b"/metrics", *((b"Accept: " + accept,) if accept else ()))
    body, media_type = render(admin.told.snapshot, accept.decode())

    assert (response.status, response.body) == (200, body)
    assert (response.value(b"content-type") or b"").decode() == media_type
    assert b"corsproxy_in_flight_requests 3.0\n" in response.body
    assert response.body.endswith(b"# EOF\n") == media_type.startswith("application/openmetrics-text")


# --- what is in force ---


async def test_what_is_in_force_is_what_the_command_prints(admin: Admin) -> None:
    root = admin.told.in_force.loaded.root
    assert root is not None
    response = await admin.ask(b"/config")

    assert response.body.decode() == to_yaml(effective(root))
    assert response.value(b"content-type") == b"text/plain; charset=utf-8"
    assert (await admin.ask(b"/config?format=yaml")).body == response.body
    assert said(await admin.ask(b"/config?format=json")) == to_json(effective(root))
    assert (await admin.ask(b"/config?format=toml")).status == 400


@pytest.mark.parametrize("target", [b"/config", b"/config?format=json"], ids=str)
async def test_secrets_do_not_show(admin: Admin, target: bytes) -> None:
    extra = 'headers: {request: {set: {X-Key: "${KEY}", X-Also: "a ${KEY} b"}}}\nhosts: ["${KEY}.example"]\n'
    admin.told.in_force = in_force(extra, {"KEY": SECRET})
    body = (await admin.ask(target)).body

    assert SECRET.encode() not in body
    assert body.count(b"${KEY}") == 3


async def test_nor_in_what_is_said_of_an_upstream(admin: Admin) -> None:
    admin.told.in_force = in_force('hosts: ["${KEY}.example"]\nheaders: {request: {set: {X-Key: "${KEY}"}}}\n', {"KEY": SECRET})
    admin.told.readiness = Readiness(
        (Check("listening", ok=True),), (Check(f"upstream http://{SECRET}.example", ok=False, text=f"no {SECRET}"),)
    )
    body = (await admin.ask(b"/readyz?verbose")).body

    assert SECRET.encode() not in body
    assert b"[!] upstream http://${KEY}.example: no ${KEY}\n" in body


async def test_a_value_that_waits_for_a_restart_is_marked(admin: Admin) -> None:
    admin.told.in_force = in_force(
        "listen: [127.0.0.1:1, 127.0.0.1:2]\ntls: {cert_file: /a, key_file: /b}\n", needs_restart=("listen", "tls")
    )
    body = (await admin.ask(b"/config")).body.decode()

    assert body.startswith(
        "# listen: needs a restart; the value of the start is in force\n# tls: needs a restart; the value of the start is in force\nlisten:"
    )
    found = said(await admin.ask(b"/config?format=json"))
    assert {path for path, value in found.items() if value.get("needs_restart")} == {
        path for path in found if path == "listen" or path.startswith("tls.")
    }


# --- reload ---


async def test_a_reload_says_what_came_of_it(admin: Admin) -> None:
    admin.told.outcome = replace(admin.told.outcome, needs_restart=("listen",))
    response = await admin.post()

    assert response.status == 200
    assert said(response) == {
        "file": "policy.yaml",
        "ok": True,
        "changed": True,
        "needs_restart": ["listen"],
        "diagnostics": [],
        "report": "",
    }
    assert admin.told.reloads == 1


async def test_a_refusal_names_every_problem_for_programs_and_for_people(admin: Admin) -> None:
    admin.told.outcome = refused(*BAD)
    response = await admin.post()
    found = said(response)

    assert response.status == 422
    assert (found["ok"], [each["code"] for each in found["diagnostics"]]) == (False, [each.problem.code for each in BAD])
    assert (found["diagnostics"][0]["line"], found["diagnostics"][0]["help"]) == (2, "did you mean `allow_origins`?")
    assert " --> policy.yaml:2:8\n" in found["report"]
    assert "^^^^^^^^^^^^" in found["report"]


@pytest.mark.parametrize(
    ("problem", "status"),
    [(problems.NOTHING_TO_RELOAD, 409), (problems.INTERNAL_ERROR, 500), (problems.TLS_FILE_UNREADABLE, 422)],
    ids=["nothing", "internal", "tls"],
)
async def test_the_status_tells_whose_fault_it_is(admin: Admin, problem: problems.Problem, status: int) -> None:
    admin.told.outcome = refused(diagnostic(problem, None, "it is so"))
    response = await admin.post()

    assert response.status == status
    assert "it is so" in said(response)["report"]


async def test_a_proxy_that_ends_reloads_nothing_any_more(start: AdminFactory) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    admin = await start(Told(before=cancelled))
    response = await admin.post()

    assert (response.status, response.body) == (503, b"the proxy is ending, and nothing is reloaded any more\n")


@pytest.mark.parametrize("target", [b"/readyz", b"/metrics", b"/-/reload"], ids=str)
async def test_nobody_waits_for_ever(start: AdminFactory, monkeypatch: pytest.MonkeyPatch, target: bytes) -> None:
    monkeypatch.setattr(pages, "_PATIENCE_S", 0.01)
    admin = await start(Told(before=for_ever))
    response = await (admin.post() if target == b"/-/reload" else admin.ask(target))

    assert (response.status, response.body) == (503, b"no answer in time\n")
