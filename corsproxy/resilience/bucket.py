"""
Who has had how many requests lately: token buckets, one for each client, in bounded memory.

It counts whole nanoseconds on a clock that it is given, so that nothing is lost to rounding; it knows no request and no answer.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from corsproxy.config.rates import RateLimit
from corsproxy.semantics.fields import FieldLine

# About 10 MB. Precedent: nginx keeps 16,000 addresses in a zone of one megabyte, and lets go of the one that was seen longest ago.
MAX_KEYS: Final = 32_768
_NS: Final = 1_000_000_000
# How many buckets that are full again are let go of at each request: more than come in.
_SWEPT: Final = 2


class Buckets:
    """
    A bucket holds a token for each request that may come at once; the rate fills it, and each request takes one.

    `share`: how many processes the limit is divided among. When there are too many keys, the one that was used longest ago goes; whoever
    has it starts with a full bucket when it comes back, so nobody is ever refused for being forgotten.
    """

    def __init__(self, limit: RateLimit, *, share: int = 1, most_keys: int = MAX_KEYS) -> None:
        # In units of which a nanosecond brings `count`.
        self._gain = limit.rate.count
        self._token = limit.rate.period_s * _NS * share
        self._full = max(1, limit.burst // share) * self._token
        self._most_keys = most_keys
        # What was left, and when; in the order of last use.
        self._left: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        """Count the buckets that are kept."""
        return len(self._left)

    def take(self, key: bytes, now_ns: int) -> int:
        """Take a token out of a bucket. Returns 0, or, if there is none, how many nanoseconds it takes until there is."""
        left, since = self._left.pop(key, (self._full, now_ns))
        left = min(self._full, left + max(0, now_ns - since) * self._gain)
        lacking = self._token - left
        if lacking <= 0:
            left, lacking = -lacking, 0
        self._left[key] = (left, now_ns)
        self._let_go(now_ns)
        return -(-lacking // self._gain)

    def _let_go(self, now_ns: int) -> None:
        """Forget buckets that are full again, which changes nothing for anybody; and the oldest, if there are too many."""
        for _ in range(_SWEPT):
            oldest = next(iter(self._left))
            left, since = self._left[oldest]
            if left + (now_ns - since) * self._gain < self._full and len(self._left) <= self._most_keys:
                return
            del self._left[oldest]
            if not self._left:
                return


def key_of(limit: RateLimit, client: bytes, lines: Iterable[FieldLine]) -> bytes:
    """
    Say whose request it is: the key of a bucket, short whatever was sent, and telling nothing of it.

    Pure; never raises. `client` is the client's address, or "unix". A request without the field that is counted by is its address's.
    """
    if limit.field:
        values = [value for name, value in lines if name.lower() == limit.field]
        if any(values):
            return b"f" + blake2b(b"\n".join(values), digest_size=16).digest()
    return b"c" + _network(client)


@lru_cache(maxsize=1024)
def _network(client: bytes) -> bytes:
    """Return an IPv4 address, or the /64 of an IPv6 one: a customer gets at least that much, and can use any address in it."""
    try:
        address = ipaddress.ip_address(client.decode("ascii"))
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return address.packed
    return address.ipv4_mapped.packed if address.ipv4_mapped is not None else address.packed[:8]
