"""Reloads: one at a time, all or nothing, and each said once; files are compared by what they hold."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from corsproxy.admin.sources import InForce
from corsproxy.changes import ReloadOutcome
from corsproxy.config.load import Loaded, load_file, load_flags, load_text
from corsproxy.config.settings import Listen, Settings
from corsproxy.cors.policy import CorsPolicy
from corsproxy.observe.details import Details
from corsproxy.reload import Reloader, Watcher, reloading, run_in_thread, take_snapshot
from tests.harness import until

GOOD = "upstream: http://localhost:9000\ncors: {allow_origins: [https://a.example]}\n"
OTHER = GOOD.replace("a.example", "b.example")
BAD = GOOD.replace("allow_origins", "allow_orgins")
WARNED = "upstream: http://localhost:9000\ncors: {allow_origins: [https://a.example], max_age: 3h, allow_methods: [PUT]}\n"


class Said(logging.Handler):
    """Collects what the logger says: level and text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelname, Details.of(record).below(record.getMessage())))

    def take(self) -> list[tuple[str, str]]:
        lines, self.lines = self.lines, []
        return lines

    def first_lines(self) -> list[tuple[str, str]]:
        return [(level, text.partition("\n")[0]) for level, text in self.take()]


@pytest.fixture
def said() -> Iterator[Said]:
    handler, logger = Said(), logging.getLogger("corsproxy")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


class Source:
    """A configuration that a test writes, whose loading it can hold up; and what was put in force."""

    def __init__(self, text: str = GOOD) -> None:
        self.text = text
        self.loads = 0
        self.may_end = threading.Event()
        self.may_end.set()
        self.applied: list[Settings] = []
        self.reloader = Reloader(self.load, self.applied.append, in_force(text, "f"))

    def load(self) -> Loaded:
        self.loads += 1
        text = self.text
        assert self.may_end.wait(10)
        loaded = load_text(text, "f")
        return Loaded(loaded.settings, loaded.diagnostics, loaded.source, files=("f",))


def settings_of(text: str) -> Settings:
    settings = load_text(text, "f").settings
    assert settings is not None
    return settings


def in_force(text: str, *files: str) -> InForce:
    loaded = replace(load_text(text, "f"), files=files)
    assert loaded.settings is not None
    return InForce(loaded.settings, loaded)


def allowed(applied: list[Settings]) -> list[str]:
    """The origin that each configuration allows."""
    return [settings.default_cors.patterns[0].text for settings in applied if isinstance(settings.default_cors, CorsPolicy)]


# --- outcomes ---


async def test_a_valid_configuration_is_put_in_force_and_said_in_one_line(said: Said) -> None:
    source = Source()
    source.text = OTHER
    before = time.time()
    outcome = await source.reloader.reload()

    assert outcome == ReloadOutcome(True, (), (), changed=True, time=outcome.time)
    assert before <= outcome.time <= time.time()
    assert source.applied == [settings_of(OTHER)]
    assert source.reloader.in_force.settings == settings_of(OTHER)
    assert said.take() == [("INFO", "configuration reloaded: cors changed")]
    assert (source.reloader.attempts, source.reloader.successes) == (1, 1)
    assert (source.reloader.last, source.reloader.last_success_time) == (outcome, outcome.time)


async def test_the_same_content_is_said_to_change_nothing(said: Said) -> None:
    source = Source()
    assert not (await source.reloader.reload()).changed
    assert said.take() == [("INFO", "configuration reloaded: nothing changed")]


async def test_an_invalid_configuration_changes_nothing_and_is_an_error_with_every_diagnostic(said: Said) -> None:
    source = Source()
    started = source.reloader.last_success_time
    source.text = BAD + "nothing: 1\n"
    outcome = await source.reloader.reload()

    assert (outcome.ok, outcome.changed) == (False, False)
    assert outcome.diagnostics == load_text(source.text, "f").diagnostics
    assert source.applied == []
    assert source.reloader.in_force.settings == settings_of(GOOD)
    ((level, text),) = said.take()
    assert level == "ERROR"
    assert text.startswith("CP511 new configuration refused: the one in force stays\nerror[CP103]: `allow_orgins` is not a key of `cors`\n")
    assert " --> f:3:1" in text
    assert text.endswith("\n2 errors")
    assert (source.reloader.attempts, source.reloader.successes) == (1, 0)
    assert (source.reloader.last, source.reloader.last_success_time) == (outcome, started)


async def test_what_needs_a_restart_is_a_warning_with_its_name_and_the_rest_is_in_force(said: Said) -> None:
    source = Source()
    source.text = OTHER + "listen: 127.0.0.1:1\n"
    outcome = await source.reloader.reload()

    assert (outcome.ok, outcome.needs_restart, outcome.changed) == (True, ("listen",), True)
    assert source.applied == [settings_of(OTHER)]
    assert source.applied[0].listen == (Listen("127.0.0.1", 8080),)
    assert said.take() == [
        ("INFO", "configuration reloaded: cors changed"),
        ("WARNING", "CP512 change needs a restart: the value in force stays: `listen`"),
    ]
    # It goes on waiting.
    assert (await source.reloader.reload()).needs_restart == ("listen",)


async def test_warnings_and_notes_of_a_new_configuration_are_logged(said: Said) -> None:
    source = Source()
    source.text = WARNED
    assert (await source.reloader.reload()).ok
    (_, (level, text)) = said.take()
    assert text.startswith(f"the new configuration is in force, with {text.splitlines()[-1]}\n")
    assert {each.problem.code for each in load_text(WARNED, "f").diagnostics} == {"CP252", "CP253"}
    assert "CP252" in text
    assert "CP253" in text
    assert level == ("WARNING" if "warning[" in text else "INFO")


async def test_a_mistake_while_loading_is_logged_and_changes_nothing(said: Said) -> None:
    def load() -> Loaded:
        raise ZeroDivisionError

    applied: list[Settings] = []
    reloader = Reloader(load, applied.append, in_force(GOOD, "f"))
    outcome = await reloader.reload()

    assert (outcome.ok, [each.problem.code for each in outcome.diagnostics]) == (False, ["CP501"])
    assert applied == []
    assert said.take() == [("ERROR", "internal error: the configuration was not reloaded")]


async def test_without_a_file_there_is_nothing_to_reload(said: Said) -> None:
    loaded = load_flags("http://localhost:9000", ["https://a.example"])
    assert loaded.settings is not None
    applied: list[Settings] = []
    reloader = Reloader(lambda: loaded, applied.append, InForce(loaded.settings, loaded))
    reloader.request()
    await Watcher(reloader).look()

    assert not reloader.is_busy
    assert applied == []
    assert said.take() == [("WARNING", "CP513 nothing to reload: corsproxy runs without a file")]


# --- one at a time ---


async def test_requests_during_a_reload_become_one_more() -> None:
    source = Source()
    source.may_end.clear()
    first = asyncio.ensure_future(source.reloader.reload())
    await until(lambda: source.loads == 1)
    source.text = OTHER
    for _ in range(5):
        source.reloader.request()
    later = [asyncio.ensure_future(source.reloader.reload()) for _ in range(5)]
    await asyncio.sleep(0)
    source.may_end.set()

    assert not (await first).changed
    outcomes = await asyncio.gather(*later)
    assert outcomes == [outcomes[0]] * 5
    assert outcomes[0].changed
    assert source.loads == 2
    await until(lambda: not source.reloader.is_busy)
    assert source.applied == [settings_of(GOOD), settings_of(OTHER)]


async def test_the_loop_goes_on_while_a_load_takes_its_time() -> None:
    source = Source()
    source.may_end.clear()
    reload = asyncio.ensure_future(source.reloader.reload())
    await until(lambda: source.loads == 1)
    await asyncio.sleep(0)
    assert not reload.done()
    source.may_end.set()
    assert (await reload).ok


async def test_one_who_no_longer_waits_does_not_end_the_reload_of_others() -> None:
    source = Source()
    source.may_end.clear()
    impatient, patient = (asyncio.ensure_future(source.reloader.reload()) for _ in range(2))
    await until(lambda: source.loads == 1)
    impatient.cancel()
    source.may_end.set()
    assert (await patient).ok


async def test_after_a_stop_nothing_is_put_in_force_any_more(said: Said) -> None:
    source = Source()
    source.may_end.clear()
    source.text = OTHER
    running = asyncio.ensure_future(source.reloader.reload())
    await until(lambda: source.loads == 1)
    waiting = asyncio.ensure_future(source.reloader.reload())
    await asyncio.sleep(0)
    source.reloader.stop()
    source.reloader.request()
    source.may_end.set()
    for each in (running, waiting, asyncio.ensure_future(source.reloader.reload())):
        with pytest.raises(asyncio.CancelledError):
            await each
    await until(lambda: not source.reloader.is_busy)
    assert (source.loads, source.applied, said.take()) == (1, [], [])


def test_the_end_of_the_loop_does_not_wait_for_a_load() -> None:
    source_may_end = threading.Event()

    async def main() -> None:
        hanging = asyncio.ensure_future(run_in_thread(lambda: source_may_end.wait(30)))
        await asyncio.sleep(0)
        hanging.cancel()

    began = time.monotonic()
    asyncio.run(main())
    took = time.monotonic() - began
    source_may_end.set()
    assert took < 10


# --- files ---


class Watched:
    """A real file, a reloader and a watcher that looks when the test says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text(GOOD)
        self.applied: list[Settings] = []
        self.reloader = Reloader(lambda: load_file(path), self.applied.append, in_force(GOOD, str(path)))
        self.watcher = Watcher(self.reloader)
        self.look = self.watcher.look


@pytest.fixture
async def watched(tmp_path: Path) -> Watched:
    """One whose first look is past."""
    made = Watched(tmp_path / "corsproxy.yaml")
    await made.look()
    made.applied.clear()
    return made


async def test_the_first_look_at_an_unchanged_file_leaves_no_trace(tmp_path: Path, said: Said) -> None:
    watched = Watched(tmp_path / "f")
    await watched.look()

    assert (watched.reloader.last, watched.reloader.attempts, watched.reloader.successes) == (None, 0, 0)
    assert said.take() == []


async def test_a_change_between_the_start_and_the_first_look_is_found(tmp_path: Path, said: Said) -> None:
    watched = Watched(tmp_path / "f")
    watched.path.write_text(OTHER)
    await watched.look()

    assert allowed(watched.applied) == ["https://b.example"]
    assert said.take() == [("INFO", "configuration reloaded: cors changed")]
    assert watched.reloader.attempts == 1


async def test_a_changed_file_is_loaded_once(watched: Watched, said: Said) -> None:
    watched.path.write_text(OTHER)
    for _ in range(3):
        await watched.look()

    assert allowed(watched.applied) == ["https://b.example"]
    assert said.take() == [("INFO", "configuration reloaded: cors changed")]


async def test_a_change_that_leaves_size_and_mtime_alone_is_found(watched: Watched) -> None:
    status = watched.path.stat()
    watched.path.write_text(OTHER)
    os.utime(watched.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert watched.path.stat().st_size == status.st_size
    await watched.look()

    assert allowed(watched.applied) == ["https://b.example"]


async def test_a_file_that_was_only_touched_is_not_loaded(watched: Watched, said: Said) -> None:
    watched.path.write_text(GOOD)
    os.utime(watched.path)
    await watched.look()
    assert (watched.applied, said.take()) == ([], [])


async def test_a_config_map_swap_is_a_change(tmp_path: Path) -> None:
    """Kubernetes: the file is a link to `..data/f`, `..data` a link to a directory, and an update renames a new link over the old."""
    for name, text in (("..1", GOOD), ("..2", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    path = tmp_path / "f"
    path.symlink_to("..data/f")
    applied: list[Settings] = []
    reloader = Reloader(lambda: load_file(path), applied.append, in_force(GOOD, str(path)))
    watcher = Watcher(reloader)
    await watcher.look()
    applied.clear()
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    await watcher.look()

    assert allowed(applied) == ["https://b.example"]


async def test_a_file_that_is_gone_for_a_moment_is_no_change(watched: Watched, said: Said) -> None:
    watched.path.unlink()
    await watched.look()
    watched.path.write_text(GOOD)
    await watched.look()
    assert (watched.applied, said.take()) == ([], [])


async def test_a_file_that_stays_away_is_said_once_and_its_return_too(watched: Watched, said: Said) -> None:
    watched.path.unlink()
    await watched.look()
    assert said.take() == []
    for _ in range(3):
        await watched.look()
    assert said.first_lines() == [("ERROR", "CP511 new configuration refused: the one in force stays")]
    assert watched.applied == []

    watched.path.write_text(GOOD)
    for _ in range(3):
        await watched.look()
    assert said.take() == [("INFO", "configuration reloaded: nothing changed")]


async def test_bad_content_is_said_once_until_it_changes_again(watched: Watched, said: Said) -> None:
    watched.path.write_text(BAD)
    for _ in range(3):
        await watched.look()
    assert said.first_lines() == [("ERROR", "CP511 new configuration refused: the one in force stays")]

    watched.path.write_text(OTHER)
    await watched.look()
    assert said.take() == [("INFO", "configuration reloaded: cors changed")]


async def test_what_somebody_asked_to_reload_is_not_loaded_once_more_by_the_watcher(watched: Watched, said: Said) -> None:
    watched.path.write_text(OTHER)
    await watched.reloader.reload()
    await watched.look()
    assert said.take() == [("INFO", "configuration reloaded: cors changed")]


async def test_the_watcher_looks_away_while_a_reload_is_under_way(watched: Watched) -> None:
    loads: list[Loaded] = []
    may_end = threading.Event()

    def load() -> Loaded:
        loads.append(load_file(watched.path))
        assert may_end.wait(10)
        return loads[-1]

    watched.reloader._load = load
    reload = asyncio.ensure_future(watched.reloader.reload())
    await until(lambda: len(loads) == 1)
    watched.path.write_text(OTHER)
    await watched.look()
    may_end.set()
    assert not (await reload).changed
    # What it was too early for is left to the next look.
    await until(lambda: not watched.reloader.is_busy)
    assert len(loads) == 1
    await watched.look()
    assert allowed(watched.applied)[1:] == ["https://b.example"]


async def test_files_that_a_new_configuration_names_are_watched_and_those_that_it_left_are_not(tmp_path: Path) -> None:
    """A change of a file that was not known before the load, made while loading, is met by the next look."""
    main, part, other = (tmp_path / name for name in ("main", "part", "other"))
    for path in (main, part, other):
        path.write_text("1")
    parts = {"1": part, "2": other}
    loads = 0

    def load() -> Loaded:
        nonlocal loads
        loads += 1
        chosen = parts[main.read_text()]
        chosen.read_text()
        loaded = load_text(GOOD, "f")
        return Loaded(loaded.settings, (), loaded.source, files=(str(main), str(chosen)))

    reloader = Reloader(load, lambda _: None, in_force(GOOD, str(main), str(part)))
    watcher = Watcher(reloader)

    async def loads_of_a_look(changed: Callable[[], object] = lambda: None) -> int:
        nonlocal loads
        loads = 0
        changed()
        await watcher.look()
        return loads

    assert [await loads_of_a_look() for _ in range(2)] == [1, 0]
    assert await loads_of_a_look(lambda: part.write_text("2")) == 1
    # Twice, since what was read the first time had not been looked at before.
    assert await loads_of_a_look(lambda: main.write_text("2")) == 2
    assert reloader.files == (str(main), str(other))
    assert await loads_of_a_look(lambda: other.write_text("2")) == 1
    assert await loads_of_a_look(lambda: part.write_text("3")) == 0


async def test_a_refused_configurations_files_are_watched_beside_those_in_force(tmp_path: Path, said: Said) -> None:
    main, part = tmp_path / "main", tmp_path / "part"
    main.write_text(GOOD)

    def load() -> Loaded:
        loaded = load_text(main.read_text() if part.exists() else BAD, "f")
        return Loaded(loaded.settings, loaded.diagnostics, loaded.source, files=(str(part),))

    reloader = Reloader(load, lambda _: None, in_force(GOOD, str(main)))
    await reloader.reload()
    assert reloader.files == (str(part), str(main))
    watcher = Watcher(reloader)
    for _ in range(3):
        await watcher.look()
    assert [level for level, _ in said.take()] == ["ERROR"]
    part.write_text("here")
    await watcher.look()
    assert said.take() == [("INFO", "configuration reloaded: nothing changed")]


async def test_a_pipe_is_not_watched(tmp_path: Path, said: Said) -> None:
    """`--config <(envsubst < template)`: it can be read but once, and opening it would wait for a writer."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reloader = Reloader(lambda: load_file(path), lambda _: None, in_force(GOOD, str(path)))
    for _ in range(3):
        await Watcher(reloader).look()
    assert (reloader.attempts, said.take()) == (0, [])


def test_snapshots_tell_content_absence_and_what_can_be_read_but_once_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    names = ("a", "b", "dangling", "nowhere", "pipe", "")
    seen = take_snapshot([str(tmp_path / name) for name in names] + ["null\0byte"])

    a, b, *others = seen.values()
    assert a != b
    assert None not in (a, b)
    assert others == [None, None, b"", None, None]


async def test_a_mistake_while_looking_does_not_end_the_watch(watched: Watched, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    watcher = Watcher(watched.reloader, interval_s=0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        watching = asyncio.ensure_future(watcher.run())
        await until(lambda: ("ERROR", "internal error: the files were not looked at") in said.lines)
    watched.path.write_text(OTHER)
    await until(lambda: allowed(watched.applied) == ["https://b.example"])
    watching.cancel()


async def test_a_block_of_reloading_watches_until_it_ends(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corsproxy.reload.Watcher", lambda reloader: Watcher(reloader, interval_s=0))
    applied: list[Settings] = []
    with reloading(lambda: load_file(watched.path), applied.append, in_force(GOOD, str(watched.path))) as reloader:
        watched.path.write_text(OTHER)
        await until(lambda: allowed(applied) == ["https://b.example"])
    with pytest.raises(asyncio.CancelledError):
        await reloader.reload()
