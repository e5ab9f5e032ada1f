"""What differs beside the policies."""

import pytest

from corsproxy.comparison.surroundings import compare_proxies, compare_routes
from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings

HEAD = "cors: none\n"


def proxy(text: str) -> Settings:
    loaded = load_text(HEAD + (text if "upstream" in text else "upstream: http://a.internal\n" + text), "f", environ={"TOKEN": "hush-hush"})
    assert loaded.settings is not None, loaded.diagnostics
    return loaded.settings


def said(old: str, new: str) -> list[str]:
    before, after = proxy(old), proxy(new)
    found = [*compare_proxies(before, after), *compare_routes(before.routes[0], after.routes[0])]
    return [f"{each.effect.value} {each.key}: {each.words}" for each in found]


TLS = "tls: {cert_file: a.crt, key_file: a.key, client_ca_file: ca.crt"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("", "", []),
        ("", "admin: {hosts: [ops.example]}", ["widened admin.hosts: the admin listener answers: ops.example"]),
        ("admin: {listen: '0.0.0.0:9876', hosts: [ops.example]}", "admin: {listen: '0.0.0.0:9876', hosts: [ops.example], dangerously_expose_admin: true}", ["widened admin.dangerously_expose_admin: the pages of the admin listener are for other machines too"]),
        ("admin: {listen: '0.0.0.0:9876', hosts: [ops.example], dangerously_expose_admin: true}", "admin: {listen: '0.0.0.0:9876', hosts: [ops.example]}", ["narrowed admin.dangerously_expose_admin: the pages of the admin listener are no longer for other machines"]),
        ("hosts: [a.example]", "hosts: [a.example, '*.b.example']", ["widened hosts: answered: *.b.example"]),
        ("hosts: [a.example]", "hosts: '*'", ["widened hosts: any Host name is answered (DNS rebinding)"]),
        ("hosts: '*'", "hosts: [a.example]", ["narrowed hosts: not any Host name is answered any longer"]),
        ("", "hosts: [localhost]", ["narrowed hosts: no longer answered: localhost and IP addresses"]),
        ("hosts: ['*.a.example']", "hosts: [x.a.example]", ["narrowed hosts: no longer answered: *.a.example"]),
        ("hosts: [a.example]\npublic_url: https://a.example", "hosts: [a.example]\npublic_url: [https://a.example, https://b.example]", ["widened public_url: pages of `https://b.example` are the proxy's own, and no policy is asked about them"]),
        ("hosts: [a.example]\npublic_url: https://a.example", "hosts: [a.example]", ["narrowed public_url: pages of `https://a.example` are no longer the proxy's own", "may-widen public_url: which pages are the proxy's own is told from the Host field now"]),
        ("trusted_proxies: [10.0.0.0/8]", "trusted_proxies: [10.0.0.0/8, unix]", ["widened trusted_proxies: unix may say who a client is, and by which host it came"]),
        ("trusted_proxies: [10.0.0.0/8]", "", ["narrowed trusted_proxies: 10.0.0.0/8 may no longer say who a client is"]),
        (f"{TLS}}}", f"{TLS}, client_certificate: optional}}", ["widened tls.client_certificate: clients need no certificate any longer"]),
        (f"{TLS}, client_certificate: optional}}", f"{TLS}}}", ["narrowed tls.client_certificate: clients must show a certificate"]),
        (f"{TLS}}}", f"{TLS.replace('ca.crt', 'other.crt')}}}", ["may-widen tls.client_ca_file: another authority signs clients' certificates: other.crt"]),
        ("upstream: https://a.internal", "upstream: https://b.internal", ["changed upstream: requests go to https://b.internal instead of https://a.internal"]),
        ("upstream: {url: https://a.internal}", "upstream: {url: https://a.internal, tls: {dangerously_skip_verify: true}}", ["widened upstream.tls.dangerously_skip_verify: any certificate of the upstream is taken: whoever stands in between reads and changes everything"]),
        ("upstream: https://a.internal", "upstream: {url: https://a.internal, origin_header: remove}", ["changed upstream.origin_header: the upstream gets Origin as `remove`: its own check of it may come out otherwise"]),
        ("", "cookies: {same_site: none}", ["widened cookies.same_site: browsers send the upstream's cookies along from every site"]),
        ("cookies: {same_site: none}", "cookies: {same_site: lax}", ["narrowed cookies.same_site: browsers no longer send the upstream's cookies along from every site"]),
        ("", "cookies: {domain: remove}", ["changed cookies: the upstream's cookies are rewritten otherwise"]),
        ("", "headers: {request: {set: {X-Api-Key: '${TOKEN}'}}}", ["widened headers.request: `x-api-key` is sent to the upstream: whoever may call acts with it"]),
        ("", "headers: {request: {set: {Authorization: 'Basic eDp5'}}}", ["widened headers.request: `authorization` is sent to the upstream: whoever may call acts with it"]),
        ("", "headers: {request: {set: {X-Stage: test}}}", ["changed headers.request: `x-stage` is sent to the upstream"]),
        ("headers: {request: {set: {X-Stage: test}}}", "headers: {request: {set: {X-Stage: live}}}", ["changed headers.request: `x-stage` has another value for the upstream"]),
        ("headers: {request: {set: {X-Stage: test}}}", "", ["changed headers.request: `x-stage` is no longer sent to the upstream"]),
        ("headers: {request: {remove: [X-Admin]}}", "", ["widened headers.request: the client's own `x-admin` reaches the upstream"]),
        ("", "headers: {response: {remove: [X-Frame-Options]}}", ["widened headers.response: the upstream's `x-frame-options` is taken off, which keeps strangers away from its answers"]),
        ("", "headers: {response: {remove: [Server]}}", ["changed headers.response: the upstream's `server` is taken off"]),
        ("headers: {response: {set: {X-Frame-Options: DENY}}}", "", ["widened headers.response: `x-frame-options` is no longer set on answers"]),
        ("", "headers: {response: {set: {X-Stage: a}}}", ["changed headers.response: `x-stage` is set on answers, or to another value"]),
    ],
)  # fmt: skip
def test_what_differs_is_said(old: str, new: str, found: list[str]) -> None:
    assert said(old + "\n", new + "\n") == found


def test_a_prefix_that_is_taken_off_changes_the_path() -> None:
    old, new = (proxy(f"routes: [{{path: /x, upstream: 'http://a.internal', strip_prefix: {word}}}]\n") for word in ("false", "true"))

    assert [each.key for each in compare_routes(old.routes[0], new.routes[0])] == ["strip_prefix"]
