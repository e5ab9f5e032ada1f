"""Messages between the processes of one proxy: what goes in comes out."""

from pathlib import Path

import pytest

from corsproxy.config.load import load_file
from corsproxy.config.settings import Listen
from corsproxy.plan import Connection, Forward, plan
from corsproxy.processes.messages import (
    MAX_FRAME_BYTES,
    BadFrame,
    Begin,
    Born,
    End,
    Failed,
    Frames,
    Gone,
    Look,
    Ready,
    Reload,
    Reloaded,
    Seen,
    Stop,
    to_frame,
)
from corsproxy.semantics.fields import RequestHead
from tests.unit.planned import FRESH

ROOT = Path(__file__).parents[3]
FILES = [*sorted((ROOT / "tests/configs/valid").glob("*.yaml")), ROOT / "config.example.yaml", ROOT / "tests/cli/golden/full.yaml"]
MESSAGES = [
    Ready(),
    Failed("CP504", "cannot listen on :80: permission denied", "choose another"),
    Reloaded(3, "no such file"),
    End(delays=False),
    Stop(),
    Born(0, "resource temporarily unavailable"),
    Gone(77, -9),
    Look(4, 12, 100),
    Seen(4, 12, ({"id": "a1-13", "asked_headers": ("x-trace",)},), 13, {"total": 13, "origins": [("https://app.example.com", 13, 0)]}),
]


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_messages_come_out_as_they_went_in_however_they_are_cut(size: int) -> None:
    stream = b"".join(map(to_frame, MESSAGES))
    frames = Frames()
    found = [message for place in range(0, len(stream), size) for message in frames.feed(stream[place : place + size])]
    assert found == MESSAGES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_settings_of_every_file_come_out_as_they_went_in(file: Path) -> None:
    settings = load_file(file, environ={"APP_ORIGIN": "https://app.example.com", "LEGACY_API_KEY": "key"}).settings
    assert settings is not None
    (found,) = Frames().feed(to_frame(Reload(1, settings)))

    assert found == Reload(1, settings)
    # What equality leaves out, as functions for look-ups, works.
    head = RequestHead(b"GET", b"/x?y=z", 1, ((b"Host", b"localhost"), (b"X-Forwarded-For", b"192.0.2.7"), (b"Cookie", b"a=b")))
    before, after = (plan(each, head, Connection("10.0.0.1"), FRESH) for each in (settings, found.settings))
    assert type(before) is type(after)
    if isinstance(before, Forward) and isinstance(after, Forward):
        assert before.head == after.head


def test_addresses_of_a_worker_come_along() -> None:
    settings = load_file(ROOT / "config.example.yaml").settings
    assert settings is not None
    begin = Begin(settings, (Listen("127.0.0.1", 80),), 2, 4, b"abc")
    assert list(Frames().feed(to_frame(begin))) == [begin]


def test_a_length_that_no_message_has_is_refused() -> None:
    with pytest.raises(BadFrame):
        list(Frames().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big")))
