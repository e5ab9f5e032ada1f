"""HTTP dates."""

import pytest

from corsproxy.semantics.dates import http_date


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(784111777.0, b"Sun, 06 Nov 1994 08:49:37 GMT", id="the example of RFC 9110 5.6.7"),
        pytest.param(0.0, b"Thu, 01 Jan 1970 00:00:00 GMT", id="the epoch"),
        pytest.param(1709164800.999, b"Thu, 29 Feb 2024 00:00:00 GMT", id="fractions are cut off, leap days exist"),
    ],
)
def test_a_date_is_written_as_imf_fixdate(now: float, expected: bytes) -> None:
    assert http_date(now) == expected
