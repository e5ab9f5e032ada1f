"""Which hosts are on a private network, and what must not leave one in clear text."""

import pytest

from corsproxy.config.addresses import parse_upstream
from corsproxy.config.diagnostics import Report, Source
from corsproxy.config.load import load_flags
from corsproxy.config.plaintext import is_private_host, judge_plaintext
from corsproxy.config.upstreams import Upstream
from tests.unit.config.diagnosed import said

PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.1.1",
    "fe80::1",
    "fc00::1",
    "fd12::1",
    "0.0.0.0",
    "::",
    "::ffff:10.0.0.1",
    "localhost",
    "api.localhost",
    "api",
    "api.",
    "api_1",
    "api.internal",
    "api.internal.",
    "nas.local",
    "api.lan",
    "nas.home.arpa",
    "api.default.svc",
    "api.default.svc.cluster.local",
    "api.test",
]
PUBLIC = [
    "8.8.8.8",
    "172.32.0.1",
    "172.15.0.1",
    "192.169.0.1",
    "11.0.0.1",
    "192.0.2.1",
    "100.64.0.1",
    "2001:db8::1",
    "2606:4700::1",
    "::ffff:8.8.8.8",
    "example.com",
    "api.example.",
    "internal.example.com",
    "xinternal.example",
    "notlocal.com",
    "api.mylocal",
    "api.arpa",
    "local.com",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_host(host: str) -> None:
    assert is_private_host(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_any_other_host_counts_as_public(host: str) -> None:
    assert not is_private_host(host)


@pytest.mark.parametrize(
    ("url", "has_credentials", "has_secret", "expected"),
    [
        ("http://api.example", True, False, "`http://api.example` gets visitors' credentials in clear text, over what may be the internet"),
        ("http://api.example", False, True, "`http://api.example` gets a secret of this file in clear text, over what may be the internet"),
        ("http://api.example", True, True, "`http://api.example` gets a secret of this file in clear text, over what may be the internet"),
        ("http://api.example", False, False, None),
        ("https://api.example", True, True, None),
        ("http://api", True, True, None),
        ("http://[fd00::1]:80", True, True, None),
        ("unix:/run/api.sock", True, True, None),
    ],
)
def test_what_goes_in_clear_text_is_warned_of(url: str, expected: str | None, *, has_credentials: bool, has_secret: bool) -> None:
    upstream = parse_upstream(url)
    assert isinstance(upstream, Upstream)
    report = Report(Source("f"))
    judge_plaintext(upstream, None, report, has_credentials=has_credentials, has_secret=has_secret)

    assert [each.message for each in report.in_order()] == ([] if expected is None else [expected])
    assert not report.has_errors


POLICY = "cors: {allow_origins: [https://a.example], allow_credentials: true}\n"
WARNING = "`http://api.example` gets visitors' credentials in clear text, over what may be the internet"
HELP = "write `https://api.example`, or an address of a private network"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("upstream: http://api.example\n" + POLICY, ["1:11"]),
        ("upstream: {retries: 0, url: http://api.example}\n" + POLICY, ["1:29"]),
        ("upstream: http://api.example\n" + POLICY + "routes: [{path: /a}, {path: /b, cors: none}]\n", ["1:11"]),
        ("upstream: http://api\n" + POLICY + "routes: [{path: /a, upstream: http://api.example}]\n", ["3:31"]),
        ("upstream: http://api.example\ncors: none\nroutes: [{path: /a, cors: passthrough}]\n", []),
        ("upstream: http://api.example\ncors: none\nroutes: [{path: /a, " + POLICY.strip() + "}]\n", ["1:11"]),
        ("upstream: http://api.example\n" + POLICY + "routes: [{path: /, cors: none}]\n", []),
    ],
)
def test_the_warning_stands_where_the_upstream_is_written_once_for_all_its_routes(text: str, places: list[str]) -> None:
    assert [each for each in said(text) if not each.startswith("CP262")] == [f"CP257 {place} {WARNING} | {HELP}" for place in places]


def test_a_flag_gets_the_warning_too() -> None:
    loaded = load_flags("http://api.example", ["https://a.example"], allow_credentials=True)

    assert [(each.problem.code, each.file) for each in loaded.diagnostics] == [("CP257", "flag --upstream")]
    assert loaded.settings is not None
