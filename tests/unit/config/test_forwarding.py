"""What the file says of requests on their way to the upstream and of responses on their way back."""

from ipaddress import ip_network
from typing import Any

import pytest

from corsproxy.config.choices import OriginHeader, Redirects
from corsproxy.config.load import load_text
from corsproxy.config.settings import ForwardingSettings, Route, Settings
from corsproxy.semantics.cookies import CookieRules
from corsproxy.semantics.fields import FieldLine
from corsproxy.semantics.forwarded import ForwardedMode
from tests.unit.config.diagnosed import UC, C, keys_of, said

ENVIRON = {"KEY": "s3cret", "OTHER": "other"}


def load(text: str) -> Settings:
    loaded = load_text(text, "f", environ=ENVIRON)
    assert loaded.settings is not None, said(text)
    assert loaded.diagnostics == ()
    return loaded.settings


def route_at(settings: Settings, path: bytes) -> Route:
    (found,) = [route for route in settings.routes if route.path == path]
    return found


# --- forwarding fields, ids, traces ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", ForwardingSettings(), id="nothing"),
        pytest.param("forwarded: both\n", ForwardingSettings(ForwardedMode.BOTH), id="a mode"),
        pytest.param("forwarded: none\n", ForwardingSettings(ForwardedMode.NONE), id="none"),
        pytest.param("trusted_proxies: 10.0.0.0/8\n", ForwardingSettings(trusted=(ip_network("10.0.0.0/8"),)), id="one network"),
        pytest.param(
            "trusted_proxies: ['::1', 192.0.2.7, unix]\n",
            ForwardingSettings(trusted=(ip_network("::1"), ip_network("192.0.2.7"), "unix")),
            id="several",
        ),
        pytest.param("trusted_proxies: []\n", ForwardingSettings(), id="nobody"),
        pytest.param("request_id: {header: X-Trace}\n", ForwardingSettings(request_id_header=b"X-Trace"), id="a name for the id"),
        pytest.param("request_id: {trust: false}\n", ForwardingSettings(trusts_request_id=False), id="ids of our own"),
        pytest.param("trace: {begin: true}\n", ForwardingSettings(begins_trace=True), id="traces of our own"),
        pytest.param("request_id: {}\ntrace: {}\n", ForwardingSettings(), id="empty sections"),
    ],
)
def test_what_is_told_of_clients_and_requests(text: str, expected: ForwardingSettings) -> None:
    assert load(UC + text).forwarding == expected


def test_trusted_proxies_are_told_by_their_addresses() -> None:
    trusts = load(UC + "trusted_proxies: [10.0.0.0/8, unix]\n").forwarding.trusts

    assert [peer for peer in ("10.9.9.9", "::ffff:10.0.0.1", "192.0.2.1", "unix", "", "::1") if trusts(peer)] == [
        "10.9.9.9",
        "::ffff:10.0.0.1",
        "unix",
    ]


# --- header rules: what a route takes over --------------------------------------------------------


FILE = """\
headers:
  request:
    remove: [X-Debug]
    set: {X-Api-Key: "${KEY}", X-Stage: test}
    add: {X-More: "${OTHER}", X-Tag: file}
  response: {remove: [Server], set: {X-Frame-Options: "${OTHER}"}}
routes:
  - path: /same
  - path: /own
    upstream: http://localhost:1
  - path: /own-and-key
    upstream: http://localhost:2
    headers: {request: {set: {X-Api-Key: "${KEY}"}}}
  - path: /less
    headers: {request: {remove: [x-api-key, X-More]}, response: {remove: [X-Frame-Options], add: {X-Route: r}}}
  - path: /other
    headers: {request: {remove: [X-Tag], set: {X-Stage: prod}, add: {X-Stage: again}}}
"""
KEY, STAGE, MORE, TAG = (b"X-Api-Key", b"s3cret"), (b"X-Stage", b"test"), (b"X-More", b"other"), (b"X-Tag", b"file")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(b"/", (KEY, STAGE, MORE, TAG), id="the implicit route"),
        pytest.param(b"/same", (KEY, STAGE, MORE, TAG), id="a route of the file's upstream"),
        pytest.param(b"/own", (STAGE, TAG), id="a route of its own upstream gets no value that came from elsewhere"),
        pytest.param(b"/own-and-key", (STAGE, TAG, KEY), id="but what it repeats"),
        pytest.param(b"/less", (STAGE, TAG), id="a route takes off what the file puts on"),
        pytest.param(b"/other", (KEY, MORE, (b"X-Stage", b"prod"), (b"X-Stage", b"again")), id="a route sets anew what the file sets"),
    ],
)
def test_a_routes_request_rules_come_after_the_files(path: bytes, expected: tuple[FieldLine, ...]) -> None:
    rules = route_at(load(UC + FILE), path).request_headers

    assert rules.lines == expected
    assert rules.drops(b"X-Debug")


def test_a_routes_response_rules_come_after_the_files() -> None:
    settings = load(UC + FILE)
    frame = (b"X-Frame-Options", b"other")

    assert [route_at(settings, path).response_headers.lines for path in (b"/", b"/own", b"/less")] == [
        (frame,),
        (frame,),
        ((b"X-Route", b"r"),),
    ]
    assert all(route.response_headers.drops(b"server") for route in settings.routes)


def test_a_route_of_its_own_upstream_keeps_what_the_client_says_under_a_name_that_is_not_set_there() -> None:
    """The rule is not there at all: not its value, and not its taking off."""
    rules = route_at(load(UC + FILE), b"/own").request_headers

    assert rules.apply([(b"X-Api-Key", b"mine")]) == [(b"X-Api-Key", b"mine"), STAGE, TAG]


def test_the_same_url_again_is_an_upstream_of_its_own() -> None:
    text = UC + FILE.replace("http://localhost:1\n", "http://localhost:9000\n")

    assert route_at(load(text), b"/own").request_headers.lines == (STAGE, TAG)


def test_part_of_a_value_from_elsewhere_is_a_value_from_elsewhere() -> None:
    text = (
        UC + 'headers: {request: {set: {X-A: "Bearer ${KEY}", X-B: "$${KEY}"}}}\nroutes: [{path: /own, upstream: "http://localhost:1"}]\n'
    )

    assert route_at(load(text), b"/own").request_headers.lines == ((b"X-B", b"${KEY}"),)


def test_a_secret_that_goes_in_clear_text_over_the_internet_is_warned_of() -> None:
    text = 'upstream: http://api.example.com\nheaders: {request: {set: {X-Api-Key: "${KEY}"}}}\n' + C
    elsewhere = text + "routes: [{path: /a, upstream: http://other.example.com}]\n"

    assert [each.problem.code for each in load_text(text, "f", environ=ENVIRON).diagnostics] == ["CP257"]
    assert [(each.problem.code, each.line) for each in load_text(elsewhere, "f", environ=ENVIRON).diagnostics] == [("CP257", 1)]


def test_no_settings_show_a_secret() -> None:
    loaded = load_text(UC + FILE, "f", environ=ENVIRON)

    assert "s3cret" not in repr(loaded)
    assert "s3cret" not in repr(loaded.settings)


# --- cookies, redirects, prefixes, Host, Origin ---------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{}", CookieRules(), id="nothing"),
        pytest.param("{same_site: none}", CookieRules(b"None"), id="same_site"),
        pytest.param("{same_site: lax, secure: true}", CookieRules(b"Lax", secure=True), id="lax and secure"),
        pytest.param("{same_site: strict, partitioned: true}", CookieRules(b"Strict", partitioned=True), id="strict and partitioned"),
        pytest.param("{same_site: keep, domain: keep, path: keep}", CookieRules(path=False), id="keep all"),
        pytest.param("{domain: remove}", CookieRules(domain=b""), id="no domain"),
        pytest.param("{domain: example.com, path: auto}", CookieRules(domain=b"example.com"), id="another domain"),
    ],
)
def test_cookie_rules(text: str, expected: CookieRules) -> None:
    settings = load(UC + f"cookies: {text}\nroutes: [{{path: /a}}, {{path: /b, cookies: {{}}}}]\n")

    assert [route.cookies for route in settings.routes] == [expected] * 3


def test_cookie_rules_of_a_route_merge_key_by_key() -> None:
    text = UC + "cookies: {same_site: none, domain: remove}\nroutes: [{path: /a, cookies: {same_site: keep, secure: true}}]\n"

    assert route_at(load(text), b"/a").cookies == CookieRules(secure=True, domain=b"")


def test_redirects_are_rewritten_on_every_route_unless_it_says_otherwise() -> None:
    routes = "routes: [{path: /a}, {path: /b, redirects: keep}, {path: /c, redirects: rewrite}]\n"
    rewrite, keep = Redirects.REWRITE, Redirects.KEEP

    assert [route.redirects for route in load(UC + routes).routes] == [rewrite, keep, rewrite, rewrite]
    assert [route.redirects for route in load(UC + "redirects: keep\n" + routes).routes] == [keep, keep, rewrite, keep]


def test_what_is_done_to_paths_is_known_beforehand() -> None:
    text = UC + "routes: [{path: /a, strip_prefix: true, upstream: http://localhost:1/v1/}, {path: /b}]\n"
    stripped, plain, implicit = load(text).routes

    assert (stripped.paths.base, stripped.paths.stripped) == (b"/v1", b"/a")
    assert (plain.paths.stripped, implicit.paths.stripped) == (b"", b"")


@pytest.mark.parametrize(
    ("text", "host_header", "origin_header"),
    [
        pytest.param("", b"", OriginHeader.KEEP, id="nothing"),
        pytest.param(", host_header: upstream, origin_header: keep", b"", OriginHeader.KEEP, id="the defaults"),
        pytest.param(", host_header: preserve, origin_header: remove", None, OriginHeader.REMOVE, id="the client's"),
        pytest.param(", host_header: legacy.internal, origin_header: upstream", b"legacy.internal", OriginHeader.UPSTREAM, id="a name"),
    ],
)
def test_host_and_origin_are_of_the_upstream(text: str, host_header: Any, origin_header: OriginHeader) -> None:
    upstream = load(f"upstream: {{url: http://localhost:1{text}}}\n" + C).routes[0].upstream

    assert (upstream.host_header, upstream.origin_header) == (host_header, origin_header)


# --- what is wrong --------------------------------------------------------------------------------


MODES = "`x-forwarded`, `forwarded`, `both`, `none`"
CASES = {
    "a network with host bits": (
        UC + "trusted_proxies: [10.0.0.1/8]\n",
        ["CP108 3:19 `10.0.0.1/8` is an address inside of a network, not the network | write `10.0.0.0/8`"],
    ),
    "proxies by name": (
        UC + "trusted_proxies: loadbalancer\n",
        ["CP108 3:18 `loadbalancer` is neither an address nor a network | write `10.0.0.0/8`, `192.0.2.7`, `fd00::/8` or `unix`"],
    ),
    "everybody": (
        UC + "trusted_proxies: [0.0.0.0/0, '::/0']\n",
        [
            "CP261 3:19 `0.0.0.0/0` lets every client say who it is | name the networks of the proxies in front, as `10.0.0.0/8`",
            "CP261 3:30 `::/0` lets every client say who it is | name the networks of the proxies in front, as `10.0.0.0/8`",
        ],
    ),
    "proxies that are nothing": (
        UC + "trusted_proxies:\n",
        ["CP105 3:1 `trusted_proxies` takes a list of addresses or networks, and this is nothing | write `trusted_proxies: [10.0.0.0/8]`"],
    ),
    "the name of uvicorn": (
        UC + "forwarded_allow_ips: 10.0.0.0/8\n",
        ["CP103 3:1 `forwarded_allow_ips` is not a key of the file | did you mean `trusted_proxies`?"],
    ),
    "a mode in capitals": (
        UC + "forwarded: X-Forwarded-For\n",
        [f"CP109 3:12 `X-Forwarded-For` is not one of the words of `forwarded` | did you mean `x-forwarded`? the words are {MODES}"],
    ),
    "a mode that is no word": (
        UC + "forwarded: off\n",
        [f"CP109 3:12 `off` is not one of the words of `forwarded` | use one of {MODES}"],
    ),
    "an id that is a name": (
        UC + "request_id: X-Trace\n",
        ["CP105 3:13 `request_id` takes a mapping, and this is a text | write `request_id: {header: X-Request-Id}`"],
    ),
    "an id in a field that means something": (
        UC + "request_id: {header: Host}\n",
        [
            (
                "CP142 3:22 `Host` has a meaning of its own, so it cannot carry the request's id"
                " | write `header: X-Request-Id`, or a name that is yours, as `X-Correlation-Id`"
            )
        ],
    ),
    "an id in what is no field": (
        UC + "request_id: {header: X Trace}\n",
        ["CP141 3:22 `X Trace` is no header name | use letters, digits and `-`"],
    ),
    "an id without a name": (
        UC + "request_id: {header: }\n",
        ["CP105 3:14 `header` takes the name of a header field, and this is nothing | write `header: X-Request-Id`"],
    ),
    "a trace that is a boolean": (
        UC + "trace: true\n",
        ["CP105 3:8 `trace` takes a mapping, and this is a boolean | write `trace: {begin: true}`"],
    ),
    "cookies that are a word": (
        UC + "cookies: none\n",
        ["CP105 3:10 `cookies` takes a mapping, and this is a text | write `cookies: {same_site: none}`"],
    ),
    "SameSite as browsers spell it": (
        UC + "cookies: {same_site: None}\n",
        ["CP109 3:22 `None` is not one of the words of `same_site` | did you mean `none`? the words are `keep`, `none`, `lax`, `strict`"],
    ),
    "a key of cookies that is unknown": (
        UC + "cookies: {http_only: true}\n",
        [f"CP103 3:11 `http_only` is not a key of `cookies` | take it out; {keys_of('cookies')}"],
    ),
    "a domain with a dot": (
        UC + "cookies: {domain: .example.com}\n",
        ["CP109 3:19 `.example.com` is neither a word of `domain` nor a host name | write `example.com`"],
    ),
    "a domain that is a boolean": (
        UC + "cookies: {domain: true}\n",
        ["CP109 3:19 `true` is neither a word of `domain` nor a host name | use `keep`, `remove`, or write a name as `legacy.internal`"],
    ),
    "a word for a domain, misspelt": (
        UC + "cookies: {domain: removed}\n",
        ["CP109 3:19 `removed` is neither a word of `domain` nor a host name | did you mean `remove`?"],
    ),
    "a path of cookies": (
        UC + "cookies: {path: /app}\n",
        ["CP109 3:17 `/app` is not one of the words of `path` | use one of `auto`, `keep`"],
    ),
    "redirects that are a boolean": (
        UC + "redirects: false\n",
        ["CP109 3:12 `false` is not one of the words of `redirects` | use one of `rewrite`, `keep`"],
    ),
    "a host header that is a URL": (
        "upstream: {url: http://a, host_header: https://legacy.internal/}\n" + C,
        ["CP109 1:40 `https://legacy.internal/` is neither a word of `host_header` nor a host name | write `legacy.internal`"],
    ),
    "a host header that is a boolean": (
        "upstream: {url: http://a, host_header: true}\n" + C,
        [
            (
                "CP109 1:40 `true` is neither a word of `host_header` nor a host name"
                " | use `upstream`, `preserve`, or write a name as `legacy.internal`"
            )
        ],
    ),
    "an origin header that is an origin": (
        "upstream: {url: http://a, origin_header: https://a.example}\n" + C,
        ["CP109 1:42 `https://a.example` is not one of the words of `origin_header` | use one of `keep`, `remove`, `upstream`"],
    ),
    "a prefix that is a path": (
        UC + "routes: [{path: /a, strip_prefix: /a}]\n",
        ["CP105 3:35 `strip_prefix` takes `true` or `false`, and this is a text | write `true` or `false`"],
    ),
    "a prefix of the file": (
        UC + "strip_prefix: true\n",
        ["CP103 3:1 `strip_prefix` is not a key of the file | write it in one of the `routes`"],
    ),
    "what a route cannot say": (
        UC + "routes: [{path: /a, forwarded: none}]\n",
        ["CP103 3:21 `forwarded` is not a key of a route | write it at the top level of the file"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_wrong_value_is_named_placed_and_mended(text: str, expected: list[str]) -> None:
    assert said(text) == expected
