"""
Visits to a live server: the preflight and the request as a browser makes them, and a few more that show what the call itself does not.

It sends and writes down; what that means, `corsproxy.doctor` says. Nothing is kept between requests: no cookie, no connection, no cache.
"""

import asyncio
import os
import secrets
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from corsproxy.cors import browser
from corsproxy.cors.browser import BrowserRequest, BrowserResponse, Fields, Reason, Verdict
from corsproxy.doctor.judge import MAX_REDIRECTS, verdict_of
from corsproxy.doctor.seen import Seen, Step, Trouble, Visit
from corsproxy.semantics.websocket import UPGRADE_LINES, VERSION

# Nobody can have it, so nobody can have allowed it (RFC 6761 6.4).
STRANGER: Final = b"https://corsproxy-doctor.invalid"
_USER_AGENT: Final = "corsproxy-doctor"
_KEY: Final = b"Y29yc3Byb3h5LWRvY3RvciE="
# What is read of an answer's body: enough for the connection to end in order, and no download.
_MAX_BODY_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Manner:
    """How to visit: each answer has `timeout_s`; `ca_file` holds authorities besides the system's; `tell` hears what is asked."""

    timeout_s: float = 10.0
    ca_file: str = ""
    sends_request: bool = True
    tell: Callable[[str], None] = lambda _: None


async def visit(request: BrowserRequest, url: str, manner: Manner, *, is_websocket: bool = False) -> Visit:
    """
    Make a call as a browser does, and look around. Raises OSError if `ca_file` cannot be read.

    With a preflight that fails, the request itself is not sent, as no browser would. Redirects are followed, 20 at most.
    """
    context = ssl.create_default_context()
    if manner.ca_file:
        context.load_verify_locations(manner.ca_file)
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    skipped = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, skip_auto_headers=skipped, trust_env=False
    ) as session:
        visitor = _Visitor(session, manner)
        made = Visit(request, url, is_websocket=is_websocket)
        if browser.script_fault(request) is not None:
            return made
        if is_websocket:
            return await visitor.knock(made)
        made = await visitor.call(made)
        return await visitor.look_around(made)


class _Visitor:
    def __init__(self, session: aiohttp.ClientSession, manner: Manner) -> None:
        self._session = session
        self._manner = manner

    async def call(self, visit: Visit) -> Visit:
        """Make the preflight, if one is due, and the request with its redirects."""
        request = visit.request
        if browser.needs_preflight(request) is not None:
            method, fields = browser.preflight(request)
            seen = await self._ask(Step.PREFLIGHT, method, visit.url, fields)
            visit = replace(visit, seen=(*visit.seen, seen))
            verdict = verdict_of(visit, seen)
            if verdict is None or not verdict.ok:
                return visit
        if not self._manner.sends_request:
            return visit
        return await self._follow(visit)

    async def _follow(self, visit: Visit) -> Visit:
        request, url, step = visit.request, visit.url, Step.ACTUAL
        for _ in range(MAX_REDIRECTS + 2):
            seen = await self._ask(step, browser.normalize_method(request.method), url, browser.actual_fields(request))
            visit = replace(visit, seen=(*visit.seen, seen), last=request)
            judged = browser.judge_response(request, seen.response) if seen.response is not None else None
            if seen.response is None or not isinstance(judged, Verdict) or judged.reason is not Reason.REDIRECT:
                break
            try:
                url = urljoin(url, judged.subject.decode("utf-8"))
                parts = urlsplit(url)
                there = origin_of(url)
            except ValueError:
                break
            if not there:
                break
            followed = browser.follow(request, seen.response.status, there, has_userinfo="@" in parts.netloc)
            if isinstance(followed, Verdict):
                break
            request, step = followed, Step.REDIRECTED
        return visit

    async def look_around(self, visit: Visit) -> Visit:
        """Ask what the call itself does not show. All of it is GET, of this URL or one that the server cannot have."""
        actual = visit.find(Step.ACTUAL)
        if actual is None or actual.response is None or not browser.is_cross_origin(visit.request):
            return visit
        seen = [
            await self._ask(Step.STRANGER, b"GET", visit.url, ((b"Origin", STRANGER),)),
            await self._ask(Step.NO_ORIGIN, b"GET", visit.url, ()),
        ]
        origin = (b"Origin", visit.request.origin)
        if (tag := _first(actual.response, b"etag")) is not None:
            seen.append(await self._ask(Step.REVALIDATION, b"GET", visit.url, (origin, (b"If-None-Match", tag))))
        elif (modified := _first(actual.response, b"last-modified")) is not None:
            seen.append(await self._ask(Step.REVALIDATION, b"GET", visit.url, (origin, (b"If-Modified-Since", modified))))
        missing = urljoin(visit.url, f"/corsproxy-doctor-{secrets.token_hex(8)}")
        seen.append(await self._ask(Step.MISSING_PAGE, b"GET", missing, (origin,)))
        # What fails here is no fault of the call.
        return replace(visit, seen=(*visit.seen, *(each for each in seen if each.response is not None)))

    async def knock(self, visit: Visit) -> Visit:
        """Open a WebSocket as a page would, and as a stranger's page would."""
        handshake = (*UPGRADE_LINES, (b"Sec-WebSocket-Key", _KEY), (b"Sec-WebSocket-Version", VERSION))
        first = await self._ask(Step.ACTUAL, b"GET", visit.url, ((b"Origin", visit.request.origin), *handshake))
        second = await self._ask(Step.STRANGER, b"GET", visit.url, ((b"Origin", STRANGER), *handshake))
        return replace(visit, seen=(*visit.seen, first, *((second,) if second.response is not None else ())), last=visit.request)

    async def _ask(self, step: Step, method: bytes, url: str, fields: Fields) -> Seen:
        self._manner.tell(f"{method.decode('latin-1')} {url} ({step.value})")
        sent = [("Accept", "*/*"), ("User-Agent", _USER_AGENT)]
        sent += [(name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in fields]
        seen = Seen(step, method, url, fields)
        try:
            async with asyncio.timeout(self._manner.timeout_s):
                async with self._session.request(
                    method.decode("latin-1"), URL(url, encoded=True), headers=sent, allow_redirects=False
                ) as answer:
                    if answer.status != 101:
                        with suppress(aiohttp.ClientPayloadError):
                            await answer.content.read(_MAX_BODY_BYTES)
                    return replace(seen, response=BrowserResponse(answer.status, tuple(answer.raw_headers)))
        except TimeoutError:
            return replace(seen, trouble=Trouble.TIMEOUT, said=f"{self._manner.timeout_s:g} s")
        except aiohttp.ClientConnectorDNSError as error:
            return replace(seen, trouble=Trouble.UNRESOLVED, said=_reason(error))
        except (aiohttp.ClientConnectorSSLError, aiohttp.ClientConnectorCertificateError, ssl.SSLError) as error:
            return replace(seen, trouble=Trouble.TLS, said=_reason(error))
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            return replace(seen, trouble=Trouble.REFUSED if refused else Trouble.UNREACHABLE, said=_reason(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return replace(seen, trouble=Trouble.BROKEN, said=_reason(error))


def origin_of(url: str) -> bytes:
    """
    Return the serialized origin of an http or https URL; empty for any other. Raises ValueError if it is no URL.

    Spec: HTML #ascii-serialisation-of-an-origin.
    """
    parts = urlsplit(url)
    port = parts.port
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return b""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_default = port in (None, 443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{host}{'' if is_default else f':{port}'}".encode("idna" if not host.isascii() else "ascii")


def _first(response: BrowserResponse, name: bytes) -> bytes | None:
    return next((value for field, value in response.fields if field.lower() == name), None)


def _reason(error: Exception) -> str:
    """Say what the system said, without what Python and aiohttp put around it."""
    cause: BaseException = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, OSError) and isinstance(cause.errno, int) and cause.errno > 0:
        # What event loops say names each address.
        return os.strerror(cause.errno).lower()
    return str(cause) or type(cause).__name__
