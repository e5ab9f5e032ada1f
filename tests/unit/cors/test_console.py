# ruff: noqa: RUF001 - the quotation marks are Firefox's own.
"""What consoles say. Chromium's words are held against Chromium in tests/browser; here is which words go with which verdict."""

import pytest

from corsproxy.cors.console import Engine, Failure, messages, rejection
from corsproxy.cors.outcome import BrowserRequest, Reason, Stage, Verdict

PAGE, API, URL = b"https://app.example", b"https://api.example", "https://api.example/x"
REQUEST = BrowserRequest(PAGE, API, b"PUT", ((b"X-Trace", b"1"),))
CHROMIUM = "Access to fetch at 'https://api.example/x' from origin 'https://app.example' has been blocked by CORS policy: "
FIREFOX = "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote resource at https://api.example/x. "
SAFARI = "Fetch API cannot load https://api.example/x due to access control checks."
LOST = "Failed to load resource: net::ERR_FAILED"
PREFLIGHT = "Response to preflight request doesn't pass access control check: "


def failure(reason: Reason, subject: bytes = b"", *, stage: Stage = Stage.ACTUAL, status: int = 200, websocket: bool = False) -> Failure:
    return Failure(REQUEST, URL, stage, Verdict(False, reason, subject), status, websocket)


CASES = {
    "no origin is allowed": (
        failure(Reason.ACAO_MISSING, status=403),
        (CHROMIUM + "No 'Access-Control-Allow-Origin' header is present on the requested resource.", LOST),
        (FIREFOX + "(Reason: CORS header ‘Access-Control-Allow-Origin’ missing). Status code: 403.",),
        ("Origin https://app.example is not allowed by Access-Control-Allow-Origin. Status code: 403", SAFARI),
    ),
    "a preflight is refused: WebKit looks at the status first": (
        failure(Reason.ACAO_MISSING, stage=Stage.PREFLIGHT, status=403),
        (CHROMIUM + PREFLIGHT + "No 'Access-Control-Allow-Origin' header is present on the requested resource.", LOST),
        (FIREFOX + "(Reason: CORS header ‘Access-Control-Allow-Origin’ missing). Status code: 403.",),
        ("Preflight response is not successful. Status code: 403", SAFARI),
    ),
    "another origin is allowed": (
        failure(Reason.ACAO_MISMATCH, b"https://b.example"),
        (
            CHROMIUM + "The 'Access-Control-Allow-Origin' header has a value 'https://b.example' that is not equal to the supplied "
            "origin. Have the server send the header with a valid value.",
            LOST,
        ),
        (FIREFOX + "(Reason: CORS header ‘Access-Control-Allow-Origin’ does not match ‘https://b.example’).",),
        ("Origin https://app.example is not allowed by Access-Control-Allow-Origin. Status code: 200", SAFARI),
    ),
    "what is allowed is no origin": (
        failure(Reason.ACAO_MISMATCH, b"app.example"),
        (
            CHROMIUM + "The 'Access-Control-Allow-Origin' header contains the invalid value 'app.example'. "
            "Have the server send the header with a valid value.",
            LOST,
        ),
        (FIREFOX + "(Reason: CORS header ‘Access-Control-Allow-Origin’ does not match ‘app.example’).",),
        ("Origin https://app.example is not allowed by Access-Control-Allow-Origin. Status code: 200", SAFARI),
    ),
    "a star with credentials": (
        failure(Reason.ACAO_WILDCARD_WITH_CREDENTIALS, b"*"),
        (
            CHROMIUM + "The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' when the "
            "request's credentials mode is 'include'.",
            LOST,
        ),
        (
            (
                "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote resource at ‘https://api.example/x’. "
                "(Reason: Credential is not supported if the CORS header ‘Access-Control-Allow-Origin’ is ‘*’)."
            ),
        ),
        ("Cannot use wildcard in Access-Control-Allow-Origin when credentials flag is true.", SAFARI),
    ),
    "a header is not listed: Safari spells it as the script did": (
        failure(Reason.HEADER_NOT_ALLOWED, b"x-trace", stage=Stage.PREFLIGHT, status=204),
        (CHROMIUM + "Request header field x-trace is not allowed by Access-Control-Allow-Headers in preflight response.", LOST),
        (
            FIREFOX + "(Reason: header ‘x-trace’ is not allowed according to header ‘Access-Control-Allow-Headers’ from CORS preflight "
            "response).",
        ),
        ("Request header field X-Trace is not allowed by Access-Control-Allow-Headers.", SAFARI),
    ),
    "a method is not listed": (
        failure(Reason.METHOD_NOT_ALLOWED, b"PUT", stage=Stage.PREFLIGHT, status=204),
        (CHROMIUM + "Method PUT is not allowed by Access-Control-Allow-Methods in preflight response.", LOST),
        (FIREFOX + "(Reason: Did not find method in CORS header ‘Access-Control-Allow-Methods’).",),
        ("Method PUT is not allowed by Access-Control-Allow-Methods.", SAFARI),
    ),
    "a list does not parse: Firefox names the element": (
        failure(Reason.ACAM_UNPARSABLE, b"GET, P T", stage=Stage.PREFLIGHT),
        (CHROMIUM + "Cannot parse Access-Control-Allow-Methods response header field in preflight response.", LOST),
        (FIREFOX + "(Reason: invalid token ‘P T’ in CORS header ‘Access-Control-Allow-Methods’).",),
        ("Header Access-Control-Allow-Methods has an invalid value: GET, P T", SAFARI),
    ),
    "a star for Authorization: only Firefox says a word, and all let it pass": (
        failure(Reason.AUTHORIZATION_NOT_LISTED, b"authorization", stage=Stage.PREFLIGHT),
        (),
        (
            (
                "Cross-Origin Request Warning: The Same Origin Policy will disallow reading the remote resource at https://api.example/x soon. "
                "(Reason: When the `Access-Control-Allow-Headers` is `*`, the `Authorization` header is not covered. To include the "
                "`Authorization` header, it must be explicitly listed in CORS header `Access-Control-Allow-Headers`)."
            ),
        ),
        (),
    ),
    "a WebSocket": (
        failure(Reason.WEBSOCKET_STATUS, b"403", status=403, websocket=True),
        ("WebSocket connection to 'wss://api.example/x' failed: Error during WebSocket handshake: Unexpected response code: 403",),
        ("Firefox can’t establish a connection to the server at wss://api.example/x.",),
        ("WebSocket connection to 'wss://api.example/x' failed: There was a bad response from the server.",),
    ),
    "a forbidden method": (
        failure(Reason.FORBIDDEN_METHOD, b"TRACE", stage=Stage.SCRIPT),
        ("Uncaught (in promise) TypeError: Failed to execute 'fetch' on 'Window': 'TRACE' HTTP method is unsupported.",),
        ("Uncaught TypeError: Window.fetch: Invalid request method TRACE.",),
        ("Unhandled Promise Rejection: TypeError: Method is forbidden.",),
    ),
    "mixed content": (
        Failure(REQUEST, "http://api.example/x", Stage.SCRIPT, Verdict(False, Reason.MIXED_CONTENT, b"http://api.example")),
        (
            (
                "Mixed Content: The page at 'https://app.example/' was loaded over HTTPS, but requested an insecure resource "
                "'http://api.example/x'. This request has been blocked; the content must be served over HTTPS."
            ),
        ),
        ("Blocked loading mixed active content “http://api.example/x”",),
        ("[blocked] The page at https://app.example/ was not allowed to run insecure content from http://api.example/x.",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_console_speaks_in_its_own_words(case: str) -> None:
    failed, *said = CASES[case]

    assert [messages(failed, engine) for engine in Engine] == said


def test_a_redirect_is_named() -> None:
    failed = Failure(REQUEST, URL, Stage.ACTUAL, Verdict(False, Reason.ACAO_MISSING), 200, redirected_from="https://api.example/old")

    assert "at 'https://api.example/x' (redirected from 'https://api.example/old') from origin" in messages(failed, Engine.CHROMIUM)[0]


@pytest.mark.parametrize("engine", Engine)
def test_what_a_server_sent_cannot_put_words_into_a_mouth(engine: Engine) -> None:
    failed = failure(Reason.ACAO_MULTIPLE, b"METHOD, STATUS, ORIGIN")

    assert all("METHOD, STATUS, ORIGIN" in line for line in messages(failed, engine) if "multiple values" in line)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("engine", Engine)
def test_every_verdict_can_be_told(reason: Reason, engine: Engine) -> None:
    for stage in Stage:
        for line in (*messages(failure(reason, b"v", stage=stage), engine), rejection(failure(reason, b"v", stage=stage), engine)):
            assert not {"SUBJECT", "METHOD", "STATUS", "ORIGIN"} & set(line.replace("'", " ").split())


def test_the_script_is_told_nothing() -> None:
    failed = failure(Reason.ACAO_MISSING)

    assert {engine: rejection(failed, engine) for engine in Engine} == {
        Engine.CHROMIUM: "TypeError: Failed to fetch",
        Engine.FIREFOX: "TypeError: NetworkError when attempting to fetch resource.",
        Engine.SAFARI: "TypeError: Load failed",
    }
    assert "1006" in rejection(failure(Reason.WEBSOCKET_STATUS, websocket=True), Engine.SAFARI)
