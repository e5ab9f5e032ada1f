"""Which Host names are answered: as the file says, and as it implies."""

import pytest

from corsproxy.config.load import load_flags, load_text
from corsproxy.config.settings import HostRules, Settings
from corsproxy.routes import answers_host
from tests.unit.config.diagnosed import UC, said

WARNING = (
    "every Host name is answered: there is neither `hosts` nor `public_url`, and `listen` is open to other machines"
    ' | name the hosts: `hosts: [api.example.com]` or `CORSPROXY_HOSTS=api.example.com`; or say that any will do: `hosts: "*"`'
)


def load(text: str) -> Settings:
    loaded = load_text(text, "f")
    assert loaded.settings is not None, said(text)
    return loaded.settings


LOOPBACK_ONLY = (
    "",
    "listen: localhost:80\n",
    "listen: [127.0.0.1:80, 127.8.0.1:80, '[::1]:80', proxy.localhost:80]\n",
    "listen: unix:/run/c.sock\n",
    "listen: [unix:/run/c.sock, '127.0.0.1:0']\n",
    "listen: '[::ffff:127.0.0.1]:80'\n",
)
OPEN = ("':80'", "0.0.0.0:80", "'[::]:80'", "10.0.0.1:80", "proxy.example:80", "localhost.example:80", "[127.0.0.1:80, ':81']")


@pytest.mark.parametrize("listen", LOOPBACK_ONLY)
def test_who_listens_to_this_machine_only_answers_its_names(listen: str) -> None:
    assert said(UC + listen) == []
    assert load(UC + listen).hosts == HostRules(loopback=True)


@pytest.mark.parametrize("listen", OPEN)
def test_who_listens_to_others_answers_any_name_and_is_warned(listen: str) -> None:
    assert said(f"{UC}listen: {listen}\n") == [f"CP255 3:9 {WARNING}"]
    assert load(f"{UC}listen: {listen}\n").hosts == HostRules(any_host=True)


def test_the_hosts_of_public_url_are_answered_with_those_of_the_machine() -> None:
    text = UC + "listen: ':80'\npublic_url: [https://api.example.com, 'http://api.example.net:8080', 'http://[fd00::1]']\n"

    assert said(text) == []
    assert load(text).hosts == HostRules(names=frozenset({b"api.example.com", b"api.example.net", b"[fd00::1]"}), loopback=True)


def test_named_hosts_are_all_that_is_answered() -> None:
    text = UC + "public_url: https://other.example\nhosts: [api.example.com, '*.example.net', '[::1]', localhost]\n"

    assert said(text) == []
    assert load(text).hosts == HostRules(names=frozenset({b"api.example.com", b"[::1]", b"localhost"}), suffixes=(b".example.net",))


@pytest.mark.parametrize("hosts", ["'*'", "['*']"])
def test_any_host_that_is_asked_for_is_no_reason_to_warn(hosts: str) -> None:
    text = f"{UC}listen: ':80'\nhosts: {hosts}\n"

    assert said(text) == []
    assert load(text).hosts == HostRules(any_host=True)


def test_one_name_needs_no_list() -> None:
    assert load(UC + "hosts: api.example.com\n").hosts == HostRules(names=frozenset({b"api.example.com"}))


def test_the_address_of_a_flag_counts() -> None:
    loaded = load_flags("http://localhost:9000", ["https://a.example"], listen=["0.0.0.0:8080"])

    assert [(each.problem.code, each.file) for each in loaded.diagnostics] == [("CP255", "flag --listen")]
    assert loaded.settings is not None
    assert loaded.settings.hosts.any_host
    closed = load_flags("http://localhost:9000", ["https://a.example"], listen=["127.0.0.1:8080"])
    assert closed.settings is not None
    assert closed.settings.hosts == HostRules(loopback=True)


@pytest.mark.parametrize(
    ("hosts", "answered", "refused"),
    [
        pytest.param(
            "", ["localhost", "a.localhost:80", "127.0.0.1", "10.1.2.3", "[::1]:80"], ["evil.example", "localhost.evil"], id="none"
        ),
        pytest.param(
            "hosts: [api.example.com, '*.example.net']\n",
            ["api.example.com", "API.example.com:8080", "a.example.net", "a.b.example.net:1"],
            ["example.net", "xexample.net", "a.api.example.com", "localhost", "127.0.0.1"],
            id="some",
        ),
    ],
)
def test_rules_answer_as_they_read(hosts: str, answered: list[str], refused: list[str]) -> None:
    rules = load(UC + hosts).hosts

    assert [host for host in (*answered, *refused) if answers_host(rules, host.encode())] == answered


CASES = {
    "a host with a port": (
        UC + "hosts: ['api.example.com:8080']\n",
        ["CP108 3:9 `api.example.com:8080` has a port, and a host is answered on every port | write `api.example.com`"],
    ),
    "a host in capitals, and a URL": (
        UC + "hosts:\n  - API.example.com\n  - https://api.example.com\n",
        [
            "CP108 4:5 `API.example.com` is not how browsers spell it | write `api.example.com`",
            "CP108 5:5 `https://api.example.com` is a URL, and a host is only its name | write `api.example.com`",
        ],
    ),
    "a wildcard without quotes": (
        UC + "hosts: [*.example.net]\n",
        ['CP111 3:9 YAML reads a bare `*.example.net` as an alias | put it in quotes: `"*.example.net"`'],
    ),
    "an IPv6 address without quotes": (
        UC + "hosts: [[::1]]\n",
        ['CP111 3:9 YAML reads `[::1]` as a list | put it in quotes: `"[::1]"`'],
    ),
    "any host among others": (
        UC + "hosts: [api.example.com, '*']\n",
        ['CP108 3:26 `*` makes the other hosts meaningless | write `hosts: "*"` alone, or take `*` out'],
    ),
    "a host twice": (
        UC + "hosts: [a.example, a.example]\n",
        ["CP108 3:20 `a.example` is listed twice | keep one of the two"],
    ),
    "no hosts": (
        UC + "hosts: []\n",
        ['CP105 3:8 `hosts` is an empty list | write `hosts: [api.example.com, "*.example.net", localhost]`, or take the key out'],
    ),
    "hosts that are nothing": (
        UC + "hosts:\n",
        [
            'CP105 3:1 `hosts` takes a host name, or a list of host names, and this is nothing | write `hosts: [api.example.com, "*.example.net", localhost]`'
        ],
    ),
    "the name of Django": (
        UC + "listen: ':80'\nallowed_hosts: [a.example]\n",
        ["CP103 4:1 `allowed_hosts` is not a key of the file | did you mean `hosts`?"],
    ),
    "a faulty host is no reason to warn": (
        UC + "listen: ':80'\nhosts: a b\n",
        ["CP108 4:8 `a b` is not a host name | use letters, digits, `-`, `_` and single dots"],
    ),
    "a faulty public URL is no reason to warn": (
        UC + "listen: ':80'\npublic_url: api.example.com\n",
        ["CP108 4:13 `api.example.com` is not how browsers spell it: the scheme is missing | write `https://api.example.com`"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_wrong_host_is_named_placed_and_mended(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_the_hosts_of_routes_are_answered_where_no_others_are_named() -> None:
    text = UC + "routes: [{path: /, hosts: [v2.example.com, '*.v3.example.com']}]\n"
    local, public = load(text).hosts, load(text + "public_url: https://api.example.com\n").hosts

    assert [answers_host(local, host) for host in (b"v2.example.com", b"a.v3.example.com", b"localhost", b"api.example.com")] == [
        True,
        True,
        True,
        False,
    ]
    assert answers_host(public, b"api.example.com")
    assert answers_host(public, b"v2.example.com:443")
    assert not answers_host(public, b"evil.example")


def test_the_hosts_of_routes_do_not_close_a_proxy_that_others_reach() -> None:
    """Its other routes are for any host: so it says that nobody has named them."""
    text = UC + "listen: ':80'\nroutes: [{path: /a, hosts: [v2.example.com]}]\n"

    assert [each.problem.code for each in load_text(text, "f").diagnostics] == ["CP255"]


@pytest.mark.parametrize("named", ["v2.example.com", "'*.example.com'", "'*'"])
def test_a_route_for_a_host_that_is_answered(named: str) -> None:
    assert said(UC + f"hosts: {named}\nroutes: [{{path: /, hosts: [v2.example.com]}}]\n") == []


def test_a_wildcard_is_covered_by_a_wider_one() -> None:
    assert said(UC + "hosts: '*.example.com'\nroutes: [{path: /, hosts: ['*.v3.example.com', '*.example.com']}]\n") == []


def test_any_host_in_a_route_is_as_if_it_named_none() -> None:
    assert load(UC + "routes: [{path: /a, hosts: '*'}]\n").routes[0].hosts == ()


ROUTES = {
    "a host that is not answered": (
        UC + "hosts: [api.example.com]\nroutes:\n  - path: /\n    hosts: [v2.example.com]\n",
        [
            (
                "CP113 6:12 no request reaches this route: `hosts` of the file does not name `v2.example.com`"
                ' | add `"v2.example.com"` to `hosts` at the top level'
            )
        ],
    ),
    "a wildcard that is wider than what is answered": (
        UC + "hosts: ['*.v3.example.com', v3.example.com]\nroutes: [{path: /, hosts: '*.example.com'}]\n",
        [
            (
                "CP113 4:27 no request reaches this route: `hosts` of the file does not name `*.example.com`"
                ' | add `"*.example.com"` to `hosts` at the top level'
            )
        ],
    ),
    "the domain of a wildcard": (
        UC + "hosts: '*.example.com'\nroutes: [{path: /, hosts: example.com}]\n",
        [
            (
                "CP113 4:27 no request reaches this route: `hosts` of the file does not name `example.com`"
                ' | add `"example.com"` to `hosts` at the top level'
            )
        ],
    ),
    "hosts that cannot be read say nothing of routes": (
        UC + "hosts: a b\nroutes: [{path: /, hosts: [v2.example.com]}]\n",
        ["CP108 3:8 `a b` is not a host name | use letters, digits, `-`, `_` and single dots"],
    ),
    "any host among others": (
        UC + "routes: [{path: /, hosts: ['*', v2.example.com]}]\n",
        ['CP108 3:28 `*` makes the other hosts meaningless | write `hosts: "*"` alone, or take `*` out'],
    ),
    "no hosts": (
        UC + "routes: [{path: /, hosts: []}]\n",
        ["CP105 3:27 `hosts` is an empty list | write `hosts: [v2.example.com]`, or take the key out"],
    ),
    "one path twice on one host": (
        UC + "routes: [{path: /, hosts: [a.example, b.example]}, {path: /, hosts: [c.example, b.example]}]\n",
        ["CP113 3:59 `/` on `b.example` is already the path of the route in line 3 | make one route of the two"],
    ),
    "a host with a port": (
        UC + "routes: [{path: /, hosts: 'v2.example.com:8080'}]\n",
        ["CP108 3:27 `v2.example.com:8080` has a port, and a host is answered on every port | write `v2.example.com`"],
    ),
    "one host in the key of one host": (
        UC + "routes: [{path: /, host: v2.example.com}]\n",
        ["CP103 3:20 `host` is not a key of a route | did you mean `hosts`?"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), ROUTES.values(), ids=ROUTES)
def test_a_wrong_host_of_a_route_is_named_placed_and_mended(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_one_path_may_be_of_several_hosts_and_of_any() -> None:
    text = UC + "routes: [{path: /, hosts: a.example}, {path: /, hosts: b.example, upstream: 'http://b'}]\n"

    assert [(route.path, route.hosts) for route in load(text).routes] == [(b"/", ("a.example",)), (b"/", ("b.example",)), (b"/", ())]
