"""HTTP dates."""

from email.utils import formatdate


def http_date(now: float) -> bytes:
    """
    Write a point in time (seconds since the epoch) as IMF-fixdate.

    Spec: RFC 9110 5.6.7.
    """
    return formatdate(now, usegmt=True).encode("ascii")
