"""What is done with a line: the same as the survey does, by the name as spelled."""

import pytest

from corsproxy.semantics import acts
from corsproxy.semantics.acts import MAX_ENTRIES, MAX_NAME_BYTES, RequestNames, ResponseNames
from corsproxy.semantics.fields import FORWARDING, GUARDED, Part, request_part
from corsproxy.semantics.rules import compile_rules


def names_of(header: bytes = b"X-Request-Id", *, trusted: bool = False) -> RequestNames:
    return RequestNames(header, compile_rules([header]), trusted=trusted)


ACTS = {
    b"User-Agent": acts.PASS,
    b"Accept": acts.ACCEPT,
    b"X-A": acts.PASS,
    b"Cookie": acts.PRESENT,
    b"Authorization": acts.PRESENT,
    b"Origin": acts.READ,
    b"Via": acts.READ,
    b"Sec-Fetch-Site": acts.READ,
    b"Access-Control-Request-Headers": acts.READ,
    b"Host": acts.HOST,
    b"Content-Length": acts.LENGTH,
    b"X-Request-Id": acts.ID,
    b"traceparent": acts.PARENT,
    b"Connection": acts.TAKE,
    b"TE": acts.TAKE,
    b"Transfer-Encoding": acts.TAKE,
    b"Keep-Alive": acts.SKIP,
    b"Proxy-Connection": acts.SKIP,
    b"Proxy-Authorization": acts.SKIP,
    b"Trailer": acts.SKIP,
    b"Content_Length": acts.SKIP,
    b"X_Request_Id": acts.SKIP,
    b"X-Forwarded-For": acts.SKIP,
    b"Forwarded": acts.SKIP,
    b"X-Forwarded-User": acts.SKIP,
    b"X-Real-IP": acts.SKIP,
    b"Upgrade": acts.DOUBT,
    b"Expect": acts.DOUBT,
    b"Max-Forwards": acts.DOUBT,
    b"Sec-WebSocket-Key": acts.DOUBT,
}


@pytest.mark.parametrize("name", ACTS)
def test_each_kind_of_name_has_its_act_however_it_is_spelled(name: bytes) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert names_of().meet(spelled) == (ACTS[name], name.lower(), b"\r\n" + spelled + b": ")


@pytest.mark.parametrize(("name", "act"), [(b"X-Forwarded-For", acts.TELL), (b"Forwarded", acts.TELL), (b"X-Forwarded-User", acts.PASS)])
def test_what_trusted_clients_say_of_others_is_heard(name: bytes, act: int) -> None:
    assert names_of(trusted=True).meet(name)[0] == act


@pytest.mark.parametrize(
    ("header", "name", "act"),
    [
        (b"X-Correlation-Id", b"x-correlation-id", acts.ID),
        (b"X-Correlation-Id", b"X_Correlation_Id", acts.SKIP),
        (b"X-Correlation-Id", b"X-Request-Id", acts.PASS),
        (b"x-request-id", b"X-Request-Id", acts.ID),
        # A field that rules read cannot be the exchange's name as well without a closer look.
        (b"Via", b"Via", acts.DOUBT),
    ],
)
def test_the_field_of_the_exchanges_name_is_whatever_the_file_says(header: bytes, name: bytes, act: int) -> None:
    assert names_of(header).meet(name)[0] == act


@pytest.mark.parametrize("name", sorted(GUARDED | FORWARDING))
def test_nothing_that_is_guarded_passes_unread(name: bytes) -> None:
    act = names_of().meet(name)[0]

    assert act not in (acts.PASS, acts.PRESENT) or request_part(name) in (Part.PLAIN, Part.NOTED)
    assert (act in (acts.PASS, acts.PRESENT)) == (name in (b"authorization", b"cookie"))


def test_what_was_met_is_looked_up() -> None:
    names = names_of()
    names.meet(b"User-Agent")
    names.meet(b"Origin")

    assert names.passed == {b"User-Agent": b"\r\nUser-Agent: "}
    assert names.acts == {b"Origin": (acts.READ, b"origin", b"\r\nOrigin: ")}


def test_made_up_names_are_few_and_short() -> None:
    names = names_of()
    for number in range(3 * MAX_ENTRIES + 1):
        names.meet(b"x-%d" % number)
        names.meet(b"Y" * MAX_NAME_BYTES + b"%d" % number)
        assert len(names.passed) + len(names.acts) <= MAX_ENTRIES
    assert max(map(len, names.passed)) <= MAX_NAME_BYTES


# --- responses ------------------------------------------------------------------------------------


RESPONSE_ACTS = {
    b"Server": acts.PASS,
    b"ETag": acts.PASS,
    b"Sec-WebSocket-Accept": acts.PASS,
    b"Content-Length": acts.LENGTH,
    b"Date": acts.DATE,
    b"Vary": acts.VARY,
    b"Set-Cookie": acts.COOKIE,
    b"Transfer-Encoding": acts.CODING,
    b"Connection": acts.CLOSING,
    b"Keep-Alive": acts.SKIP,
    b"Upgrade": acts.SKIP,
    b"Proxy-Authenticate": acts.SKIP,
    b"Access-Control-Allow-Origin": acts.SKIP,
    b"X-Request-Id": acts.SKIP,
    b"X_Debug": acts.SKIP,
    b"Location": acts.DOUBT,
    b"Content-Location": acts.DOUBT,
    b"Refresh": acts.DOUBT,
    b"Trailer": acts.DOUBT,
}


def response_names(*, keep_cors: bool = False) -> ResponseNames:
    return ResponseNames(frozenset({b"x-request-id"}), compile_rules([b"X-Debug"]), keep_cors=keep_cors)


@pytest.mark.parametrize("name", RESPONSE_ACTS)
def test_each_kind_of_name_of_a_response_has_its_act(name: bytes) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert response_names().meet(spelled) == (RESPONSE_ACTS[name], b"\r\n" + spelled + b": ")


def test_the_upstreams_own_cors_fields_may_pass() -> None:
    assert response_names(keep_cors=True).act(b"access-control-allow-origin") == acts.PASS


def test_a_rule_about_what_is_read_does_not_take_it_from_whoever_reads_it() -> None:
    """Where a message ends is never for a rule to say."""
    names = ResponseNames(frozenset(), compile_rules([b"Connection", b"Transfer-Encoding"]), keep_cors=False)

    assert (names.act(b"connection"), names.act(b"transfer-encoding")) == (acts.CLOSING, acts.CODING)
