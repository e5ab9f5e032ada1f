"""Bounded memories: what stays, what goes, and that nobody can make them grow."""

from corsproxy.memo import _MAX_SIGHTS, Memo, Sights


def test_what_was_put_is_found() -> None:
    memo: Memo[str, int] = Memo(4)
    memo.put("a", 1)

    assert memo.find("a") == 1
    assert memo.find("b") is None
    assert len(memo) == 1


def test_it_never_holds_more_than_two_generations() -> None:
    memo: Memo[int, int] = Memo(4)
    for number in range(1000):
        memo.put(number, number)
        assert len(memo) <= 8


def test_what_is_asked_for_again_outlives_whatever_is_asked_for_once() -> None:
    memo: Memo[object, str] = Memo(4)
    memo.put("honest", "kept")
    for number in range(1000):
        memo.put(number, "made up")
        assert memo.find("honest") == "kept"


def test_what_nobody_asks_for_is_forgotten() -> None:
    memo: Memo[int, int] = Memo(2)
    for number in range(5):
        memo.put(number, number)

    assert memo.find(0) is None
    assert memo.find(4) == 4


def test_only_the_second_sight_is_one() -> None:
    sights = Sights()

    assert [sights.is_second(key) for key in ("a", "b", "a", "a", "c")] == [False, False, True, True, False]


def test_sights_are_bounded() -> None:
    sights = Sights()
    for number in range(3 * _MAX_SIGHTS):
        sights.is_second(number)
        assert len(sights.seen) <= _MAX_SIGHTS
