"""Lines find their way out, whole and in order, and nothing waits for a reader who takes none."""

import io
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corsproxy.observe import writer as module
from corsproxy.observe.writer import DescriptorWriter, StreamWriter, lines_dropped, settle, writer_to

DEADLINE_S = 15.0
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("corsproxy"), "propagate", True)
    caplog.set_level(logging.INFO, "corsproxy")


@pytest.fixture(autouse=True)
def writers(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, int], DescriptorWriter]:
    found: dict[tuple[int, int], DescriptorWriter] = {}
    monkeypatch.setattr(module, "_writers", found)
    return found


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's reading and writing end."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def wait_for(written: DescriptorWriter) -> None:
    written.settle(time.monotonic() + DEADLINE_S)


def read_lines(reading: int, count: int) -> list[bytes]:
    """Read whole lines until there are so many."""
    got = b""
    while got.count(b"\n") < count:
        got += os.read(reading, 1 << 20)
    assert got.endswith(b"\n")
    return got.splitlines()


def fill(writing: int) -> int:
    """Fill a pipe to the last byte, without a line's end, and return with how many."""
    os.set_blocking(writing, False)
    size = 0
    try:
        for part in (b"x" * 4096, b"x"):
            while True:
                try:
                    size += os.write(writing, part)
                except BlockingIOError:
                    break
    finally:
        os.set_blocking(writing, True)
    return size


def drain(reading: int, size: int) -> None:
    while size:
        size -= len(os.read(reading, size))


def test_lines_come_out_in_order(pipe: tuple[int, int]) -> None:
    written = DescriptorWriter(pipe[1], "stdout")
    for number in range(100):
        written.write(b"%d\n" % number)

    assert read_lines(pipe[0], 100) == [b"%d" % number for number in range(100)]
    assert written.dropped == 0


def test_what_a_stalled_reader_misses_is_counted_and_said_when_it_reads_again(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    size = fill(pipe[1])
    written = DescriptorWriter(pipe[1], "stdout", max_bytes=100)
    for number in range(60):
        written.write(b"line %03d\n" % number)
    assert written.dropped == 49
    assert caplog.messages == []

    drain(pipe[0], size)

    assert read_lines(pipe[0], 11) == [b"line %03d" % number for number in range(11)]
    wait_for(written)
    written.write(b"and on\n")
    assert read_lines(pipe[0], 1) == [b"and on"]
    wait_for(written)
    assert caplog.messages == ["CP560 49 lines for stdout lost"]


def test_events_find_room_where_exchanges_find_none(pipe: tuple[int, int]) -> None:
    size = fill(pipe[1])
    written = DescriptorWriter(pipe[1], "stdout", max_bytes=10)
    written.write(b"123456789\n")
    written.write(b"lost\n")
    written.write(b"event\n", is_event=True)
    drain(pipe[0], size)

    assert read_lines(pipe[0], 2) == [b"123456789", b"event"]
    wait_for(written)


def test_a_reader_that_has_gone_costs_lines_and_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    written = DescriptorWriter(writing, "stdout")
    os.close(reading)
    for _ in range(3):
        written.write(b"one\ntwo\n")
        wait_for(written)

    assert written.dropped == 6
    assert caplog.messages == ["CP561 stdout cannot be written: broken pipe"]
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_costs_lines(caplog: pytest.LogCaptureFixture) -> None:
    with Path("/dev/full").open("w") as full:
        written = writer_to(full)
        assert isinstance(written, DescriptorWriter)
        written.write(b"one\n")
        wait_for(written)

    assert written.dropped == 1
    assert caplog.messages == ["CP561 the log cannot be written: no space left on device"]


def test_a_line_that_was_cut_does_not_take_the_next_one_with_it(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk takes half of a line, then nothing, then is emptied."""
    written = DescriptorWriter(pipe[1], "stdout")
    real = os.write
    fates = [lambda part: real(pipe[1], part[:3]), None]

    def write(descriptor: int, part: bytes) -> int:
        if not fates:
            return real(descriptor, part)
        fate = fates.pop(0)
        if fate is None:
            raise OSError(28, "No space left on device")
        return fate(part)

    monkeypatch.setattr(os, "write", write)
    written.write(b"a long line\n")
    wait_for(written)
    written.write(b"the next\n")

    assert read_lines(pipe[0], 2) == [b"a l", b"the next"]
    wait_for(written)
    written.write(b"later\n")
    wait_for(written)
    assert caplog.messages == ["CP561 stdout cannot be written: no space left on device", "CP560 1 line for stdout lost"]


def test_a_descriptor_that_does_not_block_loses_nothing(pipe: tuple[int, int]) -> None:
    size = fill(pipe[1])
    os.set_blocking(pipe[1], False)
    written = DescriptorWriter(pipe[1], "stdout")
    written.write(b"".join(b"%05d\n" % number for number in range(40_000)))
    drain(pipe[0], size)

    assert read_lines(pipe[0], 40_000) == [b"%05d" % number for number in range(40_000)]


def test_streams_to_one_file_share_a_writer(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as one, (tmp_path / "log").open("a") as other, (tmp_path / "more").open("w") as third:
        assert writer_to(one) is writer_to(other)
        assert writer_to(one) is not writer_to(third)


def test_what_is_no_file_is_written_at_once() -> None:
    stream = io.StringIO()
    written = writer_to(stream)
    written.write(b"line\n")
    stream.close()
    written.write(b"lost\nlost\n")

    assert isinstance(written, StreamWriter)
    assert written.dropped == 2


def test_the_end_waits_for_lines_but_not_for_a_reader_who_takes_none(
    pipe: tuple[int, int], writers: dict[tuple[int, int], DescriptorWriter], caplog: pytest.LogCaptureFixture
) -> None:
    """The second end finds nothing to wait for, and says nothing twice."""
    fill(pipe[1])
    stalled = DescriptorWriter(pipe[1], "stdout")
    writers[0, 0] = stalled
    stalled.write(b"begun\n")
    while stalled._waiting:
        time.sleep(0.001)  # until the thread has taken it
    for _ in range(3):
        stalled.write(b"waits\n")

    settle(0.01)
    settle(3600)

    assert caplog.messages == ["CP560 4 lines for stdout lost"]
    assert stalled.dropped == lines_dropped() == 4


WRITER = """
import os, sys, time
from corsproxy.observe.writer import DescriptorWriter
written = DescriptorWriter(1, "stdout", max_bytes=1 << 30)
letter, count = sys.argv[1].encode(), int(sys.argv[2])
for _ in range(count):
    written.write(b"".join(letter * length + b"\\n" for length in (10, 400, 1000, 3000)))
written.settle(time.monotonic() + 60)
"""


def test_processes_that_share_a_pipe_write_whole_lines() -> None:
    """Their batches are larger than what a pipe takes at once, and the pipe is full all the time."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*command, letter, "100"], stdout=writing, cwd=ROOT) for letter in "ab"]
    os.close(writing)
    got = b""
    while part := os.read(reading, 65536):
        got += part
    os.close(reading)
    assert [each.wait(DEADLINE_S) for each in writers] == [0, 0]

    lines = got.splitlines()
    assert len(lines) == 800
    assert {(len(line), len(set(line))) for line in lines} == {(10, 1), (400, 1), (1000, 1), (3000, 1)}


FORK = """
import os, sys, time
from corsproxy.observe.writer import settle, writer_to
written = writer_to(sys.stdout)
written.write(b"parent\\n")
settle(10)
child = os.fork()
written.write(b"child\\n" if child == 0 else b"parent again\\n")
settle(10)
if child:
    sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_has_a_thread_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], cwd=ROOT, capture_output=True, timeout=30, check=True)

    assert sorted(done.stdout.splitlines()) == [b"child", b"parent", b"parent again"]
