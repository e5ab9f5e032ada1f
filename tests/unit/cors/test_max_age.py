"""What browsers make of a max_age."""

import pytest

from corsproxy.cors.max_age import remembered_s


@pytest.mark.parametrize(
    ("max_age_s", "chromium", "firefox", "safari"),
    [(0, 0, 0, 0), (1, 1, 1, 1), (600, 600, 600, 600), (601, 601, 601, 600), (7201, 7200, 7201, 600), (86401, 7200, 86400, 600)],
)
def test_each_browser_has_a_cap_of_its_own(max_age_s: int, chromium: int, firefox: int, safari: int) -> None:
    assert remembered_s(max_age_s) == {"Chromium": chromium, "Firefox": firefox, "Safari": safari}
