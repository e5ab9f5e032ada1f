"""The tables of the Fetch standard."""

import pytest

from corsproxy.cors import browser, names


def test_the_safelisted_methods_are_three() -> None:
    """Rule 11: GET, HEAD and POST need no listing."""
    assert {b"GET", b"HEAD", b"POST"} == names.SAFELISTED_METHODS


def test_the_forbidden_methods_are_three_and_none_of_them_can_be_listed() -> None:
    """Rule 12: CONNECT, TRACE and TRACK are refused."""
    assert {b"CONNECT", b"TRACE", b"TRACK"} == names.FORBIDDEN_METHODS
    assert not names.FORBIDDEN_METHODS & names.SENDABLE_METHODS
    assert {b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND", b"QUERY"} <= names.SENDABLE_METHODS
    assert b"PRI" not in names.SENDABLE_METHODS


def test_browsers_upper_case_six_methods_and_patch_is_not_among_them() -> None:
    """Rule 10: `patch` stays lower-case and is another method."""
    normalized = {method for method in names.KNOWN_METHODS if browser.normalize_method(method.lower()) == method}
    assert {b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT"} == normalized


def test_seven_response_headers_need_no_exposing() -> None:
    """Rule 28: the seven safelisted response header names."""
    expected = {b"cache-control", b"content-language", b"content-length", b"content-type", b"expires", b"last-modified", b"pragma"}

    assert expected == names.SAFELISTED_RESPONSE_HEADERS


def test_set_cookie_can_never_be_exposed() -> None:
    """Rule 29: the forbidden response header names."""
    assert {b"set-cookie", b"set-cookie2"} == names.FORBIDDEN_RESPONSE_HEADERS


@pytest.mark.parametrize(
    "name",
    b"accept-charset accept-encoding access-control-request-headers access-control-request-method access-control-request-private-network "
    b"connection content-length cookie cookie2 date dnt expect host keep-alive origin referer set-cookie te trailer transfer-encoding "
    b"upgrade via proxy-authorization proxy-x proxy- sec-fetch-site sec-ch-ua sec-".split(),
)
def test_no_script_can_set_these(name: bytes) -> None:
    """Rule 48: the forbidden request headers, and those of browsers and proxies."""
    assert names.is_forbidden_request_header(name)


@pytest.mark.parametrize(
    "name",
    b"accept accept-language authorization content-type range if-none-match x-requested-with x-http-method-override x-sec-y proxy secret "
    b"user-agent cookie-x dates".split(),
)
def test_scripts_can_set_these(name: bytes) -> None:
    """Rule 48: nothing else is forbidden; the method overrides are only for certain values."""
    assert not names.is_forbidden_request_header(name)


def test_the_model_browser_agrees_on_forbidden_names() -> None:
    """The second opinion keeps tables of its own; Private Network Access's field is in the draft only."""
    ours = names.FORBIDDEN_REQUEST_HEADERS - {b"access-control-request-private-network"}

    assert all(browser.is_forbidden_request_header(name, b"x") for name in ours)
    assert ours == browser._REQUEST_NAMES_FORBIDDEN


def test_every_table_of_header_names_is_lower_case() -> None:
    """Rule 13: names compare without case, so tables hold one case only."""
    tables = (
        names.SAFELISTED_RESPONSE_HEADERS,
        names.FORBIDDEN_RESPONSE_HEADERS,
        names.FORBIDDEN_REQUEST_HEADERS,
        names.RESPONSE_ONLY,
        names.REQUEST_ONLY,
    )

    assert all(name == name.lower() for listed in tables for name in listed)


def test_no_name_is_of_requests_only_and_of_responses_only() -> None:
    assert not names.RESPONSE_ONLY & names.REQUEST_ONLY
    # Names of both directions are in neither: to list one is no mistake.
    assert not {b"cache-control", b"content-type", b"date", b"x-request-id", b"link"} & (names.RESPONSE_ONLY | names.REQUEST_ONLY)
