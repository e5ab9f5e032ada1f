"""
Public suffixes: the names below which anybody can have a name, as `com`, `co.uk` and `github.io`.

It knows the list that browsers go by, its two sections alike: a page on `github.io` is no less a stranger's than one on `com`.
"""

from collections.abc import Callable
from functools import cache


def is_public_suffix(name: str) -> bool:
    """
    Tell whether a host name, in lower case and punycode, is a public suffix. The list is loaded on the first call.

    A name that the list does not have is none. The list's own last rule takes every unknown top-level domain for one, which is
    right for a browser on the internet; but names such as `internal`, `cluster.local` and `test` are unknown because nobody
    can register anything there.

    Spec: https://github.com/publicsuffix/list/wiki/Format; URL #host-public-suffix.
    """
    return _list()(name)


@cache
def _list() -> Callable[[str], bool]:
    # Most policies have no wildcard, and need not wait for ten thousand lines.
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415

    return PublicSuffixList(accept_unknown=False).is_public
