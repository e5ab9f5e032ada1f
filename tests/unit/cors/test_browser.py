"""The model browser against the Fetch standard (review draft of June 2026), case by case."""

import ast
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corsproxy.cors import browser
from corsproxy.cors.browser import (
    BrowserRequest,
    BrowserResponse,
    CredentialsMode,
    Fields,
    Outcome,
    PreflightNeed,
    Readable,
    Reason,
    Stage,
    Verdict,
)

APP = b"https://app.example"
API = b"https://api.example"
OK = Verdict(True, Reason.OK)

GET = BrowserRequest(APP, API)
PUT = replace(GET, method=b"PUT")
SAME = BrowserRequest(API, API)


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def no(reason: Reason, subject: bytes = b"") -> Verdict:
    return Verdict(False, reason, subject)


def credentialed(request: BrowserRequest) -> BrowserRequest:
    return replace(request, credentials=CredentialsMode.INCLUDE)


def with_headers(request: BrowserRequest, *names: bytes) -> BrowserRequest:
    return replace(request, headers=tuple((name, b"x") for name in names))


def answer(*fields: tuple[bytes, bytes], status: int = 200) -> BrowserResponse:
    return BrowserResponse(status, fields)


ACAO = (b"Access-Control-Allow-Origin", APP)
ACAO_ANY = (b"Access-Control-Allow-Origin", b"*")
ACAC = (b"Access-Control-Allow-Credentials", b"true")


def acam(value: bytes) -> tuple[bytes, bytes]:
    return (b"Access-Control-Allow-Methods", value)


def acah(value: bytes) -> tuple[bytes, bytes]:
    return (b"Access-Control-Allow-Headers", value)


def aceh(value: bytes) -> tuple[bytes, bytes]:
    return (b"Access-Control-Expose-Headers", value)


def test_the_second_opinion_imports_nothing_of_the_package_but_its_words() -> None:
    tree = ast.parse(Path(browser.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "." for node in imports if isinstance(node, ast.ImportFrom)}

    assert names == {"re", "collections.abc", "dataclasses", "typing", "corsproxy.cors.outcome"}


PAGE, FIRST, OTHER = b"https://page.example", b"https://first.example", b"https://other.example"


@pytest.mark.parametrize(
    ("request_", "status", "to", "origin", "method"),
    [
        (BrowserRequest(PAGE, FIRST), 302, FIRST, PAGE, b"GET"),
        (BrowserRequest(PAGE, FIRST), 302, OTHER, b"null", b"GET"),
        (BrowserRequest(PAGE, FIRST), 302, PAGE, b"null", b"GET"),
        (BrowserRequest(PAGE, PAGE), 302, OTHER, PAGE, b"GET"),
        (BrowserRequest(PAGE, FIRST, b"POST"), 301, FIRST, PAGE, b"GET"),
        (BrowserRequest(PAGE, FIRST, b"POST"), 307, FIRST, PAGE, b"POST"),
        (BrowserRequest(PAGE, FIRST, b"put"), 302, FIRST, PAGE, b"PUT"),
        (BrowserRequest(PAGE, FIRST, b"PUT"), 303, FIRST, PAGE, b"GET"),
        (BrowserRequest(PAGE, FIRST, b"HEAD"), 303, FIRST, PAGE, b"HEAD"),
        (BrowserRequest(PAGE, FIRST, b"POST", stream_body=True), 303, FIRST, PAGE, b"GET"),
    ],
)
def test_a_redirect_is_followed_with_another_origin_and_method(
    request_: BrowserRequest, status: int, to: bytes, origin: bytes, method: bytes
) -> None:
    found = browser.follow(request_, status, to)

    assert isinstance(found, BrowserRequest)
    assert (found.origin, found.url_origin, found.method, found.stream_body) == (origin, to, method, False)


def test_a_redirect_takes_off_what_is_not_for_the_next_server() -> None:
    request = BrowserRequest(PAGE, FIRST, b"POST", ((b"Content-Type", b"a/b"), (b"Authorization", b"x"), (b"X-A", b"1")))

    for status, to, names in [
        (302, FIRST, [b"Authorization", b"X-A"]),
        (307, FIRST, [b"Content-Type", b"Authorization", b"X-A"]),
        (307, OTHER, [b"Content-Type", b"X-A"]),
    ]:
        found = browser.follow(request, status, to)
        assert isinstance(found, BrowserRequest)
        assert [name for name, _ in found.headers] == names


def test_a_redirect_with_a_user_name_or_a_spent_stream_is_not_followed() -> None:
    assert browser.follow(BrowserRequest(PAGE, FIRST), 302, FIRST, has_userinfo=True) == Verdict(False, Reason.REDIRECT_USERINFO, FIRST)
    assert browser.follow(BrowserRequest(PAGE, PAGE), 302, OTHER, has_userinfo=True) == Verdict(False, Reason.REDIRECT_USERINFO, OTHER)
    assert isinstance(browser.follow(BrowserRequest(PAGE, PAGE), 302, PAGE, has_userinfo=True), BrowserRequest)
    streamed = BrowserRequest(PAGE, FIRST, b"POST", stream_body=True)
    assert browser.follow(streamed, 307, FIRST) == Verdict(False, Reason.REDIRECT_STREAM, b"307")


@pytest.mark.parametrize(
    ("page", "there", "is_blocked"),
    [
        (b"https://page.example", b"http://api.example", True),
        (b"https://page.example", b"https://api.example", False),
        (b"https://page.example", b"http://localhost:8080", False),
        (b"https://page.example", b"http://127.0.0.1:8080", False),
        (b"http://page.example", b"http://api.example", False),
        (b"null", b"http://api.example", False),
    ],
)
def test_a_page_that_came_by_https_calls_nothing_by_plain_http(page: bytes, there: bytes, is_blocked: bool) -> None:  # noqa: FBT001
    fault = browser.script_fault(BrowserRequest(page, there))

    assert fault == (Verdict(False, Reason.MIXED_CONTENT, there) if is_blocked else None)


def test_codes_are_stable() -> None:
    assert [reason.value for reason in Reason] == [
        "ok",
        "same-origin",
        "redirect",
        "redirect-userinfo",
        "redirect-stream",
        "invalid-method",
        "forbidden-method",
        "invalid-header",
        "body-not-allowed",
        "mixed-content",
        "stream-over-http1",
        "acao-missing",
        "acao-multiple",
        "acao-mismatch",
        "acao-wildcard-with-credentials",
        "acac-not-true",
        "preflight-redirect",
        "preflight-status",
        "acam-unparsable",
        "acah-unparsable",
        "method-not-allowed",
        "method-wildcard-with-credentials",
        "header-not-allowed",
        "header-wildcard-with-credentials",
        "websocket-status",
        "authorization-not-listed",
    ]
    assert [need.value for need in PreflightNeed] == ["method", "headers", "upload-listener", "stream-body"]
    assert [mode.value for mode in CredentialsMode] == ["omit", "same-origin", "include"]
    assert [stage.value for stage in Stage] == ["script", "preflight", "actual"]


# --- The script's call ------------------------------------------------------------------------------------------------------------------------------


@table(
    {
        "the same serialized origin is the same origin": (API, API, False),
        "another host is another origin": (APP, API, True),
        "another scheme is another origin": (b"http://api.example", API, True),
        "another port is another origin": (b"https://api.example:8443", API, True),
        "a trailing dot is another origin": (b"https://api.example.", API, True),
        "an opaque origin is never the same, not even as itself": (b"null", b"null", True),
    }
)
def test_is_cross_origin(case: Any) -> None:
    origin, url_origin, expected = case

    assert browser.is_cross_origin(BrowserRequest(origin, url_origin)) is expected


@table(
    {
        **{f"{name.decode()} is upper-cased": (name, name.upper()) for name in b"delete get head options post put".split()},
        "patch stays lower-case": (b"patch", b"patch"),
        "mixed case counts": (b"pOsT", b"POST"),
        "an unknown method keeps its case": (b"eGg", b"eGg"),
    }
)
def test_normalize_method(case: Any) -> None:
    method, expected = case

    assert browser.normalize_method(method) == expected


@table(
    {
        "CONNECT is forbidden": (b"CONNECT", True),
        "TRACE is forbidden": (b"TRACE", True),
        "TRACK is forbidden": (b"TRACK", True),
        "in any case": (b"tRaCe", True),
        "a longer name is not": (b"TRACES", False),
        "DELETE is not": (b"DELETE", False),
    }
)
def test_is_forbidden_method(case: Any) -> None:
    method, expected = case

    assert browser.is_forbidden_method(method) is expected


@table(
    {
        **{
            f"{name.decode()} is forbidden": (name, b"x", True)
            for name in (
                b"Accept-Charset Accept-Encoding Access-Control-Request-Headers Access-Control-Request-Method Connection Content-Length Cookie "
                b"Cookie2 Date DNT Expect Host Keep-Alive Origin Referer Set-Cookie TE Trailer Transfer-Encoding Upgrade Via"
            ).split()
        },
        "every name that begins with sec- is forbidden": (b"Sec-Anything", b"x", True),
        "every name that begins with proxy- is forbidden": (b"pROXY-Authorization", b"x", True),
        "the name sec is not": (b"sec", b"x", False),
        "User-Agent is not forbidden any more": (b"User-Agent", b"x", False),
        "Authorization is not": (b"Authorization", b"x", False),
        "Content-Type is not": (b"Content-Type", b"x", False),
        "an override to a forbidden method is": (b"X-HTTP-Method-Override", b"TRACE", True),
        "X-HTTP-Method counts as an override": (b"x-http-method", b"track", True),
        "X-Method-Override counts as an override": (b"X-METHOD-OVERRIDE", b"Connect", True),
        "an override to another method is allowed": (b"X-HTTP-Method-Override", b"DELETE", False),
        "an empty override is allowed": (b"X-HTTP-Method-Override", b"", False),
        "any method of an override list counts": (b"X-HTTP-Method-Override", b"GET,\tTRACE ,PUT", True),
        "a quoted method is no method": (b"X-HTTP-Method-Override", b'"TRACE"', False),
        "a comma within quotes does not split": (b"X-HTTP-Method-Override", b'"a,TRACE,b"', False),
        "an escaped quote does not end the quotes": (b"X-HTTP-Method-Override", b'"a\\",TRACE,b"', False),
        "after the closing quote a comma splits again": (b"X-HTTP-Method-Override", b'"a",TRACE', True),
        "open quotes reach to the end": (b"X-HTTP-Method-Override", b'"a,TRACE', False),
        "open quotes may end in a backslash": (b"X-HTTP-Method-Override", b'TRACE,"a\\', True),
        "the same value under another name is allowed": (b"X-Method", b"TRACE", False),
    }
)
def test_is_forbidden_request_header(case: Any) -> None:
    name, value, expected = case

    assert browser.is_forbidden_request_header(name, value) is expected


@table(
    {
        "a plain GET is legal": (GET, None),
        "an empty method is none": (replace(GET, method=b""), no(Reason.INVALID_METHOD)),
        "a method with a space is none": (replace(GET, method=b"GE T"), no(Reason.INVALID_METHOD, b"GE T")),
        "a method with a line feed at its end is none": (replace(GET, method=b"GET\n"), no(Reason.INVALID_METHOD, b"GET\n")),
        "a forbidden method throws": (replace(GET, method=b"trace"), no(Reason.FORBIDDEN_METHOD, b"trace")),
        "a header name must be a token": (with_headers(GET, b"X Y"), no(Reason.INVALID_HEADER, b"X Y")),
        "a header name must not be empty": (with_headers(GET, b""), no(Reason.INVALID_HEADER, b"")),
        "a line feed within a value throws": (replace(GET, headers=((b"X-A", b"1\n2"),)), no(Reason.INVALID_HEADER, b"X-A")),
        "a carriage return within a value throws": (replace(GET, headers=((b"X-A", b"1\r2"),)), no(Reason.INVALID_HEADER, b"X-A")),
        "a NUL anywhere in a value throws": (replace(GET, headers=((b"X-A", b"1\0"),)), no(Reason.INVALID_HEADER, b"X-A")),
        "white space around a value is cut, not refused": (replace(GET, headers=((b"X-A", b"\n 1\r\n"),)), None),
        "a forbidden header does not throw": (with_headers(GET, b"Cookie"), None),
        "a stream cannot go with GET": (replace(GET, stream_body=True), no(Reason.BODY_NOT_ALLOWED, b"GET")),
        "a stream cannot go with head": (replace(GET, method=b"head", stream_body=True), no(Reason.BODY_NOT_ALLOWED, b"HEAD")),
        "a stream goes with POST": (replace(GET, method=b"POST", stream_body=True), None),
    }
)
def test_script_fault(case: Any) -> None:
    request, expected = case

    assert browser.script_fault(request) == expected


# --- The need of a preflight ------------------------------------------------------------------------------------------------------------------------

UNSAFE_BYTES = [*range(0x09), *range(0x0A, 0x20), *b'"():<>?@[\\]{}\x7f']


@table(
    {
        "accept takes any safe bytes": (b"Accept", b"text/html;q=0.9, */*\t\x80\xff", True),
        "accept takes an empty value": (b"accept", b"", True),
        "accept refuses unsafe bytes": (b"Accept", b"text/html (x)", False),
        "128 bytes pass": (b"Accept", b"a" * 128, True),
        "129 bytes do not": (b"Accept", b"a" * 129, False),
        "accept-language takes its alphabet": (b"Accept-Language", b"de-AT, *;q=0.5 .9", True),
        "accept-language takes an empty value": (b"Accept-Language", b"", True),
        "accept-language refuses a slash": (b"Accept-Language", b"de/at", False),
        "accept-language refuses a tab": (b"Accept-Language", b"de,\ten", False),
        "accept-language refuses an underscore": (b"Accept-Language", b"de_AT", False),
        "accept-language refuses a line feed at its end": (b"Accept-Language", b"de\n", False),
        "content-language follows the same alphabet": (b"CONTENT-LANGUAGE", b"en", True),
        "content-language refuses what lies outside": (b"content-language", b"en@", False),
        "text/plain passes": (b"Content-Type", b"text/plain", True),
        "in any case": (b"content-type", b"Text/PLAIN", True),
        "urlencoded forms pass": (b"Content-Type", b"application/x-www-form-urlencoded", True),
        "multipart forms pass with a boundary": (b"Content-Type", b"multipart/form-data; boundary=----x", True),
        "a parameter without name does no harm": (b"Content-Type", b"text/plain;;=", True),
        "white space before the semicolon is cut": (b"Content-Type", b" text/plain\t ;charset=utf-8", True),
        "a quoted parameter is unsafe": (b"Content-Type", b'text/plain;charset="utf-8"', False),
        "json is not a form type": (b"Content-Type", b"application/json", False),
        "a list of types is no type": (b"Content-Type", b"text/plain, text/plain", False),
        "white space around the slash is no type": (b"Content-Type", b"text /plain", False),
        "an empty type is no type": (b"Content-Type", b"", False),
        "a type without subtype is no type": (b"Content-Type", b"text", False),
        "a closed range passes": (b"Range", b"bytes=0-499", True),
        "an open range passes": (b"range", b"bytes=500-", True),
        "a range of one byte passes": (b"Range", b"bytes=7-7", True),
        "ranges compare as numbers": (b"Range", b"bytes=9-10", True),
        "a reversed range does not pass": (b"Range", b"bytes=10-9", False),
        "a suffix range does not pass": (b"Range", b"bytes=-500", False),
        "a range of nothing does not pass": (b"Range", b"bytes=-", False),
        "two ranges do not pass": (b"Range", b"bytes=0-1,2-3", False),
        "another unit does not pass": (b"Range", b"items=0-1", False),
        "an upper-case unit does not pass": (b"Range", b"Bytes=0-1", False),
        "white space in a range does not pass": (b"Range", b"bytes= 0-1", False),
        "a range with a line feed at its end does not pass": (b"Range", b"bytes=0-1\n", False),
        "any other name does not pass": (b"X-Custom", b"1", False),
        "authorization does not pass": (b"Authorization", b"x", False),
    }
)
def test_is_safelisted_request_header(case: Any) -> None:
    name, value, expected = case

    assert browser.is_safelisted_request_header(name, value) is expected


@pytest.mark.parametrize("name", [b"accept", b"content-type"])
def test_exactly_the_listed_bytes_are_unsafe(name: bytes) -> None:
    found = [byte for byte in range(256) if not browser.is_safelisted_request_header(name, b"text/plain;%c" % byte)]

    assert found == sorted(UNSAFE_BYTES)


SAFE_128 = (b"Accept", b"a" * 128)


@table(
    {
        "no headers": ((), ()),
        "safelisted headers": (((b"Accept", b"*/*"), (b"Content-Type", b"text/plain")), ()),
        "sorted, unique, lower case": (((b"X-B", b"1"), (b"X-A", b"1"), (b"x-b", b"2")), (b"x-a", b"x-b")),
        "one unsafe line makes the name unsafe": (((b"Content-Type", b"text/plain"), (b"Content-Type", b"a/b")), (b"content-type",)),
        "values are judged without the white space around them": (((b"Range", b" bytes=0-1\r\n"),), ()),
        "forbidden headers do not count": (((b"Cookie", b"a=1"), (b"Sec-X", b"1"), (b"X-Method-Override", b"TRACE")), ()),
        "1024 bytes of safelisted values pass": ((SAFE_128,) * 8, ()),
        "1025 bytes make all safelisted names unsafe": (
            (*(SAFE_128,) * 8, (b"Accept-Language", b"*"), (b"X-A", b"1")),
            (b"accept", b"accept-language", b"x-a"),
        ),
        "values of unsafe headers are not added up": ((*(SAFE_128,) * 8, (b"X-A", b"1" * 2000)), (b"x-a",)),
    }
)
def test_unsafe_header_names(case: Any) -> None:
    headers, expected = case

    assert browser.unsafe_header_names(headers) == expected


@table(
    {
        "a simple GET needs none": (GET, None),
        "a simple HEAD needs none": (replace(GET, method=b"HEAD"), None),
        "a simple post needs none": (replace(GET, method=b"post"), None),
        "credentials alone need none": (credentialed(GET), None),
        "a method outside the safelist needs one": (PUT, PreflightNeed.METHOD),
        "OPTIONS is outside the safelist": (replace(GET, method=b"options"), PreflightNeed.METHOD),
        "an unsafe header needs one": (with_headers(GET, b"X-A"), PreflightNeed.HEADERS),
        "a forbidden header needs none": (with_headers(GET, b"Cookie"), None),
        "an upload listener needs one": (replace(GET, method=b"POST", upload_listener=True), PreflightNeed.UPLOAD_LISTENER),
        "a stream needs one": (replace(GET, method=b"POST", stream_body=True), PreflightNeed.STREAM_BODY),
        "the method is named before the headers": (with_headers(PUT, b"X-A"), PreflightNeed.METHOD),
        "same-origin never needs one": (replace(SAME, method=b"PUT", headers=((b"X-A", b"1"),), upload_listener=True), None),
        "an opaque origin needs one even towards itself": (BrowserRequest(b"null", b"null", b"PUT"), PreflightNeed.METHOD),
    }
)
def test_needs_preflight(case: Any) -> None:
    request, expected = case

    assert browser.needs_preflight(request) is expected


# --- What goes on the wire --------------------------------------------------------------------------------------------------------------------------


def test_preflight_without_unsafe_names_has_no_request_headers_line() -> None:
    expected = (b"OPTIONS", ((b"Origin", APP), (b"Access-Control-Request-Method", b"PUT")))

    assert browser.preflight(replace(PUT, method=b"put")) == expected


def test_preflight_lists_unsafe_names_sorted_with_a_bare_comma() -> None:
    method, fields = browser.preflight(with_headers(GET, b"X-B", b"Cookie", b"Accept", b"X-A"))

    assert method == b"OPTIONS"
    assert fields == ((b"Origin", APP), (b"Access-Control-Request-Method", b"GET"), (b"Access-Control-Request-Headers", b"x-a,x-b"))


HTTP_APP, HTTP_API = b"http://app.example", b"http://api.example"


@table(
    {
        "a cross-origin GET carries Origin": (BrowserRequest(APP, HTTP_API), ((b"Origin", APP),)),
        "a same-origin GET carries none": (BrowserRequest(HTTP_API, HTTP_API), ()),
        "a same-origin head carries none": (BrowserRequest(HTTP_API, HTTP_API, b"head"), ()),
        "a same-origin POST carries Origin": (BrowserRequest(HTTP_API, HTTP_API, b"POST"), ((b"Origin", HTTP_API),)),
        "an opaque origin is sent as null": (BrowserRequest(b"null", HTTP_API), ((b"Origin", b"null"),)),
        "the script's headers go as written, without white space around": (
            BrowserRequest(HTTP_API, HTTP_API, headers=((b"X-b", b" X\t"), (b"X-a", b"2"))),
            ((b"X-b", b"X"), (b"X-a", b"2")),
        ),
        "forbidden headers of the script vanish": (
            BrowserRequest(APP, HTTP_API, headers=((b"Origin", b"https://forged.example"), (b"Cookie", b"a=1"), (b"X-A", b"1"))),
            ((b"X-A", b"1"), (b"Origin", APP)),
        ),
    }
)
def test_actual_fields(case: Any) -> None:
    request, expected = case

    assert browser.actual_fields(request) == expected


@table(
    {
        "same origin": (API, API, b"same-origin"),
        "one host, another port is one site": (b"https://api.example:8443", API, b"same-site"),
        "another scheme is another site": (b"http://api.example", API, b"cross-site"),
        "another top-level domain is another site": (b"https://app.test", API, b"cross-site"),
        "an opaque origin is another site": (b"null", API, b"cross-site"),
        "one top-level domain tells nothing": (APP, API, None),
        "plain http gets no field": (HTTP_APP, HTTP_API, None),
        "plain http gets no field, same-origin too": (HTTP_API, HTTP_API, None),
        "localhost is trustworthy": (b"http://localhost", b"http://localhost", b"same-origin"),
        "localhost is one site on all ports": (b"http://localhost:3000", b"http://localhost:8080", b"same-site"),
        "names under localhost are trustworthy": (APP, b"http://api.localhost", b"cross-site"),
        "a name that only ends like localhost is not": (APP, b"http://notlocalhost", None),
        "127.0.0.0/8 is trustworthy": (b"null", b"http://127.1.2.3:80", b"cross-site"),
        "a name that begins like 127.0.0.1 is not": (b"null", b"http://127.0.0.1.example", None),
        "::1 is trustworthy": (b"http://[::1]:3000", b"http://[::1]:8080", b"same-site"),
        "another IPv6 address is not": (b"null", b"http://[::2]", None),
        "another IPv4 address is not": (b"null", b"http://10.0.0.1", None),
        "what is no origin gets no field": (APP, b"api.example", None),
    }
)
def test_sec_fetch_site_is_sent_to_trustworthy_urls_where_it_is_certain(case: Any) -> None:
    origin, url_origin, expected = case

    assert dict(browser.actual_fields(BrowserRequest(origin, url_origin))).get(b"Sec-Fetch-Site") == expected


# --- The CORS check ---------------------------------------------------------------------------------------------------------------------------------


@table(
    {
        "the exact origin is accepted": (GET, answer(ACAO), OK),
        "field names have no case": (GET, answer((b"aCCESS-cONTROL-aLLOW-oRIGIN", APP)), OK),
        "white space around the value is no part of it": (GET, answer((b"Access-Control-Allow-Origin", b" \t" + APP + b" ")), OK),
        "the status does not matter": (GET, answer(ACAO, status=503), OK),
        "a star is accepted without credentials": (GET, answer(ACAO_ANY), OK),
        "a star is accepted with mode omit": (replace(GET, credentials=CredentialsMode.OMIT), answer(ACAO_ANY), OK),
        "nothing is not accepted": (GET, answer(), no(Reason.ACAO_MISSING)),
        "an empty value is not nothing": (GET, answer((ACAO[0], b"")), no(Reason.ACAO_MISMATCH, b"")),
        "another origin is not accepted": (GET, answer((ACAO[0], API)), no(Reason.ACAO_MISMATCH, API)),
        "a trailing slash is not accepted": (GET, answer((ACAO[0], APP + b"/")), no(Reason.ACAO_MISMATCH, APP + b"/")),
        "another case is not accepted": (GET, answer((ACAO[0], APP.upper())), no(Reason.ACAO_MISMATCH, APP.upper())),
        "two lines are not accepted": (GET, answer(ACAO, ACAO), no(Reason.ACAO_MULTIPLE, APP + b", " + APP)),
        "two stars are not accepted": (GET, answer(ACAO_ANY, ACAO_ANY), no(Reason.ACAO_MULTIPLE, b"*, *")),
        "a list is not accepted": (GET, answer((ACAO[0], APP + b"," + API)), no(Reason.ACAO_MULTIPLE, APP + b"," + API)),
        "an opaque origin is accepted as null": (replace(GET, origin=b"null"), answer((ACAO[0], b"null")), OK),
        "null has one case only": (replace(GET, origin=b"null"), answer((ACAO[0], b"Null")), no(Reason.ACAO_MISMATCH, b"Null")),
        "a star covers an opaque origin": (replace(GET, origin=b"null"), answer(ACAO_ANY), OK),
        "credentials need ACAC": (credentialed(GET), answer(ACAO, ACAC), OK),
        "without ACAC credentials fail": (credentialed(GET), answer(ACAO), no(Reason.ACAC_NOT_TRUE)),
        "True is not true": (credentialed(GET), answer(ACAO, (ACAC[0], b"True")), no(Reason.ACAC_NOT_TRUE, b"True")),
        "true twice is not true": (credentialed(GET), answer(ACAO, ACAC, ACAC), no(Reason.ACAC_NOT_TRUE, b"true, true")),
        "a star fails with credentials, ACAC or not": (
            credentialed(GET),
            answer(ACAO_ANY, ACAC),
            no(Reason.ACAO_WILDCARD_WITH_CREDENTIALS, b"*"),
        ),
        "ACAC is ignored without credentials": (GET, answer(ACAO, (ACAC[0], b"no")), OK),
        "ACAC does not mend another origin": (credentialed(GET), answer((ACAO[0], API), ACAC), no(Reason.ACAO_MISMATCH, API)),
    }
)
def test_cors_check(case: Any) -> None:
    request, response, expected = case

    assert browser.cors_check(request, response) == expected


# --- The answer to the preflight --------------------------------------------------------------------------------------------------------------------

X_AB = with_headers(GET, b"X-B", b"X-A")
AUTHORIZED = with_headers(GET, b"Authorization")
LISTENING_PUT = replace(PUT, upload_listener=True)


@table(
    {
        "a listed method is allowed": (PUT, answer(ACAO, acam(b"GET, PUT")), OK),
        "lines add up": (PUT, answer(ACAO, acam(b"GET"), acam(b"PUT")), OK),
        "empty elements and tabs are skipped": (PUT, answer(ACAO, acam(b",\t, PUT\t,")), OK),
        "204 is fine": (PUT, answer(ACAO, acam(b"PUT"), status=204), OK),
        "299 is fine": (PUT, answer(ACAO, acam(b"PUT"), status=299), OK),
        "300 is not": (PUT, answer(ACAO, acam(b"PUT"), status=300), no(Reason.PREFLIGHT_STATUS, b"300")),
        "199 is not": (PUT, answer(ACAO, acam(b"PUT"), status=199), no(Reason.PREFLIGHT_STATUS, b"199")),
        "403 is not, whatever it grants": (PUT, answer(ACAO, acam(b"PUT"), status=403), no(Reason.PREFLIGHT_STATUS, b"403")),
        "304 is no redirect": (PUT, answer(ACAO, status=304), no(Reason.PREFLIGHT_STATUS, b"304")),
        **{
            f"{status} is a redirect": (PUT, answer(status=status), no(Reason.PREFLIGHT_REDIRECT, b"%d" % status))
            for status in (301, 302, 303, 307, 308)
        },
        "the CORS check comes before the status": (PUT, answer(status=403), no(Reason.ACAO_MISSING)),
        "the check uses the real request's credentials": (credentialed(PUT), answer(ACAO, acam(b"PUT")), no(Reason.ACAC_NOT_TRUE)),
        "an unlisted method is not allowed": (PUT, answer(ACAO, acam(b"GET")), no(Reason.METHOD_NOT_ALLOWED, b"PUT")),
        "no list allows no method": (PUT, answer(ACAO), no(Reason.METHOD_NOT_ALLOWED, b"PUT")),
        "methods have case": (replace(GET, method=b"patch"), answer(ACAO, acam(b"PATCH")), no(Reason.METHOD_NOT_ALLOWED, b"patch")),
        "put is compared as PUT": (replace(GET, method=b"put"), answer(ACAO, acam(b"PUT")), OK),
        "a safelisted method needs no list": (X_AB, answer(ACAO, acah(b"x-a,x-b")), OK),
        "a safelisted method is allowed beside any list": (replace(X_AB, method=b"post"), answer(ACAO, acam(b"PUT"), acah(b"x-a,x-b")), OK),
        "a star allows every method": (PUT, answer(ACAO_ANY, acam(b"*")), OK),
        "a star is a name where credentials go": (
            credentialed(PUT),
            answer(ACAO, ACAC, acam(b"*")),
            no(Reason.METHOD_WILDCARD_WITH_CREDENTIALS, b"PUT"),
        ),
        "the method star is listed by that name": (credentialed(replace(GET, method=b"*")), answer(ACAO, ACAC, acam(b"*")), OK),
        "ACAM that is no token list fails": (PUT, answer(ACAO, acam(b"PUT GET")), no(Reason.ACAM_UNPARSABLE, b"PUT GET")),
        "one bad line of ACAM fails": (PUT, answer(ACAO, acam(b"PUT"), acam(b"/")), no(Reason.ACAM_UNPARSABLE, b"PUT, /")),
        "ACAM must parse also where it is not needed": (X_AB, answer(ACAO, acam(b"(")), no(Reason.ACAM_UNPARSABLE, b"(")),
        "ACAH that is no token list fails": (PUT, answer(ACAO, acam(b"PUT"), acah(b"a:b")), no(Reason.ACAH_UNPARSABLE, b"a:b")),
        "beside an upload listener no ACAM allows the method": (LISTENING_PUT, answer(ACAO), OK),
        "beside a stream no ACAM allows the method": (replace(PUT, stream_body=True), answer(ACAO), OK),
        "beside an upload listener an empty ACAM allows none": (
            LISTENING_PUT,
            answer(ACAO, acam(b"")),
            no(Reason.METHOD_NOT_ALLOWED, b"PUT"),
        ),
        "header names are listed in any case": (X_AB, answer(ACAO, acah(b"X-B, X-a")), OK),
        "the first unlisted name is named": (X_AB, answer(ACAO, acah(b"x-a, y")), no(Reason.HEADER_NOT_ALLOWED, b"x-b")),
        "no list allows no header": (X_AB, answer(ACAO), no(Reason.HEADER_NOT_ALLOWED, b"x-a")),
        "an empty list allows no header": (X_AB, answer(ACAO, acah(b"")), no(Reason.HEADER_NOT_ALLOWED, b"x-a")),
        "a safelisted header with an unsafe value must be listed": (
            replace(GET, headers=((b"Content-Type", b"application/json"),)),
            answer(ACAO, acah(b"x-a")),
            no(Reason.HEADER_NOT_ALLOWED, b"content-type"),
        ),
        "a forbidden header needs no listing": (with_headers(PUT, b"Cookie"), answer(ACAO, acam(b"PUT")), OK),
        "the method is judged before the headers": (replace(X_AB, method=b"PUT"), answer(ACAO), no(Reason.METHOD_NOT_ALLOWED, b"PUT")),
        "a star allows every header": (X_AB, answer(ACAO_ANY, acah(b"*")), OK),
        "a star is a header name where credentials go": (
            credentialed(X_AB),
            answer(ACAO, ACAC, acah(b"*, x-a")),
            no(Reason.HEADER_WILDCARD_WITH_CREDENTIALS, b"x-b"),
        ),
        "beside a star listed names still count": (credentialed(X_AB), answer(ACAO, ACAC, acah(b"*, x-a, x-b")), OK),
        "a star does not cover authorization": (
            AUTHORIZED,
            answer(ACAO_ANY, acah(b"*")),
            no(Reason.AUTHORIZATION_NOT_LISTED, b"authorization"),
        ),
        "authorization beside a star is allowed": (AUTHORIZED, answer(ACAO_ANY, acah(b"*,Authorization")), OK),
        "authorization without a star is a header like any other": (
            AUTHORIZED,
            answer(ACAO),
            no(Reason.HEADER_NOT_ALLOWED, b"authorization"),
        ),
    }
)
def test_judge_preflight(case: Any) -> None:
    request, response, expected = case

    assert browser.judge_preflight(request, response) == expected


@table(
    {
        "none means 5": ((), 5),
        "a number is taken": ((b"600",), 600),
        "0 is a number": ((b"0",), 0),
        "white space around is no part of it": ((b" 7\t",), 7),
        "leading zeros are no part of it": ((b"0" * 20 + b"9",), 9),
        "-1 is no number": ((b"-1",), 5),
        "an empty value is no number": ((b"",), 5),
        "a float is no number": ((b"1.5",), 5),
        "a list is no number": ((b"600, 600",), 5),
        "two lines are no number": ((b"600", b"600"), 5),
        "other digits than ASCII are none": (("٣".encode(),), 5),
        "the limit is 2**31": ((b"2147483648",), 2**31),
        "above the limit it is the limit": ((b"2147483649",), 2**31),
        "thousands of digits do not raise": ((b"9" * 5000,), 2**31),
        "thousands of zeros do not raise": ((b"0" * 5000,), 0),
    }
)
def test_max_age(case: Any) -> None:
    values, expected = case

    assert browser.max_age_s(answer(*((b"Access-Control-Max-Age", value) for value in values))) == expected


# --- What the script may read -----------------------------------------------------------------------------------------------------------------------

SAFE = b"cache-control content-language content-length content-type expires last-modified pragma".split()
SAFE_FIELDS = tuple((name.title(), b"1") for name in SAFE)
OTHERS = ((b"ETag", b"1"), (b"X-A", b"1"), (b"Set-Cookie", b"a=1"), (b"set-cookie2", b"a=1"))


def read(request: BrowserRequest, *fields: tuple[bytes, bytes]) -> frozenset[bytes]:
    judged = browser.judge_response(request, answer(*fields))
    assert isinstance(judged, Readable)
    return judged.names


@table(
    {
        "the seven safelisted": (GET, (ACAO, *SAFE_FIELDS, *OTHERS), {*SAFE}),
        "only what is there": (GET, (ACAO, *OTHERS), set()),
        "listed names beside the safelisted": (GET, (ACAO, *SAFE_FIELDS, *OTHERS, aceh(b"etag, X-Absent")), {*SAFE, b"etag"}),
        "lists of several lines add up": (GET, (ACAO, *OTHERS, aceh(b"etag"), aceh(b"x-a")), {b"etag", b"x-a"}),
        "cookies are not exposed by name": (GET, (ACAO, *OTHERS, aceh(b"Set-Cookie, Set-Cookie2, ETag")), {b"etag"}),
        "a star exposes all but cookies": (
            GET,
            (ACAO_ANY, *OTHERS, aceh(b"*")),
            {b"etag", b"x-a", b"access-control-allow-origin", b"access-control-expose-headers"},
        ),
        "a star is a name where credentials go": (credentialed(GET), (ACAO, ACAC, *OTHERS, aceh(b"*, x-a")), {b"x-a"}),
        "that name may exist": (credentialed(GET), (ACAO, ACAC, (b"*", b"1"), aceh(b"*")), {b"*"}),
        "a list that does not parse exposes nothing": (GET, (ACAO, (b"Expires", b"1"), *OTHERS, aceh(b"x-a etag")), {b"expires"}),
        "one bad line spoils the good one": (GET, (ACAO, *OTHERS, aceh(b"x-a"), aceh(b"a b")), set()),
        "same-origin all but cookies, without any grant": (SAME, OTHERS, {b"etag", b"x-a"}),
        "same-origin does not look at the list": (SAME, (*OTHERS, aceh(b"etag")), {b"etag", b"x-a", b"access-control-expose-headers"}),
    }
)
def test_readable_names(case: Any) -> None:
    request, fields, expected = case

    assert read(request, *fields) == expected


def test_readable_fields_keep_status_order_and_bytes() -> None:
    response = answer((b"x-a", b"1"), ACAO, (b"Expires", b"0"), (b"X-A", b" 2"), aceh(b"X-A"), status=404)

    assert browser.judge_response(GET, response) == Readable(404, ((b"x-a", b"1"), (b"Expires", b"0"), (b"X-A", b" 2")))


@table(
    {
        "an unshared answer is not read": (GET, answer(), no(Reason.ACAO_MISSING)),
        "a shared redirect is followed": (GET, answer(ACAO, (b"Location", b"/x"), status=302), Verdict(True, Reason.REDIRECT, b"/x")),
        "a same-origin redirect is followed": (SAME, answer((b"location", b"/x"), status=308), Verdict(True, Reason.REDIRECT, b"/x")),
        "an unshared redirect is not followed": (GET, answer((b"Location", b"/x"), status=302), no(Reason.ACAO_MISSING)),
        "a redirect without Location is a plain answer": (GET, answer(ACAO, status=302), Readable(302, ())),
        "201 with Location is a plain answer": (GET, answer(ACAO, (b"Location", b"/x"), status=201), Readable(201, ())),
        "304 with Location is a plain answer": (GET, answer(ACAO, (b"Location", b"/x"), status=304), Readable(304, ())),
    }
)
def test_judge_response(case: Any) -> None:
    request, response, expected = case

    assert browser.judge_response(request, response) == expected


# --- The whole fetch --------------------------------------------------------------------------------------------------------------------------------


class Server:
    """Answers with what it was given, in order, and remembers what it was asked."""

    def __init__(self, *answers: BrowserResponse) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[bytes, Fields]] = []

    def __call__(self, method: bytes, fields: Fields) -> BrowserResponse:
        self.asked.append((method, fields))
        return self.answers.pop(0)


def test_a_simple_fetch_sends_no_preflight() -> None:
    server = Server(answer(ACAO, (b"Expires", b"0"), (b"ETag", b"1")))

    outcome = browser.fetch(GET, server)

    assert server.asked == [(b"GET", ((b"Origin", APP),))]
    assert outcome == Outcome(OK, Stage.ACTUAL, preflight_sent=False, response=Readable(200, ((b"Expires", b"0"),)))
    assert outcome.ok
    assert outcome.exposed == {b"expires"}


def test_a_fetch_with_a_granted_preflight_sends_both() -> None:
    server = Server(answer(ACAO, acam(b"PUT"), acah(b"x-a"), status=204), answer(ACAO, status=201))

    outcome = browser.fetch(replace(PUT, method=b"put", headers=((b"X-A", b"1"),)), server)

    assert server.asked == [
        (b"OPTIONS", ((b"Origin", APP), (b"Access-Control-Request-Method", b"PUT"), (b"Access-Control-Request-Headers", b"x-a"))),
        (b"PUT", ((b"X-A", b"1"), (b"Origin", APP))),
    ]
    assert outcome == Outcome(OK, Stage.ACTUAL, preflight_sent=True, response=Readable(201, ()))


def test_options_by_script_sends_a_preflight_and_then_options_without_request_method() -> None:
    server = Server(answer(ACAO, acam(b"OPTIONS")), answer(ACAO))

    outcome = browser.fetch(replace(GET, method=b"options"), server)

    assert outcome.ok
    assert server.asked == [
        (b"OPTIONS", ((b"Origin", APP), (b"Access-Control-Request-Method", b"OPTIONS"))),
        (b"OPTIONS", ((b"Origin", APP),)),
    ]


@table(
    {
        "a call that throws sends nothing": (
            replace(GET, method=b"TRACE"),
            (),
            Outcome(no(Reason.FORBIDDEN_METHOD, b"TRACE"), Stage.SCRIPT),
        ),
        "a refused preflight ends it": (
            PUT,
            (answer(ACAO, acam(b"GET")),),
            Outcome(no(Reason.METHOD_NOT_ALLOWED, b"PUT"), Stage.PREFLIGHT, preflight_sent=True),
        ),
        "an actual answer without grant is not read": (
            PUT,
            (answer(ACAO, acam(b"PUT")), answer()),
            Outcome(no(Reason.ACAO_MISSING), Stage.ACTUAL, preflight_sent=True),
        ),
        "a redirect is accepted and not read": (
            GET,
            (answer(ACAO, (b"Location", b"/x"), status=301),),
            Outcome(Verdict(True, Reason.REDIRECT, b"/x"), Stage.ACTUAL),
        ),
    }
)
def test_a_fetch_that_ends_without_a_response(case: Any) -> None:
    request, answers, expected = case
    server = Server(*answers)

    outcome = browser.fetch(request, server)

    assert outcome == expected
    assert outcome.ok is expected.verdict.ok
    assert outcome.exposed == frozenset()
    assert server.answers == []


def test_a_same_origin_fetch_needs_no_grant() -> None:
    server = Server(answer((b"X-A", b"1")))

    outcome = browser.fetch(replace(SAME, method=b"PUT"), server)

    assert server.asked == [(b"PUT", ((b"Origin", API), (b"Sec-Fetch-Site", b"same-origin")))]
    assert outcome == Outcome(
        Verdict(True, Reason.SAME_ORIGIN), Stage.ACTUAL, preflight_sent=False, response=Readable(200, ((b"X-A", b"1"),))
    )
