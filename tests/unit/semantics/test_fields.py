"""Field lines: what is passed on, what is noted, what is dropped."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy.semantics import fields
from corsproxy.semantics.fields import FieldLine, Part, Survey, serialize, survey_request, survey_response, without


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def lines_of(*names: bytes) -> list[FieldLine]:
    return [(name, b"v") for name in names]


HOP_BY_HOP = (b"Connection", b"Keep-Alive", b"Proxy-Connection", b"TE", b"Trailer", b"Transfer-Encoding", b"Upgrade")


# --- requests -------------------------------------------------------------------------------------


@table(
    {
        **{f"{name.decode()} ends at this hop and is judged": (name, False, True) for name in HOP_BY_HOP},
        "Host is judged and written anew": (b"Host", False, True),
        "Content-Length is judged and written anew": (b"Content-Length", False, True),
        "Origin is judged and passed on": (b"Origin", True, True),
        "Access-Control-Request-Method is judged and passed on": (b"Access-Control-Request-Method", True, True),
        "Access-Control-Request-Headers is judged and passed on": (b"Access-Control-Request-Headers", True, True),
        "Sec-Fetch-Site is judged and passed on": (b"Sec-Fetch-Site", True, True),
        "Expect is judged and passed on": (b"Expect", True, True),
        "Via is judged and passed on": (b"Via", True, True),
        "Max-Forwards is judged and passed on": (b"Max-Forwards", True, True),
        "Proxy-Authorization is for a proxy, and dropped": (b"Proxy-Authorization", False, False),
        "Proxy-Authenticate is for a proxy, and dropped": (b"Proxy-Authenticate", False, False),
        "Proxy-Authentication-Info is for a proxy, and dropped": (b"Proxy-Authentication-Info", False, False),
        "HTTP2-Settings goes with its Upgrade": (b"HTTP2-Settings", False, False),
        "Cookie is passed on, and only that it is there is read": (b"Cookie", True, True),
        "Authorization is passed on, and only that it is there is read": (b"Authorization", True, True),
        "an unknown field is passed on unread": (b"X-Anything", True, False),
        "an Access-Control name in a request is only a name": (b"Access-Control-Allow-Origin", True, False),
        "a name with an underscore that means nothing is passed on": (b"X_Anything", True, False),
        "Content_Length could be read as Content-Length, and is dropped": (b"Content_Length", False, False),
        "TRANSFER_ENCODING could be read as Transfer-Encoding, and is dropped": (b"TRANSFER_ENCODING", False, False),
        "Content.Length could be read as Content-Length, and is dropped": (b"Content.Length", False, False),
        "X_Forwarded-For could be read as X-Forwarded-For, and is dropped": (b"X_Forwarded-For", False, False),
        "Access-Control_Request-Method could be read as the real one, and is dropped": (b"Access-Control_Request-Method", False, False),
        "X-Forwarded-For is read, and written anew": (b"X-Forwarded-For", False, True),
        "Forwarded is read, and written anew": (b"Forwarded", False, True),
        "X_Forwarded_User could be read as X-Forwarded-User, and is dropped": (b"X_Forwarded_User", False, False),
        "X_Request_Id could be read as X-Request-Id, and is dropped": (b"X_Request_Id", False, False),
        "X_Real_IP could be read as X-Real-IP, and is dropped": (b"X_Real_IP", False, False),
        "traceparent is judged and passed on": (b"traceparent", True, True),
    }
)
def test_each_request_field_has_its_part(case: Any) -> None:
    name, is_passed, is_noted = case
    for spelled in (name, name.lower(), name.upper()):
        survey = survey_request([(spelled, b"v")])

        assert survey.passed == ([(spelled, b"v")] if is_passed else [])
        assert survey.noted == ({name.lower(): [b"v"]} if is_noted else {})


@pytest.mark.parametrize("name", sorted(fields.GUARDED))
def test_a_name_that_cgi_would_read_as_a_guarded_one_is_dropped(name: bytes) -> None:
    """WSGI, CGI and PHP read `_` and `-` as one: what is judged under one spelling must not arrive under the other."""
    for sign in (b"_", b".", b"~"):
        lookalike = name.replace(b"-", sign)

        assert lookalike == name or survey_request([(lookalike, b"v"), (lookalike.upper(), b"v")]) == Survey([], {})


def test_the_guarded_names_are_those_that_frame_route_and_authorize() -> None:
    assert fields.HOP_BY_HOP == {name.lower() for name in HOP_BY_HOP}
    assert fields.GUARDED - fields.HOP_BY_HOP == set(
        b"content-length host origin authorization cookie forwarded x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix "
        b"x-forwarded-proto access-control-request-headers access-control-request-method "
        b"sec-websocket-key sec-websocket-accept sec-websocket-version sec-websocket-extensions sec-websocket-protocol".split()
    )


def test_a_value_that_is_a_name_is_a_value() -> None:
    lines = [(b"Host", b"a"), (b"X-A", b"Host"), (b"X-B", b"X-A")]

    assert survey_request(lines) == survey_request(lines) == Survey(lines[1:], {b"host": [b"a"]})


def test_order_spelling_and_repetition_are_kept() -> None:
    lines = [(b"x-b", b"1"), (b"Host", b"h"), (b"X-A", b"2"), (b"x-b", b"3"), (b"ORIGIN", b"o"), (b"X-A", b"2")]

    assert survey_request(lines).passed == [line for line in lines if line[0] != b"Host"]


def test_the_values_of_repeated_lines_are_all_noted_in_order_and_not_joined() -> None:
    """Rule 4: several Origin lines stay several, so that nobody can pick one."""
    survey = survey_request([(b"Origin", b"https://a.example"), (b"origin", b"https://b.example")])

    assert survey.noted == {b"origin": [b"https://a.example", b"https://b.example"]}


# --- responses ------------------------------------------------------------------------------------


@table(
    {
        **{f"{name.decode()} ends at this hop and is judged": (name, False, True) for name in HOP_BY_HOP},
        "Content-Length is judged and passed on": (b"Content-Length", True, True),
        "Date is judged and passed on": (b"Date", True, True),
        "Vary is judged and passed on": (b"Vary", True, True),
        "Proxy-Authenticate is for a proxy, and dropped": (b"Proxy-Authenticate", False, False),
        "Set-Cookie is judged and passed on": (b"Set-Cookie", True, True),
        "Location is judged and passed on": (b"Location", True, True),
        "WWW-Authenticate is passed on unread": (b"WWW-Authenticate", True, False),
        "Timing-Allow-Origin is left alone": (b"Timing-Allow-Origin", True, False),
        "Cross-Origin-Resource-Policy is left alone": (b"Cross-Origin-Resource-Policy", True, False),
        "a lookalike is a request's danger, not a response's": (b"Content_Length", True, False),
    }
)
def test_each_response_field_has_its_part(case: Any) -> None:
    """Rule 30: Timing-Allow-Origin and Cross-Origin-Resource-Policy are left alone."""
    name, is_passed, is_noted = case
    for spelled in (name, name.lower(), name.upper()):
        survey = survey_response([(spelled, b"v")])

        assert survey.passed == ([(spelled, b"v")] if is_passed else [])
        assert survey.noted == ({name.lower(): [b"v"]} if is_noted else {})


@pytest.mark.parametrize(
    "name",
    [
        b"Access-Control-Allow-Origin",
        b"access-control-allow-credentials",
        b"ACCESS-CONTROL-ALLOW-METHODS",
        b"Access-Control-Allow-Headers",
        b"Access-Control-Expose-Headers",
        b"Access-Control-Max-Age",
        b"Access-Control-Allow-Private-Network",
        b"Access-Control-Of-The-Future",
    ],
)
def test_every_access_control_field_of_the_upstream_goes_but_under_passthrough(name: bytes) -> None:
    """Rule 30: the upstream's Access-Control-* never comes through, in whatever case."""
    assert survey_response([(name, b"v")]) == Survey([], {})
    assert survey_response([(name, b"v")], keep_cors=True) == Survey([(name, b"v")], {})


# --- the memory of spellings ----------------------------------------------------------------------


def test_invented_names_cannot_make_the_memory_grow_beyond_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    spellings = fields._Spellings({b"host": Part.TAKEN}, guard_lookalikes=True, cors=Part.PLAIN)
    monkeypatch.setattr(fields._Spellings, "MAX_ENTRIES", 3)
    lines = lines_of(*(b"X-%d" % number for number in range(10)))

    assert spellings.survey(lines).passed == lines
    assert len(spellings.learned) == 3
    # What did not fit is judged again each time, and judged the same.
    assert spellings.survey(lines_of(b"Host", b"X-9")) == Survey(lines_of(b"X-9"), {b"host": [b"v"]})


def test_very_long_names_are_not_remembered() -> None:
    spellings = fields._Spellings({}, guard_lookalikes=True, cors=Part.PLAIN)
    spellings.survey(lines_of(b"x" * 64, b"x" * 65))

    assert list(spellings.learned) == [b"x" * 64]


def test_a_name_that_was_remembered_is_judged_as_before() -> None:
    spellings = fields._Spellings({b"te": Part.DROPPED}, guard_lookalikes=True, cors=Part.DROPPED)
    lines = lines_of(b"TE", b"X", b"Access-Control-X")

    assert spellings.survey(lines) == spellings.survey(lines) == Survey(lines_of(b"X"), {})


# --- lines ----------------------------------------------------------------------------------------


def test_without_takes_lines_off_by_name_whatever_the_case() -> None:
    assert without(lines_of(b"A", b"b", b"a", b"C"), frozenset({b"a", b"c"})) == lines_of(b"b")


def test_lines_are_written_with_colon_space_and_crlf() -> None:
    assert serialize([(b"A", b"1"), (b"b", b""), (b"A", b"\xff")]) == b"A: 1\r\nb: \r\nA: \xff\r\n"
    assert serialize([]) == b""
