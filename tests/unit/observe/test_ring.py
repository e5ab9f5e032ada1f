"""The ring: the last exchanges, those that deserve a look for longer, and counts that no client can make grow."""

from corsproxy.observe.entry import MAX_TARGET_BYTES
from corsproxy.observe.ring import Ring, Tally
from corsproxy.record import ExchangeRecord
from tests.unit.observe.observed import APP, EVIL, recorded, settings_of

SETTINGS = settings_of()


def good(path: bytes = b"/good") -> ExchangeRecord:
    return recorded(SETTINGS, b"GET", path, APP)


def bad(path: bytes = b"/bad", origin: bytes = EVIL) -> ExchangeRecord:
    return recorded(SETTINGS, b"GET", path, origin)


def ring(size: int = 5, kept: int = 3) -> Ring:
    return Ring(lambda: SETTINGS, "a1", size, kept)


def paths(made: Ring, number: int = 0, most: int = 100) -> list[str]:
    return [entry.path for entry in made.since(number, most).entries]


def test_it_keeps_the_last_exchanges_in_order() -> None:
    made = ring()
    for number in range(8):
        made.add(good(b"/%d" % number))

    assert paths(made) == ["/3", "/4", "/5", "/6", "/7"]
    assert [entry.id for entry in made.since(6).entries] == ["a1-7", "a1-8"]
    assert made.since(8).entries == ()
    assert made.since(8).last == 8


def test_what_deserves_a_look_stays_longer() -> None:
    made = ring()
    for number in range(4):
        made.add(bad(b"/bad/%d" % number))
    for number in range(50):
        made.add(good(b"/%d" % number))

    assert paths(made) == ["/bad/1", "/bad/2", "/bad/3", "/45", "/46", "/47", "/48", "/49"]
    assert made.find("a1-2") is not None


def test_an_exchange_is_found_by_its_id_as_long_as_it_is_kept() -> None:
    made = ring()
    for number in range(8):
        made.add(good(b"/%d" % number))

    found = made.find("a1-5")
    assert found is not None
    assert found.path == "/4"
    for name in ("a1-3", "a1-9", "b2-5", "a1-", "a1", "", "a1-5x", "a1-\u0665", "a1-" + "9" * 5000):
        assert made.find(name) is None


def test_one_look_returns_only_so_many_and_the_telling_ones_first() -> None:
    made = ring(size=20)
    for number in range(10):
        made.add(bad() if number == 2 else good(b"/%d" % number))
    look = made.since(1, most=3)

    assert [entry.path for entry in look.entries] == ["/bad", "/8", "/9"]
    assert look.missed == 6


def test_whoever_lags_behind_hears_how_many_are_gone() -> None:
    made = ring()
    for number in range(20):
        made.add(good(b"/%d" % number))

    assert made.since(10).missed == 5
    assert made.since(18).missed == 0


def test_a_number_of_another_start_begins_anew() -> None:
    made = ring()
    made.add(good())

    assert len(made.since(1000).entries) == 1


def test_long_targets_are_not_kept() -> None:
    made = ring()
    made.add(recorded(SETTINGS, b"GET", b"/" + b"a" * 60_000, APP))

    kept = made.briefs.at(1)
    assert isinstance(kept, ExchangeRecord)
    assert len(kept.target) <= MAX_TARGET_BYTES + 1


def test_it_counts_origins_and_reasons() -> None:
    made = ring()
    for record in (good(), good(), bad(), recorded(SETTINGS)):
        made.add(record)

    assert made.counts() == {
        "total": 4,
        "bad": 1,
        "origins": [(APP.decode(), 2, 0), (EVIL.decode(), 1, 1)],
        "reasons": [("origin-allowed", 2, 0), ("origin-refused", 1, 1), ("no-origin", 1, 0)],
        "other_origins": [0, 0],
    }


def test_what_other_processes_saw_is_taken_in() -> None:
    """Each worker has a ring; the supervisor's has all of them."""
    workers, whole = [Ring(lambda: SETTINGS, f"w{number}") for number in range(2)], ring(size=10)
    workers[0].add(bad())
    workers[1].add(good())
    workers[1].add(good(b"/late"))
    whole.take([*workers[1].since(0).entries, *workers[0].since(0).entries])
    for worker in workers:
        whole.tell(worker.name, worker.counts())
    workers[1].add(good(b"/later"))
    whole.take(workers[1].since(2).entries)
    whole.tell("w1", workers[1].counts())

    shown = [(entry.id, entry.path) for entry in whole.since(0).entries]
    assert shown == [("a1-1", "/good"), ("a1-2", "/late"), ("a1-3", "/bad"), ("a1-4", "/later")]
    found = whole.find("a1-3")
    assert found is not None
    assert found.path == "/bad"
    counts = whole.counts()
    assert (counts["total"], counts["bad"]) == (4, 1)
    assert counts["origins"] == [(APP.decode(), 3, 0), (EVIL.decode(), 1, 1)]


def test_what_deserves_a_look_in_other_processes_stays_longer_too() -> None:
    worker, whole = Ring(lambda: SETTINGS, "w"), ring()
    for number in range(10):
        worker.add(bad() if not number else good(b"/%d" % number))
    whole.take(worker.since(0).entries)

    assert paths(whole) == ["/bad", "/5", "/6", "/7", "/8", "/9"]
    assert paths(whole, most=2) == ["/bad", "/9"]


def test_the_counts_of_a_process_that_is_gone_stay() -> None:
    whole = ring()
    for name, count in (("1", 3), ("2", 1)):
        worker = Ring(lambda: SETTINGS, "w")
        for _ in range(count):
            worker.add(bad())
        whole.take(worker.since(0).entries)
        whole.tell(name, worker.counts())
        before = whole.counts()
        whole.forget(name)
        whole.forget(name)
        assert whole.counts() == before

    assert (whole.counts()["total"], whole.counts()["bad"], whole.last) == (4, 4, 4)
    assert whole.counts()["origins"] == [(EVIL.decode(), 4, 4)]
    assert whole.counts()["reasons"] == [("origin-refused", 4, 4)]


def test_a_tally_never_grows_and_keeps_who_comes_often() -> None:
    tally = Tally(size=8)
    for number in range(10_000):
        tally.add_all([("https://app.example.com", 1, 0), (f"https://{number}.example", 1, 1)])

    assert len(tally.counts) <= 8
    named, others = tally.top(most=2)
    assert named[0] == ("https://app.example.com", 10_000, 0)
    assert len(named) == 2
    assert sum(count for _, count, _ in named) + others[0] == 20_000
    assert sum(bad for _, _, bad in named) + others[1] == 10_000
