"""What becomes of cookies in a call."""

import pytest

from corsproxy.config.load import load_text
from corsproxy.explanation.cookies import Cookies, Fate, cookies_of, same_site
from corsproxy.rehearse import Call, rehearse

TEXT = """\
public_url: https://api.example.com
upstream: http://localhost:9000
cors: &session {allow_origins: [https://app.example.com, https://other.test], allow_credentials: true}
routes:
  - {path: /none, cookies: {same_site: none}}
  - {path: /partitioned, cookies: {same_site: none, partitioned: true}}
  - {path: /public, cors: {allow_origins: "*"}}
"""


def cookies(call: Call, text: str = TEXT, lines: tuple[bytes, ...] | None = None) -> Cookies:
    settings = load_text(text, "f").settings
    assert settings is not None
    rehearsal = rehearse(settings, call)
    return cookies_of(rehearsal) if lines is None else cookies_of(rehearsal, lines)


@pytest.mark.parametrize(
    ("origin", "path", "fates"),
    [
        (b"https://app.example.com", b"/", [Fate.SENT, Fate.SENT, Fate.SENT]),
        (b"https://api.example.com", b"/", [Fate.SENT, Fate.SENT, Fate.SENT]),
        (b"https://other.test", b"/", [Fate.NOT_SENT, Fate.NOT_SENT, Fate.THIRD_PARTY]),
        (b"https://other.test", b"/none", [Fate.THIRD_PARTY, Fate.THIRD_PARTY, Fate.THIRD_PARTY]),
        (b"https://other.test", b"/partitioned", [Fate.SENT, Fate.SENT, Fate.SENT]),
    ],
)
def test_the_fate_of_usual_cookies(origin: bytes, path: bytes, fates: list[Fate]) -> None:
    assert [each.fate for each in cookies(Call(origin, path=path)).single] == fates


def test_what_the_route_makes_of_a_cookie_is_shown() -> None:
    (found,) = cookies(Call(b"https://other.test", path=b"/none"), lines=(b"sid=...",)).single

    assert (found.written, found.received) == ("sid=...", "sid=...; SameSite=None; Secure")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"sid=...; SameSite=None", "SameSite=None needs Secure"),
        (b"__Host-sid=...; Secure; Path=/x", "`__Host-`"),
        (b"sid=\x01", "control-character"),
    ],
)
def test_a_cookie_that_no_browser_keeps_is_told(line: bytes, words: str) -> None:
    (found,) = cookies(Call(b"https://app.example.com"), lines=(line,)).single

    assert found.fate is Fate.DROPPED
    assert words in found.words


def test_a_secure_cookie_is_dropped_by_plain_http() -> None:
    text = TEXT.replace("https://api.example.com", "http://api.example.com").replace("https://other.test", "https://o.test")

    assert [each.fate for each in cookies(Call(b"http://api.example.com"), text).single] == [Fate.SENT, Fate.SENT, Fate.DROPPED]


def test_a_call_without_credentials_has_none() -> None:
    found = cookies(Call(b"https://app.example.com", path=b"/public"))

    assert (found.single, found.words) == ((), "none is sent, and none is kept: the call is made without credentials")
    assert "credentials: 'include'" in found.help
    assert cookies(Call(b"https://api.example.com", credentials=False)).help == ""


def test_a_lost_session_gets_advice_and_a_working_one_none() -> None:
    assert "same_site: none" in cookies(Call(b"https://other.test")).help
    assert cookies(Call(b"https://other.test", path=b"/none")).help == ""
    assert cookies(Call(b"https://app.example.com")).help == ""


def test_without_a_route_no_upstream_is_asked() -> None:
    text = "public_url: https://api.example.com\ncors: {allow_origins: [https://a.example.com], allow_credentials: true}\nroutes: [{path: /x, upstream: 'http://localhost:1'}]\n"

    assert cookies(Call(b"https://a.example.com", path=b"/y"), text).single == ()


@pytest.mark.parametrize(
    ("page", "there", "same"),
    [
        (b"https://a.example.com", b"https://b.example.com", True),
        (b"https://a.example.com", b"http://a.example.com", False),
        (b"https://a.github.io", b"https://b.github.io", False),
        (b"https://a.co.uk", b"https://b.co.uk", False),
        (b"https://x.a.co.uk", b"https://a.co.uk:8443", True),
        (b"http://localhost:3000", b"http://localhost:8080", True),
        (b"http://127.0.0.1:1", b"http://127.0.0.2:1", False),
        (b"http://127.0.0.1:1", b"http://127.0.0.1:2", True),
        (b"http://[::1]", b"http://[::1]:1", True),
        (b"https://app.legacy.test", b"https://api.legacy.test", True),
        (b"null", b"https://a.example", False),
    ],
)
def test_sites_are_counted_as_browsers_count_them(page: bytes, there: bytes, same: bool) -> None:  # noqa: FBT001
    assert same_site(page, there) is same
