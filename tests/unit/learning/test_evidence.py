"""What counts as evidence, and for what."""

import pytest

from corsproxy import problems
from corsproxy.learning.evidence import MAX_NAMES, MAX_ORIGINS, Counts
from tests.unit.learning.seen import PAGE, Seen

COOKIE = (b"Cookie", b"session=of-a-secret")
TOKEN = (b"Authorization", b"Bearer of-a-secret")


def test_a_preflight_tells_method_and_headers_exactly() -> None:
    seen = Seen()
    seen.preflight(b"PUT", b"content-type", b"x-trace")
    seen.preflight(b"PUT", b"content-type")

    evidence = seen.evidence
    assert evidence.asked[b"PUT"] == evidence.preflights[PAGE] == evidence.headers[b"content-type"] == 2
    assert evidence.headers[b"x-trace"] == 1
    assert not evidence.calls.total


def test_a_call_tells_its_method_and_what_its_answer_carries() -> None:
    seen = Seen()
    seen.call(
        b"GET", answered=((b"X-Total-Count", b"3"), (b"Date", b"now"), (b"ETag", b'"1"'), (b"Vary", b"Accept"), (b"Set-Cookie", b"a=b"))
    )
    seen.call(b"GET", answered=((b"x-total-count", b"3"), (b"Connection", b"X-Hop"), (b"X-Hop", b"1"), (b"Origin", b"x")))

    evidence = seen.evidence
    assert evidence.sent[b"GET"] == evidence.calls[PAGE] == evidence.exposable[b"x-total-count"] == 2
    assert sorted(evidence.exposable.ranked()) == [b"etag", b"x-total-count"]
    assert evidence.spelled == {b"x-total-count": b"X-Total-Count", b"etag": b"ETag"}
    assert evidence.set_cookies == 1


def test_a_cookie_on_a_call_proves_credentials() -> None:
    seen = Seen()
    seen.call(b"GET", COOKIE)
    seen.call(b"GET", COOKIE, (b"Sec-Fetch-Mode", b"cors"))

    assert seen.evidence.cookies == 2


@pytest.mark.parametrize("mode", [b"navigate", b"no-cors"])
def test_what_no_script_reads_proves_no_credentials_and_no_names(mode: bytes) -> None:
    seen = Seen()
    seen.call(b"POST", COOKIE, TOKEN, (b"Sec-Fetch-Mode", mode), answered=((b"ETag", b'"1"'), (b"Set-Cookie", b"a=b")))

    assert (seen.evidence.cookies, seen.evidence.logins, seen.evidence.set_cookies, len(seen.evidence.exposable)) == (0, 0, 0, 0)
    # The page must be let in all the same, or its form would be refused.
    assert seen.evidence.calls[PAGE] == 1


def test_an_authorization_that_a_script_has_announced_is_a_header_and_one_that_nobody_has_is_a_credential() -> None:
    seen = Seen()
    seen.call(b"GET", TOKEN, origin=b"http://other.localhost")
    seen.preflight(b"GET", b"authorization")
    seen.call(b"GET", TOKEN)

    assert seen.evidence.logins == 1
    assert seen.evidence.headers[b"authorization"] == 1


def test_cookies_on_a_handshake_prove_nothing() -> None:
    seen = Seen()
    seen.socket(COOKIE)

    evidence = seen.evidence
    assert (evidence.sockets[PAGE], evidence.tunnels, evidence.socket_cookies, evidence.cookies) == (1, 1, 1, 0)
    assert not evidence.is_empty


def test_what_is_of_no_other_origin_is_counted_and_no_evidence() -> None:
    seen = Seen()
    seen.request(b"GET")
    seen.call(b"POST", COOKIE, (b"Sec-Fetch-Site", b"same-origin"))

    assert (seen.evidence.plain, seen.evidence.own) == (1, 1)
    assert seen.evidence.is_empty


def test_what_is_refused_is_counted_by_origin_and_no_evidence() -> None:
    seen = Seen(origins=("https://a.example",))
    seen.preflight(b"PUT", b"x-trace")
    seen.call(b"GET", COOKIE)
    seen.call(b"GET", origin=b"null")
    seen.socket(origin=b"not one")

    evidence = seen.evidence
    assert evidence.is_empty
    assert {name: evidence.refused[name] for name in evidence.refused.ranked()} == {PAGE: 2, b"null": 1, b"": 1}
    assert not len(evidence.headers)
    assert not evidence.cookies


def test_a_preflight_that_no_browser_sends_is_odd() -> None:
    seen = Seen()
    for method in (b"patch", b"TRACE", b"a b"):
        seen.preflight(method, b"x-trace")
    seen.preflight(b"PUT", b"not a token")

    assert seen.evidence.odd == 4
    assert seen.evidence.is_empty


def test_answers_of_the_api_are_told_from_what_never_was_one() -> None:
    seen = Seen()
    seen.call(b"PATCH", status=415)
    seen.request(b"PATCH", (b"Origin", PAGE), problem=problems.UPSTREAM_CLOSED)
    seen.call(b"PUT", status=204)

    evidence = seen.evidence
    assert (evidence.erred, evidence.failed, evidence.good[b"PATCH"], evidence.good[b"PUT"]) == (1, 1, 0, 1)


def test_memory_is_bounded_and_what_is_forgotten_is_counted() -> None:
    seen = Seen()
    for number in range(MAX_ORIGINS + 3):
        seen.call(origin=b"https://page%d.example" % number)
    for number in range(0, 3 * MAX_NAMES, 50):
        seen.preflight(b"PUT", *[b"x-%d" % each for each in range(number, number + 50)])

    evidence = seen.evidence
    assert len(evidence.calls) == MAX_ORIGINS
    assert len(evidence.headers) == MAX_NAMES
    assert evidence.forgotten == 3 + 2 * MAX_NAMES
    assert evidence.calls.total == MAX_ORIGINS + 3


def test_counts_rank_the_most_frequent_first() -> None:
    counts = Counts(2)
    for name in (b"a", b"b", b"b", b"c"):
        counts.add(name)

    assert (counts.ranked(), counts[b"b"], counts[b"c"], b"c" in counts, len(counts), counts.others, counts.total) == (
        [b"b", b"a"],
        2,
        0,
        False,
        2,
        1,
        4,
    )
