"""The policy of a proxy that learns lets in every page of the web, and nothing that is none."""

import pytest

from corsproxy.config.load import load_flags
from corsproxy.cors.decide import Facts, Reason, decide
from corsproxy.cors.policy import CorsPolicy
from corsproxy.learning.permissive import permissive, while_learning
from corsproxy.problems import Fault


def reason_for(policy: CorsPolicy, origin: bytes) -> Reason:
    return decide(policy, Facts(b"GET", origin=[origin])).reason


@pytest.mark.parametrize("origin", [b"http://localhost:5173", b"https://app.example.com", b"http://[::1]:8080", b"http://dev.example"])
def test_any_page_is_let_in_with_credentials(origin: bytes) -> None:
    policy = permissive()

    assert isinstance(policy, CorsPolicy)
    assert policy.credentials
    assert policy.max_age_s == 0
    assert reason_for(policy, origin) is Reason.ORIGIN_ALLOWED
    assert policy.allows_method(b"PROPFIND")
    assert policy.allows_header(b"authorization")
    assert policy.allows_header(b"x-any")


@pytest.mark.parametrize("origin", [b"null", b"file://", b"chrome-extension://abc", b"https://a.example/", b"HTTPS://a.example", b""])
def test_what_is_no_origin_of_the_web_is_not(origin: bytes) -> None:
    policy = permissive()

    assert isinstance(policy, CorsPolicy)
    assert reason_for(policy, origin) in (Reason.ORIGIN_REFUSED, Reason.ORIGIN_MALFORMED)


def test_where_origins_are_named_no_other_is_let_in() -> None:
    policy = permissive(["http://localhost:5173", "http://dev.example"])

    assert isinstance(policy, CorsPolicy)
    assert reason_for(policy, b"http://dev.example") is Reason.ORIGIN_ALLOWED
    assert reason_for(policy, b"http://localhost:5174") is Reason.ORIGIN_REFUSED


@pytest.mark.parametrize("origin", ["*", "null", "a.example", "https://a.example/"])
def test_what_cannot_be_named_is_a_fault(origin: str) -> None:
    assert isinstance(permissive([origin]), Fault)


def test_it_stands_on_every_route_and_nobody_administers_it() -> None:
    loaded, policy = load_flags("http://localhost:9", ["https://a.example"]).settings, permissive()
    assert loaded is not None
    assert isinstance(policy, CorsPolicy)

    settings = while_learning(loaded, policy)
    assert {route.cors for route in settings.routes} == {settings.default_cors} == {policy}
    assert settings.admin.listen is None
    assert not settings.log.access
