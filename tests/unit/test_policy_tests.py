"""The tests that a file brings along: what each word means, and what is said of those that fail."""

import pytest

from corsproxy import policy_tests
from corsproxy.config.load import Override, load_text

HEAD = """\
upstream: http://localhost:9000
cors:
  allow_origins:
    - https://app.example.com
    - https://*.example.net
  allow_credentials: true
policies:
  open: {allow_origins: "*", enforce: false}
routes:
  - {path: /none, cors: none}
  - {path: /pass, cors: passthrough}
  - {path: /open, cors: open}
  - path: /lax
    cors:
      allow_origins: [https://app.example.com]
      allow_methods: [GET, HEAD, POST]
      enforce: false
tests:
"""
OR_ELSE = ", or change what the test expects"

HOLDING = [
    "{origin: https://app.example.com, method: PUT, path: /orders/1, headers: [content-type], expect: allow}",
    "{origin: https://evil.example, path: /orders, expect: refused}",
    "{origin: https://evil.example, path: /orders, expect: deny}",
    "{origin: https://evil.example, method: PUT, expect: refused}",
    "{origin: null, expect: refused}",
    "{origin: https://app.example.com, headers: [X-A], expect: deny}",
    "{origin: https://app.example.com, method: PROPFIND, expect: refused}",
    "{origin: https://app.example.com, path: /none, expect: refused}",
    "{path: /none, expect: allow}",
    "{method: DELETE, path: /none, expect: allow}",
    "{origin: https://evil.example, path: /lax, expect: deny}",
    "{origin: https://app.example.com, path: /lax, expect: allow}",
    "{origin: https://app.example.com, path: /lax, credentials: true, expect: deny}",
    "{origin: https://any.example, path: /open, expect: allow}",
    "{origin: http://localhost:8080, method: POST, expect: allow}",
    "{origin: https://a.example.net, expect: {response: {access-control-allow-origin: https://a.example.net, Vary: Origin}}}",
    "{origin: https://evil.example, expect: {response: {Access-Control-Allow-Origin: null, Content-Type: application/problem+json}}}",
    "{expect: {response: {Vary: Origin, Access-Control-Allow-Credentials: null, Content-Length: 0}}}",
    "{origin: https://any.example, path: /open, expect: {response: {Access-Control-Allow-Origin: '*', Vary: null}}}",
    "{origin: https://app.example.com, websocket: true, expect: allow}",
    "{origin: https://evil.example, websocket: true, expect: refused}",
    "{origin: https://evil.example, path: /lax, websocket: true, expect: refused}",
    "{origin: https://app.example.com, path: /none, websocket: true, expect: refused}",
    "{websocket: true, path: /none, expect: allow}",
    "{origin: https://app.example.com, websocket: true, expect: {response: {Upgrade: websocket}}}",
    "{origin: https://any.example, path: /pass, expect: {response: {Access-Control-Allow-Origin: null, Vary: null}}}",
]
FAILING = {
    "{origin: https://evil.example, websocket: true, expect: allow}": (
        "CP122 19 the WebSocket `GET /` from `https://evil.example` should be `allow`, but the proxy refuses it with 403: no entry of "
        f"`allow_origins` lets `https://evil.example` in (origin-refused) | see `allow_origins` at f:3:3{OR_ELSE}"
    ),
    "{origin: https://evil.example, expect: allow}": (
        "CP122 19 `GET /` from `https://evil.example` should be `allow`, but the proxy refuses it with 403: no entry of `allow_origins` "
        f"lets `https://evil.example` in (origin-refused) | see `allow_origins` at f:3:3{OR_ELSE}"
    ),
    "{origin: https://a.example.net, expect: deny}": (
        "CP122 19 `GET /` from `https://a.example.net` should be `deny`, but it works: the entry `https://*.example.net` of "
        f"`allow_origins` lets `https://a.example.net` in (origin-allowed) | see `allow_origins` at f:5:7{OR_ELSE}"
    ),
    "{origin: https://app.example.com, headers: [X-A], expect: allow}": (
        "CP122 19 `GET /` from `https://app.example.com` with `X-A` should be `allow`, but its preflight fails: `x-a` is not in "
        "`allow_headers`, which is not written here and so is `[content-type]` (preflight-header-refused) "
        f"| see the policy at f:2:1{OR_ELSE}"
    ),
    "{origin: https://app.example.com, headers: [X-A], expect: refused}": (
        "CP122 19 `GET /` from `https://app.example.com` with `X-A` should be `refused`, but the request reaches the upstream, though a "
        "browser would not send it: `x-a` is not in `allow_headers`, which is not written here and so is `[content-type]`, and only "
        f"preflights are held to that (preflight-header-refused) | see the policy at f:2:1{OR_ELSE}"
    ),
    "{origin: https://app.example.com, expect: refused}": (
        "CP122 19 `GET /` from `https://app.example.com` should be `refused`, but the request reaches the upstream: the entry "
        "`https://app.example.com` of `allow_origins` lets `https://app.example.com` in (origin-allowed) "
        f"| see `allow_origins` at f:4:7{OR_ELSE}"
    ),
    "{origin: https://evil.example, path: /lax, expect: refused}": (
        "CP122 19 `GET /lax` from `https://evil.example` should be `refused`, but the request reaches the upstream, though a browser "
        "hides the answer: no entry of `allow_origins` lets `https://evil.example` in, and the policy says `enforce: false` "
        f"(origin-refused) | see `allow_origins` at f:15:7{OR_ELSE}"
    ),
    "{origin: https://app.example.com, method: PUT, path: /lax, expect: refused}": (
        "CP122 19 `PUT /lax` from `https://app.example.com` should be `refused`, but the request reaches the upstream, though a browser "
        "would not send it: `PUT` is not in `allow_methods`, and the policy says `enforce: false` (preflight-method-refused) "
        f"| see `allow_methods` at f:16:7{OR_ELSE}"
    ),
    "{origin: https://app.example.com, path: /lax, credentials: true, expect: allow}": (
        "CP122 19 `GET /lax` from `https://app.example.com` with credentials should be `allow`, but the browser hides the answer: the "
        "call is made with credentials, and the policy does not say `allow_credentials: true` (acac-not-true) "
        f"| see the policy at f:14:5{OR_ELSE}"
    ),
    "{origin: https://app.example.com, path: /lax, credentials: true, expect: refused}": (
        "CP122 19 `GET /lax` from `https://app.example.com` with credentials should be `refused`, but the request reaches the upstream, "
        "though a browser hides the answer: the call is made with credentials, and the policy does not say `allow_credentials: true`, and "
        f"only the browser is held to that (acac-not-true) | see the policy at f:14:5{OR_ELSE}"
    ),
    "{origin: https://app.example.com, headers: [X-A], credentials: false, path: /none, expect: allow}": (
        "CP122 19 `GET /none` from `https://app.example.com` with `X-A` without credentials should be `allow`, but the proxy refuses it "
        f"with 403: the route says `cors: none` (cors-none) | see `cors` at f:10:19{OR_ELSE}"
    ),
    "{path: /none, expect: deny}": (
        "CP122 19 `GET /none` without Origin should be `deny`, but it reaches the upstream: the request carries no Origin, so CORS has no "
        "say in it (no-origin) | change what the test expects"
    ),
    "{expect: {response: {Vary: Accept}}}": (
        "CP122 19 the response to `GET /` without Origin should have `Vary: Accept`, but it has `Vary: Origin`: the request carries no "
        "Origin, so CORS has no say in it (no-origin) | change what the test expects"
    ),
    "{expect: {response: {Vary: null}}}": (
        "CP122 19 the response to `GET /` without Origin should have no `Vary`, but it has `Vary: Origin`: the request carries no Origin, "
        "so CORS has no say in it (no-origin) | change what the test expects"
    ),
    "{expect: {response: {Access-Control-Allow-Origin: '*'}}}": (
        "CP122 19 the response to `GET /` without Origin should have `Access-Control-Allow-Origin: *`, but it has none: the request "
        "carries no Origin, so CORS has no say in it (no-origin) | change what the test expects"
    ),
    "{expect: {response: {Date: now}}}": (
        "CP122 19 the response to `GET /` without Origin should have this `Date`, but it has another `Date`: the request carries no "
        "Origin, so CORS has no say in it (no-origin) | change what the test expects"
    ),
    "{host: evil.example, expect: allow}": (
        "CP121 19 `GET /` at `evil.example` without Origin tests no policy: the proxy answers 421, because this proxy does not answer for "
        "that host | name a host that is served, as `host: localhost`"
    ),
    "{path: /open/..%2fnone, expect: deny}": (
        "CP121 19 `GET /open/..%2fnone` without Origin tests no policy: the proxy answers 400, because the path can be read in more than "
        "one way | name a path that is served, as `path: /none`"
    ),
    "{origin: https://app.example.com, path: /pass, expect: refused}": (
        "CP121 19 `GET /pass` from `https://app.example.com` tests no policy: its route says `cors: passthrough`, so the upstream decides "
        "| take the test out, or give the route a policy"
    ),
}


def outcomes(text: str) -> list[str]:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, loaded.diagnostics
    return [f"{each.problem.code} {each.line} {each.message} | {each.help}" for each in policy_tests.run(loaded.settings)]


@pytest.mark.parametrize("test", HOLDING)
def test_what_holds_says_nothing(test: str) -> None:
    assert outcomes(f"{HEAD}  - {test}\n") == []


@pytest.mark.parametrize(("test", "expected"), FAILING.items(), ids=FAILING)
def test_what_fails_says_what_was_expected_what_happened_and_why(test: str, expected: str) -> None:
    assert outcomes(f"{HEAD}  - {test}\n") == [expected]


def test_each_failure_is_said_in_the_files_order() -> None:
    tests = "".join(f"  - {test}\n" for test in (*FAILING, *HOLDING))

    assert [each.split(" ")[0] for each in outcomes(HEAD + tests)] == [said.split(" ")[0] for said in FAILING.values()]


def test_a_path_without_a_route_tests_no_policy() -> None:
    text = "routes: [{path: /a, upstream: http://up, cors: none}]\ntests: [{path: /b, expect: refused}]\n"

    assert outcomes(text) == [
        "CP121 2 `GET /b` without Origin tests no policy: the proxy answers 404, because no route matches this path | name a path that is served, as `path: /a`"
    ]


def test_a_failure_points_at_what_was_expected() -> None:
    text = f"""{HEAD}  - {{origin: https://evil.example, expect: allow}}
  - origin: https://app.example.com
    expect:
      response:
        Vary: Accept
"""
    settings = load_text(text, "f").settings
    assert settings is not None
    spans = [each.span for each in policy_tests.run(settings)]

    assert [span and span.source.line(span.line)[span.column - 1 : span.end_column - 1] for span in spans] == ["allow", "Vary: Accept"]


def test_a_value_that_may_be_secret_is_not_shown() -> None:
    (said,) = outcomes(f"{HEAD}  - {{expect: {{response: {{X-Token: hunter2}}}}}}\n")

    assert "hunter2" not in said


def test_a_line_that_is_no_line_of_the_file_is_named_by_its_source() -> None:
    loaded = load_text(
        f"{HEAD}  - {{origin: https://evil.example, expect: allow}}\n",
        "f",
        {"cors.allow_origins": Override("https://b.example", "flag --x")},
    )
    assert loaded.settings is not None
    (failure,) = policy_tests.run(loaded.settings)

    assert failure.help == f"see `allow_origins` at flag --x{OR_ELSE}"
