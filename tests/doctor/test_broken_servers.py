"""The doctor names what is wrong with each broken server, and nothing about one that is not."""

import asyncio
import ssl
from dataclasses import dataclass, field

import aiohttp
import pytest

from corsproxy.cli.doctor_visits import Manner, origin_of, visit
from corsproxy.cors.browser import BrowserRequest, CredentialsMode
from corsproxy.doctor import faults
from corsproxy.doctor.judge import Diagnosis, diagnose
from corsproxy.doctor.seen import Step
from tests.doctor.servers import ORIGIN, Asked, Script, Told, good, on, serving, with_, without

CONTENT_TYPE = ((b"Content-Type", b"application/json"),)
INCLUDE = CredentialsMode.INCLUDE
ACAO, ACAC = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"


def preflights(asked: Asked) -> bool:
    return asked.is_preflight


def others(asked: Asked) -> bool:
    return not asked.is_preflight


def any_of(asked: Asked) -> bool:
    return "origin" in asked.fields


def errors(asked: Asked) -> bool:
    return asked.path.startswith("/corsproxy-doctor")


def revalidations(asked: Asked) -> bool:
    return "if-none-match" in asked.fields


@dataclass(frozen=True)
class Case:
    """A broken server, the call that meets it, and what the doctor has to name, first of all."""

    script: Script
    fault: faults.Fault
    method: bytes = b"PUT"
    headers: tuple[tuple[bytes, bytes], ...] = CONTENT_TYPE
    credentials: CredentialsMode = CredentialsMode.OMIT
    origin: str = ORIGIN
    works: bool = field(default=False)


def reflecting(asked: Asked) -> Told:
    """Whatever origin asks is allowed, and `Vary` is right."""
    origin = asked.fields.get("origin")
    fields = (("Vary", "Origin"), *(((ACAO, origin), (ACAC, "true")) if origin else ()))
    return Told(404 if errors(asked) else 204 if asked.is_preflight else 200, (*fields, ("Access-Control-Allow-Methods", "PUT")))


def redirecting(target: str) -> Script:
    return on(others, lambda told: told._replace(status=302, fields=(*told.fields, ("Location", target))))


CASES = {
    "nothing at all": Case(lambda _: Told(), faults.ACAO_MISSING),
    "another origin": Case(on(any_of, lambda told: with_(told, (ACAO, "https://other.example"))), faults.ACAO_MISMATCH),
    "a slash at the end": Case(on(any_of, lambda told: with_(told, (ACAO, f"{ORIGIN}/"))), faults.ACAO_MISMATCH),
    "two lines": Case(on(others, lambda told: told._replace(fields=(*told.fields, (ACAO, ORIGIN)))), faults.ACAO_DUPLICATE),
    "a list": Case(on(any_of, lambda told: with_(told, (ACAO, f"{ORIGIN}, https://b.example"))), faults.ACAO_LIST),
    "a star with credentials": Case(on(any_of, lambda told: with_(told, (ACAO, "*"))), faults.WILDCARD_ORIGIN, credentials=INCLUDE),
    "credentials in capitals": Case(on(any_of, lambda told: with_(told, (ACAC, "True"))), faults.CREDENTIALS, credentials=INCLUDE),
    "no credentials": Case(on(any_of, lambda told: without(told, ACAC)), faults.CREDENTIALS, credentials=INCLUDE),
    "a login on OPTIONS": Case(on(preflights, lambda _: Told(401, (("WWW-Authenticate", "Basic"),))), faults.PREFLIGHT_UNAUTHORIZED),
    "405 on OPTIONS": Case(on(preflights, lambda _: Told(405)), faults.PREFLIGHT_UNANSWERED),
    "a redirect of OPTIONS": Case(on(preflights, lambda _: Told(301, (("Location", "/other"),))), faults.PREFLIGHT_REDIRECT),
    "500 on OPTIONS": Case(on(preflights, lambda told: told._replace(status=500)), faults.PREFLIGHT_STATUS),
    "the method is missing": Case(on(preflights, lambda told: with_(told, ("Access-Control-Allow-Methods", "GET"))), faults.METHOD_REFUSED),
    "the method in lower case": Case(
        on(preflights, lambda told: with_(told, ("Access-Control-Allow-Methods", "put"))), faults.METHOD_REFUSED
    ),
    "the header is missing": Case(good, faults.HEADER_REFUSED, headers=((b"X-Trace", b"1"),)),
    "a star for headers, with credentials": Case(
        on(preflights, lambda told: with_(told, ("Access-Control-Allow-Headers", "*"))), faults.WILDCARD_LIST, credentials=INCLUDE
    ),
    "a list that does not parse": Case(
        on(preflights, lambda told: with_(told, ("Access-Control-Allow-Headers", "content-type; x"))), faults.LIST_UNPARSABLE
    ),
    "an age that is no number": Case(
        on(preflights, lambda told: with_(told, ("Access-Control-Max-Age", "10m"))), faults.MAX_AGE, works=True
    ),
    "a 500 without the fields": Case(on(others, lambda _: Told(500)), faults.LOST_ON_ERRORS, method=b"GET", headers=()),
    "a 404 without the fields": Case(on(errors, lambda _: Told(404)), faults.ERRORS_HIDDEN, method=b"GET", headers=(), works=True),
    "a 304 without the fields": Case(
        on(revalidations, lambda told: without(told, ACAO)), faults.LOST_ON_304, method=b"GET", headers=(), works=True
    ),
    "no Vary": Case(lambda asked: without(good(asked), "Vary"), faults.VARY_MISSING, method=b"GET", headers=(), works=True),
    "any origin": Case(reflecting, faults.ANY_ORIGIN, method=b"GET", headers=(), credentials=INCLUDE, works=True),
    "nothing is exposed": Case(
        on(others, lambda told: without(told, "Access-Control-Expose-Headers")), faults.NOT_EXPOSED, method=b"GET", headers=(), works=True
    ),
    "a star for exposed headers, with credentials": Case(
        on(others, lambda told: with_(told, ("Access-Control-Expose-Headers", "*"))),
        faults.WILDCARD_EXPOSE,
        method=b"GET",
        headers=(),
        credentials=INCLUDE,
        works=True,
    ),
    "a cookie that stays at home": Case(
        on(others, lambda told: with_(told, ("Set-Cookie", "sid=1"))),
        faults.COOKIE_DROPPED,
        method=b"GET",
        headers=(),
        credentials=INCLUDE,
        works=True,
    ),
    "a resource policy": Case(
        on(others, lambda told: with_(told, ("Cross-Origin-Resource-Policy", "same-origin"))),
        faults.CORP,
        method=b"GET",
        headers=(),
        works=True,
    ),
    "a redirect to where nobody allows it": Case(redirecting("http://localhost:1/"), faults.REFUSED, method=b"GET", headers=()),
    "a redirect with a user name": Case(redirecting("http://me@localhost/"), faults.REDIRECT_REFUSED, method=b"GET", headers=()),
    "redirects without an end": Case(redirecting("/"), faults.REDIRECT_LOOP, method=b"GET", headers=()),
    "no answer": Case(lambda _: None, faults.BROKEN, method=b"GET", headers=()),
}
# What a public page meets at every address of this machine.
ALWAYS = {faults.LOCAL_NETWORK}


async def examine(case: Case, url: str) -> Diagnosis:
    request = BrowserRequest(case.origin.encode(), origin_of(url), case.method, case.headers, case.credentials)
    return diagnose(await visit(request, f"{url}/orders", Manner()))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_it_names_the_fault(case: Case) -> None:
    async with serving(case.script) as url:
        found = await examine(case, url)

    named = [each.fault for each in found.findings if each.fault not in ALWAYS]
    assert named[0] is case.fault
    assert found.works is case.works


@pytest.mark.parametrize(
    ("method", "headers", "credentials"),
    [
        (b"GET", (), CredentialsMode.OMIT),
        (b"GET", (), INCLUDE),
        (b"PUT", CONTENT_TYPE, CredentialsMode.OMIT),
        (b"PUT", (*CONTENT_TYPE, (b"Authorization", b"Bearer x")), INCLUDE),
    ],
)
async def test_it_finds_nothing_wrong_with_a_correct_server(
    method: bytes, headers: tuple[tuple[bytes, bytes], ...], credentials: CredentialsMode
) -> None:
    async with serving(good) as url:
        found = await examine(Case(good, faults.ACAO_MISSING, method, headers, credentials), url)

    assert [each for each in found.findings if each.fault not in ALWAYS] == []
    assert found.works


async def test_a_page_of_this_machine_meets_no_question_about_the_local_network() -> None:
    async with serving(lambda _: Told(200, ((ACAO, "*"),))) as url:
        found = await examine(Case(good, faults.ACAO_MISSING, b"GET", (), origin="http://localhost:5173"), url)

    assert faults.LOCAL_NETWORK not in {each.fault for each in found.findings}
    assert found.works


async def test_a_public_page_is_told_of_the_question_about_the_local_network() -> None:
    async with serving(good) as url:
        found = await examine(Case(good, faults.ACAO_MISSING), url)

    assert {each.fault for each in found.findings} == ALWAYS


async def test_a_page_by_https_sends_nothing_to_plain_http() -> None:
    request = BrowserRequest(ORIGIN.encode(), b"http://api.example.com")
    found = diagnose(await visit(request, "http://api.example.com/", Manner()))

    assert [each.fault for each in found.findings] == [faults.MIXED_CONTENT]
    assert not found.works


async def test_nothing_is_sent_after_a_preflight_that_failed() -> None:
    asked: list[str] = []

    def script(request: Asked) -> Told:
        asked.append(request.method)
        return Told(403)

    async with serving(script) as url:
        await examine(Case(script, faults.PREFLIGHT_UNAUTHORIZED), url)

    assert asked == ["OPTIONS"]


async def test_only_the_preflight_is_sent_where_that_is_asked_for() -> None:
    asked: list[str] = []

    def script(request: Asked) -> Told:
        asked.append(request.method)
        return good(request)

    async with serving(script) as url:
        request = BrowserRequest(ORIGIN.encode(), origin_of(url), b"PUT")
        found = diagnose(await visit(request, url, Manner(sends_request=False)))

    assert asked == ["OPTIONS"]
    assert found.works


async def test_a_server_that_is_not_there() -> None:
    found = await examine(Case(good, faults.REFUSED), "http://localhost:1")

    assert found.findings[0].fault is faults.REFUSED
    assert "refused" in found.findings[0].subject


async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError(None, "name or service not known")

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", fail)
    found = await examine(Case(good, faults.UNRESOLVED, origin="http://localhost"), "http://api.test")

    assert found.findings[0].fault is faults.UNRESOLVED


async def test_a_server_that_never_answers() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    request = BrowserRequest(ORIGIN.encode(), origin_of(url))
    found = diagnose(await visit(request, url, Manner(timeout_s=0.05)))
    server.close()
    await server.wait_closed()

    assert found.findings[0].fault is faults.TIMEOUT


async def test_a_certificate_that_nobody_has_signed(certs: object) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certs}/tls.crt", f"{certs}/tls.key")
    async with serving(good, context) as url:
        found = await examine(Case(good, faults.TLS), url)

    assert found.findings[0].fault is faults.TLS
    assert found.findings[0].subject


async def test_a_websocket_that_opens_for_anybody() -> None:
    def script(_: Asked) -> Told:
        return Told(101, (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "x")))

    async with serving(script) as url:
        seen = await visit(BrowserRequest(ORIGIN.encode(), origin_of(url)), url, Manner(), is_websocket=True)

    found = diagnose(seen)
    assert found.works
    assert {each.fault for each in found.findings} == {faults.WEBSOCKET_ANY_ORIGIN, *ALWAYS}
    assert [each.step for each in seen.seen] == [Step.ACTUAL, Step.STRANGER]


async def test_a_websocket_that_is_refused() -> None:
    async with serving(lambda _: Told(403)) as url:
        request = BrowserRequest(ORIGIN.encode(), origin_of(url))
        found = diagnose(await visit(request, url, Manner(), is_websocket=True))

    assert found.findings[0].fault is faults.WEBSOCKET_REFUSED
    assert not found.works
