"""Token buckets: who gets through, and when, by a clock that the test holds."""

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corsproxy.config.rates import Rate, RateLimit
from corsproxy.resilience.bucket import Buckets, key_of

S = 1_000_000_000
LIMIT = RateLimit(Rate(10, 1), 3)


def test_a_burst_passes_and_what_is_above_it_waits_for_the_rate() -> None:
    buckets = Buckets(LIMIT)

    assert [buckets.take(b"a", 0) for _ in range(5)] == [0, 0, 0, S // 10, S // 10]
    assert buckets.take(b"a", S // 10 - 1) == 1
    assert buckets.take(b"a", S // 10) == 0
    assert buckets.take(b"a", S // 10) == S // 10


def test_a_refused_request_costs_nothing() -> None:
    buckets = Buckets(RateLimit(Rate(1, 1), 1))
    buckets.take(b"a", 0)
    for _ in range(100):
        assert buckets.take(b"a", S // 2) == S // 2

    assert buckets.take(b"a", S) == 0


def test_time_without_requests_fills_the_bucket_and_no_more() -> None:
    buckets = Buckets(LIMIT)
    for _ in range(3):
        buckets.take(b"a", 0)

    assert [buckets.take(b"a", 3600 * S) for _ in range(4)] == [0, 0, 0, S // 10]


def test_each_key_has_a_bucket() -> None:
    buckets = Buckets(RateLimit(Rate(1, 60), 1))

    assert [buckets.take(key, 0) for key in (b"a", b"b", b"a", b"b")] == [0, 0, 60 * S, 60 * S]


def test_no_rounding_is_lost_at_a_rate_that_divides_no_second() -> None:
    """Three in a second: the third of each second comes exactly at its end, after a million of them too."""
    buckets = Buckets(RateLimit(Rate(3, 1), 3))
    for _ in range(3):
        buckets.take(b"a", 0)
    assert buckets.take(b"a", 0) == 333_333_334

    now = 1_000_000 * S
    assert [buckets.take(b"a", now) for _ in range(4)] == [0, 0, 0, 333_333_334]
    assert [buckets.take(b"a", now + S) for _ in range(4)] == [0, 0, 0, 333_333_334]


@given(
    st.integers(1, 50), st.sampled_from([1, 60, 3600]), st.integers(1, 20), st.lists(st.integers(0, 3 * S), max_size=200), st.integers(1, 4)
)
def test_never_more_than_the_burst_and_the_rate_together(count: int, period_s: int, burst: int, steps: list[int], share: int) -> None:
    buckets = Buckets(RateLimit(Rate(count, period_s), burst), share=share)
    now, passed = 0, 0
    for step in steps:
        now += step
        wait = buckets.take(b"a", now)
        passed += not wait
        if wait:
            # Its word is exact: a nanosecond earlier there is none.
            assert buckets.take(b"a", now + wait - 1) > 0
            now += wait
            assert buckets.take(b"a", now) == 0
            passed += 1

    assert passed <= max(1, burst // share) + now * count // (period_s * S * share)


def test_processes_divide_a_limit() -> None:
    buckets = Buckets(RateLimit(Rate(10, 1), 8), share=4)

    assert [buckets.take(b"a", 0) for _ in range(3)] == [0, 0, 4 * S // 10]
    assert [Buckets(RateLimit(Rate(1, 1), 1), share=4).take(b"a", 0) for _ in range(2)] == [0, 0], "a bucket holds one at least"


# --- memory ---------------------------------------------------------------------------------------


def test_too_many_keys_push_out_the_one_that_was_used_longest_ago() -> None:
    buckets = Buckets(RateLimit(Rate(1, 3600), 1), most_keys=3)
    for key in (b"a", b"b", b"c"):
        buckets.take(key, 0)
    assert buckets.take(b"a", 1) > 0, "a was used since"
    assert buckets.take(b"d", 2) == 0
    assert len(buckets) == 3

    assert buckets.take(b"a", 3) > 0
    assert buckets.take(b"b", 3) == 0, "b is forgotten, and begins with a full bucket"


def test_an_attacker_with_many_keys_takes_no_more_memory_than_there_is_and_refuses_nobody_else() -> None:
    buckets = Buckets(RateLimit(Rate(1, 1), 1), most_keys=100)
    for number in range(10_000):
        assert buckets.take(b"%d" % number, number) == 0
        assert len(buckets) <= 100

    assert buckets.take(b"a neighbour", 10_000) == 0


def test_buckets_that_are_full_again_are_not_kept() -> None:
    buckets = Buckets(RateLimit(Rate(1, 1), 1))
    for number in range(1000):
        buckets.take(b"%d" % number, 0)
    assert len(buckets) == 1000
    for number in range(600):
        buckets.take(b"new %d" % number, S + number)

    assert len(buckets) == 600


# --- keys -----------------------------------------------------------------------------------------

BY_ADDRESS = LIMIT
BY_KEY = replace(LIMIT, field=b"x-api-key")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"192.0.2.1", b"192.0.2.1", True),
        (b"192.0.2.1", b"192.0.2.2", False),
        (b"2001:db8::1", b"2001:db8::ffff:1", True),
        (b"2001:db8:0:1::1", b"2001:db8:0:2::1", False),
        (b"::ffff:192.0.2.1", b"192.0.2.1", True),
        (b"::ffff:192.0.2.1", b"::ffff:192.0.2.2", False),
        (b"fe80::1%eth0", b"fe80::2%eth0", True),
        (b"unix", b"unix", True),
        (b"unix", b"192.0.2.1", False),
        (b"", b"unix", False),
    ],
)
def test_an_ipv6_customer_is_a_64_and_all_others_are_their_address(one: bytes, other: bytes, *, same: bool) -> None:
    assert (key_of(BY_ADDRESS, one, []) == key_of(BY_ADDRESS, other, [])) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([(b"X-Api-Key", b"a")], [(b"x-api-KEY", b"a")], True),
        ([(b"X-Api-Key", b"a")], [(b"X-Api-Key", b"b")], False),
        ([(b"X-Api-Key", b"a"), (b"X-Api-Key", b"b")], [(b"X-Api-Key", b"a")], False),
        ([(b"X-Other", b"a")], [(b"X-Other", b"b")], True),
        ([(b"X-Api-Key", b"")], [], True),
        ([(b"X-Api-Key", b"192.0.2.1")], [], False),
    ],
)
def test_a_field_counts_by_its_value_and_without_one_the_address_does(
    one: list[tuple[bytes, bytes]], other: list[tuple[bytes, bytes]], *, same: bool
) -> None:
    client = b"192.0.2.1"

    assert (key_of(BY_KEY, client, one) == key_of(BY_KEY, client, other)) is same


def test_a_request_without_the_field_is_its_addresses() -> None:
    assert key_of(BY_KEY, b"192.0.2.1", []) == key_of(BY_ADDRESS, b"192.0.2.1", [])
    assert key_of(BY_KEY, b"192.0.2.1", []) != key_of(BY_KEY, b"192.0.2.2", [])


@given(st.binary(max_size=200), st.binary(max_size=3000))
def test_a_key_is_short_and_tells_nothing(client: bytes, value: bytes) -> None:
    by_field = key_of(BY_KEY, client, [(b"X-Api-Key", value)])

    assert len(by_field) == 17 or not value
    assert not value or len(value) < 4 or value not in by_field


@given(st.ip_addresses())
def test_every_address_has_a_key(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert len(key_of(BY_ADDRESS, str(address).encode(), [])) in (5, 9)
