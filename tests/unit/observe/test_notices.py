"""What an operator is told of exchanges: once, and within bounds."""

import logging

import pytest

from corsproxy import problems
from corsproxy.observe.notices import MAX_SAID, Notices
from corsproxy.rewrite import Notice


def notice(subject: str, problem: problems.Problem = problems.COOKIE_DROPPED) -> Notice:
    return Notice(problem, "/", subject, f"about {subject}")


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("corsproxy"), "propagate", True)
    caplog.set_level(logging.INFO, "corsproxy")


def test_a_notice_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    notices.add((notice("sid"), notice("sid")))
    notices.add((notice("sid"), notice("theme")))

    assert caplog.messages == ["CP531 about sid", "CP531 about theme"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_note_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    Notices().add((notice("", problems.ORIGIN_LOST),))

    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_an_upstream_that_makes_names_up_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    notices.add(tuple(notice(str(number)) for number in range(MAX_SAID + 10)))

    assert len(caplog.messages) == MAX_SAID


def test_another_configuration_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    notices.add((notice("sid"),))
    notices.forget()
    notices.add((notice("sid"),))

    assert caplog.messages == ["CP531 about sid"] * 2
