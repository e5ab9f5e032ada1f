"""Why a header asks for a preflight."""

import pytest

from corsproxy.cors import browser
from corsproxy.cors.browser import Fields
from corsproxy.explanation.safelist import why_unsafe


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (((b"X-B", b"1"), (b"x-a", b"1")), [(b"x-a", "the name is not safelisted"), (b"x-b", "the name is not safelisted")]),
        (((b"Accept", b"a" * 129),), [(b"accept", "the value has 129 bytes, and 128 are free")]),
        (((b"Accept", b"a" * 128),), []),
        (((b"Accept", b"(x)"),), [(b"accept", "the value holds a byte that is not safe")]),
        (
            ((b"Content-Type", b"application/json"),),
            [(b"content-type", "only text/plain and the two types of forms need no permission")],
        ),
        (((b"Range", b"bytes=-5"),), [(b"range", "only one range that begins with a number needs no permission")]),
        (((b"Range", b"bytes=0-5"),), []),
        (
            (*[(b"Accept", b"a" * 128)] * 8, (b"Accept-Language", b"e")),
            [
                (b"accept", "the safelisted headers hold 1025 bytes, and 1024 are free"),
                (b"accept-language", "the safelisted headers hold 1025 bytes, and 1024 are free"),
            ],
        ),
    ],
)
def test_the_rule_is_named(headers: Fields, said: list[tuple[bytes, str]]) -> None:
    assert list(why_unsafe(headers)) == said
    assert tuple(name for name, _ in said) == browser.unsafe_header_names(headers)
