"""What was seen can be found again."""

from corsproxy.cors.browser import BrowserRequest
from corsproxy.doctor.seen import Seen, Step, Visit


def test_the_last_of_a_step_is_found() -> None:
    first, second = Seen(Step.REDIRECTED, b"GET", "http://a/1", ()), Seen(Step.REDIRECTED, b"GET", "http://a/2", ())
    visit = Visit(BrowserRequest(b"http://b", b"http://a"), "http://a/", (first, second))

    assert visit.find(Step.REDIRECTED) is second
    assert visit.find(Step.PREFLIGHT) is None
